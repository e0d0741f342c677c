//! The schema and its migrations.
//!
//! Migrations are listed here, not found in the folder at build time: the compiler then knows of
//! every one. A migration that was released is never changed; a new one is added.

use std::path::Path;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::SqlitePool;
use sqlx::{SqlSafeStr as _, query_scalar};

use super::error::StoreError;

/// Number, name and statements of each migration.
const MIGRATIONS: [(i64, &str, &str); 3] = [
    (1, "initial", include_str!("migrations/0001_initial.sql")),
    (
        2,
        "ledger full at",
        include_str!("migrations/0002_ledger_full_at.sql"),
    ),
    (
        3,
        "deadlines for a person",
        include_str!("migrations/0003_deadlines_for_a_person.sql"),
    ),
];

/// Brings the schema up to date. A store of a newer program is refused and left as it is.
pub(super) async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let known = newest();
    match found(pool, path).await? {
        Some(found) if found > known => return Err(StoreError::NewerSchema { found, known }),
        Some(_) | None => {}
    }
    let migrations = MIGRATIONS.into_iter().map(|(version, name, statements)| {
        let sql = statements.into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
        .run(pool)
        .await
        .map_err(failed)
}

/// Checks that the schema is exactly the one that this program reads.
pub(super) async fn check(pool: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let known = newest();
    let found = found(pool, path).await?.unwrap_or(0);
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Err(StoreError::OlderSchema { found, known }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(StoreError::NewerSchema { found, known }),
    }
}

fn newest() -> i64 {
    MIGRATIONS
        .iter()
        .map(|(version, ..)| *version)
        .max()
        .unwrap_or(0)
}

/// The schema of the database; nothing while it is empty.
async fn found(pool: &SqlitePool, path: &Path) -> Result<Option<i64>, StoreError> {
    let tables: Vec<String> = query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'")
        .fetch_all(pool)
        .await?;
    if tables.is_empty() {
        return Ok(None);
    }
    if !tables.iter().any(|table| table == "_sqlx_migrations") {
        return Err(StoreError::Foreign {
            path: path.to_owned(),
        });
    }
    Ok(query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(pool)
        .await?)
}

fn failed(error: MigrateError) -> StoreError {
    if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
        error.into()
    } else {
        StoreError::Migration(error)
    }
}
