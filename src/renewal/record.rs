//! Everything that is known about one certificate, exactly as it is stored.
//!
//! Facts are nested in what they are about: the suggested window and the chosen time live inside
//! [`Issued`] and die with it. Facts about a target live at the record, keyed by target, each tagged
//! with its generation; they stay when a target leaves the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backoff::Urgency;
use super::budget::Exhausted;
use super::trouble::Trouble;
use crate::certificate::{Fingerprint, KeyType, Leaf};
use crate::name::{DnsName, TargetId};
use crate::time::{Deadline, Timestamp, Window};

/// An API that may not be asked is asked again this long after, in case it may be by then.
pub(super) const SILENCE: Duration = Duration::from_hours(24);

/// The life of one certificate so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// A digest of what failures for a person hang on: the spec, the credentials, the program's
    /// version. Empty until the first step.
    pub digest: String,
    /// The highest generation ever seen, here or at a target. The next order makes the next one.
    pub newest_generation: u32,
    /// The newest generation that we hold.
    pub issued: Option<Issued>,
    /// What happened with orders.
    pub orders: Orders,
    /// What is known of each target.
    pub targets: BTreeMap<TargetId, TargetRecord>,
}

/// The newest generation and everything that is about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issued {
    /// Counted up per certificate.
    pub generation: u32,
    /// What the leaf says.
    pub leaf: Leaf,
    /// Names that the CA added without being asked.
    pub extra_names: BTreeSet<DnsName>,
    /// The fingerprints of the whole chain, the leaf first.
    pub chain: Vec<Fingerprint>,
    /// The issuer's name in the configuration.
    pub issuer: String,
    /// The URL of the CA's directory.
    pub directory: String,
    /// The URL of the account that ordered it.
    pub account: String,
    /// The profile that was asked for.
    pub profile: Option<String>,
    /// When we received it.
    pub at: Timestamp,
    /// What the CA says about its renewal; nothing until it was asked.
    pub renewal_info: Option<RenewalInfo>,
    /// Why it must not be installed any more, if so.
    pub unusable: Option<Unusable>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// The copy of it that is known in the certificate store of each cloud, by the cloud's name.
    #[serde(default)]
    pub stored: BTreeMap<String, StoredCopy>,
}

/// A generation in the certificate store of a cloud, from where its targets are bound to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCopy {
    /// Its name there.
    pub cert_name: String,
    /// Where it is; nothing until it was looked up. An upload is answered without.
    pub place: Option<StoredPlace>,
}

/// Where a certificate is stored in a cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPlace {
    /// Its id.
    pub cert_id: i64,
    /// The region that the id belongs to.
    pub cert_region: String,
}

/// The last answer about renewal (RFC 9773), or the lack of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RenewalInfo {
    /// The suggested window; nothing if the CA has none, or none that makes sense.
    pub window: Option<Window>,
    /// The place inside the window, 0.0 to 1.0: chosen once and kept while the window stays.
    pub picked: f64,
    /// A page that explains the window.
    pub explanation: Option<String>,
    /// Whether the CA answers such questions at all.
    pub supported: bool,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When to ask again.
    pub ask_again: Timestamp,
    /// Failed questions in a row.
    pub failures: u32,
}

/// Why a generation must not be installed any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unusable {
    /// The code that refused it.
    pub code: String,
    /// When.
    pub at: Timestamp,
}

/// What happened with orders.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Orders {
    /// The orders that a CA accepted in the last day, or may have accepted.
    pub accepted: Vec<AcceptedOrder>,
    /// The order under way.
    pub open: Option<OpenOrder>,
    /// What is wrong with ordering.
    pub trouble: Option<Trouble>,
    /// Generations in a row that were refused as unusable.
    pub reissues: Option<Trouble>,
    /// What is wrong with each issuer since the last success.
    pub issuers: BTreeMap<String, IssuerTrouble>,
    /// Issuers whose limits left no room for an order.
    #[serde(default)]
    pub out_of_budget: BTreeMap<String, OutOfBudget>,
}

/// An order that was not sent, because the CA would not have taken it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfBudget {
    /// The limit that left no room.
    pub exhausted: Exhausted,
    /// When to try again.
    pub deadline: Deadline,
}

/// An order that counts for the brake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedOrder {
    /// When its intent was stored.
    pub at: Timestamp,
}

/// An order of which only the CA knows how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrder {
    /// When its intent was stored.
    pub intended_at: Timestamp,
    /// When the CA accepted it; nothing if we do not know that it did.
    pub accepted_at: Option<Timestamp>,
    /// The issuer's name.
    pub issuer: String,
    /// The URL of the CA's directory.
    pub directory: String,
    /// The names ordered.
    pub names: BTreeSet<DnsName>,
    /// The kind of key.
    pub key: KeyType,
    /// The profile asked for.
    pub profile: Option<String>,
}

/// How long an issuer has been failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerTrouble {
    /// Failures in a row; none if only a named time is left.
    pub failures: u32,
    /// Since when.
    pub since: Timestamp,
    /// The time that it named for this certificate alone. What it named for more than that is a
    /// deadline of that scope.
    pub named: Option<Deadline>,
}

/// What is known of one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// What the API took from us last, or showed to be there.
    pub installed: Option<Installed>,
    /// What the edge served at the last look that saw something.
    pub served: Option<Served>,
    /// The first moment of the latest leaf at that look that the store does not know.
    pub unknown_from: Option<Timestamp>,
    /// The last generation that every address was seen to serve.
    pub seen: Option<Seen>,
    /// An install whose effect has not been seen yet.
    pub proving: Option<Proving>,
    /// When the edge was last looked at.
    pub looked_at: Option<Timestamp>,
    /// Whether that look reached no address at all.
    pub out_of_reach: bool,
    /// What the last look found wrong, for people.
    pub look_failure: Option<String>,
    /// Looks in a row that missed what had been seen before.
    pub mismatches: u32,
    /// What the API tells about the target.
    pub api: Api,
    /// When the API was last asked.
    pub asked_at: Option<Timestamp>,
    /// Whether it must be read back before anything else is done: an answer was lost.
    pub read_back_due: bool,
    /// Until when nobody is asked, because a call was not sent.
    #[serde(default)]
    pub put_off: Option<Deadline>,
    /// When it was last tried to prove who owns the domain.
    #[serde(default)]
    pub owner_proof: Option<OwnerAttempt>,
    /// What is wrong with installing and reading back.
    pub trouble: Option<Trouble>,
}

/// An attempt to prove who owns a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerAttempt {
    /// The generation that was refused without.
    pub generation: u32,
    /// When.
    pub at: Timestamp,
}

/// A generation at a target, as the API knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The generation.
    pub generation: u32,
    /// When it was taken.
    pub at: Timestamp,
    /// Under which name; empty if only the edge told.
    pub cert_name: String,
    /// Under which id, if that is known.
    pub cert_id: Option<i64>,
    /// The region that the id belongs to.
    pub cert_region: Option<String>,
}

/// A leaf that the edge served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Its first moment of validity.
    pub not_before: Timestamp,
    /// Its last moment of validity.
    pub not_after: Timestamp,
    /// Which of our generations it is, if the store knows it.
    pub generation: Option<u32>,
    /// Whether the rest of the chain was as stored; meaningless for a leaf that is not ours.
    pub chain_as_stored: bool,
}

/// Proof that a generation is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The generation.
    pub generation: u32,
    /// When it was first seen at every address.
    pub at: Timestamp,
}

/// An install whose effect is being waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proving {
    /// The generation.
    pub generation: u32,
    /// Since when: the install, or its repetition.
    pub since: Timestamp,
    /// Looks so far.
    pub looks: u32,
    /// Whether the install was already repeated.
    pub reinstalled: bool,
    /// Whether the last look reached no address at all.
    pub unreachable: bool,
    /// The addresses of the last look. The name may lead elsewhere at each look, and while the
    /// attempt lasts an install is proven at all of them.
    pub addresses: BTreeSet<SocketAddr>,
}

/// What the API tells about a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// Never asked.
    #[default]
    Unasked,
    /// It was asked, and our credentials may not read that. It is asked again a day later.
    Silent,
    /// No certificate.
    Nothing,
    /// A certificate that is not ours.
    Foreign {
        /// Its name.
        cert_name: String,
    },
    /// One of our generations.
    Ours {
        /// Which.
        generation: u32,
    },
    /// A certificate that another copy of this store has made.
    Twin {
        /// Its name.
        cert_name: String,
        /// The first moment of its validity, or the last one at which that can be.
        not_before: Timestamp,
    },
}

// === impl Record ===

impl Record {
    /// The newest generation, if it may be installed.
    pub fn usable(&self, now: Timestamp) -> Option<&Issued> {
        self.issued.as_ref().filter(|issued| {
            issued.unusable.is_none() && !issued.revoked && now < issued.leaf.not_after
        })
    }

    /// How urgent one target is: by what it serves; by the newest generation while that is unknown.
    pub fn target_urgency(&self, target: &TargetRecord) -> Option<Urgency> {
        match &target.served {
            Some(served) => Some(served.urgency()),
            None => self.issued.as_ref().map(Issued::urgency),
        }
    }

    /// How urgent the certificate is: as its most urgent target among `targets`.
    pub fn urgency<'a>(&self, targets: impl IntoIterator<Item = &'a TargetId>) -> Option<Urgency> {
        self.urgencies(targets)
            .min_by_key(|urgency| urgency.not_after)
    }

    /// How urgent each of `targets` is, and the newest generation itself.
    pub(super) fn urgencies<'a>(
        &self,
        targets: impl IntoIterator<Item = &'a TargetId>,
    ) -> impl Iterator<Item = Urgency> {
        targets
            .into_iter()
            .filter_map(|id| self.targets.get(id))
            .filter_map(|target| self.target_urgency(target))
            .chain(self.issued.as_ref().map(Issued::urgency))
    }
}

impl TargetRecord {
    /// Until when the API is not to be asked, because our credentials may not.
    pub(super) fn silent_until(&self, now: Timestamp) -> Option<Timestamp> {
        let asked_at = self.asked_at.filter(|_| self.api == Api::Silent)?;
        Deadline::after(asked_at, SILENCE).holding(now)
    }

    /// Whether the API never told what is there since something was done, and may be asked.
    pub(super) fn is_unasked(&self, now: Timestamp) -> bool {
        match self.api {
            Api::Unasked => true,
            Api::Silent => self.silent_until(now).is_none(),
            Api::Nothing | Api::Foreign { .. } | Api::Ours { .. } | Api::Twin { .. } => false,
        }
    }

    /// Whether it has a later leaf of ours than the one that we hold: this store comes from a backup, or
    /// another host went on without us.
    pub fn has_newer(&self, issued: &Issued) -> bool {
        let known = self
            .installed
            .as_ref()
            .map(|installed| installed.generation);
        let served = self.served.as_ref().and_then(|served| served.generation);
        let is_twin_later = match &self.api {
            Api::Twin { not_before, .. } => *not_before > issued.leaf.not_before,
            Api::Unasked | Api::Silent | Api::Nothing | Api::Foreign { .. } | Api::Ours { .. } => {
                false
            }
        };
        known.max(served) > Some(issued.generation) || is_twin_later
    }

    /// Whether some address serves a leaf that the store does not know and that is not older than
    /// the one that we hold. Validity counts whole seconds, in which two may be issued.
    pub(super) fn serves_recent_unknown(&self, issued: &Issued) -> bool {
        self.unknown_from >= Some(issued.leaf.not_before)
    }
}

impl Issued {
    /// What is left of its life.
    pub fn urgency(&self) -> Urgency {
        Urgency {
            not_after: self.leaf.not_after,
            lifetime: self.leaf.lifetime(),
        }
    }

    /// Learns of a copy in a cloud from what a target there has. A place that is known is not given
    /// up for a name alone.
    pub(super) fn learn_copy(&mut self, cloud: &str, installed: &Installed) {
        let Some(copy) = installed
            .copy()
            .filter(|_| installed.generation == self.generation)
        else {
            return;
        };
        let known = self.stored.get(cloud);
        if copy.place.is_some() || known.is_none_or(|known| known.place.is_none()) {
            self.stored.insert(cloud.to_owned(), copy);
        }
    }

    /// Forgets where the copy in a cloud is. Its name stays, to look it up by.
    pub(super) fn forget_place(&mut self, cloud: &str, place: &StoredPlace) {
        if let Some(copy) = self.stored.get_mut(cloud)
            && copy.place.as_ref() == Some(place)
        {
            copy.place = None;
        }
    }
}

// === impl Installed ===

impl Installed {
    /// The copy that was bound, or made by an upload; nothing if only the edge told.
    fn copy(&self) -> Option<StoredCopy> {
        let place = self.cert_id.zip(self.cert_region.clone());
        (!self.cert_name.is_empty()).then(|| StoredCopy {
            cert_name: self.cert_name.clone(),
            place: place.map(|(cert_id, cert_region)| StoredPlace {
                cert_id,
                cert_region,
            }),
        })
    }
}

// === impl Served ===

impl Served {
    /// What is left of its life.
    pub fn urgency(&self) -> Urgency {
        Urgency {
            not_after: self.not_after,
            lifetime: self
                .not_after
                .since(self.not_before)
                .max(Duration::from_secs(1)),
        }
    }
}

/// A number from 0.0 to 1.0 in whole millionths. More digits would not all come back from the
/// store, for JSON readers round the last one as they like.
pub(super) fn millionths(number: f64) -> f64 {
    if number.is_nan() {
        return 0.5;
    }
    (number.clamp(0.0, 1.0) * 1e6).round() / 1e6
}
