//! Orders, from their intent to their outcome.
//!
//! | killed after | what is found here |
//! |---|---|
//! | [`Store::save_order_intent`] | an order without URL; its budget stands |
//! | [`Store::save_order_accepted`] | an order with URL, key and request, to be taken up |
//! | [`Store::save_generation`], [`Store::close_order`] | no open order |

use std::collections::BTreeSet;

use sqlx::sqlite::SqliteConnection;
use sqlx::{FromRow, query, query_as, query_scalar};

use super::error::{StoreError, malformed};
use super::history::{self, HistoryEntry};
use super::id::{OrderId, new_id};
use super::lease::{self, Lease};
use super::ledger::{self, Row};
use super::read::ReadStore;
use super::seal::{KeyMaterial, Place, seal, unseal};
use super::write::Store;
use crate::certificate::KeyType;
use crate::name::{DnsName, Label};
use crate::renewal::{Draw, Exhausted, Record};
use crate::time::Timestamp;

/// An order that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrderRow {
    /// When it was decided upon.
    pub intent_at: Timestamp,
    /// The issuer's name in the configuration.
    pub issuer: String,
    /// The URL of the CA's directory.
    pub directory: String,
    /// The URL of the account that orders.
    pub account: String,
    /// The names.
    pub names: BTreeSet<DnsName>,
    /// The kind of key.
    pub key_type: KeyType,
    /// The profile asked for.
    pub profile: Option<String>,
    /// The certificate that it is said to replace (RFC 9773 §5), by its identifier.
    pub replaces: Option<String>,
    /// What it takes of the CA's limits.
    pub draws: Vec<Draw>,
    /// Whether the CA is to say that its limits leave no room, and not the ledger.
    pub overdraws: bool,
}

/// What is stored when the CA has accepted an order, before anything is finalised.
#[derive(Clone, Copy, Debug)]
pub struct AcceptedOrderRow<'a> {
    /// Where the order is at the CA.
    pub url: &'a str,
    /// The private key of the certificate to be (PKCS#8 DER).
    pub key: &'a KeyMaterial,
    /// The request that will be handed in (PKCS#10 DER).
    pub csr: &'a [u8],
    /// Whether the CA took it as the replacement of a certificate.
    pub replaces: bool,
    /// What it takes of the CA's limits now that this is known.
    pub draws: &'a [Draw],
}

/// An order that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// Its id here.
    pub id: OrderId,
    /// When it was decided upon.
    pub intent_at: Timestamp,
    /// When its URL was stored.
    pub accepted_at: Option<Timestamp>,
    /// Where it is at the CA; nothing if we do not know that the CA took it.
    pub url: Option<String>,
    /// The names.
    pub names: BTreeSet<DnsName>,
    /// The kind of key.
    pub key_type: KeyType,
    /// The request (PKCS#10 DER), stored with the URL.
    pub csr: Option<Vec<u8>>,
    /// The issuer's name in the configuration.
    pub issuer: String,
    /// The URL of the CA's directory.
    pub directory: String,
    /// The URL of the account that ordered.
    pub account: String,
    /// The profile asked for.
    pub profile: Option<String>,
    /// The certificate that it is said to replace.
    pub replaces: Option<String>,
}

#[derive(FromRow)]
struct OrderColumns {
    id: String,
    intent_at: i64,
    accepted_at: Option<i64>,
    url: Option<String>,
    names: String,
    key_type: String,
    csr: Option<Vec<u8>>,
    issuer: String,
    directory: String,
    account: String,
    profile: Option<String>,
    replaces: Option<String>,
}

impl Store {
    /// Stores that an order is about to be sent, and takes what it needs of the CA's limits. An order
    /// that was still open is closed: there is one at a time. Where the limits leave no room, nothing
    /// is stored.
    pub async fn save_order_intent(
        &self,
        lease: &Lease,
        record: &Record,
        now: Timestamp,
        order: &NewOrderRow,
        entries: &[HistoryEntry],
    ) -> Result<Result<OrderId, Exhausted>, StoreError> {
        let id = OrderId(new_id(order.intent_at));
        let mut transaction = lease::begin_save(self, lease, record, now).await?;
        query(
            "UPDATE orders SET closed_at = $1, outcome = 'abandoned', key_sealed = NULL
             WHERE name = $2 AND closed_at IS NULL",
        )
        .bind(now.as_millis())
        .bind(lease.label().as_str())
        .execute(&mut *transaction)
        .await?;
        insert(&mut transaction, lease.label(), &id, order).await?;
        let row = Row {
            directory: &order.directory,
            account: &order.account,
            order: id.as_str(),
        };
        let (draws, at) = (&order.draws, order.intent_at);
        let exhausted = ledger::draw(&mut transaction, &row, draws, order.overdraws, at).await?;
        if let Some(exhausted) = exhausted {
            transaction.rollback().await?;
            return Ok(Err(exhausted));
        }
        history::add(&mut transaction, entries).await?;
        transaction.commit().await?;
        Ok(Ok(id))
    }

    /// Stores where an order is, with the key and the request that belong to it.
    pub async fn save_order_accepted(
        &self,
        lease: &Lease,
        record: &Record,
        now: Timestamp,
        id: &OrderId,
        accepted: &AcceptedOrderRow<'_>,
        entries: &[HistoryEntry],
    ) -> Result<(), StoreError> {
        let place = place(lease.label(), id);
        let key = seal(self.seal.as_ref(), place, accepted.key.expose())?;
        let mut transaction = lease::begin_save(self, lease, record, now).await?;
        let done = query(
            "UPDATE orders SET accepted_at = $1, url = $2, key_sealed = $3, csr = $4
             WHERE id = $5 AND name = $6 AND closed_at IS NULL",
        )
        .bind(now.as_millis())
        .bind(accepted.url)
        .bind(key)
        .bind(accepted.csr)
        .bind(id.as_str())
        .bind(lease.label().as_str())
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            // The certificate must not be finalised with a key that is not stored.
            return Err(StoreError::OrderClosed {
                label: lease.label().clone(),
                order: id.clone(),
            });
        }
        ledger::count(&mut transaction, id, accepted.draws).await?;
        if !accepted.replaces {
            query("UPDATE orders SET replaces = NULL WHERE id = $1")
                .bind(id.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        history::add(&mut transaction, entries).await?;
        Ok(transaction.commit().await?)
    }

    /// Ends an order that brought no certificate. Its key is removed. `outcome` is one word.
    pub async fn close_order(
        &self,
        lease: &Lease,
        record: &Record,
        now: Timestamp,
        id: &OrderId,
        outcome: &str,
        entries: &[HistoryEntry],
    ) -> Result<(), StoreError> {
        let closing = begin_close(self, lease, record, now, id, outcome, entries);
        Ok(closing.await?.commit().await?)
    }

    /// Ends an order that the CA refused to take: what was reserved for it is given back.
    pub async fn close_refused_order(
        &self,
        lease: &Lease,
        record: &Record,
        now: Timestamp,
        id: &OrderId,
        outcome: &str,
        entries: &[HistoryEntry],
    ) -> Result<(), StoreError> {
        let closing = begin_close(self, lease, record, now, id, outcome, entries);
        let mut transaction = closing.await?;
        ledger::give_back(&mut transaction, id).await?;
        Ok(transaction.commit().await?)
    }

    /// The private key of an open order (PKCS#8 DER), which is stored with its URL.
    pub async fn order_key(
        &self,
        label: &Label,
        id: &OrderId,
    ) -> Result<Option<KeyMaterial>, StoreError> {
        let stored: Option<Vec<u8>> = query_scalar(
            "SELECT key_sealed FROM orders
             WHERE id = $1 AND name = $2 AND closed_at IS NULL AND key_sealed IS NOT NULL",
        )
        .bind(id.as_str())
        .bind(label.as_str())
        .fetch_optional(&self.pool)
        .await?;
        let unsealed = stored.map(|stored| unseal(self.seal.as_ref(), place(label, id), &stored));
        unsealed.transpose()
    }
}

impl ReadStore {
    /// The order of a certificate that is not over.
    pub async fn open_order(&self, label: &Label) -> Result<Option<OrderRow>, StoreError> {
        let row: Option<OrderColumns> = query_as(
            "SELECT id, intent_at, accepted_at, url, names, key_type, csr, issuer, directory,
                    account, profile, replaces
             FROM orders WHERE name = $1 AND closed_at IS NULL",
        )
        .bind(label.as_str())
        .fetch_optional(&self.pool)
        .await?;
        row.map(OrderRow::read).transpose()
    }
}

impl OrderRow {
    fn read(row: OrderColumns) -> Result<Self, StoreError> {
        Ok(Self {
            id: OrderId(row.id),
            intent_at: Timestamp::from_millis(row.intent_at),
            accepted_at: row.accepted_at.map(Timestamp::from_millis),
            url: row.url,
            names: serde_json::from_str(&row.names).map_err(malformed("orders"))?,
            key_type: row.key_type.parse().map_err(malformed("orders"))?,
            csr: row.csr,
            issuer: row.issuer,
            directory: row.directory,
            account: row.account,
            profile: row.profile,
            replaces: row.replaces,
        })
    }
}

fn place<'a>(label: &'a Label, id: &'a OrderId) -> Place<'a> {
    Place {
        table: "orders",
        name: label.as_str(),
        part: id.as_str(),
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    label: &Label,
    id: &OrderId,
    order: &NewOrderRow,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO orders
             (id, name, intent_at, names, key_type, issuer, directory, account, profile, replaces)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(id.as_str())
    .bind(label.as_str())
    .bind(order.intent_at.as_millis())
    .bind(serde_json::to_string(&order.names).map_err(malformed("orders"))?)
    .bind(order.key_type.as_str())
    .bind(&order.issuer)
    .bind(&order.directory)
    .bind(&order.account)
    .bind(&order.profile)
    .bind(&order.replaces)
    .execute(connection)
    .await?;
    Ok(())
}

/// Begins the end of an order that brought no certificate.
async fn begin_close(
    store: &Store,
    lease: &Lease,
    record: &Record,
    now: Timestamp,
    id: &OrderId,
    outcome: &str,
    entries: &[HistoryEntry],
) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>, StoreError> {
    let mut transaction = lease::begin_save(store, lease, record, now).await?;
    close(&mut transaction, lease.label(), id, outcome, now).await?;
    history::add(&mut transaction, entries).await?;
    Ok(transaction)
}

/// Closes an order and removes its key: what it was for is over, or has it in a generation.
pub(super) async fn close(
    connection: &mut SqliteConnection,
    label: &Label,
    id: &OrderId,
    outcome: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(
        "UPDATE orders SET closed_at = $1, outcome = $2, key_sealed = NULL
         WHERE id = $3 AND name = $4 AND closed_at IS NULL",
    )
    .bind(now.as_millis())
    .bind(outcome)
    .bind(id.as_str())
    .bind(label.as_str())
    .execute(connection)
    .await?;
    Ok(())
}
