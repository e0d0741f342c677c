use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair};

use super::*;

struct Authority {
    params: CertificateParams,
    key: KeyPair,
    der: Vec<u8>,
}

fn authority(name: &str) -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let der = params.self_signed(&key).unwrap().der().to_vec();
    Authority { params, key, der }
}

fn leaf_of(authority: &Authority, names: &[&str]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2026, 4, 1);
    params.use_authority_key_identifier_extension = true;
    let issuer = Issuer::from_params(&authority.params, &authority.key);
    let key = KeyPair::generate().unwrap();
    params.signed_by(&key, &issuer).unwrap().der().to_vec()
}

#[test]
fn a_leaf_tells_its_names_validity_and_key() {
    let ca = authority("Test CA");
    let leaf = Leaf::from_der(&leaf_of(&ca, &["b.example.com", "*.a.example.com"])).unwrap();
    let names: Vec<&str> = leaf.names.iter().map(DnsName::as_str).collect();
    assert_eq!(names, ["*.a.example.com", "b.example.com"]);
    assert_eq!(leaf.not_before.to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(leaf.not_after.to_string(), "2026-04-01T00:00:00Z");
    assert_eq!(leaf.lifetime(), Duration::from_hours(90 * 24));
    assert_eq!(leaf.at_fraction(0.5).to_string(), "2026-02-15T00:00:00Z");
    assert_eq!(leaf.issuer, "Test CA");
    assert_eq!(leaf.key, Some(KeyType::EcdsaP256));
    assert!(leaf.covers("x.a.example.com") && !leaf.covers("a.example.com"));
}

/// The certificate of RFC 9773, appendix A.
pub(crate) fn appendix_a() -> Leaf {
    let der = "MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFtcGxlIENBMCIYDzAwMDEwMTAxMDAw\
               MDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDASBgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD\
               QgAEeBZu7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFfqzLQ2PPQxdTXREYEnKMj\
               MCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4ByNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuE\
               RV6cT4mfutXIlwTb+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK";
    Leaf::from_der(&STANDARD.decode(der).unwrap()).unwrap()
}

/// The serial number keeps the zero byte that makes it positive.
#[test]
fn the_renewal_info_id_is_the_published_one() {
    let leaf = appendix_a();
    assert_eq!(leaf.serial, "0087654321");
    assert_eq!(
        leaf.renewal_info_id().as_deref(),
        Some("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE")
    );
}

#[test]
fn a_chain_survives_the_way_through_pem_and_loses_its_root() {
    let ca = authority("Root");
    let leaf = leaf_of(&ca, &["a.example.com"]);
    let chain = Chain::from_der(vec![leaf.clone(), ca.der.clone()]).unwrap();
    chain.check_links().unwrap();
    let pem = chain.to_pem();
    assert!(!pem.contains("\n\n") && !pem.contains('\r') && pem.ends_with("-----\n"));
    assert!(pem.lines().all(|line| line.len() <= 64));
    let again = Chain::from_pem(&pem).unwrap();
    assert_eq!(again.certificates(), [leaf]);
    assert_eq!(again.leaf(), chain.leaf());
}

#[test]
fn a_self_signed_leaf_alone_stays() {
    let ca = authority("Alone");
    let chain = Chain::from_der(vec![ca.der.clone()]).unwrap();
    assert_eq!(
        Chain::from_pem(&chain.to_pem()).unwrap().certificates(),
        [ca.der]
    );
}

#[test]
fn a_chain_whose_certificates_do_not_belong_together_is_found() {
    let (right, wrong) = (authority("CA"), authority("CA"));
    let leaf = leaf_of(&right, &["a.example.com"]);
    let chain = Chain::from_der(vec![leaf, wrong.der]).unwrap();
    assert_eq!(chain.check_links(), Err(CertificateError::BrokenLink(0)));
}

/// A private CA may sign with a key that our library cannot check with: the edge's clients can.
#[test]
fn a_signature_that_cannot_be_checked_is_judged_by_names_and_key_ids() {
    let p521 = |name, id: &[u8]| {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
        let mut params = authority(name).params;
        params.key_identifier_method = KeyIdMethod::PreSpecified(id.to_vec());
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Authority { params, key, der }
    };
    let right = p521("Private CA", b"id");
    let leaf = leaf_of(&right, &["a.example.com"]);
    for (issuer, expected) in [
        (right, Ok(())),
        (
            p521("Another CA", b"id"),
            Err(CertificateError::BrokenLink(0)),
        ),
        (
            p521("Private CA", b"no"),
            Err(CertificateError::BrokenLink(0)),
        ),
    ] {
        let chain = Chain::from_der(vec![leaf.clone(), issuer.der]).unwrap();
        assert_eq!(chain.check_links(), expected);
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let ca = authority("CA");
    let pem = pem_block("CERTIFICATE", &ca.der);
    let key = ca.key.serialize_pem();
    assert_eq!(Chain::from_pem(""), Err(CertificateError::Empty));
    assert_eq!(
        Chain::from_pem(&format!("{pem}{key}")),
        Err(CertificateError::UnexpectedBlock("PRIVATE KEY".to_owned()))
    );
    let garbage = pem_block("CERTIFICATE", b"garbage");
    assert_eq!(
        Chain::from_pem(&format!("{pem}{garbage}")),
        Err(CertificateError::Malformed(1))
    );
    let mut trailing = ca.der.clone();
    trailing.push(0);
    assert_eq!(
        Leaf::from_der(&trailing),
        Err(CertificateError::Malformed(0))
    );
}

#[test]
fn fingerprints_are_64_lower_case_hex_digits() {
    let fingerprint = Fingerprint::of(b"");
    let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(fingerprint.to_string(), text);
    assert_eq!(text.parse(), Ok(fingerprint));
    assert_eq!(fingerprint.short(8), "e3b0c442");
    for bad in ["", "e3", "zz", &text[1..], "é3b0"] {
        assert_eq!(
            bad.parse::<Fingerprint>(),
            Err(CertificateError::Fingerprint),
            "{bad:?}"
        );
    }
}

#[test]
fn key_types_are_read_as_they_are_written() {
    for key in KeyType::ALL {
        assert_eq!(key.as_str().parse(), Ok(key));
        assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{key}\""));
    }
    assert_eq!(
        "rsa-1024".parse::<KeyType>(),
        Err(CertificateError::KeyType)
    );
}
