//! Tables of decisions about orders and about the question when to renew.

use super::tests::{calm, check, install, look, sleep};
use super::*;
use crate::certificate::KeyType;
use crate::renewal::budget::{Exhausted, Limit, Quota};
use crate::renewal::event::{Event, OrderFate, RenewalAnswer};
use crate::renewal::fixtures::*;
use crate::renewal::record::{AcceptedOrder, Api, Unusable};
use crate::renewal::spec::Spec;
use crate::retry::{Class, Failure, Scope};

fn order() -> Action {
    order_of("first", &["v.example.com"], false)
}

fn order_of(issuer_name: &str, list: &[&str], replaces: bool) -> Action {
    let directory = match issuer_name {
        "first" => DIRECTORY,
        _ => DIRECTORY_2,
    };
    Action::Order {
        issuer: issuer(issuer_name, directory),
        names: names(list),
        replaces,
        overdraws: false,
    }
}

/// The same in an emergency, when the CA and not our ledger says that its limits leave no room.
fn urgently(action: Action) -> Action {
    let Action::Order {
        issuer,
        names,
        replaces,
        ..
    } = action
    else {
        return action;
    };
    Action::Order {
        issuer,
        names,
        replaces,
        overdraws: true,
    }
}

/// Nothing was issued; the edge was looked at at [`START`].
fn nothing() -> Record {
    Record::default().after([unreachable()], START)
}

/// [`healthy`] with a window that the CA suggests.
fn with_window(from_day: f64, to_day: f64, looked_at: Timestamp) -> Record {
    let mut record = healthy(looked_at);
    let info = record.issued.as_mut().unwrap().renewal_info.as_mut();
    let info = info.unwrap();
    info.window = window(from_day, to_day);
    info.supported = true;
    record
}

/// So many orders were accepted, the last at `last`, each an hour after the one before.
fn accepted(mut record: Record, count: u32, last: Timestamp) -> Record {
    let at = |place| AcceptedOrder {
        at: last - HOUR * place,
    };
    record.orders.accepted = (0..count).map(at).collect();
    record
}

fn refused() -> Event {
    let remedies = [(Class::Reissue, 9), (Class::Operator, 1)];
    install_failed(1, failure("Certificate.Expired", &remedies))
}

fn changed(record: &Record, change: impl FnOnce(&mut Record)) -> Record {
    let mut record = record.clone();
    change(&mut record);
    record
}

#[test]
#[rustfmt::skip]
fn why_an_order_is_placed() {
    let (spec, now) = (spec(), day(30.0));
    let good = healthy(now);
    check("nothing was issued", &spec, &nothing(), &calm(), START, order(), Reason::NothingIssued);
    check("all is well", &spec, &good, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    let revoked = changed(&good, |r| r.issued.as_mut().unwrap().revoked = true);
    check("revoked", &spec, &revoked, &calm(), now, order(), Reason::Revoked);
    let unusable = changed(&good, |r| r.issued.as_mut().unwrap().unusable = Some(Unusable { code: "x".into(), at: now }));
    check("refused", &spec, &unusable, &calm(), now, order(), Reason::Refused);
    check("expired", &spec, &healthy(day(90.0)), &calm(), day(90.0), urgently(order()), Reason::Expired);
    let more = Spec { names: names(&["v.example.com", "w.example.com"]), ..spec.clone() };
    check("a name more", &more, &good, &calm(), now, order_of("first", &["v.example.com", "w.example.com"], false), Reason::NamesChanged);
    let other = Spec { names: names(&["w.example.com"]), ..spec.clone() };
    check("another name", &other, &good, &calm(), now, order_of("first", &["w.example.com"], false), Reason::NamesChanged);
    let extra = changed(&good, |r| {
        let issued = r.issued.as_mut().unwrap();
        issued.leaf.names = names(&["v.example.com", "www.v.example.com"]);
        issued.extra_names = names(&["www.v.example.com"]);
    });
    check("a name that the CA added is no change", &spec, &extra, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    let unasked = changed(&extra, |r| r.issued.as_mut().unwrap().extra_names.clear());
    check("a name less", &spec, &unasked, &calm(), now, order(), Reason::NamesChanged);
    let key = Spec { key: KeyType::Rsa2048, ..spec.clone() };
    check("another kind of key", &key, &good, &calm(), now, order(), Reason::KeyChanged);
    let imported = changed(&good, |r| r.issued.as_mut().unwrap().leaf.key = None);
    check("a key that we would not generate is no change", &key, &imported, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    let mut short = spec.clone();
    short.issuers[0].profile = Some("shortlived".into());
    let action = Action::Order { issuer: short.issuers[0].clone(), names: names(&["v.example.com"]), replaces: false, overdraws: false };
    check("another profile", &short, &good, &calm(), now, action, Reason::ProfileChanged);
    let watched = Spec { issuers: Vec::new(), ..spec.clone() };
    check("a certificate that is only watched is never ordered", &watched, &healthy(day(90.0)), &calm(), day(90.0), sleep(day(90.25)), Reason::DriftCheck);
    check("not even when there is none", &watched, &nothing(), &calm(), START, sleep(day(0.25)), Reason::DriftCheck);
}

#[test]
#[rustfmt::skip]
fn when_a_certificate_is_due() {
    let spec = spec();
    check("not before two thirds", &spec, &healthy(day(59.9)), &calm(), day(59.9), sleep(day(60.0)), Reason::Due);
    check("at two thirds", &spec, &healthy(day(60.0)), &calm(), day(60.0), order(), Reason::Due);
    let early = |now| with_window(9.0, 11.0, now);
    check("a window that lies ahead is waited for", &spec, &early(day(9.9)), &calm(), day(9.9), sleep(day(10.0)), Reason::Due);
    check("at the place that was picked", &spec, &early(day(10.0)), &calm(), day(10.0), order_of("first", &["v.example.com"], true), Reason::Due);
    check("a window wholly past means now", &spec, &with_window(1.0, 3.0, day(5.0)), &calm(), day(5.0), order_of("first", &["v.example.com"], true), Reason::Due);
    check("one that straddles is cut first", &spec, &with_window(0.0, 90.0, day(52.0)), &calm(), day(52.0), sleep(day(52.25)), Reason::DriftCheck);
    check("and picked then", &spec, &with_window(0.0, 90.0, day(52.5)), &calm(), day(52.5), order_of("first", &["v.example.com"], true), Reason::Due);
    let half = Spec { renew: crate::renewal::RenewPolicy::Fraction(0.5), ..spec.clone() };
    check("the admin's word caps both", &half, &healthy(day(45.0)), &calm(), day(45.0), order(), Reason::Due);
    let mut foreign = two_issuers();
    foreign.issuers.remove(0);
    check("another CA is not told what is replaced", &foreign, &with_window(1.0, 3.0, day(5.0)), &calm(), day(5.0), order_of("second", &["v.example.com"], false), Reason::Due);
}

#[test]
#[rustfmt::skip]
fn the_order_of_work() {
    let spec = spec();
    let now = day(60.0);
    let mut record = healthy(now);
    record.target().installed = None;
    record.target().seen = None;
    record.target().api = Api::Nothing;
    check("an install that may be tried now comes before an order that is due", &spec, &record, &calm(), now, install(1), Reason::NotInstalled);
    record.apply(install_failed(1, backoff()), now);
    check("one that waits does not block it", &spec, &record, &calm(), now, order(), Reason::Due);
    record.apply(install_failed(1, operator()), now);
    check("nor one that needs a person", &spec, &record, &calm(), now, order(), Reason::Due);
    let failed = healthy(day(30.0)).after([install_failed(1, operator())], day(30.0));
    check("a failed install never costs an order", &spec, &failed, &calm(), day(30.0), sleep(day(30.25)), Reason::DriftCheck);
    check("nor does a look that is due as well", &spec, &healthy(day(50.0)), &calm(), now, order(), Reason::Due);
    let cloud = closed(&spec.targets[&the_target()].install_scopes[0], now + HOUR, now);
    check("a closed cloud is nothing to the CA", &spec, &healthy(now), &cloud, now, order(), Reason::Due);
}

#[test]
#[rustfmt::skip]
fn asking_about_renewal() {
    let spec = spec();
    let now = day(1.0);
    let ask = Action::AskRenewalInfo;
    let never = changed(&healthy(now), |r| r.issued.as_mut().unwrap().renewal_info = None);
    check("it is asked once a certificate is there", &spec, &never, &calm(), now, ask.clone(), Reason::RenewalInfoStale);
    let asked = |again| Event::RenewalInfoAnswered(RenewalAnswer { window: None, explanation: None, supported: true, ask_again: again, picked: 0.5 });
    let fresh = never.clone().after([asked(now + HOUR)], now);
    check("again when the CA said so", &spec, &fresh, &calm(), now, sleep(now + HOUR), Reason::RenewalInfoStale);
    check("then", &spec, &fresh, &calm(), now + HOUR, ask.clone(), Reason::RenewalInfoStale);
    let looked = changed(&fresh, |r| r.target().looked_at = Some(now - HOUR));
    check("at once when the clock was stepped back", &spec, &looked, &calm(), now - HOUR, ask.clone(), Reason::RenewalInfoStale);
    let at_once = never.clone().after([asked(now)], now);
    check("an answer that is stale at once is not asked for hot", &spec, &at_once, &calm(), now, sleep(now + MINUTE), Reason::RenewalInfoStale);
    let mut failing = never.clone();
    for minutes in [1, 2, 4, 8] {
        failing.apply(renewal_info_failed(), now);
        check("a question that failed is asked more and more slowly", &spec, &failing, &calm(), now, sleep(now + MINUTE * minutes), Reason::RenewalInfoStale);
    }
    let down = closed(&Scope::Ca { directory: DIRECTORY.into() }, now + HOUR, now);
    check("a CA that is closed is not asked", &spec, &never, &down, now, sleep(now + HOUR), Reason::RenewalInfoStale);
    let limited = closed(&Scope::RegisteredDomain { directory: DIRECTORY.into(), domain: "example.com".into() }, now + HOUR, now);
    check("a limit on orders does not stop the question", &spec, &never, &limited, now, ask, Reason::RenewalInfoStale);
    let over = changed(&healthy(day(90.0)), |r| r.issued.as_mut().unwrap().renewal_info = None);
    check("after the end nothing is asked", &spec, &over, &calm(), day(90.0), urgently(order()), Reason::Expired);
    let mut elsewhere = two_issuers();
    elsewhere.issuers.remove(0);
    check("nor a CA that is not configured", &elsewhere, &never, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    let nameless = changed(&never, |r| r.issued.as_mut().unwrap().leaf.authority_key_id = None);
    check("nor about a certificate that has no identifier for it", &spec, &nameless, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
}

#[test]
#[rustfmt::skip]
fn a_failed_order() {
    let spec = spec();
    let fail = |record: Record, failure: Failure, now| record.after([intended(&["v.example.com"]), order_ended("first", failure, OrderFate::Refused)], now);
    let failed = fail(nothing(), backoff(), START);
    check("it waits on the ladder", &spec, &failed, &calm(), START, sleep(START + MINUTE), Reason::Waiting);
    check("and is repeated", &spec, &failed, &calm(), START + MINUTE, order(), Reason::NothingIssued);
    check("after a step back of the clock at once", &spec, &changed(&failed, |r| r.target().looked_at = Some(START - HOUR)), &calm(), START - HOUR, order(), Reason::NothingIssued);
    let mut named = backoff();
    named.not_before = Some(START + DAY);
    let told = fail(nothing(), named.clone(), START);
    check("a named time is not undercut", &spec, &told, &calm(), START + HOUR * 5, sleep(START + HOUR * 6), Reason::DriftCheck);
    let due = fail(healthy(day(60.0)), operator(), day(60.0));
    check("what waits for a person is looked at slowly", &spec, &due, &calm(), day(60.0), sleep(day(60.25)), Reason::DriftCheck);
    let mended = due.after([Event::Reconfigured { digest: "new".into() }], day(60.0));
    check("and at once when something was changed", &spec, &mended, &calm(), day(60.0), order(), Reason::Due);
    let mut both = operator();
    both.not_before = Some(day(60.2));
    let both = fail(healthy(day(60.0)), both, day(60.0)).after([Event::Reconfigured { digest: "new".into() }], day(60.0));
    check("but not before a time that was named", &spec, &both, &calm(), day(60.0), sleep(day(60.2)), Reason::Waiting);
    for scope in [Scope::Ca { directory: DIRECTORY.into() }, Scope::CaAccount { directory: DIRECTORY.into() }, Scope::Name { directory: DIRECTORY.into(), name: "v.example.com".into() }, Scope::ExactSet { directory: DIRECTORY.into(), names: "v.example.com".into() }] {
        check("a closed scope holds back", &spec, &nothing(), &closed(&scope, START + HOUR, START), START, sleep(START + HOUR), Reason::Waiting);
    }
    let proof = Spec { proof_scopes: vec![Scope::Cloud { cloud: "dns".into() }], ..spec };
    check("also one that the proof needs", &proof, &nothing(), &closed(&proof.proof_scopes[0], START + HOUR, START), START, sleep(START + HOUR), Reason::Waiting);
}

#[test]
#[rustfmt::skip]
fn an_order_under_way() {
    let (spec, now) = (two_issuers(), START);
    let open = nothing().after([intended(&["v.example.com"]), Event::OrderAccepted], now);
    check("is gone on with", &spec, &open, &calm(), now, order(), Reason::Resume);
    let full = accepted(open.clone(), 3, now);
    check("whatever the brake says", &spec, &full, &calm(), now, order(), Reason::Resume);
    let failed = open.clone().after([order_failed("first", backoff())], now);
    check("on the ladder", &spec, &failed, &calm(), now, sleep(now + MINUTE), Reason::Waiting);
    let directory = || DIRECTORY.to_owned();
    let account = Scope::CaAccount { directory: directory() };
    let domain = Scope::RegisteredDomain { directory: directory(), domain: "example.com".into() };
    let name = Scope::Name { directory: directory(), name: "v.example.com".into() };
    let set = Scope::ExactSet { directory: directory(), names: "v.example.com".into() };
    for scope in [account, domain, name, set] {
        let limited = closed(&scope, now + HOUR, now);
        check("whatever limit is on new orders", &spec, &open, &limited, now, order(), Reason::Resume);
    }
    let down = closed(&Scope::Ca { directory: directory() }, now + HOUR, now);
    check("not while the CA is closed", &spec, &open, &down, now, sleep(now + HOUR), Reason::Waiting);
    let cloud = Scope::Cloud { cloud: "dns".into() };
    let proof = Spec { proof_scopes: vec![cloud.clone()], ..spec.clone() };
    check("nor while the proofs cannot be published", &proof, &open, &closed(&cloud, now + HOUR, now), now, sleep(now + HOUR), Reason::Waiting);
    let killed = nothing().after([intended(&["v.example.com"])], now);
    check("unless nobody knows whether it was accepted", &spec, &killed, &calm(), now, order(), Reason::NothingIssued);
    assert_eq!(killed.orders.accepted.len(), 1, "its budget stands");
    let dropped = open.clone().after([Event::OrderDropped], now);
    check("or it is gone", &spec, &dropped, &calm(), now, order(), Reason::NothingIssued);
    let more = Spec { names: names(&["w.example.com"]), ..spec.clone() };
    check("or the names changed", &more, &open, &calm(), now, order_of("first", &["w.example.com"], false), Reason::NothingIssued);
    let key = Spec { key: KeyType::Rsa3072, ..spec.clone() };
    check("or the key", &key, &open, &calm(), now, order(), Reason::NothingIssued);
    let mut given_up = open;
    for _ in 0..3 {
        given_up.apply(order_failed("first", backoff()), now);
    }
    check("or its issuer is given up", &spec, &given_up, &calm(), now, order_of("second", &["v.example.com"], false), Reason::NothingIssued);
}

#[test]
#[rustfmt::skip]
fn the_rails() {
    let (spec, now) = (spec(), day(60.0));
    let two = accepted(healthy(now), 2, now);
    check("two orders in a day leave one", &spec, &two, &calm(), now, order(), Reason::Due);
    let three = accepted(healthy(now), 3, now);
    check("three leave none until the first is a day old", &spec, &three, &calm(), now + HOUR, sleep(day(60.25)), Reason::DriftCheck);
    let free = now + HOUR * 22;
    let looked = changed(&three, |r| r.target().looked_at = Some(free - HOUR));
    check("not a moment sooner", &spec, &looked, &calm(), free - HOUR, sleep(free), Reason::Waiting);
    check("nor later", &spec, &looked, &calm(), free, order(), Reason::Due);
    let late = day(86.0);
    let emergency = accepted(healthy(late), 3, late);
    check("an emergency adds one six hours after the last", &spec, &emergency, &calm(), late + HOUR, sleep(late + HOUR * 6), Reason::Waiting);
    let looked = changed(&emergency, |r| r.target().looked_at = Some(late + HOUR * 5));
    check("no sooner", &spec, &looked, &calm(), late + HOUR * 5, sleep(late + HOUR * 6), Reason::Waiting);
    check("then", &spec, &looked, &calm(), late + HOUR * 6, urgently(order()), Reason::Due);
    let before = accepted(healthy(day(85.4)), 3, day(85.4));
    check("which is thought of when it begins", &spec, &before, &calm(), day(85.4), sleep(day(85.5)), Reason::Waiting);
    let again = with_window(1.0, 3.0, day(5.0));
    let again = changed(&again, |r| r.issued.as_mut().unwrap().at = day(5.0));
    check("no second order within an hour of a success", &spec, &again, &calm(), day(5.0), sleep(day(5.0) + HOUR), Reason::Waiting);
    check("then", &spec, &again, &calm(), day(5.0) + HOUR, order_of("first", &["v.example.com"], true), Reason::Due);
    let future = changed(&again, |r| r.issued.as_mut().unwrap().at = day(6.0));
    check("at once when that success lies in the future", &spec, &future, &calm(), day(5.0), order_of("first", &["v.example.com"], true), Reason::Due);
    let key = Spec { key: KeyType::Rsa2048, ..spec.clone() };
    check("a changed key does not wait", &key, &again, &calm(), day(5.0), order_of("first", &["v.example.com"], true), Reason::KeyChanged);
    let short = issued_for(1, START, MINUTE * 20);
    let mut short = Record { targets: [(the_target(), proven(&short, START + MINUTE * 2))].into(), issued: Some(short), ..Record::default() };
    short.issued.as_mut().unwrap().renewal_info.as_mut().unwrap().window = window(0.0, 0.0005);
    let now = START + MINUTE * 2;
    check("a quarter of a short life", &spec, &short, &calm(), now, sleep(START + MINUTE * 5), Reason::Waiting);
}

#[test]
#[rustfmt::skip]
fn a_generation_that_is_refused() {
    let spec = spec();
    let now = day(60.0);
    let mut record = healthy(now).after([refused()], now);
    check("is ordered anew, on the ladder of orders", &spec, &record, &calm(), now, sleep(now + MINUTE), Reason::Waiting);
    check("then", &spec, &record, &calm(), now + MINUTE, order(), Reason::Refused);
    record.issued.as_mut().unwrap().at = now;
    check("but not within an hour of its issue", &spec, &record, &calm(), now, sleep(now + HOUR), Reason::Waiting);
    let late = day(86.0);
    let record = accepted(healthy(late), 3, late).after([refused()], late);
    let looked = changed(&record, |r| r.target().looked_at = Some(late + HOUR * 21));
    check("nor more often than the brake allows, in an emergency either", &spec, &looked, &calm(), late + HOUR * 21, sleep(late + HOUR * 22), Reason::Waiting);
}

#[test]
fn a_cloud_that_refuses_every_generation_gets_three_orders_a_day() {
    let spec = spec();
    let mut record = healthy(day(60.0));
    let mut now = day(60.0);
    let mut orders: Vec<Timestamp> = Vec::new();
    while now < day(70.0) {
        let decision = decide(&spec, &record, &calm(), now);
        match decision.action {
            Action::SleepUntil(time) => now = time,
            Action::Order { .. } => {
                orders.push(now);
                let next = record.newest_generation + 1;
                let events = [
                    intended(&["v.example.com"]),
                    Event::OrderAccepted,
                    Event::Issued(Box::new(issued(next, now))),
                ];
                record = record.after(events, now);
            }
            Action::Install { generation, .. } => {
                let remedies = [(Class::Reissue, 255), (Class::Operator, 1)];
                let failure = failure("Certificate.Expired", &remedies);
                record.apply(install_failed(generation, failure), now);
            }
            Action::Look { .. } => record.apply(looked(&[served(&issued(1, START))]), now),
            Action::AskRenewalInfo => record.apply(renewal_info_failed(), now),
            Action::DistrustClock { .. } | Action::ProveOwner { .. } | Action::ReadBack { .. } => {
                panic!("{decision:?}")
            }
        }
    }
    assert!(orders.len() >= 10, "it goes on trying: {orders:?}");
    for start in &orders {
        let in_a_day = |order: &&Timestamp| *order >= start && order.since(*start) < DAY;
        assert!(orders.iter().filter(in_a_day).count() <= 3, "{orders:?}");
    }
}

#[test]
#[rustfmt::skip]
fn fallback_to_the_next_issuer() {
    let spec = two_issuers();
    let second = || order_of("second", &["v.example.com"], false);
    let fail = |mut record: Record, times: u32, now| {
        for _ in 0..times {
            record.apply(order_failed("first", backoff()), now);
        }
        record
    };
    let twice = fail(nothing(), 2, START);
    check("two failures are not three", &spec, &twice, &calm(), START + MINUTE * 10, order(), Reason::NothingIssued);
    check("after three the next one is asked, at once", &spec, &fail(nothing(), 3, START), &calm(), START, second(), Reason::NothingIssued);
    let mut named = backoff();
    named.not_before = Some(START + DAY);
    let named = nothing().after([order_failed("first", named)], START);
    check("a time that the first one named", &spec, &named, &calm(), START, sleep(START + MINUTE * 30), Reason::Waiting);
    check("does not hold the next one back after 30 minutes", &spec, &named, &calm(), START + MINUTE * 30, second(), Reason::NothingIssued);
    let closed = closed(&Scope::Ca { directory: DIRECTORY.into() }, START + DAY, START);
    check("nor does a scope that the first one closed", &spec, &fail(nothing(), 3, START), &closed, START, second(), Reason::NothingIssued);
    let held = fail(healthy(day(70.0)), 9, day(70.0));
    check("while something is held the first one is waited for", &spec, &held, &calm(), day(70.0), sleep(day(70.25)), Reason::DriftCheck);
    let held = changed(&held, |r| r.target().looked_at = Some(day(75.0)));
    check("until the last sixth", &spec, &held, &calm(), day(75.0), second(), Reason::Due);
    let before = fail(healthy(day(74.9)), 9, day(74.9));
    check("which is thought of when it begins", &spec, &before, &calm(), day(74.9), sleep(day(75.0)), Reason::Waiting);
    let mut both = fail(nothing(), 4, START);
    for _ in 0..3 {
        both.apply(order_failed("second", backoff()), START);
    }
    check("of two that fail the one that failed less", &spec, &both, &calm(), START + HOUR * 5, sleep(START + HOUR * 6), Reason::DriftCheck);
    let both = changed(&both, |r| r.target().looked_at = Some(day(2.0)));
    check("on the ladder", &spec, &both, &calm(), day(2.0), second(), Reason::NothingIssued);
    let renewed = held.after([Event::Issued(Box::new(issued(2, day(75.0))))], day(75.0));
    assert!(renewed.orders.issuers.is_empty(), "the next renewal begins with the first one again");
}

/// The limits of an issuer leave no room until then.
fn held_back(issuer: &str, free_at: Timestamp) -> Event {
    let exhausted = Exhausted {
        limit: Limit::RegisteredDomain,
        subject: "example.com".into(),
        quota: Quota::new(50, DAY * 7).unwrap(),
        free_at,
    };
    Event::OrderHeldBack {
        issuer: issuer.into(),
        exhausted,
        jitter: 0.0,
    }
}

#[test]
#[rustfmt::skip]
fn limits_that_leave_no_room() {
    let (spec, now) = (spec(), day(60.0));
    let spent = healthy(now).after([held_back("first", now + HOUR)], now);
    check("are waited for", &spec, &spent, &calm(), now, sleep(now + HOUR), Reason::CaBudget);
    check("and tried then", &spec, &spent, &calm(), now + HOUR, order(), Reason::Due);
    let busy = changed(&spent, |r| r.orders.issuers.clear());
    let closed_for_longer = closed(&Scope::Ca { directory: DIRECTORY.into() }, now + HOUR * 2, now);
    check("beside whatever else holds an order back", &spec, &busy, &closed_for_longer, now, sleep(now + HOUR * 2), Reason::Waiting);
    let told = changed(&with_window(1.0, 3.0, now), |r| r.apply(held_back("first", now + DAY), now));
    check("also by what was to be a replacement and counted all the same", &spec, &told, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    let late = changed(&healthy(day(85.4)), |r| r.apply(held_back("first", day(89.0)), day(85.4)));
    check("nor beyond the beginning of an emergency", &spec, &late, &calm(), day(85.4), sleep(day(85.5)), Reason::CaBudget);
    check("when the CA itself says no", &spec, &late, &calm(), day(85.5), urgently(order()), Reason::Due);
    let reconfigured = spent.after([Event::Reconfigured { digest: "other".into() }], now);
    check("and not when the configuration changed", &spec, &reconfigured, &calm(), now, order(), Reason::Due);
    let future = changed(&healthy(now), |r| r.apply(held_back("first", now + DAY * 9), now + DAY * 8));
    check("nor by a clock that was ahead", &spec, &future, &calm(), now, order(), Reason::Due);
}

#[test]
#[rustfmt::skip]
fn a_fallback_for_limits_that_leave_no_room() {
    let mut spec = spec();
    spec.issuers.push(issuer("second", DIRECTORY_2));
    let second = || order_of("second", &["v.example.com"], false);
    let soon = nothing().after([held_back("first", START + MINUTE * 20)], START);
    check("a short wait is none", &spec, &soon, &calm(), START, sleep(START + MINUTE * 20), Reason::CaBudget);
    let long = nothing().after([held_back("first", START + HOUR * 3)], START);
    check("with nothing held the next one is asked at once", &spec, &long, &calm(), START, second(), Reason::NothingIssued);
    let held = healthy(day(60.0)).after([held_back("first", day(80.0))], day(60.0));
    check("while something is held the first one is waited for", &spec, &held, &calm(), day(60.0), sleep(day(60.25)), Reason::DriftCheck);
    let held = changed(&held, |r| r.target().looked_at = Some(day(74.9)));
    check("until the last sixth", &spec, &held, &calm(), day(74.9), sleep(day(75.0)), Reason::CaBudget);
    check("which is a moment to think again", &spec, &held, &calm(), day(75.0), second(), Reason::Due);
}

#[test]
#[rustfmt::skip]
fn changed_names_that_cannot_be_had() {
    let both: &[&str] = &["v.example.com", "w.example.com"];
    let spec = Spec { names: names(both), ..spec() };
    let last_good = || urgently(order());
    let fail = |at| healthy(at).after([order_failed("first", operator())], at);
    let all = || order_of("first", both, false);
    let all_now = || urgently(all());
    check("the changed names are ordered", &spec, &healthy(day(86.0)), &calm(), day(86.0), all_now(), Reason::NamesChanged);
    check("again while there is time", &spec, &changed(&fail(day(80.0)), |r| r.target().looked_at = Some(day(81.0))), &calm(), day(81.0), all(), Reason::NamesChanged);
    let before = fail(day(85.4));
    check("the emergency is a moment to think again", &spec, &before, &calm(), day(85.4), sleep(day(85.5)), Reason::Waiting);
    check("the last good list is ordered then, whatever the ladder of the others", &spec, &before, &calm(), day(85.5), last_good(), Reason::NamesChanged);
    let failing = fail(day(86.0));
    check("but has its own", &spec, &failing, &calm(), day(86.0), sleep(day(86.25)), Reason::DriftCheck);
    let gone = Spec { names: names(&["w.example.com"]), ..spec.clone() };
    let looked = changed(&before, |r| r.target().looked_at = Some(day(86.0)));
    check("not if one of them is not configured any more", &gone, &looked, &calm(), day(86.0), urgently(order_of("first", &["w.example.com"], false)), Reason::NamesChanged);
    let mut had = before.after([Event::Issued(Box::new(issued(2, day(85.5)))), order_failed("first", operator())], day(85.5));
    had.target().looked_at = Some(day(85.5));
    had.apply(install_failed(2, operator()), day(85.6));
    check("once it is there the changed names are the aim again", &spec, &had, &calm(), day(85.75), look(), Reason::DriftCheck);
    had.target().looked_at = Some(day(85.84));
    check("not the last good ones, though the edge is still old", &spec, &had, &calm(), day(85.84), all_now(), Reason::NamesChanged);
}

#[test]
#[rustfmt::skip]
fn urgency() {
    let mut spec = spec();
    let dead = target_id("dead.example.com");
    spec.targets.insert(dead.clone(), target_spec());
    let now = day(80.0);
    let mut record = healthy(now);
    let mut expired = proven(&issued(1, START - DAY * 200), now);
    expired.trouble = healthy(now).after([install_failed(1, operator())], now).target().trouble.take();
    record.targets.insert(dead, expired);
    for _ in 0..5 {
        record.apply(order_failed("first", backoff()), now);
    }
    check("a target that is beyond saving does not slow down the others", &spec, &record, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    let later = now + HOUR * 8;
    for target in record.targets.values_mut() {
        target.looked_at = Some(later);
    }
    check("8 h in the last third of what can be saved", &spec, &record, &calm(), later, urgently(order()), Reason::Due);
}
