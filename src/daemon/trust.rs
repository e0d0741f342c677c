//! Whether the local clock can be trusted: it is compared with what the CAs and the clouds say.
//!
//! A clock that is wrong by hours would order certificates too early or too late, or take good ones
//! for expired. While it is not trusted nothing irreversible is done; it is never set from here.

use std::time::Duration;

use tokio::time::Instant;

use crate::net::ClockReading;
use crate::renewal::ClockTrust;
use crate::time::Timestamp;

/// A clock that is off by more than this is not trusted.
const LIMIT: Duration = Duration::from_hours(1);

/// What others say is believed this long; a reading older than that is no evidence.
const FRESH: Duration = Duration::from_hours(24);

/// How soon a clock is compared again that nobody says is right.
pub(super) const CHECK_AGAIN: Duration = Duration::from_mins(5);

/// What the others say about our clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Most of those who were asked disagree with it.
    Wrong,
    /// At least half of those who were asked agree with it.
    Right,
    /// Nobody said anything.
    Unknown,
}

/// Judges the clock by the freshest readings. It takes a majority to distrust it: one server with a
/// wrong clock of its own must not stop everything.
///
/// If the sides were asked on purpose (`asked_at`), what they had said before that is no evidence
/// any more: the clock may have been set, or the machine may have slept, since.
pub(super) fn judge(
    readings: &[ClockReading],
    asked_at: Option<Instant>,
    now: Timestamp,
    moment: Instant,
) -> Verdict {
    let age = |reading: &ClockReading| moment.saturating_duration_since(reading.at);
    let fresh: Vec<&ClockReading> = readings
        .iter()
        .filter(|reading| age(reading) < FRESH)
        .collect();
    let answered = |reading: &&ClockReading| asked_at.is_none_or(|asked| reading.at >= asked);
    let answers: Vec<&ClockReading> = fresh.iter().copied().filter(answered).collect();
    let heard = if answers.is_empty() { fresh } else { answers };
    let wrong = heard
        .iter()
        .filter(|reading| reading.skew(now, moment) > LIMIT)
        .count();
    if heard.is_empty() {
        Verdict::Unknown
    } else if wrong > heard.len() - wrong {
        Verdict::Wrong
    } else {
        Verdict::Right
    }
}

impl Verdict {
    /// What it means for the core.
    pub(super) fn trust(self, now: Timestamp) -> ClockTrust {
        match self {
            Self::Right | Self::Unknown => ClockTrust::Trusted,
            Self::Wrong => ClockTrust::Distrusted {
                until_checked: now + CHECK_AGAIN,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const MINUTE: Duration = Duration::from_mins(1);

    fn reading(minutes_off: u32, at: Instant) -> ClockReading {
        ClockReading {
            local: NOW,
            remote: NOW + MINUTE * minutes_off,
            at,
        }
    }

    #[test]
    fn the_majority_of_fresh_readings_decides() {
        let at = Instant::now();
        let off = |minutes| reading(minutes, at);
        let cases: [(&str, &[ClockReading], Verdict); 5] = [
            ("nobody was asked", &[], Verdict::Unknown),
            ("all agree", &[off(0), off(30)], Verdict::Right),
            ("the only one disagrees", &[off(90)], Verdict::Wrong),
            ("one of two disagrees", &[off(0), off(90)], Verdict::Right),
            (
                "two of three disagree",
                &[off(0), off(90), off(900)],
                Verdict::Wrong,
            ),
        ];
        for (name, readings, expected) in cases {
            assert_eq!(judge(readings, None, NOW, at), expected, "{name}");
        }
    }

    #[test]
    fn a_clock_that_is_stepped_after_a_reading_is_found_wrong() {
        let at = Instant::now();
        let (later, moment) = (NOW + MINUTE * 10, at + MINUTE * 10);
        let judge = |now| judge(&[reading(0, at)], None, now, moment);
        assert_eq!(judge(later), Verdict::Right);
        assert_eq!(judge(later + MINUTE * 120), Verdict::Wrong);
        assert_eq!(judge(later - MINUTE * 120), Verdict::Wrong);
    }

    #[test]
    fn what_was_said_before_a_question_does_not_outvote_the_answer() {
        let before = Instant::now();
        let asked = before + Duration::from_secs(1);
        let old = [reading(120, before), reading(120, before)];
        let answered = [old[0], old[1], reading(0, asked)];
        assert_eq!(judge(&answered, None, NOW, asked), Verdict::Wrong);
        assert_eq!(judge(&answered, Some(asked), NOW, asked), Verdict::Right);
        assert_eq!(
            judge(&old, Some(asked), NOW, asked),
            Verdict::Wrong,
            "nobody answered"
        );
    }

    #[test]
    fn a_stale_reading_is_no_evidence() {
        let at = Instant::now();
        assert_eq!(
            judge(&[reading(90, at)], None, NOW, at + FRESH),
            Verdict::Unknown
        );
    }
}
