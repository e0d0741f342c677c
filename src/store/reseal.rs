//! Compares the seal key with the one that sealed the store, and seals everything anew when a new
//! one is given together with the old.

use sqlx::sqlite::SqliteConnection;
use sqlx::{query, query_as, query_scalar};

use super::error::StoreError;
use super::seal::{Place, SealKey, SealKeyError, seal, unseal};

/// A column of keys: how to list its rows, read one, write one.
struct Column {
    table: &'static str,
    list: &'static str,
    read: &'static str,
    write: &'static str,
}

const COLUMNS: [Column; 3] = [
    Column {
        table: "generations",
        list: "SELECT name, CAST(generation AS TEXT) FROM generations WHERE key_sealed IS NOT NULL",
        read: "SELECT key_sealed FROM generations WHERE name = $1 AND CAST(generation AS TEXT) = $2",
        write: "UPDATE generations SET key_sealed = $3 WHERE name = $1 AND CAST(generation AS TEXT) = $2",
    },
    Column {
        table: "orders",
        list: "SELECT name, id FROM orders WHERE key_sealed IS NOT NULL",
        read: "SELECT key_sealed FROM orders WHERE name = $1 AND id = $2",
        write: "UPDATE orders SET key_sealed = $3 WHERE name = $1 AND id = $2",
    },
    Column {
        table: "acme_accounts",
        list: "SELECT directory, '' FROM acme_accounts",
        read: "SELECT key_sealed FROM acme_accounts WHERE directory = $1 AND $2 = ''",
        write: "UPDATE acme_accounts SET key_sealed = $3 WHERE directory = $1 AND $2 = ''",
    },
];

/// Makes sure that everything is sealed with `given`, or refuses.
///
/// | stored | given | then |
/// |---|---|---|
/// | plain | none | as it is |
/// | plain | a key | sealed |
/// | sealed | its key | as it is |
/// | sealed | another key, its key as an older one | sealed anew |
/// | sealed | none, or another key | refused |
///
/// Returns whether something was sealed anew, so that what it was before must go from the files.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    given: Option<&SealKey>,
) -> Result<bool, StoreError> {
    let stored: Option<String> = query_scalar("SELECT value FROM meta WHERE key = 'seal_key_id'")
        .fetch_optional(&mut *connection)
        .await?;
    match (stored, given) {
        (None, None) => Ok(false),
        (Some(stored), None) => Err(SealKeyError::Missing { stored }.into()),
        (None, Some(new)) => reseal(connection, None, new).await,
        (Some(stored), Some(key)) if stored == key.id() => Ok(false),
        (Some(stored), Some(new)) => {
            let given = new.id().to_owned();
            let old = new.previous(&stored);
            let old = old.ok_or(SealKeyError::Other { stored, given })?;
            reseal(connection, Some(&old), new).await
        }
    }
}

async fn reseal(
    connection: &mut SqliteConnection,
    old: Option<&SealKey>,
    new: &SealKey,
) -> Result<bool, StoreError> {
    for column in &COLUMNS {
        let rows: Vec<(String, String)> = query_as(column.list).fetch_all(&mut *connection).await?;
        for (name, part) in rows {
            let place = Place {
                table: column.table,
                name: &name,
                part: &part,
            };
            let stored: Vec<u8> = query_scalar(column.read)
                .bind(&name)
                .bind(&part)
                .fetch_one(&mut *connection)
                .await?;
            let key = unseal(old, place, &stored)?;
            query(column.write)
                .bind(&name)
                .bind(&part)
                .bind(seal(Some(new), place, key.expose())?)
                .execute(&mut *connection)
                .await?;
        }
    }
    query(
        "INSERT INTO meta (key, value) VALUES ('seal_key_id', $1)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )
    .bind(new.id())
    .execute(connection)
    .await?;
    Ok(true)
}
