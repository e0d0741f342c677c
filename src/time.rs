//! Points in time, lengths of time and deadlines, with only the arithmetic that makes sense.
//!
//! Everything that decides takes a [`Timestamp`] as an argument; nothing here reads a clock
//! (`clock.rs` alone does). Arithmetic saturates: a certificate that is valid until the year 9999
//! must not be able to overflow a decision.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since the Unix epoch, UTC, leap seconds not counted.
///
/// | expression | is |
/// |---|---|
/// | time + duration, time − duration | a time (saturating) |
/// | later.since(earlier) | a duration, zero if the order is the other way round |
/// | time + time, time × n | nothing: does not compile |
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// A span between two points in time, `start < end`, both kept as given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Span")]
pub struct Window {
    start: Timestamp,
    end: Timestamp,
}

/// A [`Window`] as it is stored, not checked yet.
#[derive(Deserialize)]
struct Span {
    start: Timestamp,
    end: Timestamp,
}

/// A time before which something must not happen, together with the time at which it was said.
///
/// A deadline that was set in the future tells of a clock that has been stepped back since; it is
/// void, or a wrong clock could stop the daemon for years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// The first moment at which it no longer holds.
    pub until: Timestamp,
    /// When it was set.
    pub set_at: Timestamp,
}

/// Why a text is no time or no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseTimeError {
    /// Not an RFC 3339 timestamp.
    #[error("not an RFC 3339 time such as 2026-01-31T12:00:00Z")]
    Timestamp,
    /// The end is not after the start.
    #[error("not a span of time: its end is not after its start")]
    Window,
    /// Not a number followed by one of the units s, m, h, d.
    #[error("not a length of time such as \"90s\", \"10m\", \"6h\" or \"30d\"")]
    Span,
}

// === impl Timestamp ===

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-30T22:00:00Z, the last moment that can be written in every time zone. A certificate
    /// "without end" (9999-12-31T23:59:59Z, RFC 5280 §4.1.2.5) ends here for us.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// The time that is `millis` milliseconds after the epoch, at most [`Timestamp::MAX`].
    pub const fn from_millis(millis: i64) -> Self {
        if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// The time that is `seconds` seconds after the epoch, at most [`Timestamp::MAX`].
    pub const fn from_seconds(seconds: i64) -> Self {
        Self::from_millis(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How long after `earlier` this is; zero if it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// How far apart two times are, whichever comes first.
    pub fn distance(self, other: Self) -> Duration {
        Duration::from_millis(self.0.abs_diff(other.0))
    }

    /// This time in UTC as ISO 8601 with whole seconds, as Alibaba Cloud's `Timestamp` and
    /// `x-acs-date` want it: `2026-01-31T12:00:00Z`.
    pub fn to_iso_seconds(self) -> String {
        let seconds = jiff::Timestamp::from_second(self.as_seconds()).unwrap_or_default();
        seconds.to_string()
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis)).min(Self::MAX)
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, length: Duration) -> Self {
        let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nearest = if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        };
        let time = jiff::Timestamp::from_millisecond(self.0).unwrap_or(nearest);
        write!(f, "{time}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time: jiff::Timestamp = text.parse().map_err(|_| ParseTimeError::Timestamp)?;
        Ok(Self(time.as_millisecond()))
    }
}

// === impl Window ===

impl Window {
    /// A window, or nothing if it would be empty or inverted (RFC 9773 §4.2 calls such an answer
    /// invalid).
    pub fn new(start: Timestamp, end: Timestamp) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// The first moment inside.
    pub fn start(self) -> Timestamp {
        self.start
    }

    /// The first moment after.
    pub fn end(self) -> Timestamp {
        self.end
    }

    /// The time that lies `fraction` (0.0 to 1.0) of the way through.
    pub fn at(self, fraction: f64) -> Timestamp {
        self.start + self.length().mul_f64(fraction.clamp(0.0, 1.0))
    }

    /// How long the window is.
    pub fn length(self) -> Duration {
        self.end.since(self.start)
    }

    /// Whether `time` lies inside.
    pub fn contains(self, time: Timestamp) -> bool {
        self.start <= time && time < self.end
    }
}

impl TryFrom<Span> for Window {
    type Error = ParseTimeError;

    fn try_from(span: Span) -> Result<Self, Self::Error> {
        Self::new(span.start, span.end).ok_or(ParseTimeError::Window)
    }
}

// === impl Deadline ===

/// A clock may be slewed by this much without voiding a deadline that was set a moment ago.
const SLEW_TOLERANCE: Duration = Duration::from_mins(2);

impl Deadline {
    /// A deadline set at `now` that holds for `length`.
    pub fn after(now: Timestamp, length: Duration) -> Self {
        Self {
            until: now + length,
            set_at: now,
        }
    }

    /// The time until which it holds, or nothing if it has passed or is void.
    pub fn holding(self, now: Timestamp) -> Option<Timestamp> {
        let void = self.set_at > now + SLEW_TOLERANCE;
        (!void && now < self.until).then_some(self.until)
    }
}

/// Parses a length of time as the configuration writes it: a whole number and one of the units
/// `s`, `m`, `h`, `d` (24 hours).
pub fn parse_span(text: &str) -> Result<Duration, ParseTimeError> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .ok_or(ParseTimeError::Span)?;
    let (digits, unit) = text.split_at(unit_at);
    let count: u64 = digits.parse().map_err(|_| ParseTimeError::Span)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(ParseTimeError::Span),
    };
    count
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or(ParseTimeError::Span)
}

/// Writes a length of time for people, with its two largest units: `59d 3h`, `4m 10s`, `0s`.
pub fn format_span(length: Duration) -> String {
    let total = length.as_secs();
    let parts = [
        (total / 86_400, "d"),
        (total / 3600 % 24, "h"),
        (total / 60 % 60, "m"),
        (total % 60, "s"),
    ];
    let first = parts
        .iter()
        .position(|(count, _)| *count > 0)
        .unwrap_or(parts.len() - 1);
    parts
        .iter()
        .skip(first)
        .take(2)
        .filter(|(count, unit)| *count > 0 || (first == 3 && *unit == "s"))
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Writes a time for people as it lies from `now`: `in 59d 3h`, `now`, `4m 10s ago`.
pub fn format_relative(time: Timestamp, now: Timestamp) -> String {
    if time.as_seconds() == now.as_seconds() {
        "now".to_owned()
    } else if now < time {
        format!("in {}", format_span(time.since(now)))
    } else {
        format!("{} ago", format_span(now.since(time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn times_are_read_and_written_as_rfc_3339() {
        assert_eq!(
            at("2026-01-31T12:00:00Z").to_string(),
            "2026-01-31T12:00:00Z"
        );
        assert_eq!(at("2026-01-31T14:00:00+02:00"), at("2026-01-31T12:00:00Z"));
        assert_eq!(
            Timestamp::from_millis(1_500).to_string(),
            "1970-01-01T00:00:01.5Z"
        );
        assert_eq!(
            Timestamp::from_millis(1_500).to_iso_seconds(),
            "1970-01-01T00:00:01Z"
        );
        for bad in ["", "2026-01-31", "yesterday", "2026-13-01T00:00:00Z", "1"] {
            assert_eq!(
                bad.parse::<Timestamp>(),
                Err(ParseTimeError::Timestamp),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX + Duration::MAX, Timestamp::MAX);
        assert_eq!(Timestamp::EPOCH.since(Timestamp::MAX), Duration::ZERO);
        let first = Timestamp::EPOCH - Duration::MAX;
        assert!(first < Timestamp::EPOCH);
        assert_eq!(first.to_string(), "-009999-01-02T01:59:59Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00Z");
        assert_eq!(Timestamp::from_seconds(253_402_300_799), Timestamp::MAX);
    }

    #[test]
    fn a_window_is_never_empty_or_inverted() {
        let (one, two) = (Timestamp::from_seconds(1), Timestamp::from_seconds(2));
        assert_eq!(Window::new(one, one), None);
        assert_eq!(Window::new(two, one), None);
        let window = Window::new(one, two).unwrap();
        assert_eq!(window.at(0.5), Timestamp::from_millis(1500));
        assert_eq!(window.at(7.0), two);
        assert!(window.contains(one) && !window.contains(two));
        let stored = serde_json::to_string(&window).unwrap();
        assert_eq!(stored, r#"{"start":1000,"end":2000}"#);
        assert_eq!(serde_json::from_str::<Window>(&stored).unwrap(), window);
        for text in [r#"{"start":2000,"end":1000}"#, r#"{"start":1,"end":1}"#] {
            assert!(serde_json::from_str::<Window>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_deadline_set_in_the_future_is_void() {
        let noon = at("2026-01-31T12:00:00Z");
        let hour = Duration::from_hours(1);
        let deadline = Deadline::after(noon, hour);
        assert_eq!(deadline.holding(noon), Some(noon + hour));
        assert_eq!(deadline.holding(noon + hour), None);
        assert_eq!(
            deadline.holding(noon - Duration::from_mins(1)),
            Some(noon + hour)
        );
        assert_eq!(deadline.holding(noon - hour), None);
    }

    #[test]
    fn lengths_are_read_as_the_configuration_writes_them() {
        let cases = [
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("6h", Some(21_600)),
            ("30d", Some(2_592_000)),
            ("0s", Some(0)),
            ("", None),
            ("10", None),
            ("d", None),
            ("1w", None),
            ("-1s", None),
            ("1.5h", None),
            ("1 h", None),
            ("99999999999999999999d", None),
            ("300000000000000000d", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(
                parse_span(text).ok(),
                seconds.map(Duration::from_secs),
                "{text:?}"
            );
        }
    }

    #[test]
    fn lengths_are_written_with_two_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (250, "4m 10s"),
            (3600, "1h"),
            (5_108_400, "59d 3h"),
        ] {
            assert_eq!(format_span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn times_are_written_as_they_lie_from_now() {
        let now = Timestamp::from_seconds(1_000_000);
        let hour = Duration::from_hours(1);
        assert_eq!(format_relative(now + hour, now), "in 1h");
        assert_eq!(format_relative(now - hour, now), "1h ago");
        assert_eq!(format_relative(now + Duration::from_millis(5), now), "now");
    }
}
