//! What all workers share: the clock, the store, the adapters, the slots.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt as _;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::trust::{self, Verdict};
use crate::acme::{Account, Ca, directory};
use crate::aliyun;
use crate::clock::Clock;
use crate::name::{DnsName, Label, TargetId};
use crate::net::ClockReading;
use crate::renewal::{Action, Circumstances, ClockTrust, Spec};
use crate::retry::Failure;
use crate::solver::Solver;
use crate::status::Metrics;
use crate::store::{Store, StoreError};
use crate::target::Target;
use crate::time::Timestamp;

/// What all workers share.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) store: Store,
    pub(super) issuers: BTreeMap<String, Issuer>,
    pub(super) clouds: BTreeMap<String, Arc<aliyun::Client>>,
    pub(super) solvers: BTreeMap<String, Solver>,
    pub(super) jobs: BTreeMap<Label, Arc<Job>>,
    pub(super) metrics: Metrics,
    pub(super) in_flight: InFlight,
    pub(super) stop: CancellationToken,
    /// When the clocks of the others were last asked for on purpose.
    pub(super) compared_at: Mutex<Option<Instant>>,
    pub(super) orders: Arc<Semaphore>,
    pub(super) installs: Arc<Semaphore>,
    pub(super) read_backs: Arc<Semaphore>,
    /// So many certificates take proofs away at once.
    pub(super) withdrawals: Semaphore,
    /// Told whenever a slot becomes free.
    pub(super) freed: Notify,
    /// So many certificates are worked on at once, whatever their steps.
    pub(super) most_tasks: usize,
}

/// One configured certificate with everything that its steps use.
pub(super) struct Job {
    pub(super) spec: Spec,
    /// A digest of what failures for a person hang on.
    pub(super) digest: String,
    /// The solver of each configured name, by its name in the configuration.
    pub(super) solvers: BTreeMap<DnsName, String>,
    pub(super) targets: BTreeMap<TargetId, Arc<Target>>,
}

/// A CA with our account at it.
pub(super) struct Issuer {
    pub(super) ca: Ca,
    pub(super) contacts: Vec<String>,
    /// The account, once it was opened. The lock makes the first opening single-flight: parallel
    /// orders must not each create one.
    pub(super) account: tokio::sync::Mutex<Option<Account>>,
}

/// The kinds of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    /// Orders may wait minutes for DNS.
    Orders,
    /// Everything else is a matter of seconds.
    Installs,
    /// Read-backs: APIs that read are called less often than the one that installs, and whoever waits
    /// for its turn there must not hold up an install.
    ReadBacks,
}

/// Which step each certificate is at, and since when, so that a panic can be laid to it.
#[derive(Default)]
pub(super) struct InFlight(Mutex<BTreeMap<Label, (Action, Instant)>>);

/// A number from 0.0 to 1.0. The core rolls no dice; every random choice comes from here.
#[expect(
    clippy::disallowed_methods,
    reason = "the daemon rolls the dice for the core"
)]
pub(super) fn roll() -> f64 {
    rand::rng().random_range(0.0..=1.0)
}

impl Shared {
    /// A place to work at, if one is free.
    pub(super) fn slot(&self, slot: Slot) -> Option<OwnedSemaphorePermit> {
        Arc::clone(self.slots(slot)).try_acquire_owned().ok()
    }

    /// Whether a place of this kind is free at the moment.
    pub(super) fn has_slot(&self, slot: Slot) -> bool {
        self.slots(slot).available_permits() > 0
    }

    fn slots(&self, slot: Slot) -> &Arc<Semaphore> {
        match slot {
            Slot::Orders => &self.orders,
            Slot::Installs => &self.installs,
            Slot::ReadBacks => &self.read_backs,
        }
    }

    /// The facts that are not one certificate's own, as they are now.
    pub(super) async fn circumstances(&self) -> Result<Circumstances, StoreError> {
        let deadlines = self.store.deadlines().await?;
        let deadlines = deadlines
            .into_iter()
            .map(|(scope, row)| (scope, row.deadline));
        Ok(Circumstances {
            deadlines: deadlines.collect(),
            clock: self.clock_trust(),
        })
    }

    /// Closes the scope of a failure for everybody, if it has one beyond its certificate.
    pub(super) async fn close_scope(
        &self,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(row) = self.store.close_scope(failure, now).await?
            && let Some(until) = row.deadline.holding(now)
        {
            let scope = failure.scope.key();
            tracing::warn!(scope, %until, code = failure.code, "closed");
        }
        Ok(())
    }

    /// The CA with this directory.
    pub(super) fn ca_of(&self, directory: &str) -> Option<&Ca> {
        self.issuers
            .values()
            .map(|issuer| &issuer.ca)
            .find(|ca| ca.directory() == directory)
    }

    /// Asks every CA for the time. Whoever does not answer says nothing about our clock.
    pub(super) async fn compare_clocks(&self) {
        let asked_at = Instant::now();
        let questions = self.issuers.values().map(|issuer| async {
            let asked = tokio::time::timeout(CLOCK_QUESTION, directory::fetch(&issuer.ca)).await;
            if !matches!(asked, Ok(Ok(_))) {
                tracing::debug!(
                    ca = issuer.ca.directory(),
                    "could not be asked for the time"
                );
            }
        });
        futures_util::future::join_all(questions).await;
        *self
            .compared_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(asked_at);
    }

    /// What the others say about the local clock.
    pub(super) fn clock_verdict(&self) -> Verdict {
        let cas = self
            .issuers
            .values()
            .filter_map(|issuer| issuer.ca.clock_reading());
        let clouds = self
            .clouds
            .values()
            .filter_map(|client| client.clock_reading());
        let readings: Vec<ClockReading> = cas.chain(clouds).collect();
        trust::judge(
            &readings,
            self.compared_at(),
            self.clock.now(),
            Instant::now(),
        )
    }

    /// When the clocks of the others were last asked for on purpose.
    pub(super) fn compared_at(&self) -> Option<Instant> {
        *self
            .compared_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the local clock can be trusted.
    pub(super) fn clock_trust(&self) -> ClockTrust {
        self.clock_verdict().trust(self.clock.now())
    }
}

/// How long a CA may take to tell the time.
const CLOCK_QUESTION: Duration = Duration::from_secs(5);

impl Job {
    /// The name of the solver for a name that need not be on the certificate itself: that of the name
    /// that covers it.
    pub(super) fn solver_for(&self, name: &DnsName) -> Option<&str> {
        let covering = || self.solvers.iter().find(|(own, _)| own.covers(name.base()));
        let own = self.solver_of(name);
        own.or_else(|| covering().map(|(_, solver)| solver.as_str()))
    }

    /// The name of the solver for a bare name, as a CA authorises it: that of the configured name, or
    /// of its wildcard.
    pub(super) fn solver_of(&self, bare: &DnsName) -> Option<&str> {
        let mut named = self
            .solvers
            .iter()
            .filter(|(name, _)| name.base() == bare.base());
        named.next().map(|(_, solver)| solver.as_str())
    }
}

impl InFlight {
    pub(super) fn begin(&self, label: &Label, action: &Action) {
        let step = (action.clone(), Instant::now());
        self.lock().insert(label.clone(), step);
    }

    pub(super) fn end(&self, label: &Label) {
        self.lock().remove(label);
    }

    /// The step that a certificate is at, and for how long; it is then no longer in flight.
    pub(super) fn take(&self, label: &Label) -> Option<(Action, Duration)> {
        let (action, began) = self.lock().remove(label)?;
        Some((action, began.elapsed()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Label, (Action, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
