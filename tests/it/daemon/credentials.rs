//! Credentials that are wrong and that are temporary. What a cloud echoes of them is in `hygiene`.

use std::time::Duration;

use vodcertd_sandbox::gateway::{AccessKey, Gateway};

use crate::support::{Process, Scene};

const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

async fn scene() -> Scene {
    Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .start()
        .await
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
