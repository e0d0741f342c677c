use std::time::Duration;

use serde_json::json;

use super::fake::{FakeCa, NOW, Reply, directory};
use crate::acme::directory::{WELL_KNOWN, fetch, well_known};
use crate::acme::transport::Transport;
use crate::acme::{AcmeError, Ca, CaUrlError, Cause, NewOrder, Operation, Order};
use crate::clock::Clock;
use crate::name::DnsName;
use crate::net::Network;
use crate::retry::{Class, Scope};
use crate::time::Timestamp;

async fn order(fake: &FakeCa) -> Result<Order, AcmeError> {
    let names = ["v.example.com".parse::<DnsName>().unwrap()].into();
    let new = NewOrder {
        names: &names,
        replaces: None,
        profile: None,
    };
    Order::begin(&fake.account().await, &new).await
}

fn code(error: &AcmeError) -> String {
    error.failure(NOW, "d").code
}

/// The library reports these as a syntax error in JSON, with neither status nor time.
#[tokio::test]
async fn an_outage_with_a_page_keeps_its_status_and_time() {
    let fake = FakeCa::start().await;
    let page = Reply::text(503, "<html>over capacity</html>").header("retry-after", "120");
    for path in ["/new-order", "/nonce", "/dir"] {
        let fake = FakeCa::start().await;
        fake.reply(path, [page.clone()]);
        let error = order(&fake).await.unwrap_err();
        let failure = error.failure(NOW, "d");
        assert_eq!(failure.code, "http-503", "{path}: {error:?}");
        assert_eq!(failure.class(1), Class::After, "{path}");
        assert_eq!(
            failure.not_before,
            Some(NOW + Duration::from_mins(2)),
            "{path}"
        );
        let directory = "d".to_owned();
        assert_eq!(failure.scope, Scope::Ca { directory }, "{path}");
    }
    fake.reply("/dir", [page]);
    let error = fetch(&fake.ca()).await.unwrap_err();
    assert_eq!(error.operation, Operation::ReadDirectory);
    assert_eq!(error.failure(NOW, "d").code, "http-503");
}

#[tokio::test]
async fn a_limit_keeps_the_time_that_it_names() {
    let detail = "too many new orders (300) from this account in the last 3h0m0s";
    let in_detail = format!("{detail}, retry after 2027-01-15 09:00:00 UTC: see x");
    let hour = NOW + Duration::from_hours(1);
    let week = NOW + Duration::from_hours(7 * 24);
    let nine: Timestamp = "2027-01-15T09:00:00Z".parse().unwrap();
    let cases = [
        ("seconds", detail, Some("3600"), Some(hour)),
        (
            "a date",
            detail,
            Some("Fri, 15 Jan 2027 09:00:00 GMT"),
            Some(nine),
        ),
        (
            "both: the header counts",
            &in_detail,
            Some("3600"),
            Some(hour),
        ),
        ("only in the explanation", &in_detail, None, Some(nine)),
        (
            "more than the library can add",
            detail,
            Some("18446744073709551615"),
            Some(week),
        ),
        (
            "more digits than fit",
            detail,
            Some("99999999999999999999999"),
            Some(week),
        ),
        ("rubbish", detail, Some("soon"), None),
        ("nothing", detail, Some(" "), None),
        ("a negative number", detail, Some("-5"), None),
    ];
    for (case, detail, header, expected) in cases {
        let fake = FakeCa::start().await;
        let mut reply = Reply::problem(429, "rateLimited", detail);
        if let Some(value) = header {
            reply = reply.header("retry-after", value);
        }
        fake.reply("/new-order", [reply]);
        let failure = order(&fake).await.unwrap_err().failure(NOW, "d");
        assert_eq!(failure.code, "rateLimited", "{case}");
        assert_eq!(failure.not_before, expected, "{case}");
        assert_eq!(failure.clamped, expected == Some(week), "{case}");
    }
}

/// A CA whose clock is an hour ahead of ours means a pause, not a moment.
#[tokio::test]
async fn a_named_date_is_moved_onto_our_clock() {
    let limited = Reply::problem(429, "rateLimited", "retry after 2027-01-15 09:30:00 UTC");
    let ahead = "Fri, 15 Jan 2027 09:00:00 GMT";
    let half_past = "Fri, 15 Jan 2027 09:30:00 GMT";
    let in_header = limited.clone().header("retry-after", half_past);
    for reply in [limited, in_header] {
        let fake = FakeCa::start().await;
        fake.reply("/new-order", [reply.header("date", ahead)]);
        let failure = order(&fake).await.unwrap_err().failure(NOW, "d");
        assert_eq!(failure.not_before, Some(NOW + Duration::from_mins(30)));
    }
}

#[tokio::test]
async fn a_time_at_the_end_of_time_stops_no_poll() {
    let fake = FakeCa::start().await;
    let pending = json!({
        "status": "pending", "authorizations": [], "finalize": "{ca}/finalize",
    });
    let created = Reply::json(201, &pending).header("location", "{ca}/order/1");
    fake.reply("/new-order", [created]);
    let never = Reply::json(200, &pending).header("retry-after", "18446744073709551615");
    fake.reply("/order/1", [never]);
    let mut order = order(&fake).await.unwrap();
    let error = order.wait_ready(Duration::from_secs(5)).await.unwrap_err();
    let Cause::TimedOut { retry_after } = error.cause else {
        panic!("{error:?}");
    };
    assert_eq!(retry_after, Some(Timestamp::MAX));
    assert!(error.failure(NOW, "d").clamped);
}

#[tokio::test]
async fn nothing_that_a_directory_says_makes_the_library_panic() {
    let mut spaces = directory();
    spaces["newNonce"] = json!("not a url");
    let mut relative = directory();
    relative["newOrder"] = json!("/new-order");
    let mut missing = directory();
    missing.as_object_mut().unwrap().remove("newAccount");
    let cases = [
        ("a URL with spaces", spaces.to_string()),
        ("a relative URL", relative.to_string()),
        ("no newAccount", missing.to_string()),
        ("no object", "[]".to_owned()),
        ("nothing", String::new()),
    ];
    // Whatever the status: the library reads them all alike.
    for status in [302, 403, 503] {
        for body in [&spaces, &directory()] {
            let fake = FakeCa::start().await;
            fake.reply("/dir", [Reply::json(status, body)]);
            let error = order(&fake).await.unwrap_err();
            assert_eq!(error.operation, Operation::ReadDirectory, "{status}");
            assert_eq!(code(&error), format!("http-{status}"), "{error:?}");
            assert!(fake.seen("/nonce").is_empty(), "{status}");
        }
    }
    for (case, body) in cases {
        let fake = FakeCa::start().await;
        fake.reply("/dir", [Reply::text(200, &body)]);
        for error in [
            order(&fake).await.unwrap_err(),
            fetch(&fake.ca()).await.unwrap_err(),
        ] {
            assert!(
                matches!(error.cause, Cause::Unintelligible(_)),
                "{case}: {error:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_else_a_directory_says_is_no_matter() {
    let fake = FakeCa::start().await;
    let mut body = directory();
    body["meta"] = json!({ "caaIdentities": null, "profiles": { "classic": 1 } });
    body["a random key"] = json!("https://community.letsencrypt.org/t/33417");
    fake.reply("/dir", [Reply::json(200, &body)]);
    let renewal_info = fetch(&fake.ca()).await.unwrap().renewal_info;
    assert_eq!(renewal_info, Some(fake.url("/renewal-info")));
}

#[tokio::test]
async fn an_unreachable_ca_is_an_outage_of_that_ca() {
    let url = "http://127.0.0.1:1/dir".parse().unwrap();
    let http = Network::default().client().unwrap();
    let ca = Ca::new(&url, http, Clock::simulated(NOW)).unwrap();
    let failure = fetch(&ca).await.unwrap_err().failure(NOW, "d");
    assert_eq!(failure.code, "unreachable");
    assert_eq!(failure.class(1), Class::Backoff);
    let directory = "d".to_owned();
    assert_eq!(failure.scope, Scope::Ca { directory });
}

#[test]
fn only_urls_that_can_be_asked_are_directories() {
    let http = Network::default().client().unwrap();
    for (url, usable) in [
        ("https://ca.test/dir", true),
        ("http://127.0.0.1:14000/dir", true),
        ("ftp://ca.test/dir", false),
        ("data:text/plain,x", false),
    ] {
        let ca = Ca::new(&url.parse().unwrap(), http.clone(), Clock::System);
        assert_eq!(ca.err(), (!usable).then_some(CaUrlError), "{url}");
    }
    for (word, url) in WELL_KNOWN {
        let ca = Ca::new(&url.parse().unwrap(), http.clone(), Clock::System);
        assert!(ca.is_ok(), "{word}");
        assert_eq!(well_known(word), Some(url));
    }
    assert_eq!(well_known("nobody"), None);
}

#[tokio::test]
async fn the_cas_clock_is_compared_with_ours() {
    let fake = FakeCa::start().await;
    let ca = fake.ca();
    assert_eq!(ca.clock_reading(), None);
    let date = "Fri, 15 Jan 2027 10:00:00 GMT";
    fake.reply(
        "/dir",
        [Reply::json(200, &directory()).header("date", date)],
    );
    fetch(&ca).await.unwrap();
    let reading = ca.clone().clock_reading().unwrap();
    assert_eq!(reading.local, NOW);
    assert_eq!(reading.remote.to_string(), "2027-01-15T10:00:00Z");
    assert_eq!(reading.skew(NOW, reading.at), reading.remote.since(NOW));
}

#[tokio::test]
async fn every_request_names_this_program() {
    let fake = FakeCa::start().await;
    order(&fake).await.unwrap_err();
    for path in ["/dir", "/nonce", "/new-order"] {
        let agent = &fake.seen(path)[0].user_agent;
        assert!(agent.starts_with("vodcertd/"), "{path}: {agent}");
        assert!(agent.contains(" instant-acme/"), "{path}: {agent}");
    }
}

#[tokio::test]
async fn links_are_found_by_their_relation() {
    let fake = FakeCa::start().await;
    let reply = Reply::text(200, "")
        .header("link", "<https://ca.test/dir>;rel=\"index\"")
        .header(
            "link",
            "<https://ca.test/1>; rel=alternate, <https://ca.test/terms>; rel=\"terms-of-service\"",
        );
    fake.reply("/linked", [reply]);
    let recorded = Transport::new(&fake.ca())
        .get(&fake.url("/linked"))
        .await
        .unwrap();
    let link = |relation| recorded.link(relation);
    assert_eq!(link("index").as_deref(), Some("https://ca.test/dir"));
    assert_eq!(link("alternate").as_deref(), Some("https://ca.test/1"));
    assert_eq!(
        link("terms-of-service").as_deref(),
        Some("https://ca.test/terms")
    );
    assert_eq!(link("up"), None);
}

#[tokio::test]
async fn conversations_do_not_mix_their_records() {
    let fake = FakeCa::start().await;
    let (one, two) = (Transport::new(&fake.ca()), Transport::new(&fake.ca()));
    one.get(&fake.url("/dir")).await.unwrap();
    two.get(&fake.url("/missing")).await.unwrap();
    assert_eq!(one.last().unwrap().answer.status, 200);
    assert_eq!(two.last().unwrap().answer.status, 404);
}
