//! Private keys: made, read, written in the forms that others want, and used to sign requests for
//! certificates.
//!
//! A [`PrivateKey`] is held in memory that is wiped, and cannot be printed; what the cryptographic
//! library makes of it in between is freed by that library in its own way. Nothing here stores a key:
//! it must be stored by the caller **before** it is used anywhere.

use std::collections::BTreeSet;
use std::fmt;

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _, RsaKeySize};
use x509_parser::asn1_rs::{Any, FromDer as _, Tag};
use x509_parser::pem::Pem;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use crate::certificate::{Chain, KeyType, pem_block};
use crate::name::DnsName;
use crate::secret::Secret;

/// A private key of one of the kinds that we generate.
pub struct PrivateKey {
    pkcs8: Zeroizing<Vec<u8>>,
    key_type: KeyType,
}

/// How a private key is written as PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFormat {
    /// `PRIVATE KEY` (RFC 5958), whatever the kind.
    Pkcs8,
    /// `RSA PRIVATE KEY` (PKCS#1, RFC 8017 §A.1.2) or `EC PRIVATE KEY` (SEC 1, RFC 5915).
    Traditional,
}

/// Why something is no usable private key, or cannot be used as one. Never says what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The cryptographic library could not make a key.
    #[error("could not generate a key")]
    Generate,
    /// Not a private key in PKCS#8.
    #[error("not a private key in PKCS#8")]
    Malformed,
    /// The key could not sign a request for these names.
    #[error("could not make a certificate signing request")]
    Request,
    /// A key of a kind or size that we do not work with.
    #[error("a kind of key that is not supported: expected RSA 2048, 3072, 4096, P-256 or P-384")]
    Unsupported,
}

// === impl PrivateKey ===

impl PrivateKey {
    /// Makes a new key.
    ///
    /// Blocks: RSA takes up to some seconds of one CPU, so call it off the async threads
    /// (`tokio::task::spawn_blocking`).
    pub fn generate(key_type: KeyType) -> Result<Self, KeyError> {
        let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
        let pair = match key_type {
            KeyType::Rsa2048 => rsa(RsaKeySize::_2048),
            KeyType::Rsa3072 => rsa(RsaKeySize::_3072),
            KeyType::Rsa4096 => rsa(RsaKeySize::_4096),
            KeyType::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            KeyType::EcdsaP384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        }
        .map_err(|_| KeyError::Generate)?;
        let pair = Zeroizing::new(pair);
        let pkcs8 = Zeroizing::new(pair.serialize_der());
        Ok(Self { pkcs8, key_type })
    }

    /// Reads a key in PKCS#8 DER.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        Self::of(Zeroizing::new(der.to_vec()))
    }

    /// Reads a key in PKCS#8 PEM (`PRIVATE KEY`).
    pub fn from_pem(pem: &Secret) -> Result<Self, KeyError> {
        let mut blocks = Pem::iter_from_buffer(pem.expose().as_bytes());
        match (blocks.next(), blocks.next()) {
            (Some(Ok(block)), None) => {
                let der = Zeroizing::new(block.contents);
                if block.label == "PRIVATE KEY" {
                    Self::of(der)
                } else {
                    Err(KeyError::Malformed)
                }
            }
            (Some(_) | None, _) => Err(KeyError::Malformed),
        }
    }

    fn of(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        // Checked first: the library would take PKCS#1 and SEC 1 as well.
        private_key_of(&pkcs8).ok_or(KeyError::Malformed)?;
        let spki = pair(&pkcs8)?.subject_public_key_info();
        let (_, public) =
            SubjectPublicKeyInfo::from_der(&spki).map_err(|_| KeyError::Unsupported)?;
        let parsed = public.parsed().map_err(|_| KeyError::Unsupported)?;
        let key_type = KeyType::of(&parsed).ok_or(KeyError::Unsupported)?;
        Ok(Self { pkcs8, key_type })
    }

    /// Which kind of key it is.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The key in PKCS#8 DER, for storing it (sealed) and for libraries.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The key as PEM: 64 columns, LF, a final newline.
    pub fn to_pem(&self, format: KeyFormat) -> Result<Secret, KeyError> {
        let pem = match format {
            KeyFormat::Pkcs8 => pem_block("PRIVATE KEY", &self.pkcs8),
            KeyFormat::Traditional => self.to_traditional_pem().ok_or(KeyError::Malformed)?,
        };
        Ok(Secret::new(pem))
    }

    fn to_traditional_pem(&self) -> Option<String> {
        let inner = private_key_of(&self.pkcs8)?;
        let curve = match self.key_type {
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => {
                return Some(pem_block("RSA PRIVATE KEY", inner));
            }
            KeyType::EcdsaP256 => P256,
            KeyType::EcdsaP384 => P384,
        };
        let der = with_named_curve(inner, curve)?;
        Some(pem_block("EC PRIVATE KEY", &der))
    }

    /// A certificate signing request (PKCS#10 DER) for these names, signed by this key.
    ///
    /// The names stand in the subject alternative name; the subject is empty, so that no CA finds a
    /// common name in it that was not asked for.
    pub fn csr(&self, names: &BTreeSet<DnsName>) -> Result<Vec<u8>, KeyError> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).map_err(|_| KeyError::Request)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params
            .serialize_request(&*pair(&self.pkcs8)?)
            .map_err(|_| KeyError::Request)?;
        Ok(request.der().to_vec())
    }

    /// The public half: its `SubjectPublicKeyInfo` in DER.
    pub fn public_key_der(&self) -> Result<Vec<u8>, KeyError> {
        Ok(pair(&self.pkcs8)?.subject_public_key_info())
    }

    /// Whether the chain's leaf certifies this key.
    pub fn matches(&self, chain: &Chain) -> bool {
        match (self.public_key_der(), chain.public_key_der()) {
            (Ok(ours), Some(certified)) => ours == certified,
            (Ok(_) | Err(_), _) => false,
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, …)", self.key_type)
    }
}

/// The key for the library, in a copy that is wiped as well.
fn pair(pkcs8: &[u8]) -> Result<Zeroizing<KeyPair>, KeyError> {
    let pair = KeyPair::try_from(pkcs8).map_err(|_| KeyError::Unsupported)?;
    Ok(Zeroizing::new(pair))
}

/// The `privateKey` octets of a PKCS#8 (RFC 5958 §2): PKCS#1 for RSA, `ECPrivateKey` for ECDSA.
fn private_key_of(pkcs8: &[u8]) -> Option<&[u8]> {
    let body = whole(pkcs8, Tag::Sequence)?;
    let (body, version) = Any::from_der(body).ok()?;
    let (body, algorithm) = Any::from_der(body).ok()?;
    let (_, key) = Any::from_der(body).ok()?;
    let tags = (version.tag(), algorithm.tag(), key.tag());
    (tags == (Tag::Integer, Tag::Sequence, Tag::OctetString)).then_some(key.data)
}

/// `1.2.840.10045.3.1.7`, P-256, as `[0] EXPLICIT OBJECT IDENTIFIER`.
const P256: &[u8] = &[
    0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
];
/// `1.3.132.0.34`, P-384, as `[0] EXPLICIT OBJECT IDENTIFIER`.
const P384: &[u8] = &[0xa0, 0x07, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];

/// An `ECPrivateKey` (RFC 5915 §3) that names its curve. Inside a PKCS#8 the curve stands in the
/// algorithm and is usually left out of the key; alone, no reader could do without it.
fn with_named_curve(key: &[u8], curve: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let body = whole(key, Tag::Sequence)?;
    let (rest, version) = Any::from_der(body).ok()?;
    let (rest, private) = Any::from_der(rest).ok()?;
    if (version.tag(), private.tag()) != (Tag::Integer, Tag::OctetString) {
        return None;
    }
    if rest.first() == curve.first() {
        return Some(Zeroizing::new(key.to_vec()));
    }
    let (head, rest) = body.split_at(body.len() - rest.len());
    let length = head.len() + curve.len() + rest.len();
    let mut der = Zeroizing::new(Vec::with_capacity(length + 4));
    der.push(0x30);
    // P-384, the largest, stays far below the 255 bytes that this form of length can say.
    let short = u8::try_from(length).ok()?;
    if short >= 0x80 {
        der.push(0x81);
    }
    der.push(short);
    der.extend_from_slice(head);
    der.extend_from_slice(curve);
    der.extend_from_slice(rest);
    Some(der)
}

/// The content of the one DER value that `der` consists of.
fn whole(der: &[u8], tag: Tag) -> Option<&[u8]> {
    match Any::from_der(der) {
        Ok(([], any)) if any.tag() == tag => Some(any.data),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests;
