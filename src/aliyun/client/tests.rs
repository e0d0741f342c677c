use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::code::Code;
use super::super::sign::{canonical, v1, v3};
use super::super::testing::{self, Bench, KEY_ID, KEY_SECRET, Reply, noon};
use super::*;
use crate::secret::Secret;

const OK: &str = r#"{"RequestId":"request-1"}"#;

async fn call(bench: &Bench) -> Result<Value, ApiError> {
    let parameters = Parameters::new()
        .with("DomainName", "视频 +/=&~*.example.com")
        .with_secret("SSLPri", Secret::new("a secret\n"));
    let action = Action::SetVodDomainSslCertificate;
    bench.client.call(action, parameters).await
}

#[tokio::test]
async fn everything_is_in_the_body_and_signed() {
    let bench = Bench::new(vec![Reply::ok(OK)]);
    call(&bench).await.unwrap();
    let requests = bench.requests();
    assert_eq!(requests[0].line, "POST / HTTP/1.1");
    assert!(
        requests[0]
            .head
            .contains("content-type: application/x-www-form-urlencoded"),
        "{}",
        requests[0].head
    );

    let mut form = requests[0].form();
    let signature = form.remove("Signature").unwrap();
    let pairs = form
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let text = v1::string_to_sign("POST", &canonical(pairs));
    assert_eq!(v1::signature(&text, &Secret::new(KEY_SECRET)), signature);

    let nonce = form.remove("SignatureNonce").unwrap();
    assert_eq!(nonce.len(), 36);
    let expected = [
        ("AccessKeyId", KEY_ID),
        ("Action", "SetVodDomainSSLCertificate"),
        ("DomainName", "视频 +/=&~*.example.com"),
        ("Format", "JSON"),
        ("SSLPri", "a secret\n"),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("Timestamp", "2026-11-24T12:00:00Z"),
        ("Version", "2017-03-21"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form, BTreeMap::from(expected));
}

#[tokio::test]
async fn version_3_signs_what_the_http_client_sends() {
    let bench = Bench::signing(Signature::Acs3HmacSha256, vec![Reply::ok(OK)]);
    call(&bench).await.unwrap();
    let request = bench.requests().remove(0);
    assert_eq!(request.line, "POST / HTTP/1.1");
    let names: Vec<String> = request.form().into_keys().collect();
    assert_eq!(names, ["DomainName", "SSLPri"]);
    let authorization = request.header("authorization");
    let (_, rest) = authorization.split_once("SignedHeaders=").unwrap();
    let names = rest.split_once(',').unwrap().0.split(';');
    // From the names that every request signs, so that they live for ever.
    let signed = SIGNED_HEADERS.map(|name| (name, request.header(name).to_owned().into()));
    assert!(names.eq(SIGNED_HEADERS), "{authorization}");
    let expected = v3::Signed {
        method: "POST",
        query: "",
        headers: &signed.into(),
        content_sha256: &v3::content_sha256(&request.body),
    };
    let secret = Secret::new(KEY_SECRET);
    assert_eq!(expected.authorization(KEY_ID, &secret), authorization);
}

const SIGNED_HEADERS: [&str; 7] = [
    "content-type",
    "host",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
];

#[tokio::test]
async fn every_attempt_has_a_nonce_and_a_time_of_its_own() {
    for signature in [Signature::HmacSha1, Signature::Acs3HmacSha256] {
        let replies = std::iter::repeat_with(|| Reply::ok(OK)).take(3).collect();
        let bench = Bench::signing(signature, replies);
        for second in 0..3 {
            bench.clock.set(noon() + Duration::from_secs(second));
            call(&bench).await.unwrap();
        }
        let stamps = stamps(&bench, signature);
        for part in 0..3 {
            let distinct: BTreeSet<&String> = stamps.iter().map(|stamp| &stamp[part]).collect();
            assert_eq!(distinct.len(), 3, "{signature:?}: {stamps:?}");
        }
    }
}

/// The time, the nonce and the signature of every request.
fn stamps(bench: &Bench, signature: Signature) -> Vec<[String; 3]> {
    let stamp = |request: &testing::Request| match signature {
        Signature::HmacSha1 => {
            let form = request.form();
            ["Timestamp", "SignatureNonce", "Signature"].map(|name| form[name].clone())
        }
        Signature::Acs3HmacSha256 => ["x-acs-date", "x-acs-signature-nonce", "authorization"]
            .map(|name| request.header(name).to_owned()),
    };
    bench.requests().iter().map(stamp).collect()
}

#[tokio::test]
async fn a_refused_call_is_not_repeated() {
    let refusal = || Reply::refusal(503, "ServiceUnavailable", "Busy.");
    let bench = Bench::new(vec![refusal(), refusal()]);
    let error = call(&bench).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::ServiceUnavailable));
    assert_eq!(error.cloud, "default");
    assert_eq!(bench.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_come_may_have_happened_and_is_not_asked_for_again() {
    for (reply, code) in [
        (Reply::Drop, "connection-broken"),
        (Reply::Silence, "timeout"),
    ] {
        let replies = vec![reply, Reply::ok(OK)];
        let bench = Bench::with_timeout(replies, Duration::from_secs(1));
        let error = call(&bench).await.unwrap_err();
        assert_eq!(error.label(), code);
        assert!(error.may_have_happened(), "{code}");
        assert_eq!(bench.requests().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_named_time_reaches_the_failure() {
    let body = r#"{"Code":"Throttling.User","Message":"Slow down.","RequestId":"1"}"#;
    let headers = &[("x-acs-retry-after", "2500")];
    let bench = Bench::new(vec![Reply::Answer(400, headers, body.into())]);
    let failure = call(&bench).await.unwrap_err().failure(noon());
    assert_eq!(
        failure.not_before,
        Some(noon() + Duration::from_millis(2500))
    );
}

#[tokio::test]
async fn without_a_secret_nothing_is_sent() {
    let bench = Bench::new(vec![Reply::ok(OK)]);
    bench.remove_secret();
    let error = call(&bench).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Credentials(_)));
    assert!(!error.may_have_happened());
    assert!(bench.requests().is_empty());
}

#[tokio::test]
async fn calls_are_counted_by_action_and_code() {
    let bench = Bench::new(vec![
        Reply::ok(OK),
        Reply::ok(OK),
        Reply::refusal(400, "throttling.user", ""),
        Reply::refusal(400, "New.Code", ""),
        Reply::Answer(502, &[], "<html>".into()),
        Reply::Drop,
    ]);
    for _ in 0..6 {
        let _ = call(&bench).await;
    }
    let set = Action::SetVodDomainSslCertificate;
    let expected = [
        ("OK", 2),
        ("Throttling.User", 1),
        ("connection-broken", 1),
        ("http-502", 1),
        ("unknown", 1),
    ];
    let expected = expected.map(|(code, count)| (set, code.to_owned(), count));
    assert_eq!(bench.client.calls(), expected);
}

#[tokio::test]
async fn both_clocks_are_read_at_every_answer() {
    let bench = Bench::new(vec![
        Reply::ok(OK),
        Reply::Answer(
            502,
            &[("date", "Tue, 24 Nov 2026 12:00:07 GMT")],
            String::new(),
        ),
        Reply::Answer(200, &[("date", "soon")], OK.into()),
    ]);
    assert_eq!(bench.client.clock_reading(), None);
    call(&bench).await.unwrap();
    assert_eq!(bench.client.clock_reading(), None);
    call(&bench).await.unwrap_err();
    let reading = bench.client.clock_reading().unwrap();
    assert_eq!(reading.local, noon());
    assert_eq!(reading.remote, noon() + Duration::from_secs(7));
    bench.clock.set(noon() + Duration::from_mins(1));
    call(&bench).await.unwrap();
    assert_eq!(bench.client.clock_reading(), Some(reading));
}

const EXPIRED: &str = "InvalidTimeStamp.Expired";
const AT_TWO: &[(&str, &str)] = &[("date", "Tue, 24 Nov 2026 14:00:00 GMT")];

fn answer_at_two(status: u16, code: &str) -> Reply {
    let body = format!(r#"{{"RequestId":"1","Code":"{code}"}}"#);
    Reply::Answer(status, AT_TWO, body)
}

#[tokio::test]
async fn a_clock_that_was_refused_is_corrected_at_once_until_it_is_right() {
    for signature in [Signature::HmacSha1, Signature::Acs3HmacSha256] {
        let replies = vec![
            answer_at_two(200, "OK"),
            answer_at_two(400, EXPIRED),
            answer_at_two(200, "OK"),
            answer_at_two(200, "OK"),
            answer_at_two(200, "OK"),
        ];
        let bench = Bench::signing(signature, replies);
        call(&bench).await.unwrap();
        call(&bench).await.unwrap();
        call(&bench).await.unwrap();
        // What was told goes on, whatever becomes of our clock.
        bench.clock.set(noon() + Duration::from_hours(2));
        call(&bench).await.unwrap();
        let stamps = stamps(&bench, signature);
        let times: Vec<&str> = stamps.iter().map(|[time, _, _]| &time[11..16]).collect();
        let expected = ["12:00", "12:00", "14:00", "14:00", "14:00"];
        assert_eq!(times, expected, "{signature:?}");
        let nonces: BTreeSet<&String> = stamps.iter().map(|[_, nonce, _]| nonce).collect();
        assert_eq!(nonces.len(), 5, "{signature:?}");
        let set = Action::SetVodDomainSslCertificate;
        let expected = [(set, EXPIRED.to_owned(), 1), (set, "OK".to_owned(), 4)];
        assert_eq!(bench.client.calls(), expected, "{signature:?}");
    }
}

#[tokio::test]
async fn a_clock_that_stays_refused_is_corrected_once_and_said() {
    let refusal = || answer_at_two(400, EXPIRED);
    let bench = Bench::new(vec![refusal(), refusal(), refusal()]);
    let error = call(&bench).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::TimestampExpired));
    assert_eq!(bench.requests().len(), 2);
}

#[tokio::test]
async fn a_refusal_of_the_clock_that_tells_no_time_is_said_at_once() {
    let refusal = || Reply::refusal(400, EXPIRED, "Expired.");
    let bench = Bench::new(vec![answer_at_two(200, "OK"), refusal(), refusal()]);
    call(&bench).await.unwrap();
    let error = call(&bench).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::TimestampExpired));
    assert_eq!(bench.requests().len(), 2);
}

const PAGES: Pages = Pages {
    items: "/List/Item",
    total: "/TotalCount",
    size: 2,
};

async fn list(bench: &Bench) -> Result<Vec<u64>, ApiError> {
    let read = |item: &Value| answer::number(item, "/Id");
    let action = Action::DescribeDomains;
    let parameters = Parameters::new().with("Lang", "en");
    bench.client.list(action, &parameters, PAGES, read).await
}

fn page(ids: &[u64], total: &str) -> Reply {
    let items: Vec<Value> = ids
        .iter()
        .map(|id| serde_json::json!({ "Id": id }))
        .collect();
    let mut body = serde_json::json!({ "RequestId": "1", "List": { "Item": items } });
    if !total.is_empty() {
        body["TotalCount"] = total.into();
    }
    Reply::ok(&body.to_string())
}

#[tokio::test]
async fn a_list_is_read_to_its_end() {
    let cases: [(&str, Vec<Reply>, Vec<u64>); 6] = [
        ("empty", vec![page(&[], "0")], vec![]),
        ("one page", vec![page(&[1, 2], "2")], vec![1, 2]),
        (
            "two pages",
            vec![page(&[1, 2], "3"), page(&[3], "3")],
            vec![1, 2, 3],
        ),
        (
            "pages shorter than asked for",
            vec![page(&[1], "2"), page(&[2], "2")],
            vec![1, 2],
        ),
        (
            "no total",
            vec![page(&[1, 2], ""), page(&[3], "")],
            vec![1, 2, 3],
        ),
        (
            "a total that promises too much",
            vec![page(&[1, 2], "9"), page(&[], "9")],
            vec![1, 2],
        ),
    ];
    for (case, replies, expected) in cases {
        let pages = replies.len();
        let bench = Bench::new(replies);
        assert_eq!(list(&bench).await.unwrap(), expected, "{case}");
        let forms = bench.forms();
        assert_eq!(forms.len(), pages, "{case}");
        for (place, form) in forms.iter().enumerate() {
            assert_eq!(form["PageNumber"], (place + 1).to_string(), "{case}");
            assert_eq!((&*form["PageSize"], &*form["Lang"]), ("2", "en"), "{case}");
        }
    }
}

#[tokio::test]
async fn a_page_that_fails_fails_the_list() {
    let bench = Bench::new(vec![
        page(&[1, 2], "3"),
        Reply::refusal(400, "Throttling.User", ""),
    ]);
    let error = list(&bench).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::ThrottlingUser));
}

#[test]
fn endpoints_follow_the_region() {
    // The documented hosts; "cn-hangzhou" has none of its own.
    let documented = [
        "ap-northeast-1",
        "ap-southeast-1",
        "ap-southeast-5",
        "cn-beijing",
        "cn-hongkong",
        "cn-north-2-gov-1",
        "cn-shanghai",
        "cn-shenzhen",
        "eu-central-1",
        "me-central-1",
        "us-west-1",
    ];
    let documented = documented.map(|region| (region, format!("vod.{region}.aliyuncs.com")));
    let others = [
        ("cn-hangzhou", "vod.cn-shanghai.aliyuncs.com"),
        ("cn-qingdao", "vod.aliyuncs.com"),
        ("evil.example/", "vod.aliyuncs.com"),
    ];
    let others = others.map(|(region, host)| (region, host.to_owned()));
    for (region, host) in documented.into_iter().chain(others) {
        let endpoints = Endpoints::of_region(region);
        assert_eq!(endpoints.vod.host_str(), Some(&*host), "{region}");
        let central = host == "vod.aliyuncs.com";
        assert_eq!(Endpoints::knows_vod_of(region), !central, "{region}");
        assert_eq!(endpoints.alidns.as_str(), "https://alidns.aliyuncs.com/");
        for (region, url) in [
            (CertRegion::CnHangzhou, "https://cas.aliyuncs.com/"),
            (
                CertRegion::ApSoutheast1,
                "https://cas.ap-southeast-1.aliyuncs.com/",
            ),
        ] {
            let public = endpoints.of_service(Service::Cas, region);
            assert_eq!(public.as_str(), url);
            let cas = Some("http://127.0.0.1:1/".parse().unwrap());
            let own = Endpoints {
                cas,
                ..endpoints.clone()
            };
            let own = own.of_service(Service::Cas, region);
            assert_eq!(own.as_str(), "http://127.0.0.1:1/");
        }
    }
}
