//! The ACME client against a real Pebble, with its refused nonces and random sleeps on.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use vodcertd::acme::chain::check_issued;
use vodcertd::acme::renewal_info::{RenewalInfo, ask};
use vodcertd::acme::{
    Account, AcmeError, Ca, Cause, NewOrder, Opened, Order, OrderState, ProblemType, Proof, account,
};
use vodcertd::certificate::{CertificateError, Chain, KeyType, Leaf};
use vodcertd::clock::Clock;
use vodcertd::keys::PrivateKey;
use vodcertd::name::DnsName;
use vodcertd::net::Network;
use vodcertd::retry::Class;
use vodcertd::secret::Secret;
use vodcertd_sandbox::dns::DnsServer;
use vodcertd_sandbox::pebble::{Builder, Pebble};
use vodcertd_sandbox::world::{RecordKind, World};

/// Longer than Pebble takes for anything.
const PATIENCE: Duration = Duration::from_mins(1);

/// The zone of all names.
const ZONE: &str = "example.com";

/// A Pebble that validates through a name server of ours, and what we know of it.
struct Stage {
    pebble: Pebble,
    world: World,
    ca: Ca,
    key: Secret,
    _dns: DnsServer,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|pebble| pebble).await
    }

    async fn with(change: impl FnOnce(Builder) -> Builder) -> Self {
        let world = World::new();
        world.add_zone(ZONE);
        let dns = DnsServer::start(world.clone()).await.unwrap();
        let second = Duration::from_secs(1);
        let builder = Pebble::builder()
            .dns_server(dns.address())
            .retry_after(second, second)
            .sleep_at_most(2);
        let pebble = change(builder).start().await.unwrap();
        Self {
            ca: ca(&pebble),
            key: account::generate_account_key().unwrap(),
            pebble,
            world,
            _dns: dns,
        }
    }

    async fn open(&self, url: Option<&str>) -> Result<Opened, AcmeError> {
        account::open(&self.ca, &self.key, url, &["ops@example.com".to_owned()]).await
    }

    async fn account(&self) -> Account {
        let opened = self.open(None).await.unwrap();
        assert!(opened.contacts_refused.is_none(), "{opened:?}");
        opened.account
    }

    fn publish(&self, proofs: &[Proof]) {
        for proof in proofs {
            self.publish_value(&proof.name, &proof.txt_value);
        }
    }

    fn publish_value(&self, name: &DnsName, value: &str) {
        let host = name.as_str().strip_suffix(ZONE).unwrap();
        let rr = format!("_acme-challenge.{host}");
        let rr = rr.trim_end_matches('.');
        self.world.add_record(ZONE, rr, RecordKind::Txt, value);
    }

    /// The whole way to a certificate.
    async fn issue(&self, account: &Account, new: &NewOrder<'_>) -> (PrivateKey, Chain) {
        let mut order = Order::begin(account, new).await.unwrap();
        self.complete(&mut order, new.names).await
    }

    async fn complete(&self, order: &mut Order, names: &BTreeSet<DnsName>) -> (PrivateKey, Chain) {
        let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
        let proofs = order.proofs().await.unwrap();
        self.publish(&proofs);
        order.answer(&proofs).await.unwrap();
        order.wait_ready(PATIENCE).await.unwrap();
        order.finalize(&key.csr(names).unwrap()).await.unwrap();
        let chain = order.download(PATIENCE).await.unwrap();
        check_issued(&chain, &key, names, Clock::System.now()).unwrap();
        (key, chain)
    }
}

fn ca(pebble: &Pebble) -> Ca {
    let root = Chain::from_pem(pebble.ca_pem()).unwrap();
    let network = Network {
        extra_roots: root.certificates().to_vec(),
        ..Network::default()
    };
    let url = pebble.directory_url().parse().unwrap();
    Ca::new(&url, network.client().unwrap(), Clock::System).unwrap()
}

fn names(names: &[&str]) -> BTreeSet<DnsName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn plain(names: &BTreeSet<DnsName>) -> NewOrder<'_> {
    NewOrder {
        names,
        replaces: None,
        profile: None,
    }
}

fn code(error: &AcmeError) -> String {
    error.failure(Clock::System.now(), "d").code
}

/// With everything that Pebble does on its own to make it hard.
#[tokio::test]
async fn a_name_its_wildcard_and_another_are_one_certificate() {
    let stage = Stage::with(|pebble| pebble.sleep_at_most(5)).await;
    let account = stage.account().await;
    let wanted = names(&["v.example.com", "*.v.example.com", "w.example.com"]);
    let mut order = Order::begin(&account, &plain(&wanted)).await.unwrap();
    assert_eq!(order.state(), OrderState::Pending);
    let proofs = order.proofs().await.unwrap();
    let shown: Vec<_> = proofs
        .iter()
        .map(|proof| (proof.name.as_str(), proof.wildcard))
        .collect();
    assert_eq!(
        shown,
        [
            ("v.example.com", false),
            ("v.example.com", true),
            ("w.example.com", false)
        ]
    );
    let (_, chain) = stage.complete(&mut order, &wanted).await;
    assert_eq!(chain.leaf().names, wanted);
    assert!(chain.certificates().len() > 1, "with its intermediate");
    assert_eq!(order.state(), OrderState::Valid);
    let reading = stage.ca.clock_reading().unwrap();
    assert!(
        reading.remote.distance(reading.local) < PATIENCE,
        "{reading:?}"
    );
}

/// A new process at every step: nothing is kept but what the daemon stores.
#[tokio::test]
async fn an_order_is_resumed_at_every_state() {
    let stage = Stage::new().await;
    let url = stage.account().await.url().to_owned();
    let wanted = names(&["v.example.com", "*.v.example.com"]);
    let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
    let csr = key.csr(&wanted).unwrap();
    let account = async || stage.open(Some(&url)).await.unwrap().account;

    let order = Order::begin(&account().await, &plain(&wanted))
        .await
        .unwrap();
    let order_url = order.url().to_owned();
    drop(order);
    let resume = async || {
        let order = Order::resume(&account().await, &order_url).await.unwrap();
        order.unwrap()
    };

    let mut order = resume().await;
    assert_eq!(order.state(), OrderState::Pending);
    let proofs = order.proofs().await.unwrap();
    stage.publish(&proofs);

    let mut order = resume().await;
    assert_eq!(
        order.proofs().await.unwrap(),
        proofs,
        "the same after a restart"
    );
    order.answer(&proofs).await.unwrap();

    // Answered, but we do not know: the same is done again.
    let mut order = resume().await;
    let left = order.proofs().await.unwrap();
    order.answer(&left).await.unwrap();
    order.wait_ready(PATIENCE).await.unwrap();

    let mut order = resume().await;
    assert_eq!(order.state(), OrderState::Ready);
    assert_eq!(order.proofs().await.unwrap(), []);
    order.wait_ready(PATIENCE).await.unwrap();
    order.finalize(&csr).await.unwrap();

    // Finalised, but we do not know.
    let mut order = resume().await;
    assert!(matches!(
        order.state(),
        OrderState::Processing | OrderState::Valid
    ));
    order.finalize(&csr).await.unwrap();
    let first = order.download(PATIENCE).await.unwrap();

    let mut order = resume().await;
    assert_eq!(order.state(), OrderState::Valid);
    let again = order.download(PATIENCE).await.unwrap();
    assert_eq!(again, first);
    check_issued(&again, &key, &wanted, Clock::System.now()).unwrap();
}

#[tokio::test]
async fn a_failed_proof_is_told_by_name() {
    let stage = Stage::new().await;
    let wanted = names(&["good.example.com", "bad.example.com", "*.bad.example.com"]);
    let mut order = Order::begin(&stage.account().await, &plain(&wanted))
        .await
        .unwrap();
    let order_url = order.url().to_owned();
    let proofs = order.proofs().await.unwrap();
    for proof in &proofs {
        let wrong = proof.name.as_str() == "bad.example.com" && proof.wildcard;
        let value = if wrong { "wrong" } else { &proof.txt_value };
        stage.publish_value(&proof.name, value);
    }
    order.answer(&proofs).await.unwrap();
    let error = order.wait_ready(PATIENCE).await.unwrap_err();
    let Cause::OrderInvalid { rejections, .. } = &error.cause else {
        panic!("{error:?}");
    };
    let rejected: Vec<_> = rejections
        .iter()
        .map(|rejection| (rejection.name.as_str(), rejection.problem.kind))
        .collect();
    assert_eq!(rejected, [("*.bad.example.com", ProblemType::Unauthorized)]);
    let failure = error.failure(Clock::System.now(), stage.ca.directory());
    assert_eq!(failure.class(1), Class::Backoff);
    assert!(failure.message.contains("*.bad.example.com"), "{failure:?}");

    // After a restart, too.
    let resumed = Order::resume(&stage.account().await, &order_url).await;
    let mut order = resumed.unwrap().unwrap();
    assert_eq!(order.state(), OrderState::Invalid);
    assert_eq!(code(&order.failure_reasons().await), "unauthorized");
}

#[tokio::test]
async fn an_account_is_made_once_and_found_by_its_key() {
    let stage = Stage::new().await;
    let made = stage.open(None).await.unwrap();
    assert!(made.created);
    let found = stage.open(None).await.unwrap();
    assert!(!found.created);
    assert_eq!(found.account.url(), made.account.url());
}

#[tokio::test]
async fn a_ca_that_forgot_everything_gets_a_new_account() {
    let mut stage = Stage::new().await;
    let account = stage.account().await;
    let wanted = names(&["v.example.com"]);
    let order = Order::begin(&account, &plain(&wanted)).await.unwrap();
    let lost = order.url().to_owned();
    stage.pebble.restart().await.unwrap();

    let stored = stage.open(Some(account.url())).await.unwrap().account;
    let error = Order::begin(&stored, &plain(&wanted)).await.unwrap_err();
    assert!(error.account_is_gone(), "{error:?}");
    let failure = error.failure(Clock::System.now(), stage.ca.directory());
    assert_eq!(failure.class(1), Class::Refresh);
    let error = Order::resume(&stored, &lost).await.unwrap_err();
    assert!(error.account_is_gone(), "{error:?}");

    let opened = stage.open(None).await.unwrap();
    assert!(opened.created);
    let resumed = Order::resume(&opened.account, &lost).await.unwrap();
    assert!(resumed.is_none(), "{resumed:?}");
    stage.issue(&opened.account, &plain(&wanted)).await;
}

#[tokio::test]
async fn an_unreachable_ca_is_an_outage() {
    let mut stage = Stage::new().await;
    let account = stage.account().await;
    stage.pebble.stop().await.unwrap();
    let wanted = names(&["v.example.com"]);
    let error = Order::begin(&account, &plain(&wanted)).await.unwrap_err();
    assert_eq!(code(&error), "unreachable");
    assert_eq!(code(&stage.open(None).await.unwrap_err()), "unreachable");
}

#[tokio::test]
async fn renewal_information_is_asked_for_and_what_makes_no_sense_is_none() {
    let stage = Stage::new().await;
    let wanted = names(&["v.example.com"]);
    let (_, chain) = stage.issue(&stage.account().await, &plain(&wanted)).await;
    let leaf = chain.leaf();
    let RenewalInfo::Suggested { window, .. } = ask(&stage.ca, leaf).await.unwrap() else {
        panic!("Pebble suggests a window for every certificate");
    };
    assert!(leaf.not_before < window.start() && window.end() < leaf.not_after);

    let set = async |start: &str, end: &str| {
        let info = json!({
            "suggestedWindow": { "start": start, "end": end },
            "explanationURL": "https://ca.test/incident",
        });
        stage
            .pebble
            .set_renewal_info(&chain.to_pem(), &info)
            .await
            .unwrap();
        ask(&stage.ca, leaf).await.unwrap()
    };
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let RenewalInfo::Suggested {
        window,
        explanation_url,
        ask_again,
    } = set(early, late).await
    else {
        panic!("a window in the past is a window");
    };
    assert_eq!(window.start().to_string(), early);
    assert_eq!(explanation_url.as_deref(), Some("https://ca.test/incident"));
    assert!(ask_again > Clock::System.now());
    for (start, end) in [(late, early), (early, early), ("soon", "later")] {
        let answer = set(start, end).await;
        assert!(matches!(answer, RenewalInfo::NoAnswer { .. }), "{answer:?}");
    }
}

#[tokio::test]
async fn renewal_information_for_a_stranger_s_certificate_is_none() {
    let stage = Stage::new().await;
    let other = Stage::new().await;
    let wanted = names(&["v.example.com"]);
    let (_, chain) = other.issue(&other.account().await, &plain(&wanted)).await;
    let answer = ask(&stage.ca, chain.leaf()).await.unwrap();
    assert!(matches!(answer, RenewalInfo::NoAnswer { .. }), "{answer:?}");
}

#[tokio::test]
async fn a_certificate_is_replaced_once_and_then_renewed_all_the_same() {
    let stage = Stage::new().await;
    let account = stage.account().await;
    let wanted = names(&["v.example.com"]);
    let (_, first) = stage.issue(&account, &plain(&wanted)).await;
    let renew = async |leaf: &Leaf| {
        let replacing = NewOrder {
            replaces: Some(leaf),
            ..plain(&wanted)
        };
        Order::begin(&account, &replacing).await.unwrap()
    };
    let mut order = renew(first.leaf()).await;
    assert!(order.replaces_a_certificate());
    stage.complete(&mut order, &wanted).await;

    let mut order = renew(first.leaf()).await;
    assert!(!order.replaces_a_certificate(), "it has been replaced");
    stage.complete(&mut order, &wanted).await;

    let other = Stage::new().await;
    let (_, foreign) = other.issue(&other.account().await, &plain(&wanted)).await;
    let mut order = renew(foreign.leaf()).await;
    assert!(!order.replaces_a_certificate(), "it is not of this CA");
}

#[tokio::test]
async fn a_profile_is_ordered_and_an_unknown_one_refused() {
    let stage = Stage::with(|pebble| {
        pebble
            .validity(Duration::from_hours(24))
            .profile("shortlived", Duration::from_mins(10))
    })
    .await;
    let account = stage.account().await;
    let wanted = names(&["v.example.com"]);
    let with = |profile| NewOrder {
        profile: Some(profile),
        ..plain(&wanted)
    };
    let (_, chain) = stage.issue(&account, &with("shortlived")).await;
    assert!(chain.leaf().lifetime() <= Duration::from_mins(10));
    let error = Order::begin(&account, &with("unknown")).await.unwrap_err();
    assert_eq!(code(&error), "invalidProfile");
}

#[tokio::test]
async fn a_refused_name_is_named() {
    let stage = Stage::with(|pebble| pebble.blocked_name("blocked.example.com")).await;
    let wanted = names(&["v.example.com", "blocked.example.com"]);
    let account = stage.account().await;
    let error = Order::begin(&account, &plain(&wanted)).await.unwrap_err();
    let failure = error.failure(Clock::System.now(), stage.ca.directory());
    assert_eq!(failure.code, "rejectedIdentifier");
    assert_eq!(failure.class(1), Class::Operator);
    assert!(
        failure.message.contains("blocked.example.com"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_ca_that_wants_a_binding_says_so() {
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let stage = Stage::with(|pebble| pebble.external_account("kid-1", key)).await;
    let error = stage.open(None).await.unwrap_err();
    assert_eq!(code(&error), "externalAccountRequired");
}

#[tokio::test]
async fn two_of_five_nonces_refused_stop_nothing() {
    let stage = Stage::with(|pebble| pebble.nonce_reject(40)).await;
    let wanted = names(&["v.example.com", "*.v.example.com", "w.example.com"]);
    stage.issue(&stage.account().await, &plain(&wanted)).await;
}

#[tokio::test]
async fn a_chain_of_several_intermediates_holds_together_and_survives_pem() {
    let stage = Stage::with(|pebble| pebble.chain_length(3)).await;
    let wanted = names(&["v.example.com"]);
    let (_, chain) = stage.issue(&stage.account().await, &plain(&wanted)).await;
    assert_eq!(chain.certificates().len(), 4);
    let again = Chain::from_pem(&chain.to_pem()).unwrap();
    assert_eq!(again.certificates(), chain.certificates());
    again.check_links().unwrap();
    let mut certificates = chain.certificates().to_vec();
    certificates.swap(1, 2);
    let mixed = Chain::from_der(certificates).unwrap();
    assert_eq!(mixed.check_links(), Err(CertificateError::BrokenLink(0)));
}

#[tokio::test]
async fn names_that_are_proven_need_no_proof() {
    let stage = Stage::with(|pebble| pebble.authz_reuse(100)).await;
    let account = stage.account().await;
    let wanted = names(&["v.example.com"]);
    stage.issue(&account, &plain(&wanted)).await;
    let mut order = Order::begin(&account, &plain(&wanted)).await.unwrap();
    assert_eq!(order.proofs().await.unwrap(), []);
    stage.complete(&mut order, &wanted).await;
}

#[tokio::test]
async fn an_abandoned_order_is_over() {
    let stage = Stage::new().await;
    let account = stage.account().await;
    let wanted = names(&["v.example.com", "w.example.com"]);
    let mut order = Order::begin(&account, &plain(&wanted)).await.unwrap();
    order.abandon().await.unwrap();
    let error = order.proofs().await.unwrap_err();
    assert!(
        matches!(error.cause, Cause::OrderInvalid { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn orders_of_one_account_run_at_the_same_time() {
    let stage = Stage::new().await;
    let account = stage.account().await;
    let issue = async |name: &str| {
        let wanted = names(&[name]);
        let (_, chain) = stage.issue(&account, &plain(&wanted)).await;
        chain.leaf().names == wanted
    };
    let done = tokio::join!(
        issue("a.example.com"),
        issue("b.example.com"),
        issue("c.example.com"),
        issue("d.example.com"),
    );
    assert_eq!(done, (true, true, true, true));
}
