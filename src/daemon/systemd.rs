//! What the service manager is told: ready, stopping, alive, and when we wake next.
//!
//! Outside of systemd there is nobody to tell, which is no error.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::time::Timestamp;

/// Config, store and port are fine; work begins.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// No new work is begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// A search for due work came to an end, well or not: the daemon does not hang.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Shows in `systemctl status` when the next certificate is due for a step.
pub(super) fn next_wake(at: Option<Timestamp>) {
    let status = at.map_or_else(
        || "nothing to wake for".to_owned(),
        |at| format!("next step at {}", at.to_iso_seconds()),
    );
    tell(&[NotifyState::Status(&status)]);
}

/// How long we may be silent at most, half of what the service manager allows; nothing if it does
/// not wait for [`alive`].
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|interval| interval / 2)
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "could not notify the service manager");
    }
}
