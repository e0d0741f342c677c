//! Asks the CA when it wants a certificate renewed.

use std::time::Duration;

use super::shared::roll;
use super::worker::Worker;
use crate::acme::renewal_info::{self, RenewalInfo};
use crate::renewal::{Event, RenewalAnswer};
use crate::retry::{Class, Failure};

/// A CA that offers no renewal information may learn to.
const UNSUPPORTED_ASK_AGAIN: Duration = Duration::from_hours(24);

/// Asks once.
pub(super) async fn ask(worker: &Worker<'_>) -> Event {
    let issued = worker.record.issued.as_ref();
    let ca = issued.and_then(|issued| worker.shared.ca_of(&issued.directory));
    let Some((issued, ca)) = issued.zip(ca) else {
        return Event::RenewalInfoFailed { failure: nobody() };
    };
    let picked = roll();
    let answered = |window, explanation, supported, ask_again| {
        Event::RenewalInfoAnswered(RenewalAnswer {
            window,
            explanation,
            supported,
            ask_again,
            picked,
        })
    };
    let certificate = &worker.job.spec.label;
    match renewal_info::ask(ca, &issued.leaf).await {
        Ok(RenewalInfo::Suggested {
            window,
            explanation_url,
            ask_again,
        }) => answered(Some(window), explanation_url, true, ask_again),
        Ok(RenewalInfo::NoAnswer { why, ask_again }) => {
            tracing::debug!(%certificate, why, "no renewal information");
            answered(None, None, true, ask_again)
        }
        Ok(RenewalInfo::Unsupported) => {
            let ask_again = worker.shared.clock.now() + UNSUPPORTED_ASK_AGAIN;
            answered(None, None, false, ask_again)
        }
        Err(error) => {
            tracing::debug!(
                %certificate,
                error = &error as &dyn std::error::Error,
                "renewal information"
            );
            let now = worker.shared.clock.now();
            let failure = error.failure(now, &issued.directory);
            Event::RenewalInfoFailed { failure }
        }
    }
}

/// There is nobody to ask. The question is only decided upon while there is, so this is told only if a
/// CA is taken out of the configuration in between.
fn nobody() -> Failure {
    Failure::here(
        "nobody-to-ask",
        "no CA is configured that issued the certificate",
        &[(Class::Operator, 1)],
    )
}
