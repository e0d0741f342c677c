//! Publishes the proofs of an order and waits until they can be seen.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, entries};
use crate::acme::Proof;
use crate::daemon::order::Unfinished;
use crate::daemon::worker::Worker;
use crate::renewal::OrderFate;
use crate::retry::{Class, Failure, Scope, course};
use crate::solver::{Outcome, Place, Published, Solver, SolverError};
use crate::store::{JournalKind, OrderId};

/// The code of a failure that stands for what our name servers' look was worth.
const NOT_SEEN: &str = "proof-not-seen";

/// Publishes the proofs of an order, whatever an earlier start of it did, and waits until they can
/// be seen.
pub(in crate::daemon) async fn publish(
    worker: &Worker<'_>,
    order: &OrderId,
    proofs: &[Proof],
) -> Result<(), Unfinished> {
    let mut places: BTreeMap<Place, (&Solver, BTreeSet<String>)> = BTreeMap::new();
    for proof in proofs {
        let (name, solver) = solver(worker, proof)?;
        let located = solver.locate(&BTreeSet::from([proof.name.clone()])).await;
        let located = located.map_err(|error| failed(worker, &error))?;
        let Some(place) = located.into_values().next() else {
            continue;
        };
        present(worker, order, (name, solver), &place, &proof.txt_value).await?;
        places
            .entry(place)
            .or_insert((solver, BTreeSet::new()))
            .1
            .insert(proof.txt_value.clone());
    }
    for (place, (solver, values)) in &places {
        let outcome = tokio::select! {
            outcome = solver.wait(place, values) => outcome,
            () = worker.shared.stop.cancelled() => return Err(Unfinished::Parked),
        };
        settle(worker, place, outcome)?;
    }
    Ok(())
}

/// The solver for a proof, with its name in the configuration.
fn solver<'a>(worker: &Worker<'a>, proof: &Proof) -> Result<(&'a str, &'a Solver), Unfinished> {
    let name = worker.job.solver_of(&proof.name);
    let solver = name.and_then(|name| Some((name, worker.shared.solvers.get(name)?)));
    let (name, solver) = solver.ok_or_else(|| no_solver(proof))?;
    Ok((name, solver))
}

/// Publishes one value. One that an earlier start of the same order published may have been deleted
/// by somebody since, and one that still stands is found by publishing it again.
async fn present(
    worker: &Worker<'_>,
    order: &OrderId,
    (name, solver): (&str, &Solver),
    place: &Place,
    value: &str,
) -> Result<(), Unfinished> {
    let store = &worker.shared.store;
    let label = worker.lease.label();
    let known = entries(worker.shared, Some(label)).await?;
    let known = known.into_iter().find(|(row, entry)| {
        row.order.as_ref() == Some(order)
            && entry.solver == name
            && entry.published.place == *place
            && entry.published.value == value
    });
    let (id, mut entry) = if let Some((row, entry)) = known {
        (row.id, entry)
    } else {
        let entry = Entry {
            solver: name.to_owned(),
            published: Published {
                place: place.clone(),
                value: value.to_owned(),
                record_id: String::new(),
            },
            failures: 0,
            pause: None,
        };
        let (kind, payload) = (JournalKind::TxtRecord, entry.encode());
        let now = worker.shared.clock.now();
        let id = store.journal_open(kind, label, Some(order), &payload, now);
        (id.await?, entry)
    };
    entry.published = solver
        .present(place, value)
        .await
        .map_err(|error| failed(worker, &error))?;
    store.journal_update(&id, &entry.encode()).await?;
    store
        .settle_scopes(&solver.publication_scopes(), worker.shared.clock.now())
        .await?;
    tracing::info!(certificate = %worker.job.spec.label, name = place.fqdn, "proof published");
    Ok(())
}

/// Whether the CA may be asked to look: yes if the proofs were seen where we could look. What is
/// seen here is no proof of what the CA sees: one name server that lags for good must not prevent an
/// order for ever, so the second time in a row the CA is asked all the same.
fn settle(worker: &Worker<'_>, place: &Place, outcome: Outcome) -> Result<(), Unfinished> {
    let certificate = &worker.job.spec.label;
    let lagging = match outcome {
        Outcome::Seen | Outcome::Skipped => return Ok(()),
        Outcome::SeenAtResolversOnly => {
            tracing::warn!(%certificate, name = place.fqdn, "proof seen at the resolvers only");
            return Ok(());
        }
        Outcome::NotSeen { servers } if servers.is_empty() => {
            // Nobody could be asked: the CA may see more than we do. Once is better than never.
            tracing::warn!(%certificate, name = place.fqdn, "proof not seen, no server answered");
            return Ok(());
        }
        Outcome::NotSeen { servers } => servers,
    };
    let lagging: Vec<String> = lagging.iter().map(ToString::to_string).collect();
    let message = format!("{} is not served by {}", place.fqdn, lagging.join(", "));
    let last = worker.record.orders.trouble.as_ref();
    if last.is_some_and(|trouble| trouble.failure.code == NOT_SEEN) {
        tracing::warn!(%certificate, "{message}; the CA is asked all the same");
        return Ok(());
    }
    let failure = Failure {
        code: NOT_SEEN.to_owned(),
        message,
        course: course(&[(Class::Backoff, 1)]),
        scope: Scope::Here,
        not_before: None,
        clamped: false,
    };
    Err(Unfinished::of(failure, OrderFate::Open))
}

fn failed(worker: &Worker<'_>, error: &SolverError) -> Unfinished {
    let failure = error.failure(worker.shared.clock.now());
    Unfinished::of(failure, OrderFate::Open)
}

fn no_solver(proof: &Proof) -> Unfinished {
    let failure = Failure {
        code: "no-solver".to_owned(),
        message: format!("no solver is configured for {}", proof.name),
        course: course(&[(Class::Operator, 1)]),
        scope: Scope::Here,
        not_before: None,
        clamped: false,
    };
    Unfinished::of(failure, OrderFate::Over)
}
