//! `tests/live.sh` against the sandbox: what it confirms, what it is refused, and that whatever happens
//! in between, all is as it was at the end.

mod tidying;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use vodcertd_sandbox::forge::{self, KeyKind};
use vodcertd_sandbox::gateway::{Disturbance, Fault, Gateway, RawAnswer, Refusal, Settings};
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

    /// Lets every call of an action, or so many, be answered with this.
    fn answer(&self, action: &str, times: Option<usize>, body: &serde_json::Value) {
        let answer = Disturbance::Raw(RawAnswer {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string(),
        });
        let fault = match times {
            Some(times) => Fault::times(times, answer),
            None => Fault::always(answer),
        };
        self.gateway.faults().push(fault.on(action));
    }

    /// Runs it; does something once all is installed and before anything is put back.
    async fn run_with(&self, before_the_end: impl FnOnce(&Self)) -> Told {
        let child = self.spawn();
        self.until("all is installed", || self.sent() == 7).await;
        before_the_end(self);
        self.end_of(child).await
    }

    /// Disturbs the next call that installs.
    fn disturb(&self, disturbance: Disturbance) {
        self.gateway.faults().push(Fault::once(disturbance).on(SET));
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args([
                DOMAIN,
                "--takes-effect",
                "3s",
                "--cloud",
                "mine",
                "--config",
            ])
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
    told.assert(0, 13, 0);
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
    told.assert(0, 13, 0);
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
        (SET, 4, 5, false),
        ("AddDomainRecord", 11, 1, false),
        ("DeleteDomainRecord", 12, 1, true),
        ("DescribeVodDomainCertificateInfo", 11, 2, false),
        (DELETE, 13, 0, true),
        (LIST, 12, 1, true),
    ];
    for (action, confirmed, refused, left_behind) in cases {
        let bench = Bench::start().await;
        // The first look asks for the permission to delete.
        let missing = Disturbance::Refuse(Refusal::new(404, "NotFound", "no"));
        bench.gateway.faults().push(Fault::once(missing).on(DELETE));
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
    told.assert(0, 13, 0);
    bench.assert_clean(&told);
}

#[tokio::test]
async fn staging_that_changes_production_later_is_found_out() {
    let bench = Bench::start_with_a_certificate().await;
    bench.gateway.set(Settings {
        key_forms: KeyForms::TraditionalOrPkcs8,
        staging_spills_after: Some(Duration::from_secs(1)),
        ..Settings::default()
    });
    let told = bench.run().await;
    told.assert(1, 12, 1);
    let refused = "REFUSED    and leaves production alone: the service says";
    assert!(told.text.contains(refused), "{}", told.text);
    bench.assert_clean(&told);
}

#[tokio::test]
async fn another_leaf_under_the_same_name_is_found_out() {
    let bench = Bench::start().await;
    let slow = Disturbance::Delay(Duration::from_millis(250));
    bench.gateway.faults().push(Fault::times(2, slow).on(SET));
    let child = bench.spawn();
    bench.until("it installs", || bench.sent() >= 1).await;
    let first = bench.gateway.calls().of(SET)[0].clone();
    let name = first.parameter("CertName").unwrap();
    let other = forge::issue(&[DOMAIN], KeyKind::P256, forge::valid_now()).pair();
    let info = json!({
        "DomainName": DOMAIN, "ServerCertificateStatus": "on",
        "CertName": format!("{}4", name.strip_suffix('0').unwrap()),
        "ServerCertificate": other.chain_pem(),
    });
    let body = json!({ "RequestId": "1", "CertInfos": { "CertInfo": [info] } });
    bench.answer("DescribeVodDomainCertificateInfo", None, &body);
    let told = bench.end_of(child).await;
    told.assert(1, 11, 2);
    assert_eq!(told.text.matches("another leaf under").count(), 2);
    bench.assert_clean(&told);
}

#[tokio::test]
async fn one_signature_that_is_taken_is_enough_to_begin_and_to_tidy() {
    let bench = Bench::start_with_a_certificate().await;
    let refusal = Disturbance::Refuse(Refusal::new(400, "SignatureDoesNotMatch", "no"));
    let first = Fault::once(refusal).on("DescribeVodDomainDetail");
    bench.gateway.faults().push(first);
    let told = bench.run().await;
    told.assert(1, 12, 1);
    let line = "REFUSED    a call signed by version 1.0: ";
    assert!(told.text.contains(line), "{}", told.text);
    bench.assert_clean(&told);
    let mut tidying = bench.gateway.calls().of(DELETE);
    tidying.extend(bench.gateway.calls().of(LIST));
    assert!(tidying.iter().all(|call| call.by_version_3));
}

#[tokio::test]
async fn keys_that_are_refused_are_told_apart() {
    let bench = Bench::start_with_a_certificate().await;
    bench.gateway.set(Settings::default());
    let told = bench.run().await;
    told.assert(1, 11, 2);
    for line in told.text.lines().filter(|line| line.starts_with("REFUSED")) {
        assert!(
            line.contains("PKCS#8") && line.contains("Key.Malformed"),
            "{line}"
        );
    }
    bench.assert_clean(&told);
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

    let cases = [
        ("DescribeVodDomainDetail", "Forbidden.RAM"),
        (LIST, "Forbidden.RAM"),
        (DELETE, "Forbidden.RAM"),
        (DELETE, "NoPermission"),
    ];
    for (action, code) in cases {
        let bench = Bench::start_with_a_certificate().await;
        bench.refuse(action, code);
        let told = bench.run().await;
        let line = told.text.lines().find(|line| line.starts_with("nothing"));
        let line = line.unwrap_or_else(|| panic!("{}", told.text));
        assert!(line.contains("nothing was done: "), "{line}");
        assert!(line.contains(code), "{line}");
        let names_it = line.contains("yundun-cert:DeleteUserCertificate");
        assert_eq!(names_it, action == DELETE, "{line}");
        assert_eq!((told.code, bench.sent()), (Some(1), 0));
    }
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
    told.assert(0, 13, 0);
    bench.assert_clean(&told);
}
