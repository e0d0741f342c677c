//! Pushes a generation to a target: uploads it, or binds the copy that is in the cloud's certificate
//! store.

use super::{fault, installation, no_installation_id, stored_id, unknown_target, uploads};
use crate::certificate::Chain;
use crate::daemon::shared::{Shared, roll};
use crate::daemon::worker::Worker;
use crate::keys::PrivateKey;
use crate::name::TargetId;
use crate::renewal::{
    Bound, Event, Installed, Manner, Origin, Search, StoredCopy, StoredPlace, TargetSpec, Trouble,
};
use crate::retry::{Class, Failure, Scope, course, with_causes};
use crate::store::{Lease, StoreError};
use crate::target::cert_name::CertName;
use crate::target::{
    CertId, Encoding, Env, InstallError, Installation, Source, StoredCertificate, Target, Upload,
};
use crate::time::Timestamp;

/// What is pushed, and to where.
struct Push<'a> {
    shared: &'a Shared,
    lease: &'a Lease,
    spec: &'a TargetSpec,
    cloud: &'a str,
    target: &'a Target,
    name: CertName,
    chain: Chain,
    key: PrivateKey,
    manner: &'a Manner,
}

/// What a push came to.
enum Pushed {
    /// The service has taken what was uploaded under our name.
    Uploaded,
    /// The service has this copy, stored just now or found, and nothing was bound to it yet.
    Stored(StoredCertificate),
    /// The service has bound this copy.
    Bound(StoredCertificate),
    /// Nothing was done: it is not to be uploaded again, and no copy of it was found.
    NotFound,
}

/// Why a generation could not be pushed.
enum PushError {
    /// The store failed.
    Store(StoreError),
    /// The service did not do it, or we do not know that it did.
    Failed(Box<Refused>),
}

/// A call that failed, with what was behind it.
struct Refused {
    error: InstallError,
    encoding: Encoding,
    /// Why what is stored could not be looked up before, though that was wanted.
    listing: Option<InstallError>,
    /// What was to be bound.
    bound: Option<StoredCertificate>,
}

/// Pushes a generation to a target. That it is about to be pushed is stored before: a process that
/// is killed in between reads back first.
pub(in crate::daemon) async fn install(
    worker: &mut Worker<'_>,
    id: &TargetId,
    generation: u32,
    manner: &Manner,
) -> Result<Event, StoreError> {
    let failed = |failure: Failure| failed(id, generation, failure);
    let job = worker.job;
    let (Some(target), Some(spec)) = (job.targets.get(id), job.spec.targets.get(id)) else {
        return Ok(failed(unknown_target(id)));
    };
    let Some(installation) = installation(worker) else {
        return Ok(failed(no_installation_id()));
    };
    let Some((chain, key)) = pair(worker, generation).await? else {
        let lost = format!("generation {generation} cannot be read from the store");
        return Ok(failed(Failure {
            course: course(&[(Class::Reissue, 1), (Class::Operator, 1)]),
            ..fault("generation-lost", &lost)
        }));
    };
    let known = worker.record.targets.get(id);
    let read_back_due = known.is_some_and(|known| known.read_back_due);
    // Nothing in SQL can fence a call to another system, but whoever has lost the lease cannot store
    // this.
    worker
        .take(Event::InstallIntended { target: id.clone() })
        .await?;
    let (label, renames) = (worker.lease.label(), manner.renames);
    let push = Push {
        shared: worker.shared,
        lease: worker.lease,
        spec,
        cloud: &id.cloud,
        target,
        name: CertName::new(&installation, label, generation, chain.leaf(), renames),
        chain,
        key,
        manner,
    };
    let mut pushed = push.run().await;
    if let Ok(Pushed::Stored(copy)) = pushed {
        take_copy(worker, &id.cloud, generation, &copy).await?;
        pushed = push.bind(copy).await;
    }
    if push.manner.store_first && matches!(pushed, Ok(Pushed::Bound(_))) {
        // What was begun before the copy was known by other ways.
        uploads::close(push.shared, push.lease, &id.cloud).await?;
    }
    let now = worker.shared.clock.now();
    let copy = match pushed {
        Ok(Pushed::Uploaded) => None,
        Ok(Pushed::Stored(copy) | Pushed::Bound(copy)) => Some(copy),
        Ok(Pushed::NotFound) => return Ok(failed(nothing_to_bind(worker, id))),
        Err(PushError::Store(error)) => return Err(error),
        Err(PushError::Failed(refused)) if refused.error.was_not_sent() => {
            return Ok(Event::NotSent {
                target: id.clone(),
                read_back_due,
            });
        }
        Err(PushError::Failed(refused)) => {
            return Ok(refused.into_event(id, generation, target, now));
        }
    };
    let name = copy.as_ref().map(|copy| copy.cert_name.to_string());
    Ok(Event::Installed {
        target: id.clone(),
        installed: Installed {
            generation,
            at: now,
            cert_name: name.unwrap_or_else(|| push.name.to_string()),
            cert_id: copy.as_ref().and_then(|copy| stored_id(copy.cert_id)),
            cert_region: copy.map(|copy| copy.cert_region.as_str().to_owned()),
        },
    })
}

/// An install that did not happen.
fn failed(id: &TargetId, generation: u32, failure: Failure) -> Event {
    Event::InstallFailed {
        target: id.clone(),
        generation,
        failure,
        may_have_happened: false,
        bound: None,
        jitter: roll(),
    }
}

/// Nothing was found that could be bound, and nothing may be uploaded.
fn nothing_to_bind(worker: &Worker<'_>, id: &TargetId) -> Failure {
    let trouble = worker.record.targets.get(id);
    let trouble = trouble.and_then(|known| known.trouble.as_ref());
    let failure = trouble.and_then(Trouble::nothing_to_bind);
    failure.unwrap_or_else(|| {
        fault(
            "not-stored",
            "no copy was found that the target could be bound to",
        )
    })
}

/// Takes in which copy the cloud has, before it is bound: neither a process that is killed now nor one
/// whose bind fails looks for it again.
async fn take_copy(
    worker: &mut Worker<'_>,
    cloud: &str,
    generation: u32,
    copy: &StoredCertificate,
) -> Result<(), StoreError> {
    let copy = StoredCopy {
        cert_name: copy.cert_name.to_string(),
        place: place(copy),
    };
    let issued = worker.record.issued.as_ref();
    if issued.and_then(|issued| issued.stored.get(cloud)) != Some(&copy) {
        let cloud = cloud.to_owned();
        let stored = Event::Stored {
            cloud,
            generation,
            copy,
        };
        worker.take(stored).await?;
    }
    uploads::close(worker.shared, worker.lease, cloud).await
}

impl Push<'_> {
    /// Binds the copy that is known, hands back the one that is found, else uploads. Credentials that may
    /// install but not list what is stored upload as long as that may be done.
    async fn run(&self) -> Result<Pushed, PushError> {
        let mut listing = None;
        let mut looked_for = false;
        match &self.manner.origin {
            Origin::Upload => {}
            Origin::Copy { cert_name, place } => {
                // What cannot be written as a copy was stored by another version of this program.
                if let Some(copy) = copy(cert_name, place) {
                    return self.bind(copy).await;
                }
            }
            Origin::Search(search) => match self.find(search).await {
                Ok(Some(copy)) => return Ok(Pushed::Stored(copy)),
                Ok(None) if !search.else_upload => return Ok(Pushed::NotFound),
                // A copy that is known by another name was not looked for under ours.
                Ok(None) => looked_for = search.cert_name.is_none(),
                Err(PushError::Failed(refused)) if refused.error.lacks_permission() => {
                    if !search.else_upload {
                        return Ok(Pushed::NotFound);
                    }
                    let why = with_causes(&refused.error);
                    tracing::warn!(name = %self.name, why, "what is stored is not known, so it is uploaded");
                    listing = Some(refused.error);
                }
                Err(error) => return Err(error),
            },
        }
        if self.manner.store_first {
            return self.store(listing, looked_for).await;
        }
        self.upload(listing).await
    }

    /// Stores a copy, unless it is found that an earlier start of the same did and it was not
    /// `looked_for` just now. Its name is in the journal before.
    async fn store(
        &self,
        listing: Option<InstallError>,
        looked_for: bool,
    ) -> Result<Pushed, PushError> {
        let begun = uploads::open(self.shared, self.lease, self.cloud, &self.name).await?;
        if begun && !looked_for && listing.is_none() {
            match self.find_named(&self.name.to_string()).await {
                Ok(Some(copy)) => return Ok(Pushed::Stored(copy)),
                Ok(None) => {}
                Err(PushError::Failed(refused)) if refused.error.lacks_permission() => {}
                Err(error) => return Err(error),
            }
        }
        let copy = self.target.store(self.pair()).await;
        let copy = copy.map_err(|error| self.failed(error, listing, None))?;
        self.settle(&self.spec.storing_scopes).await?;
        Ok(Pushed::Stored(copy))
    }

    /// Looks for the copy: by its name, and where it may have another one by its content. One that is
    /// listed where it was said not to be is tried in the other region.
    async fn find(&self, search: &Search) -> Result<Option<StoredCertificate>, PushError> {
        let own = self.name.to_string();
        let name = search.cert_name.as_ref().unwrap_or(&own);
        let mut found = self.find_named(name).await?;
        if found.is_none() && search.by_content {
            let same = self.target.find_same(&self.chain).await;
            found = same.map_err(|error| self.failed(error, None, None))?;
        }
        Ok(found.map(|copy| {
            let place = place(&copy);
            if place.is_some() && place == search.missing {
                let cert_region = copy.cert_region.other();
                return StoredCertificate {
                    cert_region,
                    ..copy
                };
            }
            copy
        }))
    }

    async fn find_named(&self, name: &str) -> Result<Option<StoredCertificate>, PushError> {
        let found = self.target.find_stored(name, &self.chain).await;
        let found = found.map_err(|error| self.failed(error, None, None))?;
        self.settle(&self.spec.listing_scopes).await?;
        Ok(found)
    }

    async fn bind(&self, copy: StoredCertificate) -> Result<Pushed, PushError> {
        let installation = Installation {
            env: Env::Production,
            source: Source::Stored(&copy),
        };
        match self.target.install(&installation).await {
            Ok(()) => Ok(Pushed::Bound(copy)),
            Err(error) => Err(self.failed(error, None, Some(copy))),
        }
    }

    async fn upload(&self, listing: Option<InstallError>) -> Result<Pushed, PushError> {
        let installation = Installation {
            env: Env::Production,
            source: Source::Upload(self.pair()),
        };
        match self.target.install(&installation).await {
            Ok(()) => Ok(Pushed::Uploaded),
            Err(error) => Err(self.failed(error, listing, None)),
        }
    }

    fn pair(&self) -> Upload<'_> {
        Upload {
            cert_name: &self.name,
            chain: &self.chain,
            key: &self.key,
            encoding: self.encoding(),
        }
    }

    fn encoding(&self) -> Encoding {
        if self.manner.reformat {
            Encoding::Traditional
        } else {
            Encoding::Configured
        }
    }

    fn failed(
        &self,
        error: InstallError,
        listing: Option<InstallError>,
        bound: Option<StoredCertificate>,
    ) -> PushError {
        PushError::Failed(Box::new(Refused {
            error,
            encoding: self.encoding(),
            listing,
            bound,
        }))
    }

    /// What belongs to these scopes was asked and has answered.
    async fn settle(&self, scopes: &[Scope]) -> Result<(), StoreError> {
        let now = self.shared.clock.now();
        self.shared.store.settle_scopes(scopes, now).await
    }
}

impl From<StoreError> for PushError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Refused {
    fn into_event(self, id: &TargetId, generation: u32, target: &Target, now: Timestamp) -> Event {
        Event::InstallFailed {
            target: id.clone(),
            generation,
            failure: self.failure(target, now),
            may_have_happened: self.error.may_have_happened(),
            bound: self.bound(),
            jitter: roll(),
        }
    }

    fn bound(&self) -> Option<Bound> {
        Some(Bound {
            place: place(self.bound.as_ref()?)?,
            is_missing: self.error.says_missing(),
        })
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

/// A copy as the record has it, in the service's words.
fn copy(cert_name: &str, place: &StoredPlace) -> Option<StoredCertificate> {
    Some(StoredCertificate {
        cert_id: CertId(u64::try_from(place.cert_id).ok()?),
        cert_name: cert_name.parse().ok()?,
        cert_region: place.cert_region.parse().ok()?,
    })
}

/// Where a copy is, as the record has it.
fn place(copy: &StoredCertificate) -> Option<StoredPlace> {
    Some(StoredPlace {
        cert_id: stored_id(copy.cert_id)?,
        cert_region: copy.cert_region.as_str().to_owned(),
    })
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
