//! The CA fails, or what it looks at: it cannot be reached, forgets us, refuses a name, sees no proof.

use std::time::Duration;

use vodcertd::status::Snapshot;
use vodcertd_sandbox::dns::Failure;

use crate::support::Scene;

const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Runs the daemon until an order has failed so many times.
async fn run_until_order_failed(scene: &Scene, times: usize) {
    let daemon = scene.run();
    scene.until_told("video", "order-failed", times).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
}

async fn run_until_seen(scene: &Scene, generation: u32) {
    let daemon = scene.run();
    scene.until_seen("video", generation).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!(scene.snapshot("video").await.failure, None);
    assert_eq!(scene.proofs(), 0);
}

/// Checks that the next attempt is stored to be about so much later, and shown.
async fn check_next_attempt(scene: &Scene, pause: Duration) {
    let rest = scene.rests_for("video").await;
    assert!(
        rest > pause.mul_f64(0.8) && rest < pause.mul_f64(1.11),
        "{rest:?}"
    );
    let retry_at = scene.snapshot("video").await.failure.unwrap().retry_at;
    assert_eq!(retry_at, Some(scene.stored("video").await.unwrap().due_at));
}

fn code(snapshot: &Snapshot) -> &str {
    &snapshot.failure.as_ref().unwrap().code
}

#[tokio::test]
async fn a_ca_that_cannot_be_reached_is_tried_on_the_ladder() {
    let mut scene = Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .start()
        .await;
    scene.pebble.stop().await.unwrap();
    run_until_order_failed(&scene, 1).await;
    check_next_attempt(&scene, MINUTE).await;
    let snapshot = scene.snapshot("video").await;
    assert_eq!(snapshot.failure.as_ref().unwrap().class, "backoff");
    assert_eq!(code(&snapshot), "unreachable");

    // The rung survives a restart, and the next one is higher.
    let before = scene.rests_for("video").await;
    scene.let_pass(&["video"], SECOND * 10).await;
    scene.run_until_at_rest("video").await;
    let rest = scene.rests_for("video").await;
    assert!(rest + SECOND * 10 <= before, "{before:?} {rest:?}");
    assert!(rest + SECOND * 20 > before, "{before:?} {rest:?}");
    assert_eq!(scene.count("video", "order-failed").await, 1);
    scene.let_pass(&["video"], MINUTE).await;
    run_until_order_failed(&scene, 2).await;
    check_next_attempt(&scene, MINUTE * 10).await;

    scene.pebble.restart().await.unwrap();
    scene.let_pass(&["video"], MINUTE * 11).await;
    run_until_seen(&scene, 1).await;
    // What the CA never took does not count for the brake.
    assert_eq!(
        scene.record("video").await.unwrap().orders.accepted.len(),
        1
    );
    assert_eq!(scene.orders_at_ca(), 1);
}

#[tokio::test]
async fn an_account_that_the_ca_forgot_is_made_anew() {
    let mut scene = Scene::builder(&["v.example.com"])
        .certificates(&format!("{ONE}renew = {{ at = \"1/3\" }}\n"))
        .pebble(|pebble| pebble.validity(SECOND * 18))
        .start()
        .await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.pebble.restart().await.unwrap();
    scene.until_seen("video", 2).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!((scene.accounts_at_ca(), scene.orders_at_ca()), (2, 2));
    assert_eq!(scene.proofs(), 0);
}

#[tokio::test]
async fn an_order_that_the_ca_forgot_with_the_account_is_placed_anew() {
    let mut scene = Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .start()
        .await;
    scene.dns.set_delay(HOUR);
    let daemon = scene.run();
    scene
        .until("a proof is published", async || scene.proofs() == 1)
        .await;
    daemon.stop().await;
    scene.dns.set_delay(Duration::ZERO);
    scene.pebble.restart().await.unwrap();
    run_until_seen(&scene, 1).await;
    assert_eq!((scene.accounts_at_ca(), scene.orders_at_ca()), (2, 2));
}

#[tokio::test]
async fn a_proof_that_is_not_seen_is_waited_for_with_the_same_order() {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .propagation("1s")
        .start()
        .await;
    scene.dns.set_delay(HOUR);
    run_until_order_failed(&scene, 1).await;
    assert_eq!(code(&scene.snapshot("video").await), "proof-not-seen");
    check_next_attempt(&scene, MINUTE).await;
    assert_eq!(scene.proofs(), 1, "it may be seen by then");

    scene.dns.set_delay(Duration::ZERO);
    scene.let_pass(&["video"], MINUTE * 2).await;
    run_until_seen(&scene, 1).await;
    assert_eq!(scene.orders_at_ca(), 1);
}

#[tokio::test]
async fn a_proof_that_the_ca_does_not_see_costs_the_order_and_is_taken_away() {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .propagation("0s")
        .start()
        .await;
    scene.dns.set_delay(HOUR);
    run_until_order_failed(&scene, 1).await;
    check_next_attempt(&scene, MINUTE).await;
    assert_eq!(code(&scene.snapshot("video").await), "unauthorized");
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
    assert!(scene.record("video").await.unwrap().orders.open.is_none());

    scene.dns.set_delay(Duration::ZERO);
    scene.let_pass(&["video"], MINUTE * 2).await;
    run_until_seen(&scene, 1).await;
    assert_eq!(scene.orders_at_ca(), 2);
}

#[tokio::test]
async fn name_servers_that_fail_are_no_reason_to_place_another_order() {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .propagation("1s")
        .start()
        .await;
    scene
        .dns
        .fail("_acme-challenge.v.example.com", Failure::ServFail);
    run_until_order_failed(&scene, 1).await;
    check_next_attempt(&scene, MINUTE).await;

    scene.dns.heal("_acme-challenge.v.example.com");
    scene.let_pass(&["video"], MINUTE * 2).await;
    run_until_seen(&scene, 1).await;
    assert_eq!(scene.orders_at_ca(), 1);
}

#[tokio::test]
async fn a_name_that_the_ca_refuses_waits_for_a_person() {
    let both = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\", \"bad.example.com\"]\n\
                [[certificates.targets]]\ndomains = [\"v.example.com\"]\n\
                [[certificates]]\nname = \"other\"\nnames = [\"w.example.com\"]\n";
    let mut scene = Scene::builder(&["v.example.com", "w.example.com"])
        .certificates(both)
        .pebble(|pebble| pebble.blocked_name("bad.example.com"))
        .start()
        .await;
    let daemon = scene.run();
    scene.until_seen("other", 1).await;
    scene.until_told("video", "order-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let snapshot = scene.snapshot("video").await;
    assert_eq!(code(&snapshot), "rejectedIdentifier");
    let message = &snapshot.failure.as_ref().unwrap().message;
    assert!(message.contains("bad.example.com"), "{message}");
    assert!(
        snapshot
            .alerts
            .iter()
            .any(|alert| alert.code == "rejectedIdentifier")
    );
    assert!(scene.rests_for("video").await > HOUR * 5);
    let orders = scene.record("video").await.unwrap().orders;
    assert_eq!((orders.accepted.len(), orders.open), (0, None));

    scene.set_certificates(&both.replace(", \"bad.example.com\"", ""));
    run_until_seen(&scene, 1).await;
    assert_eq!(scene.orders_at_ca(), 2);
}
