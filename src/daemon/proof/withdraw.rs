//! Takes proofs away that are not needed any more.
//!
//! What cannot be taken away keeps its row and is tried again on a ladder of its own: a proof that
//! is left over does no harm, so no certificate waits for it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Entry, entries};
use crate::daemon::shared::Shared;
use crate::daemon::worker::Worker;
use crate::renewal::doubled;
use crate::retry::Failure;
use crate::solver::{Solver, SolverError};
use crate::store::{JournalRow, JournalWriter, OrderId, PROBE, StoreError};
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
    #[error("no answer before there was something else to do")]
    CutOff,
    #[error("no solver is named {0} any more")]
    NoSolver(String),
    #[error(transparent)]
    Solver(#[from] SolverError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who takes proofs away, and until when there is time for it.
#[derive(Clone, Copy)]
struct Withdrawal<'a> {
    shared: &'a Shared,
    writer: JournalWriter<'a>,
    until: Option<Timestamp>,
}

/// Takes away the proofs of one order.
pub(in crate::daemon) async fn withdraw(worker: &Worker<'_>, order: &OrderId) {
    let published = entries(worker.shared, Some(worker.lease.label())).await;
    let taken = match published {
        Ok(mut rows) => {
            rows.retain(|(row, _)| row.order.as_ref() == Some(order));
            Withdrawal::by(worker, None).take_all(rows).await
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

/// Takes away the proofs of orders that are over, as far as that is due and there is time `until`
/// the certificate has something else to do. Returns when there is more to take away.
///
/// No slot is taken: nothing that matters to a certificate shall wait for this. Only so many
/// certificates do it at once that the others always find a task.
pub(in crate::daemon) async fn withdraw_stale(
    worker: &Worker<'_>,
    until: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let shared = worker.shared;
    let rows = stale(worker).await?;
    let now = shared.clock.now();
    let due_at = |rows: &[(JournalRow, Entry)], now| {
        let times = rows.iter().map(|(_, entry)| entry.due_at(now));
        times.min()
    };
    let Some(due) = due_at(&rows, now) else {
        return Ok(None);
    };
    if due > now {
        return Ok(Some(due));
    }
    let Ok(_permit) = shared.withdrawals.try_acquire() else {
        return Ok(Some(now + PAUSE_FIRST));
    };
    Withdrawal::by(worker, Some(until)).take_all(rows).await?;
    let left = stale(worker).await?;
    Ok(due_at(&left, shared.clock.now()))
}

/// Takes away the proofs of certificates that are not configured any more, now and every day until
/// the daemon is told to stop: no worker does it for them.
pub(in crate::daemon) async fn sweep(shared: &Shared) {
    let sweeping = async {
        loop {
            let swept = sweep_once(shared).await;
            if let Err(error) = &swept {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "could not look for proofs that were left over"
                );
            }
            tokio::time::sleep(next_sweep(swept.as_ref().ok(), shared.clock.now())).await;
        }
    };
    tokio::select! {
        () = sweeping => {}
        () = shared.stop.cancelled() => {}
    }
}

/// How long to wait after a sweep that told when what it left is due; nothing if it failed.
fn next_sweep(swept: Option<&Option<Timestamp>>, now: Timestamp) -> Duration {
    match swept {
        Some(Some(due)) => due.since(now).clamp(PAUSE_FIRST, SWEEP),
        Some(None) => SWEEP,
        None => PAUSE_FIRST,
    }
}

/// Returns when what was left is due again.
async fn sweep_once(shared: &Shared) -> Result<Option<Timestamp>, StoreError> {
    let withdrawal = Withdrawal {
        shared,
        writer: JournalWriter::Sweep,
        until: None,
    };
    withdrawal.take_all(orphans(shared).await?).await?;
    let now = shared.clock.now();
    let left = orphans(shared).await?;
    Ok(left.iter().map(|(_, entry)| entry.due_at(now)).min())
}

async fn orphans(shared: &Shared) -> Result<Vec<(JournalRow, Entry)>, StoreError> {
    let mut rows = entries(shared, None).await?;
    rows.retain(|(row, _)| !shared.jobs.contains_key(&row.label));
    Ok(rows)
}

/// What is published for all orders but the one that is going to be taken up, and for none.
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
    let adopted = adopted.as_ref().map(|order| &order.id);
    rows.retain(|(row, _)| row.order.is_none() || row.order.as_ref() != adopted);
    Ok(rows)
}

// === impl Withdrawal ===

impl<'a> Withdrawal<'a> {
    fn by(worker: &Worker<'a>, until: Option<Timestamp>) -> Self {
        Self {
            shared: worker.shared,
            writer: JournalWriter::Worker(worker.lease),
            until,
        }
    }

    /// Takes away what is due. After a failure of a solver its other proofs are left alone for as
    /// long, untried: one that does not answer would be waited for at each of them. Those that failed
    /// least come first, so that one that fails always does not keep the others from their turn.
    async fn take_all(self, mut rows: Vec<(JournalRow, Entry)>) -> Result<(), StoreError> {
        let store = &self.shared.store;
        let mut failed: BTreeMap<String, Option<Deadline>> = BTreeMap::new();
        rows.sort_by_key(|(_, entry)| entry.failures);
        for (row, entry) in rows {
            let now = self.shared.clock.now();
            if entry.due_at(now) > now {
                continue;
            }
            if let Some(pause) = failed.get(&entry.solver) {
                let untried = Entry {
                    pause: *pause,
                    ..entry
                };
                let payload = untried.encode();
                store.journal_update(self.writer, &row.id, &payload).await?;
                continue;
            }
            if self.is_over(now) {
                return Ok(());
            }
            let error = match self.take_one(&entry).await {
                Ok(()) => {
                    let now = self.shared.clock.now();
                    store.journal_close(self.writer, &row.id, now).await?;
                    continue;
                }
                Err(WithdrawError::Store(error)) => return Err(error),
                Err(error) => error,
            };
            tracing::warn!(
                certificate = %row.label,
                name = entry.place.fqdn,
                error = &error as &dyn std::error::Error,
                "could not take a proof away; it is tried again"
            );
            let left = entry.left(&error, self.shared.clock.now());
            let payload = left.encode();
            store.journal_update(self.writer, &row.id, &payload).await?;
            if matches!(error, WithdrawError::Solver(_)) {
                failed.insert(left.solver, left.pause);
            }
        }
        Ok(())
    }

    /// Whether there is something else to do by now.
    fn is_over(&self, now: Timestamp) -> bool {
        self.shared.stop.is_cancelled() || self.until.is_some_and(|until| until <= now)
    }

    async fn take_one(&self, entry: &Entry) -> Result<(), WithdrawError> {
        let shared = self.shared;
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
        let Some(probe) = shared.store.begin_probe(&scopes, now).await? else {
            return Err(WithdrawError::Closed(now + PROBE));
        };
        if let JournalWriter::Worker(lease) = self.writer {
            shared.store.renew(lease, now).await?;
        }
        let taken = tokio::select! {
            taken = take_away(solver, entry) => Some(taken),
            () = self.something_else(now) => None,
        };
        let now = shared.clock.now();
        shared.store.end_probe(&probe, now).await?;
        let Some(taken) = taken else {
            return Err(WithdrawError::CutOff);
        };
        match taken {
            Ok(()) => Ok(shared.store.settle_scopes(&scopes, now).await?),
            Err(error) => {
                shared.close_scope(&error.failure(now), now).await?;
                Err(error.into())
            }
        }
    }

    /// Ends when there is something else to do.
    async fn something_else(&self, now: Timestamp) {
        match self.until {
            Some(until) => tokio::time::sleep(until.since(now)).await,
            None => std::future::pending().await,
        }
    }
}

/// Takes away a proof whose id may not be known.
async fn take_away(solver: &Solver, entry: &Entry) -> Result<(), SolverError> {
    let found = match entry.published() {
        Some(published) => Some(published),
        None => solver.find(&entry.place, &entry.value).await?,
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
        let on_ladder = now + doubled(PAUSE_FIRST, PAUSE_LAST, self.failures);
        let (failures, until) = match error {
            // Nothing was tried.
            WithdrawError::Closed(until) => (self.failures, *until),
            WithdrawError::Solver(error) => {
                let Failure { not_before, .. } = error.failure(now);
                let until = not_before.map_or(on_ladder, |named| named.max(on_ladder));
                (self.failures.saturating_add(1), until)
            }
            WithdrawError::CutOff | WithdrawError::NoSolver(_) | WithdrawError::Store(_) => {
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
        let place = Place {
            zone: "example.com".to_owned(),
            fqdn: "_acme-challenge.v.example.com".to_owned(),
        };
        Entry {
            record_id: Some("1".to_owned()),
            ..Entry::new("alidns", &place, "value")
        }
    }

    #[test]
    fn a_sweep_that_failed_is_repeated_soon() {
        let minutes = |minutes| NOW + Duration::from_mins(minutes);
        for (swept, pause) in [
            (None, PAUSE_FIRST),
            (Some(None), SWEEP),
            (Some(Some(NOW)), PAUSE_FIRST),
            (Some(Some(minutes(7))), Duration::from_mins(7)),
            (Some(Some(minutes(3000))), SWEEP),
        ] {
            assert_eq!(next_sweep(swept.as_ref(), NOW), pause, "{swept:?}");
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
