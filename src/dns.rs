//! Reading DNS: the addresses of a host, the zone that a name lies in, the servers of that zone,
//! and what one of them says at this moment.
//!
//! Nothing is kept between two calls: neither answers nor the system's configuration, so that a
//! changed record or `/etc/resolv.conf` is seen at the next call. It writes no records (the solvers
//! do) and validates no signatures.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use hickory_net::client::Client;
use hickory_net::runtime::{TokioRuntimeProvider, TokioTime};
use hickory_net::tcp::TcpClientStream;
use hickory_net::udp::UdpClientStream;
use hickory_net::xfer::{
    DnsExchangeBackground, DnsHandle as _, DnsRequestSender, FirstAnswer as _,
};
use hickory_net::{DnsError as Negative, NetError};
use hickory_proto::op::{DnsRequest, DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};

use crate::retry::{Class, Failure, with_causes};

/// How long one server may take to answer, over each of UDP and TCP.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Longer chains of aliases are given up, as public resolvers do.
const ALIAS_LIMIT: usize = 10;

/// How many name servers are resolved at the same time.
const CONCURRENT_LOOKUPS: usize = 8;

/// Whom to ask (`[dns]` of the configuration).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsSettings {
    /// Recursive resolvers; empty for the system's.
    pub resolvers: Vec<SocketAddr>,
    /// Servers that are asked instead of any zone's own ones (split horizons, tests).
    pub authoritative: Vec<SocketAddr>,
}

/// The reader of DNS. Cheap to clone; holds no connection.
#[derive(Clone, Debug)]
pub struct Dns {
    settings: DnsSettings,
}

/// What one server answered to a question for `TXT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxtAnswer {
    /// The values at the name; empty where there are none or no such name.
    pub values: BTreeSet<String>,
    /// Whether the server answered as an authority (the `AA` bit, RFC 1035 §4.1.1).
    pub authoritative: bool,
}

/// Why DNS could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// Not a name that DNS can hold.
    #[error("{0:?} is not a DNS name")]
    NotAName(String),
    /// `/etc/resolv.conf` cannot be read or understood.
    #[error("could not read the system's resolver configuration")]
    Configuration(#[source] Box<NetError>),
    /// The recursive resolvers gave no usable answer.
    #[error("could not resolve {name}")]
    Unresolved {
        /// The name asked for.
        name: String,
        /// Why.
        #[source]
        source: Box<NetError>,
    },
    /// The name has neither `A` nor `AAAA` records.
    #[error("{0} has no address")]
    NoAddress(String),
    /// No start of authority above the name.
    #[error("found no zone that {0} lies in")]
    NoZone(String),
    /// The zone has no name server with an address.
    #[error("found no name server of the zone {0}")]
    NoServers(String),
    /// Aliases that lead back to a name already seen.
    #[error("the aliases of {0} form a loop")]
    AliasLoop(String),
    /// More aliases than anyone follows.
    #[error("{0} has more than {ALIAS_LIMIT} aliases in a row")]
    TooManyAliases(String),
    /// One server did not answer.
    #[error("no answer from the name server {server}")]
    Silent {
        /// The server asked.
        server: SocketAddr,
        /// Why.
        #[source]
        source: Box<NetError>,
    },
    /// One server answered that it will not or cannot say.
    #[error("the name server {server} answered {code}")]
    Refused {
        /// The server asked.
        server: SocketAddr,
        /// Its response code (RFC 1035 §4.1.1).
        code: ResponseCode,
    },
}

/// An answer as far as it is of use here.
struct Reply {
    answers: Vec<Record>,
    /// The owner of the start of authority that came with it.
    zone: Option<Name>,
}

// === impl Dns ===

impl Dns {
    /// A reader that asks the servers of these settings.
    pub fn new(settings: DnsSettings) -> Self {
        Self { settings }
    }

    /// The addresses of a host, resolved anew: `A` and `AAAA`, aliases followed.
    ///
    /// A family whose lookup fails is left out as long as the other one has addresses.
    pub async fn addresses(&self, host: &str) -> Result<BTreeSet<IpAddr>, DnsError> {
        let name = parse_name(host)?;
        let (v4, v6) = tokio::join!(
            self.resolve(&name, RecordType::A),
            self.resolve(&name, RecordType::AAAA)
        );
        let failure = match (v4, v6) {
            (Ok(v4), Ok(v6)) => {
                let found = addresses_in(v4.answers.iter().chain(&v6.answers));
                return non_empty(found).ok_or_else(|| DnsError::NoAddress(host.to_owned()));
            }
            (Ok(one), Err(failure)) | (Err(failure), Ok(one)) => {
                if let Some(found) = non_empty(addresses_in(&one.answers)) {
                    return Ok(found);
                }
                failure
            }
            (Err(failure), Err(_)) => failure,
        };
        Err(failure)
    }

    /// The name at the end of a chain of aliases (`CNAME`) that begins at `name`; `name` itself
    /// where it is no alias.
    pub async fn follow_aliases(&self, name: &str) -> Result<String, DnsError> {
        let mut current = parse_name(name)?;
        let mut seen = BTreeSet::from([current.clone()]);
        for _ in 0..=ALIAS_LIMIT {
            let reply = self.look_up(&current, RecordType::CNAME).await?;
            let Some(next) = alias_of(&current, &reply.answers) else {
                return Ok(write_name(&current));
            };
            if !seen.insert(next.clone()) {
                return Err(DnsError::AliasLoop(name.to_owned()));
            }
            current = next;
        }
        Err(DnsError::TooManyAliases(name.to_owned()))
    }

    /// The zone that `name` lies in: the nearest name at or above it with a start of authority.
    pub async fn zone_of(&self, name: &str) -> Result<String, DnsError> {
        let mut current = parse_name(name)?;
        while !current.is_root() {
            let reply = self.look_up(&current, RecordType::SOA).await?;
            // An alias leads to a start of authority elsewhere, which says nothing about `name`;
            // the root speaks for names that do not exist.
            let holds = |zone: &Name| !zone.is_root() && zone.zone_of(&current);
            if let Some(zone) = reply.zone.filter(holds) {
                return Ok(write_name(&zone));
            }
            current = current.base_name();
        }
        Err(DnsError::NoZone(name.to_owned()))
    }

    /// The addresses of all servers of a zone, or the configured ones that replace them.
    pub async fn servers_of(&self, zone: &str) -> Result<BTreeSet<SocketAddr>, DnsError> {
        if !self.settings.authoritative.is_empty() {
            return Ok(self.settings.authoritative.iter().copied().collect());
        }
        let reply = self.resolve(&parse_name(zone)?, RecordType::NS).await?;
        let hosts = reply.answers.iter().filter_map(name_server_in);
        let found: Vec<_> = stream::iter(hosts)
            .map(|host| async move { self.addresses(&host).await })
            .buffer_unordered(CONCURRENT_LOOKUPS)
            .collect()
            .await;
        // A server whose name does not resolve cannot be asked by anyone.
        let addresses = found.into_iter().filter_map(Result::ok).flatten();
        let servers = addresses.map(|ip| SocketAddr::new(ip, 53)).collect();
        non_empty(servers).ok_or_else(|| DnsError::NoServers(zone.to_owned()))
    }

    /// What the recursive resolvers say for `TXT` at `name`.
    pub async fn resolve_txt(&self, name: &str) -> Result<BTreeSet<String>, DnsError> {
        let name = parse_name(name)?;
        let reply = self.resolve(&name, RecordType::TXT).await?;
        Ok(texts_at(&name, &reply.answers))
    }

    /// Asks one server for `TXT` at `name`, without recursion.
    pub async fn ask_txt(&self, server: SocketAddr, name: &str) -> Result<TxtAnswer, DnsError> {
        let name = parse_name(name)?;
        let answer = ask(server, &name, RecordType::TXT).await?;
        Ok(TxtAnswer {
            values: texts_at(&name, &answer.answers),
            authoritative: answer.metadata.authoritative,
        })
    }

    /// Looks a name up at the configured authorities, or where none of them answers as an authority
    /// for the name, at the recursive resolvers.
    async fn look_up(&self, name: &Name, kind: RecordType) -> Result<Reply, DnsError> {
        for &server in &self.settings.authoritative {
            if let Ok(answer) = ask(server, name, kind).await
                && answer.metadata.authoritative
            {
                let zone = authority_in(answer.answers.iter().chain(&answer.authorities));
                let answers = answer.into_message().answers;
                return Ok(Reply { answers, zone });
            }
        }
        self.resolve(name, kind).await
    }

    /// Asks the recursive resolvers. No such name and no such record are answers.
    async fn resolve(&self, name: &Name, kind: RecordType) -> Result<Reply, DnsError> {
        match self.resolver()?.lookup(name.clone(), kind).await {
            Ok(found) => Ok(Reply {
                answers: found.answers().to_vec(),
                zone: authority_in(found.answers()),
            }),
            Err(NetError::Dns(Negative::NoRecordsFound(none))) => Ok(Reply {
                answers: Vec::new(),
                zone: none.soa.map(|soa| soa.name),
            }),
            Err(source) => Err(DnsError::Unresolved {
                name: write_name(name),
                source: Box::new(source),
            }),
        }
    }

    /// A resolver that remembers nothing; a new one for each call, for it would keep answers and
    /// the system's configuration.
    fn resolver(&self) -> Result<TokioResolver, DnsError> {
        let unusable = |source| DnsError::Configuration(Box::new(source));
        let mut builder = if self.settings.resolvers.is_empty() {
            TokioResolver::builder_tokio().map_err(unusable)?
        } else {
            let servers = self.settings.resolvers.iter().map(recursive).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        answer_from_the_network(builder.options_mut());
        builder.build().map_err(unusable)
    }
}

/// Sets a resolver up to answer from the network alone, within the limits of this module.
fn answer_from_the_network(options: &mut ResolverOpts) {
    options.cache_size = 0;
    options.timeout = ANSWER_TIMEOUT;
    options.use_hosts_file = ResolveHosts::Never;
    options.try_tcp_on_error = true;
}

/// A recursive resolver at this address, over UDP and TCP.
fn recursive(server: &SocketAddr) -> NameServerConfig {
    let connections = [ProtocolConfig::Udp, ProtocolConfig::Tcp].map(|protocol| {
        let mut connection = ConnectionConfig::new(protocol);
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.into())
}

/// Asks one server without recursion: over UDP, and again over TCP if the answer was cut off
/// (RFC 7766 §5).
async fn ask(server: SocketAddr, name: &Name, kind: RecordType) -> Result<DnsResponse, DnsError> {
    let silent = |source| DnsError::Silent {
        server,
        source: Box::new(source),
    };
    let mut answer = ask_over_udp(server, name, kind).await.map_err(silent)?;
    if answer.metadata.truncation {
        answer = ask_over_tcp(server, name, kind).await.map_err(silent)?;
    }
    let code = answer.metadata.response_code;
    if [ResponseCode::NoError, ResponseCode::NXDomain].contains(&code) {
        Ok(answer)
    } else {
        Err(DnsError::Refused { server, code })
    }
}

async fn ask_over_udp(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
) -> Result<DnsResponse, NetError> {
    let stream = UdpClientStream::builder(server, TokioRuntimeProvider::default())
        .with_timeout(Some(ANSWER_TIMEOUT))
        .build();
    let (client, background) = Client::<TokioRuntimeProvider>::from_sender(stream);
    exchange(client, background, question(name, kind)).await
}

async fn ask_over_tcp(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
) -> Result<DnsResponse, NetError> {
    let provider = TokioRuntimeProvider::default();
    let (connecting, handle) = TcpClientStream::new(server, None, Some(ANSWER_TIMEOUT), provider);
    let (client, background) =
        Client::<TokioRuntimeProvider>::with_timeout(connecting.await?, handle, ANSWER_TIMEOUT);
    exchange(client, background, question(name, kind)).await
}

/// Sends one request and drives the connection until the answer is there.
async fn exchange<S: DnsRequestSender>(
    client: Client<TokioRuntimeProvider>,
    background: DnsExchangeBackground<S, TokioTime>,
    request: DnsRequest,
) -> Result<DnsResponse, NetError> {
    let mut answer = client.send(request).first_answer();
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        () = background => {}
    }
    // A connection that ended has told the request why.
    answer.await
}

fn question(name: &Name, kind: RecordType) -> DnsRequest {
    let mut options = DnsRequestOptions::default();
    options.recursion_desired = false;
    options.use_edns = true;
    DnsRequest::from_query(Query::query(name.clone(), kind), options)
}

/// Reads a host name as a full one, so that no search list is applied to it.
fn parse_name(text: &str) -> Result<Name, DnsError> {
    let not_a_name = |_| DnsError::NotAName(text.to_owned());
    let mut name = Name::from_ascii(text).map_err(not_a_name)?.to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}

/// Writes a name without the final dot.
fn write_name(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

fn addresses_in<'a>(records: impl IntoIterator<Item = &'a Record>) -> BTreeSet<IpAddr> {
    let address = |record: &Record| record.data.ip_addr();
    records.into_iter().filter_map(address).collect()
}

fn name_server_in(record: &Record) -> Option<String> {
    let RData::NS(server) = &record.data else {
        return None;
    };
    Some(write_name(&server.0))
}

fn alias_of(name: &Name, records: &[Record]) -> Option<Name> {
    records.iter().find_map(|record| {
        let RData::CNAME(target) = &record.data else {
            return None;
        };
        (record.name == *name).then(|| target.0.to_lowercase())
    })
}

fn authority_in<'a>(records: impl IntoIterator<Item = &'a Record>) -> Option<Name> {
    let is_authority = |record: &&Record| record.record_type() == RecordType::SOA;
    let found = records.into_iter().find(is_authority)?;
    Some(found.name.clone())
}

/// The texts at exactly this name, the parts of each joined (RFC 8555 §8.4 values are one part, but
/// a server may split what it was given).
fn texts_at(name: &Name, records: &[Record]) -> BTreeSet<String> {
    let text = |record: &Record| {
        let RData::TXT(txt) = &record.data else {
            return None;
        };
        let whole = txt.txt_data.concat();
        (record.name == *name).then(|| String::from_utf8_lossy(&whole).into_owned())
    };
    records.iter().filter_map(text).collect()
}

fn non_empty<T>(set: BTreeSet<T>) -> Option<BTreeSet<T>> {
    (!set.is_empty()).then_some(set)
}

// === impl DnsError ===

impl DnsError {
    /// Our own short word for it, used as a failure's code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAName(_) => "dns-not-a-name",
            Self::Configuration(_) => "dns-configuration",
            Self::Unresolved { .. } => "dns-unresolved",
            Self::NoAddress(_) => "dns-no-address",
            Self::NoZone(_) => "dns-no-zone",
            Self::NoServers(_) => "dns-no-servers",
            Self::AliasLoop(_) => "dns-alias-loop",
            Self::TooManyAliases(_) => "dns-too-many-aliases",
            Self::Silent { .. } => "dns-silent",
            Self::Refused { .. } => "dns-refused",
        }
    }

    /// What it asks of the core. Records come and go and resolvers recover, so most of it is tried
    /// again; what only an edited zone or file can mend waits for a person.
    pub fn failure(&self) -> Failure {
        let class = match self {
            Self::NotAName(_)
            | Self::Configuration(_)
            | Self::AliasLoop(_)
            | Self::TooManyAliases(_) => Class::Operator,
            Self::Unresolved { .. }
            | Self::NoAddress(_)
            | Self::NoZone(_)
            | Self::NoServers(_)
            | Self::Silent { .. }
            | Self::Refused { .. } => Class::Backoff,
        };
        Failure::here(self.code(), with_causes(self), &[(class, 1)])
    }
}

#[cfg(test)]
mod tests;
