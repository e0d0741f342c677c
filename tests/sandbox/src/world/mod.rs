//! What Alibaba Cloud and the DNS hold: the state that the servers of this crate show and change.
//!
//! One [`World`] is one Alibaba Cloud account with its VOD domains, its stored certificates and
//! its DNS zones. It knows no protocol: parameters, error codes and answers belong to the gateway.

mod role;
mod vod;
mod zone;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use role::{Role, Trust};
pub use vod::{
    Binding, CertRegion, CertSource, Change, DomainStatus, Env, Https, StoredCertificate, VodDomain,
};
pub(crate) use zone::to_ascii;
pub use zone::{Record, RecordKind, Zone};

use crate::pem::Pair;

/// The shared state; clones are handles to the same world.
#[derive(Debug, Clone, Default)]
pub struct World {
    state: Arc<Mutex<State>>,
}

/// The state itself, held while one request is performed.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) domains: BTreeMap<String, VodDomain>,
    pub(crate) certificates: BTreeMap<i64, Arc<StoredCertificate>>,
    pub(crate) zones: BTreeMap<String, Zone>,
    /// RAM roles by their names (`acs:ram::…`).
    pub(crate) roles: BTreeMap<String, Role>,
    issued_ids: i64,
}

impl World {
    /// Makes an empty world.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a VOD domain, online and without HTTPS. `name` starts with a dot for a wildcard.
    pub fn add_domain(&self, name: &str) {
        let domain = VodDomain::new(name);
        self.lock().domains.insert(name.to_owned(), domain);
    }

    /// Adds a DNS zone without records.
    pub fn add_zone(&self, name: &str) {
        let zone = Zone::new(name);
        self.lock().zones.insert(name.to_owned(), zone);
    }

    /// Adds a DNS zone of somebody else: name servers answer for it, the account does not have it.
    pub fn add_foreign_zone(&self, name: &str) {
        let zone = Zone {
            foreign: true,
            ..Zone::new(name)
        };
        self.lock().zones.insert(name.to_owned(), zone);
    }

    /// Adds a RAM role, or replaces it.
    pub fn add_role(&self, role: Role) {
        self.lock().roles.insert(role.arn.clone(), role);
    }

    /// Sets the status of a VOD domain.
    ///
    /// # Panics
    /// If the domain was not added.
    pub fn set_status(&self, domain: &str, status: DomainStatus) {
        self.lock().existing_domain(domain).status = status;
    }

    /// Forgets that it was proven who owns a VOD domain.
    ///
    /// # Panics
    /// If the domain was not added.
    pub fn doubt_owner(&self, domain: &str) {
        self.lock().existing_domain(domain).owner_proven = false;
    }

    /// Installs a certificate in production as another person would by hand; gives its id.
    ///
    /// # Panics
    /// If the domain was not added.
    pub fn install_foreign(&self, domain: &str, cert_name: &str, pair: Pair) -> i64 {
        let mut state = self.lock();
        let certificate = state.store(cert_name, CertRegion::CnHangzhou, None, pair);
        let id = certificate.id;
        let binding = Binding {
            cert_name: cert_name.to_owned(),
            source: CertSource::Cas,
            certificate,
        };
        state
            .existing_domain(domain)
            .change(Env::Production, Https::On(binding));
        id
    }

    /// Stores a certificate in the account without installing it; gives its id.
    pub fn store_certificate(&self, cert_name: &str, region: CertRegion, pair: Pair) -> i64 {
        self.lock().store(cert_name, region, None, pair).id
    }

    /// Deletes a stored certificate by hand. What is bound to it serves on.
    ///
    /// # Panics
    /// If there is none with this id.
    pub fn delete_certificate(&self, id: i64) {
        let deleted = self.lock().certificates.remove(&id);
        assert!(deleted.is_some(), "no certificate {id} in this world");
    }

    /// Adds a DNS record by hand; gives its id.
    ///
    /// # Panics
    /// If the zone was not added.
    pub fn add_record(&self, zone: &str, rr: &str, kind: RecordKind, value: &str) -> i64 {
        let mut state = self.lock();
        let id = state.next_id();
        let zone = state
            .zones
            .get_mut(zone)
            .unwrap_or_else(|| panic!("no zone {zone} in this world"));
        zone.records.push(Record::new(id, rr, kind, value));
        id
    }

    /// Removes every DNS record of a name by hand.
    ///
    /// # Panics
    /// If the zone was not added.
    pub fn remove_records(&self, zone: &str, rr: &str) {
        let mut state = self.lock();
        let zone = state
            .zones
            .get_mut(zone)
            .unwrap_or_else(|| panic!("no zone {zone} in this world"));
        zone.records.retain(|record| record.rr != rr);
    }

    /// A VOD domain as it is now.
    pub fn domain(&self, name: &str) -> Option<VodDomain> {
        self.lock().domains.get(name).cloned()
    }

    /// What is installed for a domain in `env` now; none where HTTPS is off.
    pub fn installed(&self, domain: &str, env: Env) -> Option<Binding> {
        let state = self.lock();
        let https = state
            .domains
            .get(domain)?
            .https_as_of(env, Instant::now())?;
        https.binding().cloned()
    }

    /// Everything that was ever installed for a domain or switched off, oldest first.
    pub fn history(&self, domain: &str) -> Vec<Change> {
        let state = self.lock();
        let domain = state.domains.get(domain);
        domain.map_or_else(Vec::new, |domain| domain.history.clone())
    }

    /// The certificates stored in the account, by id.
    pub fn certificates(&self) -> Vec<Arc<StoredCertificate>> {
        self.lock().certificates.values().cloned().collect()
    }

    /// The records of a zone, oldest first; none where there is no such zone.
    pub fn records(&self, zone: &str) -> Vec<Record> {
        let state = self.lock();
        let zone = state.zones.get(zone);
        zone.map_or_else(Vec::new, |zone| zone.records.clone())
    }

    /// Locks the state. A test that panicked while holding it must not hide its own failure
    /// behind a second one, so poisoning is ignored.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next identifier of a certificate or record.
    pub(crate) fn next_id(&mut self) -> i64 {
        self.issued_ids += 1;
        12_342_700 + self.issued_ids
    }

    /// Stores a certificate under a new id.
    pub(crate) fn store(
        &mut self,
        name: &str,
        region: CertRegion,
        uploaded_for: Option<&str>,
        pair: Pair,
    ) -> Arc<StoredCertificate> {
        let certificate = Arc::new(StoredCertificate {
            id: self.next_id(),
            name: name.to_owned(),
            region,
            uploaded_for: uploaded_for.map(str::to_owned),
            pair,
        });
        self.certificates
            .insert(certificate.id, Arc::clone(&certificate));
        certificate
    }

    /// The VOD domain that serves `host`: its own, else the wildcard one label above.
    pub(crate) fn domain_for_host(&self, host: &str) -> Option<&VodDomain> {
        let exact = self.domains.get(host);
        exact.or_else(|| {
            let dot = host.find('.')?;
            self.domains.get(&host[dot..])
        })
    }

    /// The longest zone that `name`, in A-labels, lies in.
    pub(crate) fn zone_for_name(&self, name: &str) -> Option<&Zone> {
        let within = |zone: &&Zone| zone.relative(name).is_some();
        self.zones
            .values()
            .filter(within)
            .max_by_key(|zone| zone.ascii.len())
    }

    fn existing_domain(&mut self, name: &str) -> &mut VodDomain {
        self.domains
            .get_mut(name)
            .unwrap_or_else(|| panic!("no VOD domain {name} in this world"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::{self, KeyKind};

    fn pair(name: &str) -> Pair {
        forge::issue(&[name], KeyKind::P256, forge::valid_now()).pair()
    }

    #[test]
    fn a_host_is_served_by_its_own_domain_else_by_the_wildcard_above() {
        let world = World::new();
        for name in ["v.example.com", ".example.com", ".deep.example.com"] {
            world.add_domain(name);
        }
        let cases = [
            ("v.example.com", Some("v.example.com")),
            ("w.example.com", Some(".example.com")),
            ("a.deep.example.com", Some(".deep.example.com")),
            ("a.b.deep.example.com", None),
            ("example.com", None),
            ("com", None),
        ];
        let state = world.lock();
        for (host, expected) in cases {
            let found = state.domain_for_host(host).map(|domain| &*domain.name);
            assert_eq!(found, expected, "{host}");
        }
    }

    #[test]
    fn a_name_lies_in_the_longest_zone() {
        let world = World::new();
        world.add_zone("example.com");
        world.add_zone("sub.example.com");
        world.add_foreign_zone("example.org");
        let state = world.lock();
        let cases = [
            ("a.sub.example.com", Some("sub.example.com")),
            ("a.example.com", Some("example.com")),
            ("example.com", Some("example.com")),
            ("notexample.com", None),
            ("a.example.org", Some("example.org")),
        ];
        for (name, expected) in cases {
            let found = state.zone_for_name(name).map(|zone| &*zone.name);
            assert_eq!(found, expected, "{name}");
        }
        assert!(state.zones["example.org"].foreign, "none of ours");
    }

    #[test]
    fn a_foreign_certificate_is_stored_and_installed_in_production() {
        let world = World::new();
        world.add_domain("v.example.com");
        let id = world.install_foreign("v.example.com", "by-hand", pair("v.example.com"));
        let installed = world.installed("v.example.com", Env::Production).unwrap();
        assert_eq!(installed.certificate.id, id);
        assert_eq!(installed.cert_name, "by-hand");
        assert_eq!(world.certificates().len(), 1);
    }
}
