//! `vodcertd status`: how the certificates are, from the stored facts.

use std::path::Path;

use super::arguments::Status;
use super::exit::{Exit, Failure};
use super::inputs::Inputs;
use super::output::{Output, Style, one_line};
use super::table::{Cell, Table};
use crate::clock::Clock;
use crate::name::DnsName;
use crate::status::{
    Alert, BudgetLeft, FailureView, Next, Severity, Snapshot, TargetState, TargetView,
};
use crate::time::{Timestamp, format_relative};

/// Hex digits of a fingerprint that are enough to tell two apart.
const SHORT: usize = 16;

/// Prints the chosen certificates.
pub(super) fn status(path: &Path, asked: &Status, output: Output) -> Result<Exit, Failure> {
    let inputs = Inputs::read(path)?;
    let now = Clock::System.now();
    let specs = inputs.chosen(asked.name.as_deref())?;
    let snapshots: Vec<Snapshot> = specs
        .into_iter()
        .map(|spec| inputs.facts.snapshot(spec, now))
        .collect();
    if asked.json {
        output.print_json(&snapshots)?;
    } else if asked.name.is_some() {
        let details = snapshots
            .iter()
            .map(|snapshot| details(snapshot, now, output.colour()));
        output.print(&details.collect::<String>())?;
    } else {
        let text = overview(&snapshots, &inputs.budget, now, output.colour());
        output.print(&text)?;
    }
    let worst = snapshots
        .iter()
        .map(Snapshot::severity)
        .max()
        .unwrap_or(Severity::Ok);
    Ok(if asked.check {
        exit_of(worst)
    } else {
        Exit::Done
    })
}

fn exit_of(severity: Severity) -> Exit {
    match severity {
        Severity::Ok => Exit::Done,
        Severity::Warning => Exit::Failed,
        Severity::Critical => Exit::Critical,
    }
}

/// One line per certificate, and what somebody should know below.
fn overview(snapshots: &[Snapshot], budget: &[BudgetLeft], now: Timestamp, colour: bool) -> String {
    let mut table = Table::new(&[
        "NAME", "SERIAL", "ISSUER", "ENDS", "RENEWAL", "TARGETS", "NEXT", "FAILURE",
    ]);
    for snapshot in snapshots {
        table.add(vec![
            Cell::new(&snapshot.name),
            Cell::or_nothing(snapshot.serial.as_ref()),
            Cell::or_nothing(snapshot.issuer.as_ref()),
            ends(snapshot, now),
            Cell::or_nothing(snapshot.renews_at.map(|at| format_relative(at, now))),
            targets(snapshot),
            Cell::new(next(&snapshot.next, now)),
            Cell::or_nothing(snapshot.failure.as_ref().map(|failure| &failure.code)),
        ]);
    }
    let alerts = snapshots
        .iter()
        .flat_map(|snapshot| alerts(snapshot, colour));
    let drawn = budget.iter().filter_map(drawn_from);
    text(&[table.lines(colour), drawn.collect(), alerts.collect()])
}

/// What is left of a limit of a CA; nothing while that is all of it.
fn drawn_from(budget: &BudgetLeft) -> Option<String> {
    let BudgetLeft {
        issuer,
        limit,
        quota,
        subject,
        left,
    } = budget;
    let subject = subject.as_ref()?;
    Some(format!(
        "limit: {issuer}: {left} left of {quota} ({limit} {subject})"
    ))
}

/// Sections of lines, an empty line between two.
fn text(sections: &[Vec<String>]) -> String {
    let sections = sections.iter().filter(|lines| !lines.is_empty());
    let sections: Vec<String> = sections.map(|lines| lines.join("\n")).collect();
    format!("{}\n", sections.join("\n\n"))
}

fn ends(snapshot: &Snapshot, now: Timestamp) -> Cell {
    let Some(not_after) = snapshot.not_after else {
        return Cell::nothing();
    };
    let expiring = |alert: &Alert| alert.code.starts_with("expire");
    let style = if snapshot.alerts.iter().any(expiring) {
        Style::Critical
    } else {
        Style::Plain
    };
    Cell::styled(format_relative(not_after, now), style)
}

/// `2/3 seen, 1 blocked`.
fn targets(snapshot: &Snapshot) -> Cell {
    let all = snapshot.targets.len();
    let seen = snapshot
        .targets
        .iter()
        .filter(|view| view.state == TargetState::Seen)
        .count();
    let mut others: Vec<TargetState> = snapshot.targets.iter().map(|view| view.state).collect();
    others.retain(|state| *state != TargetState::Seen);
    others.sort_unstable();
    let style = others
        .iter()
        .map(|state| style_of(*state))
        .find(|style| *style != Style::Plain);
    let seen_first = format!("{seen}/{all} seen");
    let groups = others.chunk_by(|one, other| one == other);
    let groups = groups.map(|group| format!("{} {}", group.len(), group[0]));
    let counts: Vec<String> = std::iter::once(seen_first).chain(groups).collect();
    let all_seen = if seen == all {
        Style::Good
    } else {
        Style::Plain
    };
    Cell::styled(counts.join(", "), style.unwrap_or(all_seen))
}

fn style_of(state: TargetState) -> Style {
    match state {
        TargetState::Seen => Style::Good,
        TargetState::Pending | TargetState::Proving | TargetState::Watched => Style::Plain,
        TargetState::Blocked
        | TargetState::Drifted
        | TargetState::NewerElsewhere
        | TargetState::Unproven
        | TargetState::Unreachable => Style::Warning,
    }
}

fn next(next: &Next, now: Timestamp) -> String {
    match next.at {
        Some(at) => format!(
            "{} {} ({})",
            next.action,
            format_relative(at, now),
            next.reason
        ),
        None => format!("{} ({})", next.action, next.reason),
    }
}

fn alerts(snapshot: &Snapshot, colour: bool) -> Vec<String> {
    let line = |alert: &Alert| {
        let style = match alert.severity {
            Severity::Ok => Style::Plain,
            Severity::Warning => Style::Warning,
            Severity::Critical => Style::Critical,
        };
        let severity = style.paint(alert.severity.as_str(), colour);
        let target = alert
            .target
            .as_ref()
            .map(|id| format!(" {id}:"))
            .unwrap_or_default();
        let message = one_line(&alert.message);
        let code = one_line(&alert.code);
        format!("{severity}: {}:{target} {message} ({code})", snapshot.name)
    };
    snapshot.alerts.iter().map(line).collect()
}

/// Everything about one certificate.
fn details(snapshot: &Snapshot, now: Timestamp, colour: bool) -> String {
    let facts = facts(snapshot, now).into_iter();
    let facts = facts.map(|(key, value)| format!("{key:<12}{}", one_line(&value)));
    let targets = target_table(&snapshot.targets, now).lines(colour);
    text(&[facts.collect(), targets, alerts(snapshot, colour)])
}

fn facts(snapshot: &Snapshot, now: Timestamp) -> Vec<(&'static str, String)> {
    let names: Vec<&str> = snapshot.names.iter().map(DnsName::as_str).collect();
    let time = |time: Option<Timestamp>| match time {
        Some(time) => format!("{} ({})", time.to_iso_seconds(), format_relative(time, now)),
        None => "-".to_owned(),
    };
    let mut facts = vec![
        ("name", snapshot.name.to_string()),
        ("names", names.join(" ")),
        ("generation", or_dash(snapshot.generation.as_ref())),
        ("serial", or_dash(snapshot.serial.as_ref())),
        ("fingerprint", or_dash(snapshot.fingerprint.as_ref())),
        ("issuer", or_dash(snapshot.issuer.as_ref())),
        ("ends", time(snapshot.not_after)),
        ("renewal", time(snapshot.renews_at)),
        ("next", next(&snapshot.next, now)),
    ];
    if let Some(failure) = &snapshot.failure {
        facts.push(("failure", format!("{}: {}", failure.code, failure.message)));
        facts.push(("", course(failure, now)));
    }
    facts
}

/// `operator, 2 in a row, 1m ago; again in 5h`.
fn course(failure: &FailureView, now: Timestamp) -> String {
    let last = format_relative(failure.at, now);
    let again = failure
        .retry_at
        .map(|at| format!("; again {}", format_relative(at, now)));
    let again = again.unwrap_or_default();
    format!(
        "{}, {} in a row, {last}{again}",
        failure.class, failure.in_a_row
    )
}

fn or_dash(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn target_table(views: &[TargetView], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        "TARGET",
        "STATE",
        "INSTALLED",
        "SERVES",
        "SERVED ENDS",
        "LOOKED AT",
        "TROUBLE",
    ]);
    for view in views {
        let trouble = view.failure.as_ref().map(|failure| &failure.message);
        table.add(vec![
            Cell::new(view.id()),
            Cell::styled(view.state, style_of(view.state)),
            Cell::or_nothing(view.generation),
            Cell::or_nothing(view.served_fingerprint.map(|print| print.short(SHORT))),
            Cell::or_nothing(view.served_not_after.map(|at| format_relative(at, now))),
            Cell::or_nothing(view.looked_at.map(|at| format_relative(at, now))),
            Cell::or_nothing(trouble.or(view.look_failure.as_ref())),
        ]);
    }
    table
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
