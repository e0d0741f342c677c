//! Tables of decisions about who owns a domain; each key is a sentence.

use super::tests::{calm, check, install, sleep};
use super::*;
use crate::renewal::event::Event;
use crate::renewal::fixtures::*;
use crate::renewal::spec::OwnerProof;
use crate::retry::{Class, Failure};

const CODE: &str = "DomainOwnerVerifyFail";

fn wanted() -> Spec {
    let mut spec = spec();
    let scope = Scope::CloudAction {
        cloud: "default".to_owned(),
        action: "VerifyVodDomainOwner".to_owned(),
    };
    spec.targets.get_mut(&the_target()).unwrap().owner_proof = Some(OwnerProof {
        code: CODE.to_owned(),
        scopes: vec![scope],
    });
    spec
}

fn prove(generation: u32) -> Action {
    let target = the_target();
    Action::ProveOwner { target, generation }
}

fn unproven() -> Failure {
    failure(CODE, &[(Class::Operator, 1)])
}

fn intended_proof(generation: u32) -> Event {
    let target = the_target();
    Event::OwnerProofIntended { target, generation }
}

fn proven_owner() -> Event {
    let target = the_target();
    Event::OwnerProven { target }
}

fn not_proven() -> Event {
    Event::OwnerProofFailed {
        target: the_target(),
        failure: operator(),
    }
}

/// A second generation was issued on day 60, and nobody has proven who owns the domain.
fn refused() -> Record {
    let now = day(60.0);
    let next = Event::Issued(Box::new(issued(2, now)));
    healthy(now).after([next, install_failed(2, unproven())], now)
}

#[test]
#[rustfmt::skip]
fn who_owns_a_domain_is_proven_once_a_day_where_that_is_wanted() {
    let (wanted, now) = (wanted(), day(60.0));
    check("it is left to a person", &spec(), &refused(), &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    check("unless it is wanted", &wanted, &refused(), &calm(), now, prove(2), Reason::OwnerUnproven);
    let done = refused().after([intended_proof(2), proven_owner()], now);
    check("then it is installed at once", &wanted, &done, &calm(), now, install(2), Reason::NotInstalled);
    let begun = refused().after([intended_proof(2)], now);
    for (sentence, record) in [("one that was cut off is not repeated", begun.clone()), ("nor one that failed", begun.clone().after([not_proven()], now))] {
        check(sentence, &wanted, &record, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    }
    let parked = begun.clone().after([Event::OwnerProofParked { target: the_target() }], now);
    check("one that was left off is tried again at once", &wanted, &parked, &calm(), now, prove(2), Reason::OwnerUnproven);
    let again = done.after([install_failed(2, unproven())], now);
    check("nor one that did not help", &wanted, &again, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    let mut looked = begun.clone();
    looked.target().looked_at = Some(now + DAY);
    check("before a day is over", &wanted, &looked, &calm(), now + DAY, prove(2), Reason::OwnerUnproven);
    let next = begun.clone().after([Event::Issued(Box::new(issued(3, now))), install_failed(3, unproven())], now);
    check("or the next generation is refused", &wanted, &next, &calm(), now, prove(3), Reason::OwnerUnproven);
    let stepped = now - DAY * 2;
    let mut earlier = begun;
    earlier.target().looked_at = Some(stepped);
    check("an attempt in the future does not count", &wanted, &earlier, &calm(), stepped, prove(2), Reason::OwnerUnproven);
    let other = healthy(now).after([Event::Issued(Box::new(issued(2, now))), install_failed(2, operator())], now);
    check("another refusal does not ask for it", &wanted, &other, &calm(), now, sleep(now + HOUR * 6), Reason::DriftCheck);
    let scope = wanted.targets[&the_target()].owner_proof.as_ref().unwrap().scopes[0].clone();
    let limited = closed(&scope, now + HOUR, now);
    check("a limit of that call is kept", &wanted, &refused(), &limited, now, sleep(now + HOUR), Reason::Waiting);
    let dns = Spec { proof_scopes: vec![Scope::Cloud { cloud: "dns".into() }], ..wanted };
    let limited = closed(&dns.proof_scopes[0], now + HOUR, now);
    check("and one of the zone's", &dns, &refused(), &limited, now, sleep(now + HOUR), Reason::Waiting);
}
