//! What one certificate meets holds the others back, as far as it is about them.

use std::time::Duration;

use futures_util::future::join_all;
use vodcertd_sandbox::gateway::{Disturbance, RawAnswer, Refusal};

use super::bench::{Bench, SET};
use super::warns_of;
use crate::aliyun::vod::{Env, Https, SetCertificate};
use crate::status::TargetState;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// From 5 s, doubling to 10 minutes.
const DOUBLED: [u64; 9] = [5, 10, 20, 40, 80, 160, 320, 600, 600];

fn fault() -> Disturbance {
    Disturbance::Refuse(Refusal::new(500, "InternalError", "The reason."))
}

#[tokio::test]
async fn a_throttle_without_a_time_closes_the_action_for_longer_and_longer() {
    let throttles = [
        Disturbance::Refuse(Refusal::throttled()),
        Disturbance::Raw(RawAnswer::page(429)),
        Disturbance::Raw(RawAnswer::page(503)),
    ];
    for throttle in throttles {
        let bench = Bench::of(DOUBLED.len()).await;
        bench.fail_always(SET, throttle);
        for (nth, seconds) in DOUBLED.into_iter().enumerate() {
            // Each certificate meets it for the first time: its own ladder is shorter.
            bench.wake_nth(nth).await;
            let closed = SECOND * u32::try_from(seconds).unwrap();
            let scope = format!("cloud-action|sandbox|{SET}");
            assert_eq!(bench.closed().await, [(scope, closed)]);
            assert_eq!(bench.calls(SET), nth + 1);
            if let Some(next) = (nth + 1 < DOUBLED.len()).then_some(nth + 1) {
                assert_eq!(bench.wake_nth(next).await, closed, "it waits with the rest");
            }
            bench.pass(closed).await;
        }
        assert_eq!(bench.calls(SET), DOUBLED.len());
    }
}

/// Wrong credentials, a bill that is overdue: it does not pass, and is not asked by everybody.
#[tokio::test]
async fn what_waits_for_a_person_is_tried_by_one_certificate_an_hour() {
    for (code, scope) in [
        ("SignatureDoesNotMatch", "cloud|sandbox".to_owned()),
        ("Forbidden.RAM", format!("cloud-action|sandbox|{SET}")),
    ] {
        let bench = Bench::of(3).await;
        let refusal = Refusal::new(403, code, "The reason.");
        bench.fail_always(SET, Disturbance::Refuse(refusal));
        for nth in 0..3 {
            bench.wake_nth(nth).await;
            assert_eq!(bench.calls(SET), nth + 1, "{code}");
            assert_eq!(bench.closed().await, [(scope.clone(), MINUTE * 60)]);
            if nth < 2 {
                let rest = bench.wake_nth(nth + 1).await;
                assert_eq!(rest, MINUTE * 60, "{code}: it waits with the rest");
            }
            bench.pass(MINUTE * 60).await;
        }
    }
}

/// Whoever waits for a turn when others are refused for a while does not call, and what was wrong before
/// is what is told.
#[tokio::test]
async fn what_was_not_sent_hides_nothing() {
    let bench = Bench::paced(1, 1).await;
    let own = Refusal::new(403, "DomainInSafeMode", "The reason.");
    bench.fail_once(SET, Disturbance::Refuse(own));
    bench.wake().await;
    bench.pass(MINUTE * 60 * 24).await;

    // Another call takes the turn, and is throttled while the certificate waits for the next one.
    let throttle = Disturbance::DelayThenRefuse(SECOND / 2, Refusal::throttled());
    bench.fail_once(SET, throttle);
    let call = SetCertificate {
        domain: "v0.example.com".parse().unwrap(),
        https: Https::Off,
        env: Env::Production,
    };
    let other = bench.shared.clouds["sandbox"].set_vod_certificate(&call);
    let (other, rest) = tokio::join!(other, bench.wake());
    assert_eq!(other.unwrap_err().label(), "Throttling.User");
    assert_eq!(rest, SECOND * 5);
    assert_eq!(bench.calls(SET), 2);
    let status = bench.status().await;
    let failure = status.failure.as_ref().unwrap();
    let told = (&*failure.code, &*failure.class, failure.in_a_row);
    assert_eq!(told, ("DomainInSafeMode", "operator", 1));
    assert!(warns_of(&status, "DomainInSafeMode"));
    assert_eq!(bench.told("install-failed").await, 1);

    bench.pass(rest).await;
    bench.wake().await;
    assert_eq!(bench.calls(SET), 3);
    assert_eq!(bench.status().await.targets[0].state, TargetState::Seen);
}

#[tokio::test]
async fn five_faults_in_a_row_over_certificates_close_the_action() {
    let bench = Bench::of(7).await;
    bench.fail_always(SET, fault());
    for nth in 0..5 {
        assert_eq!(bench.closed().await, []);
        bench.wake_nth(nth).await;
    }
    let scope = format!("cloud-call|sandbox|{SET}");
    assert_eq!(bench.closed().await, [(scope, SECOND * 5)]);
    assert_eq!(
        bench.wake_nth(5).await,
        SECOND * 5,
        "it waits with the rest"
    );
    assert_eq!(bench.calls(SET), 5);
}

#[tokio::test]
async fn a_success_between_begins_the_row_anew() {
    let bench = Bench::of(9).await;
    for nth in 0..9 {
        if nth != 4 {
            bench.fail_once(SET, fault());
        }
        bench.wake_nth(nth).await;
        assert_eq!(bench.closed().await, []);
    }
    assert_eq!(bench.calls(SET), 9);
}

#[tokio::test]
async fn an_action_that_was_closed_by_faults_is_tried_by_one_at_a_time() {
    let bench = Bench::of(7).await;
    bench.fail_always(SET, fault());
    for nth in 0..5 {
        bench.wake_nth(nth).await;
    }
    let two = async || {
        let woken = [5, 6].map(|nth| bench.wake_nth(nth));
        join_all(woken).await
    };
    for (tries, seconds) in [(1, 10), (2, 20), (3, 40)] {
        // Past the ladders of both, too.
        bench.pass(MINUTE * 20).await;
        two().await;
        assert_eq!(bench.calls(SET), 5 + tries);
        let scope = format!("cloud-call|sandbox|{SET}");
        assert_eq!(bench.closed().await, [(scope, SECOND * seconds)]);
    }

    bench.gateway.faults().clear();
    bench.pass(MINUTE * 20).await;
    two().await;
    assert_eq!(bench.closed().await, [], "it works again");
    // Who rested meanwhile was woken.
    two().await;
    assert_eq!(bench.calls(SET), 5 + 3 + 2);
    for nth in 0..5 {
        bench.wake_nth(nth).await;
    }
    assert_eq!(bench.calls(SET), 5 + 3 + 2 + 5);
    assert_eq!(bench.status().await.targets[0].state, TargetState::Seen);
}

/// Whoever tries may be told something that is about itself alone.
#[tokio::test]
async fn a_try_that_tells_nothing_of_the_action_is_followed_by_the_next_one() {
    let bench = Bench::of(7).await;
    for nth in 0..5 {
        bench.fail_once(SET, fault());
        bench.wake_nth(nth).await;
    }
    bench.pass(SECOND * 5).await;
    let own = Refusal::new(400, "DomainInSafeMode", "The reason.");
    bench.fail_once(SET, Disturbance::Refuse(own));
    bench.wake_nth(5).await;
    assert_eq!(bench.closed().await, []);
    bench.wake_nth(6).await;
    assert_eq!(bench.calls(SET), 7);
}

/// As when the process was killed: nothing but what is stored is left.
#[tokio::test]
async fn a_try_of_which_nothing_was_heard_is_over_after_a_while() {
    let bench = Bench::of(6).await;
    bench.fail_always(SET, fault());
    for nth in 0..5 {
        bench.wake_nth(nth).await;
    }
    bench.pass(SECOND * 5).await;
    let (_, job) = bench.job();
    let scopes = job.spec.targets.values().next().unwrap();
    let (store, now) = (&bench.shared.store, bench.now());
    let probe = store.begin_probe(&scopes.install_scopes, now).await;
    assert!(probe.unwrap().is_some());
    let rest = bench.wake_nth(5).await;
    assert_eq!((rest, bench.calls(SET)), (crate::store::PROBE, 5));
    bench.pass(rest).await;
    bench.wake_nth(5).await;
    assert_eq!(bench.calls(SET), 6);
}
