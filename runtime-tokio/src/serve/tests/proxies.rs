//! Connections from proxies, which tell their clients' addresses.

use super::*;

/// A server that trusts proxies on this machine.
async fn behind_proxies() -> Server {
    server().await.behind(trusting(&["127.0.0.0/8"]))
}

fn trusting(networks: &[&str]) -> Proxies {
    Proxies::Trusted(networks.iter().map(|network| network.parse().expect("a network")).collect())
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A header of version 2 for a client with this address.
fn version_2(client: [u8; 4]) -> Vec<u8> {
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &client, &[10, 0, 0, 1, 0x9c, 0x40, 0x1f, 0x90]].concat()
}

/// The request for a WebSocket with these headers besides.
fn upgrade_with(headers: &str) -> Vec<u8> {
    let plain = String::from_utf8_lossy(UPGRADE);
    plain.replace("Host: x\r\n", &format!("Host: x\r\n{headers}")).into_bytes()
}

/// A connection that says this first; each part arrives by itself.
async fn says(server: &Server, parts: &[&[u8]]) -> TcpStream {
    let mut stream = TcpStream::connect(server.local_addr()).await.expect("connects");
    stream.set_nodelay(true).expect("a socket");
    for part in parts {
        stream.write_all(part).await.expect("writes");
    }
    stream
}

/// The client's address of the WebSocket that opens next.
async fn opened(server: &mut Server) -> Option<IpAddr> {
    match next(server).await {
        ServerEvent::Opened { client, .. } => client,
        event @ (ServerEvent::Text { .. } | ServerEvent::Datagram { .. } | ServerEvent::Closed { .. }) => {
            panic!("not opened: {event:?}")
        }
    }
}

/// The beginning of the answer to these bytes, which opens no WebSocket; empty if the server only closes.
async fn refused(server: &mut Server, bytes: &[u8]) -> String {
    let mut stream = says(server, &[bytes]).await;
    let mut answer = Vec::new();
    // An error here: closed with unread input.
    let _ = beside(server, stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned()
}

#[tokio::test]
async fn the_header_of_a_trusted_proxy_tells_the_client_however_it_arrives() {
    let mut server = behind_proxies().await;
    let v2 = version_2([198, 51, 100, 7]);
    let mut held = Vec::new();
    for (header, client) in [
        (&b"PROXY TCP4 198.51.100.7 10.0.0.1 40000 8080\r\n"[..], Some(ip("198.51.100.7"))),
        (b"PROXY TCP6 2001:db8::7 ::1 40000 8080\r\n", Some(ip("2001:db8::7"))),
        (&v2, Some(ip("198.51.100.7"))),
        (b"PROXY UNKNOWN\r\n", None),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", None),
        (b"", None),
    ] {
        held.push(says(&server, &[&[header, UPGRADE].concat()]).await);
        assert_eq!(opened(&mut server).await, client, "{}", header.escape_ascii());
        let bytes: Vec<&[u8]> = header.chunks(1).chain([UPGRADE]).collect();
        held.push(says(&server, &bytes).await);
        assert_eq!(opened(&mut server).await, client, "{}, byte by byte", header.escape_ascii());
    }
}

#[tokio::test]
async fn a_header_of_somebody_else_and_a_broken_one_open_nothing() {
    let request = [&version_2([198, 51, 100, 7])[..], UPGRADE].concat();
    let mut elsewhere = server().await.behind(trusting(&["10.0.0.0/8"]));
    assert_eq!(refused(&mut elsewhere, &request).await, "HTTP/1.1 400");
    let mut unsaid = server().await;
    assert_eq!(refused(&mut unsaid, &request).await, "HTTP/1.1 400");

    let mut behind = behind_proxies().await;
    let broken = [&b"PROXY TCP4 nonsense 10.0.0.1 40000 8080\r\n"[..], UPGRADE].concat();
    assert_eq!(refused(&mut behind, &broken).await, "");
    let twice = [&version_2([198, 51, 100, 7])[..], &request].concat();
    assert_eq!(refused(&mut behind, &twice).await, "HTTP/1.1 400");
    assert_eq!(refused(&mut behind, b"POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await, "HTTP/1.1 405");
}

#[tokio::test(start_paused = true)]
async fn a_header_that_does_not_end_is_cut_off_at_the_deadline() {
    let mut server = behind_proxies().await;
    for begun in [&b"PROXY TCP4 198."[..], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x01\0", b""] {
        let started = Instant::now();
        let mut stream = says(&server, &[begun]).await;
        assert_eq!(beside(&mut server, stream.read(&mut [0])).await.expect("end of file"), 0);
        assert!(started.elapsed() >= HEAD_DEADLINE && started.elapsed() < HEAD_DEADLINE + Duration::from_secs(1));
    }
}

#[tokio::test]
async fn the_header_that_a_trusted_proxy_appends_to_tells_the_client() {
    let mut server = behind_proxies().await;
    let mut held = Vec::new();
    for (headers, client) in [
        ("X-Forwarded-For: 198.51.100.7\r\n", Some("198.51.100.7")),
        ("X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\n", Some("198.51.100.7")),
        ("X-Forwarded-For: 203.0.113.9\r\nx-forwarded-for: 198.51.100.7, 127.0.0.3\r\n", Some("198.51.100.7")),
        ("X-Forwarded-For: 198.51.100.7, \r\nX-Forwarded-For: nonsense\r\n", None),
        ("", None),
    ] {
        held.push(says(&server, &[&upgrade_with(headers)]).await);
        assert_eq!(opened(&mut server).await, client.map(ip), "{headers}");
    }
    // The header in front of the connection names another trusted proxy: what that one saw counts.
    let chain = [&version_2([127, 0, 0, 9])[..], &upgrade_with("X-Forwarded-For: 198.51.100.7\r\n")].concat();
    held.push(says(&server, &[&chain]).await);
    assert_eq!(opened(&mut server).await, Some(ip("198.51.100.7")));
    let client = [&version_2([203, 0, 113, 9])[..], &upgrade_with("X-Forwarded-For: 198.51.100.7\r\n")].concat();
    let _stream = says(&server, &[&client]).await;
    assert_eq!(opened(&mut server).await, Some(ip("203.0.113.9")), "a client wrote the other header");
}

#[tokio::test]
async fn what_an_untrusted_peer_says_of_its_address_does_not_count() {
    let forged = upgrade_with("X-Forwarded-For: 198.51.100.7\r\n");
    for (proxies, client) in
        [(Proxies::Unsaid, None), (trusting(&[]), Some("127.0.0.1")), (trusting(&["10.0.0.0/8"]), Some("127.0.0.1"))]
    {
        let mut server = server().await.behind(proxies.clone());
        let _stream = says(&server, &[&forged]).await;
        assert_eq!(opened(&mut server).await, client.map(ip), "{proxies:?}");
        assert!(server.front.has_warned.load(std::sync::atomic::Ordering::Relaxed));
    }
    let mut behind = behind_proxies().await;
    let _stream = says(&behind, &[&forged]).await;
    opened(&mut behind).await;
    assert!(!behind.front.has_warned.load(std::sync::atomic::Ordering::Relaxed));
}

#[tokio::test]
async fn only_the_headers_of_the_upgrade_count_on_a_connection_with_requests_of_several_clients() {
    let mut server = behind_proxies().await;
    let page = b"GET /s/x HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";
    let _stream = says(&server, &[page, &upgrade_with("X-Forwarded-For: 198.51.100.7\r\n")]).await;
    assert_eq!(opened(&mut server).await, Some(ip("198.51.100.7")));
}

/// How an address behind a proxy asks for a WebSocket, and lies about itself if it can.
type Asks = fn(address: u8, number: u8) -> Vec<u8>;

#[tokio::test]
async fn an_address_behind_a_proxy_has_its_own_places_and_leaves_the_others_to_others() {
    let by_header: Asks = |address, _| [&version_2([198, 51, 100, address])[..], UPGRADE].concat();
    let by_request: Asks = |address, number| {
        upgrade_with(&format!("X-Forwarded-For: 203.0.113.{number}\r\nX-Forwarded-For: 198.51.100.{address}\r\n"))
    };
    for asks in [by_header, by_request] {
        let mut server = behind_proxies().await.with_connections_max(300);
        let mut held = Vec::new();
        // A quarter of 300, less than that as places are taken, and 64 at least.
        for number in 0..64 {
            held.push(says(&server, &[&asks(1, number)]).await);
            assert_eq!(opened(&mut server).await, Some(ip("198.51.100.1")));
        }
        assert_eq!(refused(&mut server, &asks(1, 64)).await, "HTTP/1.1 503");
        let _other = says(&server, &[&asks(2, 0)]).await;
        assert_eq!(opened(&mut server).await, Some(ip("198.51.100.2")));
        held.pop();
        next(&mut server).await;
        while server.tasks.len() > 64 {
            beside(&mut server, tokio::task::yield_now()).await;
        }
        let _again = says(&server, &[&asks(1, 65)]).await;
        assert_eq!(opened(&mut server).await, Some(ip("198.51.100.1")));
    }
}
