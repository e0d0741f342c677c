//! The names of things: DNS names, labels of certificates, targets. Parsed once, normalised, safe
//! to use as keys and as parts of file names.

use std::fmt;
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};

/// A DNS name on a certificate: lower-case A-labels without the final dot, possibly a wildcard
/// (`*.example.com`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsName(String);

/// The admin's label of a certificate. At most 100 bytes of letters, digits, `.`, `_` and `-`, not
/// beginning with a dot: it names folders and metrics.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

/// A VOD acceleration domain as Alibaba Cloud writes it: a DNS name, or `.example.com` for the
/// wildcard domain.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccelerationDomain(String);

/// One place where a certificate is installed. Written `kind/cloud/domain`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetId {
    /// Which kind of target.
    pub kind: TargetKind,
    /// The cloud's name in the configuration.
    pub cloud: String,
    /// The acceleration domain.
    pub domain: AccelerationDomain,
}

/// The kinds of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetKind {
    /// A VOD acceleration domain.
    AliyunVod,
}

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or nothing but dots.
    #[error("empty")]
    Empty,
    /// Longer than 253 bytes, or a part longer than 63 (RFC 1035 §2.3.4).
    #[error("longer than DNS allows")]
    TooLong,
    /// Something that no host name holds.
    #[error("not a DNS name")]
    NotDns,
    /// A `*` elsewhere than as the whole first part.
    #[error("a wildcard is only possible as the whole first part, as in \"*.example.com\"")]
    Wildcard,
    /// An IP address.
    #[error("an IP address, not a DNS name")]
    IpAddress,
    /// Only one part, as in `localhost`.
    #[error("a single word: a certificate needs a full name such as \"v.example.com\"")]
    SinglePart,
    /// Not a label.
    #[error("a label is 1 to 100 letters, digits, \".\", \"_\" or \"-\", not beginning with \".\"")]
    Label,
    /// Not `kind/cloud/domain`.
    #[error("not a target: expected kind/cloud/domain")]
    Target,
}

// === impl DnsName ===

impl DnsName {
    /// The whole name, `*.` included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `*.something`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The name without `*.`: the identifier under which a CA authorises it (RFC 8555 §7.1.4).
    pub fn base(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    /// The registered domain that it belongs to: one part more than its public suffix, by the public
    /// suffix list (<https://publicsuffix.org>). A name that is itself a public suffix is its own.
    pub fn registered_domain(&self) -> &str {
        psl::domain_str(self.base()).unwrap_or(self.base())
    }

    /// Whether a certificate with this name is valid for the host `host` (RFC 6125 §6.4: a wildcard
    /// stands for exactly one part).
    pub fn covers(&self, host: &str) -> bool {
        match self.0.strip_prefix("*.") {
            None => self.0 == host,
            Some(base) => host
                .split_once('.')
                .is_some_and(|(first, rest)| !first.is_empty() && rest == base),
        }
    }
}

impl FromStr for DnsName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (wildcard, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let base = normalise(rest)?;
        let name = if wildcard { format!("*.{base}") } else { base };
        if name.len() > 253 {
            return Err(NameError::TooLong);
        }
        Ok(Self(name))
    }
}

/// Brings a DNS name without wildcard into its one form.
fn normalise(text: &str) -> Result<String, NameError> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.contains('*') {
        return Err(NameError::Wildcard);
    }
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Err(NameError::IpAddress);
    }
    // Lengths are checked by us: the library does not tell them from all else that may be wrong.
    let ascii = Uts46::new().to_ascii(
        text.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::Check,
        DnsLength::Ignore,
    );
    let name = ascii.map_err(|_| NameError::NotDns)?.into_owned();
    if name.split('.').any(|part| part.len() > 63) {
        return Err(NameError::TooLong);
    }
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if !name.split('.').all(plain) {
        return Err(NameError::NotDns);
    }
    if !name.contains('.') {
        return Err(NameError::SinglePart);
    }
    Ok(name)
}

// === impl Label ===

impl Label {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label of a certificate that the admin did not label: its only name, with `_.` for `*.`.
    pub fn of_name(name: &DnsName) -> Option<Self> {
        let text = if name.is_wildcard() {
            format!("_.{}", name.base())
        } else {
            name.as_str().to_owned()
        };
        text.parse().ok()
    }
}

impl FromStr for Label {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let valid = !text.is_empty()
            && text.len() <= 100
            && !text.starts_with('.')
            && text.bytes().all(plain);
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Label)
        }
    }
}

// === impl AccelerationDomain ===

impl AccelerationDomain {
    /// The text as Alibaba Cloud wants it in `DomainName`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The acceleration domain that serves a name of a certificate: `*.x` is VOD's `.x`.
    pub fn of_name(name: &DnsName) -> Self {
        Self(match name.as_str().strip_prefix('*') {
            Some(dotted) => dotted.to_owned(),
            None => name.as_str().to_owned(),
        })
    }

    /// Whether it is a wildcard domain (`.example.com`).
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('.')
    }

    /// The name that a certificate must hold to serve it: `.x` needs `*.x`.
    pub fn needs(&self) -> DnsName {
        DnsName(if self.is_wildcard() {
            format!("*{}", self.0)
        } else {
            self.0.clone()
        })
    }

    /// A host name under which the edge can be asked for it: itself, or for a wildcard domain a
    /// name of our own below it (no TLS library takes `*.x` or `.x` as a server name).
    pub fn look_name(&self) -> String {
        if self.is_wildcard() {
            format!("vodcertd-look{}", self.0)
        } else {
            self.0.clone()
        }
    }
}

impl FromStr for AccelerationDomain {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = match text.strip_prefix('.') {
            Some(base) => format!("*.{base}").parse::<DnsName>()?,
            None => text.parse::<DnsName>()?,
        };
        Ok(Self::of_name(&name))
    }
}

// === impl TargetId ===

impl TargetKind {
    /// The word used in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AliyunVod => "aliyun-vod",
        }
    }
}

impl FromStr for TargetId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '/');
        let (Some(kind), Some(cloud), Some(domain)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(NameError::Target);
        };
        if kind != TargetKind::AliyunVod.as_str() {
            return Err(NameError::Target);
        }
        Ok(Self {
            kind: TargetKind::AliyunVod,
            cloud: cloud.to_owned(),
            domain: domain.parse()?,
        })
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind.as_str(), self.cloud, self.domain)
    }
}

impl fmt::Debug for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for TargetId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TargetId> for String {
    fn from(id: TargetId) -> Self {
        id.to_string()
    }
}

/// The conversions that every one-string name has.
macro_rules! string_name {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    )*};
}

string_name! { DnsName Label AccelerationDomain }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names_are_normalised_or_refused() {
        let cases: [(&str, Result<&str, NameError>); 15] = [
            ("V.Example.COM", Ok("v.example.com")),
            ("v.example.com.", Ok("v.example.com")),
            ("*.example.com", Ok("*.example.com")),
            ("视频.example.com", Ok("xn--cy2a840a.example.com")),
            ("", Err(NameError::Empty)),
            (".", Err(NameError::Empty)),
            ("*.", Err(NameError::Empty)),
            ("localhost", Err(NameError::SinglePart)),
            ("127.0.0.1", Err(NameError::IpAddress)),
            ("a.*.example.com", Err(NameError::Wildcard)),
            ("*.*.example.com", Err(NameError::Wildcard)),
            ("a_b.example.com", Err(NameError::NotDns)),
            ("a..example.com", Err(NameError::NotDns)),
            ("-a.example.com", Err(NameError::NotDns)),
            ("a b.example.com", Err(NameError::NotDns)),
        ];
        for (text, expected) in cases {
            let parsed = text.parse::<DnsName>().map(|name| name.to_string());
            assert_eq!(parsed.as_deref(), expected.as_ref().copied(), "{text:?}");
        }
    }

    #[test]
    fn dns_names_are_as_long_as_dns_allows() {
        let part = |length| "a".repeat(length);
        let name = |last| [part(63), part(63), part(63), part(last)].join(".");
        let wide = "ü".repeat(60);
        let cases = [
            (format!("{}.example.com", part(63)), true),
            (format!("{}.example.com", part(64)), false),
            (format!("*.{}.example.com", part(64)), false),
            (format!("{wide}.example.com"), false),
            (name(61), true),
            (name(62), false),
            (format!("*.{}", name(59)), true),
            (format!("*.{}", name(60)), false),
        ];
        for (text, fits) in cases {
            let expected = if fits {
                Ok(())
            } else {
                Err(NameError::TooLong)
            };
            assert_eq!(text.parse::<DnsName>().map(|_| ()), expected, "{text}");
        }
    }

    #[test]
    fn a_wildcard_covers_exactly_one_part() {
        let wildcard: DnsName = "*.example.com".parse().unwrap();
        for (host, covered) in [
            ("a.example.com", true),
            ("example.com", false),
            ("a.b.example.com", false),
            (".example.com", false),
        ] {
            assert_eq!(wildcard.covers(host), covered, "{host}");
        }
        assert!(
            "a.example.com"
                .parse::<DnsName>()
                .unwrap()
                .covers("a.example.com")
        );
        assert_eq!(wildcard.base(), "example.com");
    }

    #[test]
    fn the_registered_domain_is_one_part_below_the_public_suffix() {
        for (name, registered) in [
            ("example.com", "example.com"),
            ("a.b.example.com", "example.com"),
            ("*.example.com.cn", "example.com.cn"),
            ("v.example.公司.cn", "example.xn--55qx5d.cn"),
            // A private suffix: everybody's own registration below it.
            ("v.owner.github.io", "owner.github.io"),
            ("*.com.cn", "com.cn"),
            ("v.example.unlisted", "example.unlisted"),
        ] {
            let name: DnsName = name.parse().unwrap();
            assert_eq!(name.registered_domain(), registered, "{name}");
        }
    }

    #[test]
    fn a_wildcard_name_is_served_by_the_dotted_domain() {
        let domain = AccelerationDomain::of_name(&"*.v.example.com".parse().unwrap());
        assert_eq!(domain.as_str(), ".v.example.com");
        assert_eq!(domain.needs().as_str(), "*.v.example.com");
        assert_eq!(domain.look_name(), "vodcertd-look.v.example.com");
        assert_eq!(".v.example.com".parse(), Ok(domain));
    }

    #[test]
    fn labels_are_safe_as_file_names() {
        for good in ["video", "v.example.com", "_.example.com", "a-b_c"] {
            assert!(good.parse::<Label>().is_ok(), "{good}");
        }
        for bad in ["", ".hidden", "..", "a/b", "*.x", "a b", &"a".repeat(101)] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
        let of_wildcard = Label::of_name(&"*.example.com".parse().unwrap()).unwrap();
        assert_eq!(of_wildcard.as_str(), "_.example.com");
    }

    #[test]
    fn targets_are_written_and_read_back() {
        let id: TargetId = "aliyun-vod/default/.v.example.com".parse().unwrap();
        assert_eq!(id.to_string(), "aliyun-vod/default/.v.example.com");
        assert!("aliyun-vod/default".parse::<TargetId>().is_err());
        assert!("other/default/v.example.com".parse::<TargetId>().is_err());
    }
}
