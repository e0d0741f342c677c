//! The cloud and its edge fail: late, never, by refusal. Nothing loops hot, no order is spent on it,
//! and who asks is told.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vodcertd::clock::Clock;
use vodcertd::keys::{KeyFormat, PrivateKey};
use vodcertd::renewal::TargetRecord;
use vodcertd::retry::Scope;
use vodcertd::status::{Snapshot, TargetState};
use vodcertd_sandbox::gateway::{Disturbance, Fault, Gateway, Refusal};

use crate::support::{SET, Scene, target};

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

// --- credentials ---

#[tokio::test]
async fn wrong_credentials_wait_for_a_person_and_heal_at_the_next_start() {
    let mut scene = one().await;
    scene.set_secret("not the secret");
    let daemon = scene.run();
    scene.until_told("video", "order-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let snapshot = scene.snapshot("video").await;
    let failure = snapshot.failure.clone().unwrap();
    assert_eq!(failure.code, "SignatureDoesNotMatch");
    assert_eq!(failure.class, "operator");
    assert!(!failure.message.contains("string to sign"), "{failure:?}");
    assert!(warns_of(&snapshot, "SignatureDoesNotMatch"));
    assert!(scene.rests_for("video").await > HOUR * 5);
    let calls = scene.gateway.calls().all().len();
    assert!(calls <= 3, "{calls} calls");

    // A restart changes nothing that it hangs on.
    scene.let_pass(&["video"], MINUTE * 10).await;
    scene.run_until_at_rest("video").await;
    assert_eq!(scene.gateway.calls().all().len(), calls);

    scene.set_secret(Gateway::ACCESS_KEY_SECRET);
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!(scene.snapshot("video").await.failure, None);
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
}

/// The answer to an install with a wrong secret echoes what was signed, private key included.
#[tokio::test]
async fn a_private_key_that_is_echoed_goes_nowhere() {
    let mut scene = one().await;
    refuse(&scene, Refusal::throttled());
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;

    scene.gateway.faults().clear();
    scene.set_secret("not the secret");
    scene.let_pass(&["video"], HOUR).await;
    let log = Log::default();
    let listening = log.listen();
    let daemon = scene.run();
    scene
        .until("the wrong secret is noticed", async || {
            let trouble = of_target(&scene).await.trouble;
            trouble.is_some_and(|trouble| trouble.failure.code == "SignatureDoesNotMatch")
        })
        .await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    drop(listening);
    let calls = scene.gateway.calls().of(SET);
    assert_eq!(calls.last().unwrap().code(), Some("SignatureDoesNotMatch"));
    let snapshot = scene.snapshot("video").await;
    assert_eq!(snapshot.targets[0].state, TargetState::Blocked);

    let log = log.text();
    assert!(log.contains("SignatureDoesNotMatch"), "{log}");
    assert!(!log.contains(Gateway::ACCESS_KEY_SECRET) && !log.contains("not the secret"));
    // All that the store holds for people to read; the key itself is kept elsewhere in it.
    let record = scene.record("video").await;
    let told = format!("{record:?} {:?}", scene.history("video").await);
    for secret in runs_of_the_key(&scene).await {
        assert!(!log.contains(&secret), "the log holds a part of the key");
        assert!(!told.contains(&secret), "the store holds a part of the key");
    }
    scene.gateway.calls().assert_no_key_in_url();
}

/// Long runs of the private key that no encoding on its way changes.
async fn runs_of_the_key(scene: &Scene) -> Vec<String> {
    let store = scene.open_store().await;
    let label = "video".parse().unwrap();
    let generation = store.generation(&label, 1).await.unwrap().unwrap();
    let key = PrivateKey::from_pkcs8(generation.key.expose()).unwrap();
    let pem = key.to_pem(KeyFormat::Traditional).unwrap();
    let lines = pem.expose().lines();
    let body = lines.filter(|line| !line.starts_with("-----"));
    let runs = body.flat_map(|line| line.split(['+', '/', '=']));
    let runs: Vec<String> = runs
        .filter(|run| run.len() >= 12)
        .map(str::to_owned)
        .collect();
    assert!(!runs.is_empty());
    runs
}

/// Everything that this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

// --- rate limits ---

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
    let scope = Scope::CloudAction {
        cloud: "default".to_owned(),
        action: SET.to_owned(),
    };
    let deadlines = scene.read_store().await.unwrap().deadlines().await;
    let until = deadlines.unwrap()[&scope.key().unwrap()].deadline.until;
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
        "DescribeVodDomainCertificateInfo",
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
async fn a_cloud_that_always_says_expired_costs_no_more_orders_than_the_brake_allows() {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .schedule("brake = { orders_per_day = 3 }")
        .start()
        .await;
    refuse(&scene, expired());
    for orders in [1, 2, 3, 3, 3] {
        let daemon = scene.run();
        scene.until_told("video", "install-failed", orders).await;
        scene.until_at_rest("video").await;
        daemon.stop().await;
        assert_eq!(scene.orders_at_ca(), orders);
        assert_eq!(scene.gateway.calls().of(SET).len(), orders);
        // Longer than the ladder, and all of it less than a day.
        scene.let_pass(&["video"], HOUR * 2).await;
    }
    scene.run_until_at_rest("video").await;
    let rest = scene.rests_for("video").await;
    assert!(rest > HOUR * 5 && rest < HOUR * 24, "{rest:?}");
    let snapshot = scene.snapshot("video").await;
    assert_eq!(
        snapshot.failure.as_ref().unwrap().code,
        "Certificate.Expired"
    );
    assert!(warns_of(&snapshot, "Certificate.Expired"));

    // A day after the first order there may be another one.
    scene.let_pass(&["video"], HOUR * 15).await;
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 4).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!(scene.orders_at_ca(), 4);
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

#[tokio::test]
async fn one_name_without_a_zone_does_not_hinder_the_others() {
    let scene = Scene::builder(&["v.example.org", "w.example.com", "x.example.com"])
        .certificates(&THREE.replace("v.example.com", "v.example.org"))
        .start()
        .await;
    let daemon = scene.run();
    scene.until_seen("other", 1).await;
    scene.until_seen("third", 1).await;
    scene.until_told("video", "order-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let snapshot = scene.snapshot("video").await;
    // Nobody has the zone: neither the account nor the DNS.
    assert_eq!(snapshot.failure.as_ref().unwrap().code, "dns-unresolved");
    assert!(scene.rests_for("video").await > SECOND * 50);
    assert_eq!(scene.installs(), 2);
}
