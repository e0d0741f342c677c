//! `Certificate.Expired` may be our own mistake: a clock that is wrong. The `Date` of that very answer
//! tells.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimePrinter;
use vodcertd_sandbox::gateway::{Disturbance, Refusal};

use super::bench::{Bench, SET};
use super::warns_of;

const HOUR: Duration = Duration::from_hours(1);

/// The refusal, by a clock that is so far ahead of the right one.
fn expired(ahead: Duration) -> Disturbance {
    let moment = jiff::Timestamp::now() + ahead;
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&moment);
    let refusal = Refusal::new(400, "Certificate.Expired", "The certificate has expired.");
    Disturbance::Refuse(refusal.with_header("date", &date.unwrap()))
}

#[tokio::test]
async fn a_pair_that_expired_by_another_clock_alone_costs_no_order_while_clocks_differ() {
    let bench = Bench::new().await;
    bench.fail_always(SET, expired(HOUR * 2));
    let mut pause = bench.wake().await;
    let record = bench.record().await;
    assert!(record.issued.unwrap().unusable.is_some(), "it is dropped");
    while bench.passed() + pause < HOUR * 23 {
        let status = bench.status().await;
        assert_eq!(status.next.action, "distrust-clock");
        assert!(warns_of(&status, "clock-wrong"));
        assert!(warns_of(&status, "Certificate.Expired"));
        bench.pass(pause.max(HOUR)).await;
        pause = bench.wake().await;
    }
    assert_eq!((bench.calls(SET), bench.told("order-failed").await), (1, 0));

    // What was heard a day ago proves nothing any more.
    bench.pass(HOUR * 2).await;
    bench.wake().await;
    assert!(!warns_of(&bench.status().await, "clock-wrong"));
    assert_eq!(bench.told("order-failed").await, 1);
}

#[tokio::test]
async fn a_pair_that_expired_by_a_clock_that_agrees_is_ordered_anew() {
    let bench = Bench::new().await;
    bench.fail_always(SET, expired(HOUR / 2));
    let pause = bench.wake().await;
    assert_eq!(bench.status().await.next.action, "order");
    bench.pass(pause).await;
    bench.wake().await;
    assert_eq!((bench.calls(SET), bench.told("order-failed").await), (1, 1));
}
