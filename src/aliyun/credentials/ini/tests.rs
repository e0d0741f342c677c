use super::super::environment::Environment;
use super::*;
use crate::retry;

const FILE: &str = "
; a comment
[default]
type = access_key   # the kind
access_key_id = LTAIid
access_key_secret = s3cret
[machine]
type=ecs_ram_role
[role]
type = ram_role_arn
access_key_id = LTAIid
access_key_secret = s3cret
role_arn = acs:ram::123:role/vod
role_session_name = s
[oidc]
type = oidc_role_arn
role_arn = acs:ram::123:role/vod
oidc_provider_arn = p
oidc_token_file_path = /token
[keys]
type = rsa_key_pair
[empty]
";

fn around(variables: &[(&str, &str)]) -> Surroundings {
    Surroundings {
        environment: Environment::of(variables.iter().copied()),
        sts: None,
    }
}

fn of(profile: &str) -> Result<Recipe, CredentialsError> {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    std::fs::write(&path, FILE).unwrap();
    let path = path.to_str().unwrap();
    recipe(&around(&[
        (variable::CREDENTIALS_FILE, path),
        (variable::PROFILE, profile),
    ]))
}

fn key() -> Recipe {
    Recipe::access_key(super::super::Credentials {
        access_key_id: "LTAIid".into(),
        access_key_secret: Secret::new("s3cret"),
        security_token: None,
    })
}

#[test]
fn every_kind_is_followed_as_the_sdks_do() {
    assert_eq!(of("").unwrap(), key());
    let machine = Recipe::EcsRole {
        name: None,
        without_token: true,
    };
    assert_eq!(of("machine").unwrap(), machine);
    let Recipe::AssumeRole(assumed) = of("role").unwrap() else {
        panic!("no role")
    };
    assert_eq!(
        (&assumed.signer, &*assumed.role.session_name),
        (&key(), "s")
    );
    let Recipe::Oidc(oidc) = of("oidc").unwrap() else {
        panic!("no token")
    };
    assert_eq!(oidc.token, SecretSource::File("/token".into()));
}

#[test]
fn what_cannot_be_followed_is_named() {
    for (profile, said) in [
        (
            "keys",
            r#"its profile "keys" is of the kind "rsa_key_pair", which is not followed"#,
        ),
        ("empty", r#"its profile "empty" has no type"#),
        ("other", r#"it has no profile "other""#),
    ] {
        let error = retry::with_causes(&of(profile).unwrap_err());
        assert!(error.ends_with(said), "{error}");
    }
}

#[test]
fn either_name_of_the_file_is_found() {
    for name in NAMES {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".alibabacloud")).unwrap();
        std::fs::write(home.path().join(name), FILE).unwrap();
        let home = home.path().to_str().unwrap();
        let found = recipe(&around(&[(variable::HOME, home)]));
        assert_eq!(found.unwrap(), key(), "{name}");
    }
}
