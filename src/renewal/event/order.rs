//! How what happens to orders changes the record.

use std::time::Duration;

use super::{OrderFate, OrderIntent};
use crate::renewal::budget::Exhausted;
use crate::renewal::record::{AcceptedOrder, IssuerTrouble, OpenOrder, Orders, OutOfBudget};
use crate::renewal::trouble::Trouble;
use crate::retry::Failure;
use crate::time::{Deadline, Timestamp};

/// Orders older than this no longer count for the brake.
const BRAKE_MEMORY: Duration = Duration::from_hours(24);

// === impl OrderIntent ===

impl OrderIntent {
    pub(super) fn opened_at(self, now: Timestamp) -> OpenOrder {
        OpenOrder {
            intended_at: now,
            accepted_at: None,
            issuer: self.issuer,
            directory: self.directory,
            names: self.names,
            key: self.key,
            profile: self.profile,
        }
    }
}

// === impl Orders ===

impl Orders {
    pub(super) fn accept(&mut self, now: Timestamp) {
        if let Some(open) = &mut self.open {
            open.accepted_at = Some(now);
        }
    }

    pub(super) fn intend(&mut self, open: OpenOrder) {
        let now = open.intended_at;
        self.out_of_budget.remove(&open.issuer);
        self.accepted
            .retain(|order| now.since(order.at) < BRAKE_MEMORY);
        self.accepted.push(AcceptedOrder { at: now });
        self.open = Some(open);
    }

    pub(super) fn hold_back(
        &mut self,
        issuer: String,
        exhausted: Exhausted,
        jitter: f64,
        now: Timestamp,
    ) {
        let until = exhausted.retry_at(jitter);
        let deadline = Deadline { until, set_at: now };
        let held_back = OutOfBudget {
            exhausted,
            deadline,
        };
        self.out_of_budget.insert(issuer, held_back);
    }

    /// Takes in a failure, and what it means for the order under way.
    pub(super) fn fail(
        &mut self,
        issuer: String,
        failure: Failure,
        order: OrderFate,
        jitter: f64,
        now: Timestamp,
    ) {
        self.end(order);
        let trouble = self.issuers.entry(issuer).or_insert(IssuerTrouble {
            failures: 0,
            since: now,
            named: None,
        });
        if trouble.failures == 0 {
            trouble.since = now;
        }
        trouble.failures = trouble.failures.saturating_add(1);
        let named = failure.not_before.filter(|_| failure.scope.is_here_only());
        trouble.named = named.map(|until| Deadline { until, set_at: now });
        self.trouble = Some(Trouble::add(
            self.trouble.take(),
            failure,
            None,
            jitter,
            now,
        ));
    }

    /// Ends all rows of failures, but not the times that were named.
    pub(super) fn forget_trouble(&mut self, now: Timestamp) {
        self.trouble = None;
        self.issuers.retain(|_, trouble| {
            trouble.failures = 0;
            trouble.since = now;
            trouble.named = trouble.named.filter(|named| named.holding(now).is_some());
            trouble.named.is_some()
        });
    }

    /// The brake counts what the CA accepted. An order that it refused does not count, or an outage
    /// of the CA would use up the day's orders; one of which nothing is known (its answer was lost,
    /// the process was killed, a step panicked) does.
    fn end(&mut self, fate: OrderFate) {
        match fate {
            OrderFate::Open => {}
            OrderFate::Over => self.open = None,
            OrderFate::Refused => self.take_back(),
        }
    }

    fn take_back(&mut self) {
        let Some(refused) = self.open.take() else {
            return;
        };
        let place = self
            .accepted
            .iter()
            .rposition(|order| order.at == refused.intended_at);
        if let Some(place) = place {
            self.accepted.remove(place);
        }
    }
}
