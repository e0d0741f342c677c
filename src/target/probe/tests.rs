#![expect(
    clippy::disallowed_methods,
    reason = "the servers of these tests are tasks"
)]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const HOST: &str = "v.example.com";

const SHORT: Limits = Limits {
    connect: Duration::from_millis(300),
    handshake: Duration::from_millis(300),
};

/// A chain of leaf and issuer with the leaf's key.
struct Pair {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Pair {
    fn new(names: &[&str]) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let leaf = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        Self {
            chain: vec![leaf.der().clone(), authority.der().clone()],
            key,
        }
    }

    fn fingerprints(&self) -> Vec<Fingerprint> {
        self.chain.iter().map(|der| Fingerprint::of(der)).collect()
    }

    fn leaf(&self) -> Fingerprint {
        Fingerprint::of(&self.chain[0])
    }

    /// The chain with the key of another pair.
    fn certified_with(&self, key: &KeyPair) -> Arc<CertifiedKey> {
        let key = key.serialize_der().try_into().unwrap();
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Arc::new(CertifiedKey::new(self.chain.clone(), key))
    }

    fn certified(&self) -> Arc<CertifiedKey> {
        self.certified_with(&self.key)
    }
}

/// Serves one certificate for one name and an alert for every other.
#[derive(Debug)]
struct OnlyFor(&'static str, Arc<CertifiedKey>);

impl ResolvesServerCert for OnlyFor {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        (hello.server_name() == Some(self.0)).then(|| Arc::clone(&self.1))
    }
}

async fn edge(certified: Arc<CertifiedKey>) -> SocketAddr {
    edge_speaking(certified, rustls::ALL_VERSIONS).await
}

async fn edge_speaking(
    certified: Arc<CertifiedKey>,
    versions: &[&'static SupportedProtocolVersion],
) -> SocketAddr {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(OnlyFor(HOST, certified)));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut session = acceptor.accept(stream).await;
            if let Ok(session) = &mut session {
                let _ = session.shutdown().await;
            }
        }
    });
    address
}

/// A server that takes connections and does this with them.
async fn edge_that<F>(answer: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    address
}

async fn deserted() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

async fn look_at(host: &str, addresses: &[SocketAddr]) -> Look {
    let addresses = addresses.iter().copied().collect();
    look_within(host, &addresses, SHORT).await
}

/// The leaves of the handshakes that were completed, address by address.
fn leaves(look: &Look) -> Vec<Fingerprint> {
    look.served()
        .map(|served| served.leaf.fingerprint)
        .collect()
}

fn sight(look: &Look, address: SocketAddr) -> &Sight {
    &look.addresses[&address]
}

fn failure(look: &Look, address: SocketAddr) -> (&HandshakeFailure, bool) {
    let Sight::HandshakeFailed { reason, presented } = sight(look, address) else {
        panic!("expected a failed handshake: {look:?}");
    };
    (reason, presented.is_some())
}

#[tokio::test]
async fn a_look_shows_the_chain_in_both_versions_of_tls() {
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let pair = Pair::new(&[HOST]);
        let address = edge_speaking(pair.certified(), versions).await;
        let look = look_at(HOST, &[address]).await;
        let Sight::Served(presented) = sight(&look, address) else {
            panic!("{versions:?}: {look:?}");
        };
        assert_eq!(presented.chain, pair.fingerprints());
        assert_eq!(presented.leaf.fingerprint, pair.leaf());
        assert!(presented.leaf.covers(HOST));
        assert!(look.serves_everywhere() && look.reached_any());
    }
}

#[tokio::test]
async fn a_leaf_without_its_key_is_no_proof_in_both_versions_of_tls() {
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let (pair, other) = (Pair::new(&[HOST]), Pair::new(&[HOST]));
        let address = edge_speaking(pair.certified_with(&other.key), versions).await;
        let look = look_at(HOST, &[address]).await;
        assert_eq!(
            failure(&look, address),
            (&HandshakeFailure::KeyNotProven, true)
        );
        assert_eq!(leaves(&look), []);
        assert!(look.reached_any() && !look.serves_everywhere());
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_reached_does_not_count() {
    let pair = Pair::new(&[HOST]);
    let (up, down) = (edge(pair.certified()).await, deserted().await);
    let look = look_at(HOST, &[up, down]).await;
    assert_eq!(look.complaints(), [format!("{down}: connection refused")]);
    assert_eq!(
        *sight(&look, down),
        Sight::Unreachable(Unreachable::Refused)
    );
    assert_eq!(leaves(&look), [pair.leaf()]);
    assert!(look.serves_everywhere());

    for nobody in [look_at(HOST, &[down]).await, look_at(HOST, &[]).await] {
        assert!(!nobody.reached_any() && !nobody.serves_everywhere());
    }
}

#[tokio::test]
async fn one_address_that_still_serves_another_leaf_is_told_apart() {
    let (new, old) = (Pair::new(&[HOST]), Pair::new(&[HOST]));
    let addresses = [edge(new.certified()).await, edge(old.certified()).await];
    let look = look_at(HOST, &addresses).await;
    let of = |address| {
        let Sight::Served(presented) = sight(&look, address) else {
            panic!("{look:?}");
        };
        presented.leaf.fingerprint
    };
    assert_eq!(addresses.map(of), [new.leaf(), old.leaf()]);
    assert!(look.serves_everywhere(), "something");
}

#[tokio::test]
async fn every_way_in_which_a_handshake_fails_has_its_name() {
    let refusing = edge(Pair::new(&[HOST]).certified()).await;
    let closing = edge_that(|stream| async move { drop(stream) }).await;
    let silent = edge_that(|stream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let babbling = edge_that(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let addresses = [refusing, closing, silent, babbling];
    let look = look_at("unknown.example.com", &addresses).await;
    let alert = HandshakeFailure::Alert("AccessDenied".to_owned());
    assert_eq!(failure(&look, refusing), (&alert, false));
    assert_eq!(failure(&look, closing), (&HandshakeFailure::Closed, false));
    assert_eq!(failure(&look, silent), (&HandshakeFailure::TimedOut, false));
    let (reason, _) = failure(&look, babbling);
    assert!(
        matches!(reason, HandshakeFailure::Protocol(_)),
        "{reason:?}"
    );
    assert_eq!(leaves(&look), []);
}

#[tokio::test]
async fn what_is_no_server_name_cannot_be_looked_at() {
    let address = edge(Pair::new(&[HOST]).certified()).await;
    let look = look_at("*.example.com", &[address]).await;
    let (reason, _) = failure(&look, address);
    assert!(
        matches!(reason, HandshakeFailure::Protocol(_)),
        "{reason:?}"
    );
}

/// A look in which each address served one of these chains.
fn made_up(chains: &[(&Pair, Vec<Fingerprint>)]) -> Look {
    let sights = chains.iter().enumerate().map(|(place, (pair, chain))| {
        let address = SocketAddr::from(([192, 0, 2, u8::try_from(place).unwrap()], 443));
        let presented = Presented {
            leaf: Leaf::from_der(&pair.chain[0]).unwrap(),
            chain: chain.clone(),
        };
        (address, Sight::Served(presented))
    });
    Look {
        addresses: sights.collect(),
    }
}

#[test]
fn the_chain_must_be_whole_in_any_order_and_with_anything_beside() {
    let (ours, other) = (Pair::new(&[HOST]), Pair::new(&[HOST]));
    let [leaf, issuer] = ours.fingerprints()[..] else {
        panic!("a chain of two");
    };
    let root = other.fingerprints()[1];
    let stored = [leaf, issuer];
    let cases = [
        ("as stored", vec![leaf, issuer], true),
        ("with a root", vec![leaf, issuer, root], true),
        ("in another order", vec![leaf, root, issuer], true),
        ("without the issuer", vec![leaf], false),
        ("with another issuer", vec![leaf, root], false),
    ];
    for (case, chain, expected) in cases {
        let look = made_up(&[(&ours, chain)]);
        assert_eq!(look.chain_as_stored(&stored), expected, "{case}");
    }
    let elsewhere_cut = made_up(&[(&ours, vec![leaf, issuer]), (&ours, vec![leaf])]);
    assert!(!elsewhere_cut.chain_as_stored(&stored));
    let of_another_leaf = made_up(&[(&ours, vec![leaf, issuer]), (&other, vec![other.leaf()])]);
    assert!(of_another_leaf.chain_as_stored(&stored));
}
