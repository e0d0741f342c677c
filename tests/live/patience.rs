//! Waiting for the service: a change takes a while until it is told everywhere, and a domain that is being
//! configured takes no other change meanwhile.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vodcertd::aliyun::vod::DomainStatus;
use vodcertd::aliyun::{ApiError, Client};
use vodcertd::clock::Clock;
use vodcertd::name::AccelerationDomain;
use vodcertd::retry::Class;

/// The documentation says "within 1 minute" of a new certificate.
const TAKES_EFFECT: Duration = Duration::from_mins(3);

const PAUSE: Duration = Duration::from_secs(2);

/// Asks until there is an answer, or nobody should wait any longer for it.
pub(crate) async fn settled<T>(
    stop: &CancellationToken,
    mut ask: impl AsyncFnMut() -> Result<Option<T>, ApiError>,
) -> Result<Option<T>, ApiError> {
    let deadline = Instant::now() + TAKES_EFFECT;
    loop {
        let answer = ask().await?;
        if answer.is_some() || Instant::now() > deadline || stop.is_cancelled() {
            return Ok(answer);
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Waits while the domain is being configured. What it is otherwise the next call is told.
pub(crate) async fn configured(
    stop: &CancellationToken,
    client: &Client,
    domain: &AccelerationDomain,
) -> Result<(), ApiError> {
    let answer = settled(stop, async || {
        let status = client.vod_domain_detail(domain).await?.status;
        Ok((status != DomainStatus::Configuring).then_some(()))
    });
    answer.await.map(drop)
}

/// Makes a call that may be made twice until it is taken, or refused for more than a moment.
pub(crate) async fn insist(
    mut call: impl AsyncFnMut() -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    // Nobody stops what puts things back.
    let stop = CancellationToken::new();
    let mut last = Ok(());
    let taken = settled(&stop, async || match call().await {
        Ok(()) => Ok(Some(())),
        Err(error) if passes(&error) => {
            last = Err(error);
            Ok(None)
        }
        Err(error) => Err(error),
    });
    match taken.await? {
        Some(()) => Ok(()),
        None => last,
    }
}

fn passes(error: &ApiError) -> bool {
    match error.failure(Clock::System.now()).class(1) {
        Class::After | Class::Backoff | Class::Reconcile | Class::Refresh => true,
        Class::Bug | Class::Operator | Class::Reformat | Class::Reissue | Class::Rename => false,
    }
}
