//! What the admin asked the daemon for, how far it is, and the answer.

use serde_json::Value;
use sqlx::sqlite::SqlitePool;
use sqlx::{FromRow, query, query_as};

use super::database;
use super::error::{StoreError, malformed};
use super::id::{RequestId, new_id};
use super::read::ReadStore;
use super::write::Store;
use crate::name::Label;
use crate::time::Timestamp;

/// A wish of the admin.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// For which certificate, if for one.
    pub label: Option<Label>,
    /// The word of the command, such as `renew`. One that this program does not know was left by a
    /// newer CLI, and is answered so.
    pub kind: String,
    /// The command's parameters.
    pub parameters: Value,
    /// When it was left.
    pub requested_at: Timestamp,
    /// The last thing that the daemon said about it.
    pub progress: Option<String>,
    /// How it ended; nothing while it has not.
    pub answer: Option<Answer>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it was done.
    pub succeeded: bool,
    /// One line for people.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

#[derive(FromRow)]
struct RequestColumns {
    id: String,
    name: Option<String>,
    kind: String,
    parameters: String,
    requested_at: i64,
    progress: Option<String>,
    succeeded: Option<i64>,
    answer: Option<String>,
    finished_at: Option<i64>,
}

impl ReadStore {
    /// Leaves a wish for the daemon: the one thing that others than the daemon write.
    pub async fn ask(
        &self,
        kind: &str,
        label: Option<&Label>,
        parameters: &Value,
        now: Timestamp,
    ) -> Result<RequestId, StoreError> {
        let pool = database::writer(&self.path).await?;
        let asked = ask(&pool, kind, label, parameters, now).await;
        pool.close().await;
        asked
    }

    /// One request, answered or not.
    pub async fn request(&self, id: &RequestId) -> Result<Option<Request>, StoreError> {
        let row: Option<RequestColumns> = query_as("SELECT * FROM requests WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.map(read).transpose()
    }

    /// The requests that have no answer yet, the oldest first.
    pub async fn pending_requests(&self) -> Result<Vec<Request>, StoreError> {
        let rows: Vec<RequestColumns> =
            query_as("SELECT * FROM requests WHERE finished_at IS NULL ORDER BY requested_at, id")
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter().map(read).collect()
    }
}

impl Store {
    /// Tells the admin how far a request is.
    pub async fn progress(&self, id: &RequestId, message: &str) -> Result<(), StoreError> {
        query("UPDATE requests SET progress = $1 WHERE id = $2 AND finished_at IS NULL")
            .bind(message)
            .bind(id.as_str())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Answers a request. The first answer stands.
    pub async fn answer(&self, id: &RequestId, answer: &Answer) -> Result<(), StoreError> {
        query(
            "UPDATE requests SET succeeded = $1, answer = $2, finished_at = $3
             WHERE id = $4 AND finished_at IS NULL",
        )
        .bind(i64::from(answer.succeeded))
        .bind(&answer.message)
        .bind(answer.at.as_millis())
        .bind(id.as_str())
        .execute(&self.writer)
        .await?;
        Ok(())
    }
}

async fn ask(
    pool: &SqlitePool,
    kind: &str,
    label: Option<&Label>,
    parameters: &Value,
    now: Timestamp,
) -> Result<RequestId, StoreError> {
    let id = RequestId(new_id(now));
    query(
        "INSERT INTO requests (id, name, kind, parameters, requested_at)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id.as_str())
    .bind(label.map(Label::as_str))
    .bind(kind)
    .bind(parameters.to_string())
    .bind(now.as_millis())
    .execute(pool)
    .await?;
    Ok(id)
}

fn read(row: RequestColumns) -> Result<Request, StoreError> {
    let parse = |name: String| name.parse().map_err(malformed("requests"));
    let answer = match (row.succeeded, row.answer, row.finished_at) {
        (Some(succeeded), Some(message), Some(at)) => Some(Answer {
            succeeded: succeeded != 0,
            message,
            at: Timestamp::from_millis(at),
        }),
        _ => None,
    };
    Ok(Request {
        id: RequestId(row.id),
        label: row.name.map(parse).transpose()?,
        kind: row.kind,
        parameters: serde_json::from_str(&row.parameters).map_err(malformed("requests"))?,
        requested_at: Timestamp::from_millis(row.requested_at),
        progress: row.progress,
        answer,
    })
}
