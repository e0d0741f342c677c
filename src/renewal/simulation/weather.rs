//! What is wrong with the world at a time.

use std::time::Duration;

use super::dice::Dice;

/// What does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    /// Nothing.
    Fine,
    /// The CA wants every certificate gone at once; everything works.
    Revocations,
    /// The CA cannot be reached; of two issuers only the first or both.
    CaDown {
        /// Whether both.
        both: bool,
    },
    /// The CA accepts orders, and none becomes valid.
    Unprovable,
    /// The CA names times.
    CaLimits,
    /// A name was configured that the CA refuses.
    BadName,
    /// The cloud's API cannot be reached.
    CloudDown,
    /// Neither.
    BothDown,
    /// The cloud's API names times.
    CloudLimits,
    /// The cloud refuses our credentials.
    CloudForbids,
    /// The cloud calls every certificate expired.
    CloudRefuses,
    /// The edge does not take over what was installed.
    EdgeStuck {
        /// Whether no answer to an install arrives either.
        answers_lost: bool,
    },
}

impl Weather {
    /// Other weather than this.
    pub(super) fn next(self, dice: &mut Dice) -> Self {
        if !self.is_fine() {
            return if dice.chance(0.9) {
                Self::Fine
            } else {
                Self::Revocations
            };
        }
        match dice.one_of(10) {
            0 => Self::CaDown { both: true },
            1 => Self::CaDown { both: false },
            2 => Self::Unprovable,
            3 => Self::CaLimits,
            4 => Self::BadName,
            5 => Self::CloudDown,
            6 => Self::BothDown,
            7 => Self::CloudLimits,
            8 => Self::CloudForbids,
            _ if dice.chance(0.5) => Self::CloudRefuses,
            _ => Self::EdgeStuck {
                answers_lost: dice.chance(0.5),
            },
        }
    }

    /// Whether CA and cloud both work.
    pub(super) fn is_fine(self) -> bool {
        match self {
            Self::Fine | Self::Revocations => true,
            Self::CaDown { .. }
            | Self::Unprovable
            | Self::CaLimits
            | Self::BadName
            | Self::CloudDown
            | Self::BothDown
            | Self::CloudLimits
            | Self::CloudForbids
            | Self::CloudRefuses
            | Self::EdgeStuck { .. } => false,
        }
    }

    /// How long it lasts, in lives of a certificate.
    pub(super) fn length(self, dice: &mut Dice, lifetime: Duration) -> Duration {
        let (least, most) = match self {
            Self::Fine => (0.02, 3.0),
            // Orders as fast as the rails allow, or looks every hour: a few days say it all.
            Self::Revocations | Self::CloudRefuses | Self::EdgeStuck { .. } => (0.001, 0.05),
            Self::CaDown { .. }
            | Self::Unprovable
            | Self::CaLimits
            | Self::BadName
            | Self::CloudDown
            | Self::BothDown
            | Self::CloudLimits
            | Self::CloudForbids => (0.001, 0.7),
        };
        dice.between(lifetime.mul_f64(least), lifetime.mul_f64(most))
    }
}
