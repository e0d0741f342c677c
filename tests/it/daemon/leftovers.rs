//! What is left behind when the configuration or the store changes under work that was under way:
//! nobody misses a proof that is left in a zone, nor a key that is lost, unless it is looked for.

use std::time::Duration;

use vodcertd_sandbox::gateway::{Disturbance, Fault, Refusal};

use crate::support::{SET, Scene};

const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";
const TWO_NAMES: &str =
    "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\", \"w.example.com\"]\n";
const OTHER: &str = "[[certificates]]\nname = \"other\"\nnames = [\"w.example.com\"]\n";

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// An order under way whose proof is published, but not seen.
async fn unproven() -> Scene {
    let scene = unproven_of(ONE).await;
    assert_eq!(scene.proofs(), 1);
    scene
}

async fn unproven_of(certificates: &str) -> Scene {
    let scene = Scene::builder(&["v.example.com", "w.example.com"])
        .certificates(certificates)
        .propagation("1s")
        .start()
        .await;
    scene.dns.set_delay(HOUR);
    let daemon = scene.run();
    scene.until_told("video", "order-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    scene
}

async fn run_until_no_proof_is_left(scene: &Scene) {
    let daemon = scene.run();
    scene
        .until("the proof is taken away", async || scene.proofs() == 0)
        .await;
    let open = "SELECT COUNT(*) FROM journal WHERE closed_at IS NULL";
    scene
        .until("the journal knows", async || scene.number(open).await == 0)
        .await;
    daemon.stop().await;
}

#[tokio::test]
async fn proofs_of_a_certificate_that_left_the_configuration_are_taken_away() {
    let mut scene = unproven().await;
    scene.set_certificates(&format!("{OTHER}issuers = []\n"));
    run_until_no_proof_is_left(&scene).await;
}

#[tokio::test]
async fn proofs_of_a_certificate_that_is_only_watched_now_are_taken_away() {
    let mut scene = unproven().await;
    scene.set_certificates(&format!("{ONE}issuers = []\n"));
    run_until_no_proof_is_left(&scene).await;
    assert_eq!(scene.orders_at_ca(), 1);
}

/// One name server that lags for good must not prevent an order for ever.
#[tokio::test]
async fn a_proof_that_is_not_seen_twice_in_a_row_is_left_to_the_ca() {
    let scene = unproven().await;
    scene.let_pass(&["video"], MINUTE * 2).await;
    let daemon = scene.run();
    scene.until_told("video", "order-failed", 2).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let failures = scene.history("video").await;
    let codes: Vec<_> = failures
        .iter()
        .filter(|entry| entry.kind == "order-failed")
        .map(|entry| entry.details["code"].as_str().unwrap_or_default())
        .collect();
    // The CA sees no more than we do, but it was asked.
    assert_eq!(codes, ["proof-not-seen", "unauthorized"]);
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
}

/// All places are looked for before the first proof is written.
#[tokio::test]
async fn an_order_with_a_name_in_no_zone_leaves_no_proof() {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(
            "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\", \"x.example.net\"]\n\
             targets = [{ domains = [\"v.example.com\"] }]\n",
        )
        .start()
        .await;
    scene.world.add_foreign_zone("example.net");
    let daemon = scene.run();
    scene.until_told("video", "order-failed", 1).await;
    daemon.stop().await;
    assert_eq!(failure_of_order(&scene).await.0, "no-zone");
    let published = scene.gateway.calls().of("AddDomainRecord").len();
    assert_eq!((scene.orders_at_ca(), published), (1, 0));
}

#[tokio::test]
async fn proofs_are_waited_for_side_by_side() {
    let scene = unproven_of(TWO_NAMES).await;
    assert_eq!(scene.proofs(), 2);
    let (code, message) = failure_of_order(&scene).await;
    assert_eq!(code, "proof-not-seen");
    let others = "; the like at 1 more";
    assert!(message.ends_with(others), "{message}");
}

/// The code and the message of the last failure.
async fn failure_of_order(scene: &Scene) -> (String, String) {
    let trouble = scene.record("video").await.unwrap().orders.trouble;
    let failure = trouble.unwrap().failure;
    (failure.code, failure.message)
}

/// What was issued is served before anything is taken away, and a cloud that fails is asked once.
#[tokio::test]
async fn proofs_that_cannot_be_taken_away_hold_up_nothing() {
    const DELETE: &str = "DeleteDomainRecord";
    let scene = Scene::builder(&["v.example.com", "w.example.com"])
        .certificates(TWO_NAMES)
        .start()
        .await;
    let refusal = Refusal::new(500, "InternalError", "The request processing has failed.");
    let fault = Fault::always(Disturbance::Refuse(refusal)).on(DELETE);
    scene.gateway.faults().push(fault);
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let (installs, deletions) = (
        scene.gateway.calls().of(SET),
        scene.gateway.calls().of(DELETE),
    );
    assert_eq!((installs.len(), deletions.len(), scene.proofs()), (2, 1, 2));
    assert!(installs.iter().all(|install| install.at < deletions[0].at));

    scene.gateway.faults().clear();
    scene.let_pass(&["video"], MINUTE).await;
    run_until_no_proof_is_left(&scene).await;
    assert_eq!(scene.orders_at_ca(), 1);
}

/// The edge lags, so that there is something to do every few seconds while the deletion hangs.
#[tokio::test]
async fn a_deletion_that_hangs_does_not_hold_up_a_look() {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .start()
        .await;
    scene.edge.production().set_delay(MINUTE / 12);
    let fault = Fault::always(Disturbance::Delay(HOUR)).on("DeleteDomainRecord");
    scene.gateway.faults().push(fault);
    let daemon = scene.run();
    scene.until_told("video", "installed", 1).await;
    let installed = tokio::time::Instant::now();
    scene.until_seen("video", 1).await;
    // The call by itself is given up after half a minute.
    assert!(installed.elapsed() < MINUTE / 3);
    daemon.stop().await;
}

/// The pair is stored, but the cloud does not take it before its key is lost.
#[tokio::test]
async fn a_generation_whose_key_is_lost_is_replaced_by_the_next_one() {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .start()
        .await;
    let refusal = Refusal::new(
        400,
        "Throttling.User",
        "Request was denied due to user flow control.",
    );
    let fault = Fault::always(Disturbance::Refuse(refusal)).on(SET);
    scene.gateway.faults().push(fault);
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;

    scene.gateway.faults().clear();
    scene
        .execute("UPDATE generations SET key_sealed = X'00'".to_owned())
        .await;
    scene.let_pass(&["video"], HOUR * 2).await;
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 2).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    scene.let_pass(&["video"], MINUTE * 2).await;
    let daemon = scene.run();
    scene.until_seen("video", 2).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!((scene.orders_at_ca(), scene.installs()), (2, 1));
    let failures = scene.history("video").await;
    let lost = failures
        .iter()
        .filter(|entry| entry.details["code"] == "generation-lost");
    assert_eq!(lost.count(), 1);
}
