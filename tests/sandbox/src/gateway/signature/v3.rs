//! Signature version 3 (ACS3-HMAC-SHA256), derived from its documentation:
//! <https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature>.
//!
//! It reads and computes; whether a request may pass is decided in `access`.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Method, Uri};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::canonical;

const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// What version 3 signs of a request, as it arrived.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct Signed {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body_sha256: String,
}

/// What the `Authorization` header says.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::gateway) struct Authorization<'a> {
    pub(in crate::gateway) key_id: &'a str,
    signed_headers: Vec<&'a str>,
    pub(in crate::gateway) signature: &'a str,
}

impl Signed {
    /// Takes a request for one of version 3 if its `Authorization` begins like that.
    pub(in crate::gateway) fn read(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<Self> {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers: BTreeMap<String, String> = headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
            .collect();
        let query = uri.query().unwrap_or_default();
        let signed = Self {
            method: method.as_str().to_owned(),
            path: uri.path().to_owned(),
            query: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            headers,
            body_sha256: sha256(body),
        };
        let claimed = signed.header("authorization")?.starts_with(ALGORITHM);
        claimed.then_some(signed)
    }

    /// A header, where it is given and not empty.
    pub(in crate::gateway) fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name).map(|value| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// Whether `x-acs-content-sha256` says what the body hashes to.
    pub(in crate::gateway) fn hash_is_of_the_body(&self) -> bool {
        self.header("x-acs-content-sha256") == Some(&self.body_sha256)
    }

    /// The parts of the `Authorization` header; nothing if one of them is not there.
    pub(in crate::gateway) fn authorization(&self) -> Option<Authorization<'_>> {
        let text = self.header("authorization")?.strip_prefix(ALGORITHM)?;
        let parts: BTreeMap<&str, &str> = text
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
            .collect();
        Some(Authorization {
            key_id: parts.get("Credential")?,
            signed_headers: parts.get("SignedHeaders")?.split(';').collect(),
            signature: parts.get("Signature")?,
        })
    }

    /// A header that must be signed and is not: `host`, the type of the body, and all of Alibaba's own.
    pub(in crate::gateway) fn left_unsigned(&self, by: &Authorization<'_>) -> Option<&str> {
        let names = self.headers.keys().map(String::as_str);
        let mut mandatory = names
            .filter(|name| ["host", "content-type"].contains(name) || name.starts_with("x-acs-"));
        mandatory.find(|name| !by.signed_headers.contains(name))
    }

    /// The lines of the request that are hashed.
    pub(in crate::gateway) fn canonical_request(&self, by: &Authorization<'_>) -> String {
        let mut names = by.signed_headers.clone();
        names.sort_unstable();
        let header = |name: &&str| format!("{name}:{}\n", self.header(name).unwrap_or_default());
        let headers: Vec<String> = names.iter().map(header).collect();
        [
            self.method.as_str(),
            &self.path,
            &canonical(&self.query),
            &headers.concat(),
            &names.join(";"),
            &self.body_sha256,
        ]
        .join("\n")
    }
}

/// The text that is signed.
pub(in crate::gateway) fn string_to_sign(canonical_request: &str) -> String {
    format!("{ALGORITHM}\n{}", sha256(canonical_request.as_bytes()))
}

/// The signature of `string_to_sign` in hex.
pub(in crate::gateway) fn sign(secret: &str, string_to_sign: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(string_to_sign.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        v3: BTreeMap<String, Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        method: String,
        ak: String,
        secret: String,
        query: BTreeMap<String, String>,
        headers: BTreeMap<String, String>,
        body: String,
        canonical_request: String,
        string_to_sign: String,
        authorization: String,
    }

    fn received(vector: &Vector) -> Signed {
        let mut headers = vector.headers.clone();
        headers.insert("authorization".to_owned(), vector.authorization.clone());
        Signed {
            method: vector.method.clone(),
            path: "/".to_owned(),
            query: vector.query.clone(),
            headers,
            body_sha256: sha256(vector.body.as_bytes()),
        }
    }

    #[test]
    fn official_sdks_sign_alike() {
        let text = include_str!("../../../../fixtures/aliyun_vectors.json");
        let vectors: Vectors = serde_json::from_str(text).unwrap();
        assert_eq!(vectors.v3.len(), 4);
        for (name, vector) in vectors.v3 {
            let request = received(&vector);
            let authorization = request.authorization().unwrap();
            assert_eq!(authorization.key_id, vector.ak, "{name}");
            assert_eq!(request.left_unsigned(&authorization), None, "{name}");
            assert!(request.hash_is_of_the_body(), "{name}");
            let canonical = request.canonical_request(&authorization);
            assert_eq!(canonical, vector.canonical_request, "{name}");
            let text = string_to_sign(&canonical);
            assert_eq!(text, vector.string_to_sign, "{name}");
            let signature = sign(&vector.secret, &text);
            assert_eq!(signature, authorization.signature, "{name}");
        }
    }
}
