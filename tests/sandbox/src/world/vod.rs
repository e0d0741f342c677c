//! VOD acceleration domains and the certificates of the account.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::pem::Pair;

/// The part of the edge that an installation reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Env {
    /// All nodes.
    Production,
    /// The staging nodes only (`Env=staging`).
    Staging,
}

/// The status of a VOD domain, as `DescribeVodUserDomains` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainStatus {
    /// Serving.
    Online,
    /// Stopped.
    Offline,
    /// Being set up.
    Configuring,
    /// Setting up failed.
    ConfigureFailed,
    /// Under review.
    Checking,
    /// Review failed.
    CheckFailed,
}

impl DomainStatus {
    /// All statuses.
    pub const ALL: [Self; 6] = [
        Self::Online,
        Self::Offline,
        Self::Configuring,
        Self::ConfigureFailed,
        Self::Checking,
        Self::CheckFailed,
    ];

    /// The word the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Configuring => "configuring",
            Self::ConfigureFailed => "configure_failed",
            Self::Checking => "checking",
            Self::CheckFailed => "check_failed",
        }
    }
}

/// The region a certificate is stored in (`CertRegion`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertRegion {
    /// The mainland site, and the default.
    CnHangzhou,
    /// The international site.
    ApSoutheast1,
}

impl CertRegion {
    /// Reads the API's word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::CnHangzhou, Self::ApSoutheast1]
            .into_iter()
            .find(|region| region.as_str() == word)
    }

    /// The word the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CnHangzhou => "cn-hangzhou",
            Self::ApSoutheast1 => "ap-southeast-1",
        }
    }
}

/// How a certificate came to a domain (`CertType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertSource {
    /// As PEM in the call that installed it.
    Upload,
    /// By the id of a stored certificate.
    Cas,
}

impl CertSource {
    /// The word the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Cas => "cas",
        }
    }
}

/// A certificate stored in the account.
#[derive(Debug)]
pub struct StoredCertificate {
    /// `CertId`.
    pub id: i64,
    /// `CertName`, unique in the account.
    pub name: String,
    /// `CertRegion`.
    pub region: CertRegion,
    /// The domain in whose installation it was uploaded.
    pub uploaded_for: Option<String>,
    /// Chain and key.
    pub pair: Pair,
}

/// A stored certificate on a domain.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The `CertName` given when it was installed.
    pub cert_name: String,
    /// How it was given.
    pub source: CertSource,
    /// The certificate.
    pub certificate: Arc<StoredCertificate>,
}

/// The HTTPS setting of a domain.
#[derive(Debug, Clone)]
pub enum Https {
    /// `SSLProtocol=off`.
    Off,
    /// `SSLProtocol=on` with a certificate.
    On(Binding),
}

impl Https {
    /// The certificate, where HTTPS is on.
    pub fn binding(&self) -> Option<&Binding> {
        match self {
            Self::Off => None,
            Self::On(binding) => Some(binding),
        }
    }
}

/// One change of a domain's HTTPS setting.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which nodes were told.
    pub env: Env,
    /// When; the edge shows it a propagation delay later.
    pub at: Instant,
    /// The setting from then on.
    pub https: Https,
}

/// A VOD acceleration domain.
#[derive(Debug, Clone)]
pub struct VodDomain {
    /// Its name, starting with a dot for a wildcard.
    pub name: String,
    /// Whether it is serving.
    pub status: DomainStatus,
    /// The name its owner points a CNAME at.
    pub cname: String,
    /// When it was added.
    pub created: Timestamp,
    /// When it was last changed.
    pub modified: Timestamp,
    /// Whether it was proven who owns it.
    pub owner_proven: bool,
    /// Its HTTPS settings, oldest first.
    pub history: Vec<Change>,
}

impl VodDomain {
    /// Makes a domain that is online and never had HTTPS.
    pub(crate) fn new(name: &str) -> Self {
        let now = Timestamp::now();
        Self {
            name: name.to_owned(),
            status: DomainStatus::Online,
            cname: format!("{}.w.kunlunsl.com", name.trim_start_matches('.')),
            created: now,
            modified: now,
            owner_proven: true,
            history: Vec::new(),
        }
    }

    /// Changes the HTTPS setting from now on.
    pub(crate) fn change(&mut self, env: Env, https: Https) {
        self.change_after(Duration::ZERO, env, https);
    }

    /// Changes the HTTPS setting after a while, unless it is changed again meanwhile.
    pub(crate) fn change_after(&mut self, delay: Duration, env: Env, https: Https) {
        self.modified = Timestamp::now();
        self.history.push(Change {
            env,
            at: Instant::now() + delay,
            https,
        });
    }

    /// The setting that nodes of `env` had been told by `moment`; none where there never was one.
    ///
    /// Staging nodes hear of production installations as well: those go to all nodes.
    pub fn https_as_of(&self, env: Env, moment: Instant) -> Option<&Https> {
        let reaches = |change: &&Change| match env {
            Env::Production => change.env == Env::Production,
            Env::Staging => true,
        };
        self.history
            .iter()
            .rev()
            .filter(reaches)
            .find(|change| change.at <= moment)
            .map(|change| &change.https)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staging_hears_of_both_and_production_of_its_own() {
        let mut domain = VodDomain::new("v.example.com");
        domain.change(Env::Staging, Https::Off);
        let now = Instant::now();
        assert!(domain.https_as_of(Env::Staging, now).is_some());
        assert!(domain.https_as_of(Env::Production, now).is_none());
        domain.change(Env::Production, Https::Off);
        assert!(
            domain
                .https_as_of(Env::Production, Instant::now())
                .is_some()
        );
    }

    #[test]
    fn a_change_is_not_known_before_it_was_made() {
        let mut domain = VodDomain::new("v.example.com");
        domain.change(Env::Production, Https::Off);
        let at = domain.history[0].at;
        let before = at.checked_sub(Duration::from_millis(1)).unwrap();
        assert!(domain.https_as_of(Env::Production, before).is_none());
        assert!(domain.https_as_of(Env::Production, at).is_some());
    }
}
