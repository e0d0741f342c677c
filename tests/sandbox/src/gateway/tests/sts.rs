//! The Security Token Service: who may take a role on, and what its keys are good for.

use super::*;
use crate::world::{Role, Trust};

const ROLE: &str = "acs:ram::1:role/open";
const GUARDED: &str = "acs:ram::1:role/guarded";
const FEDERATED: &str = "acs:ram::1:role/federated";
const PROVIDER: &str = "acs:ram::1:oidc-provider/p";

async fn with_roles() -> (World, Gateway) {
    let (world, gateway) = started().await;
    world.add_role(Role::new(ROLE, Trust::Keys));
    world.add_role(Role::new(GUARDED, Trust::ExternalId("id".to_owned())));
    let trust = Trust::Oidc {
        provider_arn: PROVIDER.to_owned(),
        token: "token".to_owned(),
    };
    world.add_role(Role::new(FEDERATED, trust));
    (world, gateway)
}

/// Takes a role on as `session` with what else is given.
async fn assume(gateway: &Gateway, role: &str, session: &str, given: Pairs<'_>) -> Answer {
    let parameters = [&[("RoleArn", role), ("RoleSessionName", session)], given].concat();
    call(gateway, "AssumeRole", &parameters).await
}

/// Takes a role on by a token, unsigned.
async fn federate(gateway: &Gateway, role: &str, provider: &str, token: &str) -> Answer {
    let parameters = [
        ("Action", "AssumeRoleWithOIDC"),
        ("Version", "2015-04-01"),
        ("Format", "JSON"),
        ("RoleArn", role),
        ("RoleSessionName", "ops"),
        ("OIDCProviderArn", provider),
        ("OIDCToken", token),
    ];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
    post(gateway, &encode(&parameters.into())).await.unwrap()
}

/// A call that is signed with temporary credentials, with their token or without.
async fn call_with(gateway: &Gateway, credentials: &Value, token: bool) -> (u16, String) {
    let text = |name: &str| credentials[name].as_str().unwrap();
    let mut parameters = parameters("DescribeVodUserDomains", &[]);
    parameters.insert("AccessKeyId".to_owned(), text("AccessKeyId").to_owned());
    if token {
        let token = text("SecurityToken").to_owned();
        parameters.insert("SecurityToken".to_owned(), token);
    }
    let body = signed(&parameters, "POST", text("AccessKeySecret"));
    post(gateway, &body).await.unwrap().verdict()
}

#[tokio::test]
async fn a_role_is_for_those_whom_it_trusts() {
    let (_world, gateway) = with_roles().await;
    let external = |id| [("ExternalId", id)];
    for (case, role, session, given, code) in [
        ("open", ROLE, "ops", &[][..], ""),
        ("its external id", GUARDED, "ops", &external("id"), ""),
        ("none", GUARDED, "ops", &[], "NoPermission"),
        ("another", GUARDED, "ops", &external("x"), "NoPermission"),
        ("not by a key", FEDERATED, "ops", &[], "NoPermission"),
        (
            "no such role",
            "acs:ram::1:role/x",
            "ops",
            &[],
            "EntityNotExist.Role",
        ),
        (
            "a short name",
            ROLE,
            "o",
            &[],
            "InvalidParameter.RoleSessionName",
        ),
        (
            "an odd name",
            ROLE,
            "o p s",
            &[],
            "InvalidParameter.RoleSessionName",
        ),
        (
            "too short",
            ROLE,
            "ops",
            &[("DurationSeconds", "899")],
            "InvalidParameter.DurationSeconds",
        ),
        (
            "too long",
            ROLE,
            "ops",
            &[("DurationSeconds", "3601")],
            "InvalidParameter.DurationSeconds",
        ),
    ] {
        let answer = assume(&gateway, role, session, given).await;
        assert_eq!(answer.verdict().1, code, "{case}");
    }
    let unsigned = parameters(
        "AssumeRole",
        &[("RoleArn", ROLE), ("RoleSessionName", "ops")],
    );
    let answer = post(&gateway, &encode(&unsigned)).await.unwrap();
    assert_eq!(answer.status, 400, "{}", answer.text);
}

#[tokio::test]
async fn a_federated_role_is_for_those_who_have_the_token() {
    let (_world, gateway) = with_roles().await;
    for (case, role, provider, token, code) in [
        ("right", FEDERATED, PROVIDER, "token", ""),
        (
            "another token",
            FEDERATED,
            PROVIDER,
            "x",
            "AuthenticationFail.OIDCToken.Invalid",
        ),
        (
            "another provider",
            FEDERATED,
            "x",
            "token",
            "EntityNotExist.OIDCProvider",
        ),
        (
            "a role for keys",
            ROLE,
            PROVIDER,
            "token",
            "AuthenticationFail.NoPermission",
        ),
    ] {
        let answer = federate(&gateway, role, provider, token).await;
        assert_eq!(answer.verdict().1, code, "{case}");
    }
    let calls = gateway.calls().of("AssumeRoleWithOIDC");
    assert!(
        calls
            .iter()
            .all(|call| call.parameter("OIDCToken").is_none())
    );
}

#[tokio::test]
async fn temporary_keys_need_their_token_and_end() {
    let (_world, gateway) = with_roles().await;
    let assumed = assume(&gateway, ROLE, "ops", &[("DurationSeconds", "900")]).await;
    let credentials = &assumed.json()["Credentials"];
    assert_eq!(call_with(&gateway, credentials, true).await.0, 200);
    let refused = call_with(&gateway, credentials, false).await;
    assert_eq!(refused.1, "MissingSecurityToken");
    let later = Duration::from_secs(901).try_into().unwrap();
    let ends: Timestamp = credentials["Expiration"].as_str().unwrap().parse().unwrap();
    let left = ends.duration_since(gateway.now()).as_secs();
    assert!((890..=900).contains(&left), "{left} s");
    gateway.set_clock_offset(later);
    let refused = call_with(&gateway, credentials, true).await;
    assert_eq!(refused.1, "InvalidSecurityToken.Expired");

    gateway.set_clock_offset(jiff::SignedDuration::ZERO);
    assert_eq!(call_with(&gateway, credentials, true).await.0, 200);
    gateway.expire_temporary_keys();
    let refused = call_with(&gateway, credentials, true).await;
    assert_eq!(refused.1, "InvalidSecurityToken.Expired");
}

/// Its keys are of one account, so one limit holds for both.
#[tokio::test]
async fn keys_of_one_account_are_counted_together() {
    let (_world, gateway) = started().await;
    let keys = [("a", Some("1")), ("b", Some("1")), ("c", None)];
    for (id, account) in keys {
        let key = AccessKey::new(id, "s");
        let key = account.map_or(key.clone(), |account| key.of_account(account));
        gateway.add_access_key(key);
    }
    let action = "DescribeVodUserDomains";
    gateway.limit(action, 1, Duration::from_hours(1));
    for (id, code) in [("a", ""), ("b", "Throttling.User"), ("c", "")] {
        let mut parameters = parameters(action, &[]);
        parameters.insert("AccessKeyId".to_owned(), id.to_owned());
        let answer = post(&gateway, &signed(&parameters, "POST", "s")).await;
        assert_eq!(answer.unwrap().verdict().1, code, "{id}");
    }
}
