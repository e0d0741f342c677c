//! What was asked may have happened though no answer arrived: nothing is counted back, and nothing is
//! done twice.

use std::time::Duration;

use super::chain::issued;
use super::fake::{NOW, Reply};
use super::order::{SHORT, begin, being_looked_at, created, fake, leaf, order, resume};
use crate::acme::{Cause, Operation, OrderState};
use crate::retry::Class;

/// Whether the order may stand at the CA is what the brake hangs on: an outage must not use it up.
#[tokio::test]
async fn an_order_that_was_not_sent_or_was_refused_does_not_stand() {
    let answer = |status| Reply::text(status, "<html>");
    let refusal = || Reply::problem(503, "serverInternal", "down");
    let cases = [
        ("the directory is down", "/dir", answer(503), false),
        ("a gateway hides the directory", "/dir", answer(502), false),
        ("the directory is gone", "/dir", answer(404), false),
        ("no nonce", "/nonce", answer(500), false),
        ("no nonce in the answer", "/nonce", answer(204), false),
        ("refused with 400", "/new-order", answer(400), false),
        ("refused for now", "/new-order", answer(503), false),
        ("the CA speaks", "/new-order", refusal(), false),
        ("a gateway speaks", "/new-order", answer(502), true),
        ("a gateway gave up", "/new-order", answer(504), true),
        ("nobody knows", "/new-order", answer(500), true),
        ("not an order", "/new-order", answer(201), true),
        ("the directory is lost", "/dir", Reply::dropped(), false),
        ("no directory in time", "/dir", Reply::silent(), false),
        ("the nonce is lost", "/nonce", Reply::dropped(), false),
        ("no nonce in time", "/nonce", Reply::silent(), false),
        ("the answer is lost", "/new-order", Reply::dropped(), true),
        ("no answer in time", "/new-order", Reply::silent(), true),
    ];
    for (name, path, reply, expected) in cases {
        let fake = fake("pending").await.patient_for(SHORT * 5);
        fake.reply(path, [reply]);
        let error = begin(&fake, None).await.unwrap_err();
        assert_eq!(error.may_be_placed(), expected, "{name}: {error:?}");
        let sent = !fake.seen("/new-order").is_empty();
        assert_eq!(error.was_not_sent(), !sent, "{name}");
    }
}

#[tokio::test]
async fn an_order_that_was_taken_but_cannot_be_read_stands() {
    let refused = || Reply::problem(503, "serverInternal", "down");
    let nonce = || Reply::text(200, "");
    let cases = [
        ("the order", "/order/1", [refused(), refused()]),
        ("a nonce for it", "/nonce", [nonce(), refused()]),
        ("a lost nonce for it", "/nonce", [nonce(), Reply::dropped()]),
    ];
    for (case, path, replies) in cases {
        let fake = fake("pending").await;
        fake.reply(path, replies);
        // The only nonce is spent: the next one must be asked for.
        let created = created(&order("pending")).without_nonce();
        fake.reply("/new-order", [created]);
        let error = begin(&fake, Some(&leaf())).await.unwrap_err();
        assert_eq!(error.operation, Operation::ReadOrder, "{case}: {error:?}");
        assert!(error.may_be_placed(), "{case}: {error:?}");
    }
}

#[tokio::test]
async fn a_directory_that_is_gone_says_nothing_about_the_order() {
    let fake = fake("pending").await;
    fake.reply("/dir", [Reply::text(404, "")]);
    let error = resume(&fake).await.unwrap_err();
    assert!(error.was_not_sent(), "{error:?}");
}

/// It could never be taken up, and would be tried for ever.
#[tokio::test]
async fn an_order_at_a_url_that_cannot_be_asked_is_an_answer_that_cannot_be_understood() {
    for replaces in [None, Some(&leaf())] {
        for url in ["{ca}/or der", "/order/1", "ftp://ca.test/order"] {
            let fake = fake("pending").await;
            let created = Reply::json(201, &order("pending")).header("location", url);
            fake.reply("/new-order", [created]);
            let error = begin(&fake, replaces).await.unwrap_err();
            assert!(matches!(error.cause, Cause::Unintelligible(_)), "{error:?}");
            assert!(error.may_be_placed(), "{url}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_finalisation_whose_answer_was_lost_is_taken_up_as_far_as_it_came() {
    let fake = fake("ready").await;
    let (_, chain) = issued(&["example.com"]);
    fake.reply("/finalize", [Reply::dropped()]);
    fake.reply("/certificate", [Reply::text(200, &chain.to_pem())]);
    let mut first = resume(&fake).await.unwrap().unwrap();
    let error = first.finalize(b"csr").await.unwrap_err();
    assert!(matches!(error.cause, Cause::Network(_)), "{error:?}");
    assert_eq!(error.failure(NOW, "d").class(9), Class::Backoff);
    assert!(!error.order_is_over());
    let later = [order("processing"), order("valid")];
    fake.reply("/order/1", later.map(|order| Reply::json(200, &order)));
    let mut again = resume(&fake).await.unwrap().unwrap();
    assert_eq!(again.state(), OrderState::Processing);
    let downloaded = again.download(Duration::from_secs(5)).await.unwrap();
    assert_eq!(downloaded.leaf(), chain.leaf());
    assert_eq!(fake.seen("/finalize").len(), 1);
}

#[tokio::test]
async fn an_answered_challenge_of_which_nothing_was_heard_is_left_alone() {
    let fake = fake("pending").await;
    fake.reply("/challenge/3", [Reply::dropped()]);
    let mut first = resume(&fake).await.unwrap().unwrap();
    let proofs = first.proofs().await.unwrap();
    let error = first.answer(&proofs).await.unwrap_err();
    assert_eq!(error.operation, Operation::AnswerChallenge);
    assert!(matches!(error.cause, Cause::Network(_)), "{error:?}");
    assert!(!error.order_is_over());
    let looked_at = being_looked_at("v.example.net", "3");
    fake.reply("/authz/3", [Reply::json(200, &looked_at)]);
    let mut again = resume(&fake).await.unwrap().unwrap();
    let left = again.proofs().await.unwrap();
    assert_eq!(left.len(), 2, "the record must stay while it is looked at");
    again.answer(&left).await.unwrap();
    assert_eq!(fake.seen("/challenge/3").len(), 1);
}
