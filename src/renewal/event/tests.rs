use super::*;
use crate::renewal::fixtures::*;
use crate::renewal::record::{AcceptedOrder, Api, Orders};
use crate::retry::{Class, Scope};

/// What is stored is what is taken up again.
#[track_caller]
pub(super) fn survives_the_store(record: &Record) {
    let text = serde_json::to_string(record).unwrap();
    let again: Record = serde_json::from_str(&text).unwrap();
    assert_eq!(*record, again);
}

fn renewal_info(window: Option<Window>, picked: f64) -> Event {
    Event::RenewalInfoAnswered(RenewalAnswer {
        window,
        explanation: None,
        supported: true,
        ask_again: START + HOUR,
        picked,
    })
}

fn picked(record: &Record) -> f64 {
    let info = record.issued.as_ref().unwrap().renewal_info.as_ref();
    info.unwrap().picked
}

fn is(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

#[test]
fn a_place_in_a_window_is_picked_once() {
    let first = window(59.0, 61.0);
    let mut record = healthy(START).after([renewal_info(first, 0.25)], START);
    record.apply(renewal_info(first, 0.75), START);
    assert!(is(picked(&record), 0.25), "the same window");
    record.apply(renewal_info_failed(), START);
    record.apply(renewal_info(first, 0.75), START);
    assert!(is(picked(&record), 0.25), "a failure in between");
    record.apply(renewal_info(window(1.0, 2.0), 0.75), START);
    assert!(is(picked(&record), 0.75), "another window");
}

#[test]
fn an_answer_without_a_window_takes_none_back() {
    let answer = |window, supported, ask_again| {
        Event::RenewalInfoAnswered(RenewalAnswer {
            window,
            explanation: Some("https://ca.test/why".to_owned()).filter(|_| window.is_some()),
            supported,
            ask_again,
            picked: 0.25,
        })
    };
    let suggested = window(59.0, 61.0);
    let record = healthy(START).after([answer(suggested, true, day(1.0))], START);
    let before = record.issued.clone().unwrap().renewal_info.unwrap();

    let record = record.after(
        [renewal_info_failed(), answer(None, true, day(3.0))],
        day(2.0),
    );
    let after = record.issued.clone().unwrap().renewal_info.unwrap();
    let expected = RenewalInfo {
        asked_at: day(2.0),
        ask_again: day(3.0),
        ..before
    };
    assert_eq!(after, expected);

    let record = record.after([answer(None, false, day(5.0))], day(4.0));
    let gone = record.issued.unwrap().renewal_info.unwrap();
    assert_eq!(
        (gone.window, gone.explanation),
        (None, None),
        "none are offered"
    );
}

#[test]
fn what_was_drawn_comes_back_from_the_store() {
    for drawn in [0.123_456_789_012_345_68, 0.1 + 0.2, f64::NAN, -1.0, 7.0] {
        let events = [
            renewal_info(window(59.0, 61.0), drawn),
            Event::OrderFailed {
                issuer: "first".to_owned(),
                failure: backoff(),
                order: OrderFate::Open,
                jitter: drawn,
            },
        ];
        let record = healthy(START).after(events, START);
        survives_the_store(&record);
        assert!((0.0..=1.0).contains(&picked(&record)), "{drawn}");
    }
}

#[test]
fn the_window_dies_with_its_certificate() {
    let mut record = healthy(START).after([renewal_info(window(1.0, 2.0), 0.5)], START);
    let next = Issued {
        renewal_info: None,
        ..issued(2, day(2.0))
    };
    record.apply(Event::Issued(Box::new(next)), day(2.0));
    assert_eq!(record.issued.unwrap().renewal_info, None);
}

#[test]
fn answers_about_renewal_without_a_certificate_are_nothing() {
    let events = [renewal_info_failed(), renewal_info(None, 0.5)];
    assert_eq!(Record::default().after(events, START), Record::default());
}

#[test]
fn a_question_that_fails_for_long_is_asked_every_six_hours() {
    let mut record = healthy(START);
    for _ in 0..40 {
        record.apply(renewal_info_failed(), START);
    }
    let info = record.issued.unwrap().renewal_info.unwrap();
    assert_eq!((info.failures, info.ask_again), (40, START + HOUR * 6));
}

#[test]
fn the_brake_counts_what_the_ca_accepted_or_may_have() {
    let mut record = Record::default().after([intended(&["v.example.com"])], START);
    assert_eq!(
        record.orders.accepted.len(),
        1,
        "killed with the intent stored"
    );
    let refused = [
        intended(&["v.example.com"]),
        order_ended("first", backoff(), OrderFate::Refused),
    ];
    record = record.after(refused, START + SECOND);
    assert_eq!(
        record.orders.accepted,
        [AcceptedOrder { at: START }],
        "refused"
    );
    assert_eq!(record.orders.open, None);
    let invalid = [
        intended(&["v.example.com"]),
        Event::OrderAccepted,
        order_failed("first", backoff()),
    ];
    record = record.after(invalid, START + SECOND * 2);
    assert_eq!(record.orders.accepted.len(), 2, "accepted, then invalid");
    assert!(record.orders.open.is_some(), "it may be taken up again");
    let lost = [
        intended(&["v.example.com"]),
        order_ended("first", backoff(), OrderFate::Over),
    ];
    let lost = record.clone().after(lost, START + SECOND * 3);
    assert_eq!(lost.orders.accepted.len(), 3, "it may have been accepted");
    assert_eq!(lost.orders.open, None);
    let panicked = [
        intended(&["v.example.com"]),
        order_failed("first", backoff()),
    ];
    let panicked = record.clone().after(panicked, START + SECOND * 3);
    assert_eq!(panicked.orders.accepted.len(), 3, "nothing is known of it");
    let record = record.after([intended(&["v.example.com"])], START + DAY + SECOND);
    let left: Vec<Timestamp> = record
        .orders
        .accepted
        .iter()
        .map(|order| order.at)
        .collect();
    assert_eq!(left, [START + SECOND * 2, START + DAY + SECOND], "a day");
    survives_the_store(&record);
}

#[test]
fn a_success_ends_the_row_of_failed_orders() {
    let failed = [
        intended(&["v.example.com"]),
        Event::OrderAccepted,
        order_failed("first", backoff()),
        order_failed("second", operator()),
    ];
    let record = Record::default().after(failed, START);
    assert_eq!(record.orders.trouble.as_ref().unwrap().in_a_row, 2);
    assert_eq!(record.orders.issuers.len(), 2);
    let record = record.after([Event::Issued(Box::new(issued(1, START)))], START);
    assert_eq!(
        (record.orders.trouble, record.orders.open),
        (None, None),
        "and the order under way"
    );
    assert_eq!(record.newest_generation, 1);
}

#[test]
fn a_time_that_an_issuer_named_is_its_own() {
    let mut named = backoff();
    named.not_before = Some(START + HOUR);
    let mut wide = named.clone();
    wide.scope = Scope::Ca {
        directory: DIRECTORY.to_owned(),
    };
    let events = [order_failed("first", named), order_failed("second", wide)];
    let record = Record::default().after(events, START);
    let named = |issuer: &str| record.orders.issuers[issuer].named;
    assert_eq!(named("first").unwrap().until, START + HOUR);
    assert_eq!(named("second"), None, "a deadline of the CA, not of ours");
    let issued = Event::Issued(Box::new(issued(1, START)));
    let record = record.after([issued], START + MINUTE);
    let left = record.orders.issuers["first"];
    assert_eq!(left.failures, 0, "the row ends");
    assert_eq!(left.named.unwrap().until, START + HOUR, "the time stands");
    assert_eq!(record.orders.issuers.len(), 1);
}

#[test]
fn several_targets_that_refuse_a_generation_count_once() {
    let refuse = failure("Certificate.Expired", &[(Class::Reissue, 9)]);
    let at = |domain: &str, generation| Event::InstallFailed {
        target: target_id(domain),
        generation,
        failure: refuse.clone(),
        may_have_happened: false,
        bound: None,
        jitter: 0.5,
    };
    let mut record = healthy(START).after([at("v.example.com", 1), at("w.example.com", 1)], START);
    assert_eq!(record.orders.reissues.as_ref().unwrap().in_a_row, 1);
    assert_eq!(record.usable(START), None);
    record.apply(Event::Issued(Box::new(issued(2, START))), START);
    record.apply(at("w.example.com", 1), START);
    assert!(
        record.usable(START).is_some(),
        "a late word about an old one"
    );
    record.apply(at("v.example.com", 2), START);
    assert_eq!(record.orders.reissues.as_ref().unwrap().in_a_row, 2);
    survives_the_store(&record);
    record.apply(Event::Issued(Box::new(issued(3, START))), START);
    record.apply(was_installed(3, START), START);
    assert_eq!(record.orders.reissues, None, "one was taken");
}

#[test]
fn only_the_ladder_goes_on_with_the_next_generation() {
    let lost = failure("timeout", &[(Class::Reconcile, 1), (Class::Backoff, 1)]);
    let events = [
        install_failed(1, lost.clone()),
        install_failed(1, lost.clone()),
    ];
    let mut record = healthy(START).after(events, START);
    record.apply(Event::Issued(Box::new(issued(2, START))), START);
    record.apply(install_failed(2, lost), START);
    let trouble = record.targets[&the_target()].trouble.clone().unwrap();
    assert_eq!(trouble.in_a_row, 3);
    assert_eq!(trouble.class(), Class::Reconcile);
    assert_eq!((trouble.renames, trouble.generation), (0, Some(2)));
}

#[test]
fn orders_of_a_clock_that_was_fast_do_not_brake_later() {
    let mut record = healthy(START);
    record.orders.accepted = vec![
        AcceptedOrder {
            at: START + DAY * 30
        };
        3
    ];
    record.apply(looked(&[served(&issued(1, START))]), START + HOUR);
    let times = record.orders.accepted.iter().map(|order| order.at);
    assert!(times.into_iter().all(|at| at == START + HOUR));
}

#[test]
fn an_older_leaf_at_the_edge_does_not_answer_what_became_of_an_install() {
    let intended = Event::InstallIntended {
        target: the_target(),
    };
    let record = healthy(START).after([intended, looked(&[served(&issued(1, START))])], START);
    assert!(record.targets[&the_target()].read_back_due);
}

#[test]
fn reconfigured_forgets_failed_orders_and_what_waits_for_a_person() {
    let waiting = [
        order_failed("first", operator()),
        install_failed(1, operator()),
        read_back_failed(operator()),
    ];
    let changed = Event::Reconfigured {
        digest: "new".to_owned(),
    };
    let record = healthy(START)
        .after(waiting, START)
        .after([changed.clone()], START);
    assert_eq!(record.digest, "new");
    assert_eq!(record.orders, Orders::default());
    let target = &record.targets[&the_target()];
    assert_eq!((&target.trouble, &target.api), (&None, &Api::Unasked));
    let mut forbidden = healthy(START).after([read_back_forbidden()], START);
    assert_eq!(forbidden.target().api, Api::Silent);
    forbidden.apply(changed.clone(), START);
    assert_eq!(forbidden.target().api, Api::Unasked, "it may be asked now");

    let failing = [
        order_failed("first", backoff()),
        install_failed(1, backoff()),
    ];
    let before = healthy(START).after(failing, START);
    let after = before.clone().after([changed.clone()], START);
    let (digest, orders) = ("new".to_owned(), Orders::default());
    let expected = Record {
        digest,
        orders,
        ..before
    };
    assert_eq!(after, expected, "installs stay on their ladder");

    let mut named = backoff();
    named.not_before = Some(START + HOUR);
    let limited = healthy(START).after([order_failed("first", named), changed], START);
    let issuer = &limited.orders.issuers["first"];
    assert_eq!(
        issuer.named.unwrap().until,
        START + HOUR,
        "named times stay"
    );
    assert_eq!((issuer.failures, &limited.orders.trouble), (0, &None));
}

#[test]
fn an_install_begins_a_proof_and_a_repetition_the_second_one() {
    let mut record = healthy(START).after([was_installed(2, day(1.0))], day(1.0));
    let proving = record.target().proving.clone().unwrap();
    assert_eq!((proving.since, proving.reinstalled), (day(1.0), false));
    record.apply(unreachable(), day(1.0));
    assert!(record.target().proving.clone().unwrap().unreachable);
    record.apply(was_installed(2, day(2.0)), day(2.0));
    let proving = record.target().proving.clone().unwrap();
    assert_eq!((proving.since, proving.reinstalled), (day(2.0), true));
    record.apply(was_installed(3, day(3.0)), day(3.0));
    assert!(
        !record.target().proving.clone().unwrap().reinstalled,
        "another one"
    );
    survives_the_store(&record);
}

#[test]
fn a_proof_ends_what_was_wrong() {
    let leaf = served(&issued(2, day(1.0)));
    let mut record = healthy(START).after([install_failed(2, backoff())], day(1.0));
    record.apply(looked(std::slice::from_ref(&leaf)), day(1.0));
    let target = record.target();
    assert_eq!(target.seen.unwrap().generation, 2, "it had happened");
    assert_eq!(target.installed.as_ref().unwrap().generation, 2);
    assert_eq!((&target.trouble, &target.look_failure), (&None, &None));
    let older = looked(&[served(&issued(1, START))]);
    record.apply(older.clone(), day(1.0));
    let target = record.target();
    assert_eq!(target.mismatches, 1, "an older one proves nothing");
    assert_eq!(target.served.as_ref().unwrap().generation, Some(1));
    record.apply(older, day(1.0));
    assert_eq!(record.target().mismatches, 2);
    record.apply(looked(&[leaf]), day(1.0));
    assert_eq!(record.target().mismatches, 0);
}

#[test]
fn what_is_wrong_with_an_edge_is_said() {
    let good = served(&issued(1, START));
    let chain = Served {
        chain_as_stored: false,
        ..good.clone()
    };
    let cases: [(Vec<Served>, &str); 4] = [
        (Vec::new(), "no certificate was seen"),
        (
            vec![chain],
            "the edge serves our certificate with another chain than stored",
        ),
        (
            vec![unknown_leaf(START), good.clone()],
            "the addresses serve 2 different certificates",
        ),
        (
            vec![unknown_leaf(START)],
            "the edge serves a certificate that is not ours",
        ),
    ];
    for (leaves, said) in cases {
        let mut record = healthy(START).after([looked(&leaves)], START);
        let why = record.target().look_failure.clone().unwrap();
        assert!(why.starts_with(said), "{why}");
    }
}

#[test]
fn a_step_back_of_the_clock_does_not_put_a_deadline_off() {
    let mut record = healthy(START).after([was_installed(2, day(9.0))], day(9.0));
    record.apply(looked(&[]), day(1.0));
    assert_eq!(record.target().proving.clone().unwrap().since, day(1.0));
    let mut record = healthy(START).after([Event::Issued(Box::new(issued(2, day(9.0))))], day(9.0));
    record.apply(unreachable(), day(1.0));
    assert_eq!(record.issued.unwrap().at, day(1.0), "nor the next order");
}

#[test]
fn a_trouble_ends_with_its_generation_only() {
    let ours = |generation| read_back(Found::Ours(installed(generation, day(1.0))));
    let record = healthy(START).after([install_failed(2, backoff())], day(1.0));
    let mut same = record.clone().after([ours(1)], day(1.0));
    assert!(
        same.target().trouble.is_some(),
        "the old one is still there"
    );
    let mut other = record.after([ours(2)], day(1.0));
    assert_eq!(other.target().trouble, None);
    let asked = healthy(START).after([read_back_failed(backoff())], day(1.0));
    let mut asked = asked.after([read_back(Found::Nothing)], day(1.0));
    assert_eq!(asked.target().trouble, None, "reading back works again");
    assert_eq!(asked.target().installed, None);
}

#[test]
fn an_install_of_which_nothing_was_heard_is_read_back() {
    let intended = || Event::InstallIntended {
        target: the_target(),
    };
    let mut record = healthy(START).after([intended()], START);
    assert!(record.target().read_back_due, "killed in the middle");
    let mut refused = record.clone().after([install_failed(1, backoff())], START);
    assert!(!refused.target().read_back_due, "it was refused");
    let mut lost = record.clone().after([install_lost(1)], START);
    for lost_before in 0..3 {
        assert!(lost.target().read_back_due, "lost after {lost_before}");
        lost = lost.after([read_back(Found::Nothing), install_lost(1)], START);
    }
    let mut taken = record.after([was_installed(1, START)], START);
    assert!(!taken.target().read_back_due, "it was taken");
}

#[test]
fn a_time_that_the_ca_named_holds_the_question_about_renewal_back() {
    let mut named = backoff();
    named.not_before = Some(START + HOUR * 9);
    let record = healthy(START).after([Event::RenewalInfoFailed { failure: named }], START);
    let info = record.issued.unwrap().renewal_info.unwrap();
    assert_eq!(info.ask_again, START + HOUR * 9);
}

/// A look at one address of the moment and at those where the same attempt was looked for.
fn look_at(record: &mut Record, port: u16, now: Timestamp) -> usize {
    let look = target_spec().look;
    let mut addresses = record.target().addresses_of_attempt(look);
    addresses.insert(([192, 0, 2, 1], port).into());
    let count = addresses.len();
    let target = the_target();
    let sight = Sight::Leaves(Vec::new());
    record.apply(
        Event::Looked {
            target,
            sight,
            addresses,
        },
        now,
    );
    count
}

#[test]
fn an_install_is_proven_at_every_address_that_was_looked_at_in_its_attempt() {
    let deadline = START + target_spec().look.deadline;
    let mut record = healthy(START).after([was_installed(1, START)], START);
    assert_eq!(look_at(&mut record, 1, START), 1);
    assert_eq!(look_at(&mut record, 2, START + SECOND), 2, "the name moved");
    let unresolved = Event::Looked {
        target: the_target(),
        sight: Sight::Unreachable { why: String::new() },
        addresses: BTreeSet::new(),
    };
    record.apply(unresolved, START + SECOND * 2);
    assert_eq!(
        look_at(&mut record, 2, START + MINUTE),
        2,
        "nothing is lost"
    );
    let mut again = record.clone().after([was_installed(1, deadline)], deadline);
    assert_eq!(look_at(&mut again, 2, deadline), 1, "another attempt");
    assert_eq!(
        look_at(&mut record, 2, deadline),
        2,
        "the last of its attempt"
    );
    assert_eq!(
        look_at(&mut record, 2, deadline + HOUR),
        1,
        "what counts now"
    );
    assert_eq!(
        look_at(&mut record, 3, deadline + HOUR * 2),
        1,
        "each time anew"
    );
}

#[test]
fn an_edge_that_leads_elsewhere_at_every_look_is_not_followed_for_ever() {
    let mut record = healthy(START).after([was_installed(1, START)], START);
    let counts = (1..=66).map(|port| look_at(&mut record, port, START));
    let counts: Vec<usize> = counts.collect();
    assert_eq!(counts[63..], [64, 65, 1]);
}

#[test]
fn a_read_back_that_fails_is_held_back_whatever_install_failed_before() {
    let next = Event::Issued(Box::new(issued(2, START)));
    let events = [
        install_failed(1, backoff()),
        next,
        read_back_failed(backoff()),
    ];
    let mut record = healthy(START).after(events, START);
    let trouble = record.target().trouble.clone().unwrap();
    assert_eq!((trouble.generation, trouble.in_a_row), (None, 2));
}

#[test]
fn what_another_generation_left_behind_counts_as_failures_alone() {
    let taken = failure("NameTaken", &[(Class::Rename, 2), (Class::Backoff, 1)]);
    let next = Event::Issued(Box::new(issued(2, START)));
    let old = [
        install_failed(1, taken.clone()),
        install_failed(1, taken.clone()),
        install_lost(1),
        install_lost(1),
        next,
    ];
    let mut record = healthy(START).after(old, START);
    let fault = failure("InternalError", &[(Class::Backoff, 1)]);
    record.apply(install_failed(2, fault), START);
    let trouble = record.target().trouble.clone().unwrap();
    assert_eq!(
        (trouble.in_a_row, trouble.renames, trouble.bind),
        (5, 0, false)
    );
    record.apply(install_lost(2), START);
    let trouble = record.target().trouble.clone().unwrap();
    assert_eq!(trouble.class(), Class::Reconcile, "the first of this one");
    record.apply(install_failed(2, taken), START);
    let trouble = record.target().trouble.clone().unwrap();
    assert_eq!((trouble.class(), trouble.renames), (Class::Rename, 1));
}

#[test]
fn a_read_back_that_waits_for_a_person_is_a_trouble_until_the_next_generation() {
    let mut record = healthy(START).after([read_back_failed(operator())], START);
    assert_eq!(record.target().api, Api::Unasked);
    assert!(record.target().trouble.as_ref().unwrap().needs_a_person());
    let mut forbidden = healthy(START).after([read_back_forbidden()], START);
    assert_eq!(forbidden.target().trouble, None, "a policy is none");
    let next = Event::Issued(Box::new(issued(2, START)));
    for record in [&mut record, &mut forbidden] {
        record.apply(next.clone(), START);
        let target = record.target();
        assert_eq!((&target.trouble, &target.api), (&None, &Api::Unasked));
    }
    let events = [install_failed(1, operator()), read_back_forbidden()];
    let mut laddered = healthy(START).after(events, START);
    assert!(
        laddered.target().trouble.is_some(),
        "an install keeps its own"
    );
    laddered.apply(next, START);
    assert!(laddered.target().trouble.is_some());
}
