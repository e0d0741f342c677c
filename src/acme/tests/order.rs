use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::chain::issued;
use super::fake::{FakeCa, NOW, Reply};
use crate::acme::{AcmeError, Cause, NewOrder, Order, OrderState, Rejection};
use crate::certificate::Leaf;
use crate::keys::PrivateKey;
use crate::name::DnsName;
use crate::retry::Class;

/// As long as nothing is waited for, no test needs more.
pub(super) const SHORT: Duration = Duration::from_millis(100);

fn names(names: &[&str]) -> BTreeSet<DnsName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub(super) fn order(status: &str) -> Value {
    json!({
        "status": status,
        "authorizations": ["{ca}/authz/1", "{ca}/authz/2", "{ca}/authz/3"],
        "finalize": "{ca}/finalize",
        "certificate": "{ca}/certificate",
    })
}

pub(super) fn created(body: &Value) -> Reply {
    Reply::json(201, body).header("location", "{ca}/order/1")
}

fn challenge(id: &str, kind: &str, status: &str) -> Value {
    json!({ "type": kind, "url": format!("{{ca}}/challenge/{id}"), "token": "tok", "status": status })
}

fn authorization(name: &str, status: &str, challenges: &[Value]) -> Value {
    json!({
        "status": status,
        "identifier": { "type": "dns", "value": name },
        "challenges": challenges,
    })
}

/// An authorisation whose proof is being looked at.
pub(super) fn being_looked_at(name: &str, id: &str) -> Value {
    authorization(name, "pending", &[challenge(id, "dns-01", "processing")])
}

fn wildcard(mut authorization: Value) -> Value {
    authorization["wildcard"] = json!(true);
    authorization
}

/// A CA with an order for `example.com`, which is proven already, `*.example.com` and
/// `v.example.net`.
pub(super) async fn fake(status: &str) -> FakeCa {
    let fake = FakeCa::start().await;
    fake.reply("/new-order", [created(&order(status))]);
    fake.reply("/order/1", [Reply::json(200, &order(status))]);
    let proven = authorization("example.com", "valid", &[challenge("1", "dns-01", "valid")]);
    // Types that nobody knows yet come without a token, too.
    let persistent =
        json!({ "type": "dns-persist-01", "url": "{ca}/challenge/p", "status": "pending" });
    let below = authorization(
        "example.com",
        "pending",
        &[persistent, challenge("2", "dns-01", "pending")],
    );
    let other = authorization(
        "v.example.net",
        "pending",
        &[
            challenge("h", "http-01", "pending"),
            challenge("3", "dns-01", "pending"),
        ],
    );
    fake.reply("/authz/1", [Reply::json(200, &proven)]);
    fake.reply("/authz/2", [Reply::json(200, &wildcard(below))]);
    fake.reply("/authz/3", [Reply::json(200, &other)]);
    for id in ["2", "3"] {
        let path = format!("/challenge/{id}");
        fake.reply(
            &path,
            [Reply::json(200, &challenge(id, "dns-01", "processing"))],
        );
    }
    fake
}

pub(super) async fn begin(fake: &FakeCa, replaces: Option<&Leaf>) -> Result<Order, AcmeError> {
    let names = names(&["example.com", "*.example.com", "v.example.net"]);
    let new = NewOrder {
        names: &names,
        replaces,
        profile: None,
    };
    Order::begin(&fake.account().await, &new).await
}

pub(super) async fn resume(fake: &FakeCa) -> Result<Option<Order>, AcmeError> {
    Order::resume(&fake.account().await, &fake.url("/order/1")).await
}

pub(super) fn leaf() -> Leaf {
    issued(&["example.com"]).1.leaf().clone()
}

fn code(error: &AcmeError) -> String {
    error.failure(NOW, "d").code
}

#[tokio::test]
async fn orders_can_be_worked_on_in_tasks() {
    fn sendable<T: Send>(future: T) -> T {
        future
    }
    let fake = fake("ready").await;
    let account = fake.account().await;
    let names = names(&["example.com"]);
    let new = NewOrder {
        names: &names,
        replaces: None,
        profile: None,
    };
    let worked = sendable(async {
        let mut order = Order::begin(&account, &new).await?;
        let proofs = order.proofs().await?;
        order.answer(&proofs).await?;
        order.wait_ready(SHORT).await?;
        order.finalize(b"csr").await?;
        order.download(SHORT).await
    });
    assert!(worked.await.is_err(), "nothing was issued");
}

#[tokio::test]
async fn a_new_order_names_what_is_wanted_and_tells_its_url() {
    let fake = fake("pending").await;
    let names = names(&["example.com", "*.example.com"]);
    let new = NewOrder {
        names: &names,
        replaces: None,
        profile: Some("shortlived"),
    };
    let mut order = Order::begin(&fake.account().await, &new).await.unwrap();
    assert_eq!(order.url(), fake.url("/order/1"));
    assert_eq!(order.state(), OrderState::Pending);
    assert!(!order.replaces_a_certificate());
    let payload = &fake.seen("/new-order")[0].payload;
    assert_eq!(
        payload,
        &json!({
            "identifiers": [
                { "type": "dns", "value": "*.example.com" },
                { "type": "dns", "value": "example.com" },
            ],
            "profile": "shortlived",
        })
    );
}

#[tokio::test]
async fn proofs_are_for_bare_names_and_only_for_what_is_not_proven() {
    let fake = fake("pending").await;
    let mut order = begin(&fake, None).await.unwrap();
    let proofs = order.proofs().await.unwrap();
    let shown: Vec<_> = proofs
        .iter()
        .map(|proof| (proof.name.as_str(), proof.wildcard, proof.challenge.clone()))
        .collect();
    assert_eq!(
        shown,
        [
            ("example.com", true, fake.url("/challenge/2")),
            ("v.example.net", false, fake.url("/challenge/3")),
        ]
    );
    for proof in &proofs {
        // A SHA-256 in base64url (RFC 8555 §8.4).
        assert_eq!(proof.txt_value.len(), 43);
    }
    assert_eq!(order.proofs().await.unwrap(), proofs);
    assert_eq!(fake.seen("/authz/2").len(), 1, "read once");
}

#[tokio::test]
async fn a_name_that_can_only_be_proven_otherwise_is_named() {
    let fake = fake("pending").await;
    let only_http = [challenge("h", "http-01", "pending")];
    let authorization = authorization("v.example.net", "pending", &only_http);
    fake.reply("/authz/3", [Reply::json(200, &authorization)]);
    let error = begin(&fake, None)
        .await
        .unwrap()
        .proofs()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "no-challenge");
    assert!(
        error
            .failure(NOW, "d")
            .message
            .ends_with("for v.example.net")
    );
}

#[tokio::test]
async fn each_proof_is_answered_once() {
    let fake = fake("pending").await;
    let mut order = begin(&fake, None).await.unwrap();
    let proofs = order.proofs().await.unwrap();
    order.answer(&proofs).await.unwrap();
    for id in ["2", "3"] {
        let seen = fake.seen(&format!("/challenge/{id}"));
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].payload, json!({}));
    }
    assert_eq!(fake.seen("/challenge/1"), []);
    assert_eq!(fake.seen("/challenge/p"), []);
}

#[tokio::test]
async fn a_challenge_that_is_being_looked_at_is_left_alone() {
    let fake = fake("pending").await;
    let looked_at = being_looked_at("v.example.net", "3");
    fake.reply("/authz/3", [Reply::json(200, &looked_at)]);
    let mut order = resume(&fake).await.unwrap().unwrap();
    let proofs = order.proofs().await.unwrap();
    assert_eq!(
        proofs.len(),
        2,
        "the record must stay while it is looked at"
    );
    order.answer(&proofs).await.unwrap();
    assert_eq!(fake.seen("/challenge/2").len(), 1);
    assert_eq!(fake.seen("/challenge/3"), []);
}

#[tokio::test]
async fn an_answer_that_had_arrived_before_is_no_failure() {
    let refused = Reply::problem(400, "malformed", "cannot update a valid challenge");
    let pending = || {
        authorization(
            "v.example.net",
            "pending",
            &[challenge("3", "dns-01", "pending")],
        )
    };
    let valid = || {
        authorization(
            "v.example.net",
            "valid",
            &[challenge("3", "dns-01", "valid")],
        )
    };
    for (afterwards, expected) in [(valid(), true), (pending(), false)] {
        let fake = fake("pending").await;
        fake.reply("/challenge/3", [refused.clone()]);
        fake.reply(
            "/authz/3",
            [Reply::json(200, &pending()), Reply::json(200, &afterwards)],
        );
        let mut order = begin(&fake, None).await.unwrap();
        let proofs = order.proofs().await.unwrap();
        let answered = order.answer(&proofs).await;
        assert_eq!(answered.is_ok(), expected, "{answered:?}");
    }
}

/// The library reports the challenge's error as that of the call.
#[tokio::test]
async fn a_challenge_that_is_judged_at_once_shows_in_the_order() {
    let fake = fake("pending").await;
    let mut judged = challenge("3", "dns-01", "invalid");
    judged["error"] = json!({ "type": "urn:ietf:params:acme:error:dns", "detail": "NXDOMAIN" });
    fake.reply("/challenge/3", [Reply::json(200, &judged)]);
    let mut order = begin(&fake, None).await.unwrap();
    let proofs = order.proofs().await.unwrap();
    order.answer(&proofs).await.unwrap();

    fake.reply("/order/1", [Reply::json(200, &self::order("invalid"))]);
    let failed = authorization("v.example.net", "invalid", &[judged]);
    fake.reply("/authz/3", [Reply::json(200, &failed)]);
    let error = order.wait_ready(SHORT).await.unwrap_err();
    let Cause::OrderInvalid { rejections, .. } = &error.cause else {
        panic!("{error:?}");
    };
    let shown: Vec<String> = rejections.iter().map(Rejection::to_string).collect();
    assert_eq!(shown, ["v.example.net: dns: NXDOMAIN"]);
    assert_eq!(code(&error), "dns");
}

#[tokio::test]
async fn a_wildcard_that_failed_is_told_apart_from_its_base() {
    let fake = fake("invalid").await;
    let mut challenge = challenge("2", "dns-01", "invalid");
    challenge["error"] = json!({ "type": "urn:ietf:params:acme:error:unauthorized" });
    let failed = authorization("example.com", "invalid", &[challenge]);
    fake.reply("/authz/2", [Reply::json(200, &wildcard(failed))]);
    let mut order = resume(&fake).await.unwrap().unwrap();
    assert_eq!(order.state(), OrderState::Invalid);
    let error = order.wait_ready(SHORT).await.unwrap_err();
    let message = error.failure(NOW, "d").message;
    assert!(
        message.ends_with("*.example.com: unauthorized"),
        "{message}"
    );
    assert_eq!(error.failure(NOW, "d").class(1), Class::Backoff);
}

#[tokio::test]
async fn an_order_that_is_past_its_proofs_is_not_waited_for() {
    for status in ["ready", "processing", "valid"] {
        let fake = fake(status).await;
        let mut order = resume(&fake).await.unwrap().unwrap();
        order.wait_ready(SHORT).await.unwrap();
    }
}

#[tokio::test]
async fn waiting_ends_when_the_order_is_ready() {
    let fake = fake("pending").await;
    let mut order = begin(&fake, None).await.unwrap();
    let (pending, ready) = (self::order("pending"), self::order("ready"));
    // One early look is taken whatever the CA asks for.
    let pending = Reply::json(200, &pending);
    let patient = pending.clone().header("retry-after", "60");
    fake.reply("/order/1", [patient, pending, Reply::json(200, &ready)]);
    order.wait_ready(Duration::from_secs(5)).await.unwrap();
    assert_eq!(order.state(), OrderState::Ready);
    assert_eq!(fake.seen("/order/1").len(), 3);
}

#[tokio::test]
async fn an_order_that_never_gets_further_is_left_in_time() {
    let fake = fake("processing").await;
    let mut order = resume(&fake).await.unwrap().unwrap();
    let error = order.download(SHORT).await.unwrap_err();
    assert!(matches!(error.cause, Cause::TimedOut { retry_after: None }));
    assert_eq!(code(&error), "order-timeout");
    assert!(
        fake.seen("/order/1").len() > 2,
        "it was looked at repeatedly"
    );
}

#[tokio::test]
async fn a_time_beyond_our_patience_is_handed_on() {
    let fake = fake("processing").await;
    let later = Reply::json(200, &order("processing")).header("retry-after", "3600");
    fake.reply("/order/1", [later]);
    let mut order = resume(&fake).await.unwrap().unwrap();
    let error = order.download(Duration::from_mins(1)).await.unwrap_err();
    let expected = Some(NOW + Duration::from_hours(1));
    assert_eq!(error.failure(NOW, "d").not_before, expected);
    assert_eq!(fake.seen("/order/1").len(), 2, "one early look");
}

#[tokio::test]
async fn an_order_without_a_url_is_an_answer_that_cannot_be_understood() {
    let fake = fake("pending").await;
    fake.reply("/new-order", [Reply::json(201, &order("pending"))]);
    let error = begin(&fake, None).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Unintelligible(_)), "{error:?}");
    assert_eq!(fake.seen("/new-order").len(), 1);
}

#[tokio::test]
async fn a_state_that_nobody_knows_is_an_answer_that_cannot_be_understood() {
    let fake = fake("paused").await;
    let error = resume(&fake).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Unintelligible(_)), "{error:?}");
}

#[tokio::test]
async fn a_problem_without_a_type_is_a_refusal_all_the_same() {
    let fake = fake("pending").await;
    let untyped = json!({ "detail": "no", "status": 400 });
    fake.reply("/new-order", [Reply::json(400, &untyped)]);
    let error = begin(&fake, None).await.unwrap_err();
    assert_eq!(code(&error), "http-400");
}

#[tokio::test]
async fn a_refused_nonce_is_repeated_but_not_for_ever() {
    let fake = fake("pending").await;
    let refused = || Reply::problem(400, "badNonce", "stale");
    // The library gives up after the third.
    fake.reply(
        "/new-order",
        [refused(), refused(), refused(), created(&order("pending"))],
    );
    begin(&fake, None).await.unwrap();
    assert_eq!(fake.seen("/new-order").len(), 4);

    let fake = self::fake("pending").await;
    fake.reply("/new-order", [refused()]);
    let error = begin(&fake, None).await.unwrap_err();
    assert_eq!(code(&error), "badNonce");
    assert_eq!(error.failure(NOW, "d").class(1), Class::Backoff);
    assert_eq!(fake.seen("/new-order").len(), 9);
}

#[tokio::test]
async fn what_the_ca_no_longer_knows_is_gone() {
    let problem = |status, kind| Reply::problem(status, kind, "no such order");
    let cases = [
        ("not found", problem(404, "malformed"), true),
        ("not ours", problem(403, "unauthorized"), true),
        ("gone", problem(410, "malformed"), true),
        ("not found, and no more", Reply::text(404, ""), true),
        ("a bad request", problem(400, "malformed"), false),
        ("a limit", problem(403, "rateLimited"), false),
        ("a fault", problem(500, "serverInternal"), false),
        ("a page", Reply::text(404, "<html>"), false),
        ("a wall", Reply::text(403, "<html>"), false),
    ];
    for (case, reply, gone) in cases {
        let fake = fake("pending").await;
        fake.reply("/order/1", [reply]);
        let resumed = resume(&fake).await;
        assert_eq!(matches!(resumed, Ok(None)), gone, "{case}: {resumed:?}");
        assert_eq!(resumed.is_err(), !gone, "{case}");
    }
    let fake = fake("pending").await;
    let lost = Reply::problem(400, "accountDoesNotExist", "no such account");
    fake.reply("/order/1", [lost]);
    assert!(resume(&fake).await.unwrap_err().account_is_gone());
}

#[tokio::test]
async fn finalising_what_was_finalised_before_is_no_failure() {
    let not_ready = Reply::problem(403, "orderNotReady", "it is processing");
    for (status, expected) in [
        ("processing", true),
        ("valid", true),
        ("pending", false),
        ("invalid", false),
    ] {
        let fake = fake(status).await;
        fake.reply("/finalize", [not_ready.clone()]);
        let mut order = resume(&fake).await.unwrap().unwrap();
        let finalized = order.finalize(b"csr").await;
        assert_eq!(finalized.is_ok(), expected, "{status}: {finalized:?}");
    }
}

#[tokio::test]
async fn the_chain_is_downloaded_once_the_order_is_valid() {
    let fake = fake("ready").await;
    let (key, chain) = issued(&["example.com"]);
    let csr = PrivateKey::csr(&key, &names(&["example.com"])).unwrap();
    let processing = Reply::json(200, &order("processing")).header("retry-after", "60");
    fake.reply("/finalize", [processing]);
    fake.reply("/certificate", [Reply::text(200, &chain.to_pem())]);
    let mut order = resume(&fake).await.unwrap().unwrap();
    order.finalize(&csr).await.unwrap();
    assert_eq!(order.state(), OrderState::Processing);
    fake.reply("/order/1", [Reply::json(200, &self::order("valid"))]);
    let downloaded = order.download(Duration::from_secs(5)).await.unwrap();
    assert_eq!(downloaded.leaf(), chain.leaf());
    assert!(fake.seen("/finalize")[0].payload["csr"].is_string());
}

/// One server of the CA lags behind another, or a server in between answers: the order is good.
#[tokio::test]
async fn a_certificate_that_cannot_be_fetched_is_fetched_the_next_time() {
    let (_, chain) = issued(&["example.com"]);
    let cases = [
        ("a page", Reply::text(404, "<html>")),
        ("not there yet", Reply::problem(404, "malformed", "no such")),
        ("a wall", Reply::text(403, "<html>")),
        ("nobody", Reply::dropped()),
    ];
    for (case, reply) in cases {
        let fake = fake("valid").await;
        fake.reply("/certificate", [reply, Reply::text(200, &chain.to_pem())]);
        let mut order = resume(&fake).await.unwrap().unwrap();
        let error = order.download(SHORT).await.unwrap_err();
        assert!(!error.order_is_over(), "{case}: {error:?}");
        assert_eq!(error.failure(NOW, "d").class(1), Class::Backoff, "{case}");
        let mut order = resume(&fake).await.unwrap().unwrap();
        let downloaded = order.download(SHORT).await.unwrap();
        assert_eq!(downloaded.leaf(), chain.leaf(), "{case}");
    }
}

#[tokio::test]
async fn what_is_no_chain_is_not_taken_for_one() {
    let (key, _) = issued(&["example.com"]);
    let secret = key.to_pem(crate::keys::KeyFormat::Pkcs8).unwrap();
    for (case, body) in [
        ("nothing", ""),
        ("a page", "<html></html>"),
        ("a private key", secret.expose()),
    ] {
        let fake = fake("valid").await;
        fake.reply("/certificate", [Reply::text(200, body)]);
        let mut order = resume(&fake).await.unwrap().unwrap();
        let error = order.download(SHORT).await.unwrap_err();
        assert_eq!(code(&error), "unusable-chain", "{case}");
    }
}

#[tokio::test]
async fn an_order_that_failed_while_it_was_issued_tells_why() {
    let fake = fake("valid").await;
    let mut failed = self::order("invalid");
    failed["error"] = json!({
        "type": "urn:ietf:params:acme:error:caa",
        "detail": "CAA record for example.com prevents issuance",
    });
    fake.reply("/order/1", [Reply::json(200, &failed)]);
    let mut order = resume(&fake).await.unwrap().unwrap();
    let error = order.download(SHORT).await.unwrap_err();
    assert_eq!(code(&error), "caa");
    assert_eq!(error.failure(NOW, "d").class(1), Class::Operator);
}

#[tokio::test]
async fn an_abandoned_order_gives_up_what_is_pending() {
    let fake = fake("pending").await;
    let below = authorization(
        "example.com",
        "pending",
        &[challenge("2", "dns-01", "pending")],
    );
    let mut given_up = below.clone();
    given_up["status"] = json!("deactivated");
    let other = authorization(
        "v.example.net",
        "valid",
        &[challenge("3", "dns-01", "valid")],
    );
    fake.reply(
        "/authz/2",
        [Reply::json(200, &below), Reply::json(200, &given_up)],
    );
    fake.reply("/authz/3", [Reply::json(200, &other)]);
    let mut order = resume(&fake).await.unwrap().unwrap();
    order.abandon().await.unwrap();
    let asked: Vec<Value> = fake
        .seen("/authz/2")
        .into_iter()
        .map(|s| s.payload)
        .collect();
    assert_eq!(asked, [Value::Null, json!({ "status": "deactivated" })]);
    assert_eq!(fake.seen("/authz/3").len(), 1);
}
