//! Looks at the edge.

use std::collections::BTreeSet;

use crate::certificate::Chain;
use crate::daemon::worker::Worker;
use crate::name::TargetId;
use crate::renewal::{self, Event, Served};
use crate::retry::with_causes;
use crate::store::StoreError;
use crate::target::{Env, Look};

/// Looks once at every address of a target, and at those where the same attempt to install was
/// looked for before.
pub(in crate::daemon) async fn look(
    worker: &Worker<'_>,
    id: &TargetId,
) -> Result<Event, StoreError> {
    let unreachable = |why| Event::Looked {
        target: id.clone(),
        sight: renewal::Sight::Unreachable { why },
        addresses: BTreeSet::new(),
    };
    let (Some(target), Some(spec)) = (worker.job.targets.get(id), worker.job.spec.targets.get(id))
    else {
        return Ok(unreachable(format!("{id} is not configured")));
    };
    let known = worker.record.targets.get(id);
    let known = known.map_or_else(BTreeSet::new, |known| known.addresses_of_attempt(spec.look));
    Ok(match target.look(Env::Production, &known).await {
        Ok(look) => Event::Looked {
            target: id.clone(),
            sight: sight(worker, &look).await?,
            addresses: look.addresses.keys().copied().collect(),
        },
        Err(error) => unreachable(with_causes(&error)),
    })
}

/// What was seen, in the core's words: the distinct leaves, each with the generation that it is.
async fn sight(worker: &Worker<'_>, look: &Look) -> Result<renewal::Sight, StoreError> {
    let mut leaves: Vec<Served> = Vec::new();
    for presented in look.served() {
        let fingerprint = presented.leaf.fingerprint;
        if leaves.iter().any(|leaf| leaf.fingerprint == fingerprint) {
            continue;
        }
        let known = worker.shared.store.generation_of(&fingerprint).await?;
        let generation = known
            .filter(|(label, _)| label == worker.lease.label())
            .map(|(_, number)| number);
        leaves.push(Served {
            fingerprint,
            not_before: presented.leaf.not_before,
            not_after: presented.leaf.not_after,
            generation,
            chain_as_stored: chain_as_stored(worker, look, generation).await?,
        });
    }
    let why = look.complaints().join("; ");
    Ok(if !look.reached_any() {
        renewal::Sight::Unreachable { why }
    } else if look.serves_everywhere() {
        renewal::Sight::Leaves(leaves)
    } else {
        renewal::Sight::Broken {
            why,
            others: leaves,
        }
    })
}

/// Whether the chain that was sent with one of our leaves is the stored one.
async fn chain_as_stored(
    worker: &Worker<'_>,
    look: &Look,
    generation: Option<u32>,
) -> Result<bool, StoreError> {
    let Some(generation) = generation else {
        return Ok(true);
    };
    // Stored is what is uploaded: without a root.
    let stored = &worker.shared.store;
    let stored = stored.chain_of(worker.lease.label(), generation).await?;
    let chain = stored.and_then(|stored| Chain::from_pem(&stored.pem?).ok());
    Ok(chain.is_some_and(|chain| look.chain_as_stored(&chain.fingerprints())))
}
