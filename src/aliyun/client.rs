//! The settings of a cloud, and the one signed call.
//!
//! One call is one attempt, but for a clock that is wrong (see `transport`) and for temporary
//! credentials that were taken back: what was refused for either alone was not performed, and is made
//! once more.

use std::sync::Arc;

use serde_json::Value;
use sha2::Sha256;
use url::Url;

use super::action::{Action, Service};
use super::answer;
use super::credentials::{CredentialSource, CredentialsError, Environment, Held, Provider};
use super::error::{ApiError, Cause};
use super::parameters::Parameters;
use super::rate::{Limiter, Rate};
use super::sign::Signature;
use super::transport::{Call, Signer, Transport};
use super::vod::CertRegion;
use crate::clock::Clock;
use crate::net::{ClockReading, Network, NetworkError};

/// A list may not have more pages than this.
const PAGE_LIMIT: u64 = 1000;

/// One set of Alibaba Cloud credentials with its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// Its name in the configuration.
    pub name: String,
    /// What its calls are signed with.
    pub credentials: CredentialSource,
    /// The number of the account that its calls count against; nothing to go by what the credentials
    /// tell.
    pub account: Option<String>,
    /// How they are signed.
    pub signature: Signature,
    /// Where its calls go.
    pub endpoints: Endpoints,
    /// How many calls a second are made.
    pub rate: Rate,
}

/// Where the services are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Alibaba Cloud DNS.
    pub alidns: Url,
    /// Certificate Management Service; nothing for the public endpoint of the region where a
    /// certificate is stored.
    pub cas: Option<Url>,
    /// The metadata service of the machine.
    pub imds: Url,
    /// Security Token Service; nothing for the one that the environment names, else the central one.
    pub sts: Option<Url>,
    /// Video on demand.
    pub vod: Url,
}

/// Calls the APIs of one cloud.
#[derive(Debug)]
pub struct Client {
    cloud: Cloud,
    transport: Transport,
    provider: Provider,
    /// Held while a zone is changed: of two edits of one zone at a time the second is refused with
    /// `LastOperationNotFinished`.
    zone_edits: tokio::sync::Mutex<()>,
}

// === impl Endpoints ===

impl Endpoints {
    /// The public endpoints for a region (the official SDKs' tables). Regions whose VOD has no
    /// endpoint that we know are served by the central one. The others are the same everywhere.
    pub fn of_region(region: &str) -> Self {
        let vod = Self::vod_of(region).unwrap_or("https://vod.aliyuncs.com");
        let url = |text| Url::parse(text).expect("the endpoints above are URLs");
        Self {
            alidns: url("https://alidns.aliyuncs.com"),
            cas: None,
            imds: url("http://100.100.100.200"),
            sts: None,
            vod: url(vod),
        }
    }

    /// Whether we know the VOD endpoint of a region. If not, it is mistyped, new, or one of those that
    /// the central endpoint serves.
    pub fn knows_vod_of(region: &str) -> bool {
        Self::vod_of(region).is_some()
    }

    /// VOD in `cn-hangzhou` is served by `cn-shanghai`.
    fn vod_of(region: &str) -> Option<&'static str> {
        Some(match region {
            "ap-northeast-1" => "https://vod.ap-northeast-1.aliyuncs.com",
            "ap-southeast-1" => "https://vod.ap-southeast-1.aliyuncs.com",
            "ap-southeast-5" => "https://vod.ap-southeast-5.aliyuncs.com",
            "cn-beijing" => "https://vod.cn-beijing.aliyuncs.com",
            "cn-hangzhou" | "cn-shanghai" => "https://vod.cn-shanghai.aliyuncs.com",
            "cn-hongkong" => "https://vod.cn-hongkong.aliyuncs.com",
            "cn-north-2-gov-1" => "https://vod.cn-north-2-gov-1.aliyuncs.com",
            "cn-shenzhen" => "https://vod.cn-shenzhen.aliyuncs.com",
            "eu-central-1" => "https://vod.eu-central-1.aliyuncs.com",
            "me-central-1" => "https://vod.me-central-1.aliyuncs.com",
            "us-west-1" => "https://vod.us-west-1.aliyuncs.com",
            _ => return None,
        })
    }

    fn of_service(&self, service: Service, region: CertRegion) -> Url {
        match service {
            Service::Alidns => self.alidns.clone(),
            Service::Cas => self.cas.clone().unwrap_or_else(|| Self::cas_of(region)),
            Service::Sts => self.sts.clone().unwrap_or_else(central_sts),
            Service::Vod => self.vod.clone(),
        }
    }

    fn cas_of(region: CertRegion) -> Url {
        let url = match region {
            CertRegion::CnHangzhou => "https://cas.aliyuncs.com",
            CertRegion::ApSoutheast1 => "https://cas.ap-southeast-1.aliyuncs.com",
        };
        Url::parse(url).expect("the endpoints above are URLs")
    }
}

/// The Security Token Service of no region.
pub(super) fn central_sts() -> Url {
    Url::parse("https://sts.aliyuncs.com").expect("this is a URL")
}

// === impl Client ===

impl Client {
    /// A client for one cloud. Clients with one limiter share the limits of an account that they have
    /// in common.
    pub fn new(
        cloud: Cloud,
        network: &Network,
        environment: &Environment,
        clock: Clock,
        limiter: Limiter,
    ) -> Result<Self, NetworkError> {
        let provider = Provider::new(&cloud, network, environment, clock.clone())?;
        let (name, http) = (cloud.name.clone(), network.client()?);
        Ok(Self {
            transport: Transport::new(name, http, clock, limiter, cloud.rate),
            cloud,
            provider,
            zone_edits: tokio::sync::Mutex::default(),
        })
    }

    /// The settings.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// What the clocks said at the last answer that had a `Date`.
    pub fn clock_reading(&self) -> Option<ClockReading> {
        self.transport.clock_reading()
    }

    /// How many attempts ended how, since the client was made: the action, how it ended and the count.
    /// `OK` is a success; a refusal counts under its code as the table spells it, or as `unknown`, so
    /// that the other side cannot make ever more of them; the rest as in [`ApiError::label`].
    pub fn calls(&self) -> Vec<(Action, String, u64)> {
        self.transport.calls()
    }

    /// Adds all that the credentials hang on, as it is now, to a digest; nobody is asked.
    pub fn digest_credentials(&self, hash: &mut Sha256) {
        self.provider.digest(hash);
    }

    /// Makes one call and returns the JSON object of a success. A call whose temporary credentials are
    /// refused is made once more if there are others.
    pub(super) async fn call(
        &self,
        action: Action,
        parameters: Parameters,
    ) -> Result<Value, ApiError> {
        let region = CertRegion::default();
        self.call_in(region, action, parameters).await
    }

    /// [`call`](Self::call) of a service that has an endpoint for each region of certificates.
    pub(super) async fn call_in(
        &self,
        region: CertRegion,
        action: Action,
        parameters: Parameters,
    ) -> Result<Value, ApiError> {
        let service = action.service();
        let endpoint = self.cloud.endpoints.of_service(service, region);
        let held = self.provider.credentials(&self.transport).await;
        let held = held.map_err(|error| self.without_credentials(action, error))?;
        let attempt = async |held: &Held| {
            let call = Call {
                action,
                endpoint: &endpoint,
                account: &held.account,
                parameters: &parameters,
            };
            let signer = Signer {
                signature: self.cloud.signature,
                credentials: &held.credentials,
            };
            self.transport.call(call, Some(signer)).await
        };
        let refused = match attempt(&held).await {
            Err(error) if error.refuses_temporary_credentials() => error,
            result => return result,
        };
        match self.provider.renew(&held, &self.transport).await {
            Ok(Some(renewed)) => attempt(&renewed).await,
            Ok(None) => Err(refused),
            Err(error) => Err(self.without_credentials(action, error)),
        }
    }

    /// Reads a whole list, page by page, and keeps what `read` makes of its items.
    pub(super) async fn list<T>(
        &self,
        action: Action,
        parameters: &Parameters,
        pages: Pages,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<T>, ApiError> {
        let mut kept = Vec::new();
        let mut seen = 0;
        for page in 1..=PAGE_LIMIT {
            let parameters = parameters
                .clone()
                .with("PageNumber", page.to_string())
                .with("PageSize", pages.size.to_string());
            let answer = self.call(action, parameters).await?;
            let items = answer::items(&answer, pages.items);
            kept.extend(items.iter().filter_map(&read));
            seen += items.len();
            let ended = match answer::number(&answer, pages.total) {
                Some(total) => u64::try_from(seen).is_ok_and(|seen| seen >= total),
                None => items.len() < pages.size,
            };
            if items.is_empty() || ended {
                return Ok(kept);
            }
        }
        Err(self.unreadable(action, "the list does not end"))
    }

    /// Waits until nobody else changes a zone of this cloud, and keeps others waiting meanwhile.
    pub(super) async fn edit_zones(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.zone_edits.lock().await
    }

    /// The error for an answer that was a success, but of no use.
    pub(super) fn unreadable(&self, action: Action, why: &'static str) -> ApiError {
        let cause = Cause::Unreadable {
            status: http::StatusCode::OK,
            why,
            named_time: None,
        };
        self.transport.error(action, cause)
    }

    /// The error for a call that could not be signed, counted as an attempt.
    fn without_credentials(&self, action: Action, error: Arc<CredentialsError>) -> ApiError {
        let error = self.transport.error(action, Cause::Credentials(error));
        self.transport.count(&error);
        error
    }
}

/// How a list comes in pages.
#[derive(Clone, Copy)]
pub(super) struct Pages {
    /// The JSON pointer of the items.
    pub(super) items: &'static str,
    /// The JSON pointer of the count of all items.
    pub(super) total: &'static str,
    /// How many items to ask for at once; as many as the action allows.
    pub(super) size: usize,
}

#[cfg(test)]
mod tests;
