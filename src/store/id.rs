//! Ids of rows: made by us, so that one set of statements serves every database, and in the order
//! in which they were made.
#![expect(
    clippy::disallowed_methods,
    reason = "an id must not collide; nothing is decided by it"
)]

use std::fmt;
use std::sync::atomic::{AtomicU16, Ordering};

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// An order, from its intent on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(pub(super) String);

/// A row of the journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JournalId(pub(super) String);

macro_rules! id {
    ($($name:ident)*) => {$(
        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

id! { OrderId JournalId }

/// Orders the ids that one process makes within one millisecond.
static SEQUENCE: AtomicU16 = AtomicU16::new(0);

/// A new id: the time, a counter, and enough chance to be distinct from those of other processes.
pub(super) fn new_id(now: Timestamp) -> String {
    let millis = now.as_millis().max(0);
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    format!("{millis:012x}{sequence:04x}{:016x}", rand::random::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distinct_of_one_length_and_sorted_by_time() {
        let (early, late) = (Timestamp::EPOCH, Timestamp::MAX);
        let ids = [new_id(early), new_id(early), new_id(late)];
        assert!(ids[0] != ids[1] && ids[1] < ids[2], "{ids:?}");
        assert!(ids.iter().all(|id| id.len() == 32), "{ids:?}");
    }
}
