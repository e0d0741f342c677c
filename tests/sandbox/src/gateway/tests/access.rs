//! Who may call.

use jiff::SignedDuration;

use super::*;

const ACTION: &str = "DescribeVodUserDomains";

fn with(changes: &[(&str, &str)]) -> Parameters {
    let mut parameters = parameters(ACTION, &[]);
    for (name, value) in changes {
        parameters.insert((*name).to_owned(), (*value).to_owned());
    }
    parameters
}

fn without(name: &str) -> Parameters {
    let mut parameters = parameters(ACTION, &[]);
    parameters.remove(name);
    parameters
}

fn minutes_ago(minutes: i64) -> String {
    let moment = Timestamp::now() - SignedDuration::from_mins(minutes);
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[tokio::test]
async fn public_parameters_are_mandatory() {
    let (_world, gateway) = started().await;
    for name in [
        "Action",
        "Version",
        "AccessKeyId",
        "SignatureMethod",
        "SignatureVersion",
        "SignatureNonce",
        "Timestamp",
    ] {
        let answer = post(&gateway, &sign_form(&without(name))).await.unwrap();
        let missing = (400, "MissingParameter".to_owned());
        assert_eq!(answer.verdict(), missing, "{name}");
        assert!(answer.text.contains(name), "{}", answer.text);
    }
    let unsigned = encode(&parameters(ACTION, &[]));
    let answer = post(&gateway, &unsigned).await.unwrap();
    assert_eq!(answer.verdict().1, "MissingParameter", "Signature");
}

#[tokio::test]
async fn public_parameters_with_other_values_are_refused_with_their_code() {
    let (_world, gateway) = started().await;
    let (early, late) = (&minutes_ago(-16), &minutes_ago(16));
    let offset = "2026-01-01T00:00:00+00:00";
    let bad_token = "InvalidSecurityToken.MismatchWithAccessKey";
    let cases: &[(&str, &str, u16, &str)] = &[
        ("Action", "Sing", 404, "InvalidAction.NotFound"),
        ("Version", "2015-01-09", 400, "InvalidVersion"),
        ("AccessKeyId", "who", 404, "InvalidAccessKeyId.NotFound"),
        (
            "SignatureMethod",
            "HMAC-SHA256",
            400,
            "InvalidSignatureMethod",
        ),
        ("SignatureVersion", "2.0", 400, "InvalidParameter"),
        ("Timestamp", "now", 400, "InvalidTimeStamp.Format"),
        ("Timestamp", offset, 400, "InvalidTimeStamp.Format"),
        ("Timestamp", late, 400, "InvalidTimeStamp.Expired"),
        ("Timestamp", early, 400, "InvalidTimeStamp.Expired"),
        ("SecurityToken", "t", 400, bad_token),
    ];
    for (name, value, status, code) in cases {
        let parameters = with(&[(name, value)]);
        let answer = post(&gateway, &sign_form(&parameters)).await.unwrap();
        let expected = (*status, (*code).to_owned());
        assert_eq!(answer.verdict(), expected, "{name}={value}");
    }
    let calls = gateway.calls().all();
    assert_eq!(calls.len(), cases.len());
    assert!(calls.iter().all(|call| !call.performed), "{calls:?}");
}

#[tokio::test]
async fn fourteen_minutes_of_skew_pass() {
    let (_world, gateway) = started().await;
    for minutes in [-14, 14] {
        let parameters = with(&[("Timestamp", &minutes_ago(minutes))]);
        let answer = post(&gateway, &sign_form(&parameters)).await.unwrap();
        assert_eq!(answer.status, 200, "{minutes}: {}", answer.text);
    }
}

#[tokio::test]
async fn the_clock_can_be_set_and_every_answer_shows_it() {
    let (_world, gateway) = started().await;
    gateway.set_clock_offset(SignedDuration::from_hours(-24));
    let answer = call(&gateway, ACTION, &[]).await;
    assert_eq!(answer.verdict().1, "InvalidTimeStamp.Expired");
    let date = answer.headers["date"].to_str().unwrap();
    let yesterday = Timestamp::now() - SignedDuration::from_hours(24);
    let shown = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(date)
        .unwrap();
    assert!(
        yesterday.duration_since(shown).abs() < SignedDuration::from_mins(1),
        "{date}"
    );
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_the_signed_text_echoed() {
    let (_world, gateway) = started().await;
    let parameters = parameters(ACTION, &[("SSLPri", "-----BEGIN")]);
    let answer = post(&gateway, &signed(&parameters, "POST", "wrong"))
        .await
        .unwrap();
    assert_eq!(answer.verdict(), (400, "SignatureDoesNotMatch".to_owned()));
    let body = answer.json();
    let message = body["Message"].as_str().unwrap();
    let echo = message.split_once("server string to sign is:").unwrap().1;
    assert_eq!(echo, format!("POST&%2F&{}", escape(&encode(&parameters))));
    assert!(!body["HostId"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn the_method_is_part_of_what_is_signed() {
    let (_world, gateway) = started().await;
    let body = signed(&parameters(ACTION, &[]), "GET", Gateway::ACCESS_KEY_SECRET);
    let answer = post(&gateway, &body).await.unwrap();
    assert_eq!(answer.verdict().1, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn a_changed_parameter_breaks_the_signature() {
    let (_world, gateway) = started().await;
    let body = sign_form(&parameters(ACTION, &[("PageSize", "1")]));
    let answer = post(&gateway, &body.replace("PageSize=1", "PageSize=2"))
        .await
        .unwrap();
    assert_eq!(answer.verdict().1, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn a_nonce_passes_once() {
    let (_world, gateway) = started().await;
    let body = sign_form(&parameters(ACTION, &[]));
    assert_eq!(post(&gateway, &body).await.unwrap().status, 200);
    let again = post(&gateway, &body).await.unwrap();
    assert_eq!(again.verdict(), (400, "SignatureNonceUsed".to_owned()));
}

#[tokio::test]
async fn a_nonce_under_a_wrong_signature_is_not_spent() {
    let (_world, gateway) = started().await;
    let parameters = parameters(ACTION, &[]);
    post(&gateway, &signed(&parameters, "POST", "wrong"))
        .await
        .unwrap();
    assert_eq!(
        post(&gateway, &sign_form(&parameters))
            .await
            .unwrap()
            .status,
        200
    );
}

#[tokio::test]
async fn parameters_may_come_by_url_body_or_both() {
    let (_world, gateway) = started().await;
    let all = signed(&parameters(ACTION, &[]), "GET", Gateway::ACCESS_KEY_SECRET);
    assert_eq!(get(&gateway, &all).await.status, 200);
    let (first, rest) = {
        let all = sign_form(&parameters(ACTION, &[]));
        let (first, rest) = all.split_once('&').unwrap();
        (first.to_owned(), rest.to_owned())
    };
    let split = reqwest::Client::new()
        .post(format!("{}/?{first}", gateway.url()))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(rest);
    assert_eq!(split.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn temporary_keys_need_their_token() {
    let (_world, gateway) = started().await;
    gateway.add_access_key(AccessKey::temporary("STS.a", "s", "CAIS/+token==~*"));
    gateway.add_access_key(AccessKey::temporary("STS.old", "s", "t").in_state(KeyState::Expired));
    gateway.add_access_key(AccessKey::new("off", "s").in_state(KeyState::Inactive));
    let cases = [
        ("its token", "STS.a", Some("CAIS/+token==~*"), 200, ""),
        ("no token", "STS.a", None, 400, "MissingSecurityToken"),
        (
            "another token",
            "STS.a",
            Some("t"),
            400,
            "InvalidSecurityToken.MismatchWithAccessKey",
        ),
        (
            "expired",
            "STS.old",
            Some("t"),
            400,
            "InvalidSecurityToken.Expired",
        ),
        ("disabled", "off", None, 400, "InvalidAccessKeyId.Inactive"),
    ];
    for (case, key, token, status, code) in cases {
        let mut parameters = with(&[("AccessKeyId", key)]);
        if let Some(token) = token {
            parameters.insert("SecurityToken".to_owned(), token.to_owned());
        }
        let answer = post(&gateway, &signed(&parameters, "POST", "s"))
            .await
            .unwrap();
        assert_eq!(answer.verdict(), (status, code.to_owned()), "{case}");
    }
    gateway.remove_access_key("STS.a");
    let gone = post(
        &gateway,
        &signed(&with(&[("AccessKeyId", "STS.a")]), "POST", "s"),
    )
    .await;
    assert_eq!(gone.unwrap().verdict().1, "InvalidAccessKeyId.NotFound");
}

#[tokio::test]
async fn answers_are_xml_unless_json_is_asked_for() {
    let (_world, gateway) = started().await;
    let mut parameters = parameters(ACTION, &[]);
    parameters.remove("Format");
    let answer = post(&gateway, &sign_form(&parameters)).await.unwrap();
    assert_eq!(answer.headers["content-type"], "text/xml;charset=utf-8");
    let root = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><DescribeVodUserDomainsResponse>";
    assert!(answer.text.starts_with(root), "{}", answer.text);
    let refused = post(&gateway, &sign_form(&parameters)).await.unwrap();
    assert!(refused.text.contains("<Error>"), "{}", refused.text);
    assert!(
        refused.text.contains("<Code>SignatureNonceUsed</Code>"),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let (_world, gateway) = started().await;
    let url = format!("{}/elsewhere", gateway.url());
    let answer = Answer::of(reqwest::get(url).await.unwrap()).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let (_world, gateway) = started().await;
    let first = call(&gateway, ACTION, &[]).await.json()["RequestId"].clone();
    let second = call(&gateway, ACTION, &[]).await.json()["RequestId"].clone();
    assert!(first.is_string());
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_key_in_the_url_is_seen_even_if_the_call_is_refused() {
    let (_world, gateway) = started().await;
    gateway.calls().assert_no_key_in_url();
    get(&gateway, "SSLPri=x").await;
    assert_eq!(gateway.calls().keys_in_urls(), 1);
}

#[tokio::test]
async fn the_log_keeps_parameters_but_no_secrets() {
    let (_world, gateway) = started().await;
    let forged = forged("v.example.com");
    call(&gateway, SET, &upload("v.example.com", "n", &forged)).await;
    let calls = gateway.calls().of(SET);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].domain(), Some("v.example.com"));
    assert_eq!(calls[0].outcome, Outcome::Success);
    assert!(calls[0].performed);
    assert!(!format!("{calls:?}").contains("PRIVATE KEY"));
    gateway.calls().clear();
    assert!(gateway.calls().all().is_empty());
}

#[tokio::test]
async fn a_dropped_gateway_takes_no_more_calls() {
    let (_world, gateway) = started().await;
    let url = gateway.url().to_owned();
    drop(gateway);
    // The listener closes in a task of its own, so the first attempts may still come through.
    let closed = async { while reqwest::get(&url).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, closed).await.unwrap();
}
