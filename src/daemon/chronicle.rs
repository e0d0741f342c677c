//! Tells what happened: one line in the log and one entry in the history per change of state.
//!
//! Looks and read-backs that find what was found before tell nothing; they would bury the changes.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::json;

use crate::name::{Label, TargetId};
use crate::renewal::{Api, Event, Exhausted, Found, Installed, Issued, Record};
use crate::retry::Failure;
use crate::store::HistoryEntry;
use crate::time::Timestamp;

/// What is told of one event, once it is stored.
pub(super) struct Told {
    entry: Option<HistoryEntry>,
    level: tracing::Level,
    generation: Option<u32>,
}

/// What is said of one event: its kind, a sentence, and the details for machines.
struct Change {
    kind: &'static str,
    target: Option<TargetId>,
    message: String,
    details: serde_json::Value,
    level: tracing::Level,
}

/// What is to be told of an event that turned `before` into `after`.
pub(super) fn tell(
    label: &Label,
    event: &Event,
    before: &Record,
    after: &Record,
    now: Timestamp,
) -> Told {
    let change = change(event, before, after);
    let level = change
        .as_ref()
        .map_or(tracing::Level::INFO, |change| change.level);
    let entry = |change: Change| HistoryEntry {
        at: now,
        label: Some(label.clone()),
        target: change.target,
        kind: change.kind.to_owned(),
        message: change.message,
        details: change.details,
    };
    Told {
        entry: change.map(entry),
        level,
        generation: after.issued.as_ref().map(|issued| issued.generation),
    }
}

impl Told {
    /// The entries for the history, to be stored with the record.
    pub(super) fn entries(&self) -> Vec<HistoryEntry> {
        self.entry.iter().cloned().collect()
    }

    /// Logs the change. To be called when it is stored: what was not stored did not happen.
    pub(super) fn log(&self) {
        let Some(entry) = &self.entry else {
            return;
        };
        let certificate = entry.label.as_ref().map(Label::as_str);
        let target = entry.target.as_ref().map(ToString::to_string);
        let target = target.unwrap_or_default();
        let (kind, message, generation) = (&entry.kind, &entry.message, self.generation);
        if self.level == tracing::Level::WARN {
            tracing::warn!(certificate, target, generation, kind, "{message}");
        } else {
            tracing::info!(certificate, target, generation, kind, "{message}");
        }
    }
}

fn change(event: &Event, before: &Record, after: &Record) -> Option<Change> {
    match event {
        Event::Reconfigured { .. } => (!before.digest.is_empty()).then(|| {
            let message = "the configuration, the credentials or the program changed";
            about_certificate("reconfigured", message.to_owned())
        }),
        Event::RenewalInfoAnswered(_) => renewal_info(before, after),
        Event::RenewalInfoFailed { .. }
        | Event::OrderIntended(_)
        | Event::InstallIntended { .. }
        | Event::NotSent { .. }
        | Event::OwnerProofIntended { .. }
        | Event::OwnerProofParked { .. } => None,
        Event::OrderHeldBack {
            issuer, exhausted, ..
        } => held_back(issuer, exhausted, before),
        Event::OrderAccepted => Some(told_accepted(after)),
        Event::OrderDropped => {
            before.orders.open.as_ref().map(|_| {
                about_certificate("order-dropped", "the order under way is over".to_owned())
            })
        }
        Event::OrderFailed {
            issuer, failure, ..
        } => {
            let what = format!("order at {issuer}");
            Some(failed("order-failed", None, &what, failure))
        }
        Event::Issued(issued) => Some(told_issued(issued)),
        Event::Stored {
            cloud,
            generation,
            copy,
        } => Some(told_stored(cloud, *generation, &copy.cert_name)),
        Event::Installed { target, installed } => Some(told_installed(target, installed)),
        Event::InstallFailed {
            target,
            generation,
            failure,
            ..
        } => {
            let what = format!("install of generation {generation}");
            Some(failed("install-failed", Some(target), &what, failure))
        }
        Event::OwnerProven { target } => Some(told_owner_proven(target)),
        Event::OwnerProofFailed { target, failure } => {
            let what = "proof of who owns the domain";
            Some(failed("owner-proof-failed", Some(target), what, failure))
        }
        Event::ReadBack { target, found } => read_back(target, found, before, after),
        // A policy that allows no questions is told once, not at each of them.
        Event::ReadBackFailed {
            target,
            lacks_permission: true,
            ..
        } if before.targets.get(target).map(|known| &known.api) == Some(&Api::Silent) => None,
        Event::ReadBackFailed {
            target, failure, ..
        } => Some(failed(
            "read-back-failed",
            Some(target),
            "read-back",
            failure,
        )),
        Event::Looked { target, .. } => looked(target, before, after),
    }
}

/// What holds orders back is told once, not at each of them.
fn held_back(issuer: &str, exhausted: &Exhausted, before: &Record) -> Option<Change> {
    let told = before.orders.out_of_budget.get(issuer);
    let new = told.is_none_or(|told| told.exhausted.limit != exhausted.limit);
    new.then(|| {
        let message = format!("no order at {issuer}: {exhausted}");
        about_certificate("order-held-back", message)
    })
}

fn told_accepted(after: &Record) -> Change {
    let open = after.orders.open.as_ref();
    let issuer = open.map_or("", |open| open.issuer.as_str());
    about_certificate("ordered", format!("order accepted by {issuer}"))
}

fn told_issued(issued: &Issued) -> Change {
    let Issued {
        generation,
        issuer,
        leaf,
        ..
    } = issued;
    Change {
        details: json!({
            "generation": generation,
            "fingerprint": leaf.fingerprint,
            "serial": leaf.serial,
            "not_after": leaf.not_after.to_string(),
            "issuer": issuer,
        }),
        ..about_certificate(
            "issued",
            format!(
                "generation {generation} issued by {issuer}, valid until {}",
                leaf.not_after
            ),
        )
    }
}

fn told_stored(cloud: &str, generation: u32, cert_name: &str) -> Change {
    let message = format!("generation {generation} stored in cloud {cloud} as {cert_name}");
    Change {
        details: json!({ "generation": generation, "cloud": cloud, "cert_name": cert_name }),
        ..about_certificate("stored", message)
    }
}

fn told_owner_proven(target: &TargetId) -> Change {
    let message = "it is proven who owns the domain".to_owned();
    about_target("owner-proven", target, message)
}

fn told_installed(target: &TargetId, installed: &Installed) -> Change {
    let Installed {
        generation,
        cert_name,
        ..
    } = installed;
    Change {
        details: json!({ "generation": generation, "cert_name": cert_name }),
        ..about_target(
            "installed",
            target,
            format!("generation {generation} accepted as {cert_name}"),
        )
    }
}

fn renewal_info(before: &Record, after: &Record) -> Option<Change> {
    let window = |record: &Record| {
        record
            .issued
            .as_ref()?
            .renewal_info
            .as_ref()
            .and_then(|info| info.window)
    };
    let changed = window(before) != window(after);
    let window = window(after).filter(|_| changed)?;
    let explanation = after
        .issued
        .as_ref()
        .and_then(|issued| issued.renewal_info.as_ref()?.explanation.clone());
    Some(Change {
        details: json!({
            "start": window.start().to_string(),
            "end": window.end().to_string(),
            "explanation": explanation,
        }),
        ..about_certificate(
            "renewal-info",
            format!(
                "the CA suggests to renew between {} and {}",
                window.start(),
                window.end()
            ),
        )
    })
}

fn read_back(target: &TargetId, found: &Found, before: &Record, after: &Record) -> Option<Change> {
    let old = before.targets.get(target);
    let told_before = old.map(|old| &old.api) == after.targets.get(target).map(|new| &new.api);
    let known = old.and_then(|old| old.installed.as_ref());
    let message = match found {
        Found::Ours(installed) if known.is_some_and(|k| k.generation == installed.generation) => {
            return None;
        }
        Found::Ours(_) | Found::Twin { .. } | Found::Foreign { .. } | Found::Nothing
            if told_before =>
        {
            return None;
        }
        Found::Ours(installed) => format!("the API has our generation {}", installed.generation),
        Found::Twin { cert_name, .. } => {
            format!("the API has a certificate of another copy of this store, {cert_name}")
        }
        Found::Foreign { cert_name } => format!("the API has a foreign certificate, {cert_name}"),
        Found::Nothing => "the API has no certificate".to_owned(),
    };
    Some(about_target("read-back", target, message))
}

fn looked(target: &TargetId, before: &Record, after: &Record) -> Option<Change> {
    let old = before.targets.get(target);
    let new = after.targets.get(target)?;
    let seen_before = old.and_then(|old| old.seen);
    if let Some(seen) = new.seen.filter(|seen| Some(*seen) != seen_before) {
        return Some(Change {
            details: json!({
                "generation": seen.generation,
                "fingerprint": new.served.as_ref().map(|served| served.fingerprint),
            }),
            ..about_target(
                "seen",
                target,
                format!(
                    "generation {} seen at every reachable address",
                    seen.generation
                ),
            )
        });
    }
    let complaint = new.look_failure.as_ref()?;
    let old_complaint = old.and_then(|old| old.look_failure.as_ref());
    let told_before = old_complaint.is_some_and(|old| reasons(old) == reasons(complaint));
    (!told_before).then(|| Change {
        level: if new.proving.is_some() {
            tracing::Level::INFO
        } else {
            tracing::Level::WARN
        },
        ..about_target("not-seen", target, complaint.clone())
    })
}

/// What a complaint says, whatever the addresses that it is about: the name of a CDN may lead to
/// others at each look.
fn reasons(complaint: &str) -> BTreeSet<&str> {
    let parts = complaint.split("; ");
    let reasons = parts.map(|part| match part.split_once(": ") {
        Some((address, reason)) if address.parse::<SocketAddr>().is_ok() => reason,
        Some(_) | None => part,
    });
    reasons.collect()
}

fn failed(kind: &'static str, target: Option<&TargetId>, what: &str, failure: &Failure) -> Change {
    Change {
        kind,
        target: target.cloned(),
        message: format!("{what} failed: {}: {}", failure.code, failure.message),
        details: json!({ "code": failure.code, "class": failure.class(1).as_str() }),
        level: tracing::Level::WARN,
    }
}

fn about_certificate(kind: &'static str, message: String) -> Change {
    let level = tracing::Level::INFO;
    Change {
        kind,
        target: None,
        message,
        details: serde_json::Value::Null,
        level,
    }
}

fn about_target(kind: &'static str, target: &TargetId, message: String) -> Change {
    Change {
        target: Some(target.clone()),
        ..about_certificate(kind, message)
    }
}

#[cfg(test)]
mod tests;
