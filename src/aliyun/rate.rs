//! How fast the APIs are called: a limiter ahead of them, so that a run over many domains meets no
//! throttle.
//!
//! Alibaba Cloud counts the calls of each action per account and second (30 of
//! `SetVodDomainSSLCertificate`, says its page). Which account an access key belongs to is not told
//! unless by the name of a role or by the configuration; where it is not, a limit belongs to the key or
//! to what gives temporary ones. Limits are by action: reading back takes nothing from installing.
//! Clouds of the same account share. Calls leave one by one at even distances; what was not used is not
//! saved up. Who waits when the other side refuses a call as one too many does not call: it was decided
//! to before the other side named a time.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::action::Action;

/// Over so long the calls of a second are spread. The rest keeps calls apart that travel for
/// different times; it costs 3 % of the rate.
const SPREAD: Duration = Duration::from_millis(1030);

/// So much of a call's delay after its slot is made up for by the calls behind it: timers are late
/// by a millisecond or two, which would cost a twentieth of the rate. Less than what [`SPREAD`] has
/// above a second: one call more than the rate never leaves within a second.
const CATCH_UP: Duration = Duration::from_millis(20);

/// How many calls a second of each action a cloud makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Of the action that installs.
    pub install: NonZeroU32,
    /// Of every other action.
    pub other: NonZeroU32,
}

/// Paces the calls of all clouds. Its clones are the same limiter.
#[derive(Clone, Debug, Default)]
pub struct Limiter(Arc<Mutex<Paces>>);

/// By account and action.
type Paces = BTreeMap<(String, Action), Arc<Pace>>;

/// When the next call of an action may leave. Whoever waits for its slot holds the lock, and the
/// lock is handed on in the order of asking.
#[derive(Debug, Default)]
struct Pace {
    next: tokio::sync::Mutex<Next>,
    /// How often the other side has refused calls for a while.
    closed: AtomicU64,
}

/// Calls were refused for a while since the turn was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

#[derive(Debug, Default)]
struct Next {
    /// Nothing before the first call.
    slot: Option<Instant>,
    /// The longest distance that was asked for: the lowest rate of those who share holds for all.
    distance: Duration,
}

// === impl Rate ===

impl Default for Rate {
    fn default() -> Self {
        let rate = |calls| NonZeroU32::new(calls).expect("the rates below are above zero");
        Self {
            install: rate(30),
            other: rate(10),
        }
    }
}

impl Rate {
    /// How far the calls of an action are apart.
    fn distance(self, action: Action) -> Duration {
        let calls = if action.installs() {
            self.install
        } else {
            self.other
        };
        SPREAD / calls.get()
    }
}

// === impl Limiter ===

impl Limiter {
    /// Waits until `account` may call `action`. Callers come in the order in which they asked; one
    /// that is dropped while it waits, or turned away, uses nothing up.
    pub(super) async fn turn(
        &self,
        account: &str,
        action: Action,
        rate: Rate,
    ) -> Result<(), Closed> {
        let pace = self.pace(account, action);
        pace.turn(rate.distance(action)).await
    }

    /// Turns away everybody who waits to call `action`: the other side refuses it for a while.
    pub(super) fn close(&self, account: &str, action: Action) {
        let pace = self.pace(account, action);
        pace.closed.fetch_add(1, Ordering::Relaxed);
    }

    fn pace(&self, account: &str, action: Action) -> Arc<Pace> {
        let key = (account.to_owned(), action);
        // A thread that panicked while it held the lock left nothing half done.
        let mut paces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pace) = paces.get(&key) {
            return Arc::clone(pace);
        }
        // Keys are replaced: what holds nobody back any more is forgotten.
        let now = Instant::now();
        paces.retain(|_, pace| pace.is_busy(now));
        Arc::clone(paces.entry(key).or_default())
    }
}

// === impl Pace ===

impl Pace {
    async fn turn(&self, distance: Duration) -> Result<(), Closed> {
        let closed = self.closed.load(Ordering::Relaxed);
        let mut next = self.next.lock().await;
        next.distance = next.distance.max(distance);
        let now = Instant::now();
        let slot = next.slot.map_or(now, |slot| slot.max(now));
        if slot > now {
            tokio::time::sleep_until(slot).await;
        }
        if self.closed.load(Ordering::Relaxed) != closed {
            return Err(Closed);
        }
        let late = Instant::now().duration_since(slot);
        next.slot = Some(slot + next.distance + late.saturating_sub(CATCH_UP));
        Ok(())
    }

    /// Whether somebody waits, has just come to wait or would have to.
    fn is_busy(self: &Arc<Self>, now: Instant) -> bool {
        let free = |next: &Next| next.slot.is_none_or(|slot| slot <= now);
        Arc::strong_count(self) > 1 || !self.next.try_lock().is_ok_and(|next| free(&next))
    }
}

#[cfg(test)]
mod tests;
