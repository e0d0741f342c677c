//! The status page: HTML from snapshots. Works without a script; escapes whatever it shows.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::alert::{Alert, Severity};
use super::snapshot::{FailureView, Next, Snapshot, TargetState, TargetView};
use crate::name::DnsName;
use crate::store::HistoryEntry;
use crate::time::{Timestamp, format_relative};

const STYLE: &str = include_str!("templates/style.css");

/// Certificates on one page.
const PAGE_SIZE: usize = 50;

/// Alerts above them.
const ALERTS_SHOWN: usize = 20;

/// Hex digits of a fingerprint that are enough to tell two apart.
const SHORT: usize = 16;

/// The only style that the page's `Content-Security-Policy` allows: this hash.
pub(super) static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| format!("sha256-{}", STANDARD.encode(Sha256::digest(STYLE))));

/// The page of all certificates, the `page`-th part of it (from 1).
pub(super) fn overview(snapshots: &[Snapshot], page: usize, now: Timestamp) -> String {
    let pages = snapshots.len().div_ceil(PAGE_SIZE).max(1);
    let page = page.clamp(1, pages);
    let shown = snapshots
        .iter()
        .skip((page - 1) * PAGE_SIZE)
        .take(PAGE_SIZE);
    let mut alerts: Vec<AlertLine<'_>> = snapshots.iter().flat_map(alert_lines).collect();
    alerts.sort_by_key(|line| std::cmp::Reverse(line.rank));
    let alerts_left_out = alerts.len().saturating_sub(ALERTS_SHOWN);
    alerts.truncate(ALERTS_SHOWN);
    let overview = Overview {
        frame: Frame::at(now),
        headline: headline(snapshots),
        alerts,
        alerts_left_out,
        rows: shown.map(|snapshot| Row::of(snapshot, now)).collect(),
        page,
        pages,
    };
    overview
        .render()
        .expect("the template writes to a string, which cannot fail")
}

/// The page of one certificate with its history, the newest entry first.
pub(super) fn certificate(snapshot: &Snapshot, history: &[HistoryEntry], now: Timestamp) -> String {
    let none = || "none yet".to_owned();
    let explanation = snapshot.renewal_explanation.as_deref();
    let page = CertificatePage {
        frame: Frame::at(now),
        alerts: alert_lines(snapshot).collect(),
        row: Row::of(snapshot, now),
        generation: snapshot
            .generation
            .map_or_else(none, |generation| generation.to_string()),
        issuer: snapshot.issuer.clone().unwrap_or_else(none),
        serial: snapshot.serial.clone().unwrap_or_else(none),
        fingerprint: snapshot
            .fingerprint
            .map_or_else(none, |print| print.to_string()),
        // The CA wrote it: nothing but a link to a page may become one.
        explanation: explanation.filter(|link| link.starts_with("https://")),
        history: history
            .iter()
            .rev()
            .map(|entry| HistoryLine::of(entry, now))
            .collect(),
    };
    page.render()
        .expect("the template writes to a string, which cannot fail")
}

#[derive(Template)]
#[template(path = "overview.html", config = "src/status/askama.toml")]
struct Overview<'a> {
    frame: Frame,
    headline: String,
    alerts: Vec<AlertLine<'a>>,
    alerts_left_out: usize,
    rows: Vec<Row<'a>>,
    page: usize,
    pages: usize,
}

#[derive(Template)]
#[template(path = "certificate.html", config = "src/status/askama.toml")]
struct CertificatePage<'a> {
    frame: Frame,
    alerts: Vec<AlertLine<'a>>,
    row: Row<'a>,
    generation: String,
    issuer: String,
    serial: String,
    fingerprint: String,
    explanation: Option<&'a str>,
    history: Vec<HistoryLine<'a>>,
}

/// What every page has around it.
struct Frame {
    style: &'static str,
    version: &'static str,
    now: String,
}

/// A time for people.
struct When {
    relative: String,
    absolute: String,
}

struct AlertLine<'a> {
    rank: Severity,
    severity: &'static str,
    tone: &'static str,
    certificate: &'a str,
    target: Option<String>,
    code: &'a str,
    message: &'a str,
}

struct Row<'a> {
    name: &'a str,
    names: String,
    ends: When,
    renews: When,
    targets: Vec<TargetLine<'a>>,
    next: NextLine,
    failure: Option<FailureLine<'a>>,
}

struct TargetLine<'a> {
    id: String,
    domain: &'a str,
    state: &'static str,
    tone: &'static str,
    meaning: &'static str,
    generation: String,
    served: String,
    served_short: String,
    served_ends: When,
    looked: When,
    look_failure: Option<&'a str>,
    failure: Option<FailureLine<'a>>,
}

struct NextLine {
    action: String,
    at: When,
    reason: String,
    target: Option<String>,
}

struct FailureLine<'a> {
    at: When,
    class: &'a str,
    code: &'a str,
    message: &'a str,
    in_a_row: u32,
    retry: When,
}

struct HistoryLine<'a> {
    at: When,
    kind: &'a str,
    message: &'a str,
    target: String,
}

impl Frame {
    fn at(now: Timestamp) -> Self {
        Self {
            style: STYLE,
            version: env!("CARGO_PKG_VERSION"),
            now: now.to_iso_seconds(),
        }
    }
}

impl When {
    fn of(time: Option<Timestamp>, now: Timestamp) -> Self {
        let Some(time) = time else {
            return Self {
                relative: "–".to_owned(),
                absolute: String::new(),
            };
        };
        Self {
            relative: format_relative(time, now),
            absolute: time.to_iso_seconds(),
        }
    }
}

/// `names-changed` as people write it.
fn words(word: &str) -> String {
    word.replace('-', " ")
}

fn headline(snapshots: &[Snapshot]) -> String {
    let with = |severity| {
        snapshots
            .iter()
            .filter(|one| one.severity() == severity)
            .count()
    };
    let (critical, warning) = (with(Severity::Critical), with(Severity::Warning));
    let count = match snapshots.len() {
        1 => "1 certificate".to_owned(),
        count => format!("{count} certificates"),
    };
    match (critical, warning) {
        (0, 0) => format!("{count}, all is well"),
        (0, _) => format!("{count}, {warning} with warnings"),
        (_, 0) => format!("{count}, {critical} critical"),
        (_, _) => format!("{count}, {critical} critical, {warning} with warnings"),
    }
}

fn alert_lines(snapshot: &Snapshot) -> impl Iterator<Item = AlertLine<'_>> {
    snapshot.alerts.iter().map(|alert: &Alert| AlertLine {
        rank: alert.severity,
        severity: alert.severity.as_str(),
        tone: match alert.severity {
            Severity::Ok => "good",
            Severity::Warning => "warn",
            Severity::Critical => "bad",
        },
        certificate: snapshot.name.as_str(),
        target: alert.target.as_ref().map(ToString::to_string),
        code: &alert.code,
        message: &alert.message,
    })
}

impl<'a> Row<'a> {
    fn of(snapshot: &'a Snapshot, now: Timestamp) -> Self {
        let names: Vec<&str> = snapshot.names.iter().map(DnsName::as_str).collect();
        Self {
            name: snapshot.name.as_str(),
            names: names.join(", "),
            ends: When::of(snapshot.not_after, now),
            renews: When::of(snapshot.renews_at, now),
            targets: snapshot
                .targets
                .iter()
                .map(|view| TargetLine::of(view, now))
                .collect(),
            next: NextLine::of(&snapshot.next, now),
            failure: snapshot
                .failure
                .as_ref()
                .map(|failure| FailureLine::of(failure, now)),
        }
    }
}

impl<'a> TargetLine<'a> {
    fn of(view: &'a TargetView, now: Timestamp) -> Self {
        let unknown = || "–".to_owned();
        let generation = |generation: u32| format!("generation {generation}");
        Self {
            id: view.id(),
            domain: &view.domain,
            state: view.state.as_str(),
            tone: tone(view.state),
            meaning: view.state.meaning(),
            generation: view.generation.map_or_else(unknown, generation),
            served: view
                .served_fingerprint
                .map(|print| print.to_string())
                .unwrap_or_default(),
            served_short: view
                .served_fingerprint
                .map_or_else(unknown, |print| print.short(SHORT)),
            served_ends: When::of(view.served_not_after, now),
            looked: When::of(view.looked_at, now),
            look_failure: view.look_failure.as_deref(),
            failure: view
                .failure
                .as_ref()
                .map(|failure| FailureLine::of(failure, now)),
        }
    }
}

fn tone(state: TargetState) -> &'static str {
    match state {
        TargetState::Seen => "good",
        TargetState::Pending | TargetState::Proving | TargetState::Watched => "",
        TargetState::Blocked
        | TargetState::Drifted
        | TargetState::NewerElsewhere
        | TargetState::Unreachable => "warn",
        TargetState::Unproven => "bad",
    }
}

impl NextLine {
    fn of(next: &Next, now: Timestamp) -> Self {
        Self {
            action: words(&next.action),
            at: When::of(next.at, now),
            reason: words(&next.reason),
            target: next.target.as_ref().map(ToString::to_string),
        }
    }
}

impl<'a> FailureLine<'a> {
    fn of(failure: &'a FailureView, now: Timestamp) -> Self {
        Self {
            at: When::of(Some(failure.at), now),
            class: &failure.class,
            code: &failure.code,
            message: &failure.message,
            in_a_row: failure.in_a_row,
            retry: When::of(failure.retry_at, now),
        }
    }
}

impl<'a> HistoryLine<'a> {
    fn of(entry: &'a HistoryEntry, now: Timestamp) -> Self {
        Self {
            at: When::of(Some(entry.at), now),
            kind: &entry.kind,
            message: &entry.message,
            target: entry
                .target
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renewal::{Circumstances, Record};
    use crate::retry::Class;
    use crate::status::testing::{now, served, spec, target_id, trouble};

    fn snapshot(label: &str, record: fn(Record) -> Record) -> Snapshot {
        let spec = spec(label, "v.example.com");
        let record = record(served(&spec, 2));
        Snapshot::of(&spec, &record, &Circumstances::default(), now())
    }

    fn blocked(mut record: Record) -> Record {
        let target = record.targets.values_mut().next().unwrap();
        target.trouble = Some(trouble("InvalidDomain", Class::Operator, 2));
        record
    }

    #[test]
    fn the_page_says_how_each_certificate_is() {
        let page = overview(&[snapshot("video", |record| record)], 1, now());
        for part in [
            "1 certificate, all is well",
            "<a href=\"/certificates/video\">video</a><small>v.example.com</small>",
            "in 60d<small class=\"time\">2026-04-30T12:00:00Z</small>",
            "in 30d<small class=\"time\">2026-03-31T12:00:00Z</small>",
            "<span class=\"badge good\" title=\"served at every address that could be reached\">seen</span>",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert!(!page.contains("needs attention"));
    }

    #[test]
    fn what_needs_attention_comes_first_and_is_escaped() {
        let page = overview(&[snapshot("video", blocked)], 1, now());
        assert!(page.contains("1 certificate, 1 with warnings"), "{page}");
        let alerts = page.find("What needs attention").unwrap();
        assert!(alerts < page.find("<table>").unwrap());
        assert!(
            page.contains("the other side said InvalidDomain &#60;here&#62;"),
            "{page}"
        );
        assert!(!page.contains("<here>"));
    }

    #[test]
    fn long_lists_are_paged_and_a_page_that_is_not_there_is_the_nearest() {
        let all: Vec<Snapshot> = (0..120)
            .map(|number| snapshot(&format!("c{number:03}"), blocked))
            .collect();
        let rows = |page: &str| page.matches("scope=\"row\"").count();
        let first = overview(&all, 1, now());
        assert_eq!(rows(&first), 50);
        assert!(first.contains("page 1 of 3"));
        assert!(
            first.contains("href=\"/?page=2\" rel=\"next\"") && !first.contains("rel=\"prev\"")
        );
        assert!(first.contains("and 100 more"), "{first}");
        let last = overview(&all, 99, now());
        assert_eq!(rows(&last), 20);
        assert!(last.contains("c119") && last.contains("page 3 of 3"));
        assert_eq!(rows(&overview(&all, 0, now())), 50);
        assert!(overview(&[], 1, now()).contains("No certificate is configured"));
    }

    #[test]
    fn the_page_of_one_certificate_shows_its_history_the_newest_first() {
        let entry = |message: &str, seconds: u64| HistoryEntry {
            at: now() - std::time::Duration::from_secs(seconds),
            label: Some("video".parse().unwrap()),
            target: Some(target_id("v.example.com")),
            kind: "installed".to_owned(),
            message: message.to_owned(),
            details: serde_json::Value::Null,
        };
        let history = [entry("older & first", 7200), entry("newer", 60)];
        let page = certificate(&snapshot("video", blocked), &history, now());
        assert!(
            page.find("newer").unwrap() < page.find("older &#38; first").unwrap(),
            "{page}"
        );
        assert!(page.contains("1m ago") && page.contains("2h ago"));
        assert!(page.contains("<code>00c0ffee</code>"));
        assert!(page.contains("generation 2"));
        assert!(page.contains("aliyun-vod/default/v.example.com"));
        let empty = certificate(&snapshot("video", |_| Record::default()), &[], now());
        assert!(empty.contains("none yet") && empty.contains("Nothing has happened yet"));
    }

    #[test]
    fn only_a_web_page_becomes_a_link() {
        let with = |link: &str| {
            let mut snapshot = snapshot("video", |record| record);
            snapshot.renewal_explanation = Some(link.to_owned());
            certificate(&snapshot, &[], now())
        };
        assert!(with("https://ca.example/why").contains("href=\"https://ca.example/why\""));
        assert!(!with("javascript:alert(1)").contains("javascript"));
    }

    #[test]
    fn the_style_that_is_allowed_is_the_one_in_the_page() {
        let page = overview(&[], 1, now());
        let (_, rest) = page.split_once("<style>").unwrap();
        let (style, _) = rest.split_once("</style>").unwrap();
        let hash = STANDARD.encode(Sha256::digest(style));
        assert_eq!(*STYLE_HASH, format!("sha256-{hash}"));
        assert!(!page.contains("<script") && !page.contains("style=\""));
    }
}
