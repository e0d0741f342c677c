//! More certificates than may be worked on at once.

use std::time::Duration;

use vodcertd_sandbox::gateway::{Disturbance, Fault};

use crate::support::{READ, SET, Scene};

/// Longer than an order takes.
const LATE: Duration = Duration::from_secs(15);

const THREE: [&str; 3] = ["v.example.com", "w.example.com", "x.example.com"];

/// A scene with a certificate for each name and these slots.
async fn scene(names: &[&str], slots: &str) -> Scene {
    let certificates: Vec<_> = names
        .iter()
        .map(|name| format!("[[certificates]]\nname = \"{name}\"\nnames = [\"{name}\"]\n"))
        .collect();
    let builder = Scene::builder(names).certificates(&certificates.concat());
    let builder = builder.schedule(&format!("{slots}\nbrake = {{ orders_per_day = 1000 }}"));
    let builder = builder.pebble(|pebble| pebble.sleep_at_most(1));
    builder.start().await
}

/// Lets a certificate for each name be obtained and installed by a daemon with these slots.
async fn done(names: &[&str], slots: &str, install: Duration) -> Scene {
    let scene = scene(names, slots).await;
    let late = Disturbance::PerformThenDelay(install);
    scene.gateway.faults().push(Fault::always(late).on(SET));
    let daemon = scene.run();
    for name in names {
        scene.until_seen(name, 1).await;
        scene.until_at_rest(name).await;
    }
    daemon.stop().await;
    assert_eq!(scene.orders_at_ca(), names.len());
    assert_eq!(scene.installs(), names.len());
    scene
}

#[tokio::test]
async fn one_order_at_a_time_where_there_is_one_slot() {
    let scene = done(&THREE[..2], "orders = 1", Duration::ZERO).await;
    let overlaps = "SELECT COUNT(*) FROM orders a JOIN orders b ON a.id < b.id
                    WHERE a.intent_at < b.closed_at AND b.intent_at < a.closed_at";
    assert_eq!(scene.number(overlaps).await, 0);
}

#[tokio::test]
async fn one_install_at_a_time_where_there_is_one_slot() {
    let install = Duration::from_secs(3);
    let scene = done(&THREE, "installs = 1", install).await;
    let mut began: Vec<_> = scene
        .gateway
        .calls()
        .of(SET)
        .iter()
        .map(|call| call.at)
        .collect();
    began.sort();
    for pair in began.windows(2) {
        let between = Duration::try_from(pair[1].duration_since(pair[0])).unwrap();
        assert!(between >= install, "two installs at once: {began:?}");
    }
}

#[tokio::test]
async fn a_read_back_that_takes_its_time_holds_up_no_install() {
    let scene = scene(&THREE[..2], "installs = 1").await;
    let [slow, quick] = [THREE[0], THREE[1]];
    let late = Disturbance::PerformThenDelay(LATE);
    scene
        .gateway
        .faults()
        .push(Fault::always(late).on(READ).for_domain(slow));
    let daemon = scene.run();
    scene.until_seen(quick, 1).await;
    scene.until_seen(slow, 1).await;
    daemon.stop().await;
    let calls = scene.gateway.calls();
    let of_domain = |action, domain| {
        let calls = calls.of(action).into_iter();
        let mut calls = calls.filter(|call| call.parameters["DomainName"] == domain);
        calls.next().unwrap().at
    };
    let waited = of_domain(SET, quick).duration_since(of_domain(READ, slow));
    assert!(waited < LATE.try_into().unwrap(), "it waited: {waited:?}");
}
