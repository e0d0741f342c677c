//! Publishes the proofs of an order and waits until they can be seen.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::{Entry, entries};
use crate::acme::Proof;
use crate::daemon::worker::Worker;
use crate::name::DnsName;
use crate::retry::{Class, Failure};
use crate::solver::{Outcome, Place, Solver, SolverError};
use crate::store::{JournalKind, JournalRow, JournalWriter, OrderId, StoreError};

/// The code of a failure that stands for what our name servers' look was worth.
const NOT_SEEN: &str = "proof-not-seen";

/// Why proofs are not published, or cannot be seen.
pub(in crate::daemon) enum PublishError {
    /// The store failed.
    Store(StoreError),
    /// The daemon is stopping.
    Stopping,
    /// No solver is configured for this name, which no later start of the order can change.
    NoSolver(DnsName),
    /// It failed, and may be tried again.
    Failed(Box<Failure>),
}

/// A proof with where it belongs.
struct Located<'a> {
    /// The solver's name in the configuration.
    solver_name: &'a str,
    solver: &'a Solver,
    place: Place,
    value: &'a str,
}

/// What an outcome of the wait is worth.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The CA may be asked to look.
    Go,
    /// The same, but a person shall know this.
    GoAllTheSame(String),
    /// The CA is not asked yet.
    Wait(String),
}

/// Publishes the proofs of an order, whatever an earlier start of it did, and waits until they can
/// be seen. Nothing is written before it is known where all of them belong.
pub(in crate::daemon) async fn publish(
    worker: &Worker<'_>,
    order: &OrderId,
    proofs: &[Proof],
) -> Result<(), PublishError> {
    let located = locate(worker, proofs).await?;
    let mut known = entries(worker.shared, Some(worker.lease.label())).await?;
    known.retain(|(row, _)| row.order.as_ref() == Some(order));
    for proof in &located {
        present(worker, order, &known, proof).await?;
    }
    let mut places: BTreeMap<&Place, (&Solver, BTreeSet<String>)> = BTreeMap::new();
    for proof in &located {
        let (_, values) = places
            .entry(&proof.place)
            .or_insert((proof.solver, BTreeSet::new()));
        values.insert(proof.value.to_owned());
    }
    let waits = places
        .into_iter()
        .map(|(place, (solver, values))| async move {
            let outcome = solver.wait(place, &values).await;
            (place.fqdn.as_str(), outcome)
        });
    let outcomes = tokio::select! {
        outcomes = join_all(waits) => outcomes,
        () = worker.shared.stop.cancelled() => return Err(PublishError::Stopping),
    };
    settle(worker, outcomes)
}

/// Finds out where the proofs belong, all at once for each solver.
async fn locate<'a>(
    worker: &Worker<'a>,
    proofs: &'a [Proof],
) -> Result<Vec<Located<'a>>, PublishError> {
    let mut by_solver: BTreeMap<&str, (&Solver, BTreeSet<DnsName>, Vec<&Proof>)> = BTreeMap::new();
    for proof in proofs {
        let name = worker.job.solver_of(&proof.name);
        let solver = name.and_then(|name| Some((name, worker.shared.solvers.get(name)?)));
        let (name, solver) = solver.ok_or_else(|| PublishError::NoSolver(proof.name.clone()))?;
        let (_, names, its_proofs) =
            by_solver
                .entry(name)
                .or_insert((solver, BTreeSet::new(), Vec::new()));
        names.insert(proof.name.clone());
        its_proofs.push(proof);
    }
    let mut located = Vec::new();
    for (solver_name, (solver, names, its_proofs)) in by_solver {
        let places = solver.locate(&names).await;
        let places = places.map_err(|error| failed(worker, &error))?;
        located.extend(its_proofs.into_iter().filter_map(|proof| {
            Some(Located {
                solver_name,
                solver,
                place: places.get(&proof.name)?.clone(),
                value: &proof.txt_value,
            })
        }));
    }
    Ok(located)
}

/// Publishes one value. One that an earlier start of the same order published may have been deleted
/// by somebody since, and one that still stands is found by publishing it again.
async fn present(
    worker: &Worker<'_>,
    order: &OrderId,
    known: &[(JournalRow, Entry)],
    proof: &Located<'_>,
) -> Result<(), PublishError> {
    let (store, lease) = (&worker.shared.store, worker.lease);
    let known = known.iter().find(|(_, entry)| {
        entry.solver == proof.solver_name
            && entry.place == proof.place
            && entry.value == proof.value
    });
    let now = worker.shared.clock.now();
    // Either way the lease was held just before the record is written.
    let (id, mut entry) = if let Some((row, entry)) = known {
        store.renew(lease, now).await?;
        (row.id.clone(), entry.clone())
    } else {
        let entry = Entry::new(proof.solver_name, &proof.place, proof.value);
        let (kind, payload) = (JournalKind::TxtRecord, entry.encode());
        let id = store.journal_open(lease, kind, Some(order), &payload, now);
        (id.await?, entry)
    };
    let published = proof.solver.present(&proof.place, proof.value).await;
    let published = published.map_err(|error| failed(worker, &error))?;
    entry.record_id = Some(published.record_id);
    store
        .journal_update(JournalWriter::Worker(lease), &id, &entry.encode())
        .await?;
    let scopes = proof.solver.publication_scopes();
    let now = worker.shared.clock.now();
    store.settle_scopes(&scopes, now).await?;
    tracing::info!(certificate = %lease.label(), name = proof.place.fqdn, "proof published");
    Ok(())
}

/// Whether the CA may be asked to look, by what came of the waits at all names.
fn settle(worker: &Worker<'_>, outcomes: Vec<(&str, Outcome)>) -> Result<(), PublishError> {
    let certificate = worker.lease.label();
    let last = worker.record.orders.trouble.as_ref();
    let not_seen_before = last.is_some_and(|trouble| trouble.failure.code == NOT_SEEN);
    let mut missing = Vec::new();
    for (name, outcome) in outcomes {
        match judge(name, outcome, not_seen_before) {
            Verdict::Go => {}
            Verdict::GoAllTheSame(why) => tracing::warn!(%certificate, name, "{why}"),
            Verdict::Wait(why) => missing.push(why),
        }
    }
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let message = match missing.len() - 1 {
        0 => first.clone(),
        others => format!("{first}; the like at {others} more"),
    };
    Err(PublishError::Failed(Box::new(Failure::here(
        NOT_SEEN,
        message,
        &[(Class::Backoff, 1)],
    ))))
}

/// Judges one wait: the CA may look if the proofs were seen where we could look. What is seen here is
/// no proof of what the CA sees: one name server that lags for good must not prevent an order for
/// ever, so the second time in a row the CA is asked all the same.
fn judge(name: &str, outcome: Outcome, not_seen_before: bool) -> Verdict {
    let lagging = match outcome {
        Outcome::Seen | Outcome::Skipped => return Verdict::Go,
        Outcome::SeenAtResolversOnly => {
            return Verdict::GoAllTheSame("proof seen at the resolvers only".to_owned());
        }
        Outcome::NotSeen { servers } if servers.is_empty() => {
            // Nobody could be asked: the CA may see more than we do. Once is better than never.
            return Verdict::GoAllTheSame("proof not seen, no server answered".to_owned());
        }
        Outcome::NotSeen { servers } => servers,
    };
    let lagging: Vec<String> = lagging.iter().map(ToString::to_string).collect();
    let message = format!("{name} is not served by {}", lagging.join(", "));
    if not_seen_before {
        return Verdict::GoAllTheSame(format!("{message}; the CA is asked all the same"));
    }
    Verdict::Wait(message)
}

fn failed(worker: &Worker<'_>, error: &SolverError) -> PublishError {
    PublishError::Failed(Box::new(error.failure(worker.shared.clock.now())))
}

// === impl PublishError ===

impl From<StoreError> for PublishError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ca_is_asked_unless_a_server_lags_for_the_first_time() {
        let servers =
            || BTreeSet::from(["192.0.2.1:53", "192.0.2.2:53"].map(|s| s.parse().unwrap()));
        let lagging = || Outcome::NotSeen { servers: servers() };
        let unknown = || Outcome::NotSeen {
            servers: BTreeSet::new(),
        };
        let wait = |why: &str| Verdict::Wait(why.to_owned());
        let warn = |why: &str| Verdict::GoAllTheSame(why.to_owned());
        let (resolvers, nobody) = (
            "proof seen at the resolvers only",
            "proof not seen, no server answered",
        );
        let cases = [
            (Outcome::Seen, false, Verdict::Go),
            (Outcome::Seen, true, Verdict::Go),
            (Outcome::Skipped, false, Verdict::Go),
            (Outcome::SeenAtResolversOnly, false, warn(resolvers)),
            (Outcome::SeenAtResolversOnly, true, warn(resolvers)),
            (unknown(), false, warn(nobody)),
            (unknown(), true, warn(nobody)),
            (
                lagging(),
                false,
                wait("n is not served by 192.0.2.1:53, 192.0.2.2:53"),
            ),
            (
                lagging(),
                true,
                warn("n is not served by 192.0.2.1:53, 192.0.2.2:53; the CA is asked all the same"),
            ),
        ];
        for (outcome, not_seen_before, expected) in cases {
            let case = format!("{outcome:?}, not seen before: {not_seen_before}");
            assert_eq!(judge("n", outcome, not_seen_before), expected, "{case}");
        }
    }
}
