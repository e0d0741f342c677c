//! The demonstration: sets the stage, runs the daemon on it and tells what happens.
//!
//! What is told comes from outside the daemon wherever it can: orders from the CA, proofs from the
//! DNS zone, installations from the cloud, and what is served from handshakes of its own. Only
//! plans and failures are the daemon's word.

mod config;
mod daemon;
mod stage;
mod status;
mod story;
mod witness;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use daemon::Daemon;
use stage::{HOSTS, Stage};
use story::{Observation, Story};

/// Pause between two observations.
const POLL: Duration = Duration::from_millis(500);

/// What to show.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The vodcertd program.
    pub(crate) daemon: PathBuf,
    /// How long a certificate lives.
    pub(crate) validity: Duration,
    /// End after the first renewal, which must come within this time and without a lapse, once
    /// every host was seen; else go on until a signal.
    pub(crate) deadline: Option<Duration>,
}

/// Tells a plan's course line by line.
pub(crate) struct Demonstration<T> {
    tell: T,
    began: Instant,
}

/// Why the demonstration ended without a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Renewed,
    Interrupted,
}

impl<T: FnMut(&str)> Demonstration<T> {
    /// A demonstration that hands each line to `tell`.
    pub(crate) fn new(tell: T) -> Self {
        Self {
            tell,
            began: Instant::now(),
        }
    }

    /// Runs to the end of the plan, or until SIGINT or SIGTERM, and stops what it started.
    pub(crate) async fn run(mut self, plan: &Plan) -> Result<()> {
        let mut signals = Signals::listen()?;
        let stage = Stage::set(plan.validity).await?;
        self.say(&stage.description());
        let mut daemon = Daemon::start(stage.launch(&plan.daemon))?;
        self.say(&format!(
            "vodcertd runs; its status page is {}, its log {}",
            stage.status_page(),
            daemon.log().display()
        ));

        let ending = self.follow(plan, &stage, &mut daemon, &mut signals).await;
        let ending = match ending {
            Ok(ending) => ending,
            Err(failure) => {
                self.say(&daemon.evidence().await);
                // Whether it still ends cleanly says nothing beside what failed already.
                let _ = daemon.stop().await;
                return Err(failure);
            }
        };
        daemon.stop().await?;
        self.say("vodcertd stopped cleanly");
        match (ending, plan.deadline) {
            (Ending::Interrupted, Some(_)) => bail!("interrupted before a renewal was seen"),
            (Ending::Interrupted, None) | (Ending::Renewed, _) => Ok(()),
        }
    }

    /// Observes until the plan is fulfilled or a signal comes. A signal goes first: from a terminal
    /// it reaches the daemon and the CA as well, whose end is then no failure.
    async fn follow(
        &mut self,
        plan: &Plan,
        stage: &Stage,
        daemon: &mut Daemon,
        signals: &mut Signals,
    ) -> Result<Ending> {
        let mut story = Story::default();
        let mut polls = interval(POLL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let seen = tokio::select! {
                biased;
                () = signals.any() => return Ok(Ending::Interrupted),
                seen = next_observation(&mut polls, stage, daemon) => seen?,
            };
            for line in story.go_on(seen, Timestamp::now()) {
                self.say(&line);
            }
            if let Some(deadline) = plan.deadline
                && self.is_fulfilled(&story, deadline)?
            {
                return Ok(Ending::Renewed);
            }
        }
    }

    fn is_fulfilled(&self, story: &Story, deadline: Duration) -> Result<bool> {
        if let Some(lapse) = story.lapse() {
            bail!("{lapse}");
        }
        let unseen = HOSTS.into_iter().find(|host| !story.has_seen(host));
        let fulfilled = unseen.is_none() && story.has_renewal();
        if fulfilled || self.began.elapsed() <= deadline {
            return Ok(fulfilled);
        }
        let seconds = deadline.as_secs();
        match unseen {
            Some(host) => bail!("nothing valid was seen at https://{host} within {seconds} s"),
            None => bail!("no renewal was seen at the edge within {seconds} s"),
        }
    }

    fn say(&mut self, line: &str) {
        let elapsed = self.began.elapsed().as_secs_f32();
        (self.tell)(&format!("{elapsed:7.1} s  {line}"));
    }
}

async fn next_observation(
    polls: &mut Interval,
    stage: &Stage,
    daemon: &mut Daemon,
) -> Result<Observation> {
    polls.tick().await;
    if let Some(status) = daemon.exit_status()? {
        bail!("vodcertd ended by itself: {status}");
    }
    stage.observe().await
}

/// The signals that end the demonstration.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
