//! Our account at a CA (RFC 8555 §7.3), shaped for being killed at any moment.
//!
//! The account key is made and **stored by the caller before** [`open`] sees it. An account whose
//! URL was never stored is found again by its key, so nothing is lost between the CA's answer and
//! our disk.

use std::fmt;
use std::sync::Arc;

use instant_acme::{AccountCredentials, Key};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::ca::Ca;
use super::error::{AcmeError, Cause, Operation};
use super::poll::despite_nonces;
use super::transport::Transport;
use crate::certificate::KeyType;
use crate::keys::{KeyError, KeyFormat, PrivateKey};
use crate::secret::Secret;

/// An account that orders can be placed with. Cheap to clone; every order is a conversation of its
/// own, so orders of one account can run at the same time.
#[derive(Clone)]
pub struct Account {
    ca: Ca,
    key: Arc<PrivateKey>,
    url: Arc<str>,
}

/// The outcome of [`open`].
#[derive(Debug)]
pub struct Opened {
    /// The account.
    pub account: Account,
    /// Whether it was made just now.
    pub created: bool,
    /// Why the CA did not take the contacts. The account is good all the same.
    pub contacts_refused: Option<AcmeError>,
}

/// Makes the key of a new account: PKCS#8 in PEM, to be stored before it is used. P-256, the one
/// kind that the library signs with.
pub fn generate_account_key() -> Result<Secret, KeyError> {
    PrivateKey::generate(KeyType::EcdsaP256)?.to_pem(KeyFormat::Pkcs8)
}

/// Opens the account of `key` at a CA.
///
/// With the URL of a stored account nothing is asked: an account that the CA has lost shows at the
/// first order ([`AcmeError::account_is_gone`]); open it again without the URL then. Other contacts are
/// told with [`Account::update_contacts`]. Without a URL, the account is looked up by its key, and made
/// if the CA does not know the key, which agrees to the CA's terms of service. `contacts` are mail
/// addresses.
pub async fn open(
    ca: &Ca,
    key: &Secret,
    account_url: Option<&str>,
    contacts: &[String],
) -> Result<Opened, AcmeError> {
    let key = PrivateKey::from_pem(key)
        .map_err(|error| AcmeError::new(Operation::FindAccount, Cause::AccountKey(error)))?;
    if let Some(url) = account_url {
        return Ok(Opened {
            account: Account::new(ca, key, url),
            created: false,
            contacts_refused: None,
        });
    }
    let (account, transport, created) = find_or_create(ca, &key).await?;
    let contacts_refused = match contacts {
        [] => None,
        contacts => update_contacts(&account, &transport, contacts).await.err(),
    };
    Ok(Opened {
        account: Account::new(ca, key, account.id()),
        created,
        contacts_refused,
    })
}

async fn find_or_create(
    ca: &Ca,
    key: &PrivateKey,
) -> Result<(instant_acme::Account, Transport, bool), AcmeError> {
    match register(ca, key, Operation::FindAccount).await {
        Err(error) if error.account_is_gone() => {}
        found => return found.map(|(account, transport)| (account, transport, false)),
    }
    let (account, transport) = register(ca, key, Operation::CreateAccount).await?;
    Ok((account, transport, true))
}

/// Sends newAccount: as a question (`onlyReturnExisting`) or as a request.
async fn register(
    ca: &Ca,
    key: &PrivateKey,
    operation: Operation,
) -> Result<(instant_acme::Account, Transport), AcmeError> {
    let transport = Transport::new(ca);
    let create = operation == Operation::CreateAccount;
    let (account, _) = despite_nonces!(&transport, send_new_account(ca, key, create, &transport))
        .map_err(|error| AcmeError::of_library(operation, error, &transport))?;
    Ok((account, transport))
}

async fn send_new_account(
    ca: &Ca,
    key: &PrivateKey,
    create: bool,
    transport: &Transport,
) -> Result<(instant_acme::Account, AccountCredentials), instant_acme::Error> {
    let builder = instant_acme::Account::builder_with_http(Box::new(transport.clone()));
    let pair = (
        Key::from_pkcs8_der(pkcs8(key))?,
        PrivateKeyDer::from(pkcs8(key)).clone_key(),
    );
    let directory = ca.directory().to_owned();
    if create {
        builder.create_from_key(pair, directory).await
    } else {
        builder.from_key(pair, directory).await
    }
}

async fn update_contacts(
    account: &instant_acme::Account,
    transport: &Transport,
    contacts: &[String],
) -> Result<(), AcmeError> {
    let urls: Vec<String> = contacts
        .iter()
        .map(|mail| format!("mailto:{mail}"))
        .collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    despite_nonces!(transport, account.update_contacts(&urls))
        .map_err(|error| AcmeError::of_library(Operation::UpdateContacts, error, transport))
}

fn pkcs8(key: &PrivateKey) -> PrivatePkcs8KeyDer<'_> {
    PrivatePkcs8KeyDer::from(key.pkcs8())
}

// === impl Account ===

impl Account {
    fn new(ca: &Ca, key: PrivateKey, url: &str) -> Self {
        Self {
            ca: ca.clone(),
            key: Arc::new(key),
            url: url.into(),
        }
    }

    /// The account's URL at the CA, to be stored.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The CA.
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    /// Tells the CA other contacts, or none: mail addresses (RFC 8555 §7.3.2).
    pub async fn update_contacts(&self, contacts: &[String]) -> Result<(), AcmeError> {
        let (account, transport) = self.converse(Operation::UpdateContacts).await?;
        update_contacts(&account, &transport, contacts).await
    }

    /// Starts a conversation with its own record of answers.
    pub(super) async fn converse(
        &self,
        operation: Operation,
    ) -> Result<(instant_acme::Account, Transport), AcmeError> {
        let transport = Transport::new(&self.ca);
        let account = instant_acme::Account::builder_with_http(Box::new(transport.clone()))
            .from_parts(
                self.url.to_string(),
                pkcs8(&self.key),
                self.ca.directory().to_owned(),
            )
            .await
            .map_err(|error| AcmeError::of_library(operation, error, &transport))?;
        Ok((account, transport))
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Account").field(&self.url).finish()
    }
}
