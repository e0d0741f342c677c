//! A domain of which the cloud wants to know who owns it.

use std::time::Duration;

use vodcertd::status::TargetState;
use vodcertd_sandbox::gateway::{Disturbance, Fault, Refusal};

use crate::support::{SET, Scene};

const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";
const ASK: &str = "DescribeVodVerifyContent";
const CHECK: &str = "VerifyVodDomainOwner";
const DAY: Duration = Duration::from_hours(24);

fn certificates(line: &str) -> String {
    format!("{ONE}[[certificates.targets]]\n{line}\n")
}

/// A domain of which nobody has proven that he owns it, with this line for its target.
async fn doubted(line: &str) -> Scene {
    let builder = Scene::builder(&["v.example.com"]).certificates(&certificates(line));
    let scene = builder.start().await;
    scene.world.doubt_owner("v.example.com");
    scene
}

fn calls(scene: &Scene, action: &str) -> usize {
    scene.gateway.calls().of(action).len()
}

#[tokio::test]
async fn who_owns_a_domain_is_proven_in_its_zone() {
    let scene = doubted("verify_owner = true").await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!(scene.count("video", "owner-proven").await, 1);
    assert_eq!((calls(&scene, ASK), calls(&scene, CHECK)), (1, 1));
    assert_eq!((calls(&scene, SET), scene.installs()), (2, 1));
    let written = scene.gateway.calls().of("AddDomainRecord");
    assert!(written.iter().any(|call| call.rr() == Some("verification")));
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
    assert_eq!(scene.snapshot("video").await.failure, None);
}

#[tokio::test]
async fn it_is_left_to_a_person_unless_it_is_switched_on() {
    let scene = doubted("").await;
    scene.run_until_at_rest("video").await;
    let snapshot = scene.snapshot("video").await;
    assert_eq!(snapshot.targets[0].state, TargetState::Blocked);
    assert_eq!(snapshot.failure.unwrap().code, "DomainOwnerVerifyFail");
    assert_eq!((calls(&scene, ASK), calls(&scene, CHECK)), (0, 0));
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
}

/// Whatever goes wrong: nothing is left in the zone, it is tried again a day later and not before.
async fn check_failure(action: &str, disturbance: Disturbance) {
    // The zone is written to for the order as well.
    let mut scene = doubted("").await;
    scene.run_until_at_rest("video").await;
    scene.set_certificates(&certificates("verify_owner = true"));
    let fault = Fault::once(disturbance).on(action);
    scene.gateway.faults().push(fault);
    let daemon = scene.run();
    scene.until_told("video", "owner-proof-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!(scene.gateway.faults().waiting(), 0);
    assert_eq!(scene.count("video", "owner-proof-failed").await, 1);
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
    let snapshot = scene.snapshot("video").await;
    assert_eq!(snapshot.targets[0].state, TargetState::Blocked);
    let asked = calls(&scene, ASK);
    scene.let_pass(&["video"], DAY / 2).await;
    scene.run_until_at_rest("video").await;
    assert_eq!(calls(&scene, ASK), asked, "once a day");
    scene.let_pass(&["video"], DAY / 2).await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!((scene.installs(), scene.proofs()), (1, 0));
}

#[tokio::test]
async fn a_question_without_an_answer_is_asked_again_a_day_later() {
    check_failure(ASK, Disturbance::HangUp).await;
}

#[tokio::test]
async fn a_record_that_was_not_written_is_written_a_day_later() {
    check_failure("AddDomainRecord", Disturbance::HangUp).await;
}

#[tokio::test]
async fn a_record_whose_answer_was_lost_is_taken_away() {
    check_failure("AddDomainRecord", Disturbance::PerformThenHangUp).await;
}

#[tokio::test]
async fn a_check_that_did_not_happen_is_repeated_a_day_later() {
    check_failure(CHECK, Disturbance::HangUp).await;
}

#[tokio::test]
async fn a_check_whose_answer_was_lost_is_as_good_a_day_later() {
    check_failure(CHECK, Disturbance::PerformThenHangUp).await;
}

/// It may be about to be checked for minutes, while DNS carries what was published.
#[tokio::test]
async fn what_was_left_off_by_a_stop_is_taken_up_by_the_next_start() {
    let mut scene = doubted("").await;
    scene.run_until_at_rest("video").await;
    scene.set_certificates(&certificates("verify_owner = true"));
    scene.dns.set_delay(DAY);
    let daemon = scene.run();
    scene
        .until("the value is published", async || {
            !scene.world.records("example.com").is_empty()
        })
        .await;
    daemon.stop().await;
    assert_eq!((calls(&scene, ASK), calls(&scene, CHECK)), (1, 0));
    assert_eq!(scene.count("video", "owner-proof-failed").await, 0);

    scene.dns.set_delay(Duration::ZERO);
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!((calls(&scene, ASK), calls(&scene, CHECK)), (2, 1));
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
}

/// The cloud may never be content.
#[tokio::test]
async fn what_is_never_proven_is_tried_once_a_day() {
    let scene = doubted("verify_owner = true").await;
    let refusal = Refusal::new(400, "DomainOwnerVerifyFail", "It failed to be verified.");
    let fault = Fault::always(Disturbance::Refuse(refusal)).on(CHECK);
    scene.gateway.faults().push(fault);
    for days in 1..=3 {
        for _ in 0..3 {
            scene.run_until_at_rest("video").await;
            assert_eq!(calls(&scene, CHECK), days);
            scene.let_pass(&["video"], DAY / 3).await;
        }
    }
    assert_eq!((scene.installs(), scene.proofs()), (0, 0));
    assert_eq!(scene.orders_at_ca(), 1);
}
