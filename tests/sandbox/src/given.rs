//! Those that give credentials to whoever asks: the metadata service of a machine at
//! `/latest/…`, and a credentials URI at `/credentials`.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;

use crate::running::Running;

/// The token that the metadata service gives out.
const TOKEN: &str = "metadata-token";

const ROLES: &str = "/latest/meta-data/ram/security-credentials/";

/// How the metadata service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With a token or without.
    Either,
    /// With a token only (`IMDSv2`).
    TokenOnly,
    /// Without: it gives none (`IMDSv1`).
    NoToken,
}

/// What happens instead of the usual answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A page with this status.
    Status(u16),
    /// A success with this body.
    Body(String),
    /// No answer for longer than anybody waits.
    Silence,
}

/// What is given: an access key with its token, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenKey {
    /// Names the access key.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// Its token.
    pub token: String,
    /// When its time is over.
    pub expires: Timestamp,
}

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct GivingServer {
    url: String,
    state: Arc<Mutex<Script>>,
    _running: Running,
}

#[derive(Debug)]
struct Script {
    role: String,
    mode: Mode,
    key: GivenKey,
    trouble: Option<Trouble>,
    asked: Vec<String>,
}

impl GivingServer {
    /// Starts a server on a free port of `127.0.0.1` that gives this key, as the role of this name.
    pub async fn start(role: &str, key: GivenKey) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(Script {
            role: role.to_owned(),
            mode: Mode::Either,
            key,
            trouble: None,
            asked: Vec::new(),
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&state));
        let running = Running::spawn(async {
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self {
            url,
            state,
            _running: running,
        })
    }

    /// Where it listens, without a final slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where credentials are given without further questions.
    pub fn credentials_uri(&self) -> String {
        format!("{}/credentials", self.url)
    }

    /// Gives another key from now on.
    pub fn give(&self, key: GivenKey) {
        locked(&self.state).key = key;
    }

    /// Is asked in another way from now on.
    pub fn set_mode(&self, mode: Mode) {
        locked(&self.state).mode = mode;
    }

    /// Has this trouble from now on, or none.
    pub fn set_trouble(&self, trouble: Option<Trouble>) {
        locked(&self.state).trouble = trouble;
    }

    /// What was asked so far: methods and paths.
    pub fn asked(&self) -> Vec<String> {
        locked(&self.state).asked.clone()
    }
}

async fn answer(
    State(state): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = uri.path();
    let trouble = {
        let mut script = locked(&state);
        script.asked.push(format!("{method} {path}"));
        script.trouble.clone()
    };
    match trouble {
        Some(Trouble::Status(status)) => return page(status),
        Some(Trouble::Body(body)) => return body.into_response(),
        Some(Trouble::Silence) => tokio::time::sleep(Duration::from_hours(1)).await,
        None => {}
    }
    let script = locked(&state);
    if path == "/credentials" && method == Method::GET {
        return script.credentials();
    }
    if path == "/latest/api/token" && script.mode != Mode::NoToken {
        let ttl = headers.contains_key("x-aliyun-ecs-metadata-token-ttl-seconds");
        return if method == Method::PUT && ttl {
            TOKEN.into_response()
        } else {
            page(400)
        };
    }
    let token = headers.get("x-aliyun-ecs-metadata-token");
    let wrong = token.is_some_and(|token| token != TOKEN);
    if wrong || (token.is_none() && script.mode == Mode::TokenOnly) {
        return page(401);
    }
    match path.strip_prefix(ROLES) {
        Some("") if method == Method::GET => format!("{}\n", script.role).into_response(),
        Some(role) if method == Method::GET && role == script.role => script.credentials(),
        Some(_) | None => page(404),
    }
}

impl Script {
    fn credentials(&self) -> Response {
        let body = json!({
            "Code": "Success",
            "AccessKeyId": self.key.id,
            "AccessKeySecret": self.key.secret,
            "SecurityToken": self.key.token,
            "Expiration": self.key.expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        });
        body.to_string().into_response()
    }
}

fn page(status: u16) -> Response {
    let status = StatusCode::from_u16(status).expect("a scripted status lies between 100 and 999");
    (status, "<html></html>").into_response()
}

/// Locks `mutex`; a panic elsewhere must not hide behind a second one here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
