//! The real engine: a peer that gets any description, candidates and datagrams; and SCTP packets of somebody who is a
//! valid peer up to DTLS.

use std::net::SocketAddr;
use std::time::Duration;

use beach_core::peer::engine::{Carrier, Peer as _, PeerOutput};
use beach_core::session::link::{Candidate, CandidateKind, Lane};
use beach_core::side::Side;
use beach_core::time::Timestamp;
use beach_core::wire::sealed::Description;
use stun_types::attribute::{AttributeType, RawAttribute, Username};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageClass, MessageType, MessageWrite as _, MessageWriteExt as _,
    MessageWriteVec, ShortTermCredentials, TransactionId,
};

use super::choices::Choices;
use crate::determinism;
use crate::sim::pair::{HOST_AT, MOST_SENT, Pair, VIEWER_AT, forgery, host_candidate, new_peer};

/// A description, candidates and datagrams for one peer.
pub(super) fn peer(data: &[u8]) {
    let data = data.to_vec();
    determinism::run(1, move || peer_in_a_world(&data));
}

/// Letters that are valid in ICE, as many as the input says within the bounds that a decoder enforces.
fn ice_word(choices: &mut Choices<'_>, least: usize, most: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let length = least + choices.below(most - least + 1);
    (0..length).map(|_| char::from(LETTERS[usize::from(choices.byte() % 64)])).collect()
}

fn address(choices: &mut Choices<'_>) -> SocketAddr {
    match choices.below(4) {
        0 => VIEWER_AT.into(),
        1 => ([192, 0, 2, choices.byte()], 4000 + u16::from(choices.byte())).into(),
        2 => (choices.array::<4>(), choices.short()).into(),
        _ => (choices.array::<16>(), choices.short()).into(),
    }
}

fn candidate(choices: &mut Choices<'_>) -> Candidate {
    let kinds =
        [CandidateKind::Host, CandidateKind::ServerReflexive, CandidateKind::PeerReflexive, CandidateKind::Relayed];
    let kind = kinds[choices.below(4)];
    Candidate { kind, address: address(choices) }
}

fn peer_in_a_world(data: &[u8]) {
    let mut choices = Choices::new(data);
    let side = if choices.bit() { Side::Host } else { Side::Viewer };
    let carrier = if choices.bit() { Carrier::Rtp } else { Carrier::Channel };
    let mut peer = new_peer(side, carrier);
    let local = peer.local().expect("this engine has one at once");
    let remote = Description {
        ufrag: ice_word(&mut choices, 4, 32),
        password: ice_word(&mut choices, 22, 64),
        fingerprint: choices.array(),
        half: [0; 32],
    };
    let mut now = Timestamp::ZERO;
    peer.add_local(now, host_candidate(HOST_AT.into()));
    if peer.set_remote(now, &remote).is_err() {
        return;
    }
    let mut sent = 0;
    let mut is_over = false;
    while !choices.is_empty() && !is_over {
        let result = match choices.below(8) {
            0 => {
                peer.add_remote(now, candidate(&mut choices));
                Ok(())
            }
            1 => {
                now = now + Duration::from_millis(choices.number() % 30_000);
                determinism::advance_to(now.since_start());
                peer.tick(now)
            }
            2 => {
                peer.add_local(now, candidate(&mut choices));
                Ok(())
            }
            3 => peer.write(now, Lane::Terminal, &choices.chunk()[..0]).map(drop),
            4 => {
                let (used, relay) = (address(&mut choices), address(&mut choices));
                match choices.below(4) {
                    0 => peer.rest(now, used, relay),
                    1 => peer.wake(now),
                    2 => peer.renew(now, choices.bit().then_some(used)),
                    _ => peer.remove_local(now, used),
                }
                Ok(())
            }
            5 => peer.receive(now, address(&mut choices), HOST_AT.into(), choices.chunk()),
            _ => {
                let bytes = check(&local, &remote, &mut choices);
                peer.receive(now, address(&mut choices), HOST_AT.into(), &bytes)
            }
        };
        is_over = result.is_err();
        while let Some(output) = peer.poll() {
            match output {
                PeerOutput::Transmit { .. } => sent += 1,
                PeerOutput::Down(_) => is_over = true,
                PeerOutput::Secured | PeerOutput::Message(..) | PeerOutput::ControlOpen => {
                    panic!("nobody with the announced certificate is there")
                }
                PeerOutput::Command(..)
                | PeerOutput::Described
                | PeerOutput::Candidate(_)
                | PeerOutput::Path(_)
                | PeerOutput::PathFound => {}
            }
        }
        assert!(sent < MOST_SENT, "{sent} datagrams for {} bytes", data.len());
    }
}

/// A connectivity check (RFC 8445, section 7) of the peer that was described, with further attributes of the input.
fn check(local: &(String, String, [u8; 32]), remote: &Description, choices: &mut Choices<'_>) -> Vec<u8> {
    let kind = MessageType::from_class_method(MessageClass::Request, BINDING);
    let mut message = Message::builder(kind, TransactionId::from(u128::from(choices.number())), MessageWriteVec::new());
    let user = format!("{}:{}", local.0, remote.ufrag);
    message.add_attribute(&Username::new(&user).expect("short")).expect("room");
    if choices.below(8) != 7 {
        let (priority, tie) = ([0x6e, 0, 0x1e, 0xff], [7; 8]);
        let _ = message.add_attribute(&RawAttribute::new(AttributeType::new(0x0024), &priority));
        let _ = message.add_attribute(&RawAttribute::new(AttributeType::new(0x802a), &tie));
    }
    // PRIORITY, USE-CANDIDATE, ICE-CONTROLLED, ICE-CONTROLLING; or any.
    for _ in 0..choices.below(5) {
        let kind = match choices.below(6) {
            0 => 0x0024,
            1 => 0x0025,
            2 => 0x8029,
            3 => 0x802a,
            4 => 0xc001,
            // Not those that the writer of a message computes.
            _ => match choices.short() {
                0x0008 | 0x001c | 0x8028 => continue,
                other => other,
            },
        };
        let value = match choices.below(4) {
            0 => choices.array::<4>().to_vec(),
            1 => choices.array::<8>().to_vec(),
            2 => Vec::new(),
            _ => choices.chunk().to_vec(),
        };
        let _ = message.add_attribute(&RawAttribute::new(AttributeType::new(kind), &value));
    }
    let key = ShortTermCredentials::new(local.1.clone());
    message.add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1).expect("room");
    let _ = message.add_fingerprint();
    message.finish()
}

/// SCTP packets of a valid peer, from the input.
pub(super) fn sctp(data: &[u8]) {
    let data = data.to_vec();
    determinism::run(1, move || sctp_in_a_world(&data));
}

fn sctp_in_a_world(data: &[u8]) {
    let mut choices = Choices::new(data);
    let forger = choices.below(2);
    let carrier = if choices.bit() { Carrier::Rtp } else { Carrier::Channel };
    let forgery = forgery(forger);
    let mut pair = Pair::connected(carrier);
    let victim = 1 - forger;
    while !choices.is_empty() && pair.is_down == [false, false] {
        if choices.below(8) == 0 {
            pair.run(Duration::from_millis(choices.number() % 5_000));
            continue;
        }
        let mut chunks = Vec::new();
        for _ in 0..=choices.below(4) {
            let numbers = [0, 1].map(|side| forgery.borrow().tsn(side));
            chunks.extend(chunk(&mut choices, forger, numbers));
        }
        chunks.truncate(1100);
        forgery.borrow_mut().add(forger, &chunks);
        let before = (forgery.borrow().sent, pair.sent[forger]);
        pair.write(forger, b"x");
        pair.run(Duration::from_millis(1));
        if pair.is_down[forger] {
            return;
        }
        // The forger's engine may wait with its packet; then the next one is forged.
        if forgery.borrow().sent > before.0 {
            assert!(pair.sent[forger] > before.1, "a forged packet did not leave");
        }
    }
    let answers = pair.sent[victim];
    pair.run(Duration::from_secs(1));
    assert!(pair.sent[victim] - answers < 1000, "the victim sends on and on");
}

/// The chunks of SCTP and its extensions (RFC 9260, 3758, 6525, 8260), and one that does not exist.
const CHUNKS: [u8; 18] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 64, 130, 192, 194, 63];

/// A chunk; words that matter are near the numbers in use.
fn chunk(choices: &mut Choices<'_>, forger: usize, tsn: [u32; 2]) -> Vec<u8> {
    let kind = CHUNKS[choices.below(CHUNKS.len())];
    let flags = choices.byte();
    let mut value = Vec::new();
    for _ in 0..choices.below(16) {
        let word = match choices.below(8) {
            0 => tsn[forger].wrapping_add(u32::from(choices.byte())).wrapping_sub(8),
            1 => tsn[1 - forger].wrapping_add(u32::from(choices.byte())).wrapping_sub(8),
            2 => u32::from(choices.byte()),
            3 => 0,
            // The protocol ids of WebRTC (RFC 8831): DCEP, text, binary.
            4 => 50 + u32::from(choices.byte() % 8),
            _ => u32::from_be_bytes(choices.array()),
        };
        value.extend(word.to_be_bytes());
    }
    value.extend_from_slice(choices.chunk());
    value.truncate(1000);
    let length = match choices.below(16) {
        0 => choices.short(),
        _ => u16::try_from(4 + value.len()).expect("short"),
    };
    let mut chunk = vec![kind, flags];
    chunk.extend(length.to_be_bytes());
    chunk.extend(value);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}
