//! What the disk and other processes can do to a write: it is not done, and the error says why.

use std::slice;

use sqlx::query;

use super::*;
use crate::retry::Class;
use crate::secret::Secret;

#[tokio::test]
async fn a_full_disk_loses_nothing_and_is_passing() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    limit_pages(&store, pages + 2).await;
    let large = HistoryEntry {
        message: "x".repeat(1 << 20),
        ..entry("large")
    };
    let before = store.load(&video()).await.unwrap();
    let full = store
        .save(&lease, &Record::default(), NOW, slice::from_ref(&large))
        .await
        .unwrap_err();
    assert!(matches!(full, StoreError::Full(_)), "{full:?}");
    assert_eq!(full.class(), Class::Backoff);
    assert_eq!(
        store.load(&video()).await.unwrap(),
        before,
        "the record was not saved either"
    );
    limit_pages(&store, pages + 1000).await;
    store
        .save(&lease, &Record::default(), NOW, &[large])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_database_that_became_read_only_is_passing() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    query("PRAGMA query_only = ON")
        .execute(&store.writer)
        .await
        .unwrap();
    let refused = store
        .save(&lease, &Record::default(), NOW, &[])
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly(_)), "{refused:?}");
    assert_eq!(refused.class(), Class::Backoff);
    query("PRAGMA query_only = OFF")
        .execute(&store.writer)
        .await
        .unwrap();
    store
        .save(&lease, &Record::default(), NOW, &[])
        .await
        .unwrap();
}

#[tokio::test]
async fn another_writer_makes_it_busy_and_is_passing() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let other = crate::store::database::writer(&home.path()).await.unwrap();
    let held = crate::store::database::begin(&other).await.unwrap();
    query("PRAGMA busy_timeout = 0")
        .execute(&store.writer)
        .await
        .unwrap();
    let busy = store
        .save(&lease, &Record::default(), NOW, &[])
        .await
        .unwrap_err();
    assert!(matches!(busy, StoreError::Busy(_)), "{busy:?}");
    assert_eq!(busy.class(), Class::Backoff);
    assert!(
        store.load(&video()).await.unwrap().is_some(),
        "readers do not wait"
    );
    held.rollback().await.unwrap();
    store
        .save(&lease, &Record::default(), NOW, &[])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_row_that_was_not_committed_is_not_returned() {
    let home = Home::new();
    let store = home.open().await;
    store.ensure(&[video()], NOW).await.unwrap();
    fail_commits_of(&store, "UPDATE ON certificates").await;
    fail_commits_of(&store, "INSERT ON acme_accounts").await;

    let claimed = store.claim(&video(), NOW).await;
    claimed.expect_err("a lease that nobody else knows of");
    let key = Secret::new("key");
    let stored = store.save_account_key(DIRECTORY, &key, NOW).await;
    stored.expect_err("an account with this key would be lost");
    assert_eq!(store.account(DIRECTORY).await.unwrap(), None);
}

/// Lets a statement succeed and fail at its commit, as when the disk is full.
async fn fail_commits_of(store: &Store, write: &str) {
    let name = write.replace(' ', "_");
    let statements = format!(
        "CREATE TABLE {name} (
             id INTEGER PRIMARY KEY,
             other INTEGER REFERENCES {name} (id) DEFERRABLE INITIALLY DEFERRED
         );
         CREATE TRIGGER fail_{name} AFTER {write} BEGIN INSERT INTO {name} VALUES (1, 2); END"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements))
        .execute(&store.writer)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_damaged_page_is_for_a_person() {
    let home = Home::new();
    let store = home.open().await;
    claimed(&store).await;
    store.close().await;
    let mut bytes = std::fs::read(home.path()).unwrap();
    let header = 4096;
    bytes[header..].fill(0xa5);
    std::fs::write(home.path(), bytes).unwrap();
    let refused = home.try_open(None).await.unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused:?}");
    assert_eq!(refused.class(), Class::Operator);
}

#[tokio::test]
async fn a_generation_is_never_replaced() {
    let home = Home::new();
    let store = home.open().await;
    let lease = claimed(&store).await;
    let (chain, key) = pair();
    let record = Record::default();
    let new = new_generation(1, &chain, &key);
    let id = intend(&store, &lease, &record).await;
    store
        .save_generation(&lease, &record, NOW, &id, &new, &[])
        .await
        .unwrap();
    let again = store
        .save_generation(&lease, &record, NOW, &id, &new, &[entry("again")])
        .await;
    let again = again.unwrap_err();
    assert!(matches!(again, StoreError::Statement(_)), "{again:?}");
    assert_eq!(again.class(), Class::Bug);
    assert_eq!(store.history(None, 10).await.unwrap(), []);
}

async fn limit_pages(store: &Store, pages: i64) {
    let pragma = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
    query(pragma).execute(&store.writer).await.unwrap();
}
