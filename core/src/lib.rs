//! The state machines of beach: the offer/answer/ICE handshake, session membership and terminal framing.
//!
//! This crate has no sockets, no clock, no threads, no async, no PTY and no ambient randomness. Time, randomness and addresses come in
//! as arguments; what to do comes out as values.
//!
//! # The map
//!
//! - [`host`], [`viewer`] and [`rendezvous`] are the three machines; [`machine`] is their calling convention.
//! - [`session::link`] is the seam: what host and viewer say to links and hear from them. Above it there are no secrets and no datagrams.
//! - [`endpoint`] stands below the seam: it seals, keeps one [`peer::engine`] a link, and turns links into datagrams. [`peer::str0m`] is the
//!   real engine.
//! - [`terminal`] keeps a terminal as numbered lines, merges them at the viewer, and paints them. [`wire`] is what travels.
//! - [`keyboard`] reads what the viewer's own terminal sends, [`predict`] shows what typing will do before the host has said so.
//! - [`session::handshake`] has the stages and their deadlines, [`crypto::invite`] the links that people share, [`recording::journal`] recordings that are
//!   replayed, [`recording::asciicast`] those that are watched.
//!
//! # Driving a machine
//!
//! Whoever runs a machine handles one input, performs everything that follows, and waits for the next input or the deadline:
//!
//! ```
//! use beach_core::machine::{Machine, Tick};
//! use beach_core::rendezvous::{Rendezvous, RendezvousInput, RendezvousOutput};
//! use beach_core::time::Timestamp;
//!
//! let mut inputs = vec![RendezvousInput::Opened(1, None), RendezvousInput::Text(1, r#"{"type":"ping"}"#.into())].into_iter();
//! let mut said = Vec::new();
//! let mut machine = Rendezvous::new();
//! let mut now = Timestamp::ZERO;
//! let mut input = Some(RendezvousInput::from(Tick));
//! while let Some(next) = input {
//!     machine.handle(now, next);
//!     while let Some(output) = machine.poll() {
//!         match output {
//!             RendezvousOutput::Send(connection, text) => said.push((connection, text)),
//!             RendezvousOutput::Datagram(..) => unreachable!("nobody sent one"),
//!             RendezvousOutput::Close(connection) => unreachable!("nobody misbehaved on {connection}"),
//!             RendezvousOutput::Drained => unreachable!("nobody asked it to end"),
//!         }
//!     }
//!     // A real driver waits here: for a socket, or until `machine.deadline()`.
//!     now = machine.deadline().map_or(now, |deadline| deadline.min(now));
//!     input = inputs.next();
//! }
//! assert_eq!(said, [(1, r#"{"type":"pong"}"#.to_owned())]);
//! ```

#[cfg(all(feature = "test-util", not(debug_assertions)))]
compile_error!("`test-util` shows secrets and switches checks off: no build without debug assertions may have it");

pub mod crypto;
pub mod endpoint;
#[cfg(feature = "host")]
pub mod host;
pub mod ice;
pub mod id;
pub mod keyboard;
pub mod machine;
pub mod peer;
pub mod predict;
pub mod recording;
#[cfg(feature = "host")]
pub mod rendezvous;
pub mod role;
pub mod session;
pub mod terminal;
pub mod time;
pub mod viewer;
pub mod wire;

mod support;
mod sync;

pub use support::entropy::Entropy;
