mod scopes;

use std::collections::BTreeMap;

use super::*;

const DIRECTORY: &str = "https://ca.test/dir";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn problem(kind: ProblemType, detail: &str) -> Problem {
    Problem {
        kind,
        type_text: Some(format!("urn:ietf:params:acme:error:{kind}")),
        detail: Some(detail.to_owned()),
        subproblems: Vec::new(),
    }
}

fn refusal(status: u16, problem: Option<Problem>, retry_after: Option<Timestamp>) -> Cause {
    let said = problem.as_ref().and_then(Problem::retry_after);
    Cause::Refused(Box::new(Refusal {
        status,
        problem,
        is_web_page: false,
        retry_after: retry_after.or(said),
        terms_of_service: None,
    }))
}

fn failure(operation: Operation, cause: Cause) -> Failure {
    AcmeError::new(operation, cause).failure(NOW, DIRECTORY)
}

fn classes(failure: &Failure) -> Vec<Class> {
    failure.course.iter().map(|remedy| remedy.class).collect()
}

/// Every type, as the answer to a new order and as the reason of a failed validation.
#[test]
fn every_problem_type_has_a_course() {
    use Class::{Backoff, Operator, Refresh, Reissue};
    let on_ladder = || (vec![Backoff], vec![Backoff]);
    let by_hand = || (vec![Operator], vec![Operator]);
    let expected: BTreeMap<&str, (Vec<Class>, Vec<Class>)> = BTreeMap::from([
        (
            "accountDoesNotExist",
            (vec![Refresh, Operator], vec![Refresh, Operator]),
        ),
        ("alreadyReplaced", on_ladder()),
        ("alreadyRevoked", on_ladder()),
        ("autoRenewalCanceled", by_hand()),
        ("autoRenewalCancellationInvalid", by_hand()),
        ("autoRenewalExpired", by_hand()),
        ("autoRenewalRevocationNotSupported", by_hand()),
        ("badAttestationStatement", by_hand()),
        ("badCSR", (vec![Operator], vec![Reissue, Operator])),
        ("badNonce", on_ladder()),
        ("badPublicKey", (vec![Operator], vec![Reissue, Operator])),
        ("badRevocationReason", by_hand()),
        ("badSignatureAlgorithm", by_hand()),
        ("caa", by_hand()),
        // Without subproblems the status decides: 400, or an order that is over.
        ("compound", (vec![Operator], vec![Backoff])),
        (
            "conflict",
            (vec![Backoff, Operator], vec![Backoff, Operator]),
        ),
        ("connection", on_ladder()),
        ("dns", on_ladder()),
        ("externalAccountRequired", by_hand()),
        ("incorrectResponse", on_ladder()),
        ("invalidContact", by_hand()),
        ("invalidProfile", by_hand()),
        ("malformed", by_hand()),
        ("onionCAARequired", by_hand()),
        ("orderNotReady", on_ladder()),
        ("rateLimited", (vec![Operator], vec![Backoff])),
        ("rejectedIdentifier", by_hand()),
        ("serverInternal", on_ladder()),
        ("tls", on_ladder()),
        ("unauthorized", (vec![Operator], vec![Backoff])),
        ("unknownDelegation", by_hand()),
        ("unsupportedContact", by_hand()),
        ("unsupportedIdentifier", by_hand()),
        ("userActionRequired", by_hand()),
    ]);
    assert_eq!(expected.len(), ProblemType::KNOWN.len());
    for kind in ProblemType::KNOWN {
        let (as_answer, as_validation) = &expected[kind.as_str()];
        let answered = refusal(400, Some(problem(*kind, "no")), None);
        let answered = failure(Operation::NewOrder, answered);
        assert_eq!(&classes(&answered), as_answer, "{kind} as an answer");
        assert_eq!(answered.code, kind.as_str());
        let judged = Cause::OrderInvalid {
            rejections: vec![Rejection {
                name: "v.example.com".parse().unwrap(),
                problem: problem(*kind, "no"),
            }],
            error: None,
        };
        let judged = failure(Operation::Validate, judged);
        assert_eq!(&classes(&judged), as_validation, "{kind} as a judgement");
        for course in [&answered.course, &judged.course] {
            let last = course.last().unwrap().class;
            assert!(matches!(last, Backoff | Operator), "{kind} ends in {last}");
        }
    }
}

#[test]
fn a_request_that_the_ca_cannot_sign_is_made_anew_once() {
    for kind in [ProblemType::BadCsr, ProblemType::BadPublicKey] {
        let cause = refusal(400, Some(problem(kind, "no")), None);
        let failure = failure(Operation::Finalize, cause);
        assert_eq!(classes(&failure), [Class::Reissue, Class::Operator]);
        assert_eq!(failure.class(2), Class::Operator);
    }
}

#[test]
fn an_answer_without_a_known_problem_is_judged_by_its_status() {
    use Class::{After, Backoff, Operator};
    let soon = Some(NOW + Duration::from_mins(1));
    let odd = |type_text: Option<&str>| Problem {
        type_text: type_text.map(str::to_owned),
        ..problem(ProblemType::Unknown, "x")
    };
    let check = |case: &str, status, problem, time, expected: &[Class], code: &str| {
        let failure = failure(Operation::NewOrder, refusal(status, problem, time));
        assert_eq!(classes(&failure), expected, "{case}");
        assert_eq!(failure.code, code, "{case}");
        assert_eq!(failure.not_before, time, "{case}");
    };
    let front = [After, Backoff];
    check("a page", 503, None, None, &[Backoff], "http-503");
    check("a busy front", 503, None, soon, &front, "http-503");
    check("a limit", 429, None, soon, &front, "http-429");
    check(
        "a limit without a time",
        429,
        None,
        None,
        &[Backoff],
        "http-429",
    );
    check("a fault", 500, None, soon, &[Backoff], "http-500");
    check(
        "no type",
        400,
        Some(odd(None)),
        None,
        &[Operator],
        "http-400",
    );
    check(
        "no type, a fault",
        502,
        Some(odd(None)),
        None,
        &[Backoff],
        "http-502",
    );
    check(
        "an odd type",
        418,
        Some(odd(Some("odd"))),
        None,
        &[Operator],
        "odd",
    );
    check(
        "a redirect",
        302,
        None,
        None,
        &[Backoff, Operator],
        "http-302",
    );
}

#[test]
fn only_a_short_word_is_a_code() {
    let long = "x".repeat(65);
    for (type_text, code) in [
        ("urn:other:limit", "urn:other:limit"),
        (&long[..64], &long[..64]),
        (&long, "http-418"),
        ("", "http-418"),
        ("two words", "http-418"),
        ("a\u{7}bell", "http-418"),
        ("übel", "http-418"),
        ("about:blank", "http-418"),
    ] {
        let odd = Problem {
            type_text: Some(type_text.to_owned()),
            ..problem(ProblemType::Unknown, "no")
        };
        let failed = failure(Operation::NewOrder, refusal(418, Some(odd.clone()), None));
        assert_eq!(failed.code, code, "{type_text:?}");
        let judged = Cause::OrderInvalid {
            rejections: Vec::new(),
            error: Some(Box::new(odd)),
        };
        let expected = if code == "http-418" {
            "order-invalid"
        } else {
            code
        };
        assert_eq!(failure(Operation::Validate, judged).code, expected);
    }
}

#[test]
fn caa_is_hopeless_only_if_the_record_could_be_read() {
    for (detail, class) in [
        (
            "CAA record for v.example.com prevents issuance",
            Class::Operator,
        ),
        (
            "While processing CAA for v.example.com: DNS problem: SERVFAIL looking up CAA",
            Class::Backoff,
        ),
        (
            "DNS problem: query timed out looking up CAA for v.example.com",
            Class::Backoff,
        ),
    ] {
        let cause = refusal(403, Some(problem(ProblemType::Caa, detail)), None);
        assert_eq!(
            classes(&failure(Operation::Finalize, cause)),
            [class],
            "{detail}"
        );
    }
}

#[test]
fn several_problems_are_as_bad_as_the_worst() {
    let part = |kind| super::super::problem::Subproblem {
        identifier: Some("v.example.com".into()),
        kind,
        detail: None,
    };
    let mut compound = problem(ProblemType::Compound, "several");
    compound.subproblems = vec![
        part(ProblemType::Dns),
        part(ProblemType::RejectedIdentifier),
    ];
    let failed = failure(Operation::NewOrder, refusal(400, Some(compound), None));
    assert_eq!(classes(&failed), [Class::Operator]);

    let rejection = |name: &str, kind| Rejection {
        name: name.parse().unwrap(),
        problem: problem(kind, "no"),
    };
    let cause = Cause::OrderInvalid {
        rejections: vec![
            rejection("a.example.com", ProblemType::Dns),
            rejection("*.b.example.com", ProblemType::Caa),
        ],
        error: None,
    };
    let failed = failure(Operation::Validate, cause);
    assert_eq!(
        (failed.code.as_str(), classes(&failed)),
        ("caa", vec![Class::Operator])
    );
    assert_eq!(
        failed.message,
        "could not prove the names: the order failed: a.example.com: dns: no; *.b.example.com: caa: no"
    );
}

#[test]
fn a_vanished_order_is_replaced_on_the_ladder() {
    for (operation, status, kind, gone) in [
        (
            Operation::ReadOrder,
            404,
            Some(ProblemType::Malformed),
            true,
        ),
        (Operation::ReadOrder, 404, None, true),
        (Operation::ReadOrder, 403, None, false),
        (Operation::Validate, 404, None, false),
        (
            Operation::Finalize,
            404,
            Some(ProblemType::Malformed),
            false,
        ),
        (
            Operation::Download,
            404,
            Some(ProblemType::Malformed),
            false,
        ),
        (
            Operation::ReadOrder,
            403,
            Some(ProblemType::Unauthorized),
            true,
        ),
        (
            Operation::Finalize,
            403,
            Some(ProblemType::Unauthorized),
            false,
        ),
        (
            Operation::NewOrder,
            404,
            Some(ProblemType::Malformed),
            false,
        ),
        (
            Operation::ReadOrder,
            404,
            Some(ProblemType::AccountDoesNotExist),
            false,
        ),
        (Operation::ReadOrder, 500, None, false),
    ] {
        let problem = kind.map(|kind| problem(kind, "no"));
        let error = AcmeError::new(operation, refusal(status, problem, None));
        assert_eq!(error.order_is_gone(), gone, "{operation} {status} {kind:?}");
        if gone {
            let failure = error.failure(NOW, DIRECTORY);
            assert_eq!(classes(&failure), [Class::Backoff]);
        }
    }
}

#[test]
fn what_is_not_a_refusal_has_a_course_too() {
    let later = Some(NOW + Duration::from_hours(1));
    let timeout = || {
        Cause::Network(NetworkError::Timeout {
            host: "ca.test".into(),
        })
    };
    let name: DnsName = "v.example.com".parse().unwrap();
    let cases: [(_, &str, &[Class], Option<Timestamp>); 7] = [
        (timeout(), "timeout", &[Class::Backoff], None),
        (
            Cause::Unintelligible("x".into()),
            "unintelligible",
            &[Class::Backoff, Class::Operator],
            None,
        ),
        (
            Cause::TimedOut { retry_after: later },
            "order-timeout",
            &[Class::Backoff],
            later,
        ),
        (
            Cause::TimedOut { retry_after: None },
            "order-timeout",
            &[Class::Backoff, Class::Operator],
            None,
        ),
        (
            Cause::NoChallenge(name),
            "no-challenge",
            &[Class::Operator],
            None,
        ),
        (
            Cause::AccountKey(crate::keys::KeyError::Malformed),
            "account-key",
            &[Class::Operator],
            None,
        ),
        (
            Cause::OrderInvalid {
                rejections: Vec::new(),
                error: None,
            },
            "order-invalid",
            &[Class::Backoff],
            None,
        ),
    ];
    for (cause, code, expected, not_before) in cases {
        let failure = failure(Operation::Validate, cause);
        assert_eq!(failure.code, code);
        assert_eq!(classes(&failure), expected, "{code}");
        assert_eq!(failure.not_before, not_before, "{code}");
        assert_eq!(failure.scope, Scope::Here, "{code}");
    }
}

#[test]
fn a_message_is_one_line() {
    let detail = "first\nsecond\r\n";
    let cause = refusal(400, Some(problem(ProblemType::Malformed, detail)), None);
    let message = failure(Operation::NewOrder, cause).message;
    assert!(!message.contains(['\n', '\r']));
    assert!(
        message.starts_with("could not place the order: the CA answered malformed: first second")
    );
}
