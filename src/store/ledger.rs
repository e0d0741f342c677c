//! The ledger: what was taken of the limits that CAs publish.
//!
//! Every row is one thing that a CA counts. It remembers when the bucket that it was taken from will
//! be full again ([`Quota`]); the latest of those times is the state of the bucket.

use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{query, query_as, query_scalar};

use super::database;
use super::error::StoreError;
use super::id::{OrderId, new_id};
use super::read::ReadStore;
use super::write::Store;
use crate::renewal::{Draw, DrawKind, Exhausted, Limit, Quota};
use crate::time::Timestamp;

/// A bucket as the ledger has it: whose it is, and when it will be full.
pub type Bucket = (String, Timestamp);

impl ReadStore {
    /// The buckets of one limit at a CA that are not full at `now`.
    pub async fn drawn_from(
        &self,
        directory: &str,
        limit: Limit,
        now: Timestamp,
    ) -> Result<Vec<Bucket>, StoreError> {
        let rows: Vec<(String, i64)> = query_as(
            "SELECT subject, MAX(full_at) FROM ledger
             WHERE directory = $1 AND scope = $2 AND exempt = 0 AND at <= $3 AND full_at > $3
             GROUP BY subject ORDER BY subject",
        )
        .bind(directory)
        .bind(limit.as_str())
        .bind(now.as_millis())
        .fetch_all(&self.pool)
        .await?;
        let bucket = |(subject, full_at)| (subject, Timestamp::from_millis(full_at));
        Ok(rows.into_iter().map(bucket).collect())
    }
}

impl Store {
    /// Counts a validation that failed, by the names that the CA names.
    pub async fn note_failed_validations(
        &self,
        directory: &str,
        account: &str,
        quota: Quota,
        names: &[String],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = database::begin(&self.writer).await?;
        for name in names {
            let draw = Draw {
                limit: Limit::FailedValidations,
                subject: name.clone(),
                quota: Some(quota),
                kind: DrawKind::Takes,
            };
            let full_at = drawn(&mut transaction, directory, &draw, now).await?;
            let full_at = full_at.unwrap_or(now + quota.per);
            let row = Row {
                directory,
                account,
                order: "",
            };
            insert(&mut transaction, &row, &draw, full_at, now).await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// Whom a row belongs to.
pub(super) struct Row<'a> {
    pub(super) directory: &'a str,
    pub(super) account: &'a str,
    /// The order's id; empty for what was no order.
    pub(super) order: &'a str,
}

/// Takes what an order needs, and says what is used up, unless that is for the CA to say: then nothing
/// of it must be kept.
pub(super) async fn draw(
    connection: &mut SqliteConnection,
    row: &Row<'_>,
    draws: &[Draw],
    overdraws: bool,
    now: Timestamp,
) -> Result<Option<Exhausted>, StoreError> {
    let mut exhausted: Option<Exhausted> = None;
    for draw in draws {
        let full_at = match (
            drawn(connection, row.directory, draw, now).await?,
            draw.quota,
        ) {
            (Ok(full_at), _) => full_at,
            (Err(_), Some(quota)) if overdraws => now + quota.per,
            (Err(free_at), Some(quota)) => {
                let later = exhausted
                    .as_ref()
                    .is_none_or(|known| known.free_at < free_at);
                if later {
                    exhausted = Some(Exhausted {
                        limit: draw.limit,
                        subject: draw.subject.clone(),
                        quota,
                        free_at,
                    });
                }
                continue;
            }
            (Err(_), None) => now,
        };
        match draw.kind {
            DrawKind::Takes | DrawKind::Exempt => {
                insert(connection, row, draw, full_at, now).await?;
            }
            DrawKind::Needs => {}
        }
    }
    Ok(exhausted)
}

/// Gives back what was taken for an order that the CA did not take. Whoever has drawn from the same
/// buckets since has found them emptier than they were.
pub(super) async fn give_back(
    connection: &mut SqliteConnection,
    id: &OrderId,
) -> Result<(), StoreError> {
    for statement in [
        "UPDATE ledger SET full_at = full_at - (
             SELECT given.refill FROM ledger AS given
             WHERE given.order_id = $1 AND given.directory = ledger.directory
               AND given.scope = ledger.scope AND given.subject = ledger.subject)
         WHERE exempt = 0 AND EXISTS (
             SELECT 1 FROM ledger AS given
             WHERE given.order_id = $1 AND given.exempt = 0 AND given.directory = ledger.directory
               AND given.scope = ledger.scope AND given.subject = ledger.subject
               AND given.full_at < ledger.full_at)",
        "DELETE FROM ledger WHERE order_id = $1",
    ] {
        query(statement)
            .bind(id.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Counts what an order takes that was thought to be exempt.
pub(super) async fn count(
    connection: &mut SqliteConnection,
    id: &OrderId,
    draws: &[Draw],
) -> Result<(), StoreError> {
    for draw in draws.iter().filter(|draw| draw.kind == DrawKind::Takes) {
        query("UPDATE ledger SET exempt = 0 WHERE order_id = $1 AND scope = $2 AND subject = $3")
            .bind(id.as_str())
            .bind(draw.limit.as_str())
            .bind(&draw.subject)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// When a bucket will be full after one more draw, or when there is one in it again. What is not
/// counted, or not limited, is always there.
async fn drawn(
    connection: &mut SqliteConnection,
    directory: &str,
    draw: &Draw,
    now: Timestamp,
) -> Result<Result<Timestamp, Timestamp>, StoreError> {
    let Some(quota) = draw.quota else {
        return Ok(Ok(now));
    };
    // What was written by a clock that was ahead says nothing.
    let full_at: Option<i64> = query_scalar(
        "SELECT MAX(full_at) FROM ledger
         WHERE directory = $1 AND scope = $2 AND subject = $3 AND exempt = 0 AND at <= $4",
    )
    .bind(directory)
    .bind(draw.limit.as_str())
    .bind(&draw.subject)
    .bind(now.as_millis())
    .fetch_one(connection)
    .await?;
    let taken = quota.take(full_at.map(Timestamp::from_millis), now);
    Ok(match draw.kind {
        DrawKind::Takes | DrawKind::Needs => taken,
        DrawKind::Exempt => Ok(taken.unwrap_or(now + quota.per)),
    })
}

async fn insert(
    connection: &mut SqliteConnection,
    row: &Row<'_>,
    draw: &Draw,
    full_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO ledger
             (id, directory, account, scope, subject, at, order_id, exempt, full_at, refill)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(new_id(now))
    .bind(row.directory)
    .bind(row.account)
    .bind(draw.limit.as_str())
    .bind(&draw.subject)
    .bind(now.as_millis())
    .bind(row.order)
    .bind(i64::from(draw.kind == DrawKind::Exempt))
    .bind(full_at.as_millis())
    .bind(millis(draw.quota.map_or(Duration::ZERO, Quota::refill)))
    .execute(connection)
    .await?;
    Ok(())
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}
