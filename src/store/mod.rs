//! The memory of the daemon: everything that must survive it, in one SQL database.
//!
//! ```text
//! certificates ── record, due time, lease       journal ──── things created outside
//!  ├─ generations ── chains and sealed keys     history ──── what changed, for people
//!  └─ orders ─────── intent, URL, sealed key    acme_accounts, ledger
//! deadlines (of CAs and clouds) · meta · requests, challenges, alerts, hosts (not used yet)
//! ```
//!
//! [`Store`] is the daemon's: it creates the file, holds the lock beside it, and is the only one
//! that writes. [`ReadStore`] is for everybody else; it creates nothing and changes nothing.
//!
//! What can be relied on:
//!
//! - A write is one transaction and is on the disk when it returns (`synchronous=FULL`). A process
//!   may be killed anywhere: the next one finds all of a write or nothing of it.
//! - A worker writes under a [`Lease`] with a fencing number. Once somebody else has claimed the
//!   certificate, every write of the old worker fails with [`StoreError::LeaseLost`].
//! - Private keys are sealed under the admin's [`SealKey`], each bound to its row.
//! - Every file is readable by its owner alone.
//! - A failure is a typed [`StoreError`] that says what to do ([`StoreError::class`]); nothing here
//!   tries again by itself.
//!
//! Nothing here decides, reads a clock (`now` is an argument) or knows the outside. Times are stored
//! in milliseconds. A record is stored as the JSON of [`Record`](crate::renewal::Record): every
//! change of that type that an older program would not understand comes with a new migration, so
//! that the older program refuses the store instead of losing facts. Should a field be unknown all
//! the same, loading that record fails ([`StoreError::UnknownField`]) and the others go on.
//!
//! A test that needs a certificate in some state makes it as the daemon does: [`Store::ensure`],
//! [`Store::claim`], [`Store::save`], [`Store::release`].

mod accounts;
mod certificates;
mod clock;
mod database;
mod deadlines;
mod error;
mod files;
mod generations;
mod history;
mod id;
mod journal;
mod lease;
mod ledger;
mod orders;
mod read;
mod reseal;
mod schema;
mod seal;
mod write;

pub use accounts::AccountRow;
pub use certificates::Stored;
pub use deadlines::{DeadlineRow, PROBE, Probe};
pub use error::StoreError;
pub use generations::{Generation, NewGeneration, StoredChain};
pub use history::HistoryEntry;
pub use id::{JournalId, OrderId};
pub use journal::{JournalKind, JournalRow, JournalWriter};
pub use lease::{LEASE_TTL, Lease};
pub use ledger::Bucket;
pub use orders::{AcceptedOrderRow, NewOrderRow, OrderRow};
pub use read::ReadStore;
pub use seal::{KeyMaterial, SealKey, SealKeyError};
pub use write::{Store, StoreSettings};

#[cfg(test)]
mod tests;
