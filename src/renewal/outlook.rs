//! What a reader of a record may ask beyond the next step: when a failure is tried again, and how a
//! target stands. The same rules as in the decision, for `status`, alerts and metrics.

use super::backoff::{Ladder, named_until, retry_at};
use super::record::{Api, Issued, Proving, Record, TargetRecord};
use super::spec::LookPolicy;
use crate::name::TargetId;
use crate::time::Timestamp;

impl Record {
    /// When a failed order is tried again at the earliest; nothing if nothing failed.
    pub fn order_retry_at<'a>(
        &self,
        targets: impl IntoIterator<Item = &'a TargetId>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let trouble = self
            .orders
            .trouble
            .as_ref()
            .or(self.orders.reissues.as_ref())?;
        let ladder = retry_at(trouble, Ladder::Orders, self.urgency(targets), now);
        ladder.max(named_until(trouble, now)).or(Some(now))
    }

    /// When a failed install is tried again at the earliest; nothing if nothing failed.
    pub fn install_retry_at(&self, target: &TargetRecord, now: Timestamp) -> Option<Timestamp> {
        let trouble = target.trouble.as_ref()?;
        let ladder = retry_at(trouble, Ladder::Installs, self.target_urgency(target), now);
        ladder.max(named_until(trouble, now)).or(Some(now))
    }
}

impl TargetRecord {
    /// Whether the target has a generation that is newer than the one we hold.
    pub fn is_newer_than(&self, issued: &Issued) -> bool {
        self.has_newer(issued)
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
