//! What the commands read: the configuration, the stored facts, a name that was typed.

use std::collections::BTreeMap;
use std::path::Path;

use super::exit::Failure;
use crate::clock::Clock;
use crate::config::{self, Config, nearest};
use crate::name::Label;
use crate::renewal::Spec;
use crate::status::{BudgetLeft, Facts, budget_left};
use crate::store::ReadStore;

/// The configured certificates and what is stored of them.
pub(super) struct Inputs {
    pub(super) specs: BTreeMap<Label, Spec>,
    pub(super) facts: Facts,
    /// What is left of the limits of the CAs.
    pub(super) budget: Vec<BudgetLeft>,
}

impl Inputs {
    /// Reads both. The store is only looked at; if there is none, none is made.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let config = config::load(path)?.config;
        let store = config.store.path.clone();
        let specs = specs(config);
        let now = Clock::System.now();
        let (facts, budget) = block_on(async {
            let store = ReadStore::open(&store).await?;
            // Only a running daemon compares clocks.
            let clock = store.clock(now).await?;
            let facts = Facts::read(&store, clock).await?;
            let budget = budget_left(&store, specs.values(), now).await?;
            store.close().await;
            Ok((facts, budget))
        })?;
        Ok(Self {
            specs,
            facts,
            budget,
        })
    }

    /// The certificates that are meant: the named one, or all.
    pub(super) fn chosen(&self, name: Option<&str>) -> Result<Vec<&Spec>, Failure> {
        let Some(name) = name else {
            return Ok(self.specs.values().collect());
        };
        let label: Option<Label> = name.parse().ok();
        match label.and_then(|label| self.specs.get(&label)) {
            Some(spec) => Ok(vec![spec]),
            None => Err(unknown(name, self.specs.keys())),
        }
    }
}

/// The specs of all configured certificates.
pub(super) fn specs(config: Config) -> BTreeMap<Label, Spec> {
    let specs = config
        .certificates
        .into_iter()
        .map(|certificate| certificate.spec);
    specs.map(|spec| (spec.label.clone(), spec)).collect()
}

/// Nothing is called like that; something else may be meant.
pub(super) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a Label>) -> Failure {
    let hint = match nearest(name, known.map(Label::as_str)) {
        Some(meant) => format!("; did you mean \"{meant}\"?"),
        None => String::new(),
    };
    Failure::usage(format!("no certificate is called {name:?}{hint}"))
}

/// Runs a command's own reading to its end.
pub(super) fn block_on<T>(reading: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(Failure::failed)?.block_on(reading)
}
