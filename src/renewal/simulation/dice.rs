//! The simulation's own source of chance: the same seed, the same life.

use std::time::Duration;

/// `SplitMix64` (Steele, Lea, Flood 2014).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0.0 to 1.0.
    pub(super) fn fraction(&mut self) -> f64 {
        let high = u32::try_from(self.roll() >> 32).unwrap_or(u32::MAX);
        f64::from(high) / f64::from(u32::MAX)
    }

    /// Whether something happens that happens in this part of all cases.
    pub(super) fn chance(&mut self, part: f64) -> bool {
        self.fraction() < part
    }

    /// One of `count`, from 0.
    pub(super) fn one_of(&mut self, count: u64) -> u64 {
        self.roll() % count
    }

    /// A length between two, the short ones as likely as the long ones by their logarithm.
    pub(super) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let ratio = most.as_secs_f64() / least.as_secs_f64();
        least.mul_f64(ratio.powf(self.fraction()))
    }
}
