use std::time::Duration;

use serde_json::{Value, json};

use super::fake::{FakeCa, NOW, Reply, directory};
use crate::acme::AcmeError;
use crate::acme::renewal_info::{RenewalInfo, ask};
use crate::certificate::Leaf;
use crate::certificate::tests::appendix_a;
use crate::time::{Timestamp, Window};

const SIX_HOURS: Duration = Duration::from_hours(6);

fn window(start: &str, end: &str) -> Value {
    json!({ "suggestedWindow": { "start": start, "end": end } })
}

fn usual() -> Value {
    window("2027-02-01T00:00:00Z", "2027-02-02T00:00:00Z")
}

async fn asked(reply: Reply) -> Result<RenewalInfo, AcmeError> {
    let fake = FakeCa::start().await;
    let path = "/renewal-info/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
    fake.reply(path, [reply]);
    let answer = ask(&fake.ca(), &appendix_a()).await;
    assert_eq!(
        fake.seen(path).len(),
        1,
        "asked once, at the URL of the appendix"
    );
    assert_eq!(fake.seen("/nonce"), [], "without a signature");
    answer
}

#[tokio::test]
async fn a_window_is_read_with_its_explanation() {
    let mut body = usual();
    body["explanationURL"] = json!("https://ca.test/incident");
    let reply = Reply::json(200, &body).header("retry-after", "21600");
    let (start, end) = ("2027-02-01T00:00:00Z", "2027-02-02T00:00:00Z");
    assert_eq!(
        asked(reply).await.unwrap(),
        RenewalInfo::Suggested {
            window: Window::new(start.parse().unwrap(), end.parse().unwrap()).unwrap(),
            explanation_url: Some("https://ca.test/incident".to_owned()),
            ask_again: NOW + SIX_HOURS,
        }
    );
}

#[tokio::test]
async fn only_a_page_that_can_be_shown_explains() {
    let url = |length: usize| format!("https://ca.test/{}", "x".repeat(length - 16));
    let cases = [
        (url(2048), true),
        (url(2049), false),
        ("http://ca.test/incident".to_owned(), false),
        ("javascript:alert(1)".to_owned(), false),
        ("https://ca.test/a b".to_owned(), false),
        ("https://ca.test/\n".to_owned(), false),
    ];
    for (url, kept) in cases {
        let mut body = usual();
        body["explanationURL"] = json!(url);
        let answer = asked(Reply::json(200, &body)).await.unwrap();
        let RenewalInfo::Suggested {
            explanation_url, ..
        } = answer
        else {
            panic!("{url}");
        };
        assert_eq!(explanation_url, kept.then_some(url));
    }
}

#[tokio::test]
async fn the_next_question_is_neither_sooner_nor_later_than_makes_sense() {
    let day = Duration::from_hours(24);
    let minute = Duration::from_mins(1);
    let cases = [
        ("an hour", Some("3600"), Duration::from_hours(1)),
        (
            "a date",
            Some("Fri, 15 Jan 2027 09:00:00 GMT"),
            Duration::from_hours(1),
        ),
        ("at once", Some("0"), minute),
        (
            "a date that has passed",
            Some("Thu, 14 Jan 2027 09:00:00 GMT"),
            minute,
        ),
        ("in a year", Some("31536000"), day),
        ("at the end of time", Some("18446744073709551615"), day),
        ("rubbish", Some("soon"), SIX_HOURS),
        ("nothing", None, SIX_HOURS),
    ];
    for (case, header, expected) in cases {
        let mut reply = Reply::json(200, &usual());
        if let Some(value) = header {
            reply = reply.header("retry-after", value);
        }
        let RenewalInfo::Suggested { ask_again, .. } = asked(reply).await.unwrap() else {
            panic!("{case}");
        };
        assert_eq!(ask_again.since(NOW), expected, "{case}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_none() {
    let noon = "2027-02-01T12:00:00Z";
    let cases = [
        (
            "an inverted window",
            Reply::json(200, &window(noon, "2027-02-01T00:00:00Z")),
        ),
        ("an empty window", Reply::json(200, &window(noon, noon))),
        ("no times", Reply::json(200, &window("soon", "later"))),
        ("another object", Reply::json(200, &json!({}))),
        ("no object", Reply::text(200, "<html></html>")),
        (
            "an unknown certificate",
            Reply::problem(404, "malformed", "not ours"),
        ),
        (
            "a redirect",
            Reply::text(302, "").header("location", "{ca}/elsewhere"),
        ),
    ];
    for (case, reply) in cases {
        let RenewalInfo::NoAnswer { ask_again, .. } = asked(reply).await.unwrap() else {
            panic!("{case}");
        };
        assert_eq!(ask_again, NOW + SIX_HOURS, "{case}");
    }
}

#[tokio::test]
async fn a_fault_that_passes_is_a_failure() {
    let cases = [
        (
            Reply::text(503, "busy").header("retry-after", "60"),
            Some(60),
        ),
        (Reply::problem(500, "serverInternal", "x"), None),
        (Reply::text(429, "").header("retry-after", "5"), Some(5)),
    ];
    for (reply, seconds) in cases {
        let failure = asked(reply).await.unwrap_err().failure(NOW, "d");
        let expected = seconds.map(|seconds| NOW + Duration::from_secs(seconds));
        assert_eq!(failure.not_before, expected, "{failure:?}");
    }
}

#[tokio::test]
async fn a_ca_that_offers_nothing_is_no_failure() {
    let fake = FakeCa::start().await;
    let mut body = directory();
    body.as_object_mut().unwrap().remove("renewalInfo");
    fake.reply("/dir", [Reply::json(200, &body)]);
    let answer = ask(&fake.ca(), &appendix_a()).await.unwrap();
    assert_eq!(answer, RenewalInfo::Unsupported);

    let nameless = Leaf {
        authority_key_id: None,
        ..appendix_a()
    };
    let fake = FakeCa::start().await;
    let answer = ask(&fake.ca(), &nameless).await.unwrap();
    assert_eq!(answer, RenewalInfo::Unsupported);
    assert_eq!(fake.seen("/dir"), [], "there is nothing to ask about");
}

#[test]
fn the_clock_of_these_tests_is_where_the_dates_expect_it() {
    assert_eq!(NOW, "2027-01-15T08:00:00Z".parse::<Timestamp>().unwrap());
}
