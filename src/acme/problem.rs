//! Problem documents (RFC 7807, RFC 8555 §6.7) in types: what a CA says when it says no.

use std::fmt;

use serde_json::Value;

use crate::time::Timestamp;

/// The namespace of all types of RFC 8555 and its kin.
const NAMESPACE: &str = "urn:ietf:params:acme:error:";

/// A type of which we do not know the name is shown and stored as it was sent, up to this many bytes.
const CODE_LIMIT: usize = 64;

/// What a CA says when it refuses. Read leniently: whatever is missing or of the wrong kind is left
/// out, because a refusal that we cannot read is still a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which of the known problems it is.
    pub kind: ProblemType,
    /// The type as it was sent, if it was a text.
    pub type_text: Option<String>,
    /// The explanation for people.
    pub detail: Option<String>,
    /// The parts of a compound problem, one per identifier.
    pub subproblems: Vec<Subproblem>,
}

/// The problem of one identifier (RFC 8555 §6.7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subproblem {
    /// The identifier's value, if one is named.
    pub identifier: Option<String>,
    /// Which of the known problems it is.
    pub kind: ProblemType,
    /// The explanation for people.
    pub detail: Option<String>,
}

/// Declares the known types once: variant, name on the wire, documentation.
macro_rules! problem_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The kinds of problems: RFC 8555 §6.7, later RFCs, drafts in use, and what Boulder adds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ProblemType {
            $($(#[$doc])* $variant,)*
            /// None of these, or no type at all: the HTTP status decides.
            Unknown,
        }

        impl ProblemType {
            /// All that have a name.
            pub const KNOWN: &[Self] = &[$(Self::$variant,)*];

            /// The name on the wire, without its namespace.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown => "unknown",
                }
            }
        }
    };
}

problem_types! {
    /// The account does not exist (the CA was reset, or the URL is of another CA).
    AccountDoesNotExist = "accountDoesNotExist",
    /// The certificate named by `replaces` has been replaced already (RFC 9773 §7.4).
    AlreadyReplaced = "alreadyReplaced",
    /// The certificate is revoked already.
    AlreadyRevoked = "alreadyRevoked",
    /// A renewed-automatically order was canceled (RFC 8739).
    AutoRenewalCanceled = "autoRenewalCanceled",
    /// A cancellation that is not valid (RFC 8739).
    AutoRenewalCancellationInvalid = "autoRenewalCancellationInvalid",
    /// A renewed-automatically order ran out (RFC 8739).
    AutoRenewalExpired = "autoRenewalExpired",
    /// Such certificates are not revoked (RFC 8739).
    AutoRenewalRevocationNotSupported = "autoRenewalRevocationNotSupported",
    /// A device attestation that is not accepted.
    BadAttestationStatement = "badAttestationStatement",
    /// The certificate signing request is not acceptable.
    BadCsr = "badCSR",
    /// The nonce is not acceptable; a new one comes with the answer.
    BadNonce = "badNonce",
    /// The public key is not acceptable.
    BadPublicKey = "badPublicKey",
    /// The reason of a revocation is not acceptable.
    BadRevocationReason = "badRevocationReason",
    /// The algorithm of the signature is not acceptable.
    BadSignatureAlgorithm = "badSignatureAlgorithm",
    /// A CAA record forbids issuance, or could not be looked up.
    Caa = "caa",
    /// Several problems: see the subproblems.
    Compound = "compound",
    /// Something else is being done to the same object (Boulder).
    Conflict = "conflict",
    /// The CA could not connect to the validation target.
    Connection = "connection",
    /// A DNS query of the validation failed.
    Dns = "dns",
    /// Accounts need an external account binding here.
    ExternalAccountRequired = "externalAccountRequired",
    /// What the CA found did not match the challenge.
    IncorrectResponse = "incorrectResponse",
    /// A contact is not valid.
    InvalidContact = "invalidContact",
    /// The CA does not offer this profile.
    InvalidProfile = "invalidProfile",
    /// The request was malformed, or what it names does not exist.
    Malformed = "malformed",
    /// A name below `.onion` needs its CAA (RFC 9799).
    OnionCaaRequired = "onionCAARequired",
    /// The order cannot be finalised yet.
    OrderNotReady = "orderNotReady",
    /// A limit of the CA.
    RateLimited = "rateLimited",
    /// The CA will not issue for an identifier.
    RejectedIdentifier = "rejectedIdentifier",
    /// A fault on the CA's side.
    ServerInternal = "serverInternal",
    /// The TLS of a validation failed.
    Tls = "tls",
    /// The account may not do this, or a validation was not authorised.
    Unauthorized = "unauthorized",
    /// A delegation that the CA does not know (RFC 9115).
    UnknownDelegation = "unknownDelegation",
    /// A contact of a kind that the CA does not take.
    UnsupportedContact = "unsupportedContact",
    /// An identifier of a kind that the CA does not take.
    UnsupportedIdentifier = "unsupportedIdentifier",
    /// A person must visit a page (new terms of service).
    UserActionRequired = "userActionRequired",
}

// === impl Problem ===

impl Problem {
    /// Reads a problem document; nothing if the body is no JSON object at all.
    pub(super) fn from_json(body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        value.is_object().then(|| Self::from_value(&value))
    }

    fn from_value(value: &Value) -> Self {
        let type_text = text(value, "type");
        let subproblems = value.get("subproblems").and_then(Value::as_array);
        Self {
            kind: ProblemType::parse(type_text.as_deref()),
            type_text,
            detail: text(value, "detail"),
            subproblems: subproblems
                .into_iter()
                .flatten()
                .map(Subproblem::from_value)
                .collect(),
        }
    }

    /// The time that a rate limit names in its explanation, for CAs that send no `Retry-After`
    /// (Boulder writes both: `…, retry after 2026-02-04 15:12:13 UTC: see …`).
    pub(super) fn retry_after(&self) -> Option<Timestamp> {
        if self.kind != ProblemType::RateLimited {
            return None;
        }
        let (_, time) = self.detail.as_deref()?.split_once("retry after ")?;
        let (date, time) = (time.get(..10)?, time.get(10..)?.strip_prefix(' ')?);
        let zone = time.get(8..)?;
        zone.starts_with(" UTC").then_some(())?;
        format!("{date}T{}Z", time.get(..8)?).parse().ok()
    }

    /// The short code under which it is counted and shown; nothing if the CA sent no type, or one that
    /// is no code: `about:blank` says no more than the status does (RFC 9457 §4.2.1).
    pub(super) fn code(&self) -> Option<&str> {
        if self.kind == ProblemType::Unknown {
            self.type_text.as_deref().filter(|text| {
                (1..=CODE_LIMIT).contains(&text.len())
                    && text.bytes().all(|byte| byte.is_ascii_graphic())
                    && *text != "about:blank"
            })
        } else {
            Some(self.kind.as_str())
        }
    }
}

impl From<&instant_acme::Problem> for Problem {
    fn from(problem: &instant_acme::Problem) -> Self {
        Self {
            kind: ProblemType::parse(problem.r#type.as_deref()),
            type_text: problem.r#type.clone(),
            detail: problem.detail.clone(),
            subproblems: problem
                .subproblems
                .iter()
                .map(|part| Subproblem {
                    identifier: part
                        .identifier
                        .as_ref()
                        .map(|identifier| identifier.authorized(false).to_string()),
                    kind: ProblemType::parse(part.r#type.as_deref()),
                    detail: part.detail.clone(),
                })
                .collect(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code().unwrap_or("a problem without a type"))?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        for part in &self.subproblems {
            write!(f, "; {part}")?;
        }
        Ok(())
    }
}

// === impl Subproblem ===

impl Subproblem {
    fn from_value(value: &Value) -> Self {
        Self {
            identifier: value
                .get("identifier")
                .and_then(|identifier| text(identifier, "value")),
            kind: ProblemType::parse(text(value, "type").as_deref()),
            detail: text(value, "detail"),
        }
    }
}

impl fmt::Display for Subproblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(identifier) = &self.identifier {
            write!(f, "{identifier} ")?;
        }
        f.write_str(self.kind.as_str())?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

// === impl ProblemType ===

impl ProblemType {
    fn parse(type_text: Option<&str>) -> Self {
        type_text
            .and_then(|text| text.strip_prefix(NAMESPACE))
            .and_then(|name| Self::KNOWN.iter().find(|kind| kind.as_str() == name))
            .map_or(Self::Unknown, |&kind| kind)
    }
}

impl fmt::Display for ProblemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field)?.as_str().map(str::to_owned)
}
