//! The parameters of one call, some of them secret.

use std::collections::BTreeMap;
use std::fmt;

use crate::secret::Secret;

/// Parameters by name. `Debug` shows the names only.
#[derive(Clone, Default)]
pub(super) struct Parameters(BTreeMap<&'static str, Value>);

#[derive(Clone)]
enum Value {
    Plain(String),
    Secret(Secret),
}

impl Parameters {
    /// No parameters.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// These and one more.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.insert(name, Value::Plain(value.into()));
        self
    }

    /// These and one more that must not be seen.
    pub(super) fn with_secret(mut self, name: &'static str, value: Secret) -> Self {
        self.0.insert(name, Value::Secret(value));
        self
    }

    /// Names and values, in the order of the names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.expose()))
    }

    /// The names, in order.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }

    /// The values that must not be seen.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.0.values().filter_map(|value| match value {
            Value::Plain(_) => None,
            Value::Secret(secret) => Some(secret),
        })
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Value {
    fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }
}
