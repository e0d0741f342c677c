//! The two files that come with the program.

use std::collections::BTreeSet;

use super::super::error::Findings;
use super::super::file::File;
use super::super::read::{self, UnknownKey};
use super::super::{Schedule, StoreConfig};
use super::right;

const EXAMPLE: &str = include_str!("../../../config/example.toml");
const MINIMAL: &str = include_str!("../../../config/minimal.toml");

#[test]
fn the_example_can_be_used() {
    let config = right(EXAMPLE).config;
    assert_eq!(config.certificates.len(), 2);
    assert_eq!(config.certificates[1].targets.len(), 2);
}

#[test]
fn the_minimal_file_is_a_certificate_with_one_target() {
    let config = right(MINIMAL).config;
    let [certificate] = config.certificates.as_slice() else {
        panic!("{:?}", config.certificates)
    };
    assert_eq!(certificate.spec.label.as_str(), "v.example.com");
    let targets: Vec<_> = certificate
        .targets
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(targets, ["aliyun-vod/default/v.example.com"]);
    assert_eq!(config.issuers["letsencrypt"].contact, ["ops@example.com"]);
}

/// What the example calls defaults are the defaults of the program.
#[test]
fn the_example_shows_the_defaults() {
    let example = right(EXAMPLE).config;
    let minimal = right(&MINIMAL.replace("v.example.com", "download.example.com")).config;
    assert_eq!(example.certificates[0], minimal.certificates[0]);
    assert_eq!(example.store, StoreConfig::default());
    assert_eq!(example.schedule, Schedule::default());
    assert_eq!(example.http, minimal.http);
    assert_eq!(example.dns, minimal.dns);
    assert_eq!(example.network.timeout, minimal.network.timeout);
    assert_eq!(example.clouds["default"], minimal.clouds["default"]);
    assert_eq!(example.solvers, minimal.solvers);
    assert_eq!(example.issuers, minimal.issuers);
}

#[test]
fn every_field_occurs_in_the_example() {
    let text = uncommented(EXAMPLE);
    let mut findings = Findings::of(&text);
    assert!(read::read(&text, &mut findings).is_some());
    let problems = findings.into_problems("uncommented example");
    assert!(problems.is_empty(), "{problems}");

    let mut shown = BTreeSet::new();
    let document: toml::Table = toml::from_str(&text).unwrap();
    collect_paths("", &toml::Value::Table(document), &mut shown);
    let missing: Vec<_> = known_paths().difference(&shown).cloned().collect();
    assert!(
        missing.is_empty(),
        "not in config/example.toml: {missing:?}"
    );
}

#[test]
fn the_fields_are_really_found_out() {
    let known = known_paths();
    for path in [
        "contact",
        "schedule.brake.orders_per_day",
        "issuers.*.eab.hmac_key_file",
        "clouds.*.credentials.source",
        "solvers.*.tsig.algorithm",
        "defaults.rollout.max_failures",
        "certificates.solver",
        "certificates.targets.look.every",
        "alerts.min_severity",
    ] {
        assert!(known.contains(path), "{path} in {known:?}");
    }
}

/// The example with everything in force that stands behind a `# `.
fn uncommented(text: &str) -> String {
    let setting = |line: &str| {
        let key = line.split(" = ").next().unwrap_or_default();
        let is_key = |b: u8| b.is_ascii_lowercase() || b == b'_';
        line.starts_with('[') || (key != line && key.bytes().all(is_key))
    };
    let uncomment = |line: &str| match line.trim_start().strip_prefix("# ") {
        Some(rest) if setting(rest) => format!("{rest}\n"),
        Some(_) | None => format!("{line}\n"),
    };
    text.lines().map(uncomment).collect()
}

/// All settings of a document as dotted paths, with `*` for the names of named things.
fn collect_paths(path: &str, value: &toml::Value, found: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let named = ["issuers", "clouds", "solvers"].contains(&path);
                let path = join(path, if named { "*" } else { key });
                found.insert(path.clone());
                collect_paths(&path, value, found);
            }
        }
        toml::Value::Array(array) => array
            .iter()
            .for_each(|value| collect_paths(path, value, found)),
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => {}
    }
}

/// All settings that the file can have, as dotted paths, found out from serde itself: what a struct
/// does not know, it refuses by naming all that it knows.
fn known_paths() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    explore("", &|inside| inside.to_owned(), &mut found);
    found
}

fn explore(path: &str, around: &dyn Fn(&str) -> String, found: &mut BTreeSet<String>) {
    const UNKNOWN: &str = "{ no-such-key = 0 }";
    let named = join(path, "*");
    // A table, a list of tables, a table of named tables.
    let forms = [
        (path, "", ""),
        (path, "[", "]"),
        (named.as_str(), "{ x = ", " }"),
    ];
    for (path, before, after) in forms {
        let around = |inside: &str| around(&format!("{before}{inside}{after}"));
        let text = format!("file = {}", around(UNKNOWN));
        for field in fields_named_in_the_refusal_of(&text) {
            let path = join(path, &field);
            // A source of credentials may have a source of credentials, and so on.
            let endless = field == "source";
            found.insert(path.clone());
            if !endless {
                let within = |inside: &str| around(&format!("{{ {field} = {inside} }}"));
                explore(&path, &within, found);
            }
        }
    }
}

fn fields_named_in_the_refusal_of(text: &str) -> Vec<String> {
    #[derive(Debug, serde::Deserialize)]
    struct Wrapper {
        #[expect(dead_code, reason = "only the refusal is of interest")]
        file: File,
    }
    let error = toml::from_str::<Wrapper>(text).unwrap_err();
    let unknown = UnknownKey::of(error.message()).filter(|unknown| unknown.key == "no-such-key");
    unknown.map_or_else(Vec::new, |unknown| {
        unknown.known.into_iter().map(ToOwned::to_owned).collect()
    })
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
