//! A CA as it is reached, and what its answers tell about the clock.

use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

use crate::clock::Clock;
use crate::net::ClockReading;
use crate::time::Timestamp;

/// A CA: the URL of its directory and the HTTP client that all conversations with it share. Cheap
/// to clone; clones share the latest [`ClockReading`].
#[derive(Clone, Debug)]
pub struct Ca {
    directory: Arc<str>,
    http: reqwest::Client,
    clock: Clock,
    reading: Arc<Mutex<Option<ClockReading>>>,
}

/// Why a URL cannot be that of a CA's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the URL of an ACME directory: expected https://HOST/PATH")]
pub struct CaUrlError;

// === impl Ca ===

impl Ca {
    /// A CA with its directory at `directory`; `http` comes from [`Network::client`](crate::net::Network::client).
    pub fn new(directory: &Url, http: reqwest::Client, clock: Clock) -> Result<Self, CaUrlError> {
        // `url` takes URLs that `http` does not, and the library panics on those.
        if !is_requestable(directory.as_str()) {
            return Err(CaUrlError);
        }
        Ok(Self {
            directory: directory.as_str().into(),
            http,
            clock,
            reading: Arc::default(),
        })
    }

    /// The URL of the directory: under it, accounts, limits and failures are kept.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// The latest comparison of the CA's clock with ours, if it has said the time at all.
    pub fn clock_reading(&self) -> Option<ClockReading> {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Remembers what an answer says about the time.
    pub(super) fn note_date(&self, headers: &http::HeaderMap, local: Timestamp) {
        if let Some(reading) = ClockReading::of(headers, local) {
            *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        }
    }
}

/// Whether a request can be made to this URL: absolute, http or https, with a host.
pub(super) fn is_requestable(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|uri| {
        let scheme = uri.scheme_str();
        (scheme == Some("https") || scheme == Some("http"))
            && uri.host().is_some_and(|h| !h.is_empty())
    })
}
