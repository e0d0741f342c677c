//! The pairs that are installed: self-signed, so that nothing else is needed.

use anyhow::Context as _;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use vodcertd::certificate::{Chain, KeyType};
use vodcertd::clock::Clock;
use vodcertd::keys::{KeyFormat, PrivateKey};
use vodcertd::name::DnsName;
use vodcertd::secret::Secret;

/// A kind of key in a form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) key: KeyType,
    pub(crate) format: KeyFormat,
}

impl Kind {
    /// As it is told.
    pub(crate) fn words(self) -> String {
        let form = match (self.format, self.key) {
            (KeyFormat::Pkcs8, _) => "PKCS#8",
            (KeyFormat::Traditional, KeyType::EcdsaP256 | KeyType::EcdsaP384) => "SEC 1",
            (KeyFormat::Traditional, KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096) => {
                "PKCS#1"
            }
        };
        format!("a key {} as {form}", self.key)
    }

    /// A new key with a certificate for `name` that is valid from yesterday on for some weeks: the chain
    /// and the key in PEM.
    pub(crate) async fn make(self, name: &DnsName) -> anyhow::Result<(Chain, Secret)> {
        let key = tokio::task::spawn_blocking(move || PrivateKey::generate(self.key)).await??;
        let now = Clock::System.now().to_iso_seconds();
        let mut date = now.split(['-', 'T']).map(str::parse::<i32>);
        let mut part = || {
            date.next()
                .context("a date has three parts")?
                .context("of digits")
        };
        let (year, month, day) = (part()?, u8::try_from(part()?)?, u8::try_from(part()?)?);
        let today = date_time_ymd(year, month, day);
        let week = std::time::Duration::from_hours(7 * 24);
        let mut params = CertificateParams::new(vec![name.to_string()])?;
        params.not_before = today - week;
        params.not_after = today + week * 4;
        let pair = KeyPair::try_from(key.pkcs8())?;
        let certificate = params.self_signed(&pair)?;
        let chain = Chain::from_der(vec![certificate.der().to_vec()])?;
        Ok((chain, key.to_pem(self.format)?))
    }
}
