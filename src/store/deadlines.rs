//! Times before which something must not happen, by the key of their scope
//! ([`Scope::key`](crate::retry::Scope::key)).

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{query, query_as};

use super::database;
use super::error::{StoreError, malformed};
use super::read::ReadStore;
use super::write::Store;
use crate::renewal::scope_deadline;
use crate::retry::{Failure, Scope};
use crate::time::{Deadline, Timestamp};

/// A scope that was open again for this long before it is closed begins its row anew.
const ROW_FORGOTTEN: Duration = Duration::from_hours(1);

/// A deadline and what led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadlineRow {
    /// Until when, and when it was set.
    pub deadline: Deadline,
    /// Failures in a row in this scope.
    pub failures: u32,
    /// One line for people.
    pub why: String,
}

/// Scope, end, time of setting, failures and reason, as stored.
type DeadlineColumns = (String, i64, i64, i64, String);

impl ReadStore {
    /// All deadlines by scope, those that have passed included: they count the failures in a row.
    pub async fn deadlines(&self) -> Result<BTreeMap<String, DeadlineRow>, StoreError> {
        let rows: Vec<DeadlineColumns> =
            query_as("SELECT scope, until, set_at, failures, why FROM deadlines")
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
        let before: Option<DeadlineColumns> =
            query_as("SELECT scope, until, set_at, failures, why FROM deadlines WHERE scope = $1")
                .bind(&scope)
                .fetch_optional(&mut *transaction)
                .await?;
        let before = before.map(read).transpose()?.map(|(_, row)| row);
        let Some(row) = DeadlineRow::closing(before.as_ref(), failure, now) else {
            return Ok(None);
        };
        write(&mut transaction, &scope, &row).await?;
        transaction.commit().await?;
        Ok(Some(row))
    }

    /// Ends the rows of failures in these scopes, because something in them has succeeded. One that
    /// is closed right now stays so: what succeeded was begun before.
    pub async fn settle_scopes(&self, scopes: &[Scope], now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = database::begin(&self.writer).await?;
        for scope in scopes.iter().filter_map(Scope::key) {
            query("DELETE FROM deadlines WHERE scope = $1 AND until <= $2")
                .bind(scope)
                .bind(now.as_millis())
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }
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
        })
    }
}

async fn write(
    connection: &mut SqliteConnection,
    scope: &str,
    row: &DeadlineRow,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO deadlines (scope, until, set_at, failures, why)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (scope) DO UPDATE SET until = excluded.until, set_at = excluded.set_at,
             failures = excluded.failures, why = excluded.why",
    )
    .bind(scope)
    .bind(row.deadline.until.as_millis())
    .bind(row.deadline.set_at.as_millis())
    .bind(i64::from(row.failures))
    .bind(&row.why)
    .execute(connection)
    .await?;
    Ok(())
}

fn read(row: DeadlineColumns) -> Result<(String, DeadlineRow), StoreError> {
    let (scope, until, set_at, failures, why) = row;
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
        },
    ))
}
