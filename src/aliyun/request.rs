//! One request as it is sent: what every call has besides its own parameters, and the signature.
//!
//! Pure: the nonce and the time are the caller's, and nothing here sends anything. Every parameter of a
//! call goes into the body; the URL holds none, so no proxy's log can ever hold a private key.

use std::collections::BTreeMap;

use url::{Position, Url};
use zeroize::Zeroizing;

use super::action::Action;
use super::credentials::Credentials;
use super::parameters::Parameters;
use super::sign::{Signature, canonical, v1, v3};
use crate::time::Timestamp;

const METHOD: &str = "POST";
const FORM: &str = "application/x-www-form-urlencoded";

/// What is new at every attempt at a call: the other side takes a nonce once, and a time for 15
/// minutes.
pub(super) struct Attempt<'a> {
    pub(super) action: Action,
    pub(super) endpoint: &'a Url,
    pub(super) nonce: String,
    pub(super) time: Timestamp,
}

/// A request, signed. There is no `Debug`: it holds secrets.
pub(super) struct Request {
    /// All headers but those that the HTTP client adds (`host`, `content-length`).
    pub(super) headers: Headers,
    /// The body.
    pub(super) form: Zeroizing<String>,
    /// The parameters in the body, but for the signature.
    pub(super) parameters: Parameters,
}

/// Headers under lower-case names.
pub(super) type Headers = BTreeMap<&'static str, Zeroizing<String>>;

impl Attempt<'_> {
    /// Signs a call.
    pub(super) fn sign(
        self,
        signature: Signature,
        parameters: &Parameters,
        credentials: &Credentials,
    ) -> Request {
        match signature {
            Signature::HmacSha1 => self.sign_v1(parameters.clone(), credentials),
            Signature::Acs3HmacSha256 => self.sign_v3(parameters.clone(), credentials),
        }
    }

    /// A call that needs no signature.
    pub(super) fn unsigned(self, parameters: &Parameters) -> Request {
        let parameters = parameters
            .clone()
            .with("Action", self.action.as_str())
            .with("Format", "JSON")
            .with("SignatureNonce", self.nonce)
            .with("Timestamp", self.time.to_iso_seconds())
            .with("Version", self.action.service().version());
        Request {
            headers: headers([("content-type", FORM)]),
            form: canonical(parameters.iter()),
            parameters,
        }
    }

    /// With version 1.0 everything is a parameter.
    fn sign_v1(self, parameters: Parameters, credentials: &Credentials) -> Request {
        let parameters = parameters
            .with("AccessKeyId", &credentials.access_key_id)
            .with("Action", self.action.as_str())
            .with("Format", "JSON")
            .with("SignatureMethod", v1::METHOD)
            .with("SignatureNonce", self.nonce)
            .with("SignatureVersion", v1::VERSION)
            .with("Timestamp", self.time.to_iso_seconds())
            .with("Version", self.action.service().version());
        let parameters = match &credentials.security_token {
            Some(token) => parameters.with_secret("SecurityToken", token.clone()),
            None => parameters,
        };
        Request {
            headers: headers([("content-type", FORM)]),
            form: v1::signed_form(METHOD, parameters.iter(), &credentials.access_key_secret),
            parameters,
        }
    }

    /// With version 3 all but the call's own parameters is a header, and all of those but `accept` are
    /// signed.
    fn sign_v3(self, parameters: Parameters, credentials: &Credentials) -> Request {
        let form = canonical(parameters.iter());
        let hash = v3::content_sha256(&form);
        let mut headers = headers([
            ("content-type", FORM),
            ("host", host(self.endpoint)),
            ("x-acs-action", self.action.as_str()),
            ("x-acs-content-sha256", &hash),
            ("x-acs-date", &self.time.to_iso_seconds()),
            ("x-acs-signature-nonce", &self.nonce),
            ("x-acs-version", self.action.service().version()),
        ]);
        if let Some(token) = &credentials.security_token {
            let id = Zeroizing::new(credentials.access_key_id.clone());
            headers.insert("x-acs-accesskey-id", id);
            let token = Zeroizing::new(token.expose().to_owned());
            headers.insert("x-acs-security-token", token);
        }
        let signed = v3::Signed {
            method: METHOD,
            query: "",
            headers: &headers,
            content_sha256: &hash,
        };
        let authorization =
            signed.authorization(&credentials.access_key_id, &credentials.access_key_secret);
        headers.insert("authorization", Zeroizing::new(authorization));
        headers.insert("accept", Zeroizing::new("application/json".to_owned()));
        headers.remove("host");
        Request {
            headers,
            form,
            parameters,
        }
    }
}

fn headers<const N: usize>(headers: [(&'static str, &str); N]) -> Headers {
    headers
        .map(|(name, value)| (name, Zeroizing::new(value.to_owned())))
        .into()
}

/// The `Host` header that the HTTP client makes of a URL: with the port where it is not the scheme's
/// own (RFC 9110 §7.2).
fn host(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const NONCE: &str = "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf";

    fn request(signature: Signature, token: Option<&str>) -> Request {
        let credentials = Credentials {
            access_key_id: "testid".into(),
            access_key_secret: Secret::new("testsecret"),
            security_token: token.map(Secret::new),
        };
        let parameters = Parameters::new()
            .with("DomainName", "v.example.com")
            .with_secret("SSLPri", Secret::new("a secret\n"));
        let attempt = Attempt {
            action: Action::SetVodDomainSslCertificate,
            endpoint: &Url::parse("https://vod.cn-shanghai.aliyuncs.com").unwrap(),
            nonce: NONCE.into(),
            time: "2026-11-24T12:00:00Z".parse().unwrap(),
        };
        attempt.sign(signature, &parameters, &credentials)
    }

    fn header(request: &Request, name: &str) -> Option<String> {
        request.headers.get(name).map(|value| value.to_string())
    }

    fn names(request: &Request) -> Vec<&'static str> {
        request.headers.keys().copied().collect()
    }

    #[test]
    fn version_1_has_everything_in_the_body() {
        let request = request(Signature::HmacSha1, Some("CAIS/+token==~*"));
        assert_eq!(names(&request), ["content-type"]);
        assert!(
            request
                .form
                .contains("SecurityToken=CAIS%2F%2Btoken%3D%3D~%2A")
        );
        let mut names = request.parameters.names();
        names.retain(|name| !name.starts_with("Signature"));
        let expected = [
            "AccessKeyId",
            "Action",
            "DomainName",
            "Format",
            "SSLPri",
            "SecurityToken",
            "Timestamp",
            "Version",
        ];
        assert_eq!(names, expected);
        let secrets: Vec<&Secret> = request.parameters.secrets().collect();
        let expected = [&Secret::new("a secret\n"), &Secret::new("CAIS/+token==~*")];
        assert_eq!(secrets, expected);
    }

    #[test]
    fn version_3_has_only_the_parameters_of_the_call_in_the_body() {
        let request = request(Signature::Acs3HmacSha256, None);
        assert_eq!(
            *request.form,
            "DomainName=v.example.com&SSLPri=a%20secret%0A"
        );
        assert_eq!(request.parameters.names(), ["DomainName", "SSLPri"]);
        let expected = [
            ("accept", "application/json"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-acs-action", "SetVodDomainSSLCertificate"),
            ("x-acs-content-sha256", &v3::content_sha256(&request.form)),
            ("x-acs-date", "2026-11-24T12:00:00Z"),
            ("x-acs-signature-nonce", NONCE),
            ("x-acs-version", "2017-03-21"),
        ];
        for (name, value) in expected {
            assert_eq!(header(&request, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(request.headers.len(), expected.len() + 1);
        let authorization = header(&request, "authorization").unwrap();
        let signed = "SignedHeaders=content-type;host;x-acs-action;x-acs-content-sha256;x-acs-date;\
                      x-acs-signature-nonce;x-acs-version,";
        assert!(authorization.contains(signed), "{authorization}");
    }

    #[test]
    fn version_3_signs_the_token_of_temporary_credentials() {
        let authorization = |token| {
            let request = request(Signature::Acs3HmacSha256, token);
            let sent = header(&request, "x-acs-security-token");
            assert_eq!(sent.as_deref(), token);
            header(&request, "authorization").unwrap()
        };
        let one = authorization(Some("CAIS/+token==~*"));
        let signed = "host;x-acs-accesskey-id;x-acs-action;x-acs-content-sha256;x-acs-date;\
                      x-acs-security-token;x-acs-signature-nonce";
        assert!(one.contains(signed), "{one}");
        assert_ne!(one, authorization(Some("another")));
    }

    #[test]
    fn the_host_has_the_port_that_is_not_the_schemes_own() {
        for (url, expected) in [
            (
                "https://VOD.cn-shanghai.aliyuncs.com",
                "vod.cn-shanghai.aliyuncs.com",
            ),
            ("https://vod.example.com:443/", "vod.example.com"),
            ("https://vod.example.com:8443/", "vod.example.com:8443"),
            ("http://127.0.0.1:80", "127.0.0.1"),
            ("http://[::1]:9000", "[::1]:9000"),
        ] {
            assert_eq!(host(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
