//! How many orders a CA takes, by the limits that it publishes: counted here before anything is sent,
//! so that the CA has no reason to refuse.
//!
//! A CA counts by buckets that begin full and are refilled evenly ("300 in three hours" is 300 at
//! once, then one every 36 seconds). All that has to be remembered of a bucket is when it will be
//! full again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::{Issued, millionths};
use crate::name::DnsName;
use crate::retry::exact_set;
use crate::time::Timestamp;

/// Over this part of the time that a bucket takes to fill those who found it empty come back.
const SPREAD: f64 = 0.1;

/// What a CA limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Orders of one account.
    Account,
    /// Certificates for one registered domain, whoever orders them.
    RegisteredDomain,
    /// Certificates for exactly one set of names.
    ExactSet,
    /// Failed validations of one name.
    FailedValidations,
}

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// As many at once.
    pub count: NonZeroU32,
    /// An empty bucket is full again after this long.
    pub per: Duration,
}

/// The limits of a CA.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// What it does not limit, or does not publish, is not in it.
    quotas: BTreeMap<Limit, Quota>,
    /// Whether it counts renewals less than other orders ([`Exemption`]).
    spares_renewals: bool,
}

/// What an order takes from one bucket of its CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// What is limited.
    pub limit: Limit,
    /// Whose bucket: the account's URL, the registered domain, the names joined with commas, the
    /// name.
    pub subject: String,
    /// How large the bucket is; nothing if it is not limited, and only counted.
    pub quota: Option<Quota>,
    /// What the order does to it.
    pub kind: DrawKind,
}

/// What an order does to a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawKind {
    /// Takes one out of it.
    Takes,
    /// Takes nothing, for the CA does not count it; remembered in case that it does.
    Exempt,
    /// Takes nothing, but is refused while it is empty.
    Needs,
}

/// Why Let's Encrypt does not count an order
/// (<https://letsencrypt.org/docs/rate-limits/#limit-exemptions-for-renewals>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exemption {
    /// It counts.
    None,
    /// It renews a certificate with the same names: it counts for the exact set alone.
    SameNames,
    /// It replaces a certificate within the time that the CA suggests (RFC 9773 §4.2): it counts for
    /// nothing.
    Replaces,
}

/// An empty bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exhausted {
    /// What is limited.
    pub limit: Limit,
    /// Whose it is.
    pub subject: String,
    /// How large it is.
    pub quota: Quota,
    /// When there is one in it again.
    pub free_at: Timestamp,
}

// === impl Limit ===

impl Limit {
    /// The word in the ledger, the metrics and `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::RegisteredDomain => "registered-domain",
            Self::ExactSet => "exact-set",
            Self::FailedValidations => "failed-validations",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Quota ===

impl Quota {
    /// So many in so long; nothing if either is zero.
    pub fn new(count: u32, per: Duration) -> Option<Self> {
        let count = NonZeroU32::new(count)?;
        (per / count.get() > Duration::ZERO).then_some(Self { count, per })
    }

    /// Takes one out of a bucket that will be full at `full_at`: when it will be full then, or else
    /// when there is one in it again.
    pub fn take(self, full_at: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Timestamp> {
        let full_at = self.believed(full_at, now) + self.refill();
        if full_at <= now + self.per {
            Ok(full_at)
        } else {
            Err(full_at - self.per)
        }
    }

    /// How many are in a bucket that will be full at `full_at`.
    pub fn left(self, full_at: Option<Timestamp>, now: Timestamp) -> u32 {
        let missing = self.believed(full_at, now).since(now);
        let missing = missing.as_nanos().div_ceil(self.refill().as_nanos());
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        self.count.get().saturating_sub(missing)
    }

    /// How long it takes until there is one more.
    pub fn refill(self) -> Duration {
        self.per / self.count.get()
    }

    /// No bucket is emptier than empty: a limit that was changed, or a clock that was ahead, have made it
    /// look so.
    fn believed(self, full_at: Option<Timestamp>, now: Timestamp) -> Timestamp {
        full_at.map_or(now, |full_at| full_at.clamp(now, now + self.per))
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.per.as_secs_f64() / 3600.0;
        write!(f, "{} in {hours} h", self.count)
    }
}

// === impl Limits ===

impl Limits {
    /// What the CA with this directory publishes; none for a CA whose limits are not known.
    ///
    /// Let's Encrypt: <https://letsencrypt.org/docs/rate-limits/> and
    /// <https://letsencrypt.org/docs/staging-environment/>.
    pub fn published(directory: &str) -> Self {
        const HOUR: u64 = 3600;
        const WEEK: u64 = 168 * HOUR;
        let limits: &[(Limit, u32, u64)] = match directory {
            "https://acme-v02.api.letsencrypt.org/directory" => &[
                (Limit::Account, 300, 3 * HOUR),
                (Limit::RegisteredDomain, 50, WEEK),
                (Limit::ExactSet, 5, WEEK),
                (Limit::FailedValidations, 5, HOUR),
            ],
            "https://acme-staging-v02.api.letsencrypt.org/directory" => &[
                (Limit::Account, 1500, 3 * HOUR),
                (Limit::ExactSet, 30_000, WEEK),
                (Limit::FailedValidations, 200, HOUR),
            ],
            _ => &[],
        };
        let quotas = limits.iter().filter_map(|(limit, count, per)| {
            Some((*limit, Quota::new(*count, Duration::from_secs(*per))?))
        });
        Self {
            quotas: quotas.collect(),
            spares_renewals: !limits.is_empty(),
        }
    }

    /// The same with one limit set, or lifted.
    #[must_use]
    pub fn with(mut self, limit: Limit, quota: Option<Quota>) -> Self {
        match quota {
            Some(quota) => self.quotas.insert(limit, quota),
            None => self.quotas.remove(&limit),
        };
        self
    }

    /// How many of it the CA takes; nothing if it does not limit that.
    pub fn quota(&self, limit: Limit) -> Option<Quota> {
        self.quotas.get(&limit).copied()
    }

    /// All limits.
    pub fn iter(&self) -> impl Iterator<Item = (Limit, Quota)> {
        self.quotas.iter().map(|(limit, quota)| (*limit, *quota))
    }

    /// What an order of an account for these names takes.
    pub fn draws(
        &self,
        account: &str,
        names: &BTreeSet<DnsName>,
        exemption: Exemption,
    ) -> Vec<Draw> {
        let draw = |limit, subject: &str, kind| Draw {
            limit,
            subject: subject.to_owned(),
            quota: self.quota(limit),
            kind,
        };
        let exemption = if self.spares_renewals {
            exemption
        } else {
            Exemption::None
        };
        let (renewed, replaced) = match exemption {
            Exemption::None => (DrawKind::Takes, DrawKind::Takes),
            Exemption::SameNames => (DrawKind::Exempt, DrawKind::Takes),
            Exemption::Replaces => (DrawKind::Exempt, DrawKind::Exempt),
        };
        let set = exact_set(names.iter().map(DnsName::as_str));
        let mut draws = vec![
            draw(Limit::Account, account, renewed),
            draw(Limit::ExactSet, &set, replaced),
        ];
        let domains: BTreeSet<&str> = names.iter().map(DnsName::registered_domain).collect();
        draws.extend(
            domains
                .into_iter()
                .map(|domain| draw(Limit::RegisteredDomain, domain, renewed)),
        );
        if exemption != Exemption::Replaces {
            let bases: BTreeSet<&str> = names.iter().map(DnsName::base).collect();
            draws.extend(
                bases
                    .into_iter()
                    .map(|name| draw(Limit::FailedValidations, name, DrawKind::Needs)),
            );
        }
        draws
    }
}

// === impl Exemption ===

impl Exemption {
    /// Why an order for these names at this CA is not counted at `now`, where `held` was issued before and
    /// `replaces` tells whether the CA is told so.
    pub fn of(
        held: Option<&Issued>,
        directory: &str,
        names: &BTreeSet<DnsName>,
        replaces: bool,
        now: Timestamp,
    ) -> Self {
        let Some(held) = held.filter(|held| held.directory == directory) else {
            return Self::None;
        };
        let window = held.renewal_info.as_ref().and_then(|info| info.window);
        let is_suggested = window.is_some_and(|window| window.contains(now));
        if replaces && is_suggested && !held.leaf.names.is_disjoint(names) {
            Self::Replaces
        } else if held.leaf.names == *names {
            Self::SameNames
        } else {
            Self::None
        }
    }
}

// === impl Exhausted ===

impl Exhausted {
    /// When to try again: many may wait for the same bucket, so they come over a tenth of the time that
    /// it takes to fill. `jitter` is from 0.0 to 1.0.
    pub fn retry_at(&self, jitter: f64) -> Timestamp {
        self.free_at + self.quota.per.mul_f64(SPREAD * millionths(jitter))
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            limit,
            subject,
            free_at,
            ..
        } = self;
        match limit {
            Limit::Account => write!(
                f,
                "the CA takes no more orders of this account before {free_at}"
            ),
            Limit::RegisteredDomain => {
                write!(
                    f,
                    "the CA takes no more orders below {subject} before {free_at}"
                )
            }
            Limit::ExactSet => {
                write!(
                    f,
                    "the CA takes no more orders for exactly these names before {free_at}"
                )
            }
            Limit::FailedValidations => write!(
                f,
                "the CA takes no orders for {subject} before {free_at}: its proofs failed too often"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
