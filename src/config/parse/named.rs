//! Things that the configuration names and refers to by name: issuers, clouds, solvers.

use std::collections::BTreeMap;

use crate::config::error::{Findings, Problem};
use crate::config::file::Text;
use crate::config::nearest::nearest;
use crate::name::Label;

/// All things of one kind by name.
#[derive(Debug)]
pub(super) struct Named<T> {
    /// What they are, for people.
    kind: &'static str,
    /// Nothing for one that is written, but wrong: it was complained of there, so that references
    /// to it are not.
    things: BTreeMap<String, Option<T>>,
}

impl<T> Named<T> {
    pub(super) fn new(kind: &'static str) -> Self {
        Self {
            kind,
            things: BTreeMap::new(),
        }
    }

    /// Adds one that exists without being written.
    pub(super) fn with(mut self, name: &str, thing: T) -> Self {
        self.things.insert(name.to_owned(), Some(thing));
        self
    }

    /// Adds one that is written under `name`.
    pub(super) fn add(&mut self, findings: &mut Findings, name: &Text, thing: Option<T>) {
        if name.get_ref().parse::<Label>().is_err() {
            let message = format!(
                "{:?} cannot be the name of this {}",
                name.get_ref(),
                self.kind
            );
            findings.add(
                Problem::error(message)
                    .at(name.span())
                    .hint("use letters, digits, \".\", \"_\" and \"-\""),
            );
        }
        self.things.insert(name.get_ref().clone(), thing);
    }

    /// The one that is referred to. Nothing if there is none, or none that is right.
    pub(super) fn find(&self, findings: &mut Findings, reference: &Text) -> Option<&T> {
        let name = reference.get_ref();
        if let Some(thing) = self.things.get(name) {
            return thing.as_ref();
        }
        let problem =
            Problem::error(format!("there is no {} {name:?}", self.kind)).at(reference.span());
        let names = || self.things.keys().map(String::as_str);
        findings.add(match nearest(name, names()) {
            Some(meant) => problem.hint(format!("did you mean {meant:?}?")),
            None => problem.hint(format!(
                "there are: {}",
                names().collect::<Vec<_>>().join(", ")
            )),
        });
        None
    }

    /// Whether one of this name exists, right or wrong.
    pub(super) fn has(&self, name: &str) -> bool {
        self.things.contains_key(name)
    }

    /// One that is known to exist, if it is right.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.things.get(name)?.as_ref()
    }

    /// Those that are right.
    pub(super) fn into_right(self) -> BTreeMap<String, T> {
        self.things
            .into_iter()
            .filter_map(|(name, thing)| Some((name, thing?)))
            .collect()
    }
}
