//! The configuration: from a file to settings that can be relied upon, or to all that is wrong with
//! it at once.
//!
//! ```text
//! text ── read ─► File (as written) ── parse ─► Draft ── load: other files ─► Loaded
//!           │                            │                    │
//!           └──────── Findings ◄─────────┴────────────────────┘ ─► Problems, shown by `error`
//! ```
//!
//! This module stands above the adapters and fills the settings that each of them defines; nothing
//! below the shell knows it. It changes nothing and asks nothing over the network.

mod error;
mod file;
mod nearest;
mod parse;
mod read;
mod settings;
mod veil;

use std::path::Path;

pub use self::error::{Problem, Problems, Severity};
pub use self::nearest::nearest;
pub use self::settings::{
    AlidnsSettings, CertificateConfig, Config, Issuer, Schedule, SolverSettings, StoreConfig,
};

use self::error::Findings;
use self::parse::Draft;

/// A configuration that can be used, with what should be said about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings and notes.
    pub warnings: Problems,
}

/// Reads a configuration file and the roots that it names. Secrets are tried: what cannot be read
/// by this user is noted, but is no error, because the daemon may be another user.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("could not read the configuration: {error}");
        Problems::unreadable(&origin, Problem::error(message))
    })?;
    let mut findings = Findings::of(&text);
    let mut draft = draft(&text, &mut findings);
    if let Some(draft) = &mut draft {
        read_roots(&mut findings, draft);
        note_unreadable_secrets(&mut findings, draft);
    }
    conclude(draft, findings, &origin)
}

fn draft(text: &str, findings: &mut Findings) -> Option<Draft> {
    let file = read::read(text, findings)?;
    Some(parse::parse(file, findings))
}

fn conclude(draft: Option<Draft>, findings: Findings, origin: &str) -> Result<Loaded, Problems> {
    let fatal = findings.are_fatal();
    let problems = findings.into_problems(origin);
    match draft {
        Some(draft) if !fatal => Ok(Loaded {
            config: draft.config,
            warnings: problems,
        }),
        Some(_) | None => Err(problems),
    }
}

fn read_roots(findings: &mut Findings, draft: &mut Draft) {
    let Some(path) = &draft.ca_file else { return };
    match roots_of(path.get_ref()) {
        Ok(roots) => draft.config.network.extra_roots = roots,
        Err(message) => findings.add(Problem::error(message).at(path.span()).hint(
            "name a file with one or more certificates in PEM (-----BEGIN CERTIFICATE-----)",
        )),
    }
}

/// The certificates of a PEM file, in DER.
fn roots_of(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    let text = std::fs::read(path).map_err(|error| format!("could not read the roots: {error}"))?;
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let roots = roots.map_err(|error| format!("the roots are not PEM: {error}"))?;
    let whole = |der: &CertificateDer<'_>| x509_parser::parse_x509_certificate(der).is_ok();
    if roots.is_empty() || !roots.iter().all(whole) {
        return Err("the file does not hold certificates".to_owned());
    }
    Ok(roots.into_iter().map(|der| der.to_vec()).collect())
}

fn note_unreadable_secrets(findings: &mut Findings, draft: &Draft) {
    for (place, source) in &draft.secrets.0 {
        if let Err(error) = source.read() {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let message = match cause {
                Some(cause) => format!("this user cannot read the secret: {error}: {cause}"),
                None => format!("this user cannot read the secret: {error}"),
            };
            findings.add(
                Problem::note(message)
                    .at(place.clone())
                    .hint("the daemon must be able to"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
