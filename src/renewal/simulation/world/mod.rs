//! CA, cloud, edge, clock, admin and their faults. True time is [`World::now`]; the daemon only
//! sees [`World::local`].

mod ca;
mod cloud;

use std::collections::BTreeMap;
use std::time::Duration;

use super::dice::Dice;
use super::weather::Weather;
use crate::certificate::KeyType;
use crate::name::TargetId;
use crate::renewal::fixtures::*;
use crate::renewal::*;
use crate::time::{Deadline, Timestamp, Window};

/// This part of all calls fails though everything works, half of them after they were performed.
const FAULTS: f64 = 0.03;

/// This part of all steps is not survived by the process.
const CRASHES: f64 = 0.01;

const BAD_NAME: &str = "bad.example.com";

/// One that was issued.
pub(super) struct Certificate {
    issued: Issued,
    window: Option<Window>,
    /// The window that the daemon was told last, and since when it was told so.
    told: (Option<Window>, Timestamp),
    /// When it was due at last, as far as the daemon knew.
    due: Timestamp,
}

/// What is bound by the API, or served by the edge.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Nothing,
    Foreign,
    /// The place in [`World::certificates`].
    Ours(usize),
}

struct Edge {
    bound: Bound,
    served: Bound,
    /// When it takes over what is bound.
    switches_at: Option<Timestamp>,
    /// When what is not ours there ends.
    other_ends: Timestamp,
    /// What is not ours there was put there on purpose, and is only to be told.
    is_left_alone: bool,
    /// The API never takes anything for it.
    is_dead: bool,
}

/// How often it came to what the properties are about: one that is never put to the test holds
/// always.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Met {
    /// Something ended at an edge.
    pub(super) ends: u32,
    /// An order was placed though the brake had its number.
    pub(super) emergencies: u32,
    /// A call was made after a time that was named for it.
    pub(super) named: u32,
    /// A backup was restored that does not know what an edge serves.
    pub(super) overtaken: u32,
}

/// What a backup holds.
struct Backup {
    record: Record,
    store: BTreeMap<u32, usize>,
    at: Timestamp,
}

pub(super) struct World {
    pub(super) dice: Dice,
    lifetime: Duration,
    /// The true time.
    pub(super) now: Timestamp,
    /// By how much the local clock is fast, or slow.
    fast: Duration,
    slow: Duration,
    pub(super) spec: Spec,
    pub(super) record: Record,
    pub(super) circumstances: Circumstances,
    weather: Weather,
    weather_until: Timestamp,
    pub(super) certificates: Vec<Certificate>,
    /// The place of each generation that the store knows.
    store: BTreeMap<u32, usize>,
    edges: BTreeMap<TargetId, Edge>,
    /// By the local clock, when orders were accepted, or may have been.
    orders: Vec<Timestamp>,
    /// What must not be done before a named time.
    named: Vec<(String, Deadline)>,
    /// When CA, cloud and clock began to work together; it may lie ahead.
    good_from: Timestamp,
    /// When they did before.
    good: Vec<(Timestamp, Timestamp)>,
    backup: Option<Backup>,
    next_mischief: Timestamp,
    pub(super) met: Met,
}

impl World {
    pub(super) fn new(seed: u64, lifetime: Duration) -> Self {
        let mut dice = Dice::new(seed);
        let mut spec = if dice.chance(0.5) {
            spec()
        } else {
            two_issuers()
        };
        let mut target = target_spec();
        target.look.every = lifetime / 6;
        target.look.deadline = (lifetime / 100).min(MINUTE * 15);
        target.on_drift = if dice.chance(0.8) {
            OnDrift::Repair
        } else {
            OnDrift::Alert
        };
        if lifetime < DAY {
            spec.orders_per_day = 10_000;
        }
        spec.targets.insert(the_target(), target.clone());
        if dice.chance(0.5) {
            spec.targets.insert(target_id("w.example.com"), target);
        }
        let dead = dice.chance(0.2).then(|| target_id("w.example.com"));
        let edges = spec.targets.keys().map(|id| {
            let bound = if dice.chance(0.5) {
                Bound::Nothing
            } else {
                Bound::Foreign
            };
            let edge = Edge {
                bound,
                served: bound,
                switches_at: None,
                other_ends: START + lifetime,
                is_left_alone: false,
                is_dead: dead.as_ref() == Some(id),
            };
            (id.clone(), edge)
        });
        let edges = edges.collect();
        Self {
            dice,
            lifetime,
            now: START,
            fast: Duration::ZERO,
            slow: Duration::ZERO,
            spec,
            record: Record::default(),
            circumstances: Circumstances::default(),
            weather: Weather::Fine,
            weather_until: START + lifetime,
            certificates: Vec::new(),
            store: BTreeMap::new(),
            edges,
            orders: Vec::new(),
            named: Vec::new(),
            good_from: START,
            good: Vec::new(),
            backup: None,
            next_mischief: START + lifetime,
            met: Met::default(),
        }
    }

    /// What the local clock shows.
    pub(super) fn local(&self) -> Timestamp {
        self.now + self.fast - self.slow
    }

    pub(super) fn tell(&self) -> String {
        format!(
            "true time {}, weather {:?} until {}, good since {}, before {:?}\n{:#?}",
            self.now, self.weather, self.weather_until, self.good_from, self.good, self.record
        )
    }

    fn apply(&mut self, event: Event) {
        let now = self.local();
        for at in &mut self.orders {
            *at = (*at).min(now);
        }
        match &event {
            Event::OrderIntended(_) => self.orders.push(now),
            Event::OrderFailed { order, .. } => {
                if *order == OrderFate::Refused {
                    self.orders.pop();
                }
            }
            Event::Reconfigured { .. }
            | Event::RenewalInfoAnswered(_)
            | Event::RenewalInfoFailed { .. }
            | Event::OrderHeldBack { .. }
            | Event::OrderAccepted
            | Event::OrderDropped
            | Event::Issued(_)
            | Event::InstallIntended { .. }
            | Event::NotSent { .. }
            | Event::Stored { .. }
            | Event::Installed { .. }
            | Event::InstallFailed { .. }
            | Event::OwnerProofIntended { .. }
            | Event::OwnerProofParked { .. }
            | Event::OwnerProven { .. }
            | Event::OwnerProofFailed { .. }
            | Event::ReadBack { .. }
            | Event::ReadBackFailed { .. }
            | Event::Looked { .. } => {}
        }
        self.record.apply(event, now);
    }

    /// Sleeps until the local clock shows `time`, or something wakes the daemon before.
    pub(super) fn sleep_until(&mut self, time: Timestamp) -> &'static str {
        let length = time.since(self.local()).max(Duration::from_millis(1));
        self.advance((self.now + length).min(self.next_mischief));
        let outcome = if self.now >= self.next_mischief {
            let pause = self.dice.between(self.lifetime / 10, self.lifetime * 3);
            self.next_mischief = self.now + pause;
            self.mischief()
        } else {
            ""
        };
        if self.circumstances.clock != ClockTrust::Trusted {
            self.circumstances.clock = self.trust();
        }
        outcome
    }

    fn trust(&self) -> ClockTrust {
        if self.fast + self.slow > HOUR {
            ClockTrust::Distrusted {
                until_checked: self.local() + HOUR,
            }
        } else {
            ClockTrust::Trusted
        }
    }

    fn advance(&mut self, to: Timestamp) {
        while self.now < to {
            let ends = self.edges.values().map(|edge| self.ends_at(edge));
            let switches = self.edges.values().filter_map(|edge| edge.switches_at);
            let next = ends
                .chain(switches)
                .chain([self.weather_until])
                .filter(|time| *time > self.now)
                .fold(to, Timestamp::min);
            self.now = next;
            for edge in self.edges.values_mut() {
                if edge.switches_at.is_some_and(|at| at <= next) {
                    edge.served = edge.bound;
                    edge.switches_at = None;
                }
            }
            let ended = |edge: &&Edge| !edge.is_dead && self.ends_at(edge) == next;
            if let Some(edge) = self.edges.values().find(ended) {
                self.expire(edge);
                self.met.ends += 1;
            }
            if self.weather_until <= next {
                self.change_weather();
            }
        }
    }

    fn ends_at(&self, edge: &Edge) -> Timestamp {
        match edge.served {
            Bound::Ours(place) => self.certificates[place].issued.leaf.not_after,
            Bound::Nothing | Bound::Foreign => edge.other_ends,
        }
    }

    /// What the edge serves ends: it must not have been possible to prevent that.
    fn expire(&self, edge: &Edge) {
        let end = self.ends_at(edge);
        let last_third = end - self.lifetime / 3;
        let begin = match edge.served {
            // A CA that wants it renewed later than that is listened to.
            Bound::Ours(place) => {
                let due = self.due().filter(|(held, _)| *held == place);
                let due = due.map_or(self.certificates[place].due, |(_, due)| due);
                due.max(last_third)
            }
            Bound::Nothing | Bound::Foreign if edge.is_left_alone => return,
            Bound::Nothing | Bound::Foreign => last_third,
        };
        let longest = self
            .good
            .iter()
            .copied()
            .chain([(self.good_from, end)])
            .map(|(from, until)| until.min(end).since(from.max(begin)))
            .max();
        let enough = DAY.min(self.lifetime / 4).mul_f64(1.1);
        assert!(
            longest < Some(enough),
            "expired at the edge, though everything worked for {longest:?} of the last third"
        );
    }

    /// The certificate that the daemon holds, and when it is due as far as the daemon knows.
    fn due(&self) -> Option<(usize, Timestamp)> {
        let issued = self.record.issued.as_ref()?;
        let place = *self.store.get(&issued.generation)?;
        let answer = issued.renewal_info.as_ref();
        let window = answer.and_then(|answer| answer.window);
        let picked = answer.map_or(0.0, |answer| answer.picked);
        let due = due_at(&issued.leaf, window, picked, self.spec.renew);
        Some((place, due.max(self.certificates[place].told.1)))
    }

    /// Something did not work, or will not before `until`.
    fn spoil(&mut self, until: Timestamp) {
        if self.good_from < self.now {
            self.good.push((self.good_from, self.now));
            if self.good.len() > 300 {
                self.good.drain(..100);
            }
        }
        self.good_from = self.good_from.max(until);
    }

    fn change_weather(&mut self) {
        let before = self.weather;
        self.weather = before.next(&mut self.dice);
        let length = self.weather.length(&mut self.dice, self.lifetime);
        self.weather_until = self.now + length;
        self.spoil(self.now);
        if !self.weather.is_fine() {
            self.spoil(self.weather_until);
        }
        match before {
            // What was just refused may not be ordered anew at once.
            Weather::CloudRefuses => self.spoil(self.now + HOUR.min(self.lifetime / 4)),
            Weather::BadName => {
                self.spec.names.remove(&BAD_NAME.parse().unwrap());
                self.reconfigure();
            }
            Weather::CloudForbids if self.dice.chance(0.5) => self.reconfigure(),
            Weather::CloudForbids
            | Weather::Fine
            | Weather::Revocations
            | Weather::CaDown { .. }
            | Weather::Unprovable
            | Weather::CaLimits
            | Weather::CloudDown
            | Weather::BothDown
            | Weather::CloudLimits
            | Weather::EdgeStuck { .. } => {}
        }
        match self.weather {
            Weather::BadName => {
                self.spec.names.insert(BAD_NAME.parse().unwrap());
                self.reconfigure();
            }
            Weather::Revocations => {
                let window = Window::new(self.now - DAY * 2, self.now - DAY);
                if let Some(last) = self.certificates.last_mut() {
                    last.window = window;
                }
            }
            Weather::Fine
            | Weather::CaDown { .. }
            | Weather::Unprovable
            | Weather::CaLimits
            | Weather::CloudDown
            | Weather::BothDown
            | Weather::CloudLimits
            | Weather::CloudForbids
            | Weather::CloudRefuses
            | Weather::EdgeStuck { .. } => {}
        }
    }

    fn reconfigure(&mut self) {
        let digest = self.spec.digest();
        self.apply(Event::Reconfigured { digest });
    }

    fn mischief(&mut self) -> &'static str {
        if self.fast + self.slow > Duration::ZERO {
            return self.step_clock();
        }
        match self.dice.one_of(7) {
            0 => {
                self.stop(self.lifetime / 10);
                "was not running"
            }
            1 => {
                self.spec.key = match self.spec.key {
                    KeyType::EcdsaP256 => KeyType::Rsa2048,
                    KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 | KeyType::EcdsaP384 => {
                        KeyType::EcdsaP256
                    }
                };
                self.reconfigure();
                "another key was configured"
            }
            2 => {
                self.spec.issuers.reverse();
                self.reconfigure();
                "the issuers were reversed"
            }
            3 => {
                for (id, edge) in &mut self.edges {
                    edge.bound = Bound::Foreign;
                    edge.served = Bound::Foreign;
                    edge.other_ends = self.now + self.lifetime;
                    edge.is_left_alone = self.spec.targets[id].on_drift == OnDrift::Alert;
                }
                "a foreign certificate was installed"
            }
            4 => {
                self.backup = Some(Backup {
                    record: self.record.clone(),
                    store: self.store.clone(),
                    at: self.now,
                });
                "a backup was made"
            }
            5 => self.restore(),
            _ => self.step_clock(),
        }
    }

    /// The process does not run for a while.
    fn stop(&mut self, most: Duration) {
        let length = self.dice.between(Duration::from_secs(1), most.max(MINUTE));
        self.spoil(self.now + length);
        self.advance(self.now + length);
    }

    fn restore(&mut self) -> &'static str {
        // An install may follow the last look within a minute.
        let old_enough = MINUTE * 2;
        match self.backup.take() {
            Some(backup) if self.now.since(backup.at) > old_enough => {
                if let Some((held, due)) = self.due() {
                    self.certificates[held].due = due;
                }
                self.record = backup.record;
                self.store = backup.store;
                let known: Vec<usize> = self.store.values().copied().collect();
                let overtaken = |edge: &&Edge| matches!(edge.served, Bound::Ours(place) if !known.contains(&place));
                if self.edges.values().any(|edge| overtaken(&edge)) {
                    self.met.overtaken += 1;
                }
                let accepted = self.record.orders.accepted.iter();
                self.orders = accepted.map(|order| order.at).collect();
                self.named.clear();
                self.circumstances.deadlines.clear();
                // What was done while all was well may be lost with its certificate.
                self.spoil(self.now);
                self.good.clear();
                // The daemon only notices a configuration that is another one.
                if self.record.digest != self.spec.digest() {
                    self.reconfigure();
                }
                "a backup was restored"
            }
            other => {
                self.backup = other;
                "no backup to restore"
            }
        }
    }

    /// The clock is wrong for a while, or right again.
    fn step_clock(&mut self) -> &'static str {
        if self.fast + self.slow > Duration::ZERO {
            (self.fast, self.slow) = (Duration::ZERO, Duration::ZERO);
            self.spoil(self.now);
            return "the clock is right again";
        }
        let by = self.dice.between(SECOND, DAY * 400);
        if self.dice.chance(0.5) {
            self.fast = by;
        } else {
            self.slow = by;
        }
        let length = self.dice.between(self.lifetime / 1000, self.lifetime / 5);
        self.next_mischief = self.now + length;
        self.spoil(self.now + length);
        "the clock was stepped"
    }

    /// Performs a step and takes in what happened, if the process lives that long.
    pub(super) fn perform(&mut self, decision: &Decision) -> &'static str {
        let pause = Duration::from_millis(self.dice.one_of(1000));
        self.advance(self.now + pause);
        if !matches!(decision.action, Action::Look { .. })
            && self.trust() != ClockTrust::Trusted
            && self.dice.chance(0.7)
        {
            self.circumstances.clock = self.trust();
            return "the clock is found to be wrong";
        }
        let named = self.named.clone();
        let (outcome, event) = match &decision.action {
            Action::AskRenewalInfo => self.ask_renewal_info(),
            Action::Install {
                target, generation, ..
            } => self.install(target, *generation),
            Action::Look { target } => self.look(target),
            Action::Order { issuer, names, .. } => {
                return self.order(issuer, names, decision.reason);
            }
            Action::ReadBack { target } => self.read_back(target),
            Action::DistrustClock { .. } | Action::ProveOwner { .. } | Action::SleepUntil(_) => {
                unreachable!("no step")
            }
        };
        if self.dice.chance(CRASHES) {
            // What was named was not heard.
            self.named = named;
            self.stop(MINUTE);
            return "killed";
        }
        self.apply(event);
        outcome
    }
}
