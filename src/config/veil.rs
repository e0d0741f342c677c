//! What in a file may be a secret, so that it is not shown when something is wrong with its line.
//!
//! Secrets do not belong into the file, and that is where they are found: written where their place
//! belongs, or behind a key that is mistyped.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Findings;
use crate::secret::SecretSource;

/// Parts of keys behind which a secret may stand.
const SECRET: [&str; 9] = [
    "secret",
    "password",
    "passwd",
    "token",
    "hmac",
    "eab",
    "tsig",
    "credential",
    "_file",
];

/// Keys that look like those and name files which anybody may see.
const PUBLIC: [&str; 2] = ["client_ca_file", "ca_file"];

/// Words that may stand there.
const WORDS: [&str; 1] = ["chain"];

/// A word this long may be a key.
const LONG: usize = 16;

/// Hides the texts behind such keys that are no places where a secret lies.
pub(super) fn hide_secrets(table: &DeTable<'_>, findings: &mut Findings) {
    for (key, value) in table {
        if may_hold_secret(key.get_ref()) {
            hide_all_but_places(key.get_ref(), value, findings);
        } else {
            look_inside(value, findings);
        }
    }
}

/// Hides every text in a value.
pub(super) fn hide_texts(value: &Spanned<DeValue<'_>>, findings: &mut Findings) {
    match value.get_ref() {
        DeValue::String(_) => findings.hide(value.span()),
        DeValue::Table(table) => table
            .iter()
            .for_each(|(_, value)| hide_texts(value, findings)),
        DeValue::Array(array) => array.iter().for_each(|value| hide_texts(value, findings)),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

/// Hides what stands behind such keys in a text that is not TOML: all of the line, and the lines
/// after it up to the next that begins like a setting or a section. Behind other keys, which may be
/// mistyped, long words are hidden that look like keys.
pub(super) fn hide_secrets_of_text(text: &str, findings: &mut Findings) {
    let mut open = false;
    let mut from = 0;
    for line in text.split_inclusive('\n') {
        let secret = secret_in_line(line);
        if begins_anew(line) {
            open = false;
        }
        if open {
            findings.hide(from..from + line.len());
        } else if let Some(start) = secret {
            findings.hide(from + start..from + line.len());
            open = true;
        } else {
            for word in long_words(line) {
                findings.hide(from + word.start..from + word.end);
            }
        }
        from += line.len();
    }
}

fn look_inside(value: &Spanned<DeValue<'_>>, findings: &mut Findings) {
    match value.get_ref() {
        DeValue::Table(table) => hide_secrets(table, findings),
        DeValue::Array(array) => array.iter().for_each(|value| look_inside(value, findings)),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

fn hide_all_but_places(key: &str, value: &Spanned<DeValue<'_>>, findings: &mut Findings) {
    match value.get_ref() {
        // A section may be called so: each key in it is judged for itself.
        DeValue::Table(table) if !key.ends_with("_file") => hide_secrets(table, findings),
        DeValue::String(text) if is_public(text) => {}
        DeValue::String(_)
        | DeValue::Array(_)
        | DeValue::Table(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => hide_texts(value, findings),
    }
}

fn is_public(text: &str) -> bool {
    WORDS.contains(&text) || text.parse::<SecretSource>().is_ok()
}

fn may_hold_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !PUBLIC.contains(&key.as_str()) && SECRET.iter().any(|part| key.contains(part))
}

/// Where the text begins that stands behind the first key of a line which may hold a secret.
fn secret_in_line(line: &str) -> Option<usize> {
    let is_key = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    line.match_indices(['=', ':', '"', '\'', ' ', '\t'])
        .map(|(at, _)| at)
        .find(|at| {
            let before = line[..*at].trim_end_matches([' ', '\t', '"', '\'']);
            let key = before.rsplit(|c| !is_key(c)).next().unwrap_or_default();
            may_hold_secret(key)
        })
        .map(|at| at + 1)
}

/// Long words of a line behind its key, as keys are written in base64 or hex. Paths are none.
fn long_words(line: &str) -> impl Iterator<Item = Range<usize>> {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let values = match line.find('=') {
        _ if !begins_anew(line) => 0,
        Some(at) => at + 1,
        None => line.len(),
    };
    line[values..]
        .split_inclusive(move |c| !is_base64(c))
        .scan(values, |next, part| {
            let start = std::mem::replace(next, *next + part.len());
            Some((start, part))
        })
        .filter(|(_, word)| word.len() > LONG && !word.starts_with('/'))
        .map(|(start, word)| start..start + word.len())
}

/// Whether a line begins with a heading, or with a key as they are written here: what goes on with a
/// secret (base64, in lines) does not look like one.
fn begins_anew(line: &str) -> bool {
    let line = line.trim_start();
    let is_key = |c: char| c.is_ascii_lowercase() || c == '_';
    let after_key = line.trim_start_matches(is_key);
    line.starts_with('[') || after_key.len() < line.len() && after_key.trim_start().starts_with('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_secrets_are_known_by_their_parts() {
        for key in [
            "access_key_secret_file",
            "key_file",
            "accessKeySecret",
            "url_file",
            "eab",
            "hmac_key",
            "PASSWORD",
            "credentials",
        ] {
            assert!(may_hold_secret(key), "{key}");
        }
        for key in ["ca_file", "client_ca_file", "names", "access_key_id", "url"] {
            assert!(!may_hold_secret(key), "{key}");
        }
    }

    #[test]
    fn a_setting_after_a_secret_is_shown_again() {
        let text = "key_file = \"Zm9v\n  YmFy==\nhistory = \"400d\"\n[token]\nlisten = \n";
        let mut findings = Findings::of(text);
        hide_secrets_of_text(text, &mut findings);
        for (place, shown) in [
            (0, "key_file **"),
            (28, "history = \"400d\""),
            (53, "listen ="),
        ] {
            findings.add(crate::config::error::Problem::note("here").at(place..place + 1));
            let rendered = findings.clone().into_problems("c.toml").render(false);
            assert!(rendered.contains(shown), "{shown} in {rendered}");
            assert!(
                !rendered.contains("YmFy") && !rendered.contains("Zm9v"),
                "{rendered}"
            );
        }
    }
}
