//! Holds the shape of the source: who may import whom, and the absences that the architecture is
//! made of. The table is the one of the code map in `lib.rs`.
//!
//! Every rule is a function over text, so that each one is also shown to fail.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The modules that import nothing of ours, or nearly: words that everyone uses.
const GROUND: &[&str] = &[
    "name",
    "time",
    "secret",
    "retry",
    "certificate",
    "clock",
    "dns",
    "keys",
    "net",
];

/// Who may import whom. `ground` stands for all of [`GROUND`].
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("name", &[]),
    ("time", &[]),
    ("secret", &[]),
    ("retry", &["time"]),
    ("certificate", &["name", "time", "secret", "retry"]),
    ("clock", &["name", "time", "secret", "retry"]),
    ("keys", &["name", "time", "secret", "retry", "certificate"]),
    ("net", &["name", "time", "secret", "retry"]),
    ("dns", &["name", "time", "secret", "retry"]),
    ("renewal", &["name", "time", "certificate", "retry"]),
    (
        "acme",
        &[
            "name",
            "time",
            "secret",
            "retry",
            "certificate",
            "clock",
            "keys",
            "net",
        ],
    ),
    ("aliyun", &["ground"]),
    ("solver", &["aliyun", "ground"]),
    ("target", &["aliyun", "ground"]),
    ("store", &["renewal", "ground"]),
    (
        "status",
        &[
            "renewal",
            "store",
            "name",
            "time",
            "retry",
            "certificate",
            "clock",
            "keys",
            "net",
            "dns",
        ],
    ),
    (
        "config",
        &["acme", "aliyun", "solver", "target", "renewal", "ground"],
    ),
    (
        "daemon",
        &[
            "config", "status", "store", "target", "solver", "aliyun", "acme", "renewal", "ground",
        ],
    ),
    (
        "cli",
        &["config", "daemon", "store", "status", "renewal", "ground"],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Only `daemon/mod.rs` and what builds the adapters for it know the configuration.
const DAEMON_FILES_WITH_CONFIG: &[&str] = &["src/daemon/mod.rs", "src/daemon/build.rs"];

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "helpers", "helper", "manager", "common", "misc",
];

/// No file is longer.
const LINES: usize = 600;

/// A source file: its path from the root of the package, and its text.
struct Source {
    path: String,
    text: String,
}

#[test]
fn imports_keep_to_the_table() {
    assert_eq!(complaints(forbidden_imports), Vec::<String>::new());
}

#[test]
fn the_core_is_pure() {
    assert_eq!(complaints(impurities), Vec::<String>::new());
}

#[test]
fn only_the_commands_talk() {
    assert_eq!(complaints(talk), Vec::<String>::new());
}

#[test]
fn what_the_code_map_names_is_there() {
    let lib = read(Path::new("src/lib.rs"));
    let paths = paths_of(&lib);
    assert!(paths.len() > 5, "{paths:?}");
    for path in paths {
        assert!(exists(&path), "the code map names {path}");
    }
}

#[test]
fn nothing_is_unfinished_or_skipped() {
    assert_eq!(complaints(unfinished), Vec::<String>::new());
}

#[test]
fn files_are_short_and_named_for_what_they_hold() {
    let sources = sources();
    let found: Vec<String> = sources.iter().flat_map(shape).collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_module_with_parts_is_a_folder_with_a_mod_file() {
    let paths: BTreeSet<String> = sources().into_iter().map(|source| source.path).collect();
    assert_eq!(misplaced(&paths), Vec::<String>::new());
    let split = ["src/x.rs", "src/x/part.rs"].map(str::to_owned).into();
    let alone = ["src/x/mod.rs", "src/x/tests.rs"].map(str::to_owned).into();
    let right = ["src/x.rs", "src/x/tests.rs", "src/y/mod.rs", "src/y/z.rs"].map(str::to_owned);
    assert_eq!(misplaced(&split).len(), 1);
    assert_eq!(misplaced(&alone).len(), 1);
    assert_eq!(misplaced(&right.into()), Vec::<String>::new());
}

#[test]
fn every_module_is_in_the_table_and_in_the_code_map() {
    let lib = read(Path::new("src/lib.rs"));
    let map: String = lib.lines().filter(|line| line.starts_with("//!")).collect();
    for line in lib.lines().filter_map(|line| line.strip_prefix("pub mod ")) {
        let module = line.trim_end_matches(';');
        assert!(
            MAY_IMPORT.iter().any(|(name, _)| *name == module),
            "{module} is in no table"
        );
        assert!(
            map.contains(&format!("[`{module}`]")),
            "the code map does not name {module}"
        );
    }
}

/// Lines that break the table, and where.
const FORBIDDEN: [(&str, &str); 16] = [
    ("src/renewal/decide/mod.rs", "use crate::clock::Clock;"),
    (
        "src/renewal/spec.rs",
        "use crate::{time::Timestamp, secret::Secret};",
    ),
    ("src/acme/order.rs", "let found = crate::dns::Dns::new();"),
    ("src/solver/alidns.rs", "use crate::acme::Proof;"),
    ("src/store/mod.rs", "use crate::aliyun::Client;"),
    ("src/daemon/worker.rs", "use crate::config::Config;"),
    ("src/time.rs", "use crate::name::Label;"),
    ("src/config/mod.rs", "use crate::store::StoreSettings;"),
    ("src/retry.rs", "use super::clock::Clock;"),
    (
        "src/retry.rs",
        "use super::{time::Timestamp, clock::Clock};",
    ),
    ("src/retry.rs", "use super::*;"),
    ("src/retry.rs", "use super::{\n    clock::Clock,\n};"),
    (
        "src/retry.rs",
        "mod tests {\n    use super::super::dns::Dns;\n}\n",
    ),
    ("src/acme/mod.rs", "use super::dns::Dns;"),
    ("src/acme/order.rs", "fn f(dns: super::super::dns::Dns) {}"),
    (
        "src/acme/failure/tests.rs",
        "use super::super::super::dns::Dns;",
    ),
];

/// Lines that keep to it.
const ALLOWED: [(&str, &str); 6] = [
    (
        "src/renewal/spec.rs",
        "use crate::{name::Label, time::Timestamp};",
    ),
    ("src/retry.rs", "mod tests {\n    use super::*;\n}\n"),
    ("src/retry.rs", "use super::time::Timestamp;"),
    ("src/acme/order.rs", "use super::chain::Chain;"),
    (
        "src/acme/failure/tests.rs",
        "use super::super::problem::Problem;",
    ),
    (
        "src/status/page_tests.rs",
        "use super::super::snapshot::Next;",
    ),
];

fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.into(),
        text: text.into(),
    }
}

#[test]
fn forbidden_imports_are_found_and_no_others() {
    for (path, text) in FORBIDDEN {
        let found = forbidden_imports(&source(path, text));
        assert_ne!(found, Vec::<String>::new(), "{path}: {text}");
    }
    for (path, text) in ALLOWED {
        let found = forbidden_imports(&source(path, text));
        assert_eq!(found, Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn the_rules_find_what_they_are_for() {
    for text in ["use anyhow::Context;", "io::stdout()", "std::io::stderr()"] {
        assert_ne!(
            talk(&source("src/daemon/mod.rs", text)),
            Vec::<String>::new()
        );
        assert_eq!(talk(&source("src/cli/run.rs", text)), Vec::<String>::new());
    }
    for text in [
        "async fn decide() {}",
        "tracing::info!(\"x\")",
        "rand::random()",
        ".await",
    ] {
        assert_ne!(
            impurities(&source("src/renewal/decide/mod.rs", text)),
            Vec::<String>::new()
        );
    }
    for text in UNFINISHED {
        assert_ne!(
            unfinished(&source("src/cli/run.rs", text)),
            Vec::<String>::new()
        );
    }
    let map = "//! `renewal/` `retry.rs`: `daemon/nothing.rs` `a_word` `tests/it/tidy.rs`\n";
    assert_eq!(
        paths_of(map),
        [
            "renewal/",
            "retry.rs",
            "daemon/nothing.rs",
            "tests/it/tidy.rs"
        ]
    );
    assert!(exists("renewal/") && exists("tests/it/tidy.rs") && !exists("daemon/nothing.rs"));
    assert_ne!(shape(&source("src/utils.rs", "")), Vec::<String>::new());
    assert_ne!(
        shape(&source("src/cli/run.rs", &"\n".repeat(LINES + 1))),
        Vec::<String>::new()
    );
}

/// Paths into the crate that the table does not allow.
fn forbidden_imports(source: &Source) -> Vec<String> {
    let Some(module) = module_of(&source.path) else {
        return Vec::new();
    };
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
        return vec![format!(
            "{}: the module {module} is in no table",
            source.path
        )];
    };
    let permitted = |target: &str| {
        target == module
            || allowed.contains(&target)
            || (allowed.contains(&"ground") && GROUND.contains(&target))
    };
    let knows_config = module != "daemon" || DAEMON_FILES_WITH_CONFIG.contains(&&*source.path);
    imports(&source.text)
        .into_iter()
        .chain(imports_by_super(source))
        .filter(|target| !permitted(target) || (target == "config" && !knows_config))
        .map(|target| format!("{}: may not import crate::{target}", source.path))
        .collect()
}

/// The top-level modules that a text names by `crate::x` or `crate::{x, y}`.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let whole_word = code[..at]
            .chars()
            .next_back()
            .is_none_or(|c| !c.is_alphanumeric());
        if !whole_word {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            found.extend(top_level(group));
        } else {
            found.extend(word(rest));
        }
    }
    found.retain(|name| MAY_IMPORT.iter().any(|(module, _)| module == name));
    found
}

/// The same by `super::`, as often as it takes to come to the root of the crate.
fn imports_by_super(source: &Source) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // The indents of the inline modules that are open: rustfmt closes each where it opens.
    let mut inline: Vec<usize> = Vec::new();
    for line in source.text.lines() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if code == "}" && inline.last() == Some(&indent) {
            inline.pop();
        }
        let is_module = code.starts_with("mod ") || code.contains(" mod ");
        if is_module && code.ends_with('{') {
            inline.push(indent);
        }
        if !code.starts_with("//") {
            found.extend(from_root(code, depth_of(&source.path) + inline.len()));
        }
    }
    found
}

/// What a line names in the root of the crate by `super::`, in a module so deep.
fn from_root(line: &str, depth: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = line;
    while let Some(at) = rest.find("super::") {
        rest = &rest[at..];
        let mut steps = 0;
        while let Some(next) = rest.strip_prefix("super::") {
            (rest, steps) = (next, steps + 1);
        }
        if steps >= depth {
            if rest == "{" {
                found.insert("a group over several lines: use crate::".to_owned());
            } else if let Some(group) = rest.strip_prefix('{') {
                found.extend(top_level(group));
            } else if rest.starts_with('*') {
                found.insert("*".to_owned());
            } else {
                found.extend(word(rest));
            }
        }
    }
    found
}

/// How deep below the root of the crate the module of a file lies.
fn depth_of(path: &str) -> usize {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let parts = path.trim_end_matches("/mod").split('/').count();
    // `x_tests.rs` is the module `x::tests`.
    parts + usize::from(path.ends_with("_tests"))
}

/// The files and folders that the documentation of the crate names in backticks.
fn paths_of(lib: &str) -> Vec<String> {
    let lines = lib.lines().filter_map(|line| line.strip_prefix("//!"));
    let quoted = lines.flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted
        .filter(|word| {
            word.ends_with('/') || Path::new(word).extension().is_some_and(|x| x == "rs")
        })
        .map(str::to_owned)
        .collect()
}

/// Whether something is there, in `src/` or as it is written.
fn exists(path: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("src").join(path).exists() || root.join(path).exists()
}

/// The first words of the members of a `{…}` group.
fn top_level(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut fresh) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && depth == 0 && !c.is_whitespace() => {
                names.extend(word(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn word(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// What the core must not do.
fn impurities(source: &Source) -> Vec<String> {
    if !source.path.starts_with("src/renewal/") {
        return Vec::new();
    }
    let banned = [
        "async ",
        ".await",
        "tracing::",
        "println!",
        "rand::",
        "SystemTime",
        "Instant",
        "std::fs",
        "std::env",
        "tokio::",
        "TcpStream",
        "UdpSocket",
    ];
    found_in_code(source, &banned, "the core must not use")
}

/// Put together from parts, so that this file keeps to the rule as well.
const UNFINISHED: [&str; 3] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
];

fn unfinished(source: &Source) -> Vec<String> {
    found_in_code(source, &UNFINISHED, "must not stay:")
}

/// Only the commands print, and only they say why something failed in words of their own.
fn talk(source: &Source) -> Vec<String> {
    let may = ["src/cli/", "tests/"];
    if may.iter().any(|folder| source.path.starts_with(folder)) {
        return Vec::new();
    }
    let banned = ["anyhow::", "io::stdout", "io::stderr"];
    found_in_code(source, &banned, "only src/cli/ may use")
}

fn found_in_code(source: &Source, banned: &[&str], complaint: &str) -> Vec<String> {
    let code = source
        .text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.collect::<Vec<_>>().join("\n");
    let found = banned.iter().filter(|word| code.contains(**word));
    found
        .map(|word| format!("{}: {complaint} {word}", source.path))
        .collect()
}

fn shape(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let lines = source.text.lines().count();
    if lines > LINES {
        found.push(format!("{}: {lines} lines, more than {LINES}", source.path));
    }
    let parts = Path::new(&source.path).with_extension("");
    for part in parts.iter().filter_map(|part| part.to_str()) {
        if EMPTY_NAMES.contains(&part) {
            found.push(format!("{}: \"{part}\" says nothing", source.path));
        }
    }
    found
}

/// A module is `x.rs`, with its tests beside it in `x/tests.rs` if they are long; one with parts is
/// `x/mod.rs` with its parts beside that.
fn misplaced(paths: &BTreeSet<String>) -> Vec<String> {
    let parts_of = |folder: &str| {
        let inside = format!("{folder}/");
        paths.iter().any(|path| {
            path.strip_prefix(&inside)
                .is_some_and(|rest| rest != "mod.rs" && !rest.starts_with("tests"))
        })
    };
    let complaint = |path: &String| {
        if let Some(folder) = path.strip_suffix("/mod.rs") {
            let alone = folder.starts_with("src/") && !parts_of(folder);
            return alone.then(|| format!("{path}: has no parts; it should be {folder}.rs"));
        }
        let folder = path.strip_suffix(".rs")?;
        let root = ["src/lib", "src/main"].contains(&folder);
        (!root && parts_of(folder))
            .then(|| format!("{path}: has parts; it should be {folder}/mod.rs"))
    };
    paths.iter().filter_map(complaint).collect()
}

fn complaints(rule: fn(&Source) -> Vec<String>) -> Vec<String> {
    sources().iter().flat_map(rule).collect()
}

/// All Rust files of the project.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in ["src", "tests"] {
        collect(Path::new(folder), &mut paths);
    }
    assert!(paths.len() > 50, "only {} files found", paths.len());
    paths
        .iter()
        .map(|path| Source {
            path: path.to_string_lossy().into_owned(),
            text: read(path),
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(root.join(folder)).unwrap();
    for entry in entries.map(Result::unwrap) {
        let path = folder.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The module of `src/` that a file belongs to; nothing for files elsewhere.
fn module_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("src/")?;
    let end = rest.find(['/', '.'])?;
    Some(&rest[..end])
}
