//! Why there are no credentials. Nothing here says what was read.

use std::io;
use std::path::PathBuf;

use http::StatusCode;

use super::chain::Link;
use crate::aliyun::error::ApiError;
use crate::net::NetworkError;
use crate::retry::{self, Class};
use crate::secret::SecretError;
use crate::time::Timestamp;

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Environment variables that are needed are not set, or empty.
    #[error("not set in the environment: {}", .0.join(", "))]
    NotInEnvironment(Vec<&'static str>),
    /// A variable of the environment switches it off.
    #[error("switched off by {0}")]
    SwitchedOff(&'static str),
    /// A file would be looked for in the user's folder, and it is not known which that is.
    #[error("HOME is not set in the environment")]
    NoHome,
    /// The configuration names an access key, but its secret cannot be had.
    #[error("could not read the secret of access key {access_key_id:?}")]
    Secret {
        /// Names the access key.
        access_key_id: String,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// The token of an OIDC provider cannot be had.
    #[error("could not read the OIDC token")]
    OidcToken(#[source] SecretError),
    /// A file holds no credentials that can be used.
    #[error("could not use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: FileError,
    },
    /// What is set is not the name of a role.
    #[error("{0} is no role: expected \"acs:ram::ACCOUNT:role/NAME\"")]
    NotARole(&'static str),
    /// What is set is not the name of a region.
    #[error("{0} is no region")]
    NotARegion(&'static str),
    /// What is set is not a URL.
    #[error("{0} is no URL")]
    NotAUrl(&'static str),
    /// The Security Token Service gave none.
    #[error(transparent)]
    Sts(Box<ApiError>),
    /// The Security Token Service answered, but without credentials.
    #[error("the Security Token Service answered without credentials")]
    StsUnreadable,
    /// Somebody who gives credentials to those that ask gave none.
    #[error("{giver} gave none")]
    Given {
        /// Who was asked.
        giver: Giver,
        /// Why.
        #[source]
        source: GivenError,
    },
    /// Temporary credentials arrived whose time was over.
    #[error("the credentials that were given had expired already")]
    Expired,
    /// No link of the chain has any; what each of them said.
    #[error("{}", said(.0))]
    Chain(Vec<(Link, CredentialsError)>),
}

/// Who gives credentials to those that ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Giver {
    /// The metadata service of the machine.
    Metadata,
    /// Whoever answers at the credentials URI.
    Uri,
}

/// Why a file holds no credentials that can be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(io::Error),
    /// It is not in the form that it should have.
    #[error("it is no {0}")]
    Form(&'static str),
    /// The profile is not in it.
    #[error("it has no profile {0:?}")]
    NoProfile(String),
    /// A profile leaves out what its kind needs.
    #[error("its profile {profile:?} has no {field}")]
    Missing {
        /// The profile.
        profile: String,
        /// What is not there.
        field: &'static str,
    },
    /// A profile is of a kind that is not followed.
    #[error("its profile {profile:?} is of the kind {kind:?}, which {why}")]
    Kind {
        /// The profile.
        profile: String,
        /// How the file calls the kind.
        kind: String,
        /// Why it is not followed.
        why: &'static str,
    },
    /// A profile takes its credentials, by way of others, from itself.
    #[error("its profiles lead in a circle")]
    Circle,
    /// What is written in it is not what it should be.
    #[error("in its profile {profile:?}: {problem}")]
    Wrong {
        /// The profile.
        profile: String,
        /// What is wrong.
        problem: Box<CredentialsError>,
    },
}

/// Why somebody who was asked gave no credentials.
#[derive(Debug, thiserror::Error)]
pub enum GivenError {
    /// There is no answer.
    #[error(transparent)]
    Network(NetworkError),
    /// The answer is not a success.
    #[error("answered HTTP {}", .0.as_u16())]
    Status(StatusCode),
    /// There are no credentials in the answer.
    #[error("answered without credentials")]
    Unreadable,
}

impl CredentialsError {
    /// What it asks of us first: [`Class::Backoff`] for what passes by itself, [`Class::Refresh`] for a
    /// place that may be whole a moment later, [`Class::Operator`] for a refusal.
    pub(in crate::aliyun) fn class(&self) -> Class {
        match self {
            // A file that is being replaced is whole a moment later.
            Self::NotInEnvironment(_)
            | Self::SwitchedOff(_)
            | Self::NoHome
            | Self::Secret { .. }
            | Self::OidcToken(_)
            | Self::File { .. } => Class::Refresh,
            Self::NotARole(_) | Self::NotARegion(_) | Self::NotAUrl(_) => Class::Operator,
            Self::StsUnreadable | Self::Expired => Class::Backoff,
            Self::Sts(error) => error.class_for_credentials(),
            Self::Given { source, .. } => source.class(),
            Self::Chain(said) => {
                // What passes by itself is worth waiting for, whatever the others say.
                let classes = || said.iter().map(|(_, error)| error.class());
                let first = |wanted| classes().find(|class| *class == wanted);
                first(Class::Backoff)
                    .or_else(|| first(Class::Refresh))
                    .unwrap_or(Class::Operator)
            }
        }
    }

    /// The time that the other side named, if it did: of several the first one.
    pub(in crate::aliyun) fn named_time(&self) -> Option<Timestamp> {
        match self {
            Self::Sts(error) => error.named_time(),
            Self::Chain(said) => {
                let times = said.iter().filter_map(|(_, error)| error.named_time());
                times.min()
            }
            Self::NotInEnvironment(_)
            | Self::SwitchedOff(_)
            | Self::NoHome
            | Self::Secret { .. }
            | Self::OidcToken(_)
            | Self::File { .. }
            | Self::NotARole(_)
            | Self::NotARegion(_)
            | Self::NotAUrl(_)
            | Self::StsUnreadable
            | Self::Given { .. }
            | Self::Expired => None,
        }
    }
}

impl GivenError {
    fn class(&self) -> Class {
        match self {
            Self::Network(NetworkError::Setup(_)) => Class::Operator,
            Self::Network(_) | Self::Unreadable => Class::Backoff,
            Self::Status(status) => {
                let passes = status.is_server_error()
                    || [
                        StatusCode::TOO_MANY_REQUESTS,
                        StatusCode::REQUEST_TIMEOUT,
                        // What a machine says that has just been given another role.
                        StatusCode::UNAUTHORIZED,
                    ]
                    .contains(status);
                if passes {
                    Class::Backoff
                } else {
                    Class::Operator
                }
            }
        }
    }
}

impl std::fmt::Display for Giver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Metadata => "the metadata service of the machine",
            Self::Uri => "the credentials URI",
        })
    }
}

/// What each link said, in their order.
fn said(links: &[(Link, CredentialsError)]) -> String {
    let said = links
        .iter()
        .map(|(link, error)| format!("{link}: {}", retry::with_causes(error)));
    said.collect::<Vec<_>>().join("; ")
}
