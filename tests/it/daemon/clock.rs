//! A local clock that is wrong: nothing is done by it that cannot be undone.

use std::time::Duration;

use vodcertd::clock::Clock;
use vodcertd::renewal::ClockTrust;

use crate::support::Scene;

const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn nothing_is_ordered_by_a_clock_that_is_wrong() {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .schedule("tick = \"* * * * * *\"")
        .start()
        .await;
    let clock = Clock::simulated(Clock::System.now() + DAY * 40);
    let daemon = scene.run_with(clock.clone());
    scene
        .until("the clock is told to be wrong", async || {
            let Some(store) = scene.read_store().await else {
                return false;
            };
            let trust = store.clock(clock.now()).await;
            store.close().await;
            matches!(trust, Ok(ClockTrust::Distrusted { .. }))
        })
        .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((scene.orders_at_ca(), scene.installs()), (0, 0));

    clock.set(Clock::System.now() + MINUTE);
    scene.until_seen("video", 1).await;
    daemon.stop().await;
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 1));
}
