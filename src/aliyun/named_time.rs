//! The time before which the other side does not want to be asked again.
//!
//! Three generations of headers say it. Nothing is judged here: the time is neither clamped nor
//! given a scope.

use std::time::Duration;

use http::HeaderMap;

use crate::net;
use crate::time::Timestamp;

/// The latest time that an answer, read at `now`, names in any of its headers. Times that have
/// passed name nothing.
pub(super) fn named_time(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    [
        retry_after_millis(headers),
        time_left(headers, "x-ratelimit-user-api"),
        time_left(headers, "x-ratelimit-user"),
        retry_after(headers, now),
    ]
    .into_iter()
    .flatten()
    .filter(|wait| !wait.is_zero())
    .max()
    .map(|wait| now + wait)
}

/// `x-acs-retry-after`: milliseconds; the current SDKs read it.
fn retry_after_millis(headers: &HeaderMap) -> Option<Duration> {
    let millis = text(headers, "x-acs-retry-after")?.parse().ok()?;
    Some(Duration::from_millis(millis))
}

/// `Limit:1,Remain:0,TimeLeft:2000,Reset:1234`: `TimeLeft` in milliseconds; the SDKs before them
/// read it. While calls remain it only says how long the current period lasts.
fn time_left(headers: &HeaderMap, name: &str) -> Option<Duration> {
    let header = text(headers, name)?;
    let field = |wanted: &str| -> Option<u64> {
        header
            .split(',')
            .filter_map(|field| field.split_once(':'))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
            .and_then(|(_, value)| value.trim().parse().ok())
    };
    let remain = field("Remain").unwrap_or(0);
    field("TimeLeft")
        .filter(|_| remain == 0)
        .map(Duration::from_millis)
}

/// `Retry-After`: seconds or a date (RFC 9110 §10.2.3). A date is on the other side's clock, so it
/// is taken relative to the other side's `Date`.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let header = text(headers, "retry-after")?;
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = net::parse_http_date(header)?;
    Some(date.since(net::date(headers).unwrap_or(now)))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(headers: &[&str]) -> Option<u128> {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let mut map = HeaderMap::new();
        for header in headers {
            let (name, value) = header.split_once(": ").unwrap();
            let name: http::HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        named_time(&map, now).map(|time| time.since(now).as_millis())
    }

    #[test]
    fn a_header_names_a_time_in_its_own_unit() {
        for (header, expected) in [
            ("x-acs-retry-after: 1500", Some(1500)),
            ("x-acs-retry-after: 0", None),
            ("x-acs-retry-after: -5", None),
            ("x-acs-retry-after: soon", None),
            (
                "x-ratelimit-user-api: Limit:1,Remain:0,TimeLeft:2000,Reset:1234",
                Some(2000),
            ),
            (
                "x-ratelimit-user: Limit:1, Remain:0, TimeLeft:2500",
                Some(2500),
            ),
            ("x-ratelimit-user: TimeLeft:7", Some(7)),
            ("x-ratelimit-user: Limit:9,Remain:3,TimeLeft:2500", None),
            ("x-ratelimit-user: later", None),
            ("retry-after: 120", Some(120_000)),
            ("retry-after: Tue, 24 Nov 2026 12:01:00 GMT", Some(60_000)),
            ("retry-after: Tue, 24 Nov 2026 11:00:00 GMT", None),
            ("retry-after: later", None),
        ] {
            assert_eq!(wait(&[header]), expected, "{header}");
        }
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn a_date_is_on_the_clock_of_the_other_side() {
        let headers = [
            "retry-after: Tue, 24 Nov 2026 15:01:00 GMT",
            "date: Tue, 24 Nov 2026 15:00:00 GMT",
        ];
        assert_eq!(wait(&headers), Some(60_000));
    }

    #[test]
    fn of_several_times_the_latest_counts() {
        let headers = [
            "retry-after: 3",
            "x-acs-retry-after: 500",
            "x-ratelimit-user: Remain:0,TimeLeft:4000",
        ];
        assert_eq!(wait(&headers), Some(4000));
    }

    #[test]
    fn a_time_beyond_all_bounds_is_the_last_one() {
        let far = wait(&["retry-after: 18446744073709551615"]).unwrap();
        assert!(far > Duration::from_hours(24).as_millis());
    }
}
