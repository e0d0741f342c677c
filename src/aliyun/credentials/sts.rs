//! Roles taken on at the Security Token Service (2015-04-01): `AssumeRole`, which is signed, and
//! `AssumeRoleWithOIDC`, which is not: the token in its body says who asks.

use url::Url;

use super::error::CredentialsError;
use super::recipe::{AssumedRole, OidcRole, Role};
use super::{Credentials, Fetched, given};
use crate::aliyun::action::Action;
use crate::aliyun::parameters::Parameters;
use crate::aliyun::sign::Signature;
use crate::aliyun::transport::{Call, Signer, Transport};
use crate::time::Timestamp;

/// Takes a role on with these credentials.
pub(super) async fn assume_role(
    transport: &Transport,
    assumed: &AssumedRole,
    signature: Signature,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<Fetched, CredentialsError> {
    let mut parameters = session(&assumed.role);
    if let Some(id) = &assumed.external_id {
        parameters = parameters.with("ExternalId", id);
    }
    let signer = Signer {
        signature,
        credentials,
    };
    let request = Request {
        action: Action::AssumeRole,
        endpoint: &assumed.sts,
        account: &assumed.signer.account(),
        parameters: &parameters,
    };
    request.send(transport, Some(signer), now).await
}

/// Takes a role on with the OIDC token as its file is now.
pub(super) async fn assume_role_with_oidc(
    transport: &Transport,
    oidc: &OidcRole,
    now: Timestamp,
) -> Result<Fetched, CredentialsError> {
    let token = oidc.token.read().map_err(CredentialsError::OidcToken)?;
    let parameters = session(&oidc.role)
        .with("OIDCProviderArn", &oidc.provider_arn)
        .with_secret("OIDCToken", token);
    let request = Request {
        action: Action::AssumeRoleWithOidc,
        endpoint: &oidc.sts,
        account: &oidc.provider_arn,
        parameters: &parameters,
    };
    request.send(transport, None, now).await
}

/// What both actions are told of the session.
fn session(role: &Role) -> Parameters {
    let parameters = Parameters::new()
        .with("RoleArn", role.arn.as_str())
        .with("RoleSessionName", &role.session_name)
        .with("DurationSeconds", role.duration.as_secs().to_string());
    match &role.policy {
        Some(policy) => parameters.with("Policy", policy),
        None => parameters,
    }
}

/// A request for temporary credentials.
struct Request<'a> {
    action: Action,
    endpoint: &'a Url,
    account: &'a str,
    parameters: &'a Parameters,
}

impl Request<'_> {
    async fn send(
        &self,
        transport: &Transport,
        signer: Option<Signer<'_>>,
        now: Timestamp,
    ) -> Result<Fetched, CredentialsError> {
        let call = Call {
            action: self.action,
            endpoint: self.endpoint,
            account: self.account,
            parameters: self.parameters,
        };
        let answer = transport.call(call, signer).await;
        let answer = answer.map_err(|error| CredentialsError::Sts(Box::new(error)))?;
        let reading = transport.clock_reading();
        let their_now = reading.map_or(now, |reading| reading.remote + reading.at.elapsed());
        answer
            .get("Credentials")
            .and_then(|credentials| given::fetched(credentials, their_now))
            .ok_or(CredentialsError::StsUnreadable)
    }
}
