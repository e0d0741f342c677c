//! What went wrong with one kind of step: the place in its courses and on its ladder, and what was
//! learned of the copy in a cloud's certificate store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::{StoredPlace, millionths};
use crate::retry::{Class, Failure};
use crate::time::Timestamp;

/// Failures in a row of one kind of step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// The last failure.
    pub failure: Failure,
    /// The generation that it was about, if any.
    pub generation: Option<u32>,
    /// Failures in a row, whatever their code: the rung of the ladder.
    pub in_a_row: u32,
    /// Failures in a row by code: the place in the code's own course. Kept per code, so that two
    /// codes in turns still reach the end of theirs.
    pub by_code: BTreeMap<String, u32>,
    /// When the row began.
    pub since: Timestamp,
    /// When the last one happened.
    pub last_at: Timestamp,
    /// A number from 0.0 to 1.0 that spreads the retries of many certificates.
    pub jitter: f64,
    /// How often a new certificate name was taken.
    pub renames: u8,
    /// Whether the PEM is to be encoded anew.
    pub reformat: bool,
    /// Whether the certificate may be stored under its name already, though it was not bound: an
    /// answer was lost, or said so.
    pub bind: bool,
    /// Whether a refusal was about the copy itself, so that there may be one under any name. Another
    /// failure in between does not make that untrue.
    #[serde(default)]
    pub same_content: bool,
    /// The refusal that used up the last name: uploads would go on for ever, so that it is only looked
    /// for and bound from then on.
    #[serde(default)]
    pub exhausted: Option<Failure>,
    /// Where it was said not to be, though it had been found there.
    #[serde(default)]
    pub missing: Option<StoredPlace>,
}

impl Trouble {
    /// The class that applies now.
    pub fn class(&self) -> Class {
        self.failure
            .class(self.by_code.get(&self.failure.code).copied().unwrap_or(1))
    }

    /// What of a row of failures still counts for another generation: how many there were, but not
    /// how far the courses of their codes were, nor what was stored under which name.
    pub(super) fn carried_over_to(self, generation: u32) -> Self {
        if self.generation == Some(generation) {
            return self;
        }
        Self {
            generation: Some(generation),
            by_code: BTreeMap::new(),
            renames: 0,
            bind: false,
            same_content: false,
            exhausted: None,
            missing: None,
            ..self
        }
    }

    /// Adds a failure to the row that `before` tells of, or begins one.
    pub(super) fn add(
        before: Option<Self>,
        failure: Failure,
        generation: Option<u32>,
        jitter: f64,
        now: Timestamp,
    ) -> Self {
        let jitter = millionths(jitter);
        let mut trouble = before.unwrap_or_else(|| Self {
            failure: failure.clone(),
            generation,
            in_a_row: 0,
            by_code: BTreeMap::new(),
            since: now,
            last_at: now,
            jitter,
            renames: 0,
            reformat: false,
            bind: false,
            same_content: false,
            exhausted: None,
            missing: None,
        });
        *trouble.by_code.entry(failure.code.clone()).or_default() += 1;
        trouble.in_a_row = trouble.in_a_row.saturating_add(1);
        trouble.failure = failure;
        trouble.generation = generation;
        trouble.last_at = now;
        trouble.jitter = jitter;
        trouble.same_content |= trouble.is_about_the_copy();
        match trouble.class() {
            // Nothing is stored under the next name, nor in the next form.
            Class::Rename => {
                trouble.renames = trouble.renames.saturating_add(1);
                trouble.bind = false;
                trouble.missing = None;
            }
            Class::Reformat => {
                trouble.reformat = true;
                trouble.bind = false;
            }
            Class::Reconcile => trouble.bind = true,
            Class::Bug | Class::Operator => trouble.exhaust(),
            Class::After | Class::Backoff | Class::Refresh | Class::Reissue => {}
        }
        trouble
    }

    /// There is no other name that might help against a refusal of the copy.
    fn exhaust(&mut self) {
        if self.exhausted.is_none() && self.is_about_the_copy() {
            self.exhausted = Some(self.failure.clone());
        }
    }

    /// That no copy was found which the target could be bound to, once every name is used up; nothing
    /// before that.
    ///
    /// It is a failure of its own with the code of the refusal that stands. What was said last may
    /// have been about something else, such as a limit of the whole cloud, and nobody said it again.
    pub fn nothing_to_bind(&self) -> Option<Failure> {
        let refusal = self.exhausted.as_ref()?;
        let message = format!(
            "refused under every name, and no copy was found to bind instead: {}",
            refusal.message
        );
        let course = [(Class::Operator, 1)];
        Some(Failure::here(refusal.code.clone(), message, &course))
    }

    /// Whether it is about the copy in the cloud's certificate store: another name may help.
    fn is_about_the_copy(&self) -> bool {
        let mut course = self.failure.course.iter();
        course.any(|remedy| remedy.class == Class::Rename)
    }

    /// Whether it waits for a person.
    pub fn needs_a_person(&self) -> bool {
        match self.class() {
            Class::Operator | Class::Bug => true,
            Class::After
            | Class::Backoff
            | Class::Reconcile
            | Class::Refresh
            | Class::Reformat
            | Class::Reissue
            | Class::Rename => false,
        }
    }
}
