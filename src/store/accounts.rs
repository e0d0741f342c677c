//! Our account at each CA, by the URL of the CA's directory.

use sqlx::{query, query_as};

use super::database;
use super::error::{StoreError, malformed};
use super::seal::{Place, seal, unseal};
use super::write::Store;
use crate::secret::Secret;
use crate::time::Timestamp;

/// An account at a CA, or the key of one that is about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// The account's key, in the form in which it was given.
    pub key: Secret,
    /// The account's URL; nothing while we do not know that there is an account for the key.
    pub url: Option<String>,
    /// The mail addresses that the CA was given.
    pub contacts: Vec<String>,
    /// When the key was stored.
    pub created_at: Timestamp,
}

/// Key, URL, contacts and time, as stored.
type AccountColumns = (Vec<u8>, Option<String>, String, i64);

impl Store {
    /// Our account at a CA.
    pub async fn account(&self, directory: &str) -> Result<Option<AccountRow>, StoreError> {
        let row: Option<AccountColumns> = query_as(
            "SELECT key_sealed, url, contacts, created_at FROM acme_accounts WHERE directory = $1",
        )
        .bind(directory)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| self.read_account(directory, row)).transpose()
    }

    /// Stores the key of an account before it is used, and returns what is stored then: if there was
    /// a key already, that one stands, because there may be an account for it.
    pub async fn save_account_key(
        &self,
        directory: &str,
        key: &Secret,
        now: Timestamp,
    ) -> Result<AccountRow, StoreError> {
        let sealed = seal(
            self.seal.as_ref(),
            place(directory),
            key.expose().as_bytes(),
        )?;
        let mut transaction = database::begin(&self.writer).await?;
        let row: AccountColumns = query_as(
            "INSERT INTO acme_accounts (directory, key_sealed, contacts, created_at)
             VALUES ($1, $2, '[]', $3)
             ON CONFLICT (directory) DO UPDATE SET directory = excluded.directory
             RETURNING key_sealed, url, contacts, created_at",
        )
        .bind(directory)
        .bind(sealed)
        .bind(now.as_millis())
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.read_account(directory, row)
    }

    /// Stores that the CA has an account for our key, and the mail addresses that it was given.
    pub async fn save_account_url(
        &self,
        directory: &str,
        url: &str,
        contacts: &[String],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let contacts = serde_json::to_string(contacts).map_err(malformed("acme_accounts"))?;
        query(
            "UPDATE acme_accounts SET url = $1, contacts = $2, opened_at = $3 WHERE directory = $4",
        )
        .bind(url)
        .bind(contacts)
        .bind(now.as_millis())
        .bind(directory)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Forgets the URL of an account that the CA does not know any more. The key stays: the account
    /// is looked up by it, or made anew.
    pub async fn forget_account_url(&self, directory: &str) -> Result<(), StoreError> {
        query("UPDATE acme_accounts SET url = NULL, opened_at = NULL WHERE directory = $1")
            .bind(directory)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    fn read_account(&self, directory: &str, row: AccountColumns) -> Result<AccountRow, StoreError> {
        let (stored, url, contacts, created_at) = row;
        let key = unseal(self.seal.as_ref(), place(directory), &stored)?;
        let key = std::str::from_utf8(key.expose()).map_err(malformed("acme_accounts"))?;
        Ok(AccountRow {
            key: Secret::new(key),
            url,
            contacts: serde_json::from_str(&contacts).map_err(malformed("acme_accounts"))?,
            created_at: Timestamp::from_millis(created_at),
        })
    }
}

fn place(directory: &str) -> Place<'_> {
    Place {
        table: "acme_accounts",
        name: directory,
        part: "",
    }
}
