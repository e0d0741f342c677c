//! Answers on the wire: JSON or XML, with `RequestId` and `Date`.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, DATE};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Value, json};

use super::fault::RawAnswer;
use super::refusal::Refusal;
use super::request::Request;

/// The source of `RequestId`s: unlike each other, and shaped like UUIDs.
#[derive(Debug, Default)]
pub(super) struct RequestIds(AtomicU64);

impl RequestIds {
    pub(super) fn next(&self) -> String {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        format!("F4C6D5BE-BF13-45A0-806C-{number:012X}")
    }
}

/// What the answers to one request have in common.
#[derive(Debug)]
pub(super) struct Envelope {
    json: bool,
    host: String,
    action: String,
    request_id: String,
    now: Timestamp,
}

impl Envelope {
    pub(super) fn new(request: &Request, request_id: String, now: Timestamp) -> Self {
        Self {
            json: request.wants_json(),
            host: request.host.clone(),
            action: request.sent("Action").unwrap_or_default().to_owned(),
            request_id,
            now,
        }
    }

    /// The answer to a call that succeeded.
    pub(super) fn success(&self, mut body: Value) -> Response<Body> {
        body["RequestId"] = json!(self.request_id);
        let root = format!("{}Response", self.action);
        self.document(StatusCode::OK, &root, &body)
    }

    /// The answer to a call that was refused.
    pub(super) fn refusal(&self, refusal: &Refusal) -> Response<Body> {
        let body = json!({
            "RequestId": self.request_id,
            "HostId": self.host,
            "Code": refusal.code,
            "Message": refusal.message,
            "Recommend": format!("https://api.aliyun.com/troubleshoot?q={}", refusal.code),
        });
        let mut response = self.document(status(refusal.status), "Error", &body);
        set_headers(&mut response, &refusal.headers);
        response
    }

    /// A scripted answer of somebody else: without a request id.
    pub(super) fn raw(&self, answer: RawAnswer) -> Response<Body> {
        let mut response = Response::new(Body::from(answer.body));
        *response.status_mut() = status(answer.status);
        let date = ("date".to_owned(), http_date(self.now));
        set_headers(&mut response, &[date]);
        set_headers(&mut response, &answer.headers);
        response
    }

    fn document(&self, status: StatusCode, root: &str, body: &Value) -> Response<Body> {
        if self.json {
            let content_type = "application/json;charset=utf-8";
            return self.response(status, content_type, body.to_string());
        }
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
        write_xml(&mut xml, root, body);
        self.response(status, "text/xml;charset=utf-8", xml)
    }

    fn response(&self, status: StatusCode, content_type: &str, body: String) -> Response<Body> {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let mut insert = |name: HeaderName, value: &str| {
            let value = HeaderValue::try_from(value).expect("headers of answers are plain text");
            headers.insert(name, value);
        };
        insert(CONTENT_TYPE, content_type);
        insert(DATE, &http_date(self.now));
        insert(
            HeaderName::from_static("x-acs-request-id"),
            &self.request_id,
        );
        response
    }
}

fn set_headers(response: &mut Response<Body>, headers: &[(String, String)]) {
    for (name, value) in headers {
        let name = HeaderName::try_from(name).expect("a scripted header has a valid name");
        let value = HeaderValue::try_from(value).expect("a scripted header has a valid value");
        response.headers_mut().insert(name, value);
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("a scripted status lies between 100 and 999")
}

/// A moment as HTTP writes it (RFC 9110 5.6.7).
fn http_date(moment: Timestamp) -> String {
    DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&moment)
        .expect("the clock shows a year with four digits")
}

/// Writes `value` as an element; a list becomes one element for each item.
fn write_xml(xml: &mut String, name: &str, value: &Value) {
    match value {
        Value::Array(items) => {
            for item in items {
                write_xml(xml, name, item);
            }
        }
        Value::Object(fields) => {
            let _ = write!(xml, "<{name}>");
            for (field, value) in fields {
                write_xml(xml, field, value);
            }
            let _ = write!(xml, "</{name}>");
        }
        Value::String(text) => {
            let _ = write!(xml, "<{name}>{}</{name}>", escape(text));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let _ = write!(xml, "<{name}>{value}</{name}>");
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_repeated_elements() {
        let mut xml = String::new();
        let value = json!({ "Domains": { "Domain": [{ "A": 1 }, { "A": "<&>" }] } });
        write_xml(&mut xml, "R", &value);
        assert_eq!(
            xml,
            "<R><Domains><Domain><A>1</A></Domain>\
             <Domain><A>&lt;&amp;&gt;</A></Domain></Domains></R>"
        );
    }

    #[test]
    fn dates_are_written_as_http_writes_them() {
        let moment: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        assert_eq!(http_date(moment), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
