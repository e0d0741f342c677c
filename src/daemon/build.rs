//! Builds what the workers share from the configuration: one adapter for each outside system.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::DaemonError;
use super::shared::{InFlight, Issuer, Job, Shared};
use crate::acme::Ca;
use crate::aliyun::{Client, Environment, Limiter};
use crate::certificate::hex;
use crate::clock::Clock;
use crate::config::{CertificateConfig, Config, SolverSettings, StoreConfig};
use crate::dns::Dns;
use crate::solver::Solver;
use crate::solver::alidns::Alidns;
use crate::status::Metrics;
use crate::store::{SealKey, Store};
use crate::target::{Target, Vod};

/// So many certificates take proofs away at once. A cloud changes one zone at a time anyway; a few
/// more keep one that does not answer from holding up the others.
const WITHDRAWALS: usize = 4;

/// So many certificates are read back at once. Most of them wait for their turn at the API, which is
/// asked ten times a second.
const READ_BACKS: usize = 16;

/// Opens the store and builds the adapters. Nothing is asked of anybody yet: a CA or a cloud that is
/// down does not keep the daemon from starting.
pub(super) async fn build(
    config: &Config,
    clock: &Clock,
    metrics: Metrics,
) -> Result<Shared, DaemonError> {
    let store = open_store(&config.store, clock).await?;
    let dns = Dns::new(config.dns.clone());
    let clouds = clouds(config, clock)?;
    let issuers = issuers(config, clock)?;
    let solvers = solvers(config, &clouds, &dns);
    let mut jobs = BTreeMap::new();
    for certificate in &config.certificates {
        let job = job(config, certificate, store.installation_id(), &clouds, &dns);
        jobs.insert(certificate.spec.label.clone(), Arc::new(job));
    }
    Ok(Shared {
        clock: clock.clone(),
        store,
        issuers,
        clouds,
        solvers,
        jobs,
        metrics,
        in_flight: InFlight::default(),
        stop: CancellationToken::new(),
        compared_at: std::sync::Mutex::new(None),
        orders: Arc::new(Semaphore::new(config.schedule.orders)),
        installs: Arc::new(Semaphore::new(config.schedule.installs)),
        read_backs: Arc::new(Semaphore::new(READ_BACKS)),
        freed: Notify::new(),
        withdrawals: Semaphore::new(WITHDRAWALS),
        most_tasks: config.schedule.orders + config.schedule.installs + READ_BACKS + WITHDRAWALS,
    })
}

async fn open_store(settings: &StoreConfig, clock: &Clock) -> Result<Store, DaemonError> {
    let seal = match &settings.seal_key {
        Some(source) => Some(SealKey::parse(&source.read()?)?),
        None => None,
    };
    let settings = crate::store::StoreSettings {
        path: settings.path.clone(),
        seal,
        keep_generations: settings.keep_generations,
        history: settings.history,
    };
    Ok(Store::open(&settings, clock.now()).await?)
}

/// The clouds. Those of one account share its limits.
fn clouds(config: &Config, clock: &Clock) -> Result<BTreeMap<String, Arc<Client>>, DaemonError> {
    let environment = Environment::of_process();
    let limiter = Limiter::default();
    let mut clouds = BTreeMap::new();
    for (name, cloud) in &config.clouds {
        let (cloud, network) = (cloud.clone(), &config.network);
        let client = Client::new(cloud, network, &environment, clock.clone(), limiter.clone())?;
        clouds.insert(name.clone(), Arc::new(client));
    }
    Ok(clouds)
}

/// The CAs that some certificate names; the other well-known ones are not even resolved.
fn issuers(config: &Config, clock: &Clock) -> Result<BTreeMap<String, Issuer>, DaemonError> {
    let http = config.network.client()?;
    let wanted = config
        .certificates
        .iter()
        .flat_map(|certificate| &certificate.spec.issuers);
    let mut issuers = BTreeMap::new();
    for name in wanted.map(|issuer| &issuer.name) {
        let Some(settings) = config.issuers.get(name) else {
            continue;
        };
        let issuer = Issuer {
            ca: Ca::new(&settings.directory, http.clone(), clock.clone())?,
            contacts: settings.contact.clone(),
            account: Mutex::new(None),
        };
        issuers.insert(name.clone(), issuer);
    }
    Ok(issuers)
}

fn solvers(
    config: &Config,
    clouds: &BTreeMap<String, Arc<Client>>,
    dns: &Dns,
) -> BTreeMap<String, Solver> {
    let built = config.solvers.iter().filter_map(|(name, settings)| {
        let SolverSettings::Alidns(alidns) = settings;
        let client = Arc::clone(clouds.get(&alidns.cloud)?);
        let solver = Alidns::new(
            client,
            dns.clone(),
            alidns.zones.clone(),
            alidns.propagation,
        );
        Some((name.clone(), Solver::Alidns(solver)))
    });
    built.collect()
}

fn job(
    config: &Config,
    certificate: &CertificateConfig,
    installation: &str,
    clouds: &BTreeMap<String, Arc<Client>>,
    dns: &Dns,
) -> Job {
    let targets = certificate.targets.iter().filter_map(|(id, settings)| {
        let client = Arc::clone(clouds.get(&id.cloud)?);
        let vod = Vod::new(client, dns.clone(), settings.clone());
        Some((id.clone(), Arc::new(Target::AliyunVod(vod))))
    });
    Job {
        digest: digest(config, certificate, installation, clouds),
        spec: certificate.spec.clone(),
        solvers: certificate.solvers.clone(),
        targets: targets.collect(),
    }
}

/// A digest of what failures for a person hang on: another one means that they are worth another
/// try. It is kept in the store; the installation's id is in it so that equal secrets of two
/// installations do not look equal.
fn digest(
    config: &Config,
    certificate: &CertificateConfig,
    installation: &str,
    clients: &BTreeMap<String, Arc<Client>>,
) -> String {
    let spec = &certificate.spec;
    let mut clouds: BTreeSet<&str> = certificate
        .targets
        .keys()
        .map(|id| id.cloud.as_str())
        .collect();
    let mut parts = vec![
        installation.to_owned(),
        env!("CARGO_PKG_VERSION").to_owned(),
        spec.digest(),
        format!("{:?} {:?}", config.network, config.dns),
    ];
    for (id, target) in &certificate.targets {
        parts.push(format!("{id} {target:?}"));
    }
    for issuer in &spec.issuers {
        let contact = config.issuers.get(&issuer.name).map(|known| &known.contact);
        parts.push(format!("{} {contact:?}", issuer.name));
    }
    for name in certificate.solvers.values().collect::<BTreeSet<_>>() {
        let solver = config.solvers.get(name);
        parts.push(format!("{name} {solver:?}"));
        clouds.extend(solver.map(SolverSettings::cloud));
    }
    for client in clouds.iter().filter_map(|name| clients.get(*name)) {
        let cloud = client.cloud();
        parts.push(format!(
            "{} {:?} {:?}",
            cloud.name, cloud.signature, cloud.endpoints
        ));
        let mut credentials = Sha256::new();
        client.digest_credentials(&mut credentials);
        parts.push(hex(&credentials.finalize()));
    }
    // As a list in JSON no two lists look alike.
    hex(&Sha256::digest(serde_json::json!(parts).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "\
        [clouds.default]\n\
        credentials = { access_key_id = \"id\", access_key_secret_file = \"HOME/secret\" }\n\
        [clouds.other]\n\
        credentials = { access_key_id = \"id\", access_key_secret_file = \"HOME/secret\" }\n\
        [solvers.alidns]\nzones = [\"example.com\"]\n\
        [issuers.letsencrypt]\ncontact = [\"ops@example.com\"]\n\
        [[certificates]]\nnames = [\"v.example.com\"]\n\
        [[certificates.targets]]\nkey_format = \"pkcs8\"\n";

    fn digest_of(text: &str) -> String {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config.toml");
        let text = text.replace("HOME", &home.path().display().to_string());
        std::fs::write(&path, text).unwrap();
        std::fs::write(home.path().join("secret"), "secret").unwrap();
        let loaded = crate::config::load(&path);
        let config = loaded
            .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
            .config;
        let clouds = clouds(&config, &Clock::System).unwrap();
        digest(&config, &config.certificates[0], "12345678", &clouds)
    }

    #[test]
    fn the_digest_tells_every_change_that_may_help_and_no_other() {
        let before = digest_of(PLAIN);
        assert_eq!(digest_of(PLAIN), before);
        let helps = [
            (
                "the zones of the solver",
                "\"example.com\"]\n[iss",
                "\"v.example.com\"]\n[iss",
            ),
            ("the contacts", "ops@", "hostmaster@"),
            ("the form of keys", "pkcs8", "traditional"),
            (
                "the access key",
                "\"id\", access_key_secret_file = \"HOME/secret\" }\n[clouds.other]",
                "\"id2\", access_key_secret_file = \"HOME/secret\" }\n[clouds.other]",
            ),
            (
                "an endpoint",
                "\n[clouds.other]",
                "\nendpoints = { vod = \"https://vod.ap-southeast-1.aliyuncs.com\" }\n[clouds.other]",
            ),
            (
                "a signature",
                "\n[clouds.other]",
                "\nsignature = \"acs3-hmac-sha256\"\n[clouds.other]",
            ),
            (
                "a resolver",
                "[clouds.default]",
                "[dns]\nresolvers = [\"192.0.2.1:53\"]\n[clouds.default]",
            ),
        ];
        for (what, from, to) in helps {
            let changed = PLAIN.replacen(from, to, 1);
            assert_ne!(changed, PLAIN, "{what}");
            assert_ne!(digest_of(&changed), before, "{what}");
        }
        let other = PLAIN.replace(
            "[clouds.other]\ncredentials = { access_key_id = \"id\"",
            "[clouds.other]\ncredentials = { access_key_id = \"id2\"",
        );
        assert_ne!(other, PLAIN);
        assert_eq!(digest_of(&other), before, "a cloud that is not used");
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! What all workers share, from the text of a configuration.

    use std::path::Path;

    use super::*;
    use crate::config;

    /// Builds what is shared for these certificates, with a store in `home`, and with a cloud and a
    /// CA that nobody asks anything.
    pub(in crate::daemon) async fn shared(home: &Path, certificates: &str) -> Shared {
        shared_by(Clock::System, home, certificates).await
    }

    /// The same by a clock of one's own.
    pub(in crate::daemon) async fn shared_by(
        clock: Clock,
        home: &Path,
        certificates: &str,
    ) -> Shared {
        let path = home.join("config.toml");
        let home = home.display();
        let text = format!(
            "contact = [\"ops@example.com\"]\n\
             [store]\nurl = \"sqlite://{home}/state.db\"\n\
             [clouds.default]\n\
             credentials = {{ access_key_id = \"id\", access_key_secret_file = \"{home}/secret\" }}\n\
             [solvers.alidns]\nkind = \"alidns\"\n\
             {certificates}"
        );
        std::fs::write(&path, text).unwrap();
        let loaded = config::load(&path).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
        build(&loaded.config, &clock, Metrics::new()).await.unwrap()
    }
}
