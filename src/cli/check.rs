//! `vodcertd check`: the configuration with every problem in it.

use std::path::Path;

use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config;

/// Checks the configuration. Problems are an error with all of them; warnings and notes are printed
/// and change nothing.
pub(super) fn check(path: &Path, output: Output, errors: Output) -> Result<Exit, Failure> {
    let loaded = config::load(path)?;
    if !loaded.warnings.is_empty() {
        errors.print(&format!("{}\n", loaded.warnings.render(errors.colour())))?;
    }
    let certificates = loaded.config.certificates.len();
    let targets: usize = loaded
        .config
        .certificates
        .iter()
        .map(|one| one.spec.targets.len())
        .sum();
    output.print(&format!(
        "{} can be used: {}, {}\n",
        path.display(),
        counted(certificates, "certificate"),
        counted(targets, "target"),
    ))?;
    Ok(Exit::Done)
}

fn counted(count: usize, word: &str) -> String {
    if count == 1 {
        format!("1 {word}")
    } else {
        format!("{count} {word}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(0, "target"), "0 targets");
        assert_eq!(counted(1, "target"), "1 target");
        assert_eq!(counted(2, "target"), "2 targets");
    }
}
