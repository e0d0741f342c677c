//! A certificate in any state, for the tests of everything that shows one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use crate::certificate::{Fingerprint, KeyType, Leaf};
use crate::name::{DnsName, Label, TargetId};
use crate::renewal::{
    Installed, Issued, IssuerSpec, Limits, LookPolicy, Method, OnDrift, Record, RenewPolicy, Seen,
    Served, Spec, TargetRecord, TargetSpec, Trouble,
};
use crate::retry::{Class, Failure, Scope, course};
use crate::store::{Store, StoreSettings};
use crate::time::Timestamp;

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// The moment at which these tests play.
pub(crate) fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// A certificate for one name with its one target.
pub(crate) fn spec(label: &str, name: &str) -> Spec {
    let target = TargetSpec {
        look: LookPolicy {
            enabled: true,
            deadline: Duration::from_mins(15),
            every: Duration::from_hours(6),
        },
        on_drift: OnDrift::Repair,
        method: Method::Auto,
        owner_proof: None,
        install_scopes: Vec::new(),
        listing_scopes: Vec::new(),
        storing_scopes: Vec::new(),
        read_back_scopes: Vec::new(),
    };
    Spec {
        label: label.parse().unwrap(),
        names: [name.parse::<DnsName>().unwrap()].into(),
        issuers: vec![IssuerSpec {
            name: "letsencrypt".to_owned(),
            directory: "https://ca.example/directory".to_owned(),
            profile: None,
            limits: Limits::default(),
        }],
        key: KeyType::Rsa2048,
        renew: RenewPolicy::Default,
        targets: [(target_id(name), target)].into(),
        orders_per_day: 3,
        proof_scopes: Vec::new(),
    }
}

pub(crate) fn target_id(domain: &str) -> TargetId {
    format!("aliyun-vod/default/{domain}").parse().unwrap()
}

pub(crate) fn specs(all: impl IntoIterator<Item = Spec>) -> BTreeMap<Label, Spec> {
    all.into_iter()
        .map(|spec| (spec.label.clone(), spec))
        .collect()
}

/// Issued thirty days ago for ninety, installed, and seen at the edge an hour ago.
pub(crate) fn served(spec: &Spec, generation: u32) -> Record {
    let issued = issued(spec, generation);
    let record = |_: &TargetId| TargetRecord {
        installed: Some(Installed {
            generation,
            at: issued.at,
            cert_name: "vodcertd-1".to_owned(),
            cert_id: None,
            cert_region: None,
        }),
        served: Some(Served {
            fingerprint: issued.leaf.fingerprint,
            not_before: issued.leaf.not_before,
            not_after: issued.leaf.not_after,
            generation: Some(generation),
            chain_as_stored: true,
        }),
        seen: Some(Seen {
            generation,
            at: issued.at,
        }),
        looked_at: Some(now() - Duration::from_hours(1)),
        ..TargetRecord::default()
    };
    let targets = spec
        .targets
        .keys()
        .map(|id| (id.clone(), record(id)))
        .collect();
    Record {
        newest_generation: generation,
        issued: Some(issued),
        targets,
        ..Record::default()
    }
}

fn issued(spec: &Spec, generation: u32) -> Issued {
    let not_before = now() - 30 * DAY;
    Issued {
        generation,
        leaf: Leaf {
            names: spec.names.clone(),
            not_before,
            not_after: not_before + 90 * DAY,
            serial: "00c0ffee".to_owned(),
            authority_key_id: None,
            issuer: "Test CA".to_owned(),
            key: Some(spec.key),
            fingerprint: fingerprint(generation),
        },
        extra_names: BTreeSet::new(),
        chain: vec![fingerprint(generation)],
        issuer: "letsencrypt".to_owned(),
        directory: "https://ca.example/directory".to_owned(),
        account: "https://ca.example/account/1".to_owned(),
        profile: None,
        at: not_before,
        renewal_info: None,
        unusable: None,
        revoked: false,
        stored: BTreeMap::new(),
    }
}

pub(crate) fn fingerprint(generation: u32) -> Fingerprint {
    Fingerprint::of(&generation.to_be_bytes())
}

/// So many failures in a row, the last one a minute ago.
pub(crate) fn trouble(code: &str, class: Class, in_a_row: u32) -> Trouble {
    Trouble {
        failure: Failure {
            code: code.to_owned(),
            message: format!("the other side said {code} <here>"),
            course: course(&[(class, 1)]),
            scope: Scope::Here,
            not_before: None,
            clamped: false,
        },
        generation: None,
        in_a_row,
        by_code: [(code.to_owned(), in_a_row)].into(),
        since: now() - DAY,
        last_at: now() - Duration::from_mins(1),
        jitter: 0.5,
        renames: 0,
        reformat: false,
        bind: false,
        same_content: false,
        exhausted: None,
        missing: None,
    }
}

/// A store that holds these records.
pub(crate) async fn store(folder: &Path, records: &BTreeMap<Label, Record>) -> Store {
    let settings = StoreSettings {
        path: folder.join("state.db"),
        seal: None,
        keep_generations: 3,
        history: 400 * DAY,
    };
    let store = Store::open(&settings, now()).await.unwrap();
    let labels: Vec<Label> = records.keys().cloned().collect();
    store.ensure(&labels, now()).await.unwrap();
    for (label, record) in records {
        let lease = store.claim(label, now()).await.unwrap().unwrap();
        store.save(&lease, record, now(), &[]).await.unwrap();
        store.release(&lease, now() + DAY).await.unwrap();
    }
    store
}
