//! `kill -9` at every point at which a process can leave something half done, and a new start.
//!
//! A write that is held ([`Scene::hold`]) stops the daemon just before it; between two writes it is
//! killed when the other side was seen to be asked.

mod install;
mod order;
mod proof;

use std::time::Duration;

use vodcertd_sandbox::pebble::Builder;

use crate::support::{HELD, Scene};

const LABEL: &str = "video";
const DOMAIN: &str = "v.example.com";
const ZONE: &str = "example.com";
const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";

/// Longer than any test runs.
const NEVER: Duration = Duration::from_hours(1);

async fn scene() -> Scene {
    let builder = Scene::builder(&[DOMAIN]).certificates(ONE);
    builder.pebble(quick).start().await
}

/// Keeps the CA's random sleeps, but short: each test waits for them.
fn quick(pebble: Builder) -> Builder {
    pebble.sleep_at_most(1)
}

/// A scene whose first daemon was killed just before it wrote this.
async fn killed_before(write: &str) -> Scene {
    let scene = scene().await;
    scene.make_store().await;
    kill_before(&scene, write).await;
    scene
}

/// Runs a daemon until it is about to write this, and kills it there.
async fn kill_before(scene: &Scene, write: &str) {
    scene.hold(write).await;
    let mut daemon = scene.spawn();
    daemon.until_said(scene, HELD).await;
    daemon.kill().await;
    assert_no_generation_is_missing(scene).await;
    scene.let_go().await;
}

/// Runs a daemon until this has happened outside of it, and kills it then.
async fn kill_when(scene: &Scene, what: &str, mut happened: impl FnMut() -> bool) {
    let daemon = scene.spawn();
    scene.until(what, async || happened()).await;
    daemon.kill().await;
    assert_no_generation_is_missing(scene).await;
}

/// A new start goes on until the generation is seen, and leaves nothing half done.
async fn go_on(scene: &Scene, generation: u32) {
    let daemon = scene.spawn();
    scene.until_seen(LABEL, generation).await;
    // Proofs are taken away when the certificate comes to rest.
    scene.until_at_rest(LABEL).await;
    assert!(daemon.terminate().await);
    assert_no_generation_is_missing(scene).await;
    assert_eq!(scene.proofs(), 0, "proofs are left at the name");
    assert_eq!(open_journal_rows(scene).await, 0, "rows of things gone");
    assert_eq!(open_orders(scene).await, 0, "orders that are over");
    let issued = scene.record(LABEL).await.unwrap().issued.unwrap();
    assert_eq!(issued.generation, generation);
    let fingerprint = issued.leaf.fingerprint.to_string();
    assert_eq!(scene.installed(DOMAIN), Some(fingerprint));
    scene.gateway.calls().assert_no_key_in_url();
}

/// Every generation that the record names is stored with its key.
async fn assert_no_generation_is_missing(scene: &Scene) {
    let record = scene.record(LABEL).await.unwrap_or_default();
    let issued = record.issued.iter().map(|issued| issued.generation);
    let at_targets = record.targets.values().flat_map(|target| {
        let installed = target.installed.as_ref().map(|one| one.generation);
        let seen = target.seen.map(|one| one.generation);
        let proving = target.proving.as_ref().map(|one| one.generation);
        [installed, seen, proving]
    });
    for generation in issued.chain(at_targets.flatten()) {
        let sql = format!(
            "SELECT COUNT(*) FROM generations WHERE generation = {generation}
             AND chain IS NOT NULL AND key_sealed IS NOT NULL"
        );
        assert_eq!(scene.number(&sql).await, 1, "generation {generation}");
    }
}

async fn open_journal_rows(scene: &Scene) -> i64 {
    let sql = "SELECT COUNT(*) FROM journal WHERE closed_at IS NULL";
    scene.number(sql).await
}

async fn open_orders(scene: &Scene) -> i64 {
    let sql = "SELECT COUNT(*) FROM orders WHERE closed_at IS NULL";
    scene.number(sql).await
}

async fn generations(scene: &Scene) -> i64 {
    scene.number("SELECT COUNT(*) FROM generations").await
}

/// How many reservations of the CA's budget stand; each order makes three.
async fn reservations(scene: &Scene) -> i64 {
    scene.number("SELECT COUNT(*) FROM ledger").await
}

fn published(scene: &Scene) -> usize {
    scene.gateway.calls().performed("AddDomainRecord")
}
