//! Private keys at rest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sqlx::query;

use super::*;
use crate::secret::Secret;
use crate::store::{AcceptedOrderRow, SealKeyError};

const ACCOUNT_KEY: &str = "the private key of the account";

#[tokio::test]
async fn sealed_keys_are_nowhere_in_the_files() {
    let cases = [
        ("plain", None, true),
        ("sealed", Some(seal_key(&[1])), false),
    ];
    for (case, seal, readable) in cases {
        let home = Home::new();
        let store = home.try_open(seal).await.unwrap();
        let keys = fill(&store).await;
        for key in &keys {
            assert_eq!(
                home.holds(key.expose()),
                readable,
                "{case}, while it is open"
            );
        }
        store.close().await;
        for key in &keys {
            assert_eq!(
                home.holds(key.expose()),
                readable,
                "{case}, after it was closed"
            );
        }
    }
}

#[tokio::test]
async fn a_missing_or_wrong_key_is_refused_and_nothing_is_changed() {
    let home = Home::new();
    let store = home.try_open(Some(seal_key(&[1]))).await.unwrap();
    let keys = fill(&store).await;
    store.close().await;
    let before = home.digests();
    let stored = seal_key(&[1]).id().to_owned();

    let refused = home.try_open(None).await.unwrap_err();
    let missing = SealKeyError::Missing {
        stored: stored.clone(),
    };
    assert!(
        matches!(&refused, StoreError::SealKey(error) if *error == missing),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("start over"), "{refused}");

    let refused = home.try_open(Some(seal_key(&[2, 3]))).await.unwrap_err();
    let other = SealKeyError::Other {
        stored,
        given: seal_key(&[2]).id().to_owned(),
    };
    assert!(
        matches!(&refused, StoreError::SealKey(error) if *error == other),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("reseal"), "{refused}");
    assert_eq!(home.digests(), before);

    let store = home.try_open(Some(seal_key(&[1]))).await.unwrap();
    assert_eq!(stored_keys(&store).await, keys);
}

#[tokio::test]
async fn a_key_given_to_a_plain_store_seals_it() {
    let home = Home::new();
    let store = home.open().await;
    let keys = fill(&store).await;
    store.close().await;
    let store = home.try_open(Some(seal_key(&[1]))).await.unwrap();
    assert_eq!(stored_keys(&store).await, keys);
    for key in &keys {
        assert!(!home.holds(key.expose()), "plain while it is open");
    }
    store.close().await;
    for key in &keys {
        assert!(
            !home.holds(key.expose()),
            "nothing plain lingers in free pages"
        );
    }
    assert!(matches!(
        home.try_open(None).await,
        Err(StoreError::SealKey(_))
    ));
}

#[tokio::test]
async fn a_new_key_above_the_old_one_seals_everything_anew() {
    let home = Home::new();
    let store = home.try_open(Some(seal_key(&[1]))).await.unwrap();
    let keys = fill(&store).await;
    store.close().await;
    for seal in [seal_key(&[2, 3, 1]), seal_key(&[2])] {
        let store = home.try_open(Some(seal)).await.unwrap();
        assert_eq!(stored_keys(&store).await, keys);
        store.close().await;
    }
    assert!(matches!(
        home.try_open(Some(seal_key(&[1]))).await,
        Err(StoreError::SealKey(_))
    ));
}

#[tokio::test]
async fn a_key_that_is_moved_or_changed_is_not_opened() {
    let home = Home::new();
    let store = home.try_open(Some(seal_key(&[1]))).await.unwrap();
    fill(&store).await;
    let tamperings = [
        "UPDATE generations SET key_sealed = (SELECT key_sealed FROM generations WHERE generation = 1) WHERE generation = 2",
        "UPDATE generations SET key_sealed = (SELECT key_sealed FROM orders WHERE closed_at IS NULL) WHERE generation = 2",
        "UPDATE generations SET key_sealed = (SELECT key_sealed FROM acme_accounts) WHERE generation = 2",
        "UPDATE generations SET key_sealed = x'' WHERE generation = 2",
        "UPDATE generations SET key_sealed = x'01' WHERE generation = 2",
        "UPDATE generations SET key_sealed = x'01000102030405060708090a0b0c0d0e0f' WHERE generation = 2",
        // What somebody would write who does not know the seal key.
        "UPDATE generations SET key_sealed = x'00' || x'3030' WHERE generation = 2",
    ];
    for tampering in tamperings {
        query(tampering).execute(&store.writer).await.unwrap();
        let refused = store.generation(&video(), 2).await;
        let unsealable = StoreError::Unsealable {
            table: "generations",
        };
        match refused {
            Err(error) => assert_eq!(error.to_string(), unsealable.to_string(), "{tampering}"),
            Ok(_) => panic!("{tampering}"),
        }
    }
    assert!(store.generation(&video(), 1).await.unwrap().is_some());
}

#[tokio::test]
async fn a_store_that_was_sealed_cannot_be_read_as_plain() {
    let home = Home::new();
    let store = home.try_open(Some(seal_key(&[1]))).await.unwrap();
    fill(&store).await;
    query("DELETE FROM meta WHERE key = 'seal_key_id'")
        .execute(&store.writer)
        .await
        .unwrap();
    store.close().await;
    let store = home.open().await;
    let refused = store.generation(&video(), 2).await;
    assert!(
        matches!(refused, Err(StoreError::Unsealable { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_seal_key_is_32_bytes_in_base64_on_each_line() {
    let good = STANDARD.encode([7; 32]);
    let cases = [
        ("one key", good.clone(), true),
        ("white space around it", format!("\n  {good} \r\n\n"), true),
        (
            "an older key below",
            format!("{good}\n{}", STANDARD.encode([8; 32])),
            true,
        ),
        ("nothing", String::new(), false),
        ("too short", STANDARD.encode([7; 31]), false),
        ("too long", STANDARD.encode([7; 33]), false),
        ("not base64", "?".repeat(44), false),
        ("a good key above a bad one", format!("{good}\nold"), false),
    ];
    for (case, text, valid) in cases {
        assert_eq!(SealKey::parse(&Secret::new(text)).is_ok(), valid, "{case}");
    }
    let key = SealKey::parse(&Secret::new(good.clone())).unwrap();
    let shown = format!("{key:?} {:?}", KeyMaterial::new(b"secret".to_vec()));
    assert_eq!(shown, format!("SealKey({}) KeyMaterial(…)", key.id()));
    assert!(!shown.contains(&good[..8]));
    assert_ne!(key.id(), seal_key(&[8]).id());
}

/// A seal key with older ones below it, each of one repeated byte.
fn seal_key(bytes: &[u8]) -> SealKey {
    let lines: Vec<String> = bytes
        .iter()
        .map(|byte| STANDARD.encode([*byte; 32]))
        .collect();
    SealKey::parse(&Secret::new(lines.join("\n"))).unwrap()
}

/// Stores a key in every place that has one: two generations, an open order, an account.
async fn fill(store: &Store) -> Vec<KeyMaterial> {
    let lease = claimed(store).await;
    let mut record = Record::default();
    let mut keys = Vec::new();
    for generation in 1..=2 {
        let (chain, key) = pair();
        let id = intend(store, &lease, &record).await;
        issue(&mut record, generation, &chain);
        let new = new_generation(generation, &chain, &key);
        store
            .save_generation(&lease, &record, NOW, &id, &new, &[])
            .await
            .unwrap();
        keys.push(key);
    }
    let (_, key) = pair();
    let accepted = AcceptedOrderRow {
        url: "https://ca.example/order/1",
        key: &key,
        csr: b"csr",
        replaces: false,
        draws: &[],
    };
    let id = intend(store, &lease, &record).await;
    store
        .save_order_accepted(&lease, &record, NOW, &id, &accepted, &[])
        .await
        .unwrap();
    keys.push(key);
    store
        .save_account_key(DIRECTORY, &Secret::new(ACCOUNT_KEY), NOW)
        .await
        .unwrap();
    keys.push(KeyMaterial::new(ACCOUNT_KEY.as_bytes().to_vec()));
    keys
}

async fn stored_keys(store: &Store) -> Vec<KeyMaterial> {
    let generation = async |number| {
        store
            .generation(&video(), number)
            .await
            .unwrap()
            .unwrap()
            .key
    };
    let order = store.open_order(&video()).await.unwrap().unwrap();
    let account = store.account(DIRECTORY).await.unwrap().unwrap();
    vec![
        generation(1).await,
        generation(2).await,
        store.order_key(&video(), &order.id).await.unwrap().unwrap(),
        KeyMaterial::new(account.key.expose().as_bytes().to_vec()),
    ]
}
