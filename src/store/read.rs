//! The store as everybody sees it who only reads: the CLI beside a running daemon or without one,
//! the status page inside of it.

use std::path::Path;

use sqlx::query_scalar;
use sqlx::sqlite::SqlitePool;

use super::error::StoreError;
use super::{database, files, schema};

/// A store that can be read.
///
/// Opened while no daemon runs and after a clean end of the last one, it shows the store as it was
/// then: open it anew to see what a daemon does later.
#[derive(Debug)]
pub struct ReadStore {
    pub(super) pool: SqlitePool,
    installation_id: String,
}

impl ReadStore {
    /// Opens a store that is there. Creates no file and waits for no lock.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let reading = files::reading(path)?;
        Self::connect(path, reading).await
    }

    pub(super) async fn connect(
        path: &Path,
        reading: database::Reading,
    ) -> Result<Self, StoreError> {
        let pool = database::readers(path, reading).await?;
        match check(&pool, path).await {
            Ok(installation_id) => Ok(Self {
                pool,
                installation_id,
            }),
            Err(error) => {
                pool.close().await;
                Err(error)
            }
        }
    }

    /// Closes the connections. Until every reader has, a daemon that ends cannot put everything into
    /// the one file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Eight hex digits, made with the store: tells certificates of this installation from those of
    /// another one in the same cloud.
    pub fn installation_id(&self) -> &str {
        &self.installation_id
    }
}

/// Checks that the store can be read, and tells its installation id.
async fn check(pool: &SqlitePool, path: &Path) -> Result<String, StoreError> {
    schema::check(pool, path).await?;
    let id: Option<String> = query_scalar("SELECT value FROM meta WHERE key = 'installation_id'")
        .fetch_optional(pool)
        .await?;
    // Only a daemon that was killed during its very first start leaves none.
    Ok(id.unwrap_or_default())
}
