//! Records that a step panicked: a bug of ours, confined to the certificate that met it.

use std::collections::BTreeSet;

use super::chronicle;
use super::shared::{Shared, roll};
use crate::renewal::{Action, Event, OrderFate, Sight};
use crate::retry::{Class, Failure, course};
use crate::store::{Lease, StoreError};

/// Puts the panic of a step onto the record, so that the ladder applies to it, and gives the
/// certificate back. Returns whether there was a step to lay it to.
pub(super) async fn record_panic(
    shared: &Shared,
    lease: &Lease,
    action: Option<&Action>,
) -> Result<bool, StoreError> {
    let now = shared.clock.now();
    let stored = shared.store.load(lease.label()).await?;
    let mut record = stored.map(|stored| stored.record).unwrap_or_default();
    let event = action.and_then(event_of);
    let recorded = event.is_some();
    if let Some(event) = event {
        let before = record.clone();
        record.apply(event.clone(), now);
        let told = chronicle::tell(lease.label(), &event, &before, &record, now);
        let entries = told.entries();
        shared.store.save(lease, &record, now, &entries).await?;
        told.log();
    }
    shared.store.release(lease, now).await?;
    Ok(recorded)
}

fn event_of(action: &Action) -> Option<Event> {
    let jitter = roll();
    match action {
        Action::Order { issuer, .. } => Some(Event::OrderFailed {
            issuer: issuer.name.clone(),
            failure: panicked(),
            order: OrderFate::Open,
            jitter,
        }),
        Action::Install {
            target, generation, ..
        } => Some(Event::InstallFailed {
            target: target.clone(),
            generation: *generation,
            failure: Failure {
                // It may have been sent.
                course: course(&[
                    (Class::Reconcile, 1),
                    (Class::Backoff, 2),
                    (Class::Operator, 1),
                ]),
                ..panicked()
            },
            may_have_happened: true,
            bound: None,
            jitter,
        }),
        Action::ProveOwner { target, .. } => Some(Event::OwnerProofFailed {
            target: target.clone(),
            failure: panicked(),
        }),
        Action::ReadBack { target } => Some(Event::ReadBackFailed {
            target: target.clone(),
            failure: panicked(),
            lacks_permission: false,
            jitter,
        }),
        Action::Look { target } => Some(Event::Looked {
            target: target.clone(),
            sight: Sight::Unreachable {
                why: "the look panicked".to_owned(),
            },
            addresses: BTreeSet::new(),
        }),
        Action::AskRenewalInfo => Some(Event::RenewalInfoFailed {
            failure: panicked(),
        }),
        Action::DistrustClock { .. } | Action::SleepUntil(_) => None,
    }
}

fn panicked() -> Failure {
    Failure::here(
        "panic",
        "a step panicked; the log of the service holds the details",
        &[(Class::Backoff, 3), (Class::Operator, 1)],
    )
}
