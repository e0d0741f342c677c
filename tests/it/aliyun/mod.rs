//! The Alibaba Cloud client against the sandbox gateway, which checks what it is sent by code of
//! its own.

mod clock;
mod credentials;
mod rate;
mod sdk;

use std::time::Duration;

use tempfile::TempDir;
use vodcertd::aliyun::alidns::{RecordId, Zone};
use vodcertd::aliyun::vod::{
    CertName, CertRegion, DomainStatus, Env, Https, SetCertificate, StoredCertificate,
};
use vodcertd::aliyun::{ApiError, Client, Code, Signature};
use vodcertd::certificate::{Chain, Fingerprint};
use vodcertd::clock::Clock;
use vodcertd::name::AccelerationDomain;
use vodcertd::net::Network;
use vodcertd::retry::{Class, Scope};
use vodcertd::secret::Secret;
use vodcertd::time::Timestamp;
use vodcertd_sandbox::forge::{self, Forged, KeyKind, Validity};
use vodcertd_sandbox::gateway::{
    Call, Disturbance, Fault, Gateway, RawAnswer, Refusal, Reupload, Settings,
};
use vodcertd_sandbox::world::{self, World};

use crate::cloud;

const SET: &str = "SetVodDomainSSLCertificate";
const EXPIRED: &str = "InvalidTimeStamp.Expired";
const DOMAIN: &str = "v.example.com";
const WILDCARD: &str = ".v.example.com";
const FQDN: &str = "_acme-challenge.v.example.com";
const VALUE: &str = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ";

/// A cloud with two acceleration domains and a zone, and a client for it.
struct Bench {
    world: World,
    gateway: Gateway,
    client: Client,
    folder: TempDir,
}

impl Bench {
    async fn start() -> Self {
        Self::signing(Signature::HmacSha1).await
    }

    async fn signing(signature: Signature) -> Self {
        let world = World::new();
        world.add_domain(DOMAIN);
        world.add_domain(WILDCARD);
        world.add_zone("example.com");
        let gateway = Gateway::start(world.clone()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let network = Network {
            timeout: Duration::from_secs(5),
            ..Network::default()
        };
        let secret = folder.path().join("secret");
        let client = cloud::client_with(&gateway, signature, secret, &network);
        let bench = Self {
            world,
            gateway,
            client,
            folder,
        };
        bench.write_secret(Gateway::ACCESS_KEY_SECRET);
        bench
    }

    fn write_secret(&self, secret: &str) {
        std::fs::write(self.folder.path().join("secret"), secret).unwrap();
    }

    /// Disturbs the next installation.
    fn disturb(&self, disturbance: Disturbance) {
        self.gateway.faults().push(Fault::once(disturbance).on(SET));
    }

    async fn install(&self, call: &SetCertificate) -> Result<(), ApiError> {
        let result = self.client.set_vod_certificate(call).await;
        self.gateway.calls().assert_no_key_in_url();
        result
    }

    /// The leaf that the gateway has installed in production.
    fn installed(&self) -> Option<String> {
        let binding = self.world.installed(DOMAIN, world::Env::Production)?;
        Some(binding.certificate.pair.leaf().sha256.clone())
    }
}

fn pair(validity: Validity) -> Forged {
    forge::issue(&[DOMAIN, "*.v.example.com"], KeyKind::P256, validity)
}

fn fingerprint(pair: &Forged) -> Fingerprint {
    Chain::from_pem(&pair.chain_pem).unwrap().leaf().fingerprint
}

fn domain() -> AccelerationDomain {
    DOMAIN.parse().unwrap()
}

fn name() -> CertName {
    "vodcertd-video-1".parse().unwrap()
}

fn upload(pair: &Forged) -> SetCertificate {
    SetCertificate {
        domain: domain(),
        https: Https::Upload {
            cert_name: name(),
            chain_pem: Chain::from_pem(&pair.chain_pem).unwrap().to_pem(),
            key_pem: Secret::new(pair.key_pem.clone()),
        },
        env: Env::Production,
    }
}

/// The classes of a failure's course in order.
fn course(error: &ApiError) -> Vec<Class> {
    let failure = error.failure(Clock::System.now());
    failure.course.iter().map(|remedy| remedy.class).collect()
}

const SIGNATURES: [Signature; 2] = [Signature::HmacSha1, Signature::Acs3HmacSha256];

#[tokio::test]
async fn a_certificate_is_uploaded_read_back_and_bound_elsewhere_by_its_id() {
    let bench = Bench::start().await;
    let pair = pair(forge::valid_now());
    let before = bench.client.vod_certificate_info(&domain()).await.unwrap();
    assert_eq!(before, None);

    bench.install(&upload(&pair)).await.unwrap();
    assert_eq!(bench.installed(), Some(fingerprint(&pair).to_string()));

    let info = bench.client.vod_certificate_info(&domain()).await.unwrap();
    let info = info.unwrap();
    assert_eq!(info.cert_name.as_deref(), Some(name().as_str()));
    assert_eq!(info.https, Some(true));
    assert_eq!(info.leaf.unwrap().fingerprint, fingerprint(&pair));
    assert!(info.expires.unwrap() > Clock::System.now());

    let detail = bench.client.vod_domain_detail(&domain()).await.unwrap();
    assert_eq!(detail.status, DomainStatus::Online);
    assert_eq!(detail.https, Some(true));
    assert_eq!(detail.leaf.unwrap().fingerprint, fingerprint(&pair));

    let stored = bench.client.find_stored_certificate(&name()).await.unwrap();
    let bind = SetCertificate {
        domain: WILDCARD.parse().unwrap(),
        https: Https::Stored(stored.unwrap()),
        env: Env::Production,
    };
    bench.install(&bind).await.unwrap();
    let elsewhere = bench.world.installed(WILDCARD, world::Env::Production);
    let leaf = elsewhere.unwrap().certificate.pair.leaf().sha256.clone();
    assert_eq!(leaf, fingerprint(&pair).to_string());
}

#[tokio::test]
async fn staging_leaves_production_as_it_is_and_https_can_be_switched_off() {
    let bench = Bench::start().await;
    let pair = pair(forge::valid_now());
    let staged = SetCertificate {
        env: Env::Staging,
        ..upload(&pair)
    };
    bench.install(&staged).await.unwrap();
    assert_eq!(bench.installed(), None);
    assert!(bench.world.installed(DOMAIN, world::Env::Staging).is_some());

    bench.install(&upload(&pair)).await.unwrap();
    assert!(bench.installed().is_some());
    let off = SetCertificate {
        https: Https::Off,
        ..upload(&pair)
    };
    bench.install(&off).await.unwrap();
    assert_eq!(bench.installed(), None);
}

#[tokio::test]
async fn a_stored_certificate_is_not_found_under_a_similar_name_or_in_the_wrong_region() {
    let bench = Bench::start().await;
    bench
        .install(&upload(&pair(forge::valid_now())))
        .await
        .unwrap();
    let longer: CertName = "vodcertd-video-10".parse().unwrap();
    let found = bench.client.find_stored_certificate(&longer).await.unwrap();
    assert_eq!(found, None);

    let stored = bench.client.find_stored_certificate(&name()).await.unwrap();
    let wrong_region = StoredCertificate {
        cert_region: CertRegion::ApSoutheast1,
        ..stored.unwrap()
    };
    let bind = SetCertificate {
        domain: domain(),
        https: Https::Stored(wrong_region),
        env: Env::Production,
    };
    let error = bench.install(&bind).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::CertificateNotFound));
    assert_eq!(
        course(&error),
        [Class::Refresh, Class::Rename, Class::Operator]
    );
}

#[tokio::test]
async fn a_record_is_added_once_found_and_deleted_by_its_id() {
    let bench = Bench::start().await;
    let client = &bench.client;
    let name = client.zones(&[]).locate(FQDN).await.unwrap().unwrap();
    assert_eq!(name.zone().as_str(), "example.com");
    assert_eq!(client.find_txt(&name, VALUE).await.unwrap(), None);

    let id = client.add_txt(&name, VALUE).await.unwrap();
    let other = client.add_txt(&name, "another value").await.unwrap();
    assert_ne!(id, other);
    assert_eq!(client.add_txt(&name, VALUE).await.unwrap(), id);
    assert_eq!(
        client.find_txt(&name, VALUE).await.unwrap().as_ref(),
        Some(&id)
    );
    assert_eq!(bench.world.records("example.com").len(), 2);

    client.delete_record(&id).await.unwrap();
    client.delete_record(&id).await.unwrap();
    client
        .delete_record(&RecordId::new("424242"))
        .await
        .unwrap();
    let left = bench.world.records("example.com");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].value, "another value");
    assert_eq!(
        client.zones(&[]).locate("a.example.org").await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_zone_is_found_without_the_permission_to_list_zones() {
    let bench = Bench::start().await;
    let forbidden = Refusal::new(403, "Forbidden.RAM", "User not authorized.");
    let fault = Fault::always(Disturbance::Refuse(forbidden)).on("DescribeDomains");
    bench.gateway.faults().push(fault);
    let name = bench.client.zones(&[]).locate(FQDN).await.unwrap().unwrap();
    assert_eq!(
        Some(name),
        Zone::named("example.com").unwrap().record_name(FQDN)
    );
}

#[tokio::test]
async fn a_wrong_secret_is_said_without_the_key_and_a_corrected_one_is_used() {
    for signature in SIGNATURES {
        let bench = Bench::signing(signature).await;
        let pair = pair(forge::valid_now());
        bench.write_secret("wrong");
        let error = bench.install(&upload(&pair)).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::SignatureDoesNotMatch));
        let failure = error.failure(Clock::System.now());
        let cloud = "default".into();
        assert_eq!(failure.scope, Scope::Cloud { cloud }, "{signature:?}");
        assert_eq!(course(&error), [Class::Operator], "{signature:?}");
        for line in pair.key_pem.lines() {
            let shown = format!("{error:?} {failure:?}");
            assert!(!shown.contains(line), "{shown}");
        }
        assert_eq!(bench.installed(), None, "{signature:?}");

        bench.write_secret(Gateway::ACCESS_KEY_SECRET);
        bench.install(&upload(&pair)).await.unwrap();
        let installed = bench.installed();
        assert_eq!(
            installed,
            Some(fingerprint(&pair).to_string()),
            "{signature:?}"
        );
    }
}

#[tokio::test]
async fn version_3_adds_finds_and_deletes_records_too() {
    let bench = Bench::signing(Signature::Acs3HmacSha256).await;
    let client = &bench.client;
    let name = client.zones(&[]).locate(FQDN).await.unwrap().unwrap();
    let id = client.add_txt(&name, VALUE).await.unwrap();
    assert_eq!(
        client.find_txt(&name, VALUE).await.unwrap(),
        Some(id.clone())
    );
    client.delete_record(&id).await.unwrap();
    assert_eq!(bench.world.records("example.com").len(), 0);
}

#[tokio::test]
async fn no_nonce_is_used_twice() {
    for signature in SIGNATURES {
        let bench = Bench::signing(signature).await;
        for _ in 0..50 {
            bench.client.vod_domain_detail(&domain()).await.unwrap();
        }
        let calls = bench.client.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        assert_eq!(calls[0].2, 50);
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_open_what_happened_and_reading_back_tells() {
    for (disturbance, happened) in [
        (Disturbance::HangUp, false),
        (Disturbance::PerformThenHangUp, true),
        (Disturbance::bad_gateway(), false),
    ] {
        let bench = Bench::start().await;
        let pair = pair(forge::valid_now());
        bench.disturb(disturbance.clone());
        let error = bench.install(&upload(&pair)).await.unwrap_err();
        assert!(error.may_have_happened(), "{disturbance:?}");
        assert_eq!(
            course(&error),
            [Class::Reconcile, Class::Backoff],
            "{disturbance:?}"
        );
        assert_eq!(bench.gateway.calls().of(SET).len(), 1, "{disturbance:?}");

        let info = bench.client.vod_certificate_info(&domain()).await.unwrap();
        let read_back = info.and_then(|info| info.leaf).map(|leaf| leaf.fingerprint);
        assert_eq!(
            read_back,
            happened.then(|| fingerprint(&pair)),
            "{disturbance:?}"
        );
    }
}

#[tokio::test]
async fn what_was_performed_but_refused_shows_at_the_next_attempt() {
    let bench = Bench::start().await;
    bench.gateway.set(Settings {
        reupload: Reupload::RefuseAsDuplicate,
        ..Settings::default()
    });
    let pair = pair(forge::valid_now());
    let fault = Refusal::new(500, "InternalError", "The request processing has failed.");
    bench.disturb(Disturbance::PerformThenRefuse(fault));
    let error = bench.install(&upload(&pair)).await.unwrap_err();
    assert_eq!(course(&error), [Class::Backoff]);

    let error = bench.install(&upload(&pair)).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::CertificateDuplicated));
    assert_eq!(course(&error)[0], Class::Reconcile);
    let stored = bench.client.find_stored_certificate(&name()).await.unwrap();
    let bind = SetCertificate {
        https: Https::Stored(stored.unwrap()),
        ..upload(&pair)
    };
    bench.install(&bind).await.unwrap();
    assert_eq!(bench.installed(), Some(fingerprint(&pair).to_string()));
}

#[tokio::test]
async fn a_record_whose_answer_was_lost_is_found_at_the_next_attempt() {
    for (disturbance, happened) in [
        (Disturbance::HangUp, false),
        (Disturbance::PerformThenHangUp, true),
    ] {
        let bench = Bench::start().await;
        let name = bench.client.zones(&[]).locate(FQDN).await.unwrap().unwrap();
        bench
            .gateway
            .faults()
            .push(Fault::once(disturbance).on("AddDomainRecord"));
        let error = bench.client.add_txt(&name, VALUE).await.unwrap_err();
        assert_eq!(course(&error), [Class::Backoff]);
        let records = bench.world.records("example.com");
        assert_eq!(!records.is_empty(), happened);

        let id = bench.client.add_txt(&name, VALUE).await.unwrap();
        let records = bench.world.records("example.com");
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].id.to_string(), id.as_str());
    }
}

#[tokio::test]
async fn throttling_stops_the_action_until_the_named_time() {
    let second = Duration::from_secs(1);
    let hour = Duration::from_hours(1);
    let now: Timestamp = Clock::System.now();
    for (refusal, wait, clamped) in [
        (Refusal::throttled(), None, false),
        (
            Refusal::throttled().with_acs_retry_after(20 * second),
            Some(20 * second),
            false,
        ),
        (
            Refusal::throttled().with_retry_after(30 * second),
            Some(30 * second),
            false,
        ),
        (
            Refusal::throttled().with_retry_after(5 * hour),
            Some(hour),
            true,
        ),
    ] {
        let bench = Bench::start().await;
        bench.disturb(Disturbance::Refuse(refusal));
        let error = bench
            .install(&upload(&pair(forge::valid_now())))
            .await
            .unwrap_err();
        let failure = error.failure(now);
        assert_eq!(failure.code, "Throttling.User");
        let (cloud, action) = ("default".into(), SET.into());
        assert_eq!(failure.scope, Scope::CloudAction { cloud, action });
        assert_eq!(course(&error), [Class::Backoff]);
        assert_eq!(failure.clamped, clamped);
        // The time is counted from the answer, which came a moment after `now`.
        let named = failure.not_before.map(|time| time.since(now));
        match (named, wait) {
            (Some(named), Some(wait)) => assert!(named >= wait && named < wait + hour),
            (named, wait) => assert_eq!(named, wait),
        }
    }
}

#[tokio::test]
async fn an_expired_certificate_asks_for_a_new_one() {
    let bench = Bench::start().await;
    let error = bench
        .install(&upload(&pair(forge::expired())))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(Code::CertificateExpired));
    assert_eq!(course(&error), [Class::Reissue, Class::Operator]);
}

#[tokio::test]
async fn a_domain_that_is_not_there_or_not_online_is_told_apart() {
    let bench = Bench::start().await;
    let pair = pair(forge::valid_now());
    for (status, code, class) in [
        (
            world::DomainStatus::Offline,
            Code::DomainOffline,
            Class::Operator,
        ),
        (
            world::DomainStatus::Configuring,
            Code::DomainNotOnline,
            Class::Backoff,
        ),
    ] {
        bench.world.set_status(DOMAIN, status);
        let error = bench.install(&upload(&pair)).await.unwrap_err();
        assert_eq!(error.code(), Some(code));
        assert_eq!(course(&error), [class]);
    }
    let detail = bench.client.vod_domain_detail(&domain()).await.unwrap();
    assert_eq!(detail.status, DomainStatus::Configuring);

    let elsewhere = "other.example.com".parse().unwrap();
    let error = bench
        .client
        .vod_certificate_info(&elsewhere)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(Code::DomainNotFound));
}
