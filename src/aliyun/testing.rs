//! The other side of the tests in this folder: a server on the loopback that answers as scripted
//! and keeps what it was asked.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use super::client::{Client, Cloud, Endpoints};
use super::credentials::{CredentialSource, Environment};
use super::rate::{Limiter, Rate};
use super::sign::Signature;
use crate::certificate::pem_block;
use crate::clock::Clock;
use crate::net::Network;
use crate::secret::SecretSource;
use crate::time::Timestamp;

/// The access key of every test.
pub(super) const KEY_ID: &str = "testid";
pub(super) const KEY_SECRET: &str = "testsecretof30characters000000";

/// When the tests happen.
pub(super) fn noon() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// A private key in PEM that is none, but looks like one.
pub(super) fn key_pem() -> String {
    let mut state: u32 = 1;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(1190)
    .collect();
    pem_block("RSA PRIVATE KEY", &bytes)
}

/// What the server does with one request.
pub(super) enum Reply {
    /// Answers with a status, headers and a body.
    Answer(u16, &'static [(&'static str, &'static str)], String),
    /// Closes the connection without an answer.
    Drop,
    /// Keeps the connection open without an answer, for longer than the client waits.
    Silence,
}

impl Reply {
    /// A success.
    pub(super) fn ok(body: &str) -> Self {
        Self::Answer(200, &[], body.to_owned())
    }

    /// A refusal in JSON.
    pub(super) fn refusal(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({
            "RequestId": "request-1",
            "HostId": "vod.cn-shanghai.aliyuncs.com",
            "Code": code,
            "Message": message,
        });
        Self::Answer(status, &[], body.to_string())
    }
}

/// A request as the server saw it.
#[derive(Debug)]
pub(super) struct Request {
    /// The first line.
    pub(super) line: String,
    /// The other lines of the head.
    pub(super) head: String,
    /// The body.
    pub(super) body: String,
}

impl Request {
    /// The parameters in the body.
    pub(super) fn form(&self) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(self.body.as_bytes())
            .into_owned()
            .collect()
    }

    /// The value of a header, by its lower-case name.
    pub(super) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).unwrap().1
    }
}

/// A client whose calls go to a scripted server.
pub(super) struct Bench {
    pub(super) client: Client,
    pub(super) clock: Clock,
    requests: mpsc::Receiver<Request>,
    folder: TempDir,
}

impl Bench {
    /// A client with a static access key; the server answers one request with each reply and is
    /// gone afterwards.
    pub(super) fn new(replies: Vec<Reply>) -> Self {
        Self::signing(Signature::HmacSha1, replies)
    }

    /// The same with another signature.
    pub(super) fn signing(signature: Signature, replies: Vec<Reply>) -> Self {
        Self::with(replies, Duration::from_secs(30), signature)
    }

    /// The same with a client that does not wait for long.
    pub(super) fn with_timeout(replies: Vec<Reply>, timeout: Duration) -> Self {
        Self::with(replies, timeout, Signature::HmacSha1)
    }

    fn with(replies: Vec<Reply>, timeout: Duration, signature: Signature) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, KEY_SECRET).unwrap();
        let credentials = CredentialSource::Static {
            access_key_id: KEY_ID.into(),
            access_key_secret: SecretSource::File(secret),
        };
        let (endpoint, requests) = serve(replies);
        let fast = NonZeroU32::new(1000).unwrap();
        let cloud = Cloud {
            name: "default".into(),
            credentials,
            account: None,
            signature,
            endpoints: Endpoints {
                alidns: endpoint.clone(),
                cas: Some(endpoint.clone()),
                imds: endpoint.clone(),
                sts: Some(endpoint.clone()),
                vod: endpoint,
            },
            rate: Rate {
                install: fast,
                other: fast,
            },
        };
        let network = Network {
            timeout,
            ..Network::default()
        };
        let clock = Clock::simulated(noon());
        Self {
            client: Client::new(
                cloud,
                &network,
                &Environment::default(),
                clock.clone(),
                Limiter::default(),
            )
            .unwrap(),
            clock,
            requests,
            folder,
        }
    }

    /// The requests since this was last asked, in order.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }

    /// The parameters of the requests since this was last asked.
    pub(super) fn forms(&self) -> Vec<BTreeMap<String, String>> {
        self.requests().iter().map(Request::form).collect()
    }

    /// Takes the access key secret away.
    pub(super) fn remove_secret(&self) {
        std::fs::remove_file(self.folder.path().join("secret")).unwrap();
    }
}

fn serve(replies: Vec<Reply>) -> (Url, mpsc::Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (requests, received) = mpsc::channel();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for reply in replies {
            let (mut stream, _) = listener.accept().unwrap();
            requests.send(read_request(&mut stream)).unwrap();
            match reply {
                Reply::Answer(status, headers, body) => {
                    write_answer(&mut stream, status, headers, &body);
                }
                Reply::Drop => {}
                Reply::Silence => silent.push(stream),
            }
        }
    });
    let url = Url::parse(&format!("http://{address}")).unwrap();
    (url, received)
}

fn read_request(stream: &mut TcpStream) -> Request {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let (line, head) = head.split_once("\r\n").unwrap();
            let length = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, length)| length.parse().unwrap());
            if body.len() >= length {
                return Request {
                    line: line.to_owned(),
                    head: head.to_owned(),
                    body: body.to_owned(),
                };
            }
        }
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the request ended early");
        bytes.extend_from_slice(&buffer[..count]);
    }
}

fn write_answer(stream: &mut TcpStream, status: u16, headers: &[(&str, &str)], body: &str) {
    let headers: String = headers
        .iter()
        .flat_map(|(name, value)| [name, ": ", value, "\r\n"])
        .collect();
    let length = body.len();
    let head = format!("HTTP/1.1 {status} -\r\nConnection: close\r\nContent-Length: {length}");
    let answer = format!("{head}\r\n{headers}\r\n{body}");
    stream.write_all(answer.as_bytes()).unwrap();
}
