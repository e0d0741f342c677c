use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Computed with four official SDKs; two of them are published in the documentation.
const VECTORS: &str = include_str!("../../../../tests/fixtures/aliyun_vectors.json");

struct Vector {
    name: String,
    method: String,
    secret: Secret,
    parameters: BTreeMap<String, String>,
    string_to_sign: String,
    signature: String,
    /// The body as an official SDK sends it; empty for GET.
    body: String,
}

fn vectors() -> Vec<Vector> {
    let all: Value = serde_json::from_str(VECTORS).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let vector = |(name, vector): (&String, &Value)| Vector {
        name: name.clone(),
        method: text(&vector["method"]),
        secret: Secret::new(text(&vector["access_key_secret"])),
        parameters: serde_json::from_value(vector["params"].clone()).unwrap(),
        string_to_sign: text(&vector["string_to_sign"]),
        signature: text(&vector["signature"]),
        body: text(&vector["pop_core_wire"]["body"]),
    };
    all["v1"].as_object().unwrap().iter().map(vector).collect()
}

fn pairs(parameters: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

#[test]
fn the_vectors_of_the_official_sdks_are_met() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let canonical = canonical(pairs(&vector.parameters));
        let text = string_to_sign(&vector.method, &canonical);
        assert_eq!(*text, vector.string_to_sign, "{}", vector.name);
        let signature = signature(&text, &vector.secret);
        assert_eq!(signature, vector.signature, "{}", vector.name);
    }
}

#[test]
fn a_form_is_what_an_official_sdk_sends() {
    let posts: Vec<Vector> = vectors()
        .into_iter()
        .filter(|vector| !vector.body.is_empty())
        .collect();
    assert_eq!(posts.len(), 3);
    for vector in posts {
        let form = signed_form(&vector.method, pairs(&vector.parameters), &vector.secret);
        assert_eq!(*form, vector.body, "{}", vector.name);
    }
}

#[test]
fn texts_that_hold_values_never_grow() {
    for vector in vectors() {
        let canonical = canonical(pairs(&vector.parameters));
        let reserved: usize = pairs(&vector.parameters)
            .map(|(name, value)| 3 * name.len() + 3 * value.len() + 2)
            .sum();
        assert_eq!(canonical.capacity(), reserved, "{}", vector.name);

        let text = string_to_sign(&vector.method, &canonical);
        let reserved = vector.method.len() + 5 + 3 * canonical.len();
        assert_eq!(text.capacity(), reserved, "{}", vector.name);

        let form = signed_form(&vector.method, pairs(&vector.parameters), &vector.secret);
        assert_eq!(form.capacity(), form.len(), "{}", vector.name);
    }
}

/// The encoding as the documentation describes it for languages that have only that of forms:
/// encode as a form, then mend what forms do differently.
fn documented_encoding(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
        .replace('*', "%2A")
        .replace("%7E", "~")
}

/// The signature once more, with nothing of this module and with another library.
fn documented_signature(method: &str, parameters: &[(String, String)], secret: &str) -> String {
    let mut sorted = parameters.to_vec();
    sorted.sort_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
    let query: Vec<String> = sorted
        .iter()
        .map(|(name, value)| [documented_encoding(name), documented_encoding(value)].join("="))
        .collect();
    let text = format!(
        "{method}&{}&{}",
        documented_encoding("/"),
        documented_encoding(&query.join("&"))
    );
    let key = aws_lc_rs::hmac::Key::new(
        aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        format!("{secret}&").as_bytes(),
    );
    STANDARD.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes()))
}

proptest! {
    #[test]
    fn every_request_is_signed_as_documented(
        parameters in proptest::collection::btree_map("[ -~]{1,8}|\\PC{1,4}", any::<String>(), 0..8),
        secret in "[A-Za-z0-9]{1,40}",
        post in any::<bool>(),
    ) {
        let method = if post { "POST" } else { "GET" };
        let backwards: Vec<(String, String)> = parameters.into_iter().rev().collect();
        let ours = signature(
            &string_to_sign(
                method,
                &canonical(backwards.iter().map(|(name, value)| (&**name, &**value))),
            ),
            &Secret::new(secret.clone()),
        );
        prop_assert_eq!(ours, documented_signature(method, &backwards, &secret));
    }

    #[test]
    fn a_form_reads_back_as_what_was_signed(
        parameters in proptest::collection::btree_map("[A-Za-z.0-9]{1,8}", any::<String>(), 0..8),
    ) {
        let form = signed_form("POST", pairs(&parameters), &Secret::new("s"));
        let mut read: BTreeMap<String, String> =
            url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let signed = read.remove("Signature");
        prop_assert_eq!(&read, &parameters);
        let text = string_to_sign("POST", &canonical(pairs(&read)));
        prop_assert_eq!(signed, Some(signature(&text, &Secret::new("s"))));
    }
}
