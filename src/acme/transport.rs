//! The HTTP client under `instant-acme`: keeps of every answer what the library drops.
//!
//! One [`Transport`] per conversation, so that what is recorded belongs to what was just asked; all
//! share one `reqwest` client. It decides nothing and repeats nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{LOCATION, RETRY_AFTER, USER_AGENT};
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};

use super::ca::{Ca, is_requestable};
use super::directory::Directory;
use crate::net::{self, Answer, NetworkError};
use crate::time::Timestamp;

/// An HTTP client that remembers the last answer. Clones are the same conversation.
#[derive(Clone)]
pub(super) struct Transport {
    ca: Ca,
    last: Arc<Mutex<Last>>,
}

/// The last request and its answer.
#[derive(Default)]
struct Last {
    asked_for: Option<AskedFor>,
    answer: Option<Recorded>,
}

/// What a request was about. Before the library sends what it was asked to send, it may ask for
/// more by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskedFor {
    /// The directory: the only thing that it asks for unsigned.
    Directory,
    /// A nonce to sign with (RFC 8555 §7.2).
    Nonce,
    /// What it was asked to send.
    Resource,
}

/// An answer and the time at which it arrived.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) answer: Answer,
    pub(super) at: Timestamp,
}

/// Why a request was not sent or its answer not passed on, apart from the network.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("the CA named a URL that cannot be asked")]
    Url,
    #[error("the CA's directory is not usable")]
    Directory,
}

impl Transport {
    pub(super) fn new(ca: &Ca) -> Self {
        Self {
            ca: ca.clone(),
            last: Arc::default(),
        }
    }

    /// The answer to the last request; nothing if there was none.
    pub(super) fn last(&self) -> Option<Recorded> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.answer.clone()
    }

    /// What the last request was about; nothing if there was none.
    pub(super) fn asked_for(&self) -> Option<AskedFor> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.asked_for
    }

    /// Begins a new record: whatever comes of this request, no earlier answer is about it.
    fn record_request(&self, method: &http::Method) -> AskedFor {
        let asked_for = AskedFor::by(method);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Last {
            asked_for: Some(asked_for),
            answer: None,
        };
        asked_for
    }

    fn record_answer(&self, answer: Recorded) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.answer = Some(answer);
    }

    /// One unsigned GET of our own, recorded like all others.
    pub(super) async fn get(&self, url: &str) -> Result<Recorded, NetworkError> {
        self.record_request(&http::Method::GET);
        let request = self
            .ca
            .http()
            .get(url)
            .build()
            .map_err(NetworkError::Setup)?;
        self.exchange(request).await
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Recorded, NetworkError> {
        let (method, url) = (request.method().clone(), request.url().clone());
        let started = tokio::time::Instant::now();
        let answer = net::exchange(self.ca.http(), request).await;
        let ms = started.elapsed().as_millis();
        let answer = answer.inspect_err(|error| {
            tracing::debug!(%method, %url, error = error.code(), ms, "no answer from the CA");
        })?;
        let status = answer.status.as_u16();
        tracing::debug!(%method, %url, status, ms, "answer from the CA");
        let at = self.ca.now();
        self.ca.note_date(&answer.headers, at);
        let recorded = Recorded { answer, at };
        self.record_answer(recorded.clone());
        Ok(recorded)
    }

    /// Passes on one request of the library.
    async fn relay(
        self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Result<BytesResponse, instant_acme::Error> {
        let other = |error: NetworkError| instant_acme::Error::Other(Box::new(error));
        let asked_for = self.record_request(request.method());
        let request = to_reqwest(request).await?;
        let Recorded { answer, .. } = self.exchange(request).await.map_err(other)?;
        if asked_for == AskedFor::Directory {
            // The library takes a directory from any answer, whatever its status, and panics when it
            // is led to ask for a malformed URL.
            let usable = answer.status.is_success();
            let directory = Directory::from_json(&answer.body).filter(|_| usable);
            directory.ok_or(instant_acme::Error::Other(Box::new(Unusable::Directory)))?;
        }
        Ok(to_library(answer))
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        Box::pin(self.clone().relay(request))
    }
}

async fn to_reqwest(
    request: http::Request<BodyWrapper<Bytes>>,
) -> Result<reqwest::Request, instant_acme::Error> {
    let unusable = || instant_acme::Error::Other(Box::new(Unusable::Url));
    if !is_requestable(&request.uri().to_string()) {
        return Err(unusable());
    }
    let (mut parts, body) = request.into_parts();
    let Ok(body) = body.collect().await;
    if let Some(agent) = user_agent(parts.headers.get(USER_AGENT)) {
        parts.headers.insert(USER_AGENT, agent);
    }
    reqwest::Request::try_from(http::Request::from_parts(parts, body.to_bytes()))
        .map_err(|_| unusable())
}

/// Our name before the library's: CAs ask for the program, not only for what it is made of.
fn user_agent(library: Option<&http::HeaderValue>) -> Option<http::HeaderValue> {
    let library = library?.to_str().ok()?;
    let agent = format!("vodcertd/{} {library}", env!("CARGO_PKG_VERSION"));
    agent.try_into().ok()
}

/// An answer as the library wants it, without `Retry-After`: it adds any number of seconds to the
/// system time and panics if that overflows, and we poll by ourselves.
fn to_library(answer: Answer) -> BytesResponse {
    let mut response = http::Response::new(());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response.headers_mut().remove(RETRY_AFTER);
    let (parts, ()) = response.into_parts();
    BytesResponse {
        parts,
        body: Box::new(answer.body),
    }
}

impl AskedFor {
    fn by(method: &http::Method) -> Self {
        if method == http::Method::GET {
            Self::Directory
        } else if method == http::Method::HEAD {
            Self::Nonce
        } else {
            Self::Resource
        }
    }
}

impl Recorded {
    /// When the CA wants to be asked again (RFC 9110 §10.2.3: seconds or a date), on our clock:
    /// possibly now, possibly at the end of time.
    pub(super) fn retry_after(&self) -> Option<Timestamp> {
        let text = self.answer.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if text.is_empty() {
            None
        } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
            // More digits than fit are still a number of seconds.
            let seconds = text.parse().unwrap_or(u64::MAX);
            Some(self.at + Duration::from_secs(seconds))
        } else {
            net::parse_http_date(text).map(|time| self.on_our_clock(time))
        }
    }

    /// A time that the CA named, moved by as much as its clock and ours differ: what it means is the
    /// pause. Without a `Date` in the answer the clocks are taken to agree.
    pub(super) fn on_our_clock(&self, time: Timestamp) -> Timestamp {
        let named_at = net::date(&self.answer.headers).unwrap_or(self.at);
        self.at + time.since(named_at)
    }

    /// The URL of what a request created.
    pub(super) fn created(&self) -> Option<&str> {
        let created = self.answer.status == http::StatusCode::CREATED;
        let location = self.answer.headers.get(LOCATION).filter(|_| created)?;
        location.to_str().ok()
    }

    /// The target of a link with this relation (RFC 8288).
    pub(super) fn link(&self, relation: &str) -> Option<String> {
        let values = self.answer.headers.get_all(http::header::LINK);
        values
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(", "))
            .find_map(|link| {
                let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
                let wanted = |parameter: &str| {
                    let value = parameter.trim().strip_prefix("rel=");
                    value.is_some_and(|value| value.trim_matches('"') == relation)
                };
                parameters.split(';').any(wanted).then(|| target.to_owned())
            })
    }
}
