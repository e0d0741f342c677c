//! Times before which something must not happen, by the key of their scope
//! ([`Scope::key`](crate::retry::Scope::key)).

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{query, query_as, query_scalar};

use super::database;
use super::error::{StoreError, malformed};
use super::read::ReadStore;
use super::write::Store;
use crate::renewal::{scope_deadline, too_many_faults, waits_for_a_person};
use crate::retry::{Failure, Scope};
use crate::time::{Deadline, Timestamp};

/// A scope that was open again for this long before it is closed begins its row anew.
const ROW_FORGOTTEN: Duration = Duration::from_hours(1);

/// A probe is over after this long, whatever became of it. Longer than the calls of an install or a
/// read-back take; an order waits for DNS between its calls, and somebody else may try meanwhile.
pub const PROBE: Duration = Duration::from_mins(2);

/// The right to try actions that were closed by their faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Under which it is stored; none if there is nothing to try.
    keys: Vec<String>,
    deadline: Deadline,
}

/// A deadline and what led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadlineRow {
    /// Until when, and when it was set.
    pub deadline: Deadline,
    /// Failures in a row in this scope.
    pub failures: u32,
    /// One line for people.
    pub why: String,
    /// Whether it waits for somebody to do something, and not for a time that passes.
    pub for_a_person: bool,
}

/// Scope, end, time of setting, failures, reason and whether it waits for a person, as stored.
type DeadlineColumns = (String, i64, i64, i64, String, i64);

impl ReadStore {
    /// All deadlines by scope, those that have passed included: they count the failures in a row.
    pub async fn deadlines(&self) -> Result<BTreeMap<String, DeadlineRow>, StoreError> {
        let rows: Vec<DeadlineColumns> =
            query_as("SELECT scope, until, set_at, failures, why, for_a_person FROM deadlines")
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter().map(read).collect()
    }
}

impl Store {
    /// Closes the scope of a failure for everybody, and tells until when; nothing if the failure is
    /// about nothing but its certificate. Read and written in one transaction: many may be refused
    /// in the same moment.
    pub async fn close_scope(
        &self,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<Option<DeadlineRow>, StoreError> {
        let Some(scope) = failure.scope.key() else {
            return Ok(None);
        };
        let mut transaction = database::begin(&self.writer).await?;
        let before: Option<DeadlineColumns> = query_as(
            "SELECT scope, until, set_at, failures, why, for_a_person FROM deadlines
             WHERE scope = $1",
        )
        .bind(&scope)
        .fetch_optional(&mut *transaction)
        .await?;
        let before = before.map(read).transpose()?.map(|(_, row)| row);
        let Some(row) = DeadlineRow::closing(before.as_ref(), failure, now) else {
            return Ok(None);
        };
        write(&mut transaction, &scope, &row).await?;
        if let Some(key) = failure.scope.probe() {
            answer_probe(&mut transaction, &key, now).await?;
        }
        transaction.commit().await?;
        Ok(Some(row))
    }

    /// Ends the rows of failures in these scopes, because something in them has succeeded. One that
    /// is closed right now stays so: what succeeded was begun before. But what succeeded, whenever it
    /// was begun, ends the row of faults.
    pub async fn settle_scopes(&self, scopes: &[Scope], now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = database::begin(&self.writer).await?;
        for faults in scopes.iter().filter_map(Scope::faults) {
            if let Some(key) = faults.key() {
                query("DELETE FROM deadlines WHERE scope = $1")
                    .bind(key)
                    .execute(&mut *transaction)
                    .await?;
            }
            if let Some(key) = faults.probe() {
                answer_probe(&mut transaction, &key, now).await?;
            }
        }
        for scope in scopes.iter().filter_map(Scope::key) {
            query("DELETE FROM deadlines WHERE scope = $1 AND until <= $2")
                .bind(scope)
                .bind(now.as_millis())
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Opens what waits for a person in these scopes: somebody has done something.
    pub async fn reopen_scopes(&self, scopes: &[Scope]) -> Result<(), StoreError> {
        let mut transaction = database::begin(&self.writer).await?;
        for scope in scopes.iter().filter_map(Scope::key) {
            query("DELETE FROM deadlines WHERE scope = $1 AND for_a_person = 1")
                .bind(scope)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Asks to try actions of which some were closed by their faults: whoever may try keeps all others
    /// from it until the answer is known, [`Store::end_probe`], or [`PROBE`] has passed. Nothing if
    /// somebody else is trying, or was just told that it is too early.
    pub async fn begin_probe(
        &self,
        scopes: &[Scope],
        now: Timestamp,
    ) -> Result<Option<Probe>, StoreError> {
        let mut probe = Probe {
            keys: Vec::new(),
            deadline: Deadline::after(now, PROBE),
        };
        let mut closed: Vec<Scope> = scopes.iter().filter_map(Scope::faults).collect();
        if !closed.is_empty() {
            let rows = self.deadlines().await?;
            closed.retain(|faults| {
                let row = faults.key().and_then(|key| rows.get(&key));
                row.is_some_and(|row| too_many_faults(row.failures))
            });
        }
        if closed.is_empty() {
            return Ok(Some(probe));
        }
        // What is not committed is free again.
        let mut transaction = database::begin(&self.writer).await?;
        for (faults, key) in closed
            .iter()
            .filter_map(|scope| scope.key().zip(scope.probe()))
        {
            let taken = take_probe(&mut transaction, &faults, &key, probe.deadline).await?;
            if !taken {
                return Ok(None);
            }
            probe.keys.push(key);
        }
        transaction.commit().await?;
        Ok(Some(probe))
    }

    /// Ends a probe that came to nothing which closed or settled its actions: the next one may try.
    pub async fn end_probe(&self, probe: &Probe, now: Timestamp) -> Result<(), StoreError> {
        if probe.keys.is_empty() {
            return Ok(());
        }
        let mut transaction = database::begin(&self.writer).await?;
        for key in &probe.keys {
            let mine: Option<i64> = query_scalar(
                "SELECT until FROM deadlines WHERE scope = $1 AND until = $2 AND set_at = $3",
            )
            .bind(key)
            .bind(probe.deadline.until.as_millis())
            .bind(probe.deadline.set_at.as_millis())
            .fetch_optional(&mut *transaction)
            .await?;
            if mine.is_some() {
                answer_probe(&mut transaction, key, now).await?;
            }
        }
        Ok(transaction.commit().await?)
    }
}

/// Takes the right to try one action, unless it is closed or somebody else has it. As
/// [`Deadline::holding`] has it, what was set in the future is void.
async fn take_probe(
    connection: &mut SqliteConnection,
    faults: &str,
    key: &str,
    deadline: Deadline,
) -> Result<bool, StoreError> {
    let taken = query(
        "INSERT INTO deadlines (scope, until, set_at, failures, why)
         SELECT $1, $2, $3, 0, 'being tried'
         WHERE NOT EXISTS (SELECT 1 FROM deadlines
                           WHERE scope IN ($1, $4) AND until > $3 AND set_at <= $3)
         ON CONFLICT (scope) DO UPDATE SET until = excluded.until, set_at = excluded.set_at",
    )
    .bind(key)
    .bind(deadline.until.as_millis())
    .bind(deadline.set_at.as_millis())
    .bind(faults)
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() > 0)
}

/// The answer to a probe is known: whoever rests until it would be over is due now. One that comes to
/// rest in this moment is not, and waits for the end.
async fn answer_probe(
    connection: &mut SqliteConnection,
    key: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(
        "UPDATE certificates SET due_at = $1
         WHERE due_at = (SELECT until FROM deadlines WHERE scope = $2 AND until > $1)",
    )
    .bind(now.as_millis())
    .bind(key)
    .execute(&mut *connection)
    .await?;
    query("DELETE FROM deadlines WHERE scope = $1")
        .bind(key)
        .execute(connection)
        .await?;
    Ok(())
}

impl DeadlineRow {
    /// What becomes of a scope, closed or open, in which this failure happened. A time that was
    /// named is never undercut; and failures while it is closed are of calls that were under way
    /// already: they count as one.
    fn closing(before: Option<&Self>, failure: &Failure, now: Timestamp) -> Option<Self> {
        let holding = before.and_then(|row| row.deadline.holding(now));
        let recent = before.filter(|row| now.since(row.deadline.until) < ROW_FORGOTTEN);
        let earlier = recent.map_or(0, |row| match holding {
            Some(_) => row.failures.saturating_sub(1),
            None => row.failures,
        });
        let new = scope_deadline(failure, earlier, now)?;
        let longer = before.filter(|_| holding.is_some_and(|until| until > new.until));
        Some(Self {
            deadline: longer.map_or(new, |row| row.deadline),
            failures: earlier.saturating_add(1),
            why: longer.map_or_else(|| failure.code.clone(), |row| row.why.clone()),
            for_a_person: longer.map_or_else(
                || waits_for_a_person(failure, earlier),
                |row| row.for_a_person,
            ),
        })
    }
}

async fn write(
    connection: &mut SqliteConnection,
    scope: &str,
    row: &DeadlineRow,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO deadlines (scope, until, set_at, failures, why, for_a_person)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (scope) DO UPDATE SET until = excluded.until, set_at = excluded.set_at,
             failures = excluded.failures, why = excluded.why,
             for_a_person = excluded.for_a_person",
    )
    .bind(scope)
    .bind(row.deadline.until.as_millis())
    .bind(row.deadline.set_at.as_millis())
    .bind(i64::from(row.failures))
    .bind(&row.why)
    .bind(i64::from(row.for_a_person))
    .execute(connection)
    .await?;
    Ok(())
}

fn read(row: DeadlineColumns) -> Result<(String, DeadlineRow), StoreError> {
    let (scope, until, set_at, failures, why, for_a_person) = row;
    let deadline = Deadline {
        until: Timestamp::from_millis(until),
        set_at: Timestamp::from_millis(set_at),
    };
    let failures = u32::try_from(failures).map_err(malformed("deadlines"))?;
    Ok((
        scope,
        DeadlineRow {
            deadline,
            failures,
            why,
            for_a_person: for_a_person == 1,
        },
    ))
}
