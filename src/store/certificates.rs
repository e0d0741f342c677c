//! Records: loading, saving, and which certificates there are.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::{query, query_as, query_scalar};

use super::database;
use super::error::{StoreError, malformed};
use super::history::{self, HistoryEntry};
use super::lease::{self, Lease};
use super::read::ReadStore;
use super::write::Store;
use crate::name::Label;
use crate::renewal::Record;
use crate::time::Timestamp;

/// What is stored of one certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Everything that is known about it.
    pub record: Record,
    /// Counted up at each save.
    pub version: i64,
    /// When it is to be looked at again.
    pub due_at: Timestamp,
    /// Until when the lease of a worker lasts, if one is at work on it.
    pub leased_until: Option<Timestamp>,
}

/// Name, record, version, due time and end of the lease, as stored.
type CertificateColumns = (String, String, i64, i64, Option<i64>);

impl ReadStore {
    /// Whether anything is stored of a certificate, readable or not.
    pub async fn has_record(&self, label: &Label) -> Result<bool, StoreError> {
        let found: Option<i64> = query_scalar("SELECT 1 FROM certificates WHERE name = $1")
            .bind(label.as_str())
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.is_some())
    }

    /// What is stored of one certificate, whether it is configured or was once.
    pub async fn load(&self, label: &Label) -> Result<Option<Stored>, StoreError> {
        let row: Option<CertificateColumns> = query_as(
            "SELECT name, record, version, due_at, lease_until FROM certificates
                 WHERE name = $1",
        )
        .bind(label.as_str())
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Stored::read(label, &row)).transpose()
    }

    /// All configured certificates by label. A record that cannot be read is no reason not to show
    /// the others.
    pub async fn all(&self) -> Result<Vec<(Label, Result<Stored, StoreError>)>, StoreError> {
        let rows: Vec<CertificateColumns> = query_as(
            "SELECT name, record, version, due_at, lease_until FROM certificates
             WHERE retired_at IS NULL ORDER BY name",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let label = row.0.parse().map_err(malformed("certificates"))?;
                let stored = Stored::read(&label, &row);
                Ok((label, stored))
            })
            .collect()
    }
}

impl Store {
    /// Makes the configured certificates the ones that are worked on. A new one is due at once, as
    /// is one that comes back. One that is not configured any more is not due again; its record
    /// stays.
    pub async fn ensure(&self, labels: &[Label], now: Timestamp) -> Result<(), StoreError> {
        let configured: BTreeSet<&str> = labels.iter().map(Label::as_str).collect();
        let empty = serde_json::to_string(&Record::default()).map_err(malformed("certificates"))?;
        let mut transaction = database::begin(&self.writer).await?;
        let present: BTreeSet<String> =
            query_scalar("SELECT name FROM certificates WHERE retired_at IS NULL")
                .fetch_all(&mut *transaction)
                .await?
                .into_iter()
                .collect();
        for name in present
            .iter()
            .filter(|name| !configured.contains(name.as_str()))
        {
            query("UPDATE certificates SET retired_at = $1 WHERE name = $2")
                .bind(now.as_millis())
                .bind(name)
                .execute(&mut *transaction)
                .await?;
        }
        for name in configured
            .into_iter()
            .filter(|name| !present.contains(*name))
        {
            query(
                "INSERT INTO certificates (name, record, version, due_at, fence)
                 VALUES ($1, $2, 0, $3, 0)
                 ON CONFLICT (name) DO UPDATE SET retired_at = NULL, due_at = excluded.due_at",
            )
            .bind(name)
            .bind(&empty)
            .bind(now.as_millis())
            .execute(&mut *transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Stores a record and what changed. The certificate stays due until its lease is released.
    pub async fn save(
        &self,
        lease: &Lease,
        record: &Record,
        now: Timestamp,
        entries: &[HistoryEntry],
    ) -> Result<(), StoreError> {
        let mut transaction = lease::begin_save(self, lease, record, now).await?;
        history::add(&mut transaction, entries).await?;
        Ok(transaction.commit().await?)
    }
}

impl Stored {
    fn read(label: &Label, row: &CertificateColumns) -> Result<Self, StoreError> {
        let (_, json, version, due_at, leased_until) = row;
        Ok(Self {
            record: read_record(label, json)?,
            version: *version,
            due_at: Timestamp::from_millis(*due_at),
            leased_until: leased_until.map(Timestamp::from_millis),
        })
    }
}

/// Parses a record; one that holds more than [`Record`] does is refused, because saving it would
/// lose that.
fn read_record(label: &Label, json: &str) -> Result<Record, StoreError> {
    let stored: Value = serde_json::from_str(json).map_err(malformed("certificates"))?;
    let record: Record = serde_json::from_str(json).map_err(malformed("certificates"))?;
    let known = serde_json::to_value(&record).map_err(malformed("certificates"))?;
    match unknown_field(&stored, &known) {
        Some(field) => Err(StoreError::UnknownField {
            label: label.clone(),
            field,
        }),
        None => Ok(record),
    }
}

/// The path of the first field in `stored` that has no counterpart in `known`.
fn unknown_field(stored: &Value, known: &Value) -> Option<String> {
    match (stored, known) {
        (Value::Object(stored), Value::Object(known)) => {
            stored
                .iter()
                .find_map(|(name, value)| match known.get(name) {
                    Some(known) => unknown_field(value, known).map(|rest| format!("{name}.{rest}")),
                    None => Some(name.clone()),
                })
        }
        (Value::Array(stored), Value::Array(known)) => stored
            .iter()
            .zip(known)
            .find_map(|(value, known)| unknown_field(value, known)),
        (
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
            _,
        ) => None,
    }
}
