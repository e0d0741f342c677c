//! How a command ends: the exit code, and what is said of a failure.

use std::io;
use std::process::ExitCode;

use crate::config::Problems;
use crate::daemon::DaemonError;
use crate::retry::Class;
use crate::store::{SealKeyError, StoreError};

/// The exit codes, as documented (from 64 on those of `sysexits.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed; for `status --check`: a warning.
    Failed = 1,
    /// Critical: `status --check` found what cannot wait.
    Critical = 2,
    /// The command line is wrong.
    Usage = 64,
    /// The other side, or the store, is not there.
    Unavailable = 69,
    /// It may pass by itself.
    TryLater = 75,
    /// The configuration is wrong.
    Configuration = 78,
}

/// Why a command did not do what it should.
#[derive(Debug)]
pub(super) enum Failure {
    /// The configuration is wrong, with every problem of it.
    Configuration(Problems),
    /// Anything else.
    Other {
        /// How the command ends.
        exit: Exit,
        /// Why, with its causes.
        error: anyhow::Error,
    },
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Failure {
    pub(super) fn usage(message: String) -> Self {
        Self::Other {
            exit: Exit::Usage,
            error: anyhow::Error::msg(message),
        }
    }

    pub(super) fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self::Other {
            exit: Exit::Failed,
            error: error.into(),
        }
    }

    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Configuration(_) => Exit::Configuration,
            Self::Other { exit, .. } => *exit,
        }
    }

    /// One line and one for each cause; for a configuration all its problems.
    pub(super) fn render(&self, colour: bool) -> String {
        match self {
            Self::Configuration(problems) => format!("{}\n", problems.render(colour)),
            Self::Other { error, .. } => {
                let mut text = format!("vodcertd: {error}\n");
                for cause in error.chain().skip(1) {
                    text.extend(["  because: ", &cause.to_string(), "\n"]);
                }
                text
            }
        }
    }
}

impl From<io::Error> for Failure {
    /// What the command found could not be printed.
    fn from(error: io::Error) -> Self {
        Self::Other {
            exit: Exit::Failed,
            error: anyhow::Error::new(error).context("could not print"),
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Other {
            exit: exit_of_store(&error),
            error: error.into(),
        }
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        let exit = match &error {
            DaemonError::Store(error) => exit_of_store(error),
            DaemonError::SealKeySource(_)
            | DaemonError::SealKey(_)
            | DaemonError::Network(_)
            | DaemonError::Issuer(_) => Exit::Configuration,
            DaemonError::Listen { .. } => Exit::Unavailable,
            DaemonError::Tick(_) => Exit::Failed,
        };
        Self::Other {
            exit,
            error: error.into(),
        }
    }
}

/// A second daemon may be on its way out, and a busy or full disk may recover. What needs a person
/// will not pass by itself; a key that is not the store's is a matter of the configuration.
fn exit_of_store(error: &StoreError) -> Exit {
    if matches!(error, StoreError::AlreadyRunning { .. }) {
        return Exit::TryLater;
    }
    if let StoreError::SealKey(
        SealKeyError::Missing { .. } | SealKeyError::Other { .. } | SealKeyError::Malformed,
    ) = error
    {
        return Exit::Configuration;
    }
    match error.class() {
        Class::Backoff | Class::After | Class::Reconcile | Class::Refresh => Exit::TryLater,
        Class::Operator => Exit::Unavailable,
        Class::Bug | Class::Reformat | Class::Reissue | Class::Rename => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_and_one_for_each_cause() {
        let source = io::Error::new(io::ErrorKind::AddrInUse, "address in use");
        let address = "127.0.0.1:9440".parse().unwrap();
        let failure = Failure::from(DaemonError::Listen { address, source });
        assert_eq!(failure.exit(), Exit::Unavailable);
        assert_eq!(
            failure.render(false),
            "vodcertd: could not listen at 127.0.0.1:9440\n  because: address in use\n"
        );
    }

    #[test]
    fn what_passes_by_itself_is_told_apart_from_what_does_not() {
        let cases = [
            (StoreError::Missing { path: "/x".into() }, Exit::Unavailable),
            (
                StoreError::AlreadyRunning {
                    lock: "/x.lock".into(),
                },
                Exit::TryLater,
            ),
            (
                StoreError::SealKey(SealKeyError::Missing {
                    stored: "0a".into(),
                }),
                Exit::Configuration,
            ),
            (StoreError::Busy(sqlx_timeout()), Exit::TryLater),
            (StoreError::Statement(sqlx_timeout()), Exit::Failed),
        ];
        for (error, exit) in cases {
            let text = error.to_string();
            assert_eq!(Failure::from(error).exit(), exit, "{text}");
        }
    }

    fn sqlx_timeout() -> sqlx::Error {
        sqlx::Error::PoolTimedOut
    }
}
