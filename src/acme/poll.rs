//! The little waiting that an order needs, and repeating what a refused nonce stopped.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::error::{AcmeError, Cause, Operation};
use super::problem::{Problem, ProblemType};
use super::transport::{Recorded, Transport};

/// How often one call is made when the CA refuses its nonce. The library tries three times by
/// itself each time; a CA that refuses all nine refuses for another reason.
const NONCE_TRIES: u32 = 3;

/// The first pause, whatever the CA asks for: one early look costs it little, and a quick CA is done
/// by then.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Pauses grow by this factor …
const GROWTH: f64 = 1.5;
/// … up to this length.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A CA that asks for less than this between two looks is not taken at its word.
const SHORTEST_NAMED_PAUSE: Duration = Duration::from_secs(1);

/// Makes a call of the library, again if the CA did not like the nonce. A macro and not a function
/// over async closures: futures of those are not `Send` for every lifetime, so no task could run
/// them.
macro_rules! despite_nonces {
    ($transport:expr, $call:expr) => {{
        let mut tries = $crate::acme::poll::NonceTries::default();
        loop {
            let result = $call.await;
            if result.is_ok() || !tries.may_go_on($transport) {
                break result;
            }
        }
    }};
}
pub(super) use despite_nonces;

/// Counts how often one call was made.
#[derive(Default)]
pub(super) struct NonceTries(u32);

impl NonceTries {
    /// Whether the call that just failed is worth making again.
    pub(super) fn may_go_on(&mut self, transport: &Transport) -> bool {
        self.0 += 1;
        self.0 < NONCE_TRIES && nonce_refused(transport)
    }
}

fn nonce_refused(transport: &Transport) -> bool {
    transport.last().is_some_and(|recorded| {
        !recorded.answer.status.is_success()
            && Problem::from_json(&recorded.answer.body)
                .is_some_and(|problem| problem.kind == ProblemType::BadNonce)
    })
}

/// The pauses between looks at an order, until a deadline.
pub(super) struct Pauses {
    deadline: Instant,
    pause: Duration,
    first: bool,
}

impl Pauses {
    /// Pauses that end when `limit` from now has passed.
    pub(super) fn within(limit: Duration) -> Self {
        Self {
            deadline: Instant::now() + limit,
            pause: FIRST_PAUSE,
            first: true,
        }
    }

    /// Waits until the next look is due: when the CA's last answer says so, else a little longer
    /// than the time before. Fails at once if that would be after the deadline.
    pub(super) async fn wait(
        &mut self,
        operation: Operation,
        transport: &Transport,
    ) -> Result<(), AcmeError> {
        let last = transport.last();
        let retry_after = last.as_ref().and_then(Recorded::retry_after);
        let named = last.zip(retry_after).map(|(recorded, time)| {
            let pause = time.since(recorded.at);
            pause.max(SHORTEST_NAMED_PAUSE)
        });
        let pause = named.filter(|_| !self.first).unwrap_or(self.pause);
        self.first = false;
        self.pause = self.pause.mul_f64(GROWTH).min(LONGEST_PAUSE);
        match Instant::now().checked_add(pause) {
            Some(next) if next <= self.deadline => {
                sleep_until(next).await;
                Ok(())
            }
            Some(_) | None => Err(AcmeError::new(operation, Cause::TimedOut { retry_after })),
        }
    }
}
