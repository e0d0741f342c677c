//! The shell around the core: builds the adapters, finds due work, performs it, tells systemd.
//!
//! ```text
//!   tick ──┐
//!   timer ─┼─► dispatch ─► worker (one per certificate at work) ─► order, renewal_info ── acme
//!   ended ─┘      │           decide, perform, apply, save  ├────► proof ── solver
//!                 │                                         └────► install ── target
//!              systemd
//! ```
//!
//! Beside it the clock is watched and proofs that were left over are taken away.
//!
//! Only this folder spawns tasks and rolls dice. A failure of one certificate, even a panic, never
//! touches another one.

mod build;
mod chronicle;
mod clock_watch;
#[cfg(test)]
mod codes;
mod dispatch;
mod fault;
mod install;
mod order;
mod proof;
mod renewal_info;
mod shared;
mod systemd;
mod tick;
mod trust;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_cron_scheduler::JobSchedulerError;

use self::dispatch::Dispatcher;
use self::shared::Shared;
use self::tick::Ticker;
use crate::acme::CaUrlError;
use crate::clock::Clock;
use crate::config::Config;
use crate::net::NetworkError;
use crate::secret::SecretError;
use crate::status::{self, ApiCalls, Live, Metrics, Site};
use crate::store::{ReadStore, SealKeyError, StoreError};

/// Why the daemon could not start. Once it runs it only ends when told to.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The store cannot be opened.
    #[error("could not open the store")]
    Store(#[from] StoreError),
    /// The key that seals private keys cannot be read.
    #[error("could not read the key that seals private keys")]
    SealKeySource(#[from] SecretError),
    /// The key that seals private keys is none.
    #[error("the key that seals private keys cannot be used")]
    SealKey(#[from] SealKeyError),
    /// The HTTP client cannot be built.
    #[error("could not set up the network")]
    Network(#[from] NetworkError),
    /// A CA's directory URL cannot be used.
    #[error("an issuer cannot be used")]
    Issuer(#[from] CaUrlError),
    /// The status page's address cannot be listened at.
    #[error("could not listen at {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The tick cannot be started.
    #[error("could not start the tick")]
    Tick(#[from] JobSchedulerError),
}

/// Runs the daemon until `shutdown` is ready, then lets the work under way come to rest.
///
/// Work that is cut off is found by the next start as after a crash; nothing is lost by it.
pub async fn run(
    config: Config,
    clock: Clock,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    let shared = Arc::new(build::build(&config, &clock, Metrics::new()).await?);
    let labels: Vec<_> = shared.jobs.keys().cloned().collect();
    let now = clock.now();
    shared.store.ensure(&labels, now).await?;
    wake_reconfigured(&shared).await?;
    let mut ticker = Ticker::start(&config.schedule.tick).await?;
    let served = listen(config.http, &config.store.path, &shared).await?;
    systemd::ready();
    tracing::info!(certificates = labels.len(), "ready");

    let stop = async {
        shutdown.await;
        tracing::info!("stopping");
        systemd::stopping();
        shared.stop.cancel();
    };
    tokio::join!(work(&shared, &mut ticker), stop);
    ticker.stop().await;
    if let Some(served) = served {
        await_end(served).await;
    }
    if let Some(shared) = Arc::into_inner(shared) {
        shared.store.close().await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Works until the daemon is told to stop. The first decision waits for what the CAs say about the
/// clock, for a few seconds at most.
async fn work(shared: &Arc<Shared>, ticker: &mut Ticker) {
    clock_watch::compare(shared).await;
    let dispatcher = Dispatcher::new(Arc::clone(shared));
    tokio::join!(
        dispatcher.run(ticker),
        clock_watch::watch(shared),
        proof::sweep(shared)
    );
}

/// A certificate whose configuration or credentials changed is due now, whatever was planned; and what
/// waited for somebody to change them is open. That is done once, at the start: should it still be
/// wrong, the first certificate that is refused speaks for all.
async fn wake_reconfigured(shared: &Shared) -> Result<(), StoreError> {
    for (label, job) in &shared.jobs {
        let stored = shared.store.load(label).await;
        let unchanged =
            stored.is_ok_and(|stored| stored.is_some_and(|s| s.record.digest == job.digest));
        if !unchanged {
            shared.store.reopen_scopes(&job.spec.scopes()).await?;
            shared.store.make_due(label, shared.clock.now()).await?;
        }
    }
    Ok(())
}

/// Serves the status page and the API beside the work, if that is wanted.
#[expect(clippy::disallowed_methods, reason = "the daemon may spawn tasks")]
async fn listen(
    address: Option<SocketAddr>,
    database: &Path,
    shared: &Arc<Shared>,
) -> Result<Option<JoinHandle<io::Result<()>>>, DaemonError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| DaemonError::Listen { address, source })?;
    let specs = shared
        .jobs
        .iter()
        .map(|(label, job)| (label.clone(), job.spec.clone()));
    let watched = Arc::clone(shared);
    let site = Site {
        store: ReadStore::open(database).await?,
        specs: specs.collect(),
        clock: shared.clock.clone(),
        metrics: shared.metrics.clone(),
        live: Box::new(move || live(&watched)),
    };
    let server = status::serve(listener, site, shared.stop.clone());
    Ok(Some(tokio::spawn(server)))
}

/// What only the running daemon knows.
fn live(shared: &Shared) -> Live {
    let calls = shared.clouds.iter().flat_map(|(cloud, client)| {
        client
            .calls()
            .into_iter()
            .map(|(action, code, count)| ApiCalls {
                cloud: cloud.clone(),
                action: action.as_str().to_owned(),
                code,
                count,
            })
    });
    Live {
        clock: shared.clock_trust(),
        api_calls: calls.collect(),
    }
}

async fn await_end(served: JoinHandle<io::Result<()>>) {
    match served.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the status page was down");
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the status page failed");
        }
    }
}
