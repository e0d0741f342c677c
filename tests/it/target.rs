//! The target `aliyun-vod` against the sandbox's gateway and edge.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use vodcertd::aliyun::Code;
use vodcertd::certificate::{Chain, Fingerprint};
use vodcertd::clock::Clock;
use vodcertd::dns::{Dns, DnsSettings};
use vodcertd::keys::{KeyFormat, PrivateKey};
use vodcertd::retry::Class;
use vodcertd::secret::Secret;
use vodcertd::target::cert_name::{CertName, InstallationId};
use vodcertd::target::probe::{HandshakeFailure, Unreachable};
use vodcertd::target::vod::VodSettings;
use vodcertd::target::{
    Encoding, Env, InstallError, Installation, Look, LookError, Sight, Source, StoredCertificate,
    Target, Upload, Vod,
};
use vodcertd_sandbox::dns::DnsServer;
use vodcertd_sandbox::edge::{Breakage, Edge, UnknownName};
use vodcertd_sandbox::forge::{self, KeyKind, Validity};
use vodcertd_sandbox::gateway::{Disturbance, Fault, Gateway, Refusal};
use vodcertd_sandbox::pem::{KeyForms, Pair};
use vodcertd_sandbox::world::{self, CertSource, RecordKind, World};

use crate::cloud;

const DOMAIN: &str = "v.example.com";
const SET: &str = "SetVodDomainSSLCertificate";

fn the_installation() -> InstallationId {
    "3f9c1d07".parse().unwrap()
}

/// Longer than any test lasts.
const NEVER: Duration = Duration::from_hours(1);

/// An account with the domains `v.example.com` and `.example.com`, its gateway and its edge.
struct Stage {
    world: World,
    gateway: Gateway,
    edge: Edge,
}

/// A chain with its key and the name to store it under.
struct Generation {
    chain: Chain,
    key: PrivateKey,
    cert_name: CertName,
}

impl Stage {
    async fn new() -> Self {
        let world = World::new();
        world.add_domain(DOMAIN);
        world.add_domain(".example.com");
        Self {
            gateway: Gateway::start(world.clone()).await.unwrap(),
            edge: Edge::start(world.clone()).await.unwrap(),
            world,
        }
    }

    /// The defaults, but for the edge's port, which is not 443 here.
    fn settings(&self, domain: &str) -> VodSettings {
        VodSettings {
            look_addresses: BTreeSet::from([self.edge.production().address()]),
            staging_addresses: BTreeSet::from([self.edge.staging().address()]),
            ..VodSettings::new(domain.parse().unwrap())
        }
    }

    fn target(&self) -> Target {
        self.target_with(self.settings(DOMAIN))
    }

    fn target_with(&self, settings: VodSettings) -> Target {
        let client = Arc::new(cloud::client(&self.gateway));
        let dns = Dns::new(DnsSettings::default());
        Target::AliyunVod(Vod::new(client, dns, settings))
    }

    fn disturb_once(&self, action: &str, disturbance: Disturbance) {
        let fault = Fault::once(disturbance).on(action);
        self.gateway.faults().push(fault);
    }

    /// The leaf installed in production.
    fn installed_leaf(&self, domain: &str) -> Option<String> {
        let installed = self.world.installed(domain, world::Env::Production)?;
        Some(installed.certificate.pair.leaf().sha256.clone())
    }
}

impl Generation {
    fn new(number: u32, names: &[&str]) -> Self {
        Self::valid(number, names, forge::valid_now())
    }

    fn valid(number: u32, names: &[&str], validity: Validity) -> Self {
        let forged = forge::issue(names, KeyKind::P256, validity);
        let chain = Chain::from_pem(&forged.chain_pem).unwrap();
        let label = "video".parse().unwrap();
        Self {
            cert_name: CertName::new(&the_installation(), &label, number, chain.leaf(), 0),
            key: PrivateKey::from_pem(&Secret::new(forged.pkcs8_pem)).unwrap(),
            chain,
        }
    }

    fn leaf(&self) -> Fingerprint {
        self.chain.leaf().fingerprint
    }

    /// The fingerprints of what is sent: the chain without its root.
    fn sent(&self) -> Vec<Fingerprint> {
        let sent = Chain::from_pem(&self.chain.to_pem()).unwrap();
        sent.fingerprints()
    }

    fn upload(&self, env: Env) -> Installation<'_> {
        self.upload_as(env, Encoding::Configured)
    }

    fn upload_as(&self, env: Env, encoding: Encoding) -> Installation<'_> {
        Installation {
            env,
            source: Source::Upload(Upload {
                cert_name: &self.cert_name,
                chain: &self.chain,
                key: &self.key,
                encoding,
            }),
        }
    }
}

async fn install(target: &Target, generation: &Generation) {
    let installation = generation.upload(Env::Production);
    target.install(&installation).await.unwrap();
}

/// What is stored under the name of a generation.
async fn stored(target: &Target, generation: &Generation) -> Option<StoredCertificate> {
    let name = generation.cert_name.to_string();
    target.find_stored(&name, &generation.chain).await.unwrap()
}

async fn look(target: &Target) -> Look {
    look_in(target, Env::Production).await
}

async fn look_in(target: &Target, env: Env) -> Look {
    target.look(env, &BTreeSet::new()).await.unwrap()
}

/// Whether every address that was reached serves this generation.
fn serves(look: &Look, generation: &Generation) -> bool {
    look.serves_everywhere() && leaves(look).iter().all(|leaf| *leaf == generation.leaf())
}

/// The leaves of the handshakes that were completed, address by address.
fn leaves(look: &Look) -> Vec<Fingerprint> {
    look.served()
        .map(|served| served.leaf.fingerprint)
        .collect()
}

/// An address at which nobody listens.
async fn deserted() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

fn first_failure(error: &InstallError) -> String {
    error.failure(Clock::System.now()).class(1).to_string()
}

#[tokio::test]
async fn an_upload_is_stored_installed_and_served() {
    let stage = Stage::new().await;
    let target = stage.target();
    let generation = Generation::new(1, &[DOMAIN]);
    install(&target, &generation).await;
    let found = stored(&target, &generation).await.unwrap();
    assert_eq!(found.cert_name.as_str(), generation.cert_name.to_string());

    let look = look(&target).await;
    assert!(serves(&look, &generation));
    assert!(look.chain_as_stored(&generation.sent()));
    assert_eq!(stage.edge.production().handshakes(DOMAIN), 1);
    stage.gateway.calls().assert_no_key_in_url();
}

#[tokio::test]
async fn what_is_stored_is_bound_at_another_domain_without_a_key() {
    let stage = Stage::new().await;
    let generation = Generation::new(1, &[DOMAIN, "*.example.com"]);
    let target = stage.target();
    install(&target, &generation).await;
    let copy = stored(&target, &generation).await.unwrap();
    let wildcard = stage.target_with(stage.settings(".example.com"));
    let bound = Installation {
        env: Env::Production,
        source: Source::Stored(&copy),
    };
    wildcard.install(&bound).await.unwrap();
    let binding = stage
        .world
        .installed(".example.com", world::Env::Production)
        .unwrap();
    assert_eq!(binding.source, CertSource::Cas);
    let last = stage.gateway.calls().of(SET).pop().unwrap();
    assert_eq!(last.parameter("SSLPri"), None);

    let look = look(&wildcard).await;
    assert!(serves(&look, &generation));
    let name = "vodcertd-look.example.com";
    assert_eq!(stage.edge.production().handshakes(name), 1);
}

#[tokio::test]
async fn an_installation_whose_answer_was_lost_is_seen_and_can_be_repeated() {
    let stage = Stage::new().await;
    let target = stage.target();
    let generation = Generation::new(1, &[DOMAIN]);
    stage.disturb_once(SET, Disturbance::PerformThenHangUp);
    let installation = generation.upload(Env::Production);
    let lost = target.install(&installation).await.unwrap_err();
    assert!(lost.may_have_happened(), "{lost:?}");
    assert_eq!(first_failure(&lost), "reconcile");

    let read = target.read_back(&the_installation()).await.unwrap();
    assert_eq!(read.ours.as_ref(), Some(&generation.cert_name));
    assert!(serves(&look(&target).await, &generation));

    install(&target, &generation).await;
    assert_eq!(stage.world.certificates().len(), 1);
}

#[tokio::test]
async fn an_installation_that_did_not_happen_is_not_seen() {
    let stage = Stage::new().await;
    let target = stage.target();
    let generation = Generation::new(1, &[DOMAIN]);
    stage.disturb_once(SET, Disturbance::HangUp);
    let installation = generation.upload(Env::Production);
    let lost = target.install(&installation).await.unwrap_err();
    assert!(lost.may_have_happened(), "{lost:?}");

    let read = target.read_back(&the_installation()).await.unwrap();
    assert_eq!(read.ours, None);
    assert_eq!(read.cert_name, None);
    assert_eq!(read.https, Some(false));
    assert_eq!(stored(&target, &generation).await, None);
    assert_eq!(stage.installed_leaf(DOMAIN), None);
}

#[tokio::test]
async fn read_back_tells_our_certificates_from_others() {
    let stage = Stage::new().await;
    let target = stage.target();
    let forged = forge::issue(&[DOMAIN], KeyKind::P256, forge::valid_now());
    let pair = Pair::read(&forged.chain_pem, &forged.key_pem, KeyForms::Traditional).unwrap();
    stage.world.install_foreign(DOMAIN, "by-hand", pair);
    let read = target.read_back(&the_installation()).await.unwrap();
    assert_eq!(read.https, Some(true));
    assert_eq!(read.cert_name.as_deref(), Some("by-hand"));
    assert_eq!(read.ours, None);

    let generation = Generation::new(7, &[DOMAIN]);
    install(&target, &generation).await;
    let read = target.read_back(&the_installation()).await.unwrap();
    assert_eq!(read.ours.map(|name| name.generation()), Some(7));
    let copy = stored(&target, &generation).await.unwrap();
    let stored_at = read.stored_at.unwrap();
    assert_eq!(stored_at.cert_id, copy.cert_id);
    assert_eq!(stored_at.cert_region, copy.cert_region);
    assert_eq!(read.leaf.as_ref(), Some(generation.chain.leaf()));
    let elsewhere = target
        .read_back(&"deadbeef".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(elsewhere.ours, None);
}

#[tokio::test]
async fn a_refused_key_format_is_mended_by_the_traditional_one() {
    let stage = Stage::new().await;
    let target = stage.target_with(VodSettings {
        key_format: KeyFormat::Pkcs8,
        ..stage.settings(DOMAIN)
    });
    let generation = Generation::new(1, &[DOMAIN]);
    let installation = generation.upload(Env::Production);
    let refused = target.install(&installation).await.unwrap_err();
    let remedies = |target: &Target, encoding| {
        let failure = target.install_failure(&refused, encoding, Clock::System.now());
        let classes = failure.course.iter().map(|remedy| remedy.class);
        classes.collect::<Vec<_>>()
    };
    let (reformat, operator) = (Class::Reformat, Class::Operator);
    assert_eq!(
        remedies(&target, Encoding::Configured),
        [reformat, operator]
    );
    assert_eq!(remedies(&target, Encoding::Traditional), [operator]);
    assert_eq!(remedies(&stage.target(), Encoding::Configured), [operator]);
    assert!(!refused.may_have_happened());
    let again = generation.upload_as(Env::Production, Encoding::Traditional);
    target.install(&again).await.unwrap();
    assert!(serves(&look(&target).await, &generation));
}

#[tokio::test]
async fn a_name_that_is_taken_gives_way_to_the_next() {
    let stage = Stage::new().await;
    let target = stage.target();
    let generation = Generation::new(1, &[DOMAIN]);
    let other = Generation::new(1, &[DOMAIN]);
    let forged = Pair::read(
        &other.chain.to_pem(),
        other.key.to_pem(KeyFormat::Traditional).unwrap().expose(),
        KeyForms::Traditional,
    )
    .unwrap();
    let taken = generation.cert_name.to_string();
    let region = world::CertRegion::CnHangzhou;
    stage.world.store_certificate(&taken, region, forged);
    let installation = generation.upload(Env::Production);
    let refused = target.install(&installation).await.unwrap_err();
    let InstallError::Api(error) = &refused else {
        panic!("expected a refusal, got {refused:?}");
    };
    assert_eq!(
        error.code().map(Code::as_str),
        Some("CertNameAlreadyExists")
    );

    let label = "video".parse().unwrap();
    let leaf = generation.chain.leaf();
    let renamed = Generation {
        cert_name: CertName::new(&the_installation(), &label, 1, leaf, 1),
        ..generation
    };
    install(&target, &renamed).await;
    let read = target.read_back(&the_installation()).await.unwrap();
    assert_eq!(read.ours, Some(renamed.cert_name));
}

#[tokio::test]
async fn refusals_ask_for_what_the_service_means() {
    let expired = Generation::valid(1, &[DOMAIN], forge::expired());
    let stage = Stage::new().await;
    let target = stage.target();
    let refused = target.install(&expired.upload(Env::Production)).await;
    assert_eq!(first_failure(&refused.unwrap_err()), "reissue");

    let fresh = Generation::new(1, &[DOMAIN]);
    let throttled = Disturbance::Refuse(Refusal::throttled());
    stage.disturb_once(SET, throttled);
    let refused = target.install(&fresh.upload(Env::Production)).await;
    assert_eq!(first_failure(&refused.unwrap_err()), "backoff");
    assert_eq!(stage.installed_leaf(DOMAIN), None);
}

#[tokio::test]
async fn staging_is_installed_and_looked_at_apart() {
    let stage = Stage::new().await;
    let target = stage.target();
    let (old, new) = (Generation::new(1, &[DOMAIN]), Generation::new(2, &[DOMAIN]));
    install(&target, &old).await;
    let staged = new.upload(Env::Staging);
    target.install(&staged).await.unwrap();
    let staging = look_in(&target, Env::Staging).await;
    assert!(serves(&staging, &new));
    assert!(serves(&look(&target).await, &old));

    let without = stage.target_with(VodSettings {
        staging_addresses: BTreeSet::new(),
        ..stage.settings(DOMAIN)
    });
    let nowhere = without.look(Env::Staging, &BTreeSet::new()).await;
    assert!(matches!(nowhere, Err(LookError::NoStagingAddress)));
}

#[tokio::test]
async fn an_edge_that_lags_serves_the_old_leaf_and_then_the_new() {
    let stage = Stage::new().await;
    let target = stage.target();
    let (old, new) = (Generation::new(1, &[DOMAIN]), Generation::new(2, &[DOMAIN]));
    install(&target, &old).await;
    stage.edge.production().freeze(DOMAIN);
    install(&target, &new).await;
    assert!(serves(&look(&target).await, &old));

    stage.edge.production().thaw(DOMAIN);
    assert!(serves(&look(&target).await, &new));
}

#[tokio::test]
async fn an_edge_that_has_nothing_yet_is_no_broken_leaf() {
    let stage = Stage::new().await;
    let target = stage.target();
    let generation = Generation::new(1, &[DOMAIN]);
    stage.edge.production().set_delay(NEVER);
    install(&target, &generation).await;
    let look = look(&target).await;
    assert_eq!(leaves(&look), []);
    assert!(look.reached_any() && !look.serves_everywhere());
}

#[tokio::test]
async fn breakages_of_the_edge_are_told_apart() {
    let stage = Stage::new().await;
    let target = stage.target();
    let generation = Generation::new(1, &[DOMAIN]);
    install(&target, &generation).await;
    let nodes = stage.edge.production();

    nodes.break_domain(DOMAIN, Breakage::HandshakeFailure);
    let failing = look(&target).await;
    let Sight::HandshakeFailed { reason, .. } = &failing.addresses[&nodes.address()] else {
        panic!("{failing:?}");
    };
    assert!(matches!(reason, HandshakeFailure::Alert(_)), "{reason:?}");
    assert!(failing.reached_any() && !failing.serves_everywhere());

    // Chains of the sandbox's own authority have nothing between leaf and root: a wrong chain shows
    // with the CA that issues through an intermediate, in the daemon's tests.
    nodes.break_domain(DOMAIN, Breakage::DefaultCertificate);
    let foreign = look(&target).await;
    assert!(foreign.serves_everywhere() && !serves(&foreign, &generation));

    nodes.mend(DOMAIN);
    assert!(serves(&look(&target).await, &generation));
}

#[tokio::test]
async fn an_unknown_name_is_served_by_nobody() {
    let stage = Stage::new().await;
    stage
        .edge
        .production()
        .set_unknown_name(UnknownName::Refuse);
    let target = stage.target_with(VodSettings {
        look_name: Some("elsewhere.example.net".into()),
        ..stage.settings(DOMAIN)
    });
    let generation = Generation::new(1, &[DOMAIN]);
    install(&target, &generation).await;
    let look = look(&target).await;
    assert_eq!(leaves(&look), []);
    assert_eq!(
        stage.edge.production().handshakes("elsewhere.example.net"),
        1
    );
}

#[tokio::test]
async fn an_address_that_cannot_be_reached_does_not_hide_the_other() {
    let stage = Stage::new().await;
    let down = deserted().await;
    let mut settings = stage.settings(DOMAIN);
    settings.look_addresses.insert(down);
    let target = stage.target_with(settings);
    let generation = Generation::new(1, &[DOMAIN]);
    install(&target, &generation).await;
    let look = look(&target).await;
    assert_eq!(look.addresses.len(), 2);
    assert_eq!(
        look.addresses[&down],
        Sight::Unreachable(Unreachable::Refused)
    );
    assert!(serves(&look, &generation));
}

#[tokio::test]
async fn configured_addresses_replace_those_known_from_earlier_looks() {
    let stage = Stage::new().await;
    let target = stage.target();
    let known = BTreeSet::from([deserted().await]);
    for (env, nodes) in [
        (Env::Production, stage.edge.production()),
        (Env::Staging, stage.edge.staging()),
    ] {
        let look = target.look(env, &known).await.unwrap();
        let addresses: Vec<SocketAddr> = look.addresses.into_keys().collect();
        assert_eq!(addresses, [nodes.address()]);
    }
}

#[tokio::test]
async fn without_configured_addresses_the_name_is_resolved_at_each_look() {
    let stage = Stage::new().await;
    stage.world.add_zone("example.com");
    let server = DnsServer::start(stage.world.clone()).await.unwrap();
    let dns = Dns::new(DnsSettings {
        resolvers: vec![server.address()],
        authoritative: Vec::new(),
    });
    let settings = VodSettings::new(DOMAIN.parse().unwrap());
    let client = Arc::new(cloud::client(&stage.gateway));
    let target = Target::AliyunVod(Vod::new(client, dns, settings));
    let add = |address| {
        let world = &stage.world;
        world.add_record("example.com", "v", RecordKind::A, address);
    };
    add("127.0.0.1");
    let first = look(&target).await;
    add("127.0.0.2");
    let second = look(&target).await;
    let ports: Vec<String> = second.addresses.keys().map(ToString::to_string).collect();
    assert_eq!(ports, ["127.0.0.1:443", "127.0.0.2:443"]);
    assert_eq!(first.addresses.len(), 1);

    let known = BTreeSet::from([deserted().await]);
    let third = target.look(Env::Production, &known).await.unwrap();
    assert_eq!(third.addresses.len(), 3, "and those known from before");
    assert!(third.addresses.contains_key(known.first().unwrap()));

    server.fail(DOMAIN, vodcertd_sandbox::dns::Failure::Refused);
    let unknown = target.look(Env::Production, &BTreeSet::new()).await;
    assert!(
        matches!(unknown, Err(LookError::Addresses(_))),
        "{unknown:?}"
    );
}
