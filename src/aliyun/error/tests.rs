use std::collections::BTreeSet;

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

/// Code, HTTP status as documented, scope and course of an installation.
const INSTALLATION: &str = "
InvalidSSLProtocol.ValueNotSupported        400 here   bug operator
SSLPub.MissingParameter                     400 here   bug operator
SSLPri.MissingParameter                     400 here   bug operator
InvalidSSLPub                               400 here   reformat operator
InvalidSSLPri                               400 here   reformat operator
Certificate.MissMatch                       400 here   operator
InvalidCertificate.TooLong                  400 here   reformat operator
InvalidCertName.TooLong                     400 here   rename*2 operator
AuthenticationFailed                        400 here   refresh backoff*3 operator
SetDomainCertificate.ParameterError         400 here   bug operator
Certificate.StatusError                     400 here   backoff*3 rename operator
DeleteFailed                                400 here   backoff*2 reconcile operator
Certificate.NotFind                         400 here   refresh rename operator
Certificate.Duplicated                      400 here   reconcile rename*2 operator
Certificate.FormatError                     400 here   reformat operator
Certificate.KeyNull                         400 here   bug operator
Key.Malformed                               400 here   reformat operator
CertStorage.failed                          400 here   backoff
CertificateContent.Duplicated               400 here   reconcile rename*2 operator
Certificate.Expired                         400 here   reissue*255 operator
InvalidDomain.notOnline                     400 here   backoff
Decode.Error                                400 here   reformat bug operator
sslPub.Error                                400 here   backoff*2 reformat operator
sslPri.Error                                400 here   backoff*2 reformat operator
DomainInSafeMode                            400 here   operator
CreateCertificateFailed                     400 here   reconcile rename*2 backoff
Abs.CertRegion.ValueNotSupported            400 here   operator
CertNameAlreadyExists                       400 here   reconcile rename*2 operator
InvalidDomain.Offline                       400 here   operator
DomainOwnerVerifyFail                       400 here   operator
DomainInProtectedMode                       403 here   operator
CertName.MissingParameter                   404 here   bug operator
";

/// The same for the rest of the service and for the gateway.
const GATEWAY: &str = "
InvalidCertificate                          400 here   reformat operator
SetDomainSSLPub.ParameterError              400 here   reformat operator
SSLPri.Malformed                            400 here   reformat operator
Certificate.NotPermittedOff                 400 here   operator
Certificate.SettedNotEffect                 400 here   reconcile operator
InvalidDomain.NotFound                      404 here   operator
InvalidDomainName.Malformed                 400 here   operator
InvalidPageNumber.ValueNotSupported         400 here   bug operator
InvalidPageSize.ValueNotSupported           400 here   bug operator
IllegalOperation                            403 here   operator
ServiceBusy                                 403 here   backoff
OperationDenied                             403 cloud  operator
OperationDenied.Suspended                   403 cloud  operator
Throttling                                  503 action backoff
Throttling.Api                              400 action backoff
Throttling.User                             400 action backoff
Rejected.Throttling                         400 action backoff
ServiceUnavailable                          503 action backoff
InternalError                               500 call   backoff
SignatureDoesNotMatch                       400 cloud  operator
InvalidAccessKeySecret                      400 cloud  operator
IncompleteSignature                         400 cloud  bug operator
InvalidSignatureMethod                      400 cloud  bug operator
InvalidTimeStamp.Format                     400 cloud  bug operator
IllegalTimestamp                            400 cloud  bug operator
InvalidTimeStamp.Expired                    400 cloud  refresh operator
SignatureNonceUsed                          400 here   reconcile backoff
InvalidAccessKeyId.NotFound                 404 cloud  refresh operator
InvalidAccessKeyId.Inactive                 400 cloud  operator
InvalidSecurityToken                        400 cloud  refresh operator
InvalidSecurityToken.Expired                400 cloud  refresh operator
InvalidSecurityToken.Malformed              400 cloud  refresh operator
InvalidSecurityToken.MismatchWithAccessKey  400 cloud  refresh operator
MissingSecurityToken                        400 cloud  refresh operator
Forbidden                                   403 action operator
Forbidden.RAM                               403 action operator
Forbidden.AuthType                          403 action operator
Forbidden.NotSupportRAM                     403 action operator
Forbedden.NotSupportRAM                     403 action operator
NoPermission                                403 action operator
Forbidden.RiskControl                       403 cloud  operator
Forbidden.UserVerification                  403 cloud  operator
MissingParameter                            400 here   bug operator
InvalidParameter                            400 here   bug operator
UnsupportedParameter                        400 here   bug operator
ContentMD5NotMatched                        400 here   bug operator
UnsupportedHTTPMethod                       405 action bug operator
InvalidAction.NotFound                      404 action operator
InvalidApi.NotFound                         404 action operator
InvalidVersion                              400 action operator
InvalidProduct.NotFound                     404 action operator
InvalidProtocol.NeedSsl                     400 action operator
";

/// The same for storing a certificate.
const STORAGE: &str = "
NameRepeat                                  400 here   reconcile rename*2 operator
Forbidden.RAM                               403 action operator
";

/// The same for adding a record.
const ALIDNS: &str = "
DomainRecordDuplicate                       400 here   backoff*3 operator
DomainRecordConflict                        400 here   operator
QuotaExceeded.Record                        400 here   backoff*3 operator
DomainRecordNotBelongToUser                 400 here   operator
InvalidRR.NoExist                           400 here   operator
InvalidDomainName.NoExist                   400 here   operator
IncorrectDomainUser                         400 here   operator
InvalidDomainName.Format                    400 here   operator
InvalidDomainName.Suffix                    400 here   operator
InvalidDomainName.Unregistered              400 here   operator
LastOperationNotFinished                    400 here   backoff
DnsSystemBusyness                           400 here   backoff
RecordForbidden.DNSChange                   400 here   backoff
UnKnownError                                400 here   backoff
DomainForbidden                             400 here   operator
RecordForbidden.BlackHole                   400 here   operator
Forbidden.DomainExpired                     400 here   operator
Forbidden.DomainLocked                      400 here   operator
Forbidden.RecordLocked                      400 here   operator
DomainRecordLocked                          400 here   operator
";

/// Checks a table and returns its codes.
fn check_table(table: &str, action: Action) -> BTreeSet<Code> {
    let check = |row: &str| {
        let columns: Vec<&str> = row.split_whitespace().collect();
        let [code, status, expected_scope, expected_course @ ..] = &columns[..] else {
            panic!("not a row: {row}");
        };
        let failure = refused(action, status.parse().unwrap(), code, None).failure(noon());
        assert_eq!(course(&failure), expected_course.join(" "), "{code}");
        assert_eq!(scope(&failure), *expected_scope, "{code}");
        assert_eq!(failure.code, *code);
        assert_eq!((failure.not_before, failure.clamped), (None, false));
        Code::parse(code)
    };
    table.trim().lines().map(check).collect()
}

#[test]
fn every_code_has_its_course_and_scope() {
    let set = Action::SetVodDomainSslCertificate;
    let seed = check_table(INSTALLATION, set);
    assert_eq!(seed.len(), 32);
    let gateway = check_table(GATEWAY, set);
    let alidns = check_table(ALIDNS, Action::AddDomainRecord);
    let storage = check_table(STORAGE, Action::UploadUserCertificate);
    let all = [seed, gateway, storage, alidns];
    let checked: BTreeSet<Code> = all.into_iter().flatten().collect();
    assert_eq!(checked, Code::KNOWN.iter().copied().collect());
}

/// What the table of codes leaves to the status.
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
