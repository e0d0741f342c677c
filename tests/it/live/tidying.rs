//! What is put back and removed at the end, whatever happened in between, and what is said to be left.

use super::*;

/// Sends a signal by its name.
async fn interrupt(child: &Child, signal: &str) {
    let id = child.id().unwrap().to_string();
    let kill = Command::new("sh")
        .args(["-c", r#"kill -s "$0" "$1""#, signal, &id])
        .status();
    assert!(kill.await.unwrap().success());
}

/// The moment at which everything is made that has to be put back: the next step takes its time.
async fn all_is_installed() -> (Bench, Child) {
    let bench = Bench::start_with_a_certificate().await;
    let slow = Disturbance::Delay(Duration::from_millis(700));
    let fault = Fault::once(slow).on("AddDomainRecord");
    bench.gateway.faults().push(fault);
    let child = bench.spawn();
    bench.until("all is installed", || bench.sent() == 7).await;
    (bench, child)
}

#[tokio::test]
async fn what_is_refused_for_a_moment_is_put_back_all_the_same() {
    let (bench, child) = all_is_installed().await;
    let busy = Disturbance::Refuse(Refusal::new(403, "ServiceBusy", "configuring"));
    for disturbance in [busy, Disturbance::HangUp] {
        bench.disturb(disturbance);
    }
    let told = bench.end_of(child).await;
    told.assert(0, 13, 0);
    bench.assert_clean(&told);
    assert_eq!(bench.sent(), 11);
}

/// Waiting for a time that was named does not use up the patience.
#[tokio::test]
async fn what_is_refused_until_a_time_is_put_back_after_it() {
    let wait = Duration::from_secs(5);
    let bench = Bench::start_with_a_certificate().await;
    let told = bench.run_with(|bench| {
        let throttled = Refusal::throttled().with_acs_retry_after(wait);
        bench.disturb(Disturbance::Refuse(throttled));
    });
    let told = told.await;
    told.assert(0, 13, 0);
    bench.assert_clean(&told);
    let calls = bench.gateway.calls().of(SET);
    let between = calls[8].at.duration_since(calls[7].at);
    assert!(between.unsigned_abs() >= wait, "{between}");
    assert_eq!(calls.len(), 10);
}

#[tokio::test]
async fn an_upload_that_happened_although_it_was_reported_as_failed_is_taken_away() {
    for disturbance in [
        Disturbance::PerformThenHangUp,
        Disturbance::PerformThenRefuse(Refusal::new(400, "CreateCertificateFailed", "no")),
    ] {
        let bench = Bench::start_with_a_certificate().await;
        bench.disturb(disturbance);
        let told = bench.run().await;
        told.assert(1, 12, 1);
        bench.assert_clean(&told);
    }
}

/// Nothing tells it from one that is listed late.
#[tokio::test]
async fn an_upload_whose_answer_was_lost_and_that_is_not_listed_may_still_appear() {
    let bench = Bench::start_with_a_certificate().await;
    bench.disturb(Disturbance::HangUp);
    let told = bench.run().await;
    told.assert(2, 12, 1);
    assert_eq!(told.lines("LEFT BEHIND "), 1, "{}", told.text);
    assert!(told.text.contains("-0 may still appear"), "{}", told.text);
    assert_eq!(bench.account().1, ["theirs"], "{}", told.text);
}

#[tokio::test]
async fn uploads_that_are_listed_late_are_waited_for() {
    let empty = json!({ "RequestId": "1", "CertificateListModel": {
        "Count": "0", "PageNumber": 1, "PageSize": 1000, "CertList": { "Cert": [] },
    } });
    let bench = Bench::start_with_a_certificate().await;
    let told = bench.run_with(|bench| bench.answer(LIST, Some(4), &empty));
    let told = told.await;
    told.assert(0, 13, 0);
    bench.assert_clean(&told);

    let bench = Bench::start_with_a_certificate().await;
    let told = bench.run_with(|bench| bench.answer(LIST, None, &empty));
    let told = told.await;
    told.assert(2, 13, 0);
    assert_eq!(told.lines("LEFT BEHIND "), 6, "{}", told.text);
    for name in bench.account().1.iter().filter(|name| *name != "theirs") {
        let line = format!("LEFT BEHIND  the upload {name} may still appear");
        assert!(told.text.contains(&line), "{}", told.text);
    }
}

#[tokio::test]
async fn a_record_whose_answer_was_lost_is_waited_for() {
    let empty = json!({ "RequestId": "1", "TotalCount": 0, "PageNumber": 1, "PageSize": 100,
        "DomainRecords": { "Record": [] } });
    // Whether it is listed in the end.
    for listed in [true, false] {
        let bench = Bench::start().await;
        let lost = Fault::once(Disturbance::PerformThenHangUp);
        bench.gateway.faults().push(lost.on("AddDomainRecord"));
        bench.answer("DescribeSubDomainRecords", listed.then_some(3), &empty);
        let told = bench.run().await;
        told.assert(if listed { 1 } else { 2 }, 11, 1);
        if listed {
            bench.assert_clean(&told);
        } else {
            assert!(told.text.contains("the TXT record"), "{}", told.text);
            assert!(told.text.contains("may still appear"), "{}", told.text);
        }
    }
}

/// It may take effect later than it is looked at.
#[tokio::test]
async fn what_was_refused_is_put_back_although_it_had_no_effect_yet() {
    let bench = Bench::start_with_a_certificate().await;
    let refusal = Disturbance::Refuse(Refusal::new(400, "CreateCertificateFailed", "no"));
    bench
        .gateway
        .faults()
        .push(Fault::times(5, refusal).on(SET));
    let told = bench.run().await;
    told.assert(1, 4, 5);
    assert_eq!(bench.sent(), 6, "{}", told.text);
    bench.assert_clean(&told);
}

/// Only one upload has an effect, and it is said that it has none.
#[tokio::test]
async fn a_domain_that_was_changed_by_what_was_refused_is_put_back() {
    let bench = Bench::start_with_a_certificate().await;
    let refusal = Refusal::new(400, "CreateCertificateFailed", "no");
    bench.disturb(Disturbance::PerformThenRefuse(refusal.clone()));
    let others = Fault::times(4, Disturbance::Refuse(refusal));
    bench.gateway.faults().push(others.on(SET));
    let told = bench.run().await;
    told.assert(1, 4, 5);
    bench.assert_clean(&told);
}

#[tokio::test]
async fn an_interruption_in_the_middle_waits_for_the_call_and_puts_all_back() {
    for (signal, sent) in [("INT", 1), ("TERM", 3), ("HUP", 7)] {
        let bench = Bench::start_with_a_certificate().await;
        let slow = Disturbance::Delay(Duration::from_millis(250));
        bench.gateway.faults().push(Fault::times(8, slow).on(SET));
        let child = bench.spawn();
        bench.until("it installs", || bench.sent() >= sent).await;
        for _ in 0..2 {
            interrupt(&child, signal).await;
        }
        let told = bench.end_of(child).await;
        assert_eq!(told.code, Some(1), "{signal}: {}", told.text);
        assert!(told.text.contains("interrupted"), "{signal}: {}", told.text);
        assert!(bench.sent() > sent, "it was not put back");
        bench.assert_clean(&told);
    }
}

/// As when the terminal hangs up, and when the reader of a pipe has left.
#[tokio::test]
async fn what_nobody_listens_to_any_more_is_put_back_all_the_same() {
    for (signal, code) in [(Some("HUP"), 1), (None, 0)] {
        let bench = Bench::start_with_a_certificate().await;
        let slow = Disturbance::Delay(Duration::from_millis(250));
        bench.gateway.faults().push(Fault::once(slow).on(SET));
        let mut child = bench.spawn();
        bench.until("it installs", || bench.sent() >= 1).await;
        drop(child.stdout.take());
        if let Some(signal) = signal {
            interrupt(&child, signal).await;
        }
        let told = bench.end_of(child).await;
        assert_eq!(told.code, Some(code), "{signal:?}");
        assert!(bench.sent() > 1, "{signal:?}: it was not put back");
        bench.assert_clean(&told);
    }
}

#[tokio::test]
async fn what_cannot_be_put_back_is_told_and_its_uploads_are_kept() {
    let (bench, child) = all_is_installed().await;
    bench.refuse(SET, "InvalidDomain.Offline");
    let told = bench.end_of(child).await;
    told.assert(2, 13, 0);
    let (serving, stored, records) = bench.account();
    assert_ne!(serving[0].as_deref(), Some("theirs"));
    assert_eq!((stored.len(), records), (7, 0));
    let before = "v.example.com is not as it was; before, it serves the certificate theirs";
    assert!(
        told.text.contains(&format!("LEFT BEHIND  {before}")),
        "{}",
        told.text
    );
    for name in stored.iter().filter(|name| *name != "theirs") {
        assert!(told.text.contains(name.as_str()), "{name}: {}", told.text);
    }
}
