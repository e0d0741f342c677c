//! Takes proofs away that are not needed any more.
//!
//! What cannot be taken away keeps its row and is tried again on a ladder of its own: a proof that
//! is left over does no harm, so no certificate waits for it.

use std::time::Duration;

use super::{Entry, entries};
use crate::daemon::shared::Shared;
use crate::daemon::worker::Worker;
use crate::retry::Failure;
use crate::solver::{Published, Solver, SolverError};
use crate::store::{JournalRow, OrderId, StoreError};
use crate::time::{Deadline, Timestamp};

/// A proof that could not be taken away is left alone for this long, doubling, to that.
const PAUSE_FIRST: Duration = Duration::from_mins(1);
const PAUSE_LAST: Duration = Duration::from_hours(6);

/// Proofs of certificates that nobody works on are looked for this often.
const SWEEP: Duration = Duration::from_hours(24);

/// Why a proof could not be taken away.
#[derive(Debug, thiserror::Error)]
enum WithdrawError {
    #[error("the other side does not want to be asked before {0}")]
    Closed(Timestamp),
    #[error("no solver is named {0} any more")]
    NoSolver(String),
    #[error(transparent)]
    Solver(#[from] SolverError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes away the proofs of one order.
pub(in crate::daemon) async fn withdraw(worker: &Worker<'_>, order: &OrderId) {
    let published = entries(worker.shared, Some(worker.lease.label())).await;
    let taken = match published {
        Ok(mut rows) => {
            rows.retain(|(row, _)| row.order.as_ref() == Some(order));
            withdraw_all(worker.shared, rows).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = taken {
        tracing::warn!(
            certificate = %worker.job.spec.label,
            error = &error as &dyn std::error::Error,
            "could not take the proofs of an order away"
        );
    }
}

/// Takes away the proofs of orders that are over, as far as that is due: a process was killed, or
/// the withdrawal failed.
pub(in crate::daemon) async fn withdraw_stale(worker: &Worker<'_>) -> Result<(), StoreError> {
    let stale = stale(worker).await?;
    withdraw_all(worker.shared, stale).await
}

/// When there is something for [`withdraw_stale`] to do.
pub(in crate::daemon) async fn withdrawal_due(
    worker: &Worker<'_>,
) -> Result<Option<Timestamp>, StoreError> {
    let now = worker.shared.clock.now();
    let stale = stale(worker).await?;
    Ok(stale.iter().map(|(_, entry)| entry.due_at(now)).min())
}

/// Takes away the proofs of certificates that are not configured any more, now and every day until
/// the daemon is told to stop: no worker does it for them.
pub(in crate::daemon) async fn sweep(shared: &Shared) {
    let sweeping = async {
        loop {
            let next = sweep_once(shared).await;
            let next = next.unwrap_or_else(|error| {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not look for proofs that were left over"
                );
                None
            });
            let pause = next.map_or(SWEEP, |next| next.since(shared.clock.now()));
            tokio::time::sleep(pause.clamp(PAUSE_FIRST, SWEEP)).await;
        }
    };
    tokio::select! {
        () = sweeping => {}
        () = shared.stop.cancelled() => {}
    }
}

/// Returns when what was left is due again.
async fn sweep_once(shared: &Shared) -> Result<Option<Timestamp>, StoreError> {
    withdraw_all(shared, orphans(shared).await?).await?;
    let now = shared.clock.now();
    let left = orphans(shared).await?;
    Ok(left.iter().map(|(_, entry)| entry.due_at(now)).min())
}

async fn orphans(shared: &Shared) -> Result<Vec<(JournalRow, Entry)>, StoreError> {
    let mut rows = entries(shared, None).await?;
    rows.retain(|(row, _)| !shared.jobs.contains_key(&row.label));
    Ok(rows)
}

/// The proofs of all orders but the one that is going to be taken up.
async fn stale(worker: &Worker<'_>) -> Result<Vec<(JournalRow, Entry)>, StoreError> {
    let label = worker.lease.label();
    let mut rows = entries(worker.shared, Some(label)).await?;
    if rows.is_empty() {
        return Ok(rows);
    }
    let open = worker.shared.store.open_order(label).await?;
    // Without an issuer it never is.
    let orders = !worker.job.spec.issuers.is_empty();
    let adopted = open.filter(|row| orders && row.url.is_some());
    rows.retain(|(row, _)| row.order.as_ref() != adopted.as_ref().map(|order| &order.id));
    Ok(rows)
}

async fn withdraw_all(shared: &Shared, rows: Vec<(JournalRow, Entry)>) -> Result<(), StoreError> {
    for (row, entry) in rows {
        let now = shared.clock.now();
        if entry.due_at(now) > now {
            continue;
        }
        let error = match withdraw_one(shared, &entry).await {
            Ok(()) => {
                let now = shared.clock.now();
                shared.store.journal_close(&row.id, now).await?;
                continue;
            }
            Err(WithdrawError::Store(error)) => return Err(error),
            Err(error) => error,
        };
        tracing::warn!(
            certificate = %row.label,
            name = entry.published.place.fqdn,
            error = &error as &dyn std::error::Error,
            "could not take a proof away; it is tried again"
        );
        let left = entry.left(&error, shared.clock.now());
        shared.store.journal_update(&row.id, &left.encode()).await?;
    }
    Ok(())
}

async fn withdraw_one(shared: &Shared, entry: &Entry) -> Result<(), WithdrawError> {
    let Some(solver) = shared.solvers.get(&entry.solver) else {
        return Err(WithdrawError::NoSolver(entry.solver.clone()));
    };
    let now = shared.clock.now();
    let scopes = solver.withdrawal_scopes();
    let circumstances = shared.circumstances().await?;
    let closed = scopes
        .iter()
        .filter_map(|scope| circumstances.closed(scope, now));
    if let Some(until) = closed.max() {
        return Err(WithdrawError::Closed(until));
    }
    let taken = take_away(solver, entry.published.clone()).await;
    let now = shared.clock.now();
    match taken {
        Ok(()) => Ok(shared.store.settle_scopes(&scopes, now).await?),
        Err(error) => {
            shared.close_scope(&error.failure(now), now).await?;
            Err(error.into())
        }
    }
}

/// Takes away a proof whose id may not be known.
async fn take_away(solver: &Solver, published: Published) -> Result<(), SolverError> {
    let found = if published.record_id.is_empty() {
        solver.find(&published.place, &published.value).await?
    } else {
        Some(published)
    };
    match found {
        Some(published) => solver.withdraw(&published).await,
        None => Ok(()),
    }
}

impl Entry {
    /// When it may be tried to take it away.
    fn due_at(&self, now: Timestamp) -> Timestamp {
        self.pause
            .and_then(|pause| pause.holding(now))
            .unwrap_or(now)
    }

    /// What it is after it could not be taken away.
    fn left(&self, error: &WithdrawError, now: Timestamp) -> Self {
        let rung = PAUSE_FIRST.saturating_mul(2_u32.saturating_pow(self.failures.min(16)));
        let on_ladder = now + rung.min(PAUSE_LAST);
        let (failures, until) = match error {
            // Nothing was tried.
            WithdrawError::Closed(until) => (self.failures, *until),
            WithdrawError::Solver(error) => {
                let Failure { not_before, .. } = error.failure(now);
                let until = not_before.map_or(on_ladder, |named| named.max(on_ladder));
                (self.failures.saturating_add(1), until)
            }
            WithdrawError::NoSolver(_) | WithdrawError::Store(_) => {
                (self.failures.saturating_add(1), on_ladder)
            }
        };
        Self {
            failures,
            pause: Some(Deadline { until, set_at: now }),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::Place;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn entry() -> Entry {
        Entry {
            solver: "alidns".to_owned(),
            published: Published {
                place: Place {
                    zone: "example.com".to_owned(),
                    fqdn: "_acme-challenge.v.example.com".to_owned(),
                },
                value: "value".to_owned(),
                record_id: "1".to_owned(),
            },
            failures: 0,
            pause: None,
        }
    }

    #[test]
    fn a_proof_that_stays_is_left_alone_for_longer_and_longer() {
        let failed = WithdrawError::NoSolver("alidns".to_owned());
        let mut entry = entry();
        assert_eq!(entry.due_at(NOW), NOW);
        for minutes in [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360] {
            entry = entry.left(&failed, NOW);
            assert_eq!(entry.due_at(NOW), NOW + Duration::from_mins(minutes));
        }
        let stepped_back = NOW - Duration::from_hours(1);
        assert_eq!(entry.due_at(stepped_back), stepped_back);
    }

    #[test]
    fn a_closed_scope_is_no_failure_of_the_proof() {
        let closed = WithdrawError::Closed(NOW + Duration::from_secs(7));
        let left = entry().left(&closed, NOW);
        assert_eq!(
            (left.failures, left.due_at(NOW)),
            (0, NOW + Duration::from_secs(7))
        );
    }

    #[test]
    fn what_is_written_down_is_read_back() {
        let entry = entry().left(&WithdrawError::Closed(NOW), NOW);
        assert_eq!(
            serde_json::from_value::<Entry>(entry.encode()).unwrap(),
            entry
        );
    }
}
