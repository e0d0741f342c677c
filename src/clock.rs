//! The clock: the only reader of wall time.
//!
//! The core never sees it; the shell reads it once per step and passes the value on.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the wall clock"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::time::Timestamp;

/// Where the time comes from. Cheap to clone; clones of a simulated clock are the same clock.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's wall clock.
    System,
    /// A clock that only moves when it is told to.
    Simulated(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `now` until it is set.
    pub fn simulated(now: Timestamp) -> Self {
        Self::Simulated(Arc::new(AtomicI64::new(now.as_millis())))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or(Duration::ZERO);
                Timestamp::EPOCH + since
            }
            Self::Simulated(millis) => Timestamp::from_millis(millis.load(Ordering::SeqCst)),
        }
    }

    /// Sets a simulated clock; the machine's clock stays as it is.
    pub fn set(&self, now: Timestamp) {
        if let Self::Simulated(millis) = self {
            millis.store(now.as_millis(), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_stands_until_it_is_set() {
        let start = Timestamp::from_seconds(1_000);
        let clock = Clock::simulated(start);
        let same = clock.clone();
        assert_eq!(clock.now(), start);
        same.set(start + Duration::from_secs(5));
        assert_eq!(clock.now(), Timestamp::from_seconds(1_005));
    }

    #[test]
    fn the_system_clock_is_later_than_this_was_written() {
        let written: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        assert!(Clock::System.now() > written);
    }
}
