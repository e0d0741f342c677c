//! What an answer says: a JSON object that is a success, a refusal with a code, or neither.
//!
//! The services are not of one mind about types (`"Count":"2"`), about what an absent value looks
//! like, or about whether an error is JSON; this module is tolerant so that the others need not be.
//! What is no answer of this API is never taken for a success.

use std::borrow::Cow;

use serde_json::Value;

use super::code::{self, Code};
use super::credentials::Credentials;
use super::error::{Cause, Refusal};
use super::named_time::named_time;
use super::parameters::Parameters;
use super::scrub::{MESSAGE_LIMIT, Scrubber};
use crate::net::Answer;
use crate::time::Timestamp;

/// No more than this is kept of a code, a request id or the name of a permission, in bytes.
const WORD_LIMIT: usize = 128;

/// Reads an answer that arrived at `now`. `sent` are the parameters of the request and `credentials`
/// what it was signed with, if it was; their secrets are taken out of everything that is kept of a
/// refusal.
pub(super) fn read(
    answer: &Answer,
    now: Timestamp,
    sent: &Parameters,
    credentials: Option<&Credentials>,
) -> Result<Value, Cause> {
    let text = String::from_utf8_lossy(&answer.body);
    let body = Body::parse(text.trim_start_matches('\u{feff}').trim());
    let named_time = named_time(&answer.headers, now);
    if let Some(code) = body.word("Code").filter(|code| !is_success(code)) {
        let signed_with = credentials.into_iter().flat_map(Credentials::secrets);
        let scrubber = Scrubber::new(sent.secrets().chain(signed_with));
        let word = |text: String| scrubber.clean(&text, WORD_LIMIT);
        return Err(Cause::Refused(Box::new(Refusal {
            status: answer.status,
            code: Code::parse(&code),
            message: message(&code, &body, &scrubber),
            code_text: word(code),
            request_id: body.word("RequestId").map(word),
            missing_permission: body.missing_permission().map(word),
            named_time,
            sent: sent.names(),
        })));
    }
    match body {
        Body::Json(value) if answer.status.is_success() && word(&value, "RequestId").is_some() => {
            Ok(value)
        }
        Body::Json(_) | Body::Xml(_) | Body::Foreign => Err(Cause::Unreadable {
            status: answer.status,
            why: "not in the form of this API",
            named_time,
        }),
    }
}

/// The text of a field: a string that is not empty, or a number.
pub(super) fn text(value: &Value, field: &str) -> Option<String> {
    match value.get(field)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// A whole number at a JSON pointer (RFC 6901), as a number or as text.
pub(super) fn number(value: &Value, pointer: &str) -> Option<u64> {
    let value = value.pointer(pointer)?;
    value
        .as_u64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}

/// The items of a list at a JSON pointer. A single object is a list of one; anything else, an
/// empty string for example, is an empty list.
pub(super) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    match value.pointer(pointer) {
        Some(Value::Array(items)) => items,
        Some(item @ Value::Object(_)) => std::slice::from_ref(item),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => &[],
    }
}

/// The body of an answer.
enum Body<'a> {
    /// A JSON object.
    Json(Value),
    /// XML with a `<Code>`: an error (successes are JSON, as asked for).
    Xml(&'a str),
    /// Nothing of this API: HTML, other JSON, nothing at all.
    Foreign,
}

impl<'a> Body<'a> {
    fn parse(text: &'a str) -> Self {
        if let Ok(value @ Value::Object(_)) = serde_json::from_str(text) {
            Self::Json(value)
        } else if text.starts_with('<') && xml_element(text, "Code").is_some() {
            Self::Xml(text)
        } else {
            Self::Foreign
        }
    }

    /// The text of a field of the outermost level.
    fn word(&self, name: &str) -> Option<String> {
        match self {
            Self::Json(value) => word(value, name),
            Self::Xml(text) => xml_element(text, name),
            Self::Foreign => None,
        }
    }

    /// The permission that is missing.
    fn missing_permission(&self) -> Option<String> {
        match self {
            Self::Json(value) => word(value.get("AccessDeniedDetail")?, "AuthAction"),
            Self::Xml(text) => xml_element(text, "AuthAction"),
            Self::Foreign => None,
        }
    }
}

/// A field whose name begins with a capital or not; the official SDKs accept both.
fn word(value: &Value, name: &str) -> Option<String> {
    let mut lower = name.to_owned();
    lower[..1].make_ascii_lowercase();
    text(value, name).or_else(|| text(value, &lower))
}

fn is_success(code: &str) -> bool {
    ["200", "ok", "success"]
        .iter()
        .any(|success| code.eq_ignore_ascii_case(success))
}

/// What the other side says of a refusal, unless it may have echoed the request.
fn message(code: &str, body: &Body<'_>, scrubber: &Scrubber) -> Option<String> {
    body.word("Message")
        .filter(|_| !code::echoes_the_request(code))
        .map(|message| scrubber.clean(&message, MESSAGE_LIMIT))
        .filter(|message| !message.is_empty())
}

/// The text of the first element of that name. Error bodies are flat and have no attributes, so
/// this needs no XML parser.
fn xml_element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.trim();
    let text = match text.strip_prefix("<![CDATA[") {
        Some(raw) => Cow::Borrowed(raw.strip_suffix("]]>").unwrap_or(raw)),
        None => unescape(text),
    };
    (!text.is_empty()).then(|| text.into_owned())
}

fn unescape(text: &str) -> Cow<'_, str> {
    const ENTITIES: [(&str, &str); 7] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#10;", "\n"),
        ("&#xA;", "\n"),
        // The last one: what it makes is not looked at again.
        ("&amp;", "&"),
    ];
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let unescaped = ENTITIES
        .iter()
        .fold(text.to_owned(), |text, (entity, plain)| {
            text.replace(entity, plain)
        });
    Cow::Owned(unescaped)
}

#[cfg(test)]
mod tests;
