//! A CA's directory (RFC 8555 §7.1.1): where things are.

use serde::Deserialize;

use super::ca::{Ca, is_requestable};
use super::error::{AcmeError, Operation};
use super::transport::Transport;

/// The CAs that can be named in the configuration by a word, with their directories.
pub const WELL_KNOWN: [(&str, &str); 9] = [
    ("actalis", "https://acme-api.actalis.com/acme/directory"),
    ("google", "https://dv.acme-v02.api.pki.goog/directory"),
    (
        "google-staging",
        "https://dv.acme-v02.test-api.pki.goog/directory",
    ),
    (
        "letsencrypt",
        "https://acme-v02.api.letsencrypt.org/directory",
    ),
    (
        "letsencrypt-staging",
        "https://acme-staging-v02.api.letsencrypt.org/directory",
    ),
    ("litessl", "https://acme.litessl.com/acme/v2/directory"),
    ("sslcom-ecc", "https://acme.ssl.com/sslcom-dv-ecc"),
    ("sslcom-rsa", "https://acme.ssl.com/sslcom-dv-rsa"),
    ("zerossl", "https://acme.zerossl.com/v2/DV90"),
];

/// The parts of a directory that we use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    new_nonce: String,
    new_account: String,
    new_order: String,
    /// Where renewal information is asked for; nothing if the CA offers none (RFC 9773 §3).
    pub renewal_info: Option<String>,
}

/// Asks for the directory.
pub async fn fetch(ca: &Ca) -> Result<Directory, AcmeError> {
    let transport = Transport::new(ca);
    let operation = Operation::ReadDirectory;
    let recorded = transport
        .get(ca.directory())
        .await
        .map_err(|error| AcmeError::network(operation, error))?;
    if !recorded.answer.status.is_success() {
        return Err(AcmeError::refused(operation, &recorded));
    }
    Directory::from_json(&recorded.answer.body)
        .ok_or_else(|| AcmeError::unintelligible(operation, "the directory is not usable"))
}

/// The directory of a CA that is named by a word.
pub fn well_known(name: &str) -> Option<&'static str> {
    WELL_KNOWN
        .iter()
        .find(|(word, _)| *word == name)
        .map(|&(_, url)| url)
}

impl Directory {
    /// Reads a directory; nothing if a URL in it is missing or could not be asked.
    pub(super) fn from_json(body: &[u8]) -> Option<Self> {
        let directory: Self = serde_json::from_slice(body).ok()?;
        let requestable = [
            &directory.new_nonce,
            &directory.new_account,
            &directory.new_order,
        ]
        .into_iter()
        .chain(&directory.renewal_info)
        .all(|url| is_requestable(url));
        requestable.then_some(directory)
    }
}
