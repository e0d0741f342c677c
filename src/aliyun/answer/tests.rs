use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::super::sign::percent_encode;
use super::super::testing::{KEY_SECRET, key_pem, noon};
use super::*;
use crate::secret::Secret;

/// Reads an answer to a call that sent a private key and a token.
fn read_answer(status: u16, body: &str) -> Result<Value, Cause> {
    let answer = Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from(body.to_owned()),
    };
    let sent = Parameters::new()
        .with("DomainName", "v.example.com")
        .with_secret("SSLPri", Secret::new(key_pem()));
    let credentials = Credentials {
        access_key_id: "testid".into(),
        access_key_secret: Secret::new(KEY_SECRET),
        security_token: Some(Secret::new("CAIS/+token==~*")),
    };
    read(&answer, noon(), &sent, Some(&credentials))
}

fn refused(status: u16, body: &str) -> Refusal {
    match read_answer(status, body) {
        Err(Cause::Refused(refusal)) => *refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_success_is_an_object_with_a_request_id() {
    let bodies = [
        r#"{"RequestId":"1","Name":"x"}"#,
        "\u{feff}  {\"RequestId\":\"1\",\"Name\":\"x\"}\n",
        r#"{"requestId":"1","Name":"x"}"#,
        r#"{"RequestId":"1","Name":"x","Code":"200"}"#,
        r#"{"RequestId":"1","Name":"x","Code":200}"#,
        r#"{"RequestId":"1","Name":"x","Code":"ok"}"#,
        r#"{"RequestId":"1","Name":"x","code":"Success"}"#,
        r#"{"RequestId":"1","Name":"x","Code":""}"#,
        r#"{"RequestId":"1","Name":"x","Code":null}"#,
    ];
    for body in bodies {
        let value = read_answer(200, body).unwrap_or_else(|cause| panic!("{body}: {cause}"));
        assert_eq!(text(&value, "Name").as_deref(), Some("x"), "{body}");
    }
}

#[test]
fn what_is_not_of_this_api_is_no_success() {
    let bodies = [
        "",
        "{}",
        "null",
        "[]",
        "\"RequestId\"",
        "{\"RequestId\":\"1\"",
        r#"{"RequestId":""}"#,
        "<html><code>200</code>Welcome to the hotel's network</html>",
        "<Response><RequestId>1</RequestId></Response>",
    ];
    for body in bodies {
        for status in [200, 302, 404, 502] {
            match read_answer(status, body) {
                Err(Cause::Unreadable { status: read, .. }) => assert_eq!(read, status),
                other => panic!("{status} {body}: {other:?}"),
            }
        }
    }
    let unsuccessful = read_answer(500, r#"{"RequestId":"1"}"#);
    assert!(matches!(unsuccessful, Err(Cause::Unreadable { .. })));
}

#[test]
fn a_refusal_is_read_from_json_and_xml_whatever_the_status() {
    let bodies = [
        r#"{"RequestId":"R-1","HostId":"h","Code":"Certificate.Expired","Message":"Too <old>.","Recommend":"https://x"}"#,
        r#"{"requestId":"R-1","code":"certificate.expired","message":"Too <old>."}"#,
        "<?xml version='1.0' encoding='UTF-8'?><Error><RequestId>R-1</RequestId><HostId>h</HostId>\
         <Code>Certificate.Expired</Code><Message>Too &lt;old&gt;.</Message></Error>",
        "<Other>\n <Code> Certificate.Expired </Code>\n <RequestId>R-1</RequestId>\n\
         <Message><![CDATA[Too <old>.]]></Message></Other>",
    ];
    for body in bodies {
        for status in [200, 400, 500] {
            let refusal = refused(status, body);
            assert_eq!(refusal.code, Code::CertificateExpired, "{body}");
            assert_eq!(refusal.message.as_deref(), Some("Too <old>."), "{body}");
            assert_eq!(refusal.request_id.as_deref(), Some("R-1"), "{body}");
            assert_eq!(refusal.status, status);
            assert_eq!(refusal.sent, ["DomainName", "SSLPri"]);
        }
    }
}

#[test]
fn the_permission_that_is_missing_is_named() {
    let refusal = refused(
        403,
        r#"{"RequestId":"1","Code":"NoPermission","Message":"You are not authorized.",
            "AccessDeniedDetail":{"AuthAction":"vod:SetVodDomainSSLCertificate"}}"#,
    );
    assert!(
        refusal
            .to_string()
            .contains("permission needed: vod:SetVodDomainSSLCertificate")
    );
}

#[test]
fn a_refusal_without_message_or_id_is_one_all_the_same() {
    let refusal = refused(400, r#"{"Code":"Key.Malformed"}"#);
    assert_eq!(
        (refusal.message.clone(), refusal.request_id.clone()),
        (None, None)
    );
    assert_eq!(refusal.to_string(), "refused as Key.Malformed (HTTP 400)");
}

#[test]
fn no_secret_of_the_request_is_kept_of_a_refusal() {
    let key = key_pem();
    let once = percent_encode(&key);
    let twice = percent_encode(&once);
    for written in [&key, &once, &twice] {
        for code in ["Decode.Error", "New.Code", "SignatureDoesNotMatch"] {
            let echo = format!("before {written} CAIS/+token==~* {KEY_SECRET} after");
            let body = json!({
                "Code": code,
                "Message": echo,
                "RequestId": echo,
                "AccessDeniedDetail": { "AuthAction": echo },
            });
            let refusal = refused(400, &body.to_string());
            for shown in [refusal.to_string(), format!("{refusal:?}")] {
                for secret in [&written[400..420], "CAIS/+token==~*", KEY_SECRET] {
                    assert!(!shown.contains(secret), "{code}: {shown}");
                }
            }
        }
    }
    let echoing = refused(400, &json!({ "Code": once }).to_string());
    assert!(!format!("{echoing:?}").contains(&once[400..420]));
}

#[test]
fn the_message_of_a_signature_code_is_dropped_whole() {
    for code in [
        "SignatureDoesNotMatch",
        "incompletesignature",
        "InvalidAccessKeySecret",
    ] {
        let body = json!({ "Code": code, "Message": "Specified signature …", "RequestId": "R-1" });
        let refusal = refused(400, &body.to_string());
        assert_eq!(refusal.message, None, "{code}");
        assert_eq!(refusal.request_id.as_deref(), Some("R-1"), "{code}");
        assert_eq!(refusal.code_text, code);
    }
}

#[test]
fn fields_are_read_whatever_their_type() {
    let value = json!({
        "Text": "x", "Empty": "", "Number": 7, "Null": null, "NumberAsText": " 8 ",
        "Deep": { "List": [{ "A": 1 }, { "A": 2 }], "Single": { "A": 3 }, "None": "" },
    });
    for (field, expected) in [
        ("Text", Some("x")),
        ("Number", Some("7")),
        ("Empty", None),
        ("Null", None),
        ("Deep", None),
        ("Missing", None),
    ] {
        assert_eq!(text(&value, field).as_deref(), expected, "{field}");
    }
    for (pointer, expected) in [
        ("/Number", Some(7)),
        ("/NumberAsText", Some(8)),
        ("/Text", None),
        ("/Missing", None),
    ] {
        assert_eq!(number(&value, pointer), expected, "{pointer}");
    }
    for (pointer, expected) in [
        ("/Deep/List", vec![1, 2]),
        ("/Deep/Single", vec![3]),
        ("/Deep/None", vec![]),
        ("/Deep/Missing", vec![]),
    ] {
        let found: Vec<u64> = items(&value, pointer)
            .iter()
            .filter_map(|item| number(item, "/A"))
            .collect();
        assert_eq!(found, expected, "{pointer}");
    }
}

#[test]
fn entities_are_undone_once() {
    assert_eq!(unescape("&amp;lt;&quot;&#10;&apos;"), "&lt;\"\n'");
    assert_eq!(xml_element("<Code></Code>", "Code"), None);
    assert_eq!(xml_element("<Code>x", "Code"), None);
}
