//! What can go wrong with the store, in words of the problem rather than of the database.

use std::io;
use std::path::PathBuf;

use super::id::OrderId;
use super::seal::SealKeyError;
use crate::name::Label;
use crate::retry::Class;

/// Why the store did not do what was asked. A write that failed was not done: every operation is one
/// transaction. Only a failed commit ([`StoreError::Disk`]) may have been done after all, which the
/// next load shows.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another daemon holds the lock.
    #[error("already running: another daemon holds {}", lock.display())]
    AlreadyRunning {
        /// The lock file.
        lock: PathBuf,
    },
    /// There is no store, and this way of opening it makes none.
    #[error("there is no store at {}: the daemon creates it at its first start", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The folder of the store is not there or cannot be written.
    #[error("the folder {} is not there or not writable", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the store cannot be created, opened or protected.
    #[error("could not open {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A database of something else.
    #[error("{} is a database of another program", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer program wrote the store. It is left as it is.
    #[error("the store has schema {found}, this program knows only {known}: update the program")]
    NewerSchema {
        /// The store's schema.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// An older program wrote the store, and this way of opening it does not update it.
    #[error("the store has schema {found} instead of {known}: the daemon updates it when started")]
    OlderSchema {
        /// The store's schema.
        found: i64,
        /// The schema that this program needs.
        known: i64,
    },
    /// The schema could not be brought up to date.
    #[error("could not update the schema")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// The seal key is missing or another one.
    #[error(transparent)]
    SealKey(#[from] SealKeyError),
    /// A private key that was tampered with, or moved from another row.
    #[error("a private key in {table} is damaged, or belongs to another row")]
    Unsealable {
        /// The table.
        table: &'static str,
    },
    /// The worker's lease is over and somebody else may have taken the certificate.
    #[error("the lease of {label} was lost")]
    LeaseLost {
        /// The certificate.
        label: Label,
    },
    /// The order is not open any more; what belongs to it was not stored.
    #[error("order {order} of {label} is not open")]
    OrderClosed {
        /// The certificate.
        label: Label,
        /// The order.
        order: OrderId,
    },
    /// A record holds something that this program does not know and would lose.
    #[error("the record of {label} holds a field that this program does not know: {field}")]
    UnknownField {
        /// The certificate.
        label: Label,
        /// Where in the record.
        field: String,
    },
    /// A row that cannot be read.
    #[error("a row of {table} is malformed")]
    Malformed {
        /// The table.
        table: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody else held the database for too long.
    #[error("the database is busy")]
    Busy(#[source] sqlx::Error),
    /// No space is left on the disk.
    #[error("the disk of the database is full")]
    Full(#[source] sqlx::Error),
    /// The file or its file system became read-only.
    #[error("the database is read-only")]
    ReadOnly(#[source] sqlx::Error),
    /// Reading or writing failed.
    #[error("the database could not be read or written")]
    Disk(#[source] sqlx::Error),
    /// The file is damaged or no database.
    #[error("the database is damaged")]
    Corrupt(#[source] sqlx::Error),
    /// The database did not take a statement of ours.
    #[error("the database refused a statement")]
    Statement(#[source] sqlx::Error),
}

impl StoreError {
    /// What it asks of the caller.
    ///
    /// | class | means here |
    /// |---|---|
    /// | `Backoff` | it may pass by itself; the work is tried again on the ladder, never at once |
    /// | `Reconcile` | what the caller knows is out of date: drop it, load again when it is due |
    /// | `Operator` | a person must act; nothing is gained by trying |
    /// | `Bug` | a statement of ours is wrong |
    pub fn class(&self) -> Class {
        match self {
            Self::Busy(_) | Self::Full(_) | Self::ReadOnly(_) | Self::Disk(_) => Class::Backoff,
            Self::LeaseLost { .. } | Self::OrderClosed { .. } => Class::Reconcile,
            Self::AlreadyRunning { .. }
            | Self::Missing { .. }
            | Self::Folder { .. }
            | Self::File { .. }
            | Self::Foreign { .. }
            | Self::NewerSchema { .. }
            | Self::OlderSchema { .. }
            | Self::Migration(_)
            | Self::SealKey(_)
            | Self::Unsealable { .. }
            | Self::UnknownField { .. }
            | Self::Malformed { .. }
            | Self::Corrupt(_) => Class::Operator,
            Self::Statement(_) => Class::Bug,
        }
    }
}

/// The primary result codes of SQLite that mean something to us
/// (<https://www.sqlite.org/rescode.html>).
mod code {
    pub(super) const PERMISSION: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READ_ONLY: i32 = 8;
    pub(super) const IO: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANNOT_OPEN: i32 = 14;
    pub(super) const NOT_A_DATABASE: i32 = 26;
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::Busy(error);
        }
        if matches!(error, sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed) {
            return Self::Disk(error);
        }
        match primary_code(&error) {
            Some(code::BUSY | code::LOCKED) => Self::Busy(error),
            Some(code::FULL) => Self::Full(error),
            Some(code::READ_ONLY | code::PERMISSION) => Self::ReadOnly(error),
            Some(code::IO | code::CANNOT_OPEN) => Self::Disk(error),
            Some(code::CORRUPT | code::NOT_A_DATABASE) => Self::Corrupt(error),
            Some(_) | None => Self::Statement(error),
        }
    }
}

/// The low byte of SQLite's extended code.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?.parse::<i32>().ok()?;
    Some(code & 0xff)
}

/// Turns whatever keeps a row from being read into a [`StoreError`].
pub(super) fn malformed<E>(table: &'static str) -> impl Fn(E) -> StoreError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |source| StoreError::Malformed {
        table,
        source: source.into(),
    }
}
