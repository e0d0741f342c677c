//! The API actions that we call: their names, services and versions.

use std::fmt;

use crate::retry::Scope;

/// One action of an Alibaba Cloud RPC API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Adds a record to a zone (Alidns).
    AddDomainRecord,
    /// Takes a role on by a signed request (STS).
    AssumeRole,
    /// Takes a role on by an OIDC token (STS).
    AssumeRoleWithOidc,
    /// Deletes a record by its id (Alidns).
    DeleteDomainRecord,
    /// Deletes a stored certificate by its id (CAS).
    DeleteUserCertificate,
    /// Lists the records of a zone (Alidns).
    DescribeDomainRecords,
    /// Lists the zones of the account (Alidns).
    DescribeDomains,
    /// Lists the records of one full name (Alidns).
    DescribeSubDomainRecords,
    /// Reads the certificate of an acceleration domain (VOD).
    DescribeVodDomainCertificateInfo,
    /// Reads the state of an acceleration domain (VOD).
    DescribeVodDomainDetail,
    /// Lists the stored certificates of the account (VOD).
    DescribeVodSslCertificateList,
    /// Reads what is to be published to prove who owns a domain (VOD).
    DescribeVodVerifyContent,
    /// Switches HTTPS of an acceleration domain and sets its certificate (VOD).
    SetVodDomainSslCertificate,
    /// Stores a certificate (Certificate Management Service).
    UploadUserCertificate,
    /// Has it checked who owns a domain (VOD).
    VerifyVodDomainOwner,
}

/// A service, with an endpoint and an API version of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Alibaba Cloud DNS.
    Alidns,
    /// Certificate Management Service.
    Cas,
    /// Security Token Service.
    Sts,
    /// Video on demand.
    Vod,
}

impl Action {
    /// The value of the `Action` parameter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddDomainRecord => "AddDomainRecord",
            Self::AssumeRole => "AssumeRole",
            Self::AssumeRoleWithOidc => "AssumeRoleWithOIDC",
            Self::DeleteDomainRecord => "DeleteDomainRecord",
            Self::DeleteUserCertificate => "DeleteUserCertificate",
            Self::DescribeDomainRecords => "DescribeDomainRecords",
            Self::DescribeDomains => "DescribeDomains",
            Self::DescribeSubDomainRecords => "DescribeSubDomainRecords",
            Self::DescribeVodDomainCertificateInfo => "DescribeVodDomainCertificateInfo",
            Self::DescribeVodDomainDetail => "DescribeVodDomainDetail",
            Self::DescribeVodSslCertificateList => "DescribeVodSSLCertificateList",
            Self::DescribeVodVerifyContent => "DescribeVodVerifyContent",
            Self::SetVodDomainSslCertificate => "SetVodDomainSSLCertificate",
            Self::UploadUserCertificate => "UploadUserCertificate",
            Self::VerifyVodDomainOwner => "VerifyVodDomainOwner",
        }
    }

    /// The service that has this action.
    pub fn service(self) -> Service {
        match self {
            Self::AddDomainRecord
            | Self::DeleteDomainRecord
            | Self::DescribeDomainRecords
            | Self::DescribeDomains
            | Self::DescribeSubDomainRecords => Service::Alidns,
            Self::AssumeRole | Self::AssumeRoleWithOidc => Service::Sts,
            Self::DescribeVodDomainCertificateInfo
            | Self::DescribeVodDomainDetail
            | Self::DescribeVodSslCertificateList
            | Self::DescribeVodVerifyContent
            | Self::SetVodDomainSslCertificate
            | Self::VerifyVodDomainOwner => Service::Vod,
            Self::DeleteUserCertificate | Self::UploadUserCertificate => Service::Cas,
        }
    }

    /// Whether it installs a certificate.
    pub fn installs(self) -> bool {
        self == Self::SetVodDomainSslCertificate
    }

    /// Whether it stores or installs a certificate: only then is there something to read back, to encode
    /// anew, to rename or to issue anew.
    pub fn is_given_a_certificate(self) -> bool {
        [
            Self::SetVodDomainSslCertificate,
            Self::UploadUserCertificate,
        ]
        .contains(&self)
    }

    /// What a deadline must not close for calls of these actions of a cloud.
    pub fn scopes(cloud: &str, actions: &[Self]) -> Vec<Scope> {
        let whole = Scope::Cloud {
            cloud: cloud.to_owned(),
        };
        let parts = actions.iter().map(|action| action.scope(cloud));
        std::iter::once(whole).chain(parts).collect()
    }

    /// One call of this action of a cloud.
    pub(super) fn call_scope(self, cloud: &str) -> Scope {
        Scope::CloudCall {
            cloud: cloud.to_owned(),
            action: self.as_str().to_owned(),
        }
    }

    /// All calls of this action of a cloud.
    pub(super) fn scope(self, cloud: &str) -> Scope {
        Scope::CloudAction {
            cloud: cloud.to_owned(),
            action: self.as_str().to_owned(),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Service {
    /// The value of the `Version` parameter.
    pub fn version(self) -> &'static str {
        match self {
            Self::Alidns => "2015-01-09",
            Self::Cas => "2020-04-07",
            Self::Sts => "2015-04-01",
            Self::Vod => "2017-03-21",
        }
    }
}
