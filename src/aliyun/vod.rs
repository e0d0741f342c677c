//! Certificates of VOD acceleration domains (API version 2017-03-21).
//!
//! The types hold only what the service accepts: what would be refused as a wrong combination of
//! parameters cannot be written. What to install, under which name and when is the caller's.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use sha1::{Digest as _, Sha1};

use super::action::Action;
use super::answer::{items, number, text};
use super::client::{Client, Pages};
use super::error::ApiError;
use super::parameters::Parameters;
use crate::certificate::{Chain, Leaf, hex};
use crate::name::AccelerationDomain;
use crate::secret::Secret;
use crate::time::Timestamp;

/// A call of `SetVodDomainSSLCertificate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCertificate {
    /// The acceleration domain.
    pub domain: AccelerationDomain,
    /// HTTPS and its certificate.
    pub https: Https,
    /// To which part of the edge.
    pub env: Env,
}

/// What becomes of HTTPS (`SSLProtocol`), and where its certificate comes from (`CertType`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Https {
    /// On, with a pair that is sent along (`upload`). It is stored under its name.
    Upload {
        /// The name to store it under.
        cert_name: CertName,
        /// The chain in PEM, the leaf first, without a root.
        chain_pem: String,
        /// The private key in PEM.
        key_pem: Secret,
    },
    /// On, with a certificate that is stored already (`cas`).
    Stored(StoredCertificate),
    /// Off.
    Off,
}

/// Which part of the edge (`Env`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Env {
    /// All of it. The parameter is not sent.
    Production,
    /// A first small part (canary).
    Staging,
}

/// A certificate in Certificate Management Service.
#[expect(clippy::struct_field_names, reason = "the words of the API")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCertificate {
    /// Its id.
    pub cert_id: CertId,
    /// Its name. The service wants it although the id says it all.
    pub cert_name: CertName,
    /// Where it is stored.
    pub cert_region: CertRegion,
}

/// The id of a stored certificate (`CertId`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertId(pub u64);

/// The name of a stored certificate (`CertName`), unique in the account: 1 to 63 characters.
///
/// VOD itself would take 128, but Certificate Management Service, where it is stored, does not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertName(String);

/// Where a certificate is stored (`CertRegion`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertRegion {
    /// The mainland; the default.
    #[default]
    CnHangzhou,
    /// The international site.
    ApSoutheast1,
}

/// Why a text is no value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VodParameterError {
    /// Not a [`CertName`].
    #[error("a certificate name has 1 to 63 characters")]
    CertName,
    /// Not a [`CertRegion`].
    #[error("not a certificate region: cn-hangzhou or ap-southeast-1")]
    CertRegion,
}

/// The certificate of an acceleration domain, as the API reports it. What it does not report is
/// missing here; nothing of it is proof of what the edge serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateInfo {
    /// Its name.
    pub cert_name: Option<String>,
    /// Its id.
    pub cert_id: Option<CertId>,
    /// Where it is stored.
    pub cert_region: Option<CertRegion>,
    /// Whether HTTPS is on.
    pub https: Option<bool>,
    /// When it expires.
    pub expires: Option<Timestamp>,
    /// What its leaf says, where the certificate itself is reported.
    pub leaf: Option<Leaf>,
}

/// The state of an acceleration domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainDetail {
    /// Its status.
    pub status: DomainStatus,
    /// The name that its `CNAME` record must lead to.
    pub cname: Option<String>,
    /// Whether HTTPS is on.
    pub https: Option<bool>,
    /// The name of its certificate, while HTTPS is on.
    pub cert_name: Option<String>,
    /// What its leaf says, while HTTPS is on.
    pub leaf: Option<Leaf>,
}

/// The status of an acceleration domain (`DomainStatus`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainStatus {
    /// It serves.
    Online,
    /// It is switched off.
    Offline,
    /// It is being configured.
    Configuring,
    /// Its configuration failed.
    ConfigureFailed,
    /// It is being reviewed.
    Checking,
    /// It did not pass the review.
    CheckFailed,
    /// Something that the documentation does not list, or nothing.
    Other(String),
}

impl Client {
    /// Switches HTTPS of an acceleration domain and sets its certificate
    /// (`SetVodDomainSSLCertificate`).
    ///
    /// Not idempotent by itself: a name can be used once. After an answer that was lost
    /// ([`ApiError::may_have_happened`]) read back first.
    pub async fn set_vod_certificate(&self, call: &SetCertificate) -> Result<(), ApiError> {
        let action = Action::SetVodDomainSslCertificate;
        self.call(action, call.parameters()).await.map(drop)
    }

    /// Reads the certificate of an acceleration domain (`DescribeVodDomainCertificateInfo`);
    /// nothing if it has none.
    pub async fn vod_certificate_info(
        &self,
        domain: &AccelerationDomain,
    ) -> Result<Option<CertificateInfo>, ApiError> {
        let action = Action::DescribeVodDomainCertificateInfo;
        let parameters = Parameters::new().with("DomainName", domain.as_str());
        let answer = self.call(action, parameters).await?;
        let infos = items(&answer, "/CertInfos/CertInfo");
        let of_domain = |info: &&Value| {
            text(info, "DomainName").is_some_and(|name| name.eq_ignore_ascii_case(domain.as_str()))
        };
        let info = infos.iter().find(of_domain).or_else(|| infos.first());
        Ok(info
            .map(CertificateInfo::from_json)
            .filter(|info| *info != CertificateInfo::default()))
    }

    /// Reads the state of an acceleration domain (`DescribeVodDomainDetail`).
    pub async fn vod_domain_detail(
        &self,
        domain: &AccelerationDomain,
    ) -> Result<DomainDetail, ApiError> {
        let action = Action::DescribeVodDomainDetail;
        let parameters = Parameters::new().with("DomainName", domain.as_str());
        let answer = self.call(action, parameters).await?;
        match answer.get("DomainDetail") {
            Some(detail @ Value::Object(_)) => Ok(DomainDetail::from_json(detail)),
            Some(_) | None => Err(self.unreadable(action, "without a DomainDetail")),
        }
    }

    /// Reads what is to be published to prove who owns a domain (`DescribeVodVerifyContent`).
    pub async fn vod_verify_content(
        &self,
        domain: &AccelerationDomain,
    ) -> Result<String, ApiError> {
        let action = Action::DescribeVodVerifyContent;
        let parameters = Parameters::new().with("DomainName", domain.as_str());
        let answer = self.call(action, parameters).await?;
        let content = text(&answer, "Content").filter(|content| !content.is_empty());
        content.ok_or_else(|| self.unreadable(action, "without a Content"))
    }

    /// Has it checked by DNS who owns a domain (`VerifyVodDomainOwner`, `VerifyType=dnsCheck`); says
    /// whether that is proven. The content is only in the answer if it is not.
    pub async fn verify_vod_domain_owner(
        &self,
        domain: &AccelerationDomain,
    ) -> Result<bool, ApiError> {
        let parameters = Parameters::new()
            .with("DomainName", domain.as_str())
            .with("VerifyType", "dnsCheck");
        let answer = self.call(Action::VerifyVodDomainOwner, parameters).await?;
        let content = text(&answer, "Content").filter(|content| !content.is_empty());
        Ok(content.is_none())
    }

    /// Finds a stored certificate by its exact name (`DescribeVodSSLCertificateList`).
    pub async fn find_stored_certificate(
        &self,
        name: &CertName,
    ) -> Result<Option<StoredCertificate>, ApiError> {
        let parameters = Parameters::new().with("SearchKeyword", name.as_str());
        let stored = self
            .list_certificates(&parameters, StoredCertificate::from_json)
            .await?;
        Ok(stored.into_iter().find(|stored| stored.cert_name == *name))
    }

    /// Finds the stored certificate with this exact name and the leaf of this chain
    /// (`DescribeVodSSLCertificateList`). A name may be somebody else's: one whose listed fingerprint is
    /// another leaf's is passed over; one without a fingerprint that is understood is taken by its name.
    pub async fn find_stored_chain(
        &self,
        name: &CertName,
        chain: &Chain,
    ) -> Result<Option<StoredCertificate>, ApiError> {
        let parameters = Parameters::new().with("SearchKeyword", name.as_str());
        let prints = Fingerprints::of(chain);
        let ours = |item: &Value| {
            let may_be = prints.are_of(item).unwrap_or(true);
            may_be.then(|| StoredCertificate::from_json(item))?
        };
        let stored = self.list_certificates(&parameters, ours).await?;
        Ok(stored.into_iter().find(|stored| stored.cert_name == *name))
    }

    /// Finds a stored certificate with the leaf of this chain, whatever its name
    /// (`DescribeVodSSLCertificateList`). The whole list is read for that.
    pub async fn find_same_certificate(
        &self,
        chain: &Chain,
    ) -> Result<Option<StoredCertificate>, ApiError> {
        let prints = Fingerprints::of(chain);
        let same = |item: &Value| {
            let is_same = prints.are_of(item).unwrap_or(false);
            is_same.then(|| StoredCertificate::from_json(item))?
        };
        let stored = self.list_certificates(&Parameters::new(), same).await?;
        Ok(stored.into_iter().next())
    }

    async fn list_certificates(
        &self,
        parameters: &Parameters,
        read: impl Fn(&Value) -> Option<StoredCertificate>,
    ) -> Result<Vec<StoredCertificate>, ApiError> {
        const PAGES: Pages = Pages {
            items: "/CertificateListModel/CertList/Cert",
            total: "/CertificateListModel/Count",
            size: 1000,
        };
        let action = Action::DescribeVodSslCertificateList;
        self.list(action, parameters, PAGES, read).await
    }
}

// === impl SetCertificate ===

impl SetCertificate {
    fn parameters(&self) -> Parameters {
        let parameters = Parameters::new().with("DomainName", self.domain.as_str());
        let parameters = match &self.https {
            Https::Upload {
                cert_name,
                chain_pem,
                key_pem,
            } => parameters
                .with("SSLProtocol", "on")
                .with("CertType", "upload")
                .with("CertName", cert_name.as_str())
                .with("SSLPub", chain_pem)
                .with_secret("SSLPri", key_pem.clone()),
            Https::Stored(stored) => parameters
                .with("SSLProtocol", "on")
                .with("CertType", "cas")
                .with("CertName", stored.cert_name.as_str())
                .with("CertId", stored.cert_id.to_string())
                .with("CertRegion", stored.cert_region.as_str()),
            Https::Off => parameters.with("SSLProtocol", "off"),
        };
        match self.env {
            Env::Production => parameters,
            Env::Staging => parameters.with("Env", "staging"),
        }
    }
}

// === impl StoredCertificate ===

impl StoredCertificate {
    /// Reads an item of the list. One that could not be bound, because its region is none that the
    /// service accepts, is none.
    fn from_json(item: &Value) -> Option<Self> {
        let cert_region = match text(item, "CertRegion") {
            Some(region) => region.parse().ok()?,
            None => CertRegion::default(),
        };
        Some(Self {
            cert_id: CertId::from_json(item)?,
            cert_name: text(item, "CertName")?.parse().ok()?,
            cert_region,
        })
    }
}

// === impl Fingerprints ===

/// What a leaf is called in the list. Of which kind the listed fingerprints are is not documented:
/// SHA-1 and SHA-256 are understood.
struct Fingerprints(Vec<String>);

impl Fingerprints {
    fn of(chain: &Chain) -> Self {
        let leaf = chain.certificates().first();
        let sha1 = leaf.map(|leaf| hex(&Sha1::digest(leaf)));
        let sha256 = chain.leaf().fingerprint.to_string();
        Self(sha1.into_iter().chain([sha256]).collect())
    }

    /// Whether an item of the list has this leaf; nothing if it does not tell, or in another way.
    fn are_of(&self, item: &Value) -> Option<bool> {
        let print = text(item, "Fingerprint")?.replace(':', "");
        let own = self.0.iter().find(|own| own.len() == print.len())?;
        Some(own.eq_ignore_ascii_case(&print))
    }
}

// === impl CertificateInfo ===

impl CertificateInfo {
    fn from_json(info: &Value) -> Self {
        Self {
            cert_name: text(info, "CertName"),
            cert_id: CertId::from_json(info),
            cert_region: parsed(info, "CertRegion"),
            https: switch(info, "ServerCertificateStatus").or_else(|| switch(info, "SSLProtocol")),
            expires: parsed(info, "CertExpireTime"),
            leaf: leaf(info, "ServerCertificate"),
        }
    }
}

// === impl DomainDetail ===

impl DomainDetail {
    fn from_json(detail: &Value) -> Self {
        Self {
            status: DomainStatus::from(text(detail, "DomainStatus").unwrap_or_default()),
            cname: text(detail, "Cname"),
            https: switch(detail, "SSLProtocol"),
            cert_name: text(detail, "CertName"),
            leaf: leaf(detail, "SSLPub"),
        }
    }
}

impl From<String> for DomainStatus {
    fn from(text: String) -> Self {
        match text.as_str() {
            "online" => Self::Online,
            "offline" => Self::Offline,
            "configuring" => Self::Configuring,
            "configure_failed" => Self::ConfigureFailed,
            "checking" => Self::Checking,
            "check_failed" => Self::CheckFailed,
            _ => Self::Other(text),
        }
    }
}

// === impl CertId ===

impl CertId {
    /// Ids count from 1; some answers have 0 for none.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        number(value, "/CertId").filter(|id| *id > 0).map(Self)
    }
}

impl fmt::Display for CertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

// === impl CertName ===

impl CertName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CertName {
    type Err = VodParameterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if (1..=63).contains(&text.chars().count()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(VodParameterError::CertName)
        }
    }
}

impl fmt::Display for CertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl CertRegion ===

impl CertRegion {
    /// The other one of the two.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::CnHangzhou => Self::ApSoutheast1,
            Self::ApSoutheast1 => Self::CnHangzhou,
        }
    }

    /// The text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CnHangzhou => "cn-hangzhou",
            Self::ApSoutheast1 => "ap-southeast-1",
        }
    }
}

impl FromStr for CertRegion {
    type Err = VodParameterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::CnHangzhou, Self::ApSoutheast1]
            .into_iter()
            .find(|region| region.as_str() == text)
            .ok_or(VodParameterError::CertRegion)
    }
}

/// A field that parses, or nothing.
fn parsed<T: FromStr>(value: &Value, field: &str) -> Option<T> {
    text(value, field)?.parse().ok()
}

/// `on` or `off`.
fn switch(value: &Value, field: &str) -> Option<bool> {
    let text = text(value, field)?;
    [("on", true), ("off", false)]
        .into_iter()
        .find(|(word, _)| text.eq_ignore_ascii_case(word))
        .map(|(_, on)| on)
}

/// The first certificate in a field. The form of that field is not documented: PEM is understood, also
/// with its line ends escaped; a chain may be cut off behind the leaf.
fn leaf(value: &Value, field: &str) -> Option<Leaf> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let text = text(value, field)?.replace("\\n", "\n");
    let (_, rest) = text.split_once(BEGIN)?;
    let (leaf, _) = rest.split_once(END)?;
    let chain = Chain::from_pem(&[BEGIN, leaf, END].concat()).ok()?;
    Some(chain.leaf().clone())
}

#[cfg(test)]
mod tests;
