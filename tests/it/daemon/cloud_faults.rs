//! The cloud and its edge fail: late, never, by refusal. Nothing loops hot, no order is spent on it,
//! and who asks is told.

use std::collections::BTreeMap;
use std::time::Duration;

use vodcertd::clock::Clock;
use vodcertd::renewal::TargetRecord;
use vodcertd::retry::Scope;
use vodcertd::status::{Snapshot, TargetState};
use vodcertd::store::DeadlineRow;
use vodcertd::time::Timestamp;
use vodcertd_sandbox::edge::Breakage;
use vodcertd_sandbox::gateway::{Disturbance, Fault, RawAnswer, Refusal};
use vodcertd_sandbox::world::RecordKind;

use crate::support::{READ, SET, Scene, target};

const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";
const TWO: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n\
                   [[certificates]]\nname = \"other\"\nnames = [\"w.example.com\"]\n";
const THREE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n\
                     [[certificates]]\nname = \"other\"\nnames = [\"w.example.com\"]\n\
                     [[certificates]]\nname = \"third\"\nnames = [\"x.example.com\"]\n";

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

async fn one() -> Scene {
    Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .look("deadline = \"2s\"")
        .start()
        .await
}

fn refuse(scene: &Scene, refusal: Refusal) {
    let fault = Fault::always(Disturbance::Refuse(refusal)).on(SET);
    scene.gateway.faults().push(fault);
}

async fn of_target(scene: &Scene) -> TargetRecord {
    let record = scene.record("video").await.unwrap();
    record.targets[&target("v.example.com")].clone()
}

fn warns_of(snapshot: &Snapshot, code: &str) -> bool {
    snapshot.alerts.iter().any(|alert| alert.code == code)
}

// --- the edge ---

#[tokio::test]
async fn an_edge_that_lags_is_waited_for() {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .start()
        .await;
    scene.edge.production().set_delay(SECOND * 2);
    let daemon = scene.run();
    scene.until_told("video", "not-seen", 1).await;
    scene.until_at_rest("video").await;
    assert_eq!(
        scene.snapshot("video").await.targets[0].state,
        TargetState::Proving
    );
    assert!(scene.rests_for("video").await <= SECOND * 5);
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 1));
}

#[tokio::test]
async fn an_edge_that_never_changes_is_installed_to_once_more_and_watched_slowly() {
    let scene = one().await;
    scene.edge.production().freeze("v.example.com");
    let daemon = scene.run();
    scene.until_told("video", "installed", 2).await;
    scene
        .until("the edge is given up", async || {
            scene.rests_for("video").await > MINUTE * 30
        })
        .await;
    let snapshot = scene.snapshot("video").await;
    assert_eq!(snapshot.targets[0].state, TargetState::Unproven);
    assert!(warns_of(&snapshot, "not-seen"));
    daemon.stop().await;
    let calls = scene.gateway.calls().all().len();
    let looks = scene.edge.production().handshakes("v.example.com");
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 2));
    assert!(looks <= 7, "{looks} looks");

    // Hours later only the free look is repeated; once the edge changes all is well.
    scene.let_pass(&["video"], HOUR * 2).await;
    scene.run_until_at_rest("video").await;
    assert!(scene.rests_for("video").await > MINUTE * 30);
    assert_eq!(scene.gateway.calls().all().len(), calls);
    scene.edge.production().thaw("v.example.com");
    scene.let_pass(&["video"], HOUR * 2).await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let snapshot = scene.snapshot("video").await;
    assert_eq!(snapshot.targets[0].state, TargetState::Seen);
    assert!(!warns_of(&snapshot, "not-seen"));
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 2));
}

/// Nothing tells that the repeated install was one, but the API shows what it was to bring about.
#[tokio::test]
async fn an_edge_that_never_changes_is_given_up_also_if_no_install_is_answered() {
    let scene = one().await;
    scene.edge.production().freeze("v.example.com");
    let fault = Fault::always(Disturbance::PerformThenHangUp).on(SET);
    scene.gateway.faults().push(fault);
    let daemon = scene.run();
    scene
        .until("the edge is given up", async || {
            scene.record("video").await.is_some() && scene.rests_for("video").await > MINUTE * 30
        })
        .await;
    daemon.stop().await;
    let snapshot = scene.snapshot("video").await;
    assert_eq!(snapshot.targets[0].state, TargetState::Unproven);
    assert!(warns_of(&snapshot, "not-seen"));
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 2));
}

#[tokio::test]
async fn an_edge_that_serves_it_wrongly_proves_nothing_until_it_is_mended() {
    for (breakage, said) in [
        (Breakage::WrongChain, "with another chain than stored"),
        (Breakage::HandshakeFailure, "refused with the alert"),
    ] {
        let scene = Scene::builder(&["v.example.com"])
            .certificates(ONE)
            .start()
            .await;
        let nodes = scene.edge.production();
        nodes.break_domain("v.example.com", breakage);
        let daemon = scene.run();
        scene.until_told("video", "installed", 1).await;
        scene
            .until("it was looked at", async || {
                let proving = of_target(&scene).await.proving;
                proving.is_some_and(|proving| proving.looks > 0)
            })
            .await;
        let known = of_target(&scene).await;
        assert_eq!(known.seen, None, "{breakage:?}");
        let complaint = known.look_failure.unwrap();
        assert!(complaint.contains(said), "{complaint}");
        let state = scene.snapshot("video").await.targets[0].state;
        assert_eq!(state, TargetState::Proving, "{breakage:?}");

        nodes.mend("v.example.com");
        scene.until_seen("video", 1).await;
        daemon.stop().await;
        assert_eq!(of_target(&scene).await.look_failure, None);
        assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 1));
    }
}

/// Nobody answers at these addresses (the edge of the tests has another port): what counts is where is
/// looked.
#[tokio::test]
async fn an_edge_is_looked_at_where_the_name_leads_and_led_during_the_attempt() {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(&format!(
            "{ONE}[[certificates.targets]]\nlook = {{ addresses = [] }}\n"
        ))
        .start()
        .await;
    let lead_to = |address| {
        let world = &scene.world;
        world.remove_records("example.com", "v");
        world.add_record("example.com", "v", RecordKind::A, address);
    };
    let until_looked_at = async |expected: &[&str]| {
        let what = format!("{expected:?} looked at");
        let looked_at = async || {
            let proving = of_target(&scene).await.proving;
            let addresses = proving.map(|proving| proving.addresses).unwrap_or_default();
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            addresses == expected
        };
        scene.until(&what, looked_at).await;
    };
    lead_to("127.0.0.1");
    let daemon = scene.run();
    scene.until_told("video", "installed", 1).await;
    until_looked_at(&["127.0.0.1:443"]).await;
    lead_to("127.0.0.2");
    until_looked_at(&["127.0.0.1:443", "127.0.0.2:443"]).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    for pause in [MINUTE * 2, HOUR * 2] {
        scene.let_pass(&["video"], pause).await;
        scene.run_until_at_rest("video").await;
    }
    until_looked_at(&["127.0.0.2:443"]).await;
}

// --- rate limits ---

/// When the cloud, which named a time, may be given anything again.
async fn installs_open_at(scene: &Scene) -> Timestamp {
    let scope = Scope::CloudAction {
        cloud: "default".to_owned(),
        action: SET.to_owned(),
    };
    deadlines(scene).await[&scope.key().unwrap()].deadline.until
}

async fn deadlines(scene: &Scene) -> BTreeMap<String, DeadlineRow> {
    let store = scene.read_store().await.unwrap();
    let deadlines = store.deadlines().await.unwrap();
    store.close().await;
    deadlines
}

/// A proxy, or the gateway itself, says so without a code.
#[tokio::test]
async fn a_page_that_names_a_time_holds_the_action_until_then() {
    for status in [429, 503] {
        let scene = one().await;
        let page = RawAnswer::page(status).with_header("retry-after", "1200");
        let fault = Fault::once(Disturbance::Raw(page)).on(SET);
        scene.gateway.faults().push(fault);
        let daemon = scene.run();
        scene.until_told("video", "install-failed", 1).await;
        scene.until_at_rest("video").await;
        daemon.stop().await;
        let until = installs_open_at(&scene).await;
        let left = until.since(Clock::System.now());
        assert!(left > MINUTE * 19 && left <= MINUTE * 20, "{left:?}");
        assert_eq!(scene.stored("video").await.unwrap().due_at, until);
        let failure = scene.snapshot("video").await.failure.unwrap();
        assert_eq!(failure.code, format!("http-{status}"));

        scene.let_pass(&["video"], MINUTE * 20).await;
        let daemon = scene.run();
        scene.until_seen("video", 1).await;
        daemon.stop().await;
        assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 1));
    }
}

#[tokio::test]
async fn a_throttled_install_waits_for_the_named_time_over_a_restart_and_for_all() {
    let mut scene = Scene::builder(&["v.example.com", "w.example.com"])
        .certificates(ONE)
        .start()
        .await;
    let pause = MINUTE * 20;
    refuse(&scene, Refusal::throttled().with_acs_retry_after(pause));
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let until = installs_open_at(&scene).await;
    let left = until.since(Clock::System.now());
    assert!(left > MINUTE * 19 && left <= pause, "{left:?}");
    assert_eq!(scene.stored("video").await.unwrap().due_at, until);
    let snapshot = scene.snapshot("video").await;
    let failure = snapshot.failure.unwrap();
    assert_eq!(failure.code, "Throttling.User");
    assert_eq!(failure.retry_at, Some(until));

    // Another certificate of the same cloud is ordered meanwhile, but not installed.
    scene.gateway.faults().clear();
    scene.set_certificates(TWO);
    let daemon = scene.run();
    scene.until_told("other", "issued", 1).await;
    scene.until_at_rest("other").await;
    daemon.stop().await;
    assert_eq!(scene.stored("video").await.unwrap().due_at, until);
    assert_eq!(scene.stored("other").await.unwrap().due_at, until);
    assert_eq!(scene.gateway.calls().of(SET).len(), 1);

    scene.let_pass(&["video", "other"], pause).await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_seen("other", 1).await;
    scene.until_at_rest("other").await;
    daemon.stop().await;
    assert_eq!((scene.orders_at_ca(), scene.installs()), (2, 2));
}

/// Of all the calls that prove control of a name any may be the one that is throttled.
#[tokio::test]
async fn a_throttled_list_of_zones_holds_the_order_until_the_named_time() {
    let scene = one().await;
    let refusal = Refusal::throttled().with_acs_retry_after(MINUTE * 20);
    let fault = Fault::once(Disturbance::Refuse(refusal)).on("DescribeDomains");
    scene.gateway.faults().push(fault);
    let daemon = scene.run();
    scene.until_told("video", "order-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let rest = scene.rests_for("video").await;
    assert!(rest > MINUTE * 19 && rest <= MINUTE * 20, "{rest:?}");

    scene.let_pass(&["video"], MINUTE * 20).await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
}

#[tokio::test]
async fn a_throttled_withdrawal_of_a_proof_waits_for_the_named_time() {
    let scene = one().await;
    let refusal = Refusal::throttled().with_acs_retry_after(MINUTE * 20);
    let fault = Fault::once(Disturbance::Refuse(refusal)).on("DeleteDomainRecord");
    scene.gateway.faults().push(fault);
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    for pause in [MINUTE * 5, MINUTE * 10] {
        scene.let_pass(&["video"], pause).await;
        scene.run_until_at_rest("video").await;
        assert_eq!(scene.gateway.calls().of("DeleteDomainRecord").len(), 1);
    }
    scene.let_pass(&["video"], MINUTE * 10).await;
    scene.run_until_at_rest("video").await;
    assert_eq!(scene.proofs(), 0);
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 1));
}

// --- refusals ---

/// A policy that allows to install but not to read: the edge itself tells enough.
#[tokio::test]
async fn without_the_right_to_read_back_it_is_installed_and_seen() {
    let scene = one().await;
    let refusal = Refusal::new(403, "Forbidden.RAM", "User not authorized to operate.");
    for action in [
        READ,
        "DescribeVodDomainDetail",
        "DescribeVodSSLCertificateList",
    ] {
        let fault = Fault::always(Disturbance::Refuse(refusal.clone())).on(action);
        scene.gateway.faults().push(fault);
    }
    let lost = Fault::once(Disturbance::HangUp).on(SET);
    scene.gateway.faults().push(lost);
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!(scene.snapshot("video").await.failure, None);
    assert!(scene.rests_for("video").await > HOUR);
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 1));
    let calls = scene.gateway.calls().all().len();
    assert!(calls <= 12, "{calls} calls");
}

/// What may not be asked about one target closes nothing for the others.
#[tokio::test]
async fn targets_that_may_not_be_read_do_not_wait_for_each_other() {
    let domains = ["v.example.com", "w.example.com", "x.example.com"];
    let scene = Scene::builder(&domains)
        .certificates(&format!(
            "[[certificates]]\nname = \"video\"\nnames = {domains:?}\n"
        ))
        .start()
        .await;
    let refusal = Refusal::new(403, "Forbidden.RAM", "User not authorized to operate.");
    let fault = Fault::always(Disturbance::Refuse(refusal)).on(READ);
    scene.gateway.faults().push(fault);
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!(scene.gateway.calls().of(READ).len(), 3);
    assert!(deadlines(&scene).await.is_empty());
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 3));
}

/// Without the right to list what is stored, the pair cannot be bound at the second target.
#[tokio::test]
async fn a_permission_to_list_that_is_missing_is_named_where_it_is_needed() {
    let scene = Scene::builder(&["v.example.com", "w.example.com"])
        .certificates(
            "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\", \"w.example.com\"]\n",
        )
        .start()
        .await;
    let refusal = Refusal::new(403, "Forbidden.RAM", "User not authorized to operate.");
    let list = "DescribeVodSSLCertificateList";
    let fault = Fault::always(Disturbance::Refuse(refusal)).on(list);
    scene.gateway.faults().push(fault);
    // Read back, the two other names, and then a person must act.
    for failures in 1..=4 {
        let daemon = scene.run();
        scene.until_told("video", "install-failed", failures).await;
        scene.until_at_rest("video").await;
        daemon.stop().await;
        scene.let_pass(&["video"], MINUTE).await;
    }
    let snapshot = scene.snapshot("video").await;
    let states: Vec<TargetState> = snapshot.targets.iter().map(|t| t.state).collect();
    assert_eq!(states, [TargetState::Seen, TargetState::Blocked]);
    let failure = snapshot.targets[1].failure.clone().unwrap();
    assert_eq!(failure.code, "Forbidden.RAM");
    for said in [list, "CertificateContent.Duplicated"] {
        assert!(failure.message.contains(said), "{}", failure.message);
    }
    assert!(warns_of(&snapshot, "Forbidden.RAM"));
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 1));
}

fn expired() -> Refusal {
    Refusal::new(400, "Certificate.Expired", "The certificate has expired.")
}

#[tokio::test]
async fn a_pair_that_is_refused_as_expired_is_ordered_anew() {
    let scene = one().await;
    let fault = Fault::once(Disturbance::Refuse(expired())).on(SET);
    scene.gateway.faults().push(fault);
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let snapshot = scene.snapshot("video").await;
    assert_eq!(
        snapshot.failure.as_ref().unwrap().code,
        "Certificate.Expired"
    );
    assert!(warns_of(&snapshot, "Certificate.Expired"));
    assert_eq!(scene.orders_at_ca(), 1);

    scene.let_pass(&["video"], HOUR).await;
    let daemon = scene.run();
    scene.until_seen("video", 2).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!(scene.snapshot("video").await.failure, None);
    assert_eq!((scene.orders_at_ca(), scene.installs()), (2, 1));
}

#[tokio::test]
async fn one_domain_that_is_always_refused_does_not_hinder_the_others() {
    let scene = Scene::builder(&["v.example.com", "w.example.com", "x.example.com"])
        .certificates(THREE)
        .start()
        .await;
    let refusal = Refusal::new(400, "DomainInSafeMode", "The domain is in safe mode.");
    let fault = Fault::always(Disturbance::Refuse(refusal));
    scene
        .gateway
        .faults()
        .push(fault.on(SET).for_domain("v.example.com"));
    let daemon = scene.run();
    scene.until_seen("other", 1).await;
    scene.until_seen("third", 1).await;
    scene.until_told("video", "install-failed", 1).await;
    for label in ["video", "other", "third"] {
        scene.until_at_rest(label).await;
    }
    daemon.stop().await;
    let snapshot = scene.snapshot("video").await;
    assert_eq!(snapshot.targets[0].state, TargetState::Blocked);
    assert!(warns_of(&snapshot, "DomainInSafeMode"));
    assert!(scene.rests_for("video").await > HOUR * 5);
    let refused = scene.gateway.calls().of(SET);
    let refused = refused.iter().filter(|call| call.code().is_some());
    assert_eq!(refused.count(), 1);
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (3, 0));
}

/// Each with another course; all of them are about the proof, not about the order.
#[tokio::test]
async fn a_proof_that_is_refused_is_published_later_for_the_same_order() {
    let scene = one().await;
    let codes = [
        "LastOperationNotFinished",
        "QuotaExceeded.Record",
        "DomainRecordConflict",
    ];
    for (failures, code) in (1..).zip(codes) {
        let refusal = Refusal::new(400, code, "The reason.");
        let fault = Fault::once(Disturbance::Refuse(refusal)).on("AddDomainRecord");
        scene.gateway.faults().push(fault);
        let daemon = scene.run();
        scene.until_told("video", "order-failed", failures).await;
        scene.until_at_rest("video").await;
        daemon.stop().await;
        let failure = scene.snapshot("video").await.failure.unwrap();
        assert_eq!(failure.code, code);
        // Longer than the ladder and the slow look.
        scene.let_pass(&["video"], HOUR * 25).await;
    }
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!(scene.gateway.calls().performed("AddDomainRecord"), 1);
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
}

#[tokio::test]
async fn one_name_without_a_zone_does_not_hinder_the_others() {
    let scene = Scene::builder(&["v.example.org", "w.example.com", "x.example.com"])
        .certificates(&THREE.replace("v.example.com", "v.example.org"))
        .start()
        .await;
    // The DNS knows the name, but its zone is somebody else's.
    scene.world.add_foreign_zone("example.org");
    let daemon = scene.run();
    scene.until_seen("other", 1).await;
    scene.until_seen("third", 1).await;
    scene.until_told("video", "order-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let snapshot = scene.snapshot("video").await;
    let failure = snapshot.failure.clone().unwrap();
    assert_eq!((&*failure.code, &*failure.class), ("no-zone", "operator"));
    assert!(warns_of(&snapshot, "no-zone"));
    assert!(scene.rests_for("video").await > HOUR * 5);
    assert_eq!((scene.installs(), scene.proofs()), (2, 0));
}
