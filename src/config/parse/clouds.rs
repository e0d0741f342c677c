//! `[clouds.NAME]`: sets of Alibaba Cloud credentials with their endpoints.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use url::Url;

use super::Secrets;
use super::named::Named;
use super::values::{self, Meaning, PlainHttp};
use crate::aliyun::{Cloud, CredentialSource, Endpoints, Rate, Signature};
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
        credentials: CredentialSource::Environment,
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
        None => Some(CredentialSource::Environment),
        Some(credentials) => parse_credentials(findings, secrets, credentials),
    };
    Some(Cloud {
        name: name.get_ref().clone(),
        credentials: credentials?,
        signature,
        endpoints,
        rate: rate(findings, &written.rate),
    })
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
    for text in [&written.sts, &written.cdn] {
        endpoint(text, PlainHttp::Loopback);
    }
    endpoint(&written.imds, PlainHttp::Allowed);
    let public = Endpoints::of_region(region);
    Endpoints {
        alidns: alidns.unwrap_or(public.alidns),
        cas,
        vod: vod.unwrap_or(public.vod),
    }
}

fn parse_credentials(
    findings: &mut Findings,
    secrets: &mut Secrets,
    written: &Spanned<file::Credentials>,
) -> Option<CredentialSource> {
    match written.get_ref() {
        file::Credentials::Word(word) if word == "chain" => Some(CredentialSource::Environment),
        file::Credentials::Word(word) => {
            // A text that is far from the word may be an access key.
            let (message, hint) = match nearest(word, ["chain"]) {
                Some(meant) => (
                    format!("{word:?} is no source of credentials"),
                    format!("did you mean {meant:?}?"),
                ),
                None => (
                    "this is no source of credentials".to_owned(),
                    "possible: \"chain\", or { access_key_id, access_key_secret_file }".to_owned(),
                ),
            };
            findings.add(Problem::error(message).at(written.span()).hint(hint));
            None
        }
        file::Credentials::Source(table) => access_key(findings, secrets, table, written.span()),
    }
}

fn access_key(
    findings: &mut Findings,
    secrets: &mut Secrets,
    table: &CredentialsTable,
    place: Range<usize>,
) -> Option<CredentialSource> {
    let later = [
        (table.ecs_role.as_ref(), "`ecs_role`"),
        (table.assume_role.as_ref(), "`assume_role`"),
        (table.external_id.as_ref(), "`external_id`"),
    ];
    let mut refused = false;
    for (text, what) in later {
        if let Some(text) = text {
            values::refuse(findings, text.span(), what);
            refused = true;
        }
    }
    if let Some(source) = &table.source {
        values::refuse(findings, source.span(), "`source`");
        refused = true;
    }
    if refused {
        return None;
    }
    let id = table.access_key_id.as_ref();
    let id = id.filter(|id| !id.get_ref().is_empty());
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
