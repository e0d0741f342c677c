//! `[issuers.NAME]`: CAs.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use url::Url;

use super::named::Named;
use super::values::{self, PlainHttp};
use crate::acme::directory::{WELL_KNOWN, well_known};
use crate::config::error::{Findings, Problem};
use crate::config::file::{self, List, Text};
use crate::config::nearest::nearest;
use crate::config::settings::Issuer;
use crate::renewal::{Limit, Limits, Quota};
use crate::time::parse_span;

/// The well-known CAs that need no external account binding, which is not available yet. They exist
/// without being written.
const BUILT_IN: [&str; 2] = ["letsencrypt", "letsencrypt-staging"];

/// All issuers of a file.
pub(super) fn issuers(
    findings: &mut Findings,
    written: &BTreeMap<Text, file::Issuer>,
    contact: &[String],
) -> Named<Issuer> {
    let mut issuers = Named::new("issuer");
    for name in BUILT_IN {
        if let Some(directory) = directory_of(name) {
            let issuer = Issuer {
                limits: Limits::published(directory.as_str()),
                directory,
                contact: contact.to_vec(),
                profile: None,
            };
            issuers = issuers.with(name, issuer);
        }
    }
    for (name, issuer) in written {
        let parsed = parse(findings, name, issuer, contact);
        issuers.add(findings, name, parsed);
    }
    issuers
}

/// The issuer that a certificate refers to.
pub(super) fn find<'a>(
    issuers: &'a Named<Issuer>,
    findings: &mut Findings,
    reference: &Text,
) -> Option<&'a Issuer> {
    let name = reference.get_ref();
    if !issuers.has(name) && well_known(name).is_some() {
        refuse_binding(findings, reference.span(), name);
        return None;
    }
    issuers.find(findings, reference)
}

/// Mail addresses, without `mailto:`.
pub(super) fn contact(findings: &mut Findings, written: Option<&List>) -> Option<Vec<String>> {
    let list = written?.get_ref();
    let parsed = list.iter().filter_map(|text| mail_address(findings, text));
    Some(parsed.collect())
}

/// Whether it is Let's Encrypt, whose rules are known.
pub(super) fn is_lets_encrypt(issuer: &Issuer) -> bool {
    issuer
        .directory
        .domain()
        .is_some_and(|host| host.ends_with(".letsencrypt.org"))
}

fn parse(
    findings: &mut Findings,
    name: &Text,
    written: &file::Issuer,
    default_contact: &[String],
) -> Option<Issuer> {
    values::refuse_text(
        findings,
        written.preferred_chain.as_ref(),
        "`preferred_chain`",
    );
    if let Some(eab) = &written.eab {
        values::refuse(findings, eab.span(), "`eab`");
    }
    let own_contact = contact(findings, written.contact.as_ref());
    let profile = written.profile.as_ref().map(|text| text.get_ref().clone());
    let directory = directory(findings, name, written.directory.as_ref());
    let published = directory
        .as_ref()
        .map(|url| Limits::published(url.as_str()));
    let limits = limits(
        findings,
        written.limits.as_ref(),
        published.unwrap_or_default(),
    );
    Some(Issuer {
        directory: directory?,
        limits,
        contact: own_contact.unwrap_or_else(|| default_contact.to_vec()),
        profile: profile.filter(|profile| !profile.is_empty()),
    })
}

/// The limits that the CA publishes, but for those that are written otherwise.
fn limits(
    findings: &mut Findings,
    written: Option<&Spanned<file::Limits>>,
    published: Limits,
) -> Limits {
    let Some(written) = written.map(Spanned::get_ref) else {
        return published;
    };
    let all = [
        (Limit::Account, written.orders_per_account.as_ref()),
        (Limit::RegisteredDomain, written.registered_domain.as_ref()),
        (Limit::ExactSet, written.exact_set.as_ref()),
        (
            Limit::FailedValidations,
            written.failed_validations.as_ref(),
        ),
    ];
    all.into_iter()
        .filter_map(|(limit, text)| Some((limit, text?)))
        .fold(published, |limits, (limit, text)| {
            if text.get_ref() == "off" {
                return limits.with(limit, None);
            }
            let quota = quota(text.get_ref());
            if quota.is_none() {
                no_quota(findings, text);
            }
            limits.with(limit, quota)
        })
}

/// `COUNT/DURATION`.
fn quota(text: &str) -> Option<Quota> {
    let (count, per) = text.split_once('/')?;
    let per = parse_span(per.trim()).ok()?;
    Quota::new(count.trim().parse().ok()?, per)
}

fn no_quota(findings: &mut Findings, text: &Text) {
    let message = format!("{:?} is no limit", text.get_ref());
    findings.add(
        Problem::error(message)
            .at(text.span())
            .hint("write COUNT/DURATION, as in \"300/3h\", or \"off\""),
    );
}

fn directory(findings: &mut Findings, name: &Text, written: Option<&Text>) -> Option<Url> {
    let text = written.unwrap_or(name);
    if let Some(url) = directory_of(text.get_ref()) {
        return allowed(findings, text, url);
    }
    if written.is_none() {
        let message = format!("the issuer {:?} has no `directory`", name.get_ref());
        findings.add(
            Problem::error(message)
                .at(name.span())
                .hint("add the https URL of the CA's ACME directory"),
        );
        return None;
    }
    if !text.get_ref().contains("://") {
        unknown_word(findings, text);
        return None;
    }
    let url = values::whole_url(findings, text, PlainHttp::Refused, "remove them")?;
    allowed(findings, text, url)
}

/// The directory, unless its CA is known to need what is not available.
fn allowed(findings: &mut Findings, text: &Text, url: Url) -> Option<Url> {
    let needs_binding = WELL_KNOWN
        .iter()
        .any(|(name, directory)| *directory == url.as_str() && !BUILT_IN.contains(name));
    if needs_binding {
        refuse_binding(findings, text.span(), text.get_ref());
        return None;
    }
    Some(url)
}

fn refuse_binding(findings: &mut Findings, place: Range<usize>, ca: &str) {
    let message = format!(
        "{ca:?} takes only accounts with an external account binding (`eab`), which is not available \
         in this version"
    );
    findings.add(
        Problem::error(message)
            .at(place)
            .hint("remove it; \"letsencrypt\" needs none"),
    );
}

fn unknown_word(findings: &mut Findings, text: &Text) {
    let problem =
        Problem::error(format!("{:?} is no CA that is known", text.get_ref())).at(text.span());
    let hint = match nearest(text.get_ref(), WELL_KNOWN.map(|(name, _)| name)) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => "write the https URL of its ACME directory".to_owned(),
    };
    findings.add(problem.hint(hint));
}

fn directory_of(name: &str) -> Option<Url> {
    well_known(name)?.parse().ok()
}

fn mail_address(findings: &mut Findings, text: &Text) -> Option<String> {
    let address = text.get_ref();
    let address = address.strip_prefix("mailto:").unwrap_or(address);
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_graphic() && !"@,?&%".contains(c))
    };
    let valid = address
        .split_once('@')
        .is_some_and(|(user, host)| plain(user) && plain(host) && host.contains('.'));
    if !valid {
        // A `mailto` URL of a contact holds one address and no header fields (RFC 8555 §7.3).
        let message = format!("{:?} is not a mail address", text.get_ref());
        findings.add(
            Problem::error(message)
                .at(text.span())
                .hint("write one address, such as \"ops@example.com\""),
        );
    }
    valid.then(|| address.to_owned())
}
