//! Solvers: how control of a name is proven by something that is published.
//!
//! A solver knows no CA and no order: it is told a name and a value. It tries once and reports; it
//! stores nothing. The caller writes down the [`Place`] and the value *before*
//! [`present`](Solver::present) and the id of what is [`Published`] after it, so that whatever a
//! crash leaves behind is found ([`find`](Solver::find)) and taken away
//! ([`withdraw`](Solver::withdraw)).

pub mod alidns;
pub mod propagation;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::alidns::Alidns;
pub use self::propagation::{Outcome, Propagation};
use crate::aliyun::ApiError;
use crate::dns::DnsError;
use crate::name::DnsName;
use crate::retry::{Class, Failure, Scope};
use crate::time::Timestamp;

/// One configured way of proving control of names.
#[derive(Debug)]
pub enum Solver {
    /// TXT records in Alibaba Cloud DNS.
    Alidns(Alidns),
}

/// Where the value for a name has to be published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The zone that the record is written to, as its provider writes it.
    pub zone: String,
    /// The whole name of the record, in A-labels.
    pub fqdn: String,
}

/// A value that stands at its place, as its provider said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where.
    pub place: Place,
    /// The value.
    pub value: String,
    /// Under which id the provider knows the record.
    pub record_id: String,
}

/// Why a value could not be published, found or withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum SolverError {
    /// It is not known where the name leads.
    #[error("could not follow the aliases of {fqdn}")]
    Aliases {
        /// The name of the proof.
        fqdn: String,
        /// Why.
        #[source]
        source: DnsError,
    },
    /// The provider's account has no zone that the name lies in.
    #[error("no zone of the account holds {0}")]
    NoZone(String),
    /// A call of the provider failed.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl Solver {
    /// Finds out where the values for these names belong. Changes nothing.
    pub async fn locate(
        &self,
        names: &BTreeSet<DnsName>,
    ) -> Result<BTreeMap<DnsName, Place>, SolverError> {
        match self {
            Self::Alidns(alidns) => alidns.locate(names).await,
        }
    }

    /// Finds out where the value belongs by which Alibaba Cloud checks who owns `name`: at the root of
    /// its zone. Changes nothing.
    pub async fn locate_owner_proof(&self, name: &DnsName) -> Result<Place, SolverError> {
        match self {
            Self::Alidns(alidns) => alidns.locate_owner_proof(name).await,
        }
    }

    /// Publishes a value beside whatever else stands there. Publishing the same value again finds
    /// the first one.
    pub async fn present(&self, place: &Place, value: &str) -> Result<Published, SolverError> {
        match self {
            Self::Alidns(alidns) => alidns.present(place, value).await,
        }
    }

    /// Finds a published value whose id is not known, because the answer to
    /// [`present`](Self::present) was lost.
    pub async fn find(&self, place: &Place, value: &str) -> Result<Option<Published>, SolverError> {
        match self {
            Self::Alidns(alidns) => alidns.find(place, value).await,
        }
    }

    /// Takes away exactly this value. One that is gone already is as good.
    pub async fn withdraw(&self, published: &Published) -> Result<(), SolverError> {
        match self {
            Self::Alidns(alidns) => alidns.withdraw(published).await,
        }
    }

    /// What a deadline must not close for a value to be published.
    pub fn publication_scopes(&self) -> Vec<Scope> {
        match self {
            Self::Alidns(alidns) => alidns.publication_scopes(),
        }
    }

    /// What a deadline must not close for a value to be taken away.
    pub fn withdrawal_scopes(&self) -> Vec<Scope> {
        match self {
            Self::Alidns(alidns) => alidns.withdrawal_scopes(),
        }
    }

    /// Waits until the values can be seen at their place by those who will check them.
    pub async fn wait(&self, place: &Place, values: &BTreeSet<String>) -> Outcome {
        match self {
            Self::Alidns(alidns) => alidns.wait(place, values).await,
        }
    }
}

/// The name at which a CA looks for the proof of a name (RFC 8555 §8.4). A wildcard is proven at
/// its bare name, so that `x` and `*.x` share one place and each puts a value of its own there.
pub fn proof_name(name: &DnsName) -> String {
    format!("_acme-challenge.{}", name.base())
}

// === impl SolverError ===

impl SolverError {
    /// What it asks of the core. `now` bounds a time that the provider named.
    pub fn failure(&self, now: Timestamp) -> Failure {
        match self {
            Self::Aliases { source, .. } => {
                let failure = source.failure();
                let message = format!("{self}: {}", failure.message);
                Failure { message, ..failure }
            }
            Self::NoZone(_) => Failure::here("no-zone", self.to_string(), &[(Class::Operator, 1)]),
            Self::Api(error) => error.failure(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_wildcard_are_proven_at_one_place() {
        for name in ["v.example.com", "*.v.example.com"] {
            let name: DnsName = name.parse().unwrap();
            assert_eq!(proof_name(&name), "_acme-challenge.v.example.com");
        }
    }

    #[test]
    fn an_account_without_the_zone_needs_a_person() {
        let error = SolverError::NoZone("_acme-challenge.v.example.com".into());
        let failure = error.failure(Timestamp::EPOCH);
        assert_eq!(failure.class(1), Class::Operator);
        assert!(failure.message.contains("_acme-challenge.v.example.com"));
    }
}
