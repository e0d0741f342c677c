//! What this program finds and what it leaves: the state before, and everything that it has made, noted
//! before it is made. What is noted is put back or removed at the end, whatever happened in between.

use std::fmt;

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;
use vodcertd::aliyun::alidns::{Deletion, RecordId, RecordName};
use vodcertd::aliyun::vod::{
    CertName, DomainStatus, Env, Https, SetCertificate, StoredCertificate,
};
use vodcertd::aliyun::{ApiError, Client};
use vodcertd::name::AccelerationDomain;

use crate::Clients;
use crate::patience::{configured, insist, settled};

/// The state before, and what was made since.
pub(crate) struct Traces {
    before: Before,
    /// The names of uploads. One that was refused may be there all the same.
    pub(crate) uploads: Vec<CertName>,
    /// What production was told.
    pub(crate) production: Told,
    /// What the staging edge was told.
    pub(crate) staging: Told,
    /// A TXT record: where, its value, and its id once that is known.
    pub(crate) record: Option<(RecordName, String, Option<RecordId>)>,
}

/// What a part of the edge was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Told {
    Nothing,
    /// Something that was refused.
    InVain,
    /// Something that it took, or may have taken.
    Something,
}

/// The HTTPS of the domain as it was.
enum Before {
    Off,
    On(StoredCertificate),
}

impl Traces {
    /// Finds out what there is; fails if it could not be put back.
    pub(crate) async fn before(
        clients: &Clients,
        domain: &AccelerationDomain,
    ) -> anyhow::Result<Self> {
        let client = &clients.version_1;
        let detail = client.vod_domain_detail(domain).await?;
        if detail.status != DomainStatus::Online {
            bail!("{domain} is not online: {:?}", detail.status);
        }
        let before = if detail.https == Some(false) {
            Before::Off
        } else {
            let info = client.vod_certificate_info(domain).await?;
            let name = detail.cert_name.or(info.and_then(|info| info.cert_name));
            match (name, detail.https) {
                (None, None) => Before::Off,
                (None, Some(_)) => bail!("HTTPS is on, but nothing says with which certificate"),
                (Some(name), _) => Before::On(stored(client, &name).await?),
            }
        };
        Ok(Self {
            before,
            uploads: Vec::new(),
            production: Told::Nothing,
            staging: Told::Nothing,
            record: None,
        })
    }

    /// The state before, in words.
    pub(crate) fn as_it_was(&self) -> String {
        match &self.before {
            Before::Off => "has HTTPS switched off".to_owned(),
            Before::On(stored) => format!("serves {}", Shown(stored)),
        }
    }

    /// Puts back and removes; says what could not be. Returns whether all could.
    pub(crate) async fn remove(&self, clients: &Clients, domain: &AccelerationDomain) -> bool {
        let mut clean = self.remove_record(&clients.dns).await;
        let client = &clients.version_1;
        let mut as_before = match self.production {
            Told::Nothing => true,
            // What was refused is seen to have had no effect, or is put back all the same.
            Told::InVain if matches!(self.is_back(client, domain).await, Ok(Some(()))) => true,
            Told::InVain | Told::Something => {
                self.put_back(client, domain, Env::Production).await
                    && self.until_back(client, domain).await
            }
        };
        // Nothing tells what the staging edge has. Production installs go there as well, so it is last.
        if self.staging == Told::Something {
            as_before &= self.put_back(client, domain, Env::Staging).await;
        }
        if !as_before {
            let names: Vec<&str> = self.uploads.iter().map(CertName::as_str).collect();
            tell!(
                "LEFT BEHIND  {domain} is not as it was; before, it {}",
                self.as_it_was()
            );
            tell!(
                "LEFT BEHIND  uploads, which it may use: {}",
                names.join(" ")
            );
            return false;
        }
        for name in &self.uploads {
            clean &= delete_upload(client, name).await;
        }
        clean
    }

    async fn put_back(&self, client: &Client, domain: &AccelerationDomain, env: Env) -> bool {
        let https = match &self.before {
            Before::Off => Https::Off,
            Before::On(stored) => Https::Stored(stored.clone()),
        };
        let call = SetCertificate {
            domain: domain.clone(),
            https,
            env,
        };
        let what = match env {
            Env::Production => "put back",
            Env::Staging => "put back on the staging edge",
        };
        let stop = CancellationToken::new();
        let result = insist(async || {
            configured(&stop, client, domain).await?;
            client.set_vod_certificate(&call).await
        });
        done(what, result.await)
    }

    async fn is_back(
        &self,
        client: &Client,
        domain: &AccelerationDomain,
    ) -> Result<Option<()>, ApiError> {
        let detail = client.vod_domain_detail(domain).await?;
        let back = match &self.before {
            Before::Off => detail.https != Some(true),
            Before::On(stored) => detail.cert_name.as_deref() == Some(stored.cert_name.as_str()),
        };
        Ok(back.then_some(()))
    }

    /// Waits until the service says that all is as it was: what it still uses must not be deleted.
    async fn until_back(&self, client: &Client, domain: &AccelerationDomain) -> bool {
        let stop = CancellationToken::new();
        let back = settled(&stop, async || self.is_back(client, domain).await);
        match back.await {
            Ok(Some(())) => true,
            Ok(None) => {
                tell!("FAILED     the service does not say that this took effect");
                false
            }
            Err(error) => done("seen to be as it was", Err(error)),
        }
    }

    async fn remove_record(&self, client: &Client) -> bool {
        let Some((name, value, id)) = &self.record else {
            return true;
        };
        let id = match id {
            Some(id) => Ok(Some(id.clone())),
            None => client.find_txt(name, value).await,
        };
        let removed = match id {
            Ok(None) => return true,
            Ok(Some(id)) => client
                .delete_record(&id)
                .await
                .map(|deletion| match deletion {
                    Deletion::Done | Deletion::Unknown => (),
                }),
            Err(error) => Err(error),
        };
        let clean = done("TXT record removed", removed);
        if !clean {
            tell!(
                "LEFT BEHIND  the TXT record {value:?} in {}",
                name.zone().as_str()
            );
        }
        clean
    }
}

/// Deletes an upload, if it came to be.
async fn delete_upload(client: &Client, name: &CertName) -> bool {
    let deleted = match client.find_stored_certificate(name).await {
        Ok(None) => return true,
        Ok(Some(stored)) => insist(async || client.delete_stored_certificate(&stored).await).await,
        Err(error) => Err(error),
    };
    let clean = done(&format!("upload {name} deleted"), deleted);
    if !clean {
        tell!("LEFT BEHIND  the upload {name}: delete it in Certificate Management Service");
    }
    clean
}

/// Says how a step of the tidying went.
fn done(what: &str, result: Result<(), ApiError>) -> bool {
    match result {
        Ok(()) => {
            tell!("tidied     {what}");
            true
        }
        Err(error) => {
            tell!("FAILED     {what}: {:#}", anyhow::Error::from(error));
            false
        }
    }
}

async fn stored(client: &Client, name: &str) -> anyhow::Result<StoredCertificate> {
    let wanted: CertName = name.parse()?;
    let stored = client.find_stored_certificate(&wanted).await?;
    stored.with_context(|| {
        format!(
            "its certificate {name:?} is not among the stored ones, so it could not be put back"
        )
    })
}

/// A certificate as people tell it from others.
struct Shown<'a>(&'a StoredCertificate);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the certificate {} ({})",
            self.0.cert_name, self.0.cert_id
        )
    }
}
