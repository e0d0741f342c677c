//! Targets: places where a certificate is installed, and how it is proven to be served there.
//!
//! A target tries **once** and reports; when and what to install, and what a look means for it, is
//! the core's. [`Target::install`] pushes, [`Target::look`] sees for itself at the edge, and
//! [`Target::read_back`] asks what the service believes, which proves nothing but costs a call.

pub mod cert_name;
pub mod probe;
pub mod vod;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use self::cert_name::{CertName, InstallationId};
pub use self::probe::{Look, Sight};
pub use self::vod::Vod;
pub use crate::aliyun::vod::{CertId, CertRegion, Env, StoredCertificate};
use crate::aliyun::{ApiError, Code};
use crate::certificate::{Chain, Leaf};
use crate::dns::DnsError;
use crate::keys::{KeyError, PrivateKey};
use crate::retry::{Class, Failure, with_causes};
use crate::time::Timestamp;

/// One place where a certificate is installed.
#[derive(Debug)]
pub enum Target {
    /// A VOD acceleration domain.
    AliyunVod(Vod),
}

/// What to install.
#[derive(Clone, Copy, Debug)]
pub struct Installation<'a> {
    /// Which part of the edge.
    pub env: Env,
    /// Where the certificate comes from.
    pub source: Source<'a>,
}

/// Where an installed certificate comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Sent along. It is stored under its name.
    Upload(Upload<'a>),
    /// Stored already, by an upload of before.
    Stored(&'a StoredCertificate),
}

/// A certificate that is sent along.
#[derive(Clone, Copy)]
pub struct Upload<'a> {
    /// The name under which it is to be stored.
    pub cert_name: &'a CertName,
    /// The chain, the leaf first; a root at its end is left out.
    pub chain: &'a Chain,
    /// Its private key.
    pub key: &'a PrivateKey,
    /// How the key is written.
    pub encoding: Encoding,
}

/// How a private key is written for an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As the target is configured.
    Configured,
    /// In the oldest form, which everything reads: after a refusal of the configured one.
    Traditional,
}

/// Where a certificate is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredAt {
    /// Its id.
    pub cert_id: CertId,
    /// Its region.
    pub cert_region: CertRegion,
}

/// What the service believes to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBack {
    /// Whether HTTPS is on.
    pub https: Option<bool>,
    /// The name of the certificate.
    pub cert_name: Option<String>,
    /// The same, if it is one that this installation made.
    pub ours: Option<CertName>,
    /// Where it is stored.
    pub stored_at: Option<StoredAt>,
    /// What its leaf says, where the certificate itself is told.
    pub leaf: Option<Leaf>,
}

/// Why a certificate could not be installed, or the service not be asked.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The key cannot be written in the form wanted. Nothing was sent.
    #[error("could not write the private key")]
    Key(#[source] KeyError),
    /// A call of the service failed.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Why the edge could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The addresses of the edge are not known.
    #[error("could not find the addresses of the edge")]
    Addresses(#[source] DnsError),
    /// No address of the staging edge is configured.
    #[error("no address of the staging edge is configured")]
    NoStagingAddress,
}

impl Target {
    /// Pushes a certificate. One that the service accepts is seen at the edge some time later; where
    /// an upload is stored, it does not tell ([`find_stored`](Self::find_stored)).
    ///
    /// After an error that [may have happened](InstallError::may_have_happened) all the same, read
    /// back or look first.
    pub async fn install(&self, installation: &Installation<'_>) -> Result<(), InstallError> {
        match self {
            Self::AliyunVod(vod) => vod.install(installation).await,
        }
    }

    /// What an error of [`install`](Self::install) or [`store`](Self::store) asks of the core. `encoding` is what was sent: a
    /// PEM that is in the most conservative form already is not sent again as it is.
    pub fn install_failure(
        &self,
        error: &InstallError,
        encoding: Encoding,
        now: Timestamp,
    ) -> Failure {
        let mut failure = error.failure(now);
        let can_reformat = match self {
            Self::AliyunVod(vod) => vod.can_reformat(encoding),
        };
        failure
            .course
            .retain(|remedy| can_reformat || remedy.class != Class::Reformat);
        failure
    }

    /// Stores a certificate where [`install`](Self::install) can bind it from, and installs nothing.
    ///
    /// After an error that [may have happened](InstallError::may_have_happened) all the same, look it up
    /// by its name first.
    pub async fn store(&self, upload: Upload<'_>) -> Result<StoredCertificate, InstallError> {
        match self {
            Self::AliyunVod(vod) => vod.store(upload).await,
        }
    }

    /// Finds the stored certificate with this name; nothing if there is none, or if it is known to have
    /// another leaf than this chain.
    pub async fn find_stored(
        &self,
        name: &str,
        chain: &Chain,
    ) -> Result<Option<StoredCertificate>, InstallError> {
        match self {
            Self::AliyunVod(vod) => vod.find_stored(name, chain).await,
        }
    }

    /// Finds a stored certificate with the leaf of this chain, whatever its name; nothing if there is
    /// none.
    pub async fn find_same(
        &self,
        chain: &Chain,
    ) -> Result<Option<StoredCertificate>, InstallError> {
        match self {
            Self::AliyunVod(vod) => vod.find_same(chain).await,
        }
    }

    /// Asks what is to be published to prove who owns the domain.
    pub async fn owner_proof(&self) -> Result<String, InstallError> {
        match self {
            Self::AliyunVod(vod) => vod.owner_proof().await,
        }
    }

    /// Has it checked who owns the domain, by what is published; says whether that is proven.
    pub async fn check_owner(&self) -> Result<bool, InstallError> {
        match self {
            Self::AliyunVod(vod) => vod.check_owner().await,
        }
    }

    /// Asks what the service believes to serve. `installation` tells our certificates from others.
    pub async fn read_back(&self, installation: &InstallationId) -> Result<ReadBack, InstallError> {
        match self {
            Self::AliyunVod(vod) => vod.read_back(installation).await,
        }
    }

    /// Looks at the edge once: at the configured addresses; where none are, at every address of the
    /// name, resolved anew, and at those `known` from earlier looks at the same installation.
    pub async fn look(&self, env: Env, known: &BTreeSet<SocketAddr>) -> Result<Look, LookError> {
        match self {
            Self::AliyunVod(vod) => vod.look(env, known).await,
        }
    }
}

impl std::fmt::Debug for Upload<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("cert_name", self.cert_name)
            .field("chain", self.chain)
            .field("encoding", &self.encoding)
            .finish_non_exhaustive()
    }
}

// === impl InstallError ===

impl InstallError {
    /// Whether the certificate may have been installed although that was reported as failed.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Key(_) => false,
            Self::Api(error) => error.action.is_given_a_certificate() && error.may_have_happened(),
        }
    }

    /// Whether nobody was asked, because the action was refused for a while before the turn came.
    pub fn was_not_sent(&self) -> bool {
        match self {
            Self::Key(_) => false,
            Self::Api(error) => error.was_not_sent(),
        }
    }

    /// Whether the credentials may not make the call.
    pub fn lacks_permission(&self) -> bool {
        match self {
            Self::Key(_) => false,
            Self::Api(error) => error.lacks_permission(),
        }
    }

    /// Whether it was refused because the certificate is stored already.
    pub fn says_stored(&self) -> bool {
        match self {
            Self::Key(_) => false,
            Self::Api(error) => error.code().is_some_and(Code::says_stored),
        }
    }

    /// Whether it was refused because what was to be bound is not there.
    pub fn says_missing(&self) -> bool {
        match self {
            Self::Key(_) => false,
            Self::Api(error) => error.code().is_some_and(Code::says_missing),
        }
    }

    /// What it asks of the core. `now` bounds a time that the service named.
    pub fn failure(&self, now: Timestamp) -> Failure {
        match self {
            Self::Key(_) => Failure::here(
                "key-encoding",
                with_causes(self),
                &[(Class::Bug, 1), (Class::Operator, 1)],
            ),
            Self::Api(error) => error.failure(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_our_own_has_a_code_and_an_end() {
        let error = InstallError::Key(KeyError::Malformed);
        let failure = error.failure(Timestamp::EPOCH);
        assert_eq!(failure.code, "key-encoding");
        assert_eq!(failure.class(1), Class::Bug);
        assert_eq!(failure.class(u32::MAX), Class::Operator);
        assert!(!error.may_have_happened() && !error.lacks_permission());
    }
}
