//! Proofs as TXT records in Alibaba Cloud DNS.
//!
//! Records are appended, never overwritten, and deleted by id: other proofs may stand at the same
//! name, put there by us or by somebody else.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Outcome, Place, Propagation, Published, SolverError, proof_name};
use crate::aliyun::alidns::{RecordId, RecordName, Zone};
use crate::aliyun::{Action, Client};
use crate::dns::Dns;
use crate::name::DnsName;
use crate::retry::Scope;

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

    pub(super) fn suits(&self, name: &DnsName) -> bool {
        let holds = |zone: &Zone| zone.record_name(name.base()).is_some();
        self.zones.is_empty() || self.zones.iter().any(holds)
    }

    pub(super) async fn locate(&self, name: &DnsName) -> Result<Place, SolverError> {
        let proof = proof_name(name);
        let fqdn = match self.dns.follow_aliases(&proof).await {
            Ok(end) => end,
            Err(source) => {
                return Err(SolverError::Aliases {
                    fqdn: proof,
                    source,
                });
            }
        };
        match self.client.locate(&fqdn, &self.zones).await? {
            Some(record) => Ok(Place {
                zone: record.zone().as_str().to_owned(),
                fqdn,
            }),
            None => Err(SolverError::NoZone(fqdn)),
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
        Ok(self.client.delete_record(&id).await?)
    }

    pub(super) fn publication_scopes(&self) -> Vec<Scope> {
        self.scopes(&Self::PROVING)
    }

    pub(super) fn withdrawal_scopes(&self) -> Vec<Scope> {
        self.scopes(&Self::WITHDRAWING)
    }

    fn scopes(&self, actions: &[Action]) -> Vec<Scope> {
        let cloud = &self.client.cloud().name;
        let parts = actions.iter().map(|action| Scope::CloudAction {
            cloud: cloud.clone(),
            action: action.as_str().to_owned(),
        });
        let whole = Scope::Cloud {
            cloud: cloud.clone(),
        };
        std::iter::once(whole).chain(parts).collect()
    }

    pub(super) async fn wait(&self, place: &Place, values: &BTreeSet<String>) -> Outcome {
        self.propagation.wait(&self.dns, &place.fqdn, values).await
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
