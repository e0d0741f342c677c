//! Whether to order, from whom, for which names, and what holds an order back.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Action, Case, Check, Reason};
use crate::name::DnsName;
use crate::renewal::backoff::{Ladder, Urgency, retry_at};
use crate::renewal::record::Issued;
use crate::renewal::schedule::{default_fraction, due_at};
use crate::renewal::spec::IssuerSpec;
use crate::retry::Scope;
use crate::time::{Deadline, Timestamp};

/// The brake counts the orders of a rolling day.
const BRAKE_WINDOW: Duration = Duration::from_hours(24);

/// In an emergency the brake lets one more order through this long after the last one.
const EMERGENCY_SPACING: Duration = Duration::from_hours(6);

/// No second order so soon after a success, or a quarter of the life where that is shorter.
const AFTER_SUCCESS: Duration = Duration::from_hours(1);

/// An issuer that fails this often in a row, or for this long, is not the only one tried.
const ISSUER_FAILURES: u32 = 3;
const ISSUER_OUTAGE: Duration = Duration::from_mins(30);

/// In this last part of a life a failing issuer is given up though something is still held.
const LAST_PART: u32 = 6;

/// What would be ordered now.
struct Plan<'a> {
    issuer: &'a IssuerSpec,
    names: BTreeSet<DnsName>,
    /// Whether these are the names of the last good certificate instead of the configured ones.
    is_last_good: bool,
}

impl<'a> Case<'a> {
    pub(super) fn order(self) -> Check {
        if self.spec.issuers.is_empty() {
            return Check::Never;
        }
        let (reason, wanted_at) = self.wanted();
        if wanted_at > self.now {
            return Check::NotBefore(wanted_at, reason);
        }
        let plan = self.plan();
        let holds = self.holds(&plan);
        let check = if self.is_under_way(&plan) {
            // Limits are on new orders; this one was accepted.
            let ca = Scope::Ca {
                directory: plan.issuer.directory.clone(),
            };
            let closed = self.circumstances.closed(&ca, self.now);
            let holds = holds.into_iter().chain([closed]);
            let action = self.action(&plan, false);
            self.unless_held_back(action, Reason::Resume, holds)
        } else {
            let directory = &plan.issuer.directory;
            let closed = self
                .circumstances
                .orders_closed(directory, &plan.names, self.now);
            let rails = [
                closed,
                self.after_success(reason),
                self.brake(reason),
                self.reissue_ladder(reason),
            ];
            let replaces = self.replaces(plan.issuer);
            let budget = self.out_of_budget(plan.issuer);
            let holds = holds.into_iter().chain(rails).chain([budget]);
            let action = self.action(&plan, replaces);
            match self.unless_held_back(action, reason, holds) {
                Check::NotBefore(time, _) if Some(time) == budget => {
                    Check::NotBefore(time, Reason::CaBudget)
                }
                check @ (Check::Now(_) | Check::NotBefore(..) | Check::Never) => check,
            }
        };
        match check {
            Check::NotBefore(time, reason) => {
                Check::NotBefore(self.or_turn_before(time, &plan), reason)
            }
            Check::Now(_) | Check::Never => check,
        }
    }

    /// Why and when an order is wanted, rails aside.
    fn wanted(self) -> (Reason, Timestamp) {
        let Some(issued) = &self.record.issued else {
            return (Reason::NothingIssued, self.now);
        };
        let changed = [
            (issued.revoked, Reason::Revoked),
            (issued.unusable.is_some(), Reason::Refused),
            (issued.leaf.not_after <= self.now, Reason::Expired),
            (!self.names_hold(issued), Reason::NamesChanged),
            (
                issued.leaf.key.is_some_and(|key| key != self.spec.key),
                Reason::KeyChanged,
            ),
            (self.profile_changed(issued), Reason::ProfileChanged),
        ];
        if let Some((_, reason)) = changed.into_iter().find(|(holds, _)| *holds) {
            return (reason, self.now);
        }
        let info = issued.renewal_info.as_ref();
        let window = info.and_then(|info| info.window);
        let picked = info.map_or(0.0, |info| info.picked);
        let due = due_at(&issued.leaf, window, picked, self.spec.renew);
        self.elsewhere_due(issued)
            .filter(|elsewhere| *elsewhere < due)
            .map_or((Reason::Due, due), |time| (Reason::NewerElsewhere, time))
    }

    /// When a generation that we do not hold, but that keeps ours from being installed, is due.
    fn elsewhere_due(self, issued: &Issued) -> Option<Timestamp> {
        let targets = self.spec.targets.keys();
        targets
            .filter_map(|id| self.record.targets.get(id))
            .filter(|target| target.has_newer(issued))
            .filter_map(|target| target.served.as_ref())
            .map(|served| {
                let life = served.urgency().lifetime;
                served.not_before + life.mul_f64(default_fraction(life))
            })
            .min()
    }

    /// The names on the certificate are those that are configured. A CA may add names that were not
    /// asked for; that is no change.
    fn names_hold(self, issued: &Issued) -> bool {
        self.spec.names.is_subset(&issued.leaf.names)
            && issued
                .leaf
                .names
                .iter()
                .all(|name| self.spec.names.contains(name) || issued.extra_names.contains(name))
    }

    fn profile_changed(self, issued: &Issued) -> bool {
        self.spec
            .issuer(&issued.issuer)
            .is_some_and(|issuer| issuer.profile != issued.profile)
    }

    fn action(self, plan: &Plan<'_>, replaces: bool) -> Action {
        Action::Order {
            issuer: plan.issuer.clone(),
            names: plan.names.clone(),
            replaces,
            overdraws: self.is_emergency(),
        }
    }

    fn plan(self) -> Plan<'a> {
        let last_good = self.last_good_names();
        Plan {
            issuer: self.issuer(),
            is_last_good: last_good.is_some(),
            names: last_good.unwrap_or_else(|| self.spec.names.clone()),
        }
    }

    /// The names of the last good certificate, when it comes to its end and the changed names could
    /// not be had, if all of them are still configured.
    fn last_good_names(self) -> Option<BTreeSet<DnsName>> {
        let issued = self.record.issued.as_ref()?;
        self.record.orders.trouble.as_ref()?;
        let names: BTreeSet<DnsName> = issued
            .leaf
            .names
            .difference(&issued.extra_names)
            .cloned()
            .collect();
        let applies = issued.urgency().is_emergency(self.now)
            && names != self.spec.names
            && !names.is_empty()
            && names.is_subset(&self.spec.names);
        applies.then_some(names)
    }

    /// Whether the order under way is the one that is planned.
    fn is_under_way(self, plan: &Plan<'_>) -> bool {
        self.record.orders.open.as_ref().is_some_and(|open| {
            open.accepted_at.is_some()
                && open.issuer == plan.issuer.name
                && open.directory == plan.issuer.directory
                && open.names == plan.names
                && open.key == self.spec.key
                && open.profile == plan.issuer.profile
        })
    }

    /// What may hold any order back: the ladder, the time that the issuer named, and what the proofs
    /// need.
    fn holds(self, plan: &Plan<'_>) -> Vec<Option<Timestamp>> {
        let before = self.record.orders.issuers.get(&plan.issuer.name);
        let named = before
            .and_then(|trouble| trouble.named)
            .and_then(|deadline| deadline.holding(self.now));
        let trouble = self.record.orders.trouble.as_ref().filter(|trouble| {
            // A failure says nothing about an issuer that was not asked, and one from before the
            // emergency nothing about the names that only the emergency falls back to.
            before.is_some_and(|trouble| trouble.failures > 0)
                && !(plan.is_last_good && Some(trouble.last_at) < self.own_emergency_from())
        });
        let ladder =
            trouble.and_then(|trouble| retry_at(trouble, Ladder::Orders, self.urgency(), self.now));
        let proof = self.spec.proof_scopes.iter();
        let proof = proof.map(|scope| self.circumstances.closed(scope, self.now));
        [ladder, named].into_iter().chain(proof).collect()
    }

    /// That time, or the moment before it at which the plan or the rails change: the emergency
    /// begins, or the issuer is given up.
    fn or_turn_before(self, time: Timestamp, plan: &Plan<'_>) -> Timestamp {
        [
            self.emergency_from(),
            self.own_emergency_from(),
            self.gives_up_at(plan),
        ]
        .into_iter()
        .flatten()
        .filter(|turn| *turn > self.now)
        .fold(time, Timestamp::min)
    }

    /// When the planned issuer is given up for the next one, if it goes on failing.
    fn gives_up_at(self, plan: &Plan<'_>) -> Option<Timestamp> {
        let trouble = self.record.orders.issuers.get(&plan.issuer.name);
        let failing = trouble.filter(|trouble| trouble.failures > 0);
        let spent = self.out_of_budget(plan.issuer).is_some();
        if self.spec.issuers.len() < 2 || failing.is_none() && !spent {
            None
        } else if self.is_pressing() {
            failing.map(|trouble| trouble.since + ISSUER_OUTAGE)
        } else {
            self.last_part_from()
        }
    }

    /// Rail: until when the limits of a CA leave no room for an order. In an emergency that is for the CA
    /// to say.
    fn out_of_budget(self, issuer: &IssuerSpec) -> Option<Timestamp> {
        if self.is_emergency() {
            return None;
        }
        let held_back = self.record.orders.out_of_budget.get(&issuer.name)?;
        held_back.deadline.holding(self.now)
    }

    /// Rail: no second order right after a success, unless the admin or the CA changed something.
    fn after_success(self, reason: Reason) -> Option<Timestamp> {
        match reason {
            Reason::NamesChanged
            | Reason::KeyChanged
            | Reason::ProfileChanged
            | Reason::Revoked => None,
            Reason::BeforeInstall
            | Reason::CaBudget
            | Reason::ClockWrong
            | Reason::Drift
            | Reason::DriftCheck
            | Reason::Due
            | Reason::Expired
            | Reason::FirstContact
            | Reason::LostAnswer
            | Reason::NeverLooked
            | Reason::NewerElsewhere
            | Reason::NothingIssued
            | Reason::NothingToDo
            | Reason::NotInstalled
            | Reason::NotSeen
            | Reason::OwnerUnproven
            | Reason::Refused
            | Reason::RenewalInfoStale
            | Reason::Resume
            | Reason::UnknownLeaf
            | Reason::Waiting => {
                let issued = self.record.issued.as_ref()?;
                let pause = AFTER_SUCCESS.min(issued.leaf.lifetime() / 4);
                Deadline::after(issued.at, pause).holding(self.now)
            }
        }
    }

    /// Rail: at most so many orders in a rolling day. An emergency may add one per six hours; a pair
    /// that was refused is no such emergency, for the next one may be refused as well.
    fn brake(self, reason: Reason) -> Option<Timestamp> {
        let allowed = usize::try_from(self.spec.orders_per_day).unwrap_or(usize::MAX);
        let mut recent: Vec<Timestamp> = self
            .record
            .orders
            .accepted
            .iter()
            .map(|order| order.at)
            .filter(|at| self.now.distance(*at) < BRAKE_WINDOW)
            .collect();
        recent.sort_unstable();
        let free_at = match recent.len().checked_sub(allowed) {
            None => return None,
            Some(place) => recent
                .get(place)
                .map_or(self.now + BRAKE_WINDOW, |at| *at + BRAKE_WINDOW),
        };
        if reason != Reason::Refused && self.is_emergency() {
            return recent
                .last()
                .map(|at| (*at + EMERGENCY_SPACING).min(free_at));
        }
        Some(free_at)
    }

    /// A pair that was refused is ordered anew on the ladder of orders.
    fn reissue_ladder(self, reason: Reason) -> Option<Timestamp> {
        let trouble = self.record.orders.reissues.as_ref()?;
        if reason != Reason::Refused {
            return None;
        }
        retry_at(trouble, Ladder::Orders, self.urgency(), self.now)
    }

    /// The first issuer that is not given up, or the one that failed least.
    fn issuer(self) -> &'a IssuerSpec {
        let issuers = &self.spec.issuers;
        let failures = |issuer: &IssuerSpec| {
            self.record
                .orders
                .issuers
                .get(&issuer.name)
                .map_or(0, |trouble| trouble.failures)
        };
        issuers
            .iter()
            .find(|issuer| !self.is_given_up(issuer))
            .or_else(|| issuers.iter().min_by_key(|issuer| failures(issuer)))
            .expect("an order is only decided for a spec with issuers")
    }

    /// Whether the next issuer is to be tried: this one keeps failing or takes no more for longer, and
    /// either nothing is held yet or the last sixth of the life has begun.
    fn is_given_up(self, issuer: &IssuerSpec) -> bool {
        let spent = self
            .out_of_budget(issuer)
            .is_some_and(|until| until.since(self.now) >= ISSUER_OUTAGE);
        if spent && self.is_pressing() {
            return true;
        }
        let Some(trouble) = self.record.orders.issuers.get(&issuer.name) else {
            return false;
        };
        let failing = trouble.failures >= ISSUER_FAILURES
            || trouble.failures > 0 && self.now.since(trouble.since) >= ISSUER_OUTAGE;
        failing && self.is_pressing()
    }

    fn is_pressing(self) -> bool {
        self.last_part_from().is_none_or(|from| from <= self.now)
    }

    fn last_part_from(self) -> Option<Timestamp> {
        self.record.issued.as_ref()?;
        self.record
            .urgencies(self.spec.targets.keys())
            .map(|urgency| urgency.not_after - urgency.lifetime / LAST_PART)
            .min()
    }

    /// The CA may be told what is replaced if it is the same CA and it knows renewal information.
    fn replaces(self, issuer: &IssuerSpec) -> bool {
        self.record.issued.as_ref().is_some_and(|issued| {
            issued.directory == issuer.directory
                && !issued.revoked
                && issued.leaf.renewal_info_id().is_some()
                && issued
                    .renewal_info
                    .as_ref()
                    .is_some_and(|info| info.supported)
        })
    }

    /// How urgent an order is: as the most urgent target that can still be saved. One that is over
    /// already must not slow down what is done for the others.
    fn urgency(self) -> Option<Urgency> {
        self.record.issued.as_ref()?;
        let rank = |urgency: &Urgency| (urgency.not_after <= self.now, urgency.not_after);
        self.record
            .urgencies(self.spec.targets.keys())
            .min_by_key(rank)
    }

    /// When the emergency of the first target begins or began.
    fn emergency_from(self) -> Option<Timestamp> {
        self.record.issued.as_ref()?;
        self.record
            .urgencies(self.spec.targets.keys())
            .map(Urgency::emergency_from)
            .min()
    }

    /// When that of the newest generation itself does.
    fn own_emergency_from(self) -> Option<Timestamp> {
        let issued = self.record.issued.as_ref()?;
        Some(issued.urgency().emergency_from())
    }

    fn is_emergency(self) -> bool {
        self.emergency_from().is_some_and(|from| from <= self.now)
    }
}
