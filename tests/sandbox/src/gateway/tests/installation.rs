//! `SetVodDomainSSLCertificate`.

use std::time::Duration;

use super::*;
use crate::world::{CertRegion, CertSource, DomainStatus, Env, Https};

const DOMAIN: &str = "v.example.com";

async fn set(gateway: &Gateway, given: &[(&str, &str)]) -> (u16, String) {
    call(gateway, SET, given).await.verdict()
}

fn ok() -> (u16, String) {
    (200, String::new())
}

fn refused(code: &str) -> (u16, String) {
    (400, code.to_owned())
}

/// `given` with some parameters changed, and those removed that are changed to nothing.
fn changed<'a>(given: &[(&'a str, &'a str)], changes: Changes<'a>) -> Vec<(&'a str, &'a str)> {
    let kept = given
        .iter()
        .copied()
        .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    let new = changes
        .iter()
        .filter_map(|&(name, value)| Some((name, value?)));
    kept.chain(new).collect()
}

#[tokio::test]
async fn an_upload_is_stored_and_installed() {
    let (world, gateway) = started().await;
    let forged = forged(DOMAIN);
    let answer = call(&gateway, SET, &upload(DOMAIN, "first", &forged)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!(
        body.as_object().unwrap().len(),
        1,
        "only a RequestId: {body}"
    );

    let installed = world.installed(DOMAIN, Env::Production).unwrap();
    assert_eq!(installed.cert_name, "first");
    assert_eq!(installed.source, CertSource::Upload);
    assert_eq!(installed.certificate.pair.chain_pem(), forged.chain_pem);
    assert_eq!(world.certificates().len(), 1);
    gateway.calls().assert_no_key_in_url();
}

/// What is changed in a valid request; nothing stands for a parameter that is left out.
type Changes<'a> = &'a [(&'a str, Option<&'a str>)];

/// Changes the installation of `valid` in every way of `cases` and demands the refusal; nothing
/// may have happened then, and unchanged it must pass.
async fn assert_refused(valid: &Forged, cases: &[(&str, Changes<'_>, u16, &str)]) {
    let (world, gateway) = started().await;
    let given = upload(DOMAIN, "n", valid);
    for (case, changes, status, code) in cases {
        let verdict = set(&gateway, &changed(&given, changes)).await;
        assert_eq!(verdict, (*status, (*code).to_owned()), "{case}");
    }
    assert!(world.history(DOMAIN).is_empty());
    assert!(world.certificates().is_empty());
    assert_eq!(gateway.calls().performed(SET), 0);
    assert_eq!(set(&gateway, &given).await, ok());
}

#[tokio::test]
async fn parameters_that_are_absent_or_unknown_are_refused() {
    let long = "n".repeat(129);
    let (domain, switch, kind) = ("DomainName", "SSLProtocol", "CertType");
    let (name, region) = ("CertName", "CertRegion");
    let no_name = "CertName.MissingParameter";
    let bad_switch = "InvalidSSLProtocol.ValueNotSupported";
    let bad_region = "Abs.CertRegion.ValueNotSupported";
    let bad_kind = "SetDomainCertificate.ParameterError";
    let cases: &[(_, Changes<'_>, _, _)] = &[
        ("no domain", &[(domain, None)], 400, "MissingParameter"),
        (
            "foreign domain",
            &[(domain, Some("x"))],
            404,
            "InvalidDomain.NotFound",
        ),
        ("no switch", &[(switch, None)], 400, "MissingParameter"),
        (
            "a switch in capitals",
            &[(switch, Some("ON"))],
            400,
            bad_switch,
        ),
        ("unknown type", &[(kind, Some("free"))], 400, bad_kind),
        ("no name", &[(name, None)], 404, no_name),
        ("empty name", &[(name, Some(""))], 404, no_name),
        (
            "129 characters",
            &[(name, Some(&long))],
            400,
            "InvalidCertName.TooLong",
        ),
        (
            "unknown region",
            &[(region, Some("cn-shanghai"))],
            400,
            bad_region,
        ),
    ];
    assert_refused(&forged(DOMAIN), cases).await;
}

#[tokio::test]
async fn uploads_that_break_a_rule_are_refused() {
    let (valid, other) = (forged(DOMAIN), forged(DOMAIN));
    let expired = forge::issue(&[DOMAIN], KeyKind::P256, forge::expired());
    let bare = forge::pkcs8_payload_pem("EC PRIVATE KEY", &valid.pkcs8_pem);
    let crlf = valid.chain_pem.replace('\n', "\r\n");
    let (chain, key) = ("SSLPub", "SSLPri");
    let old: Changes<'_> = &[
        (chain, Some(&expired.chain_pem)),
        (key, Some(&expired.key_pem)),
    ];
    let cases: &[(_, Changes<'_>, _, _)] = &[
        ("no chain", &[(chain, None)], 400, "SSLPub.MissingParameter"),
        ("no key", &[(key, None)], 400, "SSLPri.MissingParameter"),
        ("empty key", &[(key, Some(""))], 400, "Certificate.KeyNull"),
        (
            "CR LF",
            &[(chain, Some(&crlf))],
            400,
            "Certificate.FormatError",
        ),
        (
            "PKCS#8",
            &[(key, Some(&valid.pkcs8_pem))],
            400,
            "Key.Malformed",
        ),
        (
            "EC key without curve",
            &[(key, Some(&bare))],
            400,
            "Key.Malformed",
        ),
        (
            "another's key",
            &[(key, Some(&other.key_pem))],
            400,
            "Certificate.MissMatch",
        ),
        ("expired", old, 400, "Certificate.Expired"),
    ];
    assert_refused(&valid, cases).await;
}

#[tokio::test]
async fn stored_certificates_that_are_not_named_rightly_are_refused() {
    let kind = ("CertType", Some("cas"));
    let no_key = ("SSLPri", None);
    let as_upload = "SSLPri.MissingParameter";
    let bad_id = "SetDomainCertificate.ParameterError";
    let cases: &[(_, Changes<'_>, _, _)] = &[
        (
            "an id in words",
            &[kind, ("CertId", Some("one"))],
            400,
            bad_id,
        ),
        (
            "unknown id",
            &[kind, ("CertId", Some("1"))],
            400,
            "Certificate.NotFind",
        ),
        (
            "no id: an upload",
            &[kind, no_key, ("SSLPub", None)],
            400,
            as_upload,
        ),
        (
            "empty id: an upload",
            &[kind, no_key, ("CertId", Some(""))],
            400,
            as_upload,
        ),
    ];
    assert_refused(&forged(DOMAIN), cases).await;
}

#[tokio::test]
async fn a_domain_must_be_online() {
    let (world, gateway) = started().await;
    let forged = forged(DOMAIN);
    let cases = [
        (DomainStatus::Offline, refused("InvalidDomain.Offline")),
        (
            DomainStatus::Configuring,
            refused("InvalidDomain.notOnline"),
        ),
        (
            DomainStatus::ConfigureFailed,
            refused("InvalidDomain.notOnline"),
        ),
        (DomainStatus::Checking, refused("InvalidDomain.notOnline")),
        (
            DomainStatus::CheckFailed,
            refused("InvalidDomain.notOnline"),
        ),
        (DomainStatus::Online, ok()),
    ];
    for (status, expected) in cases {
        world.set_status(DOMAIN, status);
        let verdict = set(&gateway, &upload(DOMAIN, "n", &forged)).await;
        assert_eq!(verdict, expected, "{status:?}");
    }
}

#[tokio::test]
async fn names_and_content_are_unique() {
    let (_world, gateway) = started().await;
    let (one, two) = (forged(DOMAIN), forged(DOMAIN));
    let domain = DOMAIN;
    let cases = [
        ("first upload", upload(domain, "a", &one), ok()),
        ("the same again", upload(domain, "a", &one), ok()),
        (
            "the same for another domain",
            upload("w.example.com", "a", &one),
            refused("Certificate.Duplicated"),
        ),
        (
            "other content, same name",
            upload(domain, "a", &two),
            refused("CertNameAlreadyExists"),
        ),
        (
            "same content, other name",
            upload(domain, "b", &one),
            refused("CertificateContent.Duplicated"),
        ),
        ("other content, other name", upload(domain, "b", &two), ok()),
        (
            "the first again, over the second",
            upload(domain, "a", &one),
            ok(),
        ),
    ];
    for (case, given, expected) in cases {
        assert_eq!(set(&gateway, &given).await, expected, "{case}");
    }
}

#[tokio::test]
async fn repeating_an_upload_can_be_forbidden() {
    let (world, gateway) = started().await;
    gateway.set(Settings {
        reupload: Reupload::RefuseAsDuplicate,
        ..Settings::default()
    });
    let forged = forged(DOMAIN);
    let given = upload(DOMAIN, "a", &forged);
    assert_eq!(set(&gateway, &given).await, ok());
    assert_eq!(
        set(&gateway, &given).await,
        refused("Certificate.Duplicated")
    );
    assert_eq!(world.history(DOMAIN).len(), 1);
}

#[tokio::test]
async fn pkcs8_can_be_allowed() {
    let (_world, gateway) = started().await;
    gateway.set(Settings {
        key_forms: KeyForms::TraditionalOrPkcs8,
        ..Settings::default()
    });
    let forged = forge::issue(&[DOMAIN], KeyKind::Rsa, forge::valid_now());
    let pkcs8 = [("SSLPri", Some(&*forged.pkcs8_pem))];
    let given = changed(&upload(DOMAIN, "a", &forged), &pkcs8);
    assert_eq!(set(&gateway, &given).await, ok());
}

#[tokio::test]
async fn a_stored_certificate_is_installed_by_id_and_region() {
    let (world, gateway) = started().await;
    let forged = forged(DOMAIN);
    let id = world.store_certificate("kept", CertRegion::ApSoutheast1, forged.pair());
    let id = id.to_string();
    let given = [
        ("DomainName", DOMAIN),
        ("SSLProtocol", "on"),
        ("CertType", "cas"),
        ("CertName", "kept"),
        ("CertId", &id),
    ];
    assert_eq!(
        set(&gateway, &given).await,
        refused("Certificate.NotFind"),
        "default region"
    );
    let given = changed(&given, &[("CertRegion", Some("ap-southeast-1"))]);
    assert_eq!(set(&gateway, &given).await, ok());
    let installed = world.installed(DOMAIN, Env::Production).unwrap();
    assert_eq!(installed.source, CertSource::Cas);
    assert_eq!(installed.certificate.id.to_string(), id);
}

#[tokio::test]
async fn staging_reaches_staging_only_and_any_other_env_is_production() {
    let (world, gateway) = started().await;
    let forged = forged(DOMAIN);
    let given = upload(DOMAIN, "a", &forged);
    assert_eq!(
        set(&gateway, &changed(&given, &[("Env", Some("staging"))])).await,
        ok()
    );
    assert!(world.installed(DOMAIN, Env::Staging).is_some());
    assert!(world.installed(DOMAIN, Env::Production).is_none());
    assert_eq!(
        set(&gateway, &changed(&given, &[("Env", Some("Staging"))])).await,
        ok()
    );
    assert!(world.installed(DOMAIN, Env::Production).is_some());
}

#[tokio::test]
async fn staging_can_spill_into_production_later() {
    let (world, gateway) = started().await;
    let hour = Duration::from_hours(1);
    let installed = || world.installed(DOMAIN, Env::Production);
    for (name, delay, spilled) in [("later", hour, false), ("now", Duration::ZERO, true)] {
        gateway.set(Settings {
            staging_spills_after: Some(delay),
            ..Settings::default()
        });
        let forged = forged(DOMAIN);
        let given = upload(DOMAIN, name, &forged);
        let given = changed(&given, &[("Env", Some("staging"))]);
        assert_eq!(set(&gateway, &given).await, ok());
        assert!(world.installed(DOMAIN, Env::Staging).is_some());
        assert_eq!(installed().is_some(), spilled);
    }
}

#[tokio::test]
async fn off_switches_https_off_and_needs_no_certificate() {
    let (world, gateway) = started().await;
    let forged = forged(DOMAIN);
    assert_eq!(set(&gateway, &upload(DOMAIN, "a", &forged)).await, ok());
    let off = [("DomainName", DOMAIN), ("SSLProtocol", "off")];
    assert_eq!(set(&gateway, &off).await, ok());
    assert!(world.installed(DOMAIN, Env::Production).is_none());
    assert!(matches!(world.history(DOMAIN)[1].https, Https::Off));
}
