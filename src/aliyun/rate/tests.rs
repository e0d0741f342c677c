use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

const INSTALL: Action = Action::SetVodDomainSslCertificate;
const READ_BACK: Action = Action::DescribeVodDomainCertificateInfo;
const SECOND: Duration = Duration::from_secs(1);

fn rate(install: u32, other: u32) -> Rate {
    let rate = |calls| NonZeroU32::new(calls).unwrap();
    Rate {
        install: rate(install),
        other: rate(other),
    }
}

/// When each of `count` calls, which all ask now, leaves.
async fn departures(limiter: &Limiter, action: Action, count: usize) -> Vec<Instant> {
    let calls = (0..count).map(|_| async {
        limiter.turn("id", action, Rate::default()).await.unwrap();
        Instant::now()
    });
    futures_util::future::join_all(calls).await
}

/// The most calls that leave within less than a second.
fn most_in_a_second(departures: &[Instant]) -> usize {
    let within = |first: &Instant| {
        let inside = |other: &&Instant| *other >= first && **other - *first < SECOND;
        departures.iter().filter(inside).count()
    };
    departures.iter().map(within).max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn calls_leave_at_even_distances_and_use_the_rate() {
    let begun = Instant::now();
    let limiter = Limiter::default();
    let departures = departures(&limiter, INSTALL, 300).await;
    assert_eq!(departures[0], begun, "the first one does not wait");
    for pair in departures.windows(2) {
        let apart = (pair[1] - pair[0]).as_millis();
        assert!((33..=36).contains(&apart), "{apart} ms");
    }
    assert_eq!(most_in_a_second(&departures), 30);
    let took = departures[299] - begun;
    assert!(took < SECOND * 10 * 100 / 95, "{took:?} for 300 at 30/s");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_used_is_not_saved_up() {
    let limiter = Limiter::default();
    departures(&limiter, INSTALL, 1).await;
    tokio::time::advance(Duration::from_hours(1)).await;
    let begun = Instant::now();
    let departures = departures(&limiter, INSTALL, 31).await;
    assert_eq!(departures[0], begun);
    assert_eq!(most_in_a_second(&departures), 30);
    assert!(departures[1] - begun >= Duration::from_millis(33));
}

/// A machine that stands still while calls wait, as under load.
#[tokio::test(start_paused = true)]
async fn a_standstill_is_not_made_up_for_by_a_burst() {
    let limiter = Limiter::default();
    let stalls = async {
        for stall in [25, 400, 60, 1500] {
            tokio::time::sleep(Duration::from_millis(333)).await;
            tokio::time::advance(Duration::from_millis(stall)).await;
        }
    };
    let (departures, ()) = tokio::join!(departures(&limiter, INSTALL, 150), stalls);
    assert!(most_in_a_second(&departures) <= 30);
    for pair in departures.windows(2) {
        let apart = pair[1] - pair[0];
        assert!(apart >= Duration::from_millis(13), "{apart:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn reading_back_takes_nothing_from_installing() {
    let limiter = Limiter::default();
    let begun = Instant::now();
    let (reads, installs) = tokio::join!(
        departures(&limiter, READ_BACK, 20),
        departures(&limiter, INSTALL, 30)
    );
    assert!(installs[29] - begun < SECOND);
    assert!(reads[10] - begun >= SECOND, "others at 10/s");
    assert!(reads[19] - begun < 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn clouds_with_one_key_share_and_the_lower_rate_holds_once_both_call() {
    let limiter = Limiter::default();
    let last = |id: &'static str, rate: Rate| {
        let limiter = limiter.clone();
        async move {
            for _ in 0..20 {
                limiter.turn(id, INSTALL, rate).await.unwrap();
            }
            Instant::now()
        }
    };
    let begun = Instant::now();
    let fast = rate(20, 10);
    let (one, two, other) = tokio::join!(last("a", fast), last("a", fast), last("b", fast));
    assert!(other - begun < SECOND, "another key is not held up");
    let took = one.max(two) - begun;
    assert!(took >= 39 * SECOND / 20, "{took:?} for 40 at 20/s");
    assert!(took < 40 * SECOND * 100 / 95 / 20, "{took:?}");

    let begun = Instant::now();
    let (one, two) = tokio::join!(last("a", fast), last("a", rate(5, 10)));
    let took = one.max(two) - begun;
    assert!(took >= 38 * SECOND / 5, "{took:?} for 40 at 5/s");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_waiting_uses_nothing_up_and_blocks_nobody() {
    let limiter = Limiter::default();
    let turn = || limiter.turn("id", INSTALL, Rate::default());
    turn().await.unwrap();
    let begun = Instant::now();
    {
        // One of them holds the lock, the others wait for it.
        let mut waiting = pin!(futures_util::future::join_all((0..10).map(|_| turn())));
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(waiting.as_mut().poll(&mut context), Poll::Pending);
    }
    turn().await.unwrap();
    let took = (Instant::now() - begun).as_millis();
    assert!((33..=36).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn who_waits_when_the_action_is_closed_is_turned_away() {
    let limiter = Limiter::default();
    let turn = || limiter.turn("id", INSTALL, Rate::default());
    turn().await.unwrap();
    let waiting = futures_util::future::join_all((0..3).map(|_| turn()));
    let close = async {
        limiter.close("id", READ_BACK);
        limiter.close("another", INSTALL);
        tokio::time::sleep(Duration::from_millis(50)).await;
        limiter.close("id", INSTALL);
    };
    let (turns, ()) = tokio::join!(waiting, close);
    assert_eq!(turns, [Ok(()), Err(Closed), Err(Closed)]);
    turn().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn callers_come_in_the_order_in_which_they_asked() {
    let limiter = Limiter::default();
    let departures = departures(&limiter, INSTALL, 50).await;
    assert!(departures.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_gone_are_forgotten() {
    let limiter = Limiter::default();
    for number in 0..100 {
        let id = format!("STS.{number}");
        limiter.turn(&id, INSTALL, Rate::default()).await.unwrap();
    }
    let known = || limiter.0.lock().unwrap().len();
    assert_eq!(known(), 100, "each may still be held back");
    tokio::time::advance(SECOND).await;
    limiter
        .turn("STS.new", INSTALL, Rate::default())
        .await
        .unwrap();
    assert_eq!(known(), 1);
}
