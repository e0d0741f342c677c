//! `UploadUserCertificate`.

use super::*;
use crate::world::{CertRegion, Env};

const STORE: &str = "UploadUserCertificate";
const DOMAIN: &str = "v.example.com";

fn parameters_of<'a>(name: &'a str, forged: &'a Forged) -> [(&'a str, &'a str); 3] {
    let (chain, key) = (&forged.chain_pem, &forged.key_pem);
    [("Name", name), ("Cert", chain), ("Key", key)]
}

#[tokio::test]
async fn a_certificate_is_stored_in_its_region_and_can_be_bound() {
    for region in [CertRegion::CnHangzhou, CertRegion::ApSoutheast1] {
        let (world, gateway) = started().await;
        gateway.set(Settings {
            storage_region: region,
            ..Settings::default()
        });
        let forged = forged(DOMAIN);
        let answer = call(&gateway, STORE, &parameters_of("first", &forged)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let id = answer.json()["CertId"].as_i64().unwrap();
        let stored = world.certificates().remove(0);
        assert_eq!((stored.id, stored.region), (id, region));
        assert!(world.installed(DOMAIN, Env::Production).is_none());

        let bind = [
            ("DomainName", DOMAIN),
            ("SSLProtocol", "on"),
            ("CertType", "cas"),
            ("CertName", "first"),
            ("CertId", &id.to_string()),
            ("CertRegion", region.as_str()),
        ];
        assert_eq!(call(&gateway, SET, &bind).await.verdict().0, 200);
        let bound = world.installed(DOMAIN, Env::Production).unwrap();
        assert_eq!(bound.certificate.id, id);
        let logged = gateway.calls().of(STORE).remove(0);
        assert_eq!(logged.parameter("Key"), None, "keys are not kept");
    }
}

#[tokio::test]
async fn a_certificate_is_stored_once_and_under_a_name_of_its_own() {
    let (world, gateway) = started().await;
    let (first, other) = (forged(DOMAIN), forged(DOMAIN));
    let with = |name, value| {
        let mut given = parameters_of("other", &other).to_vec();
        given.retain(|(known, _)| *known != name);
        given.push((name, value));
        given
    };
    let stored = call(&gateway, STORE, &parameters_of("first", &first)).await;
    assert_eq!(stored.status, 200);
    let long = "n".repeat(64);
    let cases = [
        (
            "its name is taken",
            parameters_of("first", &other).to_vec(),
            "NameRepeat",
        ),
        (
            "it is stored already",
            parameters_of("second", &first).to_vec(),
            "CertificateContent.Duplicated",
        ),
        (
            "the key is another's",
            with("Key", &first.key_pem),
            "Certificate.MissMatch",
        ),
        ("no key", with("Key", "key"), "Key.Malformed"),
        (
            "no certificate",
            with("Cert", "certificate"),
            "Certificate.FormatError",
        ),
        ("no name", with("Name", ""), "MissingParameter"),
        ("a long name", with("Name", &long), "InvalidParameter"),
    ];
    for (sentence, given, code) in cases {
        let verdict = call(&gateway, STORE, &given).await.verdict();
        assert_eq!(verdict, (400, code.to_owned()), "{sentence}");
    }
    assert_eq!(world.certificates().len(), 1);
    let same = call(&gateway, STORE, &parameters_of("other", &other)).await;
    assert_eq!(same.status, 200, "what was refused is in order otherwise");
}
