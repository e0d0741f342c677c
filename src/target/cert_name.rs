//! The names under which certificates are uploaded (`CertName`).
//!
//! A name is made from what it stands for and from nothing else, so that an upload whose answer was
//! lost is found again under the same name, and a repeated upload meets itself instead of making a
//! second copy. A name also says whose it is: only names of this installation count as ours.
//!
//! `vodcertd-<installation>-<label>-g<generation>-<date>-<leaf>[-r<rename>]`
//!
//! where installation is the id of the store that made it, label a hash, the date the first day of
//! validity, and leaf the beginning of the leaf's SHA-256. Certificate Management Service takes at
//! most 63 characters and wants every name to be unique in the account.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::certificate::{Fingerprint, Leaf, hex};
use crate::name::Label;
use crate::time::Timestamp;

/// How often a name that is taken may be changed.
pub const MAX_RENAMES: u8 = 2;

const PREFIX: &str = "vodcertd";
const HASH_DIGITS: usize = 8;
const DATE_DIGITS: usize = 8;

/// Tells the certificates of one store from those of all others: eight lower-case hex digits, made
/// with the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallationId(String);

/// The name of one uploaded certificate. Equal names stand for equal certificates.
#[derive(Clone, PartialEq, Eq)]
pub struct CertName {
    installation: InstallationId,
    label: String,
    generation: u32,
    date: String,
    leaf: String,
    rename: u8,
}

/// A text that is no name of ours: somebody else's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate name that vodcertd makes")]
pub struct ForeignName;

impl CertName {
    /// The name for a generation of the certificate `label`, made by `installation`. `rename` counts how
    /// often a name was refused as taken; more than [`MAX_RENAMES`] is the same as that.
    pub fn new(
        installation: &InstallationId,
        label: &Label,
        generation: u32,
        leaf: &Leaf,
        rename: u8,
    ) -> Self {
        let day = leaf.not_before.to_iso_seconds();
        Self {
            installation: installation.clone(),
            label: short_hash(label.as_str()),
            generation,
            date: day
                .chars()
                .filter(char::is_ascii_digit)
                .take(DATE_DIGITS)
                .collect(),
            leaf: leaf.fingerprint.short(HASH_DIGITS),
            rename: rename.min(MAX_RENAMES),
        }
    }

    /// Whether this installation made it.
    pub fn is_of(&self, installation: &InstallationId) -> bool {
        self.installation == *installation
    }

    /// Whether it was made for the certificate with this label.
    pub fn is_for(&self, label: &Label) -> bool {
        self.label == short_hash(label.as_str())
    }

    /// Which generation it stands for.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether it stands for this leaf.
    pub fn is_of_leaf(&self, leaf: &Fingerprint) -> bool {
        self.leaf == leaf.short(HASH_DIGITS)
    }

    /// The latest moment at which the leaf that it stands for can become valid: the end of the day.
    pub fn latest_not_before(&self) -> Timestamp {
        end_of_day(&self.date).expect("the date was made from a time, or checked when it was read")
    }
}

/// The first hex digits of a text's SHA-256: any text becomes allowed characters of a fixed length.
fn short_hash(text: &str) -> String {
    let mut digits = hex(&Sha256::digest(text.as_bytes()));
    digits.truncate(HASH_DIGITS);
    digits
}

impl fmt::Display for CertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            installation: InstallationId(installation),
            label,
            generation,
            date,
            leaf,
            rename,
        } = self;
        write!(
            f,
            "{PREFIX}-{installation}-{label}-g{generation}-{date}-{leaf}"
        )?;
        if *rename > 0 {
            write!(f, "-r{rename}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for CertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for InstallationId {
    type Err = ForeignName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_hash(text).map(Self)
    }
}

impl FromStr for CertName {
    type Err = ForeignName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('-').collect();
        let (parts, rename) = match parts.as_slice() {
            [rest @ .., last] if rest.len() == 6 => (rest, parse_rename(last)?),
            all => (all, 0),
        };
        let &[PREFIX, installation, label, generation, date, leaf] = parts else {
            return Err(ForeignName);
        };
        let generation = generation.strip_prefix('g').ok_or(ForeignName)?;
        Ok(Self {
            installation: installation.parse()?,
            label: parse_hash(label)?,
            generation: parse_count(generation)?,
            date: parse_date(date)?,
            leaf: parse_hash(leaf)?,
            rename,
        })
    }
}

fn parse_rename(text: &str) -> Result<u8, ForeignName> {
    let count = parse_count(text.strip_prefix('r').ok_or(ForeignName)?)?;
    let count = u8::try_from(count).map_err(|_| ForeignName)?;
    let exists = (1..=MAX_RENAMES).contains(&count);
    exists.then_some(count).ok_or(ForeignName)
}

/// Reads a number in the one way in which it is written: digits without leading zeros.
fn parse_count(text: &str) -> Result<u32, ForeignName> {
    let count: u32 = text.parse().map_err(|_| ForeignName)?;
    (count.to_string() == text)
        .then_some(count)
        .ok_or(ForeignName)
}

fn parse_date(text: &str) -> Result<String, ForeignName> {
    let valid = text.len() == DATE_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    let day = end_of_day(text).filter(|_| valid);
    day.map(|_| text.to_owned()).ok_or(ForeignName)
}

/// The last second of a day that is written as eight digits.
fn end_of_day(date: &str) -> Option<Timestamp> {
    let (year, month, day) = (date.get(..4)?, date.get(4..6)?, date.get(6..)?);
    format!("{year}-{month}-{day}T23:59:59Z").parse().ok()
}

fn parse_hash(text: &str) -> Result<String, ForeignName> {
    let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let valid = text.len() == HASH_DIGITS && text.bytes().all(digit);
    valid.then(|| text.to_owned()).ok_or(ForeignName)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The longest name that Certificate Management Service takes, in characters.
    const MAX_LENGTH: usize = 63;

    fn leaf(not_before: i64, der: &[u8]) -> Leaf {
        let not_before = Timestamp::from_seconds(not_before);
        Leaf {
            names: BTreeSet::new(),
            not_before,
            not_after: not_before,
            serial: String::new(),
            authority_key_id: None,
            issuer: String::new(),
            key: None,
            fingerprint: Fingerprint::of(der),
        }
    }

    fn id(text: &str) -> InstallationId {
        text.parse().unwrap()
    }

    /// Whether a name, as an API gave it, was made by this installation.
    fn is_ours(name: &str, installation: &str) -> bool {
        name.parse::<CertName>()
            .is_ok_and(|name| name.is_of(&id(installation)))
    }

    fn label(text: &str) -> Label {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_says_what_it_stands_for() {
        let leaf = leaf(1_769_860_800, b"leaf");
        let name = CertName::new(&id("3f9c01ab"), &label("video"), 7, &leaf, 0);
        let shown = name.to_string();
        assert!(shown.starts_with("vodcertd-3f9c01ab-"), "{shown}");
        assert!(shown.contains("-g7-20260131-"), "{shown}");
        assert!(shown.ends_with(&leaf.fingerprint.short(8)), "{shown}");
        assert_eq!(
            name,
            CertName::new(&id("3f9c01ab"), &label("video"), 7, &leaf, 0)
        );
    }

    #[test]
    fn every_part_changes_the_name() {
        let one = leaf(1_769_860_800, b"leaf");
        let names = [
            CertName::new(&id("aaaaaaaa"), &label("video"), 1, &one, 0),
            CertName::new(&id("bbbbbbbb"), &label("video"), 1, &one, 0),
            CertName::new(&id("aaaaaaaa"), &label("other"), 1, &one, 0),
            CertName::new(&id("aaaaaaaa"), &label("video"), 2, &one, 0),
            CertName::new(
                &id("aaaaaaaa"),
                &label("video"),
                1,
                &leaf(1_769_860_800, b"else"),
                0,
            ),
            CertName::new(
                &id("aaaaaaaa"),
                &label("video"),
                1,
                &leaf(1_769_960_800, b"leaf"),
                0,
            ),
            CertName::new(&id("aaaaaaaa"), &label("video"), 1, &one, 1),
            CertName::new(&id("aaaaaaaa"), &label("video"), 1, &one, 2),
        ];
        let distinct: BTreeSet<String> = names.iter().map(CertName::to_string).collect();
        assert_eq!(distinct.len(), names.len());
        let beyond = CertName::new(&id("aaaaaaaa"), &label("video"), 1, &one, 9);
        assert_eq!(beyond, names[7]);
    }

    #[test]
    fn foreign_names_are_not_ours() {
        let ours =
            CertName::new(&id("aaaaaaaa"), &label("video"), 1, &leaf(0, b"leaf"), 1).to_string();
        assert!(is_ours(&ours, "aaaaaaaa"));
        let cases = [
            ("made by another installation", ours.clone(), "bbbbbbbb"),
            ("another tool", "certimate-1769860800000".into(), "aaaaaaaa"),
            ("only the prefix", "vodcertd".into(), "aaaaaaaa"),
            ("nothing", String::new(), "aaaaaaaa"),
            (
                "a renaming that does not exist",
                ours.replace("-r1", "-r3"),
                "aaaaaaaa",
            ),
            (
                "a renaming written oddly",
                ours.replace("-r1", "-r01"),
                "aaaaaaaa",
            ),
            ("something behind", format!("{ours}-x"), "aaaaaaaa"),
            (
                "a generation that is none",
                ours.replace("-g1-", "-gx-"),
                "aaaaaaaa",
            ),
            ("upper case", ours.to_uppercase(), "aaaaaaaa"),
            (
                "a day that does not exist",
                ours.replace("-19700101-", "-19700230-"),
                "aaaaaaaa",
            ),
        ];
        for (case, name, installation) in cases {
            assert!(!is_ours(&name, installation), "{case}: {name}");
        }
    }

    proptest! {
        #[test]
        fn names_fit_and_are_read_back(
            installation in "[0-9a-f]{8}",
            label in "[A-Za-z0-9_][A-Za-z0-9._-]{0,99}",
            generation: u32,
            not_before in 0_i64..253_402_207_200,
            der: Vec<u8>,
            rename in 0_u8..5,
        ) {
            let leaf = leaf(not_before, &der);
            let name = CertName::new(&id(&installation), &label.parse().unwrap(), generation, &leaf, rename);
            let text = name.to_string();
            prop_assert!(text.len() <= MAX_LENGTH, "{}", text);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{}", text);
            let read: CertName = text.parse().unwrap();
            prop_assert_eq!(&read, &name);
            prop_assert_eq!(read.generation(), generation);
            prop_assert!(is_ours(&text, &installation));
            prop_assert!(read.is_of_leaf(&leaf.fingerprint));
            let latest = read.latest_not_before();
            prop_assert!(leaf.not_before <= latest && latest.since(leaf.not_before).as_secs() < 86_400);
        }

        #[test]
        fn whatever_is_read_is_written_the_same(text in "vodcertd-[a-f0-9]{8}-[a-f0-9]{8}-g[0-9]{1,3}-[0-9]{8}-[a-f0-9]{8}(-r[0-9])?") {
            if let Ok(name) = text.parse::<CertName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
