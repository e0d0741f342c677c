//! Facts that are not one certificate's own: named deadlines by scope, and whether the local clock
//! can be trusted.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::DnsName;
use crate::retry::{Scope, exact_set};
use crate::time::{Deadline, Timestamp};

/// The world around one decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Circumstances {
    /// Deadlines by the key of their scope ([`Scope::key`]).
    pub deadlines: BTreeMap<String, Deadline>,
    /// Whether the local clock agrees with what the other sides say.
    pub clock: ClockTrust,
}

/// What is known of the local clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockTrust {
    /// It agrees with the `Date` of the CA and the cloud within an hour, or nobody was asked yet.
    #[default]
    Trusted,
    /// It does not: nothing irreversible is done until it has been checked again.
    Distrusted {
        /// When to look again.
        until_checked: Timestamp,
    },
}

impl ClockTrust {
    /// The first moment from `now` on at which the clock may be trusted.
    pub(super) fn trusted_from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Trusted => now,
            Self::Distrusted { until_checked } => until_checked.max(now),
        }
    }
}

impl Circumstances {
    /// Until when a scope is closed, if it is: by what was said about it, by its faults, or because
    /// somebody else tries after those whether it works again.
    pub fn closed(&self, scope: &Scope, now: Timestamp) -> Option<Timestamp> {
        if self.deadlines.is_empty() {
            return None;
        }
        let faults = scope.faults();
        let keys = [
            scope.key(),
            faults.as_ref().and_then(Scope::key),
            faults.as_ref().and_then(Scope::probe),
        ];
        let deadlines = keys.into_iter().flatten();
        deadlines
            .filter_map(|key| self.deadlines.get(&key)?.holding(now))
            .max()
    }

    /// Until when orders for these names at this CA are closed, if they are: the CA itself, our
    /// account, the exact set, and every deadline for one of the names or a domain above it.
    pub fn orders_closed(
        &self,
        directory: &str,
        names: &BTreeSet<DnsName>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        Self::scopes_of_orders(directory, names)
            .iter()
            .filter_map(|scope| self.closed(scope, now))
            .max()
    }

    /// Everything that can close orders for these names at this CA, or is settled when one succeeds.
    pub fn scopes_of_orders(directory: &str, names: &BTreeSet<DnsName>) -> Vec<Scope> {
        let directory = directory.to_owned();
        let mut scopes = vec![
            Scope::Ca {
                directory: directory.clone(),
            },
            Scope::CaAccount {
                directory: directory.clone(),
            },
            Scope::ExactSet {
                directory: directory.clone(),
                names: exact_set(names.iter().map(DnsName::as_str)),
            },
        ];
        for name in names {
            scopes.push(Scope::Name {
                directory: directory.clone(),
                name: name.to_string(),
            });
            scopes.extend(above(name.base()).map(|domain| Scope::RegisteredDomain {
                directory: directory.clone(),
                domain: domain.to_owned(),
            }));
        }
        scopes
    }
}

/// The name itself and every domain above it: which of them is the registered one only the CA says.
fn above(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| {
        name.split_once('.').map(|(_, rest)| rest)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_action_is_closed_by_its_faults_and_while_somebody_tries_it() {
        let now = Timestamp::from_seconds(1_000_000);
        let action = |action: &str| Scope::CloudAction {
            cloud: "one".into(),
            action: action.into(),
        };
        let deadline = Deadline::after(now, Duration::from_mins(1));
        for key in [
            "cloud-action|one|Set",
            "cloud-call|one|Set",
            "cloud-probe|one|Set",
        ] {
            let circumstances = Circumstances {
                deadlines: [(key.to_owned(), deadline)].into(),
                ..Circumstances::default()
            };
            let closed = |scope| circumstances.closed(&scope, now);
            assert_eq!(closed(action("Set")), Some(deadline.until), "{key}");
            assert_eq!(closed(action("Get")), None, "{key}");
            assert_eq!(circumstances.closed(&action("Set"), deadline.until), None);
        }
    }

    #[test]
    fn a_deadline_for_a_registered_domain_closes_orders_below_it_and_no_others() {
        let directory = "https://ca.example/dir";
        let now = Timestamp::from_seconds(1_000_000);
        let mut circumstances = Circumstances::default();
        let scope = Scope::RegisteredDomain {
            directory: directory.into(),
            domain: "example.com".into(),
        };
        let deadline = Deadline::after(now, Duration::from_mins(1));
        circumstances
            .deadlines
            .insert(scope.key().unwrap(), deadline);
        let names = |text: &str| [text.parse::<DnsName>().unwrap()].into();
        let closed = |text: &str| circumstances.orders_closed(directory, &names(text), now);
        assert_eq!(closed("v.example.com"), Some(deadline.until));
        assert_eq!(closed("*.example.com"), Some(deadline.until));
        assert_eq!(closed("example.org"), None);
        assert_eq!(
            circumstances.orders_closed("https://other/dir", &names("v.example.com"), now),
            None
        );
    }
}
