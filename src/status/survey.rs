//! The snapshots of all configured certificates, from what is stored at the moment.
//!
//! The one way from the store to what is shown: the page, the metrics and the commands all go it.

use std::collections::BTreeMap;

use super::alert;
use super::snapshot::Snapshot;
use crate::name::Label;
use crate::renewal::{Circumstances, ClockTrust, Record, Spec};
use crate::store::{ReadStore, StoreError, Stored};
use crate::time::Timestamp;

/// What is stored, at one moment.
#[derive(Debug)]
pub struct Facts {
    stored: BTreeMap<Label, Result<Stored, StoreError>>,
    /// The facts that are not one certificate's own.
    pub circumstances: Circumstances,
}

impl Facts {
    /// Reads the records of all certificates and all deadlines.
    pub async fn read(store: &ReadStore, clock: ClockTrust) -> Result<Self, StoreError> {
        let stored = store.all().await?.into_iter().collect();
        let circumstances = circumstances(store, clock).await?;
        Ok(Self {
            stored,
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
        let stored = stored.map(|stored| (label.clone(), stored)).into_iter();
        let circumstances = circumstances(store, clock).await?;
        Ok(Self {
            stored: stored.collect(),
            circumstances,
        })
    }

    /// What is known of one certificate; an empty record if it was never worked on.
    pub fn record(&self, label: &Label) -> Result<Record, &StoreError> {
        match self.stored.get(label) {
            Some(Ok(stored)) => Ok(stored.record.clone()),
            Some(Err(error)) => Err(error),
            None => Ok(Record::default()),
        }
    }

    /// The snapshot of one certificate.
    pub fn snapshot(&self, spec: &Spec, now: Timestamp) -> Snapshot {
        let snapshot = |record: &Record| Snapshot::of(spec, record, &self.circumstances, now);
        match self.stored.get(&spec.label) {
            Some(Ok(stored)) => snapshot(&stored.record).alarmed(alert::of_work(
                stored.due_at,
                stored.leased_until,
                now,
            )),
            Some(Err(error)) => Snapshot::unreadable(spec, &error.to_string()),
            None => snapshot(&Record::default()).alarmed(Some(alert::of_no_work())),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::status::testing::{DAY, now, served, spec, store};

    fn codes(snapshot: &Snapshot) -> Vec<&str> {
        let alerts = snapshot.alerts.iter();
        alerts.map(|alert| alert.code.as_str()).collect()
    }

    #[tokio::test]
    async fn a_certificate_that_nobody_works_on_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (video, other) = (spec("video", "v.example.com"), spec("x", "x.example.com"));
        let records = [(video.label.clone(), served(&video, 2))].into();
        let store = store(folder.path(), &records).await;
        let due_at = now() + DAY;
        let minutes = |minutes| due_at + Duration::from_mins(minutes);

        let facts = Facts::read(&store, ClockTrust::Trusted).await.unwrap();
        let snapshot = |time| facts.snapshot(&video, time);
        assert_eq!(codes(&snapshot(minutes(10))), Vec::<&str>::new());
        assert_eq!(codes(&snapshot(minutes(11))), ["not-worked-on"]);
        assert_eq!(codes(&facts.snapshot(&other, now())), ["not-worked-on"]);

        let lease = store.claim(&video.label, minutes(11)).await.unwrap();
        let facts = Facts::read(&store, ClockTrust::Trusted).await.unwrap();
        let snapshot = |time| facts.snapshot(&video, time);
        assert!(lease.is_some());
        assert_eq!(codes(&snapshot(minutes(11))), Vec::<&str>::new());
        assert_eq!(codes(&snapshot(minutes(13))), ["not-worked-on"]);
    }
}
