//! The read-only HTTP server.
//!
//! | path | shows |
//! |---|---|
//! | `/` | all certificates, for people |
//! | `/certificates/NAME` | one of them with its history |
//! | `/healthz` | that the process is alive |
//! | `/readyz` | that the store can be read and the search for due work runs |
//! | `/metrics` | classic Prometheus text, or OpenMetrics by `Accept` |
//! | `/api/v1/certificates`, `/api/v1/certificates/NAME` | JSON as `status --json` |
//!
//! Nothing can be changed through it. It reads the store through connections of its own and makes at
//! most one survey at a time, so that whoever asks too often waits for himself, not the workers.

use std::collections::BTreeMap;
use std::fmt;
use std::future::IntoFuture as _;
use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::budget::budget_left;
use super::exposition::Format;
use super::metrics::{ApiCalls, Metrics};
use super::page;
use super::projection::Projection;
use super::snapshot::Snapshot;
use super::survey::{Facts, survey};
use crate::clock::Clock;
use crate::name::Label;
use crate::renewal::{ClockTrust, Spec};
use crate::store::{ReadStore, StoreError};
use crate::time::Timestamp;

/// A search for due work is made at least once a minute; without one for so long, something hangs.
const SEARCH_OVERDUE: Duration = Duration::from_mins(3);

/// How long a request under way may take once the server is to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Entries of the history on a certificate's page.
const HISTORY_SHOWN: u32 = 100;

/// What the server shows.
pub struct Site {
    /// The store, opened for this server alone.
    pub store: ReadStore,
    /// The configured certificates.
    pub specs: BTreeMap<Label, Spec>,
    /// The time of day.
    pub clock: Clock,
    /// What the daemon counts.
    pub metrics: Metrics,
    /// What only the running daemon knows.
    pub live: Box<dyn Fn() -> Live + Send + Sync>,
}

/// What only the running daemon knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Whether the local clock can be trusted.
    pub clock: ClockTrust,
    /// The calls of all clouds so far.
    pub api_calls: Vec<ApiCalls>,
}

/// The site, and the right to survey it.
struct Desk {
    site: Site,
    surveying: Mutex<()>,
}

/// What every handler gets.
type Shared = State<Arc<Desk>>;

/// Serves the site until `stop`, then lets requests under way end and closes the store.
pub async fn serve(listener: TcpListener, site: Site, stop: CancellationToken) -> io::Result<()> {
    let desk = Arc::new(Desk {
        site,
        surveying: Mutex::new(()),
    });
    let server = axum::serve(listener, router(Arc::clone(&desk)))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    let cut_off = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let outcome = tokio::select! {
        outcome = server.into_future() => outcome,
        () = cut_off => Ok(()),
    };
    desk.site.store.close().await;
    outcome
}

fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/certificates/{name}", get(certificate_page))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/certificates", get(api_all))
        .route("/api/v1/certificates/{name}", get(api_one))
        .fallback(nothing_here)
        .layer(middleware::map_response(guard))
        .with_state(desk)
}

#[derive(Deserialize)]
struct Part {
    page: Option<usize>,
}

async fn overview(State(desk): Shared, part: Query<Part>) -> Result<Html<String>, Refusal> {
    let now = desk.now();
    let snapshots = desk.snapshots(now).await?;
    Ok(Html(page::overview(
        &snapshots,
        part.page.unwrap_or(1),
        now,
    )))
}

async fn certificate_page(
    State(desk): Shared,
    Path(name): Path<String>,
) -> Result<Html<String>, Refusal> {
    let now = desk.now();
    let snapshot = desk.snapshot(&name, now).await?;
    let history = desk
        .site
        .store
        .history(Some(&snapshot.name), HISTORY_SHOWN)
        .await?;
    Ok(Html(page::certificate(&snapshot, &history, now)))
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(desk): Shared) -> Response {
    match desk.unready().await {
        None => "ready\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(State(desk): Shared, headers: HeaderMap) -> Result<Response, Refusal> {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let format = Format::preferred(accept.unwrap_or_default());
    let now = desk.now();
    let snapshots = desk.snapshots(now).await?;
    let budget = budget_left(&desk.site.store, desk.site.specs.values(), now).await?;
    let api_calls = (desk.site.live)().api_calls;
    let text = desk.site.metrics.render(
        Projection {
            snapshots,
            api_calls,
            budget,
        },
        format,
    );
    Ok(([(header::CONTENT_TYPE, format.content_type())], text).into_response())
}

async fn api_all(State(desk): Shared) -> Result<Json<Vec<Snapshot>>, JsonRefusal> {
    Ok(Json(desk.snapshots(desk.now()).await?))
}

async fn api_one(
    State(desk): Shared,
    Path(name): Path<String>,
) -> Result<Json<Snapshot>, JsonRefusal> {
    Ok(Json(desk.snapshot(&name, desk.now()).await?))
}

async fn nothing_here(uri: Uri) -> Response {
    if uri.path().starts_with("/api/") {
        JsonRefusal(Refusal::NotFound).into_response()
    } else {
        Refusal::NotFound.into_response()
    }
}

impl Desk {
    fn now(&self) -> Timestamp {
        self.site.clock.now()
    }

    async fn snapshots(&self, now: Timestamp) -> Result<Vec<Snapshot>, StoreError> {
        let _alone = self.surveying.lock().await;
        survey(
            &self.site.store,
            &self.site.specs,
            (self.site.live)().clock,
            now,
        )
        .await
    }

    async fn snapshot(&self, name: &str, now: Timestamp) -> Result<Snapshot, Refusal> {
        let label: Option<Label> = name.parse().ok();
        let spec = label
            .and_then(|label| self.site.specs.get(&label))
            .ok_or(Refusal::NotFound)?;
        let facts = Facts::of_one(&self.site.store, &spec.label, (self.site.live)().clock).await?;
        Ok(facts.snapshot(spec, now))
    }

    /// Why the daemon does not do its work, if so.
    async fn unready(&self) -> Option<&'static str> {
        if self.site.store.deadlines().await.is_err() {
            return Some("the store cannot be read");
        }
        match self.site.metrics.last_search() {
            None => Some("no search for due work has been made yet"),
            Some(last) if self.now().distance(last) > SEARCH_OVERDUE => {
                Some("the search for due work does not run")
            }
            Some(_) => None,
        }
    }
}

/// Why a request is not answered.
#[derive(Debug)]
enum Refusal {
    NotFound,
    Store(StoreError),
}

/// The same for programs.
struct JsonRefusal(Refusal);

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::Store(error) => write!(f, "the store cannot be read: {error}"),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a status request failed"
        );
        Self::Store(error)
    }
}

impl<E: Into<Refusal>> From<E> for JsonRefusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status(), format!("{self}\n")).into_response()
    }
}

impl IntoResponse for JsonRefusal {
    fn into_response(self) -> Response {
        (
            self.0.status(),
            Json(json!({ "error": self.0.to_string() })),
        )
            .into_response()
    }
}

/// Only our one style sheet, and nothing else from anywhere; nobody may frame, guess or keep it.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src '{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        *page::STYLE_HASH
    );
    HeaderValue::from_str(&policy).expect("base64 and our own words are visible ASCII")
});

async fn guard(mut response: Response) -> Response {
    let set = |name: HeaderName, value: &'static str| (name, HeaderValue::from_static(value));
    response.headers_mut().extend([
        (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        set(header::REFERRER_POLICY, "no-referrer"),
        set(header::CACHE_CONTROL, "no-store"),
    ]);
    response
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
