//! `[[certificates]]`: what is ordered, from whom, and how it is proven.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use toml::Spanned;

use super::named::Named;
use super::targets::{self, Settings, Taken};
use super::values::{self, Meaning};
use super::{issuers, solvers};
use crate::aliyun::{Action, Cloud};
use crate::certificate::KeyType;
use crate::config::error::{Findings, Problem};
use crate::config::file::{self, OneOrMany, Text};
use crate::config::settings::{CertificateConfig, Issuer, SolverSettings};
use crate::name::{DnsName, Label};
use crate::renewal::{IssuerSpec, RenewPolicy, Spec};
use crate::retry::Scope;
use crate::solver::Alidns;

/// No public CA takes more names than this (Let's Encrypt's limit).
const NAME_LIMIT: usize = 100;

/// Under these profiles Let's Encrypt takes fewer.
const NAME_LIMIT_OF_SHORT_PROFILES: usize = 25;
const SHORT_PROFILES: [&str; 2] = ["tlsserver", "shortlived"];

/// What certificates refer to by name.
#[derive(Debug)]
pub(super) struct Things {
    pub(super) issuers: Named<Issuer>,
    pub(super) clouds: Named<Cloud>,
    pub(super) solvers: Named<SolverSettings>,
}

/// A name with its place.
pub(super) type PlacedName = Spanned<DnsName>;

/// How a certificate is obtained.
#[derive(Clone, Debug)]
struct Terms {
    issuers: Vec<(String, Issuer)>,
    /// The names of solvers that exist.
    solvers: Vec<String>,
    key: KeyType,
    renew: RenewPolicy,
}

/// All certificates of a file.
pub(super) fn certificates(
    findings: &mut Findings,
    written: &[Spanned<file::Certificate>],
    (default_terms, default_target): (&file::Certificate, &file::Target),
    things: &Things,
    orders_per_day: u32,
) -> Vec<CertificateConfig> {
    let terms = Terms::parse(findings, default_terms, Terms::built_in(things), things);
    let settings = Settings::parse(
        findings,
        default_target,
        &Settings::built_in(),
        &things.clouds,
    );
    if written.is_empty() && !findings.is_misread("certificates") {
        findings.add(
            Problem::error("there are no certificates")
                .hint("add [[certificates]] with names = [\"v.example.com\"]"),
        );
    }
    let mut labels = BTreeSet::new();
    let mut taken = Taken::default();
    let mut certificates = Vec::new();
    for certificate in written {
        let names = names(findings, certificate);
        let terms = Terms::parse(findings, certificate.get_ref(), terms.clone(), things);
        refuse_what_the_ca_refuses(findings, &names, &terms);
        let label = label(findings, certificate.get_ref(), &names, &mut labels);
        let solvers = solvers_by_name(findings, &names, &terms, things);
        let targets = certificate.get_ref().targets.as_ref();
        let targets = targets::of_certificate(
            findings,
            targets,
            &settings,
            &things.clouds,
            &names,
            &mut taken.by(label.as_ref(), &names),
        );
        let Some(label) = label else { continue };
        certificates.push(CertificateConfig {
            spec: Spec {
                label,
                names: names.into_iter().map(Spanned::into_inner).collect(),
                issuers: terms.issuers.iter().map(issuer_spec).collect(),
                key: terms.key,
                renew: terms.renew,
                targets: targets.specs,
                orders_per_day,
                proof_scopes: proof_scopes(&solvers, &things.solvers),
            },
            solvers,
            targets: targets.settings,
        });
    }
    certificates
}

fn issuer_spec((name, issuer): &(String, Issuer)) -> IssuerSpec {
    IssuerSpec {
        name: name.clone(),
        directory: issuer.directory.as_str().to_owned(),
        profile: issuer.profile.clone(),
        limits: issuer.limits.clone(),
    }
}

// === names and label ===

fn names(findings: &mut Findings, written: &Spanned<file::Certificate>) -> Vec<PlacedName> {
    let list = written.get_ref().names.as_ref();
    let texts = list
        .map(|list| list.get_ref().as_slice())
        .unwrap_or_default();
    if texts.is_empty() && !findings.is_misread_under("names", &written.span()) {
        let place = list.map_or(written.span(), Spanned::span);
        findings.add(
            Problem::error("a certificate without names")
                .at(place)
                .hint("add names = [\"v.example.com\"]"),
        );
    }
    let mut names: Vec<PlacedName> = Vec::new();
    for text in texts {
        match text.get_ref().parse::<DnsName>() {
            Err(error) => findings.add(
                Problem::error(format!(
                    "{:?} is no name for a certificate: {error}",
                    text.get_ref()
                ))
                .at(text.span())
                .hint("names look like \"v.example.com\" or \"*.example.com\""),
            ),
            Ok(name) if names.iter().any(|known| *known.get_ref() == name) => findings.add(
                Problem::error(format!("{:?} is there twice", name.as_str()))
                    .at(text.span())
                    .hint("remove one of the two"),
            ),
            Ok(name) => names.push(Spanned::new(text.span(), name)),
        }
    }
    if let (Some(list), true) = (list, names.len() > NAME_LIMIT) {
        findings.add(too_many_names(names.len(), NAME_LIMIT).at(list.span()));
    }
    names
}

fn too_many_names(count: usize, limit: usize) -> Problem {
    Problem::error(format!("{count} names are more than the CA takes"))
        .hint(format!("split them over certificates of at most {limit}"))
}

fn label(
    findings: &mut Findings,
    written: &file::Certificate,
    names: &[PlacedName],
    labels: &mut BTreeSet<Label>,
) -> Option<Label> {
    let label = match (&written.name, names) {
        (Some(text), _) => written_label(findings, text)?,
        (None, []) => return None,
        (None, [only]) => Spanned::new(only.span(), Label::of_name(only.get_ref())),
        (None, [_, second, ..]) => Spanned::new(second.span(), None),
    };
    let place = label.span();
    let Some(label) = label.into_inner() else {
        findings.add(
            Problem::error("nothing to call the certificate by")
                .at(place)
                .hint("add name = \"…\": a certificate with several names, or a very long one, needs a label"),
        );
        return None;
    };
    if !labels.insert(label.clone()) {
        findings.add(
            Problem::error(format!("there is another certificate {:?}", label.as_str()))
                .at(place)
                .hint("give each a `name` of its own"),
        );
    }
    Some(label)
}

fn written_label(findings: &mut Findings, text: &Text) -> Option<Spanned<Option<Label>>> {
    match text.get_ref().parse::<Label>() {
        Ok(label) => Some(Spanned::new(text.span(), Some(label))),
        Err(error) => {
            findings.add(
                Problem::error(format!("{:?} is not a label", text.get_ref()))
                    .at(text.span())
                    .hint(error.to_string()),
            );
            None
        }
    }
}

// === terms ===

impl Terms {
    fn built_in(things: &Things) -> Self {
        let name = "letsencrypt";
        let issuer = things.issuers.get(name).cloned();
        Self {
            issuers: issuer
                .map(|issuer| (name.to_owned(), issuer))
                .into_iter()
                .collect(),
            solvers: vec![solvers::DEFAULT.to_owned()],
            key: KeyType::Rsa2048,
            renew: RenewPolicy::Default,
        }
    }

    /// What is written, with `base` where nothing is.
    fn parse(
        findings: &mut Findings,
        written: &file::Certificate,
        base: Self,
        things: &Things,
    ) -> Self {
        values::refuse_switch(findings, written.reuse_key.as_ref(), "`reuse_key`");
        values::refuse_text(
            findings,
            written.challenge_alias.as_ref(),
            "`challenge_alias`",
        );
        let issuers = match &written.issuers {
            Some(list) => issuers_of(findings, list.get_ref(), &things.issuers),
            None => base.issuers,
        };
        let solvers = match &written.solver {
            Some(reference) => solvers_of(findings, reference, &things.solvers),
            None => base.solvers,
        };
        Self {
            issuers,
            solvers,
            key: key(findings, written.key.as_ref(), base.key),
            renew: match &written.renew {
                Some(renew) => renew_policy(findings, renew).unwrap_or(base.renew),
                None => base.renew,
            },
        }
    }
}

fn issuers_of(
    findings: &mut Findings,
    written: &[Text],
    issuers: &Named<Issuer>,
) -> Vec<(String, Issuer)> {
    let mut found: Vec<(String, Issuer)> = Vec::new();
    for reference in written {
        let name = reference.get_ref();
        if found.iter().any(|(known, _)| known == name) {
            findings.add(
                Problem::error(format!("the issuer {name:?} is there twice"))
                    .at(reference.span())
                    .hint("remove one of the two"),
            );
        } else if let Some(issuer) = issuers::find(issuers, findings, reference) {
            found.push((name.clone(), issuer.clone()));
        }
    }
    found
}

fn solvers_of(
    findings: &mut Findings,
    written: &Spanned<OneOrMany>,
    solvers: &Named<SolverSettings>,
) -> Vec<String> {
    let references = match written.get_ref() {
        OneOrMany::One(name) => vec![Spanned::new(written.span(), name.clone())],
        OneOrMany::Many(list) => list.clone(),
    };
    if references.is_empty() {
        findings.add(
            Problem::error("no solver")
                .at(written.span())
                .hint("name at least one; for a certificate that is only watched: issuers = []"),
        );
    }
    let exists = |reference: &Text| solvers.find(findings, reference).is_some();
    let existing: Vec<Text> = references.into_iter().filter(exists).collect();
    existing.into_iter().map(Spanned::into_inner).collect()
}

fn key(findings: &mut Findings, written: Option<&Text>, base: KeyType) -> KeyType {
    let kinds = [
        ("rsa-2048", Meaning::Is(KeyType::Rsa2048)),
        ("rsa-3072", Meaning::Is(KeyType::Rsa3072)),
        ("rsa-4096", Meaning::Is(KeyType::Rsa4096)),
        ("ecdsa-p256", Meaning::Is(KeyType::EcdsaP256)),
        ("ecdsa-p384", Meaning::Is(KeyType::EcdsaP384)),
    ];
    values::word(findings, written, "kind of key", &kinds, base)
}

fn renew_policy(findings: &mut Findings, written: &Spanned<file::Renew>) -> Option<RenewPolicy> {
    let renew = written.get_ref();
    match (&renew.at, &renew.before) {
        (Some(at), None) => fraction(findings, at).map(RenewPolicy::Fraction),
        (None, Some(before)) => {
            let second = Duration::from_secs(1);
            let before =
                values::length(findings, Some(before), values::from(second), Duration::ZERO);
            Some(RenewPolicy::Before(before))
        }
        (None, None) | (Some(_), Some(_)) => {
            findings.add(
                Problem::error("`renew` needs either `at` or `before`")
                    .at(written.span())
                    .hint("write { at = \"2/3\" } or { before = \"30d\" }"),
            );
            None
        }
    }
}

/// A fraction of a life, strictly between nothing and all of it.
fn fraction(findings: &mut Findings, text: &Text) -> Option<f64> {
    let parsed = text.get_ref().split_once('/').and_then(|(part, whole)| {
        let (part, whole): (u32, u32) = (part.trim().parse().ok()?, whole.trim().parse().ok()?);
        (0 < part && part < whole).then(|| f64::from(part) / f64::from(whole))
    });
    if parsed.is_none() {
        findings.add(
            Problem::error(format!("{:?} is not a fraction of a life", text.get_ref()))
                .at(text.span())
                .hint("write it as \"2/3\": more than nothing and less than the whole"),
        );
    }
    parsed
}

// === what goes together ===

/// Let's Encrypt's rules are known, so that an order which it must refuse is refused here.
fn refuse_what_the_ca_refuses(findings: &mut Findings, names: &[PlacedName], terms: &Terms) {
    let lets_encrypt = || {
        terms
            .issuers
            .iter()
            .map(|(_, issuer)| issuer)
            .filter(|issuer| issuers::is_lets_encrypt(issuer))
    };
    let short = |issuer: &Issuer| {
        let profile = issuer.profile.as_deref();
        profile.is_some_and(|profile| SHORT_PROFILES.contains(&profile))
    };
    let limit = NAME_LIMIT_OF_SHORT_PROFILES;
    if let (Some(first_too_many), true) = (names.get(limit), lets_encrypt().any(short)) {
        findings.add(too_many_names(names.len(), limit).at(first_too_many.span()));
    }
    if lets_encrypt().next().is_none() {
        return;
    }
    for name in names {
        let wildcard = names
            .iter()
            .map(Spanned::get_ref)
            .find(|wildcard| wildcard.is_wildcard() && wildcard.covers(name.get_ref().as_str()));
        if let Some(wildcard) = wildcard.filter(|_| !name.get_ref().is_wildcard()) {
            let (name, place) = (name.get_ref().as_str(), name.span());
            findings.add(
                Problem::error(format!(
                    "Let's Encrypt refuses {name:?} beside {:?}",
                    wildcard.as_str()
                ))
                .at(place)
                .hint("remove it: the wildcard covers it"),
            );
        }
    }
}

/// For every name the first of the solvers that is for it.
fn solvers_by_name(
    findings: &mut Findings,
    names: &[PlacedName],
    terms: &Terms,
    things: &Things,
) -> BTreeMap<DnsName, String> {
    let mut by_name = BTreeMap::new();
    if terms.issuers.is_empty() {
        return by_name;
    }
    let usable: Vec<(&String, &SolverSettings)> = terms
        .solvers
        .iter()
        .filter_map(|solver| Some((solver, things.solvers.get(solver)?)))
        .collect();
    for name in names {
        match usable
            .iter()
            .find(|(_, solver)| solver.suits(name.get_ref()))
        {
            Some((solver, _)) => {
                by_name.insert(name.get_ref().clone(), (*solver).clone());
            }
            // Whatever is wrong with the solvers themselves was complained of.
            None if usable.is_empty() => {}
            None => findings.add(
                Problem::error(format!("no solver is for {:?}", name.get_ref().as_str()))
                    .at(name.span())
                    .hint(format!(
                        "it is not in the `zones` of {}: those hold the names of certificates, not \
                         where an alias leads",
                        terms.solvers.join(", ")
                    )),
            ),
        }
    }
    by_name
}

/// What a deadline must not close if control of the names is to be proven.
fn proof_scopes(solvers: &BTreeMap<DnsName, String>, known: &Named<SolverSettings>) -> Vec<Scope> {
    let clouds: BTreeSet<&str> = solvers
        .values()
        .filter_map(|solver| known.get(solver))
        .map(SolverSettings::cloud)
        .collect();
    clouds
        .into_iter()
        .flat_map(|cloud| Action::scopes(cloud, &Alidns::PROVING))
        .collect()
}
