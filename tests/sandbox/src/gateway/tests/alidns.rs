//! The actions of Alidns.

use super::*;
use crate::world::RecordKind;

const ZONE: (&str, &str) = ("DomainName", "example.com");
const TXT: (&str, &str) = ("Type", "TXT");

async fn add(gateway: &Gateway, given: &[(&str, &str)]) -> Answer {
    let given: Vec<_> = [ZONE, TXT].iter().chain(given).copied().collect();
    call(gateway, "AddDomainRecord", &given).await
}

async fn code(gateway: &Gateway, action: &str, given: &[(&str, &str)]) -> String {
    call(gateway, action, given).await.verdict().1
}

/// The values of the records that a reading action lists.
async fn values(gateway: &Gateway, action: &str, given: &[(&str, &str)]) -> Vec<String> {
    let answer = call(gateway, action, given).await;
    assert_eq!(answer.status, 200, "{action}: {}", answer.text);
    let body = answer.json();
    let list = body["DomainRecords"]["Record"].as_array().unwrap();
    list.iter()
        .map(|entry| entry["Value"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_record_lives_from_add_to_delete() {
    let (world, gateway) = started().await;
    let answer = add(
        &gateway,
        &[
            ("RR", "_acme-challenge.V"),
            ("Value", "aBc"),
            ("TTL", "600"),
        ],
    )
    .await;
    let id = answer.json()["RecordId"].as_str().unwrap().to_owned();
    let records = world.records("example.com");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].id.to_string(), id);
    assert_eq!(records[0].rr, "_acme-challenge.v");
    assert_eq!(records[0].value, "aBc");

    let deleted = call(&gateway, "DeleteDomainRecord", &[("RecordId", &id)]).await;
    assert_eq!(deleted.json()["RecordId"], id);
    assert!(world.records("example.com").is_empty());
    let again = code(&gateway, "DeleteDomainRecord", &[("RecordId", &id)]).await;
    assert_eq!(again, "DomainRecordNotBelongToUser");
}

#[tokio::test]
async fn two_values_share_a_name_but_no_record_exists_twice() {
    let (world, gateway) = started().await;
    let name = ("RR", "_acme-challenge");
    for (value, expected) in [("a", ""), ("b", ""), ("a", "DomainRecordDuplicate")] {
        let answer = add(&gateway, &[name, ("Value", value)]).await;
        assert_eq!(answer.verdict().1, expected, "{value}");
    }
    assert_eq!(world.records("example.com").len(), 2);
}

#[tokio::test]
async fn records_that_break_a_rule_are_refused() {
    let (world, gateway) = started().await;
    world.add_record("example.com", "alias", RecordKind::Cname, "x.example.net");
    let (value, rr) = (("Value", "v"), ("RR", "r"));
    let cases: &[(&str, Pairs, &str)] = &[
        ("no name", &[value], "MissingParameter"),
        ("no value", &[rr], "MissingParameter"),
        (
            "unknown zone",
            &[rr, value, ("DomainName", "example.net")],
            "InvalidDomainName.NoExist",
        ),
        (
            "unknown type",
            &[rr, value, ("Type", "WKS")],
            "InvalidParameter",
        ),
        (
            "no address",
            &[rr, value, ("Type", "A")],
            "SubDomainInvalid.Value",
        ),
        (
            "beside an alias",
            &[value, ("RR", "alias")],
            "DomainRecordConflict",
        ),
        (
            "a TTL below the edition's",
            &[rr, value, ("TTL", "599")],
            "QuotaExceeded.TTL",
        ),
        (
            "a TTL above a day",
            &[rr, value, ("TTL", "86401")],
            "QuotaExceeded.TTL",
        ),
        (
            "a negative TTL",
            &[rr, value, ("TTL", "-1")],
            "QuotaExceeded.TTL",
        ),
    ];
    for (case, given, expected) in cases {
        assert_eq!(add(&gateway, given).await.verdict().1, *expected, "{case}");
    }
    assert_eq!(world.records("example.com").len(), 1);
}

#[tokio::test]
async fn records_are_searched_by_zone() {
    const ACTION: &str = "DescribeDomainRecords";
    let (world, gateway) = started().await;
    for (rr, value) in [
        ("_acme-challenge", "a"),
        ("_acme-challenge.v", "b"),
        ("w", "1.1.1.1"),
    ] {
        let kind = if rr == "w" {
            RecordKind::A
        } else {
            RecordKind::Txt
        };
        world.add_record("example.com", rr, kind, value);
    }
    let keyword = ("RRKeyWord", "_acme-challenge");
    let cases: &[(Pairs, &[&str])] = &[
        (&[], &["a", "b", "1.1.1.1"]),
        (&[keyword], &["a", "b"]),
        (&[keyword, ("SearchMode", "EXACT")], &["a"]),
        (&[("TypeKeyWord", "A")], &["1.1.1.1"]),
        (&[("ValueKeyWord", "B")], &["b"]),
        (&[("Line", "telecom")], &[]),
        (&[("PageSize", "2"), ("PageNumber", "2")], &["1.1.1.1"]),
    ];
    for (given, expected) in cases {
        let given: Vec<_> = std::iter::once(&ZONE).chain(*given).copied().collect();
        assert_eq!(
            &values(&gateway, ACTION, &given).await,
            expected,
            "{given:?}"
        );
    }
    let elsewhere = code(&gateway, ACTION, &[("DomainName", "example.net")]).await;
    assert_eq!(elsewhere, "InvalidDomainName.NoExist");
    let too_many = code(&gateway, ACTION, &[ZONE, ("PageSize", "501")]).await;
    assert_eq!(too_many, "InvalidParameter");
}

#[tokio::test]
async fn records_of_one_name_are_found_by_the_whole_name() {
    const ACTION: &str = "DescribeSubDomainRecords";
    let (world, gateway) = started().await;
    world.add_zone("sub.example.com");
    world.add_record("example.com", "a", RecordKind::Txt, "text");
    world.add_record("example.com", "a", RecordKind::A, "1.1.1.1");
    world.add_record("sub.example.com", "a", RecordKind::Txt, "below");
    let name = ("SubDomain", "a.example.com");
    assert_eq!(values(&gateway, ACTION, &[name]).await, ["text", "1.1.1.1"]);
    assert_eq!(values(&gateway, ACTION, &[name, TXT]).await, ["text"]);
    let below = ("SubDomain", "a.sub.example.com");
    assert!(
        values(&gateway, ACTION, &[below]).await.is_empty(),
        "split after two labels"
    );
    let zone = ("DomainName", "sub.example.com");
    assert_eq!(values(&gateway, ACTION, &[below, zone]).await, ["below"]);
}

#[tokio::test]
async fn a_zone_is_known_by_its_unicode_name_only() {
    const ACTION: &str = "DescribeSubDomainRecords";
    let (world, gateway) = started().await;
    world.add_zone("例子.com");
    let unicode = ("DomainName", "例子.com");
    let record = [("RR", "a"), ("Value", "text"), TXT];
    let add = async |zone| {
        let given: Vec<_> = record.iter().copied().chain([zone]).collect();
        code(&gateway, "AddDomainRecord", &given).await
    };
    let refused = add(("DomainName", "xn--fsqu00a.com")).await;
    assert_eq!(refused, "InvalidDomainName.NoExist");
    assert_eq!(add(unicode).await, "");
    let name = ("SubDomain", "a.例子.com");
    assert_eq!(values(&gateway, ACTION, &[name, unicode]).await, ["text"]);
    let keyword = [("KeyWord", "例子.com"), ("SearchMode", "EXACT")];
    let listed = call(&gateway, "DescribeDomains", &keyword).await.json();
    assert_eq!(
        listed["Domains"]["Domain"][0]["PunyCode"],
        "xn--fsqu00a.com"
    );
}

#[tokio::test]
async fn a_zone_of_somebody_else_is_not_in_the_account() {
    let (world, gateway) = started().await;
    world.add_foreign_zone("example.net");
    let zone = ("DomainName", "example.net");
    let unknown = code(&gateway, "DescribeDomainRecords", &[zone]).await;
    assert_eq!(unknown, "InvalidDomainName.NoExist");
    let all = call(&gateway, "DescribeDomains", &[]).await.json();
    assert_eq!(all["TotalCount"], 1);
}

#[tokio::test]
async fn edits_of_one_zone_must_not_overlap() {
    let (world, gateway) = started().await;
    world.add_zone("example.org");
    gateway.set(Settings {
        zone_edit: std::time::Duration::from_millis(200),
        ..Settings::default()
    });
    let record = |rr| [("RR", rr), ("Value", "text")];
    let (a, b, c) = (record("a"), record("b"), [("DomainName", "example.org")]);
    let elsewhere: Vec<_> = record("c").into_iter().chain(c).collect();
    let (one, two, three) = tokio::join!(
        add(&gateway, &a),
        add(&gateway, &b),
        add(&gateway, &elsewhere)
    );
    let mut codes = [one, two].map(|answer| answer.verdict().1);
    codes.sort();
    assert_eq!(codes, ["", "LastOperationNotFinished"]);
    assert_eq!(three.verdict().1, "");
    assert_eq!(add(&gateway, &record("d")).await.verdict().1, "");
}

#[tokio::test]
async fn zones_are_listed_and_described() {
    let (world, gateway) = started().await;
    world.add_zone("sub.example.com");
    let listed = |body: &Value| -> Vec<String> {
        let list = body["Domains"]["Domain"].as_array().unwrap();
        list.iter()
            .map(|zone| zone["DomainName"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = call(&gateway, "DescribeDomains", &[]).await.json();
    assert_eq!(listed(&all), ["example.com", "sub.example.com"]);
    assert_eq!(all["TotalCount"], 2);
    let exact = [("KeyWord", "example.com"), ("SearchMode", "EXACT")];
    let one = call(&gateway, "DescribeDomains", &exact).await.json();
    assert_eq!(listed(&one), ["example.com"]);

    let info = call(&gateway, "DescribeDomainInfo", &[ZONE]).await.json();
    assert_eq!(info["MinTtl"], 600);
    assert_eq!(info["AvailableTtls"]["AvailableTtl"][0], 600);
    assert_eq!(info["DnsServers"]["DnsServer"][0], "ns1.example.com");
}
