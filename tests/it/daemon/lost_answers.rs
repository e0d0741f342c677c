//! Calls of the cloud whose answer is lost, both ways: what was asked happened, or it did not. Nobody
//! can tell the two apart, and nothing may come of it: one order, the certificate is seen, nothing is
//! left behind.

use std::time::Duration;

use vodcertd::status::TargetState;
use vodcertd_sandbox::gateway::{Disturbance, Fault, RawAnswer, Refusal, Reupload, Settings};
use vodcertd_sandbox::world::Env;

use crate::support::{READ, SET, Scene};

const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";
const ADD: &str = "AddDomainRecord";
const DELETE: &str = "DeleteDomainRecord";

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

async fn scene() -> Scene {
    Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .start()
        .await
}

fn disturb(scene: &Scene, action: &str, disturbance: Disturbance) {
    scene
        .gateway
        .faults()
        .push(Fault::once(disturbance).on(action));
}

/// The certificate is served, and it took what it takes.
async fn check_outcome(scene: &Scene) {
    let snapshot = scene.snapshot("video").await;
    assert_eq!(
        snapshot.targets[0].state,
        TargetState::Seen,
        "{snapshot:#?}"
    );
    assert_eq!(snapshot.failure, None);
    assert_eq!(scene.gateway.faults().waiting(), 0, "nothing was disturbed");
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
    scene.gateway.calls().assert_no_key_in_url();
}

/// Disturbs the first install; at least a read-back later all is well.
async fn check_install(disturbance: Disturbance, performed: usize) {
    let scene = scene().await;
    disturb(&scene, SET, disturbance);
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    // A moment, so that the other side may settle; then it is asked before anything is repeated.
    let rest = scene.rests_for("video").await;
    assert!(rest > SECOND && rest <= SECOND * 7, "{rest:?}");
    scene.let_pass(&["video"], SECOND * 7).await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    check_outcome(&scene).await;
    assert_eq!(scene.installs(), performed);
}

#[tokio::test]
async fn an_install_that_happened_is_not_repeated() {
    check_install(Disturbance::PerformThenHangUp, 1).await;
}

#[tokio::test]
async fn an_install_that_did_not_happen_is_repeated() {
    check_install(Disturbance::HangUp, 1).await;
}

#[tokio::test]
async fn an_install_whose_answer_was_replaced_by_a_proxy_is_asked_about() {
    check_install(Disturbance::bad_gateway(), 1).await;
}

#[tokio::test]
async fn an_install_that_happened_and_whose_answer_was_replaced_is_not_repeated() {
    let page = Disturbance::PerformThenRaw(RawAnswer::page(502));
    check_install(page, 1).await;
}

#[tokio::test]
async fn every_install_whose_answer_is_lost_is_asked_about() {
    let scene = scene().await;
    let fault = Fault::times(2, Disturbance::HangUp).on(SET);
    scene.gateway.faults().push(fault);
    for failures in 1..=2 {
        let daemon = scene.run();
        scene.until_told("video", "install-failed", failures).await;
        scene.until_at_rest("video").await;
        daemon.stop().await;
        scene.let_pass(&["video"], MINUTE).await;
    }
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    daemon.stop().await;
    check_outcome(&scene).await;
    let calls = scene.gateway.calls().all();
    let calls = calls.iter().map(|call| call.action.as_str());
    let calls: Vec<&str> = calls.filter(|call| [READ, SET].contains(call)).collect();
    assert_eq!(calls, [READ, SET, READ, SET, READ, SET]);
}

/// Nobody looks, so that only the cloud tells: by the leaf, for the name is somebody's own.
#[tokio::test]
async fn our_leaf_under_another_name_was_a_success() {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .look("enabled = false")
        .start()
        .await;
    disturb(&scene, SET, Disturbance::PerformThenHangUp);
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let installed = scene.world.installed("v.example.com", Env::Production);
    let pair = installed.unwrap().certificate.pair.clone();
    scene
        .world
        .install_foreign("v.example.com", "by-hand", pair);
    scene.let_pass(&["video"], MINUTE).await;
    scene.run_until_at_rest("video").await;
    check_outcome(&scene).await;
    assert_eq!(scene.installs(), 1);
}

#[tokio::test]
async fn an_install_that_happened_but_was_reported_as_failed_is_asked_about() {
    let refusal = Refusal::new(
        500,
        "CreateCertificateFailed",
        "Failed to create the certificate.",
    );
    check_install(Disturbance::PerformThenRefuse(refusal), 1).await;
}

/// The cloud stored the certificate and refuses to take the same again: it is bound by its id.
#[tokio::test]
async fn an_upload_that_is_refused_as_known_is_bound_by_its_id() {
    let scene = scene().await;
    scene.gateway.set(Settings {
        reupload: Reupload::RefuseAsDuplicate,
        ..Settings::default()
    });
    // What happened is undone by somebody before it is looked at.
    disturb(&scene, SET, Disturbance::PerformThenHangUp);
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let forged = vodcertd_sandbox::forge::issue(
        &["v.example.com"],
        vodcertd_sandbox::forge::KeyKind::P256,
        vodcertd_sandbox::forge::valid_now(),
    );
    scene
        .world
        .install_foreign("v.example.com", "by-hand", forged.pair());
    scene.let_pass(&["video"], MINUTE).await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    check_outcome(&scene).await;
    let calls = scene.gateway.calls().of(SET);
    let types: Vec<_> = calls
        .iter()
        .map(|call| call.parameter("CertType").unwrap_or_default())
        .collect();
    assert_eq!(types, ["upload", "cas"]);
}

/// Disturbs the publication of the proof; the order is taken up again.
async fn check_publication(disturbance: Disturbance) {
    let scene = scene().await;
    disturb(&scene, ADD, disturbance);
    let daemon = scene.run();
    scene.until_told("video", "order-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let rest = scene.rests_for("video").await;
    assert!(rest > SECOND * 50 && rest <= SECOND * 66, "{rest:?}");
    scene.let_pass(&["video"], SECOND * 67).await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    check_outcome(&scene).await;
    assert_eq!(scene.gateway.calls().performed(ADD), 1);
}

#[tokio::test]
async fn a_proof_that_was_published_is_adopted() {
    check_publication(Disturbance::PerformThenHangUp).await;
}

#[tokio::test]
async fn a_proof_that_was_not_published_is_published() {
    check_publication(Disturbance::HangUp).await;
}

/// Disturbs the withdrawal of the proof; it is tried again before the certificate rests for long.
async fn check_withdrawal(disturbance: Disturbance) {
    let scene = scene().await;
    disturb(&scene, DELETE, disturbance);
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    if scene.proofs() > 0 {
        let rest = scene.rests_for("video").await;
        assert!(rest <= MINUTE * 10, "{rest:?}");
    }
    scene.let_pass(&["video"], MINUTE * 10).await;
    scene.run_until_at_rest("video").await;
    check_outcome(&scene).await;
    assert_eq!(scene.gateway.calls().performed(DELETE), 1);
    assert_eq!(scene.installs(), 1);
}

#[tokio::test]
async fn a_proof_that_was_withdrawn_is_not_missed() {
    check_withdrawal(Disturbance::PerformThenHangUp).await;
}

#[tokio::test]
async fn a_proof_that_was_not_withdrawn_is_withdrawn_later() {
    check_withdrawal(Disturbance::HangUp).await;
}
