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
        &[
            "acme", "aliyun", "solver", "target", "store", "renewal", "ground",
        ],
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

#[test]
fn the_rules_find_what_they_are_for() {
    let bad = |path: &str, text: &str| Source {
        path: path.into(),
        text: text.into(),
    };
    let imports = [
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
    ];
    for (path, text) in imports {
        assert_ne!(
            forbidden_imports(&bad(path, text)),
            Vec::<String>::new(),
            "{path}: {text}"
        );
    }
    let allowed = bad(
        "src/renewal/spec.rs",
        "use crate::{name::Label, time::Timestamp};",
    );
    assert_eq!(forbidden_imports(&allowed), Vec::<String>::new());
    for text in [
        "async fn decide() {}",
        "tracing::info!(\"x\")",
        "rand::random()",
        ".await",
    ] {
        assert_ne!(
            impurities(&bad("src/renewal/decide/mod.rs", text)),
            Vec::<String>::new()
        );
    }
    for text in ["todo!()", "#[ignore]", "unimplemented!()"] {
        assert_ne!(
            unfinished(&bad("src/cli/run.rs", text)),
            Vec::<String>::new()
        );
    }
    assert_ne!(shape(&bad("src/utils.rs", "")), Vec::<String>::new());
    assert_ne!(
        shape(&bad("src/cli/run.rs", &"\n".repeat(LINES + 1))),
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

fn unfinished(source: &Source) -> Vec<String> {
    if source.path.ends_with("tests/it/tidy.rs") {
        return Vec::new();
    }
    found_in_code(
        source,
        &["todo!(", "unimplemented!(", "#[ignore"],
        "must not stay:",
    )
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
