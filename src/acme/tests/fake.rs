//! A CA that says what a test tells it to, over HTTP on the loopback. It checks no signature and
//! knows no protocol: the tests against Pebble do.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream;
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
    nonce: bool,
    way: Way,
}

/// How an answer comes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Whole,
    /// The connection breaks instead.
    Dropped,
    /// Not at all.
    Silent,
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
    patience: Duration,
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
            nonce: true,
            way: Way::Whole,
        }
    }

    /// The request arrives, and the connection breaks.
    pub(super) fn dropped() -> Self {
        Self {
            way: Way::Dropped,
            ..Self::text(200, "")
        }
    }

    /// The request arrives, and nothing is ever said to it.
    pub(super) fn silent() -> Self {
        Self {
            way: Way::Silent,
            ..Self::text(200, "")
        }
    }

    /// The next request must ask for a nonce first.
    pub(super) fn without_nonce(mut self) -> Self {
        self.nonce = false;
        self
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

    async fn to_response(&self, base: &str) -> Response {
        match self.way {
            Way::Whole => {}
            Way::Dropped => {
                let broken = stream::iter([Err::<Bytes, _>(io::Error::other("dropped"))]);
                return Body::from_stream(broken).into_response();
            }
            Way::Silent => pending().await,
        }
        let mut response = self.body.replace("{ca}", base).into_response();
        *response.status_mut() = self.status.try_into().unwrap();
        if self.nonce {
            let nonce = "bm9uY2U".parse().unwrap();
            response.headers_mut().insert("replay-nonce", nonce);
        }
        let headers = response.headers_mut();
        for (name, value) in &self.headers {
            headers.append(*name, value.replace("{ca}", base).parse().unwrap());
        }
        let date = DATE.parse().unwrap();
        headers.entry("date").or_insert(date);
        response
    }
}

impl Shared {
    fn next_reply(&self, path: &str) -> Reply {
        let mut replies = self.replies.lock().unwrap();
        let reply = replies.get_mut(path).and_then(|queue| {
            if queue.len() > 1 {
                queue.pop_front()
            } else {
                queue.front().cloned()
            }
        });
        reply.unwrap_or_else(|| Reply::problem(404, "malformed", "no such thing"))
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
        let ca = Self {
            base,
            patience: Duration::from_secs(30),
            shared,
        };
        ca.reply("/dir", [Reply::json(200, &directory())]);
        ca.reply("/nonce", [Reply::text(200, "")]);
        ca
    }

    /// Those who talk to it wait no longer than this for an answer.
    pub(super) fn patient_for(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
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
        let network = Network {
            timeout: self.patience,
            ..Network::default()
        };
        let http = network.client().unwrap();
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
    let reply = shared.next_reply(&path);
    reply.to_response(&base).await
}

/// What a JWS signs; nothing for POST-as-GET.
fn payload(body: &[u8]) -> Value {
    let jws: Value = serde_json::from_slice(body).unwrap();
    let payload = jws["payload"].as_str().unwrap();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&payload).unwrap_or_default()
}
