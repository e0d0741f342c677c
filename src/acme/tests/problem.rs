use serde_json::json;

use crate::acme::problem::{Problem, ProblemType};

fn read(body: &str) -> Option<Problem> {
    Problem::from_json(body.as_bytes())
}

/// RFC 8555 §6.7.1.
#[test]
fn a_compound_problem_is_read_with_its_parts() {
    let body = json!({
        "type": "urn:ietf:params:acme:error:malformed",
        "detail": "Some of the identifiers requested were rejected",
        "subproblems": [
            {
                "type": "urn:ietf:params:acme:error:malformed",
                "detail": "Invalid underscore in DNS name \"_example.org\"",
                "identifier": { "type": "dns", "value": "_example.org" }
            },
            {
                "type": "urn:ietf:params:acme:error:rejectedIdentifier",
                "detail": "This CA will not issue for \"example.net\"",
                "identifier": { "type": "dns", "value": "example.net" }
            }
        ]
    });
    let problem = read(&body.to_string()).unwrap();
    assert_eq!(problem.kind, ProblemType::Malformed);
    assert_eq!(
        problem.to_string(),
        "malformed: Some of the identifiers requested were rejected; _example.org malformed: \
         Invalid underscore in DNS name \"_example.org\"; example.net rejectedIdentifier: This CA \
         will not issue for \"example.net\""
    );
}

#[test]
fn what_is_odd_in_a_problem_is_left_out() {
    let unknown = |type_text: Option<&str>| Problem {
        kind: ProblemType::Unknown,
        type_text: type_text.map(str::to_owned),
        detail: None,
        subproblems: Vec::new(),
    };
    let cases = [
        ("an empty object", "{}", Some(unknown(None))),
        (
            "a type that is no text",
            r#"{"type":7,"detail":[]}"#,
            Some(unknown(None)),
        ),
        (
            "another namespace",
            r#"{"type":"about:blank"}"#,
            Some(unknown(Some("about:blank"))),
        ),
        (
            "a name without its namespace",
            r#"{"type":"malformed"}"#,
            Some(unknown(Some("malformed"))),
        ),
        (
            "subproblems that are none",
            r#"{"subproblems":"x"}"#,
            Some(unknown(None)),
        ),
        ("no object", r#""malformed""#, None),
        ("a page", "<html>503</html>", None),
        ("nothing", "", None),
    ];
    for (case, body, expected) in cases {
        assert_eq!(read(body), expected, "{case}");
    }
}

#[test]
fn every_known_type_is_recognised_by_its_name() {
    for kind in ProblemType::KNOWN {
        let body = json!({ "type": format!("urn:ietf:params:acme:error:{kind}") });
        assert_eq!(read(&body.to_string()).unwrap().kind, *kind);
    }
}

#[test]
fn a_time_in_the_explanation_is_read_only_from_a_rate_limit() {
    let limited = |detail: &str| Problem {
        kind: ProblemType::RateLimited,
        type_text: None,
        detail: Some(detail.to_owned()),
        subproblems: Vec::new(),
    };
    let time = "2026-02-04T15:12:13Z".parse().ok();
    let cases = [
        ("too many, retry after 2026-02-04 15:12:13 UTC: see x", time),
        ("retry after 2026-02-04 15:12:13 UTC", time),
        ("retry after 2026-02-04 15:12:13 CET", None),
        ("retry after 2026-02-04", None),
        ("retry after tomorrow 15:12:13 UTC", None),
        ("retry after ééééééééééééééééééé", None),
        ("too many", None),
    ];
    for (detail, expected) in cases {
        assert_eq!(limited(detail).retry_after(), expected, "{detail}");
    }
    let other = Problem {
        kind: ProblemType::Malformed,
        ..limited("retry after 2026-02-04 15:12:13 UTC")
    };
    assert_eq!(other.retry_after(), None);
}
