//! The story: lines that tell how one observation differs from the one before. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::status::CertificateStatus;
use super::witness::Leaf;

/// A next action nearer than this is under way rather than planned, and not told.
const PLANNED: Duration = Duration::from_secs(5);
/// Digits of a fingerprint or proof that are told.
const SHORT: usize = 12;

/// What could be seen at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Observation {
    /// Orders that the CA accepted so far.
    pub(super) orders: usize,
    /// TXT records in the zone.
    pub(super) proofs: BTreeSet<Proof>,
    /// Fingerprints of what was ever installed, by VOD domain, oldest first.
    pub(super) installed: BTreeMap<String, Vec<String>>,
    /// What the edge serves, by host, where it is valid.
    pub(super) served: BTreeMap<String, Leaf>,
    /// The daemon's word; none while it cannot be asked.
    pub(super) certificates: Option<Vec<CertificateStatus>>,
}

/// A published answer to a dns-01 challenge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Proof {
    /// The name of the TXT record.
    pub(super) name: String,
    /// Its text.
    pub(super) value: String,
}

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Story {
    last: Observation,
    /// Hosts at which something valid was ever served.
    seen: BTreeSet<String>,
    renewed: bool,
    lapse: Option<String>,
}

impl Story {
    /// The lines to tell about what was seen `now`.
    pub(super) fn go_on(&mut self, seen: Observation, now: Timestamp) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.ordered(&seen));
        lines.extend(self.proven(&seen));
        lines.extend(self.reported(&seen, now));
        lines.extend(self.installed(&seen));
        lines.extend(self.served(&seen));
        let certificates = seen.certificates.or(self.last.certificates.take());
        self.last = Observation {
            certificates,
            ..seen
        };
        lines
    }

    /// Whether a valid certificate was seen to follow a valid one at the edge.
    pub(super) fn has_renewal(&self) -> bool {
        self.renewed
    }

    /// Whether something valid was ever seen at `host`.
    pub(super) fn has_seen(&self, host: &str) -> bool {
        self.seen.contains(host)
    }

    /// Where and when the edge first ceased to serve anything valid.
    pub(super) fn lapse(&self) -> Option<&str> {
        self.lapse.as_deref()
    }

    fn ordered(&self, seen: &Observation) -> Vec<String> {
        (self.last.orders + 1..=seen.orders)
            .map(|number| format!("ordered    the CA accepted order number {number}"))
            .collect()
    }

    fn proven(&self, seen: &Observation) -> Vec<String> {
        let told = |done: &str, proof: &Proof| {
            let value = short(&proof.value);
            format!("proven     TXT {} {value}… {done}", proof.name)
        };
        let published = seen.proofs.difference(&self.last.proofs);
        let removed = self.last.proofs.difference(&seen.proofs);
        published
            .map(|proof| told("published", proof))
            .chain(removed.map(|proof| told("removed", proof)))
            .collect()
    }

    /// What the daemon says: issued generations, plans and failures.
    fn reported(&self, seen: &Observation, now: Timestamp) -> Vec<String> {
        let mut lines = Vec::new();
        for certificate in seen.certificates.iter().flatten() {
            let before = self.last.certificate(&certificate.name);
            lines.extend(issued(before, certificate));
            lines.extend(planned(before, certificate, now));
            lines.extend(failed(before, certificate));
        }
        lines
    }

    fn installed(&self, seen: &Observation) -> Vec<String> {
        let mut lines = Vec::new();
        for (domain, fingerprints) in &seen.installed {
            let told = self.last.installed.get(domain).map_or(0, Vec::len);
            for fingerprint in fingerprints.iter().skip(told) {
                lines.push(format!("installed  {domain}: {}", short(fingerprint)));
            }
        }
        lines
    }

    fn served(&mut self, seen: &Observation) -> Vec<String> {
        let mut lines = Vec::new();
        for (host, leaf) in &seen.served {
            let before = self.last.served.get(host);
            if before == Some(leaf) {
                continue;
            }
            let renewed = before.is_some_and(|before| before.not_before < leaf.not_before);
            self.renewed |= renewed;
            self.seen.insert(host.clone());
            lines.push(format!(
                "{} https://{host} serves {}, valid until {}",
                if renewed { "renewed   " } else { "seen      " },
                short(&leaf.fingerprint),
                leaf.not_after
            ));
        }
        for (host, leaf) in &self.last.served {
            if !seen.served.contains_key(host) {
                let line = format!(
                    "lapsed     https://{host} serves nothing valid any more; {} was valid until {}",
                    short(&leaf.fingerprint),
                    leaf.not_after
                );
                self.lapse.get_or_insert_with(|| line.clone());
                lines.push(line);
            }
        }
        lines
    }
}

impl Observation {
    fn certificate(&self, name: &str) -> Option<&CertificateStatus> {
        let mut certificates = self.certificates.iter().flatten();
        certificates.find(|certificate| certificate.name == name)
    }
}

fn issued(before: Option<&CertificateStatus>, now: &CertificateStatus) -> Option<String> {
    let generation = now.generation?;
    if before.and_then(|before| before.generation) == Some(generation) {
        return None;
    }
    Some(format!(
        "issued     {}: generation {generation} by {}, {}, valid until {}",
        now.name,
        now.issuer.as_deref().unwrap_or("an unnamed issuer"),
        now.fingerprint.as_deref().map_or("unknown", short),
        now.not_after.as_deref().unwrap_or("an unknown time")
    ))
}

fn planned(
    before: Option<&CertificateStatus>,
    certificate: &CertificateStatus,
    now: Timestamp,
) -> Option<String> {
    let next = certificate.next.as_ref()?;
    let told = before.and_then(|before| before.next.as_ref());
    let at = next.at.as_ref()?;
    let is_told = told.is_some_and(|told| told.action == next.action && told.at == next.at);
    let is_planned = at.parse::<Timestamp>().is_ok_and(|at| at > now + PLANNED);
    if is_told || !is_planned {
        return None;
    }
    let reason = next.reason.as_deref().unwrap_or("no reason given");
    Some(format!(
        "planned    {}: {} at {at} ({reason})",
        certificate.name, next.action
    ))
}

fn failed(before: Option<&CertificateStatus>, now: &CertificateStatus) -> Option<String> {
    let failure = now.failure.as_ref()?;
    if before.and_then(|before| before.failure.as_ref()) == Some(failure) {
        return None;
    }
    let code = failure.code.as_deref().unwrap_or("no code");
    let retry = match &failure.retry_at {
        Some(at) => format!("again at {at}"),
        None => "not tried again by itself".to_owned(),
    };
    Some(format!(
        "failed     {}: {} ({}, {code}); {retry}",
        now.name, failure.message, failure.class
    ))
}

fn short(text: &str) -> &str {
    text.get(..SHORT).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::super::status::{Failure, NextAction};
    use super::*;

    const NOW: &str = "2026-11-24T04:00:00Z";
    const HOST: &str = "v.example.com";

    fn tell(story: &mut Story, seen: Observation) -> Vec<String> {
        story.go_on(seen, NOW.parse().unwrap())
    }

    fn leaf(number: u8) -> Leaf {
        let not_before = Timestamp::from_second(1_800_000_000 + i64::from(number)).unwrap();
        Leaf {
            fingerprint: format!("{number:02x}").repeat(32),
            not_before,
            not_after: not_before + Duration::from_mins(2),
        }
    }

    fn serving(leaf: Leaf) -> Observation {
        Observation {
            served: BTreeMap::from([(HOST.to_owned(), leaf)]),
            ..Observation::default()
        }
    }

    fn certificate() -> CertificateStatus {
        CertificateStatus {
            name: "video".to_owned(),
            generation: None,
            fingerprint: None,
            issuer: None,
            not_after: None,
            next: None,
            failure: None,
        }
    }

    fn saying(certificate: CertificateStatus) -> Observation {
        Observation {
            certificates: Some(vec![certificate]),
            ..Observation::default()
        }
    }

    #[test]
    fn each_order_is_told_once() {
        let mut story = Story::default();
        let orders = |orders| Observation {
            orders,
            ..Observation::default()
        };
        assert_eq!(tell(&mut story, orders(2)).len(), 2);
        assert_eq!(tell(&mut story, orders(2)), [""; 0]);
        assert_eq!(
            tell(&mut story, orders(3)),
            ["ordered    the CA accepted order number 3"]
        );
    }

    #[test]
    fn a_proof_is_told_when_it_comes_and_when_it_goes() {
        let mut story = Story::default();
        let proof = Proof {
            name: "_acme-challenge.v.example.com".to_owned(),
            value: "0123456789abcdef".to_owned(),
        };
        let published = Observation {
            proofs: BTreeSet::from([proof]),
            ..Observation::default()
        };
        let line = "proven     TXT _acme-challenge.v.example.com 0123456789ab…";
        assert_eq!(
            tell(&mut story, published.clone()),
            [format!("{line} published")]
        );
        assert_eq!(tell(&mut story, published), [""; 0]);
        assert_eq!(
            tell(&mut story, Observation::default()),
            [format!("{line} removed")]
        );
    }

    #[test]
    fn an_installation_of_the_same_leaf_again_is_told_again() {
        let mut story = Story::default();
        let installed = |count: usize| Observation {
            installed: BTreeMap::from([(HOST.to_owned(), vec!["ab".to_owned(); count])]),
            ..Observation::default()
        };
        for count in [1, 2] {
            let lines = tell(&mut story, installed(count));
            assert_eq!(lines, ["installed  v.example.com: ab"]);
        }
        assert_eq!(tell(&mut story, installed(2)), [""; 0]);
    }

    #[test]
    fn a_later_leaf_after_a_valid_one_is_a_renewal() {
        let mut story = Story::default();
        assert!(!story.has_seen(HOST));
        assert!(tell(&mut story, serving(leaf(1)))[0].starts_with("seen "));
        assert!(story.has_seen(HOST));
        assert_eq!(tell(&mut story, serving(leaf(1))), [""; 0]);
        assert!(!story.has_renewal());
        assert!(tell(&mut story, serving(leaf(2)))[0].starts_with("renewed "));
        assert!(story.has_renewal());
        assert_eq!(story.lapse(), None);
    }

    #[test]
    fn an_earlier_leaf_is_no_renewal() {
        let mut story = Story::default();
        tell(&mut story, serving(leaf(2)));
        assert!(tell(&mut story, serving(leaf(1)))[0].starts_with("seen "));
        assert!(!story.has_renewal());
    }

    #[test]
    fn a_leaf_after_nothing_valid_is_a_lapse_and_no_renewal() {
        let mut story = Story::default();
        tell(&mut story, serving(leaf(1)));
        assert!(tell(&mut story, Observation::default())[0].starts_with("lapsed "));
        tell(&mut story, serving(leaf(2)));
        assert!(!story.has_renewal());
        assert!(story.lapse().is_some_and(|lapse| lapse.contains(HOST)));
    }

    #[test]
    fn an_issued_generation_is_told_once_even_if_the_daemon_falls_silent_meanwhile() {
        let mut story = Story::default();
        let issued = saying(CertificateStatus {
            generation: Some(1),
            fingerprint: Some("ab".repeat(32)),
            issuer: Some("sandbox".to_owned()),
            not_after: Some("2026-11-24T04:02:00Z".to_owned()),
            ..certificate()
        });
        assert_eq!(tell(&mut story, saying(certificate())), [""; 0]);
        assert_eq!(
            tell(&mut story, issued.clone()),
            ["issued     video: generation 1 by sandbox, abababababab, \
                 valid until 2026-11-24T04:02:00Z"]
        );
        assert_eq!(tell(&mut story, Observation::default()), [""; 0]);
        assert_eq!(tell(&mut story, issued), [""; 0]);
    }

    #[test]
    fn a_plan_is_told_unless_it_is_for_now() {
        let planned_at = |at: &str| {
            saying(CertificateStatus {
                next: Some(NextAction {
                    action: "order".to_owned(),
                    at: Some(at.to_owned()),
                    reason: Some("due".to_owned()),
                }),
                ..certificate()
            })
        };
        let mut story = Story::default();
        assert_eq!(tell(&mut story, planned_at(NOW)), [""; 0]);
        let later = "2026-11-24T04:01:00Z";
        let line = format!("planned    video: order at {later} (due)");
        assert_eq!(tell(&mut story, planned_at(later)), [line]);
        assert_eq!(tell(&mut story, planned_at(later)), [""; 0]);
    }

    #[test]
    fn a_failure_is_told_with_what_follows() {
        let failing = |retry_at: Option<&str>| {
            saying(CertificateStatus {
                failure: Some(Failure {
                    at: NOW.to_owned(),
                    class: "backoff".to_owned(),
                    code: Some("Throttling.User".to_owned()),
                    message: "slow down".to_owned(),
                    retry_at: retry_at.map(str::to_owned),
                }),
                ..certificate()
            })
        };
        let mut story = Story::default();
        let line = "failed     video: slow down (backoff, Throttling.User)";
        assert_eq!(
            tell(&mut story, failing(Some(NOW))),
            [format!("{line}; again at {NOW}")]
        );
        assert_eq!(tell(&mut story, failing(Some(NOW))), [""; 0]);
        assert_eq!(
            tell(&mut story, failing(None)),
            [format!("{line}; not tried again by itself")]
        );
    }
}
