//! The limiter ahead of a gateway that enforces limits.

use std::num::NonZeroU32;
use std::time::Instant;

use vodcertd::aliyun::{AssumeRole, CredentialSource, Limiter};
use vodcertd::secret::SecretSource;
use vodcertd_sandbox::gateway::AccessKey;
use vodcertd_sandbox::world::{Role, Trust};

use super::*;

/// A time that is named holds for those as well who wait for their turn.
#[tokio::test]
async fn nobody_who_waits_calls_after_a_throttle() {
    let bench = Bench::start().await;
    let mut cloud = cloud::settings(&bench.gateway, bench.folder.path().join("secret"));
    cloud.rate.install = NonZeroU32::MIN;
    let limiter = Limiter::default();
    let client = cloud::client_of(cloud, limiter);
    bench.disturb(Disturbance::Refuse(Refusal::throttled()));
    let call = upload(&pair(forge::valid_now()));
    let calls = (0..10).map(|_| client.set_vod_certificate(&call));
    let results = futures_util::future::join_all(calls).await;
    let labels: Vec<String> = results
        .into_iter()
        .map(|result| {
            let error = result.unwrap_err();
            assert!(!error.may_have_happened(), "{error}");
            error.label()
        })
        .collect();
    assert_eq!(labels[0], "Throttling.User");
    assert!(
        labels[1..].iter().all(|label| label == "not-sent"),
        "{labels:?}"
    );
    assert_eq!(bench.gateway.calls().of(SET).len(), 1);
    let counted = client.calls();
    let counted: Vec<_> = counted
        .iter()
        .map(|(_, code, count)| (&**code, *count))
        .collect();
    assert_eq!(counted, [("Throttling.User", 1)], "what is called");
    client.set_vod_certificate(&call).await.unwrap();
}

const ACCOUNT: &str = "1234567890123456";
const ROLE: &str = "acs:ram::1234567890123456:role/vodcertd";

/// A cloud: the access key of its own that it has, or that takes a role on for it, and the account that
/// the configuration names.
#[derive(Clone, Copy)]
struct Caller {
    key: &'static str,
    role: bool,
    account: Option<&'static str>,
}

/// Makes `count` calls that install at once in two clouds of one account, reading back meanwhile, at a
/// gateway that lets 30 installs and 10 of each other call of an account through within any stretch of
/// this length. Gives how long the installs took.
async fn install_at_the_limit(count: u32, stretch: Duration, callers: [Caller; 2]) -> Duration {
    let bench = Bench::start().await;
    bench.world.add_role(Role::new(ROLE, Trust::Keys));
    for caller in callers {
        let key = AccessKey::new(caller.key, Gateway::ACCESS_KEY_SECRET);
        bench.gateway.add_access_key(key.of_account(ACCOUNT));
    }
    bench.gateway.limit(SET, 30, stretch);
    bench
        .gateway
        .limit("DescribeVodDomainCertificateInfo", 10, stretch);
    let limiter = Limiter::default();
    let [one, two] = callers.map(|caller| {
        let secret = bench.folder.path().join("secret");
        let mut cloud = cloud::settings(&bench.gateway, secret.clone());
        cloud.credentials = CredentialSource::Static {
            access_key_id: caller.key.to_owned(),
            access_key_secret: SecretSource::File(secret),
        };
        if caller.role {
            cloud.credentials = CredentialSource::AssumeRole(Box::new(AssumeRole {
                role: ROLE.parse().unwrap(),
                external_id: None,
                source: cloud.credentials,
            }));
        }
        cloud.account = caller.account.map(str::to_owned);
        cloud::client_of(cloud, limiter.clone())
    });
    let call = upload(&pair(forge::valid_now()));
    let domain = domain();

    let begun = Instant::now();
    let installs = futures_util::future::join_all((0..count).map(|number| {
        let client = if number % 2 == 0 { &one } else { &two };
        client.set_vod_certificate(&call)
    }));
    let installs = async { (installs.await, begun.elapsed()) };
    let reads = (0..count / 3).map(|_| one.vod_certificate_info(&domain));
    let ((installs, took), reads) = tokio::join!(installs, futures_util::future::join_all(reads));

    let installed = installs.len();
    for install in installs {
        install.unwrap();
    }
    for read in reads {
        read.unwrap();
    }
    assert_eq!(bench.gateway.calls().of(SET).len(), installed);
    took
}

/// Beside other tests the machine is busy, so what travels late is allowed for; how much of the rate
/// is used is then left to the tests of `aliyun::rate`, where time is simulated. With the number of
/// installs in `VODCERTD_INSTALLS` the machine is taken to be free: `bash tests/long-rate.sh`.
#[tokio::test]
async fn installs_at_once_meet_no_throttle_and_use_the_rate() {
    let alone = std::env::var("VODCERTD_INSTALLS").ok();
    let count = alone.as_ref().map_or(60, |count| count.parse().unwrap());
    let stretch = if alone.is_some() { 1000 } else { 800 };
    let caller = Caller {
        key: Gateway::ACCESS_KEY_ID,
        role: false,
        account: None,
    };
    let took = install_at_the_limit(count, Duration::from_millis(stretch), [caller; 2]).await;
    let share = f64::from(count) / 30.0 / took.as_secs_f64();
    println!(
        "{count} installs in {took:.2?}: {:.1} % of 30 a second, no throttle",
        100.0 * share
    );
    // The first one does not wait.
    assert!(took >= Duration::from_secs(1) * (count - 1) / 30);
    assert!(share >= if alone.is_some() { 0.95 } else { 0.2 });
}

/// The limit is the account's: another access key is no second one.
#[tokio::test]
async fn clouds_of_one_account_share_its_limit_whatever_their_keys() {
    let one = Caller {
        key: "LTAIone",
        role: false,
        account: Some(ACCOUNT),
    };
    let another = Caller {
        key: "LTAItwo",
        ..one
    };
    // The name of a role tells its account.
    let role = Caller {
        role: true,
        account: None,
        ..another
    };
    for callers in [[one, another], [one, role]] {
        let took = install_at_the_limit(60, Duration::from_millis(800), callers).await;
        assert!(took >= Duration::from_secs(1) * 59 / 30, "{took:?}");
    }
}
