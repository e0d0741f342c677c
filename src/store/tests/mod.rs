//! The store on real files. What needs a certificate in some state makes it as the daemon does.

mod crash;
mod failures;
mod leases;
mod ledger;
mod opening;
mod orders;
mod records;
mod rows;
mod sealing;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::{
    HistoryEntry, KeyMaterial, Lease, NewGeneration, NewOrderRow, OrderId, SealKey, Store,
    StoreError, StoreSettings,
};
use crate::certificate::{Chain, Fingerprint, KeyType};
use crate::name::Label;
use crate::renewal::{Draw, DrawKind, Event, Issued, Limit, Record};
use crate::time::Timestamp;

/// What the URL of a CA's directory looks like.
const DIRECTORY: &str = "https://ca.example/directory";

/// The beginning of every test.
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A minute.
const MINUTE: Duration = Duration::from_mins(1);

/// A folder with a store in it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("state.db")
    }

    fn settings(&self, seal: Option<SealKey>) -> StoreSettings {
        StoreSettings {
            path: self.path(),
            seal,
            keep_generations: 1,
            history: 100 * MINUTE,
        }
    }

    async fn try_open(&self, seal: Option<SealKey>) -> Result<Store, StoreError> {
        Store::open(&self.settings(seal), NOW).await
    }

    async fn open(&self) -> Store {
        self.try_open(None).await.unwrap()
    }

    /// The names and contents of all files.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (name(&path), fs::read(&path).unwrap()))
            .collect();
        files.sort();
        files
    }

    /// The names of all files, each with a digest of its contents. The index of the log (`-shm`)
    /// holds nothing but locks and is rebuilt at will.
    fn digests(&self) -> Vec<(String, Fingerprint)> {
        self.files()
            .into_iter()
            .filter(|(name, _)| !name.ends_with("-shm"))
            .map(|(name, content)| (name, Fingerprint::of(&content)))
            .collect()
    }

    /// The names of all files.
    fn names(&self) -> Vec<String> {
        self.files().into_iter().map(|(name, _)| name).collect()
    }

    /// Whether any file holds these bytes.
    fn holds(&self, bytes: &[u8]) -> bool {
        let within = |content: &[u8]| content.windows(bytes.len()).any(|part| part == bytes);
        self.files().iter().any(|(_, content)| within(content))
    }

    /// What a process that is killed now leaves on the disk.
    fn killed(&self) -> Self {
        let copy = Self::new();
        for (name, content) in self.files() {
            fs::write(copy.0.path().join(name), content).unwrap();
        }
        copy
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

/// The certificate that most tests are about.
fn video() -> Label {
    label("video")
}

/// A chain of one self-signed certificate, and its key.
fn pair() -> (Chain, KeyMaterial) {
    let made = rcgen::generate_simple_self_signed(["v.example.com".to_owned()]).unwrap();
    let chain = Chain::from_der(vec![made.cert.der().to_vec()]).unwrap();
    (chain, KeyMaterial::new(made.signing_key.serialize_der()))
}

/// Makes [`video`] a configured certificate and claims it.
async fn claimed(store: &Store) -> Lease {
    store.ensure(&[video()], NOW).await.unwrap();
    store.claim(&video(), NOW).await.unwrap().unwrap()
}

fn entry(kind: &str) -> HistoryEntry {
    HistoryEntry {
        at: NOW,
        label: Some(video()),
        target: Some("aliyun-vod/main/v.example.com".parse().unwrap()),
        kind: kind.to_owned(),
        message: format!("{kind} happened"),
        details: json!({ "generation": 1 }),
    }
}

fn new_order() -> NewOrderRow {
    let draw = |limit, subject: &str, kind| Draw {
        limit,
        subject: subject.to_owned(),
        quota: None,
        kind,
    };
    NewOrderRow {
        intent_at: NOW,
        issuer: "letsencrypt".to_owned(),
        directory: DIRECTORY.to_owned(),
        account: "https://ca.example/account/1".to_owned(),
        names: ["v.example.com".parse().unwrap()].into(),
        key_type: KeyType::EcdsaP256,
        profile: Some("classic".to_owned()),
        replaces: None,
        draws: vec![
            draw(Limit::ExactSet, "v.example.com", DrawKind::Takes),
            draw(Limit::RegisteredDomain, "example.com", DrawKind::Exempt),
        ],
        overdraws: false,
    }
}

/// Stores the intent of [`new_order`].
async fn intend(store: &Store, lease: &Lease, record: &Record) -> OrderId {
    let order = new_order();
    let intended = store.save_order_intent(lease, record, NOW, &order, &[]);
    intended.await.unwrap().unwrap()
}

fn new_generation<'a>(
    generation: u32,
    chain: &'a Chain,
    key: &'a KeyMaterial,
) -> NewGeneration<'a> {
    NewGeneration {
        generation,
        chain,
        key,
        issuer: "letsencrypt",
        directory: DIRECTORY,
    }
}

/// How much of a CA's budget was taken since `since`, exempt orders not counted.
async fn budget_used(
    store: &Store,
    directory: &str,
    limit: Limit,
    subject: &str,
    since: Timestamp,
) -> i64 {
    let count = sqlx::query_scalar(
        "SELECT COUNT(*) FROM ledger
         WHERE directory = $1 AND scope = $2 AND subject = $3 AND at >= $4 AND exempt = 0",
    );
    count
        .bind(directory)
        .bind(limit.as_str())
        .bind(subject)
        .bind(since.as_millis())
        .fetch_one(&store.pool)
        .await
        .unwrap()
}

/// Takes a generation into a record.
fn issue(record: &mut Record, generation: u32, chain: &Chain) {
    let issued = Issued {
        generation,
        leaf: chain.leaf().clone(),
        extra_names: std::collections::BTreeSet::new(),
        chain: chain.fingerprints(),
        issuer: "letsencrypt".to_owned(),
        directory: DIRECTORY.to_owned(),
        account: "https://ca.example/account/1".to_owned(),
        profile: None,
        at: NOW,
        renewal_info: None,
        unusable: None,
        revoked: false,
        stored: std::collections::BTreeMap::new(),
    };
    record.apply(Event::Issued(Box::new(issued)), NOW);
}
