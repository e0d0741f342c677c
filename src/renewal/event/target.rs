//! What happened at one target, and how it changes what is known of it.

use std::collections::BTreeSet;
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Bound, Found, Sight};
use crate::renewal::backoff::named_until;
use crate::renewal::record::{Api, Installed, OwnerAttempt, Proving, Seen, Served, TargetRecord};
use crate::renewal::trouble::Trouble;
use crate::retry::{Class, Failure};
use crate::time::{Deadline, Timestamp};

/// After a call that was not sent. By then it is stored until when its action is refused.
const NOT_SENT: Duration = Duration::from_secs(5);

/// An edge that leads elsewhere at every look is not followed for ever.
const MOST_ADDRESSES: usize = 64;

impl TargetRecord {
    pub(super) fn install(&mut self, installed: Installed, now: Timestamp) {
        let generation = installed.generation;
        let repeated = self
            .proving
            .as_ref()
            .is_some_and(|proving| proving.generation == generation);
        self.proving = Some(Proving {
            generation,
            since: now,
            looks: 0,
            reinstalled: repeated,
            unreachable: false,
            addresses: BTreeSet::new(),
        });
        // A 200 is a promise, not an answer to the question what is there. Whether the question may be
        // asked does not change with it.
        if self.api != Api::Silent {
            self.api = Api::Unasked;
        }
        self.installed = Some(installed);
        self.read_back_due = false;
        self.mismatches = 0;
        self.trouble = None;
    }

    /// Puts a failed install onto its ladder; returns what is to be done about it.
    pub(super) fn fail_install(
        &mut self,
        generation: u32,
        failure: Failure,
        jitter: f64,
        now: Timestamp,
    ) -> Class {
        // What was wrong with another generation says nothing about this one, but a refusal of
        // generation after generation must not start its ladder anew each time.
        let before = self.trouble.take().filter(|trouble| {
            trouble.generation == Some(generation)
                || matches!(trouble.class(), Class::After | Class::Backoff)
        });
        let before = before.map(|trouble| trouble.carried_over_to(generation));
        let trouble = Trouble::add(before, failure, Some(generation), jitter, now);
        self.trouble.insert(trouble).class()
    }

    /// Whether the last install may have happened although it was reported as failed: then the
    /// target is read back first, and what may be stored under the name is bound.
    pub(super) fn expect_lost(&mut self, may_have_happened: bool) {
        self.read_back_due = may_have_happened;
        if let Some(trouble) = &mut self.trouble {
            trouble.bind |= may_have_happened;
        }
    }

    /// A call about it was not sent, and it is what it was before.
    pub(super) fn put_off(&mut self, read_back_due: bool, now: Timestamp) {
        self.read_back_due = read_back_due;
        self.put_off = Some(Deadline::after(now, NOT_SENT));
    }

    pub(super) fn intend_owner_proof(&mut self, generation: u32, now: Timestamp) {
        self.owner_proof = Some(OwnerAttempt {
            generation,
            at: now,
        });
    }

    /// A copy that is said not to be where it was found is looked for anew.
    pub(super) fn miss_copy(&mut self, bound: &Bound, class: Class) {
        let trouble = self.trouble.as_mut();
        if let Some(trouble) = trouble.filter(|_| bound.is_missing && class == Class::Refresh) {
            trouble.missing = Some(bound.place.clone());
            trouble.bind = true;
        }
    }

    /// What waits for a person is forgotten, but for a time that the other side named.
    pub(super) fn forget_what_waits(&mut self, now: Timestamp) {
        self.trouble = self
            .trouble
            .take()
            .filter(|trouble| !trouble.needs_a_person() || named_until(trouble, now).is_some());
    }

    /// An API that was not to be asked may be asked again.
    pub(super) fn break_silence(&mut self) {
        if self.api == Api::Silent {
            self.api = Api::Unasked;
        }
    }

    /// `held` is the newest generation, which every install is about.
    pub(super) fn find(&mut self, found: Found, held: Option<u32>, now: Timestamp) {
        self.step_back(now);
        let attempted = mem::take(&mut self.read_back_due);
        self.asked_at = Some(now);
        // A trouble that no install has begun was about reading back.
        self.trouble = self.trouble.take().filter(|t| t.generation.is_some());
        match found {
            Found::Nothing => self.find_other(Api::Nothing),
            Found::Foreign { cert_name } => self.find_other(Api::Foreign { cert_name }),
            Found::Ours(installed)
                if attempted
                    && held == Some(installed.generation)
                    && self.has(installed.generation) =>
            {
                self.find_repeated(installed, now);
            }
            Found::Ours(installed) => self.find_ours(installed, now),
            Found::Twin {
                cert_name,
                not_before,
                ..
            } => self.find_other(Api::Twin {
                cert_name,
                not_before,
            }),
        }
    }

    /// A repeated install whose answer did not tell that it was one: what is there is what it was to
    /// bring about. Were it not taken for done it would be repeated again and again.
    fn find_repeated(&mut self, installed: Installed, now: Timestamp) {
        let generation = installed.generation;
        self.install(installed, now);
        self.api = Api::Ours { generation };
    }

    fn has(&self, generation: u32) -> bool {
        let installed = self.installed.as_ref();
        installed.is_some_and(|installed| installed.generation == generation)
    }

    fn find_ours(&mut self, installed: Installed, now: Timestamp) {
        let generation = installed.generation;
        let api = Api::Ours { generation };
        let proving = self.proving.as_ref();
        if proving.is_some_and(|proving| generation < proving.generation) {
            return self.find_other(api);
        }
        self.api = api;
        if !self.has(generation) {
            self.proving = Some(Proving {
                generation,
                since: now,
                looks: 0,
                reinstalled: false,
                unreachable: false,
                addresses: BTreeSet::new(),
            });
        }
        self.installed = Some(installed);
        self.end_trouble_with(generation);
    }

    /// A later leaf of another copy of this store is there: ours is neither installed nor proven.
    pub(super) fn give_way(&mut self) {
        if matches!(self.api, Api::Twin { .. }) {
            self.proving = None;
            self.installed = None;
        }
    }

    /// What was wrong with a generation is over once that generation is there. That another one is
    /// there says nothing: its ladder must go on.
    fn end_trouble_with(&mut self, generation: u32) {
        self.trouble = self
            .trouble
            .take()
            .filter(|trouble| trouble.generation != Some(generation));
    }

    /// The API may lag behind an install as the edge does: while one is being proven, its deadline
    /// decides and not the first look.
    fn find_other(&mut self, api: Api) {
        self.api = api;
        match &mut self.proving {
            Some(proving) => proving.looks = proving.looks.saturating_add(1),
            None => self.installed = None,
        }
    }

    pub(super) fn fail_read_back(
        &mut self,
        failure: Failure,
        jitter: f64,
        held: Option<u32>,
        now: Timestamp,
    ) {
        self.step_back(now);
        self.asked_at = Some(now);
        let before = self.trouble.take();
        // A row that began with a generation that is not held any more goes on as one of reading back:
        // what is about that generation alone would hold nothing back.
        let generation = before.as_ref().and_then(|trouble| trouble.generation);
        let generation = generation.filter(|generation| Some(*generation) == held);
        self.trouble = Some(Trouble::add(before, failure, generation, jitter, now));
        // What it told before is older than the question.
        self.api = Api::Unasked;
    }

    /// Our credentials may not ask. A policy that allows to install but not to read must not stop the
    /// installs, nor make them forget their ladder.
    pub(super) fn fall_silent(&mut self, now: Timestamp) {
        self.step_back(now);
        self.asked_at = Some(now);
        self.api = Api::Silent;
        self.read_back_due = false;
        self.trouble = self.trouble.take().filter(|t| t.generation.is_some());
    }

    /// Forgets what happened in the future: the clock was stepped back since, and what is counted from
    /// such a moment would not come for that long.
    fn step_back(&mut self, now: Timestamp) {
        self.looked_at = self.looked_at.filter(|at| *at <= now);
        self.asked_at = self.asked_at.filter(|at| *at <= now);
        if let Some(proving) = &mut self.proving {
            proving.since = proving.since.min(now);
        }
    }

    pub(super) fn look(&mut self, sight: Sight, addresses: BTreeSet<SocketAddr>, now: Timestamp) {
        self.step_back(now);
        if let Some(proving) = &mut self.proving {
            proving.remember(addresses);
        }
        self.looked_at = Some(now);
        let (leaves, complaint, unreachable) = match sight {
            Sight::Leaves(leaves) => (leaves, None, false),
            Sight::Broken { why, others } => (others, Some(why), false),
            Sight::Unreachable { why } => (Vec::new(), Some(why), true),
        };
        let proof = match (leaves.as_slice(), &complaint) {
            ([only], None) if only.chain_as_stored => only.generation,
            _ => None,
        };
        self.out_of_reach = unreachable;
        if !unreachable {
            let unknown = leaves.iter().filter(|leaf| leaf.generation.is_none());
            self.unknown_from = unknown.map(|leaf| leaf.not_before).max();
        }
        self.look_failure = Some(complaint.unwrap_or_else(|| describe(&leaves)));
        if let Some(urgent) = leaves.into_iter().min_by_key(|leaf| leaf.not_after) {
            self.served = Some(urgent);
        }
        match proof {
            Some(generation) if self.expects(generation) => self.prove(generation, now),
            Some(_) | None => self.miss(unreachable),
        }
    }

    /// Whether seeing this generation proves something: it is what was installed, or it is newer
    /// than what we believe to have installed (the answer to its install was lost).
    fn expects(&self, generation: u32) -> bool {
        self.installed
            .as_ref()
            .is_none_or(|installed| installed.generation <= generation)
    }

    fn prove(&mut self, generation: u32, now: Timestamp) {
        self.look_failure = None;
        self.mismatches = 0;
        self.proving = None;
        // An edge that still serves what it did before tells nothing of the install that followed.
        self.read_back_due &= self.has(generation);
        if self.seen.is_none_or(|seen| seen.generation != generation) {
            self.seen = Some(Seen {
                generation,
                at: now,
            });
        }
        if !self.has(generation) {
            self.installed = Some(Installed {
                generation,
                at: now,
                cert_name: String::new(),
                cert_id: None,
                cert_region: None,
            });
            self.api = Api::Ours { generation };
        }
        self.end_trouble_with(generation);
    }

    fn miss(&mut self, unreachable: bool) {
        match &mut self.proving {
            Some(proving) => {
                proving.looks = proving.looks.saturating_add(1);
                proving.unreachable = unreachable;
            }
            // An address that we cannot reach says nothing about what it serves.
            None if unreachable => {}
            None => self.mismatches = self.mismatches.saturating_add(1),
        }
    }
}

impl Proving {
    /// Keeps the addresses of the last look. While the attempt lasts those of the looks before are
    /// among them ([`TargetRecord::addresses_of_attempt`]), unless that became too many.
    fn remember(&mut self, looked_at: BTreeSet<SocketAddr>) {
        if looked_at.len() > MOST_ADDRESSES {
            self.addresses.clear();
        } else if !looked_at.is_empty() {
            self.addresses = looked_at;
        }
    }
}

/// What is worth saying about leaves that prove nothing.
fn describe(leaves: &[Served]) -> String {
    match leaves {
        [] => "no certificate was seen".to_owned(),
        [only] if only.generation.is_some() && !only.chain_as_stored => {
            "the edge serves our certificate with another chain than stored".to_owned()
        }
        [only] if only.generation.is_none() => format!(
            "the edge serves a certificate that is not ours ({})",
            only.fingerprint.short(16)
        ),
        [_] => "the edge serves an older generation".to_owned(),
        several => format!(
            "the addresses serve {} different certificates",
            several.len()
        ),
    }
}

#[cfg(test)]
mod tests;
