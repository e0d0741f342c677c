//! A clock that is refused: what is signed anew, and what became of what was refused for its time.

use super::*;

#[tokio::test]
async fn a_clock_that_is_wrong_is_noticed_and_corrected_at_once() {
    for signature in SIGNATURES {
        let bench = Bench::signing(signature).await;
        let two_hours = Duration::from_hours(2);
        bench
            .gateway
            .set_clock_offset(two_hours.try_into().unwrap());
        let pair = pair(forge::valid_now());
        bench.install(&upload(&pair)).await.unwrap();
        bench.install(&upload(&pair)).await.unwrap();
        let calls = bench.gateway.calls().of(SET);
        let codes: Vec<Option<&str>> = calls.iter().map(Call::code).collect();
        assert_eq!(codes, [Some(EXPIRED), None, None], "{signature:?}");
        let reading = bench.client.clock_reading().unwrap();
        let apart = reading.remote.since(reading.local);
        assert!(
            two_hours.abs_diff(apart) < Duration::from_mins(5),
            "{apart:?}"
        );
    }
}

#[tokio::test]
async fn a_clock_that_stays_refused_is_corrected_once_and_said() {
    for signature in SIGNATURES {
        let bench = Bench::signing(signature).await;
        let fault = Fault::always(Disturbance::Refuse(expired())).on(SET);
        bench.gateway.faults().push(fault);
        let pair = pair(forge::valid_now());
        let error = bench.install(&upload(&pair)).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::TimestampExpired));
        assert_eq!(course(&error), [Class::Refresh, Class::Operator]);
        assert_eq!(bench.gateway.calls().of(SET).len(), 2, "{signature:?}");
        assert_eq!(bench.installed(), None, "{signature:?}");
    }
}

/// What was performed all the same shows at the attempt with the right time.
#[tokio::test]
async fn what_was_performed_but_refused_for_its_time_is_found_at_once() {
    for signature in SIGNATURES {
        let bench = Bench::signing(signature).await;
        bench.gateway.set(Settings {
            reupload: Reupload::RefuseAsDuplicate,
            ..Settings::default()
        });
        let pair = pair(forge::valid_now());
        bench.disturb(Disturbance::PerformThenRefuse(expired()));
        let error = bench.install(&upload(&pair)).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::CertificateDuplicated));
        assert_eq!(course(&error)[0], Class::Reconcile);
        let leaf = fingerprint(&pair).to_string();
        assert_eq!(bench.installed(), Some(leaf), "{signature:?}");

        let name = bench.client.zones(&[]).locate(FQDN).await.unwrap().unwrap();
        let fault = Fault::once(Disturbance::PerformThenRefuse(expired()));
        bench.gateway.faults().push(fault.on("AddDomainRecord"));
        let id = bench.client.add_txt(&name, VALUE).await.unwrap();
        let found = bench.client.find_txt(&name, VALUE).await.unwrap();
        assert_eq!(found, Some(id), "{signature:?}");
    }
}

#[tokio::test]
async fn a_second_attempt_whose_answer_is_lost_may_have_happened() {
    for signature in SIGNATURES {
        let bench = Bench::signing(signature).await;
        bench.disturb(Disturbance::Refuse(expired()));
        bench.disturb(Disturbance::PerformThenHangUp);
        let pair = pair(forge::valid_now());
        let error = bench.install(&upload(&pair)).await.unwrap_err();
        assert!(error.may_have_happened(), "{signature:?}");
        assert_eq!(bench.gateway.calls().of(SET).len(), 2, "{signature:?}");
    }
}

fn expired() -> Refusal {
    Refusal::new(
        400,
        EXPIRED,
        "Specified time stamp or date value is expired.",
    )
}
