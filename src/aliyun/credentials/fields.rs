//! One profile of a file of credentials: fields by name, whatever the form of the file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use url::Url;
use zeroize::Zeroizing;

use super::Credentials;
use super::error::{CredentialsError, FileError};
use super::recipe::{Role, Surroundings};
use crate::secret::Secret;

/// The fields of one profile. `Debug` shows the names only.
pub(super) struct Fields {
    /// What the profile is called.
    pub(super) profile: String,
    values: BTreeMap<String, Secret>,
}

/// What the fields of a role are called.
pub(super) struct RoleFields {
    pub(super) arn: &'static str,
    /// The first one that is there counts.
    pub(super) session_name: &'static [&'static str],
    pub(super) duration: &'static str,
}

/// Reads a file as text that is wiped when dropped.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, FileError> {
    std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(FileError::Unreadable)
}

impl Fields {
    pub(super) fn new(profile: &str, values: impl IntoIterator<Item = (String, Secret)>) -> Self {
        Self {
            profile: profile.to_owned(),
            values: values.into_iter().collect(),
        }
    }

    /// A field, if it is there and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let value = self.values.get(name).map(Secret::expose);
        value.filter(|value| !value.is_empty())
    }

    /// A field without which the profile is none.
    pub(super) fn need(&self, field: &'static str) -> Result<&str, FileError> {
        self.text(field).ok_or_else(|| FileError::Missing {
            profile: self.profile.clone(),
            field,
        })
    }

    /// The access key, with a token where it needs one.
    pub(super) fn access_key(&self, token: Option<&str>) -> Result<Credentials, FileError> {
        Ok(Credentials {
            access_key_id: self.need("access_key_id")?.to_owned(),
            access_key_secret: Secret::new(self.need("access_key_secret")?),
            security_token: token.map(Secret::new),
        })
    }

    /// The role that the profile names.
    pub(super) fn role(&self, fields: &RoleFields) -> Result<Role, FileError> {
        let arn = self.need(fields.arn)?.parse();
        let arn = arn.map_err(|_| self.wrong(CredentialsError::NotARole(fields.arn)))?;
        let mut names = fields.session_name.iter();
        let mut role = Role::new(arn).in_session(names.find_map(|name| self.text(name)));
        let duration = self
            .text(fields.duration)
            .and_then(|text| text.parse().ok());
        // Nothing is what the official tools write for their default.
        if let Some(seconds) = duration.filter(|seconds| *seconds > 0) {
            role.duration = Duration::from_secs(seconds);
        }
        role.policy = self.text("policy").map(str::to_owned);
        Ok(role)
    }

    /// The Security Token Service that the profile names, else that of the environment.
    pub(super) fn sts(&self, around: &Surroundings) -> Result<Url, FileError> {
        let Some(region) = self.text("sts_region") else {
            return around.sts().map_err(|error| self.wrong(error));
        };
        let vpc = self.text("enable_vpc") == Some("true");
        around
            .sts_of(Some(region), vpc)
            .ok_or_else(|| self.wrong(CredentialsError::NotARegion("sts_region")))
    }

    /// The profile is of a kind that is not followed.
    pub(super) fn kind(&self, kind: &str, why: &'static str) -> FileError {
        FileError::Kind {
            profile: self.profile.clone(),
            kind: kind.to_owned(),
            why,
        }
    }

    /// What is written in a field is not what it should be.
    pub(super) fn wrong(&self, problem: CredentialsError) -> FileError {
        FileError::Wrong {
            profile: self.profile.clone(),
            problem: Box::new(problem),
        }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}
