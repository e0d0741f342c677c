//! Tables of manners; each key is a sentence. The courses are those of the codes that they name.

use super::*;
use crate::renewal::fixtures::*;
use crate::renewal::{Bound, Event, Found, Installed, Record, TargetSpec};
use crate::retry::{Class, Failure, Scope};

const CLOUD: &str = "default";

fn place(cert_id: i64, cert_region: &str) -> StoredPlace {
    StoredPlace {
        cert_id,
        cert_region: cert_region.to_owned(),
    }
}

fn here() -> StoredPlace {
    place(7, "cn-hangzhou")
}

fn copy(place: StoredPlace) -> Origin {
    Origin::Copy {
        cert_name: "vodcertd-1".to_owned(),
        place,
    }
}

/// A search for what may be stored, as it is after nothing went wrong.
fn search() -> Search {
    Search {
        cert_name: None,
        by_content: false,
        missing: None,
        else_upload: true,
    }
}

fn known() -> Search {
    Search {
        cert_name: Some("vodcertd-1".to_owned()),
        ..search()
    }
}

/// The target of another domain in the cloud was given the first generation.
fn elsewhere(place: Option<StoredPlace>) -> Event {
    Event::Installed {
        target: target_id("w.example.com"),
        installed: Installed {
            cert_id: place.as_ref().map(|place| place.cert_id),
            cert_region: place.map(|place| place.cert_region),
            ..installed(1, START)
        },
    }
}

fn taken() -> Failure {
    let remedies = [
        (Class::Reconcile, 1),
        (Class::Rename, 2),
        (Class::Operator, 1),
    ];
    failure("CertNameAlreadyExists", &remedies)
}

fn not_ready() -> Failure {
    let remedies = [
        (Class::Backoff, 3),
        (Class::Rename, 1),
        (Class::Operator, 1),
    ];
    failure("Certificate.StatusError", &remedies)
}

/// The copy that was bound is not there.
fn gone(place: StoredPlace) -> Event {
    let remedies = [
        (Class::Refresh, 1),
        (Class::Rename, 1),
        (Class::Operator, 1),
    ];
    Event::InstallFailed {
        target: the_target(),
        generation: 1,
        failure: failure("Certificate.NotFind", &remedies),
        may_have_happened: false,
        bound: Some(Bound {
            place,
            is_missing: true,
        }),
        jitter: 0.5,
    }
}

fn refused(failure: Failure) -> Event {
    install_failed(1, failure)
}

/// A first generation that nobody was given, and then these events.
fn after(events: impl IntoIterator<Item = Event>) -> Record {
    let mut record = healthy(START);
    record.targets.clear();
    record.after(events, START)
}

#[track_caller]
fn check(sentence: &str, record: &Record, method: Method, origin: Origin, renames: u8) {
    let spec = TargetSpec {
        method,
        ..target_spec()
    };
    let issued = record.issued.as_ref().unwrap();
    let trouble = record.targets.get(&the_target());
    let trouble = trouble.and_then(|target| target.trouble.as_ref());
    let expected = Manner {
        origin,
        renames,
        ..Manner::default()
    };
    assert_eq!(
        Manner::of(issued, CLOUD, &spec, trouble),
        expected,
        "{sentence}"
    );
}

#[test]
#[rustfmt::skip]
fn one_upload_is_enough_for_a_cloud() {
    let auto = Method::Auto;
    check("the first target is given the pair", &after([]), auto, Origin::Upload, 0);
    let uploaded = after([elsewhere(None)]);
    check("the next one looks up what that stored", &uploaded, auto, Origin::Search(known()), 0);
    let bound = after([elsewhere(None), elsewhere(Some(here()))]);
    check("and the others bind it without asking", &bound, auto, copy(here()), 0);
    check("unless each is to be uploaded to", &bound, Method::Upload, Origin::Upload, 0);
    let forgotten = after([elsewhere(Some(here())), elsewhere(None)]);
    check("a name does not make forget the place", &forgotten, auto, copy(here()), 0);
    let told = Installed { cert_id: Some(7), cert_region: Some("cn-hangzhou".to_owned()), ..installed(1, START) };
    let read = after([read_back(Found::Ours(told.clone()))]);
    check("a read-back tells it as well", &read, auto, copy(here()), 0);
    let older = after([read_back(Found::Ours(Installed { generation: 2, ..told }))]);
    check("but not of another generation", &older, auto, Origin::Upload, 0);
    let edge = after([Event::Installed { target: the_target(), installed: Installed { cert_name: String::new(), ..installed(1, START) } }]);
    check("what only the edge told has no name", &edge, auto, Origin::Upload, 0);
    let next = after([elsewhere(Some(here())), Event::Issued(Box::new(issued(2, START)))]);
    check("a new generation is a new upload", &next, auto, Origin::Upload, 0);
}

#[test]
#[rustfmt::skip]
fn what_is_said_to_be_stored_is_bound_or_renamed_and_then_only_looked_for() {
    let by_content = Search { by_content: true, ..search() };
    for method in [Method::Auto, Method::Upload] {
        let times = |count| after(vec![refused(taken()); count]);
        check("it is looked for, by its name and its content", &times(1), method, Origin::Search(by_content.clone()), 0);
        check("if it is not found the next name is used", &times(2), method, Origin::Upload, 1);
        check("and the one after", &times(3), method, Origin::Upload, 2);
        for count in [4, 5, 40] {
            let only = Search { else_upload: false, ..by_content.clone() };
            check("then nothing is uploaded any more", &times(count), method, Origin::Search(only), 2);
        }
        let mended = times(4).after([Event::Reconfigured { digest: "other".to_owned() }], START);
        check("until something is changed", &mended, method, Origin::Upload, 0);
    }
    let busy = || failure("ServiceBusy", &[(Class::Backoff, 1)]);
    let between = after([refused(taken()), refused(busy())]);
    check("another failure in between changes nothing", &between, Method::Auto, Origin::Search(by_content.clone()), 0);
    let only = Search { else_upload: false, ..by_content.clone() };
    let late = after([refused(taken()), refused(busy()), refused(taken()), refused(busy()), refused(taken()), refused(taken()), refused(busy())]);
    check("nor does one at the end", &late, Method::Auto, Origin::Search(only), 2);
    let unlisted = after([elsewhere(None), refused(taken()), refused(taken())]);
    let by_name = Search { by_content: true, ..known() };
    check("what another target has keeps its name", &unlisted, Method::Auto, Origin::Search(by_name), 1);
    let lost = after([install_lost(1)]);
    check("what may have been uploaded has our name", &lost, Method::Auto, Origin::Search(search()), 0);
}

#[test]
#[rustfmt::skip]
fn a_copy_that_is_gone_is_looked_up_anew_and_then_made_anew() {
    let auto = Method::Auto;
    let bound = || elsewhere(Some(here()));
    let again = Search { missing: Some(here()), by_content: true, ..known() };
    check("it is looked for, and elsewhere than it was", &after([bound(), gone(here())]), auto, Origin::Search(again), 0);
    let twice = after([bound(), gone(here()), gone(place(7, "ap-southeast-1"))]);
    check("then the pair is uploaded under the next name", &twice, auto, Origin::Upload, 1);
    let thrice = twice.after([gone(place(8, "cn-hangzhou"))], START);
    let only = Search { by_content: true, else_upload: false, ..search() };
    check("and no more", &thrice, auto, Origin::Search(only), 1);
    let other = after([bound(), gone(place(8, "cn-hangzhou"))]);
    check("another copy than the one that is known does not matter", &other, auto, copy(here()), 0);
}

#[test]
#[rustfmt::skip]
fn a_copy_that_does_not_become_ready_is_made_anew_once() {
    let auto = Method::Auto;
    let unready = Event::InstallFailed { target: the_target(), generation: 1, failure: not_ready(), may_have_happened: false, bound: Some(Bound { place: here(), is_missing: false }), jitter: 0.5 };
    let times = |count| after([elsewhere(Some(here()))].into_iter().chain(vec![unready.clone(); count]));
    for count in 1..=3 {
        check("it may become ready", &times(count), auto, copy(here()), 0);
    }
    check("then it is uploaded under the next name", &times(4), auto, Origin::Upload, 1);
    let only = Search { by_content: true, else_upload: false, ..search() };
    check("and no more", &times(5), auto, Origin::Search(only), 1);
}

/// Whatever else was said in between, even what closes the cloud to everybody.
#[test]
fn a_search_in_vain_is_a_failure_of_its_own() {
    let closes = Failure {
        scope: Scope::Cloud {
            cloud: CLOUD.to_owned(),
        },
        not_before: Some(START + HOUR),
        ..failure("OperationDenied.Suspended", &[(Class::Operator, 1)])
    };
    let nothing_to_bind = |record: &Record| {
        let trouble = record.targets[&the_target()].trouble.as_ref().unwrap();
        trouble.nothing_to_bind()
    };
    let times = |count| after(vec![refused(taken()); count]);
    assert_eq!(nothing_to_bind(&times(3)), None, "it can be uploaded");
    for record in [times(4), times(5), times(4).after([refused(closes)], START)] {
        let found = nothing_to_bind(&record).unwrap();
        assert_eq!(found.code, "CertNameAlreadyExists");
        let about = (found.scope.clone(), found.not_before, found.class(1));
        assert_eq!(about, (Scope::Here, None, Class::Operator));
        let again = record.after([refused(found.clone())], START);
        assert_eq!(nothing_to_bind(&again), Some(found), "nor does it grow");
    }
}

#[test]
fn a_record_of_before_is_read() {
    let record = after([refused(taken())]);
    let mut old = serde_json::to_value(&record).unwrap();
    let issued = old["issued"].as_object_mut().unwrap();
    assert!(issued.remove("stored").is_some());
    let targets = old["targets"].as_object_mut().unwrap();
    for target in targets.values_mut() {
        let target = target.as_object_mut().unwrap();
        assert!(target.remove("owner_proof").is_some());
        let trouble = target["trouble"].as_object_mut().unwrap();
        assert!(trouble.remove("missing").is_some());
        assert!(trouble.remove("exhausted").is_some());
    }
    assert_eq!(serde_json::from_value::<Record>(old).unwrap(), record);
}
