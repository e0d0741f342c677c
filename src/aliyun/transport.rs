//! One call on the wire: it waits for its turn, is signed, sent and counted, and its answer is read.
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

use super::action::Action;
use super::answer;
use super::code::Code;
use super::credentials::Credentials;
use super::error::{ApiError, Cause};
use super::parameters::Parameters;
use super::rate::{self, Limiter, Rate};
use super::request::{Attempt, Headers};
use super::sign::Signature;
use crate::certificate::hex;
use crate::clock::Clock;
use crate::net::{self, ClockReading, NetworkError};
use crate::time::Timestamp;

/// Sends the calls of one cloud.
#[derive(Debug)]
pub(super) struct Transport {
    cloud: String,
    http: reqwest::Client,
    clock: Clock,
    limiter: Limiter,
    rate: Rate,
    observed: Mutex<Observed>,
}

/// A call before it is signed.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) action: Action,
    pub(super) endpoint: &'a Url,
    /// Whose limit it counts against.
    pub(super) account: &'a str,
    pub(super) parameters: &'a Parameters,
}

/// What a call is signed with.
#[derive(Clone, Copy)]
pub(super) struct Signer<'a> {
    pub(super) signature: Signature,
    pub(super) credentials: &'a Credentials,
}

/// What the calls so far have shown.
#[derive(Debug, Default)]
struct Observed {
    reading: Option<ClockReading>,
    /// What the last refusal because of our clock said of the time; since then that is signed.
    their_clock: Option<ClockReading>,
    calls: BTreeMap<(Action, String), u64>,
}

impl Transport {
    /// A transport for the cloud of this name. Transports with one limiter share the limits of an
    /// account that they have in common.
    pub(super) fn new(
        cloud: String,
        http: reqwest::Client,
        clock: Clock,
        limiter: Limiter,
        rate: Rate,
    ) -> Self {
        Self {
            cloud,
            http,
            clock,
            limiter,
            rate,
            observed: Mutex::default(),
        }
    }

    /// What the clocks said at the last answer that had a `Date`.
    pub(super) fn clock_reading(&self) -> Option<ClockReading> {
        self.observed().reading
    }

    /// How many attempts of which action ended how, as [`super::Client::calls`] tells it.
    pub(super) fn calls(&self) -> Vec<(Action, String, u64)> {
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
        call: Call<'_>,
        signer: Option<Signer<'_>>,
    ) -> Result<Value, ApiError> {
        match self.attempt(call, signer).await {
            Err(error)
                if error.code() == Some(Code::TimestampExpired)
                    && self.observed().their_clock.is_some() =>
            {
                self.attempt(call, signer).await
            }
            result => result,
        }
    }

    /// The error of a call of this cloud.
    pub(super) fn error(&self, action: Action, cause: Cause) -> ApiError {
        ApiError {
            action,
            cloud: self.cloud.clone(),
            cause,
        }
    }

    /// Counts an attempt that failed.
    pub(super) fn count(&self, error: &ApiError) {
        let code = error.code().map(|code| code.as_str().to_owned());
        self.count_as(error.action, code.unwrap_or_else(|| error.label()));
    }

    fn count_as(&self, action: Action, outcome: String) {
        *self.observed().calls.entry((action, outcome)).or_default() += 1;
    }

    /// Signs and sends once, and counts how that ended.
    async fn attempt(&self, call: Call<'_>, signer: Option<Signer<'_>>) -> Result<Value, ApiError> {
        let result = self
            .send(call, signer)
            .await
            .map_err(|cause| self.error(call.action, cause));
        match &result {
            Ok(_) => self.count_as(call.action, "OK".to_owned()),
            // Nobody was called.
            Err(error) if error.was_not_sent() => {}
            Err(error) => self.count(error),
        }
        result
    }

    async fn send(&self, call: Call<'_>, signer: Option<Signer<'_>>) -> Result<Value, Cause> {
        // Before it is signed: what is signed is the time of sending.
        self.limiter
            .turn(call.account, call.action, self.rate)
            .await
            .map_err(|rate::Closed| Cause::Closed)?;
        let attempt = Attempt {
            action: call.action,
            endpoint: call.endpoint,
            nonce: nonce(),
            time: self.signing_time(),
        };
        let request = match signer {
            Some(by) => attempt.sign(by.signature, call.parameters, by.credentials),
            None => attempt.unsigned(call.parameters),
        };
        let parameters = request.parameters;
        let request = self
            .http_request(call.endpoint.clone(), &request.headers, request.form)
            .map_err(Cause::Network)?;
        let answer = net::exchange(&self.http, request)
            .await
            .map_err(Cause::Network)?;
        let now = self.clock.now();
        let reading = ClockReading::of(&answer.headers, now);
        let credentials = signer.map(|by| by.credentials);
        let result = answer::read(&answer, now, &parameters, credentials);
        let mut observed = self.observed();
        observed.reading = reading.or(observed.reading);
        if let Err(Cause::Refused(refusal)) = &result
            && refusal.code == Code::TimestampExpired
        {
            observed.their_clock = reading;
        }
        drop(observed);
        result.map_err(|cause| {
            let error = self.error(call.action, cause);
            if error.closes_the_action(now) {
                self.limiter.close(call.account, call.action);
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

    /// A thread that panicked while it held the lock left counts behind, nothing half done.
    fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::net::Network;

    #[test]
    fn headers_that_are_secret_are_not_shown() {
        let http = Network::default().client().unwrap();
        let (limiter, rate) = (Limiter::default(), Rate::default());
        let transport = Transport::new("default".into(), http, Clock::System, limiter, rate);
        let headers = ["authorization", "x-acs-security-token"]
            .map(|name| (name, Zeroizing::new("s3cret".to_owned())));
        let url = Url::parse("https://vod.example.com").unwrap();
        let request = transport.http_request(url, &headers.into(), Zeroizing::default());
        let request = request.unwrap();
        assert_eq!(request.headers()["authorization"], "s3cret");
        let shown = format!("{:?}", request.headers());
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn nonces_are_written_like_uuids_and_do_not_repeat() {
        let nonces: BTreeSet<String> = std::iter::repeat_with(nonce).take(1000).collect();
        assert_eq!(nonces.len(), 1000);
        for nonce in nonces {
            let lengths: Vec<usize> = nonce.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12]);
        }
    }
}
