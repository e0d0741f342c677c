//! Whether what a CA issued is what we ordered. Trust is not judged here: that is the business of
//! those who connect to the edge.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::certificate::{CertificateError, Chain};
use crate::keys::PrivateKey;
use crate::name::DnsName;
use crate::retry::{Class, Failure, with_causes};
use crate::time::Timestamp;

/// Our clock may be behind the CA's by this much.
const SKEW: Duration = Duration::from_hours(1);

/// Why an issued chain must not be installed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuedError {
    /// The leaf certifies another key than ours.
    #[error("the certificate is not for our key")]
    ForeignKey,
    /// Names that were ordered are not on it.
    #[error("the certificate lacks {}", list(.0))]
    MissingNames(BTreeSet<DnsName>),
    /// It begins to be valid later than now, or it is over.
    #[error("the certificate is valid from {not_before} to {not_after}, which is not now ({now})")]
    NotValidNow {
        /// The first moment of its validity.
        not_before: Timestamp,
        /// The last moment of its validity.
        not_after: Timestamp,
        /// Our time.
        now: Timestamp,
    },
    /// The chain does not hold together.
    #[error("the chain does not hold together")]
    Links(#[source] CertificateError),
}

/// Checks an issued chain: it is for our key, covers every name that was ordered (more are allowed:
/// some CAs add `www.`), is valid now, and each certificate was signed by the next.
pub fn check_issued(
    chain: &Chain,
    key: &PrivateKey,
    names: &BTreeSet<DnsName>,
    now: Timestamp,
) -> Result<(), IssuedError> {
    let leaf = chain.leaf();
    if !key.matches(chain) {
        return Err(IssuedError::ForeignKey);
    }
    let missing: BTreeSet<DnsName> = names.difference(&leaf.names).cloned().collect();
    if !missing.is_empty() {
        return Err(IssuedError::MissingNames(missing));
    }
    if leaf.not_before > now + SKEW || leaf.not_after <= now {
        return Err(IssuedError::NotValidNow {
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            now,
        });
    }
    chain.check_links().map_err(IssuedError::Links)
}

impl IssuedError {
    /// What this failure asks of the daemon.
    pub fn failure(&self) -> Failure {
        let (code, remedies): (_, &[(Class, u8)]) = match self {
            Self::ForeignKey => ("foreign-key", &[(Class::Reissue, 1), (Class::Operator, 1)]),
            // The CA would issue the same again, and each one counts against its limits.
            Self::MissingNames(_) => ("missing-names", &[(Class::Operator, 1)]),
            // One of the two clocks is wrong; ours may be set right meanwhile.
            Self::NotValidNow { .. } => (
                "not-valid-now",
                &[(Class::Backoff, 3), (Class::Operator, 1)],
            ),
            // The order stays valid at the CA: the chain is downloaded again.
            Self::Links(_) => ("broken-chain", &[(Class::Backoff, 3), (Class::Operator, 1)]),
        };
        Failure::here(code, with_causes(self), remedies)
    }
}

fn list(names: &BTreeSet<DnsName>) -> String {
    let names: Vec<&str> = names.iter().map(DnsName::as_str).collect();
    names.join(", ")
}
