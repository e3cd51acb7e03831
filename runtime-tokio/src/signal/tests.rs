//! Tests of the connection to a rendezvous, most of them against a server of ours.

use std::io;

use async_tungstenite::tungstenite::Error;
use beach_core::rendezvous::ConnectionId;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::dial::{ADDRESSES_MAX, interleave};
use super::error::Scheme;
use super::*;
use crate::serve::{Caller, Proxies, Server, ServerEvent};

/// No test needs longer; one that does has hung.
const DEADLINE: Duration = Duration::from_secs(10);

async fn next(signal: &mut Signal) -> SignalEvent {
    timeout(DEADLINE, signal.next()).await.expect("an event within the deadline")
}

async fn server() -> Server {
    Server::bind(([127, 0, 0, 1], 0).into()).await.expect("loopback binds")
}

async fn server_next(server: &mut Server) -> ServerEvent {
    timeout(DEADLINE, server.next()).await.expect("an event within the deadline")
}

/// Takes connections into its backlog and never answers.
async fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback binds");
    let address = listener.local_addr().expect("bound");
    (listener, format!("http://{address}"))
}

fn dialled(url: String) -> Signal {
    let mut signal = Signal::new(url);
    signal.dial();
    signal
}

fn down(event: SignalEvent) -> SignalError {
    match event {
        SignalEvent::Down(cause) => cause,
        event @ (SignalEvent::Up | SignalEvent::Text(_) | SignalEvent::Datagram(_) | SignalEvent::Beside(_)) => {
            panic!("not down: {event:?}")
        }
    }
}

#[test]
fn an_address_becomes_a_websocket_request() {
    for (url, host, port, request) in [
        ("http://localhost:8080", "localhost", 8080, "ws://localhost:8080/ws"),
        ("http://example.com/", "example.com", 80, "ws://example.com:80/ws"),
        ("https://example.com", "example.com", 443, "wss://example.com:443/ws"),
        ("https://example.com/beach/", "example.com", 443, "wss://example.com:443/beach/ws"),
        ("http://[::1]:9", "::1", 9, "ws://[::1]:9/ws"),
        ("http://[::1]", "::1", 80, "ws://[::1]:80/ws"),
    ] {
        let target = Target::parse(url).expect(url);
        assert_eq!((target.host.as_str(), target.port, target.request.as_str()), (host, port, request));
    }
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_down_at_the_dial() {
    for url in [
        "",
        "localhost:8080",
        "ftp://example.com",
        "http://",
        "http://u:p@example.com",
        "http://h:0",
        "http://h:x",
        "/s/x",
    ] {
        assert_eq!(down(next(&mut dialled(url.to_owned())).await), SignalError::BadAddress, "{url}");
    }
}

#[tokio::test]
async fn both_families_are_tried_and_neither_blocks_the_other() {
    // The name usually has both addresses; only one is listened on, whichever comes first.
    for bind in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(mut server) = Server::bind(bind.parse().expect("an address")).await else {
            continue;
        };
        let port = server.local_addr().port();
        let names: Vec<_> = tokio::net::lookup_host(("localhost", port)).await.expect("resolves").collect();
        if !names.contains(&server.local_addr()) {
            continue;
        }
        let mut signal = dialled(format!("http://localhost:{port}"));

        let (opened, up) = tokio::join!(server_next(&mut server), next(&mut signal));

        assert!(matches!(opened, ServerEvent::Opened { .. }));
        assert_eq!(up, SignalEvent::Up);
    }
}

#[test]
fn families_alternate_and_are_bounded() {
    let address = |text: &str| -> SocketAddr { text.parse().expect("an address") };
    let (a, b, c) = (address("[::1]:1"), address("[::2]:1"), address("127.0.0.1:1"));

    assert_eq!(interleave(vec![a, b, c]), [a, c, b]);
    assert_eq!(interleave(vec![c, a, b]), [c, a, b]);
    assert_eq!(interleave(vec![]), []);
    assert_eq!(interleave(vec![a; 100]).len(), ADDRESSES_MAX);
}

#[tokio::test]
async fn nothing_listening_is_said_at_once() {
    let (listener, url) = silent().await;
    drop(listener);

    let cause = down(next(&mut dialled(url)).await);

    assert_eq!(cause, SignalError::Refused);
    assert_eq!(cause.to_string(), "connection refused: nothing listens there");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_down_at_the_deadline() {
    let (_listener, url) = silent().await;
    let started = Instant::now();

    let cause = down(next(&mut dialled(url)).await);

    assert_eq!(cause, SignalError::NoAnswer);
    assert_eq!(cause.to_string(), "no answer within 5 s");
    assert_eq!(started.elapsed().as_secs(), DIAL_DEADLINE.as_secs());
}

#[tokio::test]
async fn a_web_server_that_is_no_rendezvous_is_named_so() {
    let mut server = server().await;
    let mut signal = dialled(format!("http://{}/elsewhere", server.local_addr()));

    let event = tokio::select! {
        event = next(&mut signal) => event,
        event = server.next() => panic!("nothing should happen, but: {event:?}"),
    };

    assert_eq!(down(event), SignalError::Http(404));
}

#[tokio::test]
async fn tls_to_a_server_without_it_fails_with_a_cause() {
    let mut server = server().await;
    let mut signal = dialled(format!("https://{}", server.local_addr()));

    let event = tokio::select! {
        event = next(&mut signal) => event,
        event = server.next() => panic!("nothing should happen, but: {event:?}"),
    };

    assert_eq!(down(event), SignalError::NotTls);
}

#[test]
fn a_bad_certificate_is_described_in_words() {
    use rustls::CertificateError as Flaw;
    for (flaw, words) in [
        (Flaw::UnknownIssuer, "the server's certificate is not signed by a known authority"),
        (Flaw::Expired, "the server's certificate has expired"),
        (Flaw::NotValidYet, "the server's certificate is not valid yet: is the clock right?"),
        (Flaw::NotValidForName, "the server's certificate is for another name"),
        (Flaw::Revoked, "the server's certificate is not acceptable"),
    ] {
        let error = rustls::Error::InvalidCertificate(flaw);
        let error = Error::Io(io::Error::new(io::ErrorKind::InvalidData, error));
        assert_eq!(SignalError::of_handshake(error, Scheme::Tls).to_string(), words);
    }
}

#[tokio::test]
async fn texts_sent_while_dialling_wait_for_the_connection() {
    let mut server = server().await;
    let mut signal = dialled(format!("http://{}", server.local_addr()));
    signal.send("early".to_owned());

    assert!(matches!(server_next(&mut server).await, ServerEvent::Opened { .. }));

    let ServerEvent::Text { text, .. } = server_next(&mut server).await else {
        panic!("the text was lost");
    };
    assert_eq!(text, "early");
}

#[tokio::test]
async fn too_many_waiting_texts_are_down_once() {
    let (_listener, url) = silent().await;
    let mut signal = dialled(url);

    for _ in 0..=OUTBOUND_MAX {
        signal.send("x".to_owned());
    }

    assert_eq!(down(next(&mut signal).await), SignalError::TooSlow);
    assert!(timeout(Duration::from_millis(20), signal.next()).await.is_err());
}

#[tokio::test]
async fn a_hang_up_delivers_what_was_queued_and_says_nothing() {
    let mut server = server().await;
    let mut signal = dialled(format!("http://{}", server.local_addr()));
    let (_, up) = tokio::join!(server_next(&mut server), next(&mut signal));
    assert_eq!(up, SignalEvent::Up);

    signal.send("leaving".to_owned());
    signal.hang_up();

    assert!(matches!(server_next(&mut server).await, ServerEvent::Text { text, .. } if text == "leaving"));
    assert!(matches!(server_next(&mut server).await, ServerEvent::Closed { .. }));
    assert!(timeout(Duration::from_millis(20), signal.next()).await.is_err());
}

#[tokio::test]
async fn a_second_dial_leaves_the_first_connection_without_a_word() {
    let mut server = server().await;
    let mut signal = dialled(format!("http://{}", server.local_addr()));
    let (_, up) = tokio::join!(server_next(&mut server), next(&mut signal));
    assert_eq!(up, SignalEvent::Up);

    signal.dial();

    let (mut opened, mut closed) = (0, 0);
    while (opened, closed) != (1, 1) {
        match server_next(&mut server).await {
            ServerEvent::Opened { .. } => opened += 1,
            ServerEvent::Closed { .. } => closed += 1,
            ServerEvent::Text { .. } | ServerEvent::Datagram { .. } => panic!("nobody wrote"),
        }
    }
    assert_eq!(next(&mut signal).await, SignalEvent::Up);
}

#[tokio::test]
async fn a_rendezvous_that_goes_away_is_down_with_a_cause() {
    let mut server = server().await;
    let mut signal = dialled(format!("http://{}", server.local_addr()));
    let (_, up) = tokio::join!(server_next(&mut server), next(&mut signal));
    assert_eq!(up, SignalEvent::Up);

    drop(server);

    assert_eq!(down(next(&mut signal).await), SignalError::Dropped);
}

/// A client that is up, and its name at the server.
async fn up(server: &mut Server) -> (Signal, ConnectionId) {
    let mut signal = dialled(format!("http://{}", server.local_addr()));
    let (opened, event) = tokio::join!(server_next(server), next(&mut signal));
    let ServerEvent::Opened { connection, .. } = opened else { panic!("{opened:?}") };
    assert_eq!(event, SignalEvent::Up);
    (signal, connection)
}

fn beside(event: SignalEvent) -> SignalEvent {
    match event {
        SignalEvent::Beside(event) => *event,
        event @ (SignalEvent::Up | SignalEvent::Text(_) | SignalEvent::Datagram(_) | SignalEvent::Down(_)) => {
            panic!("on the first connection: {event:?}")
        }
    }
}

#[tokio::test]
async fn a_second_connection_takes_the_place_of_the_first_one_which_works_until_then() {
    let mut server = server().await;
    let (mut signal, first) = up(&mut server).await;
    signal.dial_beside(vec!["said there".to_owned()]);
    let (opened, event) = tokio::join!(server_next(&mut server), next(&mut signal));
    let ServerEvent::Opened { connection: second, .. } = opened else { panic!("{opened:?}") };
    assert_eq!(beside(event), SignalEvent::Up);
    assert!(signal.peer_beside().is_some());
    let text = |connection, text: &str| ServerEvent::Text { connection, text: text.to_owned() };
    assert_eq!(server_next(&mut server).await, text(second, "said there"));
    signal.send("said here".to_owned());
    assert_eq!(server_next(&mut server).await, text(first, "said here"));
    server.send(first, "to the first".to_owned());
    assert_eq!(next(&mut signal).await, SignalEvent::Text("to the first".to_owned()));
    server.relay(second, vec![1]);
    assert_eq!(beside(next(&mut signal).await), SignalEvent::Datagram(vec![1]));

    signal.take_beside();
    assert_eq!(server_next(&mut server).await, ServerEvent::Closed { connection: first });
    signal.send("now there".to_owned());
    assert_eq!(server_next(&mut server).await, text(second, "now there"));
    server.send(second, "to the only one".to_owned());
    assert_eq!(next(&mut signal).await, SignalEvent::Text("to the only one".to_owned()));
    server.close(second);
    assert_eq!(server_next(&mut server).await, ServerEvent::Closed { connection: second });
    down(next(&mut signal).await);
}

#[tokio::test]
async fn a_second_connection_that_fails_leaves_the_first_one_alone_and_outlives_it() {
    let mut server = server().await;
    let (mut signal, first) = up(&mut server).await;
    server.close_door();
    signal.dial_beside(Vec::new());
    assert_eq!(down(beside(next(&mut signal).await)), SignalError::Refused);
    signal.send("still here".to_owned());
    assert!(matches!(server_next(&mut server).await, ServerEvent::Text { connection, .. } if connection == first));

    let (_listener, url) = silent().await;
    let mut other = Signal::new(url);
    std::mem::swap(&mut signal.target, &mut other.target);
    signal.dial_beside(Vec::new());
    server.close(first);
    down(next(&mut signal).await);
    assert!(signal.beside.is_some(), "the second one is on its way");
    signal.hang_up();
    assert!(signal.beside.is_none() && timeout(Duration::from_millis(50), signal.next()).await.is_err());
}

#[tokio::test]
async fn a_rendezvous_that_carries_a_connection_says_for_whom_and_how_many_carry_it() {
    let here = "127.0.0.0/8".parse().expect("a network");
    let mut server = server().await.behind(Proxies::Trusted(vec![here]));
    let url = format!("http://{}", server.local_addr());
    let address = |text: &str| text.parse().ok();
    for (client, hops) in [(address("198.51.100.7"), 1), (address("2001:db8::7"), 3), (None, 2)] {
        let mut way = Signal::for_viewer(&url, client, hops);
        way.dial();
        let ServerEvent::Opened { connection, .. } = server_next(&mut server).await else { panic!("not opened") };
        assert_eq!(server.caller(connection), Some(Caller { client, hops }));
        drop(way);
        assert!(matches!(server_next(&mut server).await, ServerEvent::Closed { .. }));
        assert_eq!(server.caller(connection), None);
    }
    let _itself = dialled(url);
    let ServerEvent::Opened { connection, .. } = server_next(&mut server).await else { panic!("not opened") };
    assert_eq!(server.caller(connection), Some(Caller::default()));
}

#[tokio::test]
async fn a_load_balancer_sees_the_session_in_the_address() {
    let (listener, url) = silent().await;
    let session: ShortId = "bKfPDXLdlu58vT".parse().expect("an id");
    for (mut signal, line) in [
        (Signal::new(url.clone()).for_session(session), "GET /ws?s=bKfPDXLdlu58vT HTTP/1.1\r\n"),
        (Signal::new(url), "GET /ws HTTP/1.1\r\n"),
    ] {
        signal.dial();
        let (mut stream, _) = timeout(DEADLINE, listener.accept()).await.expect("in time").expect("a connection");
        let mut begins = vec![0; line.len()];
        timeout(DEADLINE, stream.read_exact(&mut begins)).await.expect("in time").expect("a request");
        assert_eq!(String::from_utf8_lossy(&begins), line);
    }
}
