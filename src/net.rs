//! The HTTP client of every adapter: one way to set roots, proxy, time limits and size limits.
//!
//! It knows nothing about what is said over it, never follows a redirect and never retries.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place that builds HTTP clients"
)]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use url::Url;

use crate::time::Timestamp;

/// No answer is read beyond this.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// A connection that does not stand after this long is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How we reach the outside.
#[derive(Clone, Debug)]
pub struct Network {
    /// A proxy for everything; without it `HTTPS_PROXY` and `NO_PROXY` are honoured.
    pub proxy: Option<Url>,
    /// Certificates in DER that are trusted beside the system's.
    pub extra_roots: Vec<Vec<u8>>,
    /// The limit for one whole exchange.
    pub timeout: Duration,
}

/// What can go wrong between us and the other side, apart from what it answers.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The client could not be built from the configuration.
    #[error("could not set up the HTTP client")]
    Setup(#[source] reqwest::Error),
    /// No connection: name resolution, TCP or TLS. Nothing was sent.
    #[error("could not connect to {host}")]
    Connect {
        /// Whom we meant to reach.
        host: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// No answer in time. What was asked may have happened.
    #[error("no answer from {host} in time")]
    Timeout {
        /// Whom we asked.
        host: String,
    },
    /// The connection broke. What was asked may have happened.
    #[error("the connection to {host} broke")]
    Broken {
        /// Whom we asked.
        host: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// An answer larger than [`BODY_LIMIT`].
    #[error("the answer of {host} is larger than {BODY_LIMIT} bytes")]
    TooLarge {
        /// Whom we asked.
        host: String,
    },
}

/// A whole answer, read within the limits.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: http::StatusCode,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Network {
    /// A client with these settings. Every adapter builds one and keeps it.
    pub fn client(&self) -> Result<reqwest::Client, NetworkError> {
        let mut builder = self.builder(self.timeout)?;
        if let Some(proxy) = &self.proxy {
            let proxy = reqwest::Proxy::all(proxy.clone()).map_err(NetworkError::Setup)?;
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(NetworkError::Setup)
    }

    /// A client that uses no proxy, neither of these settings nor of the environment, and has a time
    /// limit of its own: for those whose answers nobody else may see.
    pub fn direct_client(&self, timeout: Duration) -> Result<reqwest::Client, NetworkError> {
        let builder = self.builder(timeout)?.no_proxy();
        builder.build().map_err(NetworkError::Setup)
    }

    fn builder(&self, timeout: Duration) -> Result<reqwest::ClientBuilder, NetworkError> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("vodcertd/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // Nothing is sent twice but by those who know whether that may be: every call to a cloud has
            // a nonce of its own.
            .retry(reqwest::retry::never())
            // Without it every small POST waits for the peer's delayed acknowledgement (40 ms).
            .tcp_nodelay(true);
        let roots: Result<Vec<_>, _> = self
            .extra_roots
            .iter()
            .map(|der| reqwest::Certificate::from_der(der))
            .collect();
        Ok(builder.tls_certs_merge(roots.map_err(NetworkError::Setup)?))
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            proxy: None,
            extra_roots: Vec::new(),
            timeout: Duration::from_secs(30),
        }
    }
}

/// Sends one request and reads the whole answer, whatever its status.
pub async fn exchange(
    client: &reqwest::Client,
    request: reqwest::Request,
) -> Result<Answer, NetworkError> {
    let host = request.url().host_str().unwrap_or_default().to_owned();
    let failed = |source: reqwest::Error| NetworkError::from_exchange(source, &host);
    let mut response = client.execute(request).await.map_err(failed)?;
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err(NetworkError::TooLarge { host });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body: body.freeze(),
    })
}

impl NetworkError {
    /// Names what happened. The URL is taken out of the library's error: it may hold a token.
    fn from_exchange(error: reqwest::Error, host: &str) -> Self {
        let (host, source) = (host.to_owned(), error.without_url());
        if source.is_connect() {
            Self::Connect { host, source }
        } else if source.is_timeout() {
            Self::Timeout { host }
        } else {
            Self::Broken { host, source }
        }
    }

    /// Whether what was asked may have happened all the same.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Setup(_) | Self::Connect { .. } => false,
            Self::Timeout { .. } | Self::Broken { .. } | Self::TooLarge { .. } => true,
        }
    }

    /// Our own short word for it, used as a failure's code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setup(_) => "setup",
            Self::Connect { .. } => "unreachable",
            Self::Timeout { .. } => "timeout",
            Self::Broken { .. } => "connection-broken",
            Self::TooLarge { .. } => "answer-too-large",
        }
    }
}

/// What the clock of another side said when ours said something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// Our time.
    pub local: Timestamp,
    /// Theirs, in whole seconds, from the `Date` of an answer.
    pub remote: Timestamp,
    /// The moment, on a clock that nobody sets: how much time has really passed since.
    pub at: Instant,
}

impl ClockReading {
    /// Reads the `Date` of an answer that arrived at `local`.
    pub fn of(headers: &http::HeaderMap, local: Timestamp) -> Option<Self> {
        let remote = date(headers)?;
        Some(Self {
            local,
            remote,
            at: Instant::now(),
        })
    }

    /// How far apart the two clocks are at a later `moment` when ours says `now`, whichever is ahead:
    /// theirs must have gone on by the time that has really passed.
    pub fn skew(self, now: Timestamp, moment: Instant) -> Duration {
        (self.remote + moment.saturating_duration_since(self.at)).distance(now)
    }
}

/// The time of an answer's `Date` header (RFC 9110 §6.6.1), if it has one.
pub fn date(headers: &http::HeaderMap) -> Option<Timestamp> {
    let text = headers.get(http::header::DATE)?.to_str().ok()?;
    parse_http_date(text)
}

/// Parses the preferred form of an HTTP date, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
pub fn parse_http_date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests;
