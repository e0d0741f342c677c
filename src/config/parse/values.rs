//! Single values: each is parsed, or complained of and replaced by what would hold without it.

use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use url::{Host, Position, Url};

use crate::config::error::{Findings, Problem};
use crate::config::file::{List, Text};
use crate::config::nearest::nearest;
use crate::time::{format_span, parse_span};

/// What a word stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning<T> {
    /// This value.
    Is(T),
    /// Something that this version cannot do yet.
    NotYet,
}

/// Whether a service may be reached without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlainHttp {
    /// Never.
    Refused,
    /// On this machine only.
    Loopback,
    /// Anywhere.
    Allowed,
}

impl<T> Meaning<T> {
    /// The same word, which stands for something made of what it stood for.
    pub(super) fn map<U>(self, make: impl FnOnce(T) -> U) -> Meaning<U> {
        match self {
            Self::Is(value) => Meaning::Is(make(value)),
            Self::NotYet => Meaning::NotYet,
        }
    }
}

/// Refuses a setting that this version cannot follow.
pub(super) fn refuse(findings: &mut Findings, place: Range<usize>, what: &str) {
    findings.add(
        Problem::error(format!("{what} is not available in this version"))
            .at(place)
            .hint("remove it"),
    );
}

/// Refuses a setting that is written, unless it is written as switched off.
pub(super) fn refuse_text(findings: &mut Findings, written: Option<&Text>, what: &str) {
    if let Some(text) = written.filter(|text| !text.get_ref().is_empty()) {
        refuse(findings, text.span(), what);
    }
}

/// Refuses a switch that is on.
pub(super) fn refuse_switch(findings: &mut Findings, written: Option<&Spanned<bool>>, what: &str) {
    if let Some(switch) = written.filter(|switch| *switch.get_ref()) {
        refuse(findings, switch.span(), what);
    }
}

/// Refuses a number that is not the one which says nothing new.
pub(super) fn refuse_number(
    findings: &mut Findings,
    written: Option<&Spanned<u64>>,
    default: u64,
    what: &str,
) {
    if let Some(number) = written.filter(|number| *number.get_ref() != default) {
        refuse(findings, number.span(), what);
    }
}

/// Refuses a list that holds something.
pub(super) fn refuse_list(findings: &mut Findings, written: Option<&List>, what: &str) {
    if let Some(list) = written.filter(|list| !list.get_ref().is_empty()) {
        refuse(findings, list.span(), what);
    }
}

/// Nothing here takes longer: ten years.
const LONGEST: Duration = Duration::from_hours(3650 * 24);

/// From `least` to the longest that makes sense.
pub(super) fn from(least: Duration) -> RangeInclusive<Duration> {
    least..=LONGEST
}

/// A length of time in a range.
pub(super) fn length(
    findings: &mut Findings,
    written: Option<&Text>,
    range: RangeInclusive<Duration>,
    otherwise: Duration,
) -> Duration {
    let Some(text) = written else {
        return otherwise;
    };
    match parse_span(text.get_ref()) {
        Ok(length) if range.contains(&length) => length,
        Ok(length) => {
            let (least, most) = (format_span(*range.start()), format_span(*range.end()));
            let which = if length < *range.start() {
                "short"
            } else {
                "long"
            };
            findings.add(
                Problem::error(format!("{:?} is too {which}", text.get_ref()))
                    .at(text.span())
                    .hint(format!("possible: {least} to {most}")),
            );
            otherwise
        }
        Err(_) => {
            findings.add(
                Problem::error(format!("{:?} is not a length of time", text.get_ref()))
                    .at(text.span())
                    .hint("write a whole number with its unit: \"90s\", \"10m\", \"6h\", \"30d\""),
            );
            otherwise
        }
    }
}

/// A number in a range.
pub(super) fn number<T>(
    findings: &mut Findings,
    written: Option<&Spanned<u64>>,
    range: RangeInclusive<u64>,
    otherwise: T,
) -> T
where
    T: TryFrom<u64>,
{
    let Some(number) = written else {
        return otherwise;
    };
    let value = *number.get_ref();
    match T::try_from(value) {
        Ok(parsed) if range.contains(&value) => parsed,
        Ok(_) | Err(_) => {
            let (least, most) = (range.start(), range.end());
            findings.add(
                Problem::error(format!("{value} is out of range"))
                    .at(number.span())
                    .hint(format!("possible: {least} to {most}")),
            );
            otherwise
        }
    }
}

/// One of a few words.
pub(super) fn word<T: Clone>(
    findings: &mut Findings,
    written: Option<&Text>,
    what: &str,
    words: &[(&str, Meaning<T>)],
    otherwise: T,
) -> T {
    let Some(text) = written else {
        return otherwise;
    };
    let found = words.iter().find(|(word, _)| *word == text.get_ref());
    let possible = || {
        let available = words
            .iter()
            .filter(|(_, meaning)| matches!(meaning, Meaning::Is(_)))
            .map(|(word, _)| format!("\"{word}\""));
        available.collect::<Vec<_>>().join(", ")
    };
    match found {
        Some((_, Meaning::Is(value))) => value.clone(),
        Some((word, Meaning::NotYet)) => {
            let message = format!("{what} \"{word}\" is not available in this version");
            let hint = format!("remove it; possible: {}", possible());
            findings.add(Problem::error(message).at(text.span()).hint(hint));
            otherwise
        }
        None => {
            let message = format!("{:?} is no {what}", text.get_ref());
            let mut hint = format!("possible: {}", possible());
            if let Some(meant) = nearest(text.get_ref(), words.iter().map(|(word, _)| *word)) {
                hint = format!("did you mean \"{meant}\"? {hint}");
            }
            findings.add(Problem::error(message).at(text.span()).hint(hint));
            otherwise
        }
    }
}

/// Addresses with ports.
pub(super) fn addresses(
    findings: &mut Findings,
    written: Option<&List>,
) -> Option<Vec<SocketAddr>> {
    let list = written?.get_ref();
    Some(
        list.iter()
            .filter_map(|text| address(findings, text))
            .collect(),
    )
}

/// An address with a port.
pub(super) fn address(findings: &mut Findings, text: &Text) -> Option<SocketAddr> {
    let parsed = text.get_ref().parse();
    if parsed.is_err() {
        let message = format!("{:?} is not an address with a port", text.get_ref());
        findings.add(
            Problem::error(message)
                .at(text.span())
                .hint("write IP:PORT, as in \"192.0.2.1:443\" or \"[2001:db8::1]:443\""),
        );
    }
    parsed.ok()
}

/// The URL of a service whose calls all go to the path `/`: a host, perhaps with a port.
pub(super) fn endpoint(findings: &mut Findings, text: &Text, plain_http: PlainHttp) -> Option<Url> {
    let url = whole_url(findings, text, plain_http, "remove them")?;
    if url.path() == "/" && url.query().is_none() {
        return Some(url);
    }
    let host = &url[..Position::BeforePath];
    findings.add(
        Problem::error(format!("{:?} holds more than a host", text.get_ref()))
            .at(text.span())
            .hint(format!("write it as {host:?}")),
    );
    None
}

/// The URL, unless it has a query.
pub(super) fn without_query(findings: &mut Findings, text: &Text, url: Url) -> Option<Url> {
    if url.query().is_none() {
        return Some(url);
    }
    let message = format!("{:?} holds more than a host and a path", text.get_ref());
    findings.add(
        Problem::error(message)
            .at(text.span())
            .hint("remove its query"),
    );
    None
}

/// A URL that may have a query. `instead` says where a user name and a password may stand.
pub(super) fn whole_url(
    findings: &mut Findings,
    text: &Text,
    plain_http: PlainHttp,
    instead: &str,
) -> Option<Url> {
    let parsed = text.get_ref().parse::<Url>().ok();
    let holds_user = match &parsed {
        Some(url) => !url.username().is_empty() || url.password().is_some(),
        None => text.get_ref().contains('@'),
    };
    if holds_user {
        // What stands before the "@" may be a password.
        findings.hide(text.span());
        let message = "a URL in this file must not hold a user name or a password";
        findings.add(Problem::error(message).at(text.span()).hint(instead));
        return None;
    }
    let form = match plain_http {
        PlainHttp::Refused => "write it as \"https://HOST/PATH\"",
        PlainHttp::Loopback | PlainHttp::Allowed => "write it as \"https://HOST\"",
    };
    let complaint = match parsed {
        None => ("is not a URL", form),
        Some(url) if url.fragment().is_some() => ("ends in a fragment", "remove it, from \"#\" on"),
        Some(url) => match (url.scheme(), plain_http) {
            ("https", _) | ("http", PlainHttp::Allowed) => return Some(url),
            ("http", PlainHttp::Loopback) if is_loopback(&url) => return Some(url),
            ("http", PlainHttp::Loopback) => (
                "would be reached without TLS",
                "use https; http is only possible to an address of this machine, such as 127.0.0.1",
            ),
            (_, PlainHttp::Refused | PlainHttp::Loopback) => ("is not an https URL", form),
            (_, PlainHttp::Allowed) => (
                "is neither an https nor an http URL",
                "write it as \"https://HOST\" or \"http://HOST\"",
            ),
        },
    };
    let (message, hint) = complaint;
    findings.add(
        Problem::error(format!("{:?} {message}", text.get_ref()))
            .at(text.span())
            .hint(hint),
    );
    None
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    }
}
