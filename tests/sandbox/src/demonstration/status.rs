//! What the daemon says of itself: `GET /api/v1/certificates`, as far as the story uses it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;

/// One certificate in the daemon's words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct CertificateStatus {
    /// Its label.
    pub(super) name: String,
    /// The newest generation; none before the first was issued.
    #[serde(default)]
    pub(super) generation: Option<u64>,
    /// SHA-256 of that generation's leaf, in lower-case hex.
    #[serde(default)]
    pub(super) fingerprint: Option<String>,
    /// Who issued it.
    #[serde(default)]
    pub(super) issuer: Option<String>,
    /// End of its validity (RFC 3339).
    #[serde(default)]
    pub(super) not_after: Option<String>,
    /// What the daemon will do next.
    #[serde(default)]
    pub(super) next: Option<NextAction>,
    /// What failed last, while it matters.
    #[serde(default)]
    pub(super) failure: Option<Failure>,
}

/// What the daemon will do next, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct NextAction {
    /// The action's name.
    pub(super) action: String,
    /// When (RFC 3339); none for now.
    #[serde(default)]
    pub(super) at: Option<String>,
    /// Why.
    #[serde(default)]
    pub(super) reason: Option<String>,
}

/// A failure and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Failure {
    /// When it happened (RFC 3339).
    pub(super) at: String,
    /// What the daemon makes of it.
    pub(super) class: String,
    /// The other side's code.
    #[serde(default)]
    pub(super) code: Option<String>,
    /// What happened.
    pub(super) message: String,
    /// When it is tried again (RFC 3339).
    #[serde(default)]
    pub(super) retry_at: Option<String>,
}

/// Asks a daemon for its certificates.
#[derive(Debug)]
pub(super) struct StatusClient {
    client: reqwest::Client,
    url: String,
}

impl StatusClient {
    /// A client of the daemon that serves at `http`.
    pub(super) fn new(http: SocketAddr) -> Result<Self> {
        Ok(Self {
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(5))
                .build()?,
            url: format!("http://{http}/api/v1/certificates"),
        })
    }

    /// The certificates; none while the daemon does not serve yet or no longer.
    ///
    /// # Errors
    /// An answer that is not what the contract says.
    pub(super) async fn certificates(&self) -> Result<Option<Vec<CertificateStatus>>> {
        let Ok(answer) = self.client.get(&self.url).send().await else {
            return Ok(None);
        };
        Ok(Some(answer.error_for_status()?.json().await?))
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::*;

    async fn client_of(answer: &'static str) -> StatusClient {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/api/v1/certificates", get(move || async move { answer }));
        tokio::spawn(async move { axum::serve(listener, app).await });
        StatusClient::new(address).unwrap()
    }

    #[tokio::test]
    async fn the_contract_is_read() {
        let client = client_of(
            r#"[{"name":"video","names":["v.example.com"],"generation":2,"fingerprint":"ab",
            "issuer":"sandbox","not_after":"2026-11-24T04:35:18Z",
            "next":{"action":"order","at":"2026-11-24T04:34:18Z","reason":"due"},
            "targets":[],"failure":{"at":"2026-11-24T04:33:18Z","class":"backoff",
            "code":"Throttling.User","message":"slow down","retry_at":null}}]"#,
        )
        .await;
        let certificates = client.certificates().await.unwrap().unwrap();
        assert_eq!(certificates[0].generation, Some(2));
        let failure = certificates[0].failure.as_ref().unwrap();
        assert_eq!(failure.code.as_deref(), Some("Throttling.User"));
        assert_eq!(failure.retry_at, None);
    }

    #[tokio::test]
    async fn a_certificate_that_was_never_issued_is_read() {
        let client = client_of(
            r#"[{"name":"video","names":[],"generation":null,"fingerprint":null,"issuer":null,
            "not_after":null,"next":null,"targets":[],"failure":null}]"#,
        )
        .await;
        let certificates = client.certificates().await.unwrap().unwrap();
        assert_eq!(certificates[0].generation, None);
    }

    #[tokio::test]
    async fn another_answer_is_an_error_and_none_is_not() {
        let broken = client_of("{}").await;
        assert!(broken.certificates().await.is_err());
        let silent = StatusClient::new(SocketAddr::from(([127, 0, 0, 1], 9))).unwrap();
        assert_eq!(silent.certificates().await.unwrap(), None);
    }
}
