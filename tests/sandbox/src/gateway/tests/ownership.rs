//! `DescribeVodVerifyContent` and `VerifyVodDomainOwner`.

use super::*;
use crate::world::RecordKind;

const DOMAIN: &str = "v.example.com";

async fn verify(gateway: &Gateway) -> Value {
    let given = [("DomainName", DOMAIN), ("VerifyType", "dnsCheck")];
    let answer = call(gateway, "VerifyVodDomainOwner", &given).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn who_owns_a_domain_is_proven_by_a_record_of_its_zone() {
    let (world, gateway) = started().await;
    world.doubt_owner(DOMAIN);
    let forged = forged(DOMAIN);
    let install = upload(DOMAIN, "first", &forged);
    let refused = call(&gateway, SET, &install).await.verdict();
    assert_eq!(refused, (400, "DomainOwnerVerifyFail".to_owned()));

    let asked = call(
        &gateway,
        "DescribeVodVerifyContent",
        &[("DomainName", DOMAIN)],
    )
    .await;
    let content = asked.json()["Content"].as_str().unwrap().to_owned();
    assert_eq!(verify(&gateway).await["Content"], content, "not there yet");
    let (zone, kind) = ("example.com", RecordKind::Txt);
    world.add_record(zone, "verification", kind, "something else");
    assert_eq!(verify(&gateway).await["Content"], content, "another one");
    world.add_record(zone, "_verification", kind, &content);
    assert_eq!(verify(&gateway).await["Content"], content, "elsewhere");
    world.add_record(zone, "verification", kind, &content);
    assert_eq!(verify(&gateway).await.get("Content"), None);
    assert_eq!(call(&gateway, SET, &install).await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_checked_is_refused() {
    let (_, gateway) = started().await;
    let unknown = ("DomainName", "x.example.com");
    let cases = [
        ("DescribeVodVerifyContent", vec![unknown], 404),
        (
            "VerifyVodDomainOwner",
            vec![unknown, ("VerifyType", "dnsCheck")],
            404,
        ),
        ("VerifyVodDomainOwner", vec![("DomainName", DOMAIN)], 400),
        (
            "VerifyVodDomainOwner",
            vec![("DomainName", DOMAIN), ("VerifyType", "fileCheck")],
            400,
        ),
    ];
    for (action, given, status) in cases {
        let answer = call(&gateway, action, &given).await;
        assert_eq!(answer.status, status, "{action} {given:?}");
    }
}
