//! The outside of the daemon, and what a test may ask of it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use vodcertd::clock::Clock;
use vodcertd::config;
use vodcertd::name::{Label, TargetId};
use vodcertd::renewal::{Circumstances, Record};
use vodcertd::status::Snapshot;
use vodcertd::store::{HistoryEntry, ReadStore, Store, StoreError, StoreSettings};
use vodcertd_sandbox::dns::DnsServer;
use vodcertd_sandbox::edge::Edge;
use vodcertd_sandbox::gateway::Gateway;
use vodcertd_sandbox::pebble::{Builder, Pebble};
use vodcertd_sandbox::world::{Env, World};

/// Longer than anything takes that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What stands around the daemon.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) gateway: Gateway,
    pub(crate) edge: Edge,
    pub(crate) dns: DnsServer,
    pub(crate) pebble: Pebble,
    pub(crate) home: TempDir,
    settings: Settings,
}

/// How a scene differs from the plain one.
pub(crate) struct SceneBuilder {
    pebble: Builder,
    settings: Settings,
    domains: Vec<String>,
}

/// What the configuration says beyond addresses.
#[derive(Clone)]
struct Settings {
    /// Whole tables, appended as they are.
    certificates: String,
    /// Lines of `[schedule]`.
    schedule: String,
    /// Fields of `look` beside the addresses.
    look: String,
    /// Fields of the issuer's `limits`.
    limits: String,
    /// How long a proof may take to be seen.
    propagation: String,
    /// Where the status page is, or `off`.
    listen: String,
    /// Lines of `[clouds.default]`.
    cloud: String,
    secret: String,
}

impl Scene {
    /// A scene with one zone, `example.com`, and these VOD domains.
    pub(crate) fn builder(domains: &[&str]) -> SceneBuilder {
        SceneBuilder {
            pebble: Pebble::builder().sleep_at_most(2),
            settings: Settings {
                certificates: String::new(),
                schedule: "brake = { orders_per_day = 1000 }".to_owned(),
                look: "deadline = \"1m\"".to_owned(),
                limits: String::new(),
                propagation: "20s".to_owned(),
                listen: "off".to_owned(),
                cloud: String::new(),
                secret: Gateway::ACCESS_KEY_SECRET.to_owned(),
            },
            domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
        }
    }

    /// Writes the configuration as it stands and returns its path.
    pub(crate) fn write_config(&self) -> PathBuf {
        let path = self.home.path().join("config.toml");
        std::fs::write(&path, self.config_text()).unwrap();
        std::fs::write(self.home.path().join("secret"), &self.settings.secret).unwrap();
        path
    }

    /// Replaces the tables of the certificates; takes effect at the next start.
    pub(crate) fn set_certificates(&mut self, certificates: &str) {
        certificates.clone_into(&mut self.settings.certificates);
    }

    /// Replaces the access key's secret; takes effect at the next start.
    pub(crate) fn set_secret(&mut self, secret: &str) {
        secret.clone_into(&mut self.settings.secret);
    }

    fn config_text(&self) -> String {
        let home = self.home.path().display();
        let (dns, edge) = (self.dns.address(), self.edge.production().address());
        let gateway = self.gateway.url();
        let directory = self.pebble.directory_url();
        let ca_file = self.pebble.ca_file();
        let ca_file = ca_file.display();
        format!(
            "contact = [\"ops@example.com\"]\n\
             [store]\nurl = \"sqlite://{home}/state.db\"\n\
             [schedule]\n{schedule}\n\
             [http]\nlisten = \"{listen}\"\n\
             [dns]\nresolvers = [\"{dns}\"]\nauthoritative = [\"{dns}\"]\n\
             [network]\nca_file = \"{ca_file}\"\n\
             [issuers.pebble]\ndirectory = \"{directory}\"\nlimits = {{ {limits} }}\n\
             [clouds.default]\n{cloud}\n\
             credentials = {{ access_key_id = \"{id}\", access_key_secret_file = \"{home}/secret\" }}\n\
             endpoints = {{ vod = \"{gateway}\", alidns = \"{gateway}\", cas = \"{gateway}\" }}\n\
             [solvers.alidns]\nkind = \"alidns\"\n\
             propagation = {{ timeout = \"{propagation}\", poll = \"1s\" }}\n\
             [defaults]\nissuers = [\"pebble\"]\nkey = \"ecdsa-p256\"\n\
             look = {{ addresses = [\"{edge}\"], {look} }}\n\
             {certificates}\n",
            schedule = self.settings.schedule,
            limits = self.settings.limits,
            listen = self.settings.listen,
            cloud = self.settings.cloud,
            id = Gateway::ACCESS_KEY_ID,
            look = self.settings.look,
            propagation = self.settings.propagation,
            certificates = self.settings.certificates,
        )
    }

    /// Waits until `condition` holds.
    pub(crate) async fn until(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !condition().await {
            let late = tokio::time::Instant::now() > deadline;
            let story = if late {
                self.story().await
            } else {
                String::new()
            };
            assert!(!late, "not within {PATIENCE:?}: {what}\n{story}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until every target of a certificate was seen to serve this generation.
    pub(crate) async fn until_seen(&self, label: &str, generation: u32) {
        self.until(
            &format!("generation {generation} of {label} seen everywhere"),
            async || {
                let record = self.record(label).await;
                let seen = |target: &vodcertd::renewal::TargetRecord| {
                    target
                        .seen
                        .is_some_and(|seen| seen.generation == generation)
                };
                record.is_some_and(|record| {
                    !record.targets.is_empty() && record.targets.values().all(seen)
                })
            },
        )
        .await;
    }

    /// What is stored of a certificate; nothing while there is no store.
    pub(crate) async fn record(&self, label: &str) -> Option<Record> {
        self.stored(label).await.map(|stored| stored.record)
    }

    /// The history of a certificate, as words.
    pub(crate) async fn history(&self, label: &str) -> Vec<HistoryEntry> {
        let Some(store) = self.read_store().await else {
            return Vec::new();
        };
        let label: Label = label.parse().unwrap();
        let history = store.history(Some(&label), 1000).await.unwrap();
        store.close().await;
        history
    }

    /// How often a word stands in the history of a certificate.
    pub(crate) async fn count(&self, label: &str, kind: &str) -> usize {
        self.history(label)
            .await
            .iter()
            .filter(|entry| entry.kind == kind)
            .count()
    }

    /// The certificate as `status` shows it, without deadlines of others.
    pub(crate) async fn snapshot(&self, label: &str) -> Snapshot {
        let loaded = config::load(&self.write_config()).unwrap();
        let certificates = loaded.config.certificates;
        let spec = certificates
            .into_iter()
            .find(|c| c.spec.label.as_str() == label)
            .unwrap()
            .spec;
        let record = self.record(label).await.unwrap_or_default();
        Snapshot::of(
            &spec,
            &record,
            &Circumstances::default(),
            Clock::System.now(),
        )
    }

    /// The SHA-256 of the leaf that the cloud has installed, lower hex.
    pub(crate) fn installed(&self, domain: &str) -> Option<String> {
        let binding = self.world.installed(domain, Env::Production)?;
        Some(binding.certificate.pair.leaf().sha256.clone())
    }

    /// Opens the store as the daemon does; only while none runs.
    pub(crate) async fn open_store(&self) -> Store {
        let started = tokio::time::Instant::now();
        let settings = StoreSettings {
            path: self.database(),
            seal: None,
            keep_generations: 3,
            history: Duration::from_hours(24),
        };
        loop {
            match Store::open(&settings, Clock::System.now()).await {
                Ok(store) => return store,
                // Until it becomes another program, a process that some test starts has all files
                // of this one open, and with them the lock of a store that was just closed.
                Err(StoreError::AlreadyRunning { .. }) if started.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Changes a record as the daemon does; only while none runs.
    pub(crate) async fn change_record(&self, label: &str, change: impl FnOnce(&mut Record)) {
        let store = self.open_store().await;
        let now = Clock::System.now();
        let label: Label = label.parse().unwrap();
        let mut record = store.load(&label).await.unwrap().unwrap().record;
        change(&mut record);
        let lease = store.claim(&label, now).await.unwrap().unwrap();
        store.save(&lease, &record, now, &[]).await.unwrap();
        store.release(&lease, now).await.unwrap();
        store.close().await;
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.home.path().join("state.db")
    }

    /// Opens the store beside the daemon. To be closed: the last reader of a file that was replaced
    /// meanwhile takes away what belongs to the new one.
    pub(crate) async fn read_store(&self) -> Option<ReadStore> {
        ReadStore::open(&self.database()).await.ok()
    }

    /// What the daemon that runs answers to `GET` of a path of its status page.
    pub(crate) async fn get(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.settings.listen);
        let answer = reqwest::get(&url).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.unwrap()
    }

    /// Everything that helps to understand why a test waits in vain.
    async fn story(&self) -> String {
        let mut text = String::new();
        let Some(store) = self.read_store().await else {
            return "no store".to_owned();
        };
        for entry in store.history(None, 200).await.unwrap_or_default() {
            let label = entry
                .label
                .map(|label| label.to_string())
                .unwrap_or_default();
            writeln!(
                text,
                "{} {label} {}: {}",
                entry.at, entry.kind, entry.message
            )
            .unwrap();
        }
        for (label, stored) in store.all().await.unwrap_or_default() {
            writeln!(text, "{label}: {stored:#?}").unwrap();
        }
        text
    }
}

impl SceneBuilder {
    /// Tables of certificates, as in the configuration file.
    pub(crate) fn certificates(mut self, certificates: &str) -> Self {
        certificates.clone_into(&mut self.settings.certificates);
        self
    }

    /// Lines of `[schedule]` instead of a brake that is out of the way.
    pub(crate) fn schedule(mut self, schedule: &str) -> Self {
        schedule.clone_into(&mut self.settings.schedule);
        self
    }

    /// Fields of the issuer's `limits`.
    pub(crate) fn limits(mut self, limits: &str) -> Self {
        limits.clone_into(&mut self.settings.limits);
        self
    }

    /// Fields of `look` beside the addresses.
    pub(crate) fn look(mut self, look: &str) -> Self {
        look.clone_into(&mut self.settings.look);
        self
    }

    /// How long a proof may take to be seen; `0s` not to look at all.
    pub(crate) fn propagation(mut self, timeout: &str) -> Self {
        timeout.clone_into(&mut self.settings.propagation);
        self
    }

    /// Lines of `[clouds.default]` beside its credentials and endpoints.
    pub(crate) fn cloud(mut self, cloud: &str) -> Self {
        cloud.clone_into(&mut self.settings.cloud);
        self
    }

    /// A status page at a free port, for [`Scene::get`].
    pub(crate) fn page(mut self) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        self.settings.listen = free.local_addr().unwrap().to_string();
        self
    }

    /// A Pebble of another kind.
    pub(crate) fn pebble(mut self, change: impl FnOnce(Builder) -> Builder) -> Self {
        self.pebble = change(self.pebble);
        self
    }

    pub(crate) async fn start(self) -> Scene {
        let world = World::new();
        world.add_zone("example.com");
        for domain in &self.domains {
            world.add_domain(domain);
        }
        let gateway = Gateway::start(world.clone()).await.unwrap();
        let edge = Edge::start(world.clone()).await.unwrap();
        let dns = DnsServer::start(world.clone()).await.unwrap();
        let pebble = self.pebble.dns_server(dns.address()).start().await.unwrap();
        let home = tempfile::tempdir().unwrap();
        Scene {
            world,
            gateway,
            edge,
            dns,
            pebble,
            home,
            settings: self.settings,
        }
    }
}

/// The target of a VOD domain in the one cloud.
pub(crate) fn target(domain: &str) -> TargetId {
    format!("aliyun-vod/default/{domain}").parse().unwrap()
}
