//! Killed while proofs are published, stand, and are taken away.

use vodcertd::aliyun::alidns::RecordId;
use vodcertd::aliyun::{Client, Environment, Limiter};
use vodcertd::clock::Clock;
use vodcertd::config;
use vodcertd::name::Label;
use vodcertd_sandbox::gateway::{Disturbance, Fault};

use super::*;

#[tokio::test]
async fn a_proof_that_was_announced_and_not_published_is_published() {
    let scene = scene().await;
    let faults = scene.gateway.faults();
    faults.push(Fault::once(Disturbance::Delay(NEVER)).on("AddDomainRecord"));
    kill_when(&scene, "the proof is sent", || faults.waiting() == 0).await;
    assert_eq!(open_journal_rows(&scene).await, 1);
    assert_eq!(scene.proofs(), 0);

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 1);
    assert_eq!(published(&scene), 1);
}

#[tokio::test]
async fn a_proof_whose_id_was_not_stored_is_adopted() {
    let scene = killed_before("UPDATE ON journal").await;
    assert_eq!(scene.proofs(), 1);

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 1);
    assert_eq!(published(&scene), 1, "published twice");
}

#[tokio::test]
async fn a_published_proof_is_adopted_by_the_order_that_is_taken_up() {
    let scene = scene().await;
    scene.dns.set_delay(NEVER);
    kill_when_published(&scene).await;
    scene.dns.set_delay(Duration::ZERO);

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 1);
    assert_eq!(published(&scene), 1);
}

/// Kills a daemon that waits for its proof to be seen.
async fn kill_when_published(scene: &Scene) {
    scene.make_store().await;
    let daemon = scene.spawn();
    let sql = "SELECT COUNT(*) FROM journal WHERE json_extract(payload, '$.record_id') IS NOT NULL";
    scene
        .until("the proof is published", async || {
            scene.number(sql).await == 1
        })
        .await;
    daemon.kill().await;
    assert_eq!(scene.proofs(), 1);
}

#[tokio::test]
async fn a_published_proof_is_removed_with_the_order_that_is_not_wanted_any_more() {
    let mut scene = scene().await;
    scene.dns.set_delay(NEVER);
    kill_when_published(&scene).await;
    scene.dns.set_delay(Duration::ZERO);
    scene.set_certificates(
        "[[certificates]]\nname = \"video\"\nnames = [\"*.example.com\"]\n\
         targets = [{ domains = [\"v.example.com\"] }]\n",
    );

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 2);
    assert_eq!(scene.certificates_at_ca(), 1);
}

#[tokio::test]
async fn a_removal_that_was_not_recorded_is_recorded_when_there_is_work_again() {
    let scene = scene().await;
    scene.make_store().await;
    scene
        .hold("UPDATE ON journal WHEN NEW.closed_at IS NOT NULL")
        .await;
    let daemon = scene.spawn();
    scene.until_seen(LABEL, 1).await;
    scene
        .until("the proof is taken away", async || scene.proofs() == 0)
        .await;
    daemon.kill().await;
    assert_eq!(open_journal_rows(&scene).await, 1);
    scene.let_go().await;
    make_due(&scene).await;

    let daemon = scene.spawn();
    scene
        .until("the row is closed", async || {
            open_journal_rows(&scene).await == 0
        })
        .await;
    assert!(daemon.terminate().await);
    assert_eq!(scene.orders_at_ca(), 1);
}

async fn make_due(scene: &Scene) {
    let store = scene.open_store().await;
    let label: Label = LABEL.parse().unwrap();
    store.make_due(&label, Clock::System.now()).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_proof_that_somebody_removed_meanwhile_is_published_again() {
    let scene = scene().await;
    scene.dns.set_delay(NEVER);
    kill_when_published(&scene).await;
    scene.dns.set_delay(Duration::ZERO);
    let record = scene.world.records(ZONE).remove(0);
    let cloud = cloud(&scene);
    let id = RecordId::new(record.id.to_string());
    cloud.delete_record(&id).await.unwrap();
    assert_eq!(scene.proofs(), 0);

    go_on(&scene, 1).await;

    assert_eq!(scene.orders_at_ca(), 1);
}

/// The cloud as somebody else has it who holds the same access key.
fn cloud(scene: &Scene) -> Client {
    let config = config::load(&scene.write_config()).unwrap().config;
    let cloud = config.clouds["default"].clone();
    let (clock, limiter) = (Clock::System, Limiter::default());
    let environment = Environment::default();
    Client::new(cloud, &config.network, &environment, clock, limiter).unwrap()
}

#[tokio::test]
async fn a_proof_whose_removal_was_cut_off_is_removed() {
    for disturbance in [
        Disturbance::Delay(NEVER),
        Disturbance::PerformThenDelay(NEVER),
    ] {
        let scene = scene().await;
        let faults = scene.gateway.faults();
        faults.push(Fault::once(disturbance).on("DeleteDomainRecord"));
        kill_when(&scene, "the removal is sent", || faults.waiting() == 0).await;

        go_on(&scene, 1).await;

        assert_eq!(scene.orders_at_ca(), 1);
        assert_eq!(scene.certificates_at_ca(), 1);
    }
}

/// The row of a proof that belongs to no order tells of it all the same.
#[tokio::test]
async fn a_proof_of_who_owns_the_domain_is_taken_away_by_the_next_start() {
    let builder = Scene::builder(&[DOMAIN]).certificates(&format!(
        "{ONE}[[certificates.targets]]\nverify_owner = true\n"
    ));
    let scene = builder.pebble(quick).start().await;
    scene.world.doubt_owner(DOMAIN);
    let faults = scene.gateway.faults();
    let fault = vodcertd_sandbox::gateway::Disturbance::Delay(NEVER);
    let fault = vodcertd_sandbox::gateway::Fault::once(fault);
    faults.push(fault.on("VerifyVodDomainOwner"));
    kill_when(&scene, "it is to be checked", || faults.waiting() == 0).await;
    assert_eq!(
        scene.proofs(),
        2,
        "that of the order, and that of the owner"
    );

    let daemon = scene.spawn();
    scene.until_at_rest(LABEL).await;
    assert!(daemon.terminate().await);

    assert_eq!(scene.proofs(), 0);
    assert_eq!(open_journal_rows(&scene).await, 0);
    let asked = scene.gateway.calls().of("DescribeVodVerifyContent");
    assert_eq!(asked.len(), 1, "once a day, whatever became of it");
}
