//! `DescribeVodVerifyContent` and `VerifyVodDomainOwner`: who owns an acceleration domain.
//!
//! The label of the record is not in the documentation; it is said to be `verification`, at the root of
//! the zone. Only the check by DNS is played.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::certificate_installation::unknown_domain;
use super::refusal::Refusal;
use super::request::Request;
use crate::world::{RecordKind, State};

const LABEL: &str = "verification";

/// What is to be published for a domain.
pub(super) fn verify_content(state: &State, request: &Request) -> Result<Value, Refusal> {
    let domain = request.required("DomainName")?;
    if !state.domains.contains_key(domain) {
        return Err(unknown_domain());
    }
    Ok(json!({ "Content": content(domain) }))
}

/// Checks what is published for a domain. As with the real one the content is only answered when it
/// was not found.
pub(super) fn verify_owner(state: &mut State, request: &Request) -> Result<Value, Refusal> {
    let domain = request.required("DomainName")?;
    if request.required("VerifyType")? != "dnsCheck" {
        return Err(Refusal::invalid("VerifyType"));
    }
    let expected = content(domain);
    let zone = state.zone_for_name(domain.trim_start_matches('.'));
    let published = zone.is_some_and(|zone| {
        let mut records = zone.records.iter();
        records.any(|record| {
            record.rr == LABEL && record.kind == RecordKind::Txt && record.value == expected
        })
    });
    let domain = state.domains.get_mut(domain).ok_or_else(unknown_domain)?;
    if !published {
        return Ok(json!({ "Content": expected }));
    }
    domain.owner_proven = true;
    Ok(json!({}))
}

/// The refusal of a domain of which nobody has proven that he owns it.
pub(super) fn unproven() -> Refusal {
    let message = "The ownership of the domain name failed to be verified.";
    Refusal::new(400, "DomainOwnerVerifyFail", message)
}

fn content(domain: &str) -> String {
    let digest = Sha256::digest(domain.as_bytes());
    digest
        .iter()
        .take(16)
        .fold("verify_".to_owned(), |text, b| text + &format!("{b:02x}"))
}
