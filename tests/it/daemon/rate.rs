//! A run over many domains, at a cloud that enforces its limits.

use std::time::Duration;

use vodcertd_sandbox::gateway::Outcome;

use crate::support::{READ, SET, Scene};

/// How many installs a second the cloud takes, as its page says.
const LIMIT: u32 = 30;

/// Lets a daemon install `count` certificates that wait for it, at a gateway that lets 30 installs through within any
/// stretch of this length. Gives the time from the first install to the last.
async fn install(count: usize, stretch: Duration) -> Duration {
    let names: Vec<_> = (0..count)
        .map(|number| format!("v{number}.example.com"))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let certificates: Vec<_> = names
        .iter()
        .map(|name| format!("[[certificates]]\nname = \"{name}\"\nnames = [\"{name}\"]\n"))
        .collect();
    let builder = Scene::builder(&names).certificates(&certificates.concat());
    let scene = builder.start().await;
    scene.seed(&names).await;
    scene.gateway.limit(SET, LIMIT.try_into().unwrap(), stretch);

    let daemon = scene.run();
    let all = || scene.installs() == count;
    scene.until("all are installed", async || all()).await;
    for name in &names {
        scene.until_seen(name, 1).await;
    }
    daemon.stop().await;

    let calls = scene.gateway.calls();
    let installs = calls.of(SET);
    assert_eq!(installs.len(), count);
    for call in &installs {
        assert_eq!(call.outcome, Outcome::Success, "{call:?}");
    }
    assert!(calls.of(READ).is_empty());
    let arrivals = || installs.iter().map(|call| call.at);
    let took = arrivals()
        .max()
        .unwrap()
        .duration_since(arrivals().min().unwrap());
    took.try_into().unwrap()
}

/// As many as `VODCERTD_INSTALLS` says if the machine is taken to be free (`bash tests/long-rate.sh`);
/// beside other tests what travels late is allowed for.
#[tokio::test]
async fn certificates_that_wait_are_installed_at_the_rate_of_the_cloud() {
    let alone = std::env::var("VODCERTD_INSTALLS").ok();
    let count = alone.as_ref().map_or(60, |count| count.parse().unwrap());
    let stretch = if alone.is_some() { 1000 } else { 800 };
    let took = install(count, Duration::from_millis(stretch)).await;
    let others = u32::try_from(count - 1).unwrap();
    let share = f64::from(others) / f64::from(LIMIT) / took.as_secs_f64();
    println!(
        "{count} installs by the daemon in {took:.2?}: {:.1} % of {LIMIT} a second, no throttle",
        100.0 * share
    );
    assert!(took >= Duration::from_secs(1) * others / LIMIT);
    assert!(share >= if alone.is_some() { 0.95 } else { 0.2 });
}
