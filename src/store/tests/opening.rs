//! Opening: who may, what is made, what is refused and left alone.

use std::os::unix::fs::PermissionsExt as _;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::*;
use crate::store::ReadStore;

#[tokio::test]
async fn a_second_daemon_is_refused_until_the_first_one_ends() {
    let home = Home::new();
    let first = home.open().await;
    let refused = home.try_open(None).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::AlreadyRunning { .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("already running"), "{refused}");
    first.close().await;
    let second = home.open().await;
    drop(second);
    home.open().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let home = Home::new();
    std::fs::write(home.0.path().join("file"), "").unwrap();
    let inside = |name: &str| home.0.path().join(name).join("state.db");
    for path in [
        inside("missing"),
        inside("file"),
        "/proc/self/state.db".into(),
    ] {
        let settings = StoreSettings {
            path: path.clone(),
            ..home.settings(None)
        };
        let refused = Store::open(&settings, NOW).await.unwrap_err();
        assert!(
            matches!(refused, StoreError::Folder { .. }),
            "{path:?}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn every_file_is_its_owners_alone() {
    let home = Home::new();
    let modes = || {
        let entries = std::fs::read_dir(home.0.path()).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let mut modes: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .map(|path| (name(&path), mode(&path)))
            .collect();
        modes.sort();
        modes
    };
    let expected = ["state.db", "state.db-shm", "state.db-wal", "state.db.lock"]
        .map(|name| (name.to_owned(), 0o600));
    let store = home.open().await;
    store.ensure(&[video()], NOW).await.unwrap();
    assert_eq!(modes(), expected);

    let left = home.killed();
    for entry in std::fs::read_dir(left.0.path()).unwrap() {
        let wide = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(entry.unwrap().path(), wide).unwrap();
    }
    let store = left.open().await;
    assert!(store.load(&video()).await.unwrap().is_some());
    for (name, content) in left.files() {
        let mode = left
            .0
            .path()
            .join(&name)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name} of {} bytes", content.len());
    }
}

#[tokio::test]
async fn a_path_may_hold_what_has_a_meaning_in_urls() {
    let home = Home::new();
    let path = home.0.path().join("a b%20c?d#e.db");
    let settings = StoreSettings {
        path: path.clone(),
        ..home.settings(None)
    };
    let store = Store::open(&settings, NOW).await.unwrap();
    store.ensure(&[video()], NOW).await.unwrap();
    assert!(reads(&path).await, "while a daemon runs");
    store.close().await;
    assert!(reads(&path).await, "while none runs");
    assert_eq!(home.names(), ["a b%20c?d#e.db", "a b%20c?d#e.db.lock"]);
}

#[tokio::test]
async fn the_installation_id_is_made_once() {
    let home = Home::new();
    let store = home.open().await;
    let id = store.installation_id().to_owned();
    assert!(
        id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit()),
        "{id}"
    );
    store.close().await;
    assert_eq!(home.open().await.installation_id(), id);
    assert_ne!(Home::new().open().await.installation_id(), id);
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_refused_and_left_as_it_is() {
    let home = Home::new();
    home.open().await.close().await;
    execute(
        &home.path(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999, 'later', 1, x'00', 0)",
    )
    .await;
    let before = home.digests();
    let refused = home.try_open(None).await.unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::NewerSchema {
                found: 999,
                known: 3
            }
        ),
        "{refused:?}"
    );
    let refused = ReadStore::open(&home.path()).await.unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::NewerSchema {
                found: 999,
                known: 3
            }
        ),
        "{refused:?}"
    );
    assert_eq!(home.digests(), before);
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_as_it_is() {
    let home = Home::new();
    let garbage = "this is no database, but it is long enough to have a header ".repeat(100);
    std::fs::write(home.path(), &garbage).unwrap();
    let refused = home.try_open(None).await.unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused:?}");
    assert_eq!(std::fs::read(home.path()).unwrap(), garbage.as_bytes());

    std::fs::write(home.path(), "").unwrap();
    let refused = ReadStore::open(&home.path()).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::OlderSchema { found: 0, known: 3 }),
        "{refused:?}"
    );
    execute(&home.path(), "CREATE TABLE songs (title TEXT)").await;
    let refused = home.try_open(None).await.unwrap_err();
    assert!(matches!(refused, StoreError::Foreign { .. }), "{refused:?}");
    let refused = ReadStore::open(&home.path()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Foreign { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_reader_creates_nothing() {
    let home = Home::new();
    let refused = ReadStore::open(&home.path()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Missing { .. }), "{refused:?}");
    assert_eq!(home.names(), [""; 0]);

    let store = home.open().await;
    store.ensure(&[video()], NOW).await.unwrap();
    let killed = home.killed();
    store.close().await;
    for (left, home) in [("a clean end", home), ("a kill", killed)] {
        let before = home.digests();
        let reader = ReadStore::open(&home.path()).await.unwrap();
        assert!(reader.load(&video()).await.unwrap().is_some(), "{left}");
        reader.close().await;
        assert_eq!(home.digests(), before, "{left}");
        assert!(
            home.open().await.load(&video()).await.unwrap().is_some(),
            "{left}"
        );
    }
}

#[tokio::test]
async fn a_reader_sees_what_the_daemon_writes() {
    let home = Home::new();
    let store = home.open().await;
    let reader = ReadStore::open(&home.path()).await.unwrap();
    assert_eq!(reader.installation_id(), store.installation_id());
    assert_eq!(reader.load(&video()).await.unwrap(), None);
    let lease = claimed(&store).await;
    let record = Record {
        newest_generation: 7,
        ..Record::default()
    };
    for version in 1..=20 {
        store.save(&lease, &record, NOW, &[]).await.unwrap();
        let stored = reader.load(&video()).await.unwrap().unwrap();
        assert_eq!(
            (stored.version, stored.record.newest_generation),
            (version, 7)
        );
    }
    assert!(
        sqlx::query("DELETE FROM certificates")
            .execute(&reader.pool)
            .await
            .is_err()
    );
}

/// Whether a reader finds the certificate.
async fn reads(path: &Path) -> bool {
    let reader = ReadStore::open(path).await.unwrap();
    let found = reader.load(&video()).await.unwrap().is_some();
    reader.close().await;
    found
}

/// Does something to the file behind the store's back.
async fn execute(path: &Path, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query(statement)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}
