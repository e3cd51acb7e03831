//! Tests of the engine over str0m: what becomes of the terminal lane on a data channel when datagrams are lost.

use super::*;
use crate::peer::engine::Carrier;
use crate::side::Side;

/// The time between two steps, in milliseconds.
const STEP: u64 = 20;

/// The length of a message; a datagram that is longer than the message has the message in it.
const LENGTH: usize = 1000;

fn at(step: u64) -> Timestamp {
    Timestamp::from(Duration::from_millis(step * STEP))
}

#[expect(clippy::disallowed_methods, reason = "the epoch of an engine is an instant of the system")]
fn peer(side: Side) -> Str0mPeer {
    let certificate = Certificate::generate().expect("the system has randomness");
    let mut engine = Str0m::new(Instant::now(), certificate).asking_for(Carrier::Channel);
    let plan = PeerPlan { side, carrier: Carrier::Channel, attempt: 1 };
    engine.peer(at(0), plan, &mut Entropy::new([side as u8; 32]))
}

fn describe(peer: &Str0mPeer) -> Description {
    let (ufrag, password, fingerprint) = peer.local().expect("known at once");
    Description { ufrag, password, fingerprint, half: [0; 32] }
}

/// Hands the datagrams of one peer to the other; returns whether the terminal lane of the one has opened.
fn carry(now: Timestamp, from: &mut Str0mPeer, to: &mut Str0mPeer) -> bool {
    let mut opened = false;
    while let Some(output) = from.poll() {
        opened |= output == PeerOutput::Secured;
        if let PeerOutput::Transmit { source, destination, bytes } = output {
            to.receive(now, source, destination, &bytes).expect("the link goes on");
        }
    }
    opened
}

/// Two peers whose terminal lanes are open, and the step at which they were.
fn connected() -> (Str0mPeer, Str0mPeer, u64) {
    let [mut host, mut viewer] = [Side::Host, Side::Viewer].map(peer);
    let candidate = |port| Candidate { kind: CandidateKind::Host, address: ([192, 0, 2, 1], port).into() };
    host.set_remote(at(0), &describe(&viewer)).expect("a description");
    viewer.set_remote(at(0), &describe(&host)).expect("a description");
    for (peer, own, other) in [(&mut host, 1, 2), (&mut viewer, 2, 1)] {
        assert!(peer.add_local(at(0), candidate(own)));
        peer.add_remote(at(0), candidate(other));
    }
    let (mut host_open, mut viewer_open) = (false, false);
    for step in 1..500 {
        for peer in [&mut host, &mut viewer] {
            peer.tick(at(step)).expect("the link goes on");
        }
        for _ in 0..4 {
            host_open |= carry(at(step), &mut host, &mut viewer);
            viewer_open |= carry(at(step), &mut viewer, &mut host);
        }
        if host_open && viewer_open {
            return (host, viewer, step);
        }
    }
    panic!("the lanes did not open");
}

#[test]
fn while_nothing_is_acknowledged_the_lane_by_a_channel_goes_on_sending() {
    let (mut host, _viewer, opened) = connected();
    let mut sent = 0;
    for step in opened + 1..=opened + 100 {
        host.tick(at(step)).expect("the link goes on");
        host.write(at(step), Lane::Terminal, &[0; LENGTH]).expect("the link goes on");
        while let Some(output) = host.poll() {
            sent += usize::from(matches!(output, PeerOutput::Transmit { bytes, .. } if bytes.len() > LENGTH));
        }
    }
    assert!(sent >= 90, "{sent} of 100 messages in two seconds");
}
