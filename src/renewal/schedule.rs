//! From a certificate's life, or from the window that its CA suggests, to the time of renewal.
//!
//! Everything is a fraction of the life that the parsed certificate itself tells: nothing here knows
//! a number of days but the one that divides long lives from short ones.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::certificate::Leaf;
use crate::time::{Timestamp, Window};

/// Lives below this are short: they are renewed at half instead of at two thirds (Let's Encrypt's
/// integration guide).
const SHORT_LIFE: Duration = Duration::from_hours(10 * 24);

/// The last moment at which a suggested window is believed, as a fraction of the life.
const CAP: f64 = 5.0 / 6.0;
const CAP_SHORT: f64 = 3.0 / 4.0;

/// Before this fraction of the life a window that only straddles it is not followed.
const EARLIEST: f64 = 1.0 / 3.0;

/// The last part of a life in which everything else gives way.
const EMERGENCY: u32 = 20;

/// What the admin says about the time of renewal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RenewPolicy {
    /// Two thirds of the life, half of a short one; the CA's suggestion first.
    #[default]
    Default,
    /// At this fraction of the life at the latest.
    Fraction(f64),
    /// This long before the end at the latest, but not before half of the life.
    Before(Duration),
}

/// The fraction of its life at which a certificate is renewed when nobody says otherwise.
pub fn default_fraction(lifetime: Duration) -> f64 {
    if lifetime < SHORT_LIFE {
        1.0 / 2.0
    } else {
        2.0 / 3.0
    }
}

/// When a certificate is due.
///
/// With a suggested window (RFC 9773 §4.2), `picked` (0.0 to 1.0, chosen once and stored) chooses the
/// time inside; a window that straddles is cut to \[a third of the life, the cap\] first, and one
/// that lies wholly before is taken as it is: the CA wants the certificate gone. The admin's policy
/// caps both.
pub fn due_at(leaf: &Leaf, window: Option<Window>, picked: f64, policy: RenewPolicy) -> Timestamp {
    let suggested = match window {
        Some(window) => in_window(leaf, window, picked),
        None => leaf.at_fraction(default_fraction(leaf.lifetime())),
    };
    match policy {
        RenewPolicy::Default => suggested,
        RenewPolicy::Fraction(fraction) => suggested.min(leaf.at_fraction(fraction)),
        RenewPolicy::Before(length) => {
            suggested.min((leaf.not_after - length).max(leaf.at_fraction(0.5)))
        }
    }
}

fn in_window(leaf: &Leaf, window: Window, picked: f64) -> Timestamp {
    let earliest = leaf.at_fraction(EARLIEST);
    let cap = leaf.at_fraction(if is_short(leaf.lifetime()) {
        CAP_SHORT
    } else {
        CAP
    });
    if window.end() <= earliest {
        return window.at(picked);
    }
    Window::new(window.start().max(earliest), window.end().min(cap))
        .map_or(cap, |cut| cut.at(picked))
}

/// Whether a life counts as short.
pub(super) fn is_short(lifetime: Duration) -> bool {
    lifetime < SHORT_LIFE
}

/// The moment from which the end of a life is an emergency.
pub(super) fn emergency_from(leaf_end: Timestamp, lifetime: Duration) -> Timestamp {
    leaf_end - lifetime / EMERGENCY
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::certificate::Fingerprint;

    const DAY: Duration = Duration::from_hours(24);
    const START: Timestamp = Timestamp::from_seconds(1_767_225_600);

    fn leaf(lifetime: Duration) -> Leaf {
        Leaf {
            names: BTreeSet::new(),
            not_before: START,
            not_after: START + lifetime,
            serial: String::new(),
            authority_key_id: None,
            issuer: String::new(),
            key: None,
            fingerprint: Fingerprint::of(b"leaf"),
        }
    }

    fn window(from_day: u32, to_day: u32) -> Option<Window> {
        Window::new(START + DAY * from_day, START + DAY * to_day)
    }

    /// Checks on which day of its life a certificate of `days` days is due.
    #[track_caller]
    fn check(days: u32, window: Option<Window>, policy: RenewPolicy, expected_day: f64) {
        let due = due_at(&leaf(DAY * days), window, 0.5, policy);
        let day = due.since(START).as_secs_f64() / DAY.as_secs_f64();
        assert!(
            (day - expected_day).abs() < 0.01,
            "due on day {day}, not {expected_day}"
        );
    }

    #[test]
    fn without_a_window_at_two_thirds_and_for_short_lives_at_half() {
        check(90, None, RenewPolicy::Default, 60.0);
        check(45, None, RenewPolicy::Default, 30.0);
        check(10, None, RenewPolicy::Default, 6.67);
        check(6, None, RenewPolicy::Default, 3.0);
    }

    #[test]
    fn inside_the_suggested_window() {
        check(90, window(59, 61), RenewPolicy::Default, 60.0);
    }

    #[test]
    fn a_straddling_window_is_cut_before_the_time_is_picked() {
        check(90, window(0, 90), RenewPolicy::Default, 52.5);
        check(90, window(70, 90), RenewPolicy::Default, 72.5);
        check(6, window(0, 6), RenewPolicy::Default, 3.25);
    }

    #[test]
    fn a_window_beyond_the_cap_is_not_waited_for() {
        check(90, window(80, 90), RenewPolicy::Default, 75.0);
        check(90, window(200, 300), RenewPolicy::Default, 75.0);
    }

    #[test]
    fn a_window_early_in_the_life_is_the_word_of_the_ca() {
        check(90, window(1, 3), RenewPolicy::Default, 2.0);
    }

    #[test]
    fn the_admins_policy_caps_both() {
        check(90, None, RenewPolicy::Fraction(0.5), 45.0);
        check(90, window(59, 61), RenewPolicy::Fraction(0.5), 45.0);
        check(90, window(59, 61), RenewPolicy::Fraction(0.9), 60.0);
        check(90, None, RenewPolicy::Before(DAY * 40), 50.0);
        check(90, None, RenewPolicy::Before(DAY * 80), 45.0);
    }
}
