//! Two peers of the real engine with nothing above them, and a forger: somebody who is a valid peer up to DTLS, and
//! then sends any SCTP packets.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use beach_core::Entropy;
use beach_core::peer::engine::{Carrier, Engine as _, Peer as _, PeerOutput, PeerPlan};
use beach_core::peer::str0m::Str0mPeer;
use beach_core::session::link::{Candidate, CandidateKind, Lane};
use beach_core::side::Side;
use beach_core::time::Timestamp;
use beach_core::wire::sealed::Description;

use super::real;
use super::world::Who;
use crate::determinism;
use crate::ledger::{self, Account};

/// Where the host's peer is.
pub const HOST_AT: ([u8; 4], u16) = ([192, 0, 2, 1], 4001);
/// Where the viewer's peer is.
pub const VIEWER_AT: ([u8; 4], u16) = ([192, 0, 2, 2], 4002);

/// Most datagrams that a peer sends within one input.
pub const MOST_SENT: usize = 20_000;

/// A peer of the real engine, the same for each side every time. In a [`determinism`] world only.
pub fn new_peer(side: Side, carrier: Carrier) -> Str0mPeer {
    let who = if side == Side::Host { Who::Host(0) } else { Who::Viewer(0) };
    let seed = [side as u8; 32];
    let plan = PeerPlan { side, carrier, attempt: 1 };
    real::engine(who, Timestamp::ZERO).peer(Timestamp::ZERO, plan, &mut Entropy::new(seed))
}

/// This address as a peer names its own.
pub fn host_candidate(address: SocketAddr) -> Candidate {
    Candidate { kind: CandidateKind::Host, address }
}

fn description(local: (String, String, [u8; 32])) -> Description {
    Description { ufrag: local.0, password: local.1, fingerprint: local.2, half: [0; 32] }
}

/// Two peers, and what is between them.
pub struct Pair {
    /// The host's and the viewer's.
    pub peers: [Str0mPeer; 2],
    now: Timestamp,
    flying: VecDeque<(usize, Vec<u8>)>,
    /// Datagrams that each of them sent.
    pub sent: [usize; 2],
    /// Messages that each of them got.
    pub heard: [usize; 2],
    is_open: [bool; 2],
    /// Which of them are of no more use.
    pub is_down: [bool; 2],
    accounts: [Account; 2],
}

impl Pair {
    /// Two peers whose lanes are open, and which carried a message each way.
    pub fn connected(carrier: Carrier) -> Pair {
        Pair::on_accounts(carrier, [Account::Test; 2])
    }

    /// The same; what the host's peer holds, and what the viewer's does, is on these accounts.
    pub fn on_accounts(carrier: Carrier, accounts: [Account; 2]) -> Pair {
        let mut peers = [(Side::Host, accounts[0]), (Side::Viewer, accounts[1])]
            .map(|(side, account)| ledger::on(account, || new_peer(side, carrier)));
        let now = Timestamp::ZERO;
        let descriptions = [0, 1].map(|one: usize| description(peers[one].local().expect("this engine has one")));
        for (one, at, other) in [(0, HOST_AT, VIEWER_AT), (1, VIEWER_AT, HOST_AT)] {
            ledger::on(accounts[one], || {
                peers[one].add_local(now, host_candidate(at.into()));
                peers[one].set_remote(now, &descriptions[1 - one]).expect("DTLS begins");
                peers[one].add_remote(now, host_candidate(other.into()));
            });
        }
        let (flying, is_open, is_down) = (VecDeque::new(), [false; 2], [false; 2]);
        let mut pair = Pair { peers, now, flying, sent: [0; 2], heard: [0; 2], is_open, is_down, accounts };
        while pair.is_open != [true, true] {
            assert!(pair.now.since_start() < Duration::from_secs(5), "the lanes do not open");
            pair.run(Duration::from_millis(5));
        }
        for one in [0, 1] {
            pair.write(one, b"hello");
        }
        pair.run(Duration::from_millis(5));
        assert_eq!(pair.heard, [1, 1], "the control lane carries both ways");
        pair
    }

    /// Sends a message on the control lane.
    pub fn write(&mut self, one: usize, bytes: &[u8]) {
        let result = ledger::on(self.accounts[one], || self.peers[one].write(self.now, Lane::Control, bytes));
        self.is_down[one] |= result.is_err();
        self.drain(one);
    }

    fn drain(&mut self, one: usize) {
        while let Some(output) = ledger::on(self.accounts[one], || self.peers[one].poll()) {
            match output {
                PeerOutput::Transmit { bytes, .. } => {
                    self.sent[one] += 1;
                    assert!(self.sent[one] < MOST_SENT, "a peer sends without end");
                    // Copied: a datagram on its way is on nobody's account.
                    self.flying.push_back((1 - one, bytes.clone()));
                }
                PeerOutput::ControlOpen => self.is_open[one] = true,
                PeerOutput::Message(..) => self.heard[one] += 1,
                PeerOutput::Down(_) => self.is_down[one] = true,
                PeerOutput::Command(..)
                | PeerOutput::Described
                | PeerOutput::Candidate(_)
                | PeerOutput::Path(_)
                | PeerOutput::PathFound
                | PeerOutput::Secured => {}
            }
        }
    }

    /// Lets so much time pass; datagrams take none.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            while let Some((to, bytes)) = self.flying.pop_front() {
                let ends = [HOST_AT, VIEWER_AT].map(SocketAddr::from);
                let receive = || self.peers[to].receive(self.now, ends[1 - to], ends[to], &bytes);
                let result = ledger::on(self.accounts[to], receive);
                self.is_down[to] |= result.is_err();
                self.drain(to);
            }
            let due = [0, 1].map(|one: usize| self.peers[one].deadline().filter(|_| !self.is_down[one]));
            let next = due.into_iter().flatten().min().unwrap_or(end).max(self.now + Duration::from_micros(1));
            if next > end {
                break;
            }
            self.set_time(next);
            for one in [0, 1] {
                if due[one].is_some_and(|at| at <= next) {
                    let result = ledger::on(self.accounts[one], || self.peers[one].tick(next));
                    self.is_down[one] |= result.is_err();
                    self.drain(one);
                }
            }
        }
        self.set_time(end);
    }

    fn set_time(&mut self, now: Timestamp) {
        self.now = now;
        determinism::advance_to(now.since_start());
    }
}

/// The state of a forger: facts from the packets of both sides, and the forged packets to send behind the next one.
#[derive(Default)]
pub struct Forgery {
    /// The header that both sides' packets have: ports, and the tag of the other side.
    header: [Vec<u8>; 2],
    /// The newest number of data of each side.
    tsn: [u32; 2],
    packets: Vec<Vec<u8>>,
    /// How many of them were sent.
    pub sent: usize,
}

/// Has this side of the simulation send forged SCTP packets, once there are some.
pub fn forgery(forger: usize) -> Rc<RefCell<Forgery>> {
    let forgery = Rc::new(RefCell::new(Forgery::default()));
    let shared = forgery.clone();
    let forge = move |is_host: bool, packet: &[u8]| {
        let mut forgery = shared.borrow_mut();
        let side = usize::from(!is_host);
        forgery.learn(side, packet);
        if side != forger || forgery.packets.is_empty() {
            return vec![packet.to_vec()];
        }
        // The true one goes first, so that the forger's own association stays as it should be.
        let forged = std::mem::take(&mut forgery.packets);
        forgery.sent += forged.len();
        std::iter::once(packet.to_vec()).chain(forged).collect()
    };
    determinism::forge_sctp(Some(Box::new(forge)));
    forgery
}

impl Forgery {
    fn learn(&mut self, side: usize, packet: &[u8]) {
        if let Some(header) = packet.get(..12) {
            self.header[side] = header.to_vec();
        }
        if let (Some(0), Some(tsn)) = (packet.get(12), packet.get(16..20)) {
            self.tsn[side] = u32::from_be_bytes(tsn.try_into().expect("four bytes"));
        }
    }

    /// These chunks behind the next packet of `side`, with the right tag and checksum.
    pub fn add(&mut self, side: usize, chunks: &[u8]) {
        self.packets.push(sctp_packet(&self.header[side], chunks));
    }

    /// The newest number of data that this side sent.
    pub fn tsn(&self, side: usize) -> u32 {
        self.tsn[side]
    }
}

/// A packet with the ports and the tag of another one, these chunks, and the right checksum.
///
/// # Panics
/// If the other packet is shorter than a header.
pub fn sctp_packet(like: &[u8], chunks: &[u8]) -> Vec<u8> {
    let mut packet = [&like[..8], &[0; 4], chunks].concat();
    let sum = crc32c(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&sum);
    packet
}

/// The checksum of SCTP (RFC 9260, appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
