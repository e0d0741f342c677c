//! Failures on script: each effect in both ways, not happened and happened but not reported.

use super::*;

const ADD: &str = "AddDomainRecord";
const RECORD: [(&str, &str); 4] = [
    ("DomainName", "example.com"),
    ("RR", "_acme-challenge"),
    ("Type", "TXT"),
    ("Value", "v"),
];

/// Adds the record under `fault`; gives the answer and how many records there are then.
async fn add_under(fault: Fault) -> (reqwest::Result<Answer>, usize, Call) {
    let (world, gateway) = started().await;
    gateway.faults().push(fault);
    let answer = post(&gateway, &sign_form(&parameters(ADD, &RECORD))).await;
    let call = gateway.calls().all().pop().unwrap();
    (answer, world.records("example.com").len(), call)
}

#[tokio::test]
async fn refused_before_or_after_performing() {
    let refusal = Refusal::throttled()
        .with_acs_retry_after(Duration::from_millis(1500))
        .with_retry_after(Duration::from_secs(2));
    let cases = [
        (Disturbance::Refuse(refusal.clone()), false),
        (Disturbance::PerformThenRefuse(refusal), true),
    ];
    for (disturbance, performed) in cases {
        let (answer, records, call) = add_under(Fault::once(disturbance)).await;
        let answer = answer.unwrap();
        assert_eq!(answer.verdict(), (400, "Throttling.User".to_owned()));
        assert_eq!(answer.headers["x-acs-retry-after"], "1500");
        assert_eq!(answer.headers["retry-after"], "2");
        assert_eq!(records, usize::from(performed));
        assert_eq!(call.performed, performed);
        assert_eq!(call.code(), Some("Throttling.User"));
    }
}

#[tokio::test]
async fn hung_up_before_or_after_performing() {
    let cases = [
        (Disturbance::HangUp, false),
        (Disturbance::PerformThenHangUp, true),
    ];
    for (disturbance, performed) in cases {
        let (answer, records, call) = add_under(Fault::once(disturbance)).await;
        assert!(
            answer.is_err_and(|error| error.is_request()),
            "performed: {performed}"
        );
        assert_eq!(records, usize::from(performed));
        assert_eq!(call.performed, performed);
        assert_eq!(call.outcome, Outcome::HungUp);
    }
}

#[tokio::test]
async fn a_proxy_without_a_gateway_answers_in_html() {
    let (answer, records, call) = add_under(Fault::once(Disturbance::bad_gateway())).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 502);
    assert_eq!(answer.headers["content-type"], "text/html");
    assert!(answer.headers.contains_key("date"));
    assert!(answer.text.starts_with("<html>"));
    assert_eq!(records, 0);
    assert_eq!(call.outcome, Outcome::Raw(502));
}

#[tokio::test]
async fn a_proxy_may_name_a_time_and_answer_for_what_was_performed() {
    let page = RawAnswer::page(503).with_header("retry-after", "7");
    for (disturbance, performed) in [
        (Disturbance::Raw(page.clone()), false),
        (Disturbance::PerformThenRaw(page), true),
    ] {
        let (answer, records, call) = add_under(Fault::once(disturbance)).await;
        let answer = answer.unwrap();
        assert_eq!((answer.status, records), (503, usize::from(performed)));
        assert_eq!(answer.headers["retry-after"], "7");
        assert_eq!(call.performed, performed);
    }
}

#[tokio::test]
#[should_panic(expected = "the gateway panicked")]
async fn a_panic_of_the_gateway_is_no_connection_closed_on_script() {
    let nonsense = RawAnswer::page(200).with_header("no header", "");
    let _ = add_under(Fault::once(Disturbance::Raw(nonsense))).await;
}

#[tokio::test]
async fn a_late_answer_comes_for_the_patient() {
    let delay = Duration::from_millis(50);
    for disturbance in [
        Disturbance::Delay(delay),
        Disturbance::PerformThenDelay(delay),
    ] {
        let begun = std::time::Instant::now();
        let (answer, records, _) = add_under(Fault::once(disturbance)).await;
        assert_eq!(answer.unwrap().status, 200);
        assert!(begun.elapsed() >= delay);
        assert_eq!(records, 1);
    }
}

#[tokio::test]
async fn a_late_call_is_performed_though_the_caller_has_left() {
    let (world, gateway) = started().await;
    let delay = Duration::from_millis(300);
    gateway
        .faults()
        .push(Fault::once(Disturbance::Delay(delay)));
    let body = sign_form(&parameters(ADD, &RECORD));
    tokio::select! {
        _ = post(&gateway, &body) => panic!("the answer comes late"),
        () = eventually(|| gateway.faults().waiting() == 0) => {}
    }
    assert!(world.records("example.com").is_empty());
    eventually(|| !world.records("example.com").is_empty()).await;
    eventually(|| gateway.calls().performed(ADD) == 1).await;
}

#[tokio::test]
async fn a_fault_waits_for_its_action_and_domain() {
    let (_world, gateway) = started().await;
    let refusal = Refusal::new(500, "InternalError", "The request processing has failed.");
    let fault = Fault::times(2, Disturbance::Refuse(refusal))
        .on("DescribeVodDomainDetail")
        .for_domain("v.example.com");
    gateway.faults().push(fault);
    let detail = |domain| call_detail(&gateway, domain);
    assert_eq!(detail("w.example.com").await, 200);
    assert_eq!(detail("v.example.com").await, 500);
    assert_eq!(detail("v.example.com").await, 500);
    assert_eq!(detail("v.example.com").await, 200);
    assert_eq!(gateway.faults().waiting(), 0);
}

#[tokio::test]
async fn a_fault_does_not_wait_for_requests_that_are_not_admitted() {
    let (_world, gateway) = started().await;
    gateway.faults().push(Fault::always(Disturbance::HangUp));
    let body = signed(&parameters(ADD, &RECORD), "POST", "wrong");
    let answer = post(&gateway, &body).await.unwrap();
    assert_eq!(answer.verdict().1, "SignatureDoesNotMatch");
    gateway.faults().clear();
    assert_eq!(call(&gateway, ADD, &RECORD).await.status, 200);
}

async fn call_detail(gateway: &Gateway, domain: &str) -> u16 {
    let action = "DescribeVodDomainDetail";
    call(gateway, action, &[("DomainName", domain)])
        .await
        .status
}

#[tokio::test]
async fn more_calls_than_an_action_may_have_are_throttled_and_not_performed() {
    let (world, gateway) = started().await;
    // Longer than the two calls take, however busy the machine is.
    gateway.limit(ADD, 1, Duration::from_secs(2));
    assert_eq!(call(&gateway, ADD, &RECORD).await.status, 200);
    let other = RECORD.map(|(name, value)| (name, if name == "Value" { "w" } else { value }));
    let verdict = call(&gateway, ADD, &other).await.verdict();
    assert_eq!(verdict, (400, "Throttling.User".to_owned()));
    assert_eq!(world.records("example.com").len(), 1);
    assert_eq!(call_detail(&gateway, "v.example.com").await, 200);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(call(&gateway, ADD, &other).await.status, 200);
    assert_eq!(gateway.calls().performed(ADD), 2);
}
