//! Performs what concerns a target: an install, a read-back by API, a look at the edge.
//!
//! An install is never repeated here: an answer that was lost is a failure whose remedy is to read
//! back first, and the deterministic name makes the repetition find its own first attempt.

use std::collections::BTreeSet;

use super::shared::roll;
use super::worker::Worker;
use crate::certificate::Chain;
use crate::keys::PrivateKey;
use crate::name::TargetId;
use crate::renewal::{self, Event, Found, Manner, Served};
use crate::retry::{Class, Failure, course, with_causes};
use crate::store::StoreError;
use crate::target::cert_name::{CertName, InstallationId};
use crate::target::{
    Encoding, Env, InstallError, Installation, Look, ReadBack, Source, StoredAt, Target,
};
use crate::time::Timestamp;

/// Pushes a generation to a target. That it is about to be pushed is stored before: a process that
/// is killed in between reads back first.
pub(super) async fn install(
    worker: &mut Worker<'_>,
    id: &TargetId,
    generation: u32,
    manner: Manner,
) -> Result<Event, StoreError> {
    let jitter = roll();
    let failed = |failure: Failure, may_have_happened: bool| Event::InstallFailed {
        target: id.clone(),
        generation,
        failure,
        may_have_happened,
        jitter,
    };
    let refused = |failure: Failure| failed(failure, false);
    let Some(target) = worker.job.targets.get(id).cloned() else {
        return Ok(refused(unknown_target(id)));
    };
    let Some(installation) = installation(worker) else {
        return Ok(refused(no_installation_id()));
    };
    let Some((chain, key)) = pair(worker, generation).await? else {
        let lost = format!("generation {generation} cannot be read from the store");
        return Ok(refused(Failure {
            course: course(&[(Class::Reissue, 1), (Class::Operator, 1)]),
            ..fault("generation-lost", &lost)
        }));
    };
    // Nothing in SQL can fence a call to another system, but whoever has lost the lease cannot store
    // this.
    worker
        .take(Event::InstallIntended { target: id.clone() })
        .await?;
    let label = worker.lease.label();
    let leaf = chain.leaf();
    let name = CertName::new(&installation, label, generation, leaf, manner.renames);
    let now = || worker.shared.clock.now();
    Ok(match push(&target, &name, &chain, &key, manner).await {
        Ok(stored_at) => Event::Installed {
            target: id.clone(),
            installed: installed(name.to_string(), generation, stored_at, now()),
        },
        Err(error) => failed(error.failure(&target, now()), error.may_have_happened()),
    })
}

/// Why a generation could not be pushed.
struct PushError {
    error: InstallError,
    encoding: Encoding,
    /// Why what is stored could not be looked up before, though that was wanted.
    listing: Option<InstallError>,
}

impl PushError {
    fn may_have_happened(&self) -> bool {
        self.error.may_have_happened()
    }

    /// What is stored already cannot be uploaded again, and what may not be listed cannot be bound: it is
    /// the permission that is missing. What is done meanwhile is what the refusal asks for.
    fn failure(&self, target: &Target, now: Timestamp) -> Failure {
        let failure = target.install_failure(&self.error, self.encoding, now);
        let listing = self.listing.as_ref().filter(|_| self.error.says_stored());
        let Some(listing) = listing.map(|listing| listing.failure(now)) else {
            return failure;
        };
        Failure {
            code: listing.code,
            message: format!("{}; then {}", listing.message, failure.message),
            ..failure
        }
    }
}

/// Binds what is stored under the name already if that is wanted and so, else uploads. Credentials
/// that may install but not list what is stored always upload.
async fn push(
    target: &Target,
    name: &CertName,
    chain: &Chain,
    key: &PrivateKey,
    manner: Manner,
) -> Result<Option<StoredAt>, PushError> {
    let encoding = if manner.reformat {
        Encoding::Traditional
    } else {
        Encoding::Configured
    };
    let failed = |error, listing| PushError {
        error,
        encoding,
        listing,
    };
    let (mut known, mut listing) = (None, None);
    if manner.bind {
        match target.find_stored(name).await {
            Ok(found) => known = found,
            Err(error) if error.lacks_permission() => {
                let why = with_causes(&error);
                tracing::warn!(%name, why, "what is stored is not known, so it is uploaded");
                listing = Some(error);
            }
            Err(error) => return Err(failed(error, None)),
        }
    }
    let source = match known {
        Some(stored_at) => Source::Stored(stored_at),
        None => Source::Upload {
            chain,
            key,
            encoding,
        },
    };
    let installation = Installation {
        cert_name: name,
        env: Env::Production,
        source,
    };
    match target.install(&installation).await {
        Ok(installed) => Ok(installed.stored_at),
        Err(error) => Err(failed(error, listing)),
    }
}

/// Asks the API what a target has.
pub(super) async fn read_back(worker: &Worker<'_>, id: &TargetId) -> Result<Event, StoreError> {
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

/// Looks once at every address of a target, and at those where the same attempt to install was
/// looked for before.
pub(super) async fn look(worker: &Worker<'_>, id: &TargetId) -> Result<Event, StoreError> {
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

fn installed(
    cert_name: String,
    generation: u32,
    stored_at: Option<StoredAt>,
    at: Timestamp,
) -> renewal::Installed {
    renewal::Installed {
        generation,
        at,
        cert_name,
        cert_id: stored_at.and_then(|stored| i64::try_from(stored.cert_id.0).ok()),
        cert_region: stored_at.map(|stored| stored.cert_region.as_str().to_owned()),
    }
}

/// The pair of a generation; nothing if it is not kept any more, or cannot be read. That is no
/// failure of the store that would pass: the next generation is a way out.
async fn pair(
    worker: &Worker<'_>,
    generation: u32,
) -> Result<Option<(Chain, PrivateKey)>, StoreError> {
    let store = &worker.shared.store;
    let stored = match store.generation(worker.lease.label(), generation).await {
        Err(error @ StoreError::Unsealable { .. }) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(certificate = %worker.job.spec.label, error, "a generation is lost");
            None
        }
        stored => stored?,
    };
    Ok(stored.and_then(|stored| {
        let chain = Chain::from_pem(&stored.chain_pem).ok()?;
        let key = PrivateKey::from_pkcs8(stored.key.expose()).ok()?;
        Some((chain, key))
    }))
}

fn installation(worker: &Worker<'_>) -> Option<InstallationId> {
    worker.shared.store.installation_id().parse().ok()
}

fn no_installation_id() -> Failure {
    fault("installation-id", "the store has no proper installation id")
}

fn unknown_target(id: &TargetId) -> Failure {
    fault("unknown-target", &format!("{id} is not configured"))
}

/// A failure on our side of the wire.
fn fault(code: &str, message: &str) -> Failure {
    Failure::here(code, message, &[(Class::Bug, 1), (Class::Operator, 1)])
}
