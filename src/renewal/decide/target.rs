//! What one target needs: to be asked, to be given the newest generation, to be looked at.

use std::time::Duration;

use super::manner::Manner;
use super::{Action, Case, Check, Decision, Reason};
use crate::name::TargetId;
use crate::renewal::backoff::{Ladder, named_until, retry_at};
use crate::renewal::record::{Api, Issued, Proving, TargetRecord};
use crate::renewal::spec::{OnDrift, TargetSpec};
use crate::renewal::trouble::Trouble;
use crate::retry::Scope;
use crate::time::{Deadline, Timestamp};

/// Looks at an edge that may still lag: from this, growing by half, to that.
const FIRST_LOOK: Duration = Duration::from_secs(5);
const LAST_LOOK: Duration = Duration::from_mins(1);

/// A look that contradicts an earlier proof is repeated this soon, until it is believed.
const DOUBT: Duration = Duration::from_mins(1);
pub(in crate::renewal) const DOUBTS: u32 = 3;

/// An edge that did not change in time is looked at this often.
const SLOW_LOOK: Duration = Duration::from_hours(1);

/// It is tried this often to prove who owns a domain.
const OWNER_PROOFS: Duration = Duration::from_hours(24);

pub(super) static UNKNOWN: TargetRecord = TargetRecord {
    installed: None,
    served: None,
    unknown_from: None,
    seen: None,
    proving: None,
    looked_at: None,
    out_of_reach: false,
    look_failure: None,
    mismatches: 0,
    api: Api::Unasked,
    asked_at: None,
    read_back_due: false,
    put_off: None,
    owner_proof: None,
    trouble: None,
};

/// Which of several steps that may be taken is taken first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Haste {
    /// A call about a target that may be made now, the look that goes before an install, or the first
    /// one of all.
    First,
    /// What the certificate needs itself.
    Certificate,
    /// A look that is due; the one that was longest ago first.
    Look(Option<Timestamp>),
    /// Nothing now.
    Later,
}

impl Haste {
    fn of(check: &Check, target: &TargetRecord) -> Self {
        match check {
            Check::Now(Decision {
                action: Action::Look { .. },
                reason,
            }) if ![Reason::BeforeInstall, Reason::NeverLooked].contains(reason) => {
                Self::Look(target.looked_at)
            }
            Check::Now(_) => Self::First,
            Check::NotBefore(..) | Check::Never => Self::Later,
        }
    }
}

/// One target with all that the checks ask about.
#[derive(Clone, Copy)]
struct At<'a> {
    case: Case<'a>,
    id: &'a TargetId,
    spec: &'a TargetSpec,
    target: &'a TargetRecord,
}

impl Case<'_> {
    /// What the targets need. Many edges that lag are always due to be looked at: that must not keep
    /// another target from what it waits for, nor from its own look, nor put off an order.
    pub(super) fn targets(self) -> Vec<(Haste, Check)> {
        let checks = self.spec.targets.iter().map(|(id, spec)| {
            let at = self.at_target(id, spec);
            let check = at.check();
            (Haste::of(&check, at.target), check)
        });
        checks.collect()
    }

    /// When nothing holds back the next call about a target any more. Nothing for one that is not
    /// configured.
    pub(super) fn target_open_at(self, id: &TargetId) -> Option<Timestamp> {
        let (id, spec) = self.spec.targets.get_key_value(id)?;
        let at = self.at_target(id, spec);
        let asks = at.target.read_back_due && at.may_ask()
            || at.target.installed.is_none() && at.target.is_unasked(self.now);
        let holds = match &self.record.issued {
            Some(issued) if !asks => at.install_holds(&at.manner(issued)),
            Some(_) | None => at.read_back_holds(),
        };
        Some(holds.into_iter().flatten().fold(self.now, Timestamp::max))
    }
}

impl<'a> Case<'a> {
    fn at_target(self, id: &'a TargetId, spec: &'a TargetSpec) -> At<'a> {
        At {
            case: self,
            id,
            spec,
            target: self.record.targets.get(id).unwrap_or(&UNKNOWN),
        }
    }
}

impl At<'_> {
    fn check(self) -> Check {
        // What is not asked while the API may not be may have to be asked then.
        let silent = self.target.silent_until(self.case.now);
        let spoken = silent.map_or(Check::Never, |time| Check::NotBefore(time, Reason::Waiting));
        self.step().or_sooner(spoken)
    }

    fn step(self) -> Check {
        if self.spec.look.enabled && self.target.looked_at.is_none() {
            return self.look(self.case.now, Reason::NeverLooked);
        }
        let Some(issued) = self.case.record.usable(self.case.now) else {
            return self.watch();
        };
        if self.target.read_back_due && self.may_ask() {
            // The edge may show it as well, and sooner.
            let look = self.look_slowly(issued, Reason::LostAnswer);
            return self.read_back(Reason::LostAnswer).or_sooner(look);
        }
        match &self.target.installed {
            Some(installed) if installed.generation == issued.generation => self.settle(issued),
            Some(_) | None => self.introduce(issued),
        }
    }

    /// The target does not have the newest generation.
    fn introduce(self, issued: &Issued) -> Check {
        // A leaf of ours is never pushed over a later one of ours.
        if self.target.has_newer(issued) {
            return self.watch_for(Reason::NewerElsewhere);
        }
        if self.target.installed.is_none() && self.target.is_unasked(self.case.now) {
            let read_back = self.read_back(Reason::FirstContact);
            return read_back.or_sooner(self.watch());
        }
        if self.is_unexplained(issued) {
            return self.read_back(Reason::UnknownLeaf).or_sooner(self.watch());
        }
        let was_seen = self
            .target
            .seen
            .is_some_and(|seen| seen.generation == issued.generation);
        let install = match (was_seen, self.spec.on_drift) {
            (true, OnDrift::Alert) => Check::Never,
            (true, OnDrift::Repair) => self.install(issued, Reason::Drift),
            (false, OnDrift::Alert | OnDrift::Repair) => self.install(issued, Reason::NotInstalled),
        };
        // While the install waits the edge is looked at all the same.
        install.or_sooner(self.watch())
    }

    /// Whether the edge serves a leaf that nobody here knows and that is not older than ours, or did not
    /// tell what it serves, and the API was not asked about it since: it may be ours, from a host that
    /// went on without us.
    fn is_unexplained(self, issued: &Issued) -> bool {
        let looked_at = self.target.looked_at.unwrap_or(self.case.now);
        let told = !self.target.is_unasked(self.case.now) && self.asked_since(looked_at);
        self.spec.look.enabled
            && (self.target.serves_recent_unknown(issued) || self.target.out_of_reach)
            && !told
            && self.may_ask()
    }

    /// Whether our credentials may read back, as far as we know.
    fn may_ask(self) -> bool {
        self.target.silent_until(self.case.now).is_none()
    }

    /// Whether the API was asked at `time` or after; what was asked in the future does not count.
    fn asked_since(self, time: Timestamp) -> bool {
        let asked_at = self.target.asked_at;
        asked_at.is_some_and(|at| time <= at && at <= self.case.now + LAST_LOOK)
    }

    /// The target has the newest generation as far as the API is concerned.
    fn settle(self, issued: &Issued) -> Check {
        match &self.target.proving {
            Some(proving) if proving.generation == issued.generation => {
                if self.spec.look.enabled {
                    self.prove(issued, proving)
                } else {
                    self.prove_by_read_back(issued, proving)
                }
            }
            Some(_) | None if !self.spec.look.enabled => Check::Never,
            Some(_) | None if self.target.has_drifted() => self.repair(issued),
            Some(_) | None if self.target.mismatches > 0 => self.look_after(DOUBT, Reason::Drift),
            Some(_) | None => self.watch(),
        }
    }

    /// Installed, not yet seen: look until the deadline, read back, install once more, look until a
    /// second deadline, then look slowly (the alert is a matter of the record's reader).
    fn prove(self, issued: &Issued, proving: &Proving) -> Check {
        let deadline = proving.since + self.spec.look.deadline;
        if self.case.now < deadline {
            if proving.looks == 0 {
                return self.look(self.case.now, Reason::NotSeen);
            }
            // The deadline itself is a moment at which something is decided.
            let left = deadline.since(self.target.looked_at.unwrap_or(self.case.now));
            return self.look_after(look_pause(proving.looks).min(left), Reason::NotSeen);
        }
        // Nobody may have looked when it passed: the daemon was not running.
        if self.target.looked_at.is_some_and(|at| at < deadline) {
            return self.look(self.case.now, Reason::NotSeen);
        }
        let look = self.look_slowly(issued, Reason::NotSeen);
        if proving.reinstalled || proving.unreachable {
            return look;
        }
        let asked = self.asked_since(deadline) && !self.is_unexplained(issued);
        if !asked && self.may_ask() {
            return self.read_back(Reason::NotSeen).or_sooner(look);
        }
        self.install(issued, Reason::NotSeen).or_sooner(look)
    }

    /// Looks are switched off: what the API tells counts as seen.
    fn prove_by_read_back(self, issued: &Issued, proving: &Proving) -> Check {
        match &self.target.api {
            Api::Ours { generation } if *generation == issued.generation => Check::Never,
            Api::Silent if !self.may_ask() => Check::Never,
            Api::Unasked | Api::Silent => self.read_back(Reason::NotSeen),
            Api::Ours { .. } | Api::Twin { .. } | Api::Foreign { .. } | Api::Nothing => {
                let deadline = proving.since + self.spec.look.deadline;
                let asked_at = self.target.asked_at.unwrap_or(proving.since);
                if self.case.now >= deadline && !proving.reinstalled {
                    // Nobody may have asked when it passed: the daemon was not running.
                    if !self.asked_since(deadline) {
                        return self.read_back(Reason::NotSeen);
                    }
                    return self.install(issued, Reason::NotSeen);
                }
                let pause = if proving.reinstalled {
                    SLOW_LOOK
                } else {
                    look_pause(proving.looks)
                };
                let time = self.not_in_the_future(asked_at + pause, asked_at);
                if time > self.case.now {
                    return Check::NotBefore(time, Reason::NotSeen);
                }
                self.read_back(Reason::NotSeen)
            }
        }
    }

    /// What had been seen is not served any more. A leaf that nobody here knows is asked about first:
    /// it may be ours, from a host that went on without us.
    fn repair(self, issued: &Issued) -> Check {
        if self.spec.on_drift == OnDrift::Alert {
            return self.watch();
        }
        let step = if self.is_unexplained(issued) {
            self.read_back(Reason::UnknownLeaf)
        } else {
            self.install(issued, Reason::Drift)
        };
        step.or_sooner(self.watch())
    }

    /// Nothing to do but to look again one day.
    fn watch(self) -> Check {
        self.watch_for(Reason::DriftCheck)
    }

    fn watch_for(self, reason: Reason) -> Check {
        if self.spec.look.enabled {
            self.look_after(self.spec.look.every.max(FIRST_LOOK), reason)
        } else {
            Check::Never
        }
    }

    /// Looks while nothing is expected to change soon.
    fn look_slowly(self, issued: &Issued, reason: Reason) -> Check {
        if self.spec.look.enabled {
            let pause = SLOW_LOOK.min((issued.leaf.lifetime() / 20).max(LAST_LOOK));
            self.look_after(pause, reason)
        } else {
            Check::Never
        }
    }

    fn look_after(self, pause: Duration, reason: Reason) -> Check {
        let time = self.target.looked_at.map_or(self.case.now, |from| {
            self.not_in_the_future(from + pause, from)
        });
        self.look(time, reason)
    }

    fn look(self, time: Timestamp, reason: Reason) -> Check {
        self.case.at(
            time,
            Action::Look {
                target: self.id.clone(),
            },
            reason,
        )
    }

    /// A time counted from a moment that has not come yet tells of a clock that was stepped back;
    /// the moment does not count then.
    fn not_in_the_future(self, time: Timestamp, from: Timestamp) -> Timestamp {
        if from > self.case.now + LAST_LOOK {
            self.case.now
        } else {
            time
        }
    }

    fn read_back(self, reason: Reason) -> Check {
        let action = Action::ReadBack {
            target: self.id.clone(),
        };
        self.case
            .unless_held_back(action, reason, self.read_back_holds())
    }

    fn read_back_holds(self) -> Vec<Option<Timestamp>> {
        // The question is the same for every generation.
        let also = |trouble: &Trouble| !trouble.needs_a_person();
        self.holds(&self.spec.read_back_scopes, also)
    }

    fn install_holds(self, manner: &Manner) -> Vec<Option<Timestamp>> {
        self.holds(&self.spec.scopes_of_install(manner), |_| false)
    }

    /// How the newest generation is to be installed, as far as that is known.
    fn manner(self, issued: &Issued) -> Manner {
        let trouble = self.target.trouble.as_ref();
        Manner::of(issued, &self.id.cloud, self.spec, trouble)
    }

    fn install(self, issued: &Issued, reason: Reason) -> Check {
        let manner = self.manner(issued);
        let holds = self.install_holds(&manner);
        let proof = self.prove_owner(issued);
        let action = Action::Install {
            target: self.id.clone(),
            generation: issued.generation,
            manner,
        };
        let install = match self.case.unless_held_back(action, reason, holds) {
            Check::Now(_) if self.saw_long_ago() => self.look(self.case.now, Reason::BeforeInstall),
            check @ (Check::Now(_) | Check::NotBefore(..) | Check::Never) => check,
        };
        proof.or_sooner(install)
    }

    /// The domain is refused because nobody has proven who owns it: that is done once a day for a
    /// generation, where it is wanted.
    fn prove_owner(self, issued: &Issued) -> Check {
        let (Some(proof), Some(trouble)) = (&self.spec.owner_proof, &self.target.trouble) else {
            return Check::Never;
        };
        let generation = issued.generation;
        let is_asked_for = trouble.generation == Some(generation)
            && trouble.failure.code.eq_ignore_ascii_case(&proof.code);
        if !is_asked_for {
            return Check::Never;
        }
        let last = self.target.owner_proof;
        let last = last.filter(|last| last.generation == generation);
        let pause =
            last.and_then(|last| Deadline::after(last.at, OWNER_PROOFS).holding(self.case.now));
        let scopes = proof.scopes.iter().chain(&self.case.spec.proof_scopes);
        let closed = scopes.map(|scope| self.case.circumstances.closed(scope, self.case.now));
        let action = Action::ProveOwner {
            target: self.id.clone(),
            generation,
        };
        let holds = closed.chain([pause]);
        self.case
            .unless_held_back(action, Reason::OwnerUnproven, holds)
    }

    /// Whether the last look is too old to install upon: this store may have been restored from a
    /// backup since. Looks are free; a later generation that is overwritten is not.
    fn saw_long_ago(self) -> bool {
        self.spec.look.enabled
            && self
                .target
                .looked_at
                .is_none_or(|at| self.case.now.distance(at) > LAST_LOOK)
    }

    /// The ladder of this target, and the deadlines of the scopes. What was wrong with another
    /// generation only counts if `also` says so.
    fn holds(self, scopes: &[Scope], also: impl Fn(&Trouble) -> bool) -> Vec<Option<Timestamp>> {
        let urgency = self.case.record.target_urgency(self.target);
        let newest = self.case.record.issued.as_ref().map(|i| i.generation);
        let relevant = self.target.trouble.as_ref().filter(|trouble| {
            trouble.generation.is_none() || trouble.generation == newest || also(trouble)
        });
        let ladder = relevant
            .and_then(|trouble| retry_at(trouble, Ladder::Installs, urgency, self.case.now));
        let named = self.target.trouble.as_ref();
        let named = named.and_then(|trouble| named_until(trouble, self.case.now));
        let closed = scopes
            .iter()
            .map(|scope| self.case.circumstances.closed(scope, self.case.now));
        let put_off = self.target.put_off;
        let put_off = put_off.and_then(|deadline| deadline.holding(self.case.now));
        let own = [ladder, named, put_off];
        own.into_iter().chain(closed).collect()
    }
}

/// The pause before the next look after `looks` looks.
fn look_pause(looks: u32) -> Duration {
    let steps = i32::try_from(looks.saturating_sub(1).min(16)).unwrap_or(16);
    FIRST_LOOK.mul_f64(1.5_f64.powi(steps)).min(LAST_LOOK)
}
