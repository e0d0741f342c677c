//! Proves to Alibaba Cloud who owns the domain of a target: by a value that is published at the root of
//! its zone, checked, and taken away again like every other proof when the certificate comes to rest.

use std::collections::BTreeSet;

use super::Entry;
use crate::daemon::install::unknown_target;
use crate::daemon::worker::Worker;
use crate::name::TargetId;
use crate::renewal::Event;
use crate::retry::{Class, Failure};
use crate::solver::{Outcome, Place, Solver, SolverError};
use crate::store::{JournalKind, JournalWriter, StoreError};
use crate::target::{InstallError, Target};

/// Why it is not proven who owns a domain.
enum OwnerError {
    /// The store failed.
    Store(StoreError),
    /// It is not proven, and a person is told why.
    Failed(Failure),
    /// It was not checked, because the daemon stops.
    Parked,
}

/// Has it checked who owns the domain of a target. That it is tried is stored before: whatever comes of
/// it, it is not tried again that day, unless the daemon stops before it is checked.
pub(in crate::daemon) async fn prove_owner(
    worker: &mut Worker<'_>,
    id: &TargetId,
    generation: u32,
) -> Result<Event, StoreError> {
    worker
        .take(Event::OwnerProofIntended {
            target: id.clone(),
            generation,
        })
        .await?;
    match attempt(worker, id).await {
        Ok(()) => Ok(Event::OwnerProven { target: id.clone() }),
        Err(OwnerError::Store(error)) => Err(error),
        Err(OwnerError::Parked) => Ok(Event::OwnerProofParked { target: id.clone() }),
        Err(OwnerError::Failed(failure)) => Ok(Event::OwnerProofFailed {
            target: id.clone(),
            failure,
        }),
    }
}

async fn attempt(worker: &Worker<'_>, id: &TargetId) -> Result<(), OwnerError> {
    let Some(target) = worker.job.targets.get(id) else {
        return Err(OwnerError::Failed(unknown_target(id)));
    };
    let name = id.domain.needs();
    let solver_name = worker.job.solver_for(&name);
    let solver = solver_name.and_then(|name| Some((name, worker.shared.solvers.get(name)?)));
    let Some((solver_name, solver)) = solver else {
        return Err(operator("no-solver", format!("no solver is for {name}")));
    };
    let by_target =
        |error: InstallError| OwnerError::Failed(error.failure(worker.shared.clock.now()));
    let value = target.owner_proof().await.map_err(by_target)?;
    let place = solver.locate_owner_proof(&name).await;
    let place = place.map_err(|error| by_solver(worker, &error))?;
    present(worker, (solver_name, solver), &place, &value).await?;
    check(worker, target, solver, &place, value).await
}

/// Publishes the value; what is written down before it is how it is found and taken away.
async fn present(
    worker: &Worker<'_>,
    (solver_name, solver): (&str, &Solver),
    place: &Place,
    value: &str,
) -> Result<(), OwnerError> {
    let (store, lease, clock) = (&worker.shared.store, worker.lease, &worker.shared.clock);
    let mut entry = Entry::new(solver_name, place, value);
    let (kind, payload) = (JournalKind::TxtRecord, entry.encode());
    let id = store.journal_open(lease, kind, None, &payload, clock.now());
    let id = id.await?;
    let published = solver.present(place, value).await;
    let published = published.map_err(|error| by_solver(worker, &error))?;
    entry.record_id = Some(published.record_id);
    let writer = JournalWriter::Worker(lease);
    let payload = entry.encode();
    store.journal_update(writer, &id, &payload).await?;
    let scopes = solver.publication_scopes();
    Ok(store.settle_scopes(&scopes, clock.now()).await?)
}

/// Waits until the value can be seen and has it checked. That it cannot be seen from here does not
/// mean that it cannot from there.
async fn check(
    worker: &Worker<'_>,
    target: &Target,
    solver: &Solver,
    place: &Place,
    value: String,
) -> Result<(), OwnerError> {
    let values = BTreeSet::from([value]);
    let outcome = tokio::select! {
        outcome = solver.wait(place, &values) => outcome,
        () = worker.shared.stop.cancelled() => return Err(OwnerError::Parked),
    };
    if !matches!(outcome, Outcome::Seen | Outcome::Skipped) {
        let (certificate, name) = (worker.lease.label(), &place.fqdn);
        tracing::warn!(%certificate, name, "proof of who owns the domain not seen everywhere");
    }
    match target.check_owner().await {
        Ok(true) => Ok(()),
        Ok(false) => {
            let message = format!("what was published at {} did not prove it", place.fqdn);
            Err(operator("owner-not-proven", message))
        }
        Err(error) => Err(OwnerError::Failed(error.failure(worker.shared.clock.now()))),
    }
}

fn by_solver(worker: &Worker<'_>, error: &SolverError) -> OwnerError {
    OwnerError::Failed(error.failure(worker.shared.clock.now()))
}

fn operator(code: &str, message: String) -> OwnerError {
    OwnerError::Failed(Failure::here(code, message, &[(Class::Operator, 1)]))
}

impl From<StoreError> for OwnerError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
