//! `DeleteUserCertificate` of Certificate Management Service.
//!
//! The documentation names no code for one that is in use; a domain goes on with what it was given.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::request::Request;
use crate::world::State;

/// Deletes a stored certificate.
pub(super) fn delete_certificate(state: &mut State, request: &Request) -> Result<Value, Refusal> {
    let id = request.required("CertId")?;
    let id = id.parse().map_err(|_| Refusal::invalid("CertId"))?;
    match state.certificates.remove(&id) {
        Some(_) => Ok(json!({})),
        None => Err(Refusal::new(
            404,
            "NotFound",
            "The certificate does not exist.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::{self, KeyKind};
    use crate::world::{CertRegion, World};

    #[test]
    fn a_stored_certificate_is_deleted_once() {
        let world = World::new();
        let pair = forge::issue(&["x.example"], KeyKind::P256, forge::valid_now()).pair();
        let id = world.store_certificate("a", CertRegion::CnHangzhou, pair);
        let uri: &'static str = format!("/?CertId={id}").leak();
        let request = Request::get(uri);
        assert!(delete_certificate(&mut world.lock(), &request).is_ok());
        assert!(world.certificates().is_empty());
        let refusal = delete_certificate(&mut world.lock(), &request).unwrap_err();
        assert_eq!(refusal.code, "NotFound");
    }
}
