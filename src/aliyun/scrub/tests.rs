use proptest::prelude::*;

use super::super::sign::percent_encode;
use super::super::testing::key_pem;
use super::*;

fn clean(text: &str, secrets: &[&str]) -> String {
    let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::new(*text)).collect();
    Scrubber::new(&secrets).clean(text, MESSAGE_LIMIT)
}

/// The letters and digits of a text whose percent-encoding is undone as often as we write it; by
/// code that the scrubber does not use.
fn letters(text: &str) -> String {
    let decode = |text: String| {
        let field = text.replace('+', "%2B").replace('&', "%26");
        let mut fields = url::form_urlencoded::parse(field.as_bytes());
        fields
            .next()
            .map_or_else(String::new, |(name, value)| format!("{name}{value}"))
    };
    let decoded = (0..3).fold(text.to_owned(), |text, _| decode(text));
    decoded
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect()
}

/// Whether a text has twelve letters in a row of a secret, which is less than what sixteen
/// characters as they are sent have.
fn leaks(text: &str, secret: &str) -> bool {
    let (text, secret) = (letters(text), letters(secret));
    (0..secret.len().saturating_sub(11)).any(|at| text.contains(&secret[at..at + 12]))
}

#[test]
fn a_key_is_taken_out_however_it_is_written() {
    let key = key_pem();
    let once = percent_encode(&key);
    let twice = percent_encode(&once);
    let forms = [
        ("raw", key.clone()),
        ("percent-encoded", once.clone()),
        ("twice", twice.clone()),
        ("three times", percent_encode(&twice)),
        ("in lower-case hex", lower_hex(&once)),
        ("as a form", once.replace("%20", "+")),
        (
            "with line ends of another system",
            key.replace('\n', "\r\n"),
        ),
        ("in one line", key.replace('\n', "")),
        ("with line ends escaped", key.replace('\n', "\\n")),
        ("with slashes escaped", key.replace('/', "\\/")),
        ("with plus signs lost", key.replace('+', " ")),
        ("wrapped at 20", wrapped(&key, 20)),
        ("wrapped at 5", wrapped(&key, 5)),
        ("cut in the middle", key[..key.len() / 2].to_owned()),
        ("without its beginning", key[key.len() / 2..].to_owned()),
    ];
    for (case, form) in forms {
        assert!(leaks(&form, &key), "the test is blind: {case}");
        let cleaned = clean(&format!("Decode failed: {form} is invalid."), &[&key]);
        assert!(!leaks(&cleaned, &key), "{case}: {cleaned}");
        assert!(
            cleaned.starts_with("Decode failed: [secret]"),
            "{case}: {cleaned}"
        );
        assert!(cleaned.ends_with("is invalid."), "{case}: {cleaned}");
        assert!(cleaned.len() < 150, "{case}: {cleaned}");
    }
}

fn lower_hex(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let mut lower = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (hex, rest) = part.split_at(2);
        lower.push('%');
        lower.push_str(&hex.to_ascii_lowercase());
        lower.push_str(rest);
    }
    lower
}

fn wrapped(text: &str, columns: usize) -> String {
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(columns)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    lines.join("\n")
}

#[test]
fn what_is_no_secret_stays() {
    let key = key_pem();
    for message in [
        "The specified SSLPub is invalid.",
        "-----BEGIN CERTIFICATE----- expected at offset 100% of 3%20",
        "域名验证失败。",
        "%",
        "%2",
        "\\",
    ] {
        assert_eq!(clean(message, &[&key, "short", ""]), message);
    }
}

#[test]
fn a_secret_shorter_than_the_window_is_taken_out_whole() {
    let token = "CAIS/+tok";
    assert_eq!(clean("token CAIS/+tok.", &[token]), "token [secret].");
    assert_eq!(
        clean("token CAIS%252F%252Btok.", &[token]),
        "token [secret]."
    );
    assert_eq!(clean("token CAIS/+to.", &[token]), "token CAIS/+to.");
}

#[test]
fn several_secrets_are_taken_out_in_one_go() {
    let cleaned = clean(
        "a=one-secret-text&b=another-secret-text",
        &["one-secret-text", "another-secret-text"],
    );
    assert_eq!(cleaned, "a=[secret]&b=[secret]");
}

#[test]
fn what_follows_the_echo_is_cut_off() {
    let message = "Specified signature is not matched. Server String To Sign Is:POST&%2F&x";
    assert_eq!(
        clean(message, &[]),
        "Specified signature is not matched. Server"
    );
}

#[test]
fn a_message_is_one_line_within_the_limit() {
    assert_eq!(clean("one\r\ntwo\u{1b}[31m\n", &[]), "one  two [31m");
    let long = "证".repeat(MESSAGE_LIMIT);
    let cleaned = clean(&long, &[]);
    assert!(cleaned.len() <= MESSAGE_LIMIT && cleaned.len() > MESSAGE_LIMIT - 3);
}

#[test]
fn a_secret_across_the_limit_is_taken_out_before_the_cut() {
    let key = key_pem();
    let message = format!("{}{key}", "x".repeat(MESSAGE_LIMIT - 40));
    assert!(!leaks(&clean(&message, &[&key]), &key));
}

proptest! {
    #[test]
    fn sixteen_characters_of_a_key_are_enough(
        start in 0_usize..1500,
        length in 16_usize..200,
        times in 0_usize..3,
        around in ("[^\\x00-\\x1f]{0,20}", "[^\\x00-\\x1f]{0,20}"),
    ) {
        let key = key_pem();
        let run = &key[start..(start + length).min(key.len())];
        let written = (0..times).fold(run.to_owned(), |text, _| percent_encode(&text));
        let message = format!("{} {written} {}", around.0, around.1);
        let cleaned = clean(&message, &[&key]);
        prop_assert!(!leaks(&cleaned, &key), "{}", cleaned);
    }

    #[test]
    fn any_text_is_cleaned_without_fault(text in any::<String>(), secret in any::<String>()) {
        let cleaned = clean(&format!("{text}{secret}{text}"), &[&secret]);
        prop_assert!(cleaned.len() <= MESSAGE_LIMIT);
    }
}
