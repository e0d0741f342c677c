//! Access keys: where they come from, and how temporary ones are kept fresh.
//!
//! ```text
//! source (configuration) ─► recipe (pure; files and environment) ─► fetched (STS, machine, URI) ─► held
//!             chain: the first link whose recipe works, and that one from then on
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`environment`] | the variables of the official SDKs, as a value |
//! | [`chain`] | the official default chain: its links in their order |
//! | `profile` `ini` | the files of the official tools (`fields`: one profile of either) |
//! | `recipe` | how credentials are had, as far as that can be told without asking anybody |
//! | `sts` `given` | asking: the Security Token Service; the metadata service or a URL |
//! | `provider` | what is held, and when it is fetched anew |
//! | [`error`] | why there are none |
//!
//! Permanent keys are read anew for every call, so that a changed file takes effect without a restart.
//! Temporary ones are kept until they are nearly over, were refused, or something that they were
//! fetched by has changed.

use std::time::Duration;

use crate::secret::{Secret, SecretSource};

pub mod chain;
pub mod environment;
pub mod error;
mod fields;
mod given;
mod ini;
mod profile;
mod provider;
mod recipe;
mod sts;

pub use environment::Environment;
pub use error::CredentialsError;
pub(super) use provider::{Held, Provider};
pub use recipe::{RoleArn, RoleArnError};

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
    /// The default chain of the official SDKs.
    Chain,
    /// A role of the machine, by its name.
    EcsRole(String),
    /// A role that is taken on.
    AssumeRole(Box<AssumeRole>),
}

/// A role that is taken on with credentials from another source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumeRole {
    /// The role.
    pub role: RoleArn,
    /// What the owner of the role asks for.
    pub external_id: Option<String>,
    /// Who takes it on.
    pub source: CredentialSource,
}

/// Credentials that have just arrived.
#[derive(Clone, Debug)]
struct Fetched {
    credentials: Credentials,
    /// How long they last from now; nothing if that is not told.
    lasts: Option<Duration>,
}

impl Credentials {
    /// What must not be seen.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.access_key_secret).chain(&self.security_token)
    }
}

#[cfg(test)]
mod tests;
