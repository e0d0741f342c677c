//! What is asked of the service, one thing at a time. Between two calls it can be stopped.

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;
use vodcertd::aliyun::vod::{CertName, CertificateInfo, DomainDetail, Env, Https, SetCertificate};
use vodcertd::aliyun::{ApiError, Client};
use vodcertd::certificate::{KeyType, Leaf};
use vodcertd::clock::Clock;
use vodcertd::keys::KeyFormat;
use vodcertd::name::AccelerationDomain;
use vodcertd::time::Timestamp;

use crate::Clients;
use crate::pair::Kind;
use crate::patience::Patience;
use crate::traces::{Answer, Record, Told, Traces};

/// What came out so far.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    pub(crate) confirmed: usize,
    pub(crate) refused: usize,
}

impl Verdicts {
    /// Tells how one thing went, and counts it.
    fn tell<T>(&mut self, what: &str, result: &anyhow::Result<T>) -> bool {
        match result {
            Ok(_) => {
                self.confirmed += 1;
                tell!("confirmed  {what}");
            }
            Err(error) => {
                self.refused += 1;
                tell!("REFUSED    {what}: {error:#}");
            }
        }
        result.is_ok()
    }

    /// Reads what the domain is with both signatures. Gives what was read and the client to go on with,
    /// the first that could.
    pub(crate) async fn first_look<'a>(
        &mut self,
        clients: &'a Clients,
        domain: &AccelerationDomain,
    ) -> anyhow::Result<(&'a Client, DomainDetail)> {
        let mut looks = Vec::new();
        for (signature, client) in [
            ("version 1.0", &clients.version_1),
            ("version 3", &clients.version_3),
        ] {
            let detail = client.vod_domain_detail(domain).await;
            let detail = detail.map_err(anyhow::Error::from);
            self.tell(&format!("a call signed by {signature}"), &detail);
            looks.push(detail.map(|detail| (client, detail)));
        }
        let mut looks = looks.into_iter();
        let first = looks.next().context("there are two signatures")?;
        match looks.find_map(Result::ok) {
            Some(second) => Ok(first.unwrap_or(second)),
            None => first,
        }
    }
}

/// An upload that was taken.
struct Installed {
    name: CertName,
    leaf: Leaf,
}

/// The steps, and what they need.
pub(crate) struct Steps<'a, 'c> {
    pub(crate) clients: &'a Clients,
    pub(crate) domain: &'a AccelerationDomain,
    pub(crate) traces: &'a mut Traces<'c>,
    pub(crate) verdicts: &'a mut Verdicts,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) patience: Patience,
}

const RSA: Kind = Kind {
    key: KeyType::Rsa2048,
    format: KeyFormat::Traditional,
};
const RSA_PKCS8: Kind = Kind {
    format: KeyFormat::Pkcs8,
    ..RSA
};
const ECDSA: Kind = Kind {
    key: KeyType::EcdsaP256,
    format: KeyFormat::Traditional,
};
const ECDSA_PKCS8: Kind = Kind {
    format: KeyFormat::Pkcs8,
    ..ECDSA
};

impl Steps<'_, '_> {
    /// All of them; false if it was stopped.
    pub(crate) async fn run(&mut self) -> bool {
        let started = Clock::System.now();
        let version_1 = &self.clients.version_1;
        let version_3 = &self.clients.version_3;
        let uploads = [
            ("version 1.0", version_1, RSA),
            ("version 3", version_3, RSA),
            ("version 1.0", version_1, RSA_PKCS8),
            ("version 3", version_3, ECDSA),
            ("version 1.0", version_1, ECDSA_PKCS8),
        ];
        let mut installed = None;
        for (number, (signature, client, kind)) in uploads.into_iter().enumerate() {
            let name = upload_name(started, number);
            let what = format!("a form body signed by {signature}, {}", kind.words());
            let result = self.upload(client, &name, kind, Env::Production).await;
            self.verdicts.tell(&what, &result);
            if let Ok(leaf) = result {
                installed = Some(Installed { name, leaf });
            }
            if self.stop.is_cancelled() {
                return false;
            }
        }
        self.stored(started, installed).await && self.dns(started).await
    }

    /// What hangs on an upload that was taken; false if it was stopped.
    async fn stored(&mut self, started: Timestamp, installed: Option<Installed>) -> bool {
        let Some(installed) = installed else {
            tell!("not tried  read-back, list, bind by id, staging: no upload was taken");
            self.verdicts.refused += 4;
            return !self.stop.is_cancelled();
        };
        let result = self.read_back(&installed).await;
        self.verdicts
            .tell("the read-back has the name of the last upload", &result);
        if self.stop.is_cancelled() {
            return false;
        }
        let result = self.bind_by_id(&installed.name).await;
        self.verdicts
            .tell("the list has the upload, which is bound by its id", &result);
        if self.stop.is_cancelled() {
            return false;
        }
        let name = upload_name(started, 9);
        let result = self.upload(self.traces.client, &name, RSA, Env::Staging);
        let result = result.await;
        if self.verdicts.tell("Env=staging is taken", &result) {
            tell!("watching   production for {:?}", self.patience.takes_effect);
            let result = self.stays(&installed).await;
            if self.stop.is_cancelled() {
                return false;
            }
            self.verdicts.tell("and leaves production alone", &result);
        }
        !self.stop.is_cancelled()
    }

    /// Installs a new pair. Its name is noted first: the answer may be lost.
    async fn upload(
        &mut self,
        client: &Client,
        name: &CertName,
        kind: Kind,
        env: Env,
    ) -> anyhow::Result<Leaf> {
        let (chain, key_pem) = kind.make(&self.domain.needs()).await?;
        let patience = self.patience;
        patience.configured(self.stop, client, self.domain).await?;
        let number = self.traces.uploads.len();
        self.traces.uploads.push((name.clone(), Answer::Lost));
        let told = match env {
            Env::Production => &mut self.traces.production,
            Env::Staging => &mut self.traces.staging,
        };
        let before = std::mem::replace(told, Told::Something);
        let call = SetCertificate {
            domain: self.domain.clone(),
            https: Https::Upload {
                cert_name: name.clone(),
                chain_pem: chain.to_pem(),
                key_pem,
            },
            env,
        };
        let result = client.set_vod_certificate(&call).await;
        let answer = Answer::of(&result);
        if answer == Answer::Refused {
            *told = before.max(Told::InVain);
        }
        self.traces.uploads[number].1 = answer;
        result?;
        Ok(chain.leaf().clone())
    }

    /// What production is said to have, unless it is this. A leaf that the service does not report is
    /// not compared.
    async fn deviation(
        &self,
        expected: &Installed,
    ) -> Result<Option<Option<CertificateInfo>>, ApiError> {
        let info = self.traces.client.vod_certificate_info(self.domain).await?;
        let same = info.as_ref().is_some_and(|info| {
            let leaf = info.leaf.as_ref();
            info.cert_name.as_deref() == Some(expected.name.as_str())
                && leaf.is_none_or(|leaf| leaf.fingerprint == expected.leaf.fingerprint)
        });
        Ok((!same).then_some(info))
    }

    async fn read_back(&self, expected: &Installed) -> anyhow::Result<()> {
        let mut told = None;
        let same = self.patience.settled(self.stop, async || {
            told = self.deviation(expected).await?;
            Ok(told.is_none().then_some(()))
        });
        match (same.await?, told) {
            (None, Some(other)) => bail!("{}", instead(other.as_ref(), expected)),
            (None, None) | (Some(()), _) => Ok(()),
        }
    }

    /// That a change does not come late either.
    async fn stays(&self, expected: &Installed) -> anyhow::Result<()> {
        let deviation = async || self.deviation(expected).await;
        match self.patience.stays(self.stop, deviation).await? {
            Some(other) => bail!("{}", instead(other.as_ref(), expected)),
            None => Ok(()),
        }
    }

    async fn bind_by_id(&self, name: &CertName) -> anyhow::Result<()> {
        let (client, patience) = (self.traces.client, self.patience);
        let stored = patience.settled(self.stop, async || {
            client.find_stored_certificate(name).await
        });
        let stored = stored.await?;
        let stored = stored.with_context(|| format!("the list does not have {name}"))?;
        patience.configured(self.stop, client, self.domain).await?;
        let call = SetCertificate {
            domain: self.domain.clone(),
            https: Https::Stored(stored),
            env: Env::Production,
        };
        Ok(client.set_vod_certificate(&call).await?)
    }

    /// A TXT record comes and goes; false if it was stopped.
    async fn dns(&mut self, started: Timestamp) -> bool {
        let result = self.add_record(started).await;
        if self
            .verdicts
            .tell("a TXT record is added, and found by its value", &result)
        {
            let result = self.delete_record().await;
            self.verdicts
                .tell("the TXT record is deleted by its id", &result);
        }
        !self.stop.is_cancelled()
    }

    async fn add_record(&mut self, started: Timestamp) -> anyhow::Result<()> {
        let client = &self.clients.dns;
        let base = self.domain.as_str().trim_start_matches('.');
        let fqdn = format!("_vodcertd-live.{base}");
        let name = client.zones(&[]).locate(&fqdn).await?;
        let name = name.with_context(|| format!("no zone of this account holds {fqdn}"))?;
        let value = format!("vodcertd-live {}", started.to_iso_seconds());
        let record = self.traces.record.insert(Record {
            name,
            value,
            id: None,
            answer: Answer::Lost,
        });
        let added = client.add_txt(&record.name, &record.value).await;
        record.answer = Answer::of(&added);
        let id = added?;
        record.id = Some(id.clone());
        let found = self.patience.settled(self.stop, async || {
            let found = client.find_txt(&record.name, &record.value).await?;
            Ok(found.filter(|found| *found == id))
        });
        if found.await?.is_none() {
            bail!("the list does not have {id}");
        }
        Ok(())
    }

    async fn delete_record(&mut self) -> anyhow::Result<()> {
        let client = &self.clients.dns;
        let Some(record) = &self.traces.record else {
            return Ok(());
        };
        if let Some(id) = &record.id {
            client.delete_record(id).await?;
            let gone = self.patience.settled(self.stop, async || {
                let found = client.find_txt(&record.name, &record.value).await?;
                Ok(found.is_none().then_some(()))
            });
            if gone.await?.is_none() {
                bail!("it is still there");
            }
            self.traces.record = None;
        }
        Ok(())
    }
}

/// How what the service says deviates.
fn instead(told: Option<&CertificateInfo>, expected: &Installed) -> String {
    let name = told.and_then(|told| told.cert_name.as_deref());
    if name == Some(expected.name.as_str()) {
        return format!("the service has another leaf under {}", expected.name);
    }
    format!("the service says {name:?} instead of {}", expected.name)
}

/// No other upload of the account has it, and a person knows where it comes from.
fn upload_name(started: Timestamp, number: usize) -> CertName {
    let time = started.to_iso_seconds().replace([':', '-'], "");
    let name = format!("vodcertd-live-{time}-{number}");
    name.parse().expect("shorter than 63 characters")
}
