//! Records: kept to the letter, refused when that is not possible.

use sqlx::query;

use super::*;
use crate::renewal::{Found, Installed, OrderFate};
use crate::retry::{Class, Failure, Scope, course};
use crate::store::Stored;

#[tokio::test]
async fn a_record_comes_back_as_it_was_saved() {
    let home = Home::new();
    let store = home.open().await;
    assert_eq!(store.load(&video()).await.unwrap(), None);
    let lease = claimed(&store).await;
    let fresh = store.load(&video()).await.unwrap().unwrap();
    assert_eq!(
        (fresh.record, fresh.version, fresh.due_at),
        (Record::default(), 0, NOW)
    );

    let record = eventful();
    store
        .save(&lease, &record, NOW + MINUTE, &[entry("issued")])
        .await
        .unwrap();
    let stored = store.load(&video()).await.unwrap().unwrap();
    assert_eq!((&stored.record, stored.version), (&record, 1));
    assert_eq!(
        stored.due_at,
        NOW + MINUTE,
        "it stays due while it is at work"
    );
    assert_eq!(store.history(None, 10).await.unwrap(), [entry("issued")]);
    assert!(stored.leased_until.is_some(), "a worker is at work");
    store.close().await;
    // Who opens the store is alone with it: the leases of before are void.
    let ended = Stored {
        leased_until: None,
        ..stored
    };
    assert_eq!(home.open().await.load(&video()).await.unwrap(), Some(ended));
}

#[tokio::test]
async fn a_record_with_an_unknown_field_is_refused_and_the_others_go_on() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    store.save(&lease, &eventful(), NOW, &[]).await.unwrap();
    let stored = serde_json::to_string(&eventful()).unwrap();
    store.ensure(&[label("other"), video()], NOW).await.unwrap();
    let cases = [
        (r#"{"digest":"#, r#"{"mood":1,"digest":"#, "mood"),
        (
            r#""cert_name":"#,
            r#""mood":1,"cert_name":"#,
            "targets.aliyun-vod/main/v.example.com.",
        ),
        (
            r#""course":[{"#,
            r#""course":[{"mood":1,"#,
            "orders.trouble.failure.course.mood",
        ),
    ];
    for (from, to, field) in cases {
        let tampered = stored.replacen(from, to, 1);
        assert_ne!(tampered, stored, "{field}");
        overwrite(&store, &tampered).await;
        match store.load(&video()).await {
            Err(StoreError::UnknownField { field: found, .. }) => {
                assert!(found.starts_with(field), "{found}");
            }
            other => panic!("{field}: {other:?}"),
        }
        let all = store.all().await.unwrap();
        let readable: Vec<_> = all
            .iter()
            .map(|(label, stored)| (label, stored.is_ok()))
            .collect();
        assert_eq!(readable, [(&label("other"), true), (&video(), false)]);
    }
    for malformed in ["", "{}", "[]", "{\"digest\":1}"] {
        overwrite(&store, malformed).await;
        let refused = store.load(&video()).await;
        assert!(
            matches!(refused, Err(StoreError::Malformed { .. })),
            "{malformed}: {refused:?}"
        );
    }
    overwrite(&store, &stored).await;
    assert_eq!(
        store.load(&video()).await.unwrap().unwrap().record,
        eventful()
    );
}

#[tokio::test]
async fn a_certificate_that_leaves_the_configuration_keeps_its_record() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    store.save(&lease, &eventful(), NOW, &[]).await.unwrap();
    store.ensure(&[label("other")], NOW).await.unwrap();
    // A worker that is still at it may finish.
    store.save(&lease, &eventful(), NOW, &[]).await.unwrap();
    store.release(&lease, NOW + 60 * MINUTE).await.unwrap();
    assert_eq!(store.all().await.unwrap().len(), 1);
    assert_eq!(
        store.due(NOW + 60 * MINUTE, 10).await.unwrap(),
        [label("other")]
    );
    assert_eq!(
        store.load(&video()).await.unwrap().unwrap().record,
        eventful()
    );

    store
        .ensure(&[label("other"), video()], NOW + 5 * MINUTE)
        .await
        .unwrap();
    let back = store.load(&video()).await.unwrap().unwrap();
    assert_eq!((back.record, back.due_at), (eventful(), NOW + 5 * MINUTE));
}

#[tokio::test]
async fn ensuring_what_is_there_changes_nothing() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    store.save(&lease, &eventful(), NOW, &[]).await.unwrap();
    store.release(&lease, NOW + 30 * MINUTE).await.unwrap();
    let before = store.load(&video()).await.unwrap();
    store
        .ensure(&[video(), video()], NOW + MINUTE)
        .await
        .unwrap();
    assert_eq!(store.load(&video()).await.unwrap(), before);
}

async fn overwrite(store: &Store, record: &str) {
    query("UPDATE certificates SET record = $1 WHERE name = 'video'")
        .bind(record)
        .execute(&store.writer)
        .await
        .unwrap();
}

/// A record with something in every corner.
fn eventful() -> Record {
    let mut record = Record::default();
    let (issuer, jitter) = ("letsencrypt".to_owned(), 0.123_456_789_012_345_67);
    let failure = Failure {
        code: "rateLimited".to_owned(),
        message: "too many \"certificates\" 证书".to_owned(),
        course: course(&[(Class::Backoff, 2), (Class::Operator, 1)]),
        scope: Scope::Ca {
            directory: DIRECTORY.to_owned(),
        },
        not_before: Some(NOW + MINUTE),
        clamped: true,
    };
    record.apply(
        Event::OrderFailed {
            issuer,
            failure,
            order: OrderFate::Open,
            jitter,
        },
        NOW,
    );
    let found = Found::Ours(Installed {
        generation: 3,
        at: NOW,
        cert_name: "vodcertd-0".to_owned(),
        cert_id: Some(1 << 60),
        cert_region: Some("cn-hangzhou".to_owned()),
    });
    let target = "aliyun-vod/main/v.example.com".parse().unwrap();
    record.apply(Event::ReadBack { target, found }, NOW);
    record
}
