//! Where the log goes: lines on standard error, JSON, or the journal.
//!
//! What libraries say is heard from warnings on; they log at finer levels what is not ours to tell.

use std::io;
use std::os::unix::fs::MetadataExt as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::arguments::{Arguments, Command, LogFormat, LogLevel};
use super::exit::Failure;
use super::output::Output;

/// Starts logging for the rest of the process.
pub(super) fn start(arguments: &Arguments, errors: Output) -> Result<(), Failure> {
    let format = arguments.log_format.unwrap_or_else(default_format);
    let filter = filter(level(arguments));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let layer = match format {
        LogFormat::Text => lines.with_target(false).with_ansi(errors.colour()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Journald => tracing_journald::layer().map_err(Failure::failed)?.boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()
        .map_err(Failure::failed)
}

fn level(arguments: &Arguments) -> LevelFilter {
    match arguments.log_level {
        Some(LogLevel::Error) => LevelFilter::ERROR,
        Some(LogLevel::Warn) => LevelFilter::WARN,
        Some(LogLevel::Info) => LevelFilter::INFO,
        Some(LogLevel::Debug) => LevelFilter::DEBUG,
        Some(LogLevel::Trace) => LevelFilter::TRACE,
        None => match arguments.command {
            Command::Run => LevelFilter::INFO,
            Command::Check | Command::Plan(_) | Command::Status(_) | Command::History(_) => {
                LevelFilter::WARN
            }
        },
    }
}

fn filter(level: LevelFilter) -> Targets {
    let others = level.min(LevelFilter::WARN);
    Targets::new()
        .with_default(others)
        .with_target(env!("CARGO_CRATE_NAME"), level)
}

fn default_format() -> LogFormat {
    if stderr_is_journal() {
        LogFormat::Journald
    } else {
        LogFormat::Text
    }
}

/// Whether standard error is connected to the journal, as systemd says in `JOURNAL_STREAM`
/// (`systemd.exec(5)`). The variable alone does not tell: children inherit it.
#[expect(
    clippy::disallowed_methods,
    reason = "systemd tells it in the environment"
)]
fn stderr_is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    let stderr = std::fs::metadata("/proc/self/fd/2").ok();
    stream
        .zip(stderr)
        .is_some_and(|(stream, stderr)| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_heard_from_warnings_on() {
        let filter = filter(LevelFilter::DEBUG);
        assert!(filter.would_enable("vodcertd::daemon", &tracing::Level::DEBUG));
        assert!(!filter.would_enable("vodcertd::daemon", &tracing::Level::TRACE));
        for library in ["tokio_cron_scheduler", "sqlx::query", "hyper_util::client"] {
            assert!(
                filter.would_enable(library, &tracing::Level::WARN),
                "{library}"
            );
            assert!(
                !filter.would_enable(library, &tracing::Level::INFO),
                "{library}"
            );
        }
    }

    #[test]
    fn nobody_is_louder_than_asked_for() {
        let filter = filter(LevelFilter::ERROR);
        assert!(!filter.would_enable("sqlx", &tracing::Level::WARN));
        assert!(!filter.would_enable("vodcertd", &tracing::Level::WARN));
    }
}
