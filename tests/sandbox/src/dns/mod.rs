//! An authoritative DNS server over the world's zones, by UDP and TCP on one port.
//!
//! It does not recurse: names outside the world's zones are refused. A resolver that is pointed at
//! it (as Pebble is) finds everything inside.

mod lookup;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Header, HeaderCounts, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::{TcpListener, UdpSocket};

use crate::running::Running;
use crate::world::World;
use lookup::Reply;

const BIND_ATTEMPTS: usize = 16;
const TCP_IDLE: Duration = Duration::from_secs(30);
const TCP_RESPONSE_BUFFER: usize = 32;
const UDP_PAYLOAD: u16 = 1232;

/// How the server fails for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It answers `SERVFAIL`.
    ServFail,
    /// It answers `REFUSED`.
    Refused,
    /// It does not answer.
    Silence,
}

/// A running DNS server; it stops when dropped.
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    behaviour: Arc<Behaviour>,
    _running: Running,
}

#[derive(Debug)]
struct Behaviour {
    world: World,
    rules: Mutex<Rules>,
}

#[derive(Debug, Default)]
struct Rules {
    delay: Duration,
    failures: BTreeMap<String, Failure>,
    queries: Vec<Query>,
}

/// A question that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The name, in lower case without a final dot.
    pub name: String,
    /// The record type.
    pub record_type: RecordType,
}

impl DnsServer {
    /// Starts a server over `world` on a free port of `127.0.0.1`.
    pub async fn start(world: World) -> io::Result<Self> {
        let (udp, tcp) = bind().await?;
        let address = udp.local_addr()?;
        let behaviour = Arc::new(Behaviour {
            world,
            rules: Mutex::default(),
        });
        let mut server = Server::new(Handler(Arc::clone(&behaviour)));
        server.register_socket(udp);
        server.register_listener(tcp, TCP_IDLE, TCP_RESPONSE_BUFFER);
        Ok(Self {
            address,
            behaviour,
            _running: Running::spawn(async move {
                let _ = server.block_until_done().await;
            }),
        })
    }

    /// Where it listens, by UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets how long after its creation a record is answered.
    pub fn set_delay(&self, delay: Duration) {
        self.behaviour.lock().delay = delay;
    }

    /// Fails for a name (lower case, no final dot) until `heal`.
    pub fn fail(&self, name: &str, failure: Failure) {
        let mut rules = self.behaviour.lock();
        rules.failures.insert(name.to_owned(), failure);
    }

    /// Ends `fail`.
    pub fn heal(&self, name: &str) {
        self.behaviour.lock().failures.remove(name);
    }

    /// Every question so far, in order.
    pub fn queries(&self) -> Vec<Query> {
        self.behaviour.lock().queries.clone()
    }
}

/// Binds both protocols to one port: a port that is free for one may be taken for the other.
async fn bind() -> io::Result<(UdpSocket, TcpListener)> {
    let mut failed = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..BIND_ATTEMPTS {
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

impl Behaviour {
    fn lock(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reply to a question; none means silence.
    fn reply(&self, question: &hickory_proto::op::Query) -> Option<Reply> {
        let query = Query {
            name: lookup::plain(question.name()),
            record_type: question.query_type(),
        };
        let mut rules = self.lock();
        let failure = rules.failures.get(&query.name).copied();
        let delay = rules.delay;
        rules.queries.push(query);
        drop(rules);
        match failure {
            None => Some(lookup::answer(
                &self.world.lock(),
                question,
                Instant::now().checked_sub(delay),
            )),
            Some(Failure::ServFail) => Some(Reply::bare(ResponseCode::ServFail)),
            Some(Failure::Refused) => Some(Reply::bare(ResponseCode::Refused)),
            Some(Failure::Silence) => None,
        }
    }
}

struct Handler(Arc<Behaviour>);

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response_handle: R,
    ) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let reply = match request.request_info() {
            Ok(info) if request.metadata.op_code == OpCode::Query => {
                self.0.reply(info.query.original())
            }
            Ok(_) => Some(Reply::bare(ResponseCode::NotImp)),
            Err(_) => Some(Reply::bare(ResponseCode::FormErr)),
        };
        let Some(reply) = reply else {
            return silence(metadata);
        };
        metadata.response_code = reply.code;
        metadata.authoritative = reply.authoritative;
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        let asked_with_edns = request.edns.is_some();
        let builder =
            MessageResponseBuilder::new(&request.queries, asked_with_edns.then_some(&edns));
        let response = builder.build(metadata, &reply.answers, [], &reply.soa, []);
        match response_handle.send_response(response).await {
            Ok(info) => info,
            Err(_) => silence(metadata),
        }
    }
}

/// What the server library is told about a response that was not sent.
fn silence(metadata: Metadata) -> ResponseInfo {
    ResponseInfo::from(Header {
        metadata,
        counts: HeaderCounts::default(),
    })
}

#[cfg(test)]
mod tests;
