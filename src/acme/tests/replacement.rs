//! What becomes of an order that is said to replace a certificate (RFC 9773 §5).

use serde_json::{Value, json};

use super::fake::{Reply, directory};
use super::order::{begin, created, fake, leaf, order};

#[tokio::test]
async fn an_order_whose_replacement_is_not_echoed_is_kept() {
    let fake = fake("pending").await;
    let order = begin(&fake, Some(&leaf())).await;
    let mut order = order.unwrap();
    assert_eq!(order.url(), fake.url("/order/1"));
    assert!(!order.replaces_a_certificate());
    assert_eq!(fake.seen("/new-order").len(), 1, "no second order");
}

#[tokio::test]
async fn an_order_whose_replacement_is_echoed_is_a_replacement() {
    let fake = fake("pending").await;
    let leaf = leaf();
    let mut body = order("pending");
    body["replaces"] = json!(leaf.renewal_info_id());
    fake.reply("/new-order", [created(&body)]);
    let mut placed = begin(&fake, Some(&leaf)).await.unwrap();
    assert!(placed.replaces_a_certificate());
    assert_eq!(
        fake.seen("/new-order")[0].payload["replaces"],
        json!(leaf.renewal_info_id())
    );
}

#[tokio::test]
async fn a_refusal_that_may_be_due_to_the_replacement_is_tried_without() {
    let cases = [
        (409, "alreadyReplaced", true),
        (404, "malformed", true),
        (403, "unauthorized", true),
        (418, "somethingNew", true),
        (400, "badNonce", false),
        (403, "caa", false),
        (400, "invalidProfile", false),
        (429, "rateLimited", false),
        (400, "rejectedIdentifier", false),
        (400, "unsupportedIdentifier", false),
        (403, "userActionRequired", false),
        (400, "accountDoesNotExist", false),
        (429, "somethingNew", false),
        // Pebble, for a serial number that begins with a zero byte.
        (500, "serverInternal", true),
        (500, "somethingNew", false),
        (503, "serverInternal", false),
    ];
    for (status, kind, expected) in cases {
        let fake = fake("pending").await;
        let refused = Reply::problem(status, kind, "no");
        fake.reply("/new-order", [refused.clone(), created(&order("pending"))]);
        if !expected {
            fake.reply("/new-order", [refused]);
        }
        let order = begin(&fake, Some(&leaf())).await;
        assert_eq!(order.is_ok(), expected, "{kind}");
        let sent = fake.seen("/new-order");
        let without = sent.iter().filter(|s| s.payload["replaces"].is_null());
        assert_eq!(without.count(), usize::from(expected), "{kind}");
    }
}

/// What is said by something else than the CA, or about something else than the order, must not cost
/// the exemption from limits that a replacement has.
#[tokio::test]
async fn what_the_ca_did_not_say_about_the_order_is_not_due_to_the_replacement() {
    let busy = Reply::text(429, "busy").header("retry-after", "3600");
    let cases = [
        ("a limit of the front", "/new-order", busy, 1),
        ("a wall", "/new-order", Reply::text(403, "<html>"), 1),
        ("a fault", "/new-order", Reply::text(500, "<html>"), 1),
        ("no nonce", "/nonce", Reply::text(403, "<html>"), 0),
        (
            "nonces refused",
            "/nonce",
            Reply::problem(403, "odd", "x"),
            0,
        ),
    ];
    for (case, path, reply, expected) in cases {
        let fake = fake("pending").await;
        fake.reply(path, [reply]);
        begin(&fake, Some(&leaf())).await.unwrap_err();
        let sent = fake.seen("/new-order");
        assert_eq!(sent.len(), expected, "{case}");
        let with = sent.iter().filter(|s| s.payload["replaces"].is_string());
        assert_eq!(with.count(), expected, "{case}");
    }
}

#[tokio::test]
async fn a_ca_without_renewal_information_is_told_of_no_replacement() {
    let fake = fake("pending").await;
    let mut directory = directory();
    directory.as_object_mut().unwrap().remove("renewalInfo");
    fake.reply("/dir", [Reply::json(200, &directory)]);
    begin(&fake, Some(&leaf())).await.unwrap();
    let sent = fake.seen("/new-order");
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].payload["replaces"], Value::Null);
}
