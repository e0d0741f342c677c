//! The files of the store: where they lie, who may read them, and the lock.
//!
//! Beside `state.db` lie `state.db.lock` and SQLite's `-wal` and `-shm`, which inherit mode and
//! owner from the database.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is the one place that makes files"
)]

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::database::Reading;
use super::error::StoreError;

/// Readable and writable by the owner, by nobody else.
const PRIVATE: u32 = 0o600;

/// What SQLite and we put beside the database.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", ".lock"];

/// Takes the exclusive lock beside the database. It is held as long as the file is open, and ends
/// with the process however that ends.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let lock = beside(path, ".lock");
    let file = private().open(&lock).map_err(|source| StoreError::Folder {
        folder: folder(path).to_owned(),
        source,
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::AlreadyRunning { lock }),
        Err(TryLockError::Error(source)) => Err(StoreError::File { path: lock, source }),
    }
}

/// Creates the database file if there is none, before SQLite would do so with wider permissions, and
/// narrows those of files that are already there.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::File {
        path: path.to_owned(),
        source,
    };
    if !path.exists() {
        private().open(path).map_err(failed)?;
        // The name must survive a power cut as well as the contents.
        File::open(folder(path))
            .and_then(|folder| folder.sync_all())
            .map_err(failed)?;
    }
    for suffix in BESIDE {
        restrict(&beside(path, suffix)).map_err(failed)?;
    }
    Ok(())
}

/// How a database can be read that is already there. SQLite removes its log at a clean end.
pub(super) fn reading(path: &Path) -> Result<Reading, StoreError> {
    match File::open(path) {
        Ok(_) if beside(path, "-wal").exists() => Ok(Reading::Live),
        Ok(_) => Ok(Reading::AtRest),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing {
            path: path.to_owned(),
        }),
        Err(source) => Err(StoreError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(PRIVATE);
    options
}

fn restrict(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(data) if data.permissions().mode() & 0o777 == PRIVATE => Ok(()),
        Ok(_) => fs::set_permissions(path, Permissions::from_mode(PRIVATE)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}
