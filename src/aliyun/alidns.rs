//! Zones and TXT records (Alibaba Cloud DNS, API version 2015-01-09), as far as proofs by DNS need them.
//!
//! Records are deleted by id, never by name: other proofs may stand at the same name. Whether a
//! record can be seen from outside is not known here.

use std::fmt;

use serde_json::Value;

use super::action::Action;
use super::answer::text;
use super::client::{Client, Pages};
use super::code::Code;
use super::error::ApiError;
use super::parameters::Parameters;

/// The time to live of our records, in seconds: the shortest that every edition allows.
const TTL: &str = "600";

/// A zone of the account ("domain" in the API).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// As the API writes it: with Unicode where the name has some.
    name: String,
    /// The same in lower-case A-labels.
    ascii: String,
}

/// A name in a zone, where records can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordName {
    zone: Zone,
    /// What of the name lies in front of the zone, `@` for the zone itself.
    rr: String,
}

/// The id of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(String);

/// What a call that deletes a record came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The record was there and is gone.
    Done,
    /// This account has no record with that id: it is gone already, or it is in another account.
    Unknown,
}

/// The zones in which places for records are looked for. The account is asked for its list once,
/// when it is needed first.
#[derive(Debug)]
pub struct Zones<'a> {
    client: &'a Client,
    configured: &'a [Zone],
    listed: Option<Listed>,
}

/// What the account answered when it was asked for its zones.
#[derive(Debug)]
enum Listed {
    /// These.
    All(Vec<Zone>),
    /// The credentials may not list them.
    Forbidden,
}

impl Client {
    /// The zones to look in: the `configured` ones, and where none of them holds a name, all of the
    /// account.
    pub fn zones<'a>(&'a self, configured: &'a [Zone]) -> Zones<'a> {
        Zones {
            client: self,
            configured,
            listed: None,
        }
    }

    /// Adds a TXT record and returns its id. One with the same value that is there already is as
    /// good: it is what an earlier call left whose answer was lost.
    pub async fn add_txt(&self, name: &RecordName, value: &str) -> Result<RecordId, ApiError> {
        let action = Action::AddDomainRecord;
        let parameters = Parameters::new()
            .with("DomainName", &name.zone.name)
            .with("RR", &name.rr)
            .with("Type", "TXT")
            .with("Value", value)
            .with("TTL", TTL)
            .with("Lang", "en");
        let added = {
            let _edit = self.edit_zones().await;
            self.call(action, parameters).await
        };
        match added {
            Ok(answer) => RecordId::from_json(&answer)
                .ok_or_else(|| self.unreadable(action, "without a RecordId")),
            Err(error) if error.code() == Some(Code::RecordDuplicate) => {
                let existing = self.find_txt(name, value).await?;
                existing.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Finds the TXT record with exactly that name and value.
    pub async fn find_txt(
        &self,
        name: &RecordName,
        value: &str,
    ) -> Result<Option<RecordId>, ApiError> {
        const PAGES: Pages = Pages {
            items: "/DomainRecords/Record",
            total: "/TotalCount",
            size: 100,
        };
        let action = Action::DescribeSubDomainRecords;
        let parameters = Parameters::new()
            .with("SubDomain", name.sub_domain())
            .with("DomainName", &name.zone.name)
            .with("Type", "TXT")
            .with("Lang", "en");
        let wanted = |record: &Value| {
            let field = |field| text(record, field).unwrap_or_default();
            let same = field("Type").eq_ignore_ascii_case("TXT")
                && to_ascii(&field("RR")).as_ref() == Some(&name.rr)
                && field("Value") == value;
            same.then(|| RecordId::from_json(record)).flatten()
        };
        let found = self.list(action, &parameters, PAGES, wanted).await?;
        Ok(found.into_iter().next())
    }

    /// Deletes a record.
    pub async fn delete_record(&self, id: &RecordId) -> Result<Deletion, ApiError> {
        let parameters = Parameters::new()
            .with("RecordId", id.as_str())
            .with("Lang", "en");
        let result = {
            let _edit = self.edit_zones().await;
            self.call(Action::DeleteDomainRecord, parameters).await
        };
        let unknown = |error: &ApiError| {
            let codes = [Code::RecordNotBelongToUser, Code::RrNotFound];
            error.code().is_some_and(|code| codes.contains(&code))
        };
        match result {
            Ok(_) => Ok(Deletion::Done),
            Err(error) if unknown(&error) => Ok(Deletion::Unknown),
            Err(error) => Err(error),
        }
    }

    /// All zones of the account.
    async fn list_zones(&self) -> Result<Vec<Zone>, ApiError> {
        const PAGES: Pages = Pages {
            items: "/Domains/Domain",
            total: "/TotalCount",
            size: 100,
        };
        let action = Action::DescribeDomains;
        let parameters = Parameters::new().with("Lang", "en");
        self.list(action, &parameters, PAGES, Zone::from_json).await
    }

    /// Tries every name above `fqdn` that could be a zone. Being refused may mean that a name is
    /// no zone, or that it is somebody else's; if nothing else was heard, that refusal is the
    /// answer.
    async fn probe_zones(&self, fqdn: &str) -> Result<Option<RecordName>, ApiError> {
        let mut refused = None;
        for zone in Zone::above(fqdn) {
            let parameters = Parameters::new()
                .with("DomainName", &zone.name)
                .with("PageSize", "1")
                .with("Lang", "en");
            let result = self.call(Action::DescribeDomainRecords, parameters).await;
            let Err(error) = result else {
                return Ok(zone.record_name(fqdn));
            };
            match error.code() {
                Some(code) if code.names_no_zone() => {}
                Some(code) if code.lacks_permission() => refused = Some(error),
                Some(_) | None => return Err(error),
            }
        }
        refused.map_or(Ok(None), Err)
    }
}

// === impl Zones ===

impl Zones<'_> {
    /// Finds out where the records of a name belong: into the longest of the configured zones that
    /// holds it, else of the account's. Nothing if none does.
    ///
    /// Credentials that may not list the account's zones may still use one of them: then every
    /// name above this one is tried in turn, the longest first.
    pub async fn locate(&mut self, fqdn: &str) -> Result<Option<RecordName>, ApiError> {
        if let Some(name) = RecordName::in_longest(self.configured, fqdn) {
            return Ok(Some(name));
        }
        let listed = match self.listed.take() {
            Some(listed) => listed,
            None => match self.client.list_zones().await {
                Ok(zones) => Listed::All(zones),
                Err(error) if error.lacks_permission() => Listed::Forbidden,
                Err(error) => return Err(error),
            },
        };
        match self.listed.insert(listed) {
            Listed::All(zones) => Ok(RecordName::in_longest(zones, fqdn)),
            Listed::Forbidden => self.client.probe_zones(fqdn).await,
        }
    }
}

// === impl Zone ===

impl Zone {
    /// The zone of that name; nothing if it is no name of at least two parts.
    ///
    /// However it is written, the API is told it in Unicode: it refuses A-labels with
    /// `InvalidDomainName.NoExist` (seen by external-dns, pull request 6141).
    pub fn named(name: &str) -> Option<Self> {
        let ascii = to_ascii(name)?;
        let (name, _) = idna::domain_to_unicode(&ascii);
        ascii.contains('.').then_some(Self { name, ascii })
    }

    /// Its name as the API writes it.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The same in lower-case A-labels.
    pub fn as_ascii(&self) -> &str {
        &self.ascii
    }

    /// The place of a name in this zone; nothing if it is not in it.
    pub fn record_name(&self, fqdn: &str) -> Option<RecordName> {
        let fqdn = to_ascii(fqdn)?;
        let front = fqdn.strip_suffix(&self.ascii)?;
        let rr = match front.strip_suffix('.') {
            Some(rr) => rr,
            None if front.is_empty() => "@",
            None => return None,
        };
        Some(RecordName {
            zone: self.clone(),
            rr: rr.to_owned(),
        })
    }

    /// Reads an item of the list of zones.
    fn from_json(item: &Value) -> Option<Self> {
        let name = text(item, "DomainName")?;
        let ascii = text(item, "PunyCode").and_then(|name| to_ascii(&name));
        Some(Self {
            ascii: ascii.or_else(|| to_ascii(&name))?,
            name,
        })
    }

    /// The names above `fqdn`, itself included, the longest first.
    fn above(fqdn: &str) -> Vec<Self> {
        let fqdn = to_ascii(fqdn).unwrap_or_default();
        let mut names = vec![fqdn.as_str()];
        while let Some((_, above)) = names.last().and_then(|name| name.split_once('.')) {
            names.push(above);
        }
        names.into_iter().filter_map(Self::named).collect()
    }
}

// === impl RecordName ===

impl RecordName {
    /// The zone.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    fn in_longest(zones: &[Zone], fqdn: &str) -> Option<Self> {
        zones
            .iter()
            .filter_map(|zone| zone.record_name(fqdn))
            .max_by_key(|name| name.zone.ascii.len())
    }

    /// The whole name, as `SubDomain` wants it.
    fn sub_domain(&self) -> String {
        match self.rr.as_str() {
            "@" => self.zone.name.clone(),
            rr => format!("{rr}.{}", self.zone.name),
        }
    }
}

// === impl RecordId ===

impl RecordId {
    /// The id with that text, as it was stored.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn from_json(record: &Value) -> Option<Self> {
        text(record, "RecordId").map(Self)
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name in lower-case A-labels without the final dot. Unlike a name on a certificate it may have
/// parts such as `_acme-challenge`.
fn to_ascii(name: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii(name.trim_end_matches('.')).ok()?;
    (!ascii.is_empty()).then_some(ascii)
}

#[cfg(test)]
mod tests;
