//! The program `vodcertd`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    vodcertd::cli::main()
}
