//! Why a call failed, and the failure that it amounts to.
//!
//! [`ApiError::failure`] is where the table of codes, the HTTP status and the named time come
//! together. How often to try and when is the core's.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::action::{Action, Service};
use super::code::{About, Code, Rule};
use super::credentials::CredentialsError;
use crate::net::NetworkError;
use crate::retry::{self, Class, Failure, Scope};
use crate::time::Timestamp;

/// A named time may not stop us for longer than this.
pub const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// A call that failed: which one, in which cloud, and why.
#[derive(Debug, thiserror::Error)]
#[error("{action} failed in cloud {cloud:?}")]
pub struct ApiError {
    /// The action that was called.
    pub action: Action,
    /// The cloud's name in the configuration.
    pub cloud: String,
    /// Why it failed.
    #[source]
    pub cause: Cause,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// There is nothing to sign with. Nothing was sent.
    #[error("no credentials")]
    Credentials(#[source] Arc<CredentialsError>),
    /// Nothing was sent: while the call waited for its turn the other side refused another one for a
    /// while.
    #[error("was not sent, because another one was throttled")]
    Closed,
    /// There is no answer.
    #[error(transparent)]
    Network(NetworkError),
    /// The other side said no, with a code.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// There is an answer, but not one of this API.
    #[error("answered HTTP {}, but {why}", status.as_u16())]
    Unreadable {
        /// The HTTP status.
        status: StatusCode,
        /// What is wrong with it.
        why: &'static str,
        /// The time that it names.
        named_time: Option<Timestamp>,
    },
}

/// A refusal with a code. Its texts are scrubbed: they hold no secret of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The code.
    pub code: Code,
    /// The code as the other side wrote it.
    pub code_text: String,
    /// What the other side says about it; nothing where it may have echoed the request.
    pub message: Option<String>,
    /// The other side's name for this call.
    pub request_id: Option<String>,
    /// The permission that is missing (`AuthAction`), for example
    /// `vod:SetVodDomainSSLCertificate`.
    pub missing_permission: Option<String>,
    /// The time that it names.
    pub named_time: Option<Timestamp>,
    /// The names of the parameters that were sent.
    pub sent: Vec<&'static str>,
}

// === impl ApiError ===

impl ApiError {
    /// The refusal, if that is what it was.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.cause {
            Cause::Refused(refusal) => Some(refusal),
            Cause::Credentials(_)
            | Cause::Closed
            | Cause::Network(_)
            | Cause::Unreadable { .. } => None,
        }
    }

    /// The code of the refusal, if that is what it was.
    pub fn code(&self) -> Option<Code> {
        self.refusal().map(|refusal| refusal.code)
    }

    /// Whether the credentials may not make the call. A code that we do not know counts if it came with
    /// HTTP 403, which says just that (RFC 9110 §15.5.4).
    pub fn lacks_permission(&self) -> bool {
        self.refusal().is_some_and(|refusal| {
            let said = refusal.code == Code::Unknown && refusal.status == StatusCode::FORBIDDEN;
            said || refusal.code.lacks_permission()
        })
    }

    /// Whether nobody was asked, because the action was refused for a while before the turn came.
    pub fn was_not_sent(&self) -> bool {
        matches!(self.cause, Cause::Closed)
    }

    /// Whether what was asked may have happened although it was reported as failed: the answer
    /// was lost on its way, replaced by a proxy's, or says that the same call came twice.
    pub fn may_have_happened(&self) -> bool {
        match &self.cause {
            Cause::Credentials(_) | Cause::Closed => false,
            Cause::Network(error) => error.may_have_happened(),
            Cause::Refused(refusal) => refusal.code == Code::SignatureNonceUsed,
            Cause::Unreadable { status, .. } => {
                status.is_success()
                    || [StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT].contains(status)
            }
        }
    }

    /// What the failure asks of us, as data. `now` bounds a named time, see [`LONGEST_WAIT`].
    pub fn failure(&self, now: Timestamp) -> Failure {
        let rule = self.rule();
        let named_time = self.named_time();
        let latest = now + LONGEST_WAIT;
        Failure {
            code: self.label(),
            message: self.one_line(&rule),
            course: retry::course(&self.for_action(rule.course)),
            scope: self.scope(rule.about),
            not_before: named_time.map(|time| time.min(latest)),
            clamped: named_time.is_some_and(|time| time > latest),
        }
    }

    /// Whether it holds for other calls of this action as well, and passes.
    pub(super) fn closes_the_action(&self, now: Timestamp) -> bool {
        let failure = self.failure(now);
        let passes = matches!(failure.class(1), Class::After | Class::Backoff);
        !failure.scope.is_here_only() && passes
    }

    /// The other side's code as it wrote it, or our own word for what has none (`timeout`,
    /// `http-502`).
    pub fn label(&self) -> String {
        match &self.cause {
            Cause::Credentials(_) => "no-credentials".to_owned(),
            Cause::Closed => "not-sent".to_owned(),
            Cause::Network(error) => error.code().to_owned(),
            Cause::Refused(refusal) => refusal.code_text.clone(),
            Cause::Unreadable { status, .. } => format!("http-{}", status.as_u16()),
        }
    }

    /// What it asks of a call that needs the credentials which this one was to fetch.
    pub(super) fn class_for_credentials(&self) -> Class {
        let first = self.rule().course.first();
        match first.map_or(Class::Operator, |(class, _)| *class) {
            Class::Bug | Class::Operator => Class::Operator,
            Class::Refresh => Class::Refresh,
            Class::After
            | Class::Backoff
            | Class::Reconcile
            | Class::Reformat
            | Class::Reissue
            | Class::Rename => Class::Backoff,
        }
    }

    /// Whether the credentials were refused, as temporary ones are whose time is over or which were
    /// taken back.
    pub(super) fn refuses_temporary_credentials(&self) -> bool {
        self.code().is_some_and(|code| {
            [
                Code::AccessKeyNotFound,
                Code::InvalidSecurityToken,
                Code::SecurityTokenExpired,
                Code::SecurityTokenMalformed,
                Code::SecurityTokenMismatch,
            ]
            .contains(&code)
        })
    }

    /// The time that the other side named, if it did.
    pub(super) fn named_time(&self) -> Option<Timestamp> {
        match &self.cause {
            Cause::Credentials(error) => error.named_time(),
            Cause::Closed | Cause::Network(_) => None,
            Cause::Refused(refusal) => refusal.named_time,
            Cause::Unreadable { named_time, .. } => *named_time,
        }
    }

    /// What it is about and what it asks of an installation.
    fn rule(&self) -> Rule {
        match &self.cause {
            Cause::Credentials(error) => Rule {
                about: About::Cloud,
                course: match error.class() {
                    Class::Backoff => BACKOFF,
                    Class::Refresh => REFRESH,
                    Class::After
                    | Class::Bug
                    | Class::Operator
                    | Class::Reconcile
                    | Class::Reformat
                    | Class::Reissue
                    | Class::Rename => OPERATOR,
                },
            },
            // The deadline that the other call has set holds the next attempt back.
            Cause::Closed => Rule {
                about: About::Here,
                course: BACKOFF,
            },
            Cause::Network(NetworkError::Setup(_)) => Rule {
                about: About::Cloud,
                course: OPERATOR,
            },
            Cause::Network(_) => Rule {
                about: About::Here,
                course: if self.may_have_happened() {
                    RECONCILE
                } else {
                    BACKOFF
                },
            },
            Cause::Refused(refusal) => {
                let by_status = rule_of_status(refusal.status, refusal.named_time.is_some());
                match refusal.code.rule() {
                    Some(rule) if rule.about == About::Status => Rule {
                        about: by_status.about,
                        course: rule.course,
                    },
                    Some(rule) => rule,
                    None => by_status,
                }
            }
            Cause::Unreadable {
                status, named_time, ..
            } => {
                let by_status = rule_of_status(*status, named_time.is_some());
                if self.may_have_happened() {
                    // What is there tells more than the answer did, also of a time that it named.
                    let about = if by_status.about == About::Call {
                        About::Call
                    } else {
                        About::Here
                    };
                    Rule {
                        about,
                        course: RECONCILE,
                    }
                } else {
                    by_status
                }
            }
        }
    }

    /// Leaves out of a course what only an installation can do. Every course ends in something
    /// that any call can do.
    fn for_action(&self, course: &[(Class, u8)]) -> Vec<(Class, u8)> {
        let mut course = course.to_vec();
        course.retain(|(class, _)| match class {
            Class::Reconcile | Class::Reformat | Class::Reissue | Class::Rename => {
                self.action.is_given_a_certificate()
            }
            Class::After | Class::Backoff | Class::Bug | Class::Operator | Class::Refresh => true,
        });
        course
    }

    fn scope(&self, about: About) -> Scope {
        let cloud = self.cloud.clone();
        let action = self.action.scope(&cloud);
        match (about, self.action.service()) {
            (About::Here | About::Status, _) | (About::Permission, Service::Alidns) => Scope::Here,
            (About::Call, _) => self.action.call_scope(&cloud),
            (About::Action, _)
            | (About::Permission, Service::Cas | Service::Sts | Service::Vod) => action,
            (About::Cloud, _) => Scope::Cloud { cloud },
        }
    }

    /// The whole chain of causes, and for our own mistakes the evidence: the names of what was
    /// sent.
    fn one_line(&self, rule: &Rule) -> String {
        let mut line = retry::with_causes(self);
        if let Some(refusal) = self.refusal()
            && rule.course.iter().any(|(class, _)| *class == Class::Bug)
        {
            line.push_str("; sent: ");
            line.push_str(&refusal.sent.join(", "));
        }
        line
    }
}

const BACKOFF: &[(Class, u8)] = &[(Class::Backoff, 1)];
const OPERATOR: &[(Class, u8)] = &[(Class::Operator, 1)];
const RECONCILE: &[(Class, u8)] = &[(Class::Reconcile, 1), (Class::Backoff, 1)];
const REFRESH: &[(Class, u8)] = &[(Class::Refresh, 1), (Class::Operator, 1)];

/// What a status asks of us where no code does. 429 and 503 are rate limits. Another 5xx is a fault
/// of that call, unless a time is named: then it is meant for more than that. 408 is about what we
/// sent. Anything else will not change by itself: a redirect or a 404 of something that is not this
/// API, for example.
fn rule_of_status(status: StatusCode, names_a_time: bool) -> Rule {
    let limited = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ]
    .contains(&status);
    let passing = status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT;
    let (about, course) = match (limited, passing) {
        (true, _) => (About::Action, BACKOFF),
        (false, true) if names_a_time => (About::Action, BACKOFF),
        (false, true) if status.is_server_error() => (About::Call, BACKOFF),
        (false, true) => (About::Here, BACKOFF),
        (false, false) => (About::Here, OPERATOR),
    };
    Rule { about, course }
}

// === impl Refusal ===

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "refused as {} (HTTP {})",
            self.code_text,
            self.status.as_u16()
        )?;
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        if let Some(permission) = &self.missing_permission {
            write!(f, "; permission needed: {permission}")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, "; request {id}")?;
        }
        Ok(())
    }
}

impl Error for Refusal {}

#[cfg(test)]
mod tests;
