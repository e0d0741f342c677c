//! When the CA wants a certificate renewed (ARI, RFC 9773): a plain GET of our own.
//!
//! The moment inside the window is picked by the core, once. No answer ever stops a renewal: without
//! one, the certificate's own lifetime decides.

use std::time::Duration;

use serde::Deserialize;

use super::ca::Ca;
use super::directory;
use super::error::{AcmeError, Operation};
use super::transport::{Recorded, Transport};
use crate::certificate::Leaf;
use crate::time::{Timestamp, Window};

/// The CA is not asked again sooner than this, whatever it says …
const SOONEST: Duration = Duration::from_mins(1);
/// … nor later than this.
const LATEST: Duration = Duration::from_hours(24);
/// When it does not say, or says nothing that can be used (RFC 9773 §4.3.3).
const DEFAULT: Duration = Duration::from_hours(6);

/// No page with an explanation is at a longer URL than this, in bytes.
const URL_LIMIT: usize = 2048;

/// What a CA says about the renewal of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenewalInfo {
    /// The CA suggests a window.
    Suggested {
        /// The window.
        window: Window,
        /// Where the CA explains it, for the operator: an `https` URL of at most 2 KiB.
        explanation_url: Option<String>,
        /// When to ask again: neither sooner nor later.
        ask_again: Timestamp,
    },
    /// The CA offers renewal information but none that can be used for this certificate now.
    NoAnswer {
        /// What it said instead.
        why: String,
        /// When to ask again.
        ask_again: Timestamp,
    },
    /// The CA offers none, or the certificate cannot be asked about (it names no authority key).
    Unsupported,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    suggested_window: SuggestedWindow,
    #[serde(rename = "explanationURL")]
    explanation_url: Option<String>,
}

#[derive(Deserialize)]
struct SuggestedWindow {
    start: String,
    end: String,
}

/// Asks a CA when it wants a certificate renewed. An error is a failure that passes (no answer, 5xx,
/// a limit): ask again on the ladder.
pub async fn ask(ca: &Ca, leaf: &Leaf) -> Result<RenewalInfo, AcmeError> {
    let Some(id) = leaf.renewal_info_id() else {
        return Ok(RenewalInfo::Unsupported);
    };
    let Some(base) = directory::fetch(ca).await?.renewal_info else {
        return Ok(RenewalInfo::Unsupported);
    };
    let operation = Operation::AskRenewalInfo;
    let recorded = Transport::new(ca)
        .get(&format!("{}/{id}", base.trim_end_matches('/')))
        .await
        .map_err(|error| AcmeError::network(operation, error))?;
    let status = recorded.answer.status;
    if status.is_server_error() || status == http::StatusCode::TOO_MANY_REQUESTS {
        return Err(AcmeError::refused(operation, &recorded));
    }
    Ok(read(&recorded))
}

fn read(recorded: &Recorded) -> RenewalInfo {
    let no_answer = |why: String| RenewalInfo::NoAnswer {
        why,
        ask_again: recorded.at + DEFAULT,
    };
    if !recorded.answer.status.is_success() {
        return no_answer(super::error::Refusal::of(recorded).to_string());
    }
    let Ok(document) = serde_json::from_slice::<Document>(&recorded.answer.body) else {
        return no_answer("the answer is not renewal information".to_owned());
    };
    let SuggestedWindow { start, end } = document.suggested_window;
    let window = match (start.parse(), end.parse()) {
        (Ok(start), Ok(end)) => Window::new(start, end),
        (Ok(_) | Err(_), _) => None,
    };
    match window {
        Some(window) => RenewalInfo::Suggested {
            window,
            explanation_url: document.explanation_url.filter(|url| is_page(url)),
            ask_again: ask_again(recorded),
        },
        None => no_answer(format!("the window from {start} to {end} is not valid")),
    }
}

/// Whether this can be stored and shown as a link.
fn is_page(url: &str) -> bool {
    url.len() <= URL_LIMIT
        && url.starts_with("https://")
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}

fn ask_again(recorded: &Recorded) -> Timestamp {
    let named = recorded.retry_after().map(|time| time.since(recorded.at));
    recorded.at + named.map_or(DEFAULT, |pause| pause.clamp(SOONEST, LATEST))
}
