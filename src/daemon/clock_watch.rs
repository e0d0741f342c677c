//! Keeps an eye on the local clock: the CAs are asked for the time before the first decision, and
//! again while nobody says that it is right.
//!
//! This goes on beside the dispatcher: a CA that takes its time holds up nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::shared::Shared;
use super::trust::{CHECK_AGAIN, Verdict};
use crate::renewal::ClockTrust;

/// How often the verdict is looked at. That asks nobody anything, but finds soon that the clock was
/// stepped, or that the machine has slept.
const LOOK: Duration = Duration::from_secs(10);

/// How often the store is told of a clock that stays wrong.
const NOTE: Duration = Duration::from_mins(1);

/// Compares the clocks, unless the daemon is told to stop meanwhile.
pub(super) async fn compare(shared: &Shared) {
    tokio::select! {
        () = shared.compare_clocks() => {}
        () = shared.stop.cancelled() => {}
    }
}

/// Watches the clock until the daemon is told to stop.
pub(super) async fn watch(shared: &Shared) {
    let mut told = Told::default();
    while !shared.stop.is_cancelled() {
        let verdict = shared.clock_verdict();
        told.tell(shared, verdict).await;
        if is_to_be_compared(verdict, shared.compared_at(), Instant::now()) {
            compare(shared).await;
            told.tell(shared, shared.clock_verdict()).await;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shared.stop.cancelled() => {}
        }
    }
}

/// Whether to ask for the time: not more often than a clock that is not trusted is checked, however
/// often the verdict is looked at.
fn is_to_be_compared(verdict: Verdict, compared_at: Option<Instant>, moment: Instant) -> bool {
    let since = |at| moment.saturating_duration_since(at);
    let asked_lately = compared_at.is_some_and(|at| since(at) < CHECK_AGAIN);
    match verdict {
        Verdict::Right => false,
        Verdict::Wrong | Verdict::Unknown => !asked_lately,
    }
}

/// What was said of the clock so far.
#[derive(Default)]
struct Told {
    distrusted: bool,
    /// What the store says, and since when.
    noted: Option<(ClockTrust, Instant)>,
}

impl Told {
    async fn tell(&mut self, shared: &Shared, verdict: Verdict) {
        self.say(verdict);
        self.note(shared, verdict.trust(shared.clock.now())).await;
    }

    /// Says once that the clock is wrong, and once that it is right again.
    fn say(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Wrong => {
                if !std::mem::replace(&mut self.distrusted, true) {
                    tracing::error!("the local clock is off by over an hour; nothing is changed");
                }
            }
            Verdict::Right => {
                if std::mem::replace(&mut self.distrusted, false) {
                    tracing::info!("the local clock is right again");
                }
            }
            Verdict::Unknown => {
                if std::mem::replace(&mut self.distrusted, false) {
                    tracing::warn!("nobody tells the time any more; the local clock is believed");
                }
            }
        }
    }

    /// Leaves word of the clock for whoever reads the store: once that it is right, and again and
    /// again while it is wrong, for a daemon that died must not be believed for ever.
    async fn note(&mut self, shared: &Shared, trust: ClockTrust) {
        let is_trusted = trust == ClockTrust::Trusted;
        let is_noted = self.noted.is_some_and(|(before, at)| {
            (before == ClockTrust::Trusted) == is_trusted && (is_trusted || at.elapsed() < NOTE)
        });
        if is_noted {
            return;
        }
        match shared.store.note_clock(trust).await {
            Ok(()) => self.noted = Some((trust, Instant::now())),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "could not note what is known of the clock");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::build::testing;

    #[tokio::test]
    async fn what_is_known_of_the_clock_is_left_in_the_store() {
        let home = tempfile::tempdir().unwrap();
        let shared = testing::shared(
            home.path(),
            "[[certificates]]\nnames = [\"a.example.com\"]\n",
        )
        .await;
        let mut told = Told::default();
        for verdict in [Verdict::Wrong, Verdict::Right, Verdict::Wrong] {
            told.tell(&shared, verdict).await;
            let noted = shared.store.clock(shared.clock.now()).await.unwrap();
            assert_eq!(noted == ClockTrust::Trusted, verdict == Verdict::Right);
        }
    }

    #[test]
    fn a_clock_that_nobody_confirms_is_compared_now_and_then() {
        let asked = Instant::now();
        let (soon, later) = (asked + CHECK_AGAIN - LOOK, asked + CHECK_AGAIN);
        for doubtful in [Verdict::Wrong, Verdict::Unknown] {
            let is_due = |compared_at, moment| is_to_be_compared(doubtful, compared_at, moment);
            assert!(is_due(None, asked), "{doubtful:?}");
            assert!(!is_due(Some(asked), soon), "{doubtful:?}");
            assert!(is_due(Some(asked), later), "{doubtful:?}");
        }
        assert!(!is_to_be_compared(Verdict::Right, Some(asked), later));
    }
}
