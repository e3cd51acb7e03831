//! Tier B: real ICE, DTLS and SCTP, with entropy and clocks answered from the seed.

use std::sync::Once;
use std::time::Duration;

use beach_core::peer::str0m::{Certificate, Str0m};
use beach_core::role::Role;
use beach_core::session::handshake::Stage;
use beach_core::time::Timestamp;

use super::network::Wire;
use super::world::{HostPlan, ViewerPlan, Who, World, secs};
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
    world_of(seed, engine)
}

/// As [`world`], over a given engine.
pub fn world_of<E: beach_core::peer::engine::Engine>(
    seed: u64,
    engine: impl FnMut(Who, Timestamp) -> E + 'static,
) -> World<E> {
    static WARM: Once = Once::new();
    WARM.call_once(warm_up);
    World::new(seed, engine).with_clock(determinism::advance_to)
}

/// The engine takes the time of the process' first handshake for the earliest time there is, and raises earlier times
/// to it. This handshake, milliseconds after the epoch, is the first one of every process, so that all runs have the
/// same earliest time.
fn warm_up() {
    determinism::run(0, || {
        let mut world = World::new(0, engine).with_clock(determinism::advance_to);
        let mut host = HostPlan::new(0);
        host.signal = Wire::steady(Duration::ZERO);
        world.add_host(host);
        let mut viewer = ViewerPlan::of(0, Role::View);
        (viewer.signal, viewer.wire, viewer.at) =
            (Wire::steady(Duration::ZERO), Wire::steady(Duration::ZERO), Duration::from_micros(1));
        world.add_viewer(viewer);
        assert!(
            world.run_until(secs(5), |world| world.viewers[0].node.machine().stage() == Stage::Live),
            "{}",
            world.story(0)
        );
    });
}
