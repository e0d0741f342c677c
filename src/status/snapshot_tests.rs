use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::renewal::{AcceptedOrder, Api, ClockTrust, Proving, RenewalInfo, Unusable};
use crate::retry::{Class, Scope};
use crate::status::testing::{self, DAY, fingerprint, now, spec, trouble};
use crate::time::{Deadline, Window};

type Change = fn(&mut Spec, &mut Record);
type Alerts = &'static [(Severity, &'static str)];

fn snapshot(change: Change) -> Snapshot {
    let mut spec = spec("video", "v.example.com");
    let mut record = testing::served(&spec, 2);
    change(&mut spec, &mut record);
    Snapshot::of(&spec, &record, &Circumstances::default(), now())
}

fn target(record: &mut Record) -> &mut TargetRecord {
    record.targets.values_mut().next().unwrap()
}

fn proving(since: Timestamp, reinstalled: bool) -> Proving {
    Proving {
        generation: 2,
        since,
        looks: 3,
        reinstalled,
        unreachable: false,
        addresses: std::collections::BTreeSet::new(),
    }
}

fn refused() -> Unusable {
    Unusable {
        code: "Certificate.Expired".into(),
        at: now(),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_target_is_in_one_of_the_states() {
    let cases: [(&str, Change, TargetState); 15] = [
        ("installed and seen", |_, _| {}, TargetState::Seen),
        (
            "nothing issued",
            |_, record| *record = Record::default(),
            TargetState::Pending,
        ),
        (
            "nothing issued and nothing to be",
            |spec, record| {
                spec.issuers.clear();
                *record = Record::default();
            },
            TargetState::Watched,
        ),
        (
            "another generation there",
            |_, r| {
                r.issued.as_mut().unwrap().generation = 3;
            },
            TargetState::Pending,
        ),
        (
            "refused by another target, served by this one",
            |_, record| record.issued.as_mut().unwrap().unusable = Some(refused()),
            TargetState::Seen,
        ),
        (
            "refused before it was installed",
            |_, record| {
                record.issued.as_mut().unwrap().unusable = Some(refused());
                target(record).installed = None;
            },
            TargetState::Pending,
        ),
        (
            "a person is needed",
            |_, record| {
                target(record).trouble = Some(trouble("InvalidDomain", Class::Operator, 1));
            },
            TargetState::Blocked,
        ),
        (
            "it fails and is tried again",
            |_, record| {
                target(record).installed = None;
                target(record).trouble = Some(trouble("timeout", Class::Backoff, 9));
            },
            TargetState::Pending,
        ),
        (
            "a backup was restored",
            |_, record| {
                target(record).installed.as_mut().unwrap().generation = 3;
            },
            TargetState::NewerElsewhere,
        ),
        (
            "just installed",
            |_, record| {
                target(record).seen = None;
                target(record).proving = Some(proving(now(), false));
            },
            TargetState::Proving,
        ),
        (
            "installed twice and long ago",
            |_, record| {
                target(record).seen = None;
                target(record).proving = Some(proving(now() - DAY, true));
            },
            TargetState::Unproven,
        ),
        (
            "a look or two missed it",
            |_, record| target(record).mismatches = 2,
            TargetState::Seen,
        ),
        (
            "the edge went back",
            |_, record| target(record).mismatches = 3,
            TargetState::Drifted,
        ),
        (
            "nothing answers any more",
            |_, record| target(record).out_of_reach = true,
            TargetState::Unreachable,
        ),
        (
            "replaced by somebody, left so",
            |spec, record| {
                spec.targets.values_mut().next().unwrap().on_drift = OnDrift::Alert;
                target(record).installed = None;
            },
            TargetState::Drifted,
        ),
    ];
    for (case, change, state) in cases {
        assert_eq!(snapshot(change).targets[0].state, state, "{case}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_somebody_should_know_is_said_the_worst_first() {
    let cases: [(&str, Change, Alerts); 11] = [
        ("all is well", |_, _| {}, &[]),
        (
            "nothing issued yet",
            |_, record| *record = Record::default(),
            &[],
        ),
        (
            "passes by itself",
            |_, record| {
                record.orders.trouble = Some(trouble("timeout", Class::Backoff, 3));
            },
            &[],
        ),
        (
            "does not pass",
            |_, record| {
                record.orders.trouble = Some(trouble("timeout", Class::Backoff, 4));
            },
            &[(Severity::Warning, "timeout")],
        ),
        (
            "a person is needed",
            |_, record| {
                target(record).trouble = Some(trouble("InvalidDomain", Class::Operator, 1));
            },
            &[(Severity::Warning, "InvalidDomain")],
        ),
        (
            "pairs are refused",
            |_, record| {
                record.orders.reissues = Some(trouble("Certificate.Expired", Class::Reissue, 1));
            },
            &[(Severity::Warning, "Certificate.Expired")],
        ),
        (
            "not seen in time",
            |_, record| {
                target(record).proving = Some(proving(now() - DAY, true));
            },
            &[(Severity::Warning, "not-seen")],
        ),
        (
            "nothing answers any more",
            |_, record| target(record).out_of_reach = true,
            &[(Severity::Warning, "unreachable")],
        ),
        (
            "nothing answers, but nobody looks",
            |spec, record| {
                spec.targets.values_mut().next().unwrap().look.enabled = false;
                target(record).out_of_reach = true;
            },
            &[],
        ),
        (
            "drifted and in the last twentieth",
            |_, record| {
                target(record).mismatches = 3;
                let served = target(record).served.as_mut().unwrap();
                (served.not_before, served.not_after) = (now() - 89 * DAY, now() + DAY);
            },
            &[
                (Severity::Critical, "expires-soon"),
                (Severity::Warning, "drift"),
            ],
        ),
        (
            "over",
            |_, record| {
                target(record).served.as_mut().unwrap().not_after = now() - DAY;
            },
            &[(Severity::Critical, "expired")],
        ),
    ];
    for (case, change, expected) in cases {
        let snapshot = snapshot(change);
        let alerts: Vec<(Severity, &str)> = snapshot
            .alerts
            .iter()
            .map(|alert| (alert.severity, alert.code.as_str()))
            .collect();
        assert_eq!(alerts, expected, "{case}");
        let worst = expected
            .first()
            .map_or(Severity::Ok, |(severity, _)| *severity);
        assert_eq!(snapshot.severity(), worst, "{case}");
    }
}

#[test]
fn a_wrong_clock_is_the_first_thing_to_know() {
    let spec = spec("video", "v.example.com");
    let until_checked = now() + Duration::from_mins(1);
    let clock = ClockTrust::Distrusted { until_checked };
    let circumstances = Circumstances {
        clock,
        ..Circumstances::default()
    };
    let snapshot = Snapshot::of(&spec, &testing::served(&spec, 1), &circumstances, now());
    assert_eq!(snapshot.alerts[0].code, "clock-wrong");
    assert_eq!(snapshot.next.action, "distrust-clock");
    assert_eq!(snapshot.next.at, Some(until_checked));
}

#[test]
fn the_next_step_is_what_ends_the_sleep() {
    let snapshot = snapshot(|_, record| {
        // Everything is known: nothing is left but to look at the edge again.
        record.issued.as_mut().unwrap().renewal_info = Some(RenewalInfo {
            window: None,
            picked: 0.0,
            explanation: None,
            supported: false,
            asked_at: now(),
            ask_again: now() + DAY,
            failures: 0,
        });
        target(record).asked_at = Some(now());
        target(record).api = Api::Ours { generation: 2 };
    });
    assert_eq!(snapshot.next.action, "look");
    assert_eq!(snapshot.next.reason, "drift-check");
    assert_eq!(snapshot.next.at, Some(now() + Duration::from_hours(5)));
    assert_eq!(
        snapshot.next.target,
        Some(testing::target_id("v.example.com"))
    );
}

#[test]
fn a_failed_order_is_shown_before_a_failed_install() {
    let both = snapshot(|_, record| {
        record.orders.trouble = Some(trouble("rateLimited", Class::Backoff, 2));
        target(record).trouble = Some(trouble("timeout", Class::Backoff, 1));
    });
    let failure = both.failure.unwrap();
    assert_eq!(
        (failure.code.as_str(), failure.in_a_row),
        ("rateLimited", 2)
    );
    assert!(failure.retry_at.unwrap() > now());
    let install = snapshot(|_, record| {
        target(record).trouble = Some(trouble("timeout", Class::Backoff, 1));
    });
    assert_eq!(install.failure.unwrap().code, "timeout");
    assert_eq!(
        install.targets[0].failure.as_ref().unwrap().class,
        "backoff"
    );
}

/// Three pairs were refused: the ladder would let the next order through, the brake does not.
#[test]
fn the_brake_is_waited_for() {
    let snapshot = snapshot(|_, record| {
        let hours = [8, 4, 2];
        record.orders.accepted = hours
            .map(|hours| AcceptedOrder {
                at: now() - Duration::from_hours(hours),
            })
            .into();
        let mut reissues = trouble("Certificate.Expired", Class::Reissue, 1);
        reissues.last_at = now() - Duration::from_hours(2);
        record.orders.reissues = Some(reissues);
        record.issued.as_mut().unwrap().unusable = Some(refused());
    });
    let free_at = now() + Duration::from_hours(16);
    assert_eq!(snapshot.failure.unwrap().retry_at, Some(free_at));
    assert_eq!(snapshot.renews_at, Some(free_at));
}

/// The cloud refuses everybody for a while: the deadline is the scope's, not this record's.
#[test]
fn a_closed_scope_is_waited_for() {
    let mut spec = spec("video", "v.example.com");
    let scope = Scope::Cloud {
        cloud: "default".into(),
    };
    for target in spec.targets.values_mut() {
        target.install_scopes = vec![scope.clone()];
    }
    let mut record = testing::served(&spec, 2);
    target(&mut record).installed = None;
    target(&mut record).api = Api::Nothing;
    target(&mut record).trouble = Some(trouble("Throttling.User", Class::Backoff, 1));
    let retry_at = |circumstances: &Circumstances| {
        let snapshot = Snapshot::of(&spec, &record, circumstances, now());
        let failure = snapshot.targets[0].failure.clone();
        assert_eq!(snapshot.failure, failure);
        failure.unwrap().retry_at
    };
    let mut circumstances = Circumstances::default();
    assert_eq!(retry_at(&circumstances), Some(now()), "its rung has passed");
    let deadline = Deadline::after(now(), Duration::from_mins(10));
    circumstances
        .deadlines
        .insert(scope.key().unwrap(), deadline);
    assert_eq!(retry_at(&circumstances), Some(deadline.until));
}

#[test]
fn what_was_refused_is_not_tried_again_before_the_next_order() {
    let snapshot = snapshot(|_, record| {
        record.issued.as_mut().unwrap().unusable = Some(refused());
        target(record).installed = None;
        target(record).trouble = Some(trouble("Certificate.Expired", Class::Reissue, 1));
        record.orders.reissues = Some(trouble("Certificate.Expired", Class::Reissue, 3));
    });
    let order_at = snapshot.failure.unwrap().retry_at;
    assert!(order_at > Some(now()), "{order_at:?}");
    assert_eq!(
        snapshot.targets[0].failure.as_ref().unwrap().retry_at,
        order_at
    );
}

#[test]
fn a_certificate_whose_names_changed_is_renewed_now() {
    let changed = snapshot(|spec, _| {
        spec.names.insert("w.example.com".parse().unwrap());
    });
    assert_eq!(changed.renews_at, Some(now()));
}

#[test]
fn the_time_of_renewal_follows_the_suggestion() {
    let plain = snapshot(|_, _| {});
    assert_eq!(plain.renews_at, Some(now() + 30 * DAY));
    let suggested = snapshot(|_, record| {
        record.issued.as_mut().unwrap().renewal_info = Some(RenewalInfo {
            window: Window::new(now() + 10 * DAY, now() + 12 * DAY),
            picked: 0.5,
            explanation: Some("https://ca.example/why".into()),
            supported: true,
            asked_at: now(),
            ask_again: now() + DAY,
            failures: 0,
        });
    });
    assert_eq!(suggested.renews_at, Some(now() + 11 * DAY));
    assert_eq!(
        suggested.renewal_explanation.as_deref(),
        Some("https://ca.example/why")
    );
    assert_eq!(snapshot(|spec, _| spec.issuers.clear()).renews_at, None);
}

#[test]
fn the_json_form_is_as_documented() {
    let json = serde_json::to_value(snapshot(|_, record| {
        target(record).trouble = Some(trouble("timeout", Class::Backoff, 1));
    }))
    .unwrap();
    assert_eq!(json["name"], "video");
    assert_eq!(json["names"], json!(["v.example.com"]));
    assert_eq!(json["generation"], 2);
    assert_eq!(json["fingerprint"], fingerprint(2).to_string());
    assert_eq!(json["issuer"], "letsencrypt");
    assert_eq!(json["not_after"], "2026-04-30T12:00:00Z");
    for field in ["action", "at", "reason"] {
        assert!(json["next"][field].is_string(), "{field}");
    }
    let target = &json["targets"][0];
    assert_eq!(target["kind"], "aliyun-vod");
    assert_eq!(target["domain"], "v.example.com");
    assert_eq!(target["state"], "seen");
    assert_eq!(target["generation"], 2);
    assert_eq!(target["served_fingerprint"], fingerprint(2).to_string());
    assert_eq!(json["failure"]["at"], "2026-03-01T11:59:00Z");
    assert_eq!(json["failure"]["class"], "backoff");
    assert_eq!(json["failure"]["code"], "timeout");
    assert!(json["failure"]["message"].is_string());
    assert!(json["failure"]["retry_at"].is_string());
}

#[test]
fn a_certificate_without_anything_is_all_null() {
    let json = serde_json::to_value(snapshot(|_, record| *record = Record::default())).unwrap();
    for field in [
        "generation",
        "fingerprint",
        "issuer",
        "not_after",
        "renews_at",
        "failure",
    ] {
        assert_eq!(json[field], Value::Null, "{field}");
    }
    assert_eq!(json["next"]["action"], "look");
    assert_eq!(json["targets"][0]["state"], "pending");
}

#[test]
fn a_record_that_cannot_be_read_is_said() {
    let snapshot = Snapshot::unreadable(&spec("video", "v.example.com"), "no such field");
    assert_eq!(snapshot.severity(), Severity::Critical);
    assert_eq!(
        snapshot.alerts[0].message,
        "the stored record cannot be read: no such field"
    );
    assert_eq!(snapshot.next.at, None);
}
