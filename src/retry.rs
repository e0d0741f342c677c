//! What a failure asks of us: the one vocabulary in which every adapter reports and the core
//! decides.
//!
//! An adapter tries **once** and reports; only what the protocol itself wants repeated, after a nonce or
//! a clock was refused, is sent once more. The core alone counts, waits and gives up
//! (`renewal/backoff.rs`).

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// No message is longer than this many bytes.
const MESSAGE_LIMIT: usize = 8 * 1024;

/// One way of dealing with a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The other side named a time: not before it, for the scope of the failure.
    After,
    /// Try again on the stored ladder.
    Backoff,
    /// Our request was wrong: as [`Class::Operator`], and the evidence is kept.
    Bug,
    /// A person must act: say it once, look again slowly.
    Operator,
    /// Read back what is there first; it may have been a success.
    Reconcile,
    /// Fetch the credentials, the looked-up id or the clock offset anew, once.
    Refresh,
    /// Encode the PEM anew in the most conservative form, once.
    Reformat,
    /// The generation is unusable: order a new one, under ladder and brake.
    Reissue,
    /// Use the next deterministic certificate name.
    Rename,
}

/// A [`Class`] and how many failures in a row it is used for before the next one takes over. The
/// count of the last remedy of a course is not looked at: it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// What to do.
    pub class: Class,
    /// For how many failures in a row.
    pub times: u8,
}

/// What a failure is about. A refusal stops that, no more and no less.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Only the order or the target at hand.
    Here,
    /// Only the order or the target at hand, for one call failed. But too many such calls in a row,
    /// whoever made them, are a fault of the action ([`Scope::faults`]).
    CloudCall {
        /// The cloud's name in the configuration.
        cloud: String,
        /// The API action.
        action: String,
    },
    /// One action of one cloud (throttling).
    CloudAction {
        /// The cloud's name in the configuration.
        cloud: String,
        /// The API action, for example `SetVodDomainSSLCertificate`.
        action: String,
    },
    /// Everything in one cloud (credentials, billing).
    Cloud {
        /// The cloud's name in the configuration.
        cloud: String,
    },
    /// A whole CA (outage, 503), by the URL of its directory.
    Ca {
        /// The directory URL.
        directory: String,
    },
    /// Our account at a CA.
    CaAccount {
        /// The directory URL.
        directory: String,
    },
    /// Orders for one registered domain at a CA.
    RegisteredDomain {
        /// The directory URL.
        directory: String,
        /// The registered domain.
        domain: String,
    },
    /// Orders that contain one name at a CA.
    Name {
        /// The directory URL.
        directory: String,
        /// The name.
        name: String,
    },
    /// Orders for exactly one set of names at a CA.
    ExactSet {
        /// The directory URL.
        directory: String,
        /// The names: [`exact_set`].
        names: String,
    },
}

/// A failure as data: what is stored, shown and decided upon. Never holds a secret: adapters scrub
/// messages before they make one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The other side's code (`Throttling.User`, `rateLimited`) or our own word for what has none
    /// (`timeout`, `http-502`).
    pub code: String,
    /// One line for people.
    pub message: String,
    /// What to do, in this order. Never empty; ends in [`Class::Backoff`] or [`Class::Operator`].
    pub course: Vec<Remedy>,
    /// What it stops.
    pub scope: Scope,
    /// The time that the other side named, clamped by the adapter.
    pub not_before: Option<Timestamp>,
    /// Whether the named time was later than what we accept, and was cut.
    pub clamped: bool,
}

/// The remedies of a course, for example `course(&[(Class::Refresh, 1), (Class::Operator, 1)])`.
pub fn course(remedies: &[(Class, u8)]) -> Vec<Remedy> {
    remedies
        .iter()
        .map(|&(class, times)| Remedy { class, times })
        .collect()
}

/// An error and all that led to it in one line for people: causes in their order, control characters
/// as blanks, at most 8 KiB.
pub fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    let mut line = line.replace(|c: char| c.is_control(), " ");
    line.truncate(line.floor_char_boundary(MESSAGE_LIMIT));
    line
}

/// An exact set of names as [`Scope::ExactSet`] has it, from the names in their order.
pub fn exact_set<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    names.join(",")
}

impl Class {
    /// The word used in logs, metrics and `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::After => "after",
            Self::Backoff => "backoff",
            Self::Bug => "bug",
            Self::Operator => "operator",
            Self::Reconcile => "reconcile",
            Self::Refresh => "refresh",
            Self::Reformat => "reformat",
            Self::Reissue => "reissue",
            Self::Rename => "rename",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Failure {
    /// A failure that is about the order or the target at hand, with no time named by anyone.
    pub fn here(
        code: impl Into<String>,
        message: impl Into<String>,
        remedies: &[(Class, u8)],
    ) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            course: course(remedies),
            scope: Scope::Here,
            not_before: None,
            clamped: false,
        }
    }

    /// The class that applies to the `count`-th failure in a row with this course (1 = the first).
    ///
    /// A named time comes before the course: it says when, the course says what.
    pub fn class(&self, count: u32) -> Class {
        let mut left = count.max(1);
        for remedy in &self.course {
            let times = u32::from(remedy.times);
            if left <= times {
                return remedy.class;
            }
            left -= times;
        }
        self.course
            .last()
            .map_or(Class::Operator, |remedy| remedy.class)
    }
}

impl Scope {
    /// Whether a failure of this scope stops nothing but the order or the target at hand.
    pub fn is_here_only(&self) -> bool {
        match self {
            Self::Here | Self::CloudCall { .. } => true,
            Self::CloudAction { .. }
            | Self::Cloud { .. }
            | Self::Ca { .. }
            | Self::CaAccount { .. }
            | Self::RegisteredDomain { .. }
            | Self::Name { .. }
            | Self::ExactSet { .. } => false,
        }
    }

    /// The scope in which failed calls of an action are counted; nothing for what is no action.
    pub fn faults(&self) -> Option<Self> {
        let Self::CloudAction { cloud, action } = self else {
            return None;
        };
        Some(Self::CloudCall {
            cloud: cloud.clone(),
            action: action.clone(),
        })
    }

    /// The key under which it is stored that somebody tries an action which was closed by its faults;
    /// nothing for what counts no faults.
    pub fn probe(&self) -> Option<String> {
        let Self::CloudCall { cloud, action } = self else {
            return None;
        };
        Some(format!("cloud-probe|{cloud}|{action}"))
    }

    /// The key under which deadlines of this scope are stored; `None` for [`Scope::Here`], whose
    /// deadlines live in the record.
    pub fn key(&self) -> Option<String> {
        match self {
            Self::Here => None,
            Self::CloudCall { cloud, action } => Some(format!("cloud-call|{cloud}|{action}")),
            Self::CloudAction { cloud, action } => Some(format!("cloud-action|{cloud}|{action}")),
            Self::Cloud { cloud } => Some(format!("cloud|{cloud}")),
            Self::Ca { directory } => Some(format!("ca|{directory}")),
            Self::CaAccount { directory } => Some(format!("ca-account|{directory}")),
            Self::RegisteredDomain { directory, domain } => {
                Some(format!("registered-domain|{directory}|{domain}"))
            }
            Self::Name { directory, name } => Some(format!("name|{directory}|{name}")),
            Self::ExactSet { directory, names } => Some(format!("exact-set|{directory}|{names}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_is_walked_by_the_count_of_failures_in_a_row() {
        let remedies = [
            (Class::Backoff, 2),
            (Class::Reformat, 1),
            (Class::Operator, 1),
        ];
        let failure = Failure::here("sslPub.Error", "", &remedies);
        let walked: Vec<Class> = (1..=6).map(|count| failure.class(count)).collect();
        assert_eq!(
            walked,
            [
                Class::Backoff,
                Class::Backoff,
                Class::Reformat,
                Class::Operator,
                Class::Operator,
                Class::Operator
            ]
        );
        assert_eq!(failure.class(0), Class::Backoff);
    }

    #[test]
    fn a_line_holds_all_causes_and_is_bounded() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Link(String, #[source] Option<Box<Link>>);
        let end = Link("first\nsecond\r\n".to_owned(), None);
        let whole = Link("outer".to_owned(), Some(Box::new(end)));
        assert_eq!(with_causes(&whole), "outer: first second  ");
        let long = Link("é".repeat(MESSAGE_LIMIT), Some(Box::new(whole)));
        assert_eq!(with_causes(&long).len(), MESSAGE_LIMIT);
        let odd = Link(format!("x{}", "é".repeat(MESSAGE_LIMIT)), None);
        assert_eq!(with_causes(&odd).len(), MESSAGE_LIMIT - 1);
    }

    #[test]
    fn scopes_have_distinct_keys() {
        let directory = "https://ca.example/dir".to_owned();
        let keys: Vec<Option<String>> = [
            Scope::Here,
            Scope::Cloud { cloud: "a".into() },
            Scope::CloudAction {
                cloud: "a".into(),
                action: "b".into(),
            },
            Scope::CloudCall {
                cloud: "a".into(),
                action: "b".into(),
            },
            Scope::Ca {
                directory: directory.clone(),
            },
            Scope::CaAccount {
                directory: directory.clone(),
            },
            Scope::RegisteredDomain {
                directory: directory.clone(),
                domain: "x.test".into(),
            },
            Scope::Name {
                directory: directory.clone(),
                name: "x.test".into(),
            },
            Scope::ExactSet {
                directory,
                names: "x.test".into(),
            },
        ]
        .iter()
        .map(Scope::key)
        .collect();
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(keys[0], None);
    }
}
