//! Certificates as Certificate Management Service stores them (API version 2020-04-07). Those that are
//! uploaded by VOD are stored there as well.

use super::action::Action;
use super::client::Client;
use super::error::ApiError;
use super::parameters::Parameters;
use super::vod::CertId;

impl Client {
    /// Deletes a stored certificate with its key (`DeleteUserCertificate`). The service does not look
    /// whether a domain still uses it: that is the caller's to know.
    pub async fn delete_stored_certificate(&self, id: CertId) -> Result<(), ApiError> {
        let parameters = Parameters::new().with("CertId", id.to_string());
        let action = Action::DeleteUserCertificate;
        self.call(action, parameters).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, Reply};
    use super::*;

    #[tokio::test]
    async fn a_certificate_is_deleted_by_its_id() {
        let bench = Bench::new(vec![
            Reply::ok(r#"{"RequestId":"request-1"}"#),
            Reply::refusal(404, "NotFound", "no such certificate"),
        ]);
        let delete = || bench.client.delete_stored_certificate(CertId(7));
        assert!(delete().await.is_ok());
        assert_eq!(delete().await.unwrap_err().label(), "NotFound");
        let sent = &bench.forms()[0];
        assert_eq!(sent["Action"], "DeleteUserCertificate");
        assert_eq!((&*sent["Version"], &*sent["CertId"]), ("2020-04-07", "7"));
    }
}
