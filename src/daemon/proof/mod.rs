//! Proofs of control, each with a journal row from before it is published until it is known to be
//! gone.
//!
//! The row is written before the record, so that a proof can always be found again and taken away:
//! by its id, or where the answer with the id was lost, by its place and value.

mod owner;
mod publish;
mod withdraw;

use serde::{Deserialize, Serialize};

pub(super) use self::owner::prove_owner;
pub(super) use self::publish::{PublishError, publish};
pub(super) use self::withdraw::{sweep, withdraw, withdraw_stale};
use super::shared::Shared;
use crate::name::Label;
use crate::solver::{Place, Published};
use crate::store::{JournalKind, JournalRow, StoreError};
use crate::time::Deadline;

/// What the journal holds of one proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The solver's name in the configuration: only it can take the proof away.
    solver: String,
    /// Where.
    place: Place,
    /// What.
    value: String,
    /// Under which id the provider knows it; nothing while no answer with one was heard.
    record_id: Option<String>,
    /// How often it could not be taken away, in a row.
    failures: u32,
    /// Until when that is not tried again.
    pause: Option<Deadline>,
}

impl Entry {
    /// A proof that is about to be published.
    fn new(solver: &str, place: &Place, value: &str) -> Self {
        Self {
            solver: solver.to_owned(),
            place: place.clone(),
            value: value.to_owned(),
            record_id: None,
            failures: 0,
            pause: None,
        }
    }

    /// The proof as its provider knows it, if it is known how.
    fn published(&self) -> Option<Published> {
        self.record_id.as_ref().map(|id| Published {
            place: self.place.clone(),
            value: self.value.clone(),
            record_id: id.clone(),
        })
    }

    fn encode(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("an entry has string keys and whole numbers only")
    }
}

/// The proofs of one certificate, or of all, that may be published. A row that cannot be read is no
/// reason not to see the others; it stays.
async fn entries(
    shared: &Shared,
    label: Option<&Label>,
) -> Result<Vec<(JournalRow, Entry)>, StoreError> {
    let rows = shared
        .store
        .journal_rows(JournalKind::TxtRecord, label)
        .await?;
    let read =
        rows.into_iter()
            .filter_map(|row| match serde_json::from_value(row.payload.clone()) {
                Ok(entry) => Some((row, entry)),
                Err(error) => {
                    tracing::warn!(
                        certificate = %row.label,
                        row = row.id.as_str(),
                        error = &error as &dyn std::error::Error,
                        "a row of the journal cannot be read: a proof may be left in the zone"
                    );
                    None
                }
            });
    Ok(read.collect())
}
