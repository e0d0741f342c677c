use std::collections::BTreeMap;

use serde_json::json;

use super::super::code::Code;
use super::super::testing::{Bench, KEY_SECRET, Reply, key_pem, noon};
use super::*;
use crate::aliyun::sign::percent_encode;

const OK: &str = r#"{"RequestId":"request-1"}"#;

/// A leaf in PEM, and what it says.
fn pem_of_a_leaf() -> (String, Leaf) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let params = rcgen::CertificateParams::new(vec!["v.example.com".into()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (
        certificate.pem(),
        Leaf::from_der(certificate.der()).unwrap(),
    )
}

fn domain() -> AccelerationDomain {
    "v.example.com".parse().unwrap()
}

fn name() -> CertName {
    "vodcertd-video-1".parse().unwrap()
}

fn upload() -> SetCertificate {
    SetCertificate {
        domain: domain(),
        https: Https::Upload {
            cert_name: name(),
            chain_pem: "the chain".into(),
            key_pem: Secret::new(key_pem()),
        },
        env: Env::Production,
    }
}

fn stored() -> StoredCertificate {
    StoredCertificate {
        cert_id: CertId(12_342_707),
        cert_name: name(),
        cert_region: CertRegion::ApSoutheast1,
    }
}

/// What is sent beside the public parameters.
async fn sent(call: &SetCertificate) -> BTreeMap<String, String> {
    let bench = Bench::new(vec![Reply::ok(OK)]);
    bench.client.set_vod_certificate(call).await.unwrap();
    let mut form = bench.forms().remove(0);
    assert_eq!(form["Action"], "SetVodDomainSSLCertificate");
    assert_eq!(form["Version"], "2017-03-21");
    let public = |name: &str| {
        name.starts_with("Signature")
            || ["AccessKeyId", "Action", "Format", "Timestamp", "Version"].contains(&name)
    };
    form.retain(|name, _| !public(name));
    form
}

fn parameters<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

#[tokio::test]
async fn each_way_to_set_a_certificate_sends_its_parameters_and_no_others() {
    let key = key_pem();
    let expected = parameters([
        ("DomainName", "v.example.com"),
        ("SSLProtocol", "on"),
        ("CertType", "upload"),
        ("CertName", "vodcertd-video-1"),
        ("SSLPub", "the chain"),
        ("SSLPri", &key),
    ]);
    assert_eq!(sent(&upload()).await, expected);

    let bind = SetCertificate {
        https: Https::Stored(stored()),
        ..upload()
    };
    let expected = parameters([
        ("DomainName", "v.example.com"),
        ("SSLProtocol", "on"),
        ("CertType", "cas"),
        ("CertName", "vodcertd-video-1"),
        ("CertId", "12342707"),
        ("CertRegion", "ap-southeast-1"),
    ]);
    assert_eq!(sent(&bind).await, expected);

    let off = SetCertificate {
        domain: ".example.com".parse().unwrap(),
        https: Https::Off,
        env: Env::Production,
    };
    let expected = parameters([("DomainName", ".example.com"), ("SSLProtocol", "off")]);
    assert_eq!(sent(&off).await, expected);
}

#[tokio::test]
async fn only_staging_sends_an_env() {
    for (env, expected) in [(Env::Production, None), (Env::Staging, Some("staging"))] {
        let call = SetCertificate { env, ..upload() };
        let form = sent(&call).await;
        assert_eq!(form.get("Env").map(String::as_str), expected);
    }
}

#[tokio::test]
async fn an_installation_without_a_request_id_is_not_taken_for_one() {
    for body in ["{}", "", "<html></html>", "<R><RequestId>1</RequestId></R>"] {
        let bench = Bench::new(vec![Reply::ok(body)]);
        let error = bench
            .client
            .set_vod_certificate(&upload())
            .await
            .unwrap_err();
        assert!(error.may_have_happened(), "{body}");
    }
}

#[tokio::test]
async fn a_code_with_status_200_is_a_refusal() {
    let bench = Bench::new(vec![Reply::refusal(200, "Certificate.Expired", "Too old.")]);
    let error = bench
        .client
        .set_vod_certificate(&upload())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(Code::CertificateExpired));
}

#[tokio::test]
async fn the_private_key_is_nowhere_to_be_seen() {
    let key = key_pem();
    let once = percent_encode(&key);
    let twice = percent_encode(&once);
    let echo = format!("server string to sign is:POST&%2F&SSLPri%3D{twice} {key} {once}");
    let replies = [
        Reply::refusal(400, "SignatureDoesNotMatch", &echo),
        Reply::refusal(400, "Decode.Error", &format!("{key} {once} {twice}")),
        Reply::refusal(500, "New.Code", &key[100..140]),
        Reply::Answer(502, &[], format!("<html>{key}</html>")),
        Reply::Answer(
            400,
            &[],
            format!("<Error><Code>Key.Malformed</Code><Message>{key}</Message></Error>"),
        ),
        Reply::Drop,
    ];
    let runs: Vec<&str> = [&key, &once, &twice]
        .into_iter()
        .flat_map(|form| (0..form.len() - 16).map(move |at| &form[at..at + 16]))
        .filter(|run| run.bytes().filter(u8::is_ascii_alphanumeric).count() >= 12)
        .collect();
    for reply in replies {
        let bench = Bench::new(vec![reply]);
        let call = upload();
        let error = bench.client.set_vod_certificate(&call).await.unwrap_err();
        let failure = error.failure(noon());
        let shown = format!(
            "{error} {error:?} {failure:?} {call:?} {:?} {:?} {}",
            bench.client,
            bench.client.calls(),
            serde_json::to_string(&failure).unwrap(),
        );
        for run in &runs {
            assert!(!shown.contains(run), "{run:?} in {shown}");
        }
        assert!(!shown.contains(KEY_SECRET), "{shown}");
        let request = &bench.requests()[0];
        assert!(!request.line.contains("SSLPri") && !request.head.contains("SSLPri"));
    }
}

async fn info(certificates: Value) -> Option<CertificateInfo> {
    let body = json!({ "RequestId": "1", "CertInfos": certificates }).to_string();
    let bench = Bench::new(vec![Reply::ok(&body)]);
    let info = bench.client.vod_certificate_info(&domain()).await.unwrap();
    let form = bench.forms().remove(0);
    assert_eq!(form["Action"], "DescribeVodDomainCertificateInfo");
    assert_eq!(form["DomainName"], "v.example.com");
    info
}

#[tokio::test]
async fn the_certificate_of_a_domain_is_read() {
    let (pem, expected_leaf) = pem_of_a_leaf();
    let read = info(json!({ "CertInfo": [{
        "CertName": "vodcertd-video-1", "CertId": "235437", "CertRegion": "cn-hangzhou",
        "CertType": "upload", "CertOrg": "Let's Encrypt", "CertLife": "3 months", "Status": "",
        "DomainName": "v.example.com", "CertDomainName": "v.example.com",
        "ServerCertificateStatus": "on", "CertExpireTime": "2027-02-01T13:03:39Z",
        "ServerCertificate": pem,
    }] }));
    let expected = CertificateInfo {
        cert_name: Some("vodcertd-video-1".into()),
        cert_id: Some(CertId(235_437)),
        cert_region: Some(CertRegion::CnHangzhou),
        https: Some(true),
        expires: Some("2027-02-01T13:03:39Z".parse().unwrap()),
        leaf: Some(expected_leaf),
    };
    assert_eq!(read.await, Some(expected));
}

#[tokio::test]
async fn what_is_missing_or_strange_is_left_out() {
    let cases = [
        ("no list", json!(null), None),
        ("an empty text", json!(""), None),
        ("an empty list", json!({ "CertInfo": [] }), None),
        ("an empty item", json!({ "CertInfo": [{}] }), None),
        (
            "empty fields",
            json!({ "CertInfo": [{ "CertName": "", "CertId": 0, "CertRegion": "mars",
                "ServerCertificateStatus": "", "CertExpireTime": "soon",
                "ServerCertificate": "****" }] }),
            None,
        ),
        (
            "an older form",
            json!({ "CertInfo": { "CertName": "x", "CertId": 7, "SSLProtocol": "OFF",
                "ServerCertificateStatus": "success" } }),
            Some(CertificateInfo {
                cert_name: Some("x".into()),
                cert_id: Some(CertId(7)),
                https: Some(false),
                ..CertificateInfo::default()
            }),
        ),
        (
            "several domains",
            json!({ "CertInfo": [{ "DomainName": "a.example.com", "CertName": "a" },
                { "DomainName": "V.example.com", "CertName": "v" }] }),
            Some(CertificateInfo {
                cert_name: Some("v".into()),
                ..CertificateInfo::default()
            }),
        ),
    ];
    for (case, certificates, expected) in cases {
        assert_eq!(info(certificates).await, expected, "{case}");
    }
}

#[test]
fn a_leaf_is_recognised_in_every_form_of_pem() {
    let (pem, expected) = pem_of_a_leaf();
    let forms = [
        ("as it is", pem.clone()),
        ("with other line ends", pem.replace('\n', "\r\n")),
        ("with escaped line ends", pem.replace('\n', "\\n")),
        ("with white space around", format!("\n  {pem}\n")),
        (
            "with a chain behind that is cut off",
            format!("{pem}-----BEGIN CERT"),
        ),
        ("with a chain behind", format!("{pem}{}", pem_of_a_leaf().0)),
    ];
    for (case, text) in forms {
        let value = json!({ "SSLPub": text });
        assert_eq!(leaf(&value, "SSLPub"), Some(expected.clone()), "{case}");
    }
    for text in ["", "****", "-----END CERTIFICATE-----", &pem[..60]] {
        assert_eq!(leaf(&json!({ "SSLPub": text }), "SSLPub"), None);
    }
}

#[tokio::test]
async fn the_state_of_a_domain_is_read() {
    let (pem, expected_leaf) = pem_of_a_leaf();
    let body = json!({ "RequestId": "1", "DomainDetail": {
        "DomainName": "v.example.com", "DomainStatus": "online", "Cname": "v.example.com.w.test",
        "SSLProtocol": "on", "CertName": "vodcertd-video-1", "SSLPub": pem, "Weight": "1",
    } });
    let bench = Bench::new(vec![Reply::ok(&body.to_string()), Reply::ok(OK)]);
    let detail = bench.client.vod_domain_detail(&domain()).await.unwrap();
    let expected = DomainDetail {
        status: DomainStatus::Online,
        cname: Some("v.example.com.w.test".into()),
        https: Some(true),
        cert_name: Some("vodcertd-video-1".into()),
        leaf: Some(expected_leaf),
    };
    assert_eq!(detail, expected);
    assert_eq!(bench.forms()[0]["Action"], "DescribeVodDomainDetail");

    let error = bench.client.vod_domain_detail(&domain()).await.unwrap_err();
    assert_eq!(error.label(), "http-200");
}

#[test]
fn every_documented_status_of_a_domain_is_known() {
    for (text, status) in [
        ("online", DomainStatus::Online),
        ("offline", DomainStatus::Offline),
        ("configuring", DomainStatus::Configuring),
        ("configure_failed", DomainStatus::ConfigureFailed),
        ("checking", DomainStatus::Checking),
        ("check_failed", DomainStatus::CheckFailed),
        ("", DomainStatus::Other(String::new())),
    ] {
        assert_eq!(DomainStatus::from(text.to_owned()), status, "{text}");
    }
}

#[tokio::test]
async fn a_stored_certificate_is_found_by_its_exact_name() {
    let item = |id: Value, name: &str, region: &str| json!({ "CertId": id, "CertName": name, "CertRegion": region, "LastTime": 1 });
    let page = |items: Vec<Value>| {
        let list = json!({ "Count": "4", "PageNumber": 1, "CertList": { "Cert": items } });
        Reply::ok(&json!({ "RequestId": "1", "CertificateListModel": list }).to_string())
    };
    let bench = Bench::new(vec![
        page(vec![
            item(json!(1), "vodcertd-video-10", "cn-hangzhou"),
            item(json!(2), "vodcertd-video-1", "mars"),
        ]),
        page(vec![
            item(json!("3"), "VODCERTD-video-1", "cn-hangzhou"),
            item(json!("12342707"), "vodcertd-video-1", "ap-southeast-1"),
        ]),
    ]);
    let found = bench.client.find_stored_certificate(&name()).await.unwrap();
    assert_eq!(found, Some(stored()));
    let forms = bench.forms();
    assert_eq!(forms[0]["Action"], "DescribeVodSSLCertificateList");
    assert_eq!(forms[0]["SearchKeyword"], "vodcertd-video-1");
    assert_eq!(forms[1]["PageNumber"], "2");

    let bench = Bench::new(vec![Reply::ok(OK)]);
    let found = bench.client.find_stored_certificate(&name()).await.unwrap();
    assert_eq!(found, None);
}

#[test]
fn names_and_regions_are_what_the_service_takes() {
    for (text, valid) in [
        ("a".to_owned(), true),
        ("证".repeat(63), true),
        ("a".repeat(64), false),
        (String::new(), false),
    ] {
        assert_eq!(text.parse::<CertName>().is_ok(), valid, "{text}");
    }
    assert_eq!("cn-hangzhou".parse(), Ok(CertRegion::default()));
    assert_eq!("ap-southeast-1".parse(), Ok(CertRegion::ApSoutheast1));
    assert!("cn-shanghai".parse::<CertRegion>().is_err());
}
