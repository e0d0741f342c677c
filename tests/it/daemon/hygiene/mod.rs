//! A private key goes to the cloud in the body of a request and nowhere else, whatever the cloud makes of
//! it: not into a log at any level, the store's texts, a command's output, the status page, metrics,
//! alerts, a panic, or a URL.

mod planted;

use std::io::Write;
use std::panic::catch_unwind;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::json;
use vodcertd::aliyun::Credentials;
use vodcertd::aliyun::vod::{Env, Https, SetCertificate};
use vodcertd::certificate::KeyType;
use vodcertd::keys::{KeyFormat, PrivateKey};
use vodcertd::secret::Secret;
use vodcertd::store::{Generation, KeyMaterial};
use vodcertd_sandbox::gateway::{Disturbance, Fault, Gateway, RawAnswer, Refusal};

use self::planted::{Planted, percent_encoded};
use crate::support::{SET, Scene, target};

const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";

/// Longer than anything waits that a person must see to.
const DAY: Duration = Duration::from_hours(25);

const STORAGE: &str = "CertStorage.failed";

/// What an answer is made of, and the code under which it is to be known.
struct Echo {
    sentence: &'static str,
    disturbance: fn(&Planted) -> Disturbance,
    code: &'static str,
}

const ECHOES: [Echo; 10] = [
    Echo {
        sentence: "a message holds the key as it is",
        disturbance: |key| refusal(&format!("cannot store {}", key.pem)),
        code: STORAGE,
    },
    Echo {
        sentence: "a message holds the form",
        disturbance: |key| refusal(&form(key)),
        code: STORAGE,
    },
    Echo {
        sentence: "a message holds the form, encoded once more",
        disturbance: |key| refusal(&percent_encoded(&form(key))),
        code: STORAGE,
    },
    Echo {
        sentence: "a message holds the key's lines in another order, each for itself",
        disturbance: |key| {
            let lines: Vec<&str> = key.pem.lines().rev().collect();
            refusal(&lines.join("\" is not \""))
        },
        code: STORAGE,
    },
    Echo {
        sentence: "the code holds a line of the key",
        disturbance: |key| {
            let code = format!("Echo.{}", key.line());
            Disturbance::Refuse(Refusal::new(400, &code, "unknown"))
        },
        code: "Echo.[secret]",
    },
    Echo {
        sentence: "all that is kept of a refusal holds a line of the key",
        disturbance: |key| {
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
        disturbance: |key| {
            let body = format!(
                "<Error><RequestId>x</RequestId><Code>{STORAGE}</Code><Message>{}</Message></Error>",
                form(key)
            );
            raw(400, "text/xml;charset=utf-8", body)
        },
        code: STORAGE,
    },
    Echo {
        sentence: "a page of a proxy holds the request",
        disturbance: |key| {
            let page = format!(
                "<html><h1>502</h1><pre>POST / HTTP/1.1\n\n{}</pre></html>",
                form(key)
            );
            raw(502, "text/html", page)
        },
        code: "http-502",
    },
    Echo {
        sentence: "a success of somebody else holds the form",
        disturbance: |key| {
            raw(
                200,
                "application/json",
                json!({ "form": form(key) }).to_string(),
            )
        },
        code: "http-200",
    },
    Echo {
        sentence: "an answer breaks off in the key",
        disturbance: |key| {
            let body = format!(
                "{{\"Code\":\"{STORAGE}\",\"Message\":\"{}",
                &form(key)[..200]
            );
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
fn form(key: &Planted) -> String {
    format!(
        "CertType=upload&SSLPri={}&SSLProtocol=on",
        percent_encoded(&key.pem)
    )
}

#[tokio::test]
async fn a_key_that_is_signed_by_version_1_goes_nowhere_else() {
    go_through_every_echo("hmac-sha1").await;
}

#[tokio::test]
async fn a_key_that_is_signed_by_version_3_goes_nowhere_else() {
    go_through_every_echo("acs3-hmac-sha256").await;
}

async fn go_through_every_echo(signature: &str) {
    Log::listen();
    let mut scene = Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .cloud(&format!("signature = \"{signature}\""))
        .page()
        .start()
        .await;
    fail(&scene, Disturbance::Refuse(Refusal::throttled()));
    scene.run_until_at_rest("video").await;
    let key = planted(&scene).await;

    for echo in ECHOES {
        fail(&scene, (echo.disturbance)(&key));
        meet(&scene, &key, echo.sentence, echo.code).await;
    }
    // With version 1.0 the gateway itself echoes all that was signed, key included.
    scene.gateway.faults().clear();
    scene.set_secret("not the secret");
    meet(&scene, &key, "a wrong secret", "SignatureDoesNotMatch").await;

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

/// From now on installs end like this.
fn fail(scene: &Scene, disturbance: Disturbance) {
    scene.gateway.faults().clear();
    scene
        .gateway
        .faults()
        .push(Fault::always(disturbance).on(SET));
}

/// Lets the daemon install, in vain, and looks for the key in all that it says.
async fn meet(scene: &Scene, key: &Planted, sentence: &str, code: &str) {
    scene.let_pass(&["video"], DAY).await;
    let before = scene.gateway.calls().of(SET).len();
    let daemon = scene.run();
    scene
        .until(sentence, async || {
            let record = scene.record("video").await.unwrap();
            let trouble = record.targets[&target("v.example.com")].trouble.as_ref();
            let known = trouble.is_some_and(|trouble| trouble.failure.code == code);
            known && scene.gateway.calls().of(SET).len() > before
        })
        .await;
    scene.until_at_rest("video").await;
    look(scene, key, sentence).await;
    daemon.stop().await;
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

/// What a step holds when it panics may be in the message of the panic.
#[test]
fn a_panic_shows_no_key() {
    let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
    let planted = Planted::of(&key);
    let pem = key.to_pem(KeyFormat::Traditional).unwrap();
    let call = SetCertificate {
        domain: "v.example.com".parse().unwrap(),
        https: Https::Upload {
            cert_name: "name".parse().unwrap(),
            chain_pem: "chain".to_owned(),
            key_pem: pem.clone(),
        },
        env: Env::Production,
    };
    let material = KeyMaterial::new(key.pkcs8().to_vec());
    let generation = Generation {
        chain_pem: "chain".to_owned(),
        key: KeyMaterial::new(key.pkcs8().to_vec()),
    };
    let credentials = Credentials {
        access_key_id: "id".to_owned(),
        access_key_secret: Secret::new(planted.pem.clone()),
        security_token: Some(Secret::new(planted.line())),
    };
    let held = (key, pem, call, material, generation, credentials);
    let message = message_of(move || panic!("{held:?} {held:#?}"));
    assert!(message.contains("Secret(…)"), "{message}");
    assert_eq!(planted.found_in(&message), None, "{message}");
}

fn message_of(panics: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = catch_unwind(panics).unwrap_err();
    payload.downcast_ref::<String>().unwrap().clone()
}

/// Everything that this process logs, libraries included.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log
});

impl Log {
    fn listen() {
        LazyLock::force(&LOG);
    }

    /// What was logged since it was asked last.
    fn take() -> String {
        let bytes = std::mem::take(&mut *LOG.0.lock().unwrap());
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
