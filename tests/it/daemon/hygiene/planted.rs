//! A private key, and the search for any part of it in a text, whatever became of it on its way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vodcertd::certificate::hex;
use vodcertd::keys::{KeyFormat, PrivateKey};

/// So many characters of base64 are 48 bits of the key: no text holds them by chance. Every run of 15
/// characters has such a piece.
const PIECE: usize = 8;

/// A P-256 key that is looked for. Only its secret part counts: the public one stands in the certificate.
pub(super) struct Planted {
    /// As it is sent.
    pub(super) pem: String,
    /// What gives it away.
    pieces: Vec<String>,
}

impl Planted {
    pub(super) fn of(key: &PrivateKey) -> Self {
        let [traditional, pkcs8] = [KeyFormat::Traditional, KeyFormat::Pkcs8]
            .map(|format| key.to_pem(format).unwrap().expose().to_owned());
        let mut pieces = Vec::new();
        for pem in [&traditional, &pkcs8] {
            let body = body(pem);
            let der = STANDARD.decode(&body).unwrap();
            let (from, to) = secret_part(&der);
            // The characters that hold nothing else.
            let text = &body.as_bytes()[(from * 8).div_ceil(6)..to * 8 / 6];
            let chunks = text.chunks_exact(PIECE);
            pieces.extend(chunks.map(|chunk| String::from_utf8(chunk.to_vec()).unwrap()));
            // As bytes are shown by who does not know what they are.
            for bytes in der[from..to].chunks_exact(6) {
                let decimal: Vec<String> = bytes.iter().map(u8::to_string).collect();
                pieces.push(decimal.join(","));
                pieces.push(hex(bytes));
            }
        }
        let pieces = pieces.iter().map(|piece| plain(piece)).collect();
        Self {
            pem: traditional,
            pieces,
        }
    }

    /// A line of the key's body.
    pub(super) fn line(&self) -> &str {
        self.pem.lines().nth(1).unwrap()
    }

    /// What of the key a text holds.
    pub(super) fn found_in(&self, text: &str) -> Option<&str> {
        let text = plain(text);
        let lower = text.to_lowercase();
        let found = |piece: &&String| text.contains(*piece) || lower.contains(*piece);
        self.pieces.iter().find(found).map(String::as_str)
    }
}

/// A text without what may be put into a key or taken out of it on the way: percent-encoding, white
/// space (`+` in a form) and escaped line ends.
fn plain(text: &str) -> String {
    let mut text = text.to_owned();
    // A key that was encoded twice is encoded once more where a request is echoed.
    for _ in 0..3 {
        text = percent_decoded(&text);
    }
    text = text.replace("\\\\n", "").replace("\\n", "");
    text.retain(|c| !c.is_whitespace() && c != '+');
    text
}

fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).map(|hex| u8::from_str_radix(hex, 16));
        if let Some(Ok(byte)) = byte {
            decoded.push(char::from(byte));
            decoded.push_str(&part[2..]);
        } else {
            decoded.push('%');
            decoded.push_str(part);
        }
    }
    decoded
}

/// The base64 of a PEM.
fn body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

/// Where the private number is (RFC 5915 §3: version 1, then an octet string of 32 bytes).
fn secret_part(der: &[u8]) -> (usize, usize) {
    let before = [0x02, 0x01, 0x01, 0x04, 0x20];
    let at = der
        .windows(before.len())
        .position(|window| window == before);
    let from = at.unwrap() + before.len();
    (from, from + 32)
}

/// Percent-encodes as a form is encoded.
pub(super) fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use vodcertd::certificate::KeyType;

    use super::*;

    #[test]
    fn a_key_is_found_in_every_dress_and_only_a_key() {
        let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
        let planted = Planted::of(&key);
        let pem = planted.pem.as_str();
        let pkcs8 = key.to_pem(KeyFormat::Pkcs8).unwrap();
        let once = percent_encoded(pem);
        let twice = percent_encoded(&once);
        let hex = hex(key.pkcs8()).to_uppercase();
        let reversed: Vec<&str> = pem.lines().rev().collect();
        let dresses = [
            pem.to_owned(),
            pkcs8.expose().to_owned(),
            format!("{pem:?}"),
            format!("{:?}", format!("{pem:?}")),
            percent_encoded(&twice),
            twice,
            reversed.join(" | "),
            pem.lines().nth(1).unwrap()[20..36].to_owned(),
            format!("{:?}", key.pkcs8()),
            format!("{:#?}", key.pkcs8()),
            hex,
        ];
        for (number, dress) in dresses.iter().enumerate() {
            assert!(planted.found_in(dress).is_some(), "{number}: {dress}");
        }
        let names = BTreeSet::from(["v.example.com".parse().unwrap()]);
        let public = [key.csr(&names).unwrap(), key.public_key_der().unwrap()];
        for public in public {
            let shown = format!("{} {public:?}", STANDARD.encode(&public));
            assert_eq!(planted.found_in(&shown), None, "{shown}");
        }
        let other = Planted::of(&PrivateKey::generate(KeyType::EcdsaP256).unwrap());
        assert_eq!(planted.found_in(&other.pem), None);
    }
}
