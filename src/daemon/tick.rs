//! The tick: a safety net that looks for due work at the times of the configured cron expression.
//!
//! The scheduler of `tokio-cron-scheduler` is used as a dumb bell: its one job, in UTC, only puts a
//! token into a channel of one, so it can neither panic nor overlap nor pile up. It is known to fall
//! silent (for as long as the clock was stepped back, or for good after a stall), so a second heart
//! beats beside it: it looks for due work too, and rebuilds a scheduler that has missed its time.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// The second heart.
const HEART: Duration = Duration::from_mins(1);

/// A scheduler that is this late is taken for dead.
const LATE: Duration = Duration::from_mins(3);

/// The bell and the second heart.
pub(super) struct Ticker {
    cron: String,
    scheduler: JobScheduler,
    bell: mpsc::Receiver<()>,
    heart: Interval,
    expected: Instant,
}

/// Why it is time to look for due work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// The scheduler rang.
    Tick,
    /// The second heart beat.
    Heart,
}

/// How the scheduler keeps its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lateness {
    /// How much later than expected it rang, or how long it has been silent.
    pub(super) lag: Duration,
    /// Whether it was taken for dead and rebuilt.
    pub(super) rebuilt: bool,
}

impl Ticker {
    /// Starts ringing at the times of `cron`: six fields, seconds first, UTC.
    pub(super) async fn start(cron: &str) -> Result<Self, JobSchedulerError> {
        let (scheduler, bell) = ring(cron).await?;
        let mut heart = tokio::time::interval(HEART);
        heart.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heart.reset();
        let mut ticker = Self {
            cron: cron.to_owned(),
            scheduler,
            bell,
            heart,
            expected: Instant::now(),
        };
        ticker.expect_next().await;
        Ok(ticker)
    }

    /// Waits for the next beat. Cancel safe: what there is to do then is [`Ticker::heed`]'s.
    pub(super) async fn beat(&mut self) -> Beat {
        tokio::select! {
            Some(()) = self.bell.recv() => Beat::Tick,
            _ = self.heart.tick() => Beat::Heart,
        }
    }

    /// Does what a beat asks for, and says how late the tick is: it is rebuilt if it is silent.
    pub(super) async fn heed(&mut self, beat: Beat) -> Option<Lateness> {
        let lateness = match beat {
            Beat::Tick => Some(Lateness {
                lag: self.expected.elapsed(),
                rebuilt: false,
            }),
            Beat::Heart if self.expected.elapsed() < LATE => return None,
            Beat::Heart => {
                let lag = self.expected.elapsed();
                self.rebuild().await;
                Some(Lateness { lag, rebuilt: true })
            }
        };
        self.expect_next().await;
        lateness
    }

    /// Stops ringing. The scheduler does not wait for anything, and there is nothing to wait for.
    pub(super) async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!(%error, "the tick did not stop cleanly");
        }
    }

    async fn rebuild(&mut self) {
        match ring(&self.cron).await {
            Ok((scheduler, bell)) => {
                let mut silent = std::mem::replace(&mut self.scheduler, scheduler);
                self.bell = bell;
                if let Err(error) = silent.shutdown().await {
                    tracing::debug!(%error, "the silent tick did not stop cleanly");
                }
            }
            Err(error) => tracing::error!(%error, "could not rebuild the tick"),
        }
    }

    async fn expect_next(&mut self) {
        let pause = self.scheduler.time_till_next_job().await.ok().flatten();
        self.expected = Instant::now() + pause.unwrap_or(HEART);
    }
}

/// A scheduler whose one job rings a bell, and the bell.
async fn ring(cron: &str) -> Result<(JobScheduler, mpsc::Receiver<()>), JobSchedulerError> {
    let (ringer, bell) = mpsc::channel(1);
    let job = Job::new(cron, move |_, _| {
        // A bell that still rings need not be rung again.
        let _ = ringer.try_send(());
    })?;
    let scheduler = JobScheduler::new().await?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    Ok((scheduler, bell))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(ticker: &mut Ticker) -> Beat {
        tokio::time::timeout(Duration::from_secs(10), ticker.beat())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn the_scheduler_rings() {
        let mut ticker = Ticker::start("* * * * * *").await.unwrap();
        assert_eq!(next(&mut ticker).await, Beat::Tick);
        let lateness = ticker.heed(Beat::Tick).await.unwrap();
        assert!(!lateness.rebuilt && lateness.lag < LATE);
        ticker.stop().await;
    }

    #[tokio::test]
    async fn a_silent_scheduler_is_rebuilt_by_the_second_heart() {
        let mut ticker = Ticker::start("* * * * * *").await.unwrap();
        assert_eq!(ticker.heed(Beat::Heart).await, None);
        ticker.scheduler.shutdown().await.unwrap();
        ticker.expected = Instant::now() - LATE * 2;
        let lateness = ticker.heed(Beat::Heart).await.unwrap();
        assert!(lateness.rebuilt && lateness.lag >= LATE);
        assert_eq!(next(&mut ticker).await, Beat::Tick);
    }

    #[tokio::test]
    async fn a_wrong_expression_is_an_error() {
        assert!(Ticker::start("every minute").await.is_err());
    }
}
