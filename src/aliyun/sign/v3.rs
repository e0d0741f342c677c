//! Version 3, ACS3-HMAC-SHA256 ("V3 request structure and signature",
//! <https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature>).

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::with_capacity;
use crate::certificate::hex;
use crate::secret::Secret;

/// Begins the `Authorization` header and the text that is signed.
const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// What is signed of a request to the path `/`.
#[derive(Clone, Copy)]
pub(in crate::aliyun) struct Signed<'a> {
    /// The HTTP method.
    pub(in crate::aliyun) method: &'a str,
    /// The query as [`canonical`](super::canonical) writes it; empty where there is none.
    pub(in crate::aliyun) query: &'a str,
    /// The headers that are signed, under lower-case names. The documentation asks for `host`,
    /// `content-type` if there is one, and every `x-acs-` header.
    pub(in crate::aliyun) headers: &'a BTreeMap<&'static str, Zeroizing<String>>,
    /// The hash of the body, the same that `x-acs-content-sha256` says.
    pub(in crate::aliyun) content_sha256: &'a str,
}

impl Signed<'_> {
    /// The value of the `Authorization` header for an access key.
    pub(in crate::aliyun) fn authorization(&self, key_id: &str, secret: &Secret) -> String {
        let signature = signature(&string_to_sign(&self.canonical_request()), secret);
        let names = self.names();
        format!("{ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}")
    }

    /// The lines that are hashed: method, path, query, each signed header, an empty one, the names of
    /// the signed headers, and the hash of the body. One of the headers may be a secret token.
    fn canonical_request(&self) -> Zeroizing<String> {
        let names = self.names();
        let headers: Vec<[&str; 4]> = self
            .headers
            .iter()
            .map(|(name, value)| [name, ":", value.trim(), "\n"])
            .collect();
        let before = [self.method, "\n/\n", self.query, "\n"];
        let after = ["\n", names.as_str(), "\n", self.content_sha256];
        let parts = || {
            let headers = headers.iter().flatten();
            before.iter().chain(headers).chain(&after)
        };
        let mut request = with_capacity(parts().map(|part| part.len()).sum());
        for part in parts() {
            request.push_str(part);
        }
        request
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.headers.keys().copied().collect();
        names.join(";")
    }
}

/// The SHA-256 of a body in lower-case hex, as `x-acs-content-sha256` says it.
pub(in crate::aliyun) fn content_sha256(body: &str) -> String {
    hex(&Sha256::digest(body))
}

fn string_to_sign(canonical_request: &str) -> String {
    format!("{ALGORITHM}\n{}", content_sha256(canonical_request))
}

/// HMAC-SHA256 keyed with the access key secret as it is, in lower-case hex.
fn signature(string_to_sign: &str, secret: &Secret) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(string_to_sign.as_bytes());
    hex(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests;
