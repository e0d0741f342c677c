//! What becomes of a certificate that was installed: the edge is watched, drift is repaired, and a
//! later generation is never overwritten.

use std::time::Duration;

use vodcertd::status::TargetState;
use vodcertd_sandbox::forge::{self, KeyKind};
use vodcertd_sandbox::gateway::{Disturbance, Fault, Refusal};
use vodcertd_sandbox::world::Env;

use crate::support::{SET, Scene, target};

const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

async fn served(certificates: &str) -> Scene {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(certificates)
        .start()
        .await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    scene
}

fn install_by_hand(scene: &Scene) {
    let forged = forge::issue(&["v.example.com"], KeyKind::P256, forge::valid_now());
    scene
        .world
        .install_foreign("v.example.com", "by-hand", forged.pair());
}

async fn state(scene: &Scene) -> TargetState {
    scene.snapshot("video").await.targets[0].state
}

#[tokio::test]
async fn with_looks_switched_off_the_api_is_believed() {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .look("enabled = false")
        .start()
        .await;
    scene.run_until_at_rest("video").await;
    assert_eq!(state(&scene).await, TargetState::Seen);
    assert!(scene.rests_for("video").await > HOUR);
    assert_eq!(scene.edge.production().handshakes("v.example.com"), 0);
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 1));
}

#[tokio::test]
async fn a_certificate_installed_by_hand_is_replaced_without_an_order() {
    let scene = served(ONE).await;
    let ours = scene.installed("v.example.com");
    install_by_hand(&scene);

    scene.let_pass(&["video"], HOUR * 7).await;
    scene.run_until_at_rest("video").await;
    assert_eq!(state(&scene).await, TargetState::Seen);
    assert_eq!(scene.installs(), 1, "one look was believed");
    scene.let_pass(&["video"], MINUTE).await;
    scene.run_until_at_rest("video").await;
    scene.let_pass(&["video"], MINUTE).await;
    scene.run_until_at_rest("video").await;
    assert_eq!(state(&scene).await, TargetState::Seen);
    assert_eq!(scene.installed("v.example.com"), ours);
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 2));
}

#[tokio::test]
async fn drift_is_only_told_where_that_is_wanted() {
    let scene = served(&format!(
        "{ONE}[[certificates.targets]]\ndomains = [\"v.example.com\"]\non_drift = \"alert\"\n"
    ))
    .await;
    install_by_hand(&scene);
    let foreign = scene.installed("v.example.com");

    // It takes three looks until it is believed.
    let looks = [
        (HOUR * 7, TargetState::Seen),
        (MINUTE, TargetState::Seen),
        (MINUTE, TargetState::Drifted),
        (HOUR * 7, TargetState::Drifted),
    ];
    for (pause, state) in looks {
        scene.let_pass(&["video"], pause).await;
        scene.run_until_at_rest("video").await;
        let snapshot = scene.snapshot("video").await;
        assert_eq!(snapshot.targets[0].state, state);
        let is_told = snapshot.alerts.iter().any(|alert| alert.code == "drift");
        assert_eq!(is_told, state == TargetState::Drifted);
    }
    assert_eq!(scene.installed("v.example.com"), foreign);
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 1));
}

#[tokio::test]
async fn a_restored_backup_does_not_overwrite_a_later_generation() {
    let scene = served(ONE).await;
    let backup = tempfile::tempdir().unwrap();
    let backup = backup.path().join("state.db");
    scene.back_up(&backup).await;
    renew(&scene, 2).await;
    let second = scene.installed("v.example.com");

    scene.restore(&backup).await;
    for pause in [HOUR * 7, MINUTE * 2, MINUTE * 2, MINUTE * 2] {
        scene.let_pass(&["video"], pause).await;
        scene.run_until_at_rest("video").await;
    }
    let record = scene.record("video").await.unwrap();
    assert_eq!(record.issued.as_ref().unwrap().generation, 1);
    assert_eq!(record.newest_generation, 2);
    assert_eq!(state(&scene).await, TargetState::NewerElsewhere);
    let alerts = scene.snapshot("video").await.alerts;
    assert!(alerts.iter().any(|alert| alert.code == "newer-elsewhere"));
    assert_eq!(scene.installed("v.example.com"), second);
    assert_eq!(scene.installs(), 2);

    // The counter goes on above what was found.
    renew(&scene, 3).await;
    assert_eq!(state(&scene).await, TargetState::Seen);
    assert_eq!((scene.orders_at_ca(), scene.installs()), (3, 3));
    let installed = scene.world.installed("v.example.com", Env::Production);
    let known = scene.record("video").await.unwrap();
    let known = known.targets[&target("v.example.com")].installed.clone();
    assert_eq!(installed.unwrap().cert_name, known.unwrap().cert_name);
    assert_eq!(scene.gateway.calls().of(SET).len(), 3);
}

/// Two copies of one store each make a second generation. The number is the same, the later leaf wins.
#[tokio::test]
async fn a_generation_of_another_copy_of_the_store_is_told_by_its_leaf() {
    let scene = served(ONE).await;
    let folder = tempfile::tempdir().unwrap();
    let (first, copy) = (
        folder.path().join("first.db"),
        folder.path().join("copy.db"),
    );
    scene.back_up(&first).await;
    // The copy has ordered, and could not install.
    let safe = Refusal::new(400, "DomainInSafeMode", "The domain is in safe mode.");
    let fault = Fault::always(Disturbance::Refuse(safe)).on(SET);
    scene.gateway.faults().push(fault);
    make_due(&scene).await;
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    scene.back_up(&copy).await;

    scene.restore(&first).await;
    scene.gateway.faults().clear();
    // Validity counts whole seconds.
    tokio::time::sleep(Duration::from_secs(1)).await;
    renew(&scene, 2).await;
    let second = scene.installed("v.example.com");

    scene.restore(&copy).await;
    for pause in [HOUR * 25, MINUTE * 2, MINUTE * 2] {
        scene.let_pass(&["video"], pause).await;
        scene.run_until_at_rest("video").await;
    }
    let record = scene.record("video").await.unwrap();
    assert_eq!(
        (record.newest_generation, record.issued.unwrap().generation),
        (2, 2)
    );
    assert_eq!(state(&scene).await, TargetState::NewerElsewhere);
    assert_eq!(scene.installed("v.example.com"), second);

    renew(&scene, 3).await;
    assert_eq!(state(&scene).await, TargetState::Seen);
    assert_eq!((scene.orders_at_ca(), scene.installs()), (4, 3));
}

/// Makes the certificate due and lets it be renewed.
async fn renew(scene: &Scene, generation: u32) {
    make_due(scene).await;
    let daemon = scene.run();
    scene.until_seen("video", generation).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
}

async fn make_due(scene: &Scene) {
    scene.let_pass(&["video"], HOUR * 2).await;
    scene
        .change_record("video", |record| {
            let issued = record.issued.as_mut().unwrap();
            let info = issued.renewal_info.as_mut().unwrap();
            let start = issued.leaf.not_before - HOUR * 2;
            info.window = vodcertd::time::Window::new(start, start + HOUR);
        })
        .await;
}
