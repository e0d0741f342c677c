//! Certificates made up on the spot, for tests and for certificates "installed by hand".
//!
//! They come from a throw-away authority of their own, so that their chains have two links as real
//! ones do. Nothing here is an ACME server.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, date_time_ymd,
};
use x509_parser::der_parser::der::parse_der;

use crate::pem::{KeyForms, Pair};

/// `[0] { OBJECT IDENTIFIER prime256v1 }`, the named curve of RFC 5915.
const P256_PARAMETERS: [u8; 12] = [
    0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
];

/// The kind of a forged certificate's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with 2048 bits.
    Rsa,
    /// ECDSA on P-256.
    P256,
}

/// The time during which a certificate is valid, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First moment of validity.
    pub from: Timestamp,
    /// Last moment of validity.
    pub until: Timestamp,
}

/// A certificate with its key, as text.
#[expect(clippy::struct_field_names, reason = "each field says which PEM it is")]
pub struct Forged {
    /// The leaf and its issuer.
    pub chain_pem: String,
    /// The key as PKCS#1 or SEC1, the forms that the cloud documents.
    pub key_pem: String,
    /// The same key as PKCS#8.
    pub pkcs8_pem: String,
}

impl Forged {
    /// The certificate with its key as the world keeps them.
    pub fn pair(&self) -> Pair {
        Pair::read(&self.chain_pem, &self.key_pem, KeyForms::Traditional)
            .expect("forged certificates are well formed")
    }
}

/// From an hour ago until 90 days from now.
pub fn valid_now() -> Validity {
    let now = Timestamp::now();
    Validity {
        from: now - Duration::from_hours(1),
        until: now + Duration::from_hours(90 * 24),
    }
}

/// From 91 days ago until yesterday.
pub fn expired() -> Validity {
    let now = Timestamp::now();
    Validity {
        from: now - Duration::from_hours(91 * 24),
        until: now - Duration::from_hours(24),
    }
}

/// Issues a certificate for `names` from a new authority called "Sandbox CA".
pub fn issue(names: &[&str], kind: KeyKind, validity: Validity) -> Forged {
    let authority = authority();
    let key = match kind {
        KeyKind::Rsa => KeyPair::generate_for(&PKCS_RSA_SHA256),
        KeyKind::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
    }
    .expect("both algorithms are compiled in");
    let leaf = leaf_parameters(names, validity)
        .signed_by(&key, &authority.issuer)
        .expect("the parameters are complete");
    let pkcs8_pem = key.serialize_pem();
    Forged {
        chain_pem: format!("{}{}", leaf.pem(), authority.certificate_pem),
        key_pem: traditional_key(kind, &pkcs8_pem),
        pkcs8_pem,
    }
}

/// Wraps the key inside a PKCS#8 structure into PEM of its own, byte for byte.
///
/// For an EC key as `aws-lc` writes it, the result names no curve and readers refuse it.
pub fn pkcs8_payload_pem(label: &str, pkcs8_pem: &str) -> String {
    to_pem(label, &pkcs8_payload(pkcs8_pem))
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

fn authority() -> Authority {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "Sandbox CA");
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("the default algorithm is compiled in");
    let certificate = parameters
        .self_signed(&key)
        .expect("the parameters are complete");
    Authority {
        issuer: Issuer::new(parameters, key),
        certificate_pem: certificate.pem(),
    }
}

fn leaf_parameters(names: &[&str], validity: Validity) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut parameters = CertificateParams::new(names).expect("test names are ASCII");
    parameters.distinguished_name = DistinguishedName::new();
    let epoch = date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + since_epoch(validity.from);
    parameters.not_after = epoch + since_epoch(validity.until);
    parameters
}

fn since_epoch(moment: Timestamp) -> Duration {
    Duration::from_secs(moment.as_second().unsigned_abs())
}

fn traditional_key(kind: KeyKind, pkcs8_pem: &str) -> String {
    let mut key = pkcs8_payload(pkcs8_pem);
    match kind {
        KeyKind::Rsa => to_pem("RSA PRIVATE KEY", &key),
        KeyKind::P256 => {
            insert_curve(&mut key);
            to_pem("EC PRIVATE KEY", &key)
        }
    }
}

/// Puts the curve behind the private number: header (2 bytes), version (3), 32-byte number (34).
fn insert_curve(ec_private_key: &mut Vec<u8>) {
    ec_private_key.splice(39..39, P256_PARAMETERS);
    ec_private_key[1] += 12;
}

fn pkcs8_payload(pkcs8_pem: &str) -> Vec<u8> {
    let body: String = pkcs8_pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let der = STANDARD.decode(body).expect("the key was written as PEM");
    let (_, pkcs8) = parse_der(&der).expect("the key was written as DER");
    pkcs8[2]
        .as_slice()
        .expect("the third field of PKCS#8 is an octet string")
        .to_vec()
}

fn to_pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut lines = vec![format!("-----BEGIN {label}-----")];
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        lines.push(line.to_owned());
        rest = tail;
    }
    lines.push(format!("-----END {label}-----\n"));
    lines.join("\n")
}
