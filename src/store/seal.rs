//! Private keys at rest: AES-256-GCM under the admin's seal key, each bound to its row.
//!
//! Without a seal key they are stored plain, told apart by the first byte. Nothing here touches the
//! database; `reseal.rs` walks it when the key changes.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::error::StoreError;
use crate::certificate::hex;
use crate::secret::Secret;

/// The key that seals private keys, and older ones that only unseal.
#[derive(Clone)]
pub struct SealKey {
    current: OneKey,
    previous: Vec<OneKey>,
}

#[derive(Clone)]
struct OneKey {
    id: String,
    bytes: Zeroizing<[u8; 32]>,
}

/// A private key in DER (PKCS#8) or what else must not be seen. Wiped from memory when dropped;
/// `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyMaterial(Zeroizing<Vec<u8>>);

/// Why the private keys in the store cannot be read with what was configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealKeyError {
    /// Not 32 bytes in base64 on each line.
    #[error("a seal key is 32 bytes in base64, as from \"openssl rand -base64 32\"")]
    Malformed,
    /// The store is sealed and no key was given.
    #[error(
        "the private keys in the store are sealed with key {stored}: give its key_file, or move the store away to start over"
    )]
    Missing {
        /// The id of the key that sealed them.
        stored: String,
    },
    /// The store is sealed with a key that was not given.
    #[error(
        "the private keys in the store are sealed with key {stored}, not with {given}: put the old key on a second line of the key file to reseal, or move the store away to start over"
    )]
    Other {
        /// The id of the key that sealed them.
        stored: String,
        /// The id of the key that was given.
        given: String,
    },
    /// The cryptographic library failed.
    #[error("could not seal a private key")]
    Failed,
}

/// The row that a sealed key belongs to. It is authenticated with the key, so that no row can take
/// the key of another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) table: &'static str,
    /// The certificate's label, or the URL of a directory.
    pub(super) name: &'a str,
    /// What tells the rows of one name apart: the generation, the order.
    pub(super) part: &'a str,
}

/// The first byte of a stored key: how the rest is to be read.
const PLAIN: u8 = 0;
const AES_256_GCM_SEALED: u8 = 1;

// === impl SealKey ===

impl SealKey {
    /// Reads a seal key: 32 bytes in base64. Further lines are older keys, with which nothing is
    /// sealed any more: whatever they sealed is sealed anew when the store is opened.
    pub fn parse(text: &Secret) -> Result<Self, SealKeyError> {
        let mut keys = text
            .expose()
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(OneKey::parse);
        let current = keys.next().ok_or(SealKeyError::Malformed)??;
        let previous = keys.collect::<Result<_, _>>()?;
        Ok(Self { current, previous })
    }

    /// A short digest of the key that seals, to tell keys apart.
    pub fn id(&self) -> &str {
        &self.current.id
    }

    /// The older key with this id, as a key of its own.
    pub(super) fn previous(&self, id: &str) -> Option<Self> {
        let key = self.previous.iter().find(|key| key.id == id)?;
        Some(Self {
            current: key.clone(),
            previous: Vec::new(),
        })
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.current.id)
    }
}

impl OneKey {
    fn parse(line: &str) -> Result<Self, SealKeyError> {
        let decoded = STANDARD.decode(line).map(Zeroizing::new);
        let decoded = decoded.map_err(|_| SealKeyError::Malformed)?;
        let mut bytes = Zeroizing::new([0; 32]);
        if decoded.len() != bytes.len() {
            return Err(SealKeyError::Malformed);
        }
        bytes.copy_from_slice(&decoded);
        let digest = Sha256::new()
            .chain_update("vodcertd seal key id")
            .chain_update(bytes.as_slice())
            .finalize();
        let mut id = hex(&digest);
        id.truncate(16);
        Ok(Self { id, bytes })
    }

    fn cipher(&self) -> Option<RandomizedNonceKey> {
        RandomizedNonceKey::new(&AES_256_GCM, self.bytes.as_slice()).ok()
    }
}

// === impl KeyMaterial ===

impl KeyMaterial {
    /// Takes a key over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Shows the key to code that must use it.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMaterial(…)")
    }
}

// === impl Place ===

impl Place<'_> {
    /// Its parts, each with its length before it: no two places have the same bytes.
    fn aad(&self) -> Aad<Vec<u8>> {
        let mut bytes = Vec::new();
        for part in [self.table, self.name, self.part] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Aad::from(bytes)
    }
}

/// What is stored for a key: sealed with `seal`, or plain if there is none.
pub(super) fn seal(
    seal: Option<&SealKey>,
    place: Place<'_>,
    key: &[u8],
) -> Result<Vec<u8>, SealKeyError> {
    let Some(seal) = seal else {
        return Ok([&[PLAIN], key].concat());
    };
    let cipher = seal.current.cipher().ok_or(SealKeyError::Failed)?;
    let mut text = key.to_vec();
    let nonce = cipher
        .seal_in_place_append_tag(place.aad(), &mut text)
        .map_err(|_| SealKeyError::Failed)?;
    Ok([&[AES_256_GCM_SEALED], nonce.as_ref().as_slice(), &text].concat())
}

/// The key that was stored at `place`. With a seal key a plain one is refused: only somebody who can
/// write the file, but does not know the key, would put it there.
pub(super) fn unseal(
    seal: Option<&SealKey>,
    place: Place<'_>,
    stored: &[u8],
) -> Result<KeyMaterial, StoreError> {
    let key = match (seal, stored.split_first()) {
        (None, Some((&PLAIN, key))) => Some(KeyMaterial::new(key.to_vec())),
        (Some(seal), Some((&AES_256_GCM_SEALED, sealed))) => open(&seal.current, place, sealed),
        (None | Some(_), Some(_) | None) => None,
    };
    key.ok_or(StoreError::Unsealable { table: place.table })
}

fn open(key: &OneKey, place: Place<'_>, sealed: &[u8]) -> Option<KeyMaterial> {
    let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut buffer = Zeroizing::new(text.to_vec());
    let cipher = key.cipher()?;
    let plain = cipher.open_in_place(nonce, place.aad(), &mut buffer).ok()?;
    Some(KeyMaterial::new(plain.to_vec()))
}
