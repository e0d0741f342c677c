//! Performs what concerns a target: an install, a read-back by API, a look at the edge.
//!
//! An install is never repeated here: an answer that was lost is a failure whose remedy is to read
//! back first, and the deterministic name makes the repetition find its own first attempt.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use super::worker::Worker;
use crate::certificate::Chain;
use crate::keys::PrivateKey;
use crate::name::TargetId;
use crate::renewal::{self, Event, Found, Manner, Served};
use crate::retry::{Class, Failure, Scope, course};
use crate::store::StoreError;
use crate::target::cert_name::CertName;
use crate::target::{
    Encoding, Env, InstallError, Installation, Look, LookError, ReadBack, Source, StoredAt, Target,
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
    let jitter = worker.shared.roll();
    let failed = |failure: Failure| Event::InstallFailed {
        target: id.clone(),
        generation,
        failure,
        jitter,
    };
    let Some(target) = worker.job.targets.get(id).cloned() else {
        return Ok(failed(ours(
            "unknown-target",
            &format!("{id} is not configured"),
        )));
    };
    let Some((chain, key)) = pair(worker, generation).await? else {
        let lost = format!("generation {generation} cannot be read from the store");
        return Ok(failed(Failure {
            course: course(&[(Class::Reissue, 1), (Class::Operator, 1)]),
            ..ours("generation-lost", &lost)
        }));
    };
    // Nothing in SQL can fence a call to another system, but whoever has lost the lease cannot store
    // this.
    worker
        .take(Event::InstallIntended { target: id.clone() })
        .await?;
    let store = &worker.shared.store;
    let label = worker.lease.label();
    let name = CertName::new(
        store.installation_id(),
        label,
        generation,
        chain.leaf(),
        manner.renames,
    );
    Ok(match push(&target, &name, &chain, &key, manner).await {
        Ok(stored_at) => Event::Installed {
            target: id.clone(),
            installed: installed(&name, generation, stored_at, worker.shared.clock.now()),
        },
        Err(error) => failed(error.failure(worker.shared.clock.now())),
    })
}

/// Binds what is stored under the name already if that is wanted and so, else uploads. Credentials
/// that may install but not list what is stored always upload.
async fn push(
    target: &Arc<Target>,
    name: &CertName,
    chain: &Chain,
    key: &PrivateKey,
    manner: Manner,
) -> Result<Option<StoredAt>, InstallError> {
    let known = if manner.bind {
        match target.find_stored(name).await {
            Err(error) if error.lacks_permission() => None,
            found => found?,
        }
    } else {
        None
    };
    let encoding = if manner.reformat {
        Encoding::Traditional
    } else {
        Encoding::Configured
    };
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
    Ok(target.install(&installation).await?.stored_at)
}

/// Asks the API what a target has.
pub(super) async fn read_back(worker: &Worker<'_>, id: &TargetId) -> Event {
    let failed = |failure: Failure| Event::ReadBackFailed {
        target: id.clone(),
        failure,
        jitter: worker.shared.roll(),
    };
    let Some(target) = worker.job.targets.get(id) else {
        return failed(ours("unknown-target", &format!("{id} is not configured")));
    };
    let installation = worker.shared.store.installation_id();
    match target.read_back(installation).await {
        Ok(read_back) => Event::ReadBack {
            target: id.clone(),
            found: found(worker, &read_back),
        },
        Err(error) => failed(error.failure(worker.shared.clock.now())),
    }
}

/// What was read back, in the core's words. A certificate that this installation made for another
/// label is foreign here: its generations are counted apart.
fn found(worker: &Worker<'_>, read_back: &ReadBack) -> Found {
    let ours = read_back
        .ours
        .as_ref()
        .filter(|name| name.is_for(worker.lease.label()));
    match (ours, &read_back.cert_name) {
        _ if read_back.https == Some(false) => Found::Nothing,
        (Some(name), _) => {
            let now = worker.shared.clock.now();
            Found::Ours(installed(name, name.generation(), read_back.stored_at, now))
        }
        (None, Some(cert_name)) => Found::Foreign {
            cert_name: cert_name.clone(),
        },
        (None, None) => Found::Nothing,
    }
}

/// Looks once at every address of a target, and at those where the same install was looked for
/// before.
pub(super) async fn look(worker: &Worker<'_>, id: &TargetId) -> Result<Event, StoreError> {
    let unreachable = |why| Event::Looked {
        target: id.clone(),
        sight: renewal::Sight::Unreachable { why },
        addresses: BTreeSet::new(),
    };
    let Some(target) = worker.job.targets.get(id) else {
        return Ok(unreachable(format!("{id} is not configured")));
    };
    let now = worker.shared.clock.now();
    let known = known_addresses(worker, id, now);
    let seen = target.look(Env::Production, &known, now).await;
    Ok(match seen {
        Ok(look) => Event::Looked {
            target: id.clone(),
            sight: sight(worker, &look).await?,
            addresses: look.addresses.keys().copied().collect(),
        },
        Err(error) => unreachable(describe(&error)),
    })
}

/// The addresses that were looked at while an install has the time to be seen that it may take. Later
/// only those count that the name has now: one that it left may serve something else for good.
fn known_addresses(worker: &Worker<'_>, id: &TargetId, now: Timestamp) -> BTreeSet<SocketAddr> {
    let spec = worker.job.spec.targets.get(id);
    let record = worker.record.targets.get(id);
    let proving = record.and_then(|record| record.proving.as_ref());
    spec.zip(proving)
        .filter(|(spec, proving)| now < proving.since + spec.look.deadline)
        .map_or_else(BTreeSet::new, |(_, proving)| proving.addresses.clone())
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
    // What is uploaded has no root; what is compared must not have one either.
    let chain = pair(worker, generation)
        .await?
        .and_then(|(chain, _)| Chain::from_pem(&chain.to_pem()).ok());
    Ok(chain.is_none_or(|chain| look.chain_as_stored(&chain.fingerprints())))
}

fn installed(
    name: &CertName,
    generation: u32,
    stored_at: Option<StoredAt>,
    at: Timestamp,
) -> renewal::Installed {
    renewal::Installed {
        generation,
        at,
        cert_name: name.to_string(),
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

fn describe(error: &LookError) -> String {
    error.failure().message
}

/// A failure on our side of the wire.
fn ours(code: &str, message: &str) -> Failure {
    Failure {
        code: code.to_owned(),
        message: message.to_owned(),
        course: course(&[(Class::Bug, 1), (Class::Operator, 1)]),
        scope: Scope::Here,
        not_before: None,
        clamped: false,
    }
}
