//! A VOD acceleration domain as a target.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use super::cert_name::{CertName, InstallationId};
use super::probe::{self, Look};
use super::{
    Encoding, Env, InstallError, Installation, LookError, ReadBack, Source, StoredAt,
    StoredCertificate, Upload,
};
use crate::aliyun::Client;
use crate::aliyun::cas::UserCertificate;
use crate::aliyun::vod::{self as api, CertRegion, Https, SetCertificate};
use crate::certificate::Chain;
use crate::dns::Dns;
use crate::keys::KeyFormat;
use crate::name::AccelerationDomain;
use crate::secret::Secret;

/// The port of the edge.
const HTTPS: u16 = 443;

/// What is configured for one acceleration domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VodSettings {
    /// The domain.
    pub domain: AccelerationDomain,
    /// How private keys are written.
    pub key_format: KeyFormat,
    /// Where stored certificates are; nothing to believe what the service lists, and to store in the
    /// mainland's.
    pub cert_region: Option<CertRegion>,
    /// The name to look at; nothing for [`AccelerationDomain::look_name`].
    pub look_name: Option<String>,
    /// Addresses of the production edge; empty to resolve the name.
    pub look_addresses: BTreeSet<SocketAddr>,
    /// Addresses of the staging edge.
    pub staging_addresses: BTreeSet<SocketAddr>,
}

/// A VOD acceleration domain in one cloud.
#[derive(Debug)]
pub struct Vod {
    client: Arc<Client>,
    dns: Dns,
    settings: VodSettings,
}

impl VodSettings {
    /// The defaults for a domain.
    pub fn new(domain: AccelerationDomain) -> Self {
        Self {
            domain,
            key_format: KeyFormat::Traditional,
            cert_region: None,
            look_name: None,
            look_addresses: BTreeSet::new(),
            staging_addresses: BTreeSet::new(),
        }
    }
}

impl Vod {
    /// A target that is set with `client` and looked at with `dns`.
    pub fn new(client: Arc<Client>, dns: Dns, settings: VodSettings) -> Self {
        Self {
            client,
            dns,
            settings,
        }
    }

    pub(super) async fn install(
        &self,
        installation: &Installation<'_>,
    ) -> Result<(), InstallError> {
        let call = SetCertificate {
            domain: self.settings.domain.clone(),
            https: self.https(installation.source)?,
            env: installation.env,
        };
        Ok(self.client.set_vod_certificate(&call).await?)
    }

    pub(super) async fn store(
        &self,
        upload: Upload<'_>,
    ) -> Result<StoredCertificate, InstallError> {
        let certificate = UserCertificate {
            name: api_name(upload.cert_name),
            chain_pem: upload.chain.to_pem(),
            key_pem: self.key_pem(upload)?,
            region: self.settings.cert_region.unwrap_or_default(),
        };
        let stored = self.client.upload_user_certificate(certificate).await?;
        Ok(stored)
    }

    fn key_pem(&self, upload: Upload<'_>) -> Result<Secret, InstallError> {
        let format = self.key_format(upload.encoding);
        upload.key.to_pem(format).map_err(InstallError::Key)
    }

    pub(super) async fn find_stored(
        &self,
        name: &str,
        chain: &Chain,
    ) -> Result<Option<StoredCertificate>, InstallError> {
        // What cannot be a name is none of a stored certificate.
        let Ok(name) = name.parse() else {
            return Ok(None);
        };
        let found = self.client.find_stored_chain(&name, chain).await?;
        Ok(found.map(|stored| self.in_region(stored)))
    }

    pub(super) async fn find_same(
        &self,
        chain: &Chain,
    ) -> Result<Option<StoredCertificate>, InstallError> {
        let found = self.client.find_same_certificate(chain).await?;
        Ok(found.map(|stored| self.in_region(stored)))
    }

    /// What the service lists, in the region that is configured.
    fn in_region(&self, stored: StoredCertificate) -> StoredCertificate {
        StoredCertificate {
            cert_region: self.settings.cert_region.unwrap_or(stored.cert_region),
            ..stored
        }
    }

    pub(super) async fn owner_proof(&self) -> Result<String, InstallError> {
        let domain = &self.settings.domain;
        Ok(self.client.vod_verify_content(domain).await?)
    }

    pub(super) async fn check_owner(&self) -> Result<bool, InstallError> {
        let domain = &self.settings.domain;
        Ok(self.client.verify_vod_domain_owner(domain).await?)
    }

    pub(super) async fn read_back(
        &self,
        installation: &InstallationId,
    ) -> Result<ReadBack, InstallError> {
        let domain = &self.settings.domain;
        let (info, detail) = tokio::try_join!(
            self.client.vod_certificate_info(domain),
            self.client.vod_domain_detail(domain)
        )?;
        let info = info.unwrap_or_default();
        let cert_name = info.cert_name.or(detail.cert_name);
        let ours = cert_name
            .as_deref()
            .and_then(|name| name.parse::<CertName>().ok())
            .filter(|name| name.is_of(installation));
        Ok(ReadBack {
            https: info.https.or(detail.https),
            cert_name,
            ours,
            stored_at: info.cert_id.map(|cert_id| StoredAt {
                cert_id,
                cert_region: self
                    .settings
                    .cert_region
                    .or(info.cert_region)
                    .unwrap_or_default(),
            }),
            leaf: info.leaf.or(detail.leaf),
        })
    }

    pub(super) async fn look(
        &self,
        env: Env,
        known: &BTreeSet<SocketAddr>,
    ) -> Result<Look, LookError> {
        let host = self.look_name();
        let addresses = match env {
            Env::Production => self.production_addresses(&host, known).await?,
            Env::Staging => self.staging_addresses()?,
        };
        Ok(probe::look(&host, &addresses).await)
    }

    /// Whether there is a more conservative form than what was sent. Only keys have one; chains are
    /// always written in it ([`Chain::to_pem`](crate::certificate::Chain::to_pem)).
    pub(super) fn can_reformat(&self, sent: Encoding) -> bool {
        self.key_format(sent) != KeyFormat::Traditional
    }

    fn key_format(&self, encoding: Encoding) -> KeyFormat {
        match encoding {
            Encoding::Configured => self.settings.key_format,
            Encoding::Traditional => KeyFormat::Traditional,
        }
    }

    fn look_name(&self) -> String {
        let configured = self.settings.look_name.clone();
        configured.unwrap_or_else(|| self.settings.domain.look_name())
    }

    /// The configured addresses and no others, or those of the name at this moment and those known
    /// from before.
    async fn production_addresses(
        &self,
        host: &str,
        known: &BTreeSet<SocketAddr>,
    ) -> Result<BTreeSet<SocketAddr>, LookError> {
        if !self.settings.look_addresses.is_empty() {
            return Ok(self.settings.look_addresses.clone());
        }
        let found = self.dns.addresses(host).await;
        let found = found.map_err(LookError::Addresses)?;
        Ok(found
            .into_iter()
            .map(|ip| SocketAddr::new(ip, HTTPS))
            .chain(known.iter().copied())
            .collect())
    }

    fn staging_addresses(&self) -> Result<BTreeSet<SocketAddr>, LookError> {
        if self.settings.staging_addresses.is_empty() {
            return Err(LookError::NoStagingAddress);
        }
        Ok(self.settings.staging_addresses.clone())
    }

    fn https(&self, source: Source<'_>) -> Result<Https, InstallError> {
        match source {
            Source::Upload(upload) => Ok(Https::Upload {
                cert_name: api_name(upload.cert_name),
                chain_pem: upload.chain.to_pem(),
                key_pem: self.key_pem(upload)?,
            }),
            Source::Stored(stored) => Ok(Https::Stored(stored.clone())),
        }
    }
}

/// Our name in the service's type.
fn api_name(name: &CertName) -> api::CertName {
    name.to_string()
        .parse()
        .expect("a name of ours has at most 63 characters")
}
