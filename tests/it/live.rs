//! `tests/live.sh` against the sandbox: what it confirms, what it is refused, and that whatever happens
//! in between, all is as it was at the end.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use vodcertd_sandbox::forge::{self, KeyKind};
use vodcertd_sandbox::gateway::{Disturbance, Fault, Gateway, Refusal, Settings};
use vodcertd_sandbox::pem::KeyForms;
use vodcertd_sandbox::world::{DomainStatus, Env, Https, RecordKind, World};

const DOMAIN: &str = "v.example.com";
const SET: &str = "SetVodDomainSSLCertificate";
const LIST: &str = "DescribeVodSSLCertificateList";
const DELETE: &str = "DeleteUserCertificate";

/// Longer than anything takes that a test waits for.
const PATIENCE: Duration = Duration::from_mins(1);

/// An account with a domain and a zone, and a configuration that leads to it.
struct Bench {
    world: World,
    gateway: Gateway,
    folder: TempDir,
}

/// How a run ended: its exit code and what it told.
struct Told {
    code: Option<i32>,
    text: String,
}

impl Bench {
    /// HTTPS is off.
    async fn start() -> Self {
        let world = World::new();
        world.add_domain(DOMAIN);
        world.add_zone("example.com");
        let gateway = Gateway::start(world.clone()).await.unwrap();
        gateway.set(Settings {
            key_forms: KeyForms::TraditionalOrPkcs8,
            ..Settings::default()
        });
        let folder = tempfile::tempdir().unwrap();
        let bench = Self {
            world,
            gateway,
            folder,
        };
        std::fs::write(bench.path("secret"), Gateway::ACCESS_KEY_SECRET).unwrap();
        let (url, id) = (bench.gateway.url(), Gateway::ACCESS_KEY_ID);
        let config = format!(
            "[clouds.mine]\n\
             credentials = {{ access_key_id = \"{id}\", access_key_secret_file = \"{secret}\" }}\n\
             endpoints = {{ vod = \"{url}\", alidns = \"{url}\", cas = \"{url}\" }}\n\
             rate = {{ install = 100, other = 100 }}\n\
             [[certificates]]\nnames = [\"{DOMAIN}\"]\n",
            secret = bench.path("secret").display(),
        );
        std::fs::write(bench.path("config.toml"), config).unwrap();
        bench
    }

    /// A certificate is there that somebody else has installed.
    async fn start_with_a_certificate() -> Self {
        let bench = Self::start().await;
        let pair = forge::issue(&[DOMAIN], KeyKind::P256, forge::valid_now()).pair();
        bench.world.install_foreign(DOMAIN, "theirs", pair);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Lets every call of an action be refused from now on.
    fn refuse(&self, action: &str, code: &str) {
        let refusal = Disturbance::Refuse(Refusal::new(400, code, "no"));
        self.gateway
            .faults()
            .push(Fault::always(refusal).on(action));
    }

    /// Disturbs the next call that installs.
    fn disturb(&self, disturbance: Disturbance) {
        self.gateway.faults().push(Fault::once(disturbance).on(SET));
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args([DOMAIN, "--cloud", "mine", "--config"])
            .arg(self.path("config.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn spawn(&self) -> Child {
        self.command(&program(), &["--yes"]).spawn().unwrap()
    }

    async fn run(&self) -> Told {
        self.end_of(self.spawn()).await
    }

    async fn end_of(&self, child: Child) -> Told {
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output());
        let output = output.await.expect("it does not end").unwrap();
        self.gateway.calls().assert_no_key_in_url();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains(Gateway::ACCESS_KEY_SECRET), "{text}");
        Told {
            code: output.status.code(),
            text,
        }
    }

    async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let reached = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "{what}");
    }

    fn sent(&self) -> usize {
        self.gateway.calls().of(SET).len()
    }

    /// What is left of the account: the certificate of production and of staging, the stored ones, and
    /// how many TXT records there are.
    fn account(&self) -> ([Option<String>; 2], Vec<String>, usize) {
        let serving = [Env::Production, Env::Staging]
            .map(|env| Some(self.world.installed(DOMAIN, env)?.cert_name));
        let stored = self.world.certificates();
        let stored = stored.iter().map(|stored| stored.name.clone()).collect();
        let records = self.world.records("example.com");
        let proofs = records
            .iter()
            .filter(|record| record.kind == RecordKind::Txt);
        (serving, stored, proofs.count())
    }

    fn assert_clean(&self, told: &Told) {
        let theirs = self.world.domain(DOMAIN).unwrap().history;
        let theirs = match theirs.first().map(|change| &change.https) {
            Some(Https::On(binding)) if binding.cert_name == "theirs" => Some("theirs".to_owned()),
            Some(Https::On(_) | Https::Off) | None => None,
        };
        let stored = theirs.iter().cloned().collect();
        let expected = ([theirs.clone(), theirs], stored, 0);
        assert_eq!(self.account(), expected, "{}", told.text);
        assert!(!told.text.contains("LEFT BEHIND"), "{}", told.text);
    }
}

impl Told {
    fn lines(&self, beginning: &str) -> usize {
        let lines = self.text.lines();
        lines.filter(|line| line.starts_with(beginning)).count()
    }

    fn assert(&self, code: i32, confirmed: usize, refused: usize) {
        let counted = (self.lines("confirmed "), self.lines("REFUSED "));
        assert_eq!(counted, (confirmed, refused), "{}", self.text);
        assert_eq!(self.code, Some(code), "{}", self.text);
    }
}

/// Sends a signal by its name.
async fn interrupt(child: &Child, signal: &str) {
    let id = child.id().unwrap().to_string();
    let kill = Command::new("sh")
        .args(["-c", r#"kill -s "$0" "$1""#, signal, &id])
        .status();
    assert!(kill.await.unwrap().success());
}

/// The program that the script becomes, built with the tests.
fn program() -> PathBuf {
    let daemon = Path::new(env!("CARGO_BIN_EXE_vodcertd"));
    let program = daemon.with_file_name("examples").join("live");
    assert!(program.exists(), "{} is not built", program.display());
    program
}

#[tokio::test]
async fn the_script_confirms_everything_and_leaves_https_off() {
    let bench = Bench::start().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live.sh");
    let child = bench.command(&script, &["--yes"]).spawn().unwrap();
    let told = bench.end_of(child).await;
    told.assert(0, 11, 0);
    bench.assert_clean(&told);
    assert_eq!(bench.gateway.calls().performed(DELETE), 6);
    let calls = bench.gateway.calls().of(SET);
    let uploads = calls
        .iter()
        .filter(|call| call.parameter("SSLPub").is_some());
    let by_version_3 = uploads.filter(|call| call.by_version_3);
    assert_eq!(by_version_3.count(), 2);
}

#[tokio::test]
async fn the_certificate_that_was_there_is_put_back() {
    let bench = Bench::start_with_a_certificate().await;
    let told = bench.run().await;
    told.assert(0, 11, 0);
    assert!(
        told.text.contains("serves the certificate theirs"),
        "{}",
        told.text
    );
    bench.assert_clean(&told);
}

#[tokio::test]
async fn what_is_refused_is_told_with_its_code_and_the_rest_is_tried() {
    // The action, how often something is confirmed and refused, and whether something is left behind.
    let cases = [
        (SET, 2, 5, false),
        ("AddDomainRecord", 9, 1, false),
        ("DeleteDomainRecord", 10, 1, true),
        ("DescribeVodDomainCertificateInfo", 9, 2, false),
        (DELETE, 11, 0, true),
        (LIST, 10, 1, true),
    ];
    for (action, confirmed, refused, left_behind) in cases {
        let bench = Bench::start().await;
        bench.refuse(action, "Forbidden.RAM");
        let told = bench.run().await;
        told.assert(if left_behind { 2 } else { 1 }, confirmed, refused);
        assert!(told.text.contains("Forbidden.RAM"), "{}", told.text);
        if left_behind {
            assert!(told.text.contains("LEFT BEHIND"), "{}", told.text);
            let (serving, stored, _) = bench.account();
            assert_eq!(serving, [None, None], "{}", told.text);
            for name in stored {
                assert!(
                    told.text
                        .contains(&format!("LEFT BEHIND  the upload {name}"))
                );
            }
        } else {
            bench.assert_clean(&told);
        }
    }
}

/// As the service does for a while after every change.
#[tokio::test]
async fn a_domain_that_is_being_configured_is_waited_for() {
    let bench = Bench::start_with_a_certificate().await;
    bench.disturb(Disturbance::PerformThenDelay(Duration::from_millis(500)));
    let child = bench.spawn();
    bench.until("it installs", || bench.sent() == 1).await;
    bench.world.set_status(DOMAIN, DomainStatus::Configuring);
    let looks = || bench.gateway.calls().of("DescribeVodDomainDetail").len();
    let before = looks();
    bench
        .until("it looks twice", || looks() >= before + 2)
        .await;
    bench.world.set_status(DOMAIN, DomainStatus::Online);
    let told = bench.end_of(child).await;
    told.assert(0, 11, 0);
    bench.assert_clean(&told);
}

#[tokio::test]
async fn what_is_refused_for_a_moment_is_put_back_all_the_same() {
    let bench = Bench::start_with_a_certificate().await;
    let slow = Disturbance::Delay(Duration::from_millis(500));
    bench
        .gateway
        .faults()
        .push(Fault::once(slow).on("AddDomainRecord"));
    let child = bench.spawn();
    bench.until("all is installed", || bench.sent() == 7).await;
    let busy = Disturbance::Refuse(Refusal::new(403, "ServiceBusy", "configuring"));
    for disturbance in [busy, Disturbance::HangUp] {
        bench.disturb(disturbance);
    }
    let told = bench.end_of(child).await;
    told.assert(0, 11, 0);
    bench.assert_clean(&told);
    assert_eq!(bench.sent(), 11);
}

#[tokio::test]
async fn keys_that_are_refused_are_told_apart() {
    let bench = Bench::start_with_a_certificate().await;
    bench.gateway.set(Settings::default());
    let told = bench.run().await;
    told.assert(1, 9, 2);
    for line in told.text.lines().filter(|line| line.starts_with("REFUSED")) {
        assert!(
            line.contains("PKCS#8") && line.contains("Key.Malformed"),
            "{line}"
        );
    }
    bench.assert_clean(&told);
}

#[tokio::test]
async fn an_upload_that_happened_although_it_was_reported_as_failed_is_taken_away() {
    for disturbance in [
        Disturbance::PerformThenHangUp,
        Disturbance::PerformThenRefuse(Refusal::new(400, "CreateCertificateFailed", "no")),
        Disturbance::HangUp,
    ] {
        let bench = Bench::start_with_a_certificate().await;
        bench.disturb(disturbance);
        let told = bench.run().await;
        told.assert(1, 10, 1);
        bench.assert_clean(&told);
    }
}

/// Only one upload has an effect, and it is said that it has none.
#[tokio::test]
async fn a_domain_that_was_changed_by_what_was_refused_is_put_back() {
    let bench = Bench::start_with_a_certificate().await;
    let refusal = Refusal::new(400, "CreateCertificateFailed", "no");
    bench.disturb(Disturbance::PerformThenRefuse(refusal.clone()));
    let others = Fault::times(4, Disturbance::Refuse(refusal));
    bench.gateway.faults().push(others.on(SET));
    let told = bench.run().await;
    told.assert(1, 2, 5);
    bench.assert_clean(&told);
}

#[tokio::test]
async fn an_interruption_in_the_middle_waits_for_the_call_and_puts_all_back() {
    for (signal, sent) in [("INT", 1), ("TERM", 3), ("HUP", 7)] {
        let bench = Bench::start_with_a_certificate().await;
        let slow = Disturbance::Delay(Duration::from_millis(250));
        bench.gateway.faults().push(Fault::times(8, slow).on(SET));
        let child = bench.spawn();
        bench.until("it installs", || bench.sent() >= sent).await;
        for _ in 0..2 {
            interrupt(&child, signal).await;
        }
        let told = bench.end_of(child).await;
        assert_eq!(told.code, Some(1), "{signal}: {}", told.text);
        assert!(told.text.contains("interrupted"), "{signal}: {}", told.text);
        assert!(bench.sent() > sent, "it was not put back");
        bench.assert_clean(&told);
    }
}

/// As when the terminal hangs up, and when the reader of a pipe has left.
#[tokio::test]
async fn what_nobody_listens_to_any_more_is_put_back_all_the_same() {
    for (signal, code) in [(Some("HUP"), 1), (None, 0)] {
        let bench = Bench::start_with_a_certificate().await;
        let slow = Disturbance::Delay(Duration::from_millis(250));
        bench.gateway.faults().push(Fault::once(slow).on(SET));
        let mut child = bench.spawn();
        bench.until("it installs", || bench.sent() >= 1).await;
        drop(child.stdout.take());
        if let Some(signal) = signal {
            interrupt(&child, signal).await;
        }
        let told = bench.end_of(child).await;
        assert_eq!(told.code, Some(code), "{signal:?}");
        assert!(bench.sent() > 1, "{signal:?}: it was not put back");
        bench.assert_clean(&told);
    }
}

#[tokio::test]
async fn a_wrong_command_line_is_told_from_what_was_left_behind() {
    let bench = Bench::start().await;
    for (argument, code) in [("--no-such-option", 64), ("--help", 0)] {
        let mut command = bench.command(&program(), &[argument]);
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        assert_eq!(bench.end_of(child).await.code, Some(code), "{argument}");
    }
    assert!(bench.gateway.calls().all().is_empty());
}

#[tokio::test]
async fn what_cannot_be_put_back_is_told_and_its_uploads_are_kept() {
    let bench = Bench::start_with_a_certificate().await;
    let slow = Disturbance::Delay(Duration::from_millis(700));
    bench
        .gateway
        .faults()
        .push(Fault::once(slow).on("AddDomainRecord"));
    let child = bench.spawn();
    bench.until("all is installed", || bench.sent() == 7).await;
    bench.refuse(SET, "InvalidDomain.Offline");
    let told = bench.end_of(child).await;
    told.assert(2, 11, 0);
    let (serving, stored, records) = bench.account();
    assert_ne!(serving[0].as_deref(), Some("theirs"));
    assert_eq!((stored.len(), records), (7, 0));
    let before = "v.example.com is not as it was; before, it serves the certificate theirs";
    assert!(
        told.text.contains(&format!("LEFT BEHIND  {before}")),
        "{}",
        told.text
    );
    for name in stored.iter().filter(|name| *name != "theirs") {
        assert!(told.text.contains(name.as_str()), "{name}: {}", told.text);
    }
}

#[tokio::test]
async fn nothing_is_done_unless_it_was_confirmed_and_can_be_undone() {
    let bench = Bench::start().await;
    for answer in ["", "yes\n"] {
        let mut command = bench.command(&program(), &[]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(answer.as_bytes()).await.unwrap();
        drop(stdin);
        let told = bench.end_of(child).await;
        assert_eq!(told.code, Some(1));
        assert!(
            told.text.contains("nothing was done: not confirmed"),
            "{}",
            told.text
        );
    }
    bench.world.set_status(DOMAIN, DomainStatus::Offline);
    let told = bench.run().await;
    assert!(
        told.text
            .contains("nothing was done: v.example.com is not online")
    );
    assert_eq!(told.code, Some(1));
    assert_eq!(bench.sent(), 0);

    let bench = Bench::start_with_a_certificate().await;
    bench.refuse(LIST, "Forbidden.RAM");
    let told = bench.run().await;
    assert!(told.text.contains("nothing was done") && told.text.contains("Forbidden.RAM"));
    assert_eq!((told.code, bench.sent()), (Some(1), 0));
}

#[tokio::test]
async fn it_begins_when_the_name_is_typed() {
    let bench = Bench::start().await;
    let mut command = bench.command(&program(), &[]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"v.example.com\n").await.unwrap();
    drop(stdin);
    let told = bench.end_of(child).await;
    told.assert(0, 11, 0);
    bench.assert_clean(&told);
}
