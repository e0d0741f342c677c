//! Certificates, parsed once: what a chain of PEM or DER says about itself.
//!
//! Expiry decisions come from here and from nowhere else: never from the configuration, a file's
//! time or an API's answer. Nothing here judges trust; a chain is compared with what was stored,
//! never with a trust store.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use x509_parser::error::X509Error;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::parse_x509_certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::X509Certificate;
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use crate::name::DnsName;
use crate::time::Timestamp;

/// The SHA-256 of a certificate's DER; written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

/// The kinds of keys that we generate and that the CAs and the targets take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KeyType {
    /// RSA, 2048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA, 3072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA, 4096 bits.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
    /// ECDSA on P-256.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA on P-384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
}

/// What a leaf certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// The DNS names of the subject alternative name. The common name is not looked at (RFC 6125
    /// §6.4.4); entries that are no host names are left out.
    pub names: BTreeSet<DnsName>,
    /// The first moment of its validity.
    pub not_before: Timestamp,
    /// The last moment of its validity.
    pub not_after: Timestamp,
    /// The serial number: lower hex of the DER value, a leading `00` included.
    pub serial: String,
    /// The key identifier of the authority, lower hex (RFC 5280 §4.2.1.1).
    pub authority_key_id: Option<String>,
    /// The issuer's common name, or its whole name where it has none.
    pub issuer: String,
    /// Which key it certifies; nothing for kinds that we do not generate.
    pub key: Option<KeyType>,
    /// The SHA-256 of its DER.
    pub fingerprint: Fingerprint,
}

/// A chain of certificates, the leaf first.
#[derive(Clone, PartialEq, Eq)]
pub struct Chain {
    leaf: Leaf,
    certificates: Vec<Vec<u8>>,
}

/// Why something is no usable certificate or chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No certificate in it.
    #[error("no certificate found")]
    Empty,
    /// A certificate that does not parse; its place in the chain, from 0.
    #[error("certificate {0} of the chain is malformed")]
    Malformed(usize),
    /// Something else than certificates between the PEM lines.
    #[error("the PEM holds a {0:?} where a certificate was expected")]
    UnexpectedBlock(String),
    /// A certificate that was not signed by the next one; its place, from 0.
    #[error("certificate {0} of the chain was not signed by the next one")]
    BrokenLink(usize),
    /// Not 64 hex digits.
    #[error("not a SHA-256 in hex")]
    Fingerprint,
    /// Not the name of a key type.
    #[error("not a key type: rsa-2048, rsa-3072, rsa-4096, ecdsa-p256 or ecdsa-p384")]
    KeyType,
}

// === impl Fingerprint ===

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// The first `digits` hex digits, for names and logs.
    pub fn short(&self, digits: usize) -> String {
        let mut text = self.to_string();
        text.truncate(digits);
        text
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = CertificateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = unhex(text).ok_or(CertificateError::Fingerprint)?;
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| CertificateError::Fingerprint)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = CertificateError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

// === impl KeyType ===

impl KeyType {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::EcdsaP256,
        Self::EcdsaP384,
    ];

    /// The word used in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
        }
    }

    /// Which kind a public key is; nothing for kinds that we do not generate.
    pub(crate) fn of(key: &PublicKey<'_>) -> Option<Self> {
        match key {
            PublicKey::RSA(rsa) => match rsa.key_size() {
                2048 => Some(Self::Rsa2048),
                3072 => Some(Self::Rsa3072),
                4096 => Some(Self::Rsa4096),
                _ => None,
            },
            PublicKey::EC(point) => match point.key_size() {
                256 => Some(Self::EcdsaP256),
                384 => Some(Self::EcdsaP384),
                _ => None,
            },
            PublicKey::DSA(_)
            | PublicKey::GostR3410(_)
            | PublicKey::GostR3410_2012(_)
            | PublicKey::Unknown(_) => None,
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyType {
    type Err = CertificateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|key| key.as_str() == text)
            .ok_or(CertificateError::KeyType)
    }
}

// === impl Leaf ===

impl Leaf {
    /// Parses a certificate in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let certificate = parse(der, 0)?;
        let key = certificate
            .public_key()
            .parsed()
            .ok()
            .as_ref()
            .and_then(KeyType::of);
        Ok(Self {
            names: names(&certificate),
            not_before: Timestamp::from_seconds(certificate.validity().not_before.timestamp()),
            not_after: Timestamp::from_seconds(certificate.validity().not_after.timestamp()),
            serial: hex(certificate.raw_serial()),
            authority_key_id: authority_key_id(&certificate),
            issuer: issuer(&certificate),
            key,
            fingerprint: Fingerprint::of(der),
        })
    }

    /// From the first to the last moment of validity.
    pub fn lifetime(&self) -> Duration {
        self.not_after.since(self.not_before)
    }

    /// How much of its life is left at `now`; zero once it is over.
    pub fn remaining(&self, now: Timestamp) -> Duration {
        self.not_after.since(now)
    }

    /// The time at which `fraction` of its life is over.
    pub fn at_fraction(&self, fraction: f64) -> Timestamp {
        self.not_before + self.lifetime().mul_f64(fraction.clamp(0.0, 1.0))
    }

    /// Whether it is valid for the host `host`.
    pub fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| name.covers(host))
    }

    /// The identifier under which a CA answers for it (RFC 9773 §4.1): the authority's key id and
    /// the serial number, base64url without padding, joined with a dot.
    pub fn renewal_info_id(&self) -> Option<String> {
        let authority = unhex(self.authority_key_id.as_deref()?)?;
        let serial = unhex(&self.serial)?;
        Some(format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(authority),
            URL_SAFE_NO_PAD.encode(serial)
        ))
    }
}

// === impl Chain ===

impl Chain {
    /// Parses certificates in PEM, the leaf first. Text outside the blocks is ignored; a block that
    /// is no certificate is an error (it may be a private key).
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        let mut certificates = Vec::new();
        for (place, block) in Pem::iter_from_buffer(pem.as_bytes()).enumerate() {
            let block = block.map_err(|_| CertificateError::Malformed(place))?;
            if block.label != "CERTIFICATE" {
                return Err(CertificateError::UnexpectedBlock(block.label));
            }
            certificates.push(block.contents);
        }
        Self::from_der(certificates)
    }

    /// A chain of certificates in DER, the leaf first.
    pub fn from_der(certificates: Vec<Vec<u8>>) -> Result<Self, CertificateError> {
        let leaf = Leaf::from_der(certificates.first().ok_or(CertificateError::Empty)?)?;
        for (place, der) in certificates.iter().enumerate().skip(1) {
            parse(der, place)?;
        }
        Ok(Self { leaf, certificates })
    }

    /// What the leaf says.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The certificates in DER, the leaf first.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// The fingerprints of all certificates, the leaf first.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.certificates
            .iter()
            .map(|der| Fingerprint::of(der))
            .collect()
    }

    /// The chain in the one PEM form that every target takes: 64 columns, LF, no blank lines, a
    /// final newline, no self-signed root at the end (Alibaba Cloud's "Certificate formats").
    pub fn to_pem(&self) -> String {
        let count = self.certificates.len();
        self.certificates
            .iter()
            .enumerate()
            .filter(|(place, der)| *place == 0 || place + 1 < count || !is_self_issued(der))
            .map(|(_, der)| pem_block("CERTIFICATE", der))
            .collect()
    }

    /// The leaf's public key: its `SubjectPublicKeyInfo` in DER.
    pub fn public_key_der(&self) -> Option<Vec<u8>> {
        let certificate = parse(self.certificates.first()?, 0).ok()?;
        Some(certificate.public_key().raw.to_vec())
    }

    /// Checks that each certificate was signed by the next one. A signature of a kind that we cannot
    /// check (P-521, ECDSA with SHA-512) is taken for good if the issuer's name and key id agree.
    pub fn check_links(&self) -> Result<(), CertificateError> {
        for (place, pair) in self.certificates.windows(2).enumerate() {
            let [lower, upper] = pair else { continue };
            let (lower, upper) = (parse(lower, place)?, parse(upper, place + 1)?);
            match lower.verify_signature(Some(upper.public_key())) {
                Ok(()) => {}
                Err(X509Error::SignatureUnsupportedAlgorithm)
                    if names_as_issuer(&lower, &upper) => {}
                Err(_) => return Err(CertificateError::BrokenLink(place)),
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fingerprints()).finish()
    }
}

/// Writes one PEM block: 64 columns, LF, a final newline (RFC 7468 §2).
pub fn pem_block(label: &str, der: &[u8]) -> String {
    // The DER may be a private key: the text in between is wiped, and the result has its whole
    // capacity from the start so that growing leaves no copies behind.
    let text = Zeroizing::new(STANDARD.encode(der));
    let frame = "-----BEGIN -----\n-----END -----\n".len() + 2 * label.len();
    let mut pem = String::with_capacity(frame + text.len() + text.len().div_ceil(64));
    pem.push_str("-----BEGIN ");
    pem.push_str(label);
    pem.push_str("-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem.push_str("-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| {
            text.get(at..at + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect()
}

fn parse(der: &[u8], place: usize) -> Result<X509Certificate<'_>, CertificateError> {
    match parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) | Err(_) => Err(CertificateError::Malformed(place)),
    }
}

fn names(certificate: &X509Certificate<'_>) -> BTreeSet<DnsName> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return BTreeSet::new();
    };
    let dns = |name: &GeneralName<'_>| {
        if let GeneralName::DNSName(text) = name {
            text.parse().ok()
        } else {
            None
        }
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(dns)
        .collect()
}

fn authority_key_id(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityKeyIdentifier(id) = extension.parsed_extension() else {
            return None;
        };
        id.key_identifier.as_ref().map(|key| hex(key.0))
    })
}

/// Whether `lower` names `upper` as its issuer: by its subject and, where both tell it, by its key id.
fn names_as_issuer(lower: &X509Certificate<'_>, upper: &X509Certificate<'_>) -> bool {
    let key_id = upper.extensions().iter().find_map(|extension| {
        let ParsedExtension::SubjectKeyIdentifier(key) = extension.parsed_extension() else {
            return None;
        };
        Some(hex(key.0))
    });
    let ids = authority_key_id(lower).zip(key_id);
    lower.issuer().as_raw() == upper.subject().as_raw()
        && ids.is_none_or(|(named, own)| named == own)
}

fn issuer(certificate: &X509Certificate<'_>) -> String {
    let common_name = certificate.issuer().iter_common_name().next();
    common_name
        .and_then(|name| name.as_str().ok())
        .map_or_else(|| certificate.issuer().to_string(), str::to_owned)
}

fn is_self_issued(der: &[u8]) -> bool {
    parse(der, 0).is_ok_and(|c| c.subject().as_raw() == c.issuer().as_raw())
}

#[cfg(test)]
pub(crate) mod tests;
