//! The default chain of the official SDKs: where they look for credentials, in their order.

use std::fmt;
use std::path::PathBuf;

use super::environment::{self as variable, Environment};
use super::error::CredentialsError;
use super::recipe::{OidcRole, Recipe, Role, RoleArn, Surroundings};
use super::{Credentials, ini, profile};
use crate::secret::SecretSource;

/// A place where the chain looks. The first one that has credentials is kept to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An access key in environment variables.
    Environment,
    /// A role that an OIDC token gives, named in environment variables (RRSA in a cluster).
    Oidc,
    /// The profiles of the command line tool, `~/.aliyun/config.json`.
    Profile,
    /// The credentials file, `~/.alibabacloud/credentials`.
    CredentialsFile,
    /// The role of the machine.
    EcsRole,
    /// Whoever answers at the URL in an environment variable.
    Uri,
}

impl Link {
    /// All links in their order.
    pub(super) const ORDER: [Self; 6] = [
        Self::Environment,
        Self::Oidc,
        Self::Profile,
        Self::CredentialsFile,
        Self::EcsRole,
        Self::Uri,
    ];

    /// How credentials are had there, as far as that can be told without asking anybody.
    pub(super) fn recipe(self, around: &Surroundings) -> Result<Recipe, CredentialsError> {
        let environment = &around.environment;
        match self {
            Self::Environment => access_key(environment),
            Self::Oidc => oidc(around),
            Self::Profile => {
                refuse_if_on(environment, variable::CLI_PROFILE_DISABLED)?;
                profile::recipe(around)
            }
            Self::CredentialsFile => ini::recipe(around),
            Self::EcsRole => {
                refuse_if_on(environment, variable::ECS_METADATA_DISABLED)?;
                let name = environment.text(variable::ECS_METADATA);
                Ok(around.role_of_the_machine(name))
            }
            Self::Uri => {
                let [uri] = environment.all([variable::CREDENTIALS_URI])?;
                Recipe::uri(uri).ok_or(CredentialsError::NotAUrl(variable::CREDENTIALS_URI))
            }
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "environment",
            Self::Oidc => "OIDC",
            Self::Profile => "CLI profile",
            Self::CredentialsFile => "credentials file",
            Self::EcsRole => "ECS role",
            Self::Uri => "credentials URI",
        })
    }
}

fn refuse_if_on(environment: &Environment, switch: &'static str) -> Result<(), CredentialsError> {
    if environment.is_on(switch) {
        return Err(CredentialsError::SwitchedOff(switch));
    }
    Ok(())
}

fn access_key(environment: &Environment) -> Result<Recipe, CredentialsError> {
    let [id, access_key_secret] =
        environment.all([variable::ACCESS_KEY_ID, variable::ACCESS_KEY_SECRET])?;
    Ok(Recipe::access_key(Credentials {
        access_key_id: id.expose().to_owned(),
        access_key_secret,
        security_token: environment.secret(variable::SECURITY_TOKEN),
    }))
}

fn oidc(around: &Surroundings) -> Result<Recipe, CredentialsError> {
    let environment = &around.environment;
    let [role, provider, token_file] = environment.all([
        variable::ROLE_ARN,
        variable::OIDC_PROVIDER_ARN,
        variable::OIDC_TOKEN_FILE,
    ])?;
    let arn: Option<RoleArn> = role.expose().parse().ok();
    let role = Role::new(arn.ok_or(CredentialsError::NotARole(variable::ROLE_ARN))?);
    Ok(Recipe::Oidc(OidcRole {
        role: role.in_session(environment.text(variable::ROLE_SESSION_NAME)),
        provider_arn: provider.expose().to_owned(),
        token: SecretSource::File(PathBuf::from(token_file.expose())),
        sts: around.sts()?,
    }))
}
