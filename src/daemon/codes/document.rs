//! The table as the documentation of [`crate::aliyun::code`] shows it.

use std::fmt::Write as _;
use std::path::Path;

use http::StatusCode;

use super::table::{ALIDNS, Calls, GATEWAY, INSTALLATION, Row, SERVICE, STORAGE, UNKNOWN, rows};
use crate::aliyun::{self, Action, ApiError, Cause, Code};
use crate::net::NetworkError;
use crate::retry::{Failure, Remedy, Scope};
use crate::time::Timestamp;

const DOCUMENT: &str = "src/aliyun/code/table.md";

/// Written instead of compared if this is set.
const WRITE: &str = "VODCERTD_WRITE_TABLE";

const HEAD: &str = "\
| code | HTTP | stops | course | once | a week | pauses | then | alert from |
|---|---|---|---|---|---|---|---|---|
";

#[test]
fn the_documentation_shows_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let expected = document();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{DOCUMENT} is not the table of the tests any more; write it anew:\n\
         {WRITE}=1 cargo nextest run --workspace --locked -E 'test(the_documentation_shows)'"
    );
}

fn document() -> String {
    let set = Action::SetVodDomainSslCertificate;
    let sections = [
        (
            "The list of `SetVodDomainSSLCertificate`",
            set,
            INSTALLATION,
        ),
        ("Older codes of the service", set, SERVICE),
        ("The gateway", set, GATEWAY),
        (
            "Codes that are not known, and answers without one",
            set,
            UNKNOWN,
        ),
        (
            "Certificate Management Service, where a pair is stored",
            Action::UploadUserCertificate,
            STORAGE,
        ),
        (
            "Alidns, where a proof is published",
            Action::AddDomainRecord,
            ALIDNS,
        ),
    ];
    let mut text = String::new();
    for (title, action, table) in sections {
        writeln!(text, "## {title}\n\n{HEAD}{}", lines(action, table)).unwrap();
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn lines(action: Action, table: &'static str) -> String {
    let line = |row: Row| {
        let failure = failure(action, &row);
        let answer = match row.answer.strip_prefix('(') {
            Some(words) => words.trim_end_matches(')').to_owned(),
            None => format!("`{}`", row.answer),
        };
        let status = row.status.map(|status| status.to_string());
        let alert = row.alert.map(|nth| nth.to_string());
        let class = row.class.map(|class| format!(", {class}"));
        format!(
            "| {answer} | {} | {} | {} | {} | {} | {} | {}{} | {} |\n",
            status.as_deref().unwrap_or("-"),
            stops(&failure.scope),
            course(&failure.course),
            counts(&row.once),
            counts(&row.ever),
            row.pauses.replace("..", " …"),
            row.state,
            class.as_deref().unwrap_or(""),
            alert.as_deref().unwrap_or("-"),
        )
    };
    rows(table).into_iter().map(line).collect()
}

/// What the client makes of the answer of a row.
fn failure(action: Action, row: &Row) -> Failure {
    let status = row
        .status
        .map(|status| StatusCode::from_u16(status).unwrap());
    let cause = match (row.answer.starts_with('('), status) {
        (true, Some(status)) => Cause::Unreadable {
            status,
            why: "",
            named_time: None,
        },
        (false, Some(status)) => Cause::Refused(Box::new(aliyun::Refusal {
            status,
            code: Code::parse(row.answer),
            code_text: row.answer.to_owned(),
            message: None,
            request_id: None,
            missing_permission: None,
            named_time: None,
            sent: Vec::new(),
        })),
        (_, None) => Cause::Network(NetworkError::Timeout {
            host: String::new(),
        }),
    };
    let error = ApiError {
        action,
        cloud: String::new(),
        cause,
    };
    error.failure(Timestamp::EPOCH)
}

fn stops(scope: &Scope) -> &'static str {
    match scope {
        Scope::Here => "this",
        Scope::CloudCall { .. } => "this, five the action",
        Scope::CloudAction { .. } => "the action",
        Scope::Cloud { .. } => "the cloud",
        Scope::Ca { .. }
        | Scope::CaAccount { .. }
        | Scope::RegisteredDomain { .. }
        | Scope::Name { .. }
        | Scope::ExactSet { .. } => panic!("not of a cloud: {scope:?}"),
    }
}

/// `backoff ×2, reformat, operator`; how often the last one is used is not looked at.
fn course(course: &[Remedy]) -> String {
    let last = course.len() - 1;
    let words = course.iter().enumerate().map(|(place, remedy)| {
        if remedy.times == 1 || place == last {
            remedy.class.to_string()
        } else if remedy.times == u8::MAX {
            format!("{} always", remedy.class)
        } else {
            format!("{} ×{}", remedy.class, remedy.times)
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

fn counts(calls: &Calls) -> String {
    let Calls {
        installs,
        read_backs,
        lists,
        orders,
    } = calls;
    let counts = [installs, read_backs, lists, orders].map(|range| {
        if range.start() == range.end() {
            range.start().to_string()
        } else {
            format!("{}-{}", range.start(), range.end())
        }
    });
    counts.join("/")
}
