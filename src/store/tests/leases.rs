//! Who may work on a certificate and when, and who may not write any more.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::*;
use crate::store::lease::{DUE, PLANNED_TOO_FAR};
use crate::store::{AcceptedOrderRow, JournalKind, JournalWriter, LEASE_TTL};

#[tokio::test]
async fn one_worker_at_a_time_and_the_next_has_a_greater_fence() {
    let home = Home::new();
    let store = home.open().await;
    let first = claimed(&store).await;
    assert_eq!(first.label(), &video());
    assert!(store.claim(&video(), NOW).await.unwrap().is_none());
    let last_moment = NOW + LEASE_TTL - Duration::from_millis(1);
    assert!(store.claim(&video(), last_moment).await.unwrap().is_none());
    let second = store
        .claim(&video(), NOW + LEASE_TTL)
        .await
        .unwrap()
        .unwrap();
    let fence = async || {
        let sql = "SELECT fence FROM certificates WHERE name = 'video'";
        let fence: i64 = sqlx::query_scalar(sql)
            .fetch_one(&store.pool)
            .await
            .unwrap();
        fence
    };
    let fence_of_second = fence().await;
    let late = store.renew(&first, NOW).await;
    assert!(
        matches!(late, Err(StoreError::LeaseLost { .. })),
        "{late:?}"
    );
    store.release(&second, NOW).await.unwrap();
    let third = store
        .claim(&video(), NOW + LEASE_TTL)
        .await
        .unwrap()
        .unwrap();
    assert!(fence().await > fence_of_second);
    assert_eq!(third.label(), &video());
    assert!(store.claim(&label("unknown"), NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn a_renewed_lease_lasts() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    store.renew(&lease, NOW + LEASE_TTL / 2).await.unwrap();
    assert!(
        store
            .claim(&video(), NOW + LEASE_TTL)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        store
            .claim(&video(), NOW + 2 * LEASE_TTL)
            .await
            .unwrap()
            .is_some()
    );
}

#[expect(clippy::too_many_lines, reason = "one story, told in order")]
#[tokio::test]
async fn a_worker_that_lost_its_lease_can_write_nothing() {
    let home = Home::new();
    let store = home.open().await;
    let lost = claimed(&store).await;
    let order = intend(&store, &lost, &Record::default()).await;
    let kind = JournalKind::TxtRecord;
    let row = store
        .journal_open(&lost, kind, Some(&order), &json!({}), NOW)
        .await
        .unwrap();
    store
        .claim(&video(), NOW + LEASE_TTL)
        .await
        .unwrap()
        .unwrap();
    let state = async || {
        (
            store.load(&video()).await.unwrap(),
            store.open_order(&video()).await.unwrap(),
            store.journal_rows(kind, None).await.unwrap(),
        )
    };
    let before = state().await;

    let record = Record {
        newest_generation: 9,
        ..Record::default()
    };
    let (chain, key) = pair();
    let accepted = AcceptedOrderRow {
        url: "https://ca.example/order/1",
        key: &key,
        csr: b"csr",
        replaces: false,
        draws: &[],
    };
    let generation = new_generation(9, &chain, &key);
    let entries = [entry("late")];
    let worker = JournalWriter::Worker(&lost);
    let outcomes = [
        ("renew", store.renew(&lost, NOW).await),
        ("release", store.release(&lost, NOW).await),
        ("save", store.save(&lost, &record, NOW, &entries).await),
        (
            "save_order_intent",
            store
                .save_order_intent(&lost, &record, NOW, &new_order(), &entries)
                .await
                .map(drop),
        ),
        (
            "save_order_accepted",
            store
                .save_order_accepted(&lost, &record, NOW, &order, &accepted, &entries)
                .await,
        ),
        (
            "close_order",
            store
                .close_order(&lost, &record, NOW, &order, "invalid", &entries)
                .await,
        ),
        (
            "close_refused_order",
            store
                .close_refused_order(&lost, &record, NOW, &order, "refused", &entries)
                .await,
        ),
        (
            "journal_open",
            store
                .journal_open(&lost, kind, Some(&order), &json!({}), NOW)
                .await
                .map(drop),
        ),
        (
            "journal_update",
            store.journal_update(worker, &row, &json!(1)).await,
        ),
        (
            "journal_close",
            store.journal_close(worker, &row, NOW).await,
        ),
        (
            "save_generation",
            store
                .save_generation(&lost, &record, NOW, &order, &generation, &entries)
                .await,
        ),
    ];
    for (write, outcome) in outcomes {
        assert!(
            matches!(outcome, Err(StoreError::LeaseLost { .. })),
            "{write}: {outcome:?}"
        );
    }
    assert_eq!(state().await, before);
    assert_eq!(store.history(None, 10).await.unwrap(), []);
    assert_eq!(store.generation(&video(), 9).await.unwrap(), None);
    let set = Limit::ExactSet;
    let used = budget_used(&store, DIRECTORY, set, "v.example.com", NOW);
    assert_eq!(used.await, 1);
}

#[tokio::test]
async fn a_released_lease_is_over() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    store.release(&lease, NOW + MINUTE).await.unwrap();
    let late = store.save(&lease, &Record::default(), NOW, &[]).await;
    assert!(
        matches!(late, Err(StoreError::LeaseLost { .. })),
        "{late:?}"
    );
    assert_eq!(
        store.load(&video()).await.unwrap().unwrap().due_at,
        NOW + MINUTE
    );
}

#[tokio::test]
async fn opening_voids_the_leases_of_a_killed_process() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let left = home.killed();
    let restarted = left.open().await;
    assert_eq!(restarted.due(NOW, 10).await.unwrap(), [video()]);
    let next = restarted.claim(&video(), NOW).await.unwrap().unwrap();
    restarted.renew(&next, NOW).await.unwrap();
    let late = restarted.save(&lease, &Record::default(), NOW, &[]).await;
    assert!(
        matches!(late, Err(StoreError::LeaseLost { .. })),
        "{late:?}"
    );
}

#[tokio::test]
async fn a_clock_that_is_stepped_back_does_not_keep_a_lease_alive() {
    let home = Home::new();
    let store = home.open().await;
    claimed(&store).await;
    let slewed = NOW - Duration::from_secs(1);
    assert!(store.claim(&video(), slewed).await.unwrap().is_none());
    let stepped = NOW - 24 * 60 * MINUTE;
    store.make_due(&video(), stepped).await.unwrap();
    assert_eq!(store.due(stepped, 10).await.unwrap(), [video()]);
    assert!(store.claim(&video(), stepped).await.unwrap().is_some());
}

#[tokio::test]
async fn due_work_comes_longest_due_first_without_what_is_leased_or_retired() {
    let home = Home::new();
    let store = home.open().await;
    assert_eq!(store.next_due_after(NOW).await.unwrap(), None);
    let labels = ["a", "b", "c", "d", "e"].map(label);
    store.ensure(&labels, NOW).await.unwrap();
    for (label, minutes) in labels.iter().zip([4, 3, 2, 1, 60]) {
        let lease = store.claim(label, NOW).await.unwrap().unwrap();
        store.release(&lease, NOW + minutes * MINUTE).await.unwrap();
    }
    let next = async |minutes| store.next_due_after(NOW + minutes * MINUTE).await.unwrap();
    for (minutes, expected) in [(0, Some(1)), (1, Some(2)), (4, Some(60)), (60, None)] {
        let expected = expected.map(|minutes| NOW + minutes * MINUTE);
        assert_eq!(next(minutes).await, expected, "after {minutes} minutes");
    }
    let due = async |minutes, limit| store.due(NOW + minutes * MINUTE, limit).await.unwrap();
    assert_eq!(due(0, 10).await, []);
    assert_eq!(due(5, 10).await, ["d", "c", "b", "a"].map(label));
    assert_eq!(due(5, 2).await, ["d", "c"].map(label));

    store
        .claim(&label("d"), NOW + 5 * MINUTE)
        .await
        .unwrap()
        .unwrap();
    store
        .ensure(&["a", "b", "d", "e"].map(label), NOW)
        .await
        .unwrap();
    assert_eq!(due(5, 10).await, ["b", "a"].map(label));
    assert!(
        store
            .claim(&label("c"), NOW + 5 * MINUTE)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn what_is_at_work_or_retired_is_not_the_next_to_become_due() {
    let home = Home::new();
    let store = home.open().await;
    let next = async || store.next_due_after(NOW).await.unwrap();
    let lease = claimed(&store).await;
    assert_eq!(next().await, None, "at work");
    assert_eq!(store.due(NOW, 10).await.unwrap(), []);
    // Silent for longer than the lease: it is due.
    assert_eq!(store.due(NOW + LEASE_TTL, 10).await.unwrap(), [video()]);
    store.release(&lease, NOW + 5 * MINUTE).await.unwrap();
    assert_eq!(next().await, Some(NOW + 5 * MINUTE), "released");
    store.claim(&video(), NOW).await.unwrap().unwrap();
    assert_eq!(next().await, None, "at work before it was due");
    store.ensure(&[], NOW).await.unwrap();
    assert_eq!(next().await, None, "retired");
}

#[tokio::test]
async fn what_is_woken_at_work_is_due_again_afterwards() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    store.make_due(&video(), NOW + MINUTE).await.unwrap();
    store
        .save(&lease, &Record::default(), NOW + MINUTE, &[])
        .await
        .unwrap();
    store.release(&lease, NOW + 30 * MINUTE).await.unwrap();
    assert_eq!(store.due(NOW + MINUTE, 10).await.unwrap(), [video()]);

    let lease = store.claim(&video(), NOW + MINUTE).await.unwrap().unwrap();
    store.release(&lease, NOW + 30 * MINUTE).await.unwrap();
    let next = store.next_due_after(NOW + MINUTE).await.unwrap();
    assert_eq!(next, Some(NOW + 30 * MINUTE));
    store.make_due(&video(), NOW + 2 * MINUTE).await.unwrap();
    assert_eq!(store.due(NOW + 2 * MINUTE, 10).await.unwrap(), [video()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_workers_claim_each_certificate_once_and_write_at_once() {
    let home = Home::new();
    let store = Arc::new(home.open().await);
    let labels: Vec<Label> = (0..10).map(|n| label(&format!("c{n}"))).collect();
    store.ensure(&labels, NOW).await.unwrap();
    let mut workers = JoinSet::new();
    for label in [labels.clone(), labels.clone()].concat() {
        let store = Arc::clone(&store);
        workers.spawn(async move {
            let Some(lease) = store.claim(&label, NOW).await.unwrap() else {
                return 0;
            };
            for _ in 0..5 {
                let record = Record::default();
                store.save(&lease, &record, NOW, &[]).await.unwrap();
            }
            1
        });
    }
    let claimed: usize = workers.join_all().await.into_iter().sum();
    assert_eq!(claimed, labels.len());
    for (label, stored) in store.all().await.unwrap() {
        assert_eq!(stored.unwrap().version, 5, "{label}");
    }
}

#[tokio::test]
async fn due_work_is_found_by_index() {
    let home = Home::new();
    let store = home.open().await;
    for (statement, range) in [(DUE, "due_at<?"), (PLANNED_TOO_FAR, "due_at>?")] {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
            .bind(0)
            .bind(0)
            .bind(0)
            .bind(1)
            .fetch_all(&store.pool)
            .await
            .unwrap();
        let steps: Vec<&str> = plan.iter().map(|(.., step)| step.as_str()).collect();
        let search = format!("SEARCH certificates USING INDEX certificates_due ({range})");
        assert_eq!(steps, [search]);
    }
}

#[tokio::test]
async fn what_a_clock_planned_that_was_set_back_since_is_due() {
    let home = Home::new();
    let store = home.open().await;
    let label = label("video");
    store
        .ensure(std::slice::from_ref(&label), NOW)
        .await
        .unwrap();
    let lease = store.claim(&label, NOW).await.unwrap().unwrap();
    store
        .release(&lease, NOW + Duration::from_hours(24))
        .await
        .unwrap();
    assert_eq!(store.due(NOW, 10).await.unwrap(), []);
    let back = NOW - Duration::from_hours(365 * 24);
    assert_eq!(
        store.due(back, 10).await.unwrap(),
        std::slice::from_ref(&label)
    );
    store.make_all_due(back).await.unwrap();
    let before = back - Duration::from_millis(1);
    assert_eq!(store.next_due_after(before).await.unwrap(), Some(back));
}
