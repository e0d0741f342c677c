//! What a reader of a record may ask beyond the next step: how a target stands. The same rules as in
//! the decision, for `status`, alerts, metrics and the looks.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::decide::DOUBTS;
use super::record::{Api, TargetRecord};
use super::spec::LookPolicy;
use crate::time::Timestamp;

impl TargetRecord {
    /// Whether the edge stopped serving what had been seen: so many looks in a row missed it that it
    /// is believed.
    pub fn has_drifted(&self) -> bool {
        self.mismatches >= DOUBTS
    }

    /// Whether the last look reached nothing, though no install is waiting to be seen.
    pub fn is_lost_from_sight(&self, look: LookPolicy) -> bool {
        look.enabled && self.out_of_reach && self.proving.is_none()
    }

    /// The addresses to look at beside those of the moment: all that were looked at since the install
    /// or its repetition. The first look after the deadline is the last of its attempt; later ones
    /// ask what is served now, and an address that the name has left for good says nothing of that.
    pub fn addresses_of_attempt(&self, look: LookPolicy) -> BTreeSet<SocketAddr> {
        let attempt = self.proving.as_ref().filter(|proving| {
            let deadline = proving.since + look.deadline;
            self.looked_at.is_none_or(|at| at < deadline)
        });
        attempt.map_or_else(BTreeSet::new, |proving| proving.addresses.clone())
    }

    /// Whether an install had all the time that the edge may take and is not proven: a repeated install
    /// did not help, no address can be reached, or nobody is to look and the API does not tell.
    pub fn is_overdue(&self, look: LookPolicy, now: Timestamp) -> bool {
        let told = look.enabled || !matches!(self.api, Api::Unasked | Api::Silent);
        self.proving.as_ref().is_some_and(|proving| {
            let judged = proving.reinstalled || proving.unreachable || !told;
            now >= proving.since + look.deadline && judged
        })
    }

    /// Whether looks are switched off and the API says that it has this generation, which counts as
    /// seen then.
    pub fn is_vouched_for(&self, look: LookPolicy, generation: u32) -> bool {
        !look.enabled && self.api == Api::Ours { generation }
    }
}
