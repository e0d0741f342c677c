//! Performs what concerns a target: an install, a read-back by API, a look at the edge.
//!
//! An install is never repeated here: an answer that was lost is a failure whose remedy is to read
//! back first, and the deterministic name makes the repetition find its own first attempt.

mod look;
mod push;
mod read_back;
mod uploads;

pub(super) use self::look::look;
pub(super) use self::push::install;
pub(super) use self::read_back::read_back;
use super::worker::Worker;
use crate::name::TargetId;
use crate::retry::{Class, Failure};
use crate::target::CertId;
use crate::target::cert_name::InstallationId;

fn installation(worker: &Worker<'_>) -> Option<InstallationId> {
    worker.shared.store.installation_id().parse().ok()
}

fn no_installation_id() -> Failure {
    fault("installation-id", "the store has no proper installation id")
}

/// An id as the record has it.
fn stored_id(id: CertId) -> Option<i64> {
    i64::try_from(id.0).ok()
}

/// What is asked for a target that left the configuration.
pub(super) fn unknown_target(id: &TargetId) -> Failure {
    fault("unknown-target", &format!("{id} is not configured"))
}

/// A failure on our side of the wire.
fn fault(code: &str, message: &str) -> Failure {
    Failure::here(code, message, &[(Class::Bug, 1), (Class::Operator, 1)])
}

#[cfg(test)]
mod tests;
