//! Credentials that are wrong, that are temporary, and that a cloud echoes.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vodcertd::keys::{KeyFormat, PrivateKey};
use vodcertd::renewal::TargetRecord;
use vodcertd::status::TargetState;
use vodcertd_sandbox::gateway::{AccessKey, Disturbance, Fault, Gateway, Refusal};

use crate::support::{Process, SET, Scene, target};

const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

async fn scene() -> Scene {
    Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .start()
        .await
}

async fn of_target(scene: &Scene) -> TargetRecord {
    let record = scene.record("video").await.unwrap();
    record.targets[&target("v.example.com")].clone()
}

#[tokio::test]
async fn wrong_credentials_wait_for_a_person_and_heal_at_the_next_start() {
    let mut scene = scene().await;
    scene.set_secret("not the secret");
    let daemon = scene.run();
    scene.until_told("video", "order-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    let snapshot = scene.snapshot("video").await;
    let failure = snapshot.failure.clone().unwrap();
    assert_eq!(failure.code, "SignatureDoesNotMatch");
    assert_eq!(failure.class, "operator");
    assert!(!failure.message.contains("string to sign"), "{failure:?}");
    let alerts = &snapshot.alerts;
    assert!(alerts.iter().any(|alert| alert.code == failure.code));
    assert!(scene.rests_for("video").await > HOUR * 5);
    let calls = scene.gateway.calls().all().len();
    assert!(calls <= 3, "{calls} calls");

    // A restart changes nothing that it hangs on.
    scene.let_pass(&["video"], MINUTE * 10).await;
    scene.run_until_at_rest("video").await;
    assert_eq!(scene.gateway.calls().all().len(), calls);

    scene.set_secret(Gateway::ACCESS_KEY_SECRET);
    let daemon = scene.run();
    scene.until_seen("video", 1).await;
    daemon.stop().await;
    assert_eq!(scene.snapshot("video").await.failure, None);
    assert_eq!((scene.orders_at_ca(), scene.proofs()), (1, 0));
}

/// The answer to an install with a wrong secret echoes what was signed, private key included.
#[tokio::test]
async fn a_private_key_that_is_echoed_goes_nowhere() {
    let mut scene = scene().await;
    let fault = Fault::always(Disturbance::Refuse(Refusal::throttled()));
    scene.gateway.faults().push(fault.on(SET));
    let daemon = scene.run();
    scene.until_told("video", "install-failed", 1).await;
    scene.until_at_rest("video").await;
    daemon.stop().await;

    scene.gateway.faults().clear();
    scene.set_secret("not the secret");
    scene.let_pass(&["video"], HOUR).await;
    let log = Log::default();
    let listening = log.listen();
    let daemon = scene.run();
    scene
        .until("the wrong secret is noticed", async || {
            let trouble = of_target(&scene).await.trouble;
            trouble.is_some_and(|trouble| trouble.failure.code == "SignatureDoesNotMatch")
        })
        .await;
    scene.until_at_rest("video").await;
    daemon.stop().await;
    drop(listening);
    let calls = scene.gateway.calls().of(SET);
    assert_eq!(calls.last().unwrap().code(), Some("SignatureDoesNotMatch"));
    let snapshot = scene.snapshot("video").await;
    assert_eq!(snapshot.targets[0].state, TargetState::Blocked);

    let log = log.text();
    assert!(log.contains("SignatureDoesNotMatch"), "{log}");
    assert!(!log.contains(Gateway::ACCESS_KEY_SECRET) && !log.contains("not the secret"));
    // All that the store holds for people to read; the key itself is kept elsewhere in it.
    let record = scene.record("video").await;
    let told = format!("{record:?} {:?}", scene.history("video").await);
    let shown = outputs(&scene);
    assert!(shown.contains("SignatureDoesNotMatch"), "{shown}");
    for secret in runs_of_the_key(&scene).await {
        assert!(!log.contains(&secret), "the log holds a part of the key");
        assert!(!told.contains(&secret), "the store holds a part of the key");
        assert!(
            !shown.contains(&secret),
            "a command shows a part of the key"
        );
    }
    scene.gateway.calls().assert_no_key_in_url();
}

/// All that the commands say about the store.
fn outputs(scene: &Scene) -> String {
    let config = scene.write_config();
    let commands: [&[&str]; 6] = [
        &["check"],
        &["plan"],
        &["status"],
        &["status", "--json"],
        &["history"],
        &["history", "video", "--json"],
    ];
    let outputs = commands.iter().map(|command| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_vodcertd"))
            .arg("--config")
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

/// Long runs of the private key that no encoding on its way changes.
async fn runs_of_the_key(scene: &Scene) -> Vec<String> {
    let store = scene.open_store().await;
    let label = "video".parse().unwrap();
    let generation = store.generation(&label, 1).await.unwrap().unwrap();
    let key = PrivateKey::from_pkcs8(generation.key.expose()).unwrap();
    let pem = key.to_pem(KeyFormat::Traditional).unwrap();
    let lines = pem.expose().lines();
    let body = lines.filter(|line| !line.starts_with("-----"));
    let runs = body.flat_map(|line| line.split(['+', '/', '=']));
    let runs: Vec<String> = runs
        .filter(|run| run.len() >= 12)
        .map(str::to_owned)
        .collect();
    assert!(!runs.is_empty());
    runs
}

/// Everything that this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
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

const SIGNATURES: [&str; 2] = ["hmac-sha1", "acs3-hmac-sha256"];

/// A certificate whose target lies in a cloud with credentials from the environment.
async fn scene_of_the_environment(signature: &str) -> Scene {
    let mut scene = scene().await;
    let gateway = scene.gateway.url().to_owned();
    scene.set_certificates(&format!(
        "[clouds.temporary]\ncredentials = \"chain\"\nsignature = \"{signature}\"\n\
         endpoints = {{ vod = \"{gateway}\" }}\n\
         {ONE}[[certificates.targets]]\ncloud = \"temporary\"\n"
    ));
    let key = AccessKey::temporary("STS.id", "temporary secret", "the right token");
    scene.gateway.add_access_key(key);
    scene
}

/// The daemon with a temporary key in its environment.
fn spawn_with_token(scene: &Scene, token: &str) -> Process {
    scene.spawn_by(&[
        "env",
        "ALIBABA_CLOUD_ACCESS_KEY_ID=STS.id",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET=temporary secret",
        &format!("ALIBABA_CLOUD_SECURITY_TOKEN={token}"),
    ])
}

#[tokio::test]
async fn a_temporary_key_of_the_environment_installs() {
    for signature in SIGNATURES {
        let scene = scene_of_the_environment(signature).await;
        let daemon = spawn_with_token(&scene, "the right token");
        scene.until_seen("video", 1).await;
        assert!(daemon.terminate().await);
        let done = (scene.orders_at_ca(), scene.installs());
        assert_eq!(done, (1, 1), "{signature}");
        scene.gateway.calls().assert_no_key_in_url();
    }
}

#[tokio::test]
async fn a_temporary_key_with_a_wrong_token_waits_for_a_person() {
    for signature in SIGNATURES {
        refuse_a_wrong_token(&scene_of_the_environment(signature).await).await;
    }
}

async fn refuse_a_wrong_token(scene: &Scene) {
    let daemon = spawn_with_token(scene, "the wrong token");
    // Read anew once, then a person must act.
    scene.until_told("video", "read-back-failed", 2).await;
    scene.until_at_rest("video").await;
    let log = daemon.log();
    assert!(daemon.terminate().await);
    let snapshot = scene.snapshot("video").await;
    let failure = snapshot.failure.clone().unwrap();
    let code = "InvalidSecurityToken.MismatchWithAccessKey";
    assert_eq!((&*failure.code, &*failure.class), (code, "operator"));
    assert!(snapshot.alerts.iter().any(|alert| alert.code == code));
    assert!(scene.rests_for("video").await > HOUR * 5);
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 0));
    for secret in ["temporary secret", "the wrong token"] {
        assert!(!log.contains(secret) && !failure.message.contains(secret));
    }
}
