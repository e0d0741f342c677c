//! One certificate as the outside sees it.
//!
//! The fields and words of the JSON form are a promise (`status --json`): they are added to, never
//! changed.

use std::fmt;

use serde::Serialize;

use crate::certificate::Fingerprint;
use crate::name::{DnsName, Label, TargetId};
use crate::renewal::{
    Action, Api, Circumstances, ClockTrust, Decision, OnDrift, Record, Spec, TargetRecord,
    TargetSpec, Trouble, decide, due_at,
};
use crate::retry::Class;
use crate::time::Timestamp;

/// One certificate as the outside sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// The admin's label.
    pub name: Label,
    /// The configured names.
    pub names: Vec<DnsName>,
    /// The newest generation; nothing while none was issued.
    pub generation: Option<u32>,
    /// Its leaf's SHA-256, lower hex.
    pub fingerprint: Option<Fingerprint>,
    /// Its serial number, lower hex.
    pub serial: Option<String>,
    /// The issuer that it came from, by its name in the configuration.
    pub issuer: Option<String>,
    /// The last moment of its validity.
    #[serde(serialize_with = "rfc3339")]
    pub not_after: Option<Timestamp>,
    /// When the next one is to be ordered, if nothing happens before.
    #[serde(serialize_with = "rfc3339")]
    pub renews_at: Option<Timestamp>,
    /// A page of the CA that explains the time of renewal.
    pub renewal_explanation: Option<String>,
    /// What comes next.
    pub next: Next,
    /// Every configured target.
    pub targets: Vec<TargetView>,
    /// The last failure that is not overcome.
    pub failure: Option<FailureView>,
    /// What somebody should know about, the worst first.
    pub alerts: Vec<Alert>,
}

/// The next step, as things stand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Next {
    /// Which.
    pub action: String,
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub at: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// The target that it is about.
    pub target: Option<TargetId>,
}

/// One target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetView {
    /// The kind of target.
    pub kind: String,
    /// The cloud's name in the configuration.
    pub cloud: String,
    /// The acceleration domain.
    pub domain: String,
    /// How it is.
    pub state: TargetState,
    /// The generation that the API took last.
    pub generation: Option<u32>,
    /// What the edge served at the last look that saw something: the leaf's SHA-256, lower hex.
    pub served_fingerprint: Option<Fingerprint>,
    /// When what the edge serves ends.
    #[serde(serialize_with = "rfc3339")]
    pub served_not_after: Option<Timestamp>,
    /// When the newest generation was first seen at every reachable address.
    #[serde(serialize_with = "rfc3339")]
    pub seen_at: Option<Timestamp>,
    /// When the edge was last looked at.
    #[serde(serialize_with = "rfc3339")]
    pub looked_at: Option<Timestamp>,
    /// What the last look found wrong.
    pub look_failure: Option<String>,
    /// What is wrong with installing.
    pub failure: Option<FailureView>,
}

/// How a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetState {
    /// The newest generation cannot be installed.
    Blocked,
    /// The edge stopped serving what had been seen.
    Drifted,
    /// The target has a newer generation than we hold.
    NewerElsewhere,
    /// The newest generation is not installed yet, or there is none to install yet.
    Pending,
    /// Installed, and waited for at the edge.
    Proving,
    /// The newest generation is served at every address that could be reached.
    Seen,
    /// Installed, but not served in time.
    Unproven,
    /// Nothing is ever ordered for it; the edge is only watched.
    Watched,
}

/// A failure that is not overcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailureView {
    /// When it happened last.
    #[serde(serialize_with = "rfc3339_of")]
    pub at: Timestamp,
    /// What is done about it.
    pub class: String,
    /// The other side's code, or our own word.
    pub code: String,
    /// One line for people.
    pub message: String,
    /// When it is tried again.
    #[serde(serialize_with = "rfc3339")]
    pub retry_at: Option<Timestamp>,
    /// How often it failed in a row.
    pub in_a_row: u32,
}

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

impl Snapshot {
    /// The snapshot of one certificate.
    pub fn of(spec: &Spec, record: &Record, circumstances: &Circumstances, now: Timestamp) -> Self {
        let issued = record.issued.as_ref();
        let view = View { spec, record, now };
        let targets: Vec<TargetView> = spec
            .targets
            .iter()
            .map(|(id, target)| view.target(id, target))
            .collect();
        Self {
            name: spec.label.clone(),
            names: spec.names.iter().cloned().collect(),
            generation: issued.map(|issued| issued.generation),
            fingerprint: issued.map(|issued| issued.leaf.fingerprint),
            serial: issued.map(|issued| issued.leaf.serial.clone()),
            issuer: issued.map(|issued| issued.issuer.clone()),
            not_after: issued.map(|issued| issued.leaf.not_after),
            renews_at: view.renews_at(),
            renewal_explanation: issued
                .and_then(|issued| issued.renewal_info.as_ref())
                .and_then(|info| info.explanation.clone()),
            next: Next::foreseen(spec, record, circumstances, now),
            failure: view.failure(&targets),
            alerts: view.alerts(&targets, circumstances.clock),
            targets,
        }
    }

    /// The snapshot of a certificate whose stored record cannot be read.
    pub fn unreadable(spec: &Spec, why: &str) -> Self {
        let nothing = Record::default();
        let view = View {
            spec,
            record: &nothing,
            now: Timestamp::EPOCH,
        };
        let alert = Alert {
            severity: Severity::Critical,
            code: "record-unreadable".to_owned(),
            target: None,
            message: format!("the stored record cannot be read: {why}"),
        };
        Self {
            name: spec.label.clone(),
            names: spec.names.iter().cloned().collect(),
            generation: None,
            fingerprint: None,
            serial: None,
            issuer: None,
            not_after: None,
            renews_at: None,
            renewal_explanation: None,
            next: Next {
                action: "none".to_owned(),
                at: None,
                reason: "record-unreadable".to_owned(),
                target: None,
            },
            targets: spec
                .targets
                .iter()
                .map(|(id, target)| view.target(id, target))
                .collect(),
            failure: None,
            alerts: vec![alert],
        }
    }

    /// The worst of its alerts.
    pub fn severity(&self) -> Severity {
        self.alerts
            .first()
            .map_or(Severity::Ok, |alert| alert.severity)
    }
}

/// So many sleeps are looked beyond for the step that ends them.
const FORESIGHT: u32 = 8;

impl Next {
    /// The next step that is more than sleep, and when, if nothing changes until then.
    fn foreseen(
        spec: &Spec,
        record: &Record,
        circumstances: &Circumstances,
        now: Timestamp,
    ) -> Self {
        let first = decide(spec, record, circumstances, now);
        let mut decision = first.clone();
        let mut at = now;
        for _ in 0..FORESIGHT {
            let Action::SleepUntil(until) = decision.action else {
                return Self::of(&decision, at);
            };
            at = until;
            decision = decide(spec, record, circumstances, at);
        }
        Self::of(&first, now)
    }

    fn of(decision: &Decision, decided_at: Timestamp) -> Self {
        let at = match &decision.action {
            Action::SleepUntil(time) => *time,
            Action::DistrustClock { until_checked } => *until_checked,
            Action::AskRenewalInfo
            | Action::Install { .. }
            | Action::Look { .. }
            | Action::Order { .. }
            | Action::ReadBack { .. } => decided_at,
        };
        Self {
            action: decision.action.as_str().to_owned(),
            at: Some(at),
            reason: decision.reason.to_string(),
            target: decision.action.target().cloned(),
        }
    }
}

/// What the parts of a snapshot are made from.
#[derive(Clone, Copy)]
struct View<'a> {
    spec: &'a Spec,
    record: &'a Record,
    now: Timestamp,
}

impl View<'_> {
    /// When the newest generation is due. Nothing if none is ever ordered.
    fn renews_at(self) -> Option<Timestamp> {
        let issued = self
            .record
            .issued
            .as_ref()
            .filter(|_| !self.spec.issuers.is_empty())?;
        let info = issued.renewal_info.as_ref();
        let window = info.and_then(|info| info.window);
        let picked = info.map_or(0.0, |info| info.picked);
        Some(due_at(&issued.leaf, window, picked, self.spec.renew))
    }

    fn target(self, id: &TargetId, spec: &TargetSpec) -> TargetView {
        let unknown = TargetRecord::default();
        let target = self.record.targets.get(id).unwrap_or(&unknown);
        let newest = self.record.issued.as_ref().map(|issued| issued.generation);
        let retry_at = self.record.install_retry_at(target, self.now);
        TargetView {
            kind: id.kind.as_str().to_owned(),
            cloud: id.cloud.clone(),
            domain: id.domain.to_string(),
            state: self.state(target, spec),
            generation: target
                .installed
                .as_ref()
                .map(|installed| installed.generation),
            served_fingerprint: target.served.as_ref().map(|served| served.fingerprint),
            served_not_after: target.served.as_ref().map(|served| served.not_after),
            seen_at: target
                .seen
                .filter(|seen| Some(seen.generation) == newest)
                .map(|s| s.at),
            looked_at: target.looked_at,
            look_failure: target.look_failure.clone(),
            failure: target
                .trouble
                .as_ref()
                .map(|trouble| FailureView::of(trouble, retry_at)),
        }
    }

    fn state(self, target: &TargetRecord, spec: &TargetSpec) -> TargetState {
        let Some(issued) = self.record.usable(self.now) else {
            let watched = self.spec.issuers.is_empty();
            return if watched {
                TargetState::Watched
            } else {
                TargetState::Pending
            };
        };
        if target.is_newer_than(issued) {
            return TargetState::NewerElsewhere;
        }
        if target.trouble.as_ref().is_some_and(Trouble::needs_a_person) {
            return TargetState::Blocked;
        }
        let installed = target
            .installed
            .as_ref()
            .map(|installed| installed.generation);
        let seen = target
            .seen
            .is_some_and(|seen| seen.generation == issued.generation);
        if installed != Some(issued.generation) {
            let ours_before = seen && spec.on_drift == OnDrift::Alert;
            return if ours_before {
                TargetState::Drifted
            } else {
                TargetState::Pending
            };
        }
        match &target.proving {
            Some(_) if target.is_vouched_for(spec.look, issued.generation) => TargetState::Seen,
            Some(proving) if proving.is_overdue(spec.look, self.now) => TargetState::Unproven,
            Some(_) => TargetState::Proving,
            None if target.mismatches > 0 => TargetState::Drifted,
            None => TargetState::Seen,
        }
    }

    /// The failure to show for the whole certificate: of the order if there is one, else of the
    /// target that failed last.
    fn failure(self, targets: &[TargetView]) -> Option<FailureView> {
        let orders = self.record.orders.trouble.as_ref();
        let orders = orders.or(self.record.orders.reissues.as_ref());
        let retry_at = self
            .record
            .order_retry_at(self.spec.targets.keys(), self.now);
        orders
            .map(|trouble| FailureView::of(trouble, retry_at))
            .or_else(|| {
                let failures = targets.iter().filter_map(|target| target.failure.clone());
                failures.max_by_key(|failure| failure.at)
            })
    }

    fn alerts(self, targets: &[TargetView], clock: ClockTrust) -> Vec<Alert> {
        let mut alerts: Vec<Alert> = alert_of_clock(clock).into_iter().collect();
        alerts.extend(self.expiry());
        let orders = [&self.record.orders.trouble, &self.record.orders.reissues];
        for trouble in orders.into_iter().flatten() {
            alerts.extend(alert_of(trouble, None));
        }
        for (view, id) in targets.iter().zip(self.spec.targets.keys()) {
            let trouble = self
                .record
                .targets
                .get(id)
                .and_then(|target| target.trouble.as_ref());
            alerts.extend(trouble.and_then(|trouble| alert_of(trouble, Some(id))));
            alerts.extend(alert_of_state(view, id));
            let target = self.record.targets.get(id);
            alerts.extend(target.and_then(|target| alert_of_silence(target, id)));
        }
        alerts.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
        alerts
    }

    /// The end of what is served comes near, or has come.
    fn expiry(self) -> Option<Alert> {
        let urgency = self.record.urgency(self.spec.targets.keys())?;
        let alert = |severity, code: &str, message: String| Alert {
            severity,
            code: code.to_owned(),
            target: None,
            message,
        };
        match urgency.remaining(self.now) {
            None => Some(alert(
                Severity::Critical,
                "expired",
                format!("what is served expired at {}", urgency.not_after),
            )),
            Some(_) if urgency.is_emergency(self.now) => Some(alert(
                Severity::Critical,
                "expires-soon",
                format!("what is served expires at {}", urgency.not_after),
            )),
            Some(_) => None,
        }
    }
}

fn alert_of_clock(clock: ClockTrust) -> Option<Alert> {
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

fn alert_of(trouble: &Trouble, target: Option<&TargetId>) -> Option<Alert> {
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

/// An API that does not tell what it has: no answer that is lost can be asked about.
fn alert_of_silence(target: &TargetRecord, id: &TargetId) -> Option<Alert> {
    let Api::Silent { code, message } = &target.api else {
        return None;
    };
    Some(Alert {
        severity: Severity::Warning,
        code: code.clone(),
        target: Some(id.clone()),
        message: format!("the API does not tell what {id} has: {message}"),
    })
}

fn alert_of_state(view: &TargetView, id: &TargetId) -> Option<Alert> {
    let (severity, code, message) = match view.state {
        TargetState::Unproven => (
            Severity::Warning,
            "not-seen",
            format!("{} does not serve the newest generation", view.domain),
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
        | TargetState::Watched => return None,
    };
    Some(Alert {
        severity,
        code: code.to_owned(),
        target: Some(id.clone()),
        message,
    })
}

impl FailureView {
    fn of(trouble: &Trouble, retry_at: Option<Timestamp>) -> Self {
        Self {
            at: trouble.last_at,
            class: trouble.class().as_str().to_owned(),
            code: trouble.failure.code.clone(),
            message: trouble.failure.message.clone(),
            retry_at,
            in_a_row: trouble.in_a_row,
        }
    }
}

impl TargetView {
    /// The target in the form `kind/cloud/domain`.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.kind, self.cloud, self.domain)
    }
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

impl TargetState {
    /// The word used in `status` and on the page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Drifted => "drifted",
            Self::NewerElsewhere => "newer-elsewhere",
            Self::Pending => "pending",
            Self::Proving => "proving",
            Self::Seen => "seen",
            Self::Unproven => "unproven",
            Self::Watched => "watched",
        }
    }

    /// What the word means, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Blocked => "a person must act before it can be installed",
            Self::Drifted => "the edge stopped serving what had been seen",
            Self::NewerElsewhere => "it has a newer generation than this store holds",
            Self::Pending => "not installed yet",
            Self::Proving => "installed, waiting for the edge to serve it",
            Self::Seen => "served at every address that could be reached",
            Self::Unproven => "installed, but the edge does not serve it in time",
            Self::Watched => "nothing is ordered for it",
        }
    }
}

impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[expect(clippy::ref_option, reason = "the form that serde asks for")]
fn rfc3339<S: serde::Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339_of(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde asks for"
)]
fn rfc3339_of<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
