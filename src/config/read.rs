//! From the text to the file as it is written, with every problem of syntax and shape.
//!
//! Serde stops at the first thing that does not fit. What it complained of is taken out of the
//! parsed document and the rest is tried again, so that all of it is found in one run.

use std::ops::Range;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue, Deserializer, Error};

use super::error::{Findings, Problem};
use super::file::File;
use super::nearest::nearest;
use super::veil::{hide_secrets, hide_secrets_of_text, hide_texts};

/// Whoever has more problems than this has another kind of file in hand. Every problem costs one
/// pass over the document.
const PROBLEM_LIMIT: usize = 100;

/// Something that was taken out of the document.
struct Removed<'i> {
    /// The key that it stood behind, and where that is.
    key: String,
    place: Range<usize>,
    /// Whether it is one entry of the array there.
    inside: bool,
    /// Whether its key was the trouble, not its value.
    unknown: bool,
    value: Spanned<DeValue<'i>>,
}

/// Reads the file. Nothing if its syntax is wrong, or if its shape is so wrong that it makes no
/// sense to go on; what was found wrong otherwise is missing in it.
pub(super) fn read(text: &str, findings: &mut Findings) -> Option<File> {
    let (mut document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors.iter().take(PROBLEM_LIMIT) {
            findings.add(syntax_problem(error, text));
        }
        hide_secrets_of_text(text, findings);
        return None;
    }
    hide_secrets(document.get_ref(), findings);
    for _ in 0..PROBLEM_LIMIT {
        let error = match File::deserialize(Deserializer::from(document.clone())) {
            Ok(file) => return Some(file),
            Err(error) => error,
        };
        let place = error.span();
        let removed = place.and_then(|place| remove(document.get_mut(), &place));
        findings.add(shape_problem(&error, removed.as_ref()));
        let removed = removed?;
        let unknown = UnknownKey::of(error.message());
        let meant = unknown.map_or(Some(removed.key.as_str()), |unknown| unknown.meant());
        if let Some(meant) = meant {
            findings.misread(meant, removed.place.clone());
        }
        // Whoever mistypes `access_key_secret_file` may have written the secret itself behind it.
        if removed.unknown {
            hide_texts(&removed.value, findings);
        }
    }
    None
}

fn syntax_problem(error: &Error, text: &str) -> Problem {
    // At the end of the text there is nothing to point at but its last character.
    let place = error.span().unwrap_or(text.len()..text.len());
    Problem::error(error.message()).at(place)
}

fn shape_problem(error: &Error, removed: Option<&Removed<'_>>) -> Problem {
    let problem = match UnknownKey::of(error.message()) {
        Some(unknown) => {
            let problem = Problem::error(format!("unknown key `{}`", unknown.key));
            match unknown.meant() {
                Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
                None => problem.hint(format!("possible here: {}", unknown.known.join(", "))),
            }
        }
        None => match removed.and_then(Removed::as_single_section) {
            Some(heading) => Problem::error("one section where there may be several")
                .hint(format!("write [[{heading}]]: one section per entry")),
            None => wrong_type(error.message()),
        },
    };
    match error.span() {
        Some(place) => problem.at(place),
        None => problem,
    }
}

/// A value of another type than is due. Serde speaks of its own types, not of TOML's.
fn wrong_type(message: &str) -> Problem {
    let forms = [
        ("expected a string", "a string", "put it in quotation marks"),
        (
            "expected a sequence",
            "an array",
            "put it in brackets: [\"…\"]",
        ),
        (
            "expected a map",
            "a table",
            "write it as { … } or as a section",
        ),
        (
            "expected a table",
            "a table",
            "write it as { … } or as a section",
        ),
        ("expected a boolean", "a boolean", "write true or false"),
        (
            "expected u64",
            "a whole number",
            "write digits, without quotation marks",
        ),
    ];
    let message = without_text(message);
    for (due, name, hint) in forms {
        if let Some(found) = message.strip_suffix(due) {
            return Problem::error(format!("{found}expected {name}")).hint(hint);
        }
    }
    Problem::error(message)
}

/// What serde says of a text, without the text: it stands in the line that is shown, if it may be.
fn without_text(message: &str) -> String {
    let found = message.split_once("string \"");
    match found.zip(message.rsplit_once("\", expected ")) {
        Some(((before, _), (_, due))) => format!("{before}string, expected {due}"),
        None => message.to_owned(),
    }
}

/// What serde says of a key that a struct does not have.
pub(super) struct UnknownKey<'a> {
    pub(super) key: &'a str,
    pub(super) known: Vec<&'a str>,
}

impl<'a> UnknownKey<'a> {
    /// Serde tells it only as a text: ``unknown field `x`, expected one of `a`, `b` ``.
    pub(super) fn of(message: &'a str) -> Option<Self> {
        let rest = message.strip_prefix("unknown field `")?;
        let (key, expected) = rest.split_once("`, expected ")?;
        let known = expected.split('`').skip(1).step_by(2).collect();
        Some(Self { key, known })
    }

    /// The key that is most likely meant.
    fn meant(&self) -> Option<&'a str> {
        nearest(self.key, self.known.iter().copied())
    }
}

/// Sections of which there may be several, each under a heading of its own.
const REPEATED: [(&str, &str); 3] = [
    ("certificates", "certificates"),
    ("targets", "certificates.targets"),
    ("alerts", "alerts"),
];

impl Removed<'_> {
    /// The heading of repeated sections, if this is a section where several are due.
    fn as_single_section(&self) -> Option<&'static str> {
        let is_table = matches!(self.value.get_ref(), DeValue::Table(_));
        let repeated = REPEATED.iter().find(|(key, _)| *key == self.key);
        let (_, heading) = repeated.filter(|_| is_table && !self.unknown && !self.inside)?;
        Some(heading)
    }
}

/// Takes out of a table, or out of anything in it, the entry whose key or value has this place.
fn remove<'i>(table: &mut DeTable<'i>, place: &Range<usize>) -> Option<Removed<'i>> {
    let found = table
        .iter()
        .find(|(key, value)| key.span() == *place || value.span() == *place)
        .map(|(key, _)| key.clone());
    if let Some(key) = found {
        let value = table.remove(&key)?;
        return Some(Removed {
            key: key.get_ref().to_string(),
            place: key.span(),
            inside: false,
            unknown: key.span() == *place,
            value,
        });
    }
    table
        .iter_mut()
        .find_map(|(key, value)| remove_inside(key, value.get_mut(), place))
}

fn remove_inside<'i>(
    key: &Spanned<DeString<'i>>,
    value: &mut DeValue<'i>,
    place: &Range<usize>,
) -> Option<Removed<'i>> {
    match value {
        DeValue::Table(table) => remove(table, place),
        DeValue::Array(array) => {
            if let Some(index) = array.iter().position(|entry| entry.span() == *place) {
                let mut entries: Vec<_> = std::mem::replace(array, DeArray::new())
                    .into_iter()
                    .collect();
                let value = entries.remove(index);
                *array = entries.into_iter().collect();
                return Some(Removed {
                    key: key.get_ref().to_string(),
                    place: key.span(),
                    inside: true,
                    unknown: false,
                    value,
                });
            }
            array
                .iter_mut()
                .find_map(|entry| remove_inside(key, entry.get_mut(), place))
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::error::Problems;

    fn problems(text: &str) -> (bool, Problems) {
        let mut findings = Findings::of(text);
        let read = read(text, &mut findings).is_some();
        (read, findings.into_problems("c.toml"))
    }

    fn messages(text: &str) -> Vec<String> {
        let (_, problems) = problems(text);
        problems.iter().map(|p| p.message().to_owned()).collect()
    }

    #[test]
    fn all_errors_of_syntax_are_found_and_nothing_is_read() {
        let text = "a = \nb = 'x\nc = 1\nc = 2\nd = {e=1,,}\n";
        let (read, problems) = problems(text);
        assert!(!read);
        let lines = ["c.toml:1:", "c.toml:2:", "c.toml:4:", "c.toml:5:"];
        let shown = problems.render(false);
        for line in lines {
            assert!(shown.contains(line), "{line} in {shown}");
        }
        assert_eq!(problems.iter().count(), lines.len(), "{shown}");
    }

    #[test]
    fn all_unknown_keys_and_wrong_types_are_found_and_the_rest_is_read() {
        let text = r#"
            contact = 5
            nmaes = 1
            [clouds.a]
            credentials = { access_key_scret_file = "x", access_key_id = 4 }
            [[certificates]]
            names = ["v.example.com", 5]
            [[certificates.targets]]
            look = { enabeld = true, every = 4 }
            [store]
            keep_generations = -1
            plaintext_keys = "no"
            [dns]
            resolvers = {}
            [http]
            listen = ["127.0.0.1:1"]
            [solver.x]
        "#;
        let expected = [
            "invalid type: integer `5`, expected an array",
            "unknown key `nmaes`",
            "unknown key `access_key_scret_file`",
            "invalid type: integer `4`, expected a string",
            "invalid type: integer `5`, expected a string",
            "unknown key `enabeld`",
            "invalid type: integer `4`, expected a string",
            "invalid value: integer `-1`, expected a whole number",
            "invalid type: string, expected a boolean",
            "invalid type: map, expected an array",
            "invalid type: sequence, expected a string",
            "unknown key `solver`",
        ];
        assert_eq!(messages(text), expected);

        let file = read(text, &mut Findings::of(text)).unwrap();
        let names = file.certificates[0].get_ref().names.as_ref().unwrap();
        assert_eq!(names.get_ref().len(), 1);
    }

    #[test]
    fn the_nearest_known_key_is_proposed() {
        for (text, hint) in [
            ("contacts = []", "did you mean `contact`?"),
            ("[issuer.x]", "did you mean `issuers`?"),
            ("[[certificates]]\nkay = 1", "did you mean `key`?"),
            (
                "[schedule.brake]\nper_day = 1",
                "possible here: orders_per_day",
            ),
            ("[certificates.renew]\nat = 1", "an array"),
            (
                "[[certificates]]\nrenew = { on = 1 }",
                "possible here: at, before",
            ),
        ] {
            let shown = problems(text).1.render(false);
            assert!(shown.contains(hint), "{hint} in {shown}");
        }
    }

    #[test]
    fn the_text_behind_an_unknown_key_is_not_shown() {
        for text in [
            "[clouds.a]\ncredentials = { access_key_secret = \"s3cret\" }",
            "[store]\npassword = 's3cret'",
            "secrets = [[\"s3cret\"], { x = \"s3cret\" }]",
            "key.inner.a = 's3cret'",
        ] {
            let shown = problems(text).1.render(false);
            assert!(shown.contains("unknown key"), "{shown}");
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn a_file_that_is_something_else_ends_the_search() {
        let text: String = (0..1000)
            .map(|n| format!("k{n} = 1"))
            .collect::<Vec<_>>()
            .join("\n");
        let (read, problems) = problems(&text);
        assert!(!read);
        assert_eq!(problems.iter().count(), PROBLEM_LIMIT);
    }
}
