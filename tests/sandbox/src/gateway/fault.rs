//! Failures played on script.
//!
//! A fault waits for a request that was admitted and that it fits; the first one that fits is
//! played. Faults of the transport end the connection; they do not break bytes on the wire.

use std::sync::Mutex;
use std::time::Duration;

use super::locked;
use super::refusal::Refusal;
use super::request::Request;

/// What happens instead of the usual course.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disturbance {
    /// It is refused and not performed.
    Refuse(Refusal),
    /// It is refused late, and not performed.
    DelayThenRefuse(Duration, Refusal),
    /// It is performed and reported as refused.
    PerformThenRefuse(Refusal),
    /// It is not performed; a proxy answers instead.
    Raw(RawAnswer),
    /// It is performed; a proxy answers instead.
    PerformThenRaw(RawAnswer),
    /// It is performed and answered late, even for a caller who has left by then.
    Delay(Duration),
    /// It is performed at once and answered late.
    PerformThenDelay(Duration),
    /// It is not performed; the connection is closed.
    HangUp,
    /// It is performed; the connection is closed without an answer.
    PerformThenHangUp,
}

/// An answer that is not the gateway's: some text, as a proxy sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Headers besides the usual ones.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl RawAnswer {
    /// An HTML page that says nothing but a status.
    pub fn page(status: u16) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), "text/html".to_owned())],
            body: format!("<html><body><h1>{status}</h1></body></html>"),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Disturbance {
    /// The page of a proxy that found no gateway behind it, status 502.
    pub fn bad_gateway() -> Self {
        Self::Raw(RawAnswer::page(502))
    }
}

/// A disturbance with the calls that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    action: Option<String>,
    domain: Option<String>,
    remaining: Remaining,
    disturbance: Disturbance,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remaining {
    Times(usize),
    Always,
}

impl Fault {
    /// Disturbs the next call.
    pub fn once(disturbance: Disturbance) -> Self {
        Self::times(1, disturbance)
    }

    /// Disturbs the next `count` calls.
    pub fn times(count: usize, disturbance: Disturbance) -> Self {
        Self::new(Remaining::Times(count), disturbance)
    }

    /// Disturbs every call until the faults are cleared.
    pub fn always(disturbance: Disturbance) -> Self {
        Self::new(Remaining::Always, disturbance)
    }

    /// Only calls of one action.
    #[must_use]
    pub fn on(mut self, action: &str) -> Self {
        self.action = Some(action.to_owned());
        self
    }

    /// Only calls whose `DomainName` is this.
    #[must_use]
    pub fn for_domain(mut self, domain: &str) -> Self {
        self.domain = Some(domain.to_owned());
        self
    }

    fn new(remaining: Remaining, disturbance: Disturbance) -> Self {
        Self {
            action: None,
            domain: None,
            remaining,
            disturbance,
        }
    }

    fn fits(&self, request: &Request) -> bool {
        let fits = |wanted: &Option<String>, parameter| {
            wanted.is_none() || wanted.as_deref() == request.sent(parameter)
        };
        fits(&self.action, "Action") && fits(&self.domain, "DomainName")
    }

    fn spend(&mut self) {
        match &mut self.remaining {
            Remaining::Times(count) => *count -= 1,
            Remaining::Always => {}
        }
    }
}

/// The script of a gateway.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Adds a fault behind those that wait already.
    pub fn push(&self, fault: Fault) {
        if fault.remaining != Remaining::Times(0) {
            locked(&self.0).push(fault);
        }
    }

    /// Drops all faults.
    pub fn clear(&self) {
        locked(&self.0).clear();
    }

    /// How many faults still wait; one for several calls counts once.
    pub fn waiting(&self) -> usize {
        locked(&self.0).len()
    }

    pub(super) fn take(&self, request: &Request) -> Option<Disturbance> {
        let mut faults = locked(&self.0);
        let fault = faults.iter_mut().find(|fault| fault.fits(request))?;
        fault.spend();
        let disturbance = fault.disturbance.clone();
        faults.retain(|fault| fault.remaining != Remaining::Times(0));
        Some(disturbance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fault_that_fits_is_played_as_often_as_asked() {
        let faults = Faults::default();
        faults.push(Fault::times(2, Disturbance::HangUp).on("A"));
        faults.push(Fault::always(Disturbance::bad_gateway()).for_domain("x"));
        let played = |uri| faults.take(&Request::get(uri));
        assert_eq!(played("/?Action=B"), None);
        assert_eq!(played("/?Action=A"), Some(Disturbance::HangUp));
        assert_eq!(played("/?Action=A&DomainName=x"), Some(Disturbance::HangUp));
        assert_eq!(
            played("/?Action=A&DomainName=x"),
            Some(Disturbance::bad_gateway())
        );
        assert_eq!(faults.waiting(), 1);
        assert_eq!(played("/?Action=A"), None);
    }
}
