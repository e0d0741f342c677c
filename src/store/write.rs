//! The store as the daemon has it: opening, which makes everything ready, and closing.
#![expect(
    clippy::disallowed_methods,
    reason = "the installation's id must not collide; nothing is decided by it"
)]

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{query, query_scalar};

use super::database::Reading;
use super::error::StoreError;
use super::read::ReadStore;
use super::seal::SealKey;
use super::{database, files, id, reseal, schema};
use crate::time::Timestamp;

/// The ledger is kept at least this long: longer than the longest period (a week) for which a CA
/// publishes a limit.
pub(super) const LEDGER_KEPT: Duration = Duration::from_hours(8 * 24);

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The database file. Its folder must be there.
    pub path: PathBuf,
    /// The key that seals private keys; nothing to store them plain.
    pub seal: Option<SealKey>,
    /// How many pairs before the newest one are kept for a rollback.
    pub keep_generations: u32,
    /// How long what is over is kept: history, closed orders.
    pub history: Duration,
}

/// The store, open for the one daemon that works on it. Whatever a [`ReadStore`] can tell, it tells
/// as well.
#[derive(Debug)]
pub struct Store {
    reader: ReadStore,
    pub(super) writer: SqlitePool,
    pub(super) seal: Option<SealKey>,
    pub(super) keep_generations: u32,
    pub(super) history: Duration,
    /// Drawn at each start: whose leases ours are.
    pub(super) process: String,
    /// Held until the end; the last field, so that it is the last to go.
    _lock: File,
}

impl Store {
    /// Opens the store, and creates it if there is none: takes the lock, brings the schema up to
    /// date, checks the seal key (and seals anew what an older one sealed), and voids all leases,
    /// because nobody else can be at work.
    pub async fn open(settings: &StoreSettings, now: Timestamp) -> Result<Self, StoreError> {
        let path = std::path::absolute(&settings.path).map_err(|source| StoreError::File {
            path: settings.path.clone(),
            source,
        })?;
        let lock = files::lock(&path)?;
        files::create(&path)?;
        let writer = database::writer(&path).await?;
        let reader = match prepare(&writer, &path, settings.seal.as_ref()).await {
            Ok(()) => ReadStore::connect(&path, Reading::Live).await,
            Err(error) => Err(error),
        };
        let reader = match reader {
            Ok(reader) => reader,
            Err(error) => {
                // Closed under the lock, so that nothing is left open when somebody tries again.
                writer.close().await;
                return Err(error);
            }
        };
        Ok(Self {
            reader,
            writer,
            seal: settings.seal.clone(),
            keep_generations: settings.keep_generations,
            history: settings.history,
            process: id::new_id(now),
            _lock: lock,
        })
    }

    /// Closes the store cleanly: everything is in the one database file. The lock goes with the store
    /// itself.
    pub async fn close(self) {
        self.reader.pool.close().await;
        self.writer.close().await;
    }

    /// Forgets what was over `history` before `now`: history, closed orders, rows of the journal whose
    /// things are gone, and the ledger as far as no CA counts that far back. To be called now and
    /// then, while the clock is trusted.
    pub async fn prune(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = database::begin(&self.writer).await?;
        for (statement, kept) in [
            ("DELETE FROM history WHERE at < $1", self.history),
            (
                "DELETE FROM orders WHERE closed_at IS NOT NULL AND closed_at < $1",
                self.history,
            ),
            (
                "DELETE FROM journal WHERE closed_at IS NOT NULL AND closed_at < $1",
                self.history,
            ),
            (
                "DELETE FROM ledger WHERE at < $1 AND full_at < $1",
                self.history.max(LEDGER_KEPT),
            ),
        ] {
            query(statement)
                .bind((now - kept).as_millis())
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }
}

impl Deref for Store {
    type Target = ReadStore;

    fn deref(&self) -> &ReadStore {
        &self.reader
    }
}

/// Makes an open database the store of this process.
async fn prepare(
    writer: &SqlitePool,
    path: &Path,
    seal: Option<&SealKey>,
) -> Result<(), StoreError> {
    schema::migrate(writer, path).await?;
    let mut transaction = database::begin(writer).await?;
    settle_installation_id(&mut transaction).await?;
    let resealed = reseal::settle(&mut transaction, seal).await?;
    query(
        "UPDATE certificates SET lease_owner = NULL, lease_until = NULL
         WHERE lease_owner IS NOT NULL",
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    if resealed {
        // The pages with the keys of before are in the database file until its log is copied over
        // them, which is otherwise done when the log has grown.
        query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(writer)
            .await?;
    }
    Ok(())
}

async fn settle_installation_id(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let known: Option<String> =
        query_scalar("SELECT value FROM meta WHERE key = 'installation_id'")
            .fetch_optional(&mut *connection)
            .await?;
    if known.is_none() {
        query("INSERT INTO meta (key, value) VALUES ('installation_id', $1)")
            .bind(format!("{:08x}", rand::random::<u32>()))
            .execute(connection)
            .await?;
    }
    Ok(())
}
