//! Tests of the whole way from a text to settings or problems.

mod certificates;
mod example;
mod files;
mod problems;
mod refusals;
mod sections;
mod settings;

use super::error::Findings;
use super::{Loaded, Problems, conclude, draft};

/// A certificate that is right, for texts that need one.
const CERTIFICATE: &str = "[[certificates]]\nnames = [\"v.example.com\"]\n";

/// Parses a configuration without looking at any other file. `origin` is what problems name as the
/// file.
fn parse(text: &str, origin: &str) -> Result<Loaded, Problems> {
    let mut findings = Findings::of(text);
    let draft = draft(text, &mut findings);
    conclude(draft, findings, origin)
}

fn right(text: &str) -> Loaded {
    match parse(text, "c.toml") {
        Ok(loaded) => loaded,
        Err(problems) => panic!("{problems}\nin\n{text}"),
    }
}

fn wrong(text: &str) -> Problems {
    match parse(text, "c.toml") {
        Ok(_) => panic!("no problem in\n{text}"),
        Err(problems) => problems,
    }
}

/// Every problem on a line of its own: `LINE:COLUMN message (hint)`. Warnings are left out.
fn short(problems: &Problems) -> Vec<String> {
    let after = |shown: &str, mark: &str| {
        let line = shown.lines().find_map(|line| line.split_once(mark));
        line.map(|(_, rest)| rest.to_owned()).unwrap_or_default()
    };
    problems
        .render(false)
        .split("\n\n")
        .filter(|shown| shown.starts_with("error: "))
        .map(|shown| {
            let place = after(shown, "--> c.toml");
            let (message, hint) = (after(shown, "error: "), after(shown, "= help: "));
            format!("{} {message} ({hint})", place.trim_start_matches(':'))
        })
        .collect()
}

/// What is wrong, the text, and its problems as [`short`] writes them.
type Case = (&'static str, &'static str, &'static [&'static str]);

/// Texts without a certificate are given one that is right.
fn check(cases: &[Case]) {
    for (sentence, text, expected) in cases {
        let text = if text.contains("[[certificates]]") {
            (*text).to_owned()
        } else {
            format!("{text}{CERTIFICATE}")
        };
        assert_eq!(short(&wrong(&text)), *expected, "{sentence}");
    }
}
