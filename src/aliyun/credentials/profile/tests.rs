use std::time::Duration;

use super::super::environment::Environment;
use super::super::recipe::{Role, RoleArn};
use super::*;
use crate::retry;

fn around(variables: &[(&str, &str)]) -> Surroundings {
    Surroundings {
        environment: Environment::of(variables.iter().copied()),
        sts: None,
    }
}

/// What becomes of a file with these profiles when this one is wanted.
fn of(profiles: &str, wanted: &str) -> Result<Recipe, CredentialsError> {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aliyun")).unwrap();
    let text = format!(r#"{{"current":"a","profiles":[{profiles}]}}"#);
    std::fs::write(home.path().join(".aliyun/config.json"), text).unwrap();
    let home = home.path().to_str().unwrap();
    recipe(&around(&[
        (variable::HOME, home),
        (variable::PROFILE, wanted),
    ]))
}

const KEY: &str = r#""access_key_id":"LTAIid","access_key_secret":"s3cret""#;
const ARN: &str = "acs:ram::123:role/vod";

fn key(token: Option<&str>) -> Recipe {
    Recipe::access_key(super::super::Credentials {
        access_key_id: "LTAIid".into(),
        access_key_secret: Secret::new("s3cret"),
        security_token: token.map(Secret::new),
    })
}

fn role() -> Role {
    Role::new(ARN.parse::<RoleArn>().unwrap())
}

#[test]
fn the_current_profile_is_used_unless_another_one_is_wanted() {
    let profiles = format!(
        r#"{{"name":"b","mode":"AK","access_key_id":"other","access_key_secret":"x"}},
           {{"name":"a","mode":"AK",{KEY},"region_id":"cn-shanghai","output_format":"json"}}"#
    );
    assert_eq!(of(&profiles, "").unwrap(), key(None));
    assert_ne!(of(&profiles, "b").unwrap(), key(None));
    let error = retry::with_causes(&of(&profiles, "c").unwrap_err());
    assert!(error.ends_with(r#"it has no profile "c""#), "{error}");
}

#[test]
fn a_temporary_key_counts_against_its_file_whatever_its_name() {
    let text = format!(r#"{{"name":"a","mode":"StsToken",{KEY},"sts_token":"t0ken"}}"#);
    let Recipe::AtHand {
        credentials,
        account,
    } = of(&text, "").unwrap()
    else {
        panic!("not at hand")
    };
    assert_eq!(credentials.security_token, Some(Secret::new("t0ken")));
    assert!(account.ends_with(".aliyun/config.json"), "{account}");
}

#[test]
fn roles_are_taken_on_as_the_tool_does() {
    let text = format!(
        r#"{{"name":"a","mode":"ChainableRamRoleArn","source_profile":"b","ram_role_arn":"{ARN}",
            "ram_session_name":"s","expired_seconds":900,"external_id":"x","policy":"p",
            "sts_region":"cn-beijing","enable_vpc":true}},
           {{"name":"b","mode":"RamRoleArn",{KEY},"ram_role_arn":"{ARN}","expired_seconds":0}}"#
    );
    let inner = AssumedRole {
        role: role(),
        external_id: None,
        sts: "https://sts.aliyuncs.com".parse().unwrap(),
        signer: key(None),
    };
    let outer = AssumedRole {
        role: Role {
            session_name: "s".into(),
            duration: Duration::from_mins(15),
            policy: Some("p".into()),
            ..role()
        },
        external_id: Some("x".into()),
        sts: "https://sts-vpc.cn-beijing.aliyuncs.com".parse().unwrap(),
        signer: Recipe::AssumeRole(Box::new(inner)),
    };
    assert_eq!(of(&text, "").unwrap(), Recipe::AssumeRole(Box::new(outer)));
}

#[test]
fn tokens_machines_and_urls_are_followed() {
    let oidc = format!(
        r#"{{"name":"a","mode":"OIDC","ram_role_arn":"{ARN}","oidc_provider_arn":"p",
            "oidc_token_file":"/token","role_session_name":"s"}}"#
    );
    let expected = OidcRole {
        role: role().in_session(Some("s")),
        provider_arn: "p".into(),
        token: SecretSource::File("/token".into()),
        sts: "https://sts.aliyuncs.com".parse().unwrap(),
    };
    assert_eq!(of(&oidc, "").unwrap(), Recipe::Oidc(expected));
    let machine = r#"{"name":"a","mode":"EcsRamRole","ram_role_name":"vod"}"#;
    let expected = Recipe::EcsRole {
        name: Some("vod".into()),
        without_token: true,
    };
    assert_eq!(of(machine, "").unwrap(), expected);
    let uri = r#"{"name":"a","mode":"CredentialsURI","credentials_uri":"http://127.0.0.1:1/x"}"#;
    let expected = Recipe::Uri(Secret::new("http://127.0.0.1:1/x"));
    assert_eq!(of(uri, "").unwrap(), expected);
}

#[test]
fn what_cannot_be_followed_is_named_and_no_secret_is_shown() {
    let sts = format!(r#"{{"name":"a","mode":"StsToken",{KEY}}}"#);
    let circle = format!(
        r#"{{"name":"a","mode":"ChainableRamRoleArn","source_profile":"b","ram_role_arn":"{ARN}"}},
           {{"name":"b","mode":"ChainableRamRoleArn","source_profile":"a","ram_role_arn":"{ARN}"}}"#
    );
    let arn = format!(r#"{{"name":"a","mode":"RamRoleArn",{KEY},"ram_role_arn":"vod"}}"#);
    for (profiles, said) in [
        (
            r#"{"name":"a","mode":"External","process_command":"s3cret"}"#,
            r#"its profile "a" is of the kind "External", which would run a program"#,
        ),
        (
            r#"{"name":"a","mode":"CloudSSO"}"#,
            r#"its profile "a" is of the kind "CloudSSO", which is not followed"#,
        ),
        (r#"{"name":"a"}"#, r#"its profile "a" has no mode"#),
        (&sts, r#"its profile "a" has no sts_token"#),
        (&circle, "its profiles lead in a circle"),
        (
            &arn,
            r#"in its profile "a": ram_role_arn is no role: expected "acs:ram::ACCOUNT:role/NAME""#,
        ),
        (
            r#"{"name":"a","mode":"CredentialsURI","credentials_uri":"s3cret"}"#,
            r#"in its profile "a": credentials_uri is no URL"#,
        ),
        (r#""s3cret"#, "it is no JSON with profiles"),
    ] {
        let error = retry::with_causes(&of(profiles, "").unwrap_err());
        assert!(error.ends_with(said), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let missing = around(&[(variable::CONFIG_FILE, "/nonexistent/config.json")]);
    let error = recipe(&missing).unwrap_err();
    let said = "could not use /nonexistent/config.json";
    assert_eq!(error.to_string(), said);
    assert!(matches!(
        recipe(&around(&[])),
        Err(CredentialsError::NoHome)
    ));
}
