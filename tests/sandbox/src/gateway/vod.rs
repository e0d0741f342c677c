//! The reading actions of VOD (2017-03-21).
//!
//! Numbers are strings where Alibaba's samples show strings.

use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::certificate_installation::unknown_domain;
use super::paging::{Page, PageRules};
use super::refusal::Refusal;
use super::request::Request;
use crate::world::{Binding, DomainStatus, Env, Https, State, StoredCertificate, VodDomain};

const NUMBER_CODE: &str = "InvalidPageNumber.ValueNotSupported";
const SIZE_CODE: &str = "InvalidPageSize.ValueNotSupported";

const DOMAIN_PAGES: PageRules = PageRules {
    default_size: 20,
    max_size: 50,
    number_code: NUMBER_CODE,
    size_code: SIZE_CODE,
};

const CERTIFICATE_PAGES: PageRules = PageRules {
    default_size: 20,
    max_size: 1000,
    number_code: NUMBER_CODE,
    size_code: SIZE_CODE,
};

/// `DescribeVodDomainCertificateInfo`: what is installed in production.
pub(super) fn certificate_info(state: &State, request: &Request) -> Result<Value, Refusal> {
    let domain = domain_of(state, request)?;
    let infos: Vec<Value> = match production(domain) {
        None => Vec::new(),
        Some(Https::Off) => vec![switched_off_info(domain)],
        Some(Https::On(binding)) => vec![installed_info(domain, binding)],
    };
    Ok(json!({ "CertInfos": { "CertInfo": infos } }))
}

/// `DescribeVodDomainDetail`.
pub(super) fn domain_detail(state: &State, request: &Request) -> Result<Value, Refusal> {
    let domain = domain_of(state, request)?;
    let mut detail = json!({
        "DomainName": domain.name,
        "DomainStatus": domain.status.as_str(),
        "Cname": domain.cname,
        "SSLProtocol": ssl_protocol(domain),
        "Scope": "domestic",
        "Description": "",
        "GmtCreated": utc(domain.created),
        "GmtModified": utc(domain.modified),
        "Weight": "1",
        "Sources": { "Source": [source()] },
    });
    if let Some(binding) = production(domain).and_then(Https::binding) {
        detail["CertName"] = json!(binding.cert_name);
        detail["SSLPub"] = json!(binding.certificate.pair.chain_pem());
    }
    Ok(json!({ "DomainDetail": detail }))
}

/// `DescribeVodSSLCertificateList`: the stored certificates, for one domain or all.
pub(super) fn certificate_list(state: &State, request: &Request) -> Result<Value, Refusal> {
    let page = Page::read(request, CERTIFICATE_PAGES)?;
    let keyword = request.optional("SearchKeyword").unwrap_or_default();
    let domain = request.optional("DomainName");
    let found: Vec<Value> = state
        .certificates
        .values()
        .filter(|certificate| certificate.name.contains(keyword))
        .filter(|certificate| domain.is_none_or(|domain| covers(certificate, domain)))
        .map(|certificate| listed_certificate(certificate))
        .collect();
    Ok(json!({ "CertificateListModel": {
        "Count": found.len().to_string(),
        "PageNumber": page.number,
        "PageSize": page.size,
        "CertList": { "Cert": page.cut(found) },
    } }))
}

/// `DescribeVodUserDomains`.
pub(super) fn user_domains(state: &State, request: &Request) -> Result<Value, Refusal> {
    let page = Page::read(request, DOMAIN_PAGES)?;
    let status = wanted_status(request)?;
    let search = Search::read(request)?;
    let found: Vec<Value> = state
        .domains
        .values()
        .filter(|domain| status.is_none_or(|status| domain.status == status))
        .filter(|domain| search.finds(&domain.name))
        .map(listed_domain)
        .collect();
    Ok(json!({
        "TotalCount": found.len().to_string(),
        "PageNumber": page.number,
        "PageSize": page.size,
        "Domains": { "PageData": page.cut(found) },
    }))
}

fn domain_of<'a>(state: &'a State, request: &Request) -> Result<&'a VodDomain, Refusal> {
    let name = request.required("DomainName")?;
    state.domains.get(name).ok_or_else(unknown_domain)
}

fn production(domain: &VodDomain) -> Option<&Https> {
    domain.https_as_of(Env::Production, Instant::now())
}

fn ssl_protocol(domain: &VodDomain) -> &'static str {
    match production(domain) {
        Some(Https::On(_)) => "on",
        Some(Https::Off) | None => "off",
    }
}

fn switched_off_info(domain: &VodDomain) -> Value {
    json!({
        "DomainName": domain.name,
        "ServerCertificateStatus": "off",
        "Status": "",
        "CertName": "",
        "CertId": "",
        "CertExpireTime": "",
        "ServerCertificate": "",
    })
}

fn installed_info(domain: &VodDomain, binding: &Binding) -> Value {
    let certificate = &binding.certificate;
    let leaf = certificate.pair.leaf();
    json!({
        "DomainName": domain.name,
        "CertName": binding.cert_name,
        "CertId": certificate.id.to_string(),
        "CertRegion": certificate.region.as_str(),
        "CertType": binding.source.as_str(),
        "CertDomainName": leaf.names.join(","),
        "CertOrg": leaf.issuer,
        "CertLife": "3 months",
        "CertStartTime": utc_seconds(leaf.not_before),
        "CertExpireTime": utc_seconds(leaf.not_after),
        "CertUpdateTime": utc(domain.modified),
        "DomainCnameStatus": "ok",
        "ServerCertificateStatus": "on",
        "ServerCertificate": certificate.pair.chain_pem(),
        // Filled for CertType=free only.
        "Status": "",
    })
}

fn listed_certificate(certificate: &StoredCertificate) -> Value {
    let leaf = certificate.pair.leaf();
    json!({
        "CertId": certificate.id.to_string(),
        "CertName": certificate.name,
        "CertRegion": certificate.region.as_str(),
        "Common": leaf.common_name,
        "Fingerprint": leaf.sha1.to_uppercase(),
        "Issuer": leaf.issuer,
        "LastTime": leaf.not_before,
    })
}

fn listed_domain(domain: &VodDomain) -> Value {
    json!({
        "DomainName": domain.name,
        "Cname": domain.cname,
        "DomainStatus": domain.status.as_str(),
        // Spelled so in this answer and `SSLProtocol` in the other.
        "SslProtocol": ssl_protocol(domain),
        "Description": "",
        "GmtCreated": utc(domain.created),
        "GmtModified": utc(domain.modified),
        "Sandbox": "normal",
        "Sources": { "Source": [source()] },
    })
}

fn source() -> Value {
    json!({ "Type": "oss", "Content": "bucket.oss-cn-shanghai.aliyuncs.com", "Port": 80, "Priority": "20" })
}

/// Whether a certificate is for `domain`, by equal name or by a wildcard one label above.
fn covers(certificate: &StoredCertificate, domain: &str) -> bool {
    let domain = domain.trim_start_matches('.');
    let parent = domain.split_once('.').map(|(_, parent)| parent);
    certificate.pair.leaf().names.iter().any(|name| {
        name == domain
            || name
                .strip_prefix("*.")
                .is_some_and(|name| Some(name) == parent)
    })
}

fn wanted_status(request: &Request) -> Result<Option<DomainStatus>, Refusal> {
    let Some(word) = request.optional("DomainStatus") else {
        return Ok(None);
    };
    let status = DomainStatus::ALL
        .into_iter()
        .find(|status| status.as_str() == word);
    match status {
        Some(status) => Ok(Some(status)),
        None => Err(not_supported("DomainStatus")),
    }
}

/// `DomainName` with `DomainSearchType`.
struct Search<'a> {
    wanted: &'a str,
    finds: fn(&str, &str) -> bool,
}

impl<'a> Search<'a> {
    fn read(request: &'a Request) -> Result<Self, Refusal> {
        let finds: fn(&str, &str) -> bool = match request.optional("DomainSearchType") {
            Some("fuzzy_match") | None => |name, wanted| name.contains(wanted),
            Some("pre_match") => |name, wanted| name.starts_with(wanted),
            Some("suf_match") => |name, wanted| name.ends_with(wanted),
            Some("full_match") => |name, wanted| name == wanted,
            Some(_) => return Err(not_supported("DomainSearchType")),
        };
        Ok(Self {
            wanted: request.optional("DomainName").unwrap_or_default(),
            finds,
        })
    }

    fn finds(&self, name: &str) -> bool {
        self.wanted.is_empty() || (self.finds)(name, self.wanted)
    }
}

fn not_supported(parameter: &str) -> Refusal {
    let code = format!("Invalid{parameter}.ValueNotSupported");
    Refusal::new(400, &code, format!("The specified {parameter} is invalid."))
}

fn utc(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn utc_seconds(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| String::new(), utc)
}
