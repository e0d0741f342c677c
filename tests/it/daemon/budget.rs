//! The limits of a CA, kept before it has to say no.

use std::time::Duration;

use crate::support::Scene;

const THREE: [&str; 3] = ["v.example.com", "w.example.com", "x.example.com"];

#[tokio::test]
async fn what_would_be_over_a_limit_is_not_sent_and_told() {
    let certificates: Vec<_> = THREE
        .iter()
        .map(|name| format!("[[certificates]]\nname = \"{name}\"\nnames = [\"{name}\"]\n"))
        .collect();
    let builder = Scene::builder(&THREE).certificates(&certificates.concat());
    let builder = builder.limits("orders_per_account = \"2/24h\"");
    let scene = builder.start().await;
    let daemon = scene.run();
    scene
        .until("two are issued and one is held back", async || {
            let mut told = [0, 0];
            for name in THREE {
                told[0] += scene.count(name, "issued").await;
                told[1] += scene.count(name, "order-held-back").await;
            }
            told == [2, 1]
        })
        .await;
    daemon.stop().await;

    assert_eq!(scene.orders_at_ca(), 2);
    let mut waiting = Vec::new();
    for name in THREE {
        let snapshot = scene.snapshot(name).await;
        if snapshot.generation.is_none() {
            waiting.push((name, snapshot));
        }
    }
    let [(name, snapshot)] = waiting.as_slice() else {
        panic!("{waiting:?}");
    };
    let told = snapshot
        .alerts
        .iter()
        .find(|alert| alert.code == "ca-budget");
    let told = told.map(|alert| alert.message.as_str()).unwrap_or_default();
    assert!(
        told.starts_with("no order at pebble: the CA takes no more orders of this account before "),
        "{snapshot:?}"
    );
    let record = scene.record(name).await.unwrap();
    assert!(
        record.orders.accepted.is_empty(),
        "the brake counts what was sent"
    );
    assert!(record.orders.trouble.is_none(), "it is no failure");
    let held_back = &record.orders.out_of_budget["pebble"];
    // Refilled every twelve hours; those who wait come over a tenth of a day.
    let waits = held_back.deadline.until.since(held_back.deadline.set_at);
    let hours = |hours: f64| Duration::from_secs_f64(hours * 3600.0);
    assert!((hours(11.9)..hours(14.5)).contains(&waits), "{waits:?}");
    assert_eq!(scene.number("SELECT COUNT(*) FROM orders").await, 2);
}
