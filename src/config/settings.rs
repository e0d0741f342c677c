//! What a configuration means: every value checked, every default filled in, every reference
//! resolved. Secrets are places here; they are read where they are used.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::aliyun::Cloud;
use crate::aliyun::alidns::Zone;
use crate::dns::DnsSettings;
use crate::name::{DnsName, TargetId};
use crate::net::Network;
use crate::renewal::{Limits, Spec};
use crate::secret::SecretSource;
use crate::solver::Propagation;
use crate::target::vod::VodSettings;

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept.
    pub store: StoreConfig,
    /// When and how much work is done.
    pub schedule: Schedule,
    /// Where the status page and the API are served; nothing for nowhere.
    pub http: Option<SocketAddr>,
    /// Whom to ask for DNS.
    pub dns: DnsSettings,
    /// How the outside is reached.
    pub network: Network,
    /// The CAs by name: those that are written and those that need no writing.
    pub issuers: BTreeMap<String, Issuer>,
    /// The clouds by name: those that are written, and `default`.
    pub clouds: BTreeMap<String, Cloud>,
    /// The solvers by name: those that are written, and `alidns`.
    pub solvers: BTreeMap<String, SolverSettings>,
    /// The certificates, in the order of the file.
    pub certificates: Vec<CertificateConfig>,
}

/// Where everything is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The file of the SQLite database.
    pub path: PathBuf,
    /// Where the key lies that seals private keys; nothing to leave them unsealed.
    pub seal_key: Option<SecretSource>,
    /// How many generations before the newest are kept per certificate.
    pub keep_generations: u32,
    /// How long the history is kept.
    pub history: Duration,
}

/// When and how much work is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The cron expression of the safety net, six fields, in UTC. The scheduler takes it.
    pub tick: String,
    /// Orders worked on at once.
    pub orders: usize,
    /// Installs and looks worked on at once.
    pub installs: usize,
    /// The IANA name of the time zone of every window.
    pub timezone: String,
}

/// A CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The URL of its directory.
    pub directory: Url,
    /// Mail addresses for the account.
    pub contact: Vec<String>,
    /// The profile to order; nothing for the CA's own choice.
    pub profile: Option<String>,
    /// How much the CA takes.
    pub limits: Limits,
}

/// A way of proving control of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SolverSettings {
    /// TXT records in Alibaba Cloud DNS.
    Alidns(AlidnsSettings),
}

/// How TXT records in Alibaba Cloud DNS are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlidnsSettings {
    /// The name of the cloud that holds the zones.
    pub cloud: String,
    /// The zones of the names that it is for; none for all names. Where an alias leads does not count.
    pub zones: Vec<Zone>,
    /// How long to wait for the name servers.
    pub propagation: Propagation,
}

/// A certificate with all that it takes to obtain and install it.
#[derive(Clone, Debug, PartialEq)]
pub struct CertificateConfig {
    /// What the core decides by.
    pub spec: Spec,
    /// By which solver control of each name is proven. Empty for a certificate that is only
    /// watched.
    pub solvers: BTreeMap<DnsName, String>,
    /// The settings of each of the spec's targets.
    pub targets: BTreeMap<TargetId, VodSettings>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            path: "/var/lib/vodcertd/state.db".into(),
            seal_key: None,
            keep_generations: 3,
            // More than a year, so that last year's renewal can still be looked up.
            history: Duration::from_hours(400 * 24),
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            tick: "*/30 * * * * *".to_owned(),
            orders: 8,
            installs: 16,
            timezone: "Asia/Shanghai".to_owned(),
        }
    }
}

impl SolverSettings {
    /// Whether it is for this name: one of its zones holds it, or it is for all.
    pub fn suits(&self, name: &DnsName) -> bool {
        match self {
            Self::Alidns(alidns) => {
                let holds = |zone: &Zone| zone.record_name(name.base()).is_some();
                alidns.zones.is_empty() || alidns.zones.iter().any(holds)
            }
        }
    }

    /// The cloud in which it works.
    pub fn cloud(&self) -> &str {
        match self {
            Self::Alidns(alidns) => &alidns.cloud,
        }
    }
}
