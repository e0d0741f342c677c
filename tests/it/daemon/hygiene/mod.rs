//! A private key goes to the cloud in the body of a request and nowhere else, whatever the cloud makes of
//! it: not into a log at any level, the store's texts, a command's output, the status page, metrics,
//! alerts, a panic, or a URL.

mod log;
mod panics;
mod planted;

use std::time::Duration;

use serde_json::json;
use vodcertd::keys::PrivateKey;
use vodcertd_sandbox::gateway::{Disturbance, Fault, Gateway, RawAnswer, Refusal};

use self::log::Log;
use self::planted::{Planted, percent_encoded};
use crate::support::{SET, Scene, target};

const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";

/// Longer than anything waits that a person must see to.
const DAY: Duration = Duration::from_hours(25);

const STORAGE: &str = "CertStorage.failed";

/// How a key gets to the cloud.
struct Way {
    /// The lines of the target.
    target: &'static str,
    /// The call that brings it.
    action: &'static str,
    /// Its parameter.
    field: &'static str,
    /// The call that comes first when that is tried again.
    first: &'static str,
}

const UPLOAD: Way = Way {
    target: "",
    action: SET,
    field: "SSLPri",
    first: SET,
};

const STORE: Way = Way {
    target: "[[certificates.targets]]\nmethod = \"cas\"\n",
    action: "UploadUserCertificate",
    field: "Key",
    first: "DescribeVodSSLCertificateList",
};

/// What an answer is made of, out of a key and the form that it was sent in, and the code under which it
/// is to be known.
struct Echo {
    sentence: &'static str,
    disturbance: fn(&Planted, &str) -> Disturbance,
    code: &'static str,
}

const ECHOES: [Echo; 11] = [
    Echo {
        sentence: "a signature is refused with all that was signed",
        disturbance: |_, form| {
            let message = format!(
                "server string to sign is:POST&%2F&{}",
                percent_encoded(form)
            );
            Disturbance::Refuse(Refusal::new(400, "SignatureDoesNotMatch", message))
        },
        code: "SignatureDoesNotMatch",
    },
    Echo {
        sentence: "a message holds the key as it is",
        disturbance: |key, _| refusal(&format!("cannot store {}", key.pem)),
        code: STORAGE,
    },
    Echo {
        sentence: "a message holds the form",
        disturbance: |_, form| refusal(form),
        code: STORAGE,
    },
    Echo {
        sentence: "a message holds the form, encoded once more",
        disturbance: |_, form| refusal(&percent_encoded(form)),
        code: STORAGE,
    },
    Echo {
        sentence: "a message holds the key's lines in another order, each for itself",
        disturbance: |key, _| {
            let lines: Vec<&str> = key.pem.lines().rev().collect();
            refusal(&lines.join("\" is not \""))
        },
        code: STORAGE,
    },
    Echo {
        sentence: "the code holds a line of the key",
        disturbance: |key, _| {
            let code = format!("Echo.{}", key.line());
            Disturbance::Refuse(Refusal::new(400, &code, "unknown"))
        },
        code: "Echo.[secret]",
    },
    Echo {
        sentence: "all that is kept of a refusal holds a line of the key",
        disturbance: |key, _| {
            let body = json!({
                "Code": "Forbidden.RAM", "Message": key.line(), "RequestId": key.line(),
                "AccessDeniedDetail": { "AuthAction": key.line() },
            });
            raw(403, "application/json", body.to_string())
        },
        code: "Forbidden.RAM",
    },
    Echo {
        sentence: "an error in XML holds the form",
        disturbance: |_, form| {
            let body = format!(
                "<Error><RequestId>x</RequestId><Code>{STORAGE}</Code><Message>{form}</Message></Error>"
            );
            raw(400, "text/xml;charset=utf-8", body)
        },
        code: STORAGE,
    },
    Echo {
        sentence: "a page of a proxy holds the request",
        disturbance: |_, form| {
            let page = format!("<html><h1>502</h1><pre>POST / HTTP/1.1\n\n{form}</pre></html>");
            raw(502, "text/html", page)
        },
        code: "http-502",
    },
    Echo {
        sentence: "a success of somebody else holds the form",
        disturbance: |_, form| raw(200, "application/json", json!({ "form": form }).to_string()),
        code: "http-200",
    },
    Echo {
        sentence: "an answer breaks off in the key",
        disturbance: |_, form| {
            let body = format!("{{\"Code\":\"{STORAGE}\",\"Message\":\"{}", &form[..200]);
            raw(400, "application/json", body)
        },
        code: "http-400",
    },
];

fn refusal(message: &str) -> Disturbance {
    Disturbance::Refuse(Refusal::new(400, STORAGE, message))
}

fn raw(status: u16, content_type: &str, body: String) -> Disturbance {
    Disturbance::Raw(RawAnswer {
        status,
        headers: vec![("content-type".to_owned(), content_type.to_owned())],
        body,
    })
}

/// The body of the request, as far as it matters here.
fn form(key: &Planted, field: &str) -> String {
    format!(
        "Action=action&{field}={}&Version=1",
        percent_encoded(&key.pem)
    )
}

#[tokio::test]
async fn a_key_that_is_signed_by_version_1_goes_nowhere_else() {
    go_through_every_echo("hmac-sha1", &UPLOAD).await;
}

#[tokio::test]
async fn a_key_that_is_signed_by_version_3_goes_nowhere_else() {
    go_through_every_echo("acs3-hmac-sha256", &UPLOAD).await;
}

#[tokio::test]
async fn a_key_that_is_stored_by_version_1_goes_nowhere_else() {
    go_through_every_echo("hmac-sha1", &STORE).await;
}

#[tokio::test]
async fn a_key_that_is_stored_by_version_3_goes_nowhere_else() {
    go_through_every_echo("acs3-hmac-sha256", &STORE).await;
}

async fn go_through_every_echo(signature: &str, way: &Way) {
    Log::listen();
    let mut scene = Scene::builder(&["v.example.com"])
        .certificates(&format!("{ONE}{}", way.target))
        .cloud(&format!("signature = \"{signature}\""))
        .page()
        .start()
        .await;
    fail(&scene, way, Disturbance::Refuse(Refusal::throttled()));
    scene.run_until_at_rest("video").await;
    let key = planted(&scene).await;

    let form = form(&key, way.field);
    for echo in ECHOES {
        fail(&scene, way, (echo.disturbance)(&key, &form));
        meet(&scene, &key, way.action, echo.sentence, echo.code).await;
    }
    // With version 1.0 the gateway itself echoes all that was signed, a key included.
    scene.gateway.faults().clear();
    scene.set_secret("not the secret");
    let code = "SignatureDoesNotMatch";
    meet(&scene, &key, way.first, "a wrong secret", code).await;

    scene.set_secret(Gateway::ACCESS_KEY_SECRET);
    scene.let_pass(&["video"], DAY).await;
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    scene.until_at_rest("video").await;
    look(&scene, &key, "a success").await;
    daemon.stop().await;
    let urls = scene.gateway.calls().urls();
    assert!(urls.iter().all(|url| url == "/"), "{urls:?}");
    let by_version_3 = signature == "acs3-hmac-sha256";
    let calls = scene.gateway.calls().all();
    assert!(calls.iter().all(|call| call.by_version_3 == by_version_3));
}

/// From now on the call that brings the key ends like this.
fn fail(scene: &Scene, way: &Way, disturbance: Disturbance) {
    scene.gateway.faults().clear();
    scene
        .gateway
        .faults()
        .push(Fault::always(disturbance).on(way.action));
}

/// Lets the daemon make a call, in vain, and looks for the key in all that it says.
async fn meet(scene: &Scene, key: &Planted, action: &str, sentence: &str, code: &str) {
    scene.let_pass(&["video"], DAY).await;
    let before = scene.gateway.calls().of(action).len();
    let daemon = scene.run();
    scene
        .until(sentence, async || {
            let known = trouble(scene).await.is_some_and(|known| known == code);
            known && scene.gateway.calls().of(action).len() > before
        })
        .await;
    scene.until_at_rest("video").await;
    look(scene, key, sentence).await;
    daemon.stop().await;
}

/// The code of what the target met last.
async fn trouble(scene: &Scene) -> Option<String> {
    let record = scene.record("video").await.unwrap();
    let trouble = record
        .targets
        .get(&target("v.example.com"))?
        .trouble
        .as_ref();
    trouble.map(|trouble| trouble.failure.code.clone())
}

/// Looks for the key and the access key's secret in all that can be seen of the daemon.
async fn look(scene: &Scene, key: &Planted, sentence: &str) {
    let log = Log::take();
    assert!(
        log.contains("TRACE") && log.contains("hyper"),
        "{sentence}: not all is logged"
    );
    let mut seen = vec![
        ("the log", log),
        ("the store", scene.texts().await),
        ("a snapshot", format!("{:?}", scene.snapshot("video").await)),
        ("a record", format!("{:#?}", scene.record("video").await)),
        ("a command", outputs(scene)),
    ];
    for path in [
        "/",
        "/certificates/video",
        "/metrics",
        "/api/v1/certificates",
        "/api/v1/certificates/video",
    ] {
        seen.push((path, scene.get(path).await));
    }
    for (place, text) in seen {
        assert!(
            text.len() > 100,
            "{sentence}: {place}: nothing to see: {text}"
        );
        assert_eq!(key.found_in(&text), None, "{sentence}: {place}");
        for secret in [
            Gateway::ACCESS_KEY_SECRET,
            "not the secret",
            "string to sign",
        ] {
            assert!(!text.contains(secret), "{sentence}: {place}: {secret}");
        }
    }
}

/// All that the commands say about the store.
fn outputs(scene: &Scene) -> String {
    let config = scene.write_config();
    let commands: [&[&str]; 8] = [
        &["check"],
        &["plan"],
        &["plan", "--json"],
        &["status"],
        &["status", "video"],
        &["status", "--json"],
        &["history"],
        &["history", "video", "--json"],
    ];
    let outputs = commands.iter().map(|command| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_vodcertd"))
            .args(["--log-level", "trace", "--config"])
            .arg(&config)
            .args(*command)
            .output()
            .unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        format!("{command:?}\n{stdout}{stderr}")
    });
    outputs.collect()
}

/// The key of the first generation.
async fn planted(scene: &Scene) -> Planted {
    let store = scene.open_store().await;
    let label = "video".parse().unwrap();
    let generation = store.generation(&label, 1).await.unwrap().unwrap();
    store.close().await;
    Planted::of(&PrivateKey::from_pkcs8(generation.key.expose()).unwrap())
}
