//! Certificates in Certificate Management Service (API version 2020-04-07), from where VOD binds them by
//! their id. Those that are uploaded by VOD are stored there as well.
//!
//! What is stored is listed by VOD itself ([`Client::find_stored_certificate`]), with the region under
//! which VOD binds it: that needs no permission for another service.

use super::action::Action;
use super::client::Client;
use super::error::ApiError;
use super::parameters::Parameters;
use super::vod::{CertId, CertName, CertRegion, StoredCertificate};
use crate::secret::Secret;

/// A certificate to be stored (`UploadUserCertificate`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCertificate {
    /// The name to store it under, unique in the account.
    pub name: CertName,
    /// The chain in PEM, the leaf first, without a root.
    pub chain_pem: String,
    /// The private key in PEM.
    pub key_pem: Secret,
    /// Where: each region has an endpoint of its own.
    pub region: CertRegion,
}

impl Client {
    /// Stores a certificate (`UploadUserCertificate`).
    ///
    /// Not idempotent by itself: a name can be used once. After an answer that was lost
    /// ([`ApiError::may_have_happened`]) look it up by its name first.
    pub async fn upload_user_certificate(
        &self,
        certificate: UserCertificate,
    ) -> Result<StoredCertificate, ApiError> {
        let action = Action::UploadUserCertificate;
        let parameters = Parameters::new()
            .with("Name", certificate.name.as_str())
            .with("Cert", certificate.chain_pem)
            .with_secret("Key", certificate.key_pem);
        let answer = self.call_in(certificate.region, action, parameters).await?;
        let cert_id = CertId::from_json(&answer)
            .ok_or_else(|| self.unreadable(action, "without a CertId"))?;
        Ok(StoredCertificate {
            cert_id,
            cert_name: certificate.name,
            cert_region: certificate.region,
        })
    }

    /// Deletes a stored certificate with its key (`DeleteUserCertificate`). The service does not look
    /// whether a domain still uses it: that is the caller's to know.
    pub async fn delete_stored_certificate(
        &self,
        stored: &StoredCertificate,
    ) -> Result<(), ApiError> {
        let parameters = Parameters::new().with("CertId", stored.cert_id.to_string());
        let action = Action::DeleteUserCertificate;
        let answer = self.call_in(stored.cert_region, action, parameters);
        answer.await.map(drop)
    }
}

#[cfg(test)]
mod tests;
