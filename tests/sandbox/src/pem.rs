//! Certificates and keys as the cloud reads them from PEM text.
//!
//! The rules are those of Alibaba's page "Certificate formats": PEM only, 64-character lines, no
//! blank lines, leaf first, each certificate issued by the one after it, the key as PKCS#1 (RSA)
//! or SEC1 (EC). Names, trust and validity are judged elsewhere.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use rustls::sign::CertifiedKey;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use x509_parser::asn1_rs::{Class, Tag};
use x509_parser::der_parser::der::parse_der;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

const LINE_LENGTH: usize = 64;

/// The key encodings that a reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForms {
    /// `RSA PRIVATE KEY` and `EC PRIVATE KEY`, as the documentation asks.
    Traditional,
    /// The same and `PRIVATE KEY` (PKCS#8).
    TraditionalOrPkcs8,
}

/// What is wrong with a PEM certificate or key, in the terms the cloud distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairError {
    /// The certificate chain is not as documented.
    ChainFormat,
    /// The key is not as documented.
    KeyFormat,
    /// The key belongs to another certificate.
    Mismatch,
}

impl fmt::Display for PairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ChainFormat => "malformed certificate chain",
            Self::KeyFormat => "malformed private key",
            Self::Mismatch => "private key of another certificate",
        })
    }
}

impl std::error::Error for PairError {}

/// A certificate chain with the key of its leaf.
#[derive(Clone)]
pub struct Pair {
    chain_pem: String,
    certified: Arc<CertifiedKey>,
    leaf: Leaf,
}

/// What the cloud shows of a leaf certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// SHA-256 over the DER, lower-case hex.
    pub sha256: String,
    /// SHA-1 over the DER, lower-case hex.
    pub sha1: String,
    /// The subject's common name, or the first name where the subject is empty.
    pub common_name: String,
    /// The DNS names of the subject alternative name extension.
    pub names: Vec<String>,
    /// The issuer's organisation, or its common name where it has none.
    pub issuer: String,
    /// Start of validity, in seconds since 1970.
    pub not_before: i64,
    /// End of validity, in seconds since 1970.
    pub not_after: i64,
}

impl Pair {
    /// Reads a chain and its key from PEM text under the documented rules.
    pub fn read(chain_pem: &str, key_pem: &str, forms: KeyForms) -> Result<Self, PairError> {
        let chain = read_chain(chain_pem)?;
        let key = read_key(key_pem, forms)?;
        let leaf = Leaf::read(&chain[0])?;
        let signing_key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
            .map_err(|_| PairError::KeyFormat)?;
        let certified = CertifiedKey::new(chain, signing_key);
        certified.keys_match().map_err(|_| PairError::Mismatch)?;
        Ok(Self {
            chain_pem: chain_pem.to_owned(),
            certified: Arc::new(certified),
            leaf,
        })
    }

    /// The chain as it was read, leaf first.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The facts of the leaf certificate.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The chain and the key in the form a TLS server takes.
    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

impl fmt::Debug for Pair {
    /// Shows the leaf only: the key stays out of every log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pair").field(&self.leaf).finish()
    }
}

impl Leaf {
    fn read(der: &CertificateDer<'_>) -> Result<Self, PairError> {
        let certificate = parse_certificate(der)?;
        let names = dns_names(&certificate)?;
        Ok(Self {
            sha256: hex(&Sha256::digest(der)),
            sha1: hex(&Sha1::digest(der)),
            common_name: common_name(certificate.subject())
                .or_else(|| names.first().cloned())
                .unwrap_or_default(),
            names,
            issuer: organisation(certificate.issuer())
                .or_else(|| common_name(certificate.issuer()))
                .unwrap_or_default(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }
}

/// Writes bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    let digits = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    bytes.iter().flat_map(digits).collect()
}

fn dns_names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, PairError> {
    let extension = certificate
        .subject_alternative_name()
        .map_err(|_| PairError::ChainFormat)?;
    let names = extension.map_or(&[][..], |extension| &extension.value.general_names);
    Ok(names
        .iter()
        .filter_map(|name| {
            if let GeneralName::DNSName(name) = name {
                return Some((*name).to_owned());
            }
            None
        })
        .collect())
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    let attribute = name.iter_common_name().next()?;
    attribute.as_str().ok().map(str::to_owned)
}

fn organisation(name: &X509Name<'_>) -> Option<String> {
    let attribute = name.iter_organization().next()?;
    attribute.as_str().ok().map(str::to_owned)
}

fn parse_certificate<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PairError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) | Err(_) => Err(PairError::ChainFormat),
    }
}

fn read_chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let blocks = read_blocks(pem).ok_or(PairError::ChainFormat)?;
    if blocks.is_empty() || blocks.iter().any(|block| block.label != "CERTIFICATE") {
        return Err(PairError::ChainFormat);
    }
    let chain: Vec<_> = blocks
        .into_iter()
        .map(|block| CertificateDer::from(block.der))
        .collect();
    require_issuer_order(&chain)?;
    Ok(chain)
}

fn require_issuer_order(chain: &[CertificateDer<'_>]) -> Result<(), PairError> {
    let certificates = chain
        .iter()
        .map(parse_certificate)
        .collect::<Result<Vec<_>, _>>()?;
    let ordered = certificates
        .windows(2)
        .all(|pair| pair[0].issuer().as_raw() == pair[1].subject().as_raw());
    if ordered {
        Ok(())
    } else {
        Err(PairError::ChainFormat)
    }
}

fn read_key(pem: &str, forms: KeyForms) -> Result<PrivateKeyDer<'static>, PairError> {
    let mut blocks = read_blocks(pem).ok_or(PairError::KeyFormat)?;
    // OpenSSL writes the curve once more in a block of its own before the key.
    if blocks.len() == 2 && blocks[0].label == "EC PARAMETERS" {
        blocks.remove(0);
    }
    let [block] = <[Block; 1]>::try_from(blocks).map_err(|_| PairError::KeyFormat)?;
    match block.label.as_str() {
        "RSA PRIVATE KEY" => Ok(PrivatePkcs1KeyDer::from(block.der).into()),
        "EC PRIVATE KEY" if names_its_curve(&block.der) => {
            Ok(PrivateSec1KeyDer::from(block.der).into())
        }
        "PRIVATE KEY" if forms == KeyForms::TraditionalOrPkcs8 => {
            Ok(PrivatePkcs8KeyDer::from(block.der).into())
        }
        _ => Err(PairError::KeyFormat),
    }
}

/// Whether an `ECPrivateKey` carries its curve (RFC 5915: `[0] parameters`), without which no
/// reader can tell P-256 from another curve of the same size.
fn names_its_curve(der: &[u8]) -> bool {
    let Ok(([], key)) = parse_der(der) else {
        return false;
    };
    key.as_sequence().is_ok_and(|fields| {
        fields.iter().any(|field| {
            field.header.class() == Class::ContextSpecific && field.header.tag() == Tag(0)
        })
    })
}

struct Block {
    label: String,
    der: Vec<u8>,
}

/// Reads PEM blocks that follow each other without anything between them.
fn read_blocks(pem: &str) -> Option<Vec<Block>> {
    let mut lines = pem.strip_suffix('\n').unwrap_or(pem).split('\n');
    let mut blocks = Vec::new();
    while let Some(first) = lines.next() {
        let label = first
            .strip_prefix("-----BEGIN ")?
            .strip_suffix("-----")?
            .to_owned();
        let end = format!("-----END {label}-----");
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
        if body.is_empty() || !is_wrapped(&body) {
            return None;
        }
        let der = STANDARD.decode(body.concat()).ok()?;
        blocks.push(Block { label, der });
    }
    Some(blocks)
}

/// Whether every line is full but the last, which is not empty.
fn is_wrapped(body: &[&str]) -> bool {
    body.split_last().is_some_and(|(last, full)| {
        full.iter().all(|line| line.len() == LINE_LENGTH) && (1..=LINE_LENGTH).contains(&last.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::{self, Forged, KeyKind};

    fn read(forged: &Forged) -> Result<Pair, PairError> {
        Pair::read(&forged.chain_pem, &forged.key_pem, KeyForms::Traditional)
    }

    #[test]
    fn traditional_keys_are_read() {
        for kind in [KeyKind::Rsa, KeyKind::P256] {
            let forged = forge::issue(&["a.example.com"], kind, forge::valid_now());
            let pair = read(&forged).unwrap();
            assert_eq!(pair.leaf().names, ["a.example.com"], "{kind:?}");
            assert_eq!(pair.leaf().issuer, "Sandbox CA", "{kind:?}");
        }
    }

    #[test]
    fn a_pkcs8_key_is_read_only_where_it_is_allowed() {
        let forged = forge::issue(&["a.example.com"], KeyKind::Rsa, forge::valid_now());
        let pkcs8 = &forged.pkcs8_pem;
        let refused = Pair::read(&forged.chain_pem, pkcs8, KeyForms::Traditional);
        assert_eq!(refused.unwrap_err(), PairError::KeyFormat);
        assert!(Pair::read(&forged.chain_pem, pkcs8, KeyForms::TraditionalOrPkcs8).is_ok());
    }

    #[test]
    fn an_ec_key_without_its_curve_is_refused() {
        let forged = forge::issue(&["a.example.com"], KeyKind::P256, forge::valid_now());
        let bare = forge::pkcs8_payload_pem("EC PRIVATE KEY", &forged.pkcs8_pem);
        let refused = Pair::read(&forged.chain_pem, &bare, KeyForms::Traditional);
        assert_eq!(refused.unwrap_err(), PairError::KeyFormat);
    }

    #[test]
    fn chains_that_break_a_documented_rule_are_refused() {
        let forged = forge::issue(&["a.example.com"], KeyKind::Rsa, forge::valid_now());
        let chain = &forged.chain_pem;
        let end = "-----END CERTIFICATE-----\n";
        let (leaf, issuer) = chain.split_at(chain.find(end).unwrap() + end.len());
        let cases = [
            ("empty text", String::new()),
            ("no PEM", "certificate".to_owned()),
            ("lines ended by CR LF", chain.replace('\n', "\r\n")),
            (
                "a blank line between certificates",
                format!("{leaf}\n{issuer}"),
            ),
            ("issuer before leaf", format!("{issuer}{leaf}")),
            (
                "a key among the certificates",
                format!("{leaf}{}", forged.key_pem),
            ),
            ("a block cut short", chain[..chain.len() - 40].to_owned()),
            ("one endless line", unwrap_lines(leaf)),
        ];
        for (case, pem) in cases {
            let outcome = Pair::read(&pem, &forged.key_pem, KeyForms::Traditional);
            assert_eq!(outcome.unwrap_err(), PairError::ChainFormat, "{case}");
        }
        assert!(Pair::read(leaf, &forged.key_pem, KeyForms::Traditional).is_ok());
    }

    #[test]
    fn the_key_of_another_certificate_is_a_mismatch() {
        let one = forge::issue(&["a.example.com"], KeyKind::P256, forge::valid_now());
        let other = forge::issue(&["a.example.com"], KeyKind::P256, forge::valid_now());
        let outcome = Pair::read(&one.chain_pem, &other.key_pem, KeyForms::Traditional);
        assert_eq!(outcome.unwrap_err(), PairError::Mismatch);
    }

    #[test]
    fn debug_shows_no_key() {
        let forged = forge::issue(&["a.example.com"], KeyKind::P256, forge::valid_now());
        let shown = format!("{:?}", read(&forged).unwrap());
        assert!(shown.contains("a.example.com"), "{shown}");
        assert!(!shown.to_lowercase().contains("key"), "{shown}");
    }

    fn unwrap_lines(pem: &str) -> String {
        let lines: Vec<&str> = pem.lines().collect();
        let body = lines[1..lines.len() - 1].concat();
        format!("{}\n{body}\n{}\n", lines[0], lines[lines.len() - 1])
    }
}
