//! What an [`AcmeError`] asks of the daemon: the table of problem types, by exhaustive match.

use std::time::Duration;

use super::error::{AcmeError, Cause, Operation, Refusal, Rejection};
use super::problem::{Problem, ProblemType};
use crate::name::DnsName;
use crate::net::NetworkError;
use crate::retry::{Class, Failure, Remedy, Scope, course, exact_set, with_causes};
use crate::time::Timestamp;

/// A CA that names a later time than this is not believed.
const LATEST_NAMED_TIME: Duration = Duration::from_hours(7 * 24);

/// A CA that wants to be asked again later than after this is at work and takes its time (a person may
/// have to look at the order); what is sooner is only the pace at which it lets itself be asked.
const LONGEST_POLL: Duration = Duration::from_mins(5);

/// How likely it is that the same thing works later, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outlook {
    /// It passes by itself.
    Transient,
    /// The CA named a time: not before that.
    Scheduled,
    /// The CA does not get any further with the order: it is asked for some hours more, then the
    /// order is given up.
    Stalled,
    /// It may have been an accident; if it happens again, a person must look.
    Dubious,
    /// The account must be looked up anew, once.
    LostAccount,
    /// Another key and request may do, once.
    UnusableRequest,
    /// It stays until a person changes something.
    Permanent,
}

/// Everything of a [`Failure`] but its message.
struct Verdict {
    code: String,
    outlook: Outlook,
    scope: Scope,
    named: Option<Timestamp>,
}

impl AcmeError {
    /// What this failure asks of the daemon. `directory` is the CA's directory URL: the scopes of
    /// the CA are kept under it.
    pub fn failure(&self, now: Timestamp, directory: &str) -> Failure {
        let verdict = self.verdict(now, directory);
        let latest = now + LATEST_NAMED_TIME;
        let named = verdict.named.filter(|&time| time > now);
        Failure {
            code: verdict.code,
            message: with_causes(self),
            course: verdict.outlook.course(),
            scope: verdict.scope,
            not_before: named.map(|time| time.min(latest)),
            clamped: named.is_some_and(|time| time > latest),
        }
    }

    fn verdict(&self, now: Timestamp, directory: &str) -> Verdict {
        let here = |code: &str, outlook, named| Verdict {
            code: code.to_owned(),
            outlook,
            scope: Scope::Here,
            named,
        };
        match &self.cause {
            Cause::Network(error) => Verdict {
                code: error.code().to_owned(),
                outlook: of_network(error),
                scope: scope_of_network(error, directory),
                named: None,
            },
            Cause::Refused(refusal) => self.of_refusal(refusal, directory),
            Cause::Unintelligible(_) => here("unintelligible", Outlook::Dubious, None),
            Cause::OrderInvalid { rejections, error } => {
                let (code, outlook) = of_invalid_order(rejections, error.as_deref());
                here(&code, outlook, None)
            }
            Cause::TimedOut { retry_after } => {
                let slow = retry_after.is_some_and(|time| time.since(now) > LONGEST_POLL);
                let outlook = if slow {
                    Outlook::Transient
                } else {
                    Outlook::Stalled
                };
                here("order-timeout", outlook, *retry_after)
            }
            Cause::NoChallenge(_) => here("no-challenge", Outlook::Permanent, None),
            Cause::AccountKey(_) => here("account-key", Outlook::Permanent, None),
            Cause::Chain(_) => here("unusable-chain", Outlook::Dubious, None),
        }
    }

    fn of_refusal(&self, refusal: &Refusal, directory: &str) -> Verdict {
        let of_status = || format!("http-{}", refusal.status);
        let code = refusal.problem.as_ref().and_then(Problem::code);
        let during = During::Request(self.operation);
        let outlook = match &refusal.problem {
            // The order is dropped and a new one is placed on the ladder.
            Some(_) | None if self.order_is_gone() => Some(Outlook::Transient),
            Some(problem) => of_problem(problem, during, refusal.retry_after.is_some()),
            None => None,
        };
        let mut outlook = outlook.unwrap_or_else(|| of_status_alone(refusal));
        if outlook == Outlook::Permanent && self.may_be_an_accident(refusal) {
            // A server that lags behind, or one in between with a page of its own.
            outlook = Outlook::Dubious;
        }
        Verdict {
            code: code.map_or_else(of_status, str::to_owned),
            outlook,
            scope: self.scope_of_refusal(refusal, directory),
            named: refusal.retry_after,
        }
    }

    /// Whether a refusal for good may be none, and the order with what was issued for it would be
    /// thrown away for nothing.
    fn may_be_an_accident(&self, refusal: &Refusal) -> bool {
        let hidden = refusal.problem.is_none() || refusal.is_not_found();
        self.operation == Operation::Download || self.is_about_an_order() && hidden
    }

    /// What a refusal is about: no more and no less than the CA says.
    fn scope_of_refusal(&self, refusal: &Refusal, directory: &str) -> Scope {
        let directory = directory.to_owned();
        if refusal.status == 503 {
            return Scope::Ca { directory };
        }
        let about_account = match self.operation {
            Operation::CreateAccount | Operation::FindAccount | Operation::NewOrder => true,
            Operation::AnswerChallenge
            | Operation::AskRenewalInfo
            | Operation::Deactivate
            | Operation::Download
            | Operation::FetchNonce
            | Operation::Finalize
            | Operation::ReadAuthorization
            | Operation::ReadDirectory
            | Operation::ReadOrder
            | Operation::UpdateContacts
            | Operation::Validate => false,
        };
        match refusal.problem_type() {
            // A load balancer counts requests of our address, not what is in them.
            None if refusal.status == 429 => Scope::Ca { directory },
            // Nothing new was asked for: what is closed is this order.
            Some(ProblemType::RateLimited) if self.is_about_an_order() => Scope::Here,
            Some(ProblemType::RateLimited) => {
                let detail = refusal.problem.as_ref().and_then(|p| p.detail.as_deref());
                self.scope_of_limit(detail.unwrap_or_default(), directory)
            }
            Some(
                ProblemType::AccountDoesNotExist
                | ProblemType::ExternalAccountRequired
                | ProblemType::UserActionRequired,
            ) => Scope::CaAccount { directory },
            Some(ProblemType::Unauthorized) if about_account => Scope::CaAccount { directory },
            Some(_) | None => Scope::Here,
        }
    }

    /// Which of the CA's limits was met, from the texts of Boulder; unknown texts are about this
    /// certificate alone.
    fn scope_of_limit(&self, detail: &str, directory: String) -> Scope {
        let quoted = || detail.split('"').nth(1).map(str::to_owned);
        if detail.contains("exact set of") && !self.names.is_empty() {
            let names = exact_set(self.names.iter().map(DnsName::as_str));
            return Scope::ExactSet { directory, names };
        }
        // What is quoted must be of this order, or nothing that is ordered would ever ask whether it
        // is closed.
        if detail.contains("too many certificates") {
            return match quoted().filter(|domain| self.is_below(domain)) {
                Some(domain) => Scope::RegisteredDomain { directory, domain },
                None => Scope::Here,
            };
        }
        if detail.contains("failed authorizations") {
            return match quoted().and_then(|name| self.ordered(&name)) {
                Some(name) => Scope::Name { directory, name },
                None => Scope::Here,
            };
        }
        if detail.contains("too many new orders") || detail.contains("too many new registrations") {
            return Scope::CaAccount { directory };
        }
        Scope::Here
    }

    /// The name of the order that the CA means: that name itself, or its wildcard.
    fn ordered(&self, quoted: &str) -> Option<String> {
        let exact = self.names.iter().find(|name| name.as_str() == quoted);
        let meant = exact.or_else(|| self.names.iter().find(|name| name.base() == quoted));
        meant.map(ToString::to_string)
    }

    /// Whether a name of the order is this domain or below it.
    fn is_below(&self, domain: &str) -> bool {
        self.names.iter().any(|name| {
            let rest = name.base().strip_suffix(domain);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }
}

/// Where a problem turned up: the same word means something else as the answer to a request and as
/// the result of a validation.
#[derive(Clone, Copy)]
enum During {
    Request(Operation),
    Validation,
}

impl During {
    /// Whether something new was asked for, which a CA may refuse for as long as it likes.
    fn asks_for_more(self) -> bool {
        matches!(
            self,
            Self::Request(Operation::NewOrder | Operation::CreateAccount)
        )
    }
}

fn of_network(error: &NetworkError) -> Outlook {
    match error {
        NetworkError::Setup(_) => Outlook::Permanent,
        NetworkError::Connect { .. }
        | NetworkError::Timeout { .. }
        | NetworkError::Broken { .. }
        | NetworkError::TooLarge { .. } => Outlook::Transient,
    }
}

fn scope_of_network(error: &NetworkError, directory: &str) -> Scope {
    match error {
        NetworkError::Connect { .. } => Scope::Ca {
            directory: directory.to_owned(),
        },
        NetworkError::Setup(_)
        | NetworkError::Timeout { .. }
        | NetworkError::Broken { .. }
        | NetworkError::TooLarge { .. } => Scope::Here,
    }
}

/// An order is as hopeless as the worst that was found; the code is that of the worst.
fn of_invalid_order(rejections: &[Rejection], error: Option<&Problem>) -> (String, Outlook) {
    let found = rejections.iter().map(|rejection| &rejection.problem);
    let whole = error.filter(|_| rejections.is_empty());
    found
        .chain(whole)
        .map(|problem| {
            let outlook = of_problem(problem, During::Validation, false);
            let code = problem.code().unwrap_or("order-invalid").to_owned();
            (code, outlook.unwrap_or(Outlook::Transient))
        })
        .max_by_key(|(_, outlook)| *outlook)
        .unwrap_or_else(|| ("order-invalid".to_owned(), Outlook::Transient))
}

/// The table: what each type of problem means. Nothing for an unknown type.
fn of_problem(problem: &Problem, during: During, time_is_named: bool) -> Option<Outlook> {
    let detail = problem.detail.as_deref().unwrap_or_default();
    if problem.kind == ProblemType::Compound {
        let parts = problem.subproblems.iter();
        return parts
            .filter_map(|part| {
                let detail = part.detail.as_deref().unwrap_or_default();
                of_type(part.kind, detail, during, time_is_named)
            })
            .max();
    }
    of_type(problem.kind, detail, during, time_is_named)
}

fn of_type(
    kind: ProblemType,
    detail: &str,
    during: During,
    time_is_named: bool,
) -> Option<Outlook> {
    use ProblemType as P;
    let outlook = match kind {
        // What passes by itself, and what the next look at the order's state settles.
        P::AlreadyReplaced
        | P::AlreadyRevoked
        | P::BadNonce
        | P::Connection
        | P::Dns
        | P::IncorrectResponse
        | P::OrderNotReady
        | P::ServerInternal
        | P::Tls => Outlook::Transient,
        P::Conflict => Outlook::Dubious,
        P::RateLimited if time_is_named => Outlook::Scheduled,
        // What was accepted already can only be asked for too often.
        P::RateLimited if !during.asks_for_more() => Outlook::Transient,
        P::Unauthorized => match during {
            During::Validation => Outlook::Transient,
            During::Request(_) => Outlook::Permanent,
        },
        P::Caa if lookup_failed(detail) => Outlook::Transient,
        P::AccountDoesNotExist => Outlook::LostAccount,
        P::BadCsr | P::BadPublicKey => match during {
            During::Request(Operation::Finalize) | During::Validation => Outlook::UnusableRequest,
            During::Request(_) => Outlook::Permanent,
        },
        // A limit without a time does not end by itself ("paused"): a person must visit the page
        // that it names. A CAA record that could be read stays as it is.
        P::AutoRenewalCanceled
        | P::AutoRenewalCancellationInvalid
        | P::AutoRenewalExpired
        | P::AutoRenewalRevocationNotSupported
        | P::BadAttestationStatement
        | P::BadRevocationReason
        | P::BadSignatureAlgorithm
        | P::Caa
        | P::ExternalAccountRequired
        | P::InvalidContact
        | P::InvalidProfile
        | P::Malformed
        | P::OnionCaaRequired
        | P::RateLimited
        | P::RejectedIdentifier
        | P::UnknownDelegation
        | P::UnsupportedContact
        | P::UnsupportedIdentifier
        | P::UserActionRequired => Outlook::Permanent,
        // A compound inside a compound says nothing.
        P::Compound | P::Unknown => return None,
    };
    Some(outlook)
}

/// Whether a CAA problem is about the lookup and not about what it found.
fn lookup_failed(detail: &str) -> bool {
    let detail = detail.to_ascii_lowercase();
    ["servfail", "timeout", "timed out"]
        .iter()
        .any(|sign| detail.contains(sign))
}

/// What an answer without a known problem means.
fn of_status_alone(refusal: &Refusal) -> Outlook {
    match refusal.status {
        429 | 503 if refusal.retry_after.is_some() => Outlook::Scheduled,
        429 | 500..=599 => Outlook::Transient,
        400..=499 => Outlook::Permanent,
        _ => Outlook::Dubious,
    }
}

impl Outlook {
    fn course(self) -> Vec<Remedy> {
        course(match self {
            Self::Transient => &[(Class::Backoff, 1)],
            Self::Scheduled => &[(Class::After, u8::MAX), (Class::Backoff, 1)],
            Self::Stalled => &[(Class::Backoff, 4), (Class::Operator, 1)],
            Self::Dubious => &[(Class::Backoff, 2), (Class::Operator, 1)],
            Self::LostAccount => &[(Class::Refresh, 1), (Class::Operator, 1)],
            Self::UnusableRequest => &[(Class::Reissue, 1), (Class::Operator, 1)],
            Self::Permanent => &[(Class::Operator, 1)],
        })
    }
}

#[cfg(test)]
mod tests;
