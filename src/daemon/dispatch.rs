//! Finds due work and hands it to workers, one task per certificate.
//!
//! The truth is in the store: every certificate has the time at which it is due. A search takes what
//! is due and not at work already; it is made at every tick, when the earliest certificate becomes
//! due, when a task ends and when a slot becomes free. A missed tick, a clock step or a suspended
//! machine thus cost one search, and the cost of a search is in proportion to what is due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::shared::{Shared, Slot};
use super::tick::{Beat, Ticker};
use super::trust::Verdict;
use super::worker::{Rest, work};
use super::{fault, systemd};
use crate::name::Label;
use crate::renewal::doubled;
use crate::retry::Class;
use crate::store::{Lease, StoreError};
use crate::time::Timestamp;

/// Without anything due the store is asked again after this long.
const LONGEST_NAP: Duration = Duration::from_mins(1);

/// After a failure of the store a certificate is left alone: from this, doubling, to that.
const PAUSE_FIRST: Duration = Duration::from_secs(5);
const PAUSE_LAST: Duration = Duration::from_mins(5);

/// A certificate whose stored facts cannot be used waits for a person; it is looked at again after
/// this long.
const PAUSE_FOR_A_PERSON: Duration = Duration::from_hours(1);

/// A wall clock that has come this much short of the time that really passed was set back.
const STEP: Duration = Duration::from_mins(2);

/// How often the store forgets what is over.
const PRUNING: Duration = Duration::from_hours(24);

/// How long work under way may go on when the daemon is told to stop. What is cut off then is found
/// as after a crash.
const GRACE: Duration = Duration::from_secs(20);

/// The tasks under way and what holds certificates back from being started.
pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    tasks: JoinSet<Result<Rest, StoreError>>,
    /// Which certificate a task works on.
    at_work: BTreeMap<Id, Arc<Lease>>,
    /// Certificates whose next step found no slot of this kind. They are started when one is free.
    waiting: BTreeMap<Label, Slot>,
    /// Certificates whose last step failed in the store.
    paused: BTreeMap<Label, Pause>,
    /// Leases of tasks that could not give them back, because the store failed.
    unreturned: Vec<Arc<Lease>>,
    /// Whether the search itself failed last time.
    blind: bool,
    /// When the store forgets next.
    prune_at: Instant,
    /// The wall clock at the last search, and the moment of it.
    last_search: (Timestamp, Instant),
}

#[derive(Clone, Copy)]
struct Pause {
    until: Instant,
    in_a_row: u32,
}

impl Dispatcher {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let last_search = (shared.clock.now(), Instant::now());
        Self {
            shared,
            tasks: JoinSet::new(),
            at_work: BTreeMap::new(),
            waiting: BTreeMap::new(),
            paused: BTreeMap::new(),
            unreturned: Vec::new(),
            blind: false,
            prune_at: Instant::now(),
            last_search,
        }
    }

    /// Hands out work until the daemon is told to stop, then lets the work under way come to rest.
    pub(super) async fn run(mut self, ticker: &mut Ticker) {
        let watchdog = systemd::watchdog().unwrap_or(LONGEST_NAP);
        while !self.shared.stop.is_cancelled() {
            let nap = self.search().await.min(watchdog);
            let shared = Arc::clone(&self.shared);
            tokio::select! {
                () = shared.stop.cancelled() => {}
                beat = ticker.beat() => self.heard(ticker, beat).await,
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended).await,
                () = shared.freed.notified() => {}
                () = tokio::time::sleep(nap) => {}
            }
        }
        self.come_to_rest().await;
    }

    async fn heard(&mut self, ticker: &mut Ticker, beat: Beat) {
        if let Some(lateness) = ticker.heed(beat).await {
            self.shared.metrics.tick(lateness.lag);
            if lateness.rebuilt {
                let late_seconds = lateness.lag.as_secs();
                tracing::warn!(late_seconds, "the tick was silent; rebuilt");
            }
        }
        if self.shared.clock_verdict() == Verdict::Right {
            self.prune().await;
        }
    }

    async fn prune(&mut self) {
        if Instant::now() < self.prune_at {
            return;
        }
        self.prune_at = Instant::now() + PRUNING;
        if let Err(error) = self.shared.store.prune(self.shared.clock.now()).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the store could not forget what is over");
        }
    }

    /// Starts what is due and can be started; says how long it is until the next search.
    async fn search(&mut self) -> Duration {
        let found = self.start_due().await;
        // Whatever came of it: a new start does not heal the store, and would take the status page
        // away from whoever has to. That the searches fail is told by /readyz.
        systemd::alive();
        match found {
            Ok(nap) => {
                self.blind = false;
                self.shared.metrics.beat(self.shared.clock.now());
                nap
            }
            Err(error) => {
                if !std::mem::replace(&mut self.blind, true) {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "the store cannot be searched for due work");
                }
                PAUSE_FIRST
            }
        }
    }

    async fn start_due(&mut self) -> Result<Duration, StoreError> {
        let now = self.shared.clock.now();
        self.notice_step(now).await?;
        self.give_back(now).await;
        let room = self.room();
        if room > 0 {
            let held_back = self.at_work.len() + self.waiting.len() + self.paused.len();
            let limit = u32::try_from(room + held_back).unwrap_or(u32::MAX);
            for label in self.shared.store.due(now, limit).await? {
                if self.room() > 0
                    && self.may_start(&label)
                    && let Err(error) = self.start(&label).await
                {
                    self.not_started(&label, error)?;
                }
            }
        }
        let next = self.shared.store.next_due_after(now).await?;
        systemd::next_wake(next);
        let until_due = next.map_or(LONGEST_NAP, |next| next.since(self.shared.clock.now()));
        let pauses = self.paused.values().map(|pause| pause.left());
        let until_unpaused = pauses.filter(|left| !left.is_zero()).min();
        let until_given_back = self.unreturned.first().map(|_| PAUSE_FIRST);
        // A step of the clock's resolution later it is certainly due.
        let soonest = [until_unpaused, until_given_back].into_iter().flatten();
        let nap = soonest.fold(until_due, Duration::min) + Duration::from_millis(1);
        Ok(nap.min(LONGEST_NAP))
    }

    /// Gives back the leases that could not be given back before: otherwise the pause after a failure
    /// would be as long as they last. While the store still fails they are kept for the next search.
    async fn give_back(&mut self, now: Timestamp) {
        while let Some(lease) = self.unreturned.last() {
            match self.shared.store.release(lease, now).await {
                Ok(()) | Err(StoreError::LeaseLost { .. }) => self.unreturned.pop(),
                Err(_) => return,
            };
        }
    }

    /// After a step back of the wall clock everything is decided anew: what was planned by the clock
    /// of before would be waited for as long as the step was.
    async fn notice_step(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let (then, moment) = self.last_search;
        if now + STEP < then + moment.elapsed() {
            tracing::warn!("the clock was set back; everything is decided anew");
            self.shared.store.make_all_due(now).await?;
        }
        self.last_search = (now, Instant::now());
        Ok(())
    }

    /// A store that takes no writes takes none for the others either, so the search ends and is soon
    /// made again. What is wrong with one certificate alone does not hold up the others.
    fn not_started(&mut self, label: &Label, error: StoreError) -> Result<(), StoreError> {
        if error.class() == Class::Backoff {
            return Err(error);
        }
        self.failed(label, &error);
        Ok(())
    }

    fn room(&self) -> usize {
        self.shared.most_tasks.saturating_sub(self.tasks.len())
    }

    fn may_start(&self, label: &Label) -> bool {
        let at_work = self.at_work.values().any(|lease| lease.label() == label);
        let paused = self
            .paused
            .get(label)
            .is_some_and(|pause| !pause.left().is_zero());
        let waits = self
            .waiting
            .get(label)
            .is_some_and(|slot| !self.shared.has_slot(*slot));
        !at_work && !paused && !waits
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "one task per certificate is started here"
    )]
    async fn start(&mut self, label: &Label) -> Result<(), StoreError> {
        let Some(job) = self.shared.jobs.get(label).cloned() else {
            return Ok(());
        };
        let Some(lease) = self
            .shared
            .store
            .claim(label, self.shared.clock.now())
            .await?
        else {
            return Ok(());
        };
        self.waiting.remove(label);
        let lease = Arc::new(lease);
        let (shared, own) = (Arc::clone(&self.shared), Arc::clone(&lease));
        let task = self
            .tasks
            .spawn(async move { work(&shared, &job, &own).await });
        self.at_work.insert(task.id(), lease);
        Ok(())
    }

    async fn ended(&mut self, ended: Result<(Id, Result<Rest, StoreError>), JoinError>) {
        match ended {
            Ok((id, outcome)) => {
                if let Some(lease) = self.at_work.remove(&id) {
                    self.rested(lease, outcome);
                }
            }
            Err(error) => {
                if let Some(lease) = self.at_work.remove(&error.id()) {
                    self.died(lease, &error).await;
                }
            }
        }
    }

    fn rested(&mut self, lease: Arc<Lease>, outcome: Result<Rest, StoreError>) {
        let label = lease.label();
        match outcome {
            Ok(rest) => {
                self.paused.remove(label);
                if let Rest::NoSlot(slot) = rest {
                    self.waiting.insert(label.clone(), slot);
                }
            }
            Err(error) => {
                self.failed(label, &error);
                self.unreturned.push(lease);
            }
        }
    }

    /// A failure of the store is not on the record, for the record could not be written: the
    /// certificate is left alone for a while by the dispatcher itself.
    fn failed(&mut self, label: &Label, error: &StoreError) {
        let class = error.class();
        let error = error as &dyn std::error::Error;
        match class {
            Class::Operator | Class::Bug => {
                tracing::error!(certificate = %label, error, "what is stored cannot be used");
                self.pause(label, PAUSE_FOR_A_PERSON);
            }
            Class::After
            | Class::Backoff
            | Class::Reconcile
            | Class::Refresh
            | Class::Reformat
            | Class::Reissue
            | Class::Rename => {
                tracing::warn!(certificate = %label, error, "the store failed; left alone for a while");
                self.pause(label, self.next_pause(label));
            }
        }
    }

    /// A panic is a failure of that certificate alone: it is recorded and backed off like any other.
    /// One that cannot be laid to a step has no ladder on the record, and is backed off here.
    async fn died(&mut self, lease: Arc<Lease>, error: &JoinError) {
        let label = lease.label();
        if error.is_cancelled() {
            return;
        }
        tracing::error!(certificate = %label, "a step panicked");
        let step = self.shared.in_flight.take(label);
        if let Some((action, took)) = &step {
            self.shared.metrics.action(action.as_str(), false, *took);
        }
        let action = step.as_ref().map(|(action, _)| action);
        let recorded = fault::record_panic(&self.shared, &lease, action).await;
        if let Err(error) = &recorded {
            let error = error as &dyn std::error::Error;
            tracing::error!(certificate = %label, error, "the panic could not be recorded");
        }
        if !matches!(recorded, Ok(true)) {
            self.pause(label, self.next_pause(label));
        }
        if recorded.is_err() {
            self.unreturned.push(lease);
        }
    }

    fn next_pause(&self, label: &Label) -> Duration {
        let in_a_row = self.paused.get(label).map_or(0, |pause| pause.in_a_row);
        doubled(PAUSE_FIRST, PAUSE_LAST, in_a_row)
    }

    fn pause(&mut self, label: &Label, length: Duration) {
        let in_a_row = self.paused.get(label).map_or(0, |pause| pause.in_a_row);
        let pause = Pause {
            until: Instant::now() + length,
            in_a_row: in_a_row.saturating_add(1),
        };
        self.paused.insert(label.clone(), pause);
    }

    /// Waits for the tasks, each of which parks at its next safe place, then cuts off the rest.
    async fn come_to_rest(mut self) {
        let deadline = Instant::now() + GRACE;
        while let Ok(Some(ended)) =
            tokio::time::timeout_at(deadline, self.tasks.join_next_with_id()).await
        {
            self.ended(ended).await;
        }
        if !self.tasks.is_empty() {
            tracing::warn!(
                tasks = self.tasks.len(),
                "cut off; they go on at the next start"
            );
            self.tasks.shutdown().await;
        }
    }
}

impl Pause {
    fn left(self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests;
