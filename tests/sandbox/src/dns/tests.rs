//! The DNS server over UDP and TCP.

use std::net::Ipv4Addr;

use hickory_proto::op::{Message, MessageType};
use hickory_proto::rr::{Name, RData};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::world::RecordKind;

use RecordType::{A, AAAA, CAA, CNAME, NS, TXT};

const ZONE: &str = "example.com";

fn question(name: &str, record_type: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let name = Name::from_ascii(name).unwrap();
    message.add_query(hickory_proto::op::Query::query(name, record_type));
    message
}

async fn ask_udp(server: &DnsServer, question: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let bytes = question.to_vec().unwrap();
    socket.send_to(&bytes, server.address()).await.unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).await.unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

async fn ask_tcp(server: &DnsServer, question: &Message) -> Message {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let bytes = question.to_vec().unwrap();
    let length = u16::try_from(bytes.len()).unwrap();
    stream
        .write_all(&[&length.to_be_bytes(), &bytes[..]].concat())
        .await
        .unwrap();
    let length = stream.read_u16().await.unwrap();
    let mut buffer = vec![0; length.into()];
    stream.read_exact(&mut buffer).await.unwrap();
    Message::from_vec(&buffer).unwrap()
}

async fn ask(server: &DnsServer, name: &str, record_type: RecordType) -> Message {
    ask_udp(server, &question(name, record_type)).await
}

/// The answers as text, in order.
fn answers(message: &Message) -> Vec<String> {
    message
        .answers
        .iter()
        .map(|record| record.data.to_string())
        .collect()
}

fn has_soa(message: &Message) -> bool {
    message
        .authorities
        .iter()
        .any(|record| matches!(record.data, RData::SOA(_)))
}

async fn started() -> (World, DnsServer) {
    let world = World::new();
    world.add_zone(ZONE);
    world.add_domain("v.example.com");
    world.add_domain(".wild.example.com");
    let server = DnsServer::start(world.clone()).await.unwrap();
    (world, server)
}

#[tokio::test]
async fn names_are_answered_as_an_authority_does() {
    let (world, server) = started().await;
    for (rr, kind, value) in [
        ("_acme-challenge", RecordKind::Txt, "one"),
        ("_acme-challenge", RecordKind::Txt, "two"),
        ("alias", RecordKind::Cname, "target.example.com"),
        ("target", RecordKind::A, "10.0.0.1"),
        ("away", RecordKind::Cname, "x.example.net"),
        ("loop", RecordKind::Cname, "loop.example.com"),
        ("a.b", RecordKind::Aaaa, "::1"),
        ("*.any", RecordKind::A, "10.0.0.2"),
    ] {
        world.add_record(ZONE, rr, kind, value);
    }
    let (ok, no_name) = (ResponseCode::NoError, ResponseCode::NXDomain);
    let cases: &[(&str, RecordType, ResponseCode, &[&str])] = &[
        ("_acme-challenge.example.com.", TXT, ok, &["one", "two"]),
        ("_ACME-Challenge.EXAMPLE.com.", TXT, ok, &["one", "two"]),
        ("_acme-challenge.example.com.", A, ok, &[]),
        ("example.com.", NS, ok, &["ns1.example.com."]),
        ("ns1.example.com.", A, ok, &["127.0.0.1"]),
        ("example.com.", CAA, ok, &[]),
        (
            "alias.example.com.",
            A,
            ok,
            &["target.example.com.", "10.0.0.1"],
        ),
        ("alias.example.com.", CNAME, ok, &["target.example.com."]),
        ("alias.example.com.", TXT, ok, &["target.example.com."]),
        ("away.example.com.", A, ok, &["x.example.net."]),
        ("loop.example.com.", A, ResponseCode::ServFail, &[]),
        ("a.b.example.com.", AAAA, ok, &["::1"]),
        ("b.example.com.", TXT, ok, &[]),
        ("x.any.example.com.", A, ok, &["10.0.0.2"]),
        ("v.example.com.", A, ok, &["127.0.0.1"]),
        ("v.example.com.", AAAA, ok, &[]),
        ("x.wild.example.com.", A, ok, &["127.0.0.1"]),
        ("x.y.wild.example.com.", A, no_name, &[]),
        ("nothing.example.com.", TXT, no_name, &[]),
        ("example.net.", A, ResponseCode::Refused, &[]),
    ];
    for (name, record_type, code, expected) in cases {
        let reply = ask(&server, name, *record_type).await;
        let case = format!("{name} {record_type}");
        assert_eq!(reply.metadata.response_code, *code, "{case}");
        assert_eq!(&answers(&reply), expected, "{case}");
        let refused = [ResponseCode::Refused, ResponseCode::ServFail].contains(code);
        assert_eq!(reply.metadata.authoritative, !refused, "{case}");
        let negative = !refused && (expected.is_empty() || case == "alias.example.com. TXT");
        assert_eq!(has_soa(&reply), negative, "{case}");
    }
}

#[tokio::test]
async fn tcp_answers_like_udp_and_the_case_of_the_question_is_kept() {
    let (world, server) = started().await;
    world.add_record(ZONE, "_acme-challenge", RecordKind::Txt, "one");
    let question = question("_aCMe-chAllenge.ExamplE.com.", RecordType::TXT);
    let (udp, tcp) = (
        ask_udp(&server, &question).await,
        ask_tcp(&server, &question).await,
    );
    assert_eq!(udp, tcp);
    assert_eq!(answers(&tcp), ["one"]);
    assert_eq!(
        tcp.queries[0].name().to_ascii(),
        "_aCMe-chAllenge.ExamplE.com."
    );
    assert!(tcp.metadata.recursion_desired);
    assert!(!tcp.metadata.recursion_available);
}

#[tokio::test]
async fn an_answer_too_long_for_udp_is_cut_and_comes_whole_by_tcp() {
    let (world, server) = started().await;
    for digit in 0..4 {
        world.add_record(
            ZONE,
            "long",
            RecordKind::Txt,
            &digit.to_string().repeat(300),
        );
    }
    let question = question("long.example.com.", RecordType::TXT);
    let udp = ask_udp(&server, &question).await;
    assert!(udp.metadata.truncation);
    let tcp = ask_tcp(&server, &question).await;
    assert!(!tcp.metadata.truncation);
    assert_eq!(tcp.answers.len(), 4);
}

#[tokio::test]
async fn a_record_is_answered_after_the_delay() {
    let (world, server) = started().await;
    let name = "_acme-challenge.example.com.";
    world.add_record(ZONE, "_acme-challenge", RecordKind::Txt, "one");
    server.set_delay(Duration::from_hours(1));
    let early = ask(&server, name, RecordType::TXT).await;
    assert_eq!(early.metadata.response_code, ResponseCode::NXDomain);
    server.set_delay(Duration::ZERO);
    assert_eq!(answers(&ask(&server, name, RecordType::TXT).await), ["one"]);
}

#[tokio::test]
async fn an_own_address_replaces_the_given_one() {
    let (world, server) = started().await;
    world.add_record(ZONE, "v", RecordKind::A, "10.0.0.9");
    let reply = ask(&server, "v.example.com.", RecordType::A).await;
    assert_eq!(answers(&reply), ["10.0.0.9"]);
}

#[tokio::test]
async fn a_name_fails_until_it_is_healed() {
    let (_world, server) = started().await;
    let name = "v.example.com.";
    let cases = [
        (Failure::ServFail, ResponseCode::ServFail),
        (Failure::Refused, ResponseCode::Refused),
    ];
    for (failure, code) in cases {
        server.fail("v.example.com", failure);
        let reply = ask(&server, name, RecordType::A).await;
        assert_eq!(reply.metadata.response_code, code);
        let other = ask(&server, "ns1.example.com.", RecordType::A).await;
        assert_eq!(other.metadata.response_code, ResponseCode::NoError);
    }
    server.heal("v.example.com");
    let reply = ask(&server, name, RecordType::A).await;
    assert_eq!(reply.answers[0].data, RData::A(Ipv4Addr::LOCALHOST.into()));
}

#[tokio::test]
async fn a_silenced_name_is_heard_but_not_answered() {
    let (_world, server) = started().await;
    server.fail("v.example.com", Failure::Silence);
    let question = question("V.example.com.", RecordType::A);
    let unanswered = async {
        while server.queries().is_empty() {
            tokio::task::yield_now().await;
        }
        // Whatever was answered to the first question would come before this second answer.
        ask(&server, "ns1.example.com.", RecordType::A).await
    };
    tokio::select! {
        reply = ask_udp(&server, &question) => panic!("{reply}"),
        _ = unanswered => {}
    }
    let heard = Query {
        name: "v.example.com".to_owned(),
        record_type: RecordType::A,
    };
    assert_eq!(server.queries()[0], heard);
}
