//! How credentials are had: everything that can be told without asking anybody.
//!
//! A recipe is made anew for every call, so that a file that changed takes effect without a restart;
//! what was fetched by one is kept as long as it stays the same.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use url::Url;

use super::Credentials;
use super::environment::{self as variable, Environment};
use super::error::CredentialsError;
use crate::aliyun::client::central_sts;
use crate::secret::{Secret, SecretSource};

/// What a session is called that nobody has named.
const SESSION_NAME: &str = "vodcertd";

/// How long the credentials of a role last, unless something else is written: what every role allows.
const DEFAULT_DURATION: Duration = Duration::from_hours(1);

/// How credentials are had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Recipe {
    /// They are at hand.
    AtHand {
        credentials: Credentials,
        /// Whose limit they use up.
        account: String,
    },
    /// By signing a request with those of another recipe (`AssumeRole`).
    AssumeRole(Box<AssumedRole>),
    /// By an OIDC token (`AssumeRoleWithOIDC`).
    Oidc(OidcRole),
    /// From the metadata service of the machine.
    EcsRole {
        /// The role; nothing for the one that the machine has.
        name: Option<String>,
        /// Whether to ask without a token if none is given (`IMDSv1`).
        without_token: bool,
    },
    /// From whoever answers at a URL, which may hold a secret.
    Uri(Secret),
}

/// A role that is taken on by a signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AssumedRole {
    pub(super) role: Role,
    /// What the owner of the role asks for.
    pub(super) external_id: Option<String>,
    pub(super) sts: Url,
    /// Who takes it on.
    pub(super) signer: Recipe,
}

/// A role that an OIDC token gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OidcRole {
    pub(super) role: Role,
    pub(super) provider_arn: String,
    /// Read at every request: it is replaced from time to time.
    pub(super) token: SecretSource,
    pub(super) sts: Url,
}

/// A role and what a session with it is to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) arn: RoleArn,
    pub(super) session_name: String,
    pub(super) duration: Duration,
    /// Restricts the session further.
    pub(super) policy: Option<String>,
}

/// The name of a RAM role, `acs:ram::ACCOUNT:role/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleArn(String);

/// A text that is not the name of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected \"acs:ram::ACCOUNT:role/NAME\"")]
pub struct RoleArnError;

/// What recipes are made from besides the configuration.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) environment: Environment,
    /// Where the configuration says that the Security Token Service is.
    pub(super) sts: Option<Url>,
}

/// The word for an account, by its number.
pub(super) fn account(uid: &str) -> String {
    format!("account {uid}")
}

// === impl Recipe ===

impl Recipe {
    /// An access key that is at hand, and with it all that is known of its account.
    pub(super) fn access_key(credentials: Credentials) -> Self {
        Self::AtHand {
            account: format!("access key {}", credentials.access_key_id),
            credentials,
        }
    }

    /// Whoever answers at this URL.
    pub(super) fn uri(uri: Secret) -> Option<Self> {
        let url: Url = uri.expose().parse().ok()?;
        ["http", "https"]
            .contains(&url.scheme())
            .then_some(Self::Uri(uri))
    }

    /// Whose limit the credentials use up: the account, where its number is told, else what stays the
    /// same when temporary credentials are replaced.
    pub(super) fn account(&self) -> String {
        match self {
            Self::AtHand { account, .. } => account.clone(),
            Self::AssumeRole(assumed) => account(assumed.role.arn.account()),
            Self::Oidc(oidc) => account(oidc.role.arn.account()),
            // The account that the machine belongs to.
            Self::EcsRole { .. } => "machine".to_owned(),
            Self::Uri(_) => "credentials URI".to_owned(),
        }
    }

    /// Adds all that it hangs on to a digest, and nothing that changes while it stays the same: not the
    /// tokens of an OIDC provider, for example.
    pub(super) fn digest(&self, hash: &mut Sha256) {
        match self {
            Self::AtHand { credentials, .. } => {
                hash.update(&credentials.access_key_id);
                hash.update(" ");
                hash.update(credentials.access_key_secret.expose());
            }
            Self::AssumeRole(assumed) => {
                let AssumedRole {
                    role,
                    external_id,
                    sts,
                    signer,
                } = &**assumed;
                hash.update(format!("{role:?} {external_id:?} {sts} "));
                signer.digest(hash);
            }
            Self::Oidc(oidc) => hash.update(format!("{oidc:?}")),
            Self::EcsRole { .. } => hash.update(format!("{self:?}")),
            Self::Uri(uri) => hash.update(uri.expose()),
        }
    }
}

// === impl Role ===

impl Role {
    /// A role with a session as every role allows it.
    pub(super) fn new(arn: RoleArn) -> Self {
        Self {
            arn,
            session_name: SESSION_NAME.to_owned(),
            duration: DEFAULT_DURATION,
            policy: None,
        }
    }

    /// The same with a name for the session, if there is one.
    pub(super) fn in_session(mut self, name: Option<&str>) -> Self {
        if let Some(name) = name {
            name.clone_into(&mut self.session_name);
        }
        self
    }
}

// === impl RoleArn ===

impl RoleArn {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number of the account that the role belongs to.
    pub fn account(&self) -> &str {
        split(&self.0).map_or("", |(account, _)| account)
    }
}

impl FromStr for RoleArn {
    type Err = RoleArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (account, name) = split(text).ok_or(RoleArnError)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // What a role may be called (RAM, "CreateRole").
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_';
        if digits(account) && !name.is_empty() && name.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RoleArnError)
        }
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The account and the name of a role.
fn split(arn: &str) -> Option<(&str, &str)> {
    arn.strip_prefix("acs:ram::")?.split_once(":role/")
}

// === impl Surroundings ===

impl Surroundings {
    /// The Security Token Service that the configuration names, else that of the environment's region.
    pub(super) fn sts(&self) -> Result<Url, CredentialsError> {
        let region = self.environment.text(variable::STS_REGION);
        let vpc = self.environment.is_on(variable::VPC_ENDPOINT_ENABLED);
        self.sts_of(region, vpc)
            .ok_or(CredentialsError::NotARegion(variable::STS_REGION))
    }

    /// The Security Token Service that the configuration names, else that of this region, which can
    /// also be reached from inside a VPC; nothing if that is no region.
    pub(super) fn sts_of(&self, region: Option<&str>, vpc: bool) -> Option<Url> {
        if let Some(sts) = &self.sts {
            return Some(sts.clone());
        }
        let Some(region) = region else {
            return Some(central_sts());
        };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !region.bytes().all(plain) {
            return None;
        }
        let service = if vpc { "sts-vpc" } else { "sts" };
        format!("https://{service}.{region}.aliyuncs.com")
            .parse()
            .ok()
    }

    /// A role of the machine; the one that it has, if none is named.
    pub(super) fn role_of_the_machine(&self, name: Option<&str>) -> Recipe {
        Recipe::EcsRole {
            name: name.map(str::to_owned),
            without_token: !self.environment.is_on(variable::IMDSV1_DISABLED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_names_its_account() {
        let arn: RoleArn = "acs:ram::1234567890123456:role/vod-cert.d_1"
            .parse()
            .unwrap();
        assert_eq!(arn.account(), "1234567890123456");
        for wrong in [
            "",
            "vodcertd",
            "acs:ram::123:user/vodcertd",
            "acs:ram::12x:role/vodcertd",
            "acs:ram:::role/vodcertd",
            "acs:ram::123:role/",
            "acs:ram::123:role/a/b",
        ] {
            assert_eq!(wrong.parse::<RoleArn>(), Err(RoleArnError), "{wrong}");
        }
    }

    #[test]
    fn the_token_service_is_where_the_configuration_says_else_in_the_region_of_the_environment() {
        let vpc = (variable::VPC_ENDPOINT_ENABLED, "true");
        let region = (variable::STS_REGION, "cn-shanghai");
        let around = |variables: &[(&str, &str)], sts: Option<&str>| Surroundings {
            environment: Environment::of(variables.iter().copied()),
            sts: sts.map(|url| url.parse().unwrap()),
        };
        for (variables, configured, expected) in [
            (&[][..], None, "https://sts.aliyuncs.com/"),
            (&[vpc], None, "https://sts.aliyuncs.com/"),
            (&[region], None, "https://sts.cn-shanghai.aliyuncs.com/"),
            (
                &[region, vpc],
                None,
                "https://sts-vpc.cn-shanghai.aliyuncs.com/",
            ),
            (
                &[region, vpc],
                Some("https://sts.test"),
                "https://sts.test/",
            ),
        ] {
            let url = around(variables, configured).sts().unwrap();
            assert_eq!(url.as_str(), expected, "{variables:?} {configured:?}");
        }
        let odd = around(&[(variable::STS_REGION, "evil.test/")], None);
        assert!(matches!(odd.sts(), Err(CredentialsError::NotARegion(_))));
    }
}
