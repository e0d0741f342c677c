use super::*;
use crate::renewal::fixtures::*;
use crate::retry::{Class, course};

const CASE: &[(Class, u8)] = &[(Class::Backoff, 1)];

/// The delay after the last of `in_a_row` failures with this course, the last on that day of a life
/// of `lifetime` that began at [`START`]; no life: nothing is held.
#[track_caller]
fn check(
    name: &str,
    (ladder, in_a_row): (Ladder, u32),
    remedies: &[(Class, u8)],
    life: Option<(Duration, f64)>,
    expected: Duration,
) {
    let urgency = life.map(|(lifetime, _)| Urgency {
        not_after: START + lifetime,
        lifetime,
    });
    let at = START + life.map_or(Duration::ZERO, |(lifetime, part)| lifetime.mul_f64(part));
    let mut trouble = None;
    for _ in 0..in_a_row {
        let failure = failure("code", remedies);
        trouble = Some(Trouble::add(trouble, failure, None, 0.5, at));
    }
    let retry = retry_at(&trouble.unwrap(), ladder, urgency, at);
    let delay = retry.map_or(Duration::ZERO, |time| time.since(at));
    assert!(
        delay.abs_diff(expected) < SECOND / 100,
        "{name}: {delay:?}, not {expected:?}"
    );
}

#[test]
fn the_rungs_while_nothing_is_held() {
    let orders = [MINUTE, MINUTE * 10, HOUR, HOUR * 6, DAY, DAY];
    for (count, expected) in (1..).zip(orders) {
        check("orders", (Ladder::Orders, count), CASE, None, expected);
    }
    let installs = [
        SECOND * 5,
        SECOND * 30,
        MINUTE * 2,
        MINUTE * 10,
        HOUR,
        HOUR * 6,
        HOUR * 6,
    ];
    for (count, expected) in (1..).zip(installs) {
        check("installs", (Ladder::Installs, count), CASE, None, expected);
    }
}

#[test]
#[rustfmt::skip]
fn the_bounds_of_the_ladder() {
    use Ladder::{Installs, Orders};
    let life = |days: u32, part: f64| Some((DAY * days, part));
    let minutes = |count: u32, part: f64| Some((MINUTE * count, part));
    let hours = |count: u32, part: f64| Some((HOUR * count, part));
    check("the last rung is a day before the last third", (Orders, 5), CASE, life(90, 0.5), DAY);
    check("no delay is longer than a twentieth of what is left", (Orders, 5), CASE, life(45, 0.6), MINUTE * 1296);
    check("nor than 8 h in the last third", (Orders, 5), CASE, life(90, 0.7), HOUR * 8);
    check("a twentieth of what is left", (Orders, 5), CASE, life(90, 0.99), SECOND * 3888);
    check("orders wait a minute at least", (Orders, 1), CASE, life(90, 0.9999), MINUTE);
    check("installs wait five seconds at least", (Installs, 3), CASE, life(90, 0.999_99), SECOND * 5);
    check("a short life bounds an order by a twentieth", (Orders, 5), CASE, hours(160, 0.5), HOUR * 4);
    check("and its floor is a quarter of that", (Orders, 1), CASE, minutes(100, 0.9), SECOND * 30);
    check("but five seconds", (Orders, 1), CASE, minutes(1, 0.5), SECOND * 5);
    check("for installs as well", (Installs, 6), CASE, minutes(10, 0.5), SECOND * 15);
    check("what is over has the plain rungs", (Orders, 3), CASE, life(90, 1.1), HOUR);
    check("a short life is not waited for longer than it lasted", (Orders, 9), CASE, minutes(100, 1.1), MINUTE * 5);
    check("but no day, though it is over", (Orders, 5), CASE, life(90, 1.1), HOUR * 8);
}

#[test]
#[rustfmt::skip]
fn what_waits_for_a_person_is_looked_at_slowly() {
    for class in [Class::Operator, Class::Bug] {
        for ladder in [Ladder::Orders, Ladder::Installs] {
            let check = |name, life, expected| check(name, (ladder, 7), &[(class, 1)], life, expected);
            check("daily while nothing is held", None, DAY);
            check("daily while there is time", Some((DAY * 90, 0.5)), DAY);
            check("every 8 h in the last third", Some((DAY * 90, 0.7)), HOUR * 8);
            check("every 8 h when it is over", Some((DAY * 90, 1.5)), HOUR * 8);
            check("as often as a short life asks for", Some((HOUR * 160, 0.5)), HOUR * 8);
            check("but never hot", Some((MINUTE * 10, 0.5)), MINUTE);
        }
    }
}

#[test]
fn a_remedy_that_is_used_once_follows_at_once_but_not_hot() {
    for class in [
        Class::Reconcile,
        Class::Refresh,
        Class::Reformat,
        Class::Rename,
    ] {
        check(
            "a remedy",
            (Ladder::Installs, 1),
            &[(class, 1)],
            None,
            SECOND * 5,
        );
    }
    for class in [Class::After, Class::Reissue] {
        check(
            "the ladder",
            (Ladder::Orders, 2),
            &[(class, 9)],
            None,
            MINUTE * 10,
        );
    }
}

#[test]
fn jitter_spreads_a_rung_by_a_tenth_to_both_sides() {
    let delay = |jitter| {
        let trouble = Trouble::add(None, backoff(), None, jitter, START);
        let retry = retry_at(&trouble, Ladder::Orders, None, START).unwrap();
        retry.since(START)
    };
    assert_eq!(delay(0.0), SECOND * 54);
    assert_eq!(delay(1.0), SECOND * 66);
}

#[test]
fn a_named_time_holds_until_it_has_passed_unless_it_was_set_in_the_future() {
    let mut failure = backoff();
    failure.not_before = Some(START + HOUR);
    let trouble = Trouble::add(None, failure, None, 0.5, START);
    assert_eq!(named_until(&trouble, START), Some(START + HOUR));
    assert_eq!(
        named_until(&trouble, START + MINUTE * 59),
        Some(START + HOUR)
    );
    assert_eq!(named_until(&trouble, START + HOUR), None);
    assert_eq!(
        named_until(&trouble, START - HOUR),
        None,
        "the clock was stepped back"
    );
    assert_eq!(
        retry_at(&trouble, Ladder::Orders, None, START - HOUR),
        None,
        "the ladder as well"
    );
}

#[test]
fn a_scope_without_a_named_time_waits_from_5_s_doubling_to_10_min() {
    let mut failure = backoff();
    assert_eq!(scope_deadline(&failure, 0, START), None, "nothing else");
    failure.scope = crate::retry::Scope::Cloud {
        cloud: "default".into(),
    };
    let wait = |before| {
        scope_deadline(&failure, before, START)
            .unwrap()
            .until
            .since(START)
    };
    let waits: Vec<Duration> = [0, 1, 2, 7, u32::MAX].map(wait).into();
    assert_eq!(
        waits,
        [
            SECOND * 5,
            SECOND * 10,
            SECOND * 20,
            MINUTE * 10,
            MINUTE * 10
        ]
    );
    failure.scope = crate::retry::Scope::CloudCall {
        cloud: "default".into(),
        action: "Set".into(),
    };
    let wait = |before| {
        let deadline = scope_deadline(&failure, before, START).unwrap();
        deadline.holding(START).map(|until| until.since(START))
    };
    let waits: Vec<_> = [0, 3, 4, 5, 11, u32::MAX].map(wait).into();
    let closed = [5, 10, 600, 600].map(|seconds| Some(SECOND * seconds));
    assert_eq!(waits, [&[None, None], &closed[..]].concat(), "five faults");
    failure.scope = crate::retry::Scope::Cloud {
        cloud: "default".into(),
    };
    failure.course = course(&[(Class::Refresh, 1), (Class::Operator, 1)]);
    let wait = |before| {
        let deadline = scope_deadline(&failure, before, START).unwrap();
        (
            deadline.until.since(START),
            waits_for_a_person(&failure, before),
        )
    };
    let waits: Vec<_> = [0, 1, 9].map(wait).into();
    assert_eq!(waits, [(SECOND * 5, false), (HOUR, true), (HOUR, true)]);
    failure.not_before = Some(START + HOUR);
    assert!(!waits_for_a_person(&failure, 9), "a named time passes");
    let named = scope_deadline(&failure, 4, START).unwrap();
    assert_eq!((named.until, named.set_at), (START + HOUR, START));
}
