//! Flow control: how many calls of an action an account may make, or an access key whose account
//! nobody has told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::locked;
use super::refusal::Refusal;
use super::request::Request;

/// The limits of a gateway and the calls that count against them.
#[derive(Debug, Default)]
pub(super) struct FlowControl(Mutex<BTreeMap<String, Flow>>);

/// The limit of one action.
#[derive(Debug)]
struct Flow {
    calls: usize,
    within: Duration,
    /// By account or access key: when the latest calls that were let through arrived.
    passed: BTreeMap<String, VecDeque<Instant>>,
}

impl FlowControl {
    /// Lets `calls` of `action` through within any stretch of this length.
    pub(super) fn limit(&self, action: &str, calls: usize, within: Duration) {
        let flow = Flow {
            calls,
            within,
            passed: BTreeMap::new(),
        };
        locked(&self.0).insert(action.to_owned(), flow);
    }

    /// Refuses a request that is one too many. What is refused does not count.
    pub(super) fn admit(
        &self,
        request: &Request,
        caller: &str,
        now: Instant,
    ) -> Result<(), Refusal> {
        let mut flows = locked(&self.0);
        let Some(flow) = flows.get_mut(request.sent("Action").unwrap_or_default()) else {
            return Ok(());
        };
        let passed = flow.passed.entry(caller.to_owned()).or_default();
        while passed
            .front()
            .is_some_and(|first| now.duration_since(*first) >= flow.within)
        {
            passed.pop_front();
        }
        if passed.len() >= flow.calls {
            return Err(Refusal::throttled());
        }
        passed.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_within_any_second_is_throttled() {
        let flow = FlowControl::default();
        flow.limit("A", 2, Duration::from_secs(1));
        let begun = Instant::now();
        let admits = |uri, key_id, at| {
            let moment = begun + Duration::from_millis(at);
            flow.admit(&Request::get(uri), key_id, moment).is_ok()
        };
        let passed =
            [0, 900, 950, 999, 1000, 1100, 1899, 1900].map(|at| admits("/?Action=A", "a", at));
        let expected = [true, true, false, false, true, false, false, true];
        assert_eq!(passed, expected);
        assert!(admits("/?Action=A", "b", 1900), "another access key");
        assert!((0..9).all(|_| admits("/?Action=B", "a", 1900)));
    }

    #[test]
    fn a_throttle_is_told_as_one() {
        let flow = FlowControl::default();
        flow.limit("A", 0, Duration::from_secs(1));
        let refused = flow.admit(&Request::get("/?Action=A"), "a", Instant::now());
        assert_eq!(refused, Err(Refusal::throttled()));
    }
}
