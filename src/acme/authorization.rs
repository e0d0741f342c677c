//! Authorisations (RFC 8555 §7.1.4): which proofs an order still needs, and what went wrong with
//! those that were looked at.

use instant_acme::{AuthorizationHandle, AuthorizationStatus, ChallengeStatus, ChallengeType};
use instant_acme::{AuthorizationState, Identifier};

use super::error::{AcmeError, Cause, Operation, Rejection};
use super::problem::{Problem, ProblemType};
use crate::name::DnsName;

/// A proof that an order needs, a TXT record at `_acme-challenge.<name>` (RFC 8555 §8.4): published by
/// the caller, then answered with [`Order::answer`].
///
/// [`Order::answer`]: super::Order::answer
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proof {
    /// The bare name that is authorised: never `*.x`, so that `_acme-challenge.<name>` is right for
    /// a wildcard, too.
    pub name: DnsName,
    /// Whether it is for `*.<name>`: a name and its wildcard need one TXT value each.
    pub wildcard: bool,
    /// The text of the TXT record. Changes with the order, not with a restart.
    pub txt_value: String,
    /// The URL of the challenge, by which it is answered.
    pub challenge: String,
}

/// Which proof an authorisation still needs; nothing if it is valid.
pub(super) fn proof(authorization: AuthorizationHandle<'_>) -> Result<Option<Proof>, AcmeError> {
    // The library borrows the handle for as long as the handle itself lives: it must be ours.
    let mut authorization = authorization;
    let name = base_name(&authorization)?;
    let wildcard = authorization.wildcard;
    match authorization.status {
        AuthorizationStatus::Valid => return Ok(None),
        AuthorizationStatus::Pending => {}
        AuthorizationStatus::Invalid
        | AuthorizationStatus::Revoked
        | AuthorizationStatus::Expired
        | AuthorizationStatus::Deactivated => {
            let cause = Cause::OrderInvalid {
                rejections: rejection(&authorization).into_iter().collect(),
                error: None,
            };
            return Err(AcmeError::new(Operation::Validate, cause));
        }
    }
    let Some(challenge) = authorization.challenge(ChallengeType::Dns01) else {
        let cause = Cause::NoChallenge(name);
        return Err(AcmeError::new(Operation::ReadAuthorization, cause));
    };
    Ok(Some(Proof {
        name,
        wildcard,
        txt_value: challenge.key_authorization().dns_value(),
        challenge: challenge.url.clone(),
    }))
}

/// Whether a challenge waits for us to say that the proof is there.
pub(super) fn waits_for(authorization: &AuthorizationState, challenge_url: &str) -> bool {
    authorization.status == AuthorizationStatus::Pending
        && authorization
            .challenges
            .iter()
            .any(|c| c.url == challenge_url && c.status == ChallengeStatus::Pending)
}

/// What is wrong with the name of an authorisation; nothing if nothing is.
pub(super) fn rejection(authorization: &AuthorizationState) -> Option<Rejection> {
    let state = match authorization.status {
        AuthorizationStatus::Valid | AuthorizationStatus::Pending => return None,
        AuthorizationStatus::Invalid => "invalid",
        AuthorizationStatus::Revoked => "revoked",
        AuthorizationStatus::Expired => "expired",
        AuthorizationStatus::Deactivated => "deactivated",
    };
    let name = authorization.identifier().to_string().parse().ok()?;
    let found = authorization
        .challenges
        .iter()
        .find_map(|challenge| challenge.error.as_ref());
    let problem = found.map_or_else(
        || Problem {
            kind: ProblemType::Unknown,
            type_text: None,
            detail: Some(format!("the authorisation is {state}")),
            subproblems: Vec::new(),
        },
        Problem::from,
    );
    Some(Rejection { name, problem })
}

fn base_name(authorization: &AuthorizationState) -> Result<DnsName, AcmeError> {
    let unintelligible = || {
        let what = "an authorisation for something else than a DNS name";
        AcmeError::unintelligible(Operation::ReadAuthorization, what)
    };
    // `AuthorizedIdentifier` itself would print "*.name" for a wildcard.
    let identifier = authorization.identifier();
    let Identifier::Dns(name) = identifier.identifier else {
        return Err(unintelligible());
    };
    name.parse().map_err(|_| unintelligible())
}
