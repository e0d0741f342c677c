//! The links of the chain and what they hang on. Asking is tested over the wire, in `tests/it`.

use super::chain::Link;
use super::environment as variable;
use super::recipe::{Recipe, Surroundings};
use super::*;
use crate::retry::{self, Class};

fn recipe(link: Link, variables: &[(&str, &str)]) -> Result<Recipe, CredentialsError> {
    let around = Surroundings {
        environment: Environment::of(variables.iter().copied()),
        sts: None,
    };
    link.recipe(&around)
}

#[test]
fn the_environment_gives_a_key_with_or_without_a_token() {
    let key = [
        (variable::ACCESS_KEY_ID, "id"),
        (variable::ACCESS_KEY_SECRET, "s3cret"),
    ];
    let mut expected = Credentials {
        access_key_id: "id".into(),
        access_key_secret: Secret::new("s3cret"),
        security_token: None,
    };
    let found = recipe(Link::Environment, &key).unwrap();
    assert_eq!(found, Recipe::access_key(expected.clone()));
    let temporary = [key[0], key[1], (variable::SECURITY_TOKEN, "t0ken")];
    expected.security_token = Some(Secret::new("t0ken"));
    let found = recipe(Link::Environment, &temporary).unwrap();
    assert_eq!(found, Recipe::access_key(expected));
}

#[test]
fn every_link_says_what_it_lacks() {
    for (link, variables, said) in [
        (
            Link::Environment,
            &[(variable::ACCESS_KEY_ID, "id")][..],
            "not set in the environment: ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        ),
        (
            Link::Oidc,
            &[(variable::ROLE_ARN, "x")],
            "not set in the environment: ALIBABA_CLOUD_OIDC_PROVIDER_ARN, \
             ALIBABA_CLOUD_OIDC_TOKEN_FILE",
        ),
        (
            Link::Oidc,
            &[
                (variable::ROLE_ARN, "x"),
                (variable::OIDC_PROVIDER_ARN, "p"),
                (variable::OIDC_TOKEN_FILE, "/token"),
            ],
            "ALIBABA_CLOUD_ROLE_ARN is no role: expected \"acs:ram::ACCOUNT:role/NAME\"",
        ),
        (
            Link::Profile,
            &[(variable::CLI_PROFILE_DISABLED, "true")],
            "switched off by ALIBABA_CLOUD_CLI_PROFILE_DISABLED",
        ),
        (
            Link::CredentialsFile,
            &[],
            "HOME is not set in the environment",
        ),
        (
            Link::EcsRole,
            &[(variable::ECS_METADATA_DISABLED, "true")],
            "switched off by ALIBABA_CLOUD_ECS_METADATA_DISABLED",
        ),
        (
            Link::Uri,
            &[(variable::CREDENTIALS_URI, "file:///s3cret")],
            "ALIBABA_CLOUD_CREDENTIALS_URI is no URL",
        ),
    ] {
        let error = recipe(link, variables).unwrap_err();
        assert_eq!(error.to_string(), said, "{link}");
    }
}

#[test]
fn the_machine_is_asked_for_the_role_that_is_named_and_without_a_token_unless_forbidden() {
    for (variables, name, without_token) in [
        (&[][..], None, true),
        (&[(variable::ECS_METADATA, "vod")], Some("vod"), true),
        (&[(variable::IMDSV1_DISABLED, "true")], None, false),
    ] {
        let expected = Recipe::EcsRole {
            name: name.map(str::to_owned),
            without_token,
        };
        assert_eq!(recipe(Link::EcsRole, variables).unwrap(), expected);
    }
}

#[test]
fn a_chain_waits_for_what_passes_and_lists_what_was_said() {
    let absent = || CredentialsError::NotInEnvironment(vec!["THE_KEY"]);
    let passing = || CredentialsError::StsUnreadable;
    let refused = || CredentialsError::NotARole("THE_ROLE");
    for (said, class) in [
        (vec![absent(), passing(), refused()], Class::Backoff),
        (vec![absent(), refused()], Class::Refresh),
        (vec![refused()], Class::Operator),
    ] {
        let links = Link::ORDER.into_iter().zip(said).collect();
        assert_eq!(CredentialsError::Chain(links).class(), class);
    }
    let links = vec![(Link::Environment, absent()), (Link::Oidc, passing())];
    assert_eq!(
        retry::with_causes(&CredentialsError::Chain(links)),
        "environment: not set in the environment: THE_KEY; \
         OIDC: the Security Token Service answered without credentials"
    );
}

#[test]
fn credentials_are_not_printed() {
    let credentials = Credentials {
        access_key_id: "id".into(),
        access_key_secret: Secret::new("s3cret"),
        security_token: Some(Secret::new("t0ken")),
    };
    let shown = format!("{:?}", Recipe::access_key(credentials));
    assert!(
        !shown.contains("s3cret") && !shown.contains("t0ken"),
        "{shown}"
    );
}
