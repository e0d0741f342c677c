//! DNS zones and their records, as Alidns keeps them.

use std::time::Instant;

/// The record types that this world keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name.
    Cname,
    /// Text.
    Txt,
}

impl RecordKind {
    /// Reads the API's word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::A, Self::Aaaa, Self::Cname, Self::Txt]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }

    /// The word the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Txt => "TXT",
        }
    }
}

/// One record of a zone.
#[derive(Debug, Clone)]
pub struct Record {
    /// `RecordId`.
    pub id: i64,
    /// The name below the zone, `@` for the zone itself, `*` for a wildcard.
    pub rr: String,
    /// The type.
    pub kind: RecordKind,
    /// The value as text.
    pub value: String,
    /// Time to live, in seconds.
    pub ttl: u32,
    /// The resolution line.
    pub line: String,
    /// When it was added; name servers show it a delay later.
    pub created: Instant,
}

impl Record {
    /// The TTL of a record that names none, and the least that the free edition allows.
    pub(crate) const DEFAULT_TTL: u32 = 600;

    /// Makes a record on the default line with the default TTL.
    pub(crate) fn new(id: i64, rr: &str, kind: RecordKind, value: &str) -> Self {
        Self {
            id,
            rr: rr.to_ascii_lowercase(),
            kind,
            value: value.to_owned(),
            ttl: Self::DEFAULT_TTL,
            line: "default".to_owned(),
            created: Instant::now(),
        }
    }
}

/// A DNS zone.
#[derive(Debug, Clone)]
pub struct Zone {
    /// Its name as the API writes it: in lower case without a final dot, with Unicode where the name
    /// has some.
    pub name: String,
    /// Its name as DNS writes it: the same in A-labels.
    pub ascii: String,
    /// Whether it is somebody else's: name servers answer for it, but the account does not have it.
    pub foreign: bool,
    /// The least TTL it takes, in seconds.
    pub min_ttl: u32,
    /// Its records, oldest first.
    pub records: Vec<Record>,
}

impl Zone {
    /// Makes a zone without records.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ascii: to_ascii(name),
            foreign: false,
            min_ttl: Record::DEFAULT_TTL,
            records: Vec::new(),
        }
    }

    /// The part of `name`, in A-labels, below the zone (`@` for the zone itself); none outside.
    pub fn relative<'a>(&self, name: &'a str) -> Option<&'a str> {
        let rest = name.strip_suffix(self.ascii.as_str())?;
        if rest.is_empty() {
            return Some("@");
        }
        rest.strip_suffix('.').filter(|rr| !rr.is_empty())
    }

    /// The names of its servers.
    pub fn name_servers(&self) -> [String; 1] {
        [format!("ns1.{}", self.ascii)]
    }
}

/// A name in lower-case A-labels.
pub(crate) fn to_ascii(name: &str) -> String {
    match url::Host::parse(name) {
        Ok(url::Host::Domain(ascii)) => ascii,
        Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) | Err(_) => name.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_the_zone() {
        let zone = Zone::new("example.com");
        let cases = [
            ("example.com", Some("@")),
            ("_acme-challenge.a.example.com", Some("_acme-challenge.a")),
            ("badexample.com", None),
            (".example.com", None),
            ("com", None),
        ];
        for (name, expected) in cases {
            assert_eq!(zone.relative(name), expected, "{name}");
        }
        let zone = Zone::new("例子.com");
        assert_eq!(zone.relative("_a.xn--fsqu00a.com"), Some("_a"));
        assert_eq!(to_ascii("_A.例子.com"), "_a.xn--fsqu00a.com");
    }
}
