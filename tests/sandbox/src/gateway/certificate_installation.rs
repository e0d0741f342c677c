//! `SetVodDomainSSLCertificate` with the documented rules and codes.
//!
//! Trust and names are not judged: the documentation has no code for a certificate of another
//! name or of an unknown authority.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::refusal::{Refusal, bad};
use super::request::Request;
use super::{Reupload, Settings, ownership};
use crate::pem::Pair;
use crate::world::{
    Binding, CertRegion, CertSource, DomainStatus, Env, Https, State, StoredCertificate,
};

const MAX_NAME_LENGTH: usize = 128;

/// Switches HTTPS of a domain on with a certificate, or off.
pub(super) fn set_certificate(
    state: &mut State,
    settings: Settings,
    now: Timestamp,
    request: &Request,
) -> Result<Value, Refusal> {
    let domain = request.required("DomainName")?;
    let switch_on = read_switch(request)?;
    require_online(state, domain)?;
    require_owner(state, domain)?;
    let https = if switch_on {
        Https::On(bind(state, settings, now, request, domain)?)
    } else {
        Https::Off
    };
    let env = read_env(request);
    let domain = state.domains.get_mut(domain).ok_or_else(unknown_domain)?;
    if let (Env::Staging, Some(delay)) = (env, settings.staging_spills_after) {
        domain.change_after(delay, Env::Production, https.clone());
    }
    domain.change(env, https);
    Ok(json!({}))
}

/// The refusal of a domain that is not in this account.
pub(super) fn unknown_domain() -> Refusal {
    Refusal::new(404, "InvalidDomain.NotFound", "The domain does not exist.")
}

fn read_switch(request: &Request) -> Result<bool, Refusal> {
    match request.required("SSLProtocol")? {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(bad(
            "InvalidSSLProtocol.ValueNotSupported",
            "The specified SSLProtocol is invalid.",
        )),
    }
}

/// Any other value than `staging` is production, as documented.
fn read_env(request: &Request) -> Env {
    match request.optional("Env") {
        Some("staging") => Env::Staging,
        Some(_) | None => Env::Production,
    }
}

fn require_online(state: &State, domain: &str) -> Result<(), Refusal> {
    match state.domains.get(domain).ok_or_else(unknown_domain)?.status {
        DomainStatus::Online => Ok(()),
        DomainStatus::Offline => Err(bad(
            "InvalidDomain.Offline",
            "The domain provided is offline.",
        )),
        DomainStatus::Configuring
        | DomainStatus::ConfigureFailed
        | DomainStatus::Checking
        | DomainStatus::CheckFailed => Err(bad(
            "InvalidDomain.notOnline",
            "The domain is offline. Check the status of the domain and try again later.",
        )),
    }
}

fn require_owner(state: &State, domain: &str) -> Result<(), Refusal> {
    let known = state.domains.get(domain).ok_or_else(unknown_domain)?;
    if known.owner_proven {
        return Ok(());
    }
    Err(ownership::unproven())
}

fn bind(
    state: &mut State,
    settings: Settings,
    now: Timestamp,
    request: &Request,
    domain: &str,
) -> Result<Binding, Refusal> {
    let region = read_region(request)?;
    let name = read_name(request)?;
    let (source, certificate) = if let Some(id) = read_stored_id(request)? {
        let certificate = find_stored(state, id, region)?;
        require_unexpired(&certificate.pair, now)?;
        (CertSource::Cas, certificate)
    } else {
        let pair = read_upload(settings, request)?;
        require_unexpired(&pair, now)?;
        let upload = Upload {
            name,
            domain,
            region,
            pair,
        };
        (CertSource::Upload, upload.store(state, settings.reupload)?)
    };
    Ok(Binding {
        cert_name: name.to_owned(),
        source,
        certificate,
    })
}

fn read_region(request: &Request) -> Result<CertRegion, Refusal> {
    let Some(word) = request.optional("CertRegion") else {
        return Ok(CertRegion::CnHangzhou);
    };
    CertRegion::parse(word).ok_or_else(|| {
        bad(
            "Abs.CertRegion.ValueNotSupported",
            "CertRegion is not supported.",
        )
    })
}

fn read_name(request: &Request) -> Result<&str, Refusal> {
    let name = request.optional("CertName").ok_or_else(|| {
        Refusal::new(
            404,
            "CertName.MissingParameter",
            "You must specify CertName.",
        )
    })?;
    if name.chars().count() > MAX_NAME_LENGTH {
        return Err(bad(
            "InvalidCertName.TooLong",
            "The length of the certificate name cannot exceed 128 characters.",
        ));
    }
    Ok(name)
}

/// The id of the stored certificate to use; none means that the request brings its own.
///
/// `cas` without an id falls back to an upload, as the real gateway does.
fn read_stored_id(request: &Request) -> Result<Option<i64>, Refusal> {
    let id = request.number("CertId").map_err(|_| invalid_parameters())?;
    match request.optional("CertType") {
        Some("cas") => Ok(id),
        Some("upload") | None => Ok(None),
        Some(_) => Err(invalid_parameters()),
    }
}

fn find_stored(
    state: &State,
    id: i64,
    region: CertRegion,
) -> Result<Arc<StoredCertificate>, Refusal> {
    state
        .certificates
        .get(&id)
        .filter(|certificate| certificate.region == region)
        .cloned()
        .ok_or_else(|| bad("Certificate.NotFind", "The certificate does not exist."))
}

fn read_upload(settings: Settings, request: &Request) -> Result<Pair, Refusal> {
    let key = request.sent("SSLPri").ok_or_else(|| {
        bad(
            "SSLPri.MissingParameter",
            "The SSLPri parameter is required.",
        )
    })?;
    let chain = request.optional("SSLPub").ok_or_else(|| {
        bad(
            "SSLPub.MissingParameter",
            "The SSLPub parameter is required.",
        )
    })?;
    if key.is_empty() {
        return Err(bad("Certificate.KeyNull", "The private key is required."));
    }
    Ok(Pair::read(chain, key, settings.key_forms)?)
}

fn require_unexpired(pair: &Pair, now: Timestamp) -> Result<(), Refusal> {
    if pair.leaf().not_after < now.as_second() {
        return Err(bad("Certificate.Expired", "The certificate has expired."));
    }
    Ok(())
}

/// A certificate brought by the request.
struct Upload<'a> {
    name: &'a str,
    domain: &'a str,
    region: CertRegion,
    pair: Pair,
}

impl Upload<'_> {
    /// Stores it, or finds it stored already where that is allowed.
    fn store(self, state: &mut State, rule: Reupload) -> Result<Arc<StoredCertificate>, Refusal> {
        let mut stored = state.certificates.values();
        let Some(namesake) = stored.clone().find(|stored| stored.name == self.name) else {
            if stored.any(|stored| self.has_content_of(stored)) {
                return Err(Refusal::content_duplicated());
            }
            return Ok(state.store(self.name, self.region, Some(self.domain), self.pair));
        };
        if !self.has_content_of(namesake) {
            return Err(bad("CertNameAlreadyExists", "The CertName already exists."));
        }
        let for_this_domain = namesake.uploaded_for.as_deref() == Some(self.domain);
        match rule {
            Reupload::Accept if for_this_domain => Ok(Arc::clone(namesake)),
            Reupload::Accept | Reupload::RefuseAsDuplicate => Err(bad(
                "Certificate.Duplicated",
                "The certificate name already exists.",
            )),
        }
    }

    fn has_content_of(&self, stored: &StoredCertificate) -> bool {
        stored.pair.leaf().sha256 == self.pair.leaf().sha256
    }
}

fn invalid_parameters() -> Refusal {
    bad(
        "SetDomainCertificate.ParameterError",
        "The specified parameters are invalid.",
    )
}
