//! What can go wrong in a conversation with a CA, in the problem's own words.
//!
//! What each of these means for the daemon stands in `failure.rs`.

use std::collections::BTreeSet;
use std::fmt;

use super::problem::{Problem, ProblemType};
use super::transport::{AskedFor, Recorded, Transport};
use crate::certificate::CertificateError;
use crate::keys::KeyError;
use crate::name::DnsName;
use crate::net::NetworkError;
use crate::time::Timestamp;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation}")]
pub struct AcmeError {
    /// What was being done.
    pub operation: Operation,
    /// The names of the order that was being placed; empty for every other operation.
    pub names: BTreeSet<DnsName>,
    /// Why it failed.
    #[source]
    pub cause: Cause,
}

/// What can be asked of a CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Tell the CA that a proof can be looked at.
    AnswerChallenge,
    /// Ask when to renew.
    AskRenewalInfo,
    /// Make a new account.
    CreateAccount,
    /// Give up an authorisation.
    Deactivate,
    /// Fetch the certificate.
    Download,
    /// Get a nonce for the next request.
    FetchNonce,
    /// Hand in the certificate signing request.
    Finalize,
    /// Look an account up by its key.
    FindAccount,
    /// Place a new order.
    NewOrder,
    /// Read an authorisation.
    ReadAuthorization,
    /// Read the directory.
    ReadDirectory,
    /// Read an order.
    ReadOrder,
    /// Change the contacts of an account.
    UpdateContacts,
    /// Wait for the proofs to be looked at.
    Validate,
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// No usable answer came.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The CA said no.
    #[error("the CA answered {0}")]
    Refused(Box<Refusal>),
    /// The CA said something that we do not understand.
    #[error("the CA's answer cannot be understood")]
    Unintelligible(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The order cannot become a certificate any more.
    #[error("the order failed{}", reasons(.rejections, .error.as_deref()))]
    OrderInvalid {
        /// What was found wrong with each name.
        rejections: Vec<Rejection>,
        /// What the CA says about the order as a whole.
        error: Option<Box<Problem>>,
    },
    /// The order had not come further when our patience ended; it lives on at the CA.
    #[error("the CA was not done in time")]
    TimedOut {
        /// When the CA wants to be asked again.
        retry_after: Option<Timestamp>,
    },
    /// The CA offers no way of proving this name that we can take.
    #[error("the CA offers no dns-01 challenge for {0}")]
    NoChallenge(DnsName),
    /// The key of the account is not usable.
    #[error("the account key is not usable")]
    AccountKey(#[source] KeyError),
    /// What was issued is no chain of certificates.
    #[error("what the CA issued is not usable")]
    Chain(#[source] CertificateError),
}

/// An answer of the CA that is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What the CA says, if it says it in a problem document.
    pub problem: Option<Problem>,
    /// Whether it came as a web page: so speak servers in between, and no CA.
    pub is_web_page: bool,
    /// When the CA wants to be asked again, as it was said; not clamped.
    pub retry_after: Option<Timestamp>,
    /// The terms of service that must be agreed to (RFC 8555 §7.3.3).
    pub terms_of_service: Option<String>,
}

/// What was found wrong with one name of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The name as it was ordered, `*.` included.
    pub name: DnsName,
    /// What is wrong.
    pub problem: Problem,
}

// === impl AcmeError ===

impl AcmeError {
    pub(super) fn new(operation: Operation, cause: Cause) -> Self {
        Self {
            operation,
            names: BTreeSet::new(),
            cause,
        }
    }

    pub(super) fn network(operation: Operation, error: NetworkError) -> Self {
        Self::new(operation, Cause::Network(error))
    }

    pub(super) fn refused(operation: Operation, recorded: &Recorded) -> Self {
        let refusal = Refusal::of(recorded);
        Self::new(operation, Cause::Refused(Box::new(refusal)))
    }

    pub(super) fn unintelligible(operation: Operation, what: &'static str) -> Self {
        Self::new(operation, Cause::Unintelligible(what.into()))
    }

    /// Names what happened when the library reported `error`: from the recorded answer, and from
    /// the library only where there is none. If `operation` was not even sent, because the library
    /// got no directory or no nonce for it, that is what failed.
    pub(super) fn of_library(
        operation: Operation,
        error: instant_acme::Error,
        transport: &Transport,
    ) -> Self {
        let operation = match transport.asked_for() {
            Some(AskedFor::Directory) => Operation::ReadDirectory,
            Some(AskedFor::Nonce) => Operation::FetchNonce,
            Some(AskedFor::Resource) | None => operation,
        };
        let error = match network_error(error) {
            Ok(network) => return Self::network(operation, network),
            Err(error) => error,
        };
        match transport.last() {
            Some(recorded) if !recorded.answer.status.is_success() => {
                Self::refused(operation, &recorded)
            }
            Some(_) | None => Self::new(operation, Cause::Unintelligible(Box::new(error))),
        }
    }

    pub(super) fn with_names(mut self, names: &BTreeSet<DnsName>) -> Self {
        self.names.clone_from(names);
        self
    }

    /// Whether the CA says that the account is not there: look it up by its key, or make it anew.
    pub fn account_is_gone(&self) -> bool {
        self.problem_type() == Some(ProblemType::AccountDoesNotExist)
    }

    /// Whether the CA no longer knows the order, or denies that it is ours: drop it.
    ///
    /// Only the look at the order itself tells. What is missing elsewhere, first of all the certificate,
    /// may be so because one server of the CA lags behind another, and dropping the order would lose
    /// what was issued. A web page does not tell either: some CAs say 404 and no more, but none says it
    /// in HTML.
    pub fn order_is_gone(&self) -> bool {
        let Some(refusal) = self.refusal() else {
            return false;
        };
        let denied =
            refusal.status == 403 && refusal.problem_type() == Some(ProblemType::Unauthorized);
        self.operation == Operation::ReadOrder
            && !self.account_is_gone()
            && !refusal.is_web_page
            && (refusal.is_not_found() || denied)
    }

    /// Whether it says nothing against the order under way, however often it comes: the order was not
    /// asked about, or a server in between answered in the CA's place. That something is not found is
    /// believed without a problem document if it is told again and again.
    pub fn leaves_the_order_open(&self) -> bool {
        let is_page = |refusal: &Refusal| refusal.problem.is_none() && !refusal.is_not_found();
        self.was_not_sent() || self.refusal().is_some_and(is_page)
    }

    /// Whether an order under way, or what belongs to it, was asked for.
    pub(super) fn is_about_an_order(&self) -> bool {
        match self.operation {
            Operation::AnswerChallenge
            | Operation::Deactivate
            | Operation::Download
            | Operation::Finalize
            | Operation::ReadAuthorization
            | Operation::ReadOrder
            | Operation::Validate => true,
            Operation::AskRenewalInfo
            | Operation::CreateAccount
            | Operation::FetchNonce
            | Operation::FindAccount
            | Operation::NewOrder
            | Operation::ReadDirectory
            | Operation::UpdateContacts => false,
        }
    }

    /// The names whose proofs did not hold, as the CA counts them: without `*.`.
    pub fn rejected_names(&self) -> Vec<String> {
        let Cause::OrderInvalid { rejections, .. } = &self.cause else {
            return Vec::new();
        };
        let names = rejections.iter().map(|rejection| rejection.name.base());
        let names: BTreeSet<&str> = names.collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Whether nothing more can come of the order: the CA says that it is invalid.
    pub fn order_is_over(&self) -> bool {
        matches!(self.cause, Cause::OrderInvalid { .. }) || self.order_is_gone()
    }

    /// Whether the CA never got so far as to judge what it was asked: no directory, no nonce.
    pub fn was_not_sent(&self) -> bool {
        match self.operation {
            Operation::FetchNonce | Operation::ReadDirectory => true,
            Operation::AnswerChallenge
            | Operation::AskRenewalInfo
            | Operation::CreateAccount
            | Operation::Deactivate
            | Operation::Download
            | Operation::Finalize
            | Operation::FindAccount
            | Operation::NewOrder
            | Operation::ReadAuthorization
            | Operation::ReadOrder
            | Operation::UpdateContacts
            | Operation::Validate => false,
        }
    }

    /// Whether the order that was being placed may stand at the CA all the same: the answer was
    /// lost on its way, or cannot be understood.
    pub fn may_be_placed(&self) -> bool {
        match self.operation {
            // A new order is only read when it is there.
            Operation::ReadOrder => true,
            Operation::NewOrder => self.may_have_happened(),
            Operation::AnswerChallenge
            | Operation::AskRenewalInfo
            | Operation::CreateAccount
            | Operation::Deactivate
            | Operation::Download
            | Operation::FetchNonce
            | Operation::Finalize
            | Operation::FindAccount
            | Operation::ReadAuthorization
            | Operation::ReadDirectory
            | Operation::UpdateContacts
            | Operation::Validate => false,
        }
    }

    fn may_have_happened(&self) -> bool {
        match &self.cause {
            Cause::Network(error) => error.may_have_happened(),
            Cause::Unintelligible(_) | Cause::TimedOut { .. } => true,
            // With a problem document the CA itself has spoken, and 503 is sent before anything is
            // done; whatever else a server in between makes up tells nothing.
            Cause::Refused(refusal) => {
                refusal.status >= 500 && refusal.status != 503 && refusal.problem.is_none()
            }
            Cause::OrderInvalid { .. }
            | Cause::NoChallenge(_)
            | Cause::AccountKey(_)
            | Cause::Chain(_) => false,
        }
    }

    /// Which of the known problems the CA named.
    pub(super) fn problem_type(&self) -> Option<ProblemType> {
        self.refusal().and_then(Refusal::problem_type)
    }

    fn refusal(&self) -> Option<&Refusal> {
        match &self.cause {
            Cause::Refused(refusal) => Some(refusal),
            Cause::Network(_)
            | Cause::Unintelligible(_)
            | Cause::OrderInvalid { .. }
            | Cause::TimedOut { .. }
            | Cause::NoChallenge(_)
            | Cause::AccountKey(_)
            | Cause::Chain(_) => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AnswerChallenge => "answer the challenge",
            Self::AskRenewalInfo => "ask when to renew",
            Self::CreateAccount => "create the account",
            Self::Deactivate => "give up the authorisation",
            Self::Download => "download the certificate",
            Self::FetchNonce => "get a nonce",
            Self::Finalize => "finalise the order",
            Self::FindAccount => "find the account",
            Self::NewOrder => "place the order",
            Self::ReadAuthorization => "read the authorisation",
            Self::ReadDirectory => "read the directory",
            Self::ReadOrder => "read the order",
            Self::UpdateContacts => "update the account's contacts",
            Self::Validate => "prove the names",
        })
    }
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn of(recorded: &Recorded) -> Self {
        let problem = Problem::from_json(&recorded.answer.body);
        let said = problem.as_ref().and_then(Problem::retry_after);
        let said = said.map(|time| recorded.on_our_clock(time));
        Self {
            status: recorded.answer.status.as_u16(),
            retry_after: recorded.retry_after().or(said),
            is_web_page: recorded.answer.body.trim_ascii_start().starts_with(b"<"),
            terms_of_service: recorded.link("terms-of-service"),
            problem,
        }
    }

    /// Whether what was asked for is said not to be there.
    pub(super) fn is_not_found(&self) -> bool {
        self.status == 404 || self.status == 410
    }

    pub(super) fn problem_type(&self) -> Option<ProblemType> {
        self.problem.as_ref().map(|problem| problem.kind)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Some(problem) => write!(f, "{problem} (HTTP {})", self.status)?,
            None => write!(f, "HTTP {} without an explanation", self.status)?,
        }
        match &self.terms_of_service {
            Some(url) => write!(f, "; terms of service: {url}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.problem)
    }
}

/// The network error that our transport wrapped for the library, or the error as it was.
fn network_error(error: instant_acme::Error) -> Result<NetworkError, instant_acme::Error> {
    if let instant_acme::Error::Other(other) = error {
        let network = other.downcast::<NetworkError>();
        network
            .map(|network| *network)
            .map_err(instant_acme::Error::Other)
    } else {
        Err(error)
    }
}

/// Why an order failed, for people: by name where the CA tells it by name.
fn reasons(rejections: &[Rejection], error: Option<&Problem>) -> String {
    if rejections.is_empty() {
        return match error {
            Some(problem) => format!(": {problem}"),
            None => " and the CA gives no reason".to_owned(),
        };
    }
    let reasons: Vec<String> = rejections.iter().map(ToString::to_string).collect();
    format!(": {}", reasons.join("; "))
}
