//! Who may call: access keys, signatures, timestamps and nonces.
//!
//! It says nothing about what a caller may do; RAM policies are not modelled, a test plays their
//! refusals as faults.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

use super::locked;
use super::refusal::Refusal;
use super::request::Request;
use super::signature::{v1, v3};

const MAX_SKEW: SignedDuration = SignedDuration::from_mins(15);

/// Whether an access key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It may.
    Active,
    /// Its owner disabled it.
    Inactive,
    /// It is temporary and its time is over.
    Expired,
}

/// An access key that a gateway knows.
#[derive(Clone)]
pub struct AccessKey {
    id: String,
    secret: String,
    security_token: Option<String>,
    state: KeyState,
    /// When its time is over.
    expires: Option<Timestamp>,
    /// The account whose flow control counts its calls; nothing to count them apart.
    account: Option<String>,
}

impl AccessKey {
    /// A permanent key.
    pub fn new(id: &str, secret: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
            security_token: None,
            state: KeyState::Active,
            expires: None,
            account: None,
        }
    }

    /// A temporary key of the Security Token Service.
    pub fn temporary(id: &str, secret: &str, security_token: &str) -> Self {
        Self {
            security_token: Some(security_token.to_owned()),
            ..Self::new(id, secret)
        }
    }

    /// The same key until a moment of the gateway's clock.
    #[must_use]
    pub fn until(self, expires: Timestamp) -> Self {
        Self {
            expires: Some(expires),
            ..self
        }
    }

    /// The same key of an account, whose keys are counted together.
    #[must_use]
    pub fn of_account(self, account: &str) -> Self {
        Self {
            account: Some(account.to_owned()),
            ..self
        }
    }

    /// The same key in another state.
    #[must_use]
    pub fn in_state(self, state: KeyState) -> Self {
        Self { state, ..self }
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// The known keys and the nonces that were used.
#[derive(Debug, Default)]
pub(super) struct Guard {
    keys: Mutex<BTreeMap<String, AccessKey>>,
    nonces: Mutex<BTreeSet<(String, String)>>,
}

impl Guard {
    pub(super) fn add(&self, key: AccessKey) {
        locked(&self.keys).insert(key.id.clone(), key);
    }

    pub(super) fn remove(&self, id: &str) {
        locked(&self.keys).remove(id);
    }

    /// Ends the time of every temporary key.
    pub(super) fn expire_temporary(&self) {
        for key in locked(&self.keys).values_mut() {
            if key.security_token.is_some() {
                key.state = KeyState::Expired;
            }
        }
    }

    /// Lets a request pass that a known key signed just now and never before; says whose calls it is
    /// counted with.
    pub(super) fn admit(&self, request: &Request, now: Timestamp) -> Result<String, Refusal> {
        let presented = match &request.v3 {
            None => Presented::by_v1(request),
            Some(signed) => Presented::by_v3(signed),
        }?;
        let key = self.key(presented.key_id)?;
        require_state(&key, now)?;
        require_token(&key, presented.token)?;
        require_fresh(presented.time, now)?;
        presented.require_signature(&key)?;
        self.spend_nonce(&key.id, presented.nonce)?;
        Ok(key.account.unwrap_or(key.id))
    }

    fn key(&self, id: &str) -> Result<AccessKey, Refusal> {
        let not_found = || {
            let message = "Specified access key is not found.";
            Refusal::new(404, "InvalidAccessKeyId.NotFound", message)
        };
        locked(&self.keys).get(id).cloned().ok_or_else(not_found)
    }

    fn spend_nonce(&self, key_id: &str, nonce: &str) -> Result<(), Refusal> {
        let unused = locked(&self.nonces).insert((key_id.to_owned(), nonce.to_owned()));
        if unused {
            return Ok(());
        }
        let message = "Specified signature nonce was used already.";
        Err(Refusal::new(400, "SignatureNonceUsed", message))
    }
}

/// What a request says about who made it.
struct Presented<'a> {
    key_id: &'a str,
    token: Option<&'a str>,
    time: &'a str,
    nonce: &'a str,
    signature: &'a str,
    /// What the gateway finds that was to be signed.
    text: String,
    /// What it says about it when the signature is another.
    echo: String,
    sign: fn(&str, &str) -> String,
}

impl<'a> Presented<'a> {
    fn by_v1(request: &'a Request) -> Result<Self, Refusal> {
        let key_id = request.required("AccessKeyId")?;
        require_method(request)?;
        let text = v1::string_to_sign(request.method.as_str(), &request.parameters);
        Ok(Self {
            key_id,
            token: request.optional("SecurityToken"),
            time: request.required("Timestamp")?,
            nonce: request.required("SignatureNonce")?,
            signature: request.required("Signature")?,
            // The private key is in it, as it is with the real gateway.
            echo: text.clone(),
            text,
            sign: v1::sign,
        })
    }

    fn by_v3(signed: &'a v3::Signed) -> Result<Self, Refusal> {
        let required = |name| signed.header(name).ok_or_else(|| Refusal::missing(name));
        let authorization = signed
            .authorization()
            .ok_or_else(|| incomplete("Authorization"))?;
        if let Some(name) = signed.left_unsigned(&authorization) {
            return Err(incomplete(name));
        }
        required("x-acs-content-sha256")?;
        if !signed.hash_is_of_the_body() {
            return Err(Refusal::invalid("x-acs-content-sha256"));
        }
        let named = signed.header("x-acs-accesskey-id");
        if named.is_some_and(|id| id != authorization.key_id) {
            return Err(Refusal::invalid("x-acs-accesskey-id"));
        }
        let canonical = signed.canonical_request(&authorization);
        let text = v3::string_to_sign(&canonical);
        Ok(Self {
            key_id: authorization.key_id,
            token: signed.header("x-acs-security-token"),
            time: required("x-acs-date")?,
            nonce: required("x-acs-signature-nonce")?,
            signature: authorization.signature,
            // The security token is in it.
            echo: format!("{text}, server canonical request is:{canonical}"),
            text,
            sign: v3::sign,
        })
    }

    fn require_signature(&self, key: &AccessKey) -> Result<(), Refusal> {
        if (self.sign)(&key.secret, &self.text) == self.signature {
            return Ok(());
        }
        // The real gateway echoes what it signed.
        let message = format!(
            "Specified signature is not matched with our calculation. server string to sign is:{}",
            self.echo
        );
        Err(Refusal::new(400, "SignatureDoesNotMatch", message))
    }
}

fn incomplete(header: &str) -> Refusal {
    let message = format!("The request signature does not conform to Aliyun standards: {header}.");
    Refusal::new(400, "IncompleteSignature", message)
}

fn require_state(key: &AccessKey, now: Timestamp) -> Result<(), Refusal> {
    let over = key.expires.is_some_and(|expires| expires <= now);
    match if over { KeyState::Expired } else { key.state } {
        KeyState::Active => Ok(()),
        KeyState::Inactive => Err(Refusal::new(
            400,
            "InvalidAccessKeyId.Inactive",
            "Specified access key is disabled.",
        )),
        KeyState::Expired => Err(Refusal::new(
            400,
            "InvalidSecurityToken.Expired",
            "Specified SecurityToken is expired.",
        )),
    }
}

fn require_token(key: &AccessKey, given: Option<&str>) -> Result<(), Refusal> {
    match (&key.security_token, given) {
        (None, None) => Ok(()),
        (Some(known), Some(given)) if known == given => Ok(()),
        (Some(_), None) => Err(Refusal::new(
            400,
            "MissingSecurityToken",
            "SecurityToken is mandatory for this action.",
        )),
        (_, Some(_)) => Err(Refusal::new(
            400,
            "InvalidSecurityToken.MismatchWithAccessKey",
            "Specified SecurityToken mismatch with the AccessKey.",
        )),
    }
}

fn require_method(request: &Request) -> Result<(), Refusal> {
    if request.required("SignatureMethod")? != "HMAC-SHA1" {
        let message = "Specified signature method is not valid.";
        return Err(Refusal::new(400, "InvalidSignatureMethod", message));
    }
    if request.required("SignatureVersion")? != "1.0" {
        return Err(Refusal::invalid("SignatureVersion"));
    }
    Ok(())
}

fn require_fresh(timestamp: &str, now: Timestamp) -> Result<(), Refusal> {
    let moment = read_timestamp(timestamp).ok_or_else(|| {
        let message = "Specified time stamp or date value is not well formatted.";
        Refusal::new(400, "InvalidTimeStamp.Format", message)
    })?;
    if now.duration_since(moment).abs() > MAX_SKEW {
        let message = "Specified time stamp or date value is expired.";
        return Err(Refusal::new(400, "InvalidTimeStamp.Expired", message));
    }
    Ok(())
}

/// Reads `YYYY-MM-DDThh:mm:ssZ` and nothing else.
fn read_timestamp(text: &str) -> Option<Timestamp> {
    let moment: Timestamp = text.parse().ok()?;
    (moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() == text).then_some(moment)
}
