//! An engine for tier A2: checks, a handshake that shows a fingerprint, a reliable lane and a lane of datagrams, in a
//! few hundred lines.
//!
//! As with the real engine, a check is for the peer with its user name, and every other datagram for the peer that
//! knows the sender's address.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use beach_core::Entropy;
use beach_core::peer::engine::{Engine, Peer, PeerOutput, PeerPlan};
use beach_core::session::link::{Candidate, Lane, LinkDown};
use beach_core::side::Side;
use beach_core::time::Timestamp;
use beach_core::wire::sealed::Description;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::world::Who;

/// Between two checks of a pair that answers.
const CHECK_LIVE: Duration = Duration::from_secs(2);
/// First repetition of an unanswered check; it grows by half.
const CHECK_AFTER: Duration = Duration::from_millis(50);
/// Longest pause between two.
const CHECK_AT_MOST: Duration = Duration::from_millis(500);
/// First repetition of a flight or a control message; it doubles.
const REPEAT_AFTER: Duration = Duration::from_millis(300);
/// Longest pause between two.
const REPEAT_AT_MOST: Duration = Duration::from_secs(2);
/// Most control messages on their way.
const WINDOW: u64 = 32;
/// Most bytes that wait on the control lane.
const BUFFER: usize = 128 * 1024;

/// Makes [`FakePeer`]s.
pub struct FakeEngine {
    shown: [u8; 32],
    announced: [u8; 32],
    check_fingerprint: bool,
    says: Vec<Vec<u8>>,
    too_early: bool,
}

impl FakeEngine {
    /// An engine whose peers show the certificate of `seed`.
    pub fn new(seed: u64) -> FakeEngine {
        let shown = Sha256::digest(seed.to_be_bytes()).into();
        FakeEngine { shown, announced: shown, check_fingerprint: true, says: Vec::new(), too_early: false }
    }

    /// This engine, which announces another certificate than it shows.
    #[must_use]
    pub fn announcing_another(mut self) -> FakeEngine {
        self.announced[0] ^= 1;
        self
    }

    /// This engine, whose peers send these frames on the terminal lane once the other side has used the control
    /// lane.
    #[must_use]
    pub fn saying(mut self, frames: Vec<Vec<u8>>) -> FakeEngine {
        self.says = frames;
        self
    }

    /// This engine, which sends the frames on the control lane as soon as DTLS is done, before any confirmation.
    #[must_use]
    pub fn too_early(mut self) -> FakeEngine {
        self.too_early = true;
        self
    }

    /// This engine, which accepts any certificate.
    #[must_use]
    pub fn without_fingerprint_check(mut self) -> FakeEngine {
        self.check_fingerprint = false;
        self
    }
}

/// The engine of a node, for [`World::new`](super::World::new).
pub fn fake_engine(who: Who, _: Timestamp) -> FakeEngine {
    FakeEngine::new(match who {
        Who::Host(index) => index as u64,
        Who::Viewer(index) => 1000 + index as u64,
    })
}

impl Engine for FakeEngine {
    type Peer = FakePeer;

    fn peer(&mut self, _: Timestamp, plan: PeerPlan, entropy: &mut Entropy) -> FakePeer {
        let hex = |bytes: [u8; 12]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        FakePeer {
            side: plan.side,
            ufrag: hex(entropy.bytes())[..8].to_owned(),
            password: hex(entropy.bytes()),
            shown: self.shown,
            announced: self.announced,
            check_fingerprint: self.check_fingerprint,
            random: entropy.number(),
            locals: Vec::new(),
            remotes: Vec::new(),
            description: None,
            pairs: BTreeMap::new(),
            resting: Vec::new(),
            path: None,
            other: None,
            secured: false,
            flight: None,
            control: Control::new(plan.side),
            says: self.says.clone(),
            too_early: self.too_early,
            out: VecDeque::new(),
        }
    }
}

/// A side of an attempt.
pub struct FakePeer {
    side: Side,
    ufrag: String,
    password: String,
    shown: [u8; 32],
    announced: [u8; 32],
    check_fingerprint: bool,
    random: u64,
    locals: Vec<SocketAddr>,
    remotes: Vec<SocketAddr>,
    description: Option<Description>,
    pairs: BTreeMap<(SocketAddr, SocketAddr), Repeat>,
    /// The pairs that are neither checked nor answered on.
    resting: Vec<(SocketAddr, SocketAddr)>,
    path: Option<(SocketAddr, SocketAddr)>,
    /// Fingerprint and random number that the other side showed.
    other: Option<([u8; 32], u64)>,
    secured: bool,
    /// The messages repeated until answered.
    flight: Option<(u8, Repeat)>,
    control: Control,
    /// The frames that nothing above the peer asked for.
    says: Vec<Vec<u8>>,
    too_early: bool,
    out: VecDeque<PeerOutput>,
}

#[derive(Clone, Copy)]
struct Repeat {
    due: Timestamp,
    pause: Duration,
}

impl Repeat {
    fn from(due: Timestamp, pause: Duration) -> Repeat {
        Repeat { due, pause }
    }

    /// Whether the repetition is due; the next one then comes later.
    fn take(&mut self, now: Timestamp, growth: f64, at_most: Duration) -> bool {
        if self.due > now {
            return false;
        }
        self.due = now + self.pause;
        self.pause = self.pause.mul_f64(growth).min(at_most);
        true
    }
}

/// The reliable lane.
struct Control {
    open: bool,
    next_out: u64,
    sent: u64,
    queue: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
    repeat: Repeat,
    filled: u64,
    next_in: u64,
    early: BTreeMap<u64, Vec<u8>>,
}

impl Control {
    /// The host's message 0 opens the lane.
    fn new(side: Side) -> Control {
        let (out, into) = match side {
            Side::Host => (0, 1),
            Side::Viewer => (1, 0),
        };
        Control {
            open: false,
            next_out: out,
            sent: out,
            queue: BTreeMap::new(),
            bytes: 0,
            repeat: Repeat::from(Timestamp::ZERO, REPEAT_AFTER),
            filled: 0,
            next_in: into,
            early: BTreeMap::new(),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.queue.insert(self.next_out, bytes.to_vec());
        self.next_out += 1;
    }
}

#[derive(Serialize, Deserialize)]
enum Packet {
    Sas {
        to: String,
        from: String,
        key: [u8; 8],
    },
    Answer {
        to: String,
        key: [u8; 8],
    },
    /// 1 and 3 are the host's, 2 and 4 the viewer's.
    Flight {
        step: u8,
        fingerprint: [u8; 32],
        random: u64,
    },
    Control {
        tag: u64,
        number: u64,
        bytes: Vec<u8>,
    },
    Ack {
        tag: u64,
        next: u64,
        highest: u64,
    },
    Terminal {
        tag: u64,
        bytes: Vec<u8>,
    },
}

impl Packet {
    /// Behind a first byte as RFC 7983 has it.
    fn encode(&self) -> Vec<u8> {
        let first = match self {
            Packet::Sas { .. } => 0,
            Packet::Answer { .. } => 1,
            Packet::Flight { .. } => 22,
            Packet::Control { .. } | Packet::Ack { .. } => 23,
            Packet::Terminal { .. } => 128,
        };
        postcard::to_extend(self, vec![first]).expect("plain data always encodes")
    }

    fn decode(bytes: &[u8]) -> Option<Packet> {
        postcard::from_bytes(bytes.get(1..)?).ok()
    }
}

/// Changes the fingerprint that a flight shows, as an attacker in between would, who has another certificate.
pub fn swap_fingerprint(bytes: &[u8]) -> Option<Vec<u8>> {
    match Packet::decode(bytes)? {
        Packet::Flight { step, random, .. } => Some(Packet::Flight { step, fingerprint: [0xee; 32], random }.encode()),
        Packet::Sas { .. }
        | Packet::Answer { .. }
        | Packet::Control { .. }
        | Packet::Ack { .. }
        | Packet::Terminal { .. } => None,
    }
}

fn key(password: &str) -> [u8; 8] {
    Sha256::digest(password)[..8].try_into().expect("eight of them")
}

impl FakePeer {
    fn transmit(&mut self, (source, destination): (SocketAddr, SocketAddr), packet: &Packet) {
        self.out.push_back(PeerOutput::Transmit { source, destination, bytes: packet.encode() });
    }

    fn pair_up(&mut self, now: Timestamp) {
        for local in &self.locals {
            for remote in self.remotes.iter().filter(|remote| remote.is_ipv4() == local.is_ipv4()) {
                self.pairs.entry((*local, *remote)).or_insert(Repeat::from(now, CHECK_AFTER));
            }
        }
    }

    fn tag(&self) -> u64 {
        let other = self.other.map_or(0, |(_, random)| random);
        self.random ^ other
    }

    fn found(&mut self, now: Timestamp, pair: (SocketAddr, SocketAddr)) {
        if self.path.is_none() {
            self.path = Some(pair);
            self.out.push_back(PeerOutput::PathFound);
            if self.side == Side::Host {
                self.flight = Some((1, Repeat::from(now, REPEAT_AFTER)));
            }
        }
    }

    fn secure(&mut self) {
        self.secured = true;
        if self.too_early {
            std::mem::take(&mut self.says).iter().for_each(|frame| self.control.push(frame));
        }
        self.out.push_back(PeerOutput::Secured);
    }

    fn work(&mut self, now: Timestamp) {
        if let Some(description) = &self.description {
            let (to, key) = (description.ufrag.clone(), key(&description.password));
            let mut due = Vec::new();
            for (pair, repeat) in &mut self.pairs {
                if repeat.take(now, 1.5, CHECK_AT_MOST.max(repeat.pause)) {
                    due.push(*pair);
                }
            }
            for pair in due {
                self.transmit(pair, &Packet::Sas { to: to.clone(), from: self.ufrag.clone(), key });
            }
        }
        if let (Some((step, repeat)), Some(path)) = (&mut self.flight, self.path)
            && repeat.take(now, 2.0, REPEAT_AT_MOST)
        {
            let flight = Packet::Flight { step: *step, fingerprint: self.shown, random: self.random };
            self.transmit(path, &flight);
        }
        if let (true, Some(path)) = (self.secured, self.path) {
            let tag = self.tag();
            let first = self.control.queue.keys().next().copied();
            if let Some(first) = first.filter(|first| *first < self.control.sent)
                && self.control.repeat.take(now, 2.0, REPEAT_AT_MOST)
            {
                let bytes = self.control.queue[&first].clone();
                self.transmit(path, &Packet::Control { tag, number: first, bytes });
            }
            while let Some(bytes) = self.control.queue.get(&self.control.sent).cloned() {
                let first = first.unwrap_or(self.control.sent);
                if self.control.sent >= first + WINDOW {
                    break;
                }
                if self.control.sent == first {
                    self.control.repeat = Repeat::from(now + REPEAT_AFTER, REPEAT_AFTER);
                }
                let number = self.control.sent;
                self.control.sent += 1;
                self.transmit(path, &Packet::Control { tag, number, bytes });
            }
        }
    }

    fn on_flight(
        &mut self,
        now: Timestamp,
        pair: (SocketAddr, SocketAddr),
        step: u8,
        fingerprint: [u8; 32],
        random: u64,
    ) -> Result<(), LinkDown> {
        let Some(description) = &self.description else { return Ok(()) };
        if self.other.is_none() {
            if self.check_fingerprint && fingerprint != description.fingerprint {
                return Err(LinkDown::WrongCertificate);
            }
            self.other = Some((fingerprint, random));
        }
        match (self.side, step) {
            (Side::Viewer, 1) if !self.secured => {
                self.found(now, pair);
                self.flight = Some((2, Repeat::from(now, REPEAT_AFTER)));
            }
            (Side::Host, 2) if !self.secured => {
                self.secure();
                self.flight = Some((3, Repeat::from(now, REPEAT_AFTER)));
                self.control.push(&[]);
            }
            (Side::Viewer, 3) => {
                if !self.secured && self.flight.is_some() {
                    self.flight = None;
                    self.secure();
                }
                let flight = Packet::Flight { step: 4, fingerprint: self.shown, random: self.random };
                self.transmit(pair, &flight);
            }
            (Side::Host, 4) => self.flight = None,
            (Side::Host | Side::Viewer, _) => {}
        }
        Ok(())
    }

    fn on_control(&mut self, number: u64, bytes: Vec<u8>) {
        if number >= self.control.next_in && number < self.control.next_in + 2 * WINDOW {
            self.control.early.insert(number, bytes);
        }
        let highest = self.control.early.keys().next_back().map_or(0, |highest| highest + 1);
        while let Some(bytes) = self.control.early.remove(&self.control.next_in) {
            let number = self.control.next_in;
            self.control.next_in += 1;
            if number == 0 {
                self.control.open = true;
                self.out.push_back(PeerOutput::ControlOpen);
            } else {
                self.out.push_back(PeerOutput::Message(Lane::Control, bytes));
                for bytes in std::mem::take(&mut self.says) {
                    let packet = Packet::Terminal { tag: self.tag(), bytes };
                    if let Some(path) = self.path {
                        self.transmit(path, &packet);
                    }
                }
            }
        }
        if let Some(path) = self.path {
            let ack = Packet::Ack { tag: self.tag(), next: self.control.next_in, highest };
            self.transmit(path, &ack);
        }
    }

    fn on_ack(&mut self, now: Timestamp, next: u64, highest: u64) {
        let before = self.control.queue.len();
        let later = self.control.queue.split_off(&next);
        let acknowledged = std::mem::replace(&mut self.control.queue, later);
        self.control.bytes -= acknowledged.values().map(Vec::len).sum::<usize>();
        if self.control.queue.len() < before {
            self.control.repeat = Repeat::from(now + REPEAT_AFTER, REPEAT_AFTER);
        }
        // A hole: fill it once at once, then by the timer.
        if highest > next && self.control.filled < next + 1 && self.control.queue.contains_key(&next) {
            self.control.filled = next + 1;
            self.control.repeat.due = now;
        }
        if self.side == Side::Host && next > 0 && !self.control.open {
            self.control.open = true;
            self.out.push_back(PeerOutput::ControlOpen);
        }
    }
}

impl Peer for FakePeer {
    fn local(&self) -> Option<(String, String, [u8; 32])> {
        Some((self.ufrag.clone(), self.password.clone(), self.announced))
    }

    fn observed_fingerprint(&mut self) -> Option<[u8; 32]> {
        self.other.map(|(fingerprint, _)| fingerprint)
    }

    fn add_local(&mut self, now: Timestamp, candidate: Candidate) -> bool {
        if self.locals.contains(&candidate.address) {
            return false;
        }
        self.locals.push(candidate.address);
        self.pair_up(now);
        self.work(now);
        true
    }

    fn remove_local(&mut self, _: Timestamp, address: SocketAddr) {
        self.locals.retain(|local| *local != address);
        self.pairs.retain(|(local, _), _| *local != address);
        self.resting.retain(|(local, _)| *local != address);
    }

    fn renew(&mut self, _: Timestamp, _: Option<SocketAddr>) {}

    fn rest(&mut self, _: Timestamp, used: SocketAddr, _: SocketAddr) {
        self.resting.extend(self.pairs.extract_if(.., |(local, _), _| *local != used).map(|(pair, _)| pair));
    }

    fn wake(&mut self, now: Timestamp) {
        for pair in std::mem::take(&mut self.resting) {
            self.pairs.entry(pair).or_insert(Repeat::from(now, CHECK_AFTER));
        }
        self.work(now);
    }

    fn set_remote(&mut self, now: Timestamp, description: &Description) -> Result<(), LinkDown> {
        assert!(self.description.is_none(), "a peer meets one other side");
        self.description = Some(description.clone());
        self.work(now);
        Ok(())
    }

    fn add_remote(&mut self, now: Timestamp, candidate: Candidate) {
        assert!(self.description.is_some(), "candidates come after the description");
        if !self.remotes.contains(&candidate.address) {
            self.remotes.push(candidate.address);
        }
        self.pair_up(now);
        self.work(now);
    }

    fn accepts(&self, _: Timestamp, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) -> bool {
        match Packet::decode(bytes) {
            Some(Packet::Sas { to, .. } | Packet::Answer { to, .. }) => to == self.ufrag,
            Some(Packet::Flight { .. } | Packet::Control { .. } | Packet::Ack { .. } | Packet::Terminal { .. }) => {
                let pair = (destination, source);
                self.pairs.contains_key(&pair) || self.resting.contains(&pair)
            }
            None => false,
        }
    }

    fn receive(
        &mut self,
        now: Timestamp,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), LinkDown> {
        let pair = (destination, source);
        let live = self.secured.then(|| self.tag());
        match Packet::decode(bytes) {
            Some(Packet::Sas { .. }) if self.resting.contains(&pair) => {}
            Some(Packet::Sas { from, key: proof, .. }) if proof == key(&self.password) => {
                let answer = Packet::Answer { to: from, key: proof };
                self.transmit(pair, &answer);
                self.pairs.entry(pair).or_insert(Repeat::from(now, CHECK_AFTER));
            }
            Some(Packet::Answer { key: proof, .. }) => {
                let is_ours = self.description.as_ref().is_some_and(|description| proof == key(&description.password));
                if is_ours && !self.resting.contains(&pair) {
                    self.pairs.insert(pair, Repeat::from(now + CHECK_LIVE, CHECK_AFTER));
                    self.found(now, pair);
                }
            }
            Some(Packet::Flight { step, fingerprint, random }) => {
                self.on_flight(now, pair, step, fingerprint, random)?
            }
            Some(Packet::Control { tag, number, bytes }) if live == Some(tag) => self.on_control(number, bytes),
            Some(Packet::Ack { tag, next, highest }) if live == Some(tag) => self.on_ack(now, next, highest),
            Some(Packet::Terminal { tag, bytes }) if live == Some(tag) => {
                self.out.push_back(PeerOutput::Message(Lane::Terminal, bytes));
            }
            // Forged, or of another attempt, or of before it was secure.
            Some(Packet::Sas { .. } | Packet::Control { .. } | Packet::Ack { .. } | Packet::Terminal { .. }) | None => {
            }
        }
        self.work(now);
        Ok(())
    }

    fn write(&mut self, now: Timestamp, lane: Lane, bytes: &[u8]) -> Result<bool, LinkDown> {
        match lane {
            Lane::Control => {
                if !self.control.open || self.control.bytes + bytes.len() > BUFFER {
                    return Ok(false);
                }
                self.control.push(bytes);
            }
            Lane::Terminal => {
                let Some(path) = self.path.filter(|_| self.secured) else { return Ok(false) };
                let packet = Packet::Terminal { tag: self.tag(), bytes: bytes.to_vec() };
                self.transmit(path, &packet);
            }
        }
        self.work(now);
        Ok(true)
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), LinkDown> {
        self.work(now);
        Ok(())
    }

    fn poll(&mut self) -> Option<PeerOutput> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Timestamp> {
        let checks = self.pairs.values().map(|repeat| repeat.due).filter(|_| self.description.is_some());
        let flight = self.flight.filter(|_| self.path.is_some()).map(|(_, repeat)| repeat.due);
        let waits = self.control.queue.keys().next().is_some_and(|first| *first < self.control.sent);
        let control = (self.secured && waits).then_some(self.control.repeat.due);
        checks.chain(flight).chain(control).min()
    }
}
