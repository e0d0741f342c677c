//! What changed, for people: `history`, the status page. Only ever added to and pruned.

use serde::Serialize;
use serde_json::Value;
use sqlx::sqlite::SqliteConnection;
use sqlx::{query, query_as};

use super::error::{StoreError, malformed};
use super::id::new_id;
use super::read::ReadStore;
use crate::name::{Label, TargetId};
use crate::time::Timestamp;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// To which certificate, if to one.
    pub label: Option<Label>,
    /// At which target, if at one.
    pub target: Option<TargetId>,
    /// One word for machines, such as `issued`.
    pub kind: String,
    /// One line for people. Holds no secret.
    pub message: String,
    /// More for machines; an object, or null.
    pub details: Value,
}

/// Time, name, target, kind, message and details, as stored.
type HistoryColumns = (i64, Option<String>, Option<String>, String, String, String);

impl ReadStore {
    /// The newest `limit` entries, of one certificate or of all, the newest last.
    pub async fn history(
        &self,
        label: Option<&Label>,
        limit: u32,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let rows = match label {
            Some(label) => query_as(
                "SELECT at, name, target, kind, message, details FROM history
                 WHERE name = $2 ORDER BY at DESC, id DESC LIMIT $1",
            )
            .bind(i64::from(limit))
            .bind(label.as_str()),
            None => query_as(
                "SELECT at, name, target, kind, message, details FROM history
                 ORDER BY at DESC, id DESC LIMIT $1",
            )
            .bind(i64::from(limit)),
        };
        let rows: Vec<HistoryColumns> = rows.fetch_all(&self.pool).await?;
        rows.into_iter().rev().map(read).collect()
    }
}

pub(super) async fn add(
    connection: &mut SqliteConnection,
    entries: &[HistoryEntry],
) -> Result<(), StoreError> {
    for entry in entries {
        query(
            "INSERT INTO history (id, at, name, target, kind, message, details)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(new_id(entry.at))
        .bind(entry.at.as_millis())
        .bind(entry.label.as_ref().map(Label::as_str))
        .bind(entry.target.as_ref().map(ToString::to_string))
        .bind(&entry.kind)
        .bind(&entry.message)
        .bind(entry.details.to_string())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

fn read(row: HistoryColumns) -> Result<HistoryEntry, StoreError> {
    let (at, name, target, kind, message, details) = row;
    let parse_name = |name: String| name.parse().map_err(malformed("history"));
    let parse_target = |target: String| target.parse().map_err(malformed("history"));
    Ok(HistoryEntry {
        at: Timestamp::from_millis(at),
        label: name.map(parse_name).transpose()?,
        target: target.map(parse_target).transpose()?,
        kind,
        message,
        details: serde_json::from_str(&details).map_err(malformed("history"))?,
    })
}
