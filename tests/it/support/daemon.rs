//! The daemon under test: inside this process, or as the binary.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use vodcertd::clock::Clock;
use vodcertd::config;
use vodcertd::daemon::{self, DaemonError};

use super::Scene;

/// The daemon promises to end this soon after it was told to.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// A daemon in this process.
pub(crate) struct InProcess {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), DaemonError>>,
}

/// A daemon as a process of its own, which can be killed. A test that fails shows its log.
pub(crate) struct Process {
    child: Child,
    log: Log,
    /// What reads its output into the log.
    readers: [JoinHandle<()>; 2],
}

/// What a process has written so far.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Scene {
    /// Starts the daemon in this process.
    pub(crate) fn run(&self) -> InProcess {
        self.run_with(Clock::System)
    }

    /// Starts the daemon in this process with a clock of one's own.
    pub(crate) fn run_with(&self, clock: Clock) -> InProcess {
        let loaded = config::load(&self.write_config());
        let loaded = loaded.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(daemon::run(loaded.config, clock, shutdown));
        InProcess { stop, task }
    }

    /// Starts the binary.
    pub(crate) fn spawn(&self) -> Process {
        self.spawn_by(&[])
    }

    /// What `vodcertd status NAME --json` tells of a certificate.
    pub(crate) async fn status(&self, label: &str) -> serde_json::Value {
        let output = Command::new(env!("CARGO_BIN_EXE_vodcertd"))
            .arg("--config")
            .arg(self.write_config())
            .args(["status", label, "--json"])
            .output()
            .await
            .unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        told[0].clone()
    }

    /// Starts the binary by a program that becomes it, such as `env` with variables.
    pub(crate) fn spawn_by(&self, starter: &[&str]) -> Process {
        let config = self.write_config();
        let daemon = [
            env!("CARGO_BIN_EXE_vodcertd"),
            "--config",
            config.to_str().unwrap(),
            "run",
        ];
        let words = [starter, &daemon].concat();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = Log::default();
        let readers = [
            log.collect(child.stdout.take().unwrap()),
            log.collect(child.stderr.take().unwrap()),
        ];
        Process {
            child,
            log,
            readers,
        }
    }
}

impl InProcess {
    /// Stops the daemon as SIGTERM does, and waits until it has come to rest.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap().unwrap();
    }
}

impl Process {
    /// `kill -9`.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM; returns whether it ended with success.
    pub(crate) async fn terminate(self) -> bool {
        self.signal("TERM").await;
        self.end().await.success()
    }

    /// Sends a signal, `TERM` for SIGTERM.
    pub(crate) async fn signal(&self, signal: &str) {
        // The shell has a `kill` of its own; as a program it is missing on a minimal system.
        let sent = Command::new("sh")
            .args(["-c", r#"kill -s "$0" "$1""#, signal, &self.id().to_string()])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
    }

    /// Waits until it has ended, as soon as the daemon promises to.
    pub(crate) async fn end(mut self) -> ExitStatus {
        let ended = timeout(STOP_DEADLINE, self.child.wait()).await;
        ended.expect("it does not end").unwrap()
    }

    /// Waits until its log holds these words.
    pub(crate) async fn until_said(&mut self, scene: &Scene, words: &str) {
        let what = format!("the daemon says {words:?}");
        let said = async || {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() {
                // Its last words may not have been read yet.
                for reader in self
                    .readers
                    .iter_mut()
                    .filter(|reader| !reader.is_finished())
                {
                    reader.await.unwrap();
                }
            }
            let said = self.log().contains(words);
            assert!(said || ended.is_none(), "it ended before {what}: {ended:?}");
            said
        };
        scene.until(&what, said).await;
    }

    /// Everything that it wrote so far.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().unwrap().clone()
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the daemon's log:\n{}", self.log());
        }
    }
}

impl Log {
    fn collect(&self, output: impl AsyncRead + Send + Unpin + 'static) -> JoinHandle<()> {
        let log = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut text = log.0.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        })
    }
}
