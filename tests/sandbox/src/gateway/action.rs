//! The actions of this gateway: which there are and who performs them.

use jiff::Timestamp;
use serde_json::Value;

use super::access::Guard;
use super::refusal::Refusal;
use super::request::Request;
use super::{
    Settings, alidns, certificate_deletion, certificate_installation, certificate_storage,
    ownership, sts, vod,
};
use crate::world::World;

const VOD: &str = "2017-03-21";
const ALIDNS: &str = "2015-01-09";
const CAS: &str = "2020-04-07";
const STS: &str = "2015-04-01";

/// An action that this gateway performs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    SetVodDomainSslCertificate,
    DescribeVodDomainCertificateInfo,
    DescribeVodDomainDetail,
    DescribeVodSslCertificateList,
    DescribeVodUserDomains,
    DescribeVodVerifyContent,
    VerifyVodDomainOwner,
    UploadUserCertificate,
    AddDomainRecord,
    DeleteDomainRecord,
    DescribeDomainRecords,
    DescribeSubDomainRecords,
    DescribeDomains,
    DescribeDomainInfo,
    DeleteUserCertificate,
    AssumeRole,
    AssumeRoleWithOidc,
}

impl Action {
    const ALL: [Self; 17] = [
        Self::SetVodDomainSslCertificate,
        Self::DescribeVodDomainCertificateInfo,
        Self::DescribeVodDomainDetail,
        Self::DescribeVodSslCertificateList,
        Self::DescribeVodUserDomains,
        Self::DescribeVodVerifyContent,
        Self::VerifyVodDomainOwner,
        Self::UploadUserCertificate,
        Self::AddDomainRecord,
        Self::DeleteDomainRecord,
        Self::DescribeDomainRecords,
        Self::DescribeSubDomainRecords,
        Self::DescribeDomains,
        Self::DescribeDomainInfo,
        Self::DeleteUserCertificate,
        Self::AssumeRole,
        Self::AssumeRoleWithOidc,
    ];

    /// The action that `Action` and `Version` name.
    pub(super) fn of(request: &Request) -> Result<Self, Refusal> {
        let name = request.required("Action")?;
        let version = request.required("Version")?;
        let action = Self::ALL
            .into_iter()
            .find(|action| action.name() == name)
            .ok_or_else(|| {
                let message = "Specified api is not found, please check your url and method.";
                Refusal::new(404, "InvalidAction.NotFound", message)
            })?;
        if action.version() != version {
            let message = "Specified parameter Version is not valid.";
            return Err(Refusal::new(400, "InvalidVersion", message));
        }
        Ok(action)
    }

    /// The name that callers use.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SetVodDomainSslCertificate => "SetVodDomainSSLCertificate",
            Self::DescribeVodDomainCertificateInfo => "DescribeVodDomainCertificateInfo",
            Self::DescribeVodDomainDetail => "DescribeVodDomainDetail",
            Self::DescribeVodSslCertificateList => "DescribeVodSSLCertificateList",
            Self::DescribeVodUserDomains => "DescribeVodUserDomains",
            Self::DescribeVodVerifyContent => "DescribeVodVerifyContent",
            Self::VerifyVodDomainOwner => "VerifyVodDomainOwner",
            Self::UploadUserCertificate => "UploadUserCertificate",
            Self::AddDomainRecord => "AddDomainRecord",
            Self::DeleteDomainRecord => "DeleteDomainRecord",
            Self::DescribeDomainRecords => "DescribeDomainRecords",
            Self::DescribeSubDomainRecords => "DescribeSubDomainRecords",
            Self::DescribeDomains => "DescribeDomains",
            Self::DescribeDomainInfo => "DescribeDomainInfo",
            Self::DeleteUserCertificate => "DeleteUserCertificate",
            Self::AssumeRole => "AssumeRole",
            Self::AssumeRoleWithOidc => "AssumeRoleWithOIDC",
        }
    }

    /// Whether it is signed; the other one has a token that says who asks.
    pub(super) fn is_signed(self) -> bool {
        self != Self::AssumeRoleWithOidc
    }

    /// Whether it changes a DNS zone.
    pub(super) fn edits_a_zone(self) -> bool {
        matches!(self, Self::AddDomainRecord | Self::DeleteDomainRecord)
    }

    fn version(self) -> &'static str {
        match self {
            Self::SetVodDomainSslCertificate
            | Self::DescribeVodDomainCertificateInfo
            | Self::DescribeVodDomainDetail
            | Self::DescribeVodSslCertificateList
            | Self::DescribeVodUserDomains
            | Self::DescribeVodVerifyContent
            | Self::VerifyVodDomainOwner => VOD,
            Self::UploadUserCertificate | Self::DeleteUserCertificate => CAS,
            Self::AddDomainRecord
            | Self::DeleteDomainRecord
            | Self::DescribeDomainRecords
            | Self::DescribeSubDomainRecords
            | Self::DescribeDomains
            | Self::DescribeDomainInfo => ALIDNS,
            Self::AssumeRole | Self::AssumeRoleWithOidc => STS,
        }
    }

    /// Performs the action at once and as a whole; gives the answer without its `RequestId`.
    pub(super) fn perform(
        self,
        world: &World,
        guard: &Guard,
        settings: Settings,
        now: Timestamp,
        request: &Request,
    ) -> Result<Value, Refusal> {
        let state = &mut world.lock();
        match self {
            Self::SetVodDomainSslCertificate => {
                certificate_installation::set_certificate(state, settings, now, request)
            }
            Self::DescribeVodDomainCertificateInfo => vod::certificate_info(state, request),
            Self::DescribeVodDomainDetail => vod::domain_detail(state, request),
            Self::DescribeVodSslCertificateList => vod::certificate_list(state, request),
            Self::DescribeVodUserDomains => vod::user_domains(state, request),
            Self::DescribeVodVerifyContent => ownership::verify_content(state, request),
            Self::VerifyVodDomainOwner => ownership::verify_owner(state, request),
            Self::UploadUserCertificate => {
                certificate_storage::upload_certificate(state, settings, request)
            }
            Self::AddDomainRecord => alidns::add_record(state, request),
            Self::DeleteDomainRecord => alidns::delete_record(state, request),
            Self::DescribeDomainRecords => alidns::domain_records(state, request),
            Self::DescribeSubDomainRecords => alidns::sub_domain_records(state, request),
            Self::DescribeDomains => alidns::domains(state, request),
            Self::DescribeDomainInfo => alidns::domain_info(state, request),
            Self::DeleteUserCertificate => certificate_deletion::delete_certificate(state, request),
            Self::AssumeRole => sts::assume_role(state, guard, now, request),
            Self::AssumeRoleWithOidc => sts::assume_role_with_oidc(state, guard, now, request),
        }
    }
}
