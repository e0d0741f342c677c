use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::renewal::Record;
use crate::status::testing::{self, fingerprint, now, spec};
use crate::store::Store;

/// A served site with one certificate that is fine and one that was never worked on.
struct Server {
    address: SocketAddr,
    clock: Clock,
    metrics: Metrics,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
    store: Store,
    folder: TempDir,
}

struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: String,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let video = spec("video", "v.example.com");
        let new = spec("new", "n.example.com");
        let records = [
            (video.label.clone(), testing::served(&video, 2)),
            (new.label.clone(), Record::default()),
        ];
        let records = records.into();
        let store = testing::store(folder.path(), &records).await;
        let clock = Clock::simulated(now());
        let metrics = Metrics::new();
        let calls = ApiCalls {
            cloud: "default".into(),
            action: "DescribeVodDomainDetail".into(),
            code: "OK".into(),
            count: 3,
        };
        let live = Live {
            clock: ClockTrust::Trusted,
            api_calls: vec![calls],
        };
        let site = Site {
            store: ReadStore::open(&folder.path().join("state.db"))
                .await
                .unwrap(),
            specs: testing::specs([video, new]),
            clock: clock.clone(),
            metrics: metrics.clone(),
            live: Box::new(move || live.clone()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, site, stop.clone()));
        Self {
            address,
            clock,
            metrics,
            stop,
            task,
            store,
            folder,
        }
    }

    async fn send(&self, method: Method, path: &str, accept: &str) -> Answer {
        let request = client().request(method, format!("http://{}{path}", self.address));
        let answer = request.header("Accept", accept).send().await.unwrap();
        Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.text().await.unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "*/*").await
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

#[tokio::test]
async fn the_api_shows_every_configured_certificate() {
    let server = Server::start().await;
    let all = server.get("/api/v1/certificates").await;
    assert_eq!(
        (all.status, all.header("content-type")),
        (200, "application/json")
    );
    let all = all.json();
    assert_eq!(all[0]["name"], "new");
    assert_eq!(all[0]["generation"], Value::Null);
    assert_eq!(all[1]["name"], "video");
    assert_eq!(all[1]["fingerprint"], fingerprint(2).to_string());
    let one = server.get("/api/v1/certificates/video").await.json();
    assert_eq!(one, all[1]);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_language_of_the_asker() {
    let server = Server::start().await;
    for path in [
        "/api/v1/certificates/other",
        "/api/v1/certificates/%00",
        "/api/v2",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json()["error"], "not found", "{path}");
    }
    for path in ["/certificates/other", "/certificates/..%2f..", "/nothing"] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (404, "not found\n"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn pages_are_html_and_guarded() {
    let server = Server::start().await;
    for path in ["/", "/?page=2", "/certificates/video", "/certificates/new"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(
            answer.body.contains("v.example.com") || path.ends_with("new"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn nothing_can_be_changed() {
    let server = Server::start().await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = server
            .send(method.clone(), "/api/v1/certificates/video", "*/*")
            .await;
        assert_eq!(answer.status, 405, "{method}");
    }
}

#[tokio::test]
async fn metrics_are_classic_unless_open_metrics_is_asked_for() {
    let server = Server::start().await;
    server.metrics.action("look", true, Duration::from_secs(1));
    let classic = server.get("/metrics").await;
    assert_eq!(
        classic.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    for line in [
        "# TYPE vodcertd_actions_total counter",
        r#"vodcertd_actions_total{action="look",outcome="done"} 1"#,
        r#"vodcertd_edge_current{certificate="video",target="aliyun-vod/default/v.example.com"} 1"#,
        r#"vodcertd_edge_current{certificate="new",target="aliyun-vod/default/n.example.com"} 0"#,
        r#"vodcertd_api_calls_total{cloud="default",action="DescribeVodDomainDetail",code="OK"} 3"#,
    ] {
        assert!(
            classic.body.lines().any(|found| found == line),
            "{line}\n{}",
            classic.body
        );
    }
    assert!(!classic.body.contains("# EOF"));
    let accept = "application/openmetrics-text; version=1.0.0";
    let open = server.send(Method::GET, "/metrics", accept).await;
    assert!(
        open.header("content-type")
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    assert!(open.body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn ready_means_that_due_work_is_searched_for() {
    let server = Server::start().await;
    assert_eq!(server.get("/healthz").await.status, 200);
    let before = server.get("/readyz").await;
    assert_eq!(before.status, 503);
    assert!(before.body.contains("no search"), "{}", before.body);
    server.metrics.beat(now());
    assert_eq!(server.get("/readyz").await.status, 200);
    server.clock.set(now() + Duration::from_secs(181));
    let late = server.get("/readyz").await;
    assert_eq!(late.status, 503);
    assert!(late.body.contains("does not run"), "{}", late.body);
}

/// What interface.md promises of `/metrics`, with a sample in every family.
#[tokio::test]
async fn promtool_finds_nothing_wrong_with_the_metrics() {
    let server = Server::start().await;
    server.metrics.action("look", true, Duration::from_secs(1));
    server.metrics.tick(Duration::from_millis(3));
    server.metrics.beat(now());
    let text = server.get("/metrics").await.body;
    let mut check = std::process::Command::new(promtool())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool: run tests/setup.sh");
    let mut questions = check.stdin.take().unwrap();
    io::Write::write_all(&mut questions, text.as_bytes()).unwrap();
    drop(questions);
    let output = check.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

/// Where `tests/setup.sh` puts it, or the one on `PATH`.
fn promtool() -> PathBuf {
    let unpacked = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/usr/bin/promtool");
    let unpacked = PathBuf::from(unpacked);
    if unpacked.exists() {
        unpacked
    } else {
        "promtool".into()
    }
}

#[tokio::test]
async fn without_its_store_everything_but_the_process_is_out_of_service() {
    let server = Server::start().await;
    server.metrics.beat(now());
    assert_eq!(server.get("/readyz").await.status, 200);
    // As by a disk that lost pages of the file.
    let database = server.folder.path().join("state.db");
    let url = format!("sqlite://{}", database.display());
    let damage = sqlx::SqlitePool::connect(&url).await.unwrap();
    let lost = sqlx::query("DROP TABLE deadlines").execute(&damage).await;
    lost.unwrap();
    assert_eq!(server.get("/healthz").await.status, 200);
    let ready = server.get("/readyz").await;
    assert_eq!(
        (ready.status, ready.body.as_str()),
        (503, "the store cannot be read\n")
    );
    for path in ["/", "/certificates/video", "/metrics"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        let said = answer.body.starts_with("the store cannot be read: ");
        assert!(said, "{path}: {}", answer.body);
    }
    for path in ["/api/v1/certificates", "/api/v1/certificates/video"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(
            error.starts_with("the store cannot be read: "),
            "{path}: {error}"
        );
    }
}

#[tokio::test]
async fn the_server_stops_and_leaves_the_store_clean() {
    let server = Server::start().await;
    assert_eq!(server.get("/").await.status, 200);
    server.stop.cancel();
    server.task.await.unwrap().unwrap();
    let log = server.folder.path().join("state.db-wal");
    assert!(log.exists());
    server.store.close().await;
    assert!(!log.exists(), "a reader that is still open keeps the log");
}
