//! The codes of Alidns, met where a proof is published for an order that the CA has taken.
//!
//! There is no CA here: the order is in the store, its proof is published by the daemon's own step,
//! and the failure is taken in as the step that drives an order does. That such an order then goes on
//! to its certificate is shown with a real CA (`tests/it/daemon/`).

use std::time::Duration;

use super::bench::Bench;
use super::table::{ALIDNS, Calls, Row, rows};
use super::{WEEK, assert_closed, warns_of};
use crate::acme::Proof;
use crate::daemon::proof::{PublishError, publish};
use crate::daemon::shared::roll;
use crate::daemon::worker::Worker;
use crate::renewal::{Action, Event, OrderFate, decide};
use crate::store::OrderId;

const ADD: &str = "AddDomainRecord";
const FIND: &str = "DescribeSubDomainRecords";
const ZONES: &str = "DescribeDomains";

/// An order whose proof is not published yet.
struct Proving {
    bench: Bench,
    order: OrderId,
}

impl Proving {
    async fn new() -> Self {
        let bench = Bench::unissued(1).await;
        let order = bench.intend().await;
        Self { bench, order }
    }

    /// Publishes the proof if that is decided upon; tells how long the certificate then rests, or
    /// nothing once the proof is published.
    async fn wake(&self) -> Option<Duration> {
        let (label, job) = self.bench.job();
        let (shared, now) = (&self.bench.shared, self.bench.now());
        let lease = shared.store.claim(label, now).await.unwrap().unwrap();
        let mut worker = Worker {
            shared,
            job,
            lease: &lease,
            record: self.bench.record().await,
        };
        if let Action::Order { issuer, .. } = self.decide(&worker).await {
            let published = publish(&worker, &self.order, &[self.proof()]).await;
            if published.is_ok() {
                return None;
            }
            let Err(PublishError::Failed(failure)) = published else {
                panic!("not a failure of the provider");
            };
            let event = Event::OrderFailed {
                issuer: issuer.name,
                failure: *failure,
                order: OrderFate::Open,
                jitter: roll(),
            };
            worker.take(event).await.unwrap();
        }
        let Action::SleepUntil(time) = self.decide(&worker).await else {
            panic!("it does not rest");
        };
        shared.store.release(&lease, time).await.unwrap();
        let stored = shared.store.load(label).await.unwrap().unwrap();
        Some(stored.due_at.since(now))
    }

    async fn decide(&self, worker: &Worker<'_>) -> Action {
        let circumstances = self.bench.shared.circumstances().await.unwrap();
        let (spec, now) = (&worker.job.spec, self.bench.now());
        decide(spec, &worker.record, &circumstances, now).action
    }

    fn proof(&self) -> Proof {
        let (_, job) = self.bench.job();
        Proof {
            name: job.spec.names.first().unwrap().clone(),
            wildcard: false,
            txt_value: "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ".to_owned(),
            challenge: String::new(),
        }
    }

    /// How many proofs stand in the zone.
    fn standing(&self) -> usize {
        self.bench.world.records("example.com").len()
    }

    async fn assert_calls(&self, row: &Row, expected: &Calls) {
        let (label, _) = self.bench.job();
        let open = self.bench.shared.store.open_order(label).await.unwrap();
        let orders = usize::from(open.is_some_and(|order| order.id == self.order));
        for (what, counted, expected) in [
            (ADD, self.bench.calls(ADD), &expected.installs),
            (FIND, self.bench.calls(FIND), &expected.read_backs),
            // The zones are asked for at every start of an order.
            (ZONES, self.bench.calls(ZONES), &expected.lists),
            ("orders", orders, &expected.orders),
        ] {
            let name = row.name();
            assert!(expected.contains(&counted), "{name}: {counted} {what}");
        }
    }
}

#[tokio::test]
async fn codes_of_alidns_once() {
    for row in rows(ALIDNS) {
        let name = row.name();
        let proving = Proving::new().await;
        proving.bench.fail_once(ADD, row.disturbance());
        let pause = proving.wake().await.unwrap();
        assert!(row.allows(0, pause), "{name}: {pause:?}");
        let status = proving.bench.status().await;
        let failure = status.failure.as_ref().unwrap();
        assert_eq!((&*failure.code, failure.in_a_row), (row.answer, 1));
        assert_eq!(failure.retry_at, Some(proving.bench.now() + pause));
        assert_eq!(
            warns_of(&status, row.answer),
            row.alert == Some(1),
            "{name}"
        );
        let trouble = proving.bench.record().await.orders.trouble;
        let scope = trouble.map(|trouble| trouble.failure.scope);
        assert_closed(&proving.bench, scope.as_ref(), &row, &name).await;

        proving.bench.pass(pause).await;
        assert_eq!(proving.wake().await, None, "{name}");
        assert_eq!(proving.standing(), 1, "{name}");
        proving.assert_calls(&row, &row.once).await;
    }
}

#[tokio::test]
async fn codes_of_alidns_for_ever() {
    for row in rows(ALIDNS) {
        let name = row.name();
        let proving = Proving::new().await;
        proving.bench.fail_always(ADD, row.disturbance());
        let mut warned = None;
        for nth in 0.. {
            let pause = proving.wake().await.unwrap();
            assert!(
                row.allows(nth, pause),
                "{name}: {pause:?} after {nth} others"
            );
            if warned.is_none() && warns_of(&proving.bench.status().await, row.answer) {
                warned = Some(nth + 1);
            }
            if proving.bench.passed() + pause >= WEEK {
                break;
            }
            proving.bench.pass(pause).await;
        }
        assert_eq!(warned, row.alert, "{name}: warned");
        let status = proving.bench.status().await;
        let failure = status.failure.as_ref().unwrap();
        assert_eq!(failure.code, row.answer);
        assert_eq!(Some(&*failure.class), row.class, "{name}");
        assert_eq!(status.targets[0].state.as_str(), row.state, "{name}");
        assert_eq!(proving.standing(), 0, "{name}");
        proving.assert_calls(&row, &row.ever).await;
    }
}
