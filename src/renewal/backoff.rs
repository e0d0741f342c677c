//! How long to wait after a failure: the one ladder of the whole daemon.
//!
//! The rungs are front-weighted, for most failures pass within minutes; the last rung lasts. What is
//! left of a certificate's life bounds every delay, so that the retries come closer together as the
//! end comes nearer.

use std::time::Duration;

use super::schedule::{emergency_from, is_short};
use super::trouble::Trouble;
use crate::retry::{Class, Failure, Scope};
use crate::time::{Deadline, Timestamp};

/// After the n-th failed order in a row (Let's Encrypt's integration guide asks for no more than
/// one attempt a day at steady state).
const ORDER_RUNGS: [Duration; 5] = [
    Duration::from_mins(1),
    Duration::from_mins(10),
    Duration::from_hours(1),
    Duration::from_hours(6),
    Duration::from_hours(24),
];

/// After the n-th failed install, read-back or look in a row.
const INSTALL_RUNGS: [Duration; 6] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_hours(1),
    Duration::from_hours(6),
];

/// Nothing is repeated sooner than this.
const FLOOR: Duration = Duration::from_secs(5);

/// No order is repeated sooner than this, unless the whole life is short.
const ORDER_FLOOR: Duration = Duration::from_mins(1);

/// In the last third of a life no delay is longer.
const LAST_THIRD_CEILING: Duration = Duration::from_hours(8);

/// A failure that waits for a person is looked at again this often.
const SLOW_LOOK: Duration = Duration::from_hours(24);

/// A closed scope waits at first, and at most, this long when the other side names no time.
const SCOPE_FIRST: Duration = Duration::from_secs(5);
const SCOPE_LAST: Duration = Duration::from_mins(10);

/// A scope whose refusal waits for a person is tried by one certificate after another, each so long after
/// the one before. It may be mended where we do not see it: a bill is paid, a permission is given.
const SCOPE_FOR_A_PERSON: Duration = Duration::from_hours(1);

/// So many calls of an action that fail in a row by a fault of the service, over certificates, close
/// the action: it is then tried by one caller at a time.
const FAULTS: u32 = 5;

/// Which ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ladder {
    /// Orders.
    Orders,
    /// Installs, read-backs and looks.
    Installs,
}

/// What is left of the life of the certificate that is being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Urgency {
    /// When it ends.
    pub not_after: Timestamp,
    /// How long it is from the first to the last moment.
    pub lifetime: Duration,
}

impl Urgency {
    /// What is left at `now`; nothing once it is over.
    pub fn remaining(&self, now: Timestamp) -> Option<Duration> {
        (now < self.not_after).then(|| self.not_after.since(now))
    }

    /// When the last twentieth of the life begins.
    pub(super) fn emergency_from(self) -> Timestamp {
        emergency_from(self.not_after, self.lifetime)
    }

    /// Whether the last twentieth of the life has begun (or is over).
    pub fn is_emergency(&self, now: Timestamp) -> bool {
        self.emergency_from() <= now
    }
}

/// The first moment at which the ladder lets what failed be tried again.
pub(super) fn retry_at(
    trouble: &Trouble,
    ladder: Ladder,
    urgency: Option<Urgency>,
    now: Timestamp,
) -> Option<Timestamp> {
    let delay = match trouble.class() {
        Class::After | Class::Backoff | Class::Reissue => rung_delay(trouble, ladder, urgency),
        Class::Operator | Class::Bug => slow_look(trouble, urgency),
        Class::Reconcile | Class::Refresh | Class::Reformat | Class::Rename => FLOOR,
    };
    Deadline::after(trouble.last_at, delay).holding(now)
}

/// The time that the other side named in its last refusal, while it has not passed.
pub(super) fn named_until(trouble: &Trouble, now: Timestamp) -> Option<Timestamp> {
    let deadline = Deadline {
        until: trouble.failure.not_before?,
        set_at: trouble.last_at,
    };
    deadline.holding(now)
}

fn rung_delay(trouble: &Trouble, ladder: Ladder, urgency: Option<Urgency>) -> Duration {
    let rungs: &[Duration] = match ladder {
        Ladder::Orders => &ORDER_RUNGS,
        Ladder::Installs => &INSTALL_RUNGS,
    };
    let place = usize::try_from(trouble.in_a_row.saturating_sub(1)).unwrap_or(usize::MAX);
    let rung = rungs
        .get(place)
        .or(rungs.last())
        .copied()
        .unwrap_or(SLOW_LOOK);
    let jittered = rung.mul_f64(0.9 + 0.2 * trouble.jitter.clamp(0.0, 1.0));
    let Some(urgency) = urgency else {
        return jittered;
    };
    let delay = jittered.min(ceiling(urgency, trouble.last_at));
    // Nothing that is over can come closer: the plain rungs.
    let Some(remaining) = urgency.remaining(trouble.last_at) else {
        return delay;
    };
    let bound = remaining / 20;
    delay.min(bound).max(floor(ladder, urgency, bound))
}

fn floor(ladder: Ladder, urgency: Urgency, bound: Duration) -> Duration {
    match ladder {
        Ladder::Orders if is_short(urgency.lifetime) => (bound / 4).clamp(FLOOR, ORDER_FLOOR),
        Ladder::Orders => ORDER_FLOOR,
        Ladder::Installs => FLOOR,
    }
}

fn slow_look(trouble: &Trouble, urgency: Option<Urgency>) -> Duration {
    urgency.map_or(SLOW_LOOK, |urgency| {
        ceiling(urgency, trouble.last_at)
            .min(SLOW_LOOK)
            .min(short_life_ceiling(urgency))
    })
}

/// A day is longer than a short life lasts.
fn short_life_ceiling(urgency: Urgency) -> Duration {
    (urgency.lifetime / 20).max(ORDER_FLOOR)
}

/// The longest delay: what holds in the last third of a life holds all the more when it is over.
fn ceiling(urgency: Urgency, at: Timestamp) -> Duration {
    match urgency.remaining(at) {
        Some(remaining) if remaining >= urgency.lifetime / 3 => Duration::MAX,
        Some(_) => LAST_THIRD_CEILING,
        None => LAST_THIRD_CEILING.min(short_life_ceiling(urgency)),
    }
}

/// The deadline of a failure that closes more than this certificate; `None` if it closes nothing
/// else.
///
/// `failed_before` is how many failures in a row this scope has already had: without a named time it
/// waits from 5 s, doubling to 10 minutes, or an hour if it [waits for a person](waits_for_a_person). Calls that fail alone close nothing before they are
/// [`too_many_faults`]: their deadline has passed when it is set, and only counts them.
pub fn scope_deadline(failure: &Failure, failed_before: u32, now: Timestamp) -> Option<Deadline> {
    let closed_before = match failure.scope {
        Scope::Here => return None,
        Scope::CloudCall { .. } if !too_many_faults(failed_before.saturating_add(1)) => {
            return Some(Deadline {
                until: now,
                set_at: now,
            });
        }
        Scope::CloudCall { .. } => failed_before.saturating_add(1) - FAULTS,
        Scope::CloudAction { .. }
        | Scope::Cloud { .. }
        | Scope::Ca { .. }
        | Scope::CaAccount { .. }
        | Scope::RegisteredDomain { .. }
        | Scope::Name { .. }
        | Scope::ExactSet { .. } => failed_before,
    };
    let delay = if waits_for_a_person(failure, failed_before) {
        SCOPE_FOR_A_PERSON
    } else {
        doubled(SCOPE_FIRST, SCOPE_LAST, closed_before)
    };
    let until = failure.not_before.unwrap_or(now + delay);
    Some(Deadline {
        until: until.max(now + SCOPE_FIRST),
        set_at: now,
    })
}

/// Whether what a failure closes is closed until somebody has done something: then a changed
/// configuration opens it.
pub fn waits_for_a_person(failure: &Failure, failed_before: u32) -> bool {
    let class = failure.class(failed_before.saturating_add(1));
    failure.not_before.is_none() && matches!(class, Class::Bug | Class::Operator)
}

/// Whether so many calls of an action in a row that failed by a fault of the service are a fault of
/// the action.
pub fn too_many_faults(in_a_row: u32) -> bool {
    in_a_row >= FAULTS
}

/// A delay that begins at `first` and is doubled by each failure before it, up to `last`.
pub fn doubled(first: Duration, last: Duration, failures_before: u32) -> Duration {
    first
        .saturating_mul(2_u32.saturating_pow(failures_before.min(16)))
        .min(last)
}

#[cfg(test)]
mod tests;
