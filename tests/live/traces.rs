//! What this program finds and what it leaves: the state before, and everything that it has made, noted
//! before it is made. What is noted is put back or removed at the end, whatever happened in between.

use std::fmt;

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;
use vodcertd::aliyun::alidns::{Deletion, RecordId, RecordName};
use vodcertd::aliyun::vod::{
    CertId, CertName, CertRegion, DomainDetail, DomainStatus, Env, Https, SetCertificate,
    StoredCertificate,
};
use vodcertd::aliyun::{ApiError, Client};
use vodcertd::name::AccelerationDomain;

use crate::Clients;
use crate::patience::Patience;

/// The state before, and what was made since.
pub(crate) struct Traces<'a> {
    clients: &'a Clients,
    domain: &'a AccelerationDomain,
    /// Signs as the service was seen to take it.
    pub(crate) client: &'a Client,
    patience: Patience,
    before: Before,
    /// The names of uploads, and what became of each. One that was refused may be there all the same.
    pub(crate) uploads: Vec<(CertName, Answer)>,
    /// What production was told.
    pub(crate) production: Told,
    /// What the staging edge was told.
    pub(crate) staging: Told,
    pub(crate) record: Option<Record>,
}

/// A TXT record that was asked for.
pub(crate) struct Record {
    pub(crate) name: RecordName,
    pub(crate) value: String,
    /// Known once it was added.
    pub(crate) id: Option<RecordId>,
    pub(crate) answer: Answer,
}

/// What the service said to something that was to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// That it is made.
    Taken,
    /// Nothing yet, or the answer was lost: it may be made.
    Lost,
    /// That it is not made.
    Refused,
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

impl Answer {
    pub(crate) fn of<T>(result: &Result<T, ApiError>) -> Self {
        match result {
            Ok(_) => Self::Taken,
            Err(error) if error.may_have_happened() => Self::Lost,
            Err(_) => Self::Refused,
        }
    }
}

impl<'a> Traces<'a> {
    /// Finds out what there is; fails if it could not be put back. `client` is one that `detail` was
    /// read with.
    pub(crate) async fn before(
        clients: &'a Clients,
        client: &'a Client,
        domain: &'a AccelerationDomain,
        detail: DomainDetail,
        patience: Patience,
    ) -> anyhow::Result<Self> {
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
        may_delete(client).await?;
        Ok(Self {
            clients,
            domain,
            client,
            patience,
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
    pub(crate) async fn remove(&self) -> bool {
        let domain = self.domain;
        let mut clean = self.remove_record().await;
        let as_before = self.production_as_before().await & self.staging_as_before().await;
        if !as_before {
            let names: Vec<&str> = self.uploads.iter().map(|(name, _)| name.as_str()).collect();
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
        // All were made before now, so they have one time to appear in.
        let deadline = self.patience.deadline();
        for (name, answer) in &self.uploads {
            clean &= self.delete_upload(name, *answer, deadline).await;
        }
        clean
    }

    async fn production_as_before(&self) -> bool {
        match self.production {
            Told::Nothing => true,
            Told::Something => self.put_back(Env::Production).await && self.until_back().await,
            // What was refused may have had an effect that is not told yet, so it is put back as well.
            // Where that is refused too, the domain is looked at until it would be told.
            Told::InVain => {
                if self.put_back(Env::Production).await {
                    return self.until_back().await;
                }
                let stop = CancellationToken::new();
                let patience = self.patience;
                let changed =
                    patience.stays(&stop, async || Ok((!self.is_back().await?).then_some(())));
                matches!(changed.await, Ok(None))
            }
        }
    }

    /// Nothing tells what the staging edge has. Production installs go there as well, so it is last.
    async fn staging_as_before(&self) -> bool {
        match self.staging {
            Told::Nothing => true,
            // Where putting back is refused like what came before, staging is not to be had.
            Told::InVain => {
                self.put_back(Env::Staging).await;
                true
            }
            Told::Something => self.put_back(Env::Staging).await,
        }
    }

    async fn put_back(&self, env: Env) -> bool {
        let https = match &self.before {
            Before::Off => Https::Off,
            Before::On(stored) => Https::Stored(stored.clone()),
        };
        let (client, domain) = (self.client, self.domain);
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
        let result = self.patience.insist(async || {
            self.patience.configured(&stop, client, domain).await?;
            client.set_vod_certificate(&call).await
        });
        done(what, result.await)
    }

    async fn is_back(&self) -> Result<bool, ApiError> {
        let detail = self.client.vod_domain_detail(self.domain).await?;
        Ok(match &self.before {
            Before::Off => detail.https != Some(true),
            Before::On(stored) => detail.cert_name.as_deref() == Some(stored.cert_name.as_str()),
        })
    }

    /// Waits until the service says that all is as it was: what it still uses must not be deleted.
    async fn until_back(&self) -> bool {
        let stop = CancellationToken::new();
        let patience = self.patience;
        let back = patience.settled(&stop, async || Ok(self.is_back().await?.then_some(())));
        match back.await {
            Ok(Some(())) => true,
            Ok(None) => {
                tell!("FAILED     the service does not say that this took effect");
                false
            }
            Err(error) => done("seen to be as it was", Err(error)),
        }
    }

    async fn remove_record(&self) -> bool {
        let Some(record) = &self.record else {
            return true;
        };
        let client = &self.clients.dns;
        let id = if let Some(id) = &record.id {
            Ok(Some(id.clone()))
        } else {
            let deadline = self.patience.deadline();
            let find = async || client.find_txt(&record.name, &record.value).await;
            self.listed(record.answer, deadline, find).await
        };
        let (zone, value) = (record.name.zone().as_str(), &record.value);
        let removed = match id {
            Ok(None) if record.answer == Answer::Refused => return true,
            Ok(None) => {
                tell!("LEFT BEHIND  the TXT record {value:?} in {zone} may still appear");
                return false;
            }
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
            tell!("LEFT BEHIND  the TXT record {value:?} in {zone}");
        }
        clean
    }

    /// Deletes an upload, if it came to be.
    async fn delete_upload(
        &self,
        name: &CertName,
        answer: Answer,
        deadline: tokio::time::Instant,
    ) -> bool {
        let client = self.client;
        let find = async || client.find_stored_certificate(name).await;
        let deleted = match self.listed(answer, deadline, find).await {
            Ok(None) if answer == Answer::Refused => return true,
            Ok(None) => {
                tell!(
                    "LEFT BEHIND  the upload {name} may still appear: look for it in Certificate \
                     Management Service"
                );
                return false;
            }
            Ok(Some(stored)) => {
                let delete = async || client.delete_stored_certificate(&stored).await;
                self.patience.insist(delete).await
            }
            Err(error) => Err(error),
        };
        let clean = done(&format!("upload {name} deleted"), deleted);
        if !clean {
            tell!("LEFT BEHIND  the upload {name}: delete it in Certificate Management Service");
        }
        clean
    }

    /// Finds what was made in a list, which may have it later only. What was refused is looked for once.
    async fn listed<T>(
        &self,
        answer: Answer,
        deadline: tokio::time::Instant,
        mut find: impl AsyncFnMut() -> Result<Option<T>, ApiError>,
    ) -> Result<Option<T>, ApiError> {
        match answer {
            Answer::Refused => find().await,
            Answer::Taken | Answer::Lost => {
                let stop = CancellationToken::new();
                self.patience.settled_by(deadline, &stop, find).await
            }
        }
    }
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

/// Fails if uploads could not be deleted: that is known from deleting what does not exist.
async fn may_delete(client: &Client) -> anyhow::Result<()> {
    const NO_ID: u64 = i64::MAX.unsigned_abs();
    let nothing = StoredCertificate {
        cert_id: CertId(NO_ID),
        cert_name: "nothing".parse()?,
        cert_region: CertRegion::default(),
    };
    match client.delete_stored_certificate(&nothing).await {
        Err(error) if error.lacks_permission() => Err(error).context(
            "uploads could not be deleted; the RAM user needs yundun-cert:DeleteUserCertificate as well",
        ),
        // That it does not exist, in whatever words.
        Err(error) if error.refusal().is_some() => Ok(()),
        Err(error) => Err(error).context("uploads could not be deleted"),
        Ok(()) => Ok(()),
    }
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
