//! Credentials that are wrong and that are temporary. What a cloud echoes of them is in `hygiene`.

use std::time::Duration;

use vodcertd_sandbox::gateway::{AccessKey, Gateway};
use vodcertd_sandbox::world::{Role, Trust};

use crate::support::{Process, SET, Scene};

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

// === The default chain ===

const ROLE: &str = "acs:ram::1234567890123456:role/vodcertd";

/// A certificate whose proof lies in one cloud and whose target in another one, which takes a role on
/// by the profile of a user. Gives the other one's gateway.
async fn scene_of_two_clouds() -> (Scene, Gateway) {
    let mut scene = scene().await;
    let vod = Gateway::start(scene.world.clone()).await.unwrap();
    // Each knows its own keys only.
    vod.remove_access_key(Gateway::ACCESS_KEY_ID);
    vod.add_access_key(AccessKey::new("LTAIprofile", "secret of the profile"));
    scene.world.add_role(Role::new(ROLE, Trust::Keys));
    let url = vod.url();
    scene.set_certificates(&format!(
        "[clouds.media]\ncredentials = \"chain\"\n\
         endpoints = {{ vod = \"{url}\", sts = \"{url}\" }}\n\
         {ONE}[[certificates.targets]]\ncloud = \"media\"\n"
    ));
    (scene, vod)
}

/// Writes the profile of a user whose folder is the scene's.
fn write_profile(scene: &Scene) {
    let folder = scene.home.path().join(".aliyun");
    std::fs::create_dir_all(&folder).unwrap();
    let profile = format!(
        r#"{{ "current": "default", "profiles": [ {{ "name": "default", "mode": "RamRoleArn",
            "access_key_id": "LTAIprofile", "access_key_secret": "secret of the profile",
            "ram_role_arn": "{ROLE}", "ram_session_name": "ops" }} ] }}"#
    );
    std::fs::write(folder.join("config.json"), profile).unwrap();
}

/// The daemon of a user whose folder is the scene's, with nothing of ours in its environment.
fn spawn_at_home(scene: &Scene) -> Process {
    let home = format!("HOME={}", scene.home.path().display());
    scene.spawn_by(&["env", "-i", &home, NO_MACHINE])
}

const NO_MACHINE: &str = "ALIBABA_CLOUD_ECS_METADATA_DISABLED=true";

#[tokio::test]
async fn a_role_by_a_profile_installs_in_another_cloud_than_that_of_the_proof() {
    let (scene, vod) = scene_of_two_clouds().await;
    write_profile(&scene);
    let daemon = spawn_at_home(&scene);
    scene.until_seen("video", 1).await;
    let log = daemon.log();
    assert!(daemon.terminate().await);
    assert!(log.contains("CLI profile"), "{log}");
    assert!(!log.contains("secret of the profile"), "{log}");

    assert_eq!(vod.calls().of("AssumeRole").len(), 1);
    assert_eq!(vod.calls().performed(SET), 1);
    let all = [vod.calls().all(), scene.gateway.calls().all()].concat();
    assert!(all.iter().all(|call| call.code().is_none()), "{all:?}");
    let dns = |action: &str| action.contains("DomainRecord") || action == "DescribeDomains";
    assert!(vod.calls().all().iter().all(|call| !dns(&call.action)));
    assert!(
        scene
            .gateway
            .calls()
            .all()
            .iter()
            .all(|call| dns(&call.action))
    );

    let home = scene.home.path();
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_vodcertd"))
        .env_clear()
        .env("HOME", home)
        .env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
        .arg("--config")
        .arg(home.join("config.toml"))
        .arg("check")
        .output()
        .unwrap();
    assert!(check.status.success(), "{check:?}");
}

#[tokio::test]
async fn a_chain_without_credentials_waits_for_a_person_and_heals_at_the_next_start() {
    let (scene, vod) = scene_of_two_clouds().await;
    let daemon = spawn_at_home(&scene);
    // Looked for once more, then a person must act.
    scene.until_told("video", "read-back-failed", 2).await;
    scene.until_at_rest("video").await;
    assert!(daemon.terminate().await);
    let snapshot = scene.snapshot("video").await;
    let failure = snapshot.failure.clone().unwrap();
    let said = (&*failure.code, &*failure.class);
    assert_eq!(said, ("no-credentials", "operator"));
    assert!(scene.rests_for("video").await > HOUR * 5);
    assert!(
        failure.message.contains("CLI profile: could not use"),
        "{failure:?}"
    );
    assert!(
        failure.message.contains("ECS role: switched off"),
        "{failure:?}"
    );
    assert_eq!(vod.calls().all().len(), 0);

    write_profile(&scene);
    let daemon = spawn_at_home(&scene);
    scene.until_seen("video", 1).await;
    assert!(daemon.terminate().await);
    assert_eq!((scene.orders_at_ca(), vod.calls().performed(SET)), (1, 1));
}
