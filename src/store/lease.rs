//! Who works on which certificate: leases with fencing numbers.
//!
//! SQL cannot fence a call to the outside: a worker writes under its lease just before it sends one,
//! renews the lease six times as often as it must, and drops the call when that fails. The rest is
//! covered by *newest wins* in the core.

use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{query, query_scalar};

use super::database;
use super::error::{StoreError, malformed};
use super::write::Store;
use crate::name::Label;
use crate::renewal::Record;
use crate::time::Timestamp;

/// How long a lease lasts after it was claimed or renewed.
pub const LEASE_TTL: Duration = Duration::from_mins(1);

/// A lease that ends later than this was given before the clock was stepped back; it is void.
const LEASE_HORIZON: Duration = Duration::from_mins(3);

/// No certificate is planned further ahead: the core looks at its facts at least once a day.
const PLANNING_HORIZON: Duration = Duration::from_hours(25);

/// The right to work on one certificate, and to write what comes of it.
#[derive(Debug)]
pub struct Lease {
    label: Label,
    owner: String,
    /// Each claim of a certificate has a greater number than those before.
    fence: i64,
}

impl Lease {
    /// The certificate.
    pub fn label(&self) -> &Label {
        &self.label
    }

    fn lost(&self) -> StoreError {
        StoreError::LeaseLost {
            label: self.label.clone(),
        }
    }
}

impl Store {
    /// Claims a certificate for one worker. Nothing if somebody else is at work on it, or if it is
    /// not configured any more.
    pub async fn claim(&self, label: &Label, now: Timestamp) -> Result<Option<Lease>, StoreError> {
        let mut transaction = database::begin(&self.writer).await?;
        let fence: Option<i64> = query_scalar(
            "UPDATE certificates
             SET lease_owner = $1, lease_until = $2, fence = fence + 1, woken_at = NULL
             WHERE name = $3 AND retired_at IS NULL
               AND (lease_owner IS NULL OR lease_until <= $4 OR lease_until > $5)
             RETURNING fence",
        )
        .bind(&self.process)
        .bind((now + LEASE_TTL).as_millis())
        .bind(label.as_str())
        .bind(now.as_millis())
        .bind((now + LEASE_HORIZON).as_millis())
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(fence.map(|fence| Lease {
            label: label.clone(),
            owner: self.process.clone(),
            fence,
        }))
    }

    /// Lets a lease last for another [`LEASE_TTL`].
    pub async fn renew(&self, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        let done = query(
            "UPDATE certificates SET lease_until = $1
             WHERE name = $2 AND lease_owner = $3 AND fence = $4",
        )
        .bind((now + LEASE_TTL).as_millis())
        .bind(lease.label.as_str())
        .bind(&lease.owner)
        .bind(lease.fence)
        .execute(&self.writer)
        .await?;
        held(lease, done.rows_affected())
    }

    /// Ends a lease. The certificate is due at `due_at`, or at once if it was woken meanwhile
    /// ([`Store::make_due`]): what woke it may have come after the worker's last look.
    pub async fn release(&self, lease: &Lease, due_at: Timestamp) -> Result<(), StoreError> {
        let done = query(
            "UPDATE certificates
             SET lease_owner = NULL, lease_until = NULL, woken_at = NULL,
                 due_at = CASE WHEN woken_at < $1 THEN woken_at ELSE $1 END
             WHERE name = $2 AND lease_owner = $3 AND fence = $4",
        )
        .bind(due_at.as_millis())
        .bind(lease.label.as_str())
        .bind(&lease.owner)
        .bind(lease.fence)
        .execute(&self.writer)
        .await?;
        held(lease, done.rows_affected())
    }

    /// Makes a certificate due now, whoever is at work on it.
    pub async fn make_due(&self, label: &Label, now: Timestamp) -> Result<(), StoreError> {
        query("UPDATE certificates SET due_at = $1, woken_at = $1 WHERE name = $2")
            .bind(now.as_millis())
            .bind(label.as_str())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Makes every configured certificate due now: the clock was set, and what was planned by it may
    /// be void.
    pub async fn make_all_due(&self, now: Timestamp) -> Result<(), StoreError> {
        query("UPDATE certificates SET due_at = $1, woken_at = $1 WHERE retired_at IS NULL")
            .bind(now.as_millis())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Certificates that are due and not leased, the longest due first. One that is planned further
    /// ahead than anything is ever planned was planned by a clock that has been set back since.
    pub async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<Label>, StoreError> {
        let mut names: Vec<String> = Vec::new();
        for (statement, bound) in [(DUE, now), (PLANNED_TOO_FAR, now + PLANNING_HORIZON)] {
            let found: Vec<String> = query_scalar(statement)
                .bind(bound.as_millis())
                .bind(now.as_millis())
                .bind((now + LEASE_HORIZON).as_millis())
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await?;
            names.extend(found);
        }
        let parse = |name: String| name.parse().map_err(malformed("certificates"));
        names.into_iter().map(parse).collect()
    }

    /// When the next certificate becomes due that is not due yet and nobody is at work on.
    pub async fn next_due_after(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let next: Option<i64> = query_scalar(
            "SELECT MIN(due_at) FROM certificates
             WHERE retired_at IS NULL AND lease_owner IS NULL AND due_at > $1",
        )
        .bind(now.as_millis())
        .fetch_one(&self.pool)
        .await?;
        Ok(next.map(Timestamp::from_millis))
    }
}

pub(super) const DUE: &str = "SELECT name FROM certificates
    WHERE retired_at IS NULL AND due_at <= $1
      AND (lease_owner IS NULL OR lease_until <= $2 OR lease_until > $3)
    ORDER BY due_at LIMIT $4";

pub(super) const PLANNED_TOO_FAR: &str = "SELECT name FROM certificates
    WHERE retired_at IS NULL AND due_at > $1
      AND (lease_owner IS NULL OR lease_until <= $2 OR lease_until > $3)
    ORDER BY due_at LIMIT $4";

/// Begins a write of a worker: stores its record, if it still holds its lease.
///
/// The certificate is due at `now`: should the worker be killed before it releases the lease, the
/// next one must come at once.
pub(super) async fn begin_save(
    store: &Store,
    lease: &Lease,
    record: &Record,
    now: Timestamp,
) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>, StoreError> {
    let mut transaction = database::begin(&store.writer).await?;
    save_record(&mut transaction, lease, record, now).await?;
    Ok(transaction)
}

async fn save_record(
    connection: &mut SqliteConnection,
    lease: &Lease,
    record: &Record,
    now: Timestamp,
) -> Result<(), StoreError> {
    let json = serde_json::to_string(record).map_err(malformed("certificates"))?;
    let done = query(
        "UPDATE certificates SET record = $1, version = version + 1, due_at = $2
         WHERE name = $3 AND lease_owner = $4 AND fence = $5",
    )
    .bind(json)
    .bind(now.as_millis())
    .bind(lease.label.as_str())
    .bind(&lease.owner)
    .bind(lease.fence)
    .execute(connection)
    .await?;
    held(lease, done.rows_affected())
}

/// Makes sure of the lease in a transaction that writes something else than the record.
pub(super) async fn require(
    connection: &mut SqliteConnection,
    lease: &Lease,
) -> Result<(), StoreError> {
    let found: Option<i64> = query_scalar(
        "SELECT fence FROM certificates WHERE name = $1 AND lease_owner = $2 AND fence = $3",
    )
    .bind(lease.label.as_str())
    .bind(&lease.owner)
    .bind(lease.fence)
    .fetch_optional(connection)
    .await?;
    found.map(drop).ok_or_else(|| lease.lost())
}

/// Whether a statement that names the lease found its row.
fn held(lease: &Lease, rows: u64) -> Result<(), StoreError> {
    if rows == 0 { Err(lease.lost()) } else { Ok(()) }
}
