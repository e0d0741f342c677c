//! A request as parameters: the union of URL query, form body, and what signature version 3 has in
//! headers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, Method, Uri};
use url::form_urlencoded;

use super::refusal::Refusal;
use super::signature::v3;

const FORM: &str = "application/x-www-form-urlencoded";

/// The parameters of one request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    path: String,
    /// Path and query as they arrived.
    pub(super) url: String,
    pub(super) host: String,
    pub(super) parameters: BTreeMap<String, String>,
    /// Whether the private key was in the URL, where proxies write it to their logs.
    pub(super) key_in_url: bool,
    /// What was signed, if that was by version 3.
    pub(super) v3: Option<v3::Signed>,
    /// Whether a name was given more than once, which leaves open what was signed.
    repeated: Option<String>,
}

impl Request {
    /// One without a body, for the tests of what looks at a request.
    #[cfg(test)]
    pub(super) fn get(uri: &'static str) -> Self {
        Self::read(Method::GET, &Uri::from_static(uri), &HeaderMap::new(), b"")
    }

    /// Reads a request. A body of another type than a form adds no parameters.
    pub(super) fn read(method: Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Self {
        let query = uri.query().unwrap_or_default();
        let form = if is_form(headers) { body } else { &[] };
        let mut parameters = BTreeMap::new();
        let mut repeated = None;
        let query_pairs = form_urlencoded::parse(query.as_bytes());
        let key_in_url = query_pairs
            .clone()
            .any(|(name, _)| ["SSLPri", "Key", "OIDCToken"].contains(&&*name));
        let v3 = v3::Signed::read(&method, uri, headers, body);
        let in_headers = v3.iter().flat_map(parameters_in_headers);
        let pairs = query_pairs.chain(form_urlencoded::parse(form));
        for (name, value) in pairs.chain(in_headers) {
            let previous = parameters.insert(name.clone().into_owned(), value.into_owned());
            if previous.is_some() {
                repeated = Some(name.into_owned());
            }
        }
        Self {
            method,
            path: uri.path().to_owned(),
            url: uri.to_string(),
            host: header(headers, &HOST),
            parameters,
            key_in_url,
            v3,
            repeated,
        }
    }

    /// Refuses what no action accepts: other paths and methods, and names given twice.
    pub(super) fn require_well_formed(&self) -> Result<(), Refusal> {
        if self.path != "/" {
            let message = "Specified api is not found, please check your url and method.";
            return Err(Refusal::new(404, "InvalidAction.NotFound", message));
        }
        if self.method != Method::GET && self.method != Method::POST {
            let message = "The HTTP method is not supported.";
            return Err(Refusal::new(400, "UnsupportedHTTPMethod", message));
        }
        match &self.repeated {
            Some(name) => Err(Refusal::invalid(name)),
            None => Ok(()),
        }
    }

    /// A parameter as it was sent, even if empty.
    pub(super) fn sent(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// A parameter, where it is given and not empty.
    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        self.sent(name).filter(|value| !value.is_empty())
    }

    /// A parameter, refused with `MissingParameter` where absent or empty.
    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.optional(name).ok_or_else(|| Refusal::missing(name))
    }

    /// A whole number, where it is given.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.optional(name)
            .map(|value| value.parse().map_err(|_| Refusal::invalid(name)))
            .transpose()
    }

    /// Whether the answer is to be JSON; the default is XML.
    pub(super) fn wants_json(&self) -> bool {
        self.sent("Format")
            .is_some_and(|format| format.eq_ignore_ascii_case("json"))
    }
}

/// The public parameters that version 3 has in headers.
fn parameters_in_headers(signed: &v3::Signed) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let header = |name| signed.header(name);
    let accepts_json = header("accept").is_some_and(|accept| accept.contains("json"));
    [
        ("Action", header("x-acs-action")),
        ("Version", header("x-acs-version")),
        ("Format", accepts_json.then_some("JSON")),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.into(), value?.into())))
    .collect()
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = header(headers, &CONTENT_TYPE);
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(FORM)
}

fn header(headers: &HeaderMap, name: &axum::http::HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(uri: &'static str, content_type: &'static str, body: &str) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let uri = Uri::from_static(uri);
        Request::read(Method::POST, &uri, &headers, body.as_bytes())
    }

    #[test]
    fn query_and_form_are_one() {
        let request = read(
            "/?A=1%2B1",
            "application/x-www-form-urlencoded; charset=UTF-8",
            "B=2+2",
        );
        assert_eq!(request.sent("A"), Some("1+1"));
        assert_eq!(request.sent("B"), Some("2 2"));
        assert!(request.require_well_formed().is_ok());
    }

    #[test]
    fn a_body_that_is_no_form_adds_nothing() {
        let request = read("/?A=1", "application/json", "B=2");
        assert_eq!(request.parameters.len(), 1);
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        let request = read("/?A=1", FORM, "A=1");
        let refusal = request.require_well_formed().unwrap_err();
        assert_eq!(refusal.code, "InvalidParameter");
    }

    #[test]
    fn a_key_in_the_url_is_noticed() {
        assert!(read("/?SSLPri=x", FORM, "").key_in_url);
        assert!(read("/?Key=x", FORM, "").key_in_url);
        assert!(read("/?OIDCToken=x", FORM, "").key_in_url);
        assert!(!read("/?SSLPub=x", FORM, "SSLPri=x").key_in_url);
    }

    #[test]
    fn an_empty_value_is_sent_but_not_given() {
        let request = read("/", FORM, "CertId=");
        assert_eq!(request.sent("CertId"), Some(""));
        assert_eq!(request.optional("CertId"), None);
        assert_eq!(
            request.required("CertId").unwrap_err().code,
            "MissingParameter"
        );
    }
}
