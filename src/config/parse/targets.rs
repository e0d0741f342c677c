//! `[[certificates.targets]]`: where a certificate is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use toml::Spanned;

use super::certificates::PlacedName;
use super::clouds;
use super::named::Named;
use super::values::{self, Meaning};
use crate::aliyun::{Action, Cloud, Code};
use crate::config::error::{Findings, Problem};
use crate::config::file;
use crate::config::file::Text;
use crate::keys::KeyFormat;
use crate::name::{AccelerationDomain, DnsName, Label, TargetId, TargetKind};
use crate::renewal::{LookPolicy, Method, OnDrift, OwnerProof, TargetSpec};
use crate::target::CertRegion;
use crate::target::vod::VodSettings;

const SECOND: Duration = Duration::from_secs(1);

/// What is off unless it is written, with the values that say nothing new.
const ROLLOUT_BATCH: u64 = 20;
const ROLLOUT_PAUSE: Duration = Duration::from_mins(1);
const ROLLOUT_MAX_FAILURES: u64 = 1;

/// The settings of a target, apart from its domain.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    kind: TargetKind,
    cloud: String,
    method: Method,
    cert_region: Option<CertRegion>,
    key_format: KeyFormat,
    on_drift: OnDrift,
    verify_owner: bool,
    look: LookPolicy,
    look_name: Option<PlacedName>,
    look_addresses: BTreeSet<SocketAddr>,
    staging_addresses: BTreeSet<SocketAddr>,
}

/// The targets of one certificate.
#[derive(Debug, Default)]
pub(super) struct Targets {
    pub(super) specs: BTreeMap<TargetId, TargetSpec>,
    pub(super) settings: BTreeMap<TargetId, VodSettings>,
}

/// Which certificate has which target.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeMap<TargetId, String>);

/// [`Taken`], as it is about to be taken by one certificate.
#[derive(Debug)]
pub(super) struct Taker<'a> {
    taken: &'a mut Taken,
    label: String,
}

/// The targets that are written for a certificate, or else one for each of its names.
pub(super) fn of_certificate(
    findings: &mut Findings,
    written: Option<&Spanned<Vec<Spanned<file::Target>>>>,
    defaults: &Settings,
    clouds: &Named<Cloud>,
    names: &[PlacedName],
    taker: &mut Taker<'_>,
) -> Targets {
    let mut targets = Targets::default();
    let Some(written) = written else {
        for domain in domains_of(names) {
            targets.add(findings, &domain, defaults, names, taker);
        }
        return targets;
    };
    if written.get_ref().is_empty() {
        findings.add(
            Problem::warning("the certificate is installed nowhere")
                .at(written.span())
                .hint("leave `targets` out to install it on one domain per name"),
        );
    }
    for target in written.get_ref() {
        let settings = Settings::parse(findings, target.get_ref(), defaults, clouds);
        let domains = match &target.get_ref().domains {
            Some(list) => domains(findings, list),
            None => domains_of(names),
        };
        for domain in domains {
            targets.add(findings, &domain, &settings, names, taker);
        }
    }
    targets
}

fn domains_of(names: &[PlacedName]) -> Vec<Spanned<AccelerationDomain>> {
    let domain =
        |name: &PlacedName| Spanned::new(name.span(), AccelerationDomain::of_name(name.get_ref()));
    names.iter().map(domain).collect()
}

fn domains(findings: &mut Findings, written: &file::List) -> Vec<Spanned<AccelerationDomain>> {
    if written.get_ref().is_empty() {
        findings.add(
            Problem::error("a target without domains")
                .at(written.span())
                .hint("name at least one, or leave `domains` out to take one per name"),
        );
    }
    let mut parsed = Vec::new();
    for text in written.get_ref() {
        match text.get_ref().parse::<AccelerationDomain>() {
            Ok(domain) => parsed.push(Spanned::new(text.span(), domain)),
            Err(error) => findings.add(
                Problem::error(format!(
                    "{:?} is no acceleration domain: {error}",
                    text.get_ref()
                ))
                .at(text.span())
                .hint(
                    "domains look like \"v.example.com\", wildcard domains like \".example.com\"",
                ),
            ),
        }
    }
    parsed
}

// === impl Taken ===

impl Taken {
    /// What a certificate takes. One without a label is called by its first name.
    pub(super) fn by(&mut self, label: Option<&Label>, names: &[PlacedName]) -> Taker<'_> {
        let first_name = || names.first().map(|name| name.get_ref().to_string());
        let label = label.map(ToString::to_string).or_else(first_name);
        Taker {
            taken: self,
            label: label.unwrap_or_else(|| "another certificate".to_owned()),
        }
    }
}

impl Taker<'_> {
    /// Takes a target, or says which certificate has it.
    fn take(&mut self, id: &TargetId) -> Result<(), String> {
        if let Some(owner) = self.taken.0.get(id) {
            return Err(owner.clone());
        }
        self.taken.0.insert(id.clone(), self.label.clone());
        Ok(())
    }
}

// === impl Targets ===

impl Targets {
    fn add(
        &mut self,
        findings: &mut Findings,
        domain: &Spanned<AccelerationDomain>,
        settings: &Settings,
        names: &[PlacedName],
        taker: &mut Taker<'_>,
    ) {
        let id = TargetId {
            kind: settings.kind,
            cloud: settings.cloud.clone(),
            domain: domain.get_ref().clone(),
        };
        refuse_uncovered(findings, domain, names);
        refuse_foreign_look(findings, domain.get_ref(), settings);
        if let Err(owner) = taker.take(&id) {
            let message = format!("{} is a target of {owner:?} already", id.domain.as_str());
            findings.add(
                Problem::error(message)
                    .at(domain.span())
                    .hint("one domain has one certificate: remove one of the two"),
            );
            return;
        }
        self.specs.insert(id.clone(), settings.spec());
        self.settings.insert(id, settings.of_vod(domain.get_ref()));
    }
}

/// A certificate that does not hold the domain's name would break the domain.
fn refuse_uncovered(
    findings: &mut Findings,
    domain: &Spanned<AccelerationDomain>,
    names: &[PlacedName],
) {
    let needed = domain.get_ref().needs();
    let covered = names
        .iter()
        .map(Spanned::get_ref)
        .any(|name| *name == needed || (!needed.is_wildcard() && name.covers(needed.as_str())));
    // Without any name, that is what is wrong.
    if !covered && !names.is_empty() {
        let message = format!("no name of the certificate covers {}", domain.get_ref());
        findings.add(
            Problem::error(message)
                .at(domain.span())
                .hint(format!("add \"{needed}\" to `names`")),
        );
    }
}

fn refuse_foreign_look(findings: &mut Findings, domain: &AccelerationDomain, settings: &Settings) {
    let Some(look_name) = &settings.look_name else {
        return;
    };
    if !domain.needs().covers(look_name.get_ref().as_str()) {
        let message = format!(
            "{:?} is not served by {domain}",
            look_name.get_ref().as_str()
        );
        findings.add(
            Problem::error(message)
                .at(look_name.span())
                .hint("`look.name` is for a wildcard domain: one part in front of it"),
        );
    }
}

// === impl Settings ===

impl Settings {
    /// The defaults of the program.
    pub(super) fn built_in() -> Self {
        Self {
            kind: TargetKind::AliyunVod,
            cloud: clouds::DEFAULT.to_owned(),
            method: Method::Auto,
            cert_region: None,
            key_format: KeyFormat::Traditional,
            on_drift: OnDrift::Repair,
            verify_owner: false,
            look: LookPolicy {
                enabled: true,
                deadline: Duration::from_mins(15),
                every: Duration::from_hours(6),
            },
            look_name: None,
            look_addresses: BTreeSet::new(),
            staging_addresses: BTreeSet::new(),
        }
    }

    /// What is written, with `base` where nothing is.
    pub(super) fn parse(
        findings: &mut Findings,
        written: &file::Target,
        base: &Self,
        clouds: &Named<Cloud>,
    ) -> Self {
        refuse_what_is_not_there(findings, written);
        let cloud = match &written.cloud {
            Some(reference) => {
                clouds.find(findings, reference);
                reference.get_ref().clone()
            }
            None => base.cloud.clone(),
        };
        let look = &written.look;
        let verify_owner = written.verify_owner.as_ref();
        Self {
            kind: kind(findings, written.kind.as_ref(), base.kind),
            cloud,
            method: method(findings, written.method.as_ref(), base.method),
            cert_region: cert_region(findings, written.cert_region.as_ref(), base.cert_region),
            key_format: key_format(findings, written.key_format.as_ref(), base.key_format),
            on_drift: on_drift(findings, written.on_drift.as_ref(), base.on_drift),
            verify_owner: verify_owner.map_or(base.verify_owner, |wanted| *wanted.get_ref()),
            look: look_policy(findings, look, base.look),
            look_name: match &look.name {
                Some(text) => look_name(findings, text),
                None => base.look_name.clone(),
            },
            look_addresses: addresses(findings, look.addresses.as_ref(), &base.look_addresses),
            staging_addresses: addresses(
                findings,
                written.staging.addresses.as_ref(),
                &base.staging_addresses,
            ),
        }
    }

    fn spec(&self) -> TargetSpec {
        TargetSpec {
            look: self.look,
            on_drift: self.on_drift,
            method: self.method,
            owner_proof: self.verify_owner.then(|| OwnerProof {
                code: Code::DomainOwnerVerifyFailed.as_str().to_owned(),
                scopes: Action::scopes(
                    &self.cloud,
                    &[
                        Action::DescribeVodVerifyContent,
                        Action::VerifyVodDomainOwner,
                    ],
                ),
            }),
            install_scopes: Action::scopes(&self.cloud, &[Action::SetVodDomainSslCertificate]),
            listing_scopes: Action::scopes(&self.cloud, &[Action::DescribeVodSslCertificateList]),
            storing_scopes: Action::scopes(&self.cloud, &[Action::UploadUserCertificate]),
            read_back_scopes: Action::scopes(
                &self.cloud,
                &[
                    Action::DescribeVodDomainCertificateInfo,
                    Action::DescribeVodDomainDetail,
                ],
            ),
        }
    }

    fn of_vod(&self, domain: &AccelerationDomain) -> VodSettings {
        VodSettings {
            domain: domain.clone(),
            key_format: self.key_format,
            cert_region: self.cert_region,
            look_name: self
                .look_name
                .as_ref()
                .map(|name| name.get_ref().to_string()),
            look_addresses: self.look_addresses.clone(),
            staging_addresses: self.staging_addresses.clone(),
        }
    }
}

fn kind(findings: &mut Findings, written: Option<&Text>, base: TargetKind) -> TargetKind {
    let kinds = [
        ("aliyun-vod", Meaning::Is(TargetKind::AliyunVod)),
        ("aliyun-cdn", Meaning::NotYet),
        ("aliyun-dcdn", Meaning::NotYet),
        ("aliyun-live", Meaning::NotYet),
    ];
    values::word(findings, written, "kind of target", &kinds, base)
}

fn method(findings: &mut Findings, written: Option<&Text>, base: Method) -> Method {
    let methods = [
        ("auto", Meaning::Is(Method::Auto)),
        ("upload", Meaning::Is(Method::Upload)),
        ("cas", Meaning::Is(Method::Cas)),
    ];
    values::word(findings, written, "method", &methods, base)
}

fn cert_region(
    findings: &mut Findings,
    written: Option<&Text>,
    base: Option<CertRegion>,
) -> Option<CertRegion> {
    let regions = [
        ("cn-hangzhou", Meaning::Is(Some(CertRegion::CnHangzhou))),
        (
            "ap-southeast-1",
            Meaning::Is(Some(CertRegion::ApSoutheast1)),
        ),
    ];
    values::word(findings, written, "region of certificates", &regions, base)
}

fn key_format(findings: &mut Findings, written: Option<&Text>, base: KeyFormat) -> KeyFormat {
    let formats = [
        ("traditional", Meaning::Is(KeyFormat::Traditional)),
        ("pkcs8", Meaning::Is(KeyFormat::Pkcs8)),
    ];
    values::word(findings, written, "format of keys", &formats, base)
}

fn on_drift(findings: &mut Findings, written: Option<&Text>, base: OnDrift) -> OnDrift {
    let answers = [
        ("repair", Meaning::Is(OnDrift::Repair)),
        ("alert", Meaning::Is(OnDrift::Alert)),
    ];
    values::word(findings, written, "answer to drift", &answers, base)
}

fn look_policy(findings: &mut Findings, written: &file::Look, base: LookPolicy) -> LookPolicy {
    let enabled = written.enabled.as_ref().map(|enabled| *enabled.get_ref());
    let (deadline, every) = (written.deadline.as_ref(), written.every.as_ref());
    LookPolicy {
        enabled: enabled.unwrap_or(base.enabled),
        deadline: values::length(findings, deadline, values::from(SECOND), base.deadline),
        every: values::length(findings, every, values::from(SECOND), base.every),
    }
}

/// The name to look at; an empty text is the default.
fn look_name(findings: &mut Findings, text: &Text) -> Option<PlacedName> {
    if text.get_ref().is_empty() {
        return None;
    }
    match text.get_ref().parse::<DnsName>() {
        Ok(name) if !name.is_wildcard() => Some(Spanned::new(text.span(), name)),
        Ok(_) | Err(_) => {
            findings.add(
                Problem::error(format!("{:?} is not a host name", text.get_ref()))
                    .at(text.span())
                    .hint("write a name without \"*\" that the edge answers to"),
            );
            None
        }
    }
}

fn addresses(
    findings: &mut Findings,
    written: Option<&file::List>,
    base: &BTreeSet<SocketAddr>,
) -> BTreeSet<SocketAddr> {
    match values::addresses(findings, written) {
        Some(addresses) => addresses.into_iter().collect(),
        None => base.clone(),
    }
}

/// Refuses what is switched on but not available; checks the rest of it all the same.
fn refuse_what_is_not_there(findings: &mut Findings, written: &file::Target) {
    values::refuse_text(findings, written.discover.as_ref(), "`discover`");
    let adopt = [("replace", Meaning::Is(())), ("when-due", Meaning::NotYet)];
    values::word(findings, written.adopt.as_ref(), "way to adopt", &adopt, ());
    let rollback = [("off", Meaning::Is(())), ("auto", Meaning::NotYet)];
    values::word(
        findings,
        written.rollback.as_ref(),
        "rollback",
        &rollback,
        (),
    );
    values::refuse_list(findings, written.windows.as_ref(), "`windows`");

    let staging = &written.staging;
    values::refuse_switch(findings, staging.enabled.as_ref(), "`staging`");
    values::length(
        findings,
        staging.soak.as_ref(),
        values::from(Duration::ZERO),
        Duration::ZERO,
    );

    let collect = &written.collect;
    values::refuse_switch(findings, collect.enabled.as_ref(), "`collect`");
    values::length(
        findings,
        collect.grace.as_ref(),
        values::from(Duration::ZERO),
        Duration::ZERO,
    );

    let rollout = &written.rollout;
    values::refuse_list(findings, rollout.canaries.as_ref(), "`rollout.canaries`");
    let pause = rollout.pause.as_ref();
    let range = values::from(Duration::ZERO);
    if values::length(findings, pause, range, ROLLOUT_PAUSE) != ROLLOUT_PAUSE {
        values::refuse_text(findings, pause, "`rollout.pause`");
    }
    for (number, default, what) in [
        (&rollout.batch, ROLLOUT_BATCH, "`rollout.batch`"),
        (
            &rollout.max_failures,
            ROLLOUT_MAX_FAILURES,
            "`rollout.max_failures`",
        ),
    ] {
        values::refuse_number(findings, number.as_ref(), default, what);
    }
}
