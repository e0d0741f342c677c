use serde_json::{Value, json};

use super::fake::{FakeCa, NOW, Reply};
use crate::acme::account::{generate_account_key, open};
use crate::acme::{AcmeError, Cause, Opened, Operation};
use crate::keys::PrivateKey;
use crate::retry::Class;
use crate::secret::Secret;

fn known() -> Reply {
    Reply::json(200, &json!({ "status": "valid" })).header("location", "{ca}/account/1")
}

fn unknown() -> Reply {
    Reply::problem(400, "accountDoesNotExist", "no such account")
}

fn made() -> Reply {
    Reply::json(201, &json!({ "status": "valid" })).header("location", "{ca}/account/2")
}

async fn open_by_key(fake: &FakeCa, contacts: &[&str]) -> Result<Opened, AcmeError> {
    let key = generate_account_key().unwrap();
    let contacts: Vec<String> = contacts.iter().map(ToString::to_string).collect();
    open(&fake.ca(), &key, None, &contacts).await
}

fn payloads(fake: &FakeCa, path: &str) -> Vec<Value> {
    fake.seen(path)
        .into_iter()
        .map(|seen| seen.payload)
        .collect()
}

#[tokio::test]
async fn a_stored_account_is_opened_without_asking() {
    let fake = FakeCa::start().await;
    let account = fake.account().await;
    assert_eq!(account.url(), fake.url("/account/1"));
    assert_eq!(fake.seen("/dir"), []);
    assert_eq!(fake.seen("/new-account"), []);
}

/// As after a crash between the CA's answer and our disk.
#[tokio::test]
async fn an_account_whose_url_was_lost_is_found_by_its_key() {
    let fake = FakeCa::start().await;
    fake.reply("/new-account", [known()]);
    let opened = open_by_key(&fake, &[]).await.unwrap();
    assert_eq!(opened.account.url(), fake.url("/account/1"));
    assert!(!opened.created);
    let asked = payloads(&fake, "/new-account");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["onlyReturnExisting"], json!(true));
}

#[tokio::test]
async fn an_account_of_which_nothing_was_heard_is_found_by_its_key_the_next_time() {
    let fake = FakeCa::start().await;
    fake.reply("/new-account", [unknown(), Reply::dropped(), known()]);
    let key = generate_account_key().unwrap();
    let error = open(&fake.ca(), &key, None, &[]).await.unwrap_err();
    assert_eq!(error.operation, Operation::CreateAccount);
    assert!(matches!(error.cause, Cause::Network(_)), "{error:?}");
    assert_eq!(error.failure(NOW, "d").class(9), Class::Backoff);
    let opened = open(&fake.ca(), &key, None, &[]).await.unwrap();
    assert!(!opened.created);
    let asked = payloads(&fake, "/new-account");
    let only = asked
        .iter()
        .map(|asked| asked["onlyReturnExisting"].is_boolean());
    assert_eq!(only.collect::<Vec<_>>(), [true, false, true], "made once");
}

#[tokio::test]
async fn an_unknown_key_gets_a_new_account_with_contacts() {
    let fake = FakeCa::start().await;
    fake.reply("/new-account", [unknown(), made()]);
    fake.reply(
        "/account/2",
        [Reply::json(200, &json!({ "status": "valid" }))],
    );
    let opened = open_by_key(&fake, &["ops@example.com"]).await.unwrap();
    assert_eq!(opened.account.url(), fake.url("/account/2"));
    assert!(opened.created);
    assert!(opened.contacts_refused.is_none());
    let asked = payloads(&fake, "/new-account");
    assert_eq!(asked[1]["onlyReturnExisting"], Value::Null);
    assert_eq!(asked[1]["termsOfServiceAgreed"], json!(true));
    assert_eq!(
        payloads(&fake, "/account/2"),
        [json!({ "contact": ["mailto:ops@example.com"] })]
    );
}

#[tokio::test]
async fn refused_contacts_do_not_cost_the_account() {
    let fake = FakeCa::start().await;
    fake.reply("/new-account", [unknown(), made()]);
    let refused = Reply::problem(400, "invalidContact", "example.com has no MX");
    fake.reply("/account/2", [refused]);
    let opened = open_by_key(&fake, &["ops@example.com"]).await.unwrap();
    let failure = opened.contacts_refused.unwrap().failure(NOW, "d");
    assert_eq!(failure.code, "invalidContact");
}

#[tokio::test]
async fn a_ca_that_wants_a_binding_says_so() {
    let fake = FakeCa::start().await;
    let refused = Reply::problem(403, "externalAccountRequired", "bind it");
    fake.reply("/new-account", [unknown(), refused]);
    let failure = open_by_key(&fake, &[]).await.unwrap_err().failure(NOW, "d");
    assert_eq!(failure.code, "externalAccountRequired");
    assert_eq!(failure.class(1), Class::Operator);
}

/// The account may exist now: the next attempt finds it by its key.
#[tokio::test]
async fn an_account_without_a_url_is_an_answer_that_cannot_be_understood() {
    let fake = FakeCa::start().await;
    let lost = Reply::json(201, &json!({ "status": "valid" }));
    fake.reply("/new-account", [unknown(), lost]);
    let error = open_by_key(&fake, &[]).await.unwrap_err();
    assert_eq!(error.failure(NOW, "d").code, "unintelligible");
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_without_being_shown() {
    let fake = FakeCa::start().await;
    let key = Secret::new("hunter2");
    let error = open(&fake.ca(), &key, None, &[]).await.unwrap_err();
    assert_eq!(error.failure(NOW, "d").code, "account-key");
    assert!(!format!("{error:?}").contains("hunter2"));
    assert_eq!(fake.seen("/dir"), []);
}

#[test]
fn account_keys_are_p_256() {
    let key = generate_account_key().unwrap();
    let key = PrivateKey::from_pem(&key).unwrap();
    assert_eq!(key.key_type(), crate::certificate::KeyType::EcdsaP256);
}
