//! The signatures of Alibaba's RPC APIs, written from their documentation and for this gateway alone, so
//! that it does not share a mistake with a client.

pub(super) mod v1;
pub(super) mod v3;

/// Parameters in the order of their raw names, encoded and joined.
fn canonical<'a>(parameters: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let mut parameters: Vec<(&String, &String)> = parameters.into_iter().collect();
    parameters.sort();
    let pairs: Vec<String> = parameters
        .into_iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)))
        .collect();
    pairs.join("&")
}

const HEX: [&str; 16] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "E", "F",
];

/// Encodes as RFC 3986 asks, leaving only its unreserved characters.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.extend([
                "%",
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]),
        }
    }
    encoded
}
