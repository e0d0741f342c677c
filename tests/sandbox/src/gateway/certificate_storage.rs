//! `UploadUserCertificate` of Certificate Management Service: a certificate that is stored and installed
//! nowhere.
//!
//! The documentation lists no codes. That of a name that is taken is known from its users; the others
//! are those that VOD has for the same.

use serde_json::{Value, json};

use super::Settings;
use super::refusal::{Refusal, bad};
use super::request::Request;
use crate::pem::Pair;
use crate::world::State;

const MAX_NAME_LENGTH: usize = 63;

/// Stores a certificate in the region whose endpoint this gateway plays.
pub(super) fn upload_certificate(
    state: &mut State,
    settings: Settings,
    request: &Request,
) -> Result<Value, Refusal> {
    let name = request.required("Name")?;
    if name.chars().count() > MAX_NAME_LENGTH {
        return Err(Refusal::invalid("Name"));
    }
    let (chain, key) = (request.required("Cert")?, request.required("Key")?);
    let pair = Pair::read(chain, key, settings.key_forms)?;
    let mut stored = state.certificates.values();
    if stored.clone().any(|stored| stored.name == name) {
        return Err(bad("NameRepeat", "The certificate name already exists."));
    }
    if stored.any(|stored| stored.pair.leaf().sha256 == pair.leaf().sha256) {
        return Err(Refusal::content_duplicated());
    }
    let stored = state.store(name, settings.storage_region, None, pair);
    Ok(json!({ "CertId": stored.id, "ResourceId": format!("cas-upload-{}", stored.id) }))
}
