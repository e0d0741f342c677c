//! RAM roles: who may take them on, and for how long.

use std::time::Duration;

/// A RAM role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub(crate) arn: String,
    pub(crate) trust: Trust,
    /// How long its credentials last whatever is asked for; nothing for what is asked for.
    pub(crate) lasts: Option<Duration>,
}

/// Who may take a role on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Every access key.
    Keys,
    /// Every access key that names this external id.
    ExternalId(String),
    /// Whoever has a token of an OIDC provider.
    Oidc {
        /// The name of the provider (`acs:ram::…:oidc-provider/…`).
        provider_arn: String,
        /// The token.
        token: String,
    },
}

impl Role {
    /// A role whose credentials last as long as is asked for.
    pub fn new(arn: &str, trust: Trust) -> Self {
        Self {
            arn: arn.to_owned(),
            trust,
            lasts: None,
        }
    }

    /// The same role with credentials that last so long, whatever is asked for.
    #[must_use]
    pub fn lasting(self, lasts: Duration) -> Self {
        Self {
            lasts: Some(lasts),
            ..self
        }
    }
}
