//! The cloud's API and its edge.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::weather::Weather;
use super::{Bound, FAULTS, World};
use crate::name::TargetId;
use crate::renewal::fixtures::*;
use crate::renewal::*;
use crate::retry::{Class, Failure, Scope};
use crate::time::{Deadline, Timestamp};

impl World {
    pub(super) fn look(&mut self, target: &TargetId) -> (&'static str, Event) {
        let edge = &self.edges[target];
        let (bound, served) = (edge.bound, edge.served);
        let switching = edge.switches_at.is_some();
        let target = target.clone();
        if served == Bound::Nothing || self.dice.chance(0.02) {
            let why = "unreachable".to_owned();
            let sight = Sight::Unreachable { why };
            return ("unreachable", looked_at(target, sight));
        }
        let other_ends = edge.other_ends;
        let mut leaves = vec![self.leaf_of(served, other_ends)];
        if switching && self.dice.chance(0.3) {
            leaves.push(self.leaf_of(bound, other_ends));
        }
        let sight = Sight::Leaves(leaves);
        ("looked", looked_at(target, sight))
    }

    fn leaf_of(&self, bound: Bound, other_ends: Timestamp) -> Served {
        match bound {
            Bound::Nothing | Bound::Foreign => Served {
                not_after: other_ends,
                ..unknown_leaf(other_ends - self.lifetime)
            },
            Bound::Ours(place) => {
                let issued = &self.certificates[place].issued;
                let known = self.store.get(&issued.generation) == Some(&place);
                Served {
                    generation: known.then_some(issued.generation),
                    chain_as_stored: known,
                    ..served(issued)
                }
            }
        }
    }

    pub(super) fn read_back(&mut self, target: &TargetId) -> (&'static str, Event) {
        let target = target.clone();
        let failure = match self.weather {
            Weather::CloudDown | Weather::BothDown => Some(backoff()),
            Weather::CloudForbids => Some(operator()),
            Weather::Fine
            | Weather::Revocations
            | Weather::CaDown { .. }
            | Weather::Unprovable
            | Weather::CaLimits
            | Weather::BadName
            | Weather::CloudLimits
            | Weather::CloudRefuses
            | Weather::EdgeStuck { .. } => self.fault().then(backoff),
        };
        if let Some(failure) = failure {
            let jitter = self.dice.fraction();
            let forbidden = self.weather == Weather::CloudForbids;
            let event = Event::ReadBackFailed {
                target,
                failure,
                lacks_permission: forbidden && self.dice.chance(0.5),
                jitter,
            };
            return ("failed", event);
        }
        let found = match self.edges[&target].bound {
            Bound::Nothing => Found::Nothing,
            Bound::Foreign => Found::Foreign {
                cert_name: "by-hand".to_owned(),
            },
            Bound::Ours(place) => {
                let issued = &self.certificates[place].issued;
                let generation = issued.generation;
                if self
                    .store
                    .get(&generation)
                    .is_some_and(|known| *known != place)
                {
                    Found::Twin {
                        cert_name: "twin".to_owned(),
                        generation,
                        not_before: issued.leaf.not_before,
                    }
                } else {
                    Found::Ours(installed(generation, self.local()))
                }
            }
        };
        ("told", Event::ReadBack { target, found })
    }

    /// Whether a call fails though everything works.
    pub(super) fn fault(&mut self) -> bool {
        let fault = self.dice.chance(FAULTS);
        if fault {
            self.spoil(self.now);
        }
        fault
    }

    pub(super) fn install(&mut self, target: &TargetId, generation: u32) -> (&'static str, Event) {
        self.check_named(&format!("install|{target}"));
        let target = target.clone();
        self.apply(Event::InstallIntended {
            target: target.clone(),
        });
        let refusal = match self.weather {
            _ if self.edges[&target].is_dead => Some(("dead", operator())),
            Weather::CloudDown | Weather::BothDown if self.dice.chance(0.5) => {
                Some(("no answer", lost()))
            }
            Weather::CloudDown | Weather::BothDown => Some(("down", backoff())),
            Weather::EdgeStuck { answers_lost: true } => {
                self.put(&target, generation);
                Some(("performed, but no answer arrives", lost()))
            }
            Weather::CloudLimits => Some(("throttled", self.throttle(&target))),
            Weather::CloudForbids => Some(("forbidden", operator())),
            Weather::CloudRefuses => {
                let remedies = [(Class::Reissue, 20), (Class::Operator, 1)];
                Some(("refused", failure("Certificate.Expired", &remedies)))
            }
            Weather::Fine
            | Weather::Revocations
            | Weather::CaDown { .. }
            | Weather::Unprovable
            | Weather::CaLimits
            | Weather::BadName
            | Weather::EdgeStuck { .. } => match self.fault().then(|| self.dice.one_of(3)) {
                None => None,
                Some(0) => {
                    self.put(&target, generation);
                    Some(("performed, but the answer was lost", lost()))
                }
                Some(1) => Some(("lost", lost())),
                Some(_) => {
                    let remedies = [
                        (Class::Backoff, 1),
                        (Class::Reformat, 1),
                        (Class::Operator, 1),
                    ];
                    Some(("disliked", failure("sslPub.Error", &remedies)))
                }
            },
        };
        if let Some((outcome, failure)) = refusal {
            let jitter = self.dice.fraction();
            let event = Event::InstallFailed {
                target,
                generation,
                may_have_happened: failure.code == lost().code,
                bound: None,
                failure,
                jitter,
            };
            return (outcome, event);
        }
        self.put(&target, generation);
        let installed = installed(generation, self.local());
        ("done", Event::Installed { target, installed })
    }

    /// The API takes a generation.
    fn put(&mut self, target: &TargetId, generation: u32) {
        let place = self.store[&generation];
        let longest = MINUTE * 30;
        let lag = self
            .dice
            .between(SECOND, longest.min(self.lifetime / 200).max(SECOND * 2));
        let edge = self.edges.get_mut(target).unwrap();
        if let Bound::Ours(before) = edge.bound {
            let begins = |place: usize| self.certificates[place].issued.leaf.not_before;
            assert!(
                begins(before) <= begins(place),
                "{target}: an earlier generation over a later one"
            );
        }
        edge.bound = Bound::Ours(place);
        edge.switches_at = Some(match self.weather {
            Weather::EdgeStuck { .. } => self.weather_until,
            Weather::Fine
            | Weather::Revocations
            | Weather::CaDown { .. }
            | Weather::Unprovable
            | Weather::CaLimits
            | Weather::BadName
            | Weather::CloudDown
            | Weather::BothDown
            | Weather::CloudLimits
            | Weather::CloudForbids
            | Weather::CloudRefuses => self.now + lag,
        });
    }

    fn throttle(&mut self, target: &TargetId) -> Failure {
        let (scope, key) = if self.dice.chance(0.5) {
            (Scope::Here, format!("install|{target}"))
        } else {
            let action = self.spec.targets[target].install_scopes[1].clone();
            (action, "install|".to_owned())
        };
        self.limit(scope, &key, HOUR)
    }

    /// A failure that names a time at most so far away.
    pub(super) fn limit(&mut self, scope: Scope, key: &str, most: Duration) -> Failure {
        let most = most.min(self.lifetime / 6);
        let length = self.dice.between(SECOND, most);
        let now = self.local();
        let deadline = Deadline::after(now, length);
        self.named.push((key.to_owned(), deadline));
        self.spoil(self.now + length + SECOND * 5);
        let failure = Failure {
            scope,
            not_before: Some(deadline.until),
            ..failure("Throttling.User", &[(Class::After, 9), (Class::Backoff, 1)])
        };
        if let (Some(key), Some(deadline)) = (
            failure.scope.key(),
            scope_deadline(&failure, 0, self.local()),
        ) {
            self.circumstances.deadlines.insert(key, deadline);
        }
        failure
    }

    pub(super) fn check_named(&mut self, call: &str) {
        let now = self.local();
        for (closed, deadline) in &self.named {
            assert!(
                !call.starts_with(closed.as_str()) || deadline.holding(now).is_none(),
                "{call} before {}",
                deadline.until
            );
        }
        // What has passed, or is void, is not to be heeded later.
        let before = self.named.len();
        self.named
            .retain(|(closed, _)| !call.starts_with(closed.as_str()));
        if self.named.len() < before {
            self.met.named += 1;
        }
    }
}

fn looked_at(target: TargetId, sight: Sight) -> Event {
    Event::Looked {
        target,
        sight,
        addresses: BTreeSet::new(),
    }
}
