//! Our account at a CA: opened once per process, its key stored before it is used.

use super::{Unfinished, key_failed};
use crate::acme::{Account, AcmeError, account};
use crate::daemon::shared::{Issuer, Shared};
use crate::daemon::worker::Worker;
use crate::keys::KeyError;
use crate::renewal::{IssuerSpec, OrderFate};
use crate::retry::{Class, Failure};
use crate::store::{AccountRow, StoreError};

/// Why there is no account. Never shown: [`of`] tells each in the words of a failure.
enum AccountError {
    Store(StoreError),
    Acme(AcmeError),
    Key(KeyError),
    /// No such issuer.
    Unknown,
}

/// The account to order with. Whatever is wrong with it, the order under way, maybe of another CA,
/// was not touched.
pub(super) async fn of(worker: &Worker<'_>, issuer: &IssuerSpec) -> Result<Account, Unfinished> {
    let opened = worker.shared.account(&issuer.name).await;
    opened.map_err(|error| match error {
        AccountError::Store(error @ StoreError::Unsealable { .. }) => {
            tracing::warn!(
                issuer = issuer.name,
                error = &error as &dyn std::error::Error,
                "the key of the account is lost"
            );
            ours(
                "account-key-lost",
                "the key of the account cannot be read from the store".to_owned(),
            )
        }
        AccountError::Store(error) => Unfinished::Store(error),
        AccountError::Acme(error) => {
            let failure = error.failure(worker.shared.clock.now(), &issuer.directory);
            Unfinished::of(failure, OrderFate::Open)
        }
        AccountError::Key(error) => key_failed(error, OrderFate::Open),
        AccountError::Unknown => ours(
            "unknown-issuer",
            format!("no issuer is named {}", issuer.name),
        ),
    })
}

/// A failure on our side of the wire.
fn ours(code: &str, message: String) -> Unfinished {
    let failure = Failure::here(code, message, &[(Class::Operator, 1)]);
    Unfinished::of(failure, OrderFate::Open)
}

impl Shared {
    /// Our account at a CA.
    async fn account(&self, issuer: &str) -> Result<Account, AccountError> {
        let issuer = self.issuers.get(issuer).ok_or(AccountError::Unknown)?;
        let mut opened_before = issuer.account.lock().await;
        if let Some(account) = opened_before.as_ref() {
            return Ok(account.clone());
        }
        let account = self.open_account(issuer).await?;
        *opened_before = Some(account.clone());
        Ok(account)
    }

    async fn open_account(&self, issuer: &Issuer) -> Result<Account, AccountError> {
        let ca = issuer.ca.directory();
        let row = if let Some(row) = self.store.account(ca).await? {
            row
        } else {
            let key = account::generate_account_key()?;
            self.store
                .save_account_key(ca, &key, self.clock.now())
                .await?
        };
        let opened =
            account::open(&issuer.ca, &row.key, row.url.as_deref(), &issuer.contacts).await?;
        let account = opened.account;
        if row.url.is_some() {
            self.tell_contacts(issuer, &account, &row).await?;
            return Ok(account);
        }
        let told: &[String] = match &opened.contacts_refused {
            None => &issuer.contacts,
            Some(error) => {
                contacts_refused(ca, error);
                &[]
            }
        };
        let url = account.url();
        self.store
            .save_account_url(ca, url, told, self.clock.now())
            .await?;
        tracing::info!(
            ca,
            account = url,
            created = opened.created,
            "account opened"
        );
        Ok(account)
    }

    /// Tells the CA the contacts if they are not those that it was told last. The account is good
    /// all the same; the next start tries again.
    async fn tell_contacts(
        &self,
        issuer: &Issuer,
        account: &Account,
        row: &AccountRow,
    ) -> Result<(), StoreError> {
        if row.contacts == issuer.contacts {
            return Ok(());
        }
        let ca = issuer.ca.directory();
        match account.update_contacts(&issuer.contacts).await {
            Ok(()) => {
                tracing::info!(ca, "contacts changed");
                self.store
                    .save_account_url(ca, account.url(), &issuer.contacts, self.clock.now())
                    .await
            }
            Err(error) => {
                contacts_refused(ca, &error);
                Ok(())
            }
        }
    }

    /// Forgets where the account was: the CA does not know it any more. Its key stays, the next
    /// opening finds the account by it or makes a new one.
    pub(super) async fn forget_account(&self, issuer: &str) -> Result<(), StoreError> {
        let Some(issuer) = self.issuers.get(issuer) else {
            return Ok(());
        };
        *issuer.account.lock().await = None;
        self.store.forget_account_url(issuer.ca.directory()).await
    }
}

fn contacts_refused(ca: &str, error: &AcmeError) {
    tracing::warn!(
        ca,
        error = error as &dyn std::error::Error,
        "the CA did not take the contacts"
    );
}

// === impl AccountError ===

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<AcmeError> for AccountError {
    fn from(error: AcmeError) -> Self {
        Self::Acme(error)
    }
}

impl From<KeyError> for AccountError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}
