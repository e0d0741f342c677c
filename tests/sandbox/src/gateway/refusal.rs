//! Errors in the shape of Alibaba's: a status, a code and a message.

use std::time::Duration;

use crate::pem::PairError;

/// A request refused with a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// `Code`.
    pub code: String,
    /// `Message`.
    pub message: String,
    /// Headers of the answer besides the usual ones.
    pub headers: Vec<(String, String)>,
}

impl Refusal {
    /// A refusal with `status`, `code` and `message`.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            headers: Vec::new(),
        }
    }

    /// The refusal of a user who calls too often: `Throttling.User`, status 400.
    pub fn throttled() -> Self {
        Self::new(
            400,
            "Throttling.User",
            "Request was denied due to user flow control.",
        )
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds `x-acs-retry-after`, which counts milliseconds.
    #[must_use]
    pub fn with_acs_retry_after(self, wait: Duration) -> Self {
        let milliseconds = wait.as_millis().to_string();
        self.with_header("x-acs-retry-after", &milliseconds)
    }

    /// Adds `Retry-After`, which counts seconds (RFC 9110 10.2.3).
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs().to_string();
        self.with_header("retry-after", &seconds)
    }

    /// A mandatory parameter is absent or empty.
    pub(super) fn missing(parameter: &str) -> Self {
        let message = format!(
            "The input parameter \"{parameter}\" that is mandatory for processing this request is \
             not supplied."
        );
        Self::new(400, "MissingParameter", message)
    }

    /// A parameter has a value of the wrong kind.
    pub(super) fn invalid(parameter: &str) -> Self {
        let message = format!("The specified parameter \"{parameter}\" is not valid.");
        Self::new(400, "InvalidParameter", message)
    }

    /// The same certificate is stored already, under whatever name.
    pub(super) fn content_duplicated() -> Self {
        bad(
            "CertificateContent.Duplicated",
            "The certificate has been uploaded; do not upload again.",
        )
    }
}

impl From<PairError> for Refusal {
    fn from(error: PairError) -> Self {
        match error {
            PairError::ChainFormat => bad(
                "Certificate.FormatError",
                "The format of the certificate is invalid.",
            ),
            PairError::KeyFormat => bad("Key.Malformed", "The specified Key format is invalid."),
            PairError::Mismatch => bad(
                "Certificate.MissMatch",
                "The private key does not match the certificate.",
            ),
        }
    }
}

/// What most refusals are: status 400.
pub(super) fn bad(code: &str, message: &str) -> Refusal {
    Refusal::new(400, code, message)
}
