//! What the admin wants for one certificate. Holds no credentials, no paths and nothing of the
//! file format.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::budget::Limits;
use super::circumstances::Circumstances;
use super::decide::{Manner, Origin};
use super::schedule::RenewPolicy;
use crate::certificate::{KeyType, hex};
use crate::name::{DnsName, Label, TargetId};
use crate::retry::Scope;

/// One certificate as configured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spec {
    /// The admin's label.
    pub label: Label,
    /// The names that it must hold, exactly.
    pub names: BTreeSet<DnsName>,
    /// The CAs, in the order of fallback. Empty: watched only, nothing is ever ordered.
    pub issuers: Vec<IssuerSpec>,
    /// The kind of key.
    pub key: KeyType,
    /// When to renew.
    pub renew: RenewPolicy,
    /// Where it is installed.
    pub targets: BTreeMap<TargetId, TargetSpec>,
    /// At most so many orders that the CA accepted in any 24 hours.
    pub orders_per_day: u32,
    /// What a deadline must not close if control of the names is to be proven.
    pub proof_scopes: Vec<Scope>,
}

/// A CA that may issue the certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IssuerSpec {
    /// The issuer's name in the configuration.
    pub name: String,
    /// The URL of its directory.
    pub directory: String,
    /// The profile to ask for; nothing for the CA's default.
    pub profile: Option<String>,
    /// How much the CA takes.
    pub limits: Limits,
}

/// How a target is treated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetSpec {
    /// How the edge is looked at.
    pub look: LookPolicy,
    /// What to do when the edge stops serving what was proven.
    pub on_drift: OnDrift,
    /// How a generation gets there.
    pub method: Method,
    /// When and how it is proven who owns the domain; nothing to leave that to a person.
    pub owner_proof: Option<OwnerProof>,
    /// What a deadline must not close for an install.
    pub install_scopes: Vec<Scope>,
    /// What it must not close besides for an install that looks for what is stored already.
    pub listing_scopes: Vec<Scope>,
    /// What it must not close besides for an upload to the certificate store.
    pub storing_scopes: Vec<Scope>,
    /// What a deadline must not close for a read-back.
    pub read_back_scopes: Vec<Scope>,
}

impl TargetSpec {
    /// What a deadline must not close for an install in this manner.
    pub fn scopes_of_install(&self, manner: &Manner) -> Vec<Scope> {
        let mut scopes = self.install_scopes.clone();
        if matches!(manner.origin, Origin::Search(_)) {
            scopes.extend(self.listing_scopes.iter().cloned());
        }
        if manner.may_store() {
            scopes.extend(self.storing_scopes.iter().cloned());
        }
        scopes
    }
}

/// How it is proven who owns a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnerProof {
    /// The code that asks for it.
    pub code: String,
    /// What a deadline must not close for it, beside what proofs to a CA need.
    pub scopes: Vec<Scope>,
}

/// How a generation gets to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Uploaded to the first target of a cloud, and bound by its id at the others.
    Auto,
    /// Uploaded to the cloud's certificate store, and bound by its id at every target.
    Cas,
    /// Uploaded to every target.
    Upload,
}

/// How the edge is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LookPolicy {
    /// Whether at all. If not, the API's read-back counts as seen.
    pub enabled: bool,
    /// How long after an install the edge may lag before it counts as not served.
    pub deadline: Duration,
    /// How often a proven edge is looked at again.
    pub every: Duration,
}

/// What to do when the edge stops serving what was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDrift {
    /// Only say so.
    Alert,
    /// Install again.
    Repair,
}

impl Spec {
    /// A digest of everything in it: another digest means that the admin changed something.
    pub fn digest(&self) -> String {
        let text = serde_json::to_string(self).expect("a spec has string keys and finite numbers");
        hex(&Sha256::digest(text))
    }

    /// Every scope that can hold something of this certificate back.
    pub fn scopes(&self) -> Vec<Scope> {
        let of_targets = self.targets.values().flat_map(|target| {
            let owner = target.owner_proof.iter().flat_map(|proof| &proof.scopes);
            let groups = [
                &target.install_scopes,
                &target.listing_scopes,
                &target.storing_scopes,
                &target.read_back_scopes,
            ];
            groups.into_iter().flatten().chain(owner)
        });
        let of_clouds = of_targets.chain(&self.proof_scopes).cloned();
        let of_cas = self
            .issuers
            .iter()
            .flat_map(|issuer| Circumstances::scopes_of_orders(&issuer.directory, &self.names));
        of_clouds.chain(of_cas).collect()
    }

    /// The issuer with this name, if it is still configured.
    pub fn issuer(&self, name: &str) -> Option<&IssuerSpec> {
        self.issuers.iter().find(|issuer| issuer.name == name)
    }
}
