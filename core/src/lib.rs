//! The state machines of beach: handshakes, sessions, a terminal as numbered lines, and what travels between two sides.
//!
//! This crate opens no socket and no file, reads no clock, starts no thread, knows no async runtime and no
//! pseudo-terminal, and draws no random number that was not given to it. Time, randomness, addresses and bytes come in
//! as arguments; what to do comes out as values. The code that brings time, randomness and sockets is called the
//! *runtime* here. `beach-runtime-tokio` is one; this page tells how to write another.
//!
//! # The rooms
//!
//! - [`host`], [`viewer`] and [`rendezvous`] are the three machines; [`machine`] is their calling convention, [`time`]
//!   their time.
//! - [`turn_server`] is a machine that stands beside a rendezvous: a TURN server.
//! - [`session`] has what a host and a viewer share about one connection. [`session::link`] is the *seam*: above it
//!   there are no secrets
//!   and no datagrams. [`session::handshake`] has the stages and their deadlines.
//! - [`endpoint`] stands below the seam. An endpoint contains a host or a viewer, seals what goes through the
//!   rendezvous, and turns links into datagrams, over a peer connection for each link: [`peer::engine`] has the
//!   requirements, [`peer::str0m`] the implementation.
//! - [`ice`] has ways between two machines: STUN, TURN, the relay. [`crypto`] has [invites](crypto::invite) and what
//!   follows from them.
//! - [`terminal`] keeps a terminal as numbered lines, merges them at the viewer, and paints them. [`wire`] is what
//!   travels.
//! - [`keyboard`] reads what a person's own terminal sends; [`predict`] shows what typing will do before the host has
//!   said so.
//! - [`recording::journal`] has recordings that are replayed, [`recording::asciicast`] those that are watched.
//!
//! # The loop
//!
//! A runtime hands the machine one input, performs all outputs that follow, and waits for the next input, at most until
//! the machine's deadline. Here nobody answers at the rendezvous, so nothing but time moves the viewer; a runtime has a
//! clock and waits where this loop only counts:
//!
//! ```
//! use std::collections::VecDeque;
//! use std::time::{Duration, Instant};
//!
//! use beach_core::Entropy;
//! use beach_core::crypto::invite::Invite;
//! use beach_core::crypto::keys::HostSecrets;
//! use beach_core::endpoint::{Endpoint, Input, NetworkInput, Output, Secrets};
//! use beach_core::machine::Machine;
//! use beach_core::peer::str0m::{Certificate, Str0m};
//! use beach_core::predict::Mode;
//! use beach_core::role::Role;
//! use beach_core::session::handshake::Stage;
//! use beach_core::terminal::{Abilities, Options, Size, Window};
//! use beach_core::time::Timestamp;
//! use beach_core::viewer::{Viewer, ViewerConfig, ViewerExit, ViewerInput, ViewerOutput};
//!
//! // A person has this from the host, as a URL: see `Invite::parse`.
//! let invite: Invite = HostSecrets::new(&mut Entropy::new([1; 32])).invite("http://192.0.2.1:8080", Role::Control);
//!
//! // 32 bytes from the operating system, one seed for each purpose. The first one ends up in recordings, the second
//! // must not.
//! let (seed, secret_seed) = ([2; 32], [3; 32]);
//! let viewer = Viewer::new(ViewerConfig {
//!     seed,
//!     role: invite.role,
//!     name: "somebody".to_owned(),
//!     size: Size::new(80, 24),
//!     wait: None,
//!     options: Options { abilities: Abilities::ALL, alternate: false, window: Window::Own },
//!     predict: Mode::Auto,
//!     history: 1000,
//!     clipboard: false,
//!     stays: true,
//!     reconnect: Duration::from_secs(60),
//! });
//! let epoch = Instant::now();
//! let engine = Str0m::new(epoch, Certificate::generate().expect("the system has randomness"));
//! let mut endpoint = Endpoint::new(viewer, engine, Secrets::Viewer(invite), Entropy::new(secret_seed));
//!
//! // What the runtime has to report: here answers to outputs; in a real one sockets, the terminal and the person too.
//! let mut happened: VecDeque<Input<ViewerInput>> = VecDeque::from([Input::Tick]);
//! let mut now = Timestamp::ZERO;
//! let exit = 'session: loop {
//!     endpoint.handle(now, happened.pop_front().unwrap_or(Input::Tick));
//!     while let Some(output) = endpoint.poll() {
//!         match output {
//!             // Open a WebSocket to `/ws` of the invite's server, then say `SignalUp`. Nobody is there.
//!             Output::Dial | Output::DialAt(_) => {
//!                 happened.push_back(NetworkInput::SignalDown("connection refused".to_owned()).into());
//!             }
//!             Output::HangUp => {}
//!             // For hosts: a second WebSocket, when the rendezvous ends.
//!             Output::DialBeside(_) | Output::TakeBeside | Output::HangUpBeside => {}
//!             // A text message, and a binary message, on that WebSocket.
//!             Output::Signal(_text) => {}
//!             Output::Relay(_bytes) => {}
//!             // One UDP socket for each local address; none could be opened here.
//!             Output::Bind(generation) => happened.push_back(NetworkInput::Bound(generation, Vec::new()).into()),
//!             Output::Datagram { .. } => {}
//!             // TCP to TURN servers; who has no TCP for that says `TurnDown` at once.
//!             Output::TurnDial(stream, _) => happened.push_back(NetworkInput::TurnDown(stream).into()),
//!             Output::TurnWrite(..) | Output::TurnHangUp(_) => {}
//!             // For engines with sockets of their own, as that of a browser.
//!             Output::Peer(..) => {}
//!             // For hosts: whether short links work.
//!             Output::Links(_) => {}
//!             // Only after `Endpoint::recording`.
//!             Output::Record(_) => {}
//!             // Only after `Endpoint::noting`.
//!             Output::Note(_) => {}
//!             Output::Machine(ViewerOutput::Show(_bytes)) => happened.push_back(Input::Machine(ViewerInput::Shown)),
//!             Output::Machine(ViewerOutput::Notice(_for_people)) => {}
//!             Output::Machine(ViewerOutput::KeysTaken | ViewerOutput::CursorAsked | ViewerOutput::Size(_)) => {}
//!             Output::Machine(ViewerOutput::Exit(exit)) => break 'session exit,
//!         }
//!     }
//!     if happened.is_empty() {
//!         // A runtime waits here, for whatever happens first, and asks its clock afterwards:
//!         // `Timestamp::from(epoch.elapsed())`.
//!         now = endpoint.deadline().expect("a viewer that is not connected waits for something").max(now);
//!     }
//! };
//! let ViewerExit::Failed(failure) = exit else { panic!("nobody was there to let it in: {exit:?}") };
//! assert_eq!(failure.stage, Stage::ReachingRendezvous);
//! assert!(now >= Timestamp::from(Stage::ReachingRendezvous.deadline().expect("it has one")));
//! ```
//!
//! The rules of the loop:
//!
//! - **Time** is counted from the machine's own start, in microseconds ([`time::Timestamp`]), and never goes backwards.
//!   Its clock should go on while the computer sleeps (`CLOCK_BOOTTIME`). [`peer::str0m::Str0m`] takes the instant of
//!   time zero.
//! - **Begin** with one `Tick`. After this tick, `poll` gives what the machine wants before anything has happened.
//! - **Drain** `poll` to `None` after every `handle`, even when one of the outputs ends the session: a record may come
//!   behind it.
//! - **Deadlines** change with every input: ask [`deadline`](machine::Machine::deadline) again before each wait. A tick
//!   that comes too early does no harm; one that comes more than five seconds late is taken for a sleep of the machine,
//!   and what was known of the network is asked again.
//! - **One at a time**: after [`Show`](viewer::ViewerOutput::Show) the next one waits for
//!   [`Shown`](viewer::ViewerInput::Shown); the next [`Keys`](viewer::ViewerInput::Keys) or paste waits for
//!   [`KeysTaken`](viewer::ViewerOutput::KeysTaken); the first may come at any time.
//! - **It is over** at `Exit`. Nothing follows from it; close the WebSocket after what was said before has left.
//!
//! # The network of a runtime
//!
//! **The rendezvous** is a WebSocket at `SERVER/ws`, where `SERVER` is
//! [`Invite::server`](crypto::invite::Invite::server), `http` becomes `ws` and `https` becomes `wss`.
//! [`Dial`](endpoint::Output::Dial) abandons a connection that is there and opens one, within five seconds; then comes
//! [`RendezvousAt`](endpoint::NetworkInput::RendezvousAt) with the address that was reached, if it is known, and
//! [`SignalUp`](endpoint::NetworkInput::SignalUp). Each text message is a [`Signal`](endpoint::NetworkInput::Signal)
//! (at most
//! [`MAX_MESSAGE`](wire::signal::MAX_MESSAGE) bytes), each binary one a [`Relayed`](endpoint::NetworkInput::Relayed).
//! The runtime reads none of them.
//! [`SignalDown`](endpoint::NetworkInput::SignalDown) says that a dial failed or the connection ended, with a cause for
//! people; the endpoint then dials again when it wants to. After [`HangUp`](endpoint::Output::HangUp) nothing is said
//! of that connection any more. [`DialAt`](endpoint::Output::DialAt) is a [`Dial`](endpoint::Output::Dial) to another
//! server, whose URL may have a path. A host that is sent to another rendezvous asks for a second WebSocket
//! ([`DialBeside`](endpoint::Output::DialBeside)) and keeps the first one until the session is registered on the second
//! ([`TakeBeside`](endpoint::Output::TakeBeside)); a runtime that has no second one says
//! [`BesideDown`](endpoint::NetworkInput::BesideDown) at once. Pings at WebSocket level are the runtime's to answer;
//! the endpoint has its own.
//!
//! **Sockets.** At [`Bind`](endpoint::Output::Bind) close all UDP sockets and open one for each usable local address,
//! each bound to that address and any free port; say [`Bound`](endpoint::NetworkInput::Bound) with the generation and
//! the addresses, in the order in which they shall be offered. An address is usable if it is neither link-local,
//! unspecified nor multicast. Loopback addresses count only if the invite's server is on loopback
//! ([`Invite::is_loopback`](crypto::invite::Invite::is_loopback)), and then no other address counts. A
//! [`Datagram`](endpoint::Output::Datagram) leaves by the socket whose address is its `source`. A received datagram
//! becomes a [`Datagram`](endpoint::NetworkInput::Datagram) with the socket's own address as `destination`. Errors of a
//! socket are no events: the machine repeats lost datagrams, or takes another path. When the computer's addresses
//! change, say [`Moved`](endpoint::NetworkInput::Moved).
//!
//! **TURN** over TCP is optional: answer [`TurnDial`](endpoint::Output::TurnDial) with
//! [`TurnDown`](endpoint::NetworkInput::TurnDown), and TURN over UDP and the rendezvous' relay remain.
//!
//! **In a browser** there are no sockets. The engine is [`peer::browser::Browser`]: each
//! [`Peer`](endpoint::Output::Peer) is performed on an `RTCPeerConnection`, and what happens to one is said as a
//! [`Peer`](endpoint::NetworkInput::Peer); as numbers and bytes by [`to_page`](peer::browser::PeerCommand::to_page) and
//! [`from_page`](endpoint::NetworkInput::from_page). No `Bind`, `Datagram`, `Relay` or `Turn…` comes out then.
//!
//! **Certificates.** One [`Certificate`](peer::str0m::Certificate) a process. Its hash travels sealed, so nobody has to
//! sign it.
//!
//! # Examples
//!
//! In `core/examples/`, each run by a test: `std_viewer` joins a session over sockets of the standard library,
//! `in_memory` has all three machines in one process and time that jumps, `replay` reads a recording.
//!
//! # Features
//!
//! | feature | default | what it is |
//! |---|---|---|
//! | `host` | yes | [`host`], [`rendezvous`], [`turn_server`], and the model of a terminal that a host needs |
//! | `str0m` | yes | [`peer::str0m`]; without it a runtime brings a [`peer::engine::Engine`] of its own |
//! | `turn` | yes, by `str0m` | TURN in the endpoint; an engine with sockets of its own needs none |
//! | `test-util` | no | for tests: secrets as text, checks switched off, faults put back. A release build refuses it |
//!
//! # Glossary
//!
//! | word | what it means here |
//! |---|---|
//! | attempt | one try to build the peer connection of a link; counted from 1 within the link |
//! | connection | of the host: one link, from the first message of a handshake on, and the member it becomes |
//! | envelope | a sealed message between host and viewer, carried by the rendezvous, which cannot read it |
//! | epoch | of predictions: a row of keys whose effects stand or fall together. Of a runtime: the instant of time zero |
//! | head | what a viewer must know of a screen beside its lines: window, cursor, modes, versions |
//! | invite | the URL that lets somebody join; people call it a link |
//! | lane | one of the two streams of a link: control (reliable, in order) or terminal (datagrams) |
//! | line | a row of the main screen, numbered from the first one ever; its content has versions until it is final |
//! | line commits | what became of the lines above the window: final with which version, or given up |
//! | link | the association of a host with one viewer, from the first message to the last; named by a [`LinkId`](id::LinkId) |
//! | member | a viewer whose link was confirmed; named by a [`MemberId`](id::MemberId), which stays when they come back on another link |
//! | path | the pair of a local and a remote address over which a link goes |
//! | peer | one side of one attempt: ICE, DTLS, SCTP and SRTP of one peer connection |
//! | pending | of a viewer: proved an invite and is not let in yet, until a person decides or a pause ends |
//! | rendezvous | the server at which host and viewer find each other, and which relays if nothing else does |
//! | role | what an invite permits: `control` (watch and type) or `view` (watch) |
//! | sas | short authentication string (RFC 6189): four words that both sides of a handshake see, for people to compare |
//! | seam | between machine and endpoint: commands go down, events come up |
//! | stage | how far a handshake is; each has a deadline, and each failure names its stage |
//! | window | of a screen: the lines that the host's terminal shows now. Of a sender: how much may be on its way |

#[cfg(all(feature = "test-util", not(debug_assertions)))]
compile_error!("`test-util` shows secrets and switches checks off: no build without debug assertions may have it");

/// Whether this fault is on. Without a name: whether one is on that the checkers outside of the machines shall find.
#[cfg(feature = "test-util")]
macro_rules! is_faulty {
    () => {
        crate::faults::is_for_outside()
    };
    ($fault:ident) => {
        crate::faults::is_on(crate::faults::Fault::$fault)
    };
}
/// Never: without `test-util` there are no faults to put back.
#[cfg(not(feature = "test-util"))]
macro_rules! is_faulty {
    ($($fault:ident)?) => {
        false
    };
}

pub mod crypto;
pub mod endpoint;
#[cfg(feature = "test-util")]
pub mod faults;
#[cfg(feature = "host")]
pub mod host;
pub mod ice;
pub mod id;
pub mod keyboard;
pub mod machine;
pub mod peer;
pub mod place;
pub mod predict;
pub mod recording;
#[cfg(feature = "host")]
pub mod rendezvous;
pub mod role;
pub mod session;
pub mod side;
pub mod terminal;
pub mod time;
#[cfg(feature = "host")]
pub mod turn_server;
pub mod viewer;
pub mod wire;

mod support;
mod sync;

#[cfg(feature = "host")]
pub use support::address_rates::AddressRates;
pub use support::backoff::Backoff;
pub use support::entropy::Entropy;
