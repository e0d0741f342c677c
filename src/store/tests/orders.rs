//! Orders and generations: stored before they are needed, removed when they are not.

use sqlx::query_scalar;

use super::*;
use crate::renewal::{Installed, Served};
use crate::store::{AcceptedOrderRow, OrderId};

const URL: &str = "https://ca.example/order/1";

#[expect(clippy::too_many_lines, reason = "one story, told in order")]
#[tokio::test]
async fn an_order_is_found_again_as_far_as_it_was() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let record = Record::default();
    assert_eq!(store.open_order(&video()).await.unwrap(), None);

    let order = new_order();
    let id = store
        .save_order_intent(&lease, &record, NOW, &order, &[entry("ordered")])
        .await
        .unwrap()
        .unwrap();
    let open = store.open_order(&video()).await.unwrap().unwrap();
    assert_eq!(
        (&open.id, open.intent_at, &open.names),
        (&id, NOW, &order.names)
    );
    assert_eq!(
        (&open.issuer, &open.directory),
        (&order.issuer, &order.directory)
    );
    assert_eq!(
        (&open.account, &open.profile),
        (&order.account, &order.profile)
    );
    assert_eq!(
        (open.key_type, &open.replaces),
        (order.key_type, &order.replaces)
    );
    assert_eq!((open.accepted_at, open.url, open.csr), (None, None, None));
    assert_eq!(store.order_key(&video(), &id).await.unwrap(), None);

    let (chain, key) = pair();
    let accepted = AcceptedOrderRow {
        url: URL,
        key: &key,
        csr: b"csr",
        replaces: false,
        draws: &[],
    };
    let later = NOW + MINUTE;
    store
        .save_order_accepted(&lease, &record, later, &id, &accepted, &[])
        .await
        .unwrap();
    let open = store.open_order(&video()).await.unwrap().unwrap();
    assert_eq!(
        (open.accepted_at, open.url.as_deref()),
        (Some(later), Some(URL))
    );
    assert_eq!(open.csr.as_deref(), Some(b"csr".as_slice()));
    let stored_key = store.order_key(&video(), &id).await.unwrap();
    assert_eq!(stored_key.as_ref(), Some(&key));

    let mut record = record;
    issue(&mut record, 1, &chain);
    let new = new_generation(1, &chain, &key);
    store
        .save_generation(&lease, &record, later, &id, &new, &[entry("issued")])
        .await
        .unwrap();
    assert_eq!(store.open_order(&video()).await.unwrap(), None);
    let stored = store.generation(&video(), 1).await.unwrap().unwrap();
    assert_eq!((stored.chain_pem, stored.key), (chain.to_pem(), key));
    let found = store
        .generation_of(&chain.leaf().fingerprint)
        .await
        .unwrap();
    assert_eq!(found, Some((video(), 1)));
    assert_eq!(store.load(&video()).await.unwrap().unwrap().record, record);
    let kinds: Vec<_> = store
        .history(None, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|e| e.kind)
        .collect();
    assert_eq!(kinds, ["ordered", "issued"]);
    assert_eq!(outcome(&store, &id).await.as_deref(), Some("issued"));
    assert_eq!(order_keys(&store).await, 0, "a closed order keeps no key");
}

#[tokio::test]
async fn a_closed_order_takes_nothing_more() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let record = Record::default();
    let (_, key) = pair();
    let accepted = AcceptedOrderRow {
        url: URL,
        key: &key,
        csr: b"csr",
        replaces: false,
        draws: &[],
    };
    let id = intend(&store, &lease, &record).await;
    store
        .save_order_accepted(&lease, &record, NOW, &id, &accepted, &[])
        .await
        .unwrap();
    store
        .close_order(&lease, &record, NOW, &id, "invalid", &[entry("failed")])
        .await
        .unwrap();
    assert_eq!(store.open_order(&video()).await.unwrap(), None);
    assert_eq!(outcome(&store, &id).await.as_deref(), Some("invalid"));
    assert_eq!(order_keys(&store).await, 0);

    let before = store.load(&video()).await.unwrap();
    let late = store
        .save_order_accepted(&lease, &record, NOW, &id, &accepted, &[])
        .await;
    assert!(
        matches!(late, Err(StoreError::OrderClosed { .. })),
        "{late:?}"
    );
    assert_eq!(store.load(&video()).await.unwrap(), before);
    store
        .close_order(&lease, &record, NOW, &id, "again", &[])
        .await
        .unwrap();
    assert_eq!(outcome(&store, &id).await.as_deref(), Some("invalid"));
}

#[tokio::test]
async fn a_new_order_closes_one_that_was_left_open_and_its_budget_stands() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let record = Record::default();
    let first = intend(&store, &lease, &record).await;
    let (_, key) = pair();
    let accepted = AcceptedOrderRow {
        url: URL,
        key: &key,
        csr: b"csr",
        replaces: true,
        draws: &[],
    };
    store
        .save_order_accepted(&lease, &record, NOW, &first, &accepted, &[])
        .await
        .unwrap();
    let second = intend(&store, &lease, &record).await;
    assert_eq!(
        store.open_order(&video()).await.unwrap().unwrap().id,
        second
    );
    assert_eq!(outcome(&store, &first).await.as_deref(), Some("abandoned"));
    assert_eq!(order_keys(&store).await, 0);

    let used = async |directory, scope, subject, since| {
        budget_used(&store, directory, scope, subject, since).await
    };
    let (set, domain) = (Limit::ExactSet, Limit::RegisteredDomain);
    assert_eq!(used(DIRECTORY, set, "v.example.com", NOW).await, 2);
    assert_eq!(used(DIRECTORY, set, "v.example.com", NOW + MINUTE).await, 0);
    assert_eq!(used(DIRECTORY, set, "w.example.com", NOW).await, 0);
    assert_eq!(
        used("https://other.example/", set, "v.example.com", NOW).await,
        0
    );
    assert_eq!(
        used(DIRECTORY, domain, "example.com", NOW).await,
        0,
        "exempt"
    );
}

#[tokio::test]
async fn old_generations_are_pruned_unless_a_target_has_them() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let mut record = Record::default();
    let mut leaves = Vec::new();
    for generation in 1..=6 {
        let (chain, key) = pair();
        let id = intend(&store, &lease, &record).await;
        issue(&mut record, generation, &chain);
        match generation {
            1 => install(&mut record, generation),
            2 => serve(&mut record, generation, &chain),
            _ => {}
        }
        let new = new_generation(generation, &chain, &key);
        store
            .save_generation(&lease, &record, NOW, &id, &new, &[])
            .await
            .unwrap();
        leaves.push(chain.leaf().fingerprint);
    }
    let mut kept = Vec::new();
    for generation in 1..=6 {
        if store
            .generation(&video(), generation)
            .await
            .unwrap()
            .is_some()
        {
            kept.push(generation);
        }
    }
    assert_eq!(
        kept,
        [1, 2, 5, 6],
        "at the targets: 1 and 2; the newest and one before it: 5, 6"
    );
    for (leaf, generation) in leaves.iter().zip(1..) {
        let found = store.generation_of(leaf).await.unwrap();
        assert_eq!(
            found,
            Some((video(), generation)),
            "a leaf of ours stays known as ours"
        );
    }
    let (stranger, _) = pair();
    assert_eq!(
        store
            .generation_of(&stranger.leaf().fingerprint)
            .await
            .unwrap(),
        None
    );
}

fn install(record: &mut Record, generation: u32) {
    let target = record
        .targets
        .entry("aliyun-vod/main/v.example.com".parse().unwrap());
    target.or_default().installed = Some(Installed {
        generation,
        at: NOW,
        cert_name: String::new(),
        cert_id: None,
        cert_region: None,
    });
}

fn serve(record: &mut Record, generation: u32, chain: &Chain) {
    let target = record
        .targets
        .entry("aliyun-vod/main/w.example.com".parse().unwrap());
    target.or_default().served = Some(Served {
        fingerprint: chain.leaf().fingerprint,
        not_before: chain.leaf().not_before,
        not_after: chain.leaf().not_after,
        generation: Some(generation),
        chain_as_stored: true,
    });
}

async fn outcome(store: &Store, id: &OrderId) -> Option<String> {
    query_scalar("SELECT outcome FROM orders WHERE id = $1")
        .bind(id.as_str())
        .fetch_one(&store.pool)
        .await
        .unwrap()
}

async fn order_keys(store: &Store) -> i64 {
    query_scalar("SELECT COUNT(key_sealed) FROM orders")
        .fetch_one(&store.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_budget_of_an_order_follows_what_became_of_it() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let record = Record::default();
    let (_, key) = pair();
    let used = async || {
        let set = Limit::ExactSet;
        budget_used(&store, DIRECTORY, set, "v.example.com", NOW).await
    };
    let exempt = || {
        let mut order = new_order();
        for draw in &mut order.draws {
            draw.kind = DrawKind::Exempt;
        }
        order.replaces = Some("aki.serial".to_owned());
        order
    };
    for (replaces, expected) in [(true, 0), (false, 1)] {
        let order = exempt();
        let counted = if replaces {
            order.draws.clone()
        } else {
            new_order().draws
        };
        let id = store.save_order_intent(&lease, &record, NOW, &order, &[]);
        let id = id.await.unwrap().unwrap();
        let accepted = AcceptedOrderRow {
            url: URL,
            key: &key,
            csr: b"csr",
            replaces,
            draws: &counted,
        };
        let saved = store.save_order_accepted(&lease, &record, NOW, &id, &accepted, &[]);
        saved.await.unwrap();
        assert_eq!(used().await, expected, "replaces: {replaces}");
        let open = store.open_order(&video()).await.unwrap().unwrap();
        assert_eq!(open.replaces.is_some(), replaces);
    }
    let refused = intend(&store, &lease, &record).await;
    assert_eq!(used().await, 2);
    let closed = store.close_refused_order(&lease, &record, NOW, &refused, "rateLimited", &[]);
    closed.await.unwrap();
    assert_eq!(used().await, 1, "given back");
    assert_eq!(store.open_order(&video()).await.unwrap(), None);
}
