use super::*;
use crate::net::Network;

const CLOUD: &str = "default";

fn noon() -> Timestamp {
    super::super::testing::noon()
}

fn refused(action: Action, status: u16, code: &str, named_time: Option<Timestamp>) -> ApiError {
    ApiError {
        action,
        cloud: CLOUD.into(),
        cause: Cause::Refused(Box::new(Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            code: Code::parse(code),
            code_text: code.into(),
            message: Some("The reason.".into()),
            request_id: Some("request-1".into()),
            missing_permission: None,
            named_time,
            sent: vec!["Action", "SSLPri"],
        })),
    }
}

fn unreadable(action: Action, status: u16, named_time: Option<Timestamp>) -> ApiError {
    ApiError {
        action,
        cloud: CLOUD.into(),
        cause: Cause::Unreadable {
            status: StatusCode::from_u16(status).unwrap(),
            why: "not in the form of this API",
            named_time,
        },
    }
}

/// `reconcile rename*2 operator`.
fn course(failure: &Failure) -> String {
    let last = failure.course.len() - 1;
    let remedies = failure.course.iter().enumerate().map(|(place, remedy)| {
        if remedy.times == 1 || place == last {
            remedy.class.to_string()
        } else {
            format!("{}*{}", remedy.class, remedy.times)
        }
    });
    remedies.collect::<Vec<_>>().join(" ")
}

fn scope(failure: &Failure) -> &'static str {
    if let Scope::CloudAction { cloud, .. } = &failure.scope {
        assert_eq!(cloud, CLOUD);
        return "action";
    }
    if let Scope::Cloud { cloud } = &failure.scope {
        assert_eq!(cloud, CLOUD);
        return "cloud";
    }
    if let Scope::CloudCall { cloud, .. } = &failure.scope {
        assert_eq!(cloud, CLOUD);
        return "call";
    }
    assert_eq!(failure.scope, Scope::Here);
    "here"
}

/// Checks a table: code, HTTP status, scope and course.
fn check_table(table: &str, action: Action) {
    for row in table.trim().lines() {
        let columns: Vec<&str> = row.split_whitespace().collect();
        let [code, status, expected_scope, expected_course @ ..] = &columns[..] else {
            panic!("not a row: {row}");
        };
        let failure = refused(action, status.parse().unwrap(), code, None).failure(noon());
        assert_eq!(course(&failure), expected_course.join(" "), "{code}");
        assert_eq!(scope(&failure), *expected_scope, "{code}");
        assert_eq!(failure.code, *code);
        assert_eq!((failure.not_before, failure.clamped), (None, false));
    }
}

/// What the table of codes leaves to the status, and codes that mean the same whatever it is. What each
/// code asks for is in the table that `daemon/codes/` lives through.
const BY_STATUS: &str = "
New.Code                                    200 here   operator
New.Code                                    400 here   operator
New.Code                                    403 here   operator
New.Code                                    404 here   operator
New.Code                                    408 here   backoff
New.Code                                    429 action backoff
New.Code                                    500 call   backoff
New.Code                                    502 call   backoff
New.Code                                    503 action backoff
InternalError                               400 here   backoff
InternalError                               429 action backoff
InternalError                               503 action backoff
UnKnownError                                503 action backoff
Throttling                                  400 action backoff
Rejected.Throttling                         400 action backoff
ServiceUnavailable                          400 action backoff
Certificate.Expired                         503 here   reissue*255 operator
";

#[test]
fn what_the_code_does_not_tell_is_judged_by_the_status() {
    check_table(BY_STATUS, Action::SetVodDomainSslCertificate);
}

#[test]
fn what_is_no_answer_of_the_api_is_judged_by_its_status() {
    let set = Action::SetVodDomainSslCertificate;
    let get = Action::DescribeVodDomainDetail;
    for (action, status, expected_scope, expected_course) in [
        (set, 302, "here", "operator"),
        (set, 404, "here", "operator"),
        (set, 408, "here", "backoff"),
        (set, 429, "action", "backoff"),
        (set, 500, "call", "backoff"),
        (set, 503, "action", "backoff"),
        // The answer was lost behind a proxy, or what came is not ours to read.
        (set, 200, "here", "reconcile backoff"),
        (set, 502, "call", "reconcile backoff"),
        (set, 504, "call", "reconcile backoff"),
        (get, 200, "here", "backoff"),
        (get, 504, "call", "backoff"),
    ] {
        let failure = unreadable(action, status, None).failure(noon());
        assert_eq!(scope(&failure), expected_scope, "{action} {status}");
        assert_eq!(course(&failure), expected_course, "{action} {status}");
        assert_eq!(failure.code, format!("http-{status}"));
    }
}

#[test]
fn only_an_installation_is_read_back_renamed_encoded_anew_or_issued_anew() {
    for code in Code::KNOWN {
        let error = refused(Action::AddDomainRecord, 400, code.as_str(), None);
        let failure = error.failure(noon());
        for remedy in &failure.course {
            assert!(
                [Class::Backoff, Class::Bug, Class::Operator, Class::Refresh]
                    .contains(&remedy.class),
                "{code:?}: {}",
                remedy.class
            );
        }
    }
}

#[test]
fn a_missing_permission_stops_an_action_of_vod_but_one_zone_of_alidns() {
    let failure = |action| refused(action, 403, "Forbidden.RAM", None).failure(noon());
    assert_eq!(scope(&failure(Action::DescribeVodDomainDetail)), "action");
    assert_eq!(scope(&failure(Action::AddDomainRecord)), "here");
}

#[test]
fn what_is_forbidden_under_a_code_of_its_own_lacks_a_permission_too() {
    let get = Action::DescribeVodDomainDetail;
    for (code, status, expected) in [
        ("Forbidden.RAM", 403, true),
        ("Forbidden.SomethingNew", 403, true),
        ("Forbidden.SomethingNew", 400, false),
        ("OperationDenied.Suspended", 403, false),
        ("SignatureDoesNotMatch", 400, false),
    ] {
        let error = refused(get, status, code, None);
        assert_eq!(error.lacks_permission(), expected, "{code} {status}");
    }
    assert!(!unreadable(get, 403, None).lacks_permission(), "a proxy's");
}

#[test]
fn a_named_time_is_kept_up_to_an_hour() {
    let second = Duration::from_secs(1);
    let hour = Duration::from_hours(1);
    let set = Action::SetVodDomainSslCertificate;
    for (length, kept, clamped) in [
        (second, second, false),
        (hour, hour, false),
        (hour + second, hour, true),
    ] {
        let named = Some(noon() + length);
        for error in [
            refused(set, 400, "Throttling.User", named),
            unreadable(set, 503, named),
        ] {
            let failure = error.failure(noon());
            assert_eq!(failure.not_before, Some(noon() + kept));
            assert_eq!(failure.clamped, clamped);
            assert_eq!((scope(&failure), &*course(&failure)), ("action", "backoff"));
        }
    }
}

#[test]
fn a_fault_that_names_a_time_is_about_the_action() {
    let set = Action::SetVodDomainSslCertificate;
    let named = Some(noon() + Duration::from_secs(5));
    for error in [
        refused(set, 500, "InternalError", named),
        refused(set, 500, "New.Code", named),
        unreadable(set, 500, named),
    ] {
        assert_eq!(scope(&error.failure(noon())), "action");
    }
    let elsewhere = refused(set, 400, "Certificate.Expired", named).failure(noon());
    assert_eq!(scope(&elsewhere), "here");
    assert_eq!(elsewhere.not_before, named);
}

#[test]
fn a_lost_answer_is_read_back_before_an_installation_is_repeated() {
    let lost = || NetworkError::Timeout {
        host: "vod.test".into(),
    };
    let failure = |action, cause| {
        let cloud = CLOUD.into();
        ApiError {
            action,
            cloud,
            cause,
        }
        .failure(noon())
    };
    let set = failure(Action::SetVodDomainSslCertificate, Cause::Network(lost()));
    assert_eq!(course(&set), "reconcile backoff");
    assert_eq!((set.code.as_str(), scope(&set)), ("timeout", "here"));
    let add = failure(Action::AddDomainRecord, Cause::Network(lost()));
    assert_eq!(course(&add), "backoff");
}

#[tokio::test]
async fn a_call_that_never_left_is_simply_repeated() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let http = Network::default().client().unwrap();
    let request = http.get(format!("http://{address}/")).build().unwrap();
    let source = crate::net::exchange(&http, request).await.unwrap_err();
    let error = ApiError {
        action: Action::SetVodDomainSslCertificate,
        cloud: CLOUD.into(),
        cause: Cause::Network(source),
    };
    assert!(!error.may_have_happened());
    let failure = error.failure(noon());
    assert_eq!(course(&failure), "backoff");
    assert_eq!(failure.code, "unreachable");
    assert!(failure.message.contains("could not connect to 127.0.0.1: "));
}

#[test]
fn without_credentials_the_cloud_waits_for_a_person() {
    let error = ApiError {
        action: Action::DescribeDomains,
        cloud: CLOUD.into(),
        cause: Cause::Credentials(Arc::new(CredentialsError::NotInEnvironment(vec![
            "THE_KEY",
        ]))),
    };
    let failure = error.failure(noon());
    assert_eq!(course(&failure), "refresh operator");
    assert_eq!(scope(&failure), "cloud");
    assert_eq!(
        failure.message,
        "DescribeDomains failed in cloud \"default\": no credentials: \
         not set in the environment: THE_KEY"
    );
}

#[test]
fn a_failure_says_all_that_is_known_in_one_line() {
    let set = Action::SetVodDomainSslCertificate;
    let expired = refused(set, 400, "Certificate.Expired", None).failure(noon());
    assert_eq!(
        expired.message,
        "SetVodDomainSSLCertificate failed in cloud \"default\": refused as Certificate.Expired \
         (HTTP 400): The reason.; request request-1"
    );
    let bug = refused(set, 400, "Certificate.KeyNull", None).failure(noon());
    assert!(bug.message.ends_with("; sent: Action, SSLPri"), "{bug:?}");
}
