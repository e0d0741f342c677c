use std::collections::BTreeSet;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::acme::chain::{IssuedError, check_issued};
use crate::certificate::{CertificateError, Chain, KeyType};
use crate::keys::PrivateKey;
use crate::name::DnsName;
use crate::retry::Class;
use crate::time::Timestamp;

const HOUR: Duration = Duration::from_hours(1);

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "Test CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let der = params.self_signed(&key).unwrap().der().to_vec();
    Authority {
        issuer: Issuer::new(params, key),
        der,
    }
}

fn leaf(authority: &Authority, key: &PrivateKey, names: &[&str]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2026, 4, 1);
    params.use_authority_key_identifier_extension = true;
    let pair = KeyPair::try_from(key.pkcs8()).unwrap();
    let certificate = params.signed_by(&pair, &authority.issuer).unwrap();
    certificate.der().to_vec()
}

/// A key and a chain for it, valid in the first quarter of 2026.
pub(super) fn issued(names: &[&str]) -> (PrivateKey, Chain) {
    let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
    let authority = authority();
    let leaf = leaf(&authority, &key, names);
    let chain = Chain::from_der(vec![leaf, authority.der]).unwrap();
    (key, chain)
}

fn names(names: &[&str]) -> BTreeSet<DnsName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn what_was_ordered_passes() {
    let (key, chain) = issued(&["example.com", "*.example.com", "www.example.com"]);
    let wanted = names(&["example.com", "*.example.com"]);
    let begins = chain.leaf().not_before;
    for now in [begins, begins - HOUR, begins + 24 * HOUR] {
        assert_eq!(check_issued(&chain, &key, &wanted, now), Ok(()));
    }
}

#[test]
fn what_was_not_ordered_is_refused() {
    let (key, chain) = issued(&["example.com"]);
    let (other, _) = issued(&["example.com"]);
    let wanted = names(&["example.com"]);
    let (begins, ends) = (chain.leaf().not_before, chain.leaf().not_after);
    let noon = begins + 12 * HOUR;
    let not_now = |now| IssuedError::NotValidNow {
        not_before: begins,
        not_after: ends,
        now,
    };

    let foreign = check_issued(&chain, &other, &wanted, noon);
    assert_eq!(foreign, Err(IssuedError::ForeignKey));

    let more = names(&["example.com", "*.example.com"]);
    let missing = check_issued(&chain, &key, &more, noon);
    assert_eq!(
        missing,
        Err(IssuedError::MissingNames(names(&["*.example.com"])))
    );

    // A wildcard is no substitute for a name that was ordered: the targets are told the names.
    let (wild_key, wild) = issued(&["*.example.com"]);
    let below = names(&["v.example.com"]);
    assert!(check_issued(&wild, &wild_key, &below, noon).is_err());

    let early = begins - HOUR - Duration::from_secs(1);
    let cases = [
        ("too early", early),
        ("over", ends),
        ("long over", ends + HOUR),
    ];
    for (case, now) in cases {
        let checked = check_issued(&chain, &key, &wanted, now);
        assert_eq!(checked, Err(not_now(now)), "{case}");
    }
}

#[test]
fn a_chain_of_strangers_is_refused() {
    let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
    let leaf = leaf(&authority(), &key, &["example.com"]);
    let chain = Chain::from_der(vec![leaf, authority().der]).unwrap();
    let now = at("2026-02-01T00:00:00Z");
    let checked = check_issued(&chain, &key, &names(&["example.com"]), now);
    let broken = IssuedError::Links(CertificateError::BrokenLink(0));
    assert_eq!(checked, Err(broken));
}

/// However often it comes again: an order is placed for it once at most, and a person is called.
#[test]
fn a_refused_chain_is_tried_a_little_and_then_waits_for_a_person() {
    use Class::{Backoff, Operator, Reissue};
    let now = at("2026-02-01T00:00:00Z");
    let (not_before, not_after) = (now + HOUR, now + 2 * HOUR);
    let not_now = IssuedError::NotValidNow {
        not_before,
        not_after,
        now,
    };
    let missing = IssuedError::MissingNames(names(&["example.com"]));
    let broken = IssuedError::Links(CertificateError::BrokenLink(0));
    let cases = [
        (
            IssuedError::ForeignKey,
            "foreign-key",
            [Reissue, Operator, Operator, Operator],
        ),
        (missing, "missing-names", [Operator; 4]),
        (
            not_now,
            "not-valid-now",
            [Backoff, Backoff, Backoff, Operator],
        ),
        (
            broken,
            "broken-chain",
            [Backoff, Backoff, Backoff, Operator],
        ),
    ];
    for (error, code, expected) in cases {
        let failure = error.failure();
        assert_eq!(failure.code, code);
        assert_eq!(
            [1, 2, 3, 4].map(|count| failure.class(count)),
            expected,
            "{code}"
        );
        assert_eq!(failure.class(u32::MAX), Operator, "{code}");
    }
}
