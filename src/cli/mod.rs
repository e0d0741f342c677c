//! The commands: what the admin types, what he reads, and how it ends.
//!
//! Each command is a file that returns a text and an [`Exit`]; only this folder prints, and only
//! [`main`] says why something failed. The commands beside `run` work on the stored facts and the
//! configuration; they ask nothing over the network and change nothing.

mod arguments;
mod check;
mod exit;
mod history;
mod inputs;
mod logging;
mod output;
mod plan;
mod run;
mod status;
mod table;

use std::process::ExitCode;

use clap::Parser as _;

pub use self::arguments::{Arguments, Command};
pub use self::exit::Exit;

use self::exit::Failure;
use self::output::{Output, nobody_reads_on};

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let (output, errors) = (Output::stdout(), Output::stderr());
    let exit = match Arguments::try_parse() {
        Ok(arguments) => match perform(&arguments, output, errors) {
            Ok(exit) => exit,
            Err(failure) => fail(&failure, errors),
        },
        Err(asked) if asked.use_stderr() => {
            // Nothing is left to say it to if even that cannot be printed.
            let _ = asked.print();
            Exit::Usage
        }
        Err(asked) => match asked.print().or_else(nobody_reads_on) {
            Ok(()) => Exit::Done,
            Err(error) => fail(&error.into(), errors),
        },
    };
    exit.into()
}

fn fail(failure: &Failure, errors: Output) -> Exit {
    // The exit code is left if it cannot be said.
    let _ = errors.print(&failure.render(errors.colour()));
    failure.exit()
}

fn perform(arguments: &Arguments, output: Output, errors: Output) -> Result<Exit, Failure> {
    logging::start(arguments, errors)?;
    match &arguments.command {
        Command::Run => run::run(&arguments.config),
        Command::Check => check::check(&arguments.config, output, errors),
        Command::Plan(asked) => plan::plan(&arguments.config, asked, output),
        Command::Status(asked) => status::status(&arguments.config, asked, output),
        Command::History(asked) => history::history(&arguments.config, asked, output),
    }
}
