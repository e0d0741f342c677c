//! Sources that are refused, that cannot be reached, or that answer something else.

use super::*;

/// How a source is disturbed, and what is said of it.
struct Case {
    what: &'static str,
    source: fn(&Stage) -> CredentialSource,
    disturb: fn(&Stage),
    class: Class,
    said: &'static str,
}

fn open(stage: &Stage) -> CredentialSource {
    assume(OPEN, None, stage.key())
}

fn the_machine(_: &Stage) -> CredentialSource {
    machine()
}

fn disturb(stage: &Stage, disturbance: Disturbance) {
    let fault = Fault::always(disturbance).on(ASSUME);
    stage.gateway.faults().push(fault);
}

fn answer_with(stage: &Stage, body: &str) {
    let trouble = Trouble::Body(body.to_owned());
    stage.giver.set_trouble(Some(trouble));
}

const CASES: &[Case] = &[
    Case {
        what: "a role that does not exist",
        source: |stage| assume("acs:ram::1:role/none", None, stage.key()),
        disturb: |_| {},
        class: Class::Operator,
        said: "refused as EntityNotExist.Role (HTTP 404)",
    },
    Case {
        what: "a role without the external id that its owner asks for",
        source: |stage| assume(GUARDED, None, stage.key()),
        disturb: |_| {},
        class: Class::Operator,
        said: "refused as NoPermission (HTTP 403)",
    },
    Case {
        what: "a role with another external id",
        source: |stage| assume(GUARDED, Some("another"), stage.key()),
        disturb: |_| {},
        class: Class::Operator,
        said: "refused as NoPermission (HTTP 403)",
    },
    Case {
        what: "a role that is taken on with an unknown key",
        source: open,
        disturb: |stage| stage.gateway.remove_access_key(Gateway::ACCESS_KEY_ID),
        class: Class::Refresh,
        said: "refused as InvalidAccessKeyId.NotFound",
    },
    Case {
        what: "a role that is taken on with a key without a secret",
        source: open,
        disturb: |stage| std::fs::remove_file(stage.path("secret")).unwrap(),
        class: Class::Refresh,
        said: "could not read the secret of access key \"testid\"",
    },
    Case {
        what: "a token service that is busy",
        source: open,
        disturb: |stage| disturb(stage, Disturbance::Refuse(Refusal::throttled())),
        class: Class::Backoff,
        said: "refused as Throttling.User",
    },
    Case {
        what: "a token service that closes the connection",
        source: open,
        disturb: |stage| disturb(stage, Disturbance::HangUp),
        class: Class::Backoff,
        said: "AssumeRole failed in cloud \"default\"",
    },
    Case {
        what: "a token service that gives credentials, but they are lost",
        source: open,
        disturb: |stage| disturb(stage, Disturbance::PerformThenHangUp),
        class: Class::Backoff,
        said: "AssumeRole failed in cloud \"default\"",
    },
    Case {
        what: "a token service that answers without credentials",
        source: open,
        disturb: |stage| {
            let body = "{\"RequestId\": \"1\"}".to_owned();
            disturb(
                stage,
                Disturbance::Raw(RawAnswer {
                    body,
                    ..RawAnswer::page(200)
                }),
            );
        },
        class: Class::Backoff,
        said: "the Security Token Service answered without credentials",
    },
    Case {
        what: "a proxy before the token service",
        source: open,
        disturb: |stage| disturb(stage, Disturbance::bad_gateway()),
        class: Class::Backoff,
        said: "answered HTTP 502",
    },
    Case {
        what: "a machine that does not have the role",
        source: |_| CredentialSource::EcsRole("another".into()),
        disturb: |_| {},
        class: Class::Operator,
        said: "the metadata service of the machine gave none: answered HTTP 404",
    },
    Case {
        what: "a metadata service that fails",
        source: the_machine,
        disturb: |stage| stage.giver.set_trouble(Some(Trouble::Status(503))),
        class: Class::Backoff,
        said: "the metadata service of the machine gave none: answered HTTP 503",
    },
    Case {
        what: "a metadata service that does not answer",
        source: the_machine,
        disturb: |stage| stage.giver.set_trouble(Some(Trouble::Silence)),
        class: Class::Backoff,
        said: "the metadata service of the machine gave none: ",
    },
    Case {
        what: "a metadata service that answers something else",
        source: the_machine,
        disturb: |stage| answer_with(stage, "<html>"),
        class: Class::Backoff,
        said: "the metadata service of the machine gave none: answered without credentials",
    },
    Case {
        what: "a metadata service that says that it failed",
        source: the_machine,
        disturb: |stage| {
            answer_with(
                stage,
                r#"{"Code":"Failed","AccessKeyId":"STS.x","AccessKeySecret":"x","SecurityToken":"x",
                    "Expiration":"2999-01-01T00:00:00Z"}"#,
            );
        },
        class: Class::Backoff,
        said: "the metadata service of the machine gave none: answered without credentials",
    },
    Case {
        what: "credentials that had expired",
        source: the_machine,
        disturb: |stage| {
            let mut key = given("STS.old", &stage.gateway);
            key.expires = stage.gateway.now() - Duration::from_secs(2);
            stage.giver.give(key);
        },
        class: Class::Backoff,
        said: "the credentials that were given had expired already",
    },
];

#[tokio::test]
async fn a_source_without_credentials_says_why_and_is_not_asked_at_every_call() {
    for case in CASES {
        let what = case.what;
        let stage = Stage::start().await;
        let client = stage.client((case.source)(&stage), &[]);
        (case.disturb)(&stage);
        let error = call(&client).await.unwrap_err();
        let failure = error.failure(stage.clock.now());
        assert_eq!(failure.code, "no-credentials", "{what}");
        assert!(failure.message.contains(case.said), "{what}: {failure:?}");
        assert_eq!(failure.class(1), case.class, "{what}: {failure:?}");
        let cloud = "default".to_owned();
        assert_eq!(failure.scope, Scope::Cloud { cloud }, "{what}");
        assert!(!error.may_have_happened(), "{what}");

        let asked = stage.asked();
        call(&client).await.unwrap_err();
        assert_eq!(stage.asked(), asked, "{what}");
        assert_eq!(stage.gateway.calls().of(READ).len(), 0, "{what}");
    }
}

/// What the token service repeats of a token that it refuses goes no further.
#[tokio::test]
async fn an_oidc_token_that_is_refused_is_not_shown() {
    let stage = Stage::start().await;
    let path = stage.path("oidc-token");
    let path = path.to_str().unwrap();
    let client = stage.client(CredentialSource::Chain, &oidc(path));
    stage.write("oidc-token", "eyJhbGciOi.J9.a-token-of-another");
    let error = call(&client).await.unwrap_err();
    let shown = format!("{error:?} {:?}", error.failure(stage.clock.now()));
    assert!(
        shown.contains("AuthenticationFail.OIDCToken.Invalid"),
        "{shown}"
    );
    assert!(!shown.contains("a-token-of-another"), "{shown}");
    stage.gateway.calls().assert_no_key_in_url();

    // A file that is being replaced may be there a moment later.
    let stage = Stage::start().await;
    let client = stage.client(CredentialSource::Chain, &oidc("/nowhere/token"));
    let failure = call(&client).await.unwrap_err();
    let failure = failure.failure(stage.clock.now());
    let said = "OIDC: could not read the OIDC token: could not read /nowhere/token";
    assert!(failure.message.contains(said), "{failure:?}");
    assert_eq!(failure.class(1), Class::Refresh);
    assert_eq!(stage.asked(), [""; 0]);
}

#[tokio::test]
async fn a_chain_without_credentials_lists_what_each_link_said_and_no_secret() {
    let stage = Stage::start().await;
    let uri = format!("{}/s3cret-path", stage.giver.url());
    let home = stage.home.path().display();
    let variables = [
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s3cret-key"),
        ("ALIBABA_CLOUD_CREDENTIALS_URI", &*uri),
        NO_MACHINE,
    ];
    let file = r#"{ "current": "default", "profiles": [
        { "name": "default", "mode": "External", "process_command": "s3cret-program" } ] }"#;
    stage.write(".aliyun/config.json", file);
    let error = call(&stage.client(CredentialSource::Chain, &variables)).await;
    let error = error.unwrap_err();
    let message = error.failure(stage.clock.now()).message;
    assert_eq!(
        message,
        format!(
            "DescribeVodDomainCertificateInfo failed in cloud \"default\": no credentials: \
             environment: not set in the environment: ALIBABA_CLOUD_ACCESS_KEY_ID; \
             OIDC: not set in the environment: ALIBABA_CLOUD_ROLE_ARN, \
             ALIBABA_CLOUD_OIDC_PROVIDER_ARN, ALIBABA_CLOUD_OIDC_TOKEN_FILE; \
             CLI profile: could not use {home}/.aliyun/config.json: its profile \"default\" is of the \
             kind \"External\", which would run a program; \
             credentials file: could not use {home}/.alibabacloud/credentials: No such file or \
             directory (os error 2); \
             ECS role: switched off by ALIBABA_CLOUD_ECS_METADATA_DISABLED; \
             credentials URI: the credentials URI gave none: answered HTTP 404"
        )
    );
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    assert_eq!(stage.asked(), ["GET /s3cret-path"]);
}

/// Nobody listens: that passes, and nothing is asked without a token then.
#[tokio::test]
async fn nobody_there_is_waited_for() {
    let nobody = || "http://127.0.0.1:1".parse().unwrap();
    let stage = Stage::start().await;
    for source in [machine(), assume(OPEN, None, stage.key())] {
        let mut cloud = stage.cloud(source);
        cloud.endpoints.imds = nobody();
        cloud.endpoints.sts = Some(nobody());
        let failure = call(&stage.client_of(cloud, &[])).await.unwrap_err();
        let failure = failure.failure(stage.clock.now());
        assert_eq!(failure.class(1), Class::Backoff, "{failure:?}");
    }
    assert_eq!(stage.asked(), [""; 0]);
}
