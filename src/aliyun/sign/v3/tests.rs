use proptest::prelude::*;
use serde_json::Value;

use super::super::canonical;
use super::*;

/// Computed with the official SDK; the first is published in the documentation.
const VECTORS: &str = include_str!("../../../../tests/fixtures/aliyun_vectors.json");

/// The headers that requests may have, so that names can be borrowed for ever.
const HEADERS: [&str; 9] = [
    "content-type",
    "host",
    "x-acs-accesskey-id",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-security-token",
    "x-acs-signature-nonce",
    "x-acs-version",
];

type Headers = BTreeMap<&'static str, Zeroizing<String>>;

fn headers_of(vector: &Value) -> Headers {
    let given = vector["headers"].as_object().unwrap();
    let header = |(name, value): (&String, &Value)| {
        let known = HEADERS.into_iter().find(|known| known == name);
        (
            known.unwrap(),
            Zeroizing::new(value.as_str().unwrap().to_owned()),
        )
    };
    given.iter().map(header).collect()
}

fn query_of(vector: &Value) -> Zeroizing<String> {
    let query = vector["query"].as_object().unwrap();
    canonical(
        query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap())),
    )
}

#[test]
fn the_vectors_of_the_official_sdk_are_met() {
    let all: Value = serde_json::from_str(VECTORS).unwrap();
    let vectors = all["v3"].as_object().unwrap();
    assert_eq!(vectors.len(), 4);
    for (name, vector) in vectors {
        let text = |field: &str| vector[field].as_str().unwrap();
        let headers = headers_of(vector);
        let hash = content_sha256(text("body"));
        assert_eq!(hash, *headers["x-acs-content-sha256"], "{name}");
        let signed = Signed {
            method: text("method"),
            query: &query_of(vector),
            headers: &headers,
            content_sha256: &hash,
        };
        let canonical = signed.canonical_request();
        assert_eq!(*canonical, text("canonical_request"), "{name}");
        assert_eq!(canonical.capacity(), canonical.len(), "{name}");
        assert_eq!(string_to_sign(&canonical), text("string_to_sign"), "{name}");
        let secret = Secret::new(text("secret"));
        let authorization = signed.authorization(text("ak"), &secret);
        assert_eq!(authorization, text("authorization"), "{name}");
    }
}

/// The header once more, with nothing of this module and with another library: every piece is a
/// line, the headers are collected and sorted by hand.
fn documented_authorization(
    headers: &[(&str, String)],
    query: &[(String, String)],
    body: &str,
    secret: &str,
) -> String {
    use aws_lc_rs::{digest, hmac};
    let encoding = |text: &str| {
        url::form_urlencoded::byte_serialize(text.as_bytes())
            .collect::<String>()
            .replace('+', "%20")
            .replace('*', "%2A")
            .replace("%7E", "~")
    };
    let hash = |text: &str| hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    let mut query = query.to_vec();
    query.sort_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
    let query: Vec<String> = query
        .iter()
        .map(|(name, value)| [encoding(name), encoding(value)].join("="))
        .collect();
    let mut headers = headers.to_vec();
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut lines = vec!["POST".to_owned(), "/".to_owned(), query.join("&")];
    for (name, value) in &headers {
        lines.push(format!("{name}:{}", value.trim()));
    }
    lines.extend([String::new(), names.clone(), hash(body)]);
    let text = format!("ACS3-HMAC-SHA256\n{}", hash(&lines.join("\n")));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hex(hmac::sign(&key, text.as_bytes()).as_ref());
    format!("ACS3-HMAC-SHA256 Credential=id,SignedHeaders={names},Signature={signature}")
}

proptest! {
    #[test]
    fn every_request_is_signed_as_documented(
        values in proptest::collection::vec("[ -~]{0,20}", HEADERS.len()),
        present in proptest::sample::subsequence(HEADERS.to_vec(), 0..=HEADERS.len()).prop_shuffle(),
        query in proptest::collection::btree_map("[ -~]{1,8}|\\PC{1,4}", any::<String>(), 0..6),
        body in any::<String>(),
        secret in "[A-Za-z0-9]{1,40}",
    ) {
        let headers: Vec<(&'static str, String)> = present.into_iter().zip(values).collect();
        let query: Vec<(String, String)> = query.into_iter().rev().collect();
        let expected = documented_authorization(&headers, &query, &body, &secret);
        let headers: Headers = headers
            .into_iter()
            .map(|(name, value)| (name, Zeroizing::new(value)))
            .collect();
        let signed = Signed {
            method: "POST",
            query: &canonical(query.iter().map(|(name, value)| (&**name, &**value))),
            headers: &headers,
            content_sha256: &content_sha256(&body),
        };
        prop_assert_eq!(signed.authorization("id", &Secret::new(secret)), expected);
    }
}
