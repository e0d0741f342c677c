//! What is wrong with a configuration, and how it is shown: the place in the file, a caret, a hint.
//!
//! Nothing is judged here.

use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but should not stay so.
    Warning,
    /// Worth knowing.
    Note,
}

/// One thing that is wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    severity: Severity,
    message: String,
    /// In bytes of the text.
    place: Option<Range<usize>>,
    hint: Option<String>,
}

/// Everything that is wrong with one configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// Where the text comes from.
    origin: String,
    /// The text, without what must not be seen.
    text: String,
    list: Vec<Problem>,
}

/// Problems as they are found in a text.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    text: String,
    list: Vec<Problem>,
    /// Places of texts that may be secrets.
    hidden: Vec<Range<usize>>,
    /// Settings that were not understood: the key that was meant, and where.
    misread: Vec<(String, Range<usize>)>,
}

// === impl Problem ===

impl Problem {
    pub(super) fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message)
    }

    pub(super) fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message)
    }

    pub(super) fn note(message: impl Into<String>) -> Self {
        Self::new(Severity::Note, message)
    }

    fn new(severity: Severity, message: impl Into<String>) -> Self {
        Self {
            severity,
            message: message.into(),
            place: None,
            hint: None,
        }
    }

    pub(super) fn at(mut self, place: Range<usize>) -> Self {
        self.place = Some(place);
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, in one sentence without its place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

// === impl Findings ===

impl Findings {
    pub(super) fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            list: Vec::new(),
            hidden: Vec::new(),
            misread: Vec::new(),
        }
    }

    /// Adds a problem. One that is known already (a default that several certificates share) is
    /// said once.
    pub(super) fn add(&mut self, problem: Problem) {
        if !self.list.contains(&problem) {
            self.list.push(problem);
        }
    }

    /// Keeps a part of the text from being shown.
    pub(super) fn hide(&mut self, place: Range<usize>) {
        self.hidden.push(place);
    }

    /// Whether the configuration cannot be used.
    pub(super) fn are_fatal(&self) -> bool {
        self.list
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// Remembers that a setting is there, but was not understood: its key is mistyped, or its value of
    /// another type. It is not to be called missing as well.
    pub(super) fn misread(&mut self, key: &str, place: Range<usize>) {
        self.misread.push((key.to_owned(), place));
    }

    /// Whether a setting with this key was not understood, anywhere.
    pub(super) fn is_misread(&self, key: &str) -> bool {
        self.misread.iter().any(|(misread, _)| misread == key)
    }

    /// Whether one was not understood between a heading and the next one.
    pub(super) fn is_misread_under(&self, key: &str, heading: &Range<usize>) -> bool {
        let from = heading.start;
        let next_heading = self.text[from..]
            .match_indices('\n')
            .find(|(at, _)| self.text[from + at..].trim_start().starts_with('['))
            .map_or(self.text.len(), |(at, _)| from + at);
        self.misread
            .iter()
            .any(|(misread, place)| misread == key && (from..next_heading).contains(&place.start))
    }

    /// The problems together with the text that they are about.
    pub(super) fn into_problems(mut self, origin: &str) -> Problems {
        self.list.sort_by_key(|problem| {
            problem
                .place
                .as_ref()
                .map_or(usize::MAX, |place| place.start)
        });
        Problems {
            origin: origin.to_owned(),
            text: without(&self.text, &self.hidden),
            list: self.list,
        }
    }
}

/// The text with asterisks in the hidden places. All other places stay where they are.
fn without(text: &str, hidden: &[Range<usize>]) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        let hide = character != '\n' && hidden.iter().any(|place| place.contains(&at));
        if hide {
            shown.extend(std::iter::repeat_n('*', character.len_utf8()));
        } else {
            shown.push(character);
        }
    }
    shown
}

// === impl Problems ===

impl Problems {
    /// The one problem of a configuration that could not even be read.
    pub(super) fn unreadable(origin: &str, problem: Problem) -> Self {
        Self {
            origin: origin.to_owned(),
            text: String::new(),
            list: vec![problem],
        }
    }

    /// In the order of the file; what has no place comes last.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them for people: message, place, line with a caret, hint. With colours as ANSI
    /// sequences, or plain.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        self.list
            .iter()
            .map(|problem| self.render_one(problem, &renderer))
            .collect::<Vec<_>>()
            .join("\n\n")
    }

    fn render_one(&self, problem: &Problem, renderer: &Renderer) -> String {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let title = level.primary_title(&problem.message);
        let mut group = match &problem.place {
            Some(place) => title.element(
                Snippet::source(&self.text)
                    .path(&self.origin)
                    .annotation(AnnotationKind::Primary.span(self.first_line_of(place))),
            ),
            None => title.element(Origin::path(&self.origin)),
        };
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.message(hint));
        }
        renderer.render(&[group])
    }

    /// The part of a place that lies on its first line.
    fn first_line_of(&self, place: &Range<usize>) -> Range<usize> {
        let line_end = self.text[place.start..]
            .find(['\r', '\n'])
            .map_or(self.text.len(), |length| place.start + length);
        place.start..place.end.min(line_end).max(place.start)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, problem: Problem, hidden: Option<Range<usize>>) -> String {
        let mut findings = Findings::of(text);
        findings.add(problem);
        if let Some(place) = hidden {
            findings.hide(place);
        }
        findings.into_problems("c.toml").render(false)
    }

    #[test]
    fn a_problem_is_shown_with_its_line_a_caret_and_a_hint() {
        let problem = Problem::error("unknown key `b`").at(6..7).hint("remove it");
        assert_eq!(
            rendered("a = 1\nb = 2\n", problem, None),
            "error: unknown key `b`\n \
             --> c.toml:2:1\n  \
             |\n\
             2 | b = 2\n  \
             | ^\n  \
             |\n  \
             = help: remove it"
        );
    }

    #[test]
    fn a_problem_without_a_place_is_shown_with_its_file() {
        let problem = Problem::warning("nobody is alerted");
        assert_eq!(
            rendered("", problem, None),
            "warning: nobody is alerted\n--> c.toml"
        );
    }

    #[test]
    fn only_the_first_line_of_a_long_place_is_marked() {
        let shown = rendered("a = [\n1,\n2]\n", Problem::note("long").at(4..11), None);
        assert!(shown.contains("1 | a = [\n  |     ^"), "{shown}");
        assert!(!shown.contains("2]"), "{shown}");
    }

    #[test]
    fn hidden_text_is_not_shown_and_moves_nothing() {
        let text = "é = \"s3crét\" # x\n";
        let problem = Problem::error("no").at(15..18);
        let shown = rendered(text, problem, Some(5..14));
        assert!(shown.contains("é = ********* # x"), "{shown}");
    }

    #[test]
    fn the_same_problem_is_said_once_and_in_the_order_of_the_file() {
        let mut findings = Findings::of("a = 1\nb = 2\n");
        for (message, place) in [("two", 6..7), ("one", 0..1), ("two", 6..7)] {
            findings.add(Problem::error(message).at(place));
        }
        findings.add(Problem::warning("last"));
        let problems = findings.into_problems("c.toml");
        let messages: Vec<_> = problems.iter().map(Problem::message).collect();
        assert_eq!(messages, ["one", "two", "last"]);
    }

    #[test]
    fn what_was_misread_belongs_to_the_heading_before_it() {
        let mut findings = Findings::of("[a]\nb = 1\n  [[c]]\nd = 1\n");
        findings.misread("d", 18..19);
        assert!(!findings.is_misread_under("d", &(0..3)));
        assert!(findings.is_misread_under("d", &(12..17)));
        assert!(!findings.is_misread_under("e", &(12..17)));
    }

    #[test]
    fn colours_are_used_only_when_asked_for() {
        let mut findings = Findings::of("a = 1\n");
        findings.add(Problem::error("no").at(0..1));
        let problems = findings.into_problems("c.toml");
        assert!(problems.render(true).contains('\u{1b}'));
        assert!(!problems.render(false).contains('\u{1b}'));
    }
}
