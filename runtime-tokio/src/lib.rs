//! Sockets, timers, WebSocket, PTY and the own terminal, for the machines of `beach-core`, on tokio.
//!
//! There is no protocol decision in this crate: it performs what machines put out and tells them what happened.

mod alarm;
pub mod background;
pub mod clock;
pub mod control;
pub mod directory;
pub mod drive;
pub mod forward;
pub mod health;
pub mod histogram;
pub mod hooks;
mod interfaces;
pub mod limits;
pub mod network;
pub mod page;
pub mod patience;
pub mod pipes;
pub mod prompt;
pub mod pty;
pub mod record;
pub mod rendezvous;
pub mod serve;
pub mod service;
pub mod signal;
pub mod signals;
pub mod stdin;
pub mod stun;
pub mod tls;
pub mod tty;
pub mod turn;
pub mod turn_server;
pub mod udp;
mod websocket;

use std::os::fd::{AsRawFd, OwnedFd};

use beach_core::Entropy;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// An open file or socket that does not block, for the loop to wait until it can be read.
#[expect(
    deprecated,
    reason = "what is unsound of it takes a type that closes its file behind one's back; those of std cannot"
)]
fn readable<F: AsRawFd + Into<OwnedFd>>(file: F) -> Option<AsyncFd<F>> {
    AsyncFd::with_interest(file, Interest::READABLE).ok()
}

/// Randomness from the operating system.
///
/// # Panics
/// If the operating system has none to give: nothing may be done with keys then.
#[must_use]
pub fn entropy() -> Entropy {
    Entropy::new(seed())
}

/// 32 bytes from the operating system.
///
/// # Panics
/// As [`entropy`].
#[must_use]
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the operating system has randomness");
    seed
}
