//! The signature of RPC requests, version 1.0 with HMAC-SHA1 (Alibaba Cloud, "RPC signature").
//!
//! Pure: names, values and a secret in, text out. Which parameters a request has, the nonce and the
//! time are the caller's; nothing here sends anything. What holds parameter values is wiped when
//! dropped, because one of them may be a private key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The value of the `SignatureMethod` parameter.
pub(super) const METHOD: &str = "HMAC-SHA1";

/// The value of the `SignatureVersion` parameter.
pub(super) const VERSION: &str = "1.0";

/// Signs the parameters of a request with the HTTP method `method` and writes them as a form, the
/// signature included.
pub(super) fn signed_form<'a>(
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

/// The canonical form of parameters: sorted by name in byte order, names and values
/// percent-encoded, joined as `name=value` with `&`. An empty value stays, as `name=`.
pub(super) fn canonical<'a>(
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Zeroizing<String> {
    let mut parameters: Vec<(&str, &str)> = parameters.into_iter().collect();
    parameters.sort_unstable();
    let capacity = parameters
        .iter()
        .map(|(name, value)| encoded_limit(name) + encoded_limit(value) + "=&".len())
        .sum();
    let mut canonical = with_capacity(capacity);
    for (place, (name, value)) in parameters.into_iter().enumerate() {
        if place > 0 {
            canonical.push('&');
        }
        percent_encode_into(&mut canonical, name);
        canonical.push('=');
        percent_encode_into(&mut canonical, value);
    }
    canonical
}

/// The text that is signed: the method, the path (always `/`) and the canonical parameters, the
/// last two percent-encoded, joined with `&`. Host and headers are not part of it.
pub(super) fn string_to_sign(method: &str, canonical: &str) -> Zeroizing<String> {
    const PATH: &str = "&%2F&";
    let mut text = with_capacity(method.len() + PATH.len() + encoded_limit(canonical));
    text.push_str(method);
    text.push_str(PATH);
    percent_encode_into(&mut text, canonical);
    text
}

/// The signature: HMAC-SHA1 of the text, keyed with the access key secret and a `&`, in base64.
pub(super) fn signature(string_to_sign: &str, secret: &Secret) -> String {
    let secret = secret.expose();
    let mut key = with_capacity(secret.len() + 1);
    key.push_str(secret);
    key.push('&');
    let mut mac =
        Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(string_to_sign.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Percent-encodes the UTF-8 of a text; only `A-Z a-z 0-9 - _ . ~` stay as they are (RFC 3986
/// §2.3). A space becomes `%20`, never `+`.
pub(super) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(encoded_limit(text));
    percent_encode_into(&mut encoded, text);
    encoded
}

fn percent_encode_into(encoded: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 0x0f)]));
        }
    }
}

/// No text is longer than this once it is percent-encoded.
fn encoded_limit(text: &str) -> usize {
    text.len().saturating_mul(3)
}

/// A text that is wiped when dropped. It must not grow beyond its capacity: growing would leave a
/// copy behind that nobody wipes.
fn with_capacity(capacity: usize) -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(capacity))
}

#[cfg(test)]
mod tests;
