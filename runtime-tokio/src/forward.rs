//! WebSockets of pages that this program serves on its own machine, forwarded to the rendezvous of a link.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future;
use std::net::SocketAddr;

use beach_core::id::ShortId;
use beach_core::rendezvous::ConnectionId;
use beach_core::wire::signal::{FromRendezvous, IceUrl, parse_from_rendezvous, to_text};
use futures_util::future::select_all;

use crate::serve::{Server, ServerEvent};
use crate::signal::{Signal, SignalEvent};

/// Pages at once; a person looks at one. One page more gets no WebSocket.
pub const MAX_PAGES: usize = 16;

/// Connects each WebSocket of `server`, of pages of this session, to the rendezvous at `url`, and carries texts and
/// datagrams both ways. When one side is gone, the other is closed. Never ends.
pub async fn run(server: Server, url: String, session: ShortId) -> Infallible {
    let mut server = server.with_connections_max(MAX_CONNECTIONS);
    let mut ways: HashMap<ConnectionId, Signal> = HashMap::new();
    loop {
        tokio::select! {
            event = server.next() => match event {
                ServerEvent::Opened { connection, .. } if ways.len() >= MAX_PAGES => {
                    tracing::debug!(connection, "too many pages");
                    server.close(connection);
                }
                ServerEvent::Opened { connection, .. } => {
                    let mut way = Signal::new(url.clone()).for_session(session);
                    way.dial();
                    ways.insert(connection, way);
                    server.takes_part(connection);
                }
                ServerEvent::Text { connection, text } => {
                    if let Some(way) = ways.get_mut(&connection) {
                        way.send(text);
                    }
                }
                ServerEvent::Datagram { connection, bytes } => {
                    if let Some(way) = ways.get_mut(&connection) {
                        way.relay(bytes);
                    }
                }
                ServerEvent::Closed { connection } => drop(ways.remove(&connection)),
            },
            (connection, event, at) = next(&mut ways) => match event {
                // A way has one connection.
                SignalEvent::Up | SignalEvent::Beside(_) => {}
                SignalEvent::Text(text) => server.send(connection, seen_from_elsewhere(text, at)),
                SignalEvent::Datagram(bytes) => server.relay(connection, bytes),
                SignalEvent::Down(cause) => {
                    tracing::debug!(connection, %cause, "the rendezvous is gone");
                    ways.remove(&connection);
                    server.close(connection);
                }
            },
        }
    }
}

/// Connections at once, those included that load the page's files.
const MAX_CONNECTIONS: usize = 4 * MAX_PAGES;

/// The next event of a rendezvous, for which connection, and the address at which the rendezvous was reached.
async fn next(ways: &mut HashMap<ConnectionId, Signal>) -> (ConnectionId, SignalEvent, Option<SocketAddr>) {
    let events = ways.iter_mut().map(|(connection, way)| {
        Box::pin(async move {
            let event = way.next().await;
            (*connection, event, way.peer())
        })
    });
    let events: Vec<_> = events.collect();
    if events.is_empty() {
        return future::pending().await;
    }
    select_all(events).await.0
}

/// A text of the rendezvous at `at`, for a page that did not connect there itself: a STUN server named by the way to
/// the rendezvous gets its address. Without an address, as behind a proxy, that server is left out.
fn seen_from_elsewhere(text: String, at: Option<SocketAddr>) -> String {
    const ITSELF: &str = "stun:";
    if !text.contains("\"stun:\"") {
        return text;
    }
    let Ok(mut message) = parse_from_rendezvous(&text) else { return text };
    let ice = match &mut message {
        FromRendezvous::Registered { ice, .. } | FromRendezvous::Joined { ice, .. } | FromRendezvous::Ice { ice } => {
            ice
        }
        FromRendezvous::Waiting { .. }
        | FromRendezvous::Envelope { .. }
        | FromRendezvous::Refused { .. }
        | FromRendezvous::TurnedAway { .. }
        | FromRendezvous::Closed { .. }
        | FromRendezvous::Elsewhere { .. }
        | FromRendezvous::Move { .. }
        | FromRendezvous::Pong => return text,
    };
    let place = |server: IceUrl| match (server.0.as_str(), at) {
        (ITSELF, Some(at)) => Some(IceUrl(format!("{ITSELF}{}", SocketAddr::new(at.ip().to_canonical(), at.port())))),
        (ITSELF, None) => None,
        _ => Some(server),
    };
    *ice = std::mem::take(ice).into_iter().filter_map(place).collect();
    to_text(&message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stun_server_beside_the_rendezvous_gets_its_address() {
        let text = r#"{"type":"ice","ice":["stun:","stun:192.0.2.1:3478"]}"#.to_owned();
        let seen = |at: &str| seen_from_elsewhere(text.clone(), at.parse().ok());
        assert_eq!(seen("198.51.100.7:80"), r#"{"type":"ice","ice":["stun:198.51.100.7:80","stun:192.0.2.1:3478"]}"#);
        assert_eq!(seen("[2001:db8::1]:443"), text.replace("stun:\"", "stun:[2001:db8::1]:443\""));
        assert_eq!(seen(""), r#"{"type":"ice","ice":["stun:192.0.2.1:3478"]}"#);
        let other = r#"{"type":"envelope","link":"70b75a19f58e9910","data":"AwAA"}"#.to_owned();
        assert_eq!(seen_from_elsewhere(other.clone(), None), other);
    }
}
