//! Takes secrets out of what the other side says, before anybody can see it.
//!
//! The gateway is known to echo parameters, raw or percent-encoded once or twice; nothing keeps it
//! from wrapping, escaping or cutting them. So both sides are compared in one form: percent-encoding
//! undone to any depth, escapes and white space left out. Whatever the text shares with a secret
//! over a whole window of that form is taken out.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

use zeroize::Zeroizing;

use crate::secret::Secret;

/// No more than this is kept of a message, in bytes.
pub(super) const MESSAGE_LIMIT: usize = 8 * 1024;

/// What stands where a secret was.
const MARK: &str = "[secret]";

/// The gateway writes this before the text that it signed.
const ECHO: &str = "string to sign is";

/// So many units of the compared form give a secret away. Sixteen characters as they are sent have
/// at least as many, unless five of them are white space or `+`.
const WINDOW: usize = 12;

/// Knows the secrets of one request by the hashes of their windows, so that it leaves no part of
/// them behind in memory.
pub(super) struct Scrubber {
    windows: HashSet<u64>,
    /// How long the windows are: shorter than [`WINDOW`] only for secrets that are.
    lengths: BTreeSet<usize>,
    hasher: RandomState,
}

impl Scrubber {
    /// A scrubber for these secrets.
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut scrubber = Self {
            windows: HashSet::new(),
            lengths: BTreeSet::new(),
            hasher: RandomState::new(),
        };
        for secret in secrets {
            let secret = secret.expose();
            let mut bytes = Zeroizing::new(Vec::with_capacity(secret.len()));
            bytes.extend(units(secret).map(|unit| unit.byte));
            let length = bytes.len().min(WINDOW);
            if length > 0 {
                scrubber.lengths.insert(length);
                let hashes = bytes.windows(length).map(|w| scrubber.hasher.hash_one(w));
                scrubber.windows.extend(hashes);
            }
        }
        scrubber
    }

    /// The text as one line without secrets, at most `limit` bytes of it.
    pub(super) fn clean(&self, text: &str, limit: usize) -> String {
        let text = before_the_echo(text);
        let mut clean = String::new();
        let mut at = 0;
        for secret in self.find(text) {
            push_line(&mut clean, text.get(at..secret.start).unwrap_or_default());
            clean.push_str(MARK);
            at = secret.end;
        }
        push_line(&mut clean, text.get(at..).unwrap_or_default());
        clean.truncate(clean.floor_char_boundary(limit));
        clean.trim().to_owned()
    }

    /// Where secrets are in a text: ranges of whole characters, in order, not touching.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let units: Vec<Unit> = units(text).collect();
        let bytes: Vec<u8> = units.iter().map(|unit| unit.byte).collect();
        let mut found: Vec<Range<usize>> = Vec::new();
        for start in 0..bytes.len() {
            let Some(end) = self.secret_from(&bytes, start) else {
                continue;
            };
            let begin = text.floor_char_boundary(units[start].place.start);
            let end = text.ceil_char_boundary(units[end - 1].place.end);
            match found.last_mut() {
                Some(last) if begin <= last.end => last.end = last.end.max(end),
                Some(_) | None => found.push(begin..end),
            }
        }
        found
    }

    /// The end of the longest window of a secret that starts there.
    fn secret_from(&self, bytes: &[u8], start: usize) -> Option<usize> {
        let known = |window: &[u8]| self.windows.contains(&self.hasher.hash_one(window));
        let mut ends = self.lengths.iter().rev().map(|length| start + length);
        ends.find(|end| bytes.get(start..*end).is_some_and(known))
    }
}

/// A byte of the compared form and where the text has it.
struct Unit {
    byte: u8,
    place: Range<usize>,
}

/// The compared form of a text. `+` is left out with the white space: in a form it stands for a
/// space, and either may have been made of the other.
fn units(text: &str) -> impl Iterator<Item = Unit> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let (byte, length) = unit_at(&bytes[at..]);
            let place = at..at + length;
            at = place.end;
            if let Some(byte) = byte.filter(|byte| !byte.is_ascii_whitespace() && *byte != b'+') {
                return Some(Unit { byte, place });
            }
        }
        None
    })
}

/// The first unit of some bytes, which are not empty, and how many bytes it takes. A backslash, with
/// the line end or tabulator that it may stand for, is none.
fn unit_at(bytes: &[u8]) -> (Option<u8>, usize) {
    match *bytes {
        [b'\\', b'n' | b'r' | b't', ..] => (None, 2),
        [b'\\', ..] | [] => (None, 1),
        [b'%', ..] => {
            let (byte, length) = percent_encoded(bytes).unwrap_or((b'%', 1));
            (Some(byte), length)
        }
        [byte, ..] => (Some(byte), 1),
    }
}

/// Undoes percent-encoding to any depth: `%2F`, `%252F` and `%25252f` are all a slash.
fn percent_encoded(bytes: &[u8]) -> Option<(u8, usize)> {
    let mut at = 1;
    let mut byte = hex_byte(bytes, at)?;
    while byte == b'%' {
        let Some(deeper) = hex_byte(bytes, at + 2) else {
            break;
        };
        byte = deeper;
        at += 2;
    }
    Some((byte, at + 2))
}

fn hex_byte(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    u8::try_from(digit(at)? * 16 + digit(at + 1)?).ok()
}

fn before_the_echo(text: &str) -> &str {
    let end = text.to_ascii_lowercase().find(ECHO).unwrap_or(text.len());
    &text[..end]
}

fn push_line(line: &mut String, text: &str) {
    line.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
}

#[cfg(test)]
mod tests;
