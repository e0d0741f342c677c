//! `[clouds.NAME]`: sets of Alibaba Cloud credentials with their endpoints.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use url::Url;

use super::Secrets;
use super::named::Named;
use super::values::{self, Meaning, PlainHttp};
use crate::aliyun::{AssumeRole, Cloud, CredentialSource, Endpoints, Rate, RoleArn, Signature};
use crate::config::error::{Findings, Problem};
use crate::config::file::{self, CredentialsTable, Text};
use crate::config::nearest::nearest;

/// The cloud that exists without being written.
pub(super) const DEFAULT: &str = "default";

/// VOD's home region.
const DEFAULT_REGION: &str = "cn-shanghai";

/// Calls a second. The calls that the daemon makes often are not allowed more.
const RATES: RangeInclusive<u64> = 1..=100;

/// All clouds of a file.
pub(super) fn clouds(
    findings: &mut Findings,
    secrets: &mut Secrets,
    written: &BTreeMap<Text, file::Cloud>,
) -> Named<Cloud> {
    let default = Cloud {
        name: DEFAULT.to_owned(),
        credentials: CredentialSource::Chain,
        account: None,
        signature: Signature::default(),
        endpoints: Endpoints::of_region(DEFAULT_REGION),
        rate: Rate::default(),
    };
    let mut clouds = Named::new("cloud").with(DEFAULT, default);
    for (name, cloud) in written {
        let parsed = parse(findings, secrets, name, cloud);
        clouds.add(findings, name, parsed);
    }
    clouds
}

fn parse(
    findings: &mut Findings,
    secrets: &mut Secrets,
    name: &Text,
    written: &file::Cloud,
) -> Option<Cloud> {
    let signatures = [
        ("hmac-sha1", Meaning::Is(Signature::HmacSha1)),
        ("acs3-hmac-sha256", Meaning::Is(Signature::Acs3HmacSha256)),
    ];
    let signature = values::word(
        findings,
        written.signature.as_ref(),
        "signature",
        &signatures,
        Signature::default(),
    );
    let region = region(findings, written.region.as_ref());
    if let Some(text) = &written.region
        && written.endpoints.vod.is_none()
        && !Endpoints::knows_vod_of(region)
    {
        let message = format!("no VOD endpoint of {region:?} is known; the central one is used");
        findings.add(
            Problem::warning(message)
                .at(text.span())
                .hint("if the region is right, write `endpoints.vod`"),
        );
    }
    let endpoints = endpoints(findings, &written.endpoints, region);
    let credentials = match &written.credentials {
        None => Some(CredentialSource::Chain),
        Some(credentials) => parse_credentials(findings, secrets, credentials),
    };
    let account = account(findings, written.account.as_ref());
    Some(Cloud {
        name: name.get_ref().clone(),
        credentials: credentials?,
        account,
        signature,
        endpoints,
        rate: rate(findings, &written.rate),
    })
}

fn account(findings: &mut Findings, written: Option<&Text>) -> Option<String> {
    let text = written.filter(|text| !text.get_ref().is_empty())?;
    if text.get_ref().bytes().all(|b| b.is_ascii_digit()) {
        return Some(text.get_ref().clone());
    }
    let message = format!("{:?} is not the number of an account", text.get_ref());
    findings.add(
        Problem::error(message)
            .at(text.span())
            .hint("write its digits, as they stand in the names of its roles"),
    );
    None
}

fn rate(findings: &mut Findings, written: &file::Rate) -> Rate {
    let default = Rate::default();
    let mut calls = |written: &Option<Spanned<u64>>, otherwise: NonZeroU32| {
        let calls = values::number(findings, written.as_ref(), RATES, otherwise.get());
        NonZeroU32::new(calls).unwrap_or(otherwise)
    };
    Rate {
        install: calls(&written.install, default.install),
        other: calls(&written.other, default.other),
    }
}

fn region<'a>(findings: &mut Findings, written: Option<&'a Text>) -> &'a str {
    let Some(text) = written else {
        return DEFAULT_REGION;
    };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.get_ref().is_empty() || !text.get_ref().bytes().all(plain) {
        findings.add(
            Problem::error(format!("{:?} is not a region", text.get_ref()))
                .at(text.span())
                .hint("regions are written as \"cn-shanghai\" or \"ap-southeast-1\""),
        );
    }
    text.get_ref()
}

/// All endpoints are checked, even those of services that nothing calls yet.
fn endpoints(findings: &mut Findings, written: &file::Endpoints, region: &str) -> Endpoints {
    let mut endpoint = |text: &Option<Text>, plain_http| -> Option<Url> {
        values::endpoint(findings, text.as_ref()?, plain_http)
    };
    let vod = endpoint(&written.vod, PlainHttp::Loopback);
    let alidns = endpoint(&written.alidns, PlainHttp::Loopback);
    let cas = endpoint(&written.cas, PlainHttp::Loopback);
    let sts = endpoint(&written.sts, PlainHttp::Loopback);
    let imds = endpoint(&written.imds, PlainHttp::Allowed);
    endpoint(&written.cdn, PlainHttp::Loopback);
    let public = Endpoints::of_region(region);
    Endpoints {
        alidns: alidns.unwrap_or(public.alidns),
        cas,
        imds: imds.unwrap_or(public.imds),
        sts,
        vod: vod.unwrap_or(public.vod),
    }
}

/// What is possible where credentials are due.
const SOURCES: &str = "possible: \"chain\", { access_key_id, access_key_secret_file }, \
                       { ecs_role } or { assume_role, external_id, source }";

fn parse_credentials(
    findings: &mut Findings,
    secrets: &mut Secrets,
    written: &Spanned<file::Credentials>,
) -> Option<CredentialSource> {
    match written.get_ref() {
        file::Credentials::Word(word) if word == "chain" => Some(CredentialSource::Chain),
        file::Credentials::Word(word) => {
            // A text that is far from the word may be an access key.
            let (message, hint) = match nearest(word, ["chain"]) {
                Some(meant) => (
                    format!("{word:?} is no source of credentials"),
                    format!("did you mean {meant:?}?"),
                ),
                None => (
                    "this is no source of credentials".to_owned(),
                    SOURCES.to_owned(),
                ),
            };
            findings.add(Problem::error(message).at(written.span()).hint(hint));
            None
        }
        file::Credentials::Source(table) => source(findings, secrets, table, written.span()),
    }
}

/// The one source that a table describes. All of it is checked, whatever else is wrong.
fn source(
    findings: &mut Findings,
    secrets: &mut Secrets,
    table: &CredentialsTable,
    place: Range<usize>,
) -> Option<CredentialSource> {
    let key = table.access_key_id.is_some() || table.access_key_secret_file.is_some();
    let machine = table.ecs_role.is_some();
    let assumed =
        table.assume_role.is_some() || table.external_id.is_some() || table.source.is_some();
    let found = [
        key.then(|| access_key(findings, secrets, table, &place)),
        machine.then(|| ecs_role(findings, table.ecs_role.as_ref())),
        assumed.then(|| assume_role(findings, secrets, table, &place)),
    ];
    let mut found = found.into_iter().flatten();
    let complaint = match (found.next(), found.next()) {
        (Some(source), None) => return source,
        (Some(_), Some(_)) => "credentials come from one source",
        (None, _) => "this is no source of credentials",
    };
    findings.add(Problem::error(complaint).at(place).hint(SOURCES));
    None
}

fn access_key(
    findings: &mut Findings,
    secrets: &mut Secrets,
    table: &CredentialsTable,
    place: &Range<usize>,
) -> Option<CredentialSource> {
    let id = given(table.access_key_id.as_ref());
    let secret = table.access_key_secret_file.as_ref();
    for (missing, name) in [
        (id.is_none(), "access_key_id"),
        (secret.is_none(), "access_key_secret_file"),
    ] {
        if missing {
            findings.add(
                Problem::error(format!("the credentials have no `{name}`"))
                    .at(place.clone())
                    .hint("write { access_key_id = \"…\", access_key_secret_file = \"PATH\" }"),
            );
        }
    }
    let secret = secrets.source(findings, secret?)?;
    Some(CredentialSource::Static {
        access_key_id: id?.get_ref().clone(),
        access_key_secret: secret,
    })
}

fn ecs_role(findings: &mut Findings, written: Option<&Text>) -> Option<CredentialSource> {
    let text = written?;
    // What a role may be called (RAM, "CreateRole").
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if !text.get_ref().is_empty() && text.get_ref().bytes().all(plain) {
        return Some(CredentialSource::EcsRole(text.get_ref().clone()));
    }
    let message = format!("{:?} is not the name of a role", text.get_ref());
    findings.add(
        Problem::error(message)
            .at(text.span())
            .hint("write the name alone; \"chain\" finds the role that the machine has by itself"),
    );
    None
}

/// Without a `source` the chain is asked for those that take the role on.
fn assume_role(
    findings: &mut Findings,
    secrets: &mut Secrets,
    table: &CredentialsTable,
    place: &Range<usize>,
) -> Option<CredentialSource> {
    let source = match &table.source {
        None => Some(CredentialSource::Chain),
        Some(source) => parse_credentials(findings, secrets, source),
    };
    let Some(text) = given(table.assume_role.as_ref()) else {
        findings.add(
            Problem::error("the credentials have no `assume_role`")
                .at(place.clone())
                .hint("write { assume_role = \"acs:ram::ACCOUNT:role/NAME\", source = … }"),
        );
        return None;
    };
    let role = text.get_ref().parse::<RoleArn>();
    if let Err(error) = &role {
        let message = format!("{:?} is not the name of a role", text.get_ref());
        findings.add(
            Problem::error(message)
                .at(text.span())
                .hint(error.to_string()),
        );
    }
    Some(CredentialSource::AssumeRole(Box::new(AssumeRole {
        role: role.ok()?,
        external_id: given(table.external_id.as_ref()).map(|text| text.get_ref().clone()),
        source: source?,
    })))
}

/// A text that is not empty.
fn given(text: Option<&Text>) -> Option<&Text> {
    text.filter(|text| !text.get_ref().is_empty())
}
