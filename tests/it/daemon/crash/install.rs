//! Killed on the way from the stored chain to its proof at the edge.

use std::collections::BTreeSet;

use vodcertd_sandbox::gateway::{Disturbance, Fault, Reupload, Settings};

use super::*;
use crate::support::SET;

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
    let asked = scene.gateway.calls().of("DescribeVodDomainCertificateInfo");
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
