//! Accounts, deadlines, the journal, the history, and what prunes them.

use serde_json::json;

use super::*;
use crate::retry::{Class, Failure, Scope, course};
use crate::secret::Secret;
use crate::store::write::LEDGER_KEPT;
use crate::store::{JournalId, JournalKind, JournalWriter, PROBE};

#[tokio::test]
async fn the_first_account_key_stands() {
    let home = Home::new();
    let store = home.open().await;
    assert_eq!(store.account(DIRECTORY).await.unwrap(), None);
    let (first, second) = (Secret::new("first"), Secret::new("second"));
    let stored = store
        .save_account_key(DIRECTORY, &first, NOW)
        .await
        .unwrap();
    assert_eq!(
        (&stored.key, &stored.url, stored.created_at),
        (&first, &None, NOW)
    );
    let stored = store
        .save_account_key(DIRECTORY, &second, NOW + MINUTE)
        .await
        .unwrap();
    assert_eq!((stored.key, stored.created_at), (first.clone(), NOW));

    let contacts = ["ops@example.com".to_owned()];
    store
        .save_account_url(DIRECTORY, "https://ca.example/1", &contacts, NOW)
        .await
        .unwrap();
    let account = store.account(DIRECTORY).await.unwrap().unwrap();
    assert_eq!(
        (&account.key, account.contacts.as_slice()),
        (&first, contacts.as_slice())
    );
    assert_eq!(account.url.as_deref(), Some("https://ca.example/1"));
    assert_eq!(store.account("https://other.example/").await.unwrap(), None);

    store.forget_account_url(DIRECTORY).await.unwrap();
    let account = store.account(DIRECTORY).await.unwrap().unwrap();
    assert_eq!((account.key, account.url), (first, None));
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn what_somebody_has_mended_is_open_again_and_a_time_that_passes_is_not() {
    let home = Home::new();
    let store = home.open().await;
    let scope = |directory: &str| Scope::Ca {
        directory: directory.to_owned(),
    };
    let of = |directory: &str, class, named| Failure {
        course: course(&[(class, 1)]),
        scope: scope(directory),
        ..refused("refused", named)
    };
    let named = Some(NOW + HOUR);
    for failure in [
        of("mended", Class::Operator, None),
        of("another", Class::Bug, None),
        of("named", Class::Operator, named),
        of("passing", Class::Backoff, None),
        // A time that is named later counts as well.
        of("both", Class::Operator, None),
        of("both", Class::Backoff, Some(NOW + 2 * HOUR)),
    ] {
        store.close_scope(&failure, NOW).await.unwrap();
    }
    let scopes = ["mended", "named", "passing", "both"].map(scope);
    store.reopen_scopes(&scopes).await.unwrap();
    let closed = store.deadlines().await.unwrap();
    let closed: Vec<_> = closed.keys().map(String::as_str).collect();
    assert_eq!(closed, ["ca|another", "ca|both", "ca|named", "ca|passing"]);
}

fn refused(code: &str, not_before: Option<Timestamp>) -> Failure {
    Failure {
        code: code.to_owned(),
        message: String::new(),
        course: course(&[(Class::Backoff, 1)]),
        scope: Scope::Ca {
            directory: "one".to_owned(),
        },
        not_before,
        clamped: false,
    }
}

#[tokio::test]
async fn a_scope_is_closed_for_longer_and_longer_but_a_burst_counts_once() {
    let home = Home::new();
    let store = home.open().await;
    let second = Duration::from_secs(1);
    let close = async |failure: &Failure, now| {
        let row = store.close_scope(failure, now).await.unwrap().unwrap();
        assert_eq!(store.deadlines().await.unwrap()["ca|one"], row);
        (row.deadline.until.since(now), row.failures)
    };
    let plain = refused("Throttling", None);
    for _ in 0..10 {
        assert_eq!(close(&plain, NOW).await, (5 * second, 1), "a burst");
    }
    let mut now = NOW;
    for (failures, seconds) in [(2, 10), (3, 20), (4, 40)] {
        now = store.deadlines().await.unwrap()["ca|one"].deadline.until;
        assert_eq!(close(&plain, now).await, (seconds * second, failures));
    }
    let named = refused("rateLimited", Some(now + HOUR));
    assert_eq!(close(&named, now).await, (HOUR, 4));
    assert_eq!(close(&plain, now).await, (HOUR, 4), "a named time stands");
    let row = &store.deadlines().await.unwrap()["ca|one"];
    assert_eq!(row.why, "rateLimited");
    let later = now + HOUR * 2;
    assert_eq!(close(&plain, later).await, (5 * second, 1), "long ago");
    let here = Failure {
        scope: Scope::Here,
        ..plain
    };
    assert_eq!(store.close_scope(&here, now).await.unwrap(), None);
}

#[tokio::test]
async fn a_success_settles_a_scope_that_is_open_again() {
    let home = Home::new();
    let store = home.open().await;
    let failure = refused("Throttling", None);
    store.close_scope(&failure, NOW).await.unwrap();
    let scopes = [failure.scope, Scope::Here];
    store.settle_scopes(&scopes, NOW).await.unwrap();
    assert_eq!(store.deadlines().await.unwrap().len(), 1, "it is closed");
    store.settle_scopes(&scopes, NOW + MINUTE).await.unwrap();
    assert_eq!(store.deadlines().await.unwrap().len(), 0);
}

fn fault() -> Failure {
    Failure {
        scope: Scope::CloudCall {
            cloud: "one".to_owned(),
            action: "Set".to_owned(),
        },
        ..refused("http-500", None)
    }
}

fn action() -> [Scope; 1] {
    [Scope::CloudAction {
        cloud: "one".to_owned(),
        action: "Set".to_owned(),
    }]
}

/// How long the action is closed after another fault at that moment.
async fn closed_by_a_fault(store: &Store, now: Timestamp) -> Option<Duration> {
    let row = store.close_scope(&fault(), now).await.unwrap().unwrap();
    let until = row.deadline.holding(now);
    until.map(|until| until.since(now))
}

#[tokio::test]
async fn five_faults_in_a_row_close_an_action_and_a_success_ends_the_row() {
    let home = Home::new();
    let store = home.open().await;
    for _ in 0..4 {
        assert_eq!(closed_by_a_fault(&store, NOW).await, None);
    }
    store.settle_scopes(&action(), NOW).await.unwrap();
    for _ in 0..4 {
        assert_eq!(closed_by_a_fault(&store, NOW).await, None);
    }
    let mut now = NOW;
    for seconds in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
        let closed = closed_by_a_fault(&store, now).await.unwrap();
        assert_eq!(closed, Duration::from_secs(seconds));
        assert_eq!(
            closed_by_a_fault(&store, now).await,
            Some(closed),
            "a burst"
        );
        now = now + closed;
    }
    store.settle_scopes(&action(), now - MINUTE).await.unwrap();
    assert_eq!(store.deadlines().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_closed_action_is_tried_by_one_at_a_time() {
    let home = Home::new();
    let store = home.open().await;
    let begin = async |now| store.begin_probe(&action(), now).await.unwrap();
    for _ in 0..4 {
        closed_by_a_fault(&store, NOW).await;
        for _ in 0..2 {
            assert!(begin(NOW).await.is_some(), "there is nothing to try");
        }
        assert_eq!(store.deadlines().await.unwrap().len(), 1);
    }
    let mut now = NOW + closed_by_a_fault(&store, NOW).await.unwrap();
    assert!(begin(NOW).await.is_none(), "it is closed");

    assert!(begin(now).await.is_some());
    assert!(begin(now).await.is_none(), "somebody tries");
    let closed = closed_by_a_fault(&store, now).await;
    assert_eq!(
        closed,
        Some(Duration::from_secs(10)),
        "it does not work yet"
    );

    now = now + closed.unwrap();
    let probe = begin(now).await.unwrap();
    store.end_probe(&probe, now).await.unwrap();
    let another = begin(now).await.unwrap();
    assert!(begin(now).await.is_none(), "somebody else tries");

    now = now + PROBE;
    assert!(begin(now).await.is_some(), "whoever tried was killed");
    store.end_probe(&another, now).await.unwrap();
    assert!(begin(now).await.is_none(), "only its own is ended");

    store.settle_scopes(&action(), now).await.unwrap();
    for _ in 0..2 {
        assert!(begin(now).await.is_some(), "it works");
    }
}

#[tokio::test]
async fn whoever_waits_for_a_probe_is_due_when_it_is_answered() {
    let home = Home::new();
    let store = home.open().await;
    let due = async |now| store.due(now, 10).await.unwrap();
    store.ensure(&[video()], NOW).await.unwrap();
    for answered in ["it works", "it does not", "nothing is known"] {
        for _ in 0..5 {
            closed_by_a_fault(&store, NOW).await;
        }
        let now = NOW + HOUR;
        let probe = store.begin_probe(&action(), now).await.unwrap().unwrap();
        let lease = store.claim(&video(), now).await.unwrap().unwrap();
        store.release(&lease, now + PROBE).await.unwrap();
        assert_eq!(due(now).await, []);
        match answered {
            "it works" => store.settle_scopes(&action(), now).await.unwrap(),
            "it does not" => drop(store.close_scope(&fault(), now).await.unwrap()),
            _ => store.end_probe(&probe, now).await.unwrap(),
        }
        assert_eq!(due(now).await, [video()], "{answered}");
    }
}

#[tokio::test]
async fn the_journal_tells_what_may_still_be_there() {
    let home = Home::new();
    let store = home.open().await;
    store.ensure(&[video(), label("other")], NOW).await.unwrap();
    let lease = store.claim(&video(), NOW).await.unwrap().unwrap();
    let other = store.claim(&label("other"), NOW).await.unwrap().unwrap();
    let order = intend(&store, &lease, &Record::default()).await;
    let txt = JournalKind::TxtRecord;
    let open = async |lease, order, value: &str| {
        store
            .journal_open(lease, txt, order, &json!({ "value": value }), NOW)
            .await
            .unwrap()
    };
    let first = open(&lease, Some(&order), "1").await;
    let second = open(&lease, None, "2").await;
    let third = open(&other, None, "3").await;
    let worker = JournalWriter::Worker(&lease);
    store
        .journal_update(worker, &first, &json!({ "value": "1", "id": 17 }))
        .await
        .unwrap();

    let killed = home.killed();
    let restarted = killed.open().await;
    let rows = restarted.journal_rows(txt, Some(&video())).await.unwrap();
    assert_eq!(
        rows.iter().map(|row| &row.id).collect::<Vec<_>>(),
        [&first, &second]
    );
    assert_eq!(
        (rows[0].kind, &rows[0].label, rows[0].created_at),
        (txt, &video(), NOW)
    );
    assert_eq!((&rows[0].order, &rows[1].order), (&Some(order), &None));
    assert_eq!(rows[0].payload, json!({ "value": "1", "id": 17 }));

    store.journal_close(worker, &first, NOW).await.unwrap();
    let rows = store.journal_rows(txt, None).await.unwrap();
    assert_eq!(
        rows.iter().map(|row| &row.id).collect::<Vec<_>>(),
        [&second, &third]
    );
}

#[tokio::test]
async fn a_row_is_changed_by_the_worker_of_its_certificate_and_without_one_by_the_sweep() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let row = journalled(&store, &lease).await;
    let open = async || {
        let rows = store.journal_rows(JournalKind::TxtRecord, None).await;
        rows.unwrap().len()
    };
    let sweep = JournalWriter::Sweep;
    store.journal_close(sweep, &row, NOW).await.unwrap();
    assert_eq!(open().await, 1, "the certificate is configured");
    store.ensure(&[label("other")], NOW).await.unwrap();
    let other = store.claim(&label("other"), NOW).await.unwrap().unwrap();
    let other = JournalWriter::Worker(&other);
    store.journal_close(other, &row, NOW).await.unwrap();
    assert_eq!(open().await, 1, "the row is of another certificate");
    store
        .journal_update(sweep, &row, &json!({ "swept": true }))
        .await
        .unwrap();
    let rows = store.journal_rows(JournalKind::TxtRecord, None).await;
    assert_eq!(rows.unwrap()[0].payload, json!({ "swept": true }));
    store.journal_close(sweep, &row, NOW).await.unwrap();
    assert_eq!(open().await, 0);
}

#[tokio::test]
async fn the_history_ends_with_the_newest_entry() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let of = |kind: &str, label: Option<Label>| HistoryEntry {
        label,
        ..entry(kind)
    };
    let entries = [
        of("a", Some(video())),
        of("b", None),
        of("c", Some(label("other"))),
    ];
    store
        .save(&lease, &Record::default(), NOW, &entries)
        .await
        .unwrap();
    let later = HistoryEntry {
        at: NOW + MINUTE,
        ..of("d", Some(video()))
    };
    store
        .save(
            &lease,
            &Record::default(),
            NOW,
            std::slice::from_ref(&later),
        )
        .await
        .unwrap();
    let history = async |label: Option<&Label>, limit| -> Vec<String> {
        let entries = store.history(label, limit).await.unwrap();
        entries.into_iter().map(|entry| entry.kind).collect()
    };
    assert_eq!(history(None, 10).await, ["a", "b", "c", "d"]);
    assert_eq!(history(None, 2).await, ["c", "d"]);
    assert_eq!(history(Some(&video()), 10).await, ["a", "d"]);
    assert_eq!(store.history(None, 1).await.unwrap(), [later]);
}

#[tokio::test]
async fn pruning_removes_what_was_over_long_ago_and_nothing_that_is_open() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let record = Record::default();
    let closed = intend(&store, &lease, &record).await;
    store
        .close_order(&lease, &record, NOW, &closed, "invalid", &[entry("old")])
        .await
        .unwrap();
    let open = intend(&store, &lease, &record).await;
    let (chain, key) = pair();
    store
        .save_generation(
            &lease,
            &record,
            NOW,
            &open,
            &new_generation(1, &chain, &key),
            &[],
        )
        .await
        .unwrap();
    let open = intend(&store, &lease, &record).await;
    let row = journalled(&store, &lease).await;
    let gone = journalled(&store, &lease).await;
    let worker = JournalWriter::Worker(&lease);
    store.journal_close(worker, &gone, NOW).await.unwrap();

    let kept = 100 * MINUTE;
    store.prune(NOW + kept).await.unwrap();
    assert_eq!(
        store.history(None, 10).await.unwrap().len(),
        1,
        "just old enough to stay"
    );
    store
        .prune(NOW + kept + Duration::from_millis(1))
        .await
        .unwrap();
    assert_eq!(store.history(None, 10).await.unwrap(), []);
    let used = async || budget_used(&store, DIRECTORY, Limit::ExactSet, "v.example.com", NOW).await;
    assert_eq!(used().await, 3, "CAs count for longer");
    let orders: Vec<String> = sqlx::query_scalar("SELECT id FROM orders")
        .fetch_all(&store.pool)
        .await
        .unwrap();
    assert_eq!(orders, [open.as_str()]);
    let journal: Vec<String> = sqlx::query_scalar("SELECT id FROM journal")
        .fetch_all(&store.pool)
        .await
        .unwrap();
    assert_eq!(journal, [row.as_str()]);
    assert!(store.generation(&video(), 1).await.unwrap().is_some());

    store.prune(NOW + LEDGER_KEPT).await.unwrap();
    assert_eq!(used().await, 3, "just old enough to stay");
    store
        .prune(NOW + LEDGER_KEPT + Duration::from_millis(1))
        .await
        .unwrap();
    assert_eq!(used().await, 0);
}

async fn journalled(store: &Store, lease: &Lease) -> JournalId {
    let kind = JournalKind::TxtRecord;
    store
        .journal_open(lease, kind, None, &json!({}), NOW)
        .await
        .unwrap()
}
