use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A server that reads one request and then answers with exactly these bytes.
async fn server(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the other side of a test")]
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0_u8; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(&answer).await;
    });
    address
}

async fn ask(answer: &[u8]) -> Result<Answer, NetworkError> {
    let address = server(answer.to_vec()).await;
    let network = Network {
        timeout: Duration::from_secs(5),
        ..Network::default()
    };
    let client = network.client().unwrap();
    let request = client
        .get(format!("http://{address}/secret?token=t"))
        .build()
        .unwrap();
    exchange(&client, request).await
}

#[tokio::test]
async fn an_answer_is_read_whole_whatever_its_status() {
    let answer = ask(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno").await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["retry-after"], "7");
    assert_eq!(answer.body, "no");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let answer = ask(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n").await;
    assert_eq!(answer.unwrap().status, 302);
}

#[tokio::test]
async fn a_lost_answer_may_have_happened() {
    let error = ask(b"").await.unwrap_err();
    assert!(matches!(error, NetworkError::Broken { .. }), "{error:?}");
    assert!(error.may_have_happened());
    let shown = format!("{error:?}");
    assert!(!shown.contains("token"), "the URL leaked: {shown}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_may_have_happened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let network = Network {
        timeout: Duration::from_millis(200),
        ..Network::default()
    };
    let client = network.client().unwrap();
    // Whoever listens takes the connection, and never says a word.
    let address = listener.local_addr().unwrap();
    let request = client.get(format!("http://{address}/")).build().unwrap();
    let error = exchange(&client, request).await.unwrap_err();
    assert!(matches!(error, NetworkError::Timeout { .. }), "{error:?}");
    assert_eq!(error.code(), "timeout");
    assert!(error.may_have_happened());
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_not_read() {
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    answer.resize(answer.len() + BODY_LIMIT + 1, b'x');
    assert!(matches!(
        ask(&answer).await,
        Err(NetworkError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn a_closed_port_is_known_not_to_have_happened() {
    let address = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let client = Network::default().client().unwrap();
    let request = client.get(format!("http://{address}/")).build().unwrap();
    let error = exchange(&client, request).await.unwrap_err();
    assert_eq!(error.code(), "unreachable");
    assert!(!error.may_have_happened());
}

#[test]
fn http_dates_are_read() {
    let time = parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
    assert_eq!(time.to_string(), "1994-11-06T08:49:37Z");
    for bad in ["", "soon", "784111777", "Sun, 06 Nov 1994"] {
        assert_eq!(parse_http_date(bad), None, "{bad:?}");
    }
}
