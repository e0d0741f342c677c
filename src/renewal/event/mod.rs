//! What happened when a step was performed, and how it changes the record.
//!
//! Whatever is random was drawn by the shell and arrives as a number from 0.0 to 1.0 (`jitter`,
//! `picked`).

mod copy;
mod order;
mod target;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::backoff::doubled;
use super::budget::Exhausted;
use super::record::{
    Installed, Issued, Record, RenewalInfo, Served, StoredCopy, StoredPlace, TargetRecord,
    Unusable, millionths,
};
use super::trouble::Trouble;
use crate::certificate::KeyType;
use crate::name::{DnsName, TargetId};
use crate::retry::{Class, Failure};
use crate::time::{Timestamp, Window};

/// After a failed question about renewal: 1 m, 2 m, 4 m … up to six hours (RFC 9773 §4.3.3).
const ASK_AGAIN_FIRST: Duration = Duration::from_mins(1);
const ASK_AGAIN_LAST: Duration = Duration::from_hours(6);

/// What the CA answered about renewal.
#[derive(Clone, Debug, PartialEq)]
pub struct RenewalAnswer {
    /// The suggested window; nothing if the answer makes no sense, which takes no window back that
    /// was suggested before.
    pub window: Option<Window>,
    /// A page that explains it.
    pub explanation: Option<String>,
    /// Whether the CA answers such questions at all.
    pub supported: bool,
    /// When to ask again.
    pub ask_again: Timestamp,
    /// The place in a window that is new.
    pub picked: f64,
}

/// What is about to be ordered.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderIntent {
    /// The issuer's name.
    pub issuer: String,
    /// The URL of the CA's directory.
    pub directory: String,
    /// The names.
    pub names: BTreeSet<DnsName>,
    /// The kind of key.
    pub key: KeyType,
    /// The profile.
    pub profile: Option<String>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The spec, the credentials or the program are not what they were: what waited for a person is
    /// tried anew.
    Reconfigured {
        /// The new digest.
        digest: String,
    },
    /// The CA answered about renewal.
    RenewalInfoAnswered(RenewalAnswer),
    /// The CA did not answer about renewal.
    RenewalInfoFailed {
        /// Why.
        failure: Failure,
    },
    /// An order is about to be sent; from here on it counts for the brake.
    OrderIntended(OrderIntent),
    /// No order was sent, because the CA's limits leave no room for it.
    OrderHeldBack {
        /// The issuer's name.
        issuer: String,
        /// What is used up.
        exhausted: Exhausted,
        /// Spreads those who wait for the same.
        jitter: f64,
    },
    /// The CA accepted the order, its URL is stored.
    OrderAccepted,
    /// The order under way is over without a certificate: gone, invalid, or for other names than
    /// are wanted now.
    OrderDropped,
    /// Ordering failed.
    OrderFailed {
        /// The issuer's name.
        issuer: String,
        /// Why.
        failure: Failure,
        /// What that means for the order under way.
        order: OrderFate,
        /// Spreads the retries.
        jitter: f64,
    },
    /// A certificate was issued and stored.
    Issued(Box<Issued>),
    /// A generation is about to be pushed. Should nothing be heard of it again, the target is read
    /// back before anything is repeated.
    InstallIntended {
        /// Where.
        target: TargetId,
    },
    /// A generation was stored in a cloud, and no target is bound to it yet.
    Stored {
        /// The cloud's name in the configuration.
        cloud: String,
        /// Which.
        generation: u32,
        /// The copy.
        copy: StoredCopy,
    },
    /// The API took a generation.
    Installed {
        /// Where.
        target: TargetId,
        /// What.
        installed: Installed,
    },
    /// The API did not take a generation, or we do not know that it did.
    InstallFailed {
        /// Where.
        target: TargetId,
        /// Which.
        generation: u32,
        /// Why.
        failure: Failure,
        /// Whether it may have been taken all the same: the target is read back before anything is
        /// repeated.
        may_have_happened: bool,
        /// The copy that it was to be bound to; nothing if it was to be uploaded.
        bound: Option<Bound>,
        /// Spreads the retries.
        jitter: f64,
    },
    /// It is about to be proven who owns the domain of a target.
    OwnerProofIntended {
        /// Where.
        target: TargetId,
        /// The generation that is refused without.
        generation: u32,
    },
    /// It was left off before it was checked who owns the domain of a target, because the daemon stops:
    /// it is as if it had not been tried.
    OwnerProofParked {
        /// Where.
        target: TargetId,
    },
    /// It is proven who owns the domain of a target.
    OwnerProven {
        /// Where.
        target: TargetId,
    },
    /// It is not proven who owns the domain of a target.
    OwnerProofFailed {
        /// Where.
        target: TargetId,
        /// Why not.
        failure: Failure,
    },
    /// Nobody was asked to install or read back: while the call waited for its turn, others were refused
    /// for a while. That says nothing about the target.
    NotSent {
        /// Where.
        target: TargetId,
        /// Whether a read-back is due, as before.
        read_back_due: bool,
    },
    /// The API told what it has.
    ReadBack {
        /// Where.
        target: TargetId,
        /// What.
        found: Found,
    },
    /// The API did not tell what it has.
    ReadBackFailed {
        /// Where.
        target: TargetId,
        /// Why.
        failure: Failure,
        /// Whether the credentials may not ask. That is a policy and no trouble: installs go on
        /// without.
        lacks_permission: bool,
        /// Spreads the retries.
        jitter: f64,
    },
    /// The edge was looked at.
    Looked {
        /// Where.
        target: TargetId,
        /// What was seen.
        sight: Sight,
        /// The addresses that were looked at; none if they could not be found out.
        addresses: BTreeSet<SocketAddr>,
    },
}

/// A copy in a cloud's certificate store to which a target could not be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Where it was to be.
    pub place: StoredPlace,
    /// Whether it is said not to be there.
    pub is_missing: bool,
}

/// What a failure means for the order under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderFate {
    /// It may be taken up again.
    Open,
    /// Nothing more can come of it. If it was accepted, or may have been, it counts for the brake.
    Over,
    /// The CA refused to take it: it counts for nothing.
    Refused,
}

/// What the API has at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No certificate, or HTTPS is off.
    Nothing,
    /// A certificate that is not of this installation.
    Foreign {
        /// Its name.
        cert_name: String,
    },
    /// A certificate of this installation.
    Ours(Installed),
    /// A certificate that another copy of this store has made: a backup that was restored, or a host
    /// that went on without us. It counts its generations from where ours did, so that the number
    /// alone would be taken for one of ours.
    Twin {
        /// Its name.
        cert_name: String,
        /// The number in the name.
        generation: u32,
        /// The first moment of its validity; the end of that day where the API does not tell.
        not_before: Timestamp,
    },
}

/// What a look at every address of a target saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// All addresses that could be reached served these leaves; one if they agree.
    Leaves(Vec<Served>),
    /// At least one address was reached and did not complete the handshake.
    Broken {
        /// What it said.
        why: String,
        /// The leaves that other addresses served.
        others: Vec<Served>,
    },
    /// No address could be reached, or there was none.
    Unreachable {
        /// Why not.
        why: String,
    },
}

impl Record {
    /// Takes in what happened. The only mutation.
    pub fn apply(&mut self, event: Event, now: Timestamp) {
        self.step_back(now);
        match event {
            Event::Reconfigured { digest } => self.reconfigure(digest, now),
            Event::RenewalInfoAnswered(answer) => self.answer_renewal_info(answer.told_at(now)),
            Event::RenewalInfoFailed { failure } => self.fail_renewal_info(&failure, now),
            Event::OrderIntended(intent) => self.orders.intend(intent.opened_at(now)),
            Event::OrderHeldBack {
                issuer,
                exhausted,
                jitter,
            } => self.orders.hold_back(issuer, exhausted, jitter, now),
            Event::OrderAccepted => self.orders.accept(now),
            Event::OrderDropped => self.orders.open = None,
            Event::OrderFailed {
                issuer,
                failure,
                order,
                jitter,
            } => self.orders.fail(issuer, failure, order, jitter, now),
            Event::Issued(issued) => self.issue(*issued, now),
            Event::InstallIntended { target } => self.target_mut(target).read_back_due = true,
            Event::Stored {
                cloud,
                generation,
                copy,
            } => self.store_copy(cloud, generation, copy),
            Event::Installed { target, installed } => self.install(target, installed, now),
            Event::InstallFailed {
                target,
                generation,
                failure,
                may_have_happened,
                bound,
                jitter,
            } => {
                let class = self.fail_install(&target, generation, &failure, jitter, now);
                let known = self.target_mut(target.clone());
                known.expect_lost(may_have_happened || class == Class::Reconcile);
                self.fail_to_bind(&target, generation, bound.as_ref(), class);
            }
            Event::OwnerProofIntended { target, generation } => {
                self.target_mut(target).intend_owner_proof(generation, now);
            }
            Event::OwnerProofParked { target } => self.target_mut(target).owner_proof = None,
            // What was refused without it is worth another try at once.
            Event::OwnerProven { target } => self.target_mut(target).trouble = None,
            // The refusal that asked for it stands.
            Event::OwnerProofFailed { .. } => {}
            Event::NotSent {
                target,
                read_back_due,
            } => self.target_mut(target).put_off(read_back_due, now),
            Event::ReadBack { target, found } => self.read_back(target, found, now),
            Event::ReadBackFailed {
                target,
                lacks_permission: true,
                ..
            } => self.target_mut(target).fall_silent(now),
            Event::ReadBackFailed {
                target,
                failure,
                lacks_permission: false,
                jitter,
            } => self.fail_read_back(target, failure, jitter, now),
            Event::Looked {
                target,
                sight,
                addresses,
            } => self.target_mut(target).look(sight, addresses, now),
        }
    }

    /// Takes back to now what lies ahead: the clock was set back since. Neither the rail after a
    /// success nor the brake may come back with the time that they were counted from.
    fn step_back(&mut self, now: Timestamp) {
        if let Some(issued) = &mut self.issued {
            issued.at = issued.at.min(now);
        }
        for order in &mut self.orders.accepted {
            order.at = order.at.min(now);
        }
        if let Some(open) = &mut self.orders.open {
            open.intended_at = open.intended_at.min(now);
        }
    }

    fn install(&mut self, target: TargetId, installed: Installed, now: Timestamp) {
        if let Some(issued) = &mut self.issued {
            issued.learn_copy(&target.cloud, &installed);
        }
        self.target_mut(target).install(installed, now);
        self.orders.reissues = None;
    }

    fn target_mut(&mut self, id: TargetId) -> &mut TargetRecord {
        self.targets.entry(id).or_default()
    }

    /// What waited for a person is forgotten, but for a time that the other side named. Failed orders
    /// start their ladder anew: whoever mended a name or a zone should not wait out the day of a late
    /// rung.
    fn reconfigure(&mut self, digest: String, now: Timestamp) {
        self.digest = digest;
        // The limits themselves may be what changed; the ledger is asked anew.
        self.orders.out_of_budget.clear();
        if self.orders.trouble.is_some() {
            self.orders.forget_trouble(now);
        }
        let reissues = self.orders.reissues.take();
        self.orders.reissues = reissues.filter(|trouble| !trouble.needs_a_person());
        for target in self.targets.values_mut() {
            target.forget_what_waits(now);
            target.break_silence();
        }
    }

    /// Keeps the place that was picked while the window stays what it was; a fresh pick at every
    /// answer could put a renewal off for ever. An answer without a window is no better than none: it
    /// leaves what was suggested before. An answer that is stale at once is asked for again in a minute.
    fn answer_renewal_info(&mut self, mut answer: RenewalInfo) {
        let Some(issued) = &mut self.issued else {
            return;
        };
        answer.ask_again = answer.ask_again.max(answer.asked_at + ASK_AGAIN_FIRST);
        let before = issued.renewal_info.take();
        if let Some(before) = before {
            let says_nothing = answer.supported && answer.window.is_none();
            if says_nothing || before.window == answer.window {
                answer.picked = before.picked;
            }
            if says_nothing {
                answer.window = before.window;
                answer.explanation = before.explanation;
            }
        }
        issued.renewal_info = Some(answer);
    }

    /// Asked again on a ladder, but not before the time that the CA named.
    fn fail_renewal_info(&mut self, failure: &Failure, now: Timestamp) {
        let Some(issued) = &mut self.issued else {
            return;
        };
        let before = issued.renewal_info.take();
        let failures = before.as_ref().map_or(0, |info| info.failures);
        let delay = doubled(ASK_AGAIN_FIRST, ASK_AGAIN_LAST, failures);
        issued.renewal_info = Some(RenewalInfo {
            asked_at: now,
            ask_again: failure.not_before.unwrap_or(now).max(now + delay),
            failures: failures.saturating_add(1),
            ..before.unwrap_or(RenewalInfo {
                window: None,
                picked: 0.0,
                explanation: None,
                supported: true,
                asked_at: now,
                ask_again: now,
                failures: 0,
            })
        });
    }

    fn issue(&mut self, issued: Issued, now: Timestamp) {
        self.newest_generation = self.newest_generation.max(issued.generation);
        self.orders.open = None;
        self.orders.forget_trouble(now);
        self.orders.out_of_budget.clear();
        self.issued = Some(issued);
        // A new generation is a new question.
        for target in self.targets.values_mut() {
            let about_all = |trouble: &Trouble| trouble.generation.is_none();
            if target.trouble.as_ref().is_some_and(about_all) {
                target.forget_what_waits(now);
            }
            target.break_silence();
        }
    }

    /// Drops a pair that was refused for good. Several targets may refuse the same generation; it
    /// counts once.
    fn refuse_generation(
        &mut self,
        generation: u32,
        failure: Failure,
        jitter: f64,
        now: Timestamp,
    ) {
        let Some(issued) = &mut self.issued else {
            return;
        };
        if issued.generation != generation || issued.unusable.is_some() {
            return;
        }
        issued.unusable = Some(Unusable {
            code: failure.code.clone(),
            at: now,
        });
        let before = self.orders.reissues.take();
        self.orders.reissues = Some(Trouble::add(before, failure, Some(generation), jitter, now));
    }

    /// A pair that is refused for good is dropped.
    fn fail_install(
        &mut self,
        target: &TargetId,
        generation: u32,
        failure: &Failure,
        jitter: f64,
        now: Timestamp,
    ) -> Class {
        let known = self.target_mut(target.clone());
        let class = known.fail_install(generation, failure.clone(), jitter, now);
        if class == Class::Reissue {
            self.refuse_generation(generation, failure.clone(), jitter, now);
        }
        class
    }

    fn fail_read_back(&mut self, target: TargetId, failure: Failure, jitter: f64, now: Timestamp) {
        let held = self.issued.as_ref().map(|issued| issued.generation);
        let target = self.target_mut(target);
        target.fail_read_back(failure, jitter, held, now);
    }

    /// A name of ours with a generation that we do not know comes from a time after the backup that
    /// this store was restored from, or from a host that went on without us: the counter continues
    /// above it.
    fn read_back(&mut self, target: TargetId, found: Found, now: Timestamp) {
        let generation = match &found {
            Found::Ours(installed) => installed.generation,
            Found::Twin { generation, .. } => *generation,
            Found::Nothing | Found::Foreign { .. } => 0,
        };
        self.newest_generation = self.newest_generation.max(generation);
        if let (Some(issued), Found::Ours(installed)) = (&mut self.issued, &found) {
            issued.learn_copy(&target.cloud, installed);
        }
        let target = self.targets.entry(target).or_default();
        let held = self.issued.as_ref().map(|issued| issued.generation);
        target.find(found, held, now);
        if let Some(issued) = &self.issued
            && target.has_newer(issued)
        {
            // What is proven there is not what was installed.
            target.give_way();
        }
    }
}

// === impl RenewalAnswer ===

impl RenewalAnswer {
    fn told_at(self, now: Timestamp) -> RenewalInfo {
        RenewalInfo {
            window: self.window,
            picked: millionths(self.picked),
            explanation: self.explanation,
            supported: self.supported,
            asked_at: now,
            ask_again: self.ask_again,
            failures: 0,
        }
    }
}

#[cfg(test)]
mod tests;
