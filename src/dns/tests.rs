#![expect(
    clippy::disallowed_methods,
    reason = "the server of these tests is a task"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, SOA, TXT};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use super::*;

/// What a name server of these tests says and how.
#[derive(Default)]
struct Script {
    records: BTreeMap<(String, RecordType), Vec<RData>>,
    zones: Vec<String>,
    not_an_authority: bool,
    truncates_udp: bool,
    refuses: Vec<RecordType>,
}

impl Script {
    fn zone(zone: &str) -> Self {
        Self::default().and_zone(zone)
    }

    /// A further zone; of two that match, the one named first counts.
    fn and_zone(mut self, zone: &str) -> Self {
        self.zones.push(zone.to_owned());
        self
    }

    fn with(mut self, name: &str, data: RData) -> Self {
        let key = (name.to_owned(), data.record_type());
        self.records.entry(key).or_default().push(data);
        self
    }

    /// Answers one question as an authority for its zones would.
    fn answer(&self, question: &Message, over_udp: bool) -> Message {
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.metadata.authoritative = !self.not_an_authority;
        let query = question.queries[0].clone();
        let (name, kind) = (write_name(query.name()), query.query_type());
        answer.add_query(query);
        let zone = self.zones.iter().find(|zone| name.ends_with(*zone));
        let (Some(zone), false) = (zone, self.refuses.contains(&kind)) else {
            answer.metadata.response_code = ResponseCode::Refused;
            return answer;
        };
        if over_udp && self.truncates_udp {
            answer.metadata.truncation = true;
            return answer;
        }
        let at = |kind| self.records.get(&(name.clone(), kind));
        for data in at(kind).or(at(RecordType::CNAME)).into_iter().flatten() {
            answer.add_answer(record(&name, data.clone()));
        }
        if *zone == name && kind == RecordType::SOA {
            answer.add_answer(record(zone, soa()));
        } else if answer.answers.is_empty() {
            answer.add_authority(record(zone, soa()));
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        answer
    }

    /// Serves this script by UDP and TCP on one port.
    async fn serve(self) -> SocketAddr {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).await.unwrap();
        let script = Arc::new(Mutex::new(self));
        tokio::spawn(serve_udp(udp, Arc::clone(&script)));
        tokio::spawn(serve_tcp(tcp, script));
        address
    }
}

async fn serve_udp(socket: UdpSocket, script: Arc<Mutex<Script>>) {
    let mut buffer = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let question = Message::from_vec(&buffer[..length]).unwrap();
        let answer = script.lock().unwrap().answer(&question, true);
        let answer = answer.to_vec().unwrap();
        socket.send_to(&answer, from).await.unwrap();
    }
}

async fn serve_tcp(listener: TcpListener, script: Arc<Mutex<Script>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let length = stream.read_u16().await.unwrap();
        let mut buffer = vec![0; length.into()];
        stream.read_exact(&mut buffer).await.unwrap();
        let question = Message::from_vec(&buffer).unwrap();
        let answer = script.lock().unwrap().answer(&question, false);
        let answer = answer.to_vec().unwrap();
        let length = u16::try_from(answer.len()).unwrap();
        stream.write_u16(length).await.unwrap();
        stream.write_all(&answer).await.unwrap();
    }
}

fn name(text: &str) -> Name {
    parse_name(text).unwrap()
}

fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(name(owner), 60, data)
}

fn soa() -> RData {
    RData::SOA(SOA::new(
        name("ns.test"),
        name("root.test"),
        1,
        60,
        60,
        60,
        60,
    ))
}

fn txt(text: &str) -> RData {
    RData::TXT(TXT::new(vec![text.to_owned()]))
}

fn alias(target: &str) -> RData {
    RData::CNAME(CNAME(name(target)))
}

fn v4(text: &str) -> RData {
    RData::A(A(text.parse().unwrap()))
}

fn v6(text: &str) -> RData {
    RData::AAAA(AAAA(text.parse().unwrap()))
}

fn asking_resolver(resolver: SocketAddr) -> Dns {
    Dns::new(DnsSettings {
        resolvers: vec![resolver],
        authoritative: Vec::new(),
    })
}

fn texts(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().copied().map(str::to_owned).collect()
}

/// An address at which nobody listens.
async fn deserted() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.local_addr().unwrap()
}

#[tokio::test]
async fn a_host_has_the_addresses_of_both_families_behind_its_aliases() {
    let script = Script::zone("example.com")
        .with("v.example.com", alias("edge.example.com"))
        .with("edge.example.com", v4("192.0.2.1"))
        .with("edge.example.com", v4("192.0.2.2"))
        .with("edge.example.com", v6("2001:db8::1"));
    let dns = asking_resolver(script.serve().await);
    let found = dns.addresses("v.example.com").await.unwrap();
    let expected = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|ip| ip.parse().unwrap());
    assert_eq!(found, BTreeSet::from(expected));
}

#[tokio::test]
async fn one_family_is_enough_even_if_the_other_lookup_fails() {
    let mut script = Script::zone("example.com").with("v.example.com", v4("192.0.2.1"));
    script.refuses = vec![RecordType::AAAA];
    let dns = asking_resolver(script.serve().await);
    assert_eq!(dns.addresses("v.example.com").await.unwrap().len(), 1);
}

#[tokio::test]
async fn no_address_and_no_answer_are_different_failures() {
    let dns = asking_resolver(Script::zone("example.com").serve().await);
    let none = dns.addresses("v.example.com").await;
    assert!(matches!(none, Err(DnsError::NoAddress(_))), "{none:?}");
    let refused = dns.addresses("v.example.net").await;
    assert!(
        matches!(refused, Err(DnsError::Unresolved { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn nothing_is_kept_between_two_lookups() {
    let script = Script::zone("example.com").with("v.example.com", v4("192.0.2.1"));
    let script = Arc::new(Mutex::new(script));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let dns = asking_resolver(socket.local_addr().unwrap());
    tokio::spawn(serve_udp(socket, Arc::clone(&script)));

    let before = dns.addresses("v.example.com").await.unwrap();
    let changed = Script::zone("example.com").with("v.example.com", v4("192.0.2.2"));
    *script.lock().unwrap() = changed;
    let after = dns.addresses("v.example.com").await.unwrap();
    assert_ne!(before, after);
}

#[tokio::test]
async fn the_zone_is_the_nearest_start_of_authority() {
    let script = Script::zone("sub.example.com")
        .and_zone("example.com")
        .with("_acme-challenge.a.example.com", alias("x.sub.example.com"));
    let server = script.serve().await;
    let cases = [
        ("the zone itself", "example.com", "example.com"),
        ("below it", "_acme-challenge.v.example.com", "example.com"),
        (
            "a delegated zone",
            "_acme-challenge.v.sub.example.com",
            "sub.example.com",
        ),
        (
            "an alias elsewhere",
            "_acme-challenge.a.example.com",
            "example.com",
        ),
    ];
    let asking_authority = Dns::new(DnsSettings {
        resolvers: vec![deserted().await],
        authoritative: vec![server],
    });
    for dns in [asking_resolver(server), asking_authority] {
        for (case, name, zone) in cases {
            assert_eq!(dns.zone_of(name).await.unwrap(), zone, "{case}");
        }
    }
}

#[tokio::test]
async fn a_name_under_nothing_but_the_root_has_no_zone() {
    let dns = asking_resolver(Script::zone("").serve().await);
    let none = dns.zone_of("v.example.invalid").await;
    assert!(matches!(none, Err(DnsError::NoZone(_))), "{none:?}");
}

#[tokio::test]
async fn the_servers_of_a_zone_are_its_own_unless_others_are_configured() {
    let script = Script::zone("example.com")
        .with("example.com", RData::NS(NS(name("ns1.example.com"))))
        .with("example.com", RData::NS(NS(name("ns2.example.com"))))
        .with("example.com", RData::NS(NS(name("gone.example.com"))))
        .with("ns1.example.com", v4("192.0.2.1"))
        .with("ns2.example.com", v6("2001:db8::1"));
    let server = script.serve().await;
    let dns = asking_resolver(server);
    let own = dns.servers_of("example.com").await.unwrap();
    let expected = ["192.0.2.1:53", "[2001:db8::1]:53"].map(|s| s.parse().unwrap());
    assert_eq!(own, BTreeSet::from(expected));
    let none = dns.servers_of("v.example.com").await;
    assert!(matches!(none, Err(DnsError::NoServers(_))), "{none:?}");

    let configured = Dns::new(DnsSettings {
        resolvers: vec![server],
        authoritative: vec![server],
    });
    let replaced = configured.servers_of("example.com").await.unwrap();
    assert_eq!(replaced, BTreeSet::from([server]));
}

#[tokio::test]
async fn aliases_are_followed_to_their_end_and_not_for_ever() {
    let mut script = Script::zone("test")
        .with("a.test", alias("b.test"))
        .with("b.test", alias("_C.test"))
        .with("loop.test", alias("back.test"))
        .with("back.test", alias("loop.test"));
    for hop in 0..20 {
        let next = format!("h{}.test", hop + 1);
        script = script.with(&format!("h{hop}.test"), alias(&next));
    }
    let dns = asking_resolver(script.serve().await);
    for (start, end) in [
        ("a.test", "_c.test"),
        ("x.test", "x.test"),
        ("h10.test", "h20.test"),
    ] {
        assert_eq!(dns.follow_aliases(start).await.unwrap(), end);
    }
    let looping = dns.follow_aliases("loop.test").await;
    assert!(
        matches!(looping, Err(DnsError::AliasLoop(_))),
        "{looping:?}"
    );
    let endless = dns.follow_aliases("h9.test").await;
    assert!(
        matches!(endless, Err(DnsError::TooManyAliases(_))),
        "{endless:?}"
    );
}

#[tokio::test]
async fn a_server_is_asked_for_what_it_says_itself() {
    let script = || {
        Script::zone("example.com")
            .with("_acme-challenge.example.com", txt("one"))
            .with("_acme-challenge.example.com", txt("two"))
    };
    let dns = Dns::new(DnsSettings::default());
    let authority = script().serve().await;
    let both = dns.ask_txt(authority, "_acme-challenge.example.com").await;
    let both = both.unwrap();
    assert_eq!(both.values, texts(&["one", "two"]));
    assert!(both.authoritative);

    let nothing = dns
        .ask_txt(authority, "_acme-challenge.v.example.com")
        .await;
    assert_eq!(nothing.unwrap().values, BTreeSet::new());

    let mut other = script();
    other.not_an_authority = true;
    let other = other.serve().await;
    let answer = dns.ask_txt(other, "_acme-challenge.example.com").await;
    assert!(!answer.unwrap().authoritative);

    let foreign = dns.ask_txt(authority, "_acme-challenge.example.net").await;
    let Err(DnsError::Refused { server, code }) = foreign else {
        panic!("expected a refusal, got {foreign:?}");
    };
    assert_eq!((server, code), (authority, ResponseCode::Refused));
}

#[tokio::test]
async fn an_answer_that_was_cut_off_is_fetched_over_tcp() {
    let mut script = Script::zone("example.com").with("_acme-challenge.example.com", txt("whole"));
    script.truncates_udp = true;
    let server = script.serve().await;
    let dns = Dns::new(DnsSettings::default());
    let answer = dns.ask_txt(server, "_acme-challenge.example.com").await;
    assert_eq!(answer.unwrap().values, texts(&["whole"]));
}

#[tokio::test]
async fn the_parts_of_a_text_are_joined() {
    let parts = RData::TXT(TXT::new(vec!["one ".to_owned(), "text".to_owned()]));
    let server = Script::zone("example.com").with("example.com", parts);
    let server = server.serve().await;
    let dns = Dns::new(DnsSettings::default());
    let answer = dns.ask_txt(server, "example.com").await.unwrap();
    assert_eq!(answer.values, texts(&["one text"]));
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let mute = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let dns = Dns::new(DnsSettings::default());
    let silent = dns.ask_txt(mute.local_addr().unwrap(), "example.com").await;
    assert!(matches!(silent, Err(DnsError::Silent { .. })), "{silent:?}");
}

#[tokio::test]
async fn authorities_that_do_not_know_are_passed_over_for_the_resolvers() {
    let script = Script::zone("example.com").with("a.example.com", alias("x.example.com"));
    let resolver = script.serve().await;
    let without_authority = Script {
        not_an_authority: true,
        ..Script::zone("example.com")
    };
    for (case, script) in [
        ("refuses", Script::zone("example.net")),
        ("answers without authority", without_authority),
    ] {
        let dns = Dns::new(DnsSettings {
            resolvers: vec![resolver],
            authoritative: vec![script.serve().await],
        });
        let end = dns.follow_aliases("a.example.com").await.unwrap();
        assert_eq!(end, "x.example.com", "{case}");
    }
}

#[test]
fn a_failure_says_all_that_led_to_it() {
    let failure = DnsError::Unresolved {
        name: "v.example.com".into(),
        source: Box::new(NetError::Timeout),
    }
    .failure();
    assert_eq!(failure.class(1), Class::Backoff);
    assert_eq!(failure.code, "dns-unresolved");
    let message = "could not resolve v.example.com: request timed out";
    assert_eq!(failure.message, message);
}

#[test]
fn what_is_no_name_is_refused() {
    let long = "a".repeat(64);
    for text in ["a..b", &long] {
        let refused = parse_name(text);
        assert!(matches!(refused, Err(DnsError::NotAName(_))), "{text:?}");
    }
    assert_eq!(write_name(&name("V.Example.COM.")), "v.example.com");
}
