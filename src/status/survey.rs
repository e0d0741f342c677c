//! The snapshots of all configured certificates, from what is stored at the moment.
//!
//! The one way from the store to what is shown: the page, the metrics and the commands all go it.

use std::collections::BTreeMap;

use super::snapshot::Snapshot;
use crate::name::Label;
use crate::renewal::{Circumstances, ClockTrust, Record, Spec};
use crate::store::{ReadStore, StoreError};
use crate::time::Timestamp;

/// What is stored, at one moment.
#[derive(Debug)]
pub struct Facts {
    records: BTreeMap<Label, Result<Record, StoreError>>,
    /// The facts that are not one certificate's own.
    pub circumstances: Circumstances,
}

impl Facts {
    /// Reads the records of all certificates and all deadlines.
    pub async fn read(store: &ReadStore, clock: ClockTrust) -> Result<Self, StoreError> {
        let stored = store.all().await?.into_iter();
        let records = stored.map(|(label, stored)| (label, stored.map(|stored| stored.record)));
        let circumstances = circumstances(store, clock).await?;
        Ok(Self {
            records: records.collect(),
            circumstances,
        })
    }

    /// Reads the record of one certificate and all deadlines.
    pub async fn of_one(
        store: &ReadStore,
        label: &Label,
        clock: ClockTrust,
    ) -> Result<Self, StoreError> {
        let stored = store.load(label).await.transpose();
        let records = stored.map(|stored| (label.clone(), stored.map(|stored| stored.record)));
        let circumstances = circumstances(store, clock).await?;
        Ok(Self {
            records: records.into_iter().collect(),
            circumstances,
        })
    }

    /// What is known of one certificate; an empty record if it was never worked on.
    pub fn record(&self, label: &Label) -> Result<Record, &StoreError> {
        match self.records.get(label) {
            Some(Ok(record)) => Ok(record.clone()),
            Some(Err(error)) => Err(error),
            None => Ok(Record::default()),
        }
    }

    /// The snapshot of one certificate.
    pub fn snapshot(&self, spec: &Spec, now: Timestamp) -> Snapshot {
        match self.record(&spec.label) {
            Ok(record) => Snapshot::of(spec, &record, &self.circumstances, now),
            Err(error) => Snapshot::unreadable(spec, &error.to_string()),
        }
    }
}

async fn circumstances(store: &ReadStore, clock: ClockTrust) -> Result<Circumstances, StoreError> {
    let deadlines = store.deadlines().await?.into_iter();
    let deadlines = deadlines
        .map(|(scope, row)| (scope, row.deadline))
        .collect();
    Ok(Circumstances { deadlines, clock })
}

/// The snapshots of all certificates in `specs`, in the order of their labels.
///
/// Lets other tasks run between two certificates, however many there are.
pub async fn survey(
    store: &ReadStore,
    specs: &BTreeMap<Label, Spec>,
    clock: ClockTrust,
    now: Timestamp,
) -> Result<Vec<Snapshot>, StoreError> {
    let facts = Facts::read(store, clock).await?;
    let mut snapshots = Vec::with_capacity(specs.len());
    for spec in specs.values() {
        snapshots.push(facts.snapshot(spec, now));
        tokio::task::yield_now().await;
    }
    Ok(snapshots)
}
