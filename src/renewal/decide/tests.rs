//! Tables of decisions; each key is a sentence. Orders are in `order_tests.rs`, targets here.

use super::*;
use crate::renewal::event::{Event, Found, Sight};
use crate::renewal::fixtures::*;
use crate::renewal::record::{Api, TargetRecord};
use crate::renewal::spec::{Method, OnDrift};
use crate::retry::{Class, course};

/// Checks what is decided, and why.
#[track_caller]
pub(super) fn check(
    name: &str,
    spec: &Spec,
    record: &Record,
    circumstances: &Circumstances,
    now: Timestamp,
    action: Action,
    reason: Reason,
) {
    let decision = decide(spec, record, circumstances, now);
    let expected = Decision { action, reason };
    assert!(
        decision == expected,
        "{name}:\n decided {decision:?}\nexpected {expected:?}"
    );
}

pub(super) fn calm() -> Circumstances {
    Circumstances::default()
}

pub(super) fn sleep(until: Timestamp) -> Action {
    Action::SleepUntil(until)
}

pub(super) fn look() -> Action {
    let target = the_target();
    Action::Look { target }
}

fn ask_api() -> Action {
    let target = the_target();
    Action::ReadBack { target }
}

pub(super) fn install(generation: u32) -> Action {
    install_so(generation, Manner::default())
}

fn install_so(generation: u32, manner: Manner) -> Action {
    Action::Install {
        target: the_target(),
        generation,
        manner,
    }
}

/// What was uploaded before is bound, once it is found.
fn reinstall(generation: u32) -> Action {
    install_so(generation, known(generation))
}

/// By the name under which it was uploaded.
fn known(generation: u32) -> Manner {
    searching(Search {
        cert_name: Some(format!("vodcertd-{generation}")),
        by_content: false,
        missing: None,
        else_upload: true,
    })
}

/// After a search in the certificate store.
fn searching(search: Search) -> Manner {
    Manner {
        origin: Origin::Search(search),
        ..Manner::default()
    }
}

/// [`healthy`], and a second generation was issued on day 60.
fn renewed() -> Record {
    let mut record = healthy(day(59.9));
    record.apply(Event::Issued(Box::new(issued(2, day(60.0)))), day(60.0));
    record.target().looked_at = Some(day(60.0));
    record
}

/// The second generation was taken by the API on day 60 and is not seen yet.
fn proving() -> Record {
    renewed().after([was_installed(2, day(60.0))], day(60.0))
}

fn old_leaf() -> Event {
    looked(&[served(&issued(1, START))])
}

fn new_leaf() -> Event {
    looked(&[served(&issued(2, day(60.0)))])
}

fn ours(generation: u32) -> Event {
    read_back(Found::Ours(installed(generation, day(60.0))))
}

fn foreign() -> Event {
    let cert_name = "by-hand".to_owned();
    read_back(Found::Foreign { cert_name })
}

#[test]
#[rustfmt::skip]
fn first_contact() {
    let (spec, now) = (spec(), START);
    let seen_nothing = Record::default().after([unreachable()], now);
    check("a target that was never looked at is looked at first", &spec, &Record::default(), &calm(), now, look(), Reason::NeverLooked);
    let fresh = Record { issued: Some(issued(1, START)), newest_generation: 1, ..seen_nothing };
    check("the API is asked what is there before something is replaced", &spec, &fresh, &calm(), now, ask_api(), Reason::FirstContact);
    let mut blind = spec.clone();
    blind.targets.get_mut(&the_target()).unwrap().look.enabled = false;
    check("also when looks are switched off", &blind, &fresh, &calm(), now, ask_api(), Reason::FirstContact);
    for found in [foreign(), read_back(Found::Nothing)] {
        let told = fresh.clone().after([found], now);
        check("what is not ours is replaced", &spec, &told, &calm(), now, install(1), Reason::NotInstalled);
    }
    let adopted = fresh.clone().after([ours(1)], now);
    check("what is ours already only has to be seen", &spec, &adopted, &calm(), now, look(), Reason::NotSeen);
    let silent = fresh.clone().after([read_back_forbidden()], now);
    check("who may not read back may install", &spec, &silent, &calm(), now, install(1), Reason::NotInstalled);
    let failed = silent.clone().after([install_failed(1, operator())], now);
    let later = failed.after([looked(&[])], now + DAY);
    check("and asks again a day later", &spec, &later, &calm(), now + DAY, ask_api(), Reason::FirstContact);
    let wrong = fresh.clone().after([read_back_failed(operator())], now);
    check("who is refused for another reason waits for a person", &spec, &wrong, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    let later = wrong.after([looked(&[])], now + DAY);
    check("asks again slowly", &spec, &later, &calm(), now + DAY, ask_api(), Reason::FirstContact);
    let next = later.after([read_back_failed(operator()), Event::Issued(Box::new(issued(2, now + DAY)))], now + DAY);
    check("and for each new generation", &spec, &next, &calm(), now + DAY, ask_api(), Reason::FirstContact);
    let busy = fresh.after([read_back_failed(backoff())], now);
    check("a read-back that failed waits on the ladder", &spec, &busy, &calm(), now, sleep(now + SECOND * 5), Reason::Waiting);
}

#[test]
#[rustfmt::skip]
fn installing() {
    let (spec, now) = (spec(), day(60.0));
    let record = renewed();
    check("the newest generation is installed", &spec, &record, &calm(), now, install(2), Reason::NotInstalled);
    let cloud = closed(&spec.targets[&the_target()].install_scopes[0], now + HOUR, now);
    check("not while the cloud named a time", &spec, &record, &cloud, now, sleep(now + HOUR), Reason::Waiting);
    let later = closed(&spec.targets[&the_target()].install_scopes[0], now + HOUR, now + HOUR);
    check("a time that was named in the future is void", &spec, &record, &later, now, install(2), Reason::NotInstalled);
    let failed = record.clone().after([install_failed(2, backoff())], now);
    check("a failure waits on the ladder", &spec, &failed, &calm(), now, sleep(now + SECOND * 5), Reason::Waiting);
    check("and is tried again then", &spec, &failed, &calm(), now + SECOND * 5, install(2), Reason::NotInstalled);
    let mut stepped = failed.clone();
    stepped.target().looked_at = Some(now - HOUR);
    check("after a step back of the clock at once", &spec, &stepped, &calm(), now - HOUR, install(2), Reason::NotInstalled);
    let mut named = backoff();
    named.not_before = Some(now + HOUR);
    let told = record.clone().after([install_failed(2, named.clone())], now);
    check("a named time is not undercut", &spec, &told, &calm(), now + MINUTE, sleep(now + HOUR), Reason::Waiting);
    let mut old = healthy(now);
    old = old.after([install_failed(1, named), Event::Issued(Box::new(issued(2, now)))], now);
    check("not even by the next generation", &spec, &old, &calm(), now + MINUTE, sleep(now + HOUR), Reason::Waiting);
    let refused = record.clone().after([install_failed(2, operator())], now);
    check("what waits for a person is looked at slowly; the edge meanwhile", &spec, &refused, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    let mended = refused.after([Event::Reconfigured { digest: "new".into() }], now);
    check("and at once when something was changed", &spec, &mended, &calm(), now, install(2), Reason::NotInstalled);
    let later = now + MINUTE * 2;
    check("an edge that was not looked at for a minute is looked at first", &spec, &record, &calm(), later, look(), Reason::BeforeInstall);
    let looked = record.after([old_leaf()], later);
    check("then it is installed", &spec, &looked, &calm(), later, install(2), Reason::NotInstalled);
    let blind = looked.clone().after([unreachable()], later);
    check("an edge out of reach makes the API be asked", &spec, &blind, &calm(), later, ask_api(), Reason::UnknownLeaf);
    let mut off = spec.clone();
    off.targets.get_mut(&the_target()).unwrap().look.enabled = false;
    check("unless looks are switched off", &off, &blind, &calm(), later, install(2), Reason::NotInstalled);
}

#[test]
#[rustfmt::skip]
fn failures_with_a_course_of_their_own() {
    let (spec, now) = (spec(), day(60.0));
    let after = |failures: &[&crate::retry::Failure]| {
        renewed().after(failures.iter().map(|f| install_failed(2, (*f).clone())), now)
    };
    let then = now + SECOND * 5;
    let format = failure("sslPub.Error", &[(Class::Backoff, 2), (Class::Reformat, 1), (Class::Operator, 1)]);
    let reformat = Manner { reformat: true, ..Manner::default() };
    check("a retry before the format is suspected", &spec, &after(&[&format]), &calm(), then, install(2), Reason::NotInstalled);
    check("the PEM is encoded anew", &spec, &after(&[&format; 3]), &calm(), then, install_so(2, reformat), Reason::NotInstalled);
    check("then a person must act", &spec, &after(&[&format; 4]), &calm(), then, sleep(day(60.25)), Reason::DriftCheck);
    let taken = failure("DuplicateName", &[(Class::Rename, 2), (Class::Operator, 1)]);
    let rename = |renames| Manner { renames, ..Manner::default() };
    check("the next name", &spec, &after(&[&taken]), &calm(), then, install_so(2, rename(1)), Reason::NotInstalled);
    check("and the one after", &spec, &after(&[&taken; 2]), &calm(), then, install_so(2, rename(2)), Reason::NotInstalled);
    check("no third one", &spec, &after(&[&taken; 3]), &calm(), then, sleep(day(60.25)), Reason::DriftCheck);
    let stale = failure("SecurityTokenExpired", &[(Class::Refresh, 1), (Class::Operator, 1)]);
    check("credentials are fetched anew once", &spec, &after(&[&stale]), &calm(), then, install(2), Reason::NotInstalled);
    check("and no more", &spec, &after(&[&stale; 2]), &calm(), then, sleep(day(60.25)), Reason::DriftCheck);
    check("two codes in turns reach the end of their courses", &spec, &after(&[&stale, &taken, &stale]), &calm(), then, sleep(day(60.25)), Reason::DriftCheck);
    let bug = failure("MissingParameter", &[(Class::Bug, 1), (Class::Operator, 1)]);
    check("our own fault waits for a person", &spec, &after(&[&bug]), &calm(), then, sleep(day(60.25)), Reason::DriftCheck);
    let next = after(&[&taken; 3]).after([Event::Issued(Box::new(issued(3, now)))], now);
    let next = next.after([old_leaf()], now);
    check("a new generation starts with its own name", &spec, &next, &calm(), now, install(3), Reason::NotInstalled);
}

#[test]
#[rustfmt::skip]
fn an_answer_that_was_lost() {
    let (spec, now) = (spec(), day(60.0));
    let record = renewed().after([install_lost(2)], now);
    check("nothing is hot, not even a read-back", &spec, &record, &calm(), now, sleep(now + SECOND * 5), Reason::Waiting);
    let then = now + SECOND * 5;
    check("the API is asked what it has", &spec, &record, &calm(), then, ask_api(), Reason::LostAnswer);
    let happened = record.clone().after([ours(2)], then);
    check("it happened: it only has to be seen", &spec, &happened, &calm(), then, look(), Reason::NotSeen);
    let seen = record.clone().after([new_leaf()], then);
    check("the edge may tell as well", &spec, &seen, &calm(), then, sleep(then + HOUR * 6), Reason::DriftCheck);
    let bind = searching(Search { cert_name: None, by_content: false, missing: None, else_upload: true });
    for found in [ours(1), foreign(), read_back(Found::Nothing)] {
        let record = record.clone().after([found.clone()], then);
        check("it did not: what may be stored is bound", &spec, &record, &calm(), then, install_so(2, bind.clone()), Reason::NotInstalled);
        let again = record.after([install_lost(2)], then);
        check("and the ladder goes on", &spec, &again, &calm(), then, sleep(then + SECOND * 30), Reason::Waiting);
        let then = then + SECOND * 30;
        check("with a question again", &spec, &again, &calm(), then, ask_api(), Reason::LostAnswer);
        let again = again.after([found], then);
        check("and what may be stored", &spec, &again, &calm(), then, install_so(2, bind.clone()), Reason::NotInstalled);
    }
    let down = record.clone().after([read_back_failed(backoff())], then);
    check("a read-back that fails waits on the ladder", &spec, &down, &calm(), then, sleep(then + SECOND * 30), Reason::Waiting);
    let hour = now + HOUR;
    let closed = closed(&spec.targets[&the_target()].read_back_scopes[0], hour + HOUR, now);
    check("meanwhile the edge is looked at", &spec, &record, &closed, hour, look(), Reason::LostAnswer);
    let next = record.clone().after([Event::Issued(Box::new(issued(3, then))), read_back_failed(backoff())], then);
    check("also when the next generation is there", &spec, &next, &calm(), then, sleep(then + SECOND * 30), Reason::Waiting);
    let silent = record.clone().after([read_back_forbidden()], then);
    check("who may not read back goes on with the install", &spec, &silent, &calm(), then, install_so(2, bind.clone()), Reason::NotInstalled);
    let silent = silent.after([install_lost(2)], then);
    check("on the ladder", &spec, &silent, &calm(), then, sleep(then + SECOND * 30), Reason::Waiting);
    let then = then + SECOND * 30;
    check("without asking", &spec, &silent, &calm(), then, install_so(2, bind.clone()), Reason::NotInstalled);
    let wrong = record.clone().after([read_back_failed(operator())], then);
    check("who is refused for another reason does not, but looks", &spec, &wrong, &calm(), then, sleep(now + HOUR), Reason::LostAnswer);
}

#[test]
#[rustfmt::skip]
fn a_repeated_install_that_does_not_say_so() {
    let spec = spec();
    let deadline = day(60.0) + MINUTE * 15;
    let stuck = proving().after([old_leaf()], deadline).after([ours(2)], deadline);
    check("an edge that is stuck is installed to once more", &spec, &stuck, &calm(), deadline, reinstall(2), Reason::NotSeen);
    let duplicate = failure("Certificate.Duplicated", &[(Class::Reconcile, 1), (Class::Rename, 2), (Class::Operator, 1)]);
    for failed in [install_failed(2, duplicate), install_lost(2)] {
        let intended = Event::InstallIntended { target: the_target() };
        let record = stuck.clone().after([intended, failed], deadline);
        let then = deadline + SECOND * 5;
        check("it is asked about", &spec, &record, &calm(), then, ask_api(), Reason::LostAnswer);
        let told = record.after([ours(2)], then);
        check("what is there is what was wanted", &spec, &told, &calm(), then, look(), Reason::NotSeen);
        let second = then + MINUTE * 15;
        let given_up = told.after([old_leaf()], second);
        check("and no third time", &spec, &given_up, &calm(), second, sleep(second + HOUR), Reason::NotSeen);
        assert!(given_up.targets[&the_target()].proving.as_ref().unwrap().reinstalled);
    }
}

#[test]
#[rustfmt::skip]
fn an_edge_that_lags() {
    let (spec, now) = (spec(), day(60.0));
    let mut record = proving();
    check("an install is looked at at once", &spec, &record, &calm(), now, look(), Reason::NotSeen);
    for (looks, pause) in [(1, 5000), (2, 7500), (3, 11_250)] {
        record.apply(old_leaf(), now);
        let time = now + Duration::from_millis(pause);
        check("then more and more slowly", &spec, &record, &calm(), now, sleep(time), Reason::NotSeen);
        assert_eq!(record.target().proving.clone().unwrap().looks, looks);
    }
    let many = record.clone().after((0..9).map(|_| old_leaf()), now);
    check("but every minute", &spec, &many, &calm(), now, sleep(now + MINUTE), Reason::NotSeen);
    let before = now + SECOND * (15 * 60 - 10);
    let near = many.clone().after([old_leaf()], before);
    check("and when the deadline comes", &spec, &near, &calm(), before, sleep(now + MINUTE * 15), Reason::NotSeen);
    let apart = looked(&[served(&issued(1, START)), served(&issued(2, now))]);
    let half = proving().after([apart], now);
    check("every address must serve it", &spec, &half, &calm(), now, sleep(now + SECOND * 5), Reason::NotSeen);
    let mut chain = served(&issued(2, now));
    chain.chain_as_stored = false;
    let half = proving().after([looked(&[chain])], now);
    check("with the chain that was stored", &spec, &half, &calm(), now, sleep(now + SECOND * 5), Reason::NotSeen);
    let broken = Event::Looked { target: the_target(), sight: Sight::Broken { why: "reset".into(), others: vec![served(&issued(2, now))] }, addresses: BTreeSet::new() };
    check("and complete the handshake", &spec, &proving().after([broken], now), &calm(), now, sleep(now + SECOND * 5), Reason::NotSeen);
    let done = many.after([new_leaf()], now + MINUTE);
    check("then only drift is watched for", &spec, &done, &calm(), now + MINUTE, sleep(now + MINUTE + HOUR * 6), Reason::DriftCheck);
    check("and looked at when the time has come", &spec, &done, &calm(), now + MINUTE + HOUR * 6, look(), Reason::DriftCheck);
    let future = proving().after([old_leaf()], now - HOUR);
    assert_eq!(future.targets[&the_target()].proving.clone().unwrap().since, now - HOUR, "a clock that was stepped back");
}

#[test]
#[rustfmt::skip]
fn an_edge_that_never_changes() {
    let (spec, deadline) = (spec(), day(60.0) + MINUTE * 15);
    let record = proving().after((0..9).map(|_| old_leaf()), day(60.0) + MINUTE);
    check("a deadline that passed unseen is looked at first", &spec, &record, &calm(), deadline + DAY, look(), Reason::NotSeen);
    let record = record.after([old_leaf()], deadline);
    check("the API is asked what it has", &spec, &record, &calm(), deadline, ask_api(), Reason::NotSeen);
    for found in [ours(2), ours(1), foreign(), read_back(Found::Nothing)] {
        let record = record.clone().after([found], deadline);
        check("the install is repeated once", &spec, &record, &calm(), deadline, reinstall(2), Reason::NotSeen);
        let mut again = record.after([was_installed(2, deadline)], deadline);
        check("a second deadline begins", &spec, &again, &calm(), deadline, look(), Reason::NotSeen);
        let second = deadline + MINUTE * 15;
        again.apply(old_leaf(), second);
        check("then only looks, every hour", &spec, &again, &calm(), second, sleep(second + HOUR), Reason::NotSeen);
        again.apply(old_leaf(), second + HOUR);
        check("for ever", &spec, &again, &calm(), second + HOUR, sleep(second + HOUR * 2), Reason::NotSeen);
        let done = again.after([new_leaf()], second + HOUR * 2);
        check("until it is seen", &spec, &done, &calm(), second + HOUR * 2, sleep(second + HOUR * 8), Reason::DriftCheck);
    }
    let failed = record.clone().after([read_back_failed(backoff())], deadline);
    let then = deadline + SECOND * 5;
    check("it is repeated also when the API did not tell", &spec, &failed, &calm(), then, reinstall(2), Reason::NotSeen);
    let later = failed.after([looked(&[unknown_leaf(day(60.01))])], deadline);
    check("unless the edge serves a later leaf that may be ours", &spec, &later, &calm(), then, ask_api(), Reason::NotSeen);
    let silent = record.clone().after([read_back_forbidden()], deadline);
    check("who may not read back repeats the install all the same", &spec, &silent, &calm(), deadline, reinstall(2), Reason::NotSeen);
    let failed = record.after([ours(2), install_failed(2, operator())], deadline);
    check("a repetition that fails does not stop the looks", &spec, &failed, &calm(), deadline, sleep(deadline + HOUR), Reason::NotSeen);
    let blind = proving().after([unreachable()], deadline);
    check("addresses that cannot be reached say nothing: no install is repeated", &spec, &blind, &calm(), deadline, sleep(deadline + HOUR), Reason::NotSeen);
}

#[test]
#[rustfmt::skip]
fn looks_switched_off() {
    let mut spec = spec();
    spec.targets.get_mut(&the_target()).unwrap().look.enabled = false;
    let now = day(60.0);
    let record = proving();
    let quiet = sleep(now + DAY);
    check("what the API tells counts", &spec, &record, &calm(), now, ask_api(), Reason::NotSeen);
    check("as seen", &spec, &record.clone().after([ours(2)], now), &calm(), now, quiet.clone(), Reason::NothingToDo);
    let silent = record.clone().after([read_back_forbidden()], now);
    check("who may not ask knows nothing more", &spec, &silent, &calm(), now, quiet.clone(), Reason::NothingToDo);
    check("and asks again a day later", &spec, &silent, &calm(), now + DAY, ask_api(), Reason::NotSeen);
    let (look, deadline) = (spec.targets[&the_target()].look, now + MINUTE * 15);
    for (case, unknown) in [("may not ask", silent), ("was not told", record.clone().after([read_back_failed(operator())], now))] {
        let target = &unknown.targets[&the_target()];
        assert!(!target.is_overdue(look, now) && target.is_overdue(look, deadline), "{case}: nobody knows");
    }
    let told = record.clone().after([ours(2)], now);
    assert!(!told.targets[&the_target()].is_overdue(look, deadline));
    for found in [ours(1), foreign(), read_back(Found::Nothing)] {
        let other = record.clone().after([found.clone()], now);
        check("an API that lags is asked again", &spec, &other, &calm(), now, sleep(now + SECOND * 5), Reason::NotSeen);
        check("until the deadline", &spec, &other, &calm(), now + SECOND * 5, ask_api(), Reason::NotSeen);
        let then = now + MINUTE * 15;
        check("and once more then", &spec, &other, &calm(), then, ask_api(), Reason::NotSeen);
        let other = other.after([found.clone()], then);
        check("then the install is repeated", &spec, &other, &calm(), then, reinstall(2), Reason::NotSeen);
        let again = other.after([was_installed(2, then), found], then);
        check("and the API asked every hour", &spec, &again, &calm(), then, sleep(then + HOUR), Reason::NotSeen);
        check("for ever", &spec, &again, &calm(), then + HOUR, ask_api(), Reason::NotSeen);
        check("a clock that was stepped back since", &spec, &again, &calm(), then - DAY, ask_api(), Reason::NotSeen);
    }
    let mut drifted = healthy(now);
    drifted.target().mismatches = 3;
    drifted.issued = Some(issued(1, day(59.0)));
    check("an old doubt is not looked into", &spec, &drifted, &calm(), now, quiet, Reason::NothingToDo);
}

#[test]
#[rustfmt::skip]
fn drift() {
    let now = day(30.0);
    let (repair, mut alert) = (spec(), spec());
    alert.targets.get_mut(&the_target()).unwrap().on_drift = OnDrift::Alert;
    let other = looked(&[unknown_leaf(day(20.0))]);
    let once = healthy(now).after([other.clone()], now);
    check("one odd look is repeated", &repair, &once, &calm(), now, sleep(now + MINUTE), Reason::Drift);
    let blind = healthy(now).after([unreachable()], now);
    check("an edge out of reach is no drift", &repair, &blind, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    let mut thrice = once;
    for minute in 1..=2 {
        thrice.apply(other.clone(), now + MINUTE * minute);
    }
    let now = now + MINUTE * 2;
    let earlier = healthy(now).after([(); 3].map(|()| looked(&[unknown_leaf(START - DAY)])), now);
    check("an earlier leaf is replaced, whoever it is from", &repair, &earlier, &calm(), now, install(1), Reason::Drift);
    let as_late = healthy(now).after([(); 3].map(|()| looked(&[unknown_leaf(START)])), now);
    check("one of the same second is asked about", &repair, &as_late, &calm(), now, ask_api(), Reason::UnknownLeaf);
    check("a later leaf that nobody knows is asked about", &repair, &thrice, &calm(), now, ask_api(), Reason::UnknownLeaf);
    check("unless drift is only told", &alert, &thrice, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    for (found, again) in [(foreign(), install(1)), (read_back(Found::Nothing), install(1)), (ours(1), reinstall(1))] {
        let asked = thrice.clone().after([found], now);
        check("then it is replaced", &repair, &asked, &calm(), now, again, Reason::Drift);
        check("or not", &alert, &asked, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    }
    let failing = thrice.clone().after([read_back_failed(backoff())], now);
    check("nothing is replaced before the API told", &repair, &failing, &calm(), now, sleep(now + SECOND * 5), Reason::Waiting);
    check("but it is asked again", &repair, &failing, &calm(), now + SECOND * 5, ask_api(), Reason::UnknownLeaf);
    let failed = thrice.clone().after([ours(1), install_failed(1, operator())], now);
    check("a repair that waits does not stop the looks", &repair, &failed, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    let healed = failed.after([looked(&[served(&issued(1, START))])], now);
    check("which may show that it healed", &repair, &healed, &calm(), now + HOUR, sleep(now + HOUR * 6), Reason::DriftCheck);
    assert_eq!(healed.targets[&the_target()].trouble, None);
}

#[test]
#[rustfmt::skip]
fn the_newest_wins() {
    let (spec, now) = (spec(), day(30.0));
    let unknown = looked(&[unknown_leaf(day(20.0))]);
    let drifted = healthy(now).after([unknown.clone(), unknown.clone(), unknown], now);
    let one_of_two = [unknown_leaf(day(20.0)), served(&issued(1, START))];
    let half = healthy(now).after([(); 3].map(|()| looked(&one_of_two)), now);
    check("a later leaf at one address is enough to ask", &spec, &half, &calm(), now, ask_api(), Reason::UnknownLeaf);
    check("a leaf that a restored store does not know is asked about", &spec, &drifted, &calm(), now, ask_api(), Reason::UnknownLeaf);
    let newer = drifted.after([ours(7)], now);
    assert_eq!(newer.newest_generation, 7, "the counter continues above it");
    check("and left alone if it is a later one of ours", &spec, &newer, &calm(), now, sleep(now + HOUR * 6), Reason::NewerElsewhere);
    let due = day(60.0);
    let ordered = newer.clone().after([looked(&[unknown_leaf(day(20.0))])], due);
    let action = decide(&spec, &ordered, &calm(), due).action;
    assert!(matches!(action, Action::Order { .. }), "ordered anew when due: {action:?}");
    let mut old = newer.clone();
    old.target().served = Some(unknown_leaf(START - DAY * 31));
    let Decision { action, reason } = decide(&spec, &old, &calm(), now);
    assert!(matches!(action, Action::Order { .. }), "or when that one is due: {action:?}");
    assert_eq!(reason, Reason::NewerElsewhere);
    let next = ordered.after([Event::Issued(Box::new(issued(8, due)))], due);
    let next = next.after([looked(&[unknown_leaf(day(20.0))]), ours(7)], due + SECOND);
    check("which is installed over it", &spec, &next, &calm(), due + SECOND, install(8), Reason::NotInstalled);
}

#[test]
#[rustfmt::skip]
fn a_twin_of_this_store() {
    let (spec, now) = (spec(), day(60.0));
    let twin = |days| read_back(Found::Twin { cert_name: "twin".into(), generation: 2, not_before: day(days) });
    let unknown = looked(&[unknown_leaf(day(61.0))]);
    for record in [renewed(), proving()] {
        let older = record.clone().after([twin(59.0)], now);
        let later = older.clone().after([old_leaf()], now + MINUTE * 15);
        let Decision { action, .. } = decide(&spec, &later, &calm(), now + MINUTE * 15);
        assert!(matches!(action, Action::Install { generation: 2, .. } | Action::ReadBack { .. }), "an earlier one is replaced: {action:?}");
        let newer = record.after([unknown.clone(), twin(61.0)], now);
        check("a later one is left alone, whatever its number", &spec, &newer, &calm(), now, sleep(now + HOUR * 6), Reason::NewerElsewhere);
        assert_eq!((newer.newest_generation, &newer.targets[&the_target()].proving), (2, &None));
        let next = newer.clone().after([Event::Issued(Box::new(issued(3, day(62.0)))), unknown.clone()], day(62.0));
        check("until the next one is issued", &spec, &next, &calm(), day(62.0), install(3), Reason::NotInstalled);
        let back = newer.after([new_leaf()], now);
        check("or ours is served all the same", &spec, &back, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    }
}

#[test]
#[rustfmt::skip]
fn several_targets() {
    let mut spec = spec();
    let other = target_id("w.example.com");
    spec.targets.insert(other.clone(), target_spec());
    let now = day(60.0);
    let mut record = renewed();
    record.targets.insert(other.clone(), proven(&issued(1, START), now));
    let mut first = record.clone();
    first.apply(install_failed(2, backoff()), now);
    let second = |manner| Action::Install { target: other.clone(), generation: 2, manner };
    check("a target that waits does not hold up the next", &spec, &first, &calm(), now, second(Manner::default()), Reason::NotInstalled);
    record.apply(was_installed(2, now), now);
    record.apply(new_leaf(), now);
    check("what another target stored in the cloud is bound", &spec, &record, &calm(), now, second(known(2)), Reason::NotInstalled);
    let unlisted = closed(&spec.targets[&other].listing_scopes[1], now + HOUR, now);
    check("if it may be looked for", &spec, &record, &unlisted, now, sleep(now + HOUR), Reason::Waiting);
    check("an upload looks for nothing", &spec, &first, &unlisted, now, second(Manner::default()), Reason::NotInstalled);
    spec.targets.get_mut(&other).unwrap().method = Method::Upload;
    check("unless each is to be uploaded", &spec, &record, &calm(), now, second(Manner::default()), Reason::NotInstalled);
    spec.targets.remove(&other);
    check("a target that left the configuration is left alone", &spec, &record, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
}

#[test]
#[rustfmt::skip]
fn many_edges_that_lag() {
    let mut spec = spec();
    let last = target_id("w.example.com");
    spec.targets.insert(last.clone(), target_spec());
    let now = day(60.0);
    let mut record = renewed();
    record.targets.insert(last.clone(), proven(&issued(1, START), now));
    record.apply(was_installed(2, now), now);
    record.apply(old_leaf(), now - MINUTE);
    let install = Action::Install { target: last.clone(), generation: 2, manner: known(2) };
    check("a look that is due does not hold up an install", &spec, &record, &calm(), now, install, Reason::NotInstalled);
    let mut both = record.clone();
    let target = both.targets.get_mut(&last).unwrap();
    target.proving.clone_from(&record.targets[&the_target()].proving);
    target.installed.clone_from(&record.targets[&the_target()].installed);
    target.looked_at = Some(now - MINUTE * 2);
    let action = Action::Look { target: last };
    check("the look that was longest ago comes first", &spec, &both, &calm(), now, action, Reason::NotSeen);
    let due = day(130.0);
    let step = decide(&spec, &both, &calm(), due);
    assert!(matches!(step.action, Action::AskRenewalInfo | Action::Order { .. }), "looks put off what is due: {step:?}");
}

#[test]
#[rustfmt::skip]
fn a_clock_that_is_wrong() {
    let until_checked = START + MINUTE * 5;
    let wrong = Circumstances { clock: ClockTrust::Distrusted { until_checked }, ..calm() };
    for record in [Record::default(), renewed(), healthy(START)] {
        check("nothing at all is done", &spec(), &record, &wrong, START, Action::DistrustClock { until_checked }, Reason::ClockWrong);
    }
}

#[test]
fn no_class_of_failure_is_hot_and_none_is_forgotten() {
    let now = day(60.0);
    for class in [
        Class::After,
        Class::Backoff,
        Class::Bug,
        Class::Operator,
        Class::Reconcile,
        Class::Refresh,
        Class::Reformat,
        Class::Reissue,
        Class::Rename,
    ] {
        let failure = crate::retry::Failure {
            course: course(&[(class, 9)]),
            ..backoff()
        };
        let events = [
            install_failed(2, failure.clone()),
            read_back_failed(failure),
        ];
        for (place, event) in events.into_iter().enumerate() {
            let record = renewed().after([event], now);
            let decision = decide(&spec(), &record, &calm(), now);
            let trouble = record.targets[&the_target()].trouble.as_ref();
            // A dead generation is not waited for.
            let waits = match class {
                Class::Reissue if place == 0 => false,
                Class::After
                | Class::Backoff
                | Class::Bug
                | Class::Operator
                | Class::Reconcile
                | Class::Refresh
                | Class::Reformat
                | Class::Reissue
                | Class::Rename => true,
            };
            match decision.action {
                Action::SleepUntil(time) if waits => {
                    assert!(time >= now + SECOND * 4, "{class} {time}");
                    assert!(trouble.is_some(), "{class}");
                }
                Action::AskRenewalInfo
                | Action::DistrustClock { .. }
                | Action::Install { .. }
                | Action::Look { .. }
                | Action::Order { .. }
                | Action::ProveOwner { .. }
                | Action::ReadBack { .. }
                | Action::SleepUntil(_) => assert!(!waits, "{class}: {decision:?}"),
            }
        }
    }
}

#[test]
fn an_unknown_target_is_an_empty_record() {
    assert_eq!(super::target::UNKNOWN, TargetRecord::default());
    assert_eq!(super::target::UNKNOWN.api, Api::Unasked);
}
