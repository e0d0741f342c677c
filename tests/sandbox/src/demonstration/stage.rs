//! The stage: every server of the sandbox around one world, and what can be seen of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;
use vodcertd_sandbox::dns::DnsServer;
use vodcertd_sandbox::edge::Edge;
use vodcertd_sandbox::gateway::Gateway;
use vodcertd_sandbox::pebble::Pebble;
use vodcertd_sandbox::world::{RecordKind, World};

use super::config::{self, Places};
use super::daemon::Launch;
use super::status::StatusClient;
use super::story::{Observation, Proof};
use super::witness::Witness;

/// The DNS zone of all names.
const ZONE: &str = "example.com";
/// The zone of the edge, which is not the account's.
const CDN_ZONE: &str = "cdn.example.net";
/// The VOD domains, as the cloud writes them.
const VOD_DOMAINS: [&str; 3] = ["v.example.com", ".v.example.com", "download.example.com"];
/// What a viewer would connect to: one host for each VOD domain.
pub(super) const HOSTS: [&str; 3] = ["v.example.com", "www.v.example.com", "download.example.com"];
/// What Pebble logs for each order that it accepts.
const ORDER_ACCEPTED: &str = "Added order";

/// All servers, running.
pub(super) struct Stage {
    world: World,
    gateway: Gateway,
    edge: Edge,
    dns: DnsServer,
    pebble: Pebble,
    http: SocketAddr,
    status: StatusClient,
    witness: Witness,
    home: TempDir,
}

impl Stage {
    /// Starts everything but the daemon and writes the daemon's configuration.
    pub(super) async fn set(validity: Duration) -> Result<Self> {
        let world = World::new();
        world.add_zone(ZONE);
        // As behind a real wildcard domain: every name below it leads to the edge.
        world.add_foreign_zone(CDN_ZONE);
        world.add_record(ZONE, "*.v", RecordKind::Cname, &format!("v.{CDN_ZONE}"));
        for domain in VOD_DOMAINS {
            world.add_domain(domain);
        }
        let gateway = Gateway::start(world.clone()).await?;
        let edge = Edge::start(world.clone()).await?;
        let dns = DnsServer::start(world.clone()).await?;
        let pebble = Pebble::builder()
            .dns_server(dns.address())
            .validity(validity)
            .start()
            .await?;
        let witness = Witness::new(
            &pebble.issuer_root_pem().await?,
            edge.production().address(),
        )?;
        let http = free_address()?;
        let stage = Self {
            world,
            gateway,
            edge,
            dns,
            pebble,
            http,
            status: StatusClient::new(http)?,
            witness,
            home: tempfile::Builder::new()
                .prefix("vodcertd-sandbox-")
                .tempdir()?,
        };
        fs::write(stage.home.path().join("config.toml"), stage.config())?;
        Ok(stage)
    }

    /// What the daemon `program` is started with here.
    pub(super) fn launch(&self, program: &Path) -> Launch {
        Launch {
            program: program.to_owned(),
            home: self.home.path().to_owned(),
            config: self.home.path().join("config.toml"),
            access_key_id: Gateway::ACCESS_KEY_ID.to_owned(),
            access_key_secret: Gateway::ACCESS_KEY_SECRET.to_owned(),
        }
    }

    /// Where everything listens, in one line.
    pub(super) fn description(&self) -> String {
        format!(
            "the sandbox runs: CA {}, gateway {}, edge {}, DNS {}",
            self.pebble.directory_url(),
            self.gateway.url(),
            self.edge.production().address(),
            self.dns.address()
        )
    }

    /// The address of the daemon's status page.
    pub(super) fn status_page(&self) -> String {
        format!("http://{}/", self.http)
    }

    /// What can be seen now.
    pub(super) async fn observe(&self) -> Result<Observation> {
        let mut served = BTreeMap::new();
        for host in HOSTS {
            if let Ok(leaf) = self.witness.look(host).await {
                served.insert(host.to_owned(), leaf);
            }
        }
        Ok(Observation {
            orders: self.pebble.log()?.matches(ORDER_ACCEPTED).count(),
            proofs: self.proofs(),
            installed: self.installed(),
            served,
            certificates: self.status.certificates().await?,
        })
    }

    fn proofs(&self) -> BTreeSet<Proof> {
        let records = self.world.records(ZONE);
        records
            .into_iter()
            .filter(|record| record.kind == RecordKind::Txt)
            .map(|record| Proof {
                name: format!("{}.{ZONE}", record.rr),
                value: record.value,
            })
            .collect()
    }

    fn installed(&self) -> BTreeMap<String, Vec<String>> {
        let fingerprints = |domain: &str| {
            let changes = self.world.history(domain);
            changes
                .iter()
                .filter_map(|change| change.https.binding())
                .map(|binding| binding.certificate.pair.leaf().sha256.clone())
                .collect()
        };
        VOD_DOMAINS
            .into_iter()
            .map(|domain| (domain.to_owned(), fingerprints(domain)))
            .collect()
    }

    fn config(&self) -> String {
        config::text(Places {
            home: self.home.path(),
            http: self.http,
            dns: self.dns.address(),
            edge: self.edge.production().address(),
            gateway: self.gateway.url(),
            directory: &self.pebble.directory_url(),
            ca_file: &self.pebble.ca_file(),
        })
    }
}

/// A loopback address that is free now; it may be taken by the time the daemon binds it.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
