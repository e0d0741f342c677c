//! Drives an accepted order to its certificate, from wherever it is, and stores what was issued.

use std::time::Duration;

use super::{Open, Unfinished, Wanted, failed, fate};
use crate::acme::chain::check_issued;
use crate::acme::{AcmeError, OrderState};
use crate::certificate::Chain;
use crate::daemon::proof::{self, PublishError};
use crate::daemon::worker::Worker;
use crate::renewal::{Circumstances, Event, Issued, IssuerSpec, Limit, OrderFate};
use crate::retry::{Class, Failure};
use crate::store::{KeyMaterial, NewGeneration, StoreError};

/// How long the CA may take to look at the proofs.
const VALIDATION_LIMIT: Duration = Duration::from_mins(3);

/// How long the CA may take to issue.
const ISSUANCE_LIMIT: Duration = Duration::from_mins(3);

/// The proofs are taken away when the certificate rests: what was issued is installed first.
pub(super) async fn fulfil(
    worker: &mut Worker<'_>,
    wanted: Wanted<'_>,
    mut open: Open,
) -> Result<(), Unfinished> {
    let chain = carry_out(worker, &mut open, wanted).await?;
    store(worker, wanted, &open, &chain).await?;
    let now = worker.shared.clock.now();
    let scopes = Circumstances::scopes_of_orders(&open.directory, wanted.names);
    Ok(worker.shared.store.settle_scopes(&scopes, now).await?)
}

async fn carry_out(
    worker: &Worker<'_>,
    open: &mut Open,
    wanted: Wanted<'_>,
) -> Result<Chain, Unfinished> {
    if open.order.state() == OrderState::Pending {
        prove(worker, open, wanted.issuer).await?;
    }
    if open.order.state() == OrderState::Ready {
        let handed_in = open.order.finalize(&open.csr).await;
        handed_in.map_err(|error| failed(worker, &error, &open.directory))?;
    }
    let chain = tokio::select! {
        chain = open.order.download(ISSUANCE_LIMIT) => chain,
        () = worker.shared.stop.cancelled() => return Err(Unfinished::Parked),
    };
    let chain = match chain {
        Ok(chain) => chain,
        Err(error) => {
            // The proofs may have been looked at while nobody ran.
            count_rejections(worker, wanted.issuer, &open.account, &error).await?;
            return Err(failed(worker, &error, &open.directory));
        }
    };
    let now = worker.shared.clock.now();
    check_issued(&chain, &open.key, wanted.names, now).map_err(|error| {
        let failure = error.failure();
        let order = fate(&failure, &worker.record);
        Unfinished::of(failure, order)
    })?;
    Ok(chain)
}

/// Publishes the proofs and waits until the CA has looked at them.
async fn prove(
    worker: &Worker<'_>,
    open: &mut Open,
    issuer: &IssuerSpec,
) -> Result<(), Unfinished> {
    let Open {
        id,
        order,
        account,
        directory,
        ..
    } = open;
    let fail = |error| failed(worker, &error, directory);
    let proofs = order.proofs().await.map_err(fail)?;
    proof::publish(worker, id, &proofs).await?;
    order.answer(&proofs).await.map_err(fail)?;
    let ready = tokio::select! {
        ready = order.wait_ready(VALIDATION_LIMIT) => ready,
        () = worker.shared.stop.cancelled() => return Err(Unfinished::Parked),
    };
    if let Err(error) = ready {
        count_rejections(worker, issuer, account, &error).await?;
        return Err(fail(error));
    }
    tracing::info!(certificate = %worker.job.spec.label, "control of the names is proven");
    Ok(())
}

/// The CA counts the proofs that did not hold, and takes no orders for a name of which too many did
/// not.
async fn count_rejections(
    worker: &Worker<'_>,
    issuer: &IssuerSpec,
    account: &str,
    error: &AcmeError,
) -> Result<(), StoreError> {
    let Some(quota) = issuer.limits.quota(Limit::FailedValidations) else {
        return Ok(());
    };
    let (names, now) = (error.rejected_names(), worker.shared.clock.now());
    let store = &worker.shared.store;
    store
        .note_failed_validations(&issuer.directory, account, quota, &names, now)
        .await
}

impl From<PublishError> for Unfinished {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Store(error) => Self::Store(error),
            PublishError::Stopping => Self::Parked,
            PublishError::Failed(failure) => Self::of(*failure, OrderFate::Open),
            PublishError::NoSolver(name) => {
                let failure = Failure::here(
                    "no-solver",
                    format!("no solver is configured for {name}"),
                    &[(Class::Operator, 1)],
                );
                Self::of(failure, OrderFate::Over)
            }
        }
    }
}

/// Stores the generation and the record that names it, in one transaction.
async fn store(
    worker: &mut Worker<'_>,
    wanted: Wanted<'_>,
    open: &Open,
    chain: &Chain,
) -> Result<(), Unfinished> {
    let now = worker.shared.clock.now();
    let Wanted { issuer, names, .. } = wanted;
    let leaf = chain.leaf().clone();
    let generation = worker.record.newest_generation.saturating_add(1);
    let issued = Issued {
        generation,
        extra_names: leaf.names.difference(names).cloned().collect(),
        leaf,
        chain: chain.fingerprints(),
        issuer: issuer.name.clone(),
        directory: issuer.directory.clone(),
        account: open.account.clone(),
        profile: issuer.profile.clone(),
        at: now,
        renewal_info: None,
        unusable: None,
        revoked: false,
        stored: std::collections::BTreeMap::new(),
    };
    let told = worker.apply(Event::Issued(Box::new(issued)), now);
    let key = KeyMaterial::new(open.key.pkcs8().to_vec());
    let row = NewGeneration {
        generation,
        chain,
        key: &key,
        issuer: &issuer.name,
        directory: &issuer.directory,
    };
    let (store, entries) = (&worker.shared.store, told.entries());
    store
        .save_generation(worker.lease, &worker.record, now, &open.id, &row, &entries)
        .await?;
    told.log();
    Ok(())
}
