//! The dispatcher with a store, but without anybody outside: what is started is not brought to an
//! end here.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::clock::Clock;
use crate::daemon::build::testing;
use crate::renewal::{Action, Manner, Record, Spec};

/// A dispatcher with two certificates, which runs nothing.
async fn dispatcher() -> (TempDir, Dispatcher) {
    dispatcher_by(Clock::System).await
}

async fn dispatcher_by(clock: Clock) -> (TempDir, Dispatcher) {
    let home = tempfile::tempdir().unwrap();
    let shared = testing::shared(
        home.path(),
        "[[certificates]]\nnames = [\"a.example.com\"]\n\
         [[certificates]]\nnames = [\"b.example.com\"]\n",
    );
    let mut shared = shared.await;
    shared.clock = clock;
    let labels: Vec<_> = shared.jobs.keys().cloned().collect();
    let now = shared.clock.now();
    shared.store.ensure(&labels, now).await.unwrap();
    (home, Dispatcher::new(Arc::new(shared)))
}

fn labels(dispatcher: &Dispatcher) -> [Label; 2] {
    let labels: Vec<_> = dispatcher.shared.jobs.keys().cloned().collect();
    labels.try_into().unwrap()
}

/// Lets the worker of a certificate panic, at a step or between two.
async fn panic_at(dispatcher: &mut Dispatcher, label: &Label, step: Option<&Action>) {
    let shared = Arc::clone(&dispatcher.shared);
    let lease = shared.store.claim(label, shared.clock.now()).await;
    let lease = Arc::new(lease.unwrap().unwrap());
    if let Some(step) = step {
        shared.in_flight.begin(label, step);
    }
    let task = dispatcher.tasks.spawn(async { panic!("a bug") });
    dispatcher.at_work.insert(task.id(), lease);
    let ended = dispatcher.tasks.join_next_with_id().await.unwrap();
    dispatcher.ended(ended).await;
}

async fn record(dispatcher: &Dispatcher, label: &Label) -> Record {
    let stored = dispatcher.shared.store.load(label).await.unwrap();
    stored.unwrap().record
}

/// Where each step leaves the word that it panicked.
fn complaints(record: &Record) -> Vec<String> {
    let codes = record.targets.values().flat_map(|target| {
        let trouble = target.trouble.as_ref().map(|t| t.failure.code.clone());
        [trouble, target.look_failure.clone()]
    });
    let orders = record.orders.trouble.as_ref();
    let orders = orders.map(|trouble| trouble.failure.code.clone());
    codes.chain([orders]).flatten().collect()
}

/// One step of each kind that can go wrong, with the word of its panic.
fn steps(spec: &Spec) -> [(Action, &'static str); 4] {
    let issuer = spec.issuers[0].clone();
    let names = spec.names.clone();
    let target = spec.targets.keys().next().unwrap().clone();
    let order = Action::Order {
        issuer,
        names,
        replaces: false,
        overdraws: false,
    };
    let install = Action::Install {
        target: target.clone(),
        generation: 1,
        manner: Manner::default(),
    };
    let read_back = Action::ReadBack {
        target: target.clone(),
    };
    [
        (order, "panic"),
        (install, "panic"),
        (read_back, "panic"),
        (Action::Look { target }, "the look panicked"),
    ]
}

#[tokio::test]
async fn a_panic_is_a_failure_of_the_step_of_that_certificate_alone() {
    for nth in 0..4 {
        let (_home, mut dispatcher) = dispatcher().await;
        let [label, other] = labels(&dispatcher);
        let (step, complaint) = steps(&dispatcher.shared.jobs[&label].spec)[nth].clone();
        panic_at(&mut dispatcher, &label, Some(&step)).await;
        let word = step.as_str();
        let said = complaints(&record(&dispatcher, &label).await);
        assert_eq!(said, [complaint], "{word}");
        assert!(dispatcher.paused.is_empty(), "{word}: its ladder holds it");
        assert_eq!(record(&dispatcher, &other).await, Record::default());
        let now = dispatcher.shared.clock.now();
        for label in [&label, &other] {
            let lease = dispatcher.shared.store.claim(label, now).await.unwrap();
            assert!(lease.is_some(), "{word}: {label} is still leased");
        }
    }
}

#[tokio::test]
async fn a_panic_between_two_steps_is_backed_off_by_the_dispatcher() {
    let (_home, mut dispatcher) = dispatcher().await;
    let [label, other] = labels(&dispatcher);
    let mut pauses = Vec::new();
    for _ in 0..3 {
        panic_at(&mut dispatcher, &label, None).await;
        pauses.push(dispatcher.paused[&label].left().as_secs_f64().round());
    }
    assert_eq!(pauses, [5.0, 10.0, 20.0]);
    assert!(!dispatcher.may_start(&label));
    assert!(dispatcher.may_start(&other));
    assert_eq!(record(&dispatcher, &label).await, Record::default());
}

/// What is told to a collector of metrics.
async fn metrics(dispatcher: &Dispatcher, home: &TempDir) -> String {
    let probe = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = probe.local_addr().unwrap();
    drop(probe);
    let database = home.path().join("state.db");
    let served = crate::daemon::listen(Some(address), &database, &dispatcher.shared);
    let served = served.await.unwrap().unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).await.unwrap();
    served.abort();
    text
}

#[tokio::test]
async fn a_panic_is_told_and_counted() {
    let (home, mut dispatcher) = dispatcher().await;
    let [label, _] = labels(&dispatcher);
    let [(order, _), ..] = steps(&dispatcher.shared.jobs[&label].spec);
    panic_at(&mut dispatcher, &label, Some(&order)).await;
    let store = &dispatcher.shared.store;
    let history = store.history(Some(&label), 10).await.unwrap();
    let told: Vec<_> = history.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(told, ["order-failed"]);
    assert!(history[0].message.contains("a step panicked"));
    let counted = "vodcertd_actions_total{action=\"order\",outcome=\"failed\"} 1\n";
    let metrics = metrics(&dispatcher, &home).await;
    assert!(metrics.contains(counted), "{metrics}");
}

/// Does something to the database that no program of ours does.
async fn tamper(home: &TempDir, sql: &str) {
    let options = SqliteConnectOptions::new().filename(home.path().join("state.db"));
    let mut database = options.connect().await.unwrap();
    let done = sqlx::query(AssertSqlSafe(sql.to_owned()))
        .execute(&mut database)
        .await;
    done.unwrap();
    database.close().await.unwrap();
}

fn at_work(dispatcher: &Dispatcher) -> Vec<&Label> {
    let leases = dispatcher.at_work.values();
    leases.map(|lease| lease.label()).collect()
}

#[tokio::test]
async fn a_certificate_that_cannot_be_claimed_does_not_hold_up_the_others() {
    let (home, mut dispatcher) = dispatcher().await;
    let [first, second] = labels(&dispatcher);
    let refuse = format!(
        "CREATE TRIGGER refuse BEFORE UPDATE ON certificates WHEN NEW.name = '{first}'
         BEGIN SELECT RAISE(ABORT, 'refused'); END"
    );
    tamper(&home, &refuse).await;
    // Workers that are told to stop do nothing.
    dispatcher.shared.stop.cancel();
    dispatcher.start_due().await.unwrap();
    assert_eq!(at_work(&dispatcher), [&second]);
    assert!(!dispatcher.may_start(&first), "it is tried without a pause");
}

#[tokio::test]
async fn a_search_that_fails_is_soon_made_again() {
    let (home, mut dispatcher) = dispatcher().await;
    dispatcher.shared.stop.cancel();
    tamper(&home, "ALTER TABLE certificates RENAME TO elsewhere").await;
    assert_eq!(dispatcher.search().await, PAUSE_FIRST);
    assert!(dispatcher.blind);
    assert_eq!(dispatcher.shared.metrics.last_search(), None);

    tamper(&home, "ALTER TABLE elsewhere RENAME TO certificates").await;
    dispatcher.search().await;
    assert!(!dispatcher.blind);
    assert!(dispatcher.shared.metrics.last_search().is_some());
    assert_eq!(at_work(&dispatcher).len(), 2);
}

/// Lets a certificate be claimed, as before a worker is started.
async fn claim(dispatcher: &Dispatcher, label: &Label) -> Option<Arc<Lease>> {
    let shared = &dispatcher.shared;
    let claimed = shared.store.claim(label, shared.clock.now()).await;
    claimed.unwrap().map(Arc::new)
}

#[tokio::test]
async fn a_lease_that_the_store_did_not_take_back_is_given_back_later() {
    let (home, mut dispatcher) = dispatcher().await;
    let [label, _] = labels(&dispatcher);
    let lease = claim(&dispatcher, &label).await.unwrap();
    let busy = StoreError::Busy(sqlx::Error::PoolTimedOut);
    dispatcher.rested(lease, Err(busy));
    assert!(!dispatcher.may_start(&label), "it is tried without a pause");

    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON certificates
                  BEGIN SELECT RAISE(ABORT, 'refused'); END";
    tamper(&home, refuse).await;
    let now = dispatcher.shared.clock.now();
    dispatcher.give_back(now).await;
    assert_eq!(dispatcher.unreturned.len(), 1);

    tamper(&home, "DROP TRIGGER refuse").await;
    dispatcher.shared.stop.cancel();
    dispatcher.start_due().await.unwrap();
    assert!(dispatcher.unreturned.is_empty());
    assert!(claim(&dispatcher, &label).await.is_some());
}

#[tokio::test]
async fn a_certificate_that_found_no_slot_is_started_when_one_is_free() {
    let (_home, mut dispatcher) = dispatcher().await;
    let [label, other] = labels(&dispatcher);
    let shared = Arc::clone(&dispatcher.shared);
    let mut taken: Vec<_> = std::iter::from_fn(|| shared.slot(Slot::Orders)).collect();
    let lease = claim(&dispatcher, &label).await.unwrap();
    shared
        .store
        .release(&lease, shared.clock.now())
        .await
        .unwrap();
    dispatcher.rested(lease, Ok(Rest::NoSlot(Slot::Orders)));
    shared.stop.cancel();
    dispatcher.start_due().await.unwrap();
    assert_eq!(at_work(&dispatcher), [&other]);

    taken.pop();
    dispatcher.start_due().await.unwrap();
    assert_eq!(at_work(&dispatcher).len(), 2);
    assert!(dispatcher.waiting.is_empty());
}

#[tokio::test]
async fn everything_is_due_after_the_clock_was_set_back() {
    let clock = Clock::simulated(Timestamp::from_seconds(1_800_000_000));
    let (_home, mut dispatcher) = dispatcher_by(clock.clone()).await;
    let later = clock.now() + Duration::from_hours(5);
    for label in labels(&dispatcher) {
        let lease = claim(&dispatcher, &label).await.unwrap();
        dispatcher
            .shared
            .store
            .release(&lease, later)
            .await
            .unwrap();
    }
    dispatcher.shared.stop.cancel();
    for (step, started) in [(Duration::ZERO, 0), (STEP / 2, 0), (STEP * 2, 2)] {
        clock.set(clock.now() - step);
        dispatcher.start_due().await.unwrap();
        assert_eq!(at_work(&dispatcher).len(), started, "set back by {step:?}");
    }
}
