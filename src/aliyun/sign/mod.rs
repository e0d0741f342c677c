//! The signatures of RPC requests (Alibaba Cloud, "request structure and signature").
//!
//! | module | holds |
//! |---|---|
//! | [`v1`] | version 1.0 with HMAC-SHA1: every parameter is signed and one of them is the signature |
//! | [`v3`] | ACS3-HMAC-SHA256: headers and the hash of the body are signed, the signature is a header |
//!
//! Pure: names, values and a secret in, text out. Which parameters a request has, the nonce and the
//! time are the caller's; nothing here sends anything. What holds parameter values is wiped when
//! dropped, because one of them may be a private key.

use zeroize::Zeroizing;

pub(super) mod v1;
pub(super) mod v3;

/// How the calls of a cloud are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signature {
    /// Version 1.0 with HMAC-SHA1, in the parameters.
    #[default]
    HmacSha1,
    /// Version 3, ACS3-HMAC-SHA256, in the headers. Of the body only the hash is signed, so a gateway
    /// that shows what it signed shows no private key.
    Acs3HmacSha256,
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
