//! Temporary credentials in the middle of their life: nearly over, over, taken back.

use vodcertd_sandbox::gateway::KeyState;

use super::*;

/// How often a role was taken on.
fn taken_on(stage: &Stage) -> usize {
    stage.gateway.calls().of(ASSUME).len()
}

/// How the calls themselves ended.
fn codes(stage: &Stage) -> Vec<Option<String>> {
    let calls = stage.gateway.calls().of(READ);
    calls
        .iter()
        .map(|call| call.code().map(str::to_owned))
        .collect()
}

/// Lets the pause after an attempt go by, which is not time of the wall.
async fn pause() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn credentials_are_renewed_before_they_end_and_no_call_fails() {
    for (lasts, still_good, nearly_over) in [
        // A quarter of an hour before they end, or at half their life.
        (3600, 44 * 60, 46 * 60),
        (100, 40, 60),
    ] {
        let stage = Stage::start().await;
        let role = Role::new(OPEN, Trust::Keys).lasting(Duration::from_secs(lasts));
        stage.world.add_role(role);
        let client = stage.client(assume(OPEN, None, stage.key()), &[]);
        call(&client).await.unwrap();
        stage.let_pass(Duration::from_secs(still_good));
        call(&client).await.unwrap();
        assert_eq!(taken_on(&stage), 1, "{lasts} s");
        stage.let_pass(Duration::from_secs(nearly_over));
        call(&client).await.unwrap();
        assert_eq!(taken_on(&stage), 2, "{lasts} s");
        // Long after the first ones ended.
        stage.let_pass(Duration::from_secs(2 * lasts));
        call(&client).await.unwrap();
        assert_eq!(taken_on(&stage), 3, "{lasts} s");
        assert_eq!(codes(&stage), [const { None::<String> }; 4], "{lasts} s");
    }
}

#[tokio::test]
async fn credentials_that_were_taken_back_are_renewed_once_and_the_call_succeeds() {
    for (what, take_back, code) in [
        (
            "the key is forgotten",
            (|gateway| gateway.remove_access_key("STS.given")) as fn(&Gateway),
            "InvalidAccessKeyId.NotFound",
        ),
        (
            "its time was ended",
            |gateway| {
                let key = AccessKey::temporary("STS.given", "", "");
                gateway.add_access_key(key.in_state(KeyState::Expired));
            },
            "InvalidSecurityToken.Expired",
        ),
        (
            "its token is another",
            |gateway| {
                let key = AccessKey::temporary("STS.given", "secret of STS.given", "another");
                gateway.add_access_key(key);
            },
            "InvalidSecurityToken.MismatchWithAccessKey",
        ),
    ] {
        let stage = Stage::start().await;
        let client = stage.client(machine(), &[]);
        call(&client).await.unwrap();
        take_back(&stage.gateway);
        stage.giver.give(given("STS.next", &stage.gateway));
        call(&client)
            .await
            .unwrap_or_else(|e| panic!("{what}: {e:?}"));
        call(&client).await.unwrap();
        assert_eq!(
            codes(&stage),
            [None, Some(code.into()), None, None],
            "{what}"
        );
        let once = [METADATA_TOKEN, OF_ROLE];
        assert_eq!(stage.asked(), [once, once].concat(), "{what}");
    }
}

/// The same key comes again: the refusal is told, and there is no loop of questions.
#[tokio::test]
async fn credentials_that_stay_refused_are_asked_for_once() {
    let stage = Stage::start().await;
    let client = stage.client(machine(), &[]);
    call(&client).await.unwrap();
    stage.gateway.remove_access_key("STS.given");
    for _ in 0..3 {
        let error = call(&client).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::AccessKeyNotFound));
    }
    let once = [METADATA_TOKEN, OF_ROLE];
    assert_eq!(stage.asked(), [once, once].concat());
    // One attempt each.
    assert_eq!(codes(&stage).len(), 4);
    pause().await;
    stage.giver.give(given("STS.next", &stage.gateway));
    call(&client).await.unwrap();
}

/// A permanent key is not asked for again: what is refused of it is for a person.
#[tokio::test]
async fn a_permanent_key_that_is_refused_is_tried_once() {
    let stage = Stage::start().await;
    let client = stage.client(stage.key(), &[]);
    stage.gateway.remove_access_key(Gateway::ACCESS_KEY_ID);
    let error = call(&client).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::AccessKeyNotFound));
    assert_eq!(codes(&stage).len(), 1);
}

#[tokio::test]
async fn credentials_that_cannot_be_renewed_are_used_while_they_last() {
    for disturbance in [Disturbance::HangUp, Disturbance::PerformThenHangUp] {
        let stage = Stage::start().await;
        let client = stage.client(assume(OPEN, None, stage.key()), &[]);
        call(&client).await.unwrap();
        let fault = Fault::always(disturbance).on(ASSUME);
        stage.gateway.faults().push(fault);
        stage.let_pass(Duration::from_mins(50));
        for _ in 0..5 {
            call(&client).await.unwrap();
        }
        assert_eq!(taken_on(&stage), 2, "asked at every call");
        pause().await;
        call(&client).await.unwrap();
        assert_eq!(taken_on(&stage), 3, "not asked again");

        stage.let_pass(Duration::from_mins(61));
        pause().await;
        let error = call(&client).await.unwrap_err();
        assert_eq!(error.label(), "no-credentials");
        assert_eq!(taken_on(&stage), 4);
        assert_eq!(codes(&stage), [const { None::<String> }; 7]);

        stage.gateway.faults().clear();
        pause().await;
        call(&client).await.unwrap();
        assert_eq!(taken_on(&stage), 5);
    }
}

#[tokio::test]
async fn calls_at_once_ask_once() {
    let stage = Stage::start().await;
    let client = stage.client(assume(OPEN, None, stage.key()), &[]);
    // At first, and when the credentials are nearly over.
    for times in 1..=2 {
        let calls = (0..50).map(|_| call(&client));
        for result in futures_util::future::join_all(calls).await {
            result.unwrap();
        }
        assert_eq!(taken_on(&stage), times);
        stage.let_pass(Duration::from_mins(50));
    }
    assert_eq!(codes(&stage).len(), 100);
    // And when they were taken back.
    stage.gateway.expire_temporary_keys();
    let calls = (0..50).map(|_| call(&client));
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(taken_on(&stage), 3);
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_asks_spoils_nothing_for_the_others() {
    let stage = Stage::start().await;
    let client = stage.client(assume(OPEN, None, stage.key()), &[]);
    let faults = stage.gateway.faults();
    let never = Disturbance::Delay(Duration::from_hours(1));
    faults.push(Fault::once(never).on(ASSUME));
    let mut first = Box::pin(call(&client));
    let asked = async {
        while faults.waiting() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        result = &mut first => panic!("{result:?}"),
        () = asked => {}
    }
    let mut others = Box::pin(futures_util::future::join_all(
        (0..5).map(|_| call(&client)),
    ));
    let waiting = futures_util::future::poll_immediate(&mut others).await;
    assert!(waiting.is_none(), "they wait for the first one");
    drop(first);
    for result in others.await {
        result.unwrap();
    }
    assert_eq!(taken_on(&stage), 1, "by one of the others");
}
