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

/// Times that a refusal names are waited for, but not for longer than this in all.
const LONGEST_NAMED: Duration = Duration::from_hours(1);

/// How often it is asked while a change takes effect.
const QUESTIONS: u32 = 90;

/// How long is waited for the service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Within this a change is told everywhere.
    pub(crate) takes_effect: Duration,
}

impl Patience {
    /// Asks until there is an answer, or nobody should wait any longer for it.
    pub(crate) async fn settled<T>(
        self,
        stop: &CancellationToken,
        ask: impl AsyncFnMut() -> Result<Option<T>, ApiError>,
    ) -> Result<Option<T>, ApiError> {
        self.settled_by(self.deadline(), stop, ask).await
    }

    /// When something that was changed just now is told everywhere.
    pub(crate) fn deadline(self) -> Instant {
        Instant::now() + self.takes_effect
    }

    /// As [`Patience::settled`], but until a time that several answers have in common. It is asked once
    /// at least.
    pub(crate) async fn settled_by<T>(
        self,
        deadline: Instant,
        stop: &CancellationToken,
        mut ask: impl AsyncFnMut() -> Result<Option<T>, ApiError>,
    ) -> Result<Option<T>, ApiError> {
        loop {
            let answer = ask().await?;
            if answer.is_some() || Instant::now() > deadline || stop.is_cancelled() {
                return Ok(answer);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.pause()) => {}
            }
        }
    }

    /// Looks as long as a change may take until it is told, and gives the first deviation. Nothing also
    /// when it was stopped before.
    pub(crate) async fn stays<T>(
        self,
        stop: &CancellationToken,
        deviation: impl AsyncFnMut() -> Result<Option<T>, ApiError>,
    ) -> Result<Option<T>, ApiError> {
        self.settled(stop, deviation).await
    }

    /// Waits while the domain is being configured. What it is otherwise the next call is told.
    pub(crate) async fn configured(
        self,
        stop: &CancellationToken,
        client: &Client,
        domain: &AccelerationDomain,
    ) -> Result<(), ApiError> {
        let answer = self.settled(stop, async || {
            let status = client.vod_domain_detail(domain).await?.status;
            Ok((status != DomainStatus::Configuring).then_some(()))
        });
        answer.await.map(drop)
    }

    /// Makes a call that may be made twice until it is taken, or refused for more than a moment. Where
    /// the refusal names a time, it is not made before, and waiting for that does not count.
    pub(crate) async fn insist(
        self,
        mut call: impl AsyncFnMut() -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let mut deadline = self.deadline();
        let latest = deadline + LONGEST_NAMED;
        // Nobody stops what puts things back.
        loop {
            let Err(error) = call().await else {
                return Ok(());
            };
            let now = Clock::System.now();
            let named = error.failure(now).not_before.map(|time| time.since(now));
            if let Some(named) = named {
                deadline = (deadline + named).min(latest);
            }
            let pause = named.unwrap_or_default().max(self.pause());
            if !passes(&error) || Instant::now() + pause > deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn pause(self) -> Duration {
        self.takes_effect / QUESTIONS
    }
}

fn passes(error: &ApiError) -> bool {
    match error.failure(Clock::System.now()).class(1) {
        Class::After | Class::Backoff | Class::Reconcile | Class::Refresh => true,
        Class::Bug | Class::Operator | Class::Reformat | Class::Reissue | Class::Rename => false,
    }
}
