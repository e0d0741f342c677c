//! The life of a certificate: first issue, renewal, a changed configuration, a restart.

use std::time::Duration;

use serde_json::json;
use vodcertd::acme::{Account, Ca, Order, account};
use vodcertd::certificate::KeyType;
use vodcertd::clock::Clock;
use vodcertd::config;
use vodcertd::name::DnsName;
use vodcertd_sandbox::world::{CertSource, Env, RecordKind};

use crate::support::{SET, Scene};

const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";

const HOUR: Duration = Duration::from_hours(1);

async fn one() -> Scene {
    Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .start()
        .await
}

#[tokio::test]
async fn a_certificate_is_obtained_installed_and_seen() {
    let scene = one().await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let record = scene.record("video").await.unwrap();
    let leaf = record.issued.unwrap().leaf;
    assert_eq!(
        scene.installed("v.example.com"),
        Some(leaf.fingerprint.to_string())
    );
    assert_eq!(scene.proofs(), 0, "the proofs were not taken away");
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 1));
    scene.gateway.calls().assert_no_key_in_url();
}

#[tokio::test]
async fn apex_wildcard_and_another_name_share_a_certificate_with_two_targets() {
    let scene = Scene::builder(&["example.com", ".example.com"])
        .certificates(
            "[[certificates]]\nname = \"site\"\nkey = \"rsa-2048\"\n\
             names = [\"example.com\", \"*.example.com\", \"deep.v.example.com\"]\n\
             [[certificates.targets]]\ndomains = [\"example.com\", \".example.com\"]\n",
        )
        .start()
        .await;
    let daemon = scene.run();
    scene.until_seen("site", 1).await;
    scene.until_at_rest("site").await;
    daemon.stop().await;
    let bindings = ["example.com", ".example.com"]
        .map(|domain| scene.world.installed(domain, Env::Production).unwrap());
    let names = &bindings[0].certificate.pair.leaf().names;
    assert_eq!(names.len(), 3, "{names:?}");
    // The first target is sent the pair, the second one is told the id under which it is stored.
    // `.` sorts before `e`: the wildcard's target comes first.
    let [second, first] = &bindings;
    assert_eq!(first.source, CertSource::Upload);
    assert_eq!(second.source, CertSource::Cas);
    assert_eq!(first.certificate.id, second.certificate.id);
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
    scene.gateway.calls().assert_no_key_in_url();
}

/// A wildcard domain leads to the CDN by a wildcard record, which stands for the proof's name as well
/// until the proof is there.
#[tokio::test]
async fn a_wildcard_domain_whose_names_lead_to_the_cdn_is_proven() {
    let scene = Scene::builder(&[".v.example.com"])
        .certificates("[[certificates]]\nname = \"video\"\nnames = [\"*.v.example.com\"]\n")
        .start()
        .await;
    scene.world.add_foreign_zone("cdn.example.net");
    let (kind, target) = (RecordKind::Cname, "v.cdn.example.net");
    scene.world.add_record("example.com", "*.v", kind, target);
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
}

#[tokio::test]
async fn a_certificate_is_renewed_before_it_runs_out() {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(&format!("{ONE}renew = {{ at = \"1/3\" }}\n"))
        .pebble(|pebble| pebble.validity(Duration::from_secs(18)))
        .start()
        .await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    let first = scene.record("video").await.unwrap().issued.unwrap();
    scene.until_seen("video", 2).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let second = scene.record("video").await.unwrap().issued.unwrap();
    assert_eq!((first.generation, second.generation), (1, 2));
    let third = first.leaf.at_fraction(1.0 / 3.0);
    assert!(second.leaf.not_before >= third - Duration::from_secs(1));
    assert!(second.at < first.leaf.not_after, "renewed too late");
    assert_eq!(
        scene.installed("v.example.com"),
        Some(second.leaf.fingerprint.to_string())
    );
    assert_eq!((scene.orders_at_ca(), scene.installs()), (2, 2));
    assert_eq!(scene.replacements_at_ca(), 1);
}

#[tokio::test]
async fn a_certificate_is_renewed_because_the_ca_says_so() {
    let scene = one().await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let info = json!({
        "suggestedWindow": { "start": "2025-01-02T04:00:00Z", "end": "2025-01-03T04:00:00Z" },
        "explanationURL": "https://ca.example/why",
    });
    let installed = scene.world.installed("v.example.com", Env::Production);
    let leaf = installed.unwrap().certificate.pair.chain_pem().to_owned();
    scene.pebble.set_renewal_info(&leaf, &info).await.unwrap();

    scene.run_until_at_rest("video").await;
    assert_eq!(
        scene.orders_at_ca(),
        1,
        "asked before the CA wanted to be asked"
    );
    scene.let_pass(&["video"], HOUR * 7).await;
    let daemon = scene.run();
    scene.until_seen("video", 2).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    assert_eq!((scene.orders_at_ca(), scene.installs()), (2, 2));
    assert_eq!(scene.replacements_at_ca(), 1);
    let told = scene.history("video").await;
    let told = told.iter().find(|entry| entry.kind == "renewal-info");
    assert!(told.is_some(), "nobody was told of the window");
}

#[tokio::test]
async fn other_names_are_ordered_at_the_next_start() {
    let mut scene = Scene::builder(&["v.example.com", "w.example.com"])
        .certificates(ONE)
        .start()
        .await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;

    scene.set_certificates(
        "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\", \"w.example.com\"]\n",
    );
    let daemon = scene.run();
    scene.until_seen("video", 2).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let leaf = scene.record("video").await.unwrap().issued.unwrap().leaf;
    let names: Vec<_> = leaf.names.iter().map(DnsName::as_str).collect();
    assert_eq!(names, ["v.example.com", "w.example.com"]);
    let fingerprint = Some(leaf.fingerprint.to_string());
    assert_eq!(scene.installed("v.example.com"), fingerprint);
    assert_eq!(scene.installed("w.example.com"), fingerprint);
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (2, 0));
}

/// Our account and the URL of the order under way.
async fn order_under_way(scene: &Scene) -> (Account, String) {
    let config = config::load(&scene.write_config()).unwrap().config;
    let http = config.network.client().unwrap();
    let ca = Ca::new(&config.issuers["pebble"].directory, http, Clock::System).unwrap();
    let store = scene.open_store().await;
    let account = store.account(ca.directory()).await.unwrap().unwrap();
    let row = store.open_order(&"video".parse().unwrap()).await.unwrap();
    store.close().await;
    let opened = account::open(&ca, &account.key, account.url.as_deref(), &[]);
    (opened.await.unwrap().account, row.unwrap().url.unwrap())
}

#[tokio::test]
async fn an_order_for_names_that_are_not_wanted_any_more_is_dropped() {
    let mut scene = Scene::builder(&["w.example.com"])
        .certificates(ONE)
        .start()
        .await;
    scene.dns.set_delay(HOUR);
    let daemon = scene.run();
    scene
        .until("a proof is published", async || scene.proofs() == 1)
        .await;
    daemon.stop().await;
    let (account, url) = order_under_way(&scene).await;

    scene.dns.set_delay(Duration::ZERO);
    scene.set_certificates("[[certificates]]\nname = \"video\"\nnames = [\"w.example.com\"]\n");
    scene.run_until_at_rest("video").await;
    // The CA does not wait for it any more, nor hands its authorisations out again.
    let mut dropped = Order::resume(&account, &url).await.unwrap().unwrap();
    let told = dropped.failure_reasons().await.cause.to_string();
    assert!(told.contains("deactivated"), "{told}");
    assert_eq!(scene.count("video", "order-dropped").await, 1);
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (2, 0));
    let leaf = scene.record("video").await.unwrap().issued.unwrap().leaf;
    let names: Vec<_> = leaf.names.iter().map(DnsName::as_str).collect();
    assert_eq!(names, ["w.example.com"]);
    let fingerprint = Some(leaf.fingerprint.to_string());
    assert_eq!(scene.installed("w.example.com"), fingerprint);
}

#[tokio::test]
async fn another_kind_of_key_is_ordered_at_the_next_start() {
    let mut scene = one().await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let key = scene
        .record("video")
        .await
        .unwrap()
        .issued
        .unwrap()
        .leaf
        .key;
    assert_eq!(key, Some(KeyType::EcdsaP256));

    scene.set_certificates(&format!("{ONE}key = \"rsa-2048\"\n"));
    let daemon = scene.run();
    scene.until_seen("video", 2).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let key = scene
        .record("video")
        .await
        .unwrap()
        .issued
        .unwrap()
        .leaf
        .key;
    assert_eq!(key, Some(KeyType::Rsa2048));
    assert_eq!((scene.orders_at_ca(), scene.installs()), (2, 2));
}

#[tokio::test]
async fn a_restart_does_nothing_that_was_done() {
    let scene = one().await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let before = scene.record("video").await;
    let calls = scene.gateway.calls().all().len();

    // Due at once, so that everything is decided anew.
    scene.let_pass(&["video"], Duration::ZERO).await;
    scene.run_until_at_rest("video").await;
    assert_eq!(scene.record("video").await, before);
    assert_eq!(scene.gateway.calls().all().len(), calls);
    assert_eq!(scene.orders_at_ca(), 1);
    assert!(scene.rests_for("video").await > HOUR);
    assert_eq!(scene.gateway.calls().performed(SET), 1);
}
