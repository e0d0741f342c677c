use serde_json::{Value, json};

use super::super::testing::{Bench, Reply};
use super::*;

const FQDN: &str = "_acme-challenge.v.example.com";
const VALUE: &str = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ";

fn place() -> RecordName {
    Zone::named("example.com")
        .unwrap()
        .record_name(FQDN)
        .unwrap()
}

fn zones(names: &[(&str, &str)]) -> Reply {
    let zones: Vec<Value> = names
        .iter()
        .map(|(name, punycode)| json!({ "DomainName": name, "PunyCode": punycode }))
        .collect();
    let total = zones.len();
    let body = json!({ "RequestId": "1", "TotalCount": total, "Domains": { "Domain": zones } });
    Reply::ok(&body.to_string())
}

fn records(records: &[(&str, &str, &str, &str)]) -> Reply {
    let records: Vec<Value> = records
        .iter()
        .map(|(id, rr, kind, value)| {
            json!({ "RecordId": id, "RR": rr, "Type": kind, "Value": value, "TTL": 600 })
        })
        .collect();
    let body = json!({
        "RequestId": "1", "TotalCount": records.len(), "DomainRecords": { "Record": records },
    });
    Reply::ok(&body.to_string())
}

fn added(id: &str) -> Reply {
    Reply::ok(&json!({ "RequestId": "1", "RecordId": id }).to_string())
}

#[test]
fn a_name_lies_in_a_zone_or_not() {
    for (zone, fqdn, rr) in [
        (
            "example.com",
            "_acme-challenge.v.example.com",
            Some("_acme-challenge.v"),
        ),
        (
            "Example.COM.",
            "_ACME-challenge.V.example.com.",
            Some("_acme-challenge.v"),
        ),
        (
            "v.example.com",
            "_acme-challenge.v.example.com",
            Some("_acme-challenge"),
        ),
        ("example.com", "example.com", Some("@")),
        (
            "例子.com",
            "_acme-challenge.xn--fsqu00a.com",
            Some("_acme-challenge"),
        ),
        ("example.com", "_acme-challenge.notexample.com", None),
        ("example.com", "example.com.evil.test", None),
        ("example.com", "com", None),
        ("example.com", "", None),
    ] {
        let name = Zone::named(zone).unwrap().record_name(fqdn);
        assert_eq!(name.as_ref().map(|name| &*name.rr), rr, "{fqdn} in {zone}");
    }
    for name in ["", ".", "com"] {
        assert_eq!(Zone::named(name), None, "{name:?}");
    }
}

#[tokio::test]
async fn the_longest_zone_of_the_account_holds_the_name() {
    let bench = Bench::new(vec![zones(&[
        ("com", ""),
        ("example.com", "example.com"),
        ("v.example.com", ""),
        ("a.v.example.com", ""),
    ])]);
    let name = bench.client.zones(&[]).locate(FQDN).await.unwrap().unwrap();
    assert_eq!(name.zone().as_str(), "v.example.com");
    assert_eq!(name.rr, "_acme-challenge");
    let form = bench.forms().remove(0);
    assert_eq!(
        (&*form["Action"], &*form["Version"]),
        ("DescribeDomains", "2015-01-09")
    );
}

#[tokio::test]
async fn a_zone_with_unicode_is_matched_by_its_a_labels_and_named_as_the_api_does() {
    let bench = Bench::new(vec![
        zones(&[("例子.com", "xn--fsqu00a.com")]),
        added("7"),
        records(&[]),
    ]);
    let fqdn = "_acme-challenge.v.xn--fsqu00a.com";
    let name = bench.client.zones(&[]).locate(fqdn).await.unwrap().unwrap();
    bench.client.add_txt(&name, VALUE).await.unwrap();
    bench.client.find_txt(&name, VALUE).await.unwrap();
    let forms = bench.forms();
    assert_eq!(forms[1]["DomainName"], "例子.com");
    assert_eq!(forms[1]["RR"], "_acme-challenge.v");
    assert_eq!(forms[2]["SubDomain"], "_acme-challenge.v.例子.com");
}

#[tokio::test]
async fn a_name_in_no_zone_is_nowhere() {
    let bench = Bench::new(vec![zones(&[("example.org", "")])]);
    assert_eq!(bench.client.zones(&[]).locate(FQDN).await.unwrap(), None);
}

#[tokio::test]
async fn a_configured_zone_needs_no_call() {
    let bench = Bench::new(vec![]);
    let configured = ["example.org", "example.com"].map(|name| Zone::named(name).unwrap());
    let name = bench.client.zones(&configured).locate(FQDN).await.unwrap();
    assert_eq!(name, Some(place()));
    assert!(bench.requests().is_empty());
}

#[tokio::test]
async fn names_are_tried_where_zones_may_not_be_listed() {
    let bench = Bench::new(vec![
        Reply::refusal(403, "Forbidden.RAM", "Not for you."),
        Reply::refusal(400, "InvalidDomainName.NoExist", ""),
        Reply::refusal(403, "Forbidden.RAM", "Not for you."),
        records(&[]),
    ]);
    let name = bench.client.zones(&[]).locate(FQDN).await.unwrap();
    assert_eq!(name, Some(place()));
    let tried: Vec<String> = bench
        .forms()
        .into_iter()
        .filter_map(|mut form| form.remove("DomainName"))
        .collect();
    assert_eq!(tried, [FQDN, "v.example.com", "example.com"]);
}

#[tokio::test]
async fn a_refusal_of_every_name_is_reported() {
    let forbidden = || Reply::refusal(403, "Forbidden", "");
    let unknown = || Reply::refusal(400, "IncorrectDomainUser", "");
    let bench = Bench::new(vec![forbidden(), unknown(), forbidden(), unknown()]);
    let error = bench.client.zones(&[]).locate(FQDN).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Forbidden));
    assert_eq!(error.action, Action::DescribeDomainRecords);

    let bench = Bench::new(vec![forbidden(), unknown(), unknown(), unknown()]);
    assert_eq!(bench.client.zones(&[]).locate(FQDN).await.unwrap(), None);
}

#[tokio::test]
async fn any_other_failure_ends_the_search() {
    let bench = Bench::new(vec![
        Reply::refusal(403, "Forbidden", ""),
        Reply::refusal(400, "Throttling.User", ""),
    ]);
    let error = bench.client.zones(&[]).locate(FQDN).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::ThrottlingUser));

    let bench = Bench::new(vec![Reply::Drop]);
    let error = bench.client.zones(&[]).locate(FQDN).await.unwrap_err();
    assert_eq!(error.label(), "connection-broken");
}

#[tokio::test]
async fn a_record_is_added() {
    let bench = Bench::new(vec![added("9999985")]);
    let id = bench.client.add_txt(&place(), VALUE).await.unwrap();
    assert_eq!(id, RecordId::new("9999985"));
    let form = bench.forms().remove(0);
    for (name, value) in [
        ("Action", "AddDomainRecord"),
        ("DomainName", "example.com"),
        ("RR", "_acme-challenge.v"),
        ("Type", "TXT"),
        ("Value", VALUE),
        ("TTL", "600"),
    ] {
        assert_eq!(form[name], value, "{name}");
    }
}

#[tokio::test]
async fn a_record_that_exists_already_is_found_again() {
    let bench = Bench::new(vec![
        Reply::refusal(
            400,
            "DomainRecordDuplicate",
            "The DNS record already exists.",
        ),
        records(&[
            ("1", "_acme-challenge.v", "TXT", "another value"),
            ("2", "_acme-challenge.v", "CNAME", VALUE),
            ("3", "_acme-challenge.w", "TXT", VALUE),
            ("4", "_ACME-challenge.v", "TXT", VALUE),
        ]),
    ]);
    let id = bench.client.add_txt(&place(), VALUE).await.unwrap();
    assert_eq!(id, RecordId::new("4"));
    let form = bench.forms().remove(1);
    assert_eq!(form["Action"], "DescribeSubDomainRecords");
    assert_eq!(
        (&*form["SubDomain"], &*form["DomainName"]),
        (FQDN, "example.com")
    );
}

#[tokio::test]
async fn a_record_that_exists_but_is_not_listed_is_reported_as_such() {
    let bench = Bench::new(vec![
        Reply::refusal(400, "DomainRecordDuplicate", ""),
        records(&[]),
    ]);
    let error = bench.client.add_txt(&place(), VALUE).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::RecordDuplicate));
    assert_eq!(error.action, Action::AddDomainRecord);
}

#[tokio::test]
async fn a_record_without_an_id_may_have_been_added() {
    let bench = Bench::new(vec![Reply::ok(r#"{"RequestId":"1"}"#)]);
    let error = bench.client.add_txt(&place(), VALUE).await.unwrap_err();
    assert!(error.may_have_happened());
}

#[tokio::test]
async fn a_record_of_the_zone_itself_is_looked_for_under_its_name() {
    let bench = Bench::new(vec![records(&[("5", "@", "TXT", VALUE)])]);
    let zone = Zone::named("example.com").unwrap();
    let name = zone.record_name("example.com").unwrap();
    let id = bench.client.find_txt(&name, VALUE).await.unwrap();
    assert_eq!(id, Some(RecordId::new("5")));
    assert_eq!(bench.forms()[0]["SubDomain"], "example.com");
}

#[tokio::test]
async fn a_record_that_is_gone_counts_as_deleted() {
    for (reply, deleted) in [
        (added("7"), true),
        (Reply::refusal(400, "DomainRecordNotBelongToUser", ""), true),
        (Reply::refusal(400, "InvalidRR.NoExist", ""), true),
        (Reply::refusal(400, "LastOperationNotFinished", ""), false),
        (Reply::Drop, false),
    ] {
        let bench = Bench::new(vec![reply]);
        let result = bench.client.delete_record(&RecordId::new("7")).await;
        assert_eq!(result.is_ok(), deleted, "{result:?}");
        let form = bench.forms().remove(0);
        assert_eq!(
            (&*form["Action"], &*form["RecordId"]),
            ("DeleteDomainRecord", "7")
        );
    }
}
