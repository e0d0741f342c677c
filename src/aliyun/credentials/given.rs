//! Credentials that are given to those that ask: by the metadata service of a machine, and by whoever
//! answers at a URL. Both say the same ("instance RAM roles"; the SDKs' credentials URI).
//!
//! Neither is asked through a proxy, nor followed elsewhere: what they answer is secret, and they are
//! mostly reached by plain HTTP.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::error::{CredentialsError, GivenError, Giver};
use super::{Credentials, Fetched};
use crate::aliyun::answer::text;
use crate::net::{self, Answer, Network, NetworkError};
use crate::secret::Secret;
use crate::time::Timestamp;

/// A machine's own metadata service answers at once, or there is none.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// Whoever answers at a URL may have to ask others first.
const URI_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a token of the metadata service is asked for, in seconds. It is used at once.
const TOKEN_TTL: &str = "60";

const TOKEN: &str = "x-aliyun-ecs-metadata-token";
const TOKEN_TTL_HEADER: &str = "x-aliyun-ecs-metadata-token-ttl-seconds";

/// Below it are the roles of the machine.
const ROLES: [&str; 4] = ["latest", "meta-data", "ram", "security-credentials"];

/// Asks those that give credentials.
#[derive(Debug)]
pub(super) struct Givers {
    metadata: reqwest::Client,
    uri: reqwest::Client,
}

impl Givers {
    pub(super) fn new(network: &Network) -> Result<Self, NetworkError> {
        Ok(Self {
            metadata: network.direct_client(METADATA_TIMEOUT)?,
            uri: network.direct_client(URI_TIMEOUT.min(network.timeout))?,
        })
    }

    /// The credentials of a role of the machine; of the one that it has, if none is named. `now` is
    /// when they are asked for.
    pub(super) async fn of_the_machine(
        &self,
        service: &Url,
        name: Option<&str>,
        without_token: bool,
        now: Timestamp,
    ) -> Result<Fetched, CredentialsError> {
        let asked = async {
            let token = match self.token(service).await {
                Ok(token) => Some(token),
                // Nobody is there to be asked in another way.
                Err(error @ GivenError::Network(NetworkError::Connect { .. })) => {
                    return Err(error);
                }
                Err(_) if without_token => None,
                Err(error) => return Err(error),
            };
            let roles = below(service, &ROLES);
            let name = match name {
                Some(name) => name.to_owned(),
                None => self.only_role(below(&roles, &[""]), token.as_ref()).await?,
            };
            self.get(below(&roles, &[&name]), token.as_ref()).await
        };
        Self::read(asked.await, Giver::Metadata, now)
    }

    /// The credentials that are given at a URL.
    pub(super) async fn at(
        &self,
        uri: &Secret,
        now: Timestamp,
    ) -> Result<Fetched, CredentialsError> {
        let asked = async {
            let request = self.uri.get(uri.expose()).build();
            let request = request.map_err(without_url)?;
            answered(&self.uri, request).await
        };
        Self::read(asked.await, Giver::Uri, now)
    }

    fn read(
        answer: Result<Answer, GivenError>,
        giver: Giver,
        now: Timestamp,
    ) -> Result<Fetched, CredentialsError> {
        let read = |answer: Answer| {
            let body: Value = serde_json::from_slice(&answer.body).ok()?;
            let code = text(&body, "Code");
            // Not every URI has a code to its answer.
            let well = code.is_none_or(|code| code.eq_ignore_ascii_case("success"));
            let their_now = net::date(&answer.headers).unwrap_or(now);
            fetched(&body, their_now).filter(|_| well)
        };
        answer
            .and_then(|answer| read(answer).ok_or(GivenError::Unreadable))
            .map_err(|source| CredentialsError::Given { giver, source })
    }

    async fn token(&self, service: &Url) -> Result<Secret, GivenError> {
        let request = self
            .metadata
            .put(below(service, &["latest", "api", "token"]))
            .header(TOKEN_TTL_HEADER, TOKEN_TTL)
            .body("")
            .build();
        let answer = answered(&self.metadata, request.map_err(without_url)?).await?;
        word(&answer).map(Secret::new)
    }

    async fn only_role(&self, roles: Url, token: Option<&Secret>) -> Result<String, GivenError> {
        let answer = self.get(roles, token).await?;
        word(&answer).map(str::to_owned)
    }

    async fn get(&self, url: Url, token: Option<&Secret>) -> Result<Answer, GivenError> {
        let mut request = self.metadata.get(url);
        if let Some(token) = token {
            request = request.header(TOKEN, token.expose());
        }
        let mut request = request.build().map_err(without_url)?;
        // Kept out of what the HTTP client logs.
        if let Some(token) = request.headers_mut().get_mut(TOKEN) {
            token.set_sensitive(true);
        }
        answered(&self.metadata, request).await
    }
}

/// The credentials in an object, and how long they last when it is `their_now` for whoever gave them.
pub(super) fn fetched(value: &Value, their_now: Timestamp) -> Option<Fetched> {
    let expires: Timestamp = text(value, "Expiration")?.parse().ok()?;
    Some(Fetched {
        credentials: Credentials {
            access_key_id: text(value, "AccessKeyId")?,
            access_key_secret: Secret::new(text(value, "AccessKeySecret")?),
            security_token: Some(Secret::new(text(value, "SecurityToken")?)),
        },
        lasts: Some(expires.since(their_now)),
    })
}

async fn answered(
    client: &reqwest::Client,
    request: reqwest::Request,
) -> Result<Answer, GivenError> {
    let answer = net::exchange(client, request).await;
    let answer = answer.map_err(GivenError::Network)?;
    if answer.status.is_success() {
        Ok(answer)
    } else {
        Err(GivenError::Status(answer.status))
    }
}

/// An answer that is one word.
fn word(answer: &Answer) -> Result<&str, GivenError> {
    let text = std::str::from_utf8(&answer.body).map_or("", str::trim);
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Err(GivenError::Unreadable)
    } else {
        Ok(text)
    }
}

fn below(url: &Url, path: &[&str]) -> Url {
    let mut url = url.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

fn without_url(error: reqwest::Error) -> GivenError {
    GivenError::Network(NetworkError::Setup(error.without_url()))
}
