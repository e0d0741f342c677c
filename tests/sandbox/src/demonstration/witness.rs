//! An independent look at the edge: a TLS handshake that trusts nothing but the sandbox's CA.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use x509_parser::parse_x509_certificate;

/// Longest time that one look may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Looks at one edge.
pub(super) struct Witness {
    connector: TlsConnector,
    edge: SocketAddr,
}

/// A leaf certificate that was served with a chain to the CA and for the right name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leaf {
    /// SHA-256 over the certificate, in lower-case hex.
    pub(super) fingerprint: String,
    /// Start of its validity.
    pub(super) not_before: Timestamp,
    /// End of its validity.
    pub(super) not_after: Timestamp,
}

impl Witness {
    /// A witness that trusts this root only.
    pub(super) fn new(root_pem: &str, edge: SocketAddr) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(root_pem.as_bytes())?)?;
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            edge,
        })
    }

    /// What the edge serves for `host` now; an error if no client that trusts the CA would take it.
    pub(super) async fn look(&self, host: &str) -> Result<Leaf> {
        timeout(DEADLINE, self.shake_hands(host))
            .await
            .context("the edge does not answer")?
    }

    async fn shake_hands(&self, host: &str) -> Result<Leaf> {
        let name = ServerName::try_from(host.to_owned())?;
        let stream = TcpStream::connect(self.edge).await?;
        let session = self.connector.connect(name, stream).await?;
        let (_, connection) = session.get_ref();
        let chain = connection
            .peer_certificates()
            .context("the handshake showed no certificate")?;
        Leaf::read(&chain[0])
    }
}

impl Leaf {
    fn read(der: &CertificateDer<'_>) -> Result<Self> {
        let (_, certificate) = parse_x509_certificate(der)?;
        let validity = certificate.validity();
        Ok(Self {
            fingerprint: hex(&Sha256::digest(der)),
            not_before: Timestamp::from_second(validity.not_before.timestamp())?,
            not_after: Timestamp::from_second(validity.not_after.timestamp())?,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(digits, "{byte:02x}").expect("a String takes whatever is written");
    }
    digits
}

#[cfg(test)]
mod tests {
    use vodcertd_sandbox::edge::Edge;
    use vodcertd_sandbox::forge::{self, Forged, KeyKind};
    use vodcertd_sandbox::pem::{KeyForms, Pair};
    use vodcertd_sandbox::world::World;

    use super::*;

    const HOST: &str = "v.example.com";

    async fn edge_that_serves(forged: &Forged) -> Edge {
        let world = World::new();
        world.add_domain(HOST);
        let pair = Pair::read(&forged.chain_pem, &forged.key_pem, KeyForms::Traditional).unwrap();
        world.install_foreign(HOST, "by hand", pair);
        Edge::start(world).await.unwrap()
    }

    fn root_of(forged: &Forged) -> &str {
        let root = forged.chain_pem.rfind("-----BEGIN").unwrap();
        &forged.chain_pem[root..]
    }

    #[tokio::test]
    async fn a_certificate_of_the_trusted_ca_is_seen() {
        let forged = forge::issue(&[HOST], KeyKind::P256, forge::valid_now());
        let edge = edge_that_serves(&forged).await;
        let witness = Witness::new(root_of(&forged), edge.production().address()).unwrap();

        let leaf = witness.look(HOST).await.unwrap();

        let served = CertificateDer::from_pem_slice(forged.chain_pem.as_bytes()).unwrap();
        assert_eq!(leaf, Leaf::read(&served).unwrap());
    }

    #[tokio::test]
    async fn nothing_else_is_taken_for_one() {
        let ours = forge::issue(&[HOST], KeyKind::P256, forge::valid_now());
        for (case, served) in [
            (
                "another CA",
                forge::issue(&[HOST], KeyKind::P256, forge::valid_now()),
            ),
            (
                "another name",
                forge::issue(&["w.example.com"], KeyKind::P256, forge::valid_now()),
            ),
            (
                "expired",
                forge::issue(&[HOST], KeyKind::P256, forge::expired()),
            ),
        ] {
            let edge = edge_that_serves(&served).await;
            let root = if case == "another CA" {
                root_of(&ours)
            } else {
                root_of(&served)
            };
            let witness = Witness::new(root, edge.production().address()).unwrap();
            assert!(witness.look(HOST).await.is_err(), "{case}");
        }
    }
}
