//! Credentials over the wire: every source against the sandbox, and what becomes of temporary ones.

mod refused;
mod renewed;

use std::num::NonZeroU32;
use std::path::PathBuf;

use vodcertd::aliyun::{AssumeRole, Cloud, CredentialSource, Environment, Limiter, Rate};
use vodcertd::secret::SecretSource;
use vodcertd_sandbox::gateway::AccessKey;
use vodcertd_sandbox::given::{GivenKey, GivingServer, Mode, Trouble};
use vodcertd_sandbox::world::{Role, Trust};

use super::*;

const READ: &str = "DescribeVodDomainCertificateInfo";
const ASSUME: &str = "AssumeRole";
const OIDC: &str = "AssumeRoleWithOIDC";

/// A role that every access key may take on.
const OPEN: &str = "acs:ram::1234567890123456:role/open";
/// A role whose owner asks for [`EXTERNAL_ID`].
const GUARDED: &str = "acs:ram::6543210987654321:role/guarded";
const EXTERNAL_ID: &str = "between us";
/// A role for whoever has [`TOKEN`].
const FEDERATED: &str = "acs:ram::1234567890123456:role/federated";
const PROVIDER: &str = "acs:ram::1234567890123456:oidc-provider/cluster";
const TOKEN: &str = "eyJhbGciOi.J9.oidc-token";

const MACHINE_ROLE: &str = "machine";

const METADATA_TOKEN: &str = "PUT /latest/api/token";
const ROLES: &str = "GET /latest/meta-data/ram/security-credentials/";
const OF_ROLE: &str = "GET /latest/meta-data/ram/security-credentials/machine";
const OF_URI: &str = "GET /credentials";

/// Switches the metadata service off.
const NO_MACHINE: (&str, &str) = ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
/// Switches its first version off.
const NO_V1: (&str, &str) = ("ALIBABA_CLOUD_IMDSV1_DISABLED", "true");

/// A cloud with roles, a machine with a role, and a user's folder.
struct Stage {
    world: World,
    gateway: Gateway,
    giver: GivingServer,
    home: TempDir,
    clock: Clock,
}

impl Stage {
    async fn start() -> Self {
        let world = World::new();
        world.add_domain(DOMAIN);
        world.add_role(Role::new(OPEN, Trust::Keys));
        world.add_role(Role::new(GUARDED, Trust::ExternalId(EXTERNAL_ID.into())));
        world.add_role(Role::new(FEDERATED, federated(TOKEN)));
        let gateway = Gateway::start(world.clone()).await.unwrap();
        let key = given("STS.given", &gateway);
        let giver = GivingServer::start(MACHINE_ROLE, key).await.unwrap();
        let stage = Self {
            world,
            gateway,
            giver,
            home: tempfile::tempdir().unwrap(),
            clock: Clock::simulated(Clock::System.now()),
        };
        stage.write("secret", Gateway::ACCESS_KEY_SECRET);
        stage.write("oidc-token", TOKEN);
        stage
    }

    /// Writes a file in the user's folder.
    fn write(&self, path: &str, text: &str) {
        let path = self.home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    fn cloud(&self, credentials: CredentialSource) -> Cloud {
        // Nothing limits anything unless a test says so.
        let fast = NonZeroU32::new(1000).unwrap();
        let mut cloud = cloud::settings(&self.gateway, self.path("secret"));
        cloud.credentials = credentials;
        cloud.endpoints.imds = self.giver.url().parse().unwrap();
        cloud.rate = Rate {
            install: fast,
            other: fast,
        };
        cloud
    }

    /// A client with these variables besides the user's folder.
    fn client(&self, credentials: CredentialSource, variables: &[(&str, &str)]) -> Client {
        self.client_of(self.cloud(credentials), variables)
    }

    fn client_of(&self, cloud: Cloud, variables: &[(&str, &str)]) -> Client {
        self.client_in(&Network::default(), cloud, variables)
    }

    fn client_in(&self, network: &Network, cloud: Cloud, variables: &[(&str, &str)]) -> Client {
        let home = self.home.path().to_str().unwrap();
        let variables = variables.iter().copied().chain([("HOME", home)]);
        let environment = Environment::of(variables);
        let clock = self.clock.clone();
        Client::new(cloud, network, &environment, clock, Limiter::default()).unwrap()
    }

    /// Lets time pass here and there.
    fn let_pass(&self, time: Duration) {
        self.clock.set(Clock::System.now() + time);
        self.gateway.set_clock_offset(time.try_into().unwrap());
    }

    /// Who was asked for credentials: actions, methods and paths.
    fn asked(&self) -> Vec<String> {
        let calls = self.gateway.calls().all().into_iter();
        let actions = calls.map(|call| call.action);
        let actions = actions.filter(|action| action != READ);
        actions.chain(self.giver.asked()).collect()
    }

    /// Both calls are taken, and these were asked for what they are signed with.
    async fn assert_two_calls(&self, what: &str, client: &Client, asked: &[&str]) {
        for _ in 0..2 {
            let called = call(client).await;
            called.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        }
        assert_eq!(self.asked(), asked, "{what}");
    }

    fn key(&self) -> CredentialSource {
        CredentialSource::Static {
            access_key_id: Gateway::ACCESS_KEY_ID.into(),
            access_key_secret: SecretSource::File(self.path("secret")),
        }
    }
}

/// Makes one call.
async fn call(client: &Client) -> Result<(), ApiError> {
    client.vod_certificate_info(&domain()).await.map(|_| ())
}

fn federated(token: &str) -> Trust {
    Trust::Oidc {
        provider_arn: PROVIDER.into(),
        token: token.into(),
    }
}

/// A key for an hour that the gateway accepts.
fn given(id: &str, gateway: &Gateway) -> GivenKey {
    let (secret, token) = (format!("secret of {id}"), format!("token of {id}"));
    gateway.add_access_key(AccessKey::temporary(id, &secret, &token));
    GivenKey {
        id: id.into(),
        secret,
        token,
        expires: gateway.now() + Duration::from_hours(1),
    }
}

fn assume(role: &str, external_id: Option<&str>, source: CredentialSource) -> CredentialSource {
    CredentialSource::AssumeRole(Box::new(AssumeRole {
        role: role.parse().unwrap(),
        external_id: external_id.map(str::to_owned),
        source,
    }))
}

fn machine() -> CredentialSource {
    CredentialSource::EcsRole(MACHINE_ROLE.into())
}

#[tokio::test]
async fn sources_of_the_configuration_sign_calls() {
    for (what, source, asked) in [
        (
            "a key that is named",
            Stage::key as fn(&Stage) -> CredentialSource,
            &[][..],
        ),
        (
            "a role that is taken on with a key",
            |stage| assume(OPEN, None, stage.key()),
            &[ASSUME],
        ),
        (
            "a role whose owner asks for an external id",
            |stage| assume(GUARDED, Some(EXTERNAL_ID), stage.key()),
            &[ASSUME],
        ),
        (
            "a role that is taken on by way of another one",
            |stage| assume(GUARDED, Some(EXTERNAL_ID), assume(OPEN, None, stage.key())),
            &[ASSUME, ASSUME],
        ),
        (
            "a role that is taken on with that of the machine",
            |_| assume(OPEN, None, machine()),
            &[ASSUME, METADATA_TOKEN, OF_ROLE],
        ),
        (
            "the role of the machine",
            |_| machine(),
            &[METADATA_TOKEN, OF_ROLE],
        ),
    ] {
        let stage = Stage::start().await;
        let client = stage.client(source(&stage), &[]);
        stage.assert_two_calls(what, &client, asked).await;
    }
}

#[tokio::test]
async fn a_link_of_the_chain_that_is_there_signs_calls() {
    let environment = [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", Gateway::ACCESS_KEY_ID),
        (
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
            Gateway::ACCESS_KEY_SECRET,
        ),
    ];
    let temporary = [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "STS.given"),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret of STS.given"),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", "token of STS.given"),
    ];
    for (what, variables, asked) in [
        ("a key in the environment", &environment[..], &[][..]),
        ("a temporary key in the environment", &temporary, &[]),
        (
            "the role of the machine",
            &[],
            &[METADATA_TOKEN, ROLES, OF_ROLE],
        ),
        (
            "a role of the machine that is named",
            &[("ALIBABA_CLOUD_ECS_METADATA", MACHINE_ROLE)],
            &[METADATA_TOKEN, OF_ROLE],
        ),
    ] {
        let stage = Stage::start().await;
        let client = stage.client(CredentialSource::Chain, variables);
        stage.assert_two_calls(what, &client, asked).await;
    }
}

/// The role's token is in the body of the request, and nowhere else.
#[tokio::test]
async fn a_role_by_an_oidc_token_signs_calls() {
    let stage = Stage::start().await;
    let path = stage.path("oidc-token");
    let client = stage.client(CredentialSource::Chain, &oidc(path.to_str().unwrap()));
    call(&client).await.unwrap();
    call(&client).await.unwrap();
    assert_eq!(stage.asked(), [OIDC]);
    stage.gateway.calls().assert_no_key_in_url();
}

fn oidc(token_file: &str) -> [(&str, &str); 4] {
    [
        ("ALIBABA_CLOUD_ROLE_ARN", FEDERATED),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", PROVIDER),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token_file),
        NO_MACHINE,
    ]
}

#[tokio::test]
async fn a_credentials_uri_signs_calls() {
    let stage = Stage::start().await;
    let uri = stage.giver.credentials_uri();
    let variables = [("ALIBABA_CLOUD_CREDENTIALS_URI", &*uri), NO_MACHINE];
    let client = stage.client(CredentialSource::Chain, &variables);
    call(&client).await.unwrap();
    call(&client).await.unwrap();
    // The machine is not asked.
    assert_eq!(stage.asked(), [OF_URI]);
}

#[tokio::test]
async fn a_profile_of_the_command_line_tool_signs_calls() {
    let key = format!(
        r#""access_key_id": "{}", "access_key_secret": "{}""#,
        Gateway::ACCESS_KEY_ID,
        Gateway::ACCESS_KEY_SECRET
    );
    for (what, fields, asked) in [
        ("a key", format!(r#""mode": "AK", {key}"#), &[][..]),
        (
            "a temporary key",
            r#""mode": "StsToken", "access_key_id": "STS.given",
               "access_key_secret": "secret of STS.given", "sts_token": "token of STS.given""#
                .into(),
            &[],
        ),
        (
            "a role",
            format!(r#""mode": "RamRoleArn", {key}, "ram_role_arn": "{OPEN}""#),
            &[ASSUME],
        ),
        (
            "a role of the machine",
            format!(r#""mode": "EcsRamRole", "ram_role_name": "{MACHINE_ROLE}""#),
            &[METADATA_TOKEN, OF_ROLE],
        ),
        (
            "a role with the credentials of another profile",
            format!(
                r#""mode": "ChainableRamRoleArn", "source_profile": "other",
                   "ram_role_arn": "{GUARDED}", "external_id": "{EXTERNAL_ID}""#
            ),
            &[ASSUME],
        ),
        (
            "a role by an OIDC token",
            format!(
                r#""mode": "OIDC", "ram_role_arn": "{FEDERATED}",
                   "oidc_provider_arn": "{PROVIDER}", "oidc_token_file": "{{home}}/oidc-token""#
            ),
            &[OIDC],
        ),
        (
            "a credentials URI",
            r#""mode": "CredentialsURI", "credentials_uri": "{uri}""#.into(),
            &[OF_URI],
        ),
    ] {
        let stage = Stage::start().await;
        let home = stage.home.path().to_str().unwrap();
        let fields = fields.replace("{home}", home);
        let fields = fields.replace("{uri}", &stage.giver.credentials_uri());
        let text = format!(
            r#"{{ "current": "used", "profiles": [
                {{ "name": "other", "mode": "AK", {key} }}, {{ "name": "used", {fields} }} ] }}"#
        );
        stage.write(".aliyun/config.json", &text);
        let client = stage.client(CredentialSource::Chain, &[]);
        call(&client)
            .await
            .unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert_eq!(stage.asked(), asked, "{what}");
    }
}

#[tokio::test]
async fn the_credentials_file_signs_calls() {
    let key = format!(
        "access_key_id = {}\naccess_key_secret = {}\n",
        Gateway::ACCESS_KEY_ID,
        Gateway::ACCESS_KEY_SECRET
    );
    for (what, fields, asked) in [
        ("a key", format!("type = access_key\n{key}"), &[][..]),
        (
            "a role",
            format!("type = ram_role_arn\n{key}role_arn = {OPEN}\nrole_session_name = ops\n"),
            &[ASSUME],
        ),
        (
            "a role of the machine",
            format!("type = ecs_ram_role\nrole_name = {MACHINE_ROLE}\n"),
            &[METADATA_TOKEN, OF_ROLE],
        ),
    ] {
        let stage = Stage::start().await;
        let text = format!("[default]\n{fields}");
        stage.write(".alibabacloud/credentials", &text);
        let client = stage.client(CredentialSource::Chain, &[]);
        call(&client)
            .await
            .unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert_eq!(stage.asked(), asked, "{what}");
    }
}

/// The first version is a fallback, unless it is switched off.
#[tokio::test]
async fn the_machine_is_asked_with_a_token_where_it_knows_any() {
    let without = &[METADATA_TOKEN, OF_ROLE][..];
    for (what, mode, variables, works, asked) in [
        (
            "a token is required",
            Mode::TokenOnly,
            &[][..],
            true,
            without,
        ),
        (
            "it is required here too",
            Mode::TokenOnly,
            &[NO_V1],
            true,
            without,
        ),
        ("there are no tokens", Mode::NoToken, &[], true, without),
        (
            "there are no tokens, but one is required here",
            Mode::NoToken,
            &[NO_V1],
            false,
            &[METADATA_TOKEN],
        ),
    ] {
        let stage = Stage::start().await;
        stage.giver.set_mode(mode);
        let result = call(&stage.client(machine(), variables)).await;
        assert_eq!(result.is_ok(), works, "{what}: {result:?}");
        assert_eq!(stage.asked(), asked, "{what}");
    }
}

/// Files are read again: a secret before every call, a token before every request for a role.
#[tokio::test]
async fn a_file_that_changes_takes_effect_without_a_restart() {
    let stage = Stage::start().await;
    let client = stage.client(stage.key(), &[]);
    call(&client).await.unwrap();
    let key = AccessKey::new(Gateway::ACCESS_KEY_ID, "another secret");
    stage.gateway.add_access_key(key);
    let error = call(&client).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::SignatureDoesNotMatch));
    stage.write("secret", "another secret");
    call(&client).await.unwrap();

    let stage = Stage::start().await;
    let path = stage.path("rotated");
    let variables = oidc(path.to_str().unwrap());
    stage.write("rotated", TOKEN);
    let client = stage.client(CredentialSource::Chain, &variables);
    call(&client).await.unwrap();
    let role = Role::new(FEDERATED, federated("the next token"));
    stage.world.add_role(role);
    stage.write("rotated", "the next token");
    stage.let_pass(Duration::from_hours(2));
    call(&client).await.unwrap();
    assert_eq!(stage.asked(), [OIDC, OIDC]);
}

#[tokio::test]
async fn a_role_is_taken_on_with_either_signature() {
    for signature in SIGNATURES {
        let stage = Stage::start().await;
        let cloud = Cloud {
            signature,
            ..stage.cloud(assume(OPEN, None, assume(OPEN, None, stage.key())))
        };
        let client = stage.client_of(cloud, &[]);
        call(&client).await.unwrap();
        assert_eq!(stage.asked(), [ASSUME, ASSUME], "{signature:?}");
    }
}

/// The link that gave credentials is kept to: another one would mean another account all of a sudden.
#[tokio::test]
async fn the_first_link_that_has_credentials_is_kept_to() {
    let stage = Stage::start().await;
    let profile = format!(
        r#"{{ "profiles": [ {{ "name": "default", "mode": "AK", "access_key_id": "{}",
            "access_key_secret": "{}" }} ] }}"#,
        Gateway::ACCESS_KEY_ID,
        Gateway::ACCESS_KEY_SECRET
    );
    stage.write(".aliyun/config.json", &profile);
    let client = stage.client(CredentialSource::Chain, &[]);
    call(&client).await.unwrap();
    std::fs::remove_file(stage.path(".aliyun/config.json")).unwrap();
    let error = call(&client).await.unwrap_err();
    let message = error.failure(stage.clock.now()).message;
    assert!(message.contains("CLI profile: could not use"), "{message}");
    assert!(!message.contains("environment:"), "{message}");
    stage.write(".aliyun/config.json", &profile);
    call(&client).await.unwrap();
    // The machine would have had some.
    assert_eq!(stage.asked(), [""; 0]);
}

/// What they answer is secret and travels by plain HTTP.
#[tokio::test]
async fn who_gives_credentials_is_not_asked_by_way_of_a_proxy() {
    let stage = Stage::start().await;
    let network = Network {
        // The gateway answers what is sent to it as a proxy as well.
        proxy: Some(stage.gateway.url().parse().unwrap()),
        ..Network::default()
    };
    let uri = stage.giver.credentials_uri();
    let of_uri = [("ALIBABA_CLOUD_CREDENTIALS_URI", &*uri), NO_MACHINE];
    for (source, variables) in [(machine(), &[][..]), (CredentialSource::Chain, &of_uri)] {
        let cloud = stage.cloud(source);
        let client = stage.client_in(&network, cloud, variables);
        call(&client).await.unwrap();
    }
    assert_eq!(stage.asked(), [METADATA_TOKEN, OF_ROLE, OF_URI]);
}
