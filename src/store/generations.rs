//! Issued chains and their keys.

use std::collections::BTreeSet;

use sqlx::sqlite::SqliteConnection;
use sqlx::{query, query_as, query_scalar};

use super::error::{StoreError, malformed};
use super::history::{self, HistoryEntry};
use super::id::OrderId;
use super::lease::{self, Lease};
use super::orders;
use super::read::ReadStore;
use super::seal::{KeyMaterial, Place, seal, unseal};
use super::write::Store;
use crate::certificate::{Chain, Fingerprint};
use crate::name::Label;
use crate::renewal::Record;
use crate::time::Timestamp;

/// A generation that was just issued.
#[derive(Clone, Copy, Debug)]
pub struct NewGeneration<'a> {
    /// Its number, greater than all before.
    pub generation: u32,
    /// The chain, the leaf first.
    pub chain: &'a Chain,
    /// The leaf's private key (PKCS#8 DER).
    pub key: &'a KeyMaterial,
    /// The issuer's name in the configuration.
    pub issuer: &'a str,
    /// The URL of the CA's directory.
    pub directory: &'a str,
}

/// A generation that can be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The chain in the one PEM form that every target takes ([`Chain::to_pem`]).
    pub chain_pem: String,
    /// The leaf's private key (PKCS#8 DER).
    pub key: KeyMaterial,
}

/// What is known of a generation without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChain {
    /// The SHA-256 of its leaf, which is never forgotten.
    pub leaf: Fingerprint,
    /// The chain in the one PEM form that every target takes; nothing once it is not kept any more.
    pub pem: Option<String>,
}

impl Store {
    /// Stores a generation, the record that names it and the end of its order, all or nothing.
    ///
    /// Chains and keys of generations that are older than what is kept are removed, except of those
    /// that some target has.
    pub async fn save_generation(
        &self,
        lease: &Lease,
        record: &Record,
        now: Timestamp,
        order: &OrderId,
        new: &NewGeneration<'_>,
        entries: &[HistoryEntry],
    ) -> Result<(), StoreError> {
        let label = lease.label();
        let part = new.generation.to_string();
        let key = seal(self.seal.as_ref(), place(label, &part), new.key.expose())?;
        let mut transaction = lease::begin_save(self, lease, record, now).await?;
        insert(&mut transaction, label, order, new, &key, now).await?;
        orders::close(&mut transaction, label, order, "issued", now).await?;
        history::add(&mut transaction, entries).await?;
        prune(&mut transaction, label, record, self.keep_generations).await?;
        Ok(transaction.commit().await?)
    }

    /// A generation with its key; nothing if it was never there or is not kept any more.
    pub async fn generation(
        &self,
        label: &Label,
        generation: u32,
    ) -> Result<Option<Generation>, StoreError> {
        let row: Option<(String, Vec<u8>)> = query_as(
            "SELECT chain, key_sealed FROM generations
             WHERE name = $1 AND generation = $2 AND chain IS NOT NULL AND key_sealed IS NOT NULL",
        )
        .bind(label.as_str())
        .bind(i64::from(generation))
        .fetch_optional(&self.pool)
        .await?;
        let Some((chain_pem, stored)) = row else {
            return Ok(None);
        };
        let part = generation.to_string();
        let key = unseal(self.seal.as_ref(), place(label, &part), &stored)?;
        Ok(Some(Generation { chain_pem, key }))
    }
}

impl ReadStore {
    /// Which of our generations has this leaf, kept or not. The newest one, should an imported leaf
    /// be there twice.
    pub async fn generation_of(
        &self,
        leaf: &Fingerprint,
    ) -> Result<Option<(Label, u32)>, StoreError> {
        let row: Option<(String, i64)> = query_as(
            "SELECT name, generation FROM generations
             WHERE fingerprint = $1 ORDER BY created_at DESC LIMIT 1",
        )
        .bind(leaf.to_string())
        .fetch_optional(&self.pool)
        .await?;
        let Some((name, generation)) = row else {
            return Ok(None);
        };
        let label = name.parse().map_err(malformed("generations"))?;
        let generation = u32::try_from(generation).map_err(malformed("generations"))?;
        Ok(Some((label, generation)))
    }

    /// A generation without its key, kept or not; nothing if it was never there.
    pub async fn chain_of(
        &self,
        label: &Label,
        generation: u32,
    ) -> Result<Option<StoredChain>, StoreError> {
        let row: Option<(String, Option<String>)> = query_as(
            "SELECT fingerprint, chain FROM generations WHERE name = $1 AND generation = $2",
        )
        .bind(label.as_str())
        .bind(i64::from(generation))
        .fetch_optional(&self.pool)
        .await?;
        let Some((leaf, pem)) = row else {
            return Ok(None);
        };
        let leaf = leaf.parse().map_err(malformed("generations"))?;
        Ok(Some(StoredChain { leaf, pem }))
    }
}

fn place<'a>(label: &'a Label, part: &'a str) -> Place<'a> {
    Place {
        table: "generations",
        name: label.as_str(),
        part,
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    label: &Label,
    order: &OrderId,
    new: &NewGeneration<'_>,
    key_sealed: &[u8],
    now: Timestamp,
) -> Result<(), StoreError> {
    let leaf = new.chain.leaf();
    query(
        "INSERT INTO generations (name, generation, chain, key_sealed, fingerprint, not_before,
                                  not_after, issuer, directory, order_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(label.as_str())
    .bind(i64::from(new.generation))
    .bind(new.chain.to_pem())
    .bind(key_sealed)
    .bind(leaf.fingerprint.to_string())
    .bind(leaf.not_before.as_millis())
    .bind(leaf.not_after.as_millis())
    .bind(new.issuer)
    .bind(new.directory)
    .bind(order.as_str())
    .bind(now.as_millis())
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes chain and key of generations that are not kept.
async fn prune(
    connection: &mut SqliteConnection,
    label: &Label,
    record: &Record,
    keep: u32,
) -> Result<(), StoreError> {
    let held: Vec<i64> = query_scalar(
        "SELECT generation FROM generations
         WHERE name = $1 AND key_sealed IS NOT NULL ORDER BY generation DESC",
    )
    .bind(label.as_str())
    .fetch_all(&mut *connection)
    .await?;
    let used = used(record);
    let kept = usize::try_from(keep)
        .unwrap_or(usize::MAX)
        .saturating_add(1);
    for generation in held
        .into_iter()
        .skip(kept)
        .filter(|held| !used.contains(held))
    {
        query(
            "UPDATE generations SET chain = NULL, key_sealed = NULL
             WHERE name = $1 AND generation = $2",
        )
        .bind(label.as_str())
        .bind(generation)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The generations that are the newest, or that some target has as far as we know.
fn used(record: &Record) -> BTreeSet<i64> {
    let newest = record.issued.iter().map(|issued| issued.generation);
    let at_targets = record.targets.values().flat_map(|target| {
        [
            target
                .installed
                .as_ref()
                .map(|installed| installed.generation),
            target.served.as_ref().and_then(|served| served.generation),
            target.seen.map(|seen| seen.generation),
            target.proving.as_ref().map(|proving| proving.generation),
        ]
    });
    newest.chain(at_targets.flatten()).map(i64::from).collect()
}
