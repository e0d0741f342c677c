//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::time::Timestamp;

/// Keeps HTTPS alive on Alibaba Cloud VOD acceleration domains.
#[derive(Debug, Parser)]
#[command(
    name = "vodcertd",
    version,
    about,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 critical (status --check), 64 usage, \
                  69 the other side is unavailable, 75 try later, 78 configuration."
)]
pub struct Arguments {
    /// The configuration file
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "VODCERTD_CONFIG",
        default_value = "/etc/vodcertd/config.toml"
    )]
    pub config: PathBuf,
    /// How much is logged [default: info for run, else warn]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// How it is logged [default: journald under systemd, else text]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    Run,
    /// Check the configuration, offline, and show every problem at once
    Check,
    /// Show what the daemon would do next and why, without doing it
    Plan(Plan),
    /// Show how the certificates are
    Status(Status),
    /// Show what happened
    History(History),
}

/// The arguments of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// Only this certificate
    pub name: Option<String>,
    /// At this time, on the facts as they are now (RFC 3339, such as 2026-01-31T12:00:00Z)
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Only this certificate, in detail
    pub name: Option<String>,
    /// For programs
    #[arg(long)]
    pub json: bool,
    /// End with 0 if all is well, 1 for a warning, 2 if it is critical
    #[arg(long)]
    pub check: bool,
}

/// The arguments of `history`.
#[derive(Debug, Args)]
pub struct History {
    /// Only this certificate; it need not be configured any more
    pub name: Option<String>,
    /// For programs
    #[arg(long)]
    pub json: bool,
    /// So many of the newest entries
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub last: u32,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Somebody is needed now
    Error,
    /// Somebody will be needed soon
    Warn,
    /// Something changed
    Info,
    /// Every decision
    Debug,
    /// Everything
    Trace,
}

/// How it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
    /// Fields of the journal
    Journald,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, ErrorKind> {
        Arguments::try_parse_from(line.split(' ')).map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_may_stand_before_and_behind_the_command() {
        for line in [
            "vodcertd --config /x status video",
            "vodcertd status video --config /x",
        ] {
            let arguments = parse(line).unwrap();
            assert_eq!(arguments.config, PathBuf::from("/x"));
            let Command::Status(status) = arguments.command else {
                panic!("{line}")
            };
            assert_eq!(status.name.as_deref(), Some("video"));
        }
    }

    #[test]
    fn a_time_is_read_as_rfc_3339() {
        let Command::Plan(plan) = parse("vodcertd plan --at 2026-01-31T12:00:00Z")
            .unwrap()
            .command
        else {
            panic!("no plan")
        };
        assert_eq!(plan.at, Some("2026-01-31T12:00:00Z".parse().unwrap()));
        assert_eq!(
            parse("vodcertd plan --at tomorrow").unwrap_err(),
            ErrorKind::ValueValidation
        );
    }

    #[test]
    fn only_what_exists_is_listed() {
        let help = Arguments::command().render_long_help().to_string();
        for command in ["run", "check", "plan", "status", "history"] {
            assert!(
                help.contains(&format!("\n  {command} ")),
                "{command}\n{help}"
            );
        }
        assert_eq!(
            parse("vodcertd doctor").unwrap_err(),
            ErrorKind::InvalidSubcommand
        );
    }
}
