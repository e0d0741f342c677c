//! What is left of the limits of a CA.

use super::*;
use crate::renewal::{Exhausted, Quota};

const HOUR: Duration = Duration::from_hours(1);

/// Two orders at once, then one an hour.
fn quota() -> Quota {
    Quota::new(2, 2 * HOUR).unwrap()
}

fn draw(kind: DrawKind) -> Draw {
    Draw {
        limit: Limit::Account,
        subject: "account".to_owned(),
        quota: Some(quota()),
        kind,
    }
}

/// Intends an order with these draws.
async fn intend_at(
    store: &Store,
    lease: &Lease,
    at: Timestamp,
    draws: &[Draw],
    overdraws: bool,
) -> Result<OrderId, Exhausted> {
    let order = NewOrderRow {
        intent_at: at,
        draws: draws.to_vec(),
        overdraws,
        ..new_order()
    };
    let record = Record::default();
    let intended = store.save_order_intent(lease, &record, at, &order, &[]);
    intended.await.unwrap()
}

/// How many orders the account may still place.
async fn left(store: &Store, now: Timestamp) -> u32 {
    let drawn = store.drawn_from(DIRECTORY, Limit::Account, now);
    let drawn = drawn.await.unwrap();
    let full_at = drawn.first().map(|(_, full_at)| *full_at);
    quota().left(full_at, now)
}

#[tokio::test]
async fn what_is_used_up_is_refused_before_anything_is_stored() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let takes = [draw(DrawKind::Takes)];
    for left_over in [1, 0] {
        let intended = intend_at(&store, &lease, NOW, &takes, false).await;
        assert!(intended.is_ok(), "{intended:?}");
        assert_eq!(left(&store, NOW).await, left_over);
    }
    let open = store.open_order(&video()).await.unwrap();

    let other = Draw {
        subject: "another".to_owned(),
        ..draw(DrawKind::Takes)
    };
    let both = [other.clone(), draw(DrawKind::Takes)];
    let exhausted = Exhausted {
        limit: Limit::Account,
        subject: "account".to_owned(),
        quota: quota(),
        free_at: NOW + HOUR,
    };
    let refused = intend_at(&store, &lease, NOW, &both, false).await;
    assert_eq!(refused, Err(exhausted));
    assert_eq!(
        store.open_order(&video()).await.unwrap(),
        open,
        "the one of before"
    );
    let drawn = store
        .drawn_from(DIRECTORY, Limit::Account, NOW)
        .await
        .unwrap();
    assert_eq!(
        drawn,
        [("account".to_owned(), NOW + 2 * HOUR)],
        "nothing of the other"
    );

    let later = intend_at(&store, &lease, NOW + HOUR, &both, false).await;
    assert!(later.is_ok(), "{later:?}");
}

#[tokio::test]
async fn in_an_emergency_the_ca_says_no() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let takes = [draw(DrawKind::Takes)];
    for _ in 0..4 {
        intend_at(&store, &lease, NOW, &takes, true).await.unwrap();
    }
    assert_eq!(left(&store, NOW).await, 0);
    // No bucket is emptier than empty.
    assert_eq!(left(&store, NOW + HOUR).await, 1);
}

#[tokio::test]
async fn what_the_ca_does_not_count_is_always_there_and_takes_nothing() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let exempt = [draw(DrawKind::Exempt)];
    for _ in 0..3 {
        intend_at(&store, &lease, NOW, &exempt, false)
            .await
            .unwrap();
    }
    assert_eq!(left(&store, NOW).await, 2);
}

#[tokio::test]
async fn an_order_that_counts_after_all_is_taken_from_the_rest() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let exempt = [draw(DrawKind::Exempt)];
    let id = intend_at(&store, &lease, NOW, &exempt, false)
        .await
        .unwrap();
    let (_, key) = pair();
    let accepted = super::super::AcceptedOrderRow {
        url: "https://ca.example/order/1",
        key: &key,
        csr: b"csr",
        replaces: false,
        draws: &[draw(DrawKind::Takes)],
    };
    let record = Record::default();
    let saved = store.save_order_accepted(&lease, &record, NOW, &id, &accepted, &[]);
    saved.await.unwrap();
    assert_eq!(left(&store, NOW).await, 1);
}

#[tokio::test]
async fn a_refused_order_gives_back_what_it_took() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let takes = [draw(DrawKind::Takes)];
    let id = intend_at(&store, &lease, NOW, &takes, false).await.unwrap();
    let record = Record::default();
    let closed = store.close_refused_order(&lease, &record, NOW, &id, "rateLimited", &[]);
    closed.await.unwrap();
    assert_eq!(left(&store, NOW).await, 2);
}

#[tokio::test]
async fn what_a_refused_order_took_others_did_not_take() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let takes = [draw(DrawKind::Takes)];
    let refused = intend_at(&store, &lease, NOW, &takes, false).await.unwrap();
    intend_at(&store, &lease, NOW, &takes, false).await.unwrap();
    assert_eq!(left(&store, NOW).await, 0);
    let record = Record::default();
    let closed = store.close_refused_order(&lease, &record, NOW, &refused, "busy", &[]);
    closed.await.unwrap();
    assert_eq!(left(&store, NOW).await, 1);
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_has_written_holds_nothing_back() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let takes = [draw(DrawKind::Takes)];
    let ahead = NOW + 1000 * HOUR;
    for _ in 0..2 {
        intend_at(&store, &lease, ahead, &takes, false)
            .await
            .unwrap();
    }
    assert_eq!(left(&store, NOW).await, 2);
    intend_at(&store, &lease, NOW, &takes, false).await.unwrap();
    assert_eq!(left(&store, NOW).await, 1);
}

#[tokio::test]
async fn proofs_that_failed_too_often_hold_back_orders_for_the_name() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let needs = |name: &str| Draw {
        limit: Limit::FailedValidations,
        subject: name.to_owned(),
        quota: Some(quota()),
        kind: DrawKind::Needs,
    };
    let name = "v.example.com".to_owned();
    for expected in [Ok(()), Ok(()), Err(NOW + HOUR)] {
        let draws = [needs(&name), needs("w.example.com")];
        let intended = intend_at(&store, &lease, NOW, &draws, false).await;
        let intended = intended.map(drop).map_err(|exhausted| {
            assert_eq!(exhausted.subject, name);
            exhausted.free_at
        });
        assert_eq!(intended, expected);
        let names = std::slice::from_ref(&name);
        let noted = store.note_failed_validations(DIRECTORY, "account", quota(), names, NOW);
        noted.await.unwrap();
    }
}

#[tokio::test]
async fn a_store_from_before_the_buckets_begins_with_full_ones() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    intend_at(&store, &lease, NOW, &[draw(DrawKind::Takes)], false)
        .await
        .unwrap();
    for statement in [
        "DROP INDEX ledger_full_at",
        "ALTER TABLE ledger DROP COLUMN full_at",
        "ALTER TABLE ledger DROP COLUMN refill",
        "ALTER TABLE deadlines DROP COLUMN for_a_person",
        "DELETE FROM _sqlx_migrations WHERE version >= 2",
    ] {
        sqlx::query(statement).execute(&store.writer).await.unwrap();
    }
    store.close().await;
    let store = home.open().await;
    assert_eq!(left(&store, NOW).await, 2);
    let lease = store.claim(&video(), NOW).await.unwrap().unwrap();
    let takes = [draw(DrawKind::Takes)];
    intend_at(&store, &lease, NOW, &takes, false).await.unwrap();
    assert_eq!(left(&store, NOW).await, 1);
}
