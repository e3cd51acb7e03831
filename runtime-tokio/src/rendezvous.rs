//! The rendezvous, served.

use std::convert::Infallible;
use std::future;
use std::net::{SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use beach_core::ice::server_url::IceServer;
use beach_core::rendezvous::{ConnectionId, DirectoryInput, Rendezvous, RendezvousInput, RendezvousOutput, Servers};
use beach_core::wire::signal::IceUrl;
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};
use zeroize::Zeroizing;

use crate::directory::Directory;
use crate::drive::{Surroundings, drive};
use crate::health::{Condition, Question, Questions};
use crate::histogram::Histogram;
use crate::pipes::{Arrived, Carried, Pipes};
use crate::serve::{Server, ServerEvent};
use crate::stun::Stun;
use crate::turn_server::{Shown, TurnPost};

/// The beginning of an envelope, both ways, as every client and rendezvous writes it.
const ENVELOPE: &str = r#"{"type":"envelope","#;

/// Serves a rendezvous on `server`, and a STUN server on the UDP port of the same number, until `operation` asks for
/// the end and no handshake is under way any more. Without [`HandedOut::stun`] there is no STUN server. A rendezvous
/// that `relays` carries the datagrams of peers that cannot reach each other. Peers are told the servers of `ice`, and
/// the STUN server. A TURN server is served beside them.
pub async fn run(server: Server, relays: bool, ice: HandedOut, mut operation: Operation) {
    let stun = match (ice.stun, operation.stun.take()) {
        (StunServer::Nobody, _) => Stun::none(),
        (StunServer::Itself | StunServer::At(_), Some(socket)) => Stun::on(socket, server.local_addr()).await,
        (StunServer::Itself | StunServer::At(_), None) => Stun::bind(server.local_addr()).await,
    };
    let mut rendezvous = if relays { Rendezvous::new() } else { Rendezvous::new().without_relay() };
    if let Some(directory) = &operation.directory {
        rendezvous = rendezvous.with_directory(directory.place());
    }
    let mut renewal = interval(ice.lifetime / 2);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let itself = stun.answers();
    let turn = operation.turn.take();
    let watched = Watched { turn: turn.as_ref().map(TurnPost::shown), ..Watched::default() };
    let pipes = Pipes::new(operation.pipes);
    let mut sockets = Sockets { server, operation, pipes, watched, ice, itself, renewal, handed_out: false };
    tokio::select! {
        () = drive(&mut rendezvous, Instant::now(), &mut sockets) => {}
        never = stun.run() => match never {},
        never = relay(turn) => match never {},
    }
}

async fn relay(turn: Option<TurnPost>) -> Infallible {
    match turn {
        Some(mut turn) => turn.run().await,
        None => future::pending().await,
    }
}

/// How a rendezvous is operated.
#[derive(Default)]
pub struct Operation {
    /// Notified: the rendezvous shall end.
    pub drain: Arc<Notify>,
    /// How long the rendezvous goes on as before after that, until balancers have noticed.
    pub drain_delay: Duration,
    /// A socket for STUN that is bound already, on the port of the server.
    pub stun: Option<UdpSocket>,
    /// A TURN server beside the rendezvous.
    pub turn: Option<TurnPost>,
    /// The directory, if this is one of several rendezvous.
    pub directory: Option<Directory>,
    /// How many connections may be carried to other rendezvous; at most [`MAX_PIPES`](crate::pipes::MAX_PIPES).
    pub pipes: usize,
    /// Questions about the server's condition, if anybody may ask.
    pub questions: Option<Questions>,
}

/// The loop's memory for questions about the server's condition.
#[derive(Default)]
struct Watched {
    /// A question that is answered once everything that follows from an event is done.
    question: Option<Question>,
    /// When the event came that is being handled.
    event_at: Option<Instant>,
    turns: Histogram,
    /// The condition of the TURN server, if there is one.
    turn: Option<Shown>,
    /// When the port is closed, if the rendezvous shall end.
    close_at: Option<tokio::time::Instant>,
    is_draining: bool,
}

/// The servers that are handed out, and the secret for credentials of servers that have none.
pub struct HandedOut {
    /// The servers, whose hosts are addresses.
    pub servers: Vec<IceServer>,
    /// The secret that the servers share with the rendezvous, from which credentials are made.
    pub secret: Option<Zeroizing<String>>,
    /// How long credentials are good for. New ones are handed out after half of this time.
    pub lifetime: Duration,
    /// Where peers are told that the rendezvous answers STUN.
    pub stun: StunServer,
}

/// Where a rendezvous answers STUN, as peers are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StunServer {
    /// At the place where peers reached the rendezvous, on the UDP port of the same number.
    #[default]
    Itself,
    /// At this address: in front of the rendezvous is a proxy, which forwards no UDP.
    At(SocketAddr),
    /// Nowhere.
    Nobody,
}

/// The default life of credentials. A peer that leaves can use the server for this long at most.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

impl Default for HandedOut {
    fn default() -> HandedOut {
        HandedOut { servers: Vec::new(), secret: None, lifetime: DEFAULT_LIFETIME, stun: StunServer::Itself }
    }
}

impl HandedOut {
    /// Whether credentials run out, and have to be made anew.
    fn expire(&self) -> bool {
        self.secret.is_some() && self.servers.iter().any(|server| server.service.lacks_credentials())
    }

    /// The STUN server of the rendezvous, if there is one, and the others, with the secret and the time of expiry from
    /// which credentials are made now.
    fn servers(&self, stun: Option<IceUrl>) -> Servers {
        let servers = self.servers.iter().cloned();
        let servers = servers.fold(Servers::from(Vec::from_iter(stun)), Servers::and);
        let expires = (SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default() + self.lifetime).as_secs();
        match &self.secret {
            Some(secret) => servers.with_secret(secret.clone(), expires),
            None => servers,
        }
    }
}

struct Sockets {
    server: Server,
    operation: Operation,
    pipes: Pipes,
    watched: Watched,
    ice: HandedOut,
    /// Whether there is a STUN server on the rendezvous' own port.
    itself: bool,
    renewal: Interval,
    handed_out: bool,
}

impl Surroundings<Rendezvous> for Sockets {
    type End = ();

    fn perform(&mut self, output: RendezvousOutput) -> ControlFlow<()> {
        match output {
            RendezvousOutput::Drained => return ControlFlow::Break(()),
            RendezvousOutput::Send(connection, text) => self.server.send(connection, text),
            RendezvousOutput::Datagram(connection, bytes) => self.server.relay(connection, bytes),
            RendezvousOutput::TakesPart(connection) => self.server.takes_part(connection),
            RendezvousOutput::Close(connection) => self.server.close(connection),
            RendezvousOutput::Pipe { connection, place, join } => self.pipe(connection, &place, join),
            RendezvousOutput::Directory(request) => {
                if let Some(directory) = &self.operation.directory {
                    directory.ask(request);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn performed(&mut self, machine: &mut Rendezvous) -> ControlFlow<()> {
        let Watched { question, event_at, turns, turn, is_draining, .. } = &mut self.watched;
        if let Some(at) = event_at.take() {
            turns.add(at.elapsed());
        }
        if let Some(question) = question.take() {
            let (done, present, server) = (machine.tally(), machine.present(), self.server.tally());
            let directory = self.operation.directory.as_ref().map(|each| (each.tally(), self.pipes.tally()));
            let turn = turn.as_ref().map(|turn| *turn.lock().unwrap_or_else(PoisonError::into_inner));
            let (turns, draining) = (*turns, *is_draining);
            question.answer(Condition { done, present, server, directory, turns, turn, draining });
        }
        ControlFlow::Continue(())
    }

    async fn next(&mut self) -> RendezvousInput {
        let input = self.event().await;
        if self.operation.questions.is_some() {
            self.watched.event_at = Some(Instant::now());
        }
        input
    }
}

impl Sockets {
    /// The next event. Cancel-safe.
    async fn event(&mut self) -> RendezvousInput {
        loop {
            if let Some(input) = self.input().await {
                return input;
            }
        }
    }

    /// The next event; `None` if it was of a connection that is carried, and changes nothing here. Cancel-safe.
    async fn input(&mut self) -> Option<RendezvousInput> {
        let event = tokio::select! {
            // The servers come before the first connection: a peer that joins is told of them.
            biased;
            _ = self.renewal.tick(), if !self.handed_out || self.ice.expire() => {
                self.handed_out = true;
                let itself = match self.ice.stun {
                    StunServer::Itself => self.itself.then(|| IceUrl("stun:".to_owned())),
                    StunServer::At(address) => Some(IceUrl(format!("stun:{address}"))),
                    StunServer::Nobody => None,
                };
                return Some(RendezvousInput::Ice(self.ice.servers(itself)));
            }
            Some(question) = next_of(self.operation.questions.as_mut()) => {
                self.watched.question = Some(question);
                return Some(RendezvousInput::Tick);
            }
            () = self.operation.drain.notified() => {
                self.watched.is_draining = true;
                if self.operation.drain_delay.is_zero() {
                    return Some(self.close());
                }
                self.watched.close_at = Some(tokio::time::Instant::now() + self.operation.drain_delay);
                return Some(RendezvousInput::Tick);
            }
            () = at(self.watched.close_at) => return Some(self.close()),
            input = said_by(self.operation.directory.as_mut()) => return Some(RendezvousInput::Directory(input)),
            (connection, arrived) = self.pipes.next() => return self.arrived(connection, arrived),
            event = self.server.next() => event,
        };
        Some(match event {
            ServerEvent::Opened { connection, client } => RendezvousInput::Opened(connection, client),
            ServerEvent::Text { connection, text } if self.pipes.has(connection) => {
                let noted = self.noted(&text);
                self.carry(connection, Carried::Text(text));
                return noted;
            }
            ServerEvent::Datagram { connection, bytes } if self.pipes.has(connection) => {
                self.carry(connection, Carried::Datagram(bytes));
                return None;
            }
            ServerEvent::Text { connection, text } => RendezvousInput::Text(connection, text),
            ServerEvent::Datagram { connection, bytes } => RendezvousInput::Datagram(connection, bytes),
            ServerEvent::Closed { connection } => {
                self.pipes.close(connection);
                RendezvousInput::Closed(connection)
            }
        })
    }

    /// Carries a connection to the rendezvous at `place`. Where that is not possible, the connection is closed, and its
    /// viewer dials anew.
    fn pipe(&mut self, connection: ConnectionId, place: &str, join: String) {
        let Some(caller) = self.server.caller(connection) else { return };
        if self.pipes.open(connection, place, join, caller) {
            self.server.takes_part(connection);
        } else {
            self.server.close(connection);
        }
    }

    fn carry(&mut self, connection: ConnectionId, message: Carried) {
        if !self.pipes.send(connection, message) {
            self.pipes.close(connection);
            self.server.close(connection);
        }
    }

    /// What the rendezvous is told of a text that is carried: while it ends, it waits for handshakes.
    fn noted(&self, text: &str) -> Option<RendezvousInput> {
        (self.watched.is_draining && text.starts_with(ENVELOPE)).then_some(RendezvousInput::Carried)
    }

    fn arrived(&mut self, connection: ConnectionId, arrived: Arrived) -> Option<RendezvousInput> {
        match arrived {
            Arrived::Carried(Carried::Text(text)) => {
                let noted = self.noted(&text);
                self.server.send(connection, text);
                return noted;
            }
            Arrived::Carried(Carried::Datagram(bytes)) if self.pipes.may_relay(connection, bytes.len()) => {
                self.server.relay(connection, bytes);
            }
            Arrived::Carried(Carried::Datagram(_)) => {}
            Arrived::Ended => {
                self.pipes.close(connection);
                self.server.close(connection);
            }
        }
        None
    }

    /// Begins to end. A rendezvous that is the only one accepts no connection from now on; at one of several, viewers
    /// come until their host has gone.
    fn close(&mut self) -> RendezvousInput {
        self.watched.close_at = None;
        if self.operation.directory.is_none() {
            self.server.close_door();
        }
        RendezvousInput::Drain
    }
}

/// The next question; none comes if nobody may ask.
async fn next_of(questions: Option<&mut Questions>) -> Option<Question> {
    match questions {
        Some(questions) => questions.recv().await,
        None => std::future::pending().await,
    }
}

/// The next thing that the directory says; nothing if there is none.
async fn said_by(directory: Option<&mut Directory>) -> DirectoryInput {
    match directory {
        Some(directory) => directory.next().await,
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use beach_core::id::{LinkId, SessionId};
    use beach_core::wire::signal::{FromRendezvous, Opaque, ToRendezvous, to_text};
    use sha2::{Digest as _, Sha256};
    use tokio::time::timeout;

    use super::*;
    use crate::signal::{Signal, SignalEvent};

    #[test]
    fn envelopes_of_both_directions_are_known_by_their_beginning_and_pings_are_none() {
        let (link, data) = (LinkId(1), Opaque(vec![1]));
        assert!(to_text(&ToRendezvous::Envelope { link, data: data.clone() }).starts_with(ENVELOPE));
        assert!(to_text(&FromRendezvous::Envelope { link, data }).starts_with(ENVELOPE));
        assert!(!to_text(&ToRendezvous::Ping).starts_with(ENVELOPE));
    }

    /// The first text of a rendezvous with this STUN server to a host that registers.
    async fn told(stun: StunServer) -> String {
        let server = Server::bind(([127, 0, 0, 1], 0).into()).await.expect("loopback binds");
        let address = server.local_addr();
        let ice = HandedOut { stun, ..HandedOut::default() };
        let host = async {
            let mut signal = Signal::new(format!("http://{address}"));
            signal.dial();
            let (commitment, token) = (vec![3; 32], vec![7; 32]);
            let id = Sha256::new().chain_update(b"beach/1").chain_update(&commitment);
            let id = id.chain_update(Sha256::digest(&token)).finalize();
            let session = SessionId(id[..16].try_into().expect("16 bytes"));
            signal.send(to_text(&ToRendezvous::Register {
                session,
                commitment: Opaque(commitment),
                token: Opaque(token),
                turn: 0,
            }));
            loop {
                if let SignalEvent::Text(text) = signal.next().await {
                    return text;
                }
            }
        };
        tokio::select! {
            told = timeout(Duration::from_secs(10), host) => told.expect("within the deadline"),
            () = run(server, true, ice, Operation::default()) => panic!("the rendezvous has ended"),
        }
    }

    #[tokio::test]
    async fn peers_are_told_where_stun_is_answered() {
        let elsewhere = "203.0.113.1:3478".parse().expect("an address");
        for (stun, listed) in [
            (StunServer::Itself, r#""ice":["stun:"]"#),
            (StunServer::At(elsewhere), r#""ice":["stun:203.0.113.1:3478"]"#),
            (StunServer::Nobody, r#"{"type":"registered","short_names":true}"#),
        ] {
            let told = told(stun).await;
            assert!(told.contains(listed), "{stun:?}: {told}");
        }
    }
}
