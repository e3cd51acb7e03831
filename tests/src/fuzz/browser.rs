//! A page of a browser passes in events in any order and with any bytes. A viewer takes or refuses each one, and asks
//! the page only for actions that make sense.

use std::collections::BTreeSet;
use std::time::Duration;

use beach_core::Entropy;
use beach_core::crypto::keys::HostSecrets;
use beach_core::endpoint::{Endpoint, Input, NetworkInput, Output, Secrets};
use beach_core::machine::Machine;
use beach_core::peer::browser::{Browser, PeerCommand};
use beach_core::peer::engine::{Carrier, Engine, Peer, PeerNumber, PeerOutput, PeerPlan};
use beach_core::predict::Mode;
use beach_core::role::Role;
use beach_core::session::link::Lane;
use beach_core::side::Side;
use beach_core::terminal::{Abilities, Options, Size, Window};
use beach_core::time::Timestamp;
use beach_core::viewer::{Viewer, ViewerConfig, ViewerOutput};
use beach_core::wire::sealed::Description;

/// Events as the fuzzer writes them: the number, the connection, a pause in milliseconds, two bytes of length, the
/// bytes.
fn events(mut data: &[u8]) -> impl Iterator<Item = (u32, u32, u64, &[u8])> {
    std::iter::from_fn(move || {
        let ([what, peer, pause, high, low], rest) = data.split_first_chunk::<5>()?;
        let length = usize::from(*high & 7) << 8 | usize::from(*low);
        let (bytes, rest) = rest.split_at(length.min(rest.len()));
        data = rest;
        Some((u32::from(*what % 24), u32::from(*peer % 4), u64::from(*pause) * 16, bytes))
    })
}

/// Events for a whole viewer, and the same events for one connection.
pub(super) fn browser(data: &[u8]) {
    viewer(data);
    peer(data);
}

/// A whole viewer, from its first step on.
fn viewer(data: &[u8]) {
    let invite = HostSecrets::new(&mut Entropy::new([1; 32])).invite("http://192.0.2.1:8080", Role::Control);
    let machine = Viewer::new(ViewerConfig {
        seed: [2; 32],
        role: invite.role,
        name: "somebody".to_owned(),
        size: Size::new(80, 24),
        wait: None,
        options: Options { abilities: Abilities::ALL, alternate: false, window: Window::Session },
        predict: Mode::Auto,
        history: 1000,
        clipboard: false,
        stays: true,
        reconnect: Duration::from_secs(60),
    });
    let mut endpoint = Endpoint::new(machine, Browser::default(), Secrets::Viewer(invite), Entropy::new([3; 32]));
    let mut now = Timestamp::ZERO;
    endpoint.handle(now, Input::Tick);
    for (what, peer, pause, bytes) in events(data) {
        now = now + Duration::from_millis(pause);
        match NetworkInput::from_page(what, peer, bytes) {
            Ok(input) => endpoint.handle(now, Input::Network(input)),
            Err(_) => endpoint.handle(now, Input::Tick),
        }
        while let Some(output) = endpoint.poll() {
            if let Output::Machine(ViewerOutput::Exit(_)) = output {
                return;
            }
        }
    }
}

/// One connection, past the handshake that no fuzzer gets through.
fn peer(data: &[u8]) {
    let plan = PeerPlan { side: Side::Viewer, carrier: Carrier::Channel, attempt: 1 };
    let mut peer = Browser::default().peer(Timestamp::ZERO, plan, &mut Entropy::new([1; 32]));
    let (ufrag, password) = ("hostufrag".to_owned(), "hostpasswordhostpassword".to_owned());
    let host = Description { ufrag, password, fingerprint: [7; 32], half: [0; 32] };
    let (mut now, mut connected, mut open) = (Timestamp::ZERO, 0, BTreeSet::<PeerNumber>::new());
    for (step, (what, number, pause, bytes)) in events(data).enumerate() {
        now = now + Duration::from_millis(pause);
        if step == 1 {
            let _ = peer.set_remote(now, &host);
        }
        if let Ok(NetworkInput::Peer(_, event)) = NetworkInput::from_page(what, number, bytes) {
            let _ = peer.happened(now, event);
        }
        for lane in [Lane::Control, Lane::Terminal] {
            let _ = peer.write(now, lane, &bytes[..bytes.len().min(1050)]);
        }
        let _ = peer.tick(now);
        while let Some(output) = peer.poll() {
            let PeerOutput::Command(number, command) = output else { continue };
            let _ = command.to_page();
            match command {
                PeerCommand::Open(_) => assert!(open.insert(number)),
                PeerCommand::Connect(_) => connected += 1,
                PeerCommand::Candidate(_) => assert_eq!(connected, 1, "candidates come after the answer"),
                PeerCommand::Send(..) | PeerCommand::Close => assert!(open.contains(&number)),
            }
        }
        assert!(connected <= 1, "a connection is answered once");
    }
}
