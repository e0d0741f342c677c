//! One order, from its placing to its certificate (RFC 8555 §7.4).
//!
//! The order lives at the CA under its URL; an [`Order`] is our end of it and can be lost at any
//! moment. [`Order::resume`] goes on from the state that the CA knows. The caller stores the URL at
//! once, the leaf key and its request before [`Order::finalize`].

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use instant_acme::{
    AuthorizationHandle, AuthorizationStatus, CertificateIdentifier, ChallengeType, Identifier,
    OrderStatus,
};

use super::account::Account;
use super::authorization::{self, Proof};
use super::ca::is_requestable;
use super::error::{AcmeError, Cause, Operation};
use super::poll::{Pauses, despite_nonces};
use super::problem::{Problem, ProblemType};
use super::transport::{AskedFor, Transport};
use crate::certificate::{Chain, Leaf};
use crate::name::DnsName;

/// What is ordered.
#[derive(Clone, Copy, Debug)]
pub struct NewOrder<'a> {
    /// The names of the certificate.
    pub names: &'a BTreeSet<DnsName>,
    /// The certificate that the new one replaces (RFC 9773 §5). Only one that this account got.
    pub replaces: Option<&'a Leaf>,
    /// The profile, if not the CA's default one.
    pub profile: Option<&'a str>,
}

/// Our end of an order.
pub struct Order {
    order: instant_acme::Order,
    transport: Transport,
}

/// How far an order is, as the CA said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderState {
    /// Proofs are missing or being looked at: [`Order::proofs`], [`Order::answer`],
    /// [`Order::wait_ready`].
    Pending,
    /// All names are proven: [`Order::finalize`].
    Ready,
    /// The certificate is being issued: [`Order::download`].
    Processing,
    /// The certificate is there: [`Order::download`].
    Valid,
    /// Nothing will come of it: [`Order::failure_reasons`].
    Invalid,
}

// === impl Order ===

impl Order {
    /// Places an order. **Store its URL before anything else is done with it.**
    ///
    /// If the CA refuses it and the refusal may be due to `replaces`, it is placed once more without;
    /// [`Order::replaces_a_certificate`] tells which it became. After an error the order may stand
    /// at the CA all the same: [`AcmeError::may_be_placed`].
    pub async fn begin(account: &Account, new: &NewOrder<'_>) -> Result<Self, AcmeError> {
        let (acme, transport) = account.converse(Operation::NewOrder).await?;
        let replaced = new.replaces.and_then(certificate_identifier);
        let replacing = replaced.is_some();
        let mut placed = place(&acme, &transport, new, replaced).await;
        if let Err((Operation::NewOrder, error)) = &placed
            && replacing
            && may_be_about_replaces(error, &transport)
        {
            tracing::debug!("placing the order again without naming what it replaces");
            placed = place(&acme, &transport, new, None).await;
        }
        let error = match placed {
            Ok(order) if is_requestable(order.url()) => return Ok(Self { order, transport }),
            // Nobody can ever ask for it again.
            Ok(_) => AcmeError::unintelligible(Operation::NewOrder, "the order has no usable URL"),
            Err((operation, error)) => {
                let mut error = AcmeError::of_library(operation, error, &transport);
                if operation == Operation::ReadOrder {
                    // The order stands, even if it was only a nonce that could not be had for
                    // reading it.
                    error.operation = operation;
                }
                error
            }
        };
        Err(error.with_names(new.names))
    }

    /// Takes up an order by its URL; nothing if the CA no longer knows it or denies that it is ours:
    /// then it is over, and a new one may be placed.
    pub async fn resume(account: &Account, url: &str) -> Result<Option<Self>, AcmeError> {
        let (acme, transport) = account.converse(Operation::ReadOrder).await?;
        let read = despite_nonces!(&transport, acme.order(url.to_owned()));
        match read {
            Ok(order) => Ok(Some(Self { order, transport })),
            Err(error) => {
                let error = AcmeError::of_library(Operation::ReadOrder, error, &transport);
                if error.order_is_gone() {
                    Ok(None)
                } else {
                    Err(error)
                }
            }
        }
    }

    /// The URL under which the CA knows the order.
    pub fn url(&self) -> &str {
        self.order.url()
    }

    /// How far the order is, as the CA said last.
    pub fn state(&mut self) -> OrderState {
        match self.order.state().status {
            OrderStatus::Pending => OrderState::Pending,
            OrderStatus::Ready => OrderState::Ready,
            OrderStatus::Processing => OrderState::Processing,
            OrderStatus::Valid => OrderState::Valid,
            OrderStatus::Invalid => OrderState::Invalid,
        }
    }

    /// Whether the CA took the order as the replacement of a certificate. Such orders are exempt
    /// from the limits of some CAs.
    pub fn replaces_a_certificate(&mut self) -> bool {
        self.order.state().replaces.is_some()
    }

    /// The proofs that the order still needs: none for names whose authorisation is valid. Asked
    /// again after a restart, the same order needs the same proofs, sorted by name.
    pub async fn proofs(&mut self) -> Result<Vec<Proof>, AcmeError> {
        self.read_authorizations().await?;
        let mut proofs = Vec::new();
        let mut authorizations = self.order.authorizations();
        while let Some(Ok(authorization)) = authorizations.next().await {
            proofs.extend(authorization::proof(authorization)?);
        }
        // A CA lists authorisations in any order, and in another one the next time.
        proofs.sort();
        Ok(proofs)
    }

    /// Tells the CA that these proofs are published. A proof that the CA has looked at already is
    /// left alone; how it went shows in [`Order::wait_ready`].
    pub async fn answer(&mut self, proofs: &[Proof]) -> Result<(), AcmeError> {
        self.read_authorizations().await?;
        for proof in proofs {
            let Err(error) = self.answer_one(&proof.challenge).await else {
                continue;
            };
            // An earlier answer of ours, believed lost, may have arrived after all.
            let malformed = error.problem_type() == Some(ProblemType::Malformed);
            if !malformed || self.still_waits_for(&proof.challenge).await? {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits until all names are proven. Returns at once if the order is past that already. If a
    /// proof was not accepted, the error tells why for each name.
    pub async fn wait_ready(&mut self, limit: Duration) -> Result<(), AcmeError> {
        let mut pauses = Pauses::within(limit);
        loop {
            self.refresh(Operation::Validate).await?;
            match self.state() {
                OrderState::Ready | OrderState::Processing | OrderState::Valid => return Ok(()),
                OrderState::Invalid => return Err(self.failure_reasons().await),
                OrderState::Pending => pauses.wait(Operation::Validate, &self.transport).await?,
            }
        }
    }

    /// Hands in the certificate signing request (PKCS#10 DER). Its key must be stored by now.
    pub async fn finalize(&mut self, csr: &[u8]) -> Result<(), AcmeError> {
        let Self { order, transport } = self;
        let handed_in = despite_nonces!(transport, order.finalize_csr(csr));
        let Err(error) = handed_in else {
            return Ok(());
        };
        let error = AcmeError::of_library(Operation::Finalize, error, transport);
        if error.problem_type() != Some(ProblemType::OrderNotReady) {
            return Err(error);
        }
        // Usually the answer to an earlier finalisation was lost.
        self.refresh(Operation::Finalize).await?;
        match self.state() {
            OrderState::Processing | OrderState::Valid => Ok(()),
            OrderState::Pending | OrderState::Ready => Err(error),
            OrderState::Invalid => Err(self.failure_reasons().await),
        }
    }

    /// Waits until the certificate is issued and fetches its chain as the CA serves it by default.
    pub async fn download(&mut self, limit: Duration) -> Result<Chain, AcmeError> {
        let mut pauses = Pauses::within(limit);
        loop {
            match self.state() {
                OrderState::Valid => break,
                OrderState::Invalid => return Err(self.failure_reasons().await),
                OrderState::Pending | OrderState::Ready | OrderState::Processing => {
                    pauses.wait(Operation::Download, &self.transport).await?;
                    self.refresh(Operation::Download).await?;
                }
            }
        }
        let Self { order, transport } = self;
        let pem = despite_nonces!(transport, order.certificate());
        let pem = pem
            .map_err(|error| AcmeError::of_library(Operation::Download, error, transport))?
            .unwrap_or_default();
        Chain::from_pem(&pem)
            .map_err(|error| AcmeError::new(Operation::Download, Cause::Chain(error)))
    }

    /// Why an order is invalid, for each name as far as the CA tells. Reads every authorisation
    /// anew; one that cannot be read is left out.
    pub async fn failure_reasons(&mut self) -> AcmeError {
        if let Err(error) = self.read_authorizations().await {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "could not read the authorisations of a failed order");
        }
        let Self { order, transport } = self;
        let error = order
            .state()
            .error
            .as_ref()
            .map(Problem::from)
            .map(Box::new);
        let mut rejections = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(next) = authorizations.next().await {
            let Ok(mut authorization) = next else {
                continue;
            };
            // What was read before is better than nothing.
            let _ = refresh(&mut authorization, transport).await;
            rejections.extend(authorization::rejection(&authorization));
        }
        rejections.sort_by(|one, other| one.name.cmp(&other.name));
        AcmeError::new(
            Operation::Validate,
            Cause::OrderInvalid { rejections, error },
        )
    }

    /// Gives up an order that is not wanted any more: deactivates its authorisations that are still
    /// pending, so that the CA neither waits for them nor hands them out again.
    pub async fn abandon(&mut self) -> Result<(), AcmeError> {
        self.read_authorizations().await?;
        let Self { order, transport } = self;
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            despite_nonces!(transport, authorization.deactivate())
                .map(|_| ())
                .map_err(|error| AcmeError::of_library(Operation::Deactivate, error, transport))?;
        }
        Ok(())
    }

    async fn answer_one(&mut self, challenge: &str) -> Result<(), AcmeError> {
        let Self { order, transport } = self;
        let mut authorizations = order.authorizations();
        while let Some(Ok(authorization)) = authorizations.next().await {
            if authorization::waits_for(&authorization, challenge) {
                return answer_challenge(authorization, transport).await;
            }
        }
        Ok(())
    }

    async fn still_waits_for(&mut self, challenge: &str) -> Result<bool, AcmeError> {
        let Self { order, transport } = self;
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if authorization::waits_for(&authorization, challenge) {
                refresh(&mut authorization, transport).await?;
                return Ok(authorization::waits_for(&authorization, challenge));
            }
        }
        Ok(false)
    }

    /// Reads the authorisations that were not read yet; afterwards the library walks over them
    /// without asking the CA.
    async fn read_authorizations(&mut self) -> Result<(), AcmeError> {
        let Self { order, transport } = self;
        despite_nonces!(transport, read_authorizations(order))
            .map_err(|error| AcmeError::of_library(Operation::ReadAuthorization, error, transport))
    }

    async fn refresh(&mut self, operation: Operation) -> Result<(), AcmeError> {
        let Self { order, transport } = self;
        despite_nonces!(transport, order.refresh())
            .map(|_| ())
            .map_err(|error| AcmeError::of_library(operation, error, transport))
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Order").field(&self.order.url()).finish()
    }
}

async fn read_authorizations(order: &mut instant_acme::Order) -> Result<(), instant_acme::Error> {
    let mut authorizations = order.authorizations();
    while let Some(next) = authorizations.next().await {
        next?;
    }
    Ok(())
}

/// Tells the CA to look at the proof of one authorisation.
async fn answer_challenge(
    authorization: AuthorizationHandle<'_>,
    transport: &Transport,
) -> Result<(), AcmeError> {
    // The library borrows the handle for as long as the handle itself lives: it must be ours.
    let mut authorization = authorization;
    let Some(mut challenge) = authorization.challenge(ChallengeType::Dns01) else {
        return Ok(());
    };
    let answered = despite_nonces!(transport, challenge.set_ready());
    let Err(error) = answered else { return Ok(()) };
    // The CA judged it at once: the library reports the challenge's own error. The order's state
    // will tell.
    let accepted = transport
        .last()
        .is_some_and(|recorded| recorded.answer.status.is_success());
    if accepted && matches!(error, instant_acme::Error::Api(_)) {
        return Ok(());
    }
    Err(AcmeError::of_library(
        Operation::AnswerChallenge,
        error,
        transport,
    ))
}

async fn refresh(
    authorization: &mut AuthorizationHandle<'_>,
    transport: &Transport,
) -> Result<(), AcmeError> {
    despite_nonces!(transport, authorization.refresh())
        .map(|_| ())
        .map_err(|error| AcmeError::of_library(Operation::ReadAuthorization, error, transport))
}

/// Sends newOrder; an error comes with what it was that failed.
async fn place(
    acme: &instant_acme::Account,
    transport: &Transport,
    new: &NewOrder<'_>,
    replaced: Option<CertificateIdentifier<'_>>,
) -> Result<instant_acme::Order, (Operation, instant_acme::Error)> {
    let identifiers: Vec<Identifier> = new
        .names
        .iter()
        .map(|name| Identifier::Dns(name.to_string()))
        .collect();
    let mut request = instant_acme::NewOrder::new(&identifiers);
    if let Some(replaced) = replaced {
        request = request.replaces(replaced);
    }
    if let Some(profile) = new.profile {
        request = request.profile(profile);
    }
    let placed = despite_nonces!(transport, acme.new_order(&request));
    let error = match placed {
        Ok(order) => return Ok(order),
        Err(error) => error,
    };
    // The library drops an order whose answer does not repeat `replaces`; the order exists, and
    // placing another would spend a limit for nothing.
    let last = transport.last();
    match last.as_ref().and_then(|recorded| recorded.created()) {
        Some(url) => {
            let read = despite_nonces!(transport, acme.order(url.to_owned()));
            read.map_err(|error| (Operation::ReadOrder, error))
        }
        None => Err((Operation::NewOrder, error)),
    }
}

/// Whether an order may have been refused because of the certificate that it names. Only the CA itself
/// says so, and only about the order: whatever answers in its place, or to the question for a nonce,
/// knows nothing of `replaces`, and an order without it counts against limits that one with it is
/// exempt from.
fn may_be_about_replaces(error: &instant_acme::Error, transport: &Transport) -> bool {
    if matches!(error, instant_acme::Error::Unsupported(_)) {
        return true;
    }
    if transport.asked_for() != Some(AskedFor::Resource) {
        return false;
    }
    let Some(recorded) = transport.last() else {
        return false;
    };
    let Some(problem) = Problem::from_json(&recorded.answer.body) else {
        return false;
    };
    match recorded.answer.status.as_u16() {
        429 => false,
        400..=499 => !is_about_something_else(problem.kind),
        // A fault that `replaces` itself provokes would come again at every attempt, and nothing
        // would ever be renewed: Pebble 2.10 answers so if the serial number of the certificate
        // begins with a zero byte.
        500 => problem.kind == ProblemType::ServerInternal,
        _ => false,
    }
}

/// Whether this refusal of an order is known not to be about `replaces`.
fn is_about_something_else(kind: ProblemType) -> bool {
    matches!(
        kind,
        ProblemType::AccountDoesNotExist
            | ProblemType::BadNonce
            | ProblemType::Caa
            | ProblemType::InvalidProfile
            | ProblemType::RateLimited
            | ProblemType::RejectedIdentifier
            | ProblemType::UnsupportedIdentifier
            | ProblemType::UserActionRequired
    )
}

/// How the CA knows a certificate (RFC 9773 §4.1).
fn certificate_identifier(leaf: &Leaf) -> Option<CertificateIdentifier<'static>> {
    let id = leaf.renewal_info_id()?;
    let (authority, serial) = id.split_once('.')?;
    Some(CertificateIdentifier {
        authority_key_identifier: authority.to_owned().into(),
        serial: serial.to_owned().into(),
    })
}
