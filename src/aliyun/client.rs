//! The settings of a cloud, and the one signed call.
//!
//! One call is one attempt, but for a clock that is wrong: what was refused for its time alone was not
//! performed, and the refusal tells the right time, so it is signed anew and sent once more. Every
//! attempt has a nonce and a time of its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use super::action::{Action, Service};
use super::answer;
use super::code::Code;
use super::credentials::CredentialSource;
use super::error::{ApiError, Cause};
use super::parameters::Parameters;
use super::rate::{self, Limiter, Rate};
use super::request::{Attempt, Headers};
use super::sign::Signature;
use super::vod::CertRegion;
use crate::certificate::hex;
use crate::clock::Clock;
use crate::net::{self, ClockReading, Network, NetworkError};
use crate::time::Timestamp;

/// A list may not have more pages than this.
const PAGE_LIMIT: u64 = 1000;

/// One set of Alibaba Cloud credentials with its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// Its name in the configuration.
    pub name: String,
    /// What its calls are signed with.
    pub credentials: CredentialSource,
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
    /// Video on demand.
    pub vod: Url,
}

/// Calls the APIs of one cloud.
#[derive(Debug)]
pub struct Client {
    cloud: Cloud,
    http: reqwest::Client,
    clock: Clock,
    limiter: Limiter,
    observed: Mutex<Observed>,
    /// Held while a zone is changed: of two edits of one zone at a time the second is refused with
    /// `LastOperationNotFinished`.
    zone_edits: tokio::sync::Mutex<()>,
}

/// What the calls so far have shown.
#[derive(Debug, Default)]
struct Observed {
    reading: Option<ClockReading>,
    /// What the last refusal because of our clock said of the time; since then that is signed.
    their_clock: Option<ClockReading>,
    calls: BTreeMap<(Action, String), u64>,
}

// === impl Endpoints ===

impl Endpoints {
    /// The public endpoints for a region (the official SDKs' tables). Regions whose VOD has no
    /// endpoint that we know are served by the central one. DNS is the same everywhere.
    pub fn of_region(region: &str) -> Self {
        let vod = Self::vod_of(region).unwrap_or("https://vod.aliyuncs.com");
        let url = |text| Url::parse(text).expect("the endpoints above are URLs");
        Self {
            alidns: url("https://alidns.aliyuncs.com"),
            cas: None,
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

// === impl Client ===

impl Client {
    /// A client for one cloud. Clients with one limiter share the limits of an account that they have
    /// in common.
    pub fn new(
        cloud: Cloud,
        network: &Network,
        clock: Clock,
        limiter: Limiter,
    ) -> Result<Self, NetworkError> {
        Ok(Self {
            cloud,
            http: network.client()?,
            clock,
            limiter,
            observed: Mutex::default(),
            zone_edits: tokio::sync::Mutex::default(),
        })
    }

    /// The settings.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// What the clocks said at the last answer that had a `Date`.
    pub fn clock_reading(&self) -> Option<ClockReading> {
        self.observed().reading
    }

    /// How many attempts ended how, since the client was made: the action, how it ended and the count.
    /// `OK` is a success; a refusal counts under its code as the table spells it, or as `unknown`, so
    /// that the other side cannot make ever more of them; the rest as in [`ApiError::label`].
    pub fn calls(&self) -> Vec<(Action, String, u64)> {
        self.observed()
            .calls
            .iter()
            .map(|((action, code), count)| (*action, code.clone(), *count))
            .collect()
    }

    /// Makes one call and returns the JSON object of a success. A call that is refused because of our
    /// clock is made once more with the other side's time.
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
        match self.attempt(&endpoint, action, &parameters).await {
            Err(error)
                if error.code() == Some(Code::TimestampExpired)
                    && self.observed().their_clock.is_some() =>
            {
                self.attempt(&endpoint, action, &parameters).await
            }
            result => result,
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
        self.error(action, cause)
    }

    /// Signs and sends once, and counts how that ended.
    async fn attempt(
        &self,
        endpoint: &Url,
        action: Action,
        parameters: &Parameters,
    ) -> Result<Value, ApiError> {
        let result = self
            .send(endpoint, action, parameters)
            .await
            .map_err(|cause| self.error(action, cause));
        let outcome = match &result {
            Ok(_) => "OK".to_owned(),
            Err(error) => error
                .code()
                .map_or_else(|| error.label(), |code| code.as_str().to_owned()),
        };
        *self.observed().calls.entry((action, outcome)).or_default() += 1;
        result
    }

    async fn send(
        &self,
        endpoint: &Url,
        action: Action,
        parameters: &Parameters,
    ) -> Result<Value, Cause> {
        let credentials = self.cloud.credentials.read().map_err(Cause::Credentials)?;
        // Before it is signed: what is signed is the time of sending.
        self.limiter
            .turn(&credentials.access_key_id, action, self.cloud.rate)
            .await
            .map_err(|rate::Closed| Cause::Closed)?;
        let attempt = Attempt {
            action,
            endpoint,
            nonce: nonce(),
            time: self.signing_time(),
        };
        let url = attempt.endpoint.clone();
        let signed = attempt.sign(self.cloud.signature, parameters, &credentials);
        let request = self
            .http_request(url, &signed.headers, signed.form)
            .map_err(Cause::Network)?;
        let answer = net::exchange(&self.http, request)
            .await
            .map_err(Cause::Network)?;
        let now = self.clock.now();
        let reading = ClockReading::of(&answer.headers, now);
        let result = answer::read(&answer, now, &signed.parameters, &credentials);
        let mut observed = self.observed();
        observed.reading = reading.or(observed.reading);
        if let Err(Cause::Refused(refusal)) = &result
            && refusal.code == Code::TimestampExpired
        {
            observed.their_clock = reading;
        }
        drop(observed);
        result.map_err(|cause| {
            let error = self.error(action, cause);
            if error.closes_the_action(now) {
                self.limiter.close(&credentials.access_key_id, action);
            }
            error.cause
        })
    }

    fn http_request(
        &self,
        url: Url,
        headers: &Headers,
        form: Zeroizing<String>,
    ) -> Result<reqwest::Request, NetworkError> {
        let request = headers
            .iter()
            .fold(self.http.post(url), |request, (name, value)| {
                request.header(*name, value.as_str())
            });
        let mut request = request
            .body(Bytes::from_owner(form))
            .build()
            .map_err(NetworkError::Setup)?;
        // Kept out of what the HTTP client logs.
        for name in ["authorization", "x-acs-security-token"] {
            if let Some(value) = request.headers_mut().get_mut(name) {
                value.set_sensitive(true);
            }
        }
        Ok(request)
    }

    /// Our time; once it was refused, the other side's as it has gone on since. It stands still while the
    /// machine sleeps, and is refused and read anew then.
    fn signing_time(&self) -> Timestamp {
        match self.observed().their_clock {
            Some(reading) => reading.remote + reading.at.elapsed(),
            None => self.clock.now(),
        }
    }

    fn error(&self, action: Action, cause: Cause) -> ApiError {
        ApiError {
            action,
            cloud: self.cloud.name.clone(),
            cause,
        }
    }

    /// A thread that panicked while it held the lock left counts behind, nothing half done.
    fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
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

/// 128 random bits, written like a UUID.
fn nonce() -> String {
    let mut bits = [0; 16];
    aws_lc_rs::rand::fill(&mut bits).expect("the generator ends the process rather than fail");
    let text = hex(&bits);
    [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ]
    .join("-")
}

#[cfg(test)]
mod tests;
