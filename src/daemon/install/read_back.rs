//! Asks the API what a target has.

use super::{installation, no_installation_id, stored_id, unknown_target};
use crate::daemon::shared::roll;
use crate::daemon::worker::Worker;
use crate::name::TargetId;
use crate::renewal::{Event, Found, Installed};
use crate::retry::Failure;
use crate::store::StoreError;
use crate::target::{ReadBack, StoredAt};
use crate::time::Timestamp;

/// Asks the API what a target has.
pub(in crate::daemon) async fn read_back(
    worker: &Worker<'_>,
    id: &TargetId,
) -> Result<Event, StoreError> {
    let failed = |failure: Failure, lacks_permission: bool| Event::ReadBackFailed {
        target: id.clone(),
        failure,
        lacks_permission,
        jitter: roll(),
    };
    let Some(target) = worker.job.targets.get(id) else {
        return Ok(failed(unknown_target(id), false));
    };
    let Some(installation) = installation(worker) else {
        return Ok(failed(no_installation_id(), false));
    };
    Ok(match target.read_back(&installation).await {
        Ok(read_back) => Event::ReadBack {
            target: id.clone(),
            found: found(worker, read_back).await?,
        },
        Err(error) if error.was_not_sent() => {
            let known = worker.record.targets.get(id);
            Event::NotSent {
                target: id.clone(),
                read_back_due: known.is_some_and(|known| known.read_back_due),
            }
        }
        Err(error) => failed(
            error.failure(worker.shared.clock.now()),
            error.lacks_permission(),
        ),
    })
}

/// What was read back, in the core's words. A certificate that this installation made for another
/// label is foreign here: its generations are counted apart.
///
/// A leaf that the store knows says what it is, whatever its name: it may have been bound by hand. A
/// leaf that it does not know, or that is not told, is judged by the name. A number that the store has
/// given to another leaf was given by another copy of this store.
async fn found(worker: &Worker<'_>, read_back: ReadBack) -> Result<Found, StoreError> {
    let (store, label) = (&worker.shared.store, worker.lease.label());
    let now = worker.shared.clock.now();
    if read_back.https == Some(false) {
        return Ok(Found::Nothing);
    }
    let (leaf, stored_at) = (&read_back.leaf, read_back.stored_at);
    let cert_name = read_back.cert_name.unwrap_or_default();
    let known = match leaf {
        Some(leaf) => store.generation_of(&leaf.fingerprint).await?,
        None => None,
    };
    if let Some((owner, generation)) = known {
        return Ok(if owner == *label {
            Found::Ours(installed(cert_name, generation, stored_at, now))
        } else {
            Found::Foreign { cert_name }
        });
    }
    let Some(name) = read_back.ours.filter(|name| name.is_for(label)) else {
        let nothing = cert_name.is_empty() && leaf.is_none();
        return Ok(if nothing {
            Found::Nothing
        } else {
            Found::Foreign { cert_name }
        });
    };
    let generation = name.generation();
    Ok(match store.chain_of(label, generation).await? {
        Some(held) if !name.is_of_leaf(&held.leaf) => Found::Twin {
            not_before: leaf
                .as_ref()
                .map_or_else(|| name.latest_not_before(), |leaf| leaf.not_before),
            cert_name,
            generation,
        },
        // The name promises a leaf that we hold, but another one is there.
        Some(_) if leaf.is_some() => Found::Foreign { cert_name },
        Some(_) | None => Found::Ours(installed(cert_name, generation, stored_at, now)),
    })
}

fn installed(
    cert_name: String,
    generation: u32,
    stored_at: Option<StoredAt>,
    at: Timestamp,
) -> Installed {
    Installed {
        generation,
        at,
        cert_name,
        cert_id: stored_at.and_then(|stored| stored_id(stored.cert_id)),
        cert_region: stored_at.map(|stored| stored.cert_region.as_str().to_owned()),
    }
}
