//! Places a new order. The intent is stored before it is sent, the URL with the key and the request
//! right after.

use super::{Failed, Open, Unfinished, Wanted, key_failed};
use crate::acme::{Account, AcmeError, NewOrder, Order};
use crate::certificate::Leaf;
use crate::daemon::worker::Worker;
use crate::keys::{KeyError, PrivateKey};
use crate::renewal::{Draw, Event, Exemption, OrderFate, OrderIntent};
use crate::store::{AcceptedOrderRow, KeyMaterial, NewOrderRow, OrderId};

pub(super) async fn place(
    worker: &mut Worker<'_>,
    account: &Account,
    wanted: Wanted<'_>,
) -> Result<Open, Unfinished> {
    let held = worker.record.issued.as_ref();
    let replaced = held
        .filter(|held| wanted.replaces && held.account == account.url())
        .map(|held| held.leaf.clone());
    let id = intend(worker, account, wanted, replaced.as_ref()).await?;
    let made = key_and_request(worker, wanted).await;
    let (key, csr) = made.map_err(|error| key_failed(error, OrderFate::Refused))?;
    let new = NewOrder {
        names: wanted.names,
        replaces: replaced.as_ref(),
        profile: wanted.issuer.profile.as_deref(),
    };
    let begun = Order::begin(account, &new).await;
    let mut order = begun.map_err(|error| not_placed(worker, wanted, &error))?;
    let is_replacement = order.replaces_a_certificate();
    let now = worker.shared.clock.now();
    let draws = draws(worker, account, wanted, is_replacement);
    let told = worker.apply(Event::OrderAccepted, now);
    let stored_key = KeyMaterial::new(key.pkcs8().to_vec());
    let accepted = AcceptedOrderRow {
        url: order.url(),
        key: &stored_key,
        csr: &csr,
        replaces: is_replacement,
        draws: &draws,
    };
    let (store, entries) = (&worker.shared.store, told.entries());
    store
        .save_order_accepted(worker.lease, &worker.record, now, &id, &accepted, &entries)
        .await?;
    told.log();
    let directory = wanted.issuer.directory.clone();
    Ok(Open {
        id,
        order,
        key,
        csr,
        account: account.url().to_owned(),
        directory,
    })
}

/// A new key with its request, made off the async threads: RSA takes seconds.
async fn key_and_request(
    worker: &Worker<'_>,
    wanted: Wanted<'_>,
) -> Result<(PrivateKey, Vec<u8>), KeyError> {
    let (key_type, names) = (worker.job.spec.key, wanted.names.clone());
    let made = tokio::task::spawn_blocking(move || {
        let key = PrivateKey::generate(key_type)?;
        let csr = key.csr(&names)?;
        Ok((key, csr))
    });
    made.await.unwrap_or(Err(KeyError::Generate))
}

/// What the order takes of the CA's limits, as a replacement or not.
fn draws(worker: &Worker<'_>, account: &Account, wanted: Wanted<'_>, replaces: bool) -> Vec<Draw> {
    let (held, now) = (worker.record.issued.as_ref(), worker.shared.clock.now());
    let Wanted { issuer, names, .. } = wanted;
    let exemption = Exemption::of(held, &issuer.directory, names, replaces, now);
    issuer.limits.draws(account.url(), names, exemption)
}

/// What comes of an order that could not be placed. If the answer was lost, the CA may have taken
/// it: its budget stands, and the order is left to lapse.
fn not_placed(worker: &Worker<'_>, wanted: Wanted<'_>, error: &AcmeError) -> Unfinished {
    let order = if error.may_be_placed() {
        OrderFate::Over
    } else {
        OrderFate::Refused
    };
    let now = worker.shared.clock.now();
    Unfinished::Failed(Box::new(Failed {
        failure: error.failure(now, &wanted.issuer.directory),
        order,
        account_is_lost: error.account_is_gone(),
    }))
}

/// Stores the intent and takes what the order needs of the CA's limits, in one transaction. Where
/// they leave no room, the order was not so much as intended.
async fn intend(
    worker: &mut Worker<'_>,
    account: &Account,
    wanted: Wanted<'_>,
    replaced: Option<&Leaf>,
) -> Result<OrderId, Unfinished> {
    let now = worker.shared.clock.now();
    let Wanted { issuer, names, .. } = wanted;
    let key = worker.job.spec.key;
    let before = worker.record.clone();
    let draws = draws(worker, account, wanted, replaced.is_some());
    let told = worker.apply(
        Event::OrderIntended(OrderIntent {
            issuer: issuer.name.clone(),
            directory: issuer.directory.clone(),
            names: names.clone(),
            key,
            profile: issuer.profile.clone(),
        }),
        now,
    );
    let row = NewOrderRow {
        intent_at: now,
        issuer: issuer.name.clone(),
        directory: issuer.directory.clone(),
        account: account.url().to_owned(),
        names: names.clone(),
        key_type: key,
        profile: issuer.profile.clone(),
        replaces: replaced.and_then(Leaf::renewal_info_id),
        draws,
        overdraws: wanted.overdraws,
    };
    let store = &worker.shared.store;
    let intended = store
        .save_order_intent(worker.lease, &worker.record, now, &row, &told.entries())
        .await?;
    let id = intended.map_err(|exhausted| {
        worker.record = before;
        Unfinished::HeldBack(exhausted)
    })?;
    told.log();
    Ok(id)
}
