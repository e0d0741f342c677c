//! Small builders for the tests of this folder: certificates that begin at [`START`], one issuer,
//! one target. Holds no assertions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::certificate::{Fingerprint, KeyType, Leaf};
use crate::name::{DnsName, TargetId};
use crate::retry::{Class, Failure, Scope, course};
use crate::time::{Deadline, Timestamp, Window};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_mins(1);
pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);

/// 2026-01-01T00:00:00Z.
pub(super) const START: Timestamp = Timestamp::from_seconds(1_767_225_600);

pub(super) const DIRECTORY: &str = "https://first.example/directory";
pub(super) const DIRECTORY_2: &str = "https://second.example/directory";

/// A moment so many days after [`START`].
pub(super) fn day(days: f64) -> Timestamp {
    START + DAY.mul_f64(days)
}

pub(super) fn names(list: &[&str]) -> BTreeSet<DnsName> {
    list.iter().map(|name| name.parse().unwrap()).collect()
}

pub(super) fn target_id(domain: &str) -> TargetId {
    format!("aliyun-vod/default/{domain}").parse().unwrap()
}

/// The target of [`spec`].
pub(super) fn the_target() -> TargetId {
    target_id("v.example.com")
}

pub(super) fn issuer(name: &str, directory: &str) -> IssuerSpec {
    IssuerSpec {
        name: name.to_owned(),
        directory: directory.to_owned(),
        profile: None,
        limits: Limits::default(),
    }
}

pub(super) fn target_spec() -> TargetSpec {
    let action = |action: &str| Scope::CloudAction {
        cloud: "default".to_owned(),
        action: action.to_owned(),
    };
    let cloud = Scope::Cloud {
        cloud: "default".to_owned(),
    };
    TargetSpec {
        look: LookPolicy {
            enabled: true,
            deadline: MINUTE * 15,
            every: HOUR * 6,
        },
        on_drift: OnDrift::Repair,
        method: Method::Auto,
        owner_proof: None,
        install_scopes: vec![cloud.clone(), action("SetVodDomainSSLCertificate")],
        listing_scopes: vec![cloud.clone(), action("DescribeVodSSLCertificateList")],
        storing_scopes: vec![cloud.clone(), action("UploadUserCertificate")],
        read_back_scopes: vec![cloud, action("DescribeVodDomainCertificateInfo")],
    }
}

/// One name, one issuer, one target.
pub(super) fn spec() -> Spec {
    Spec {
        label: "video".parse().unwrap(),
        names: names(&["v.example.com"]),
        issuers: vec![issuer("first", DIRECTORY)],
        key: KeyType::EcdsaP256,
        renew: RenewPolicy::Default,
        targets: BTreeMap::from([(the_target(), target_spec())]),
        orders_per_day: 3,
        proof_scopes: Vec::new(),
    }
}

/// [`spec`] with a second issuer.
pub(super) fn two_issuers() -> Spec {
    let mut spec = spec();
    spec.issuers.push(issuer("second", DIRECTORY_2));
    spec
}

pub(super) fn leaf(generation: u32, from: Timestamp, lifetime: Duration) -> Leaf {
    Leaf {
        names: names(&["v.example.com"]),
        not_before: from,
        not_after: from + lifetime,
        serial: format!("{generation:02x}"),
        authority_key_id: Some("aabbcc".to_owned()),
        issuer: "Example CA".to_owned(),
        key: Some(KeyType::EcdsaP256),
        fingerprint: Fingerprint::of(format!("{generation} {from}").as_bytes()),
    }
}

/// A generation issued at `from` for `lifetime`, its CA asked about renewal and without an opinion.
pub(super) fn issued_for(generation: u32, from: Timestamp, lifetime: Duration) -> Issued {
    Issued {
        generation,
        leaf: leaf(generation, from, lifetime),
        extra_names: BTreeSet::new(),
        chain: Vec::new(),
        issuer: "first".to_owned(),
        directory: DIRECTORY.to_owned(),
        account: "https://first.example/account/1".to_owned(),
        profile: None,
        at: from,
        renewal_info: Some(RenewalInfo {
            window: None,
            picked: 0.5,
            explanation: None,
            supported: false,
            asked_at: from,
            ask_again: from + lifetime * 2,
            failures: 0,
        }),
        unusable: None,
        revoked: false,
        stored: BTreeMap::new(),
    }
}

/// A generation of 90 days.
pub(super) fn issued(generation: u32, from: Timestamp) -> Issued {
    issued_for(generation, from, DAY * 90)
}

pub(super) fn window(from_day: f64, to_day: f64) -> Option<Window> {
    Window::new(day(from_day), day(to_day))
}

/// What an edge that serves this generation shows.
pub(super) fn served(issued: &Issued) -> Served {
    Served {
        fingerprint: issued.leaf.fingerprint,
        not_before: issued.leaf.not_before,
        not_after: issued.leaf.not_after,
        generation: Some(issued.generation),
        chain_as_stored: true,
    }
}

/// A leaf that the store does not know, valid from `from` for 90 days.
pub(super) fn unknown_leaf(from: Timestamp) -> Served {
    Served {
        fingerprint: Fingerprint::of(b"unknown"),
        not_before: from,
        not_after: from + DAY * 90,
        generation: None,
        chain_as_stored: false,
    }
}

pub(super) fn installed(generation: u32, at: Timestamp) -> Installed {
    Installed {
        generation,
        at,
        cert_name: format!("vodcertd-{generation}"),
        cert_id: None,
        cert_region: None,
    }
}

/// A target that was proven to serve this generation, looked at last at `looked_at`.
pub(super) fn proven(issued: &Issued, looked_at: Timestamp) -> TargetRecord {
    TargetRecord {
        installed: Some(installed(issued.generation, issued.at)),
        served: Some(served(issued)),
        seen: Some(Seen {
            generation: issued.generation,
            at: issued.at,
        }),
        looked_at: Some(looked_at),
        api: Api::Unasked,
        asked_at: Some(issued.at),
        ..TargetRecord::default()
    }
}

/// Everything in order: generation 1 of [`START`], served by the target, looked at last at
/// `looked_at`.
pub(super) fn healthy(looked_at: Timestamp) -> Record {
    let issued = issued(1, START);
    Record {
        newest_generation: 1,
        targets: BTreeMap::from([(the_target(), proven(&issued, looked_at))]),
        issued: Some(issued),
        ..Record::default()
    }
}

/// A failure of this certificate alone.
pub(super) fn failure(code: &str, remedies: &[(Class, u8)]) -> Failure {
    Failure {
        code: code.to_owned(),
        message: "it failed".to_owned(),
        course: course(remedies),
        scope: Scope::Here,
        not_before: None,
        clamped: false,
    }
}

pub(super) fn backoff() -> Failure {
    failure("timeout", &[(Class::Backoff, 1)])
}

pub(super) fn operator() -> Failure {
    failure("Forbidden", &[(Class::Operator, 1)])
}

/// Circumstances in which one scope is closed.
pub(super) fn closed(scope: &Scope, until: Timestamp, set_at: Timestamp) -> Circumstances {
    let deadline = Deadline { until, set_at };
    Circumstances {
        deadlines: BTreeMap::from([(scope.key().unwrap(), deadline)]),
        clock: ClockTrust::Trusted,
    }
}

impl Record {
    /// Applies one event after the other, all at `now`.
    pub(super) fn after(mut self, events: impl IntoIterator<Item = Event>, now: Timestamp) -> Self {
        for event in events {
            self.apply(event, now);
        }
        self
    }

    /// The only target.
    pub(super) fn target(&mut self) -> &mut TargetRecord {
        self.targets.entry(the_target()).or_default()
    }
}

/// The order of these names was intended at the first issuer.
pub(super) fn intended(list: &[&str]) -> Event {
    Event::OrderIntended(OrderIntent {
        issuer: "first".to_owned(),
        directory: DIRECTORY.to_owned(),
        names: names(list),
        key: KeyType::EcdsaP256,
        profile: None,
    })
}

/// The order stays open.
pub(super) fn order_failed(issuer: &str, failure: Failure) -> Event {
    order_ended(issuer, failure, OrderFate::Open)
}

pub(super) fn order_ended(issuer: &str, failure: Failure, order: OrderFate) -> Event {
    Event::OrderFailed {
        issuer: issuer.to_owned(),
        failure,
        order,
        jitter: 0.5,
    }
}

pub(super) fn renewal_info_failed() -> Event {
    Event::RenewalInfoFailed { failure: backoff() }
}

pub(super) fn install_failed(generation: u32, failure: Failure) -> Event {
    Event::InstallFailed {
        target: the_target(),
        generation,
        failure,
        may_have_happened: false,
        bound: None,
        jitter: 0.5,
    }
}

/// An install whose answer was lost.
pub(super) fn install_lost(generation: u32) -> Event {
    Event::InstallFailed {
        target: the_target(),
        generation,
        failure: lost(),
        may_have_happened: true,
        bound: None,
        jitter: 0.5,
    }
}

/// No answer to an install.
pub(super) fn lost() -> Failure {
    failure("timeout", &[(Class::Reconcile, 1), (Class::Backoff, 1)])
}

pub(super) fn read_back_failed(failure: Failure) -> Event {
    Event::ReadBackFailed {
        target: the_target(),
        failure,
        lacks_permission: false,
        jitter: 0.5,
    }
}

/// The credentials may not read back.
pub(super) fn read_back_forbidden() -> Event {
    Event::ReadBackFailed {
        target: the_target(),
        failure: operator(),
        lacks_permission: true,
        jitter: 0.5,
    }
}

pub(super) fn was_installed(generation: u32, at: Timestamp) -> Event {
    Event::Installed {
        target: the_target(),
        installed: installed(generation, at),
    }
}

pub(super) fn read_back(found: Found) -> Event {
    Event::ReadBack {
        target: the_target(),
        found,
    }
}

pub(super) fn looked(leaves: &[Served]) -> Event {
    Event::Looked {
        target: the_target(),
        sight: Sight::Leaves(leaves.to_vec()),
        addresses: BTreeSet::new(),
    }
}

pub(super) fn unreachable() -> Event {
    Event::Looked {
        target: the_target(),
        sight: Sight::Unreachable {
            why: "no route".to_owned(),
        },
        addresses: BTreeSet::new(),
    }
}
