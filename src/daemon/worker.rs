//! One certificate: decide, perform, apply, save, and again, until there is nothing to do.
//!
//! The record is saved after every step, before the next one is decided. A worker that is killed
//! between any two lines leaves a record from which the same loop goes on.

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::chronicle::{self, Told};
use super::order::{self, Wanted};
use super::shared::{Job, Shared, Slot};
use super::{install, proof, renewal_info};
use crate::renewal::{Action, Decision, Event, Record, decide};
use crate::retry::{Failure, Scope};
use crate::store::{LEASE_TTL, Lease, StoreError};
use crate::time::Timestamp;

/// How often the lease is renewed.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Why a worker stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing to do before that time.
    Until(Timestamp),
    /// The next step needs a slot of this kind, and all are taken.
    NoSlot(Slot),
    /// The daemon is stopping.
    Stopping,
}

/// How a step went, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// As hoped.
    Done,
    /// Left off, because the daemon is stopping or the call was not sent.
    Parked,
    /// Not as hoped; the record knows what comes of it.
    Failed,
}

/// A certificate at work: what its step may use, and its record.
pub(super) struct Worker<'a> {
    pub(super) shared: &'a Shared,
    pub(super) job: &'a Job,
    pub(super) lease: &'a Lease,
    pub(super) record: Record,
}

/// Works on one certificate until it rests, and keeps its lease meanwhile.
pub(super) async fn work(shared: &Shared, job: &Job, lease: &Lease) -> Result<Rest, StoreError> {
    let stored = shared.store.load(lease.label()).await?;
    let record = stored.map(|stored| stored.record).unwrap_or_default();
    let mut worker = Worker {
        shared,
        job,
        lease,
        record,
    };
    let rest = tokio::select! {
        rest = worker.run() => rest?,
        lost = keep(shared, lease) => {
            // The step was cut off, so that it could not say itself that it is over.
            shared.in_flight.end(lease.label());
            return Err(lost);
        }
    };
    let due_at = match rest {
        Rest::Until(time) => time,
        Rest::NoSlot(_) | Rest::Stopping => shared.clock.now(),
    };
    shared.store.release(lease, due_at).await?;
    Ok(rest)
}

/// Renews the lease until it is lost. A store that is busy or full for a moment is no reason to drop
/// a step half-way: the lease lasts long enough to try again.
async fn keep(shared: &Shared, lease: &Lease) -> StoreError {
    let mut renewed_at = Instant::now();
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        match shared.store.renew(lease, shared.clock.now()).await {
            Ok(()) => renewed_at = Instant::now(),
            Err(error @ StoreError::LeaseLost { .. }) => return error,
            Err(error) if renewed_at.elapsed() + HEARTBEAT * 2 > LEASE_TTL => return error,
            Err(_) => {}
        }
    }
}

impl Worker<'_> {
    async fn run(&mut self) -> Result<Rest, StoreError> {
        if self.record.digest != self.job.digest {
            self.take(Event::Reconfigured {
                digest: self.job.digest.clone(),
            })
            .await?;
        }
        loop {
            if self.shared.stop.is_cancelled() {
                return Ok(Rest::Stopping);
            }
            let decision = self.decide().await?;
            let slot = match &decision.action {
                Action::SleepUntil(time) => return self.rest(*time).await,
                Action::DistrustClock { until_checked } => return Ok(Rest::Until(*until_checked)),
                // Both may wait minutes for DNS.
                Action::Order { .. } | Action::ProveOwner { .. } => Slot::Orders,
                Action::AskRenewalInfo | Action::Install { .. } | Action::Look { .. } => {
                    Slot::Installs
                }
                Action::ReadBack { .. } => Slot::ReadBacks,
            };
            let Some(permit) = self.shared.slot(slot) else {
                return Ok(Rest::NoSlot(slot));
            };
            let (store, now) = (&self.shared.store, self.shared.clock.now());
            let scopes = self.scopes_of(&decision.action);
            let Some(probe) = store.begin_probe(&scopes, now).await? else {
                // Somebody tries whether it works again; what is stored of that is decided upon.
                continue;
            };
            self.perform(decision, permit).await?;
            let now = self.shared.clock.now();
            self.shared.store.end_probe(&probe, now).await?;
        }
    }

    /// The scopes of the calls that a step may make to a cloud.
    fn scopes_of(&self, action: &Action) -> Vec<Scope> {
        let spec = &self.job.spec;
        let target = action.target().and_then(|id| spec.targets.get(id));
        match (action, target) {
            (Action::Install { manner, .. }, Some(target)) => target.scopes_of_install(manner),
            (Action::ReadBack { .. }, Some(target)) => target.read_back_scopes.clone(),
            (Action::Order { .. }, _) => spec.proof_scopes.clone(),
            (Action::ProveOwner { .. }, Some(target)) => {
                let asked = target.owner_proof.iter().flat_map(|proof| &proof.scopes);
                asked.chain(&spec.proof_scopes).cloned().collect()
            }
            (
                Action::Install { .. }
                | Action::ReadBack { .. }
                | Action::ProveOwner { .. }
                | Action::AskRenewalInfo
                | Action::DistrustClock { .. }
                | Action::Look { .. }
                | Action::SleepUntil(_),
                _,
            ) => Vec::new(),
        }
    }

    /// Before a certificate rests until `time`, what its orders have left behind is taken away; that
    /// is tried again before `time` if it fails.
    async fn rest(&self, time: Timestamp) -> Result<Rest, StoreError> {
        let left_behind = proof::withdraw_stale(self, time).await?;
        Ok(Rest::Until(left_behind.map_or(time, |due| due.min(time))))
    }

    async fn decide(&self) -> Result<Decision, StoreError> {
        let circumstances = self.shared.circumstances().await?;
        let decision = decide(
            &self.job.spec,
            &self.record,
            &circumstances,
            self.shared.clock.now(),
        );
        tracing::debug!(
            certificate = %self.job.spec.label,
            action = decision.action.as_str(),
            reason = %decision.reason,
            "decided"
        );
        Ok(decision)
    }

    /// Performs one step, however that ends: counts it, and gives its slot back.
    async fn perform(
        &mut self,
        decision: Decision,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), StoreError> {
        let label = &self.job.spec.label;
        let held = Held::new(permit, self.shared);
        self.shared.in_flight.begin(label, &decision.action);
        let began = Instant::now();
        let outcome = self.act(&decision.action).await;
        self.shared.in_flight.end(label);
        drop(held);
        let step = outcome.as_ref().copied().unwrap_or(Step::Failed);
        let action = decision.action.as_str();
        let succeeded = match step {
            Step::Done => Some(true),
            Step::Failed => Some(false),
            Step::Parked => None,
        };
        if let Some(succeeded) = succeeded {
            let metrics = &self.shared.metrics;
            metrics.action(action, succeeded, began.elapsed());
        }
        outcome.map(|_| ())
    }

    /// Takes the step and takes in what happened.
    async fn act(&mut self, action: &Action) -> Result<Step, StoreError> {
        match action {
            Action::Order {
                issuer,
                names,
                replaces,
                overdraws,
            } => {
                let wanted = Wanted {
                    issuer,
                    names,
                    replaces: *replaces,
                    overdraws: *overdraws,
                };
                order::order(self, wanted).await
            }
            Action::AskRenewalInfo => {
                let event = renewal_info::ask(self).await;
                self.take(event).await
            }
            Action::Install {
                target,
                generation,
                manner,
            } => {
                let event = install::install(self, target, *generation, manner).await?;
                self.take(event).await
            }
            Action::ProveOwner { target, generation } => {
                let event = proof::prove_owner(self, target, *generation).await?;
                self.take(event).await
            }
            Action::ReadBack { target } => {
                let event = install::read_back(self, target).await?;
                self.take(event).await
            }
            Action::Look { target } => {
                let event = install::look(self, target).await?;
                self.take(event).await
            }
            Action::SleepUntil(_) | Action::DistrustClock { .. } => Ok(Step::Done),
        }
    }

    /// Takes in what happened: the record, the history, the log, the deadlines of others.
    pub(super) async fn take(&mut self, event: Event) -> Result<Step, StoreError> {
        let now = self.shared.clock.now();
        let step = Step::of(&event);
        self.heed_scopes(&event, now).await?;
        let told = self.apply(event, now);
        self.shared
            .store
            .save(self.lease, &self.record, now, &told.entries())
            .await?;
        told.log();
        Ok(step)
    }

    /// Applies an event to the record in memory; the caller saves it with what belongs to it.
    pub(super) fn apply(&mut self, event: Event, now: Timestamp) -> Told {
        let before = self.record.clone();
        let told = event.clone();
        self.record.apply(event, now);
        chronicle::tell(&self.job.spec.label, &told, &before, &self.record, now)
    }

    /// A refusal that is about more than this certificate closes its scope for everybody; a success
    /// settles the scopes of what was called.
    async fn heed_scopes(&self, event: &Event, now: Timestamp) -> Result<(), StoreError> {
        if let Some(failure) = failure_of(event) {
            // What our credentials may not ask is a policy: it closes nothing for those who have not
            // asked yet.
            return if is_policy(event) {
                Ok(())
            } else {
                self.shared.close_scope(failure, now).await
            };
        }
        let targets = &self.job.spec.targets;
        let settled = match event {
            Event::Installed { target, .. } => {
                targets.get(target).map(|spec| spec.install_scopes.clone())
            }
            Event::OwnerProven { target } => targets
                .get(target)
                .and_then(|spec| Some(spec.owner_proof.as_ref()?.scopes.clone())),
            Event::ReadBack { target, .. } => targets
                .get(target)
                .map(|spec| spec.read_back_scopes.clone()),
            Event::Reconfigured { .. }
            | Event::RenewalInfoAnswered(_)
            | Event::RenewalInfoFailed { .. }
            | Event::OrderIntended(_)
            | Event::OrderHeldBack { .. }
            | Event::OrderAccepted
            | Event::OrderDropped
            | Event::OrderFailed { .. }
            | Event::Issued(_)
            | Event::InstallIntended { .. }
            | Event::NotSent { .. }
            | Event::Stored { .. }
            | Event::InstallFailed { .. }
            | Event::OwnerProofIntended { .. }
            | Event::OwnerProofParked { .. }
            | Event::OwnerProofFailed { .. }
            | Event::ReadBackFailed { .. }
            | Event::Looked { .. } => None,
        };
        match settled {
            Some(scopes) => self.shared.store.settle_scopes(&scopes, now).await,
            None => Ok(()),
        }
    }
}

/// A slot at work. When it ends, by whatever way, whoever waits for one is told.
struct Held<'a> {
    permit: Option<OwnedSemaphorePermit>,
    shared: &'a Shared,
}

impl<'a> Held<'a> {
    fn new(permit: OwnedSemaphorePermit, shared: &'a Shared) -> Self {
        Self {
            permit: Some(permit),
            shared,
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.shared.freed.notify_one();
    }
}

impl Step {
    fn of(event: &Event) -> Self {
        if failure_of(event).is_some() {
            Self::Failed
        } else if matches!(
            event,
            Event::OwnerProofParked { .. } | Event::NotSent { .. }
        ) {
            Self::Parked
        } else {
            Self::Done
        }
    }
}

fn is_policy(event: &Event) -> bool {
    matches!(
        event,
        Event::ReadBackFailed {
            lacks_permission: true,
            ..
        }
    )
}

fn failure_of(event: &Event) -> Option<&Failure> {
    match event {
        Event::RenewalInfoFailed { failure }
        | Event::OrderFailed { failure, .. }
        | Event::InstallFailed { failure, .. }
        | Event::OwnerProofFailed { failure, .. }
        | Event::ReadBackFailed { failure, .. } => Some(failure),
        Event::Reconfigured { .. }
        | Event::RenewalInfoAnswered(_)
        | Event::OrderIntended(_)
        | Event::OrderHeldBack { .. }
        | Event::OrderAccepted
        | Event::OrderDropped
        | Event::Issued(_)
        | Event::InstallIntended { .. }
        | Event::NotSent { .. }
        | Event::Stored { .. }
        | Event::Installed { .. }
        | Event::OwnerProofIntended { .. }
        | Event::OwnerProofParked { .. }
        | Event::OwnerProven { .. }
        | Event::ReadBack { .. }
        | Event::Looked { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::daemon::build::testing;
    use crate::retry::Class;

    #[test]
    fn a_question_that_is_not_allowed_fails_and_closes_nothing() {
        let refused = |lacks_permission| Event::ReadBackFailed {
            target: "aliyun-vod/default/v.example.com".parse().unwrap(),
            failure: Failure::here("Forbidden.RAM", "", &[(Class::Operator, 1)]),
            lacks_permission,
            jitter: 0.5,
        };
        for lacks_permission in [true, false] {
            let event = refused(lacks_permission);
            assert!(matches!(Step::of(&event), Step::Failed));
            assert_eq!(is_policy(&event), lacks_permission);
        }
    }

    #[tokio::test]
    async fn a_step_that_is_cut_off_with_its_lease_is_not_in_flight_any_more() {
        // A CA that takes connections and says nothing.
        let ca = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let home = tempfile::tempdir().unwrap();
        let config = format!(
            "[issuers.mute]\ndirectory = \"https://{}/directory\"\n\
             [[certificates]]\nnames = [\"a.example.com\"]\nissuers = [\"mute\"]\n",
            ca.local_addr().unwrap()
        );
        let shared = testing::shared(home.path(), &config).await;
        let (label, job) = shared.jobs.first_key_value().unwrap();
        let now = shared.clock.now();
        let labels = std::slice::from_ref(label);
        shared.store.ensure(labels, now).await.unwrap();
        let lease = shared.store.claim(label, now).await.unwrap().unwrap();
        let somebody_else = async {
            let (connection, _) = ca.accept().await.unwrap();
            let later = shared.clock.now() + LEASE_TTL;
            let lease = shared.store.claim(label, later).await.unwrap().unwrap();
            (connection, lease)
        };
        let (ended, _) = tokio::join!(work(&shared, job, &lease), somebody_else);
        assert!(
            matches!(ended, Err(StoreError::LeaseLost { .. })),
            "{ended:?}"
        );
        assert_eq!(shared.in_flight.take(label), None);
    }
}
