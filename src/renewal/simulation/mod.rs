//! Years of a certificate's life in milliseconds: a [`world::World`] answers each action with
//! events, and what must never happen is asserted at every step.
//!
//! | property | where |
//! |---|---|
//! | nothing expires at the edge while CA and cloud were together up for any 24 h (a quarter of the life, if shorter) of the last third | `World::expire` |
//! | never over the rails: brake, pause after a success, named times | `World::check_rails`, `World::check_named` |
//! | a later generation is never overwritten by an earlier one | `World::put` |
//! | every sleep ends later than now, and nothing changes before | `Life::check_sleep` |
//! | nothing spins | `Life::count_step` |
//! | the record survives the store | `Life::check_store` |

mod dice;
mod weather;
mod world;

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use self::world::World;
use super::fixtures::*;
use super::*;
use crate::time::Timestamp;

/// So many lines are told of what led to a failure.
const TOLD: usize = 150;

/// One run.
struct Life {
    world: World,
    /// Steps other than sleeping within the current hour.
    hour: (i64, u32),
    most_steps_an_hour: u32,
    checks_every_store: bool,
    /// When, what, why, and what came of it.
    transcript: VecDeque<(Timestamp, &'static str, Reason, &'static str)>,
}

impl Life {
    fn new(seed: u32, lifetime: Duration) -> Self {
        Self {
            world: World::new(seed.into(), lifetime),
            hour: (0, 0),
            // Looks at an edge that lags are a minute apart; a short life has short delays.
            most_steps_an_hour: if lifetime < DAY { 3000 } else { 500 },
            checks_every_store: seed.is_multiple_of(1000),
            transcript: VecDeque::with_capacity(TOLD),
        }
    }

    fn run(&mut self, length: Duration) {
        let end = START + length;
        while self.world.now < end {
            let now = self.world.local();
            let world = &self.world;
            let decision = decide(&world.spec, &world.record, &world.circumstances, now);
            let (action, reason) = (decision.action.as_str(), decision.reason);
            let outcome = match decision.action {
                Action::SleepUntil(time) => {
                    self.check_sleep(time, now);
                    self.world.sleep_until(time)
                }
                Action::DistrustClock { until_checked } => self.world.sleep_until(until_checked),
                Action::AskRenewalInfo
                | Action::Install { .. }
                | Action::Look { .. }
                | Action::Order { .. }
                | Action::ProveOwner { .. }
                | Action::ReadBack { .. } => {
                    self.count_step();
                    let outcome = self.world.perform(&decision);
                    self.check_store();
                    outcome
                }
            };
            if self.transcript.len() == TOLD {
                self.transcript.pop_front();
            }
            self.transcript.push_back((now, action, reason, outcome));
        }
    }

    /// Nothing may change before a sleep is over; a part of them is interrupted.
    fn check_sleep(&mut self, time: Timestamp, now: Timestamp) {
        assert!(time > now, "a sleep until {time}, which has come");
        if self.world.dice.chance(0.8) {
            return;
        }
        let sample = now + time.since(now).mul_f64(self.world.dice.fraction() * 0.999);
        let world = &self.world;
        let decision = decide(&world.spec, &world.record, &world.circumstances, sample);
        let same = matches!(decision.action, Action::SleepUntil(again) if again >= time);
        assert!(
            same,
            "asleep until {time}, but at {sample} it would be {decision:?}"
        );
    }

    fn count_step(&mut self) {
        let hour = self.world.now.as_seconds() / 3600;
        if self.hour.0 != hour {
            self.hour = (hour, 0);
        }
        self.hour.1 += 1;
        assert!(
            self.hour.1 <= self.most_steps_an_hour,
            "{} steps within an hour",
            self.hour.1
        );
    }

    fn tell(&self) -> String {
        let lines = self
            .transcript
            .iter()
            .map(|(time, action, reason, outcome)| {
                let day = time.since(START).as_secs_f64() / DAY.as_secs_f64();
                format!("day {day:.4} {time} {reason} -> {action}: {outcome}")
            });
        let lines: Vec<String> = lines.collect();
        format!("{}\n{}", lines.join("\n"), self.world.tell())
    }

    /// Reading a record back takes longer than all else: a part of the lives does it at every step, the
    /// others now and then.
    fn check_store(&mut self) {
        if !self.checks_every_store && self.world.dice.chance(0.99) {
            return;
        }
        let text = serde_json::to_string(&self.world.record).unwrap();
        let again: Record = serde_json::from_str(&text).unwrap();
        assert!(again == self.world.record, "the store loses something");
    }
}

/// Plays one life per seed; what goes wrong is told with what led to it.
fn play(seeds: Range<u32>, lifetime: Duration, length: Duration) {
    let lives = f64::from(seeds.end - seeds.start);
    let mut issued = 0;
    let mut met = [0; 4];
    for seed in seeds {
        let mut life = Life::new(seed, lifetime);
        let outcome = catch_unwind(AssertUnwindSafe(|| life.run(length)));
        assert!(outcome.is_ok(), "seed {seed}:\n{}", life.tell());
        issued += life.world.certificates.len();
        let one = life.world.met;
        let one = [one.ends, one.named, one.overtaken, one.emergencies];
        met.iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
    }
    // Short lives have a brake that is out of the way.
    let put_to_the_test = if lifetime < DAY { &met[..3] } else { &met };
    assert!(put_to_the_test.iter().all(|&times| times > 0), "{met:?}");
    // Renewed at two thirds if nothing is wrong, more often if something is.
    let least = lives * length.as_secs_f64() / lifetime.as_secs_f64();
    let issued = f64::from(u32::try_from(issued).unwrap());
    assert!(issued > least, "{issued} certificates, not {least}");
}

const YEAR: Duration = Duration::from_hours(365 * 24 + 6);

#[test]
fn lives_of_90_days() {
    play(0..60, DAY * 90, YEAR * 20);
}

#[test]
fn lives_of_45_days() {
    play(1000..1040, DAY * 45, YEAR * 20);
}

#[test]
fn lives_of_160_hours() {
    play(2000..2020, HOUR * 160, YEAR * 3);
}

#[test]
fn lives_of_minutes() {
    play(3000..3040, MINUTE * 10, HOUR * 12);
}
