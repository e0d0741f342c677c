//! Shows a whole certificate life on one machine: starts the sandbox, runs vodcertd in it and
//! tells what happens, as seen from outside.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "telling what happens is what this program is for"
)]

mod demonstration;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use demonstration::{Demonstration, Plan};

/// Runs vodcertd against a CA, a DNS server, an Alibaba Cloud gateway and an edge, all local.
#[derive(Debug, Parser)]
#[command(name = "vodcertd-sandbox")]
struct Arguments {
    /// The vodcertd program to run.
    #[arg(long, value_name = "PATH")]
    daemon: PathBuf,
    /// End after the first renewal was seen at the edge.
    #[arg(long)]
    once: bool,
    /// With --once: give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 240)]
    deadline: u64,
    /// How many seconds a certificate lives.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    validity: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = Plan {
        daemon: arguments.daemon,
        validity: Duration::from_secs(arguments.validity),
        deadline: arguments
            .once
            .then_some(Duration::from_secs(arguments.deadline)),
    };
    let demonstration = Demonstration::new(|line| println!("{line}"));
    match demonstration.run(&plan).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("sandbox: {failure:#}");
            ExitCode::FAILURE
        }
    }
}
