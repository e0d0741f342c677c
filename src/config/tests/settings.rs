//! What settings a right file comes to.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::{AlidnsSettings, SolverSettings};
use super::{CERTIFICATE, right};
use crate::aliyun::{AssumeRole, CredentialSource, Endpoints, Signature};
use crate::certificate::KeyType;
use crate::keys::KeyFormat;
use crate::renewal::{Method, OnDrift, RenewPolicy};
use crate::retry::Scope;
use crate::secret::SecretSource;
use crate::solver::Propagation;
use crate::target::CertRegion;

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

#[test]
fn sections_become_settings() {
    let config = right(
        r#"
        contact = ["mailto:ops@example.com"]
        [store]
        url = "sqlite:///srv/state.db"
        key_file = "credential:seal"
        keep_generations = 0
        history = "1d"
        [schedule]
        tick = "0 * * * * *"
        orders = 1
        installs = 2
        timezone = "UTC"
        brake = { orders_per_day = 7 }
        [http]
        listen = "off"
        [dns]
        resolvers = ["192.0.2.1:53"]
        authoritative = ["[2001:db8::1]:53"]
        [network]
        proxy = "http://proxy.example.com:3128"
        timeout = "5s"
        [[certificates]]
        names = ["v.example.com"]
        "#,
    )
    .config;
    assert_eq!(config.store.path.to_str(), Some("/srv/state.db"));
    assert_eq!(
        config.store.seal_key,
        Some(SecretSource::Credential("seal".into()))
    );
    assert_eq!(config.store.keep_generations, 0);
    assert_eq!(config.store.history, Duration::from_hours(24));
    assert_eq!(config.schedule.tick, "0 * * * * *");
    assert_eq!((config.schedule.orders, config.schedule.installs), (1, 2));
    assert_eq!(config.schedule.timezone, "UTC");
    assert_eq!(config.certificates[0].spec.orders_per_day, 7);
    assert_eq!(config.http, None);
    assert_eq!(config.dns.resolvers, ["192.0.2.1:53".parse().unwrap()]);
    assert_eq!(
        config.dns.authoritative,
        ["[2001:db8::1]:53".parse().unwrap()]
    );
    assert_eq!(config.network.timeout, Duration::from_secs(5));
    let proxy = config.network.proxy.map(|url| url.to_string());
    assert_eq!(proxy.as_deref(), Some("http://proxy.example.com:3128/"));
}

#[test]
fn issuers_are_words_or_urls() {
    let config = right(
        r#"
        contact = ["ops@example.com"]
        [issuers.letsencrypt]
        profile = "tlsserver"
        [issuers.test]
        directory = "letsencrypt-staging"
        contact = []
        [issuers.mine]
        directory = "https://127.0.0.1:14000/dir"
        contact = ["ca@example.com"]
        [[certificates]]
        names = ["v.example.com"]
        issuers = ["mine", "letsencrypt"]
        "#,
    )
    .config;
    let issuer = |name: &str| &config.issuers[name];
    assert_eq!(issuer("letsencrypt").contact, ["ops@example.com"]);
    assert_eq!(issuer("letsencrypt").profile.as_deref(), Some("tlsserver"));
    assert_eq!(
        issuer("test").directory,
        issuer("letsencrypt-staging").directory
    );
    assert_eq!(issuer("test").contact, Vec::<String>::new());
    assert_eq!(issuer("mine").contact, ["ca@example.com"]);

    let order = &config.certificates[0].spec.issuers;
    let order: Vec<_> = order
        .iter()
        .map(|issuer| (&*issuer.name, &*issuer.directory))
        .collect();
    let expected = [
        ("mine", "https://127.0.0.1:14000/dir"),
        (
            "letsencrypt",
            "https://acme-v02.api.letsencrypt.org/directory",
        ),
    ];
    assert_eq!(order, expected);
    assert_eq!(
        config.certificates[0].spec.issuers[1].profile.as_deref(),
        Some("tlsserver")
    );
}

#[test]
fn limits_are_those_that_the_ca_publishes_but_for_what_is_written() {
    let config = right(
        r#"
        [issuers.letsencrypt]
        limits = { exact_set = "off", orders_per_account = " 100 / 90m " }
        [issuers.mine]
        directory = "https://ca.example.com/dir"
        limits = { registered_domain = "3/1h" }
        [issuers.plain]
        directory = "https://other.example.com/dir"
        [[certificates]]
        names = ["v.example.com"]
        "#,
    )
    .config;
    let limits = |issuer: &str| {
        let limits = config.issuers[issuer].limits.iter();
        let words = limits.map(|(limit, quota)| format!("{limit}: {quota}"));
        words.collect::<Vec<_>>()
    };
    assert_eq!(
        limits("letsencrypt"),
        [
            "account: 100 in 1.5 h",
            "registered-domain: 50 in 168 h",
            "failed-validations: 5 in 1 h",
        ]
    );
    assert_eq!(limits("mine"), ["registered-domain: 3 in 1 h"]);
    assert_eq!(limits("plain"), Vec::<String>::new());
    let spec = &config.certificates[0].spec;
    assert_eq!(spec.issuers[0].limits, config.issuers["letsencrypt"].limits);
}

#[test]
fn clouds_have_credentials_endpoints_and_rates() {
    let config = right(
        r#"
        [clouds.a]
        region = "ap-southeast-1"
        credentials = { access_key_id = "LTAI", access_key_secret_file = "env:SECRET" }
        rate = { install = 7 }
        [clouds.b]
        signature = "acs3-hmac-sha256"
        endpoints = { vod = "http://127.0.0.1:8080" }
        [[certificates]]
        names = ["v.example.com"]
        "#,
    )
    .config;
    assert_eq!(
        config.clouds["default"].credentials,
        CredentialSource::Chain
    );
    assert_eq!(
        config.clouds["default"].endpoints,
        Endpoints::of_region("cn-shanghai")
    );
    let rates = |cloud: &str| {
        let rate = config.clouds[cloud].rate;
        (rate.install.get(), rate.other.get())
    };
    assert_eq!((rates("default"), rates("a")), ((30, 10), (7, 10)));
    assert_eq!(config.clouds["default"].signature, Signature::HmacSha1);
    let a = &config.clouds["a"];
    assert_eq!(a.name, "a");
    assert_eq!(a.signature, Signature::HmacSha1);
    assert_eq!(a.endpoints, Endpoints::of_region("ap-southeast-1"));
    let expected = CredentialSource::Static {
        access_key_id: "LTAI".into(),
        access_key_secret: SecretSource::Environment("SECRET".into()),
    };
    assert_eq!(a.credentials, expected);
    let b = &config.clouds["b"];
    assert_eq!(b.credentials, CredentialSource::Chain);
    assert_eq!(b.signature, Signature::Acs3HmacSha256);
    assert_eq!(b.endpoints.vod.as_str(), "http://127.0.0.1:8080/");
    assert_eq!(
        b.endpoints.alidns,
        Endpoints::of_region("cn-shanghai").alidns
    );
}

#[test]
fn endpoints_inside_a_vpc_replace_those_of_the_region() {
    let config = right(
        r#"
        [clouds.vpc]
        region = "cn-beijing"
        endpoints = { vod = "https://VOD-VPC.cn-beijing.aliyuncs.com/", cas = "https://cas-vpc.cn-hangzhou.aliyuncs.com" }
        [clouds.tunnel]
        endpoints = { vod = "https://vod-vpc.cn-shanghai.aliyuncs.com:8443", alidns = "http://[::1]:8080" }
        [[certificates]]
        names = ["v.example.com"]
        "#,
    )
    .config;
    let endpoints = |cloud: &str| {
        let endpoints = &config.clouds[cloud].endpoints;
        let services = [
            Some(&endpoints.vod),
            Some(&endpoints.alidns),
            endpoints.cas.as_ref(),
        ];
        services.map(|url| url.map(url::Url::as_str))
    };
    let expected = [
        "https://vod-vpc.cn-beijing.aliyuncs.com/",
        "https://alidns.aliyuncs.com/",
        "https://cas-vpc.cn-hangzhou.aliyuncs.com/",
    ];
    assert_eq!(endpoints("vpc"), expected.map(Some));
    let expected = [
        Some("https://vod-vpc.cn-shanghai.aliyuncs.com:8443/"),
        Some("http://[::1]:8080/"),
        // Each region of stored certificates has one of its own.
        None,
    ];
    assert_eq!(endpoints("tunnel"), expected);
}

#[test]
fn credentials_come_from_roles_one_from_another() {
    let config = right(
        r#"
        [clouds.machine]
        account = "123"
        credentials = { ecs_role = "vodcertd" }
        endpoints = { sts = "https://sts.aliyuncs.com" }
        [clouds.partner]
        credentials = { assume_role = "acs:ram::1:role/a", external_id = "x", source = { assume_role = "acs:ram::2:role/b" } }
        endpoints = { sts = "https://sts.cn-shanghai.aliyuncs.com", imds = "http://192.0.2.1" }
        [[certificates]]
        names = ["v.example.com"]
        "#,
    )
    .config;
    let machine = &config.clouds["machine"];
    let written = machine.endpoints.sts.as_ref().map(url::Url::as_str);
    assert_eq!(
        written,
        Some("https://sts.aliyuncs.com/"),
        "whatever the environment names"
    );
    let role = CredentialSource::EcsRole("vodcertd".into());
    assert_eq!(machine.credentials, role);
    assert_eq!(machine.account.as_deref(), Some("123"));
    let assumed = |role: &str, external_id: Option<&str>, source| {
        CredentialSource::AssumeRole(Box::new(AssumeRole {
            role: role.parse().unwrap(),
            external_id: external_id.map(str::to_owned),
            source,
        }))
    };
    let inner = assumed("acs:ram::2:role/b", None, CredentialSource::Chain);
    let outer = assumed("acs:ram::1:role/a", Some("x"), inner);
    let partner = &config.clouds["partner"];
    assert_eq!(partner.credentials, outer);
    assert_eq!(partner.account, None);
    let endpoints = &partner.endpoints;
    assert_eq!(
        endpoints.sts.as_ref().map(url::Url::as_str),
        Some("https://sts.cn-shanghai.aliyuncs.com/")
    );
    assert_eq!(endpoints.imds.as_str(), "http://192.0.2.1/");
}

#[test]
fn the_first_solver_that_is_for_a_name_proves_it() {
    let config = right(
        r#"
        [clouds.b]
        [solvers.org]
        kind = "alidns"
        cloud = "b"
        zones = ["example.org"]
        propagation = { timeout = "0s" }
        [[certificates]]
        name = "a"
        names = ["v.example.org", "*.v.example.org", "v.example.com"]
        solver = ["org", "alidns"]
        "#,
    )
    .config;
    let certificate = &config.certificates[0];
    let by_name: Vec<_> = certificate
        .solvers
        .iter()
        .map(|(name, solver)| (name.as_str(), solver.as_str()))
        .collect();
    let expected = [
        ("*.v.example.org", "org"),
        ("v.example.com", "alidns"),
        ("v.example.org", "org"),
    ];
    assert_eq!(by_name, expected);
    let SolverSettings::Alidns(AlidnsSettings {
        cloud, propagation, ..
    }) = &config.solvers["org"];
    assert_eq!(cloud, "b");
    let expected = Propagation {
        timeout: Duration::ZERO,
        ..Propagation::default()
    };
    assert_eq!(*propagation, expected);

    let scopes = ["b", "default"].map(|cloud| {
        let whole = Scope::Cloud {
            cloud: cloud.into(),
        };
        let calls = [
            "AddDomainRecord",
            "DescribeDomainRecords",
            "DescribeDomains",
            "DescribeSubDomainRecords",
        ];
        let calls = calls.map(|action| Scope::CloudAction {
            cloud: cloud.into(),
            action: action.into(),
        });
        [vec![whole], calls.to_vec()].concat()
    });
    assert_eq!(certificate.spec.proof_scopes, scopes.concat());
}

#[test]
fn a_certificate_without_issuers_is_watched_and_needs_no_solver() {
    let config = right(
        "[solvers.alidns]\nzones = [\"example.org\"]\n\
         [[certificates]]\nnames = [\"v.example.com\"]\nissuers = []\n",
    )
    .config;
    let certificate = &config.certificates[0];
    assert!(certificate.spec.issuers.is_empty());
    assert!(certificate.solvers.is_empty());
    assert!(certificate.spec.proof_scopes.is_empty());
    assert_eq!(certificate.targets.len(), 1);
}

#[test]
fn labels_and_domains_come_from_the_names() {
    let config = right(
        "[[certificates]]\nnames = [\"*.V.example.com\"]\n\
         [[certificates]]\nnames = [\"视频.example.com\"]\n",
    )
    .config;
    let shown: Vec<_> = config
        .certificates
        .iter()
        .flat_map(|c| {
            c.targets
                .keys()
                .map(|id| (c.spec.label.as_str(), id.to_string()))
        })
        .collect();
    let expected = [
        (
            "_.v.example.com",
            "aliyun-vod/default/.v.example.com".to_owned(),
        ),
        (
            "xn--cy2a840a.example.com",
            "aliyun-vod/default/xn--cy2a840a.example.com".to_owned(),
        ),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn keys_and_times_of_renewal_are_read() {
    for (text, key) in [
        ("rsa-2048", KeyType::Rsa2048),
        ("rsa-3072", KeyType::Rsa3072),
        ("rsa-4096", KeyType::Rsa4096),
        ("ecdsa-p256", KeyType::EcdsaP256),
        ("ecdsa-p384", KeyType::EcdsaP384),
    ] {
        let text = format!("[[certificates]]\nnames = [\"v.example.com\"]\nkey = \"{text}\"\n");
        assert_eq!(right(&text).config.certificates[0].spec.key, key);
    }
    for (text, policy) in [
        ("", RenewPolicy::Default),
        ("renew = { at = \"1/2\" }", RenewPolicy::Fraction(0.5)),
        (
            "renew = { before = \"10m\" }",
            RenewPolicy::Before(minutes(10)),
        ),
    ] {
        let text = format!("[[certificates]]\nnames = [\"v.example.com\"]\n{text}\n");
        assert_eq!(right(&text).config.certificates[0].spec.renew, policy);
    }
}

#[test]
fn what_a_target_leaves_out_comes_from_the_defaults() {
    let config = right(
        r#"
        [clouds.a]
        [clouds.b]
        [defaults]
        key = "ecdsa-p384"
        cloud = "a"
        method = "upload"
        cert_region = "ap-southeast-1"
        key_format = "pkcs8"
        on_drift = "alert"
        verify_owner = true
        staging = { addresses = ["192.0.2.9:443"] }
        look = { addresses = ["192.0.2.1:443"], deadline = "1m" }
        [[certificates]]
        name = "x"
        names = ["v.example.com", "*.v.example.com"]
        [[certificates.targets]]
        domains = ["v.example.com"]
        [[certificates.targets]]
        domains = [".v.example.com"]
        cloud = "b"
        method = "cas"
        cert_region = "cn-hangzhou"
        key_format = "traditional"
        on_drift = "repair"
        verify_owner = false
        look = { enabled = false, name = "x.v.example.com", addresses = [], every = "1h" }
        "#,
    )
    .config;
    let certificate = &config.certificates[0];
    assert_eq!(certificate.spec.key, KeyType::EcdsaP384);

    let id = "aliyun-vod/a/v.example.com".parse().unwrap();
    let (spec, settings) = (&certificate.spec.targets[&id], &certificate.targets[&id]);
    assert!(spec.method == Method::Upload && spec.look.enabled);
    assert_eq!(spec.on_drift, OnDrift::Alert);
    assert!(spec.owner_proof.is_some());
    assert_eq!(
        (spec.look.deadline, spec.look.every),
        (minutes(1), minutes(360))
    );
    assert_eq!(settings.cert_region, Some(CertRegion::ApSoutheast1));
    assert_eq!(settings.key_format, KeyFormat::Pkcs8);
    assert_eq!(
        settings.look_addresses,
        BTreeSet::from(["192.0.2.1:443".parse().unwrap()])
    );
    assert_eq!(
        settings.staging_addresses,
        BTreeSet::from(["192.0.2.9:443".parse().unwrap()])
    );

    let id = "aliyun-vod/b/.v.example.com".parse().unwrap();
    let (spec, settings) = (&certificate.spec.targets[&id], &certificate.targets[&id]);
    assert!(spec.method == Method::Cas && !spec.look.enabled);
    assert_eq!((spec.on_drift, &spec.owner_proof), (OnDrift::Repair, &None));
    assert_eq!(
        (spec.look.deadline, spec.look.every),
        (minutes(1), minutes(60))
    );
    assert_eq!(settings.cert_region, Some(CertRegion::CnHangzhou));
    assert_eq!(settings.key_format, KeyFormat::Traditional);
    assert_eq!(settings.look_name.as_deref(), Some("x.v.example.com"));
    assert!(settings.look_addresses.is_empty());
}

#[test]
fn calls_for_a_target_stop_at_deadlines_of_its_cloud() {
    let config = right("[[certificates]]\nnames = [\"v.example.com\"]\n").config;
    let target = config.certificates[0].spec.targets.values().next().unwrap();
    let cloud = "default".to_owned();
    let action = |action: &str| Scope::CloudAction {
        cloud: cloud.clone(),
        action: action.into(),
    };
    let whole = Scope::Cloud {
        cloud: cloud.clone(),
    };
    let installs = [whole.clone(), action("SetVodDomainSSLCertificate")];
    assert_eq!(target.install_scopes, installs);
    let listing = [whole.clone(), action("DescribeVodSSLCertificateList")];
    assert_eq!(target.listing_scopes, listing);
    let reads = [
        whole,
        action("DescribeVodDomainCertificateInfo"),
        action("DescribeVodDomainDetail"),
    ];
    assert_eq!(target.read_back_scopes, reads);
}

#[test]
fn what_a_target_is_refused_for_and_what_it_calls_have_names() {
    let config = right(&format!(
        "{CERTIFICATE}[[certificates.targets]]\nmethod = \"cas\"\nverify_owner = true\n"
    ))
    .config;
    let targets = &config.certificates[0].spec.targets;
    let spec = targets.values().next().unwrap();
    let keys = |scopes: &[Scope]| scopes.iter().filter_map(Scope::key).collect::<Vec<_>>();
    assert_eq!(
        keys(&spec.storing_scopes),
        [
            "cloud|default",
            "cloud-action|default|UploadUserCertificate"
        ]
    );
    let proof = spec.owner_proof.as_ref().unwrap();
    assert_eq!(proof.code, "DomainOwnerVerifyFail");
    assert_eq!(
        keys(&proof.scopes),
        [
            "cloud|default",
            "cloud-action|default|DescribeVodVerifyContent",
            "cloud-action|default|VerifyVodDomainOwner"
        ]
    );
}
