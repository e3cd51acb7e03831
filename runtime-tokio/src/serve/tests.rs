//! Tests of the server over real sockets, from both sides.

mod proxies;
mod tls;

use std::future::Future;

use async_tungstenite::tungstenite::Message;
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::http::{HEAD_BYTES_MAX, HEAD_DEADLINE, REQUESTS_DEADLINE};
use super::places::REFUSED_MAX;
use super::*;
use crate::signal::{Signal, SignalError, SignalEvent};
use crate::websocket::{MESSAGE_BYTES_MAX, WRITE_DEADLINE};

/// No test needs longer; one that does has hung.
const DEADLINE: Duration = Duration::from_secs(10);

async fn server() -> Server {
    Server::bind(([127, 0, 0, 1], 0).into()).await.expect("loopback binds")
}

/// Runs `work` with the server alive next to it.
async fn beside<T>(server: &mut Server, work: impl Future<Output = T>) -> T {
    let both = async {
        tokio::select! {
            done = work => done,
            event = server.next() => panic!("nothing should happen, but: {event:?}"),
        }
    };
    timeout(DEADLINE, both).await.expect("done within the deadline")
}

async fn next(server: &mut Server) -> ServerEvent {
    timeout(DEADLINE, server.next()).await.expect("an event within the deadline")
}

/// Sends `request`, and gives everything that comes back until the server closes.
async fn ask(server: &mut Server, request: &[u8]) -> String {
    let address = server.local_addr();
    beside(server, async move {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(request).await.expect("writes");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("closes without a reset");
        String::from_utf8(answer).expect("text")
    })
    .await
}

/// A client that is up, and its name at the server.
async fn client(server: &mut Server) -> (Signal, ConnectionId) {
    let mut client = Signal::new(format!("http://{}", server.local_addr()));
    client.dial();
    let ServerEvent::Opened { connection, .. } = next(server).await else {
        panic!("a client opens a connection first");
    };
    assert_eq!(client_next(&mut client).await, SignalEvent::Up);
    (client, connection)
}

async fn client_next(client: &mut Signal) -> SignalEvent {
    timeout(DEADLINE, client.next()).await.expect("an event within the deadline")
}

fn down(event: SignalEvent) -> SignalError {
    match event {
        SignalEvent::Down(cause) => cause,
        event @ (SignalEvent::Up | SignalEvent::Text(_) | SignalEvent::Datagram(_) | SignalEvent::Beside(_)) => {
            panic!("not down: {event:?}")
        }
    }
}

/// A WebSocket without a reader: the upgrade is done by hand.
async fn silent_client(server: &mut Server) -> (TcpStream, ConnectionId) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = socket.connect(server.local_addr()).await.expect("connects");
    stream.write_all(UPGRADE).await.expect("writes");
    match next(server).await {
        ServerEvent::Opened { connection, .. } => (stream, connection),
        event @ (ServerEvent::Text { .. } | ServerEvent::Datagram { .. } | ServerEvent::Closed { .. }) => {
            panic!("not opened: {event:?}")
        }
    }
}

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test]
async fn healthz_says_ok() {
    let mut server = server().await;

    for version in ["1.0", "1.1"] {
        let request = format!("GET /healthz HTTP/{version}\r\nHost: x\r\n\r\n");
        let answer = ask(&mut server, request.as_bytes()).await;

        assert!(answer.starts_with(&format!("HTTP/{version} 200 OK\r\n")), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_session_page_tells_how_to_join_and_echoes_nothing() {
    let mut server = server().await;

    let answer = ask(&mut server, b"GET /s/4k7SECRET?also=SECRET HTTP/1.1\r\nHost: SECRET\r\n\r\n").await;

    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("beach join 'LINK'"), "{answer}");
    for header in [
        "content-type: text/plain; charset=utf-8",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
    ] {
        assert!(answer.contains(&format!("\r\n{header}\r\n")), "{answer}");
    }
    assert!(!answer.contains("SECRET"), "{answer}");
}

#[tokio::test]
async fn anything_else_is_not_found_not_allowed_or_no_request() {
    let mut server = server().await;

    for line in
        ["GET / HTTP/1.1", "GET /s/ HTTP/1.1", "GET /s HTTP/1.1", "GET /healthzz HTTP/1.1", "GET /ws/more HTTP/1.1"]
    {
        let answer = ask(&mut server, format!("{line}\r\nHost: x\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{line}: {answer}");
    }
    for line in ["POST /healthz HTTP/1.1", "PUT /s/x HTTP/1.1", "OPTIONS /ws HTTP/1.1"] {
        let answer = ask(&mut server, format!("{line}\r\nHost: x\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{line}: {answer}");
    }
    for line in ["nonsense", "GET / HTTP/7", "\x16\x03\x01"] {
        let answer = ask(&mut server, format!("{line}\r\nHost: x\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{line}: {answer}");
    }
}

#[tokio::test]
async fn a_plain_request_for_the_websocket_is_told_to_upgrade() {
    let mut server = server().await;

    let answer = ask(&mut server, b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n").await;

    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
}

/// The answer to an upgrade with these headers; only its first line if the WebSocket opens.
async fn upgrade(server: &mut Server, headers: &str) -> String {
    let head = String::from_utf8_lossy(UPGRADE).replace("Host: x\r\n", headers);
    let mut stream = TcpStream::connect(server.local_addr()).await.expect("connects");
    stream.write_all(head.as_bytes()).await.expect("writes");
    let mut answer = vec![0; 12];
    let reading = timeout(DEADLINE, stream.read_exact(&mut answer));
    tokio::pin!(reading);
    loop {
        tokio::select! {
            read = &mut reading => {
                read.expect("within the deadline").expect("an answer");
                return String::from_utf8_lossy(&answer).into_owned();
            }
            _ = server.next() => {}
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_gets_no_websocket() {
    let mut server = server().await;
    for theirs in [
        "Host: x\r\nOrigin: http://elsewhere\r\n",
        "Host: x\r\nOrigin: null\r\n",
        "Host: x\r\nOrigin: http://x:8080\r\n",
        "Host: x:8080\r\nOrigin: http://x\r\n",
        "Host: x\r\nOrigin: https://x.elsewhere\r\n",
        "Host: x\r\nOrigin: x\r\n",
        "Host: x\r\nOrigin: http://x\r\nOrigin: http://elsewhere\r\n",
        "Host: x\r\nHost: elsewhere\r\nOrigin: http://elsewhere\r\n",
    ] {
        assert_eq!(upgrade(&mut server, theirs).await, "HTTP/1.1 403", "{theirs}");
    }
    for own in [
        "Host: x\r\n",
        "Host: x\r\nOrigin: http://x\r\n",
        "Host: x\r\nOrigin: https://X\r\n",
        "Host: x:443\r\nOrigin: https://x\r\n",
        "Host: x\r\nOrigin: http://x:80\r\n",
        "Host: [::1]:8080\r\nOrigin: http://[::1]:8080\r\n",
    ] {
        assert_eq!(upgrade(&mut server, own).await, "HTTP/1.1 101", "{own}");
    }
}

#[tokio::test]
async fn a_body_after_the_head_does_not_reset_the_answer_away() {
    let mut server = server().await;
    let mut request = b"POST /upload HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    request.resize(40_000, b'x');

    let answer = ask(&mut server, &request).await;

    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let mut server = server().await;

    let answer = ask(&mut server, &[b'x'; 2 * HEAD_BYTES_MAX]).await;

    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_dribbles_in_is_cut_off_at_the_deadline() {
    let mut server = server().await;
    let started = Instant::now();
    let address = server.local_addr();

    beside(&mut server, async move {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(b"GET /healthz HTTP/1.1\r\nX: ").await.expect("writes");
        assert_eq!(stream.read(&mut [0]).await.expect("end of file"), 0);
    })
    .await;

    assert!(started.elapsed() >= HEAD_DEADLINE);
    assert!(started.elapsed() < HEAD_DEADLINE + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_is_given_up_at_the_deadline() {
    let mut server = server().await;
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = socket.connect(server.local_addr()).await.expect("connects");
    let (request, started) =
        (b"GET /s/x HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n".repeat(1000), Instant::now());
    let writing = async {
        // The end comes as an error: unread input resets the connection.
        while stream.write_all(&request).await.is_ok() {}
    };

    tokio::select! {
        cut = timeout(2 * REQUESTS_DEADLINE, writing) => cut.expect("cut off"),
        event = server.next() => panic!("nothing should happen, but: {event:?}"),
    }

    assert!(started.elapsed() >= REQUESTS_DEADLINE);
    assert!(started.elapsed() <= REQUESTS_DEADLINE + Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn what_a_client_sends_behind_its_request_for_a_websocket_is_read() {
    let mut server = server().await;
    let mut stream = TcpStream::connect(server.local_addr()).await.expect("connects");
    // A text, masked with zeros.
    let request = [UPGRADE, b"\x81\x85\0\0\0\0early".as_slice()].concat();
    stream.write_all(&request).await.expect("writes");

    let ServerEvent::Opened { connection, .. } = next(&mut server).await else { panic!("not opened") };
    assert_eq!(next(&mut server).await, ServerEvent::Text { connection, text: "early".to_owned() });
}

#[tokio::test]
async fn texts_travel_both_ways_in_order() {
    let mut server = server().await;
    let (mut client, connection) = client(&mut server).await;

    for number in 0..20 {
        client.send(format!("up {number}"));
        server.send(connection, format!("down {number}"));
    }

    for number in 0..20 {
        let text = format!("up {number}");
        assert_eq!(next(&mut server).await, ServerEvent::Text { connection, text });
        assert_eq!(client_next(&mut client).await, SignalEvent::Text(format!("down {number}")));
    }
}

#[tokio::test]
async fn the_largest_message_passes() {
    let mut server = server().await;
    let (mut client, connection) = client(&mut server).await;
    let text = "x".repeat(MESSAGE_BYTES_MAX);

    client.send(text.clone());
    server.takes_part(connection);
    server.send(connection, text.clone());

    assert_eq!(client_next(&mut client).await, SignalEvent::Text(text.clone()));
    assert_eq!(next(&mut server).await, ServerEvent::Text { connection, text });
}

#[tokio::test]
async fn a_message_too_large_closes_only_its_own_connection() {
    let mut server = server().await;
    let (mut large, large_id) = client(&mut server).await;
    let (mut other, other_id) = client(&mut server).await;

    large.send("x".repeat(17 * 1024));

    assert_eq!(next(&mut server).await, ServerEvent::Closed { connection: large_id });
    down(client_next(&mut large).await);
    other.send("still here".to_owned());
    let text = "still here".to_owned();
    assert_eq!(next(&mut server).await, ServerEvent::Text { connection: other_id, text });
    server.send(other_id, "you too".to_owned());
    assert_eq!(client_next(&mut other).await, SignalEvent::Text("you too".to_owned()));
}

#[tokio::test]
async fn a_close_delivers_what_was_queued_and_is_reported_once() {
    let mut server = server().await;
    let (mut client, connection) = client(&mut server).await;

    server.send(connection, "last words".to_owned());
    server.close(connection);
    server.close(connection);
    server.send(connection, "too late".to_owned());

    let text = client_next(&mut client).await;
    assert_eq!(text, SignalEvent::Text("last words".to_owned()));
    assert_eq!(down(client_next(&mut client).await), SignalError::ClosedByRendezvous);
    assert_eq!(next(&mut server).await, ServerEvent::Closed { connection });
    assert!(server.open.is_empty());
}

#[tokio::test]
async fn datagrams_travel_both_ways_beside_texts() {
    let mut server = server().await;
    let (mut client, connection) = client(&mut server).await;
    client.relay(vec![1; 1510]);
    assert_eq!(next(&mut server).await, ServerEvent::Datagram { connection, bytes: vec![1; 1510] });
    server.relay(connection, vec![2]);
    assert_eq!(client_next(&mut client).await, SignalEvent::Datagram(vec![2]));
    server.send(connection, "and a text".to_owned());
    assert_eq!(client_next(&mut client).await, SignalEvent::Text("and a text".to_owned()));
}

#[tokio::test]
async fn after_a_close_no_text_arrives() {
    let mut server = server().await;
    let (mut client, connection) = client(&mut server).await;
    client.send("in flight".to_owned());

    server.close(connection);

    assert_eq!(next(&mut server).await, ServerEvent::Closed { connection });
}

#[tokio::test]
async fn a_client_that_vanishes_is_reported() {
    let mut server = server().await;
    let (stream, connection) = silent_client(&mut server).await;

    drop(stream);

    assert_eq!(next(&mut server).await, ServerEvent::Closed { connection });
}

#[tokio::test]
async fn a_full_queue_closes_the_connection() {
    let mut server = server().await;
    let (_stream, connection) = silent_client(&mut server).await;

    for _ in 0..=OUTBOUND_MAX {
        server.send(connection, "x".to_owned());
    }

    assert_eq!(next(&mut server).await, ServerEvent::Closed { connection });
}

#[tokio::test]
async fn texts_of_many_bytes_close_the_connection_and_of_fewer_while_it_takes_no_part() {
    let mut server = server().await;
    for (takes_part, most) in [(false, room::STRANGERS_TEXT_BYTES_MAX), (true, TEXT_BYTES_MAX)] {
        let (_stream, connection) = silent_client(&mut server).await;
        if takes_part {
            server.takes_part(connection);
        }
        let text = "x".repeat(most / 8);
        for _ in 0..8 {
            server.send(connection, text.clone());
        }
        assert!(matches!(server.open.get(&connection), Some(Open::Live(_))), "so many may wait");

        server.send(connection, "x".to_owned());

        assert_eq!(next(&mut server).await, ServerEvent::Closed { connection }, "{takes_part}");
    }
}

#[tokio::test]
async fn few_datagrams_wait_for_a_client_that_reads_slowly() {
    let mut server = server().await;
    let (mut stream, connection) = silent_client(&mut server).await;
    for _ in 0..2000 {
        server.relay(connection, vec![7; 1400]);
        beside(&mut server, tokio::task::yield_now()).await;
    }
    server.close(connection);

    let mut waited = Vec::new();
    // An error of the inner kind: the server has given up.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut waited)).await.expect("within the deadline");

    assert!(waited.len() < 200_000, "{} of 2,800,000 bytes waited", waited.len());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_is_closed_at_the_deadline() {
    let mut server = server().await;
    let (_stream, connection) = silent_client(&mut server).await;
    let started = Instant::now();

    // Together more than the system takes, and less than may wait.
    server.takes_part(connection);
    for _ in 0..OUTBOUND_MAX {
        server.send(connection, "x".repeat(1_500));
    }

    let closed = timeout(2 * WRITE_DEADLINE, server.next()).await.expect("closed within the deadline");
    assert_eq!(closed, ServerEvent::Closed { connection });
    assert!(started.elapsed() >= WRITE_DEADLINE);
}

#[tokio::test]
async fn pings_are_answered() {
    let mut server = server().await;
    let address = server.local_addr();
    let stream = TcpStream::connect(address).await.expect("connects");
    let request = format!("ws://{address}/ws");
    let upgrade = async_tungstenite::tokio::client_async(request, stream);
    let (opened, upgraded) = tokio::join!(next(&mut server), timeout(DEADLINE, upgrade));
    let (mut socket, _) = upgraded.expect("within the deadline").expect("upgrades");
    assert!(matches!(opened, ServerEvent::Opened { .. }));

    socket.send(Message::Ping(vec![7].into())).await.expect("sends");

    let answer = beside(&mut server, socket.next()).await;
    assert!(matches!(answer, Some(Ok(Message::Pong(payload))) if payload[..] == [7]));
}

/// A connection from this address of this machine that says nothing.
async fn silent_from(address: [u8; 4], server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((address, 0).into()).expect("an address of this machine");
    socket.connect(server).await.expect("connects")
}

#[tokio::test]
async fn slow_clients_keep_nobody_from_asking_a_full_server_how_it_is() {
    let mut server = server().await.with_connections_max(1);
    let (_first, _) = client(&mut server).await;
    let address = server.local_addr();
    let slow = async {
        let mut slow = Vec::new();
        for _ in 0..3 * REFUSED_MAX {
            slow.push(silent_from([127, 0, 0, 2], address).await);
        }
        slow
    };
    let _slow = beside(&mut server, slow).await;

    let answer = ask(&mut server, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;

    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn an_address_that_holds_connections_and_says_nothing_leaves_places_to_others() {
    let mut server = server().await.with_connections_max(300).behind(Proxies::Trusted(Vec::new()));
    let address = server.local_addr();
    let opening = async {
        let mut slow = Vec::new();
        for _ in 0..200 {
            slow.push(silent_from([127, 0, 0, 2], address).await);
        }
        slow
    };
    let slow = beside(&mut server, opening).await;
    let refused = async {
        let mut stream = silent_from([127, 0, 0, 2], address).await;
        stream.write_all(UPGRADE).await.expect("writes");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert_eq!(beside(&mut server, refused).await, "HTTP/1.1 503");
    client(&mut server).await;
    drop(slow);
}

#[tokio::test]
async fn one_connection_too_many_is_refused_and_a_place_is_given_again() {
    let mut server = server().await.with_connections_max(1);
    let (first, connection) = client(&mut server).await;
    let mut second = Signal::new(format!("http://{}", server.local_addr()));
    second.dial();
    down(beside(&mut server, second.next()).await);
    for (target, status) in [("/ws", 503), ("/s/x", 503), ("/healthz", 200)] {
        let answer = ask(&mut server, format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {answer}");
    }

    drop(first);

    assert_eq!(next(&mut server).await, ServerEvent::Closed { connection });
    // The task's end follows its last report.
    while !server.tasks.is_empty() {
        beside(&mut server, tokio::task::yield_now()).await;
    }
    client(&mut server).await;
}
