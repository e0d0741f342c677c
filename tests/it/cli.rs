//! The commands as the admin meets them: the binary, its exit codes, what it prints and what not.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use vodcertd::clock::Clock;
use vodcertd::renewal::ClockTrust;
use vodcertd::store::{Store, StoreSettings};
use vodcertd::time::Timestamp;

/// A folder with a configuration and, after [`Home::with_store`], a store.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        Self { folder }
    }

    /// With the two certificates `download` and `video`, in a store of its own.
    fn of_two() -> Self {
        let home = Self::new("");
        let url = home.database().display().to_string();
        let config = format!(
            "contact = [\"ops@example.com\"]\n[store]\nurl = \"sqlite://{url}\"\n\
             [[certificates]]\nname = \"video\"\nnames = [\"v.example.com\", \"*.v.example.com\"]\n\
             [[certificates]]\nname = \"download\"\nnames = [\"d.example.com\"]\n"
        );
        std::fs::write(home.config(), config).unwrap();
        home
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    /// Opens the store as the daemon does.
    async fn with_store(&self) -> Store {
        self.with_store_of(Clock::System.now()).await
    }

    /// The store of a daemon that was started at that time and did nothing.
    async fn with_store_of(&self, now: Timestamp) -> Store {
        let settings = StoreSettings {
            path: self.database(),
            seal: None,
            keep_generations: 3,
            history: Duration::from_hours(24),
        };
        let store = Store::open(&settings, now).await.unwrap();
        let labels = ["video", "download"].map(|label| label.parse().unwrap());
        store.ensure(&labels, now).await.unwrap();
        store
    }

    fn run(&self, arguments: &[&str]) -> Output {
        vodcertd(self.folder.path())
            .arg("--config")
            .arg(self.config())
            .args(arguments)
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// The binary with nothing of the caller's environment.
fn vodcertd(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vodcertd"));
    command
        .current_dir(folder)
        .env_clear()
        .env("TERM", "xterm")
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "testid")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "testsecret");
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn a_configuration_that_can_be_used_is_said_to_be() {
    let home = Home::of_two();
    let output = home.run(&["check"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).ends_with("can be used: 2 certificates, 3 targets\n"));
    assert!(stderr(&output).contains("warning: nobody is alerted"));
}

#[test]
fn every_problem_is_shown_with_its_place() {
    let home = Home::new("contact = 5\n[[certificates]]\nnmaes = [\"v.example.com\"]\n");
    let output = home.run(&["check"]);
    assert_eq!((code(&output), stdout(&output)), (78, ""));
    let shown = stderr(&output);
    for part in [
        "config.toml:1:11",
        "config.toml:3:1",
        "^^^^^",
        "did you mean `names`?",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "a pipe is not coloured");
}

#[test]
fn a_configuration_that_is_not_there_or_wrong_stops_every_command() {
    let home = Home::new("contact = 5\n");
    let missing = TempDir::new().unwrap();
    for command in ["run", "check", "plan", "status", "history"] {
        let output = home.run(&[command]);
        assert_eq!(code(&output), 78, "{command}");
        let output = vodcertd(missing.path())
            .args(["--config", "none.toml", command])
            .output();
        let output = output.unwrap();
        assert_eq!(code(&output), 78, "{command}");
        assert!(
            stderr(&output).contains("none.toml"),
            "{command}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn the_configuration_may_be_named_in_the_environment() {
    let home = Home::of_two();
    let output = vodcertd(home.folder.path())
        .env("VODCERTD_CONFIG", home.config())
        .arg("check")
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn a_wrong_command_line_is_told_apart_from_a_failure() {
    let home = Home::of_two();
    for arguments in [
        &["frobnicate"][..],
        &[],
        &["plan", "--at", "soon"],
        &["status", "a", "b"],
    ] {
        let output = home.run(arguments);
        assert_eq!((code(&output), stdout(&output)), (64, ""), "{arguments:?}");
    }
    for arguments in [["--help"], ["--version"]] {
        let output = home.run(&arguments);
        assert_eq!((code(&output), stderr(&output)), (0, ""), "{arguments:?}");
    }
}

#[test]
fn without_a_store_nothing_is_shown_and_nothing_is_made() {
    let home = Home::of_two();
    for command in ["status", "plan", "history"] {
        let output = home.run(&[command]);
        assert_eq!((code(&output), stdout(&output)), (69, ""), "{command}");
        let expected = format!(
            "vodcertd: there is no store at {}: the daemon creates it at its first start\n",
            home.database().display()
        );
        assert_eq!(stderr(&output), expected, "{command}");
    }
    assert_eq!(home.files(), ["config.toml"]);
}

#[tokio::test]
async fn status_is_the_same_beside_a_daemon_and_after_it() {
    let home = Home::of_two();
    let store = home.with_store().await;
    let beside = home.json(&["status", "--json"]);
    store.close().await;
    let files = home.files();
    let after = home.json(&["status", "--json"]);
    assert_eq!(home.files(), files, "reading made a file");
    for all in [beside, after] {
        let names: Vec<&Value> = all
            .as_array()
            .unwrap()
            .iter()
            .map(|certificate| &certificate["name"])
            .collect();
        assert_eq!(names, ["download", "video"]);
        let video = &all[1];
        assert_eq!(video["generation"], Value::Null);
        assert_eq!(video["targets"][0]["state"], "pending");
        assert_eq!(video["failure"], Value::Null);
    }
}

#[tokio::test]
async fn one_certificate_can_be_named() {
    let home = Home::of_two();
    home.with_store().await.close().await;
    let one = home.json(&["status", "video", "--json"]);
    assert_eq!(one.as_array().unwrap().len(), 1);
    assert_eq!(one[0]["names"][1], "v.example.com");
    let plan = home.json(&["plan", "video", "--json", "--at", "2030-01-01T00:00:00Z"]);
    assert_eq!(plan[0]["at"], "2030-01-01T00:00:00Z");
    assert!(plan[0]["action"].is_string() && plan[0]["because"].is_string());
    assert_eq!(
        home.json(&["history", "video", "--json"]),
        Value::Array(Vec::new())
    );
    for command in ["status", "plan", "history"] {
        let output = home.run(&[command, "vidoe"]);
        assert_eq!(code(&output), 64, "{command}");
        assert_eq!(
            stderr(&output),
            "vodcertd: no certificate is called \"vidoe\"; did you mean \"video\"?\n",
            "{command}"
        );
    }
}

#[tokio::test]
async fn a_pipe_gets_plain_aligned_lines() {
    let home = Home::of_two();
    home.with_store().await.close().await;
    for command in ["status", "plan", "history"] {
        let output = home.run(&[command]);
        assert_eq!((code(&output), stderr(&output)), (0, ""), "{command}");
        assert!(!stdout(&output).contains('\u{1b}'), "{command}");
    }
    let status = home.run(&["status"]);
    let lines: Vec<&str> = stdout(&status).lines().collect();
    assert!(lines[0].starts_with("NAME      SERIAL"), "{lines:?}");
    assert!(lines[1].starts_with("download  -"), "{lines:?}");
    assert_eq!(code(&home.run(&["status", "--check"])), 0);
}

#[tokio::test]
async fn a_store_that_no_daemon_works_on_is_a_warning() {
    let home = Home::of_two();
    let nine_days = Duration::from_hours(9 * 24);
    let store = home.with_store_of(Clock::System.now() - nine_days).await;
    store.close().await;
    let output = home.run(&["status", "--check"]);
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).contains("warning: video: it was due at "));
    assert!(stdout(&output).contains("(not-worked-on)"));
}

#[tokio::test]
async fn a_clock_that_the_daemon_does_not_trust_is_shown() {
    let home = Home::of_two();
    let store = home.with_store().await;
    let until_checked = Clock::System.now() + Duration::from_mins(5);
    let wrong = ClockTrust::Distrusted { until_checked };
    store.note_clock(wrong).await.unwrap();
    let status = home.json(&["status", "--json"]);
    assert_eq!(status[0]["next"]["action"], "distrust-clock");
    assert_eq!(code(&home.run(&["status", "--check"])), 2);
    store.close().await;
}

#[tokio::test]
async fn what_cannot_be_printed_is_a_failure_unless_nobody_reads_on() {
    let home = Home::of_two();
    home.with_store().await.close().await;
    for command in [
        &["status"][..],
        &["status", "--json"],
        &["history"],
        &["history", "--json"],
        &["plan"],
        &["plan", "--json"],
        &["check"],
        &["--help"],
    ] {
        let printing = |to: Stdio| {
            let mut asked = vodcertd(home.folder.path());
            asked.arg("--config").arg(home.config()).args(command);
            asked.stdout(to).output().unwrap()
        };
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let output = printing(full.unwrap().into());
        assert_eq!(code(&output), 1, "{command:?}");
        assert!(stderr(&output).contains("No space left"), "{command:?}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = printing(writer.into());
        assert_eq!(code(&output), 0, "{command:?}: {}", stderr(&output));
    }
}

#[tokio::test]
async fn a_certificate_has_a_history_before_and_after_it_is_worked_on() {
    let home = Home::of_two();
    let store = home.with_store().await;
    let removed = ["removed".parse().unwrap()];
    store.ensure(&removed, Clock::System.now()).await.unwrap();
    store.close().await;
    // Configured, and in no store yet; in the store, and not configured any more.
    let mut config = std::fs::read_to_string(home.config()).unwrap();
    config.push_str("[[certificates]]\nname = \"extra\"\nnames = [\"e.example.com\"]\n");
    std::fs::write(home.config(), config).unwrap();
    for name in ["extra", "video", "removed"] {
        let empty = Value::Array(Vec::new());
        assert_eq!(home.json(&["history", name, "--json"]), empty, "{name}");
    }
    let output = home.run(&["history", "extar"]);
    assert_eq!(code(&output), 64);
    assert!(stderr(&output).contains("did you mean \"extra\"?"));
}

#[tokio::test]
async fn a_second_daemon_on_the_same_store_is_told_to_come_later() {
    let home = Home::of_two();
    let store = home.with_store().await;
    let output = home.run(&["run", "--log-level", "error"]);
    assert_eq!(code(&output), 75);
    assert!(
        stderr(&output)
            .starts_with("vodcertd: could not open the store\n  because: already running")
    );
    store.close().await;
}

/// The configuration that the README shows is one that works.
#[test]
fn the_readme_shows_a_configuration_that_can_be_used() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let blocks = readme.split("```toml\n").skip(1);
    let blocks: Vec<&str> = blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 2);
    for config in [blocks[0].to_owned(), blocks.concat()] {
        let output = Home::new(&config).run(&["check"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
}
