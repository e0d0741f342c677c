//! `[solvers.NAME]`: ways of proving control of names.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use super::clouds;
use super::named::Named;
use super::values::{self, Meaning};
use crate::aliyun::Cloud;
use crate::aliyun::alidns::Zone;
use crate::config::error::{Findings, Problem};
use crate::config::file::{self, Text};
use crate::config::nearest::nearest;
use crate::config::settings::{AlidnsSettings, SolverSettings};
use crate::solver::Propagation;

/// The solver that exists without being written.
pub(super) const DEFAULT: &str = "alidns";

/// A kind that this version has.
#[derive(Clone, Copy)]
enum Kind {
    Alidns,
}

const KINDS: [(&str, Meaning<Kind>); 6] = [
    ("alidns", Meaning::Is(Kind::Alidns)),
    ("rfc2136", Meaning::NotYet),
    ("exec", Meaning::NotYet),
    ("httpreq", Meaning::NotYet),
    ("http-01", Meaning::NotYet),
    ("webroot", Meaning::NotYet),
];

/// All solvers of a file.
pub(super) fn solvers(
    findings: &mut Findings,
    written: &BTreeMap<Text, file::Solver>,
    clouds: &Named<Cloud>,
) -> Named<SolverSettings> {
    let default = SolverSettings::Alidns(AlidnsSettings {
        cloud: clouds::DEFAULT.to_owned(),
        zones: Vec::new(),
        propagation: Propagation::default(),
    });
    let mut solvers = Named::new("solver").with(DEFAULT, default);
    for (name, solver) in written {
        let parsed = kind(findings, name, solver).map(|kind| match kind {
            Kind::Alidns => alidns(findings, solver, clouds),
        });
        solvers.add(findings, name, parsed);
    }
    solvers
}

fn kind(findings: &mut Findings, name: &Text, written: &file::Solver) -> Option<Kind> {
    let by_name = || KINDS.iter().any(|(word, _)| *word == name.get_ref());
    let text = match &written.kind {
        Some(kind) => kind,
        None if by_name() => name,
        None => {
            let message = format!("the solver {:?} has no `kind`", name.get_ref());
            findings.add(
                Problem::error(message)
                    .at(name.span())
                    .hint("add kind = \"alidns\""),
            );
            return None;
        }
    };
    let kinds = KINDS.map(|(word, meaning)| (word, meaning.map(Some)));
    let known = kinds.iter().map(|(word, _)| *word);
    if nearest(text.get_ref(), known).is_none() {
        let message = format!("{:?} is no kind of solver", text.get_ref());
        findings.add(Problem::error(message).at(text.span()).hint(
            "possible: \"alidns\"; the providers of the DNS library are not available in this version",
        ));
        return None;
    }
    values::word(findings, Some(text), "kind of solver", &kinds, None)
}

fn alidns(
    findings: &mut Findings,
    written: &file::Solver,
    clouds: &Named<Cloud>,
) -> SolverSettings {
    for (place, name) in foreign_to_alidns(written) {
        let message = format!("`{name}` means nothing to a solver of kind \"alidns\"");
        findings.add(Problem::error(message).at(place).hint("remove it"));
    }
    let cloud = match &written.cloud {
        Some(reference) => {
            clouds.find(findings, reference);
            reference.get_ref().clone()
        }
        None => clouds::DEFAULT.to_owned(),
    };
    let zones = written.zones.iter().flat_map(Spanned::get_ref);
    let zones = zones.filter_map(|text| zone(findings, text)).collect();
    SolverSettings::Alidns(AlidnsSettings {
        cloud,
        zones,
        propagation: propagation(findings, &written.propagation),
    })
}

fn foreign_to_alidns(written: &file::Solver) -> impl Iterator<Item = (Range<usize>, &'static str)> {
    let text = |text: &Option<Text>| text.as_ref().map(Text::span);
    [
        (text(&written.server), "server"),
        (written.tsig.as_ref().map(Spanned::span), "tsig"),
        (written.command.as_ref().map(Spanned::span), "command"),
        (text(&written.timeout), "timeout"),
        (text(&written.url), "url"),
        (text(&written.listen), "listen"),
        (text(&written.dir), "dir"),
    ]
    .into_iter()
    .filter_map(|(place, name)| Some((place?, name)))
}

fn zone(findings: &mut Findings, text: &Text) -> Option<Zone> {
    let zone = Zone::named(text.get_ref());
    if zone.is_none() {
        findings.add(
            Problem::error(format!("{:?} is not a DNS zone", text.get_ref()))
                .at(text.span())
                .hint("write the zone of names that it is for, such as \"example.com\""),
        );
    }
    zone
}

fn propagation(findings: &mut Findings, written: &file::Propagation) -> Propagation {
    let default = Propagation::default();
    let second = Duration::from_secs(1);
    let timeout = written.timeout.as_ref();
    let (poll, settle) = (written.poll.as_ref(), written.settle.as_ref());
    Propagation {
        timeout: values::length(
            findings,
            timeout,
            values::from(Duration::ZERO),
            default.timeout,
        ),
        poll: values::length(findings, poll, values::from(second), default.poll),
        settle: values::length(
            findings,
            settle,
            values::from(Duration::ZERO),
            default.settle,
        ),
    }
}
