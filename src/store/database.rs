//! Connections to SQLite: one that writes, a few that read, each with the same pragmas.
//!
//! One connection writes, so that writers of this process queue up in order instead of racing for
//! the database's lock; it takes that lock at the beginning of a transaction (`BEGIN IMMEDIATE`),
//! because a transaction that starts by reading cannot wait for it later.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Sqlite, Transaction};

use super::error::StoreError;

/// How long a statement waits for a lock that another process holds (somebody makes a
/// backup).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an operation waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that only read: the status page, the dispatcher, workers that load.
const READERS: u32 = 4;

/// How a database is opened by somebody who only reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Beside a writer, or after one that was killed: through its write-ahead log.
    Live,
    /// After a clean end: nobody writes. Needs no file beside the database, and makes none.
    AtRest,
}

/// The connection that writes.
pub(super) async fn writer(path: &Path) -> Result<SqlitePool, StoreError> {
    let options = pragmas(SqliteConnectOptions::new())
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    connect(options, 1).await
}

/// Connections that cannot write.
pub(super) async fn readers(path: &Path, reading: Reading) -> Result<SqlitePool, StoreError> {
    let options = pragmas(SqliteConnectOptions::new())
        .filename(path)
        .create_if_missing(false)
        .read_only(true)
        .immutable(reading == Reading::AtRest);
    connect(options, READERS).await
}

fn pragmas(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        // Keys that were removed must not linger in free pages.
        .pragma("secure_delete", "ON")
        // No file outside the store's folder.
        .pragma("temp_store", "MEMORY")
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging()
}

async fn connect(options: SqliteConnectOptions, most: u32) -> Result<SqlitePool, StoreError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(most)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // Connections to a file do not grow stale, and the write-ahead log must not come and go
        // under those who read beside us.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // A full disk makes SQLite end the transaction by itself; the library then fails to, and
        // would count the connection as inside of it for ever. Such a connection is replaced.
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
        .connect_with(options)
        .await?;
    Ok(pool)
}

/// Begins a transaction that writes. Dropped without a commit, it is undone.
///
/// A statement that returns a row needs one, too: whoever takes the row does not wait for the end of
/// the statement, and so does not see that its own commit failed.
pub(super) async fn begin(pool: &SqlitePool) -> Result<Transaction<'static, Sqlite>, StoreError> {
    Ok(pool.begin_with("BEGIN IMMEDIATE").await?)
}
