//! The log of calls, for assertions and counting.

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::Timestamp;

use super::locked;
use super::request::Request;

/// Parameters that are secret or say nothing about the call.
const UNLOGGED: [&str; 12] = [
    "AccessKeyId",
    "Action",
    "Format",
    "Key",
    "OIDCToken",
    "SSLPri",
    "SecurityToken",
    "Signature",
    "SignatureMethod",
    "SignatureNonce",
    "SignatureVersion",
    "Timestamp",
];

/// What a caller was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Success.
    Success,
    /// An error with a code.
    Refused {
        /// The HTTP status.
        status: u16,
        /// `Code`.
        code: String,
    },
    /// A scripted body with this status.
    Raw(u16),
    /// Nothing: the connection was closed.
    HungUp,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// `Action` as it was sent.
    pub action: String,
    /// Whether it was signed by version 3 rather than 1.0.
    pub by_version_3: bool,
    /// The parameters of the call itself, without the private key and without credentials.
    pub parameters: BTreeMap<String, String>,
    /// When it arrived, by the gateway's clock.
    pub at: Timestamp,
    /// What the caller was told.
    pub outcome: Outcome,
    /// Whether it took effect, whatever the caller was told.
    pub performed: bool,
}

impl Call {
    pub(super) fn new(request: &Request, at: Timestamp, outcome: Outcome, performed: bool) -> Self {
        let parameters = request
            .parameters
            .iter()
            .filter(|(name, _)| !UNLOGGED.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Self {
            action: request.sent("Action").unwrap_or_default().to_owned(),
            by_version_3: request.v3.is_some(),
            parameters,
            at,
            outcome,
            performed,
        }
    }

    /// A parameter of the call.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// `DomainName`: the VOD domain or the DNS zone.
    pub fn domain(&self) -> Option<&str> {
        self.parameter("DomainName")
    }

    /// `RR`: the name below the zone.
    pub fn rr(&self) -> Option<&str> {
        self.parameter("RR")
    }

    /// The code of the refusal, if it was one.
    pub fn code(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Refused { code, .. } => Some(code),
            Outcome::Success | Outcome::Raw(_) | Outcome::HungUp => None,
        }
    }
}

/// All calls of a gateway in the order in which they ended.
#[derive(Debug, Default)]
pub struct Calls {
    log: Mutex<Vec<Call>>,
    urls: Mutex<Vec<String>>,
    keys_in_urls: Mutex<usize>,
    panics: Mutex<usize>,
}

impl Calls {
    /// Every call, refused ones included.
    pub fn all(&self) -> Vec<Call> {
        locked(&self.log).clone()
    }

    /// The calls of one action.
    pub fn of(&self, action: &str) -> Vec<Call> {
        let log = locked(&self.log);
        log.iter()
            .filter(|call| call.action == action)
            .cloned()
            .collect()
    }

    /// How many calls of one action took effect.
    pub fn performed(&self, action: &str) -> usize {
        let log = locked(&self.log);
        log.iter()
            .filter(|call| call.action == action && call.performed)
            .count()
    }

    /// Forgets the calls so far, but not whether a key was in a URL.
    pub fn clear(&self) {
        locked(&self.log).clear();
    }

    /// The path and query of every request as it arrived, also of those that are no call.
    pub fn urls(&self) -> Vec<String> {
        locked(&self.urls).clone()
    }

    /// How many requests had a private key, or an OIDC token, in their URL.
    pub fn keys_in_urls(&self) -> usize {
        *locked(&self.keys_in_urls)
    }

    /// # Panics
    /// If a request ever had a private key, or an OIDC token, in its URL.
    pub fn assert_no_key_in_url(&self) {
        let count = self.keys_in_urls();
        assert_eq!(
            count, 0,
            "{count} request(s) had a private key or a token in the URL"
        );
    }

    pub(super) fn panics(&self) -> usize {
        *locked(&self.panics)
    }

    pub(super) fn note_panic(&self) {
        *locked(&self.panics) += 1;
    }

    pub(super) fn note_url(&self, url: &str) {
        locked(&self.urls).push(url.to_owned());
    }

    pub(super) fn note_key_in_url(&self) {
        *locked(&self.keys_in_urls) += 1;
    }

    pub(super) fn push(&self, call: Call) {
        locked(&self.log).push(call);
    }
}
