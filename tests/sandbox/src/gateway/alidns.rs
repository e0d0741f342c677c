//! The actions of Alidns (2015-01-09) that a DNS-01 solver needs.
//!
//! Records appear in the world at once; how long name servers take is the DNS server's matter.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::paging::{Page, PageRules};
use super::refusal::{Refusal, bad};
use super::request::Request;
use crate::world::{self, Record, RecordKind, State, Zone};

const MAX_TTL: i64 = 86_400;

const RECORD_PAGES: PageRules = PageRules {
    default_size: 20,
    max_size: 500,
    number_code: "InvalidParameter",
    size_code: "InvalidParameter",
};

const SUB_DOMAIN_PAGES: PageRules = PageRules {
    max_size: 100,
    ..RECORD_PAGES
};

const ZONE_PAGES: PageRules = SUB_DOMAIN_PAGES;

/// `AddDomainRecord`.
pub(super) fn add_record(state: &mut State, request: &Request) -> Result<Value, Refusal> {
    let zone = zone_named(state, request.required("DomainName")?)?;
    let record = read_record(zone, request)?;
    require_no_conflict(zone, &record)?;
    let name = zone.name.clone();
    let id = state.next_id();
    let zone = state.zones.get_mut(&name).ok_or_else(unknown_zone)?;
    zone.records.push(Record { id, ..record });
    Ok(json!({ "RecordId": id.to_string() }))
}

/// `DeleteDomainRecord`.
pub(super) fn delete_record(state: &mut State, request: &Request) -> Result<Value, Refusal> {
    let id: i64 = request
        .required("RecordId")?
        .parse()
        .map_err(|_| Refusal::invalid("RecordId"))?;
    for zone in state.zones.values_mut().filter(|zone| !zone.foreign) {
        if let Some(index) = zone.records.iter().position(|record| record.id == id) {
            zone.records.remove(index);
            return Ok(json!({ "RecordId": id.to_string() }));
        }
    }
    Err(bad(
        "DomainRecordNotBelongToUser",
        "The DNS record does not belong to the user.",
    ))
}

/// `DescribeDomainRecords`.
pub(super) fn domain_records(state: &State, request: &Request) -> Result<Value, Refusal> {
    let page = Page::read(request, RECORD_PAGES)?;
    let zone = zone_named(state, request.required("DomainName")?)?;
    let filter = Filter::read(request)?;
    let found = zone.records.iter().filter(|record| filter.lets(record));
    Ok(record_page(zone, found, page))
}

/// `DescribeSubDomainRecords`.
pub(super) fn sub_domain_records(state: &State, request: &Request) -> Result<Value, Refusal> {
    let page = Page::read(request, SUB_DOMAIN_PAGES)?;
    let name = request.required("SubDomain")?.to_lowercase();
    let ascii = world::to_ascii(&name);
    // Without the zone the gateway takes the last two labels for it.
    let zone = zone_named(
        state,
        request
            .optional("DomainName")
            .unwrap_or_else(|| last_two_labels(&name)),
    )?;
    let rr = zone
        .relative(&ascii)
        .ok_or_else(|| Refusal::invalid("SubDomain"))?;
    let kind = request.optional("Type");
    let found = zone
        .records
        .iter()
        .filter(|record| record.rr == rr)
        .filter(|record| kind.is_none_or(|kind| record.kind.as_str() == kind));
    Ok(record_page(zone, found, page))
}

/// `DescribeDomains`.
pub(super) fn domains(state: &State, request: &Request) -> Result<Value, Refusal> {
    let page = Page::read(request, ZONE_PAGES)?;
    let keyword = request.optional("KeyWord").unwrap_or_default();
    let exact = wants_exact(request)?;
    let found: Vec<Value> = state
        .zones
        .values()
        .filter(|zone| !zone.foreign)
        .filter(|zone| zone.name == keyword || (!exact && zone.name.contains(keyword)))
        .map(listed_zone)
        .collect();
    Ok(json!({
        "TotalCount": found.len(),
        "PageNumber": page.number,
        "PageSize": page.size,
        "Domains": { "Domain": page.cut(found) },
    }))
}

/// `DescribeDomainInfo`.
pub(super) fn domain_info(state: &State, request: &Request) -> Result<Value, Refusal> {
    let zone = zone_named(state, request.required("DomainName")?)?;
    let mut info = listed_zone(zone);
    info["MinTtl"] = json!(zone.min_ttl);
    info["AvailableTtls"] = json!({ "AvailableTtl": available_ttls(zone) });
    Ok(info)
}

/// The zone that an edit changes; none where it will be refused.
pub(super) fn edited_zone(state: &State, request: &Request) -> Option<String> {
    if let Some(name) = request.optional("DomainName") {
        return zone_named(state, name).ok().map(|zone| zone.name.clone());
    }
    let id: i64 = request.optional("RecordId")?.parse().ok()?;
    let holds = |zone: &&Zone| zone.records.iter().any(|record| record.id == id);
    let zone = state.zones.values().find(holds)?;
    Some(zone.name.clone())
}

/// The answer to an edit of a zone while another one is under way.
pub(super) fn edit_under_way() -> Refusal {
    bad(
        "LastOperationNotFinished",
        "The last operation is not finished. Try again later.",
    )
}

/// A zone of the account. It is known by its Unicode name only: A-labels are refused (seen by
/// external-dns, pull request 6141).
fn zone_named<'a>(state: &'a State, name: &str) -> Result<&'a Zone, Refusal> {
    let zone = state.zones.get(&name.to_lowercase());
    zone.filter(|zone| !zone.foreign).ok_or_else(unknown_zone)
}

fn unknown_zone() -> Refusal {
    bad(
        "InvalidDomainName.NoExist",
        "The specified domain name does not exist. Refresh the page and try again.",
    )
}

/// Reads the record to add; its id is still to be given.
fn read_record(zone: &Zone, request: &Request) -> Result<Record, Refusal> {
    let rr = request.required("RR")?;
    let kind =
        RecordKind::parse(request.required("Type")?).ok_or_else(|| Refusal::invalid("Type"))?;
    let value = request.required("Value")?;
    require_value(kind, value)?;
    let mut record = Record::new(0, rr, kind, value);
    if let Some(ttl) = request.number("TTL")? {
        record.ttl = allowed_ttl(zone, ttl)?;
    }
    if let Some(line) = request.optional("Line") {
        line.clone_into(&mut record.line);
    }
    Ok(record)
}

fn require_value(kind: RecordKind, value: &str) -> Result<(), Refusal> {
    let valid = match kind {
        RecordKind::A => value.parse::<Ipv4Addr>().is_ok(),
        RecordKind::Aaaa => value.parse::<Ipv6Addr>().is_ok(),
        RecordKind::Cname => value.contains('.'),
        RecordKind::Txt => value.len() <= 512,
    };
    if valid {
        return Ok(());
    }
    Err(bad(
        "SubDomainInvalid.Value",
        "The DNS record is invalid or in the wrong format.",
    ))
}

fn allowed_ttl(zone: &Zone, ttl: i64) -> Result<u32, Refusal> {
    let allowed = i64::from(zone.min_ttl)..=MAX_TTL;
    let ttl = u32::try_from(ttl).ok().filter(|_| allowed.contains(&ttl));
    ttl.ok_or_else(|| {
        let least = zone.min_ttl;
        let message = format!(
            "The specified TTL is invalid. A valid TTL must be in the range of {least} to {MAX_TTL}."
        );
        bad("QuotaExceeded.TTL", &message)
    })
}

fn require_no_conflict(zone: &Zone, record: &Record) -> Result<(), Refusal> {
    for other in zone.records.iter().filter(|other| other.rr == record.rr) {
        if other.kind == record.kind && other.value == record.value && other.line == record.line {
            let message = "The DNS record already exists.";
            return Err(bad("DomainRecordDuplicate", message));
        }
        if other.kind == RecordKind::Cname || record.kind == RecordKind::Cname {
            let message = "The DNS record conflicts with existing records.";
            return Err(bad("DomainRecordConflict", message));
        }
    }
    Ok(())
}

/// The filters of `DescribeDomainRecords`.
struct Filter<'a> {
    rr: Option<&'a str>,
    value: Option<&'a str>,
    kind: Option<&'a str>,
    line: Option<&'a str>,
    exact: bool,
}

impl<'a> Filter<'a> {
    fn read(request: &'a Request) -> Result<Self, Refusal> {
        Ok(Self {
            rr: request.optional("RRKeyWord"),
            value: request.optional("ValueKeyWord"),
            kind: request
                .optional("TypeKeyWord")
                .or_else(|| request.optional("Type")),
            line: request.optional("Line"),
            exact: wants_exact(request)?,
        })
    }

    fn lets(&self, record: &Record) -> bool {
        let fits = |wanted: Option<&str>, text: &str| match wanted {
            None => true,
            Some(wanted) if self.exact => text.eq_ignore_ascii_case(wanted),
            Some(wanted) => text
                .to_ascii_lowercase()
                .contains(&wanted.to_ascii_lowercase()),
        };
        let equals = |wanted: Option<&str>, text: &str| wanted.is_none_or(|wanted| wanted == text);
        fits(self.rr, &record.rr)
            && fits(self.value, &record.value)
            && equals(self.kind, record.kind.as_str())
            && equals(self.line, &record.line)
    }
}

fn wants_exact(request: &Request) -> Result<bool, Refusal> {
    match request.optional("SearchMode") {
        Some("EXACT") => Ok(true),
        Some("LIKE" | "ADVANCED") | None => Ok(false),
        Some(_) => Err(Refusal::invalid("SearchMode")),
    }
}

fn record_page<'a>(zone: &Zone, found: impl Iterator<Item = &'a Record>, page: Page) -> Value {
    let found: Vec<Value> = found.map(|record| listed_record(zone, record)).collect();
    json!({
        "TotalCount": found.len(),
        "PageNumber": page.number,
        "PageSize": page.size,
        "DomainRecords": { "Record": page.cut(found) },
    })
}

fn listed_record(zone: &Zone, record: &Record) -> Value {
    json!({
        "RecordId": record.id.to_string(),
        "DomainName": zone.name,
        "RR": record.rr,
        "Type": record.kind.as_str(),
        "Value": record.value,
        "TTL": record.ttl,
        "Line": record.line,
        "Status": "ENABLE",
        "Locked": false,
        "Weight": 1,
    })
}

fn listed_zone(zone: &Zone) -> Value {
    json!({
        "DomainId": format!("00efd71a-770e-4255-b54e-{:0>12}", zone.name.len()),
        "DomainName": zone.name,
        "PunyCode": zone.ascii,
        // The samples show this flag as text and the next one as a flag.
        "AliDomain": "true",
        "InstanceExpired": false,
        "DnsServers": { "DnsServer": zone.name_servers() },
        "VersionCode": "mianfei",
        "VersionName": "Free edition",
        "RecordCount": zone.records.len(),
    })
}

fn available_ttls(zone: &Zone) -> Vec<u32> {
    let usual = [1, 10, 60, 120, 600, 1800, 3600, 43_200, 86_400];
    usual
        .into_iter()
        .filter(|&ttl| ttl >= zone.min_ttl)
        .collect()
}

fn last_two_labels(name: &str) -> &str {
    let dots: Vec<usize> = name.rmatch_indices('.').map(|(index, _)| index).collect();
    dots.get(1).map_or(name, |&dot| &name[dot + 1..])
}
