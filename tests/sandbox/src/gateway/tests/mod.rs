//! The gateway over HTTP, driven by a client that signs on its own.

mod access;
mod alidns;
mod faults;
mod installation;
mod ownership;
mod reading;
mod storage;
mod sts;
mod version_3;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;
use sha1::Sha1;
use url::form_urlencoded::byte_serialize;

use super::*;
use crate::forge::{self, Forged, KeyKind};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

type Pairs<'a> = &'a [(&'a str, &'a str)];
type Parameters = BTreeMap<String, String>;

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    async fn of(response: reqwest::Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Status and code of a refusal, and 200 with nothing for a success.
    fn verdict(&self) -> (u16, String) {
        let code = self.json()["Code"].as_str().unwrap_or_default().to_owned();
        (self.status, code)
    }
}

/// A world with two domains and a zone, and a gateway over it.
async fn started() -> (World, Gateway) {
    let world = World::new();
    world.add_domain("v.example.com");
    world.add_domain("w.example.com");
    world.add_zone("example.com");
    let gateway = Gateway::start(world.clone()).await.unwrap();
    (world, gateway)
}

/// Calls an action with a signed form.
async fn call(gateway: &Gateway, action: &str, given: &[(&str, &str)]) -> Answer {
    post(gateway, &sign_form(&parameters(action, given)))
        .await
        .unwrap()
}

/// The parameters of a call by the gateway's first access key.
fn parameters(action: &str, given: &[(&str, &str)]) -> Parameters {
    static NONCES: AtomicU64 = AtomicU64::new(0);
    let nonce = NONCES.fetch_add(1, Ordering::Relaxed).to_string();
    let version = match action {
        "AssumeRole" => "2015-04-01",
        "UploadUserCertificate" => "2020-04-07",
        vod if vod.contains("Vod") => "2017-03-21",
        _ => "2015-01-09",
    };
    let timestamp = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let public = [
        ("Action", action),
        ("Version", version),
        ("Format", "JSON"),
        ("AccessKeyId", Gateway::ACCESS_KEY_ID),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("SignatureNonce", &nonce),
        ("Timestamp", &timestamp),
    ];
    let pairs = public.iter().chain(given);
    pairs
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn sign_form(parameters: &Parameters) -> String {
    signed(parameters, "POST", Gateway::ACCESS_KEY_SECRET)
}

/// The parameters with their signature, encoded for a body or a query.
fn signed(parameters: &Parameters, method: &str, secret: &str) -> String {
    let canonical = encode(parameters);
    let text = format!("{method}&%2F&{}", escape(&canonical));
    let mut mac = Hmac::<Sha1>::new_from_slice(format!("{secret}&").as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    format!("{canonical}&Signature={}", escape(&signature))
}

fn encode(parameters: &Parameters) -> String {
    let pairs = parameters.iter();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={}", escape(value)))
        .collect();
    pairs.join("&")
}

/// RFC 3986 from the form encoding, which differs in three characters.
fn escape(text: &str) -> String {
    let form: String = byte_serialize(text.as_bytes()).collect();
    form.replace('+', "%20")
        .replace('*', "%2A")
        .replace("%7E", "~")
}

async fn post(gateway: &Gateway, body: &str) -> reqwest::Result<Answer> {
    let request = reqwest::Client::new()
        .post(format!("{}/", gateway.url()))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body.to_owned());
    Ok(Answer::of(request.send().await?).await)
}

async fn get(gateway: &Gateway, query: &str) -> Answer {
    let url = format!("{}/?{query}", gateway.url());
    Answer::of(reqwest::get(url).await.unwrap()).await
}

/// Waits until `condition` holds.
async fn eventually(condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.unwrap();
}

fn forged(name: &str) -> Forged {
    forge::issue(&[name], KeyKind::P256, forge::valid_now())
}

/// The parameters that install `forged` on a domain.
fn upload<'a>(domain: &'a str, name: &'a str, forged: &'a Forged) -> Vec<(&'a str, &'a str)> {
    vec![
        ("DomainName", domain),
        ("SSLProtocol", "on"),
        ("CertType", "upload"),
        ("CertName", name),
        ("SSLPub", &forged.chain_pem),
        ("SSLPri", &forged.key_pem),
    ]
}

const SET: &str = "SetVodDomainSSLCertificate";
