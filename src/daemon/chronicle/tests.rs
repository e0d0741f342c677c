//! What is told of each event, and what is not told again.

use super::*;
use crate::renewal::{Proving, Served, Sight, TargetRecord};
use crate::retry::{Class, Scope, course};
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn target() -> TargetId {
    "aliyun-vod/default/v.example.com".parse().unwrap()
}

/// Applies an event; the kind and the level of what is told.
fn told(record: &mut Record, event: &Event) -> Option<(String, &'static str)> {
    let before = record.clone();
    record.apply(event.clone(), NOW);
    let label = "video".parse().unwrap();
    let told = tell(&label, event, &before, record, NOW);
    let level = if told.level == tracing::Level::WARN {
        "WARN"
    } else {
        "INFO"
    };
    let entry = told.entry?;
    assert_eq!((entry.at, &entry.label), (NOW, &Some(label)));
    Some((entry.kind, level))
}

/// Checks a row of events at one certificate: what each is told as.
fn check(case: &str, record: Record, events: Vec<(Event, Option<(&str, &'static str)>)>) {
    let mut record = record;
    for (nth, (event, expected)) in events.into_iter().enumerate() {
        let expected = expected.map(|(kind, level)| (kind.to_owned(), level));
        assert_eq!(told(&mut record, &event), expected, "{case}, event {nth}");
    }
}

/// A record with one target at which generation 2 was installed.
fn installed(proving: bool) -> Record {
    let mut record = Record::default();
    let proving = proving.then(|| Proving {
        generation: 2,
        since: NOW,
        looks: 0,
        reinstalled: false,
        unreachable: false,
        addresses: BTreeSet::new(),
    });
    let state = TargetRecord {
        installed: Some(generation(2)),
        proving,
        ..TargetRecord::default()
    };
    record.targets.insert(target(), state);
    record
}

fn generation(generation: u32) -> Installed {
    Installed {
        generation,
        at: NOW,
        cert_name: format!("vodcertd-{generation}"),
        cert_id: None,
        cert_region: None,
    }
}

fn read_back(found: Found) -> Event {
    Event::ReadBack {
        target: target(),
        found,
    }
}

fn foreign(name: &str) -> Event {
    let cert_name = name.to_owned();
    read_back(Found::Foreign { cert_name })
}

fn looked(sight: Sight) -> Event {
    Event::Looked {
        target: target(),
        sight,
        addresses: BTreeSet::new(),
    }
}

fn unreachable(why: &str) -> Event {
    let why = why.to_owned();
    looked(Sight::Unreachable { why })
}

fn served(generation: u32) -> Event {
    looked(Sight::Leaves(vec![Served {
        fingerprint: crate::certificate::Fingerprint::of(&[0]),
        not_before: NOW,
        not_after: NOW,
        generation: Some(generation),
        chain_as_stored: true,
    }]))
}

fn failure() -> Failure {
    Failure {
        code: "Throttling.User".to_owned(),
        message: String::new(),
        course: course(&[(Class::Backoff, 1)]),
        scope: Scope::Here,
        not_before: None,
        clamped: false,
    }
}

fn reconfigured(digest: &str) -> Event {
    let digest = digest.to_owned();
    Event::Reconfigured { digest }
}

#[test]
fn a_change_of_the_configuration_is_told_but_not_the_first_one() {
    check(
        "reconfigured",
        Record::default(),
        vec![
            (reconfigured("first"), None),
            (reconfigured("second"), Some(("reconfigured", "INFO"))),
        ],
    );
}

fn twin() -> Event {
    read_back(Found::Twin {
        cert_name: "twin".to_owned(),
        generation: 2,
        not_before: Timestamp::from_seconds(0),
    })
}

#[test]
fn a_read_back_is_told_when_it_finds_something_else() {
    let changed = Some(("read-back", "INFO"));
    check(
        "as installed",
        installed(false),
        vec![(read_back(Found::Ours(generation(2))), None)],
    );
    check(
        "others",
        installed(true),
        vec![
            (foreign("a"), changed),
            (foreign("a"), None),
            (foreign("b"), changed),
            (read_back(Found::Nothing), changed),
            (read_back(Found::Nothing), None),
            (twin(), changed),
            (twin(), None),
            (read_back(Found::Ours(generation(1))), changed),
            (read_back(Found::Ours(generation(1))), None),
            (foreign("b"), changed),
        ],
    );
    let forbidden = || Event::ReadBackFailed {
        lacks_permission: true,
        target: target(),
        failure: failure(),
        jitter: 0.5,
    };
    let policy = Some(("read-back-failed", "WARN"));
    check(
        "a policy",
        installed(false),
        vec![(forbidden(), policy), (forbidden(), None)],
    );
    let failed = || Event::ReadBackFailed {
        lacks_permission: false,
        target: target(),
        failure: failure(),
        jitter: 0.5,
    };
    let warned = Some(("read-back-failed", "WARN"));
    check(
        "a failure",
        installed(true),
        vec![
            (foreign("a"), changed),
            (failed(), warned),
            (failed(), warned),
            (foreign("a"), changed),
        ],
    );
}

#[test]
fn a_look_is_told_when_it_sees_something_else() {
    for (proving, level) in [(true, "INFO"), (false, "WARN")] {
        let missed = Some(("not-seen", level));
        check(
            "complaints",
            installed(proving),
            vec![
                (unreachable("192.0.2.1:443: connection refused"), missed),
                (unreachable("192.0.2.1:443: connection refused"), None),
                // The name leads elsewhere by now.
                (
                    unreachable(
                        "192.0.2.7:443: connection refused; [2001:db8::1]:443: connection refused",
                    ),
                    None,
                ),
                (unreachable("192.0.2.7:443: timed out"), missed),
                (unreachable("the name does not exist: nothing"), missed),
                (unreachable("the name does not exist: nothing"), None),
                (served(1), missed),
                (served(1), None),
                (served(2), Some(("seen", "INFO"))),
                (served(2), None),
                (served(1), Some(("not-seen", "WARN"))),
            ],
        );
    }
}

#[test]
fn failures_are_warned_of() {
    let order = Event::OrderFailed {
        issuer: "first".to_owned(),
        failure: failure(),
        order: crate::renewal::OrderFate::Open,
        jitter: 0.5,
    };
    let install = Event::InstallFailed {
        may_have_happened: false,
        bound: None,
        target: target(),
        generation: 2,
        failure: failure(),
        jitter: 0.5,
    };
    check(
        "failures",
        installed(false),
        vec![
            (order, Some(("order-failed", "WARN"))),
            (install, Some(("install-failed", "WARN"))),
        ],
    );
}

#[test]
fn a_copy_that_was_stored_is_told() {
    let stored = Event::Stored {
        cloud: "media".to_owned(),
        generation: 2,
        copy: crate::renewal::StoredCopy {
            cert_name: "vodcertd-2".to_owned(),
            place: None,
        },
    };
    let told = vec![(stored, Some(("stored", "INFO")))];
    check("a copy", installed(false), told);
}

#[test]
fn who_owns_a_domain_is_told() {
    let intended = Event::OwnerProofIntended {
        target: target(),
        generation: 2,
    };
    let failed = Event::OwnerProofFailed {
        target: target(),
        failure: failure(),
    };
    let proven = Event::OwnerProven { target: target() };
    let told = vec![
        (intended, None),
        (failed, Some(("owner-proof-failed", "WARN"))),
        (proven, Some(("owner-proven", "INFO"))),
    ];
    check("a proof", installed(false), told);
}
