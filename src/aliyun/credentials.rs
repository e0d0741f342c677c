//! Access keys and where they come from.
//!
//! Credentials are read anew for every call, so that a changed file takes effect without a restart;
//! nothing is kept here.

use crate::secret::{Secret, SecretError, SecretSource, environment};

/// The environment variables of the official SDKs for an access key, and for the token that a
/// temporary one needs.
const ACCESS_KEY_ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const ACCESS_KEY_SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
const SECURITY_TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";

/// What a request is signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Names the access key; sent with every request.
    pub access_key_id: String,
    /// Signs; never sent.
    pub access_key_secret: Secret,
    /// Goes with temporary credentials (STS); sent with every request.
    pub security_token: Option<Secret>,
}

impl Credentials {
    /// What must not be seen.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.access_key_secret).chain(&self.security_token)
    }
}

/// Where credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// An access key named in the configuration.
    Static {
        /// Names the access key.
        access_key_id: String,
        /// Where its secret lies.
        access_key_secret: SecretSource,
    },
    /// `ALIBABA_CLOUD_ACCESS_KEY_ID`, `ALIBABA_CLOUD_ACCESS_KEY_SECRET` and, for temporary
    /// credentials, `ALIBABA_CLOUD_SECURITY_TOKEN`.
    Environment,
}

/// Why there are no credentials. Never says what was read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Environment variables that are needed are not set, or empty.
    #[error("not set in the environment: {}", .0.join(", "))]
    NotInEnvironment(Vec<&'static str>),
    /// The configuration names an access key, but its secret cannot be had.
    #[error("could not read the secret of access key {access_key_id:?}")]
    Secret {
        /// Names the access key.
        access_key_id: String,
        /// Why.
        #[source]
        source: SecretError,
    },
}

impl CredentialSource {
    /// Reads the credentials as they are now.
    pub fn read(&self) -> Result<Credentials, CredentialsError> {
        match self {
            Self::Static {
                access_key_id,
                access_key_secret,
            } => from_configuration(access_key_id, access_key_secret),
            Self::Environment => from_environment(environment),
        }
    }
}

fn from_configuration(
    access_key_id: &str,
    access_key_secret: &SecretSource,
) -> Result<Credentials, CredentialsError> {
    let access_key_id = access_key_id.to_owned();
    match access_key_secret.read() {
        Ok(access_key_secret) => Ok(Credentials {
            access_key_id,
            access_key_secret,
            security_token: None,
        }),
        Err(source) => Err(CredentialsError::Secret {
            access_key_id,
            source,
        }),
    }
}

fn from_environment(
    variable: impl Fn(&str) -> Option<Secret>,
) -> Result<Credentials, CredentialsError> {
    match (variable(ACCESS_KEY_ID), variable(ACCESS_KEY_SECRET)) {
        (Some(id), Some(access_key_secret)) => Ok(Credentials {
            access_key_id: id.expose().to_owned(),
            access_key_secret,
            security_token: variable(SECURITY_TOKEN),
        }),
        (id, secret) => Err(CredentialsError::NotInEnvironment(
            [(ACCESS_KEY_ID, id), (ACCESS_KEY_SECRET, secret)]
                .into_iter()
                .filter(|(_, value)| value.is_none())
                .map(|(name, _)| name)
                .collect(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment_of(set: &[(&str, &str)]) -> Result<Credentials, CredentialsError> {
        from_environment(|asked| {
            set.iter()
                .find(|(name, _)| *name == asked)
                .map(|(_, value)| Secret::new(*value))
        })
    }

    #[test]
    fn the_environment_gives_a_key_with_or_without_a_token() {
        let key = [(ACCESS_KEY_ID, "id"), (ACCESS_KEY_SECRET, "s3cret")];
        let mut expected = Credentials {
            access_key_id: "id".into(),
            access_key_secret: Secret::new("s3cret"),
            security_token: None,
        };
        assert_eq!(environment_of(&key).unwrap(), expected);

        let temporary = [key[0], key[1], (SECURITY_TOKEN, "t0ken")];
        expected.security_token = Some(Secret::new("t0ken"));
        assert_eq!(environment_of(&temporary).unwrap(), expected);
    }

    #[test]
    fn what_is_missing_in_the_environment_is_named() {
        let missing = |set| match environment_of(set) {
            Err(CredentialsError::NotInEnvironment(missing)) => missing,
            other => panic!("not found missing: {other:?}"),
        };
        assert_eq!(missing(&[]), [ACCESS_KEY_ID, ACCESS_KEY_SECRET]);
        assert_eq!(missing(&[(ACCESS_KEY_ID, "id")]), [ACCESS_KEY_SECRET]);
        assert_eq!(missing(&[(ACCESS_KEY_SECRET, "s3cret")]), [ACCESS_KEY_ID]);
        assert_eq!(
            environment_of(&[]).unwrap_err().to_string(),
            "not set in the environment: ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET"
        );
    }

    #[test]
    fn a_changed_file_takes_effect_at_the_next_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let source = CredentialSource::Static {
            access_key_id: "id".into(),
            access_key_secret: SecretSource::File(path.clone()),
        };
        let error = source.read().unwrap_err();
        assert!(error.to_string().contains("\"id\""), "{error}");

        for text in ["one", "two"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(source.read().unwrap().access_key_secret, Secret::new(text));
        }
    }

    #[test]
    fn credentials_are_not_printed() {
        let credentials = Credentials {
            access_key_id: "id".into(),
            access_key_secret: Secret::new("s3cret"),
            security_token: Some(Secret::new("t0ken")),
        };
        let shown = format!("{credentials:?}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("t0ken"),
            "{shown}"
        );
    }
}
