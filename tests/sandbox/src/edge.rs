//! The edge: TLS servers that serve what the world has installed, as a CDN's nodes do.
//!
//! There is one listener for production nodes and one for staging nodes. They show an installation
//! a propagation delay after it was made, and can be frozen or broken. They serve no content.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::forge::{self, KeyKind};
use crate::running::Running;
use crate::world::{Env, World};

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

/// What a node does for a name that no domain has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownName {
    /// It serves a certificate of its own, as CDNs do.
    #[default]
    DefaultCertificate,
    /// It ends the handshake with an alert.
    Refuse,
}

/// A way in which nodes serve a domain wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// The handshake ends with an alert.
    HandshakeFailure,
    /// The right leaf comes with another chain.
    WrongChain,
    /// The nodes' own certificate comes instead.
    DefaultCertificate,
}

/// A running edge; it stops when dropped.
#[derive(Debug)]
pub struct Edge {
    production: Nodes,
    staging: Nodes,
}

/// The nodes of one environment behind one listener.
#[derive(Debug)]
pub struct Nodes {
    address: SocketAddr,
    behaviour: Arc<Behaviour>,
    _running: Running,
}

impl Edge {
    /// Starts both listeners over `world` on free ports of `127.0.0.1`, without any delay.
    pub async fn start(world: World) -> io::Result<Self> {
        let own = own_certificate();
        Ok(Self {
            production: Nodes::start(world.clone(), Env::Production, Arc::clone(&own)).await?,
            staging: Nodes::start(world, Env::Staging, own).await?,
        })
    }

    /// The nodes that everybody reaches.
    pub fn production(&self) -> &Nodes {
        &self.production
    }

    /// The nodes that only a caller who knows their address reaches.
    pub fn staging(&self) -> &Nodes {
        &self.staging
    }
}

impl Nodes {
    /// Where they listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets how long after an installation they serve it.
    pub fn set_delay(&self, delay: Duration) {
        self.behaviour.lock().delay = delay;
    }

    /// Sets the delay of one domain.
    pub fn set_domain_delay(&self, domain: &str, delay: Duration) {
        self.behaviour
            .of(domain, |special| special.delay = Some(delay));
    }

    /// Keeps serving for a domain what is served now, whatever is installed.
    pub fn freeze(&self, domain: &str) {
        let now = Instant::now();
        self.behaviour
            .of(domain, |special| special.frozen = Some(now));
    }

    /// Ends `freeze`.
    pub fn thaw(&self, domain: &str) {
        self.behaviour.of(domain, |special| special.frozen = None);
    }

    /// Serves a domain wrongly.
    pub fn break_domain(&self, domain: &str, breakage: Breakage) {
        self.behaviour
            .of(domain, |special| special.breakage = Some(breakage));
    }

    /// Ends `break_domain`.
    pub fn mend(&self, domain: &str) {
        self.behaviour.of(domain, |special| special.breakage = None);
    }

    /// Sets what is done for names that no domain has.
    pub fn set_unknown_name(&self, unknown_name: UnknownName) {
        self.behaviour.lock().unknown_name = unknown_name;
    }

    /// How many handshakes were begun for a name.
    pub fn handshakes(&self, name: &str) -> usize {
        let rules = self.behaviour.lock();
        rules.handshakes.get(name).copied().unwrap_or_default()
    }

    async fn start(world: World, env: Env, own: Arc<CertifiedKey>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let behaviour = Arc::new(Behaviour {
            world,
            env,
            own,
            rules: Mutex::default(),
        });
        let acceptor = acceptor(Arc::clone(&behaviour)).map_err(io::Error::other)?;
        Ok(Self {
            address,
            behaviour,
            _running: Running::spawn(accept(listener, acceptor)),
        })
    }
}

/// What the nodes know and how they were told to behave.
#[derive(Debug)]
struct Behaviour {
    world: World,
    env: Env,
    /// The nodes' own certificate.
    own: Arc<CertifiedKey>,
    rules: Mutex<Rules>,
}

#[derive(Debug, Default)]
struct Rules {
    delay: Duration,
    unknown_name: UnknownName,
    domains: BTreeMap<String, Special>,
    handshakes: BTreeMap<String, usize>,
}

/// What is special about one domain.
#[derive(Debug, Clone, Copy, Default)]
struct Special {
    delay: Option<Duration>,
    frozen: Option<Instant>,
    breakage: Option<Breakage>,
}

impl Behaviour {
    fn lock(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, domain: &str, change: impl FnOnce(&mut Special)) {
        change(self.lock().domains.entry(domain.to_owned()).or_default());
    }

    fn count_handshake(&self, name: &str) {
        *self.lock().handshakes.entry(name.to_owned()).or_default() += 1;
    }

    /// The certificate for `name`; none ends the handshake with an alert.
    fn certificate_for(&self, name: &str, now: Instant) -> Option<Arc<CertifiedKey>> {
        let state = self.world.lock();
        let Some(domain) = state.domain_for_host(name) else {
            return self.certificate_for_unknown();
        };
        let (special, delay) = self.special(&domain.name);
        let known_until = special.frozen.unwrap_or(now).checked_sub(delay)?;
        let binding = domain.https_as_of(self.env, known_until)?.binding()?;
        let served = binding.certificate.pair.certified();
        match special.breakage {
            None => Some(Arc::clone(served)),
            Some(Breakage::HandshakeFailure) => None,
            Some(Breakage::DefaultCertificate) => Some(Arc::clone(&self.own)),
            Some(Breakage::WrongChain) => Some(self.with_own_chain(served)),
        }
    }

    fn certificate_for_unknown(&self) -> Option<Arc<CertifiedKey>> {
        match self.lock().unknown_name {
            UnknownName::DefaultCertificate => Some(Arc::clone(&self.own)),
            UnknownName::Refuse => None,
        }
    }

    fn special(&self, domain: &str) -> (Special, Duration) {
        let rules = self.lock();
        let special = rules.domains.get(domain).copied().unwrap_or_default();
        (special, special.delay.unwrap_or(rules.delay))
    }

    fn with_own_chain(&self, served: &CertifiedKey) -> Arc<CertifiedKey> {
        let mut chain = self.own.cert.clone();
        chain.truncate(1);
        chain.splice(0..0, served.cert.first().cloned());
        Arc::new(CertifiedKey::new(chain, Arc::clone(&served.key)))
    }
}

impl ResolvesServerCert for Behaviour {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let Some(name) = hello.server_name() else {
            return self.certificate_for_unknown();
        };
        let name = name.to_ascii_lowercase();
        self.count_handshake(&name);
        self.certificate_for(&name, Instant::now())
    }
}

fn acceptor(behaviour: Arc<Behaviour>) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(behaviour);
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(acceptor.clone(), stream));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Shakes hands and answers one request of any kind. What fails here, the client sees.
async fn serve(acceptor: TlsAcceptor, stream: TcpStream) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    if stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
        let _ = stream.write_all(ANSWER).await;
    }
    let _ = stream.shutdown().await;
}

fn own_certificate() -> Arc<CertifiedKey> {
    let forged = forge::issue(&["*.kunlun.example"], KeyKind::P256, forge::valid_now());
    Arc::clone(forged.pair().certified())
}

#[cfg(test)]
mod tests;
