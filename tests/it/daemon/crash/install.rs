//! Killed on the way from the stored chain to its proof at the edge.

use std::collections::BTreeSet;

use vodcertd_sandbox::gateway::{Disturbance, Fault, Reupload, Settings};

use super::*;
use crate::support::{READ, SET};

#[tokio::test]
async fn an_install_that_was_cut_off_before_it_took_effect_is_made() {
    let scene = scene().await;
    let faults = scene.gateway.faults();
    faults.push(Fault::once(Disturbance::Delay(NEVER)).on(SET));
    kill_when(&scene, "the install is sent", || faults.waiting() == 0).await;
    assert_eq!(scene.installed(DOMAIN), None);

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 1);
    assert_eq!(scene.installs(), 1);
    let asked = scene.gateway.calls().of(READ);
    assert_eq!(
        asked.len(),
        2,
        "at first contact, and before it is repeated"
    );
}

#[tokio::test]
async fn an_install_whose_answer_was_lost_is_found_or_repeated_under_the_same_name() {
    for reupload in [Reupload::Accept, Reupload::RefuseAsDuplicate] {
        let scene = scene().await;
        scene.gateway.set(Settings {
            reupload,
            ..Settings::default()
        });
        let faults = scene.gateway.faults();
        let lost = Disturbance::PerformThenDelay(NEVER);
        faults.push(Fault::once(lost).on(SET));
        kill_when(&scene, "the install took effect", || {
            scene.installed(DOMAIN).is_some()
        })
        .await;

        go_on(&scene, 1).await;

        assert_eq!(scene.orders_at_ca(), 1, "{reupload:?}");
        assert_one_name(&scene);
    }
}

#[tokio::test]
async fn an_install_that_was_not_recorded_is_found_or_repeated_under_the_same_name() {
    let scene = killed_before("INSERT ON history WHEN NEW.kind = 'installed'").await;
    assert_eq!(scene.installs(), 1);

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 1);
    assert_one_name(&scene);
}

/// However often it was installed, it lies in the cloud once.
fn assert_one_name(scene: &Scene) {
    let stored = scene.world.certificates();
    let names: BTreeSet<_> = stored.iter().map(|one| one.name.clone()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let changes = scene.world.history(DOMAIN).len();
    assert!(changes <= 2, "installed {changes} times");
}

#[tokio::test]
async fn a_generation_that_was_seen_and_not_recorded_is_looked_at_again() {
    let scene = killed_before("INSERT ON history WHEN NEW.kind = 'seen'").await;
    assert_eq!(scene.installs(), 1);

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 1);
    assert_eq!(scene.installs(), 1);
}

/// Between the answer of the certificate store and the record only the journal tells of the copy.
#[tokio::test]
async fn a_copy_that_was_stored_and_not_recorded_is_found_by_its_name() {
    let builder = Scene::builder(&[DOMAIN]).certificates(&format!(
        "{ONE}[[certificates.targets]]\nmethod = \"cas\"\n"
    ));
    let scene = builder.pebble(quick).start().await;
    scene.make_store().await;
    kill_before(&scene, "INSERT ON history WHEN NEW.kind = 'stored'").await;
    assert_eq!(scene.world.certificates().len(), 1);
    assert_eq!(scene.installed(DOMAIN), None);
    let issued = scene.record(LABEL).await.unwrap().issued.unwrap();
    assert!(issued.stored.is_empty());
    let begun = "SELECT COUNT(*) FROM journal WHERE kind = 'upload' AND closed_at IS NULL";
    assert_eq!(scene.number(begun).await, 1);

    go_on(&scene, 1).await;

    let uploads = scene.gateway.calls().of("UploadUserCertificate");
    assert_eq!((uploads.len(), scene.orders_at_ca()), (1, 1));
    assert_one_name(&scene);
}

/// The request itself was cut off: nothing is found, and the copy is stored under the same name.
#[tokio::test]
async fn a_copy_that_was_cut_off_before_it_was_stored_is_stored() {
    let builder = Scene::builder(&[DOMAIN]).certificates(&format!(
        "{ONE}[[certificates.targets]]\nmethod = \"cas\"\n"
    ));
    let scene = builder.pebble(quick).start().await;
    let faults = scene.gateway.faults();
    let fault = Fault::once(Disturbance::Delay(NEVER)).on("UploadUserCertificate");
    faults.push(fault);
    kill_when(&scene, "the copy is sent", || faults.waiting() == 0).await;
    assert!(scene.world.certificates().is_empty());

    go_on(&scene, 1).await;

    assert_one_name(&scene);
    assert_eq!(
        scene
            .gateway
            .calls()
            .of("DescribeVodSSLCertificateList")
            .len(),
        1
    );
}
