//! Certificates before a cloud that fails as scripted, and a clock that goes from one stored time to
//! the next: what takes the daemon a week takes a moment.
//!
//! A pair is put into the store as an order would have put it there, so that no CA is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use tempfile::TempDir;
use vodcertd_sandbox::dns::DnsServer;
use vodcertd_sandbox::forge::{self, KeyKind};
use vodcertd_sandbox::gateway::{Disturbance, Fault, Gateway, Settings};
use vodcertd_sandbox::pem::KeyForms;
use vodcertd_sandbox::world::World;

use crate::certificate::{Chain, KeyType};
use crate::clock::Clock;
use crate::daemon::build::testing;
use crate::daemon::shared::{Job, Shared};
use crate::daemon::worker::{Rest, work};
use crate::keys::PrivateKey;
use crate::name::{DnsName, Label};
use crate::renewal::{Event, Issued, Record};
use crate::secret::Secret;
use crate::status::Snapshot;
use crate::store::{KeyMaterial, NewGeneration, NewOrderRow, OrderId};
use crate::time::Timestamp;

/// The call that installs.
pub(super) const SET: &str = "SetVodDomainSSLCertificate";
/// The call that stores a pair before it is bound.
pub(super) const STORE: &str = "UploadUserCertificate";
/// The calls that read back what is installed, always together.
pub(super) const INFO: &str = "DescribeVodDomainCertificateInfo";
pub(super) const DETAIL: &str = "DescribeVodDomainDetail";
/// The call that lists what is stored.
pub(super) const LIST: &str = "DescribeVodSSLCertificateList";

/// Nobody listens there.
const DIRECTORY: &str = "https://127.0.0.1:1/directory";

/// Certificates with what stands around them.
pub(super) struct Bench {
    pub(super) shared: Shared,
    pub(super) gateway: Gateway,
    pub(super) world: World,
    began: Timestamp,
    labels: Vec<Label>,
    _dns: DnsServer,
    _home: TempDir,
}

impl Bench {
    /// A certificate that was issued just now and is installed nowhere.
    pub(super) async fn new() -> Self {
        Self::of(1).await
    }

    /// So many of them, in one cloud.
    pub(super) async fn of(certificates: usize) -> Self {
        Self::paced(certificates, 100).await
    }

    /// So many of them, in a cloud with so many calls of each action a second.
    pub(super) async fn paced(certificates: usize, rate: u32) -> Self {
        let bench = Self::configured(certificates, "", rate).await;
        bench.issued().await
    }

    /// A certificate that was issued just now, and is to be stored before it is bound.
    pub(super) async fn storing() -> Self {
        let bench = Self::configured(1, "method = \"cas\"", 100).await;
        bench.issued().await
    }

    async fn issued(self) -> Self {
        for (nth, label) in self.labels.iter().enumerate() {
            self.issue(label, &domain(nth)).await;
        }
        self
    }

    /// So many certificates, none of which was issued yet.
    pub(super) async fn unissued(certificates: usize) -> Self {
        Self::configured(certificates, "", 100).await
    }

    /// So many certificates, with a line for the target of each. Looks are switched off: what the API
    /// tells counts as seen. Keys are written as PKCS#8, so that there is something to encode anew.
    async fn configured(certificates: usize, target: &str, rate: u32) -> Self {
        let home = tempfile::tempdir().unwrap();
        let world = World::new();
        world.add_zone("example.com");
        for nth in 0..certificates {
            world.add_domain(&domain(nth));
        }
        let gateway = Gateway::start(world.clone()).await.unwrap();
        gateway.set(Settings {
            key_forms: KeyForms::TraditionalOrPkcs8,
            ..Settings::default()
        });
        let dns = DnsServer::start(world.clone()).await.unwrap();
        std::fs::write(home.path().join("secret"), Gateway::ACCESS_KEY_SECRET).unwrap();
        let mut config = format!(
            "[dns]\nresolvers = [\"{dns}\"]\nauthoritative = [\"{dns}\"]\n\
             [clouds.sandbox]\n\
             credentials = {{ access_key_id = \"{id}\", access_key_secret_file = \"{home}/secret\" }}\n\
             endpoints = {{ vod = \"{url}\", alidns = \"{url}\", cas = \"{url}\" }}\n\
             rate = {{ install = {rate}, other = {rate} }}\n\
             [solvers.sandbox]\nkind = \"alidns\"\ncloud = \"sandbox\"\n\
             propagation = {{ timeout = \"0s\" }}\n\
             [issuers.closed]\ndirectory = \"{DIRECTORY}\"\n\
             [defaults]\nissuers = [\"closed\"]\nsolver = \"sandbox\"\nkey = \"ecdsa-p256\"\n\
             look = {{ enabled = false }}\n",
            dns = dns.address(),
            id = Gateway::ACCESS_KEY_ID,
            home = home.path().display(),
            url = gateway.url(),
        );
        let mut labels = Vec::new();
        for nth in 0..certificates {
            writeln!(
                config,
                "[[certificates]]\nname = \"video{nth}\"\nnames = [\"{}\"]\n\
                 [[certificates.targets]]\ncloud = \"sandbox\"\nkey_format = \"pkcs8\"\n{target}",
                domain(nth)
            )
            .unwrap();
            labels.push(format!("video{nth}").parse().unwrap());
        }
        let began = Clock::System.now();
        let shared = testing::shared_by(Clock::simulated(began), home.path(), &config).await;
        shared.store.ensure(&labels, began).await.unwrap();
        Self {
            shared,
            gateway,
            world,
            began,
            labels,
            _dns: dns,
            _home: home,
        }
    }

    /// Stores that an order is about to be sent.
    pub(super) async fn intend(&self) -> OrderId {
        let label = &self.labels[0];
        let (store, now) = (&self.shared.store, self.now());
        let lease = store.claim(label, now).await.unwrap().unwrap();
        let names = self.shared.jobs[label].spec.names.clone();
        let record = Record::default();
        let order = intent(names, now);
        let id = store.save_order_intent(&lease, &record, now, &order, &[]);
        let id = id.await.unwrap().unwrap();
        store.release(&lease, now).await.unwrap();
        id
    }

    /// Stores a generation as an order does.
    async fn issue(&self, label: &Label, domain: &str) {
        let forged = forge::issue(&[domain], KeyKind::P256, forge::valid_now());
        let chain = Chain::from_pem(&forged.chain_pem).unwrap();
        let key = PrivateKey::from_pem(&Secret::new(forged.pkcs8_pem)).unwrap();
        let key = KeyMaterial::new(key.pkcs8().to_vec());
        let (store, now) = (&self.shared.store, self.began);
        let lease = store.claim(label, now).await.unwrap().unwrap();
        let mut record = Record::default();
        let order = intent(chain.leaf().names.clone(), now);
        let order = store.save_order_intent(&lease, &record, now, &order, &[]);
        let order = order.await.unwrap().unwrap();
        record.apply(Event::Issued(Box::new(issued(&chain, now))), now);
        let generation = NewGeneration {
            generation: 1,
            chain: &chain,
            key: &key,
            issuer: "closed",
            directory: DIRECTORY,
        };
        let saved = store.save_generation(&lease, &record, now, &order, &generation, &[]);
        saved.await.unwrap();
        store.release(&lease, now).await.unwrap();
    }

    /// From now on the next call of an action ends so.
    pub(super) fn fail_once(&self, action: &str, disturbance: Disturbance) {
        let fault = Fault::once(disturbance).on(action);
        self.gateway.faults().push(fault);
    }

    /// From now on every call of an action ends so.
    pub(super) fn fail_always(&self, action: &str, disturbance: Disturbance) {
        let fault = Fault::always(disturbance).on(action);
        self.gateway.faults().push(fault);
    }

    /// Works on the first certificate as the dispatcher does, until it rests; tells for how long.
    pub(super) async fn wake(&self) -> Duration {
        self.wake_nth(0).await
    }

    /// Works on one of the certificates.
    pub(super) async fn wake_nth(&self, nth: usize) -> Duration {
        let (store, now, label) = (&self.shared.store, self.now(), &self.labels[nth]);
        let lease = store.claim(label, now).await.unwrap().unwrap();
        let rest = work(&self.shared, &self.shared.jobs[label], &lease).await;
        let rest = rest.unwrap();
        assert!(matches!(rest, Rest::Until(_)), "{rest:?}");
        let stored = store.load(label).await.unwrap().unwrap();
        stored.due_at.since(now)
    }

    /// Lets time pass for everybody: for our clock, the cloud's and the one that nobody sets.
    pub(super) async fn pass(&self, time: Duration) {
        let now = self.now() + time;
        self.shared.clock.set(now);
        let offset = now.since(self.began).try_into().unwrap();
        self.gateway.set_clock_offset(offset);
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    pub(super) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// How much time has passed.
    pub(super) fn passed(&self) -> Duration {
        self.now().since(self.began)
    }

    pub(super) fn job(&self) -> (&Label, &Job) {
        let label = &self.labels[0];
        (label, &self.shared.jobs[label])
    }

    pub(super) fn calls(&self, action: &str) -> usize {
        self.gateway.calls().of(action).len()
    }

    pub(super) async fn record(&self) -> Record {
        let stored = self.shared.store.load(&self.labels[0]).await.unwrap();
        stored.unwrap().record
    }

    /// How often something stands in the history.
    pub(super) async fn told(&self, kind: &str) -> usize {
        let history = self.shared.store.history(None, 10_000).await.unwrap();
        history.iter().filter(|entry| entry.kind == kind).count()
    }

    /// The scopes that are closed, each with the time that is left.
    pub(super) async fn closed(&self) -> Vec<(String, Duration)> {
        let deadlines = self.shared.store.deadlines().await.unwrap();
        let left = deadlines.into_iter().filter_map(|(scope, row)| {
            let until = row.deadline.holding(self.now())?;
            Some((scope, until.since(self.now())))
        });
        left.collect()
    }

    /// What `status` says of the first certificate.
    pub(super) async fn status(&self) -> Snapshot {
        let (_, job) = self.job();
        let circumstances = self.shared.circumstances().await.unwrap();
        Snapshot::of(&job.spec, &self.record().await, &circumstances, self.now())
    }
}

fn domain(nth: usize) -> String {
    format!("v{nth}.example.com")
}

fn intent(names: BTreeSet<DnsName>, at: Timestamp) -> NewOrderRow {
    NewOrderRow {
        intent_at: at,
        issuer: "closed".to_owned(),
        directory: DIRECTORY.to_owned(),
        account: String::new(),
        names,
        key_type: KeyType::EcdsaP256,
        profile: None,
        replaces: None,
        draws: Vec::new(),
        overdraws: false,
    }
}

/// A generation whose CA has no opinion about renewal.
fn issued(chain: &Chain, at: Timestamp) -> Issued {
    Issued {
        generation: 1,
        leaf: chain.leaf().clone(),
        extra_names: BTreeSet::new(),
        chain: chain.fingerprints(),
        issuer: "closed".to_owned(),
        directory: DIRECTORY.to_owned(),
        account: String::new(),
        profile: None,
        at,
        renewal_info: None,
        stored: BTreeMap::new(),
        unusable: None,
        revoked: false,
    }
}
