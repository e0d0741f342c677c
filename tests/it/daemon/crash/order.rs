//! Killed on the way from the account to the stored chain.

use std::collections::BTreeSet;
use std::slice;

use vodcertd::acme::{Ca, Order, account};
use vodcertd::certificate::KeyType;
use vodcertd::clock::Clock;
use vodcertd::config;
use vodcertd::name::{DnsName, Label};
use vodcertd::renewal::{Event, Exemption, Limits, OrderIntent, Record};
use vodcertd::store::NewOrderRow;

use super::*;
use crate::support::PATIENCE;

const ACCOUNT: &str = "https://ca.example/account/1";

// === The account ===

#[tokio::test]
async fn an_account_key_that_the_ca_never_saw_is_used_for_the_account() {
    let scene = scene().await;
    let directory = scene.pebble.directory_url();
    let key = account::generate_account_key().unwrap();
    let store = scene.open_store().await;
    let stored = store.save_account_key(&directory, &key, Clock::System.now());
    stored.await.unwrap();
    store.close().await;

    go_on(&scene, 1).await;

    let store = scene.open_store().await;
    let account = store.account(&directory).await.unwrap().unwrap();
    assert_eq!(account.key, key);
    assert!(account.url.is_some());
    assert_eq!(scene.accounts_at_ca(), 1);
    assert_eq!(scene.orders_at_ca(), 1);
}

#[tokio::test]
async fn an_account_whose_url_was_not_stored_is_found_by_its_key() {
    let scene = killed_before("UPDATE ON acme_accounts WHEN NEW.url IS NOT NULL").await;
    assert_eq!(scene.accounts_at_ca(), 1);

    go_on(&scene, 1).await;

    assert_eq!(scene.accounts_at_ca(), 1);
    assert_eq!(scene.orders_at_ca(), 1);
}

// === The order ===

#[tokio::test]
async fn an_intent_that_was_not_stored_orders_nothing() {
    let scene = killed_before("INSERT ON orders").await;
    assert_eq!(scene.orders_at_ca(), 0);
    assert_eq!(reservations(&scene).await, 0);

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 1);
    assert_eq!(reservations(&scene).await, 3);
}

#[tokio::test]
async fn an_intent_that_was_not_sent_keeps_its_budget_and_is_sent_anew() {
    let scene = scene().await;
    intend(&scene).await;

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 1);
    assert_eq!(reservations(&scene).await, 6);
    let record = scene.record(LABEL).await.unwrap();
    assert_eq!(record.orders.accepted.len(), 2);
}

/// Stores an intent as a daemon does that is killed before it sends the order.
async fn intend(scene: &Scene) {
    let store = scene.open_store().await;
    let (now, label) = (Clock::System.now(), LABEL.parse::<Label>().unwrap());
    store.ensure(slice::from_ref(&label), now).await.unwrap();
    let lease = store.claim(&label, now).await.unwrap().unwrap();
    let names: BTreeSet<DnsName> = [DOMAIN.parse().unwrap()].into();
    let mut record = Record::default();
    let intended = Event::OrderIntended(OrderIntent {
        issuer: "pebble".to_owned(),
        directory: scene.pebble.directory_url(),
        names: names.clone(),
        key: KeyType::EcdsaP256,
        profile: None,
    });
    record.apply(intended, now);
    let row = NewOrderRow {
        intent_at: now,
        issuer: "pebble".to_owned(),
        directory: scene.pebble.directory_url(),
        account: ACCOUNT.to_owned(),
        names: names.clone(),
        key_type: KeyType::EcdsaP256,
        profile: None,
        replaces: None,
        draws: Limits::default().draws(ACCOUNT, &names, Exemption::None),
        overdraws: false,
    };
    let saved = store.save_order_intent(&lease, &record, now, &row, &[]);
    saved.await.unwrap().unwrap();
    store.close().await;
}

#[tokio::test]
async fn an_order_whose_url_was_not_stored_keeps_its_budget_and_is_placed_anew() {
    let scene = killed_before("UPDATE ON orders WHEN NEW.url IS NOT NULL").await;
    assert_eq!(scene.orders_at_ca(), 1);

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 2);
    assert_eq!(scene.certificates_at_ca(), 1);
    assert_eq!(reservations(&scene).await, 6);
    let record = scene.record(LABEL).await.unwrap();
    assert_eq!(record.orders.accepted.len(), 2);
}

#[tokio::test]
async fn an_order_whose_url_is_stored_is_taken_up() {
    let scene = killed_before("INSERT ON journal").await;
    assert_eq!(open_orders(&scene).await, 1);

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 1);
    assert_eq!(published(&scene), 1);
}

#[tokio::test]
async fn an_order_that_became_ready_while_nobody_ran_is_handed_in() {
    let scene = scene().await;
    kill_when(&scene, "the proof is being looked at", || {
        scene.in_ca_log("Pulled a task") == 1
    })
    .await;
    scene
        .until("the proof is accepted", async || {
            scene.in_ca_log("set VALID by completed challenge") == 1
        })
        .await;

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 1);
    assert_eq!(scene.certificates_at_ca(), 1);
    assert_eq!(published(&scene), 1);
}

#[tokio::test]
async fn an_order_that_was_handed_in_is_downloaded() {
    let scene = scene().await;
    kill_when(&scene, "the request is handed in", || {
        scene.in_ca_log("Processing finalization") == 1
    })
    .await;

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 1);
    assert_eq!(scene.certificates_at_ca(), 1);
}

#[tokio::test]
async fn a_chain_that_was_downloaded_and_not_stored_is_downloaded_again() {
    for write in [
        "INSERT ON generations",
        "UPDATE ON orders WHEN NEW.outcome = 'issued'",
        "INSERT ON history WHEN NEW.kind = 'issued'",
    ] {
        let scene = killed_before(write).await;
        assert_eq!(generations(&scene).await, 0, "{write}");
        assert_eq!(scene.record(LABEL).await.unwrap().issued, None, "{write}");

        go_on(&scene, 1).await;

        assert_eq!(generations(&scene).await, 1, "{write}");
        assert_eq!(scene.orders_at_ca(), 1, "{write}");
        assert_eq!(scene.certificates_at_ca(), 1, "{write}");
    }
}

#[tokio::test]
async fn an_order_that_became_invalid_while_nobody_ran_is_over() {
    let scene = killed_before("INSERT ON journal").await;
    let_it_fail(&scene).await;

    let daemon = scene.spawn();
    scene
        .until("the order is over", async || open_orders(&scene).await == 0)
        .await;
    assert!(daemon.terminate().await);

    let record = scene.record(LABEL).await.unwrap();
    assert_eq!(record.orders.open, None);
    assert!(record.orders.trouble.is_some(), "{:?}", record.orders);
    assert_eq!(scene.orders_at_ca(), 1);
    forget_trouble(&scene).await;
    go_on(&scene, 1).await;
    assert_eq!(scene.orders_at_ca(), 2);
}

/// Lets the CA look for a proof that is not there.
async fn let_it_fail(scene: &Scene) {
    let config = config::load(&scene.write_config()).unwrap().config;
    let http = config.network.client().unwrap();
    let directory = &config.issuers["pebble"].directory;
    let ca = Ca::new(directory, http, Clock::System).unwrap();
    let store = scene.open_store().await;
    let account = store.account(ca.directory()).await.unwrap().unwrap();
    let label = LABEL.parse().unwrap();
    let row = store.open_order(&label).await.unwrap().unwrap();
    store.close().await;
    let opened = account::open(&ca, &account.key, account.url.as_deref(), &[]);
    let account = opened.await.unwrap().account;
    let order = Order::resume(&account, &row.url.unwrap()).await;
    let mut order = order.unwrap().unwrap();
    let proofs = order.proofs().await.unwrap();
    order.answer(&proofs).await.unwrap();
    order.wait_ready(PATIENCE).await.unwrap_err();
}

/// Lets the next start order at once, as after the pause that a failure asks for.
async fn forget_trouble(scene: &Scene) {
    let forget = |record: &mut Record| {
        record.orders.trouble = None;
        record.orders.issuers.clear();
    };
    scene.change_record(LABEL, forget).await;
}

#[tokio::test]
async fn an_order_at_a_ca_that_lost_its_memory_is_over() {
    let mut scene = killed_before("INSERT ON journal").await;
    scene.pebble.restart().await.unwrap();

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 2);
    assert_eq!(scene.accounts_at_ca(), 2);
}

#[tokio::test]
async fn a_renewal_is_taken_up_like_a_first_order() {
    let mut scene = Scene::builder(&[DOMAIN])
        .certificates(ONE)
        .pebble(|pebble| quick(pebble).authz_reuse(0))
        .start()
        .await;
    go_on(&scene, 1).await;
    scene.set_certificates(
        "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\", \"w.example.com\"]\n\
         targets = [{ domains = [\"v.example.com\"] }]\n",
    );
    let first = scene.installed(DOMAIN);

    kill_before(&scene, "INSERT ON generations").await;

    assert_eq!(scene.installed(DOMAIN), first);
    go_on(&scene, 2).await;
    assert_ne!(scene.installed(DOMAIN), first);
    assert_eq!(scene.orders_at_ca(), 2);
    assert_eq!(generations(&scene).await, 2);
}
