//! Tier B: real ICE, DTLS and SCTP, with entropy and clocks answered from the seed.

use beach_core::peer::{Certificate, Str0m};
use beach_core::time::Timestamp;

use super::world::{Who, World};
use crate::determinism;

/// An engine for a node that starts at `start`.
pub fn engine(who: Who, start: Timestamp) -> Str0m {
    let number = match who {
        Who::Host(index) => index as u64,
        Who::Viewer(index) => 1000 + index as u64 % 8,
    };
    let certificate = determinism::certificate(number);
    let certificate = Certificate::from_der(certificate.certificate.clone(), certificate.private_key.clone());
    Str0m::new(determinism::epoch() + start.since_start(), certificate).with_provider(determinism::provider())
}

/// A world over the real engine. Inside [`determinism::run`] only.
pub fn world(seed: u64) -> World<Str0m> {
    World::new(seed, engine).with_clock(determinism::advance_to)
}
