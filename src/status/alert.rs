//! What somebody should know about, and how bad it is.

use std::time::Duration;

use serde::Serialize;

use super::snapshot::{TargetState, TargetView};
use crate::name::TargetId;
use crate::renewal::{ClockTrust, Record, Spec, Trouble};
use crate::retry::Class;
use crate::time::Timestamp;

/// Something that somebody should know about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// How bad it is.
    pub severity: Severity,
    /// A word for machines.
    pub code: String,
    /// The target that it is about.
    pub target: Option<TargetId>,
    /// A sentence for people.
    pub message: String,
}

/// How bad something is. The order is that of the exit codes of `status --check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing is wrong.
    Ok,
    /// Somebody will be needed soon.
    Warning,
    /// Somebody is needed now.
    Critical,
}

/// Failures in a row after which what passes by itself usually is worth saying.
const PERSISTENT: u32 = 4;

/// What is due is begun within seconds. This late, nobody works.
const OVERDUE: Duration = Duration::from_mins(10);

/// What a record tells, the worst first.
pub(super) fn of_record(
    spec: &Spec,
    record: &Record,
    clock: ClockTrust,
    targets: &[TargetView],
    now: Timestamp,
) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = of_clock(clock).into_iter().collect();
    alerts.extend(of_expiry(spec, record, now));
    alerts.extend(of_budget(spec, record, now));
    let orders = [&record.orders.trouble, &record.orders.reissues];
    for trouble in orders.into_iter().flatten() {
        alerts.extend(of_trouble(trouble, None));
    }
    for (view, (id, target_spec)) in targets.iter().zip(&spec.targets) {
        let target = record.targets.get(id);
        let trouble = target.and_then(|target| target.trouble.as_ref());
        alerts.extend(trouble.and_then(|trouble| of_trouble(trouble, Some(id))));
        alerts.extend(of_state(view, id));
        if target.is_some_and(|target| target.is_lost_from_sight(target_spec.look)) {
            alerts.push(out_of_reach(view, id));
        }
    }
    sort(&mut alerts);
    alerts
}

/// The worst first.
pub(super) fn sort(alerts: &mut [Alert]) {
    alerts.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
}

/// Nobody works on a certificate, though it was due long ago. `leased_until`: as long as a worker
/// says that it is at work.
pub(super) fn of_work(
    due_at: Timestamp,
    leased_until: Option<Timestamp>,
    now: Timestamp,
) -> Option<Alert> {
    let at_work = leased_until.is_some_and(|until| now < until);
    (!at_work && due_at + OVERDUE < now).then(|| {
        not_worked_on(format!(
            "it was due at {} and nobody works on it: the daemon does not run, or has no time",
            due_at.to_iso_seconds()
        ))
    })
}

/// No daemon knows of a certificate yet.
pub(super) fn of_no_work() -> Alert {
    not_worked_on("no daemon has begun with it: start it, or restart it after a change".to_owned())
}

fn not_worked_on(message: String) -> Alert {
    Alert {
        severity: Severity::Warning,
        code: "not-worked-on".to_owned(),
        target: None,
        message,
    }
}

fn out_of_reach(view: &TargetView, id: &TargetId) -> Alert {
    let why = view.look_failure.as_deref().unwrap_or("nobody answers");
    Alert {
        severity: Severity::Warning,
        code: "unreachable".to_owned(),
        target: Some(id.clone()),
        message: format!("no address of {} can be reached: {why}", view.domain),
    }
}

/// The end of what is served comes near, or has come.
fn of_expiry(spec: &Spec, record: &Record, now: Timestamp) -> Option<Alert> {
    let urgency = record.urgency(spec.targets.keys())?;
    let alert = |severity, code: &str, message: String| Alert {
        severity,
        code: code.to_owned(),
        target: None,
        message,
    };
    match urgency.remaining(now) {
        None => Some(alert(
            Severity::Critical,
            "expired",
            format!("what is served expired at {}", urgency.not_after),
        )),
        Some(_) if urgency.is_emergency(now) => Some(alert(
            Severity::Critical,
            "expires-soon",
            format!("what is served expires at {}", urgency.not_after),
        )),
        Some(_) => None,
    }
}

/// An order waits for the limits of a CA.
fn of_budget(spec: &Spec, record: &Record, now: Timestamp) -> Vec<Alert> {
    let held_back = spec.issuers.iter().filter_map(|issuer| {
        let spent = record.orders.out_of_budget.get(&issuer.name)?;
        spent.deadline.holding(now)?;
        Some(Alert {
            severity: Severity::Warning,
            code: "ca-budget".to_owned(),
            target: None,
            message: format!("no order at {}: {}", issuer.name, spent.exhausted),
        })
    });
    held_back.collect()
}

fn of_clock(clock: ClockTrust) -> Option<Alert> {
    match clock {
        ClockTrust::Trusted => None,
        ClockTrust::Distrusted { .. } => Some(Alert {
            severity: Severity::Critical,
            code: "clock-wrong".to_owned(),
            target: None,
            message: "the local clock is off by more than an hour; nothing is ordered or installed"
                .to_owned(),
        }),
    }
}

fn of_trouble(trouble: &Trouble, target: Option<&TargetId>) -> Option<Alert> {
    let worth_saying = trouble.needs_a_person()
        || trouble.in_a_row >= PERSISTENT
        || trouble.failure.clamped
        || trouble.class() == Class::Reissue;
    worth_saying.then(|| Alert {
        severity: Severity::Warning,
        code: trouble.failure.code.clone(),
        target: target.cloned(),
        message: trouble.failure.message.clone(),
    })
}

fn of_state(view: &TargetView, id: &TargetId) -> Option<Alert> {
    let (severity, code, message) = match view.state {
        TargetState::Unproven => (
            Severity::Warning,
            "not-seen",
            format!(
                "{} was not seen to serve the newest generation in time: {}",
                view.domain,
                view.look_failure
                    .as_deref()
                    .unwrap_or("nobody looks, or may ask")
            ),
        ),
        TargetState::Drifted => (
            Severity::Warning,
            "drift",
            format!("{} stopped serving what had been seen", view.domain),
        ),
        TargetState::NewerElsewhere => (
            Severity::Warning,
            "newer-elsewhere",
            format!(
                "{} has a newer generation than this store holds",
                view.domain
            ),
        ),
        TargetState::Blocked
        | TargetState::Pending
        | TargetState::Proving
        | TargetState::Seen
        | TargetState::Unreachable
        | TargetState::Watched => return None,
    };
    Some(Alert {
        severity,
        code: code.to_owned(),
        target: Some(id.clone()),
        message,
    })
}

impl Severity {
    /// The word used in `status` and on the page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}
