//! Pushes a generation to a target.

use super::{fault, installation, installed, no_installation_id, unknown_target};
use crate::certificate::Chain;
use crate::daemon::shared::roll;
use crate::daemon::worker::Worker;
use crate::keys::PrivateKey;
use crate::name::TargetId;
use crate::renewal::{Event, Manner};
use crate::retry::{Class, Failure, course, with_causes};
use crate::store::StoreError;
use crate::target::cert_name::CertName;
use crate::target::{Encoding, Env, InstallError, Installation, Source, StoredAt, Target};
use crate::time::Timestamp;

/// Pushes a generation to a target. That it is about to be pushed is stored before: a process that
/// is killed in between reads back first.
pub(in crate::daemon) async fn install(
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
