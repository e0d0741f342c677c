//! Every thing that we create outside, from **before** it is created until it is known to be gone, or
//! until a record tells of it: what a process leaves behind that is killed in between.

use serde_json::Value;
use sqlx::sqlite::SqliteConnection;
use sqlx::{FromRow, query, query_as};

use super::database;
use super::error::{StoreError, malformed};
use super::id::{JournalId, OrderId, new_id};
use super::lease::{self, Lease};
use super::read::ReadStore;
use super::write::Store;
use crate::name::Label;
use crate::time::Timestamp;

/// What kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JournalKind {
    /// A TXT record that proves control of a name.
    TxtRecord,
    /// A certificate in a cloud's certificate store.
    Upload,
}

/// Who changes rows.
#[derive(Clone, Copy, Debug)]
pub enum JournalWriter<'a> {
    /// The worker of their certificate, under its lease.
    Worker(&'a Lease),
    /// The sweep for what was left over by certificates that are not configured any more: nobody can
    /// hold a lease of them. It changes no row of any other.
    Sweep,
}

/// A thing that may be there.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalRow {
    /// Its id here.
    pub id: JournalId,
    /// What kind of thing.
    pub kind: JournalKind,
    /// The certificate that it was made for.
    pub label: Label,
    /// The order that it was made for, if for one.
    pub order: Option<OrderId>,
    /// What is needed to find and remove it; the writer's own form.
    pub payload: Value,
    /// When it was about to be created.
    pub created_at: Timestamp,
}

#[derive(FromRow)]
struct JournalColumns {
    id: String,
    name: String,
    order_id: Option<String>,
    payload: String,
    created_at: i64,
}

impl Store {
    /// Stores that a thing is about to be created for the certificate of a lease.
    pub async fn journal_open(
        &self,
        lease: &Lease,
        kind: JournalKind,
        order: Option<&OrderId>,
        payload: &Value,
        now: Timestamp,
    ) -> Result<JournalId, StoreError> {
        let id = JournalId(new_id(now));
        let mut transaction = database::begin(&self.writer).await?;
        lease::require(&mut transaction, lease).await?;
        query(
            "INSERT INTO journal (id, kind, name, order_id, payload, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id.as_str())
        .bind(kind.as_str())
        .bind(lease.label().as_str())
        .bind(order.map(OrderId::as_str))
        .bind(payload.to_string())
        .bind(now.as_millis())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Stores what is known of a thing now, such as the id that it was given.
    pub async fn journal_update(
        &self,
        writer: JournalWriter<'_>,
        id: &JournalId,
        payload: &Value,
    ) -> Result<(), StoreError> {
        let mut transaction = database::begin(&self.writer).await?;
        writer.require_lease(&mut transaction).await?;
        query(
            "UPDATE journal SET payload = $1
             WHERE id = $2 AND (name = $3 OR ($3 IS NULL AND name NOT IN
                 (SELECT name FROM certificates WHERE retired_at IS NULL)))",
        )
        .bind(payload.to_string())
        .bind(id.as_str())
        .bind(writer.label().map(Label::as_str))
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Stores that a thing is known to be gone, or that the record tells of it.
    pub async fn journal_close(
        &self,
        writer: JournalWriter<'_>,
        id: &JournalId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = database::begin(&self.writer).await?;
        writer.require_lease(&mut transaction).await?;
        query(
            "UPDATE journal SET closed_at = $1
             WHERE id = $2 AND closed_at IS NULL AND (name = $3 OR ($3 IS NULL AND name NOT IN
                 (SELECT name FROM certificates WHERE retired_at IS NULL)))",
        )
        .bind(now.as_millis())
        .bind(id.as_str())
        .bind(writer.label().map(Label::as_str))
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }
}

impl JournalWriter<'_> {
    /// The certificate whose rows it may change; nothing if those of all that are not configured.
    fn label(&self) -> Option<&Label> {
        match self {
            Self::Worker(lease) => Some(lease.label()),
            Self::Sweep => None,
        }
    }

    async fn require_lease(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        match self {
            Self::Worker(lease) => lease::require(connection, lease).await,
            Self::Sweep => Ok(()),
        }
    }
}

impl ReadStore {
    /// The things of one kind that may be there, of one certificate or of all, the oldest first.
    pub async fn journal_rows(
        &self,
        kind: JournalKind,
        label: Option<&Label>,
    ) -> Result<Vec<JournalRow>, StoreError> {
        let rows = match label {
            Some(label) => query_as(
                "SELECT id, name, order_id, payload, created_at FROM journal
                 WHERE kind = $1 AND name = $2 AND closed_at IS NULL ORDER BY id",
            )
            .bind(kind.as_str())
            .bind(label.as_str()),
            None => query_as(
                "SELECT id, name, order_id, payload, created_at FROM journal
                 WHERE kind = $1 AND closed_at IS NULL ORDER BY id",
            )
            .bind(kind.as_str()),
        };
        let rows: Vec<JournalColumns> = rows.fetch_all(&self.pool).await?;
        rows.into_iter().map(|row| read(kind, row)).collect()
    }
}

impl JournalKind {
    /// The word in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TxtRecord => "txt-record",
            Self::Upload => "upload",
        }
    }
}

fn read(kind: JournalKind, row: JournalColumns) -> Result<JournalRow, StoreError> {
    Ok(JournalRow {
        id: JournalId(row.id),
        kind,
        label: row.name.parse().map_err(malformed("journal"))?,
        order: row.order_id.map(OrderId),
        payload: serde_json::from_str(&row.payload).map_err(malformed("journal"))?,
        created_at: Timestamp::from_millis(row.created_at),
    })
}
