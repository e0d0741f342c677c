//! The CA: what it says about renewal, how it answers orders, and whether an order was allowed.

use std::collections::BTreeSet;

use super::super::weather::Weather;
use super::{BAD_NAME, CRASHES, Certificate, FAULTS, World};
use crate::name::DnsName;
use crate::renewal::fixtures::*;
use crate::renewal::*;
use crate::retry::{Failure, Scope};
use crate::time::{Timestamp, Window};

impl World {
    pub(super) fn ca_works(&self, issuer: &str) -> bool {
        match self.weather {
            Weather::CaDown { both } => !both && issuer != "first",
            Weather::BothDown => false,
            Weather::Fine
            | Weather::Revocations
            | Weather::Unprovable
            | Weather::CaLimits
            | Weather::BadName
            | Weather::CloudDown
            | Weather::CloudLimits
            | Weather::CloudForbids
            | Weather::CloudRefuses
            | Weather::EdgeStuck { .. } => true,
        }
    }

    pub(super) fn ask_renewal_info(&mut self) -> (&'static str, Event) {
        let issued = self.record.issued.as_ref().unwrap();
        let place = self.store[&issued.generation];
        if !self.ca_works(&issued.issuer.clone()) || self.dice.chance(FAULTS) {
            let failure = backoff();
            return ("no answer", Event::RenewalInfoFailed { failure });
        }
        let pause = self.dice.between(self.lifetime / 20, self.lifetime / 2);
        let Certificate { window, told, .. } = &mut self.certificates[place];
        if told.0 != *window {
            *told = (*window, self.now);
        }
        let answer = Event::RenewalInfoAnswered(RenewalAnswer {
            window: *window,
            explanation: None,
            supported: self.dice.chance(0.95),
            ask_again: self.local() + pause,
            picked: self.dice.fraction(),
        });
        ("answered", answer)
    }

    pub(super) fn order(
        &mut self,
        issuer: &IssuerSpec,
        names: &BTreeSet<DnsName>,
        reason: Reason,
    ) -> &'static str {
        let what = if reason == Reason::Resume {
            "accepted"
        } else {
            "new"
        };
        self.check_named(&format!("order|{}|{what}|", issuer.name));
        if reason != Reason::Resume {
            self.check_rails(reason);
            self.apply(Event::OrderIntended(OrderIntent {
                issuer: issuer.name.clone(),
                directory: issuer.directory.clone(),
                names: names.clone(),
                key: self.spec.key,
                profile: None,
            }));
            if self.dice.chance(CRASHES) {
                self.stop(MINUTE);
                return "killed with the intent stored";
            }
        }
        if let Some((outcome, failure)) = self.refuse_order(issuer, names, reason) {
            self.fail_order(issuer, failure);
            return outcome;
        }
        if reason != Reason::Resume {
            self.apply(Event::OrderAccepted);
        }
        let length = self
            .dice
            .between(SECOND, MINUTE * 3)
            .min(self.lifetime / 300);
        self.advance(self.now + length);
        if self.weather == Weather::Unprovable {
            if self.dice.chance(0.5) {
                self.apply(Event::OrderDropped);
            }
            self.fail_order(issuer, backoff());
            return "not proven";
        }
        if !self.ca_works(&issuer.name) || self.fault() {
            self.fail_order(issuer, backoff());
            return "the CA fell silent";
        }
        if self.dice.chance(CRASHES) {
            self.stop(MINUTE);
            return "killed with the chain in hand";
        }
        self.issue(issuer, names);
        "issued"
    }

    fn refuse_order(
        &mut self,
        issuer: &IssuerSpec,
        names: &BTreeSet<DnsName>,
        reason: Reason,
    ) -> Option<(&'static str, Failure)> {
        if !self.ca_works(&issuer.name) {
            return Some(("down", backoff()));
        }
        if self.weather == Weather::CaLimits {
            let directory = issuer.directory.clone();
            let any = format!("order|{}|", issuer.name);
            let domain = Scope::RegisteredDomain {
                directory: directory.clone(),
                domain: "example.com".to_owned(),
            };
            // What is limited per domain are new orders.
            let (scope, key) = match self.dice.one_of(3) {
                0 => (Scope::Here, any),
                2 if reason != Reason::Resume => (domain, format!("{any}new|")),
                _ => (Scope::Ca { directory }, any),
            };
            return Some(("limited", self.limit(scope, &key, DAY * 7)));
        }
        if names.iter().any(|name| name.as_str() == BAD_NAME) {
            return Some(("bad name", operator()));
        }
        self.fault().then(|| ("lost", backoff()))
    }

    fn fail_order(&mut self, issuer: &IssuerSpec, failure: Failure) {
        let jitter = self.dice.fraction();
        let open = self.record.orders.open.as_ref();
        let order = match open.map(|open| open.accepted_at) {
            Some(None) => OrderFate::Refused,
            Some(Some(_)) | None => OrderFate::Open,
        };
        self.apply(Event::OrderFailed {
            issuer: issuer.name.clone(),
            failure,
            order,
            jitter,
        });
    }

    fn issue(&mut self, issuer: &IssuerSpec, names: &BTreeSet<DnsName>) {
        let generation = self.record.newest_generation + 1;
        let begin = self.now - SECOND.max(self.lifetime / 2000);
        let mut next = issued_for(generation, begin, self.lifetime);
        next.leaf.names.clone_from(names);
        next.leaf.key = Some(self.spec.key);
        next.issuer.clone_from(&issuer.name);
        next.directory.clone_from(&issuer.directory);
        next.at = self.local();
        next.renewal_info = None;
        let window = self.window(begin);
        if let Some((before, due)) = self.due() {
            self.certificates[before].due = due;
        }
        let place = self.certificates.len();
        self.store.insert(generation, place);
        self.certificates.push(Certificate {
            issued: next.clone(),
            window,
            told: (None, begin),
            due: begin,
        });
        self.apply(Event::Issued(Box::new(next)));
    }

    /// What the CA will say about the renewal of a certificate.
    fn window(&mut self, begin: Timestamp) -> Option<Window> {
        let part = |from: f64, to: f64| {
            let at = |part| begin + self.lifetime.mul_f64(part);
            Window::new(at(from), at(to))
        };
        if self.weather == Weather::Revocations {
            return Window::new(self.now - DAY * 2, self.now - DAY);
        }
        match self.dice.one_of(8) {
            0 => None,
            1 => part(0.0, 1.0),
            2 => part(0.9, 1.5),
            _ => part(0.62, 0.7),
        }
    }

    /// No new order over the brake or right after a success.
    pub(super) fn check_rails(&mut self, reason: Reason) {
        let now = self.local();
        self.orders.retain(|at| now.distance(*at) < DAY);
        let most = usize::try_from(self.spec.orders_per_day).unwrap();
        if self.orders.len() >= most {
            self.met.emergencies += 1;
            let spaced = self
                .orders
                .iter()
                .all(|at| *at <= now && now.since(*at) >= HOUR * 6);
            let ends = self.spec.targets.keys().filter_map(|id| {
                let seen = self.record.targets.get(id)?.served.as_ref()?;
                Some((seen.not_before, seen.not_after))
            });
            let own = self.record.issued.iter();
            let own = own.map(|issued| (issued.leaf.not_before, issued.leaf.not_after));
            let emergency = ends
                .chain(own)
                .any(|(from, end)| now >= end - end.since(from) / 20);
            assert!(
                reason != Reason::Refused && emergency && spaced,
                "over the brake: {reason}, emergency {emergency}, orders {:?}",
                self.orders
            );
        }
        let exempt = [
            Reason::NamesChanged,
            Reason::KeyChanged,
            Reason::ProfileChanged,
            Reason::Revoked,
        ];
        if let Some(issued) = &self.record.issued
            && !exempt.contains(&reason)
            && issued.at <= now
        {
            let pause = HOUR.min(self.lifetime / 4);
            assert!(
                now.since(issued.at) >= pause,
                "{reason}: a second order right after a success"
            );
        }
    }
}
