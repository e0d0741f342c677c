//! What a reader of a record may ask beyond the next step: how a target stands. The same rules as in
//! the decision, for `status`, alerts and metrics.

use super::decide::DOUBTS;
use super::record::{Api, Issued, Proving, TargetRecord};
use super::spec::LookPolicy;
use crate::time::Timestamp;

impl TargetRecord {
    /// Whether the target has a generation that is newer than the one we hold.
    pub fn is_newer_than(&self, issued: &Issued) -> bool {
        self.has_newer(issued)
    }

    /// Whether the edge stopped serving what had been seen: so many looks in a row missed it that it
    /// is believed.
    pub fn has_drifted(&self) -> bool {
        self.mismatches >= DOUBTS
    }

    /// Whether the last look reached nothing, though no install is waiting to be seen.
    pub fn is_lost_from_sight(&self, look: LookPolicy) -> bool {
        look.enabled && self.out_of_reach && self.proving.is_none()
    }

    /// Whether looks are switched off and the API says that it has this generation, which counts as
    /// seen then.
    pub fn is_vouched_for(&self, look: LookPolicy, generation: u32) -> bool {
        !look.enabled && self.api == Api::Ours { generation }
    }
}

impl Proving {
    /// Whether the edge had all the time that it may take, and a repeated install did not help or
    /// could not be judged. Where nobody looks, the API had that time.
    pub fn is_overdue(&self, look: LookPolicy, now: Timestamp) -> bool {
        let judged = self.reinstalled || self.unreachable || !look.enabled;
        now >= self.since + look.deadline && judged
    }
}
