//! Secrets and where they come from.
//!
//! A [`Secret`] cannot be printed and is wiped from memory when dropped. A [`SecretSource`] is a
//! place: the configuration holds only places, never secrets.
#![expect(
    clippy::disallowed_methods,
    reason = "secrets may come from the environment"
)]

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::{ExposeSecret as _, SecretString};

/// A text that must not be seen. `Debug` shows that there is one; there is no `Display`.
#[derive(Clone)]
pub struct Secret(SecretString);

/// Where a secret lies: `PATH`, `credential:NAME` or `env:NAME`. Read anew at every use, so that a
/// changed file takes effect without a restart.
///
/// A place is shown in messages. A text that may be the secret itself, written where its place
/// belongs, is therefore no place: paths are absolute, and none ends as base64 does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, by its absolute path.
    File(PathBuf),
    /// A systemd credential (`LoadCredential=`), found below `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// An environment variable.
    Environment(String),
}

/// Why a secret could not be had. Never says what was read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("could not read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A systemd credential was asked for outside of a service that has credentials.
    #[error("credential {0:?} is not there: $CREDENTIALS_DIRECTORY is not set")]
    NoCredentials(String),
    /// The environment variable is not set or no text.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// Found, but empty.
    #[error("{0} is empty")]
    Empty(SecretSource),
    /// Not a place.
    #[error("expected an absolute path, \"credential:NAME\" or \"env:NAME\"")]
    NotASource,
}

// === impl Secret ===

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// Shows the text to code that must send or use it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(
            self.expose().as_bytes(),
            other.expose().as_bytes(),
        )
        .is_ok()
    }
}

impl Eq for Secret {}

// === impl SecretSource ===

impl SecretSource {
    /// Reads the secret; white space around it is dropped (files end in a newline).
    pub fn read(&self) -> Result<Secret, SecretError> {
        let text = match self {
            Self::File(path) => read_file(path)?,
            Self::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| SecretError::NoCredentials(name.clone()))?;
                read_file(&PathBuf::from(folder).join(name))?
            }
            Self::Environment(name) => {
                std::env::var(name).map_err(|_| SecretError::Unset(name.clone()))?
            }
        };
        let text = zeroize::Zeroizing::new(text);
        if text.trim().is_empty() {
            return Err(SecretError::Empty(self.clone()));
        }
        Ok(Secret::new(text.trim()))
    }
}

impl FromStr for SecretSource {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |name: &str| !name.is_empty() && !name.contains(['/', '\0']);
        if let Some(name) = text.strip_prefix("credential:") {
            return if named(name) {
                Ok(Self::Credential(name.to_owned()))
            } else {
                Err(SecretError::NotASource)
            };
        }
        if let Some(name) = text.strip_prefix("env:") {
            return if named(name) {
                Ok(Self::Environment(name.to_owned()))
            } else {
                Err(SecretError::NotASource)
            };
        }
        // One key in 64 has a "/" in front when it is written in base64; a padded one shows its end.
        if text.starts_with('/') && !text.ends_with('=') {
            Ok(Self::File(text.into()))
        } else {
            Err(SecretError::NotASource)
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::Environment(name) => write!(f, "env:{name}"),
        }
    }
}

/// The value of an environment variable that may name credentials; empty counts as not set.
pub fn environment(name: &str) -> Option<Secret> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .map(Secret::new)
}

fn read_file(path: &Path) -> Result<String, SecretError> {
    std::fs::read_to_string(path).map_err(|source| SecretError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(secret, Secret::new("hunter2"));
        assert_ne!(secret, Secret::new("hunter3"));
    }

    #[test]
    fn places_are_read_as_the_configuration_writes_them() {
        let parse = |text: &str| text.parse::<SecretSource>().ok();
        assert_eq!(
            parse("/etc/key"),
            Some(SecretSource::File("/etc/key".into()))
        );
        assert_eq!(
            parse("credential:seal"),
            Some(SecretSource::Credential("seal".into()))
        );
        assert_eq!(
            parse("env:SEAL"),
            Some(SecretSource::Environment("SEAL".into()))
        );
        for bad in ["", "credential:", "env:", "credential:../x"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_secret_in_place_of_its_place_is_not_taken_for_a_path() {
        for secret in [
            "hunter2",
            "Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm8=",
            "Zm9v/mFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm8=",
            "/m9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm8=",
        ] {
            let error = secret.parse::<SecretSource>().unwrap_err();
            assert!(matches!(error, SecretError::NotASource), "{secret}");
            assert!(!error.to_string().contains(secret), "{secret}");
        }
    }

    #[test]
    fn a_file_is_read_without_its_newline_and_an_empty_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "  s3cret\n").unwrap();
        let source = SecretSource::File(path.clone());
        assert_eq!(source.read().unwrap().expose(), "s3cret");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(source.read(), Err(SecretError::Empty(_))));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(source.read(), Err(SecretError::Unreadable { .. })));
    }
}
