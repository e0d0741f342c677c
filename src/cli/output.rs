//! Where texts go, and whether they may be coloured.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, IsTerminal as _};

/// Standard output or standard error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    stream: Stream,
    colour: bool,
}

#[derive(Clone, Copy, Debug)]
enum Stream {
    Out,
    Error,
}

/// What a text means, for the eye.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Style {
    /// Nothing special.
    #[default]
    Plain,
    /// A heading.
    Heading,
    /// Less important.
    Quiet,
    /// As it should be.
    Good,
    /// Needs a person soon.
    Warning,
    /// Needs a person now.
    Critical,
}

impl Output {
    pub(super) fn stdout() -> Self {
        Self {
            stream: Stream::Out,
            colour: may_colour(io::stdout().is_terminal()),
        }
    }

    pub(super) fn stderr() -> Self {
        Self {
            stream: Stream::Error,
            colour: may_colour(io::stderr().is_terminal()),
        }
    }

    pub(super) fn colour(self) -> bool {
        self.colour
    }

    /// Prints a text, all of it or else it is an error. Whoever stops reading (`| head`) does not want
    /// the rest.
    pub(super) fn print(self, text: &str) -> io::Result<()> {
        let printed = match self.stream {
            Stream::Out => write(&mut io::stdout().lock(), text),
            Stream::Error => write(&mut io::stderr().lock(), text),
        };
        printed.or_else(nobody_reads_on)
    }

    /// Prints a value as JSON for programs, on several lines for people.
    pub(super) fn print_json(self, value: &impl serde::Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.print(&format!("{text}\n"))
    }
}

/// Passes over an error that only says that the reader went away.
pub(super) fn nobody_reads_on(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Ok(())
    } else {
        Err(error)
    }
}

fn write(stream: &mut impl io::Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

/// Whether a stream may be coloured, by what the environment says.
#[expect(
    clippy::disallowed_methods,
    reason = "the terminal's wishes are in the environment"
)]
fn may_colour(terminal: bool) -> bool {
    let (no_color, term) = (std::env::var_os("NO_COLOR"), std::env::var_os("TERM"));
    wants_colour(terminal, no_color.as_deref(), term.as_deref())
}

/// Only a terminal is coloured, and none that asked not to be (<https://no-color.org>).
fn wants_colour(terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    let refused = no_color.is_some_and(|value| !value.is_empty());
    let able = term.is_some_and(|term| term != "dumb");
    terminal && able && !refused
}

impl Style {
    /// The ANSI sequence that begins it.
    fn sequence(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Heading => "\u{1b}[1m",
            Self::Quiet => "\u{1b}[2m",
            Self::Good => "\u{1b}[32m",
            Self::Warning => "\u{1b}[33m",
            Self::Critical => "\u{1b}[1;31m",
        }
    }

    /// The text in this style, or as it is.
    pub(super) fn paint(self, text: &str, colour: bool) -> String {
        if colour && self != Self::Plain {
            format!("{}{text}\u{1b}[0m", self.sequence())
        } else {
            text.to_owned()
        }
    }
}

/// A text of somebody else on one line: nothing in it can steer the terminal.
pub(super) fn one_line(text: &impl fmt::Display) -> String {
    text.to_string()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_left_out_when_not_wanted() {
        assert_eq!(Style::Good.paint("seen", false), "seen");
        assert_eq!(Style::Good.paint("seen", true), "\u{1b}[32mseen\u{1b}[0m");
        assert_eq!(Style::Plain.paint("seen", true), "seen");
    }

    #[test]
    fn only_a_terminal_that_can_and_wants_to_is_coloured() {
        let cases = [
            ("a terminal", true, None, Some("xterm"), true),
            ("a pipe", false, None, Some("xterm"), false),
            ("NO_COLOR is set", true, Some("1"), Some("xterm"), false),
            ("NO_COLOR is empty", true, Some(""), Some("xterm"), true),
            ("a dumb terminal", true, None, Some("dumb"), false),
            ("an unknown terminal", true, None, None, false),
        ];
        for (case, terminal, no_color, term, wanted) in cases {
            let colour = wants_colour(terminal, no_color.map(OsStr::new), term.map(OsStr::new));
            assert_eq!(colour, wanted, "{case}");
        }
    }

    #[test]
    fn nobody_steers_the_terminal() {
        assert_eq!(one_line(&"a\u{1b}[2J\nb\r\tc\u{9b}d"), "a [2J b  c d");
    }
}
