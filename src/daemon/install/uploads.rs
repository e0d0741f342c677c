//! Uploads to a cloud's certificate store, each with a journal row from before it is made until the
//! record tells where it is.
//!
//! A process that is killed in between leaves the row behind, and with it the name to look the copy up
//! by.

use serde::{Deserialize, Serialize};

use crate::daemon::shared::Shared;
use crate::store::{JournalKind, JournalRow, JournalWriter, Lease, StoreError};
use crate::target::cert_name::CertName;

/// What the journal holds of one upload.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The cloud's name in the configuration.
    cloud: String,
    /// The name that the copy is given.
    cert_name: String,
}

/// Writes down that a copy is about to be made, if that was not begun before; says whether it was.
pub(super) async fn open(
    shared: &Shared,
    lease: &Lease,
    cloud: &str,
    name: &CertName,
) -> Result<bool, StoreError> {
    let now = shared.clock.now();
    let entry = Entry {
        cloud: cloud.to_owned(),
        cert_name: name.to_string(),
    };
    let known = rows(shared, lease).await?;
    if known.iter().any(|(_, known)| *known == entry) {
        // Either way the lease was held just before the copy is made.
        shared.store.renew(lease, now).await?;
        return Ok(true);
    }
    let payload = serde_json::to_value(&entry).expect("an entry has string keys and texts only");
    let kind = JournalKind::Upload;
    let opened = shared.store.journal_open(lease, kind, None, &payload, now);
    opened.await?;
    Ok(false)
}

/// The record tells of the copy in this cloud: what was begun before is of no use any more.
pub(super) async fn close(shared: &Shared, lease: &Lease, cloud: &str) -> Result<(), StoreError> {
    for (row, entry) in rows(shared, lease).await? {
        if entry.cloud == cloud {
            let (writer, now) = (JournalWriter::Worker(lease), shared.clock.now());
            shared.store.journal_close(writer, &row.id, now).await?;
        }
    }
    Ok(())
}

/// A row that cannot be read tells no name that could be looked for.
async fn rows(shared: &Shared, lease: &Lease) -> Result<Vec<(JournalRow, Entry)>, StoreError> {
    let kind = JournalKind::Upload;
    let rows = shared.store.journal_rows(kind, Some(lease.label())).await?;
    let read = rows.into_iter().filter_map(|row| {
        let entry = serde_json::from_value(row.payload.clone()).ok()?;
        Some((row, entry))
    });
    Ok(read.collect())
}
