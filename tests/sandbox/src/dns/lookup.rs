//! What an authoritative server answers, as a function of the world and a moment.
//!
//! Besides the records of a zone there are its SOA and NS, an address for its name server, and
//! `127.0.0.1` for every host of a VOD domain that has no address of its own.

use std::net::Ipv4Addr;
use std::time::Instant;

use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::world::{self, RecordKind, State, Zone};

const MAX_ALIASES: usize = 8;
const INFRASTRUCTURE_TTL: u32 = 60;
/// The longest string inside a TXT record (RFC 1035 3.3).
const TXT_STRING: usize = 255;

/// An answer without its question.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) code: ResponseCode,
    pub(super) authoritative: bool,
    pub(super) answers: Vec<Record>,
    /// The SOA that goes with a negative answer (RFC 2308).
    pub(super) soa: Vec<Record>,
}

impl Reply {
    /// A reply that says nothing but its code.
    pub(super) fn bare(code: ResponseCode) -> Self {
        Self {
            code,
            authoritative: false,
            answers: Vec::new(),
            soa: Vec::new(),
        }
    }
}

/// A name as the world writes it: lower case, without the final dot.
pub(super) fn plain(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    text.trim_end_matches('.').to_owned()
}

/// Answers `question` from the records that existed at `known_until` (none: no record yet).
pub(super) fn answer(state: &State, question: &Query, known_until: Option<Instant>) -> Reply {
    let mut owner = question.name().clone();
    let mut reply = Reply::bare(ResponseCode::NoError);
    for _ in 0..MAX_ALIASES {
        let Some(zone) = state.zone_for_name(&plain(&owner)) else {
            if reply.answers.is_empty() {
                return Reply::bare(ResponseCode::Refused);
            }
            // An alias that leaves our zones: the rest is the asker's business.
            return reply;
        };
        reply.authoritative = true;
        let node = Node::find(state, zone, &owner, known_until);
        match node.resolve(question.query_type()) {
            Resolution::Records(records) => {
                reply.answers.extend(records);
                return reply;
            }
            Resolution::Alias(record, target) => {
                reply.answers.push(*record);
                owner = target;
            }
            Resolution::NoData => {
                reply.soa.extend(soa(zone));
                return reply;
            }
            Resolution::NoName => {
                reply.code = ResponseCode::NXDomain;
                reply.soa.extend(soa(zone));
                return reply;
            }
        }
    }
    Reply::bare(ResponseCode::ServFail)
}

enum Resolution {
    Records(Vec<Record>),
    Alias(Box<Record>, Name),
    NoData,
    NoName,
}

/// All that is known about one name.
struct Node {
    exists: bool,
    records: Vec<Record>,
}

impl Node {
    fn find(state: &State, zone: &Zone, owner: &Name, known_until: Option<Instant>) -> Self {
        let name = plain(owner);
        let rr = zone.relative(&name).unwrap_or("@");
        let visible = || {
            let known = |record: &&world::Record| Some(record.created) <= known_until;
            zone.records.iter().filter(known)
        };
        let mut node = Self {
            exists: false,
            records: Vec::new(),
        };
        node.add(owner, visible().filter(|record| record.rr == rr));
        if rr == "@" {
            node.records.extend(soa(zone));
            node.records.extend(name_servers(zone));
        }
        if zone.name_servers().contains(&name) {
            node.records.push(local_address(owner));
        }
        // A name with names below it exists without records (RFC 8020).
        let below = format!(".{rr}");
        node.exists =
            !node.records.is_empty() || visible().any(|record| record.rr.ends_with(&below));
        if !node.exists {
            node.add(
                owner,
                visible().filter(|record| matches_wildcard(&record.rr, rr)),
            );
        }
        if state.domain_for_host(&name).is_some() && !node.has_address() {
            node.records.push(local_address(owner));
        }
        node.exists |= !node.records.is_empty();
        node
    }

    fn add<'a>(&mut self, owner: &Name, records: impl Iterator<Item = &'a world::Record>) {
        let records = records.filter_map(|record| to_record(owner, record));
        self.records.extend(records);
    }

    fn has_address(&self) -> bool {
        let is_address = |record: &Record| {
            matches!(
                record.record_type(),
                RecordType::A | RecordType::AAAA | RecordType::CNAME
            )
        };
        self.records.iter().any(is_address)
    }

    fn resolve(self, wanted: RecordType) -> Resolution {
        if !self.exists {
            return Resolution::NoName;
        }
        let of_type: Vec<Record> = self
            .records
            .iter()
            .filter(|record| record.record_type() == wanted)
            .cloned()
            .collect();
        if !of_type.is_empty() {
            return Resolution::Records(of_type);
        }
        for record in self.records {
            if let RData::CNAME(CNAME(target)) = &record.data {
                let target = target.clone();
                return Resolution::Alias(Box::new(record), target);
            }
        }
        Resolution::NoData
    }
}

/// Whether `pattern` is a wildcard above `rr` (RFC 4592, without its closest-encloser rule).
fn matches_wildcard(pattern: &str, rr: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some("") => rr != "@",
        Some(parent) => parent.starts_with('.') && rr.ends_with(parent),
        None => false,
    }
}

fn to_record(owner: &Name, record: &world::Record) -> Option<Record> {
    let data = match record.kind {
        RecordKind::A => RData::A(A(record.value.parse().ok()?)),
        RecordKind::Aaaa => RData::AAAA(AAAA(record.value.parse().ok()?)),
        RecordKind::Cname => RData::CNAME(CNAME(absolute(&record.value)?)),
        RecordKind::Txt => RData::TXT(text(&record.value)),
    };
    Some(Record::from_rdata(owner.clone(), record.ttl, data))
}

fn text(value: &str) -> TXT {
    let strings: Vec<&[u8]> = value.as_bytes().chunks(TXT_STRING).collect();
    TXT::from_bytes(strings)
}

fn soa(zone: &Zone) -> Option<Record> {
    let [server] = zone.name_servers();
    let data = SOA::new(
        absolute(&server)?,
        absolute(&format!("hostmaster.{}", zone.ascii))?,
        1,
        3600,
        600,
        86_400,
        // How long a resolver may remember that there was nothing, in seconds (RFC 2308 5).
        1,
    );
    let owner = absolute(&zone.ascii)?;
    Some(Record::from_rdata(
        owner,
        INFRASTRUCTURE_TTL,
        RData::SOA(data),
    ))
}

fn name_servers(zone: &Zone) -> Option<Record> {
    let [server] = zone.name_servers();
    let data = RData::NS(NS(absolute(&server)?));
    Some(Record::from_rdata(
        absolute(&zone.ascii)?,
        INFRASTRUCTURE_TTL,
        data,
    ))
}

fn local_address(owner: &Name) -> Record {
    let data = RData::A(A(Ipv4Addr::LOCALHOST));
    Record::from_rdata(owner.clone(), INFRASTRUCTURE_TTL, data)
}

/// A name of the world as an absolute one.
fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}
