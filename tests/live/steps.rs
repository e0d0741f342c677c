//! What is asked of the service, one thing at a time. Between two calls it can be stopped.

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;
use vodcertd::aliyun::Client;
use vodcertd::aliyun::vod::{CertName, Env, Https, SetCertificate};
use vodcertd::certificate::KeyType;
use vodcertd::clock::Clock;
use vodcertd::keys::KeyFormat;
use vodcertd::name::AccelerationDomain;
use vodcertd::time::Timestamp;

use crate::Clients;
use crate::pair::Kind;
use crate::patience::{configured, settled};
use crate::traces::{Told, Traces};

/// What came out so far.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    pub(crate) confirmed: usize,
    pub(crate) refused: usize,
}

/// The steps, and what they need.
pub(crate) struct Steps<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) domain: &'a AccelerationDomain,
    pub(crate) traces: &'a mut Traces,
    pub(crate) verdicts: &'a mut Verdicts,
    pub(crate) stop: &'a CancellationToken,
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

impl Steps<'_> {
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
            if self.verdict(&what, &result) {
                installed = Some(name);
            }
            if self.stop.is_cancelled() {
                return false;
            }
        }
        self.stored(started, installed).await && self.dns(started).await
    }

    /// What hangs on an upload that was taken; false if it was stopped.
    async fn stored(&mut self, started: Timestamp, installed: Option<CertName>) -> bool {
        let Some(installed) = installed else {
            tell!("not tried  read-back, list, bind by id, staging: no upload was taken");
            self.verdicts.refused += 4;
            return !self.stop.is_cancelled();
        };
        let result = self.read_back(&installed).await;
        self.verdict("the read-back has the name of the last upload", &result);
        if self.stop.is_cancelled() {
            return false;
        }
        let result = self.bind_by_id(&installed).await;
        self.verdict("the list has the upload, which is bound by its id", &result);
        if self.stop.is_cancelled() {
            return false;
        }
        let name = upload_name(started, 9);
        let client = &self.clients.version_1;
        let result = self.upload(client, &name, RSA, Env::Staging).await;
        if self.verdict("Env=staging is taken", &result) {
            let result = self.read_back(&installed).await;
            self.verdict("and leaves production alone", &result);
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
    ) -> anyhow::Result<()> {
        let (chain_pem, key_pem) = kind.make(&self.domain.needs()).await?;
        configured(self.stop, client, self.domain).await?;
        self.traces.uploads.push(name.clone());
        let told = match env {
            Env::Production => &mut self.traces.production,
            Env::Staging => &mut self.traces.staging,
        };
        let before = std::mem::replace(told, Told::Something);
        let call = SetCertificate {
            domain: self.domain.clone(),
            https: Https::Upload {
                cert_name: name.clone(),
                chain_pem,
                key_pem,
            },
            env,
        };
        let result = client.set_vod_certificate(&call).await;
        if result
            .as_ref()
            .is_err_and(|error| !error.may_have_happened())
        {
            *told = before.max(Told::InVain);
        }
        Ok(result?)
    }

    async fn read_back(&self, name: &CertName) -> anyhow::Result<()> {
        let client = &self.clients.version_3;
        let mut told = None;
        let same = settled(self.stop, async || {
            let info = client.vod_certificate_info(self.domain).await?;
            told = info.and_then(|info| info.cert_name);
            Ok((told.as_deref() == Some(name.as_str())).then_some(()))
        });
        if same.await?.is_none() {
            bail!("the service says {told:?} instead of {name}");
        }
        Ok(())
    }

    async fn bind_by_id(&self, name: &CertName) -> anyhow::Result<()> {
        let client = &self.clients.version_3;
        let stored = settled(self.stop, async || {
            client.find_stored_certificate(name).await
        });
        let stored = stored.await?;
        let stored = stored.with_context(|| format!("the list does not have {name}"))?;
        configured(self.stop, client, self.domain).await?;
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
        if self.verdict("a TXT record is added, and found by its value", &result) {
            let result = self.delete_record().await;
            self.verdict("the TXT record is deleted by its id", &result);
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
        self.traces.record = Some((name.clone(), value.clone(), None));
        let id = client.add_txt(&name, &value).await?;
        self.traces.record = Some((name.clone(), value.clone(), Some(id.clone())));
        let found = client.find_txt(&name, &value).await?;
        if found.as_ref() != Some(&id) {
            bail!("the list has {found:?} instead of {id}");
        }
        Ok(())
    }

    async fn delete_record(&mut self) -> anyhow::Result<()> {
        let client = &self.clients.dns;
        if let Some((name, value, Some(id))) = &self.traces.record {
            client.delete_record(id).await?;
            if client.find_txt(name, value).await?.is_some() {
                bail!("it is still there");
            }
            self.traces.record = None;
        }
        Ok(())
    }

    /// Tells how one thing went, and counts it.
    fn verdict(&mut self, what: &str, result: &anyhow::Result<()>) -> bool {
        match result {
            Ok(()) => {
                self.verdicts.confirmed += 1;
                tell!("confirmed  {what}");
            }
            Err(error) => {
                self.verdicts.refused += 1;
                tell!("REFUSED    {what}: {error:#}");
            }
        }
        result.is_ok()
    }
}

/// No other upload of the account has it, and a person knows where it comes from.
fn upload_name(started: Timestamp, number: usize) -> CertName {
    let time = started.to_iso_seconds().replace([':', '-'], "");
    let name = format!("vodcertd-live-{time}-{number}");
    name.parse().expect("shorter than 63 characters")
}
