//! The reading actions of VOD.

use serde_json::json;

use super::*;
use crate::world::DomainStatus;

const DOMAIN: &str = "v.example.com";

async fn read(gateway: &Gateway, action: &str, given: &[(&str, &str)]) -> Value {
    let answer = call(gateway, action, given).await;
    assert_eq!(answer.status, 200, "{action}: {}", answer.text);
    answer.json()
}

async fn code(gateway: &Gateway, action: &str, given: &[(&str, &str)]) -> String {
    call(gateway, action, given).await.verdict().1
}

#[tokio::test]
async fn certificate_info_shows_production() {
    const ACTION: &str = "DescribeVodDomainCertificateInfo";
    let (world, gateway) = started().await;
    let given = [("DomainName", DOMAIN)];
    let before = read(&gateway, ACTION, &given).await;
    assert_eq!(before["CertInfos"]["CertInfo"], json!([]));

    let forged = forged(DOMAIN);
    call(&gateway, SET, &upload(DOMAIN, "first", &forged)).await;
    let body = read(&gateway, ACTION, &given).await;
    let info = &body["CertInfos"]["CertInfo"][0];
    assert_eq!(info["CertName"], "first");
    assert_eq!(info["CertType"], "upload");
    assert_eq!(info["ServerCertificateStatus"], "on");
    assert_eq!(info["ServerCertificate"], forged.chain_pem);
    assert_eq!(info["Status"], "");
    assert_eq!(info["CertId"], world.certificates()[0].id.to_string());
    assert!(info["CertExpireTime"].as_str().unwrap().ends_with('Z'));

    call(
        &gateway,
        SET,
        &[("DomainName", DOMAIN), ("SSLProtocol", "off")],
    )
    .await;
    let body = read(&gateway, ACTION, &given).await;
    assert_eq!(
        body["CertInfos"]["CertInfo"][0]["ServerCertificateStatus"],
        "off"
    );
    let unknown = call(&gateway, ACTION, &[("DomainName", "x")]).await;
    assert_eq!(
        unknown.verdict(),
        (404, "InvalidDomain.NotFound".to_owned())
    );
}

#[tokio::test]
async fn a_staged_certificate_is_not_shown() {
    let (_world, gateway) = started().await;
    let forged = forged(DOMAIN);
    let mut given = upload(DOMAIN, "first", &forged);
    given.push(("Env", "staging"));
    call(&gateway, SET, &given).await;
    let given = [("DomainName", DOMAIN)];
    let info = read(&gateway, "DescribeVodDomainCertificateInfo", &given).await;
    assert_eq!(info["CertInfos"]["CertInfo"], json!([]));
    let detail = read(&gateway, "DescribeVodDomainDetail", &given).await;
    assert_eq!(detail["DomainDetail"]["SSLProtocol"], "off");
}

#[tokio::test]
async fn detail_shows_the_certificate_only_if_https_is_on() {
    const ACTION: &str = "DescribeVodDomainDetail";
    let (world, gateway) = started().await;
    world.set_status(DOMAIN, DomainStatus::Configuring);
    let given = [("DomainName", DOMAIN)];
    let body = read(&gateway, ACTION, &given).await;
    let detail = &body["DomainDetail"];
    assert_eq!(detail["DomainStatus"], "configuring");
    assert_eq!(detail["SSLProtocol"], "off");
    assert_eq!(detail.get("CertName"), None);

    world.set_status(DOMAIN, DomainStatus::Online);
    let forged = forged(DOMAIN);
    call(&gateway, SET, &upload(DOMAIN, "first", &forged)).await;
    let body = read(&gateway, ACTION, &given).await;
    assert_eq!(body["DomainDetail"]["CertName"], "first");
    assert_eq!(body["DomainDetail"]["SSLPub"], forged.chain_pem);
    assert_eq!(
        code(&gateway, ACTION, &[("DomainName", "x")]).await,
        "InvalidDomain.NotFound"
    );
}

#[tokio::test]
async fn stored_certificates_are_found_by_name_and_domain() {
    const ACTION: &str = "DescribeVodSSLCertificateList";
    let (world, gateway) = started().await;
    let (one, wild) = (forged(DOMAIN), forged("*.example.com"));
    call(&gateway, SET, &upload(DOMAIN, "one", &one)).await;
    call(&gateway, SET, &upload(DOMAIN, "wild", &wild)).await;
    let cases: &[(Pairs, &[&str])] = &[
        (&[], &["one", "wild"]),
        (&[("SearchKeyword", "il")], &["wild"]),
        (&[("DomainName", DOMAIN)], &["one", "wild"]),
        (&[("DomainName", "w.example.com")], &["wild"]),
        (&[("DomainName", "a.w.example.com")], &[]),
        (&[("PageSize", "1"), ("PageNumber", "2")], &["wild"]),
    ];
    for (given, expected) in cases {
        let body = read(&gateway, ACTION, given).await;
        let list = body["CertificateListModel"]["CertList"]["Cert"]
            .as_array()
            .unwrap();
        let names: Vec<&str> = list
            .iter()
            .map(|entry| entry["CertName"].as_str().unwrap())
            .collect();
        assert_eq!(&names, expected, "{given:?}");
    }
    let body = read(&gateway, ACTION, &[]).await;
    assert_eq!(
        body["CertificateListModel"]["Count"], "2",
        "a number as text"
    );
    let entry = &body["CertificateListModel"]["CertList"]["Cert"][0];
    let leaf = world.certificates()[0].pair.leaf().clone();
    assert_eq!(entry["Fingerprint"], leaf.sha1.to_uppercase());
    let too_many = code(&gateway, ACTION, &[("PageSize", "1001")]).await;
    assert_eq!(too_many, "InvalidPageSize.ValueNotSupported");
}

#[tokio::test]
async fn domains_are_searched_and_paged() {
    const ACTION: &str = "DescribeVodUserDomains";
    let (world, gateway) = started().await;
    world.add_domain(".example.com");
    world.set_status("w.example.com", DomainStatus::Offline);
    let cases: &[(Pairs, &[&str])] = &[
        (&[], &[".example.com", DOMAIN, "w.example.com"]),
        (&[("DomainName", "w.ex")], &["w.example.com"]),
        (
            &[("DomainName", "v"), ("DomainSearchType", "pre_match")],
            &[DOMAIN],
        ),
        (
            &[("DomainName", "com"), ("DomainSearchType", "pre_match")],
            &[],
        ),
        (
            &[
                ("DomainName", "com"),
                ("DomainSearchType", "suf_match"),
                ("PageSize", "1"),
            ],
            &[".example.com"],
        ),
        (
            &[("DomainName", DOMAIN), ("DomainSearchType", "full_match")],
            &[DOMAIN],
        ),
        (&[("DomainStatus", "offline")], &["w.example.com"]),
        (
            &[("PageSize", "2"), ("PageNumber", "2")],
            &["w.example.com"],
        ),
    ];
    for (given, expected) in cases {
        let body = read(&gateway, ACTION, given).await;
        let list = body["Domains"]["PageData"].as_array().unwrap();
        let names: Vec<&str> = list
            .iter()
            .map(|entry| entry["DomainName"].as_str().unwrap())
            .collect();
        assert_eq!(&names, expected, "{given:?}");
    }
    let body = read(&gateway, ACTION, &[("PageSize", "1")]).await;
    assert_eq!(body["TotalCount"], "3", "a number as text");
    assert_eq!(body["Domains"]["PageData"][0]["SslProtocol"], "off");
    let refusals = [
        ("PageSize", "51", "InvalidPageSize.ValueNotSupported"),
        ("PageNumber", "0", "InvalidPageNumber.ValueNotSupported"),
        (
            "DomainStatus",
            "on",
            "InvalidDomainStatus.ValueNotSupported",
        ),
        (
            "DomainSearchType",
            "x",
            "InvalidDomainSearchType.ValueNotSupported",
        ),
    ];
    for (name, value, expected) in refusals {
        assert_eq!(code(&gateway, ACTION, &[(name, value)]).await, expected);
    }
}
