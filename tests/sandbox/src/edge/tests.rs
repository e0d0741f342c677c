//! The edge over TLS.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsConnector;

use super::*;
use crate::pem;
use crate::world::{Binding, CertSource, Https};

const NAME: &str = "v.example.com";

/// Takes any chain, but lets the server prove that it has the leaf's key.
#[derive(Debug)]
struct AnyChain(CryptoProvider);

impl ServerCertVerifier for AnyChain {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, leaf, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What a handshake shows: the SHA-256 of every certificate, or the alert.
async fn look(nodes: &Nodes, name: &str) -> Result<Vec<String>, AlertDescription> {
    let provider = aws_lc_rs::default_provider();
    let config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyChain(provider)))
        .with_no_client_auth();
    let stream = TcpStream::connect(nodes.address()).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connected = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await;
    match connected {
        Ok(stream) => {
            let chain = stream.get_ref().1.peer_certificates().unwrap();
            Ok(chain
                .iter()
                .map(|der| pem::hex(&Sha256::digest(der)))
                .collect())
        }
        Err(error) => match error.get_ref().unwrap().downcast_ref() {
            Some(rustls::Error::AlertReceived(alert)) => Err(*alert),
            _ => panic!("{error}"),
        },
    }
}

async fn started() -> (World, Edge) {
    let world = World::new();
    world.add_domain(NAME);
    let edge = Edge::start(world.clone()).await.unwrap();
    (world, edge)
}

/// Installs a new certificate; gives the SHA-256 of its leaf.
fn install(world: &World, domain: &str, env: Env) -> String {
    let forged = forge::issue(&[domain], KeyKind::P256, forge::valid_now());
    let pair = forged.pair();
    let sha256 = pair.leaf().sha256.clone();
    let mut state = world.lock();
    let region = crate::world::CertRegion::CnHangzhou;
    let certificate = state.store("n", region, None, pair);
    let binding = Binding {
        cert_name: "n".to_owned(),
        source: CertSource::Upload,
        certificate,
    };
    let domain = state.domains.get_mut(domain).unwrap();
    domain.change(env, Https::On(binding));
    sha256
}

fn switch_off(world: &World) {
    let mut state = world.lock();
    let domain = state.domains.get_mut(NAME).unwrap();
    domain.change(Env::Production, Https::Off);
}

async fn leaf(nodes: &Nodes, name: &str) -> String {
    look(nodes, name).await.unwrap().remove(0)
}

#[tokio::test]
async fn what_is_installed_is_served_with_its_chain() {
    let (world, edge) = started().await;
    let installed = install(&world, NAME, Env::Production);
    let chain = look(edge.production(), NAME).await.unwrap();
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[0], installed);
    assert_eq!(edge.production().handshakes(NAME), 1);
    assert_eq!(edge.staging().handshakes(NAME), 0);
}

#[tokio::test]
async fn a_wildcard_domain_serves_one_label_below() {
    let (world, edge) = started().await;
    world.add_domain(".example.com");
    let exact = install(&world, NAME, Env::Production);
    let wild = install(&world, ".example.com", Env::Production);
    assert_eq!(leaf(edge.production(), NAME).await, exact);
    assert_eq!(leaf(edge.production(), "W.example.com").await, wild);
    assert_ne!(leaf(edge.production(), "a.w.example.com").await, wild);
}

#[tokio::test]
async fn staging_nodes_show_what_is_staged_until_production_overtakes() {
    let (world, edge) = started().await;
    let old = install(&world, NAME, Env::Production);
    let staged = install(&world, NAME, Env::Staging);
    assert_eq!(leaf(edge.production(), NAME).await, old);
    assert_eq!(leaf(edge.staging(), NAME).await, staged);
    let new = install(&world, NAME, Env::Production);
    assert_eq!(leaf(edge.production(), NAME).await, new);
    assert_eq!(leaf(edge.staging(), NAME).await, new);
}

#[tokio::test]
async fn an_installation_is_served_after_the_delay() {
    let (world, edge) = started().await;
    let old = install(&world, NAME, Env::Production);
    let hour = Duration::from_hours(1);
    let installed = Instant::now();
    let behaviour = &edge.production().behaviour;
    let served_at = |moment| {
        let served = behaviour.certificate_for(NAME, moment)?;
        Some(pem::hex(&Sha256::digest(&served.cert[0])))
    };
    edge.production().set_delay(hour);
    assert_eq!(served_at(installed + hour / 2), None);
    assert_eq!(served_at(installed + hour), Some(old.clone()));

    let new = install(&world, NAME, Env::Production);
    let replaced = Instant::now();
    edge.production().set_domain_delay(NAME, hour * 2);
    assert_eq!(
        served_at(replaced + hour),
        None,
        "the old one is not two hours old"
    );
    assert_eq!(served_at(replaced + hour * 2), Some(new));
}

#[tokio::test]
async fn a_frozen_domain_keeps_what_it_serves() {
    let (world, edge) = started().await;
    let old = install(&world, NAME, Env::Production);
    edge.production().freeze(NAME);
    let new = install(&world, NAME, Env::Production);
    assert_eq!(leaf(edge.production(), NAME).await, old);
    edge.production().thaw(NAME);
    assert_eq!(leaf(edge.production(), NAME).await, new);
}

#[tokio::test]
async fn a_domain_without_https_ends_the_handshake() {
    let (world, edge) = started().await;
    let refused = Err(AlertDescription::AccessDenied);
    assert_eq!(look(edge.production(), NAME).await, refused, "never on");
    install(&world, NAME, Env::Production);
    assert!(look(edge.production(), NAME).await.is_ok());
    switch_off(&world);
    assert_eq!(look(edge.production(), NAME).await, refused, "switched off");
}

#[tokio::test]
async fn an_unknown_name_gets_the_nodes_own_certificate_or_an_alert() {
    let (world, edge) = started().await;
    let installed = install(&world, NAME, Env::Production);
    let own = leaf(edge.production(), "x.example.net").await;
    assert_ne!(own, installed);
    edge.production().set_unknown_name(UnknownName::Refuse);
    let refused = look(edge.production(), "x.example.net").await;
    assert_eq!(refused, Err(AlertDescription::AccessDenied));
}

#[tokio::test]
async fn a_broken_domain_is_served_wrongly_until_it_is_mended() {
    let (world, edge) = started().await;
    install(&world, NAME, Env::Production);
    let nodes = edge.production();
    let right = look(nodes, NAME).await.unwrap();
    nodes.break_domain(NAME, Breakage::HandshakeFailure);
    assert_eq!(look(nodes, NAME).await, Err(AlertDescription::AccessDenied));
    nodes.break_domain(NAME, Breakage::WrongChain);
    let wrong = look(nodes, NAME).await.unwrap();
    assert_eq!(wrong[0], right[0]);
    assert_ne!(wrong[1..], right[1..]);
    nodes.break_domain(NAME, Breakage::DefaultCertificate);
    assert_ne!(look(nodes, NAME).await.unwrap()[0], right[0]);
    nodes.mend(NAME);
    assert_eq!(look(nodes, NAME).await.unwrap(), right);
}
