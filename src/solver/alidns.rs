//! Proofs as TXT records in Alibaba Cloud DNS.
//!
//! Records are appended, never overwritten, and deleted by id: other proofs may stand at the same
//! name, put there by us or by somebody else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Outcome, Place, Propagation, Published, SolverError, proof_name};
use crate::aliyun::alidns::{Deletion, RecordId, RecordName, Zone, Zones};
use crate::aliyun::{Action, Client};
use crate::dns::Dns;
use crate::name::DnsName;
use crate::retry::Scope;

/// Where the proof of who owns a domain stands in its zone. The documentation leaves the name to its
/// console, so that it is not confirmed.
const OWNER_LABEL: &str = "verification";

/// A solver over the DNS zones of one cloud.
#[derive(Debug)]
pub struct Alidns {
    client: Arc<Client>,
    dns: Dns,
    zones: Vec<Zone>,
    propagation: Propagation,
}

impl Alidns {
    /// What is called to publish a proof.
    pub const PROVING: [Action; 4] = [
        Action::AddDomainRecord,
        Action::DescribeDomainRecords,
        Action::DescribeDomains,
        Action::DescribeSubDomainRecords,
    ];

    /// What is called to take one away.
    const WITHDRAWING: [Action; 2] = [Action::DeleteDomainRecord, Action::DescribeSubDomainRecords];

    /// A solver that writes with `client` into `zones`, or where there are none, into any zone of
    /// the account, and reads with `dns`.
    pub fn new(client: Arc<Client>, dns: Dns, zones: Vec<Zone>, propagation: Propagation) -> Self {
        Self {
            client,
            dns,
            zones,
            propagation,
        }
    }

    pub(super) async fn locate(
        &self,
        names: &BTreeSet<DnsName>,
    ) -> Result<BTreeMap<DnsName, Place>, SolverError> {
        let mut zones = self.client.zones(&self.zones);
        let mut places = BTreeMap::new();
        for name in names {
            let place = self.locate_one(&mut zones, name).await?;
            places.insert(name.clone(), place);
        }
        Ok(places)
    }

    pub(super) async fn locate_owner_proof(&self, name: &DnsName) -> Result<Place, SolverError> {
        let mut zones = self.client.zones(&self.zones);
        let record = zones.locate(name.base()).await?;
        let record = record.ok_or_else(|| SolverError::NoZone(name.base().to_owned()))?;
        let fqdn = format!("{OWNER_LABEL}.{}", record.zone().as_ascii());
        Ok(place(&record, fqdn))
    }

    /// A delegated proof belongs where its alias leads. Where that cannot be written, the alias may
    /// be one that a wildcard made up (`*.v.example.com CNAME` of a CDN): a record at the proof's
    /// own name takes its place (RFC 4592 §2.2.1). Should the alias be a record of its own after
    /// all, the provider refuses to put another one beside it.
    async fn locate_one(
        &self,
        zones: &mut Zones<'_>,
        name: &DnsName,
    ) -> Result<Place, SolverError> {
        let proof = proof_name(name);
        let end = match self.dns.follow_aliases(&proof).await {
            Ok(end) => end,
            Err(source) => {
                return Err(SolverError::Aliases {
                    fqdn: proof,
                    source,
                });
            }
        };
        let at_end = zones.locate(&end).await;
        let unwritable = match &at_end {
            Ok(found) => found.is_none(),
            Err(error) => error.lacks_permission(),
        };
        if unwritable
            && end != proof
            && let Some(record) = zones.locate(&proof).await?
        {
            return Ok(place(&record, proof));
        }
        match at_end? {
            Some(record) => Ok(place(&record, end)),
            None => Err(SolverError::NoZone(end)),
        }
    }

    pub(super) async fn present(
        &self,
        place: &Place,
        value: &str,
    ) -> Result<Published, SolverError> {
        let id = self.client.add_txt(&record_name(place)?, value).await?;
        Ok(published(place, value, &id))
    }

    pub(super) async fn find(
        &self,
        place: &Place,
        value: &str,
    ) -> Result<Option<Published>, SolverError> {
        let id = self.client.find_txt(&record_name(place)?, value).await?;
        Ok(id.map(|id| published(place, value, &id)))
    }

    pub(super) async fn withdraw(&self, published: &Published) -> Result<(), SolverError> {
        let id = RecordId::new(&published.record_id);
        match self.client.delete_record(&id).await? {
            Deletion::Done => Ok(()),
            Deletion::Unknown => self.confirm_absence(published).await,
        }
    }

    /// An id that is unknown to this account may be one of another account, which the solver wrote
    /// to before it was configured anew. Asked for the name, the wrong account says that it has no
    /// such zone.
    async fn confirm_absence(&self, published: &Published) -> Result<(), SolverError> {
        let name = record_name(&published.place)?;
        if let Some(id) = self.client.find_txt(&name, &published.value).await? {
            self.client.delete_record(&id).await?;
        }
        Ok(())
    }

    pub(super) fn publication_scopes(&self) -> Vec<Scope> {
        Action::scopes(&self.client.cloud().name, &Self::PROVING)
    }

    pub(super) fn withdrawal_scopes(&self) -> Vec<Scope> {
        Action::scopes(&self.client.cloud().name, &Self::WITHDRAWING)
    }

    pub(super) async fn wait(&self, place: &Place, values: &BTreeSet<String>) -> Outcome {
        self.propagation.wait(&self.dns, &place.fqdn, values).await
    }
}

fn place(record: &RecordName, fqdn: String) -> Place {
    Place {
        zone: record.zone().as_str().to_owned(),
        fqdn,
    }
}

/// The record of a place, which was made here or read from the store.
fn record_name(place: &Place) -> Result<RecordName, SolverError> {
    Zone::named(&place.zone)
        .and_then(|zone| zone.record_name(&place.fqdn))
        .ok_or_else(|| SolverError::NoZone(place.fqdn.clone()))
}

fn published(place: &Place, value: &str, id: &RecordId) -> Published {
    Published {
        place: place.clone(),
        value: value.to_owned(),
        record_id: id.as_str().to_owned(),
    }
}
