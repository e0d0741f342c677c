use proptest::prelude::*;

use super::*;
use crate::renewal::fixtures::{DAY, HOUR, MINUTE, SECOND, START, day, healthy, names, window};

fn quota(count: u32, per: Duration) -> Quota {
    Quota::new(count, per).unwrap()
}

#[test]
fn a_bucket_begins_full_and_is_refilled_evenly() {
    let quota = quota(3, HOUR * 3);
    let mut full_at = None;
    for left in [2, 1, 0] {
        full_at = Some(quota.take(full_at, START).unwrap());
        assert_eq!(quota.left(full_at, START), left);
    }
    assert_eq!(quota.take(full_at, START), Err(START + HOUR));
    let soon = START + HOUR - SECOND;
    assert_eq!(quota.left(full_at, soon), 0);
    assert_eq!(quota.take(full_at, soon), Err(START + HOUR));
    let later = START + HOUR;
    assert_eq!(quota.left(full_at, later), 1);
    full_at = Some(quota.take(full_at, later).unwrap());
    assert_eq!(quota.take(full_at, later), Err(START + HOUR * 2));
    assert_eq!(quota.left(full_at, later + DAY), 3, "never more than full");
}

#[test]
fn a_bucket_is_never_emptier_than_empty() {
    let quota = quota(3, HOUR * 3);
    let ahead = Some(START + DAY * 400);
    assert_eq!(quota.take(ahead, START), Err(START + HOUR));
    assert_eq!(quota.left(ahead, START), 0);
}

#[test]
fn no_limit_is_so_small_that_nothing_is_left_of_it() {
    assert_eq!(Quota::new(0, HOUR), None);
    assert_eq!(Quota::new(1, Duration::ZERO), None);
    assert_eq!(Quota::new(u32::MAX, Duration::from_nanos(1)), None);
}

proptest! {
    /// However the orders fall, the CA's own count never says no: it holds no more than the bucket and
    /// what has been refilled since, in any stretch of time.
    #[test]
    fn whoever_takes_when_told_is_never_over_the_limit(
        count in 1u32..6,
        pauses in proptest::collection::vec(0u64..20_000, 1..60),
    ) {
        let quota = quota(count, HOUR * 3);
        let (mut now, mut full_at, mut taken) = (START, None, Vec::new());
        for pause in pauses {
            now = now + Duration::from_secs(pause);
            match quota.take(full_at, now) {
                Ok(next) => full_at = Some(next),
                Err(free_at) => {
                    prop_assert!(free_at > now && free_at <= now + quota.per);
                    now = free_at;
                    full_at = Some(quota.take(full_at, now).unwrap());
                }
            }
            taken.push(now);
        }
        for (place, from) in taken.iter().enumerate() {
            for (others, until) in (0_u32..).zip(&taken[place..]) {
                let refilled = until.since(*from).as_secs_f64() / quota.refill().as_secs_f64();
                let allowed = f64::from(count) + refilled + 1e-6;
                prop_assert!(f64::from(others + 1) <= allowed, "{others} more in {refilled} refills");
            }
        }
    }
}

/// What an order takes, as `limit subject kind`.
fn drawn(list: &[&str], exemption: Exemption) -> Vec<String> {
    let limits = Limits::published("https://acme-v02.api.letsencrypt.org/directory");
    let draws = limits.draws("https://ca.example/account/1", &names(list), exemption);
    draws
        .iter()
        .map(|draw| {
            let limited = if draw.quota.is_some() {
                ""
            } else {
                " unlimited"
            };
            format!("{} {} {:?}{limited}", draw.limit, draw.subject, draw.kind)
        })
        .collect()
}

#[test]
fn an_order_is_counted_by_account_set_domain_and_name() {
    assert_eq!(
        drawn(
            &["*.v.example.com", "v.example.com", "w.example.org"],
            Exemption::None
        ),
        [
            "account https://ca.example/account/1 Takes",
            "exact-set *.v.example.com,v.example.com,w.example.org Takes",
            "registered-domain example.com Takes",
            "registered-domain example.org Takes",
            "failed-validations v.example.com Needs",
            "failed-validations w.example.org Needs",
        ]
    );
}

#[test]
fn a_renewal_counts_for_its_set_alone_and_a_replacement_for_nothing() {
    assert_eq!(
        drawn(&["v.example.com"], Exemption::SameNames),
        [
            "account https://ca.example/account/1 Exempt",
            "exact-set v.example.com Takes",
            "registered-domain example.com Exempt",
            "failed-validations v.example.com Needs",
        ]
    );
    assert_eq!(
        drawn(&["v.example.com"], Exemption::Replaces),
        [
            "account https://ca.example/account/1 Exempt",
            "exact-set v.example.com Exempt",
            "registered-domain example.com Exempt",
        ]
    );
}

#[test]
fn other_cas_count_what_lets_encrypt_does_not() {
    let limits = Limits::default().with(Limit::Account, Some(quota(5, HOUR)));
    for exemption in [Exemption::SameNames, Exemption::Replaces] {
        let draws = limits.draws("account", &names(&["v.example.com"]), exemption);
        let counted = draws.iter().find(|draw| draw.limit == Limit::Account);
        assert_eq!(counted.unwrap().kind, DrawKind::Takes, "{exemption:?}");
    }
}

#[test]
fn what_is_exempt_is_a_renewal_and_a_replacement_when_the_ca_suggests_it() {
    let mut record = healthy(START);
    let held = record.issued.as_mut().unwrap();
    held.renewal_info.as_mut().unwrap().window = window(50.0, 60.0);
    let held = held.clone();
    let of = |directory: &str, list: &[&str], replaces, days| {
        Exemption::of(Some(&held), directory, &names(list), replaces, day(days))
    };
    let (ours, same) = (held.directory.as_str(), &["v.example.com"][..]);
    let more = &["v.example.com", "w.example.com"][..];
    for (case, found, expected) in [
        (
            "the same names",
            of(ours, same, false, 55.0),
            Exemption::SameNames,
        ),
        (
            "as a replacement",
            of(ours, same, true, 55.0),
            Exemption::Replaces,
        ),
        (
            "with a name more",
            of(ours, more, true, 55.0),
            Exemption::Replaces,
        ),
        (
            "before the window",
            of(ours, more, true, 49.0),
            Exemption::None,
        ),
        (
            "after the window",
            of(ours, same, true, 61.0),
            Exemption::SameNames,
        ),
        (
            "with no name in common",
            of(ours, &["w.example.com"], true, 55.0),
            Exemption::None,
        ),
        (
            "not told what is replaced",
            of(ours, more, false, 55.0),
            Exemption::None,
        ),
        (
            "at another CA",
            of("https://other.example/", same, true, 55.0),
            Exemption::None,
        ),
    ] {
        assert_eq!(found, expected, "{case}");
    }
    let first = Exemption::of(None, ours, &names(same), false, day(55.0));
    assert_eq!(first, Exemption::None);
}

#[test]
fn those_who_wait_for_the_same_come_one_after_the_other() {
    let exhausted = Exhausted {
        limit: Limit::Account,
        subject: "account".to_owned(),
        quota: quota(300, HOUR * 3),
        free_at: START,
    };
    assert_eq!(exhausted.retry_at(0.0), START);
    assert_eq!(exhausted.retry_at(0.5), START + MINUTE * 9);
    assert_eq!(exhausted.retry_at(1.0), START + MINUTE * 18);
}
