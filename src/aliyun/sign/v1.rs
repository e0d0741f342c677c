//! Version 1.0 with HMAC-SHA1 ("RPC signature",
//! <https://www.alibabacloud.com/help/en/ram/common-parameters-2>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use zeroize::Zeroizing;

use super::{canonical, encoded_limit, percent_encode, percent_encode_into, with_capacity};
use crate::secret::Secret;

/// The value of the `SignatureMethod` parameter.
pub(in crate::aliyun) const METHOD: &str = "HMAC-SHA1";

/// The value of the `SignatureVersion` parameter.
pub(in crate::aliyun) const VERSION: &str = "1.0";

/// Signs the parameters of a request with the HTTP method `method` and writes them as a form, the
/// signature included.
pub(in crate::aliyun) fn signed_form<'a>(
    method: &str,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    secret: &Secret,
) -> Zeroizing<String> {
    let canonical = canonical(parameters);
    let signature = percent_encode(&signature(&string_to_sign(method, &canonical), secret));
    let parts = [canonical.as_str(), "&Signature=", &signature];
    let mut form = with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        form.push_str(part);
    }
    form
}

/// The text that is signed: the method, the path (always `/`) and the canonical parameters, the
/// last two percent-encoded, joined with `&`. Host and headers are not part of it.
pub(in crate::aliyun) fn string_to_sign(method: &str, canonical: &str) -> Zeroizing<String> {
    const PATH: &str = "&%2F&";
    let mut text = with_capacity(method.len() + PATH.len() + encoded_limit(canonical));
    text.push_str(method);
    text.push_str(PATH);
    percent_encode_into(&mut text, canonical);
    text
}

/// The signature: HMAC-SHA1 of the text, keyed with the access key secret and a `&`, in base64.
pub(in crate::aliyun) fn signature(string_to_sign: &str, secret: &Secret) -> String {
    let secret = secret.expose();
    let mut key = with_capacity(secret.len() + 1);
    key.push_str(secret);
    key.push('&');
    let mut mac =
        Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(string_to_sign.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests;
