use std::collections::BTreeSet;
use std::time::Duration;

use super::super::code::Code;
use super::super::testing::{Bench, KEY_ID, KEY_SECRET, Reply, noon};
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
    let text = sign::string_to_sign("POST", &sign::canonical(pairs));
    assert_eq!(sign::signature(&text, &Secret::new(KEY_SECRET)), signature);

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

#[test]
fn a_token_is_sent_as_a_secret() {
    let bench = Bench::new(vec![]);
    let credentials = Credentials {
        access_key_id: "STS.id".into(),
        access_key_secret: Secret::new("s"),
        security_token: Some(Secret::new("CAIS/+token==~*")),
    };
    let action = Action::DescribeDomains;
    let sent = bench
        .client
        .with_public_parameters(action, Parameters::new(), &credentials);
    let token = sent.iter().find(|(name, _)| *name == "SecurityToken");
    assert_eq!(token, Some(("SecurityToken", "CAIS/+token==~*")));
    let secrets: Vec<&Secret> = sent.secrets().collect();
    assert_eq!(secrets, [&Secret::new("CAIS/+token==~*")]);
    assert!(!format!("{sent:?}").contains("CAIS"));
}

#[tokio::test]
async fn every_attempt_has_a_nonce_and_a_time_of_its_own() {
    let bench = Bench::new(vec![Reply::ok(OK), Reply::ok(OK), Reply::ok(OK)]);
    for second in 0..3 {
        bench.clock.set(noon() + Duration::from_secs(second));
        call(&bench).await.unwrap();
    }
    let forms = bench.forms();
    for field in ["SignatureNonce", "Timestamp", "Signature"] {
        let distinct: BTreeSet<&String> = forms.iter().map(|form| &form[field]).collect();
        assert_eq!(distinct.len(), 3, "{field}");
    }
}

#[test]
fn nonces_are_written_like_uuids_and_do_not_repeat() {
    let nonces: BTreeSet<String> = std::iter::repeat_with(nonce).take(1000).collect();
    assert_eq!(nonces.len(), 1000);
    for nonce in nonces {
        let lengths: Vec<usize> = nonce.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }
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

#[tokio::test]
async fn a_clock_that_was_refused_is_corrected_until_it_is_right() {
    let answer = |status, code: &str, date| {
        let headers: &'static [_] = match date {
            "14" => &[("date", "Tue, 24 Nov 2026 14:00:00 GMT")],
            _ => &[("date", "Tue, 24 Nov 2026 14:00:30 GMT")],
        };
        let body = format!(r#"{{"RequestId":"1","Code":"{code}"}}"#);
        Reply::Answer(status, headers, body)
    };
    let bench = Bench::new(vec![
        answer(200, "OK", "14"),
        answer(400, "InvalidTimeStamp.Expired", "14"),
        answer(200, "OK", "14:00:30"),
        answer(200, "OK", "14:00:30"),
    ]);
    let two_hours = Duration::from_hours(2);
    call(&bench).await.unwrap();
    let error = call(&bench).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::TimestampExpired));
    bench.clock.set(noon() + Duration::from_secs(30));
    call(&bench).await.unwrap();
    bench
        .clock
        .set(noon() + two_hours + Duration::from_secs(30));
    // The clock is set right by two hours: the correction is wrong once, then there is none.
    call(&bench).await.unwrap();
    let signed: Vec<String> = bench
        .forms()
        .into_iter()
        .map(|mut form| form.remove("Timestamp").unwrap())
        .collect();
    assert_eq!(
        signed,
        [
            "2026-11-24T12:00:00Z",
            "2026-11-24T12:00:00Z",
            "2026-11-24T14:00:30Z",
            "2026-11-24T16:00:30Z",
        ]
    );
    assert_eq!(
        bench.client.signing_time().to_iso_seconds(),
        "2026-11-24T14:00:30Z"
    );
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
    for (region, host) in [
        ("cn-shanghai", "vod.cn-shanghai.aliyuncs.com"),
        ("cn-hangzhou", "vod.cn-shanghai.aliyuncs.com"),
        ("ap-southeast-1", "vod.ap-southeast-1.aliyuncs.com"),
        ("cn-qingdao", "vod.aliyuncs.com"),
        ("evil.example/", "vod.aliyuncs.com"),
    ] {
        let endpoints = Endpoints::of_region(region);
        assert_eq!(endpoints.vod.host_str(), Some(host), "{region}");
        let central = host == "vod.aliyuncs.com";
        assert_eq!(Endpoints::knows_vod_of(region), !central, "{region}");
        assert_eq!(endpoints.alidns.as_str(), "https://alidns.aliyuncs.com/");
    }
}
