//! Sockets, timers, WebSocket, PTY and the own terminal, for the machines of `beach-core`, on tokio.
//!
//! There is no protocol decision in this crate: it performs what machines put out and tells them what happened.

mod alarm;
pub mod drive;
pub mod network;
pub mod prompt;
pub mod pty;
pub mod record;
pub mod rendezvous;
pub mod serve;
pub mod signal;
pub mod tty;
pub mod udp;

use beach_core::Entropy;

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
