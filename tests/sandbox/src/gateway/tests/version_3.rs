//! Signature version 3 (ACS3-HMAC-SHA256), by a client that signs on its own.

use std::fmt::Write as _;

use jiff::SignedDuration;
use sha2::{Digest, Sha256};

use super::*;

const ACTION: &str = "DescribeVodUserDomains";
const FORM: &str = "application/x-www-form-urlencoded";

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// A request of version 3 that is still to be signed.
#[derive(Clone)]
struct Draft {
    headers: BTreeMap<&'static str, String>,
    query: &'static str,
    body: &'static str,
    key_id: &'static str,
    secret: &'static str,
}

impl Draft {
    fn new(gateway: &Gateway) -> Self {
        static NONCES: AtomicU64 = AtomicU64::new(0);
        let nonce = NONCES.fetch_add(1, Ordering::Relaxed);
        let body = "PageSize=1";
        let headers = BTreeMap::from([
            ("content-type", FORM.to_owned()),
            (
                "host",
                gateway.url().trim_start_matches("http://").to_owned(),
            ),
            ("x-acs-action", ACTION.to_owned()),
            ("x-acs-content-sha256", hex(Sha256::digest(body))),
            ("x-acs-date", from_now(0)),
            ("x-acs-signature-nonce", format!("v3-{nonce}")),
            ("x-acs-version", "2017-03-21".to_owned()),
        ]);
        Self {
            headers,
            query: "",
            body,
            key_id: Gateway::ACCESS_KEY_ID,
            secret: Gateway::ACCESS_KEY_SECRET,
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// The `Authorization` header over all headers.
    fn authorization(&self) -> String {
        let (mut lines, mut names) = (String::new(), Vec::new());
        for (name, value) in &self.headers {
            writeln!(lines, "{name}:{value}").unwrap();
            names.push(*name);
        }
        let names = names.join(";");
        let (query, hash) = (self.query, hex(Sha256::digest(self.body)));
        let request = format!("POST\n/\n{query}\n{lines}\n{names}\n{hash}");
        let text = format!("ACS3-HMAC-SHA256\n{}", hex(Sha256::digest(request)));
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        let signature = hex(mac.finalize().into_bytes());
        let id = self.key_id;
        format!("ACS3-HMAC-SHA256 Credential={id},SignedHeaders={names},Signature={signature}")
    }

    async fn send(self, gateway: &Gateway) -> Answer {
        let authorization = self.authorization();
        self.send_as(gateway, &authorization).await
    }

    async fn send_as(self, gateway: &Gateway, authorization: &str) -> Answer {
        let url = format!("{}/?{}", gateway.url(), self.query);
        let request = reqwest::Client::new()
            .post(url.trim_end_matches('?'))
            .header("accept", "application/json")
            .header("authorization", authorization);
        let headers = self.headers.iter().filter(|(name, _)| **name != "host");
        let request = headers.fold(request, |request, (name, value)| {
            request.header(*name, value)
        });
        Answer::of(request.body(self.body).send().await.unwrap()).await
    }
}

fn from_now(minutes: i64) -> String {
    let moment = Timestamp::now() + SignedDuration::from_mins(minutes);
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[tokio::test]
async fn a_signed_request_is_performed_with_parameters_of_body_and_query() {
    let (_world, gateway) = started().await;
    let draft = Draft {
        query: "DomainName=w.example.com",
        ..Draft::new(&gateway)
    };
    let answer = draft.send(&gateway).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["TotalCount"], "1", "{}", answer.text);
    let calls = gateway.calls().of(ACTION);
    assert_eq!(calls[0].parameter("PageSize"), Some("1"));
    assert!(calls[0].performed);
}

#[tokio::test]
async fn headers_that_are_not_there_are_missed() {
    let (_world, gateway) = started().await;
    for name in [
        "x-acs-content-sha256",
        "x-acs-date",
        "x-acs-signature-nonce",
        "x-acs-action",
        "x-acs-version",
    ] {
        let answer = Draft::new(&gateway).without(name).send(&gateway).await;
        let missing = (400, "MissingParameter".to_owned());
        assert_eq!(answer.verdict(), missing, "{name}");
    }
}

#[tokio::test]
async fn headers_with_other_values_are_refused_with_their_code() {
    let (_world, gateway) = started().await;
    let bad_token = "InvalidSecurityToken.MismatchWithAccessKey";
    for (name, value, code) in [
        ("x-acs-date", "now".to_owned(), "InvalidTimeStamp.Format"),
        ("x-acs-date", from_now(16), "InvalidTimeStamp.Expired"),
        ("x-acs-date", from_now(-16), "InvalidTimeStamp.Expired"),
        ("x-acs-version", "2015-01-09".to_owned(), "InvalidVersion"),
        ("x-acs-action", "Sing".to_owned(), "InvalidAction.NotFound"),
        ("x-acs-content-sha256", "0".repeat(64), "InvalidParameter"),
        ("x-acs-accesskey-id", "who".to_owned(), "InvalidParameter"),
        ("x-acs-security-token", "t".to_owned(), bad_token),
    ] {
        let answer = Draft::new(&gateway).with(name, &value).send(&gateway).await;
        assert_eq!(answer.verdict().1, code, "{name}: {value}");
    }
    for minutes in [-14, 14] {
        let draft = Draft::new(&gateway).with("x-acs-date", from_now(minutes));
        assert_eq!(draft.send(&gateway).await.status, 200, "{minutes}");
    }
}

#[tokio::test]
async fn what_was_not_signed_like_that_is_refused() {
    let (_world, gateway) = started().await;
    let draft = || Draft::new(&gateway);
    let signed = draft();
    let authorization = signed.authorization();
    let changed = [
        (
            "another nonce",
            signed.clone().with("x-acs-signature-nonce", "new"),
        ),
        (
            "another time",
            signed.clone().with("x-acs-date", from_now(1)),
        ),
        (
            "another query",
            Draft {
                query: "PageNumber=2",
                ..signed.clone()
            },
        ),
    ];
    for (case, draft) in changed {
        let answer = draft.send_as(&gateway, &authorization).await;
        assert_eq!(answer.verdict().1, "SignatureDoesNotMatch", "{case}");
    }
    let another_body = Draft {
        body: "PageSize=2",
        ..signed.clone()
    };
    let answer = another_body.send_as(&gateway, &authorization).await;
    assert_eq!(answer.verdict().1, "InvalidParameter", "another body");
    let unsigned = signed.clone().with("x-acs-anything", "1");
    let answer = unsigned.send_as(&gateway, &authorization).await;
    assert_eq!(
        answer.verdict().1,
        "IncompleteSignature",
        "a header that is not signed"
    );
    for broken in [
        "ACS3-HMAC-SHA256",
        "ACS3-HMAC-SHA256 Credential=testid,Signature=0",
    ] {
        let answer = draft().send_as(&gateway, broken).await;
        assert_eq!(answer.verdict().1, "IncompleteSignature", "{broken}");
    }
    assert_eq!(gateway.calls().performed(ACTION), 0);
    assert_eq!(signed.send(&gateway).await.status, 200);
}

#[tokio::test]
async fn a_wrong_secret_or_an_unknown_key_is_refused() {
    let (_world, gateway) = started().await;
    let wrong = Draft {
        secret: "wrong",
        ..Draft::new(&gateway)
    };
    let answer = wrong.send(&gateway).await;
    assert_eq!(answer.verdict(), (400, "SignatureDoesNotMatch".to_owned()));
    assert!(
        answer
            .text
            .contains("server string to sign is:ACS3-HMAC-SHA256")
    );
    let unknown = Draft {
        key_id: "who",
        ..Draft::new(&gateway)
    };
    let answer = unknown.send(&gateway).await;
    assert_eq!(
        answer.verdict(),
        (404, "InvalidAccessKeyId.NotFound".to_owned())
    );
}

#[tokio::test]
async fn a_nonce_passes_once_and_is_not_spent_by_a_wrong_signature() {
    let (_world, gateway) = started().await;
    let draft = Draft::new(&gateway);
    let wrong = Draft {
        secret: "wrong",
        ..draft.clone()
    };
    assert_eq!(wrong.send(&gateway).await.status, 400);
    assert_eq!(draft.clone().send(&gateway).await.status, 200);
    let again = draft.send(&gateway).await;
    assert_eq!(again.verdict(), (400, "SignatureNonceUsed".to_owned()));
}

#[tokio::test]
async fn temporary_keys_need_their_token() {
    let (_world, gateway) = started().await;
    gateway.add_access_key(AccessKey::temporary("STS.a", "s", "CAIS/+token==~*"));
    let mismatch = "InvalidSecurityToken.MismatchWithAccessKey";
    for (token, code) in [
        (Some("CAIS/+token==~*"), ""),
        (Some("t"), mismatch),
        (None, "MissingSecurityToken"),
    ] {
        let draft = Draft {
            key_id: "STS.a",
            secret: "s",
            ..Draft::new(&gateway)
        };
        let draft = draft.with("x-acs-accesskey-id", "STS.a");
        let draft = match token {
            Some(token) => draft.with("x-acs-security-token", token),
            None => draft,
        };
        let answer = draft.send(&gateway).await;
        assert_eq!(answer.verdict().1, code, "{token:?}");
    }
}
