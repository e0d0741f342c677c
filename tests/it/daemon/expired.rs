//! `Certificate.Expired`, said to the binary again and again: orders are spent on it under ladder and
//! brake, whatever becomes of the process.

use std::time::Duration;

use vodcertd_sandbox::gateway::{Disturbance, Fault, Refusal};

use crate::support::{SET, Scene};

const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_cloud_that_always_says_expired_costs_three_orders_a_day_over_kills() {
    let scene = Scene::builder(&["v.example.com"])
        .certificates(ONE)
        .schedule("brake = { orders_per_day = 3 }")
        .start()
        .await;
    let expired = Refusal::new(400, "Certificate.Expired", "The certificate has expired.");
    let fault = Fault::always(Disturbance::Refuse(expired)).on(SET);
    scene.gateway.faults().push(fault);
    for orders in [1, 2, 3, 3, 3] {
        let daemon = scene.spawn();
        scene.until_told("video", "install-failed", orders).await;
        scene.until_at_rest("video").await;
        daemon.kill().await;
        assert_eq!(scene.orders_at_ca(), orders);
        assert_eq!(scene.gateway.calls().of(SET).len(), orders);
        let status = scene.status("video").await;
        assert_eq!(status["failure"]["code"], "Certificate.Expired");
        assert_eq!(status["alerts"][0]["code"], "Certificate.Expired");
        // Longer than the ladder, and all of it less than a day.
        scene.let_pass(&["video"], HOUR * 2).await;
    }

    scene.run_until_at_rest("video").await;
    let rest = scene.rests_for("video").await;
    assert!(rest > HOUR * 5 && rest < HOUR * 24, "{rest:?}");

    // A day after the first order there may be another one.
    scene.gateway.faults().clear();
    scene.let_pass(&["video"], HOUR * 15).await;
    let daemon = scene.spawn();
    scene.until_seen("video", 4).await;
    scene.until_at_rest("video").await;
    assert!(daemon.terminate().await);
    assert!(scene.status("video").await["failure"].is_null());
    assert_eq!((scene.orders_at_ca(), scene.installs()), (4, 1));
}
