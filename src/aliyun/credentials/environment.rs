//! The environment variables of the official SDKs, read once and passed on as a value.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::CredentialsError;
use crate::secret::{self, Secret};

/// Declares the variables with the constants that name them.
macro_rules! variables {
    ($($(#[$what:meta])* $constant:ident $name:literal;)+) => {
        $($(#[$what])* pub(super) const $constant: &str = $name;)+

        /// All variables that are read.
        const VARIABLES: &[&str] = &[$($constant),+];
    };
}

variables! {
    /// Names an access key.
    ACCESS_KEY_ID "ALIBABA_CLOUD_ACCESS_KEY_ID";
    /// Its secret.
    ACCESS_KEY_SECRET "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
    /// The token that a temporary access key needs.
    SECURITY_TOKEN "ALIBABA_CLOUD_SECURITY_TOKEN";
    /// The role that an OIDC token gives.
    ROLE_ARN "ALIBABA_CLOUD_ROLE_ARN";
    /// Who issued the OIDC token.
    OIDC_PROVIDER_ARN "ALIBABA_CLOUD_OIDC_PROVIDER_ARN";
    /// Where the OIDC token lies.
    OIDC_TOKEN_FILE "ALIBABA_CLOUD_OIDC_TOKEN_FILE";
    /// What a session with a role is called.
    ROLE_SESSION_NAME "ALIBABA_CLOUD_ROLE_SESSION_NAME";
    /// The region whose Security Token Service is asked.
    STS_REGION "ALIBABA_CLOUD_STS_REGION";
    /// Whether it is asked from inside a VPC.
    VPC_ENDPOINT_ENABLED "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED";
    /// Which profile of a file is used.
    PROFILE "ALIBABA_CLOUD_PROFILE";
    /// Where the command line tool has its profiles.
    CONFIG_FILE "ALIBABA_CLOUD_CONFIG_FILE";
    /// Whether they are left alone.
    CLI_PROFILE_DISABLED "ALIBABA_CLOUD_CLI_PROFILE_DISABLED";
    /// Where the credentials file lies.
    CREDENTIALS_FILE "ALIBABA_CLOUD_CREDENTIALS_FILE";
    /// The role of the machine.
    ECS_METADATA "ALIBABA_CLOUD_ECS_METADATA";
    /// Whether the machine is not asked.
    ECS_METADATA_DISABLED "ALIBABA_CLOUD_ECS_METADATA_DISABLED";
    /// Whether the machine is asked with a token only.
    IMDSV1_DISABLED "ALIBABA_CLOUD_IMDSV1_DISABLED";
    /// Who gives credentials to those that ask.
    CREDENTIALS_URI "ALIBABA_CLOUD_CREDENTIALS_URI";
    /// The user's folder, where files of credentials are looked for.
    HOME "HOME";
}

/// What the environment says of credentials. `Debug` shows names only.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<&'static str, Secret>);

impl Environment {
    /// That of this process. Variables that are empty count as not set.
    pub fn of_process() -> Self {
        let set = VARIABLES.iter().filter_map(|name| {
            let value = secret::environment(name)?;
            Some((*name, value))
        });
        Self(set.collect())
    }

    /// One with these variables; what nobody reads is left out.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let given: BTreeMap<&str, &str> = variables.into_iter().collect();
        let set = VARIABLES.iter().filter_map(|name| {
            let value = given.get(name).filter(|value| !value.is_empty())?;
            Some((*name, Secret::new(*value)))
        });
        Self(set.collect())
    }

    /// A variable that holds no secret.
    pub(super) fn text(&self, name: &'static str) -> Option<&str> {
        self.0.get(name).map(Secret::expose)
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &'static str) -> bool {
        self.text(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A file in the user's folder.
    pub(super) fn in_home(&self, path: &str) -> Result<PathBuf, CredentialsError> {
        let home = self.text(HOME).ok_or(CredentialsError::NoHome)?;
        Ok(PathBuf::from(home).join(path))
    }

    /// All of these variables, or the names of those that are not set.
    pub(super) fn all<const N: usize>(
        &self,
        names: [&'static str; N],
    ) -> Result<[Secret; N], CredentialsError> {
        let missing: Vec<&str> = names
            .into_iter()
            .filter(|name| !self.0.contains_key(name))
            .collect();
        let found: Vec<Secret> = names
            .iter()
            .filter_map(|name| self.0.get(name).cloned())
            .collect();
        found
            .try_into()
            .map_err(|_| CredentialsError::NotInEnvironment(missing))
    }

    /// A variable that may be secret.
    pub(super) fn secret(&self, name: &'static str) -> Option<Secret> {
        self.0.get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_read_is_kept_and_nothing_of_it_is_shown() {
        let environment = Environment::of([
            (ACCESS_KEY_ID, "LTAIid"),
            (ACCESS_KEY_SECRET, "s3cret"),
            (PROFILE, ""),
            ("PATH", "/bin"),
        ]);
        assert_eq!(environment.0.len(), 2);
        assert_eq!(environment.text(PROFILE), None);
        let shown = format!("{environment:?}");
        assert!(
            shown.contains(ACCESS_KEY_SECRET) && !shown.contains("s3cret"),
            "{shown}"
        );
    }

    #[test]
    fn a_switch_is_on_when_it_says_true() {
        for (value, on) in [("true", true), ("TRUE", true), ("1", false), ("", false)] {
            let environment = Environment::of([(IMDSV1_DISABLED, value)]);
            assert_eq!(environment.is_on(IMDSV1_DISABLED), on, "{value:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let environment = Environment::of([(ACCESS_KEY_ID, "id")]);
        let error = environment
            .all([ACCESS_KEY_ID, ACCESS_KEY_SECRET])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "not set in the environment: ALIBABA_CLOUD_ACCESS_KEY_SECRET"
        );
    }
}
