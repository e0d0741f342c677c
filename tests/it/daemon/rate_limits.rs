//! Rate limits of the cloud, met by the binary: whatever names the time, it holds for all calls of the
//! action, over a kill, and `status` tells it.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimePrinter;
use vodcertd::clock::Clock;
use vodcertd::retry::Scope;
use vodcertd::store::DeadlineRow;
use vodcertd::time::Timestamp;
use vodcertd_sandbox::gateway::{Disturbance, Fault, RawAnswer, Refusal};

use crate::support::{SET, Scene};

const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// How long the other side wants to be left alone.
const NAMED: Duration = Duration::from_mins(20);

async fn scene() -> Scene {
    let builder = Scene::builder(&["v.example.com"]).certificates(ONE);
    builder.start().await
}

/// What is stored about the action.
async fn deadline(scene: &Scene) -> DeadlineRow {
    let scope = Scope::CloudAction {
        cloud: "default".to_owned(),
        action: SET.to_owned(),
    };
    let store = scene.read_store().await.unwrap();
    let mut deadlines = store.deadlines().await.unwrap();
    store.close().await;
    deadlines.remove(&scope.key().unwrap()).unwrap()
}

/// Lets the next install be throttled, and kills the daemon when that is stored.
async fn throttle_and_kill(scene: &Scene, throttle: Disturbance) {
    let fault = Fault::once(throttle).on(SET);
    scene.gateway.faults().push(fault);
    let failures = scene.count("video", "install-failed").await;
    let daemon = scene.spawn();
    let told = scene.until_told("video", "install-failed", failures + 1);
    told.await;
    daemon.kill().await;
}

/// Starts the daemon again, and kills it once it has decided anew.
async fn decide_anew_and_kill(scene: &Scene) {
    let due = "UPDATE certificates SET due_at = 0";
    scene.execute(due.to_owned()).await;
    let daemon = scene.spawn();
    scene.until_at_rest("video").await;
    daemon.kill().await;
}

/// A date that is so far ahead, as HTTP writes it, and so that no second is lost.
fn date_after(time: Duration) -> String {
    let moment = jiff::Timestamp::now() + time + SECOND;
    let printer = DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&moment).unwrap()
}

/// Every way to name a time, each under another status.
fn throttles() -> Vec<(&'static str, Disturbance)> {
    let millis = NAMED.as_millis();
    let time_left = format!("Limit:30,Remain:0,TimeLeft:{millis},Reset:0");
    let refuse = |status, code, header: &str, value: &str| {
        let refusal = Refusal::new(status, code, "Request was denied.");
        Disturbance::Refuse(refusal.with_header(header, value))
    };
    let seconds = NAMED.as_secs().to_string();
    vec![
        (
            "milliseconds",
            refuse(
                400,
                "Throttling.User",
                "x-acs-retry-after",
                &millis.to_string(),
            ),
        ),
        (
            "what is left for the API",
            refuse(429, "Throttling.Api", "x-ratelimit-user-api", &time_left),
        ),
        (
            "what is left for the user",
            refuse(400, "Throttling.New", "x-ratelimit-user", &time_left),
        ),
        (
            "seconds",
            refuse(503, "Throttling", "retry-after", &seconds),
        ),
        (
            "a date",
            refuse(503, "ServiceUnavailable", "retry-after", &date_after(NAMED)),
        ),
        (
            "seconds on a page",
            Disturbance::Raw(RawAnswer::page(429).with_header("retry-after", &seconds)),
        ),
    ]
}

#[tokio::test]
async fn a_named_time_holds_the_action_over_a_kill_and_status_tells_it() {
    let scene = scene().await;
    for (calls, (name, throttle)) in (1..).zip(throttles()) {
        throttle_and_kill(&scene, throttle).await;
        let until = deadline(&scene).await.deadline.until;
        let left = until.since(Clock::System.now());
        let expected = MINUTE * 19..=NAMED + SECOND * 2;
        assert!(expected.contains(&left), "{name}: {left:?}");

        decide_anew_and_kill(&scene).await;
        assert_eq!(scene.gateway.calls().of(SET).len(), calls, "{name}");
        assert_eq!(deadline(&scene).await.deadline.until, until, "{name}");
        let due_at = scene.stored("video").await.unwrap().due_at;
        assert!(due_at >= until, "{name}");
        let status = scene.status("video").await;
        let retry_at = status["failure"]["retry_at"].as_str().unwrap();
        let retry_at: Timestamp = retry_at.parse().unwrap();
        // On a late rung the edge is looked at before that.
        assert!(retry_at >= due_at, "{name}: {retry_at}");
        assert!(calls > 4 || retry_at == due_at, "{name}: {retry_at}");

        // Longer than the ladder of so many failures.
        scene.let_pass(&["video"], HOUR * 8).await;
    }
    let daemon = scene.spawn();
    scene.until_seen("video", 1).await;
    assert!(daemon.terminate().await);
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 1));
}

/// Nothing is made younger here: it is the named time itself that is waited for.
#[tokio::test]
async fn a_time_that_passes_is_not_undercut_by_a_restart() {
    let scene = scene().await;
    let named = SECOND * 8;
    let throttle = Refusal::throttled().with_acs_retry_after(named);
    throttle_and_kill(&scene, Disturbance::Refuse(throttle)).await;
    let daemon = scene.spawn();
    scene.until_seen("video", 1).await;
    assert!(daemon.terminate().await);
    let calls = scene.gateway.calls().of(SET);
    assert_eq!(calls.len(), 2);
    let apart = calls[1].at.duration_since(calls[0].at);
    assert!(apart.unsigned_abs() >= named, "{apart:?}");
}

#[tokio::test]
async fn a_time_beyond_an_hour_is_cut_to_one_and_somebody_is_told() {
    let scene = scene().await;
    let throttle = Refusal::throttled().with_retry_after(HOUR * 30);
    throttle_and_kill(&scene, Disturbance::Refuse(throttle)).await;
    decide_anew_and_kill(&scene).await;
    let until: Timestamp = deadline(&scene).await.deadline.until;
    let left = until.since(Clock::System.now());
    assert!(left > MINUTE * 59 && left <= HOUR, "{left:?}");
    let status = scene.status("video").await;
    assert_eq!(status["alerts"][0]["code"], "Throttling.User");

    // One call tries then; should it be told the same, that holds again.
    scene.let_pass(&["video"], HOUR).await;
    let throttle = Refusal::throttled().with_retry_after(HOUR * 30);
    throttle_and_kill(&scene, Disturbance::Refuse(throttle)).await;
    decide_anew_and_kill(&scene).await;
    assert_eq!(scene.gateway.calls().of(SET).len(), 2);
}
