//! The gateway of the sandbox judged by Alibaba Cloud's own SDKs: what they sign it accepts, and only if
//! they sign it with the right secret and nobody changed it on the way.
//!
//! The programs in `tests/sdk/` read a JSON list of callers: `endpoint` as HOST:PORT, `key_id`, `secret`,
//! `token` or null, `method` as `GET`, `POST` or `FORM`, `signature` as `v1` or `v3`, and `calls`, each with
//! `action`, `version` and `parameters`. `FORM` is `POST` with the parameters in the body, as the daemon sends
//! them, where `POST` leaves their place to the SDK. They write for each caller a list with an object for each call: `code`, which is `OK` for
//! a success, and `answer` as the SDK understood it.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use vodcertd_sandbox::forge;
use vodcertd_sandbox::gateway::{AccessKey, Gateway};
use vodcertd_sandbox::world::{Env, RecordKind, World};

use super::{DOMAIN, SET, pair};

const TOKEN: &str = "CAIS/+token==~*";

const CERT_NAME: &str = "证书 ~*";

/// What is easily encoded wrongly.
const RESERVED: &str = "a b+c/d=e&f*g~h!i'(j)%2F é";

/// A program that makes calls with one SDK.
struct Sdk {
    /// What runs it.
    language: &'static str,
    /// Its file in `tests/sdk/`.
    program: &'static str,
    /// The signatures that it knows, and the methods by which it may be told to call.
    ways: &'static [(&'static str, &'static str)],
}

/// Who calls, and what is to come of it.
struct Case {
    sentence: &'static str,
    secret: &'static str,
    token: Option<&'static str>,
    tampered: bool,
    code: &'static str,
}

const CASES: [Case; 5] = [
    Case {
        sentence: "the right secret",
        secret: Gateway::ACCESS_KEY_SECRET,
        token: None,
        tampered: false,
        code: "OK",
    },
    Case {
        sentence: "a temporary key with its token",
        secret: "temporary secret",
        token: Some(TOKEN),
        tampered: false,
        code: "OK",
    },
    Case {
        sentence: "a wrong secret",
        secret: "not the secret",
        token: None,
        tampered: false,
        code: "SignatureDoesNotMatch",
    },
    Case {
        sentence: "a temporary key with another token",
        secret: "temporary secret",
        token: Some("another"),
        tampered: false,
        code: "InvalidSecurityToken.MismatchWithAccessKey",
    },
    Case {
        sentence: "a parameter that was changed on its way",
        secret: Gateway::ACCESS_KEY_SECRET,
        token: None,
        tampered: true,
        code: "SignatureDoesNotMatch",
    },
];

#[tokio::test]
async fn aliyun_python_sdk_is_accepted() {
    judge(Sdk {
        language: "python3",
        program: "aliyun_python_sdk.py",
        ways: &[("v1", "POST"), ("v1", "GET")],
    })
    .await;
}

#[tokio::test]
async fn alibabacloud_vod_is_accepted() {
    judge(Sdk {
        language: "python3",
        program: "alibabacloud_vod.py",
        ways: &[("v3", "POST"), ("v1", "POST")],
    })
    .await;
}

/// What the daemon sends: by either version, everything that is secret is in the body.
#[tokio::test]
async fn alibabacloud_vod_is_accepted_with_forms() {
    let gateway = judge(Sdk {
        language: "python3",
        program: "alibabacloud_vod.py",
        ways: &[("v3", "FORM"), ("v1", "FORM")],
    })
    .await;
    gateway.calls().assert_no_key_in_url();
    let urls = gateway.calls().urls();
    let is_open = |url: &&String| url.contains("PRIVATE") || url.contains("example");
    assert_eq!(urls.iter().find(is_open), None);
}

#[tokio::test]
async fn pop_core_is_accepted() {
    judge(Sdk {
        language: "node",
        program: "pop_core.js",
        ways: &[("v1", "POST"), ("v1", "GET")],
    })
    .await;
}

impl Case {
    /// With version 3 the hash of the body is a header, which is compared before the signature over it.
    fn code_by(&self, way: &(&str, &str)) -> &'static str {
        if self.tampered && *way == ("v3", "FORM") {
            return "InvalidParameter";
        }
        self.code
    }
}

/// Makes the calls of every case in every way of an SDK; gives the gateway that was called.
async fn judge(sdk: Sdk) -> Gateway {
    let world = World::new();
    world.add_domain(DOMAIN);
    world.add_zone("example.com");
    let gateway = Gateway::start(world.clone()).await.unwrap();
    gateway.add_access_key(AccessKey::temporary("STS.id", "temporary secret", TOKEN));
    let address = gateway.url().trim_start_matches("http://").to_owned();
    let tampering = tampering(&address).await;

    let told: Vec<(&Case, &(&str, &str))> = CASES
        .iter()
        .flat_map(|case| sdk.ways.iter().map(move |way| (case, way)))
        .collect();
    let callers = told
        .iter()
        .enumerate()
        .map(|(n, (case, (signature, method)))| {
            json!({
                "calls": calls(n),
                "endpoint": if case.tampered { &tampering } else { &address },
                "key_id": if case.token.is_some() { "STS.id" } else { Gateway::ACCESS_KEY_ID },
                "secret": case.secret,
                "token": case.token,
                "method": method,
                "signature": signature,
            })
        });
    let outcomes = sdk.run(&callers.collect()).await;

    assert_eq!(outcomes.len(), told.len());
    for ((case, way), outcomes) in told.iter().zip(&outcomes) {
        let codes: Vec<&Value> = outcomes.iter().map(|outcome| &outcome["code"]).collect();
        let code = case.code_by(way);
        assert_eq!(codes, [code; 3], "{}, {way:?}", case.sentence);
        if case.code == "OK" {
            let info = &outcomes[1]["answer"]["CertInfos"]["CertInfo"][0];
            let name = info["CertName"].as_str().unwrap();
            assert!(name.starts_with(CERT_NAME), "{way:?}: {info}");
            assert_eq!(info["DomainName"], DOMAIN, "{way:?}: {info}");
        }
    }
    let by_version_3 = sdk.ways.iter().any(|(signature, _)| *signature == "v3");
    let calls = gateway.calls().all();
    assert_eq!(calls.iter().any(|call| call.by_version_3), by_version_3);
    assert!(calls.iter().any(|call| !call.by_version_3));
    let accepted = CASES.iter().filter(|case| case.code == "OK").count() * sdk.ways.len();
    assert_eq!(gateway.calls().performed(SET), accepted);
    assert!(world.installed(DOMAIN, Env::Production).is_some());
    let records = world.records("example.com");
    let records = records
        .iter()
        .filter(|record| record.kind == RecordKind::Txt);
    assert_eq!(records.count(), accepted);
    gateway
}

/// An installation, a reading and an edit of a zone.
fn calls(number: usize) -> Value {
    let pair = pair(forge::valid_now());
    let vod = "2017-03-21";
    json!([
        { "action": SET, "version": vod, "parameters": {
            "DomainName": DOMAIN, "SSLProtocol": "on", "CertType": "upload", "CertName": format!("{CERT_NAME}{number}"),
            "SSLPub": pair.chain_pem, "SSLPri": pair.key_pem,
        } },
        { "action": "DescribeVodDomainCertificateInfo", "version": vod, "parameters": {
            "DomainName": DOMAIN,
        } },
        { "action": "AddDomainRecord", "version": "2015-01-09", "parameters": {
            "DomainName": "example.com", "RR": "_acme-challenge.v", "Type": "TXT",
            "Value": format!("{number} {RESERVED}"),
        } },
    ])
}

impl Sdk {
    /// Runs the program and returns what each caller was told.
    async fn run(&self, callers: &Value) -> Vec<Vec<Value>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let installed = root.join("target/tools/sdk");
        assert!(
            installed.join(self.folder()).is_dir(),
            "the SDKs of Alibaba Cloud are not installed: run tests/setup.sh"
        );
        let mut child = Command::new(self.language)
            .arg(root.join("tests/sdk").join(self.program))
            .env("PYTHONPATH", installed.join("python"))
            .env("NODE_PATH", installed.join("node/node_modules"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin
            .write_all(callers.to_string().as_bytes())
            .await
            .unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {complaint}", self.program);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn folder(&self) -> &'static str {
        if self.language == "node" {
            "node"
        } else {
            "python"
        }
    }
}

/// Passes requests on to the gateway with another domain in them; gives its address.
async fn tampering(gateway: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let gateway = gateway.to_owned();
    tokio::spawn(async move {
        while let Ok((caller, _)) = listener.accept().await {
            let gateway = TcpStream::connect(&gateway).await.unwrap();
            tokio::spawn(pass_on(caller, gateway));
        }
    });
    address
}

/// A request is far smaller than what is read at once, so the name is never in two pieces.
async fn pass_on(caller: TcpStream, gateway: TcpStream) {
    let (mut requests, mut back) = caller.into_split();
    let (mut answers, mut forth) = gateway.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = requests.read(&mut buffer).await {
        let sent = String::from_utf8_lossy(&buffer[..count]);
        let changed = sent.replace("example.com", "example.org");
        if forth.write_all(changed.as_bytes()).await.is_err() {
            break;
        }
    }
}
