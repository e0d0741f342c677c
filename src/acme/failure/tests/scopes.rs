//! What a refusal is about, and until when it holds.

use super::*;

/// The texts are Boulder's.
#[test]
fn a_rate_limit_stops_what_it_is_about() {
    let directory = || DIRECTORY.to_owned();
    let cases = [
        (
            "too many new registrations (10) from this IP address in the last 3h0m0s, retry after \
             2027-01-15 08:30:00 UTC: see https://letsencrypt.org/docs/rate-limits/",
            Scope::CaAccount {
                directory: directory(),
            },
        ),
        (
            "too many new orders (300) from this account in the last 3h0m0s, retry after \
             2027-01-15 08:30:00 UTC: see https://letsencrypt.org/docs/rate-limits/",
            Scope::CaAccount {
                directory: directory(),
            },
        ),
        (
            "too many failed authorizations (5) for \"v.example.com\" in the last 1h0m0s, retry \
             after 2027-01-15 08:30:00 UTC: see https://letsencrypt.org/docs/rate-limits/",
            Scope::Name {
                directory: directory(),
                name: "v.example.com".into(),
            },
        ),
        (
            "too many certificates (50) already issued for \"example.com\" in the last 168h0m0s, \
             retry after 2027-01-15 08:30:00 UTC: see https://letsencrypt.org/docs/rate-limits/",
            Scope::RegisteredDomain {
                directory: directory(),
                domain: "example.com".into(),
            },
        ),
        (
            "too many certificates (5) already issued for this exact set of identifiers in the \
             last 168h0m0s, retry after 2027-01-15 08:30:00 UTC: see https://letsencrypt.org/",
            Scope::ExactSet {
                directory: directory(),
                names: "*.v.example.com,*.w.example.com,v.example.com".into(),
            },
        ),
        (
            "slow down, retry after 2027-01-15 08:30:00 UTC",
            Scope::Here,
        ),
    ];
    for (detail, scope) in cases {
        check_limit(detail, &scope);
    }
}

/// What is quoted closes only what is asked about by the names of the order.
#[test]
fn a_rate_limit_for_what_was_not_ordered_stops_this_order() {
    let limited = |name: &str| {
        format!(
            "too many failed authorizations (5) for \"{name}\" in the last 1h0m0s, retry after \
             2027-01-15 08:30:00 UTC"
        )
    };
    check_limit(&limited("x.example.com"), &Scope::Here);
    let wildcard = Scope::Name {
        directory: DIRECTORY.to_owned(),
        name: "*.w.example.com".into(),
    };
    check_limit(&limited("w.example.com"), &wildcard);
    let neighbour = "too many certificates (50) already issued for \"le.com\" in the last 168h0m0s, \
                     retry after 2027-01-15 08:30:00 UTC";
    check_limit(neighbour, &Scope::Here);
}

/// Checks what a limit with this text, which names half past eight, is about.
#[track_caller]
fn check_limit(detail: &str, scope: &Scope) {
    let names = ["v.example.com", "*.v.example.com", "*.w.example.com"];
    let names = names.map(|name| name.parse::<DnsName>().unwrap()).into();
    let cause = refusal(429, Some(problem(ProblemType::RateLimited, detail)), None);
    let error = AcmeError::new(Operation::NewOrder, cause).with_names(&names);
    let failure = error.failure(NOW, DIRECTORY);
    assert_eq!(failure.scope, *scope, "{detail}");
    let course = classes(&failure);
    assert_eq!(course, [Class::After, Class::Backoff], "{detail}");
    let until = Some("2027-01-15T08:30:00Z".parse().unwrap());
    assert_eq!(failure.not_before, until, "{detail}");
    assert!(!failure.clamped);
}

#[test]
fn a_pause_that_only_a_person_can_end_waits_for_one() {
    let detail = "Your account is temporarily prevented from requesting certificates for \
                  v.example.com. Please visit: https://portal.letsencrypt.org/sfe";
    let cause = refusal(429, Some(problem(ProblemType::RateLimited, detail)), None);
    let failure = failure(Operation::NewOrder, cause);
    assert_eq!(classes(&failure), [Class::Operator]);
    assert_eq!(failure.scope, Scope::Here);
    assert!(
        failure
            .message
            .contains("https://portal.letsencrypt.org/sfe")
    );
}

#[test]
fn a_limit_on_requests_about_an_order_passes() {
    for operation in [
        Operation::ReadOrder,
        Operation::Finalize,
        Operation::Validate,
    ] {
        let limit = problem(ProblemType::RateLimited, "too many new orders");
        let failure = failure(operation, refusal(429, Some(limit), None));
        assert_eq!(classes(&failure), [Class::Backoff], "{operation}");
        assert_eq!(failure.scope, Scope::Here, "{operation}");
    }
}

#[test]
fn outages_and_accounts_have_their_scopes() {
    use Operation::{CreateAccount, Finalize, NewOrder};
    use ProblemType as P;
    let directory = || DIRECTORY.to_owned();
    let ca = Scope::Ca {
        directory: directory(),
    };
    let account = Scope::CaAccount {
        directory: directory(),
    };
    let check = |case: &str, operation, status, kind: Option<P>, scope: &Scope| {
        let problem = kind.map(|kind| problem(kind, "no"));
        let soon = Some(NOW + Duration::from_mins(1));
        let failure = failure(operation, refusal(status, problem, soon));
        assert_eq!(failure.scope, *scope, "{case}");
    };
    check("an outage", NewOrder, 503, None, &ca);
    check("a told outage", Finalize, 503, Some(P::ServerInternal), &ca);
    check("a limit of the front", Finalize, 429, None, &ca);
    check(
        "one fault",
        NewOrder,
        500,
        Some(P::ServerInternal),
        &Scope::Here,
    );
    check(
        "no account",
        NewOrder,
        400,
        Some(P::AccountDoesNotExist),
        &account,
    );
    check(
        "new terms",
        NewOrder,
        403,
        Some(P::UserActionRequired),
        &account,
    );
    check(
        "no binding",
        CreateAccount,
        403,
        Some(P::ExternalAccountRequired),
        &account,
    );
    check(
        "a deactivated account",
        NewOrder,
        403,
        Some(P::Unauthorized),
        &account,
    );
    check(
        "a foreign order",
        Finalize,
        403,
        Some(P::Unauthorized),
        &Scope::Here,
    );
    check(
        "a bad name",
        NewOrder,
        400,
        Some(P::RejectedIdentifier),
        &Scope::Here,
    );
}

#[test]
fn a_named_time_is_believed_up_to_a_week() {
    let week = NOW + LATEST_NAMED_TIME;
    let cases = [
        (
            "a minute",
            Some(NOW + Duration::from_mins(1)),
            Some(NOW + Duration::from_mins(1)),
            false,
        ),
        ("a week", Some(week), Some(week), false),
        (
            "a week and a bit",
            Some(week + Duration::from_millis(1)),
            Some(week),
            true,
        ),
        ("the end of time", Some(Timestamp::MAX), Some(week), true),
        ("now", Some(NOW), None, false),
        (
            "a time that has passed",
            Some(Timestamp::EPOCH),
            None,
            false,
        ),
        ("no time", None, None, false),
    ];
    for (case, named, expected, clamped) in cases {
        let failure = failure(Operation::NewOrder, refusal(503, None, named));
        assert_eq!(
            (failure.not_before, failure.clamped),
            (expected, clamped),
            "{case}"
        );
    }
}
