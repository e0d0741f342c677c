//! A CA that says what a test tells it to, over HTTP on the loopback. It checks no signature and
//! knows no protocol: the tests against Pebble do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

use crate::acme::{Account, Ca, account};
use crate::clock::Clock;
use crate::net::Network;
use crate::time::Timestamp;

/// What the clock of every test says.
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// [`NOW`], as the CA says it unless a test wants its clock to be wrong.
const DATE: &str = "Fri, 15 Jan 2027 08:00:00 GMT";

/// An answer. `{ca}` in it stands for the CA's own URL.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// A request that arrived: the path, and what was signed if it was a JWS.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) payload: Value,
    pub(super) user_agent: String,
}

pub(super) struct FakeCa {
    base: String,
    shared: Arc<Shared>,
}

struct Shared {
    replies: Mutex<BTreeMap<String, VecDeque<Reply>>>,
    seen: Mutex<Vec<Seen>>,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, &body.to_string())
    }

    pub(super) fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    /// A problem of RFC 8555.
    pub(super) fn problem(status: u16, kind: &str, detail: &str) -> Self {
        let kind = format!("urn:ietf:params:acme:error:{kind}");
        Self::json(status, &json!({ "type": kind, "detail": detail }))
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn to_response(&self, base: &str) -> Response {
        let mut response = self.body.replace("{ca}", base).into_response();
        *response.status_mut() = self.status.try_into().unwrap();
        let nonce = "bm9uY2U".parse().unwrap();
        response.headers_mut().insert("replay-nonce", nonce);
        let headers = response.headers_mut();
        for (name, value) in &self.headers {
            headers.append(*name, value.replace("{ca}", base).parse().unwrap());
        }
        let date = DATE.parse().unwrap();
        headers.entry("date").or_insert(date);
        response
    }
}

impl FakeCa {
    /// A CA with a directory, nonces and nothing else: everything else answers 404.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            replies: Mutex::default(),
            seen: Mutex::default(),
        });
        let state = (Arc::clone(&shared), base.clone());
        let app = Router::new().fallback(respond).with_state(state);
        #[expect(clippy::disallowed_methods, reason = "the other side of a test")]
        tokio::spawn(async move { axum::serve(listener, app).await });
        let ca = Self { base, shared };
        ca.reply("/dir", [Reply::json(200, &directory())]);
        ca.reply("/nonce", [Reply::text(200, "")]);
        ca
    }

    /// The answers of a path, in this order; the last one stays.
    pub(super) fn reply<const N: usize>(&self, path: &str, replies: [Reply; N]) {
        let mut all = self.shared.replies.lock().unwrap();
        all.insert(path.to_owned(), replies.into());
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// What arrived at a path.
    pub(super) fn seen(&self, path: &str) -> Vec<Seen> {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter().filter(|s| s.path == path).cloned().collect()
    }

    pub(super) fn ca(&self) -> Ca {
        let http = Network::default().client().unwrap();
        let directory: Url = self.url("/dir").parse().unwrap();
        Ca::new(&directory, http, Clock::simulated(NOW)).unwrap()
    }

    /// An account that is taken as known.
    pub(super) async fn account(&self) -> Account {
        let key = account::generate_account_key().unwrap();
        let url = self.url("/account/1");
        let opened = account::open(&self.ca(), &key, Some(&url), &[]).await;
        opened.unwrap().account
    }
}

pub(super) fn directory() -> Value {
    json!({
        "newNonce": "{ca}/nonce",
        "newAccount": "{ca}/new-account",
        "newOrder": "{ca}/new-order",
        "revokeCert": "{ca}/revoke",
        "keyChange": "{ca}/key-change",
        "renewalInfo": "{ca}/renewal-info",
    })
}

async fn respond(
    State((shared, base)): State<(Arc<Shared>, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let user_agent = headers.get("user-agent");
    shared.seen.lock().unwrap().push(Seen {
        path: path.clone(),
        payload: if method == Method::POST {
            payload(&body)
        } else {
            Value::Null
        },
        user_agent: user_agent
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
    });
    let mut replies = shared.replies.lock().unwrap();
    let reply = replies.get_mut(&path).and_then(|queue| {
        if queue.len() > 1 {
            queue.pop_front()
        } else {
            queue.front().cloned()
        }
    });
    let missing = || Reply::problem(404, "malformed", "no such thing");
    reply.unwrap_or_else(missing).to_response(&base)
}

/// What a JWS signs; nothing for POST-as-GET.
fn payload(body: &[u8]) -> Value {
    let jws: Value = serde_json::from_slice(body).unwrap();
    let payload = jws["payload"].as_str().unwrap();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&payload).unwrap_or_default()
}
