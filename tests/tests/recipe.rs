//! Two str0m peers, one reliable channel and one lane of bare RTP between them, replay from a seed byte for byte.
//!
//! Simulations only, and on Linux only: see the limits in `determinism`.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use beach_tests::determinism;
use sha2::{Digest as _, Sha256};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::Fingerprint;
use str0m::format::Codec;
use str0m::media::{Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};

/// Seeds that are compared; about 10 ms of CPU each, at each loss.
const SEEDS: Range<u64> = 0..10;
/// Datagrams lost, in percent.
const LOSSES: [u64; 3] = [0, 5, 20];
/// The bytes of each side on each of its two carriers.
const MESSAGES: usize = 30;
/// Between two messages of one side on one carrier.
const INTERVAL: Duration = Duration::from_millis(20);
/// When a run is over, delivered or not. SCTP's handshake alone may need 45 s at 20 % loss.
const HORIZON: Duration = Duration::from_secs(60);

/// The lane's payload type, on both sides.
const PAYLOAD_TYPE: u8 = 100;
/// The lane's streams, by sender.
const SSRC: [u32; 2] = [1, 2];
/// The lane's media id. Never on the wire, unless the extension map carries it.
const MID: &str = "lane";

#[test]
fn without_loss_everything_arrives() {
    let run = play(1, 0);

    assert_eq!(run.on_lane, [MESSAGES; 2]);
    assert_eq!(run.on_channel, [MESSAGES; 2]);
}

#[test]
fn one_seed_is_one_transcript_on_any_thread_and_in_any_process() {
    let forwards = thread::spawn(|| transcripts(SEEDS));
    let backwards = thread::spawn(|| transcripts(SEEDS.rev()));
    let here = forwards.join().expect("the first thread");

    assert_eq!(here, backwards.join().expect("the second thread"), "two threads");
    for process in ["one process", "another process"] {
        assert_eq!(here, transcripts_of_a_child(), "{process}");
    }
}

#[test]
fn different_seeds_are_different_transcripts() {
    for loss in LOSSES {
        let hashes: BTreeMap<_, _> = SEEDS.map(|seed| (play(seed, loss).hash, seed)).collect();

        assert_eq!(hashes.len(), SEEDS.count(), "at {loss} % loss");
    }
}

#[test]
fn a_forged_packet_has_no_effect_on_the_lane() {
    let run = play_forged(Extensions::None);

    assert_eq!(run.on_lane, [MESSAGES; 2]);
    assert_eq!(run.on_channel, [MESSAGES; 2]);
}

/// Shows that the forgery above is a good one. Should this fail, str0m has learnt to authenticate first.
#[test]
fn with_default_extensions_the_same_packet_deafens_the_lane() {
    let run = play_forged(Extensions::Default);

    assert!(run.on_lane[VIEWER] < MESSAGES, "the viewer received {}", run.on_lane[VIEWER]);
    assert_eq!(run.on_channel, [MESSAGES; 2]);
}

/// Prints its transcripts when another test runs it, in a process of its own; prints nothing otherwise.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    for (seed, loss, run) in transcripts(SEEDS) {
        // Straight to stdout: the test harness captures what `println!` prints.
        writeln!(std::io::stdout(), "{MARK}{seed} {loss} {run}").expect("the parent reads on");
    }
}

const MARK: &str = "transcript: ";

/// Set for the process that is to say its transcripts.
const CHILD: &str = "BEACH_RECIPE_CHILD";

/// The seed, the loss, and the transcript.
type Transcript = (u64, u64, String);

fn transcripts(seeds: impl Iterator<Item = u64>) -> Vec<Transcript> {
    let mut all: Vec<_> =
        seeds.flat_map(|seed| LOSSES.map(|loss| (seed, loss, format!("{:?}", play(seed, loss))))).collect();
    all.sort();
    all
}

fn transcripts_of_a_child() -> Vec<Transcript> {
    let output = Command::new(std::env::current_exe().expect("a running binary has a path"))
        .args(["child", "--exact"])
        .env(CHILD, "1")
        .output()
        .expect("this binary runs again");
    assert!(output.status.success(), "{output:?}");
    let output = String::from_utf8(output.stdout).expect("transcripts are text");
    let parse = |line: &str| {
        let mut fields = line[line.find(MARK)? + MARK.len()..].splitn(3, ' ');
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?, fields.next()?.to_owned()))
    };
    output.lines().filter_map(parse).collect()
}

fn play(seed: u64, loss: u64) -> Outcome {
    determinism::run(seed, move || Simulation::new(seed, loss, Extensions::None).play())
}

fn play_forged(extensions: Extensions) -> Outcome {
    let seed = 7;
    determinism::run(seed, move || {
        let mut simulation = Simulation::new(seed, 0, extensions);
        simulation.forge = true;
        simulation.play()
    })
}

/// The transcript of a run.
#[derive(Debug)]
struct Outcome {
    /// SHA-256 over virtual nanosecond, sender, length and contents of every datagram, lost ones too, then every event.
    hash: String,
    /// Messages received, by receiver.
    on_lane: [usize; 2],
    on_channel: [usize; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extensions {
    /// As in production.
    None,
    /// As str0m would have it, with a media id in clear.
    Default,
}

const HOST: usize = 0;
const VIEWER: usize = 1;

struct Simulation {
    epoch: Instant,
    now: Instant,
    peers: [Peer; 2],
    link: Link,
    transcript: Sha256,
    /// Whether a forged packet is still to come, see [`FORGE_AFTER`].
    forge: bool,
}

impl Simulation {
    fn new(seed: u64, loss: u64, extensions: Extensions) -> Self {
        let epoch = determinism::epoch();
        let mut host = Peer::new(HOST, epoch, extensions);
        let mut viewer = Peer::new(VIEWER, epoch, extensions);
        let (from_host, from_viewer) = (host.introduction(), viewer.introduction());
        host.meet(from_viewer);
        viewer.meet(from_host);
        let (link, transcript) = (Link::new(seed, loss), Sha256::new());
        Self { epoch, now: epoch, peers: [host, viewer], link, transcript, forge: false }
    }

    fn play(mut self) -> Outcome {
        let end = self.epoch + HORIZON;
        // The first time that a peer hears starts its timers.
        for side in [HOST, VIEWER] {
            self.handle(side, None);
        }
        while self.now < end {
            self.step();
        }
        let [host, viewer] = self.peers;
        Outcome {
            hash: self.transcript.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            on_lane: [host.on_lane, viewer.on_lane],
            on_channel: [host.on_channel, viewer.on_channel],
        }
    }

    /// Moves to the next instant at which anything is due, and does one thing.
    fn step(&mut self) {
        let timer = self.peers.iter().map(Peer::due).min().expect("two peers");
        self.now = timer.min(self.link.due().unwrap_or(timer)).max(self.now);
        determinism::advance_to(self.now - self.epoch);

        if let Some(datagram) = self.link.arrived(self.now) {
            let side = if datagram.destination == address(HOST) { HOST } else { VIEWER };
            self.handle(side, Some(datagram));
        } else if let Some(side) = [HOST, VIEWER].into_iter().find(|&side| self.peers[side].due() <= self.now) {
            if self.peers[side].next_write.is_some_and(|due| due <= self.now) {
                self.peers[side].write(self.now, &mut self.link.dice);
            }
            // A written packet leaves only on the next input, so a timeout follows every write.
            self.handle(side, None);
        }
        if self.forge && self.peers[VIEWER].on_lane == FORGE_AFTER {
            self.forge = false;
            self.handle(VIEWER, Some(forgery()));
        }
    }

    /// Hands `side` one input, a datagram or the time, and drains it.
    fn handle(&mut self, side: usize, datagram: Option<Datagram>) {
        let peer = &mut self.peers[side];
        let input = match &datagram {
            Some(Datagram { source, destination, contents }) => {
                let received = Receive::new(Protocol::Udp, *source, *destination, contents).expect("of a known kind");
                Input::Receive(self.now, received)
            }
            None => Input::Timeout(self.now),
        };
        if peer.rtc.accepts(&input) {
            peer.rtc.handle_input(input).expect("the peer lives");
        }
        self.drain(side);
    }

    fn drain(&mut self, side: usize) {
        let peer = &mut self.peers[side];
        let elapsed = (self.now - self.epoch).as_nanos();
        loop {
            match peer.rtc.poll_output().expect("the peer lives") {
                Output::Timeout(due) => {
                    peer.deadline = due;
                    break;
                }
                Output::Transmit(transmit) => {
                    let contents = transmit.contents.to_vec();
                    self.transcript.update(elapsed.to_be_bytes());
                    self.transcript.update([side as u8]);
                    self.transcript.update(contents.len().to_be_bytes());
                    self.transcript.update(&contents);
                    let (source, destination) = (transmit.source, transmit.destination);
                    self.link.send(self.now, Datagram { source, destination, contents });
                }
                Output::Event(event) => {
                    self.transcript.update(format!("{elapsed} {side} {event:?}"));
                    peer.hear(&event, self.now);
                }
            }
        }
    }
}

/// A side: an `Rtc`, and the bytes that were written to and heard from it.
struct Peer {
    side: usize,
    rtc: Rtc,
    channel: ChannelId,
    channel_open: bool,
    deadline: Instant,
    next_write: Option<Instant>,
    lane_written: usize,
    channel_written: usize,
    on_lane: usize,
    on_channel: usize,
}

/// The facts that the other side needs to connect. In production they travel sealed.
struct Introduction {
    credentials: IceCreds,
    fingerprint: Fingerprint,
    candidate: String,
}

impl Peer {
    fn new(side: usize, now: Instant, extensions: Extensions) -> Self {
        let mut config = RtcConfig::new()
            .set_crypto_provider(determinism::provider())
            .set_dtls_cert(determinism::certificate(side as u64))
            .set_local_ice_credentials(credentials())
            .clear_codecs()
            .set_rtp_mode(true);
        config = match extensions {
            Extensions::None => config.clear_extension_map().set_rtcp_report_interval_audio(Duration::from_secs(3600)),
            // Once a report came back, the sender leaves the media id out.
            Extensions::Default => config.set_rtcp_report_interval_audio(Duration::from_millis(100)),
        };
        let codecs = config.codec_config();
        codecs.add_config(PAYLOAD_TYPE.into(), None, Codec::Null, Frequency::NINETY_KHZ, None, Default::default());
        let mut rtc = config.build(now);

        rtc.add_local_candidate(Candidate::host(address(side), Protocol::Udp).expect("an address")).expect("new");
        let control = ChannelConfig { label: "control".into(), negotiated: Some(0), ..Default::default() };
        let channel = rtc.direct_api().create_data_channel(control);
        Self {
            side,
            rtc,
            channel,
            channel_open: false,
            deadline: now,
            next_write: None,
            lane_written: 0,
            channel_written: 0,
            on_lane: 0,
            on_channel: 0,
        }
    }

    fn introduction(&mut self) -> Introduction {
        let direct = self.rtc.direct_api();
        let candidate = Candidate::host(address(self.side), Protocol::Udp).expect("an address").to_sdp_string();
        Introduction {
            credentials: direct.local_ice_credentials(),
            fingerprint: direct.local_dtls_fingerprint().clone(),
            candidate,
        }
    }

    fn meet(&mut self, other: Introduction) {
        let candidate = Candidate::from_sdp_string(&other.candidate).expect("as printed");
        self.rtc.add_remote_candidate(candidate);
        let is_host = self.side == HOST;
        let mid = Mid::from(MID);
        let mut direct = self.rtc.direct_api();
        direct.set_remote_ice_credentials(other.credentials);
        direct.set_remote_fingerprint(other.fingerprint);
        direct.set_ice_controlling(is_host);
        direct.start_dtls(is_host).expect("started once");
        direct.start_sctp(is_host);
        direct.declare_media(mid, MediaKind::Audio);
        let out = direct.declare_stream_tx(SSRC[self.side].into(), None, mid, None);
        out.set_rtx_cache(0, Duration::ZERO, None);
        let back = direct.expect_stream_rx(SSRC[1 - self.side].into(), None, mid, None);
        back.suppress_nack(true);
    }

    fn due(&self) -> Instant {
        self.next_write.map_or(self.deadline, |due| due.min(self.deadline))
    }

    /// Writes one message to each carrier that is up and has some left.
    fn write(&mut self, now: Instant, dice: &mut fastrand::Rng) {
        if self.lane_written < MESSAGES {
            self.lane_written += 1;
            let payload = vec![self.lane_written as u8; dice.usize(8..=1050)];
            let packet = RtpWrite::new(PAYLOAD_TYPE.into(), (self.lane_written as u64).into(), 0, now, payload);
            let mut direct = self.rtc.direct_api();
            direct.stream_tx_by_mid(Mid::from(MID), None).expect("declared").write_rtp(packet);
        }
        if self.channel_open && self.channel_written < MESSAGES {
            self.channel_written += 1;
            let message = vec![self.channel_written as u8; dice.usize(10..3010)];
            let mut channel = self.rtc.channel(self.channel).expect("open");
            assert!(channel.write(true, &message).expect("open"), "the buffer is larger than this test");
        }
        let left = self.lane_written < MESSAGES || self.channel_written < MESSAGES;
        self.next_write = left.then_some(now + INTERVAL);
    }

    fn hear(&mut self, event: &Event, now: Instant) {
        // The DTLS server is connected one flight before its client, which drops what overtakes that flight. So the
        // viewer writes once it has heard the host.
        let heard_each_other = match self.side {
            HOST => matches!(event, Event::Connected),
            _ => matches!(event, Event::RtpPacket(_)) && self.on_lane == 0,
        };
        if heard_each_other {
            self.next_write = Some(now);
        }
        if let Event::ChannelOpen(..) = event {
            self.channel_open = true;
        } else if let Event::ChannelData(_) = event {
            self.on_channel += 1;
        } else if let Event::RtpPacket(packet) = event {
            assert_eq!(*packet.header.ssrc, SSRC[1 - self.side]);
            self.on_lane += 1;
        }
    }
}

fn address(side: usize) -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, 1 + side as u8), 4000).into()
}

/// Fresh ICE credentials from the simulation's entropy, longer than RFC 8445 demands.
fn credentials() -> IceCreds {
    let word = |length| (0..length).map(|_| fastrand::alphanumeric()).collect();
    IceCreds { ufrag: word(8), pass: word(32) }
}

struct Datagram {
    source: SocketAddr,
    destination: SocketAddr,
    contents: Vec<u8>,
}

/// Loses some datagrams and delays the others by 5 to 25 ms each, so that they overtake one another.
struct Link {
    dice: fastrand::Rng,
    loss: u64,
    sent: u64,
    in_flight: BTreeMap<(Instant, u64), Datagram>,
}

impl Link {
    fn new(seed: u64, loss: u64) -> Self {
        Self { dice: fastrand::Rng::with_seed(seed), loss, sent: 0, in_flight: BTreeMap::new() }
    }

    fn send(&mut self, now: Instant, datagram: Datagram) {
        self.sent += 1;
        let delay = Duration::from_micros(self.dice.u64(5_000..25_000));
        if self.dice.u64(0..100) >= self.loss {
            self.in_flight.insert((now + delay, self.sent), datagram);
        }
    }

    fn due(&self) -> Option<Instant> {
        self.in_flight.keys().next().map(|&(due, _)| due)
    }

    fn arrived(&mut self, now: Instant) -> Option<Datagram> {
        let first = self.in_flight.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }
}

/// A forged packet arrives when the viewer has had this many on its lane: a report was sent by then, if any is.
const FORGE_AFTER: usize = 20;

/// A packet that anybody who can spoof the host's address can send: it has the lane's payload type and media id, which
/// travel in clear, an SSRC of the forger's, and noise in place of the encrypted payload and its tag.
fn forgery() -> Datagram {
    /// Where `ExtensionMap::standard` has the media id.
    const MID_EXTENSION: u8 = 4;
    let mut contents = vec![0b1001_0000, PAYLOAD_TYPE];
    contents.extend(FORGE_AFTER.to_be_bytes()[6..].iter());
    contents.extend(0_u32.to_be_bytes());
    contents.extend(0xbad_u32.to_be_bytes());
    // RFC 8285, one-byte headers: the profile, two words, an element of four bytes, padding.
    contents.extend([0xbe, 0xde, 0, 2, MID_EXTENSION << 4 | (MID.len() as u8 - 1)]);
    contents.extend(MID.as_bytes());
    contents.extend([0; 3]);
    contents.extend([0x5a; 64]);
    Datagram { source: address(HOST), destination: address(VIEWER), contents }
}
