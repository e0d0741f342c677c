//! How a certificate gets to many domains: with one upload, or with one each; and what heals itself
//! when the certificate store has something to say against it.

use std::time::Duration;

use vodcertd::keys::{KeyFormat, PrivateKey};
use vodcertd::name::Label;
use vodcertd::status::{TargetState, TargetView};
use vodcertd_sandbox::forge::{self, KeyKind};
use vodcertd_sandbox::gateway::{Call, Disturbance, Fault, Refusal, Settings};
use vodcertd_sandbox::pem::{KeyForms, Pair};
use vodcertd_sandbox::world::{CertRegion, CertSource, Env};

use crate::support::{SET, Scene};

const LIST: &str = "DescribeVodSSLCertificateList";
const STORE: &str = "UploadUserCertificate";
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// `count` domains on one certificate with these lines for its target.
async fn scene(count: usize, target: &str) -> Scene {
    let domains: Vec<String> = (1..=count).map(|n| format!("v{n}.example.com")).collect();
    let names: Vec<&str> = domains.iter().map(String::as_str).collect();
    let certificates = format!(
        "[[certificates]]\nname = \"video\"\nnames = {names:?}\n[[certificates.targets]]\n{target}\n"
    );
    let scene = Scene::builder(&names).certificates(&certificates);
    scene.start().await
}

/// Runs the daemon until the first generation is seen everywhere; time passes whenever it rests
/// before that.
async fn until_seen(scene: &Scene) {
    for _ in 0..10 {
        scene.run_until_at_rest("video").await;
        let snapshot = scene.snapshot("video").await;
        let seen = |target: &TargetView| target.state == TargetState::Seen;
        if snapshot.targets.iter().all(seen) {
            assert_eq!(snapshot.failure, None);
            return;
        }
        scene.let_pass(&["video"], MINUTE).await;
    }
    panic!("{:#?}", scene.snapshot("video").await);
}

/// The installs that brought the pair along, and those that bound a copy.
fn installs(scene: &Scene) -> (usize, usize) {
    let of_type = |kind: &str| {
        let calls = scene.gateway.calls().of(SET);
        let is_of = |call: &&Call| call.parameter("CertType") == Some(kind);
        calls.iter().filter(is_of).count()
    };
    (of_type("upload"), of_type("cas"))
}

/// All domains have one and the same certificate, which the cloud holds once.
fn check_one_copy(scene: &Scene) {
    assert_eq!(scene.world.certificates().len(), 1);
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
    scene.gateway.calls().assert_no_key_in_url();
}

fn disturb(scene: &Scene, disturbance: Disturbance, action: &str, domain: &str) {
    let fault = Fault::once(disturbance).on(action).for_domain(domain);
    scene.gateway.faults().push(fault);
}

fn refuse(status: u16, code: &str, message: &str) -> Disturbance {
    Disturbance::Refuse(Refusal::new(status, code, message))
}

fn busy() -> Disturbance {
    refuse(
        403,
        "ServiceBusy",
        "The specified Domain is configuring, please retry later.",
    )
}

fn stored() -> Disturbance {
    refuse(
        400,
        "CertificateContent.Duplicated",
        "The certificate has been uploaded; do not upload again.",
    )
}

#[tokio::test]
async fn twenty_domains_cost_one_upload() {
    let scene = scene(20, "method = \"auto\"").await;
    until_seen(&scene).await;
    assert_eq!(installs(&scene), (1, 19));
    assert_eq!(scene.gateway.calls().of(LIST).len(), 1);
    check_one_copy(&scene);
}

/// The cloud refuses the content that it has already, and what it has is bound.
#[tokio::test]
async fn twenty_domains_that_are_each_uploaded_to_share_the_copy_all_the_same() {
    let scene = scene(20, "method = \"upload\"").await;
    until_seen(&scene).await;
    assert_eq!(installs(&scene), (20, 19));
    check_one_copy(&scene);
}

/// Somebody uploaded the pair by hand, under a name of his own.
#[tokio::test]
async fn a_copy_under_another_name_is_adopted() {
    let scene = scene(2, "").await;
    let fault = Fault::times(2, busy()).on(SET);
    scene.gateway.faults().push(fault);
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 2).await;
    daemon.stop().await;
    let pair = pair(&scene).await;
    let region = CertRegion::CnHangzhou;
    scene.world.store_certificate("by-hand", region, pair);
    scene.let_pass(&["video"], MINUTE).await;
    until_seen(&scene).await;
    for domain in ["v1.example.com", "v2.example.com"] {
        let binding = scene.world.installed(domain, Env::Production).unwrap();
        assert_eq!(binding.cert_name, "by-hand");
        assert_eq!(binding.source, CertSource::Cas);
    }
    check_one_copy(&scene);
}

/// The first generation with its key, as somebody would upload it by hand.
async fn pair(scene: &Scene) -> Pair {
    let store = scene.open_store().await;
    let label: Label = "video".parse().unwrap();
    let stored = store.generation(&label, 1).await.unwrap().unwrap();
    store.close().await;
    let key = PrivateKey::from_pkcs8(stored.key.expose()).unwrap();
    let key = key.to_pem(KeyFormat::Traditional).unwrap();
    Pair::read(&stored.chain_pem, key.expose(), KeyForms::Traditional).unwrap()
}

/// Somebody deleted it while two domains were still to be bound to it.
#[tokio::test]
async fn a_copy_that_is_gone_is_uploaded_again_once() {
    let scene = scene(3, "").await;
    for domain in ["v2.example.com", "v3.example.com"] {
        disturb(&scene, busy(), SET, domain);
    }
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 2).await;
    daemon.stop().await;
    let gone = scene.world.certificates().remove(0).id;
    scene.world.delete_certificate(gone);
    scene.let_pass(&["video"], MINUTE).await;
    until_seen(&scene).await;
    let stored = scene.world.certificates();
    assert_eq!(stored.len(), 1);
    assert_ne!(stored[0].id, gone);
    for domain in ["v2.example.com", "v3.example.com"] {
        let binding = scene.world.installed(domain, Env::Production).unwrap();
        assert_eq!(binding.certificate.id, stored[0].id, "{domain}");
    }
    // Two binds met a busy domain, one the gap, and one the copy that another domain's upload stored.
    assert_eq!(installs(&scene), (2, 4));
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
}

/// The domain is busy just when the copy that was found is bound to it.
#[tokio::test]
async fn a_copy_that_was_found_is_kept_while_the_domain_is_busy() {
    for (method, lists) in [("auto", 2), ("upload", 4)] {
        let scene = scene(1, &format!("method = \"{method}\"")).await;
        disturb(&scene, busy(), SET, "v1.example.com");
        let daemon = scene.run();
        scene.until_told("video", "install-failed", 1).await;
        daemon.stop().await;
        let uploads = installs(&scene).0;
        let region = CertRegion::CnHangzhou;
        let pair = pair(&scene).await;
        scene.world.store_certificate("by-hand", region, pair);
        disturb(&scene, stored(), SET, "v1.example.com");
        disturb(&scene, busy(), SET, "v1.example.com");
        scene.let_pass(&["video"], MINUTE).await;
        until_seen(&scene).await;
        assert_eq!(scene.gateway.faults().waiting(), 0, "{method}");
        assert_eq!(installs(&scene), (uploads + 1, 2), "{method}");
        assert_eq!(scene.gateway.calls().of(LIST).len(), lists, "{method}");
        let binding = scene.world.installed("v1.example.com", Env::Production);
        assert_eq!(binding.unwrap().cert_name, "by-hand", "{method}");
        check_one_copy(&scene);
    }
}

/// The name is taken, but not by what we would bind.
#[tokio::test]
async fn another_pair_under_our_name_is_not_bound() {
    let scene = scene(1, "").await;
    disturb(&scene, busy(), SET, "v1.example.com");
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 1).await;
    daemon.stop().await;
    let tried = scene.gateway.calls().of(SET);
    let name = tried[0].parameter("CertName").unwrap().to_owned();
    let theirs = forge::issue(&["v1.example.com"], KeyKind::P256, forge::valid_now()).pair();
    let region = CertRegion::CnHangzhou;
    let theirs = scene.world.store_certificate(&name, region, theirs);
    scene.let_pass(&["video"], MINUTE).await;
    until_seen(&scene).await;
    let binding = scene.world.installed("v1.example.com", Env::Production);
    let binding = binding.unwrap();
    assert_ne!(binding.certificate.id, theirs);
    assert_ne!(binding.cert_name, name);
    assert_eq!(installs(&scene).1, 0, "nothing was bound");
    assert_eq!(scene.installs(), 1);
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
}

/// A copy is said to be there under every name, and none is listed. What fails in between is over when
/// it is over: it is not what the next search, which was answered, failed of.
#[tokio::test]
async fn a_search_that_finds_nothing_is_no_old_failure() {
    let scene = scene(1, "").await;
    let fault = Fault::always(stored()).on(SET);
    scene.gateway.faults().push(fault);
    for _ in 0..6 {
        scene.run_until_at_rest("video").await;
        scene.let_pass(&["video"], MINUTE).await;
    }
    let exhausted = installs(&scene);
    let refusal = Refusal::new(400, "Throttling.User", "Request was denied.");
    let fault = Fault::once(Disturbance::Refuse(refusal)).on(LIST);
    scene.gateway.faults().push(fault);
    scene.let_pass(&["video"], DAY).await;
    scene.run_until_at_rest("video").await;
    let snapshot = scene.snapshot("video").await;
    assert_eq!(snapshot.failure.unwrap().code, "Throttling.User");
    scene.let_pass(&["video"], DAY).await;
    scene.run_until_at_rest("video").await;
    let snapshot = scene.snapshot("video").await;
    let failure = snapshot.failure.unwrap();
    assert_eq!(failure.code, "CertificateContent.Duplicated");
    assert_eq!(snapshot.targets[0].state, TargetState::Blocked);
    assert_eq!(scene.number("SELECT COUNT(*) FROM deadlines").await, 0);
    assert_eq!(installs(&scene), exhausted, "it is only looked for");
}

/// The list does not tell the region, or the configuration tells another one.
#[tokio::test]
async fn a_copy_in_the_other_region_is_found_there() {
    let scene = scene(2, "cert_region = \"ap-southeast-1\"").await;
    until_seen(&scene).await;
    let stored = scene.world.certificates().remove(0);
    assert_eq!(stored.region, CertRegion::CnHangzhou, "as uploaded");
    // One upload, one bind in the region that is configured, one in the other.
    assert_eq!(installs(&scene), (1, 2));
    check_one_copy(&scene);
}

/// Without the right to list what is stored every domain is uploaded to, and the cloud's refusal needs
/// a person; nothing is repeated for ever.
#[tokio::test]
async fn what_may_not_be_listed_is_not_uploaded_for_ever() {
    let scene = scene(2, "").await;
    let refusal = Refusal::new(403, "Forbidden.RAM", "User not authorized to operate.");
    let fault = Fault::always(Disturbance::Refuse(refusal)).on(LIST);
    scene.gateway.faults().push(fault);
    for _ in 0..4 {
        scene.run_until_at_rest("video").await;
        scene.let_pass(&["video"], MINUTE).await;
    }
    let uploads = installs(&scene).0;
    for _ in 0..3 {
        scene.let_pass(&["video"], MINUTE * 60 * 25).await;
        scene.run_until_at_rest("video").await;
    }
    assert_eq!(installs(&scene), (uploads, 0));
    assert_eq!(uploads, 5, "one, and four at the second domain");
    let snapshot = scene.snapshot("video").await;
    assert_eq!(snapshot.targets[1].state, TargetState::Blocked);
}

// --- stored first ---

const CAS: &str = "method = \"cas\"";

async fn open_rows(scene: &Scene) -> i64 {
    let open = "SELECT COUNT(*) FROM journal WHERE closed_at IS NULL";
    scene.number(open).await
}

#[tokio::test]
async fn twenty_domains_are_bound_to_what_was_stored_first() {
    let scene = scene(20, CAS).await;
    until_seen(&scene).await;
    assert_eq!(installs(&scene), (0, 20));
    let calls = scene.gateway.calls();
    assert_eq!((calls.of(STORE).len(), calls.of(LIST).len()), (1, 0));
    assert_eq!(scene.count("video", "stored").await, 1);
    let uploads = "SELECT COUNT(*) FROM journal WHERE kind = 'upload'";
    assert_eq!(scene.number(uploads).await, 1);
    assert_eq!(open_rows(&scene).await, 0, "the record tells of it");
    check_one_copy(&scene);
}

#[tokio::test]
async fn a_copy_is_stored_and_bound_in_the_region_that_is_configured() {
    let scene = scene(2, "method = \"cas\"\ncert_region = \"ap-southeast-1\"").await;
    scene.gateway.set(Settings {
        storage_region: CertRegion::ApSoutheast1,
        ..Settings::default()
    });
    until_seen(&scene).await;
    assert_eq!(installs(&scene), (0, 2));
    let stored = scene.world.certificates().remove(0);
    assert_eq!(stored.region, CertRegion::ApSoutheast1);
    check_one_copy(&scene);
}

/// Lost on its way there, or on its way back.
#[tokio::test]
async fn a_copy_whose_answer_was_lost_is_looked_up_before_it_is_stored_again() {
    for (disturbance, calls) in [
        (Disturbance::HangUp, 2),
        (Disturbance::PerformThenHangUp, 1),
    ] {
        let scene = scene(2, CAS).await;
        let fault = Fault::once(disturbance.clone()).on(STORE);
        scene.gateway.faults().push(fault);
        until_seen(&scene).await;
        assert_eq!(scene.gateway.calls().of(STORE).len(), calls);
        assert_eq!(scene.gateway.calls().performed(STORE), 1);
        assert_eq!(installs(&scene), (0, 2), "{disturbance:?}");
        check_one_copy(&scene);
    }
}

/// The copy stands, whatever becomes of the first bind.
#[tokio::test]
async fn a_bind_whose_answer_was_lost_stores_nothing_again() {
    for (disturbance, binds) in [
        (Disturbance::HangUp, 3),
        (Disturbance::PerformThenHangUp, 2),
    ] {
        let scene = scene(2, CAS).await;
        disturb(&scene, disturbance.clone(), SET, "v1.example.com");
        until_seen(&scene).await;
        assert_eq!(scene.gateway.calls().of(STORE).len(), 1);
        assert_eq!(installs(&scene), (0, binds), "{disturbance:?}");
        check_one_copy(&scene);
    }
}

/// It was stored by hand, under a name of somebody's own.
#[tokio::test]
async fn what_is_stored_already_is_not_stored_again() {
    let scene = scene(2, CAS).await;
    let busy = Refusal::new(503, "ServiceUnavailable", "Try again later.");
    let fault = Fault::once(Disturbance::Refuse(busy)).on(STORE);
    scene.gateway.faults().push(fault);
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let pair = pair(&scene).await;
    let region = CertRegion::CnHangzhou;
    scene.world.store_certificate("by-hand", region, pair);
    scene.let_pass(&["video"], MINUTE).await;
    until_seen(&scene).await;
    assert_eq!(scene.gateway.calls().performed(STORE), 0);
    assert_eq!(installs(&scene), (0, 2));
    assert_eq!(open_rows(&scene).await, 0, "the copy is known");
    check_one_copy(&scene);
}

/// One target's refusal closes the action for all that would store.
#[tokio::test]
async fn a_store_that_may_not_be_written_to_is_asked_once_for_all() {
    let scene = scene(3, CAS).await;
    let refusal = Refusal::new(403, "Forbidden.RAM", "User not authorized to operate.");
    let fault = Fault::always(Disturbance::Refuse(refusal)).on(STORE);
    scene.gateway.faults().push(fault);
    scene.run_until_at_rest("video").await;
    assert_eq!(scene.gateway.calls().of(STORE).len(), 1);
    assert_eq!(installs(&scene), (0, 0));
    let snapshot = scene.snapshot("video").await;
    assert_eq!(snapshot.failure.unwrap().code, "Forbidden.RAM");
}
