use super::*;
use crate::renewal::{Circumstances, Limit, Quota, Record, Spec};
use crate::retry::Class;
use crate::status::testing::{DAY, fingerprint, now, served, spec, target_id, trouble};

fn snapshot(label: &str, change: fn(&mut Spec, &mut Record)) -> Snapshot {
    let mut spec = spec(label, "v.example.com");
    let mut record = served(&spec, 2);
    change(&mut spec, &mut record);
    let mut snapshot = Snapshot::of(&spec, &record, &Circumstances::default(), now());
    // What comes next is the core's to say, and not what is shown here.
    snapshot.next = Next {
        action: "look".to_owned(),
        at: Some(now() + DAY),
        reason: "drift-check".to_owned(),
        target: Some(target_id("v.example.com")),
    };
    snapshot
}

fn blocked(_: &mut Spec, record: &mut Record) {
    let target = record.targets.values_mut().next().unwrap();
    target.trouble = Some(trouble("InvalidDomain", Class::Operator, 2));
}

fn nothing(_: &mut Spec, record: &mut Record) {
    *record = Record::default();
}

fn spent() -> BudgetLeft {
    BudgetLeft {
        issuer: "letsencrypt".to_owned(),
        limit: Limit::RegisteredDomain,
        quota: Quota::new(50, DAY * 7).unwrap(),
        subject: Some("example.com".to_owned()),
        left: 42,
    }
}

#[test]
fn all_certificates_are_lines_with_what_somebody_should_know_below() {
    let snapshots = [
        snapshot("new", nothing),
        snapshot("stuck", blocked),
        snapshot("video", |_, _| {}),
    ];
    assert_eq!(
        overview(&snapshots, &[spent()], now(), false),
        "\
NAME   SERIAL    ISSUER       ENDS    RENEWAL  TARGETS              NEXT                      FAILURE
new    -         -            -       -        0/1 seen, 1 pending  look in 1d (drift-check)  -
stuck  00c0ffee  letsencrypt  in 60d  in 30d   0/1 seen, 1 blocked  look in 1d (drift-check)  InvalidDomain
video  00c0ffee  letsencrypt  in 60d  in 30d   1/1 seen             look in 1d (drift-check)  -

limit: letsencrypt: 42 left of 50 in 168 h (registered-domain example.com)

warning: stuck: aliyun-vod/default/v.example.com: the other side said InvalidDomain <here> (InvalidDomain)
"
    );
}

#[test]
fn one_certificate_is_shown_in_detail() {
    let (whole, short) = (fingerprint(2).to_string(), fingerprint(2).short(16));
    assert_eq!(
        details(&snapshot("video", |_, _| {}), now(), false),
        format!(
            "\
name        video
names       v.example.com
generation  2
serial      00c0ffee
fingerprint {whole}
issuer      letsencrypt
ends        2026-04-30T12:00:00Z (in 60d)
renewal     2026-03-31T12:00:00Z (in 30d)
next        look in 1d (drift-check)

TARGET                            STATE  INSTALLED  SERVES            SERVED ENDS  LOOKED AT  TROUBLE
aliyun-vod/default/v.example.com  seen   2          {short}  in 60d       1h ago     -
"
        )
    );
}

#[test]
fn a_failure_is_shown_with_what_is_done_about_it() {
    let text = details(&snapshot("video", blocked), now(), false);
    for line in [
        "failure     InvalidDomain: the other side said InvalidDomain <here>",
        "            operator, 2 in a row, 1m ago; again in 23h 59m",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn only_a_terminal_sees_colours() {
    let snapshots = [snapshot("stuck", blocked)];
    assert!(overview(&snapshots, &[], now(), true).contains("\u{1b}[33mwarning\u{1b}[0m: stuck"));
    assert!(!overview(&snapshots, &[spent()], now(), false).contains('\u{1b}'));
}

#[test]
fn states_are_counted() {
    let mut snapshot = snapshot("video", |_, _| {});
    let seen = snapshot.targets[0].clone();
    let states = [
        TargetState::Unproven,
        TargetState::Pending,
        TargetState::Unproven,
    ];
    snapshot.targets.extend(states.map(|state| TargetView {
        state,
        ..seen.clone()
    }));
    let expected = Cell::styled("1/4 seen, 1 pending, 2 unproven", Style::Warning);
    assert_eq!(targets(&snapshot), expected);
}

#[test]
fn the_exit_code_is_that_of_the_worst() {
    assert_eq!(exit_of(Severity::Ok), Exit::Done);
    assert_eq!(exit_of(Severity::Warning), Exit::Failed);
    assert_eq!(exit_of(Severity::Critical), Exit::Critical);
}
