//! The daemon as a child process: started with nothing of the caller's environment, asked to end,
//! and killed only when it does not.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Longest time from SIGTERM to the end that the daemon promises.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// Longest time that its history may take.
const HISTORY_DEADLINE: Duration = Duration::from_secs(10);
/// Lines of its log that are shown when something went wrong.
const EVIDENCE_LINES: usize = 40;

/// What the daemon is started with.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    /// The vodcertd program.
    pub(super) program: PathBuf,
    /// Its home, where its log goes as well.
    pub(super) home: PathBuf,
    /// Its configuration file.
    pub(super) config: PathBuf,
    /// The access key of the cloud.
    pub(super) access_key_id: String,
    /// Its secret.
    pub(super) access_key_secret: String,
}

/// A running daemon; killed when dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    launch: Launch,
    child: Child,
}

impl Daemon {
    /// Starts `vodcertd run`.
    pub(super) fn start(launch: Launch) -> Result<Self> {
        let log = File::create(launch.log())?;
        let child = launch
            .command(&["run"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}", launch.program.display()))?;
        Ok(Self { launch, child })
    }

    /// Where its output goes.
    pub(super) fn log(&self) -> PathBuf {
        self.launch.log()
    }

    /// How it ended, if it did.
    pub(super) fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to end by SIGTERM and waits.
    ///
    /// # Errors
    /// It did not end in time and was killed, or it did not end with success.
    pub(super) async fn stop(self) -> Result<()> {
        self.stop_within(STOP_DEADLINE).await
    }

    async fn stop_within(mut self, deadline: Duration) -> Result<()> {
        if let Some(pid) = self.child.id() {
            terminate(pid).await?;
        }
        let Ok(status) = timeout(deadline, self.child.wait()).await else {
            self.child.kill().await?;
            bail!("vodcertd did not end within {} s", deadline.as_secs());
        };
        let status = status?;
        ensure!(status.success(), "vodcertd ended with {status}");
        Ok(())
    }

    /// The end of its log and its history, for whoever looks for the reason of a failure.
    pub(super) async fn evidence(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let history = self.launch.command(&["history", "--json"]).output();
        let history = match timeout(HISTORY_DEADLINE, history).await {
            Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Ok(Err(failure)) => format!("not to be had: {failure}"),
            Err(_) => "not told in time".to_owned(),
        };
        format!(
            "its log ends:\n{}\nits history:\n{}",
            last_lines(&log, EVIDENCE_LINES),
            last_lines(&history, EVIDENCE_LINES)
        )
    }
}

impl Launch {
    fn log(&self) -> PathBuf {
        self.home.join("vodcertd.log")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--config")
            .arg(&self.config)
            .args(arguments)
            .current_dir(&self.home)
            // A proxy, another key or a service manager's socket of the caller must not reach it.
            .env_clear()
            .env("HOME", &self.home)
            .env("PATH", "/usr/bin:/bin")
            .env("RUST_BACKTRACE", "1")
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", &self.access_key_id)
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", &self.access_key_secret)
            .env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
            .kill_on_drop(true);
        command
    }
}

/// Sends SIGTERM. The standard library cannot, and the shell can without unsafe code.
async fn terminate(pid: u32) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", "kill -TERM \"$1\"", "sh", &pid.to_string()])
        .status()
        .await?;
    ensure!(status.success(), "cannot send SIGTERM to process {pid}");
    Ok(())
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;
    use tokio::time::sleep;

    use super::*;

    /// A shell script in the daemon's place.
    fn stand_in(script: &str) -> (TempDir, Launch) {
        let home = tempfile::tempdir().unwrap();
        let program = home.path().join("vodcertd");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let launch = Launch {
            program,
            home: home.path().to_owned(),
            config: home.path().join("config.toml"),
            access_key_id: "testid".to_owned(),
            access_key_secret: "testsecret".to_owned(),
        };
        (home, launch)
    }

    async fn wait_for_log(daemon: &Daemon, line: &str) -> String {
        loop {
            let log = fs::read_to_string(daemon.log()).unwrap();
            if log.lines().any(|written| written == line) {
                return log;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn it_is_given_its_config_and_the_key_and_nothing_of_the_caller() {
        let (_home, launch) = stand_in("echo \"$@\"; env; echo end; sleep 60");
        let config = launch.config.display().to_string();
        let daemon = Daemon::start(launch).unwrap();
        let log = wait_for_log(&daemon, "end").await;
        assert!(log.contains(&format!("--config {config} run")), "{log}");
        assert!(log.contains("ALIBABA_CLOUD_ACCESS_KEY_ID=testid"), "{log}");
        assert!(!log.contains("CARGO"), "{log}");
    }

    #[tokio::test]
    async fn a_clean_end_is_a_success_and_another_is_not() {
        for (exit, succeeds) in [(0, true), (3, false)] {
            let trap = format!("trap 'exit {exit}' TERM; echo ready; while :; do sleep 0.01; done");
            let (_home, launch) = stand_in(&trap);
            let daemon = Daemon::start(launch).unwrap();
            wait_for_log(&daemon, "ready").await;
            assert_eq!(daemon.stop().await.is_ok(), succeeds, "exit {exit}");
        }
    }

    #[tokio::test]
    async fn one_that_does_not_end_is_killed_and_reported() {
        let (_home, launch) = stand_in("trap '' TERM; echo ready; while :; do sleep 0.01; done");
        let daemon = Daemon::start(launch).unwrap();
        wait_for_log(&daemon, "ready").await;
        let failed = daemon.stop_within(Duration::from_millis(100)).await;
        assert!(failed.unwrap_err().to_string().contains("did not end"));
    }

    #[tokio::test]
    async fn one_that_ends_by_itself_is_noticed_and_its_last_words_are_kept() {
        let (_home, launch) =
            stand_in("case \"$*\" in *history*) echo '[]';; *) echo broken;; esac");
        let mut daemon = Daemon::start(launch).unwrap();
        while daemon.exit_status().unwrap().is_none() {
            sleep(Duration::from_millis(10)).await;
        }
        let evidence = daemon.evidence().await;
        assert_eq!(evidence, "its log ends:\nbroken\nits history:\n[]");
    }

    #[test]
    fn only_the_end_of_a_long_log_is_shown() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a\n", 2), "a");
    }
}
