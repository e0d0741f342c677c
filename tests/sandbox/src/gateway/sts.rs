//! The actions of the Security Token Service: temporary access keys for roles.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::access::{AccessKey, Guard};
use super::refusal::Refusal;
use super::request::Request;
use crate::world::{Role, State, Trust};

/// How long credentials last, in seconds, where nothing is asked for.
const DEFAULT_DURATION: i64 = 3600;

/// The shortest and the longest life that a role allows, in seconds.
const DURATIONS: std::ops::RangeInclusive<i64> = 900..=3600;

/// `AssumeRole`: for a caller who signed.
pub(super) fn assume_role(
    state: &mut State,
    guard: &Guard,
    now: Timestamp,
    request: &Request,
) -> Result<Value, Refusal> {
    let role = role(state, request)?;
    let admitted = match &role.trust {
        Trust::Keys => true,
        Trust::ExternalId(id) => request.optional("ExternalId") == Some(id),
        Trust::Oidc { .. } => false,
    };
    if !admitted {
        let message = "You are not authorized to do this action. You should be authorized by RAM.";
        return Err(Refusal::new(403, "NoPermission", message));
    }
    issue(state, guard, now, request, &role)
}

/// `AssumeRoleWithOIDC`: for whoever has a token.
pub(super) fn assume_role_with_oidc(
    state: &mut State,
    guard: &Guard,
    now: Timestamp,
    request: &Request,
) -> Result<Value, Refusal> {
    let role = role(state, request)?;
    let provider = request.required("OIDCProviderArn")?;
    let given = request.required("OIDCToken")?;
    let Trust::Oidc {
        provider_arn,
        token,
    } = &role.trust
    else {
        let message = "This operation is forbidden by permission system.";
        return Err(Refusal::new(
            403,
            "AuthenticationFail.NoPermission",
            message,
        ));
    };
    if provider != provider_arn {
        let message = "The OIDC Provider does not exist.";
        return Err(Refusal::new(404, "EntityNotExist.OIDCProvider", message));
    }
    if given != token {
        // What a service says that repeats what it was given.
        let message = format!("This JWT token is invalid: {given}");
        return Err(Refusal::new(
            400,
            "AuthenticationFail.OIDCToken.Invalid",
            message,
        ));
    }
    issue(state, guard, now, request, &role)
}

fn role(state: &State, request: &Request) -> Result<Role, Refusal> {
    let arn = request.required("RoleArn")?;
    state.roles.get(arn).cloned().ok_or_else(|| {
        let message = "The role not exists.";
        Refusal::new(404, "EntityNotExist.Role", message)
    })
}

/// Makes an access key and makes it known.
fn issue(
    state: &mut State,
    guard: &Guard,
    now: Timestamp,
    request: &Request,
    role: &Role,
) -> Result<Value, Refusal> {
    let session = request.required("RoleSessionName")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".@_-".contains(&b);
    if !(2..=64).contains(&session.len()) || !session.bytes().all(plain) {
        let message = "The parameter RoleSessionName is wrongly formed.";
        return Err(Refusal::new(
            400,
            "InvalidParameter.RoleSessionName",
            message,
        ));
    }
    let asked = request
        .number("DurationSeconds")?
        .unwrap_or(DEFAULT_DURATION);
    if !DURATIONS.contains(&asked) {
        let message = "The Min/Max value of DurationSeconds is 15min/1hr.";
        return Err(Refusal::new(
            400,
            "InvalidParameter.DurationSeconds",
            message,
        ));
    }
    let asked = SignedDuration::from_secs(asked);
    let lasts = role.lasts.and_then(|lasts| lasts.try_into().ok());
    let expires = now + lasts.unwrap_or(asked);
    let number = state.next_id();
    let (id, secret) = (format!("STS.{number}"), format!("secret-{number}"));
    let token = format!("CAIS/+token-{number}==");
    let key = AccessKey::temporary(&id, &secret, &token).until(expires);
    // acs:ram::ACCOUNT:role/NAME
    let account = role.arn.split(':').nth(3).unwrap_or_default();
    guard.add(key.of_account(account));
    Ok(json!({
        "AssumedRoleUser": {
            "Arn": format!("{}/{session}", role.arn.replace(":role/", ":assumed-role/")),
            "AssumedRoleId": format!("{number}:{session}"),
        },
        "Credentials": {
            "AccessKeyId": id,
            "AccessKeySecret": secret,
            "SecurityToken": token,
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        },
    }))
}
