//! One certificate as the outside sees it.
//!
//! The fields and words of the JSON form are a promise (`status --json`): they are added to, never
//! changed.

use std::fmt;

use serde::Serialize;

use super::alert::{self, Alert, Severity};
use crate::certificate::Fingerprint;
use crate::name::{DnsName, Label, TargetId};
use crate::renewal::{
    Action, Circumstances, Decision, OnDrift, Record, Spec, TargetRecord, TargetSpec, Trouble,
    decide, install_at, order_at,
};
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
    /// When the next one is ordered, if nothing happens before: at its time of renewal, or when what
    /// holds the order back is over.
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
    /// It was seen, but the last look reached none of its addresses.
    Unreachable,
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

impl Snapshot {
    /// The snapshot of one certificate.
    pub fn of(spec: &Spec, record: &Record, circumstances: &Circumstances, now: Timestamp) -> Self {
        let issued = record.issued.as_ref();
        let view = View {
            spec,
            record,
            circumstances,
            now,
        };
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
            renews_at: issued.and_then(|_| view.orders_at()),
            renewal_explanation: issued
                .and_then(|issued| issued.renewal_info.as_ref())
                .and_then(|info| info.explanation.clone()),
            next: Next::foreseen(spec, record, circumstances, now),
            failure: view.failure(&targets),
            alerts: alert::of_record(spec, record, circumstances.clock, &targets, now),
            targets,
        }
    }

    /// The snapshot of a certificate whose stored record cannot be read.
    pub fn unreadable(spec: &Spec, why: &str) -> Self {
        let (nothing, nothing_around) = (Record::default(), Circumstances::default());
        let view = View {
            spec,
            record: &nothing,
            circumstances: &nothing_around,
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

    /// Adds something that the record does not tell.
    pub(super) fn alarmed(mut self, alert: Option<Alert>) -> Self {
        self.alerts.extend(alert);
        alert::sort(&mut self.alerts);
        self
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
            | Action::ProveOwner { .. }
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
    circumstances: &'a Circumstances,
    now: Timestamp,
}

impl View<'_> {
    /// When the next order is placed or tried again. Nothing if none is ever placed.
    fn orders_at(self) -> Option<Timestamp> {
        order_at(self.spec, self.record, self.circumstances, self.now)
    }

    fn target(self, id: &TargetId, spec: &TargetSpec) -> TargetView {
        let unknown = TargetRecord::default();
        let target = self.record.targets.get(id).unwrap_or(&unknown);
        let newest = self.record.issued.as_ref().map(|issued| issued.generation);
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
            failure: target.trouble.as_ref().map(|trouble| {
                let retry_at = install_at(self.spec, self.record, self.circumstances, id, self.now);
                FailureView::of(trouble, retry_at)
            }),
        }
    }

    fn state(self, target: &TargetRecord, spec: &TargetSpec) -> TargetState {
        if self.spec.issuers.is_empty() && self.record.usable(self.now).is_none() {
            return TargetState::Watched;
        }
        // One that is over or was refused elsewhere may be served all the same; alerts tell the rest.
        let Some(issued) = &self.record.issued else {
            return TargetState::Pending;
        };
        if target.has_newer(issued) {
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
            Some(_) if target.is_overdue(spec.look, self.now) => TargetState::Unproven,
            Some(_) => TargetState::Proving,
            None if target.has_drifted() => TargetState::Drifted,
            None if target.is_lost_from_sight(spec.look) => TargetState::Unreachable,
            None => TargetState::Seen,
        }
    }

    /// The failure to show for the whole certificate: of the order if there is one, else of the
    /// target that failed last.
    fn failure(self, targets: &[TargetView]) -> Option<FailureView> {
        let orders = self.record.orders.trouble.as_ref();
        let orders = orders.or(self.record.orders.reissues.as_ref());
        orders
            .map(|trouble| FailureView::of(trouble, self.orders_at()))
            .or_else(|| {
                let failures = targets.iter().filter_map(|target| target.failure.clone());
                failures.max_by_key(|failure| failure.at)
            })
    }
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
            Self::Unreachable => "unreachable",
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
            Self::Unreachable => "seen before, but no address of it can be reached any more",
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
