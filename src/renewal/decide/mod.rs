//! The next step of a certificate, and why.
//!
//! The rules are small checks, each about one question. A check says *now* (this step), *not before*
//! (wake me then) or *never* (as far as I am concerned). Targets come first, then the question about
//! renewal, then orders: an install that may be tried now comes before an order that is due, and an
//! install that waits never blocks an order.

mod manner;
mod order;
mod target;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

pub use self::manner::{Manner, Origin, Search};
pub(super) use self::target::DOUBTS;
use self::target::Haste;
use super::circumstances::{Circumstances, ClockTrust};
use super::record::{Issued, Record};
use super::spec::{IssuerSpec, Spec};
use crate::name::{DnsName, TargetId};
use crate::retry::Scope;
use crate::time::{Deadline, Timestamp};

/// The step to take and the reason for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// Why. For [`Action::SleepUntil`]: why then.
    pub reason: Reason,
}

/// A step. Nothing is left to be decided while it is performed.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask the CA when it wants the certificate renewed.
    AskRenewalInfo,
    /// Do nothing irreversible: the local clock is wrong.
    DistrustClock {
        /// When to look again.
        until_checked: Timestamp,
    },
    /// Push a generation to a target.
    Install {
        /// Where.
        target: TargetId,
        /// What.
        generation: u32,
        /// How.
        manner: Manner,
    },
    /// Look at what the edge serves.
    Look {
        /// Where.
        target: TargetId,
    },
    /// Obtain the next generation, or go on with the order under way.
    Order {
        /// From whom.
        issuer: IssuerSpec,
        /// For which names.
        names: BTreeSet<DnsName>,
        /// Whether to tell the CA which certificate it replaces (RFC 9773 §5).
        replaces: bool,
        /// Whether the CA itself is to say that its limits leave no room, and not our ledger.
        overdraws: bool,
    },
    /// Prove who owns the domain of a target.
    ProveOwner {
        /// Where.
        target: TargetId,
        /// The generation that is refused without.
        generation: u32,
    },
    /// Ask the API what a target has.
    ReadBack {
        /// Where.
        target: TargetId,
    },
    /// Nothing to do before that time.
    SleepUntil(Timestamp),
}

/// Why a step is taken, or waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The edge is looked at once more before an install.
    BeforeInstall,
    /// The limits of the CA leave no room for an order.
    CaBudget,
    /// The local clock is off by more than an hour.
    ClockWrong,
    /// The edge stopped serving what had been seen.
    Drift,
    /// The edge is to be looked at again.
    DriftCheck,
    /// The time of renewal.
    Due,
    /// What we hold has expired.
    Expired,
    /// The target was never asked what it has.
    FirstContact,
    /// The kind of key changed.
    KeyChanged,
    /// The answer to an install was lost.
    LostAnswer,
    /// The names changed.
    NamesChanged,
    /// The edge was never looked at.
    NeverLooked,
    /// A target has a newer generation than we hold.
    NewerElsewhere,
    /// Nothing was issued yet.
    NothingIssued,
    /// Nothing to do.
    NothingToDo,
    /// The target does not have the generation.
    NotInstalled,
    /// Installed, not seen at the edge yet.
    NotSeen,
    /// A target is refused because nobody has proven who owns its domain.
    OwnerUnproven,
    /// The profile changed.
    ProfileChanged,
    /// The pair was refused as unusable.
    Refused,
    /// The CA is to be asked about renewal.
    RenewalInfoStale,
    /// An order is under way.
    Resume,
    /// It was revoked.
    Revoked,
    /// The edge serves a leaf that nobody here knows, or does not tell what it serves.
    UnknownLeaf,
    /// The other side, the ladder or a rail says when.
    Waiting,
}

/// Longer than this is not slept: the facts are looked at again at least once a day.
const LONGEST_SLEEP: Duration = Duration::from_hours(24);

/// Says the next step. Total, pure, deterministic.
pub fn decide(
    spec: &Spec,
    record: &Record,
    circumstances: &Circumstances,
    now: Timestamp,
) -> Decision {
    let case = Case {
        spec,
        record,
        circumstances,
        now,
    };
    if let ClockTrust::Distrusted { until_checked } = circumstances.clock {
        let action = Action::DistrustClock { until_checked };
        return Decision {
            action,
            reason: Reason::ClockWrong,
        };
    }
    let mut wake = (now + LONGEST_SLEEP, Reason::NothingToDo);
    let mut checks = case.targets();
    let rest = [Case::renewal_info, Case::order, Case::end];
    checks.extend(rest.map(|check| (Haste::Certificate, check(case))));
    checks.sort_by_key(|(haste, _)| *haste);
    for (_, check) in checks {
        match check {
            Check::Now(decision) => return decision,
            Check::NotBefore(time, reason) if time < wake.0 => wake = (time, reason),
            Check::NotBefore(..) | Check::Never => {}
        }
    }
    Decision {
        action: Action::SleepUntil(wake.0),
        reason: wake.1,
    }
}

/// The first moment at which an order is placed or gone on with, if nothing happens before: what
/// [`decide`] says then, rails and deadlines and all. Nothing if none is ever placed.
pub fn order_at(
    spec: &Spec,
    record: &Record,
    circumstances: &Circumstances,
    now: Timestamp,
) -> Option<Timestamp> {
    let mut at = circumstances.clock.trusted_from(now);
    // What holds an order back may change at each of the times that it names.
    for _ in 0..FORESIGHT {
        let case = Case {
            spec,
            record,
            circumstances,
            now: at,
        };
        match case.order() {
            Check::NotBefore(time, _) => at = time,
            Check::Now(_) => return Some(at),
            Check::Never => return None,
        }
    }
    Some(at)
}

/// The first moment at which a target may be given the newest generation, or asked for what it has,
/// as far as its ladder and the deadlines of others are concerned. Without a generation that may be
/// installed that is not before the next order.
pub fn install_at(
    spec: &Spec,
    record: &Record,
    circumstances: &Circumstances,
    target: &TargetId,
    now: Timestamp,
) -> Option<Timestamp> {
    let at = circumstances.clock.trusted_from(now);
    let case = Case {
        spec,
        record,
        circumstances,
        now: at,
    };
    let open_at = case.target_open_at(target)?;
    if record.usable(at).is_some() {
        return Some(open_at);
    }
    let order_at = order_at(spec, record, circumstances, now)?;
    Some(order_at.max(open_at))
}

/// So many times at which something may change are looked beyond.
const FORESIGHT: u32 = 16;

/// What one check says.
#[derive(Clone, Debug, PartialEq)]
enum Check {
    /// This, now.
    Now(Decision),
    /// Nothing before that time.
    NotBefore(Timestamp, Reason),
    /// Nothing.
    Never,
}

impl Check {
    /// The one that can be acted upon first; this one if both can.
    fn or_sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::Now(decision), _) | (_, Self::Now(decision)) => Self::Now(decision),
            (Self::NotBefore(one, reason), Self::NotBefore(another, _)) if one <= another => {
                Self::NotBefore(one, reason)
            }
            (Self::NotBefore(time, reason), Self::Never) | (_, Self::NotBefore(time, reason)) => {
                Self::NotBefore(time, reason)
            }
            (Self::Never, Self::Never) => Self::Never,
        }
    }
}

/// The four arguments of a decision.
#[derive(Clone, Copy)]
struct Case<'a> {
    spec: &'a Spec,
    record: &'a Record,
    circumstances: &'a Circumstances,
    now: Timestamp,
}

impl Case<'_> {
    /// The action now, or not before the latest of the times that hold it back.
    fn unless_held_back(
        self,
        action: Action,
        reason: Reason,
        holds: impl IntoIterator<Item = Option<Timestamp>>,
    ) -> Check {
        match holds
            .into_iter()
            .flatten()
            .filter(|time| *time > self.now)
            .max()
        {
            Some(time) => Check::NotBefore(time, Reason::Waiting),
            None => Check::Now(Decision { action, reason }),
        }
    }

    /// The action at `time`, or now if that has come.
    fn at(self, time: Timestamp, action: Action, reason: Reason) -> Check {
        if time <= self.now {
            Check::Now(Decision { action, reason })
        } else {
            Check::NotBefore(time, reason)
        }
    }

    /// Ask about renewal when nothing is known or what is known is stale; never after expiry (RFC
    /// 9773 §4.3).
    fn renewal_info(self) -> Check {
        let Some(issued) = self.record.usable(self.now) else {
            return Check::Never;
        };
        let fresh = issued.renewal_info.as_ref().and_then(|info| {
            let fresh = Deadline {
                until: info.ask_again,
                set_at: info.asked_at,
            };
            fresh.holding(self.now)
        });
        if !self.has_configured_issuer(issued) {
            return Check::Never;
        }
        if let Some(time) = fresh {
            return Check::NotBefore(time, Reason::RenewalInfoStale);
        }
        if issued.leaf.renewal_info_id().is_none() {
            return Check::Never;
        }
        // The question is asked without an account and about no name: only the CA itself closes it.
        let directory = issued.directory.clone();
        let closed = self
            .circumstances
            .closed(&Scope::Ca { directory }, self.now);
        self.at(
            closed.unwrap_or(self.now),
            Action::AskRenewalInfo,
            Reason::RenewalInfoStale,
        )
    }

    /// What is held is over at its end: a moment at which everything is decided anew.
    fn end(self) -> Check {
        self.record.usable(self.now).map_or(Check::Never, |issued| {
            Check::NotBefore(issued.leaf.not_after, Reason::Expired)
        })
    }

    fn has_configured_issuer(self, issued: &Issued) -> bool {
        self.spec
            .issuers
            .iter()
            .any(|issuer| issuer.directory == issued.directory)
    }
}

// === impl Action ===

impl Action {
    /// The word used in logs, metrics and `status`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::AskRenewalInfo => "ask-renewal-info",
            Self::DistrustClock { .. } => "distrust-clock",
            Self::Install { .. } => "install",
            Self::Look { .. } => "look",
            Self::Order { .. } => "order",
            Self::ProveOwner { .. } => "prove-owner",
            Self::ReadBack { .. } => "read-back",
            Self::SleepUntil(_) => "sleep",
        }
    }

    /// The target that it is about, if it is about one.
    pub fn target(&self) -> Option<&TargetId> {
        match self {
            Self::Install { target, .. }
            | Self::Look { target }
            | Self::ProveOwner { target, .. }
            | Self::ReadBack { target } => Some(target),
            Self::AskRenewalInfo
            | Self::DistrustClock { .. }
            | Self::Order { .. }
            | Self::SleepUntil(_) => None,
        }
    }
}

// === impl Reason ===

impl Reason {
    /// The word used in logs, metrics and `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeInstall => "before-install",
            Self::CaBudget => "ca-budget",
            Self::ClockWrong => "clock-wrong",
            Self::Drift => "drift",
            Self::DriftCheck => "drift-check",
            Self::Due => "due",
            Self::Expired => "expired",
            Self::FirstContact => "first-contact",
            Self::KeyChanged => "key-changed",
            Self::LostAnswer => "lost-answer",
            Self::NamesChanged => "names-changed",
            Self::NeverLooked => "never-looked",
            Self::NewerElsewhere => "newer-elsewhere",
            Self::NothingIssued => "nothing-issued",
            Self::NothingToDo => "nothing-to-do",
            Self::NotInstalled => "not-installed",
            Self::NotSeen => "not-seen",
            Self::OwnerUnproven => "owner-unproven",
            Self::ProfileChanged => "profile-changed",
            Self::Refused => "refused",
            Self::RenewalInfoStale => "renewal-info-stale",
            Self::Resume => "resume",
            Self::Revoked => "revoked",
            Self::UnknownLeaf => "unknown-leaf",
            Self::Waiting => "waiting",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod owner_tests;
#[cfg(test)]
mod tests;
