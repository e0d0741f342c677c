//! `vodcertd run`: the daemon, and what it is told by signals.

use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::{Exit, Failure};
use crate::clock::Clock;
use crate::config::{self, Severity};
use crate::daemon;

/// How long threads that cannot be stopped are waited for at the end. The daemon itself has come to
/// rest by then.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Runs the daemon until SIGTERM or SIGINT.
pub(super) fn run(path: &Path) -> Result<Exit, Failure> {
    // Whoever came first is as good: there is only this one in the program.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let loaded = config::load(path)?;
    for problem in loaded.warnings.iter() {
        match problem.severity() {
            Severity::Error | Severity::Warning => tracing::warn!("{}", problem.message()),
            Severity::Note => tracing::info!("{}", problem.message()),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(Failure::failed)?;
    let outcome = runtime.block_on(async {
        let signals = Signals::catch().map_err(Failure::failed)?;
        daemon::run(loaded.config, Clock::System, signals.end()).await?;
        Ok(Exit::Done)
    });
    // A thread that waits for the system's resolver cannot be stopped, and need not be waited for.
    runtime.shutdown_timeout(LAST_MOMENT);
    outcome
}

/// The signals that mean something. Caught before anything else is done, so that an early one is
/// not lost.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the one that ends the daemon.
    async fn end(mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                Some(()) = self.hangup.recv() => tracing::warn!(
                    "this version does not reload its configuration: restart it instead"
                ),
            }
        }
    }
}
