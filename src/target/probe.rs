//! The look: what the edge presents for a name, proven by a TLS handshake with every one of its
//! addresses.
//!
//! A look is one shot. It judges no trust (a chain is compared with what was stored, never with a
//! trust store), sends no HTTP request and decides nothing: it says what was seen. It does check
//! that the edge holds the leaf's private key, by the signature of the handshake.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::certificate::{Fingerprint, Leaf};

/// How many addresses are asked at the same time.
const CONCURRENT_HANDSHAKES: usize = 16;

/// How long one address may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Until the TCP connection stands.
    connect: Duration,
    /// From then until the handshake is complete.
    handshake: Duration,
}

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(5),
    handshake: Duration::from_secs(10),
};

/// What all addresses of a name presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What was seen at each address.
    pub addresses: BTreeMap<SocketAddr, Sight>,
}

/// What was seen at one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The handshake succeeded with this chain.
    Served(Presented),
    /// No TCP connection: it may be up for others, so it does not count.
    Unreachable(Unreachable),
    /// A TCP connection, but no TLS session.
    HandshakeFailed {
        /// Why.
        reason: HandshakeFailure,
        /// The chain that was presented before it failed.
        presented: Option<Presented>,
    },
}

/// A chain as the edge sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// What its leaf says.
    pub leaf: Leaf,
    /// The fingerprints of all certificates, in the order sent.
    pub chain: Vec<Fingerprint>,
}

/// Why there was no TCP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// Nobody listens there.
    Refused,
    /// No way there from here (a machine without IPv6).
    NoRoute,
    /// Nothing came back in time.
    TimedOut,
    /// Anything else, in the system's words.
    Other(String),
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The edge refused with this alert (RFC 8446 §6.2).
    Alert(String),
    /// The edge closed the connection.
    Closed,
    /// The edge said nothing more in time.
    TimedOut,
    /// The edge did not prove that it holds the leaf's private key.
    KeyNotProven,
    /// The leaf does not parse.
    MalformedLeaf,
    /// The edge broke the protocol, in our TLS library's words.
    Protocol(String),
}

/// Looks at all of `addresses` with the server name `host`.
pub async fn look(host: &str, addresses: &BTreeSet<SocketAddr>) -> Look {
    look_within(host, addresses, LIMITS).await
}

async fn look_within(host: &str, addresses: &BTreeSet<SocketAddr>, limits: Limits) -> Look {
    let sights = stream::iter(addresses.iter().copied())
        .map(|address| async move { (address, see(address, host, limits).await) })
        .buffer_unordered(CONCURRENT_HANDSHAKES)
        .collect()
        .await;
    Look { addresses: sights }
}

/// Connects to one address and shakes hands.
async fn see(address: SocketAddr, host: &str, limits: Limits) -> Sight {
    match timeout(limits.connect, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => shake_hands(stream, host, limits.handshake).await,
        Ok(Err(error)) => Sight::Unreachable(Unreachable::from(&error)),
        Err(_) => Sight::Unreachable(Unreachable::TimedOut),
    }
}

async fn shake_hands(stream: TcpStream, host: &str, limit: Duration) -> Sight {
    let failed = |reason, presented| Sight::HandshakeFailed { reason, presented };
    let recorder = Arc::new(Recorder::new(&aws_lc_rs::default_provider()));
    let (server_name, config) = match (
        ServerName::try_from(host.to_owned()),
        client_config(Arc::clone(&recorder)),
    ) {
        (Ok(server_name), Ok(config)) => (server_name, config),
        (Err(error), _) => return failed(HandshakeFailure::Protocol(error.to_string()), None),
        (_, Err(error)) => return failed(HandshakeFailure::from(&error), None),
    };
    let connector = TlsConnector::from(Arc::new(config));
    let outcome = timeout(limit, connector.connect(server_name, stream)).await;
    let presented = recorder.presented();
    match (outcome, presented) {
        (Ok(Ok(_)), Some(presented)) => Sight::Served(presented),
        (Ok(Ok(_)), None) => failed(HandshakeFailure::MalformedLeaf, None),
        (Ok(Err(error)), presented) => failed(HandshakeFailure::from_io(&error), presented),
        (Err(_), presented) => failed(HandshakeFailure::TimedOut, presented),
    }
}

/// A client that records what it is shown. Sessions are not resumed: a resumed one shows no chain.
fn client_config(recorder: Arc<Recorder>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(recorder)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Takes every chain and remembers it; refuses a handshake that was not signed with the leaf's key.
#[derive(Debug)]
struct Recorder {
    algorithms: WebPkiSupportedAlgorithms,
    chain: Mutex<Vec<Vec<u8>>>,
}

impl Recorder {
    fn new(provider: &CryptoProvider) -> Self {
        Self {
            algorithms: provider.signature_verification_algorithms,
            chain: Mutex::default(),
        }
    }

    /// The chain that was shown, unless there was none or its leaf does not parse.
    fn presented(&self) -> Option<Presented> {
        let chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Presented {
            leaf: Leaf::from_der(chain.first()?).ok()?,
            chain: chain.iter().map(|der| Fingerprint::of(der)).collect(),
        })
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = std::iter::once(leaf).chain(intermediates);
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) =
            shown.map(|certificate| certificate.to_vec()).collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, leaf, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

// === impl Look ===

impl Look {
    /// Whether every address that serves the leaf of `stored` serves the chain that was installed.
    ///
    /// `stored` are the fingerprints of what was installed, the leaf first, without a root (as
    /// [`Chain::to_pem`](crate::certificate::Chain::to_pem) leaves it out). All of them must be
    /// sent: without an intermediate, clients fail. Their order and anything sent beside them (a
    /// root, a cross-signed twin) are the edge's affair: clients have to cope with both (RFC 8446
    /// §4.4.2).
    pub fn chain_as_stored(&self, stored: &[Fingerprint]) -> bool {
        let whole = |chain: &[Fingerprint]| stored.iter().all(|part| chain.contains(part));
        self.served()
            .filter(|served| Some(&served.leaf.fingerprint) == stored.first())
            .all(|served| whole(&served.chain))
    }

    /// What was served, address by address.
    pub fn served(&self) -> impl Iterator<Item = &Presented> {
        self.addresses.values().filter_map(|sight| match sight {
            Sight::Served(presented) => Some(presented),
            Sight::Unreachable(_) | Sight::HandshakeFailed { .. } => None,
        })
    }

    /// Whether any address could be reached.
    pub fn reached_any(&self) -> bool {
        let reached = |sight: &Sight| !matches!(sight, Sight::Unreachable(_));
        self.addresses.values().any(reached)
    }

    /// Whether every address that could be reached completed the handshake.
    pub fn serves_everywhere(&self) -> bool {
        let failed = |sight: &Sight| matches!(sight, Sight::HandshakeFailed { .. });
        self.reached_any() && !self.addresses.values().any(failed)
    }

    /// What went wrong, address by address, one line each for people.
    pub fn complaints(&self) -> Vec<String> {
        let complaint = |(address, sight): (&SocketAddr, &Sight)| match sight {
            Sight::Served(_) => None,
            Sight::Unreachable(why) => Some(format!("{address}: {why}")),
            Sight::HandshakeFailed { reason, .. } => Some(format!("{address}: {reason}")),
        };
        self.addresses.iter().filter_map(complaint).collect()
    }
}

// === impl Unreachable ===

impl From<&io::Error> for Unreachable {
    fn from(error: &io::Error) -> Self {
        let named = [
            (io::ErrorKind::ConnectionRefused, Self::Refused),
            (io::ErrorKind::NetworkUnreachable, Self::NoRoute),
            (io::ErrorKind::HostUnreachable, Self::NoRoute),
            (io::ErrorKind::TimedOut, Self::TimedOut),
        ];
        let found = named.into_iter().find(|(kind, _)| *kind == error.kind());
        found.map_or_else(|| Self::Other(error.to_string()), |(_, why)| why)
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::NoRoute => f.write_str("no route from here"),
            Self::TimedOut => f.write_str("no connection in time"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

// === impl HandshakeFailure ===

impl HandshakeFailure {
    fn from_io(error: &io::Error) -> Self {
        const CLOSED: [io::ErrorKind; 4] = [
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::BrokenPipe,
        ];
        let inner = error.get_ref();
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Self::from(tls)
        } else if CLOSED.contains(&error.kind()) {
            Self::Closed
        } else {
            Self::Protocol(error.to_string())
        }
    }
}

impl From<&rustls::Error> for HandshakeFailure {
    fn from(error: &rustls::Error) -> Self {
        if let rustls::Error::AlertReceived(alert) = error {
            Self::Alert(format!("{alert:?}"))
        } else if *error == rustls::CertificateError::BadSignature.into() {
            Self::KeyNotProven
        } else if *error == rustls::CertificateError::BadEncoding.into() {
            Self::MalformedLeaf
        } else {
            Self::Protocol(error.to_string())
        }
    }
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert(alert) => write!(f, "refused with the alert {alert}"),
            Self::Closed => f.write_str("closed during the handshake"),
            Self::TimedOut => f.write_str("no handshake in time"),
            Self::KeyNotProven => f.write_str("the leaf's key was not proven"),
            Self::MalformedLeaf => f.write_str("the leaf is malformed"),
            Self::Protocol(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests;
