use std::io::Write as _;
use std::process::{Command, Stdio};

use rcgen::{BasicConstraints, IsCa};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};

use super::*;

/// P-256 and P-384 keys are quick to make; RSA is made once, at the smallest size.
const QUICK: [KeyType; 2] = [KeyType::EcdsaP256, KeyType::EcdsaP384];

fn names(names: &[&str]) -> BTreeSet<DnsName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// What the `openssl` command line says about its input.
fn openssl(arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed by tests/setup.sh");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_traditional_ecdsa_key_names_its_curve_and_openssl_reads_it() {
    for key_type in QUICK {
        let key = PrivateKey::generate(key_type).unwrap();
        let pem = key.to_pem(KeyFormat::Traditional).unwrap();
        assert!(pem.expose().starts_with("-----BEGIN EC PRIVATE KEY-----\n"));
        assert!(pem.expose().ends_with("-----END EC PRIVATE KEY-----\n"));
        openssl(&["ec", "-check", "-noout"], pem.expose().as_bytes());
        let public = openssl(&["ec", "-pubout"], pem.expose().as_bytes());
        let expected = pem_block("PUBLIC KEY", &key.public_key_der().unwrap());
        assert_eq!(public, expected, "{key_type}");
    }
}

#[test]
fn a_traditional_rsa_key_is_pkcs_1_and_openssl_reads_it() {
    let key = PrivateKey::generate(KeyType::Rsa2048).unwrap();
    assert_eq!(key.key_type(), KeyType::Rsa2048);
    let pem = key.to_pem(KeyFormat::Traditional).unwrap();
    assert!(
        pem.expose()
            .starts_with("-----BEGIN RSA PRIVATE KEY-----\n")
    );
    let public = openssl(&["rsa", "-check", "-pubout"], pem.expose().as_bytes());
    let expected = pem_block("PUBLIC KEY", &key.public_key_der().unwrap());
    assert!(public.contains(&expected), "{public}");
    let read = PrivateKey::from_pkcs8(key.pkcs8()).unwrap();
    assert_eq!(read.key_type(), KeyType::Rsa2048);
}

#[test]
fn a_pkcs_8_key_is_read_back_and_openssl_reads_it() {
    for key_type in QUICK {
        let key = PrivateKey::generate(key_type).unwrap();
        let pem = key.to_pem(KeyFormat::Pkcs8).unwrap();
        openssl(&["pkey", "-check", "-noout"], pem.expose().as_bytes());
        let read = PrivateKey::from_pem(&pem).unwrap();
        assert_eq!(read.key_type(), key_type);
        assert_eq!(read.pkcs8(), key.pkcs8());
    }
}

#[test]
fn a_key_that_openssl_made_names_its_curve_once() {
    let made = openssl(
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ],
        b"",
    );
    let key = PrivateKey::from_pem(&Secret::new(made)).unwrap();
    let once = key.to_pem(KeyFormat::Traditional).unwrap();
    let again = with_named_curve(
        &x509_parser::pem::parse_x509_pem(once.expose().as_bytes())
            .unwrap()
            .1
            .contents,
        P256,
    );
    assert_eq!(pem_block("EC PRIVATE KEY", &again.unwrap()), once.expose());
    openssl(&["ec", "-check", "-noout"], once.expose().as_bytes());
}

#[test]
fn what_is_no_pkcs_8_key_is_refused_without_being_shown() {
    let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
    let traditional = key.to_pem(KeyFormat::Traditional).unwrap();
    let twice = format!("{0}{0}", key.to_pem(KeyFormat::Pkcs8).unwrap().expose());
    let cases = [
        ("nothing", Secret::new("")),
        ("no PEM", Secret::new("hunter2")),
        ("SEC 1", traditional),
        ("two keys", Secret::new(twice)),
        ("a certificate", Secret::new(pem_block("CERTIFICATE", b"x"))),
    ];
    for (case, pem) in cases {
        let error = PrivateKey::from_pem(&pem).unwrap_err();
        assert_eq!(error, KeyError::Malformed, "{case}");
    }
    let cut = &key.pkcs8()[..key.pkcs8().len() - 1];
    assert_eq!(
        PrivateKey::from_pkcs8(cut).unwrap_err(),
        KeyError::Malformed
    );
}

#[test]
fn a_kind_of_key_that_no_target_takes_is_refused() {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let error = PrivateKey::from_pkcs8(pair.serialized_der()).unwrap_err();
    assert_eq!(error, KeyError::Unsupported);
}

#[test]
fn a_key_is_never_printed() {
    let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
    assert_eq!(format!("{key:?}"), "PrivateKey(ecdsa-p256, …)");
}

#[test]
fn a_request_has_the_names_and_no_subject() {
    let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
    let wanted = names(&["example.com", "*.example.com", "v.example.net"]);
    let der = key.csr(&wanted).unwrap();
    let (rest, csr) = X509CertificationRequest::from_der(&der).unwrap();
    assert!(rest.is_empty());
    csr.verify_signature().unwrap();
    let info = &csr.certification_request_info;
    assert_eq!(info.subject.iter_rdn().count(), 0);
    assert_eq!(info.subject_pki.raw, key.public_key_der().unwrap());
    let mut found = BTreeSet::new();
    for extension in csr.requested_extensions().unwrap() {
        let ParsedExtension::SubjectAlternativeName(names) = extension else {
            continue;
        };
        for name in &names.general_names {
            let GeneralName::DNSName(name) = name else {
                panic!("{name:?} was not asked for");
            };
            found.insert(name.parse().unwrap());
        }
    }
    assert_eq!(found, wanted);
}

#[test]
fn a_key_matches_only_the_chain_that_certifies_it() {
    let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
    let other = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
    let mut params = CertificateParams::new(vec!["v.example.com".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&*pair(key.pkcs8()).unwrap()).unwrap();
    let chain = Chain::from_der(vec![certificate.der().to_vec()]).unwrap();
    assert!(key.matches(&chain));
    assert!(!other.matches(&chain));
}
