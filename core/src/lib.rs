//! The state machines of beach: the offer/answer/ICE handshake, session membership and terminal framing.
//!
//! This crate has no sockets, no clock, no threads, no async, no PTY and no ambient randomness. Time, randomness and addresses come in
//! as arguments; what to do comes out as values. `docs/ARCHITECTURE.md` has the map.

pub mod endpoint;
pub mod engine;
pub mod handshake;
pub mod host;
pub mod id;
pub mod invite;
pub mod journal;
pub mod link;
pub mod machine;
pub mod peer;
pub mod rendezvous;
pub mod terminal;
pub mod time;
pub mod viewer;
pub mod wire;

mod dial;
mod entropy;
mod paths;
mod roster;
mod seal;
mod sync;

pub use entropy::Entropy;
