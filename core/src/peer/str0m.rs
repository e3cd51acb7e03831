//! The real engine: one str0m `Rtc` a peer. Only this folder names str0m.
//!
//! Both lanes are set up through the direct API, so no SDP is parsed: data channel 0, and one RTP stream each way, or
//! data channel 1 in place of them. Three things about the RTP lane are not optional. The extension map is cleared,
//! since one forged packet with a `mid` extension would otherwise rename the receive stream before SRTP verified it.
//! The engine neither drops nor paces anything, so the writer needs a window of its own. And `poll_output` is drained
//! after every single input, since the engine holds one received packet at a time.

mod certificate;
mod convert;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::config::{CryptoProvider, Fingerprint};
use str0m::format::Codec;
use str0m::media::{Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Event, IceConnectionState, IceCreds, Input, Output, Rtc, RtcConfig};

pub use self::certificate::Certificate;
use self::convert::{down, for_engine, letters};
use super::dtls;
use super::engine::{Carrier, Engine, Peer, PeerOutput, PeerPlan};
use crate::session::link::{BY_CHANNEL, Candidate, CandidateKind, Lane, LinkDown};
use crate::side::Side;
use crate::support::entropy::Entropy;
use crate::time::Timestamp;
use crate::wire::frame::MAX_FRAME;
use crate::wire::sealed::Description;

/// The engine's buffer for the control lane, in bytes; a full buffer refuses writes. A larger one costs CPU
/// superlinearly.
const CONTROL_BUFFER: usize = 128 * 1024;

/// Most messages that go out together. For each viewer, the engine keeps the room of its longest queue.
const MAX_WRITTEN: usize = 8;

/// The label of data channel 0.
const CONTROL_LABEL: &str = "beach/control/1";

/// The label of data channel 1; most bytes that wait there, since what waits is old; and for how many milliseconds SCTP
/// keeps a message. With a limit of repetitions in its place, a lost message would fill SCTP's window until a timer
/// gives the message up, and that timer begins at a second and doubles.
const TERMINAL_LABEL: &str = "beach/terminal/1";
const TERMINAL_BUFFER: usize = 64 * 1024;
const TERMINAL_LIFETIME: u16 = 50;

/// The payload type of the terminal lane; constant, as nothing is negotiated.
const PAYLOAD_TYPE: u8 = 100;

/// Longest pause between two checks of a path, while one is in use: silence is noticed within seconds, and an idle
/// session still wakes up less than once a second.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(3);

/// Reports of the terminal lane say nothing that we use.
const REPORT_INTERVAL: Duration = Duration::from_secs(3600);

/// Makes [`Str0mPeer`]s.
pub struct Str0m {
    epoch: Instant,
    certificate: Certificate,
    provider: Arc<CryptoProvider>,
    carrier: Carrier,
    #[cfg(feature = "test-util")]
    fingerprint_check: FingerprintCheck,
}

/// Whether the engine compares the certificate that it sees with the announced one.
#[cfg(feature = "test-util")]
#[derive(Clone, Copy, PartialEq, Eq)]
enum FingerprintCheck {
    On,
    Off,
}

impl Str0m {
    /// An engine whose peers show `certificate`; `epoch` is the instant of [`Timestamp::ZERO`].
    pub fn new(epoch: Instant, certificate: Certificate) -> Str0m {
        Str0m {
            epoch,
            certificate,
            provider: dtls::provider(),
            carrier: Carrier::default(),
            #[cfg(feature = "test-util")]
            fingerprint_check: FingerprintCheck::On,
        }
    }

    /// The engine of a viewer that asks for this carrier of the terminal lane.
    #[must_use]
    pub fn asking_for(mut self, carrier: Carrier) -> Str0m {
        self.carrier = carrier;
        self
    }

    /// The engine with other cryptography, for tests that seed it.
    #[must_use]
    #[cfg(feature = "test-util")]
    pub fn with_provider(mut self, provider: Arc<CryptoProvider>) -> Str0m {
        self.provider = provider;
        self
    }

    /// The engine without its own check of the announced fingerprint, for the test that shows that the confirmation
    /// needs none.
    #[must_use]
    #[cfg(feature = "test-util")]
    pub fn without_fingerprint_check(mut self) -> Str0m {
        self.fingerprint_check = FingerprintCheck::Off;
        self
    }
}

impl Engine for Str0m {
    type Peer = Str0mPeer;

    fn peer(&mut self, now: Timestamp, plan: PeerPlan, entropy: &mut Entropy) -> Str0mPeer {
        // str0m's own credentials do not come from a CSPRNG.
        let credentials = IceCreds { ufrag: letters(entropy, 8), pass: letters(entropy, 24) };
        let mut config = RtcConfig::new()
            .set_local_ice_credentials(credentials.clone())
            .set_dtls_cert(self.certificate.0.clone())
            .set_fingerprint_verification(true)
            .set_sctp_max_buffered_amount(CONTROL_BUFFER)
            .clear_codecs()
            .clear_extension_map()
            .set_rtp_mode(true)
            .set_rtcp_report_interval_audio(REPORT_INTERVAL);
        #[cfg(feature = "test-util")]
        {
            config = config.set_fingerprint_verification(self.fingerprint_check == FingerprintCheck::On);
        }
        config = config.set_crypto_provider(self.provider.clone());
        config.set_max_stun_rto(MAX_CHECK_INTERVAL);
        config.codec_config().add_config(
            PAYLOAD_TYPE.into(),
            None,
            Codec::Null,
            Frequency::NINETY_KHZ,
            None,
            Default::default(),
        );
        let mut rtc = config.build(self.epoch + now.since_start());
        let control = rtc.direct_api().create_data_channel(ChannelConfig {
            label: CONTROL_LABEL.to_owned(),
            negotiated: Some(0),
            ..ChannelConfig::default()
        });
        let terminal = match plan.carrier {
            Carrier::Rtp => Terminal::Rtp { mid: Mid::from("lane"), next_seq: 1 },
            Carrier::Channel => Terminal::Channel(rtc.direct_api().create_data_channel(ChannelConfig {
                label: TERMINAL_LABEL.to_owned(),
                negotiated: Some(1),
                ordered: false,
                reliability: Reliability::MaxPacketLifetime { lifetime: TERMINAL_LIFETIME },
                ..ChannelConfig::default()
            })),
        };
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(&rtc.direct_api().local_dtls_fingerprint().bytes);
        let mut peer = Str0mPeer {
            rtc,
            credentials,
            fingerprint,
            epoch: self.epoch,
            plan,
            control,
            terminal,
            direct: Vec::new(),
            relayed: Vec::new(),
            resting: Vec::new(),
            path_found: false,
            written: None,
            timeout: None,
            out: VecDeque::new(),
        };
        peer.drive(now, None).unwrap_or_else(|down| peer.out.push_back(PeerOutput::Down(down)));
        peer
    }

    fn capabilities(&self) -> u32 {
        match self.carrier {
            Carrier::Rtp => 0,
            Carrier::Channel => BY_CHANNEL,
        }
    }
}

/// One `Rtc`.
pub struct Str0mPeer {
    rtc: Rtc,
    credentials: IceCreds,
    fingerprint: [u8; 32],
    epoch: Instant,
    plan: PeerPlan,
    control: ChannelId,
    terminal: Terminal,
    /// The direct addresses of ours.
    direct: Vec<str0m::Candidate>,
    /// The local addresses that a TURN server or the rendezvous relays from.
    relayed: Vec<str0m::Candidate>,
    /// The local addresses that rest: the engine does not use them until they are needed.
    resting: Vec<str0m::Candidate>,
    path_found: bool,
    /// When a message was written that the engine has not sent yet, and how many such messages there are.
    written: Option<(Timestamp, usize)>,
    timeout: Option<Instant>,
    out: VecDeque<PeerOutput>,
}

/// The terminal lane of a peer.
enum Terminal {
    /// One stream each way; a sequence number is never used twice under one key.
    Rtp { mid: Mid, next_seq: u64 },
    /// Data channel 1.
    Channel(ChannelId),
}

impl Str0mPeer {
    fn instant(&self, now: Timestamp) -> Instant {
        self.epoch + now.since_start()
    }

    /// One input, then everything that follows from it.
    fn drive(&mut self, now: Timestamp, datagram: Option<Receive<'_>>) -> Result<(), LinkDown> {
        self.written = None;
        let now = self.instant(now);
        let input = match datagram {
            Some(receive) => Input::Receive(now, receive),
            None => Input::Timeout(now),
        };
        self.rtc.handle_input(input).map_err(down)?;
        loop {
            match self.rtc.poll_output().map_err(down)? {
                Output::Timeout(at) => {
                    self.timeout = self.rtc.is_alive().then_some(at);
                    return Ok(());
                }
                Output::Transmit(transmit) => self.out.push_back(PeerOutput::Transmit {
                    source: transmit.source,
                    destination: transmit.destination,
                    bytes: transmit.contents.into(),
                }),
                Output::Event(event) => self.on_event(event),
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "it is open-ended; the rest is about media, statistics and feedback"
    )]
    fn on_event(&mut self, event: Event) {
        let output = match event {
            Event::IceConnectionStateChange(IceConnectionState::Connected | IceConnectionState::Completed) => {
                if std::mem::replace(&mut self.path_found, true) {
                    return;
                }
                PeerOutput::PathFound
            }
            Event::Connected if self.plan.carrier == Carrier::Rtp => PeerOutput::Secured,
            Event::ChannelOpen(id, _) if id == self.control => PeerOutput::ControlOpen,
            Event::ChannelOpen(id, _) if self.is_terminal(id) => PeerOutput::Secured,
            Event::ChannelData(data) if data.id == self.control => PeerOutput::Message(Lane::Control, data.data),
            Event::ChannelData(data) if self.is_terminal(data.id) => PeerOutput::Message(Lane::Terminal, data.data),
            Event::RtpPacket(packet) => PeerOutput::Message(Lane::Terminal, packet.payload.to_vec()),
            Event::ChannelClose(_) | Event::Closed => PeerOutput::Down(LinkDown::Closed),
            _ => return,
        };
        self.out.push_back(output);
    }

    fn is_terminal(&self, id: ChannelId) -> bool {
        matches!(self.terminal, Terminal::Channel(channel) if channel == id)
    }
}

impl Peer for Str0mPeer {
    fn local(&self) -> Option<(String, String, [u8; 32])> {
        Some((self.credentials.ufrag.clone(), self.credentials.pass.clone(), self.fingerprint))
    }

    fn observed_fingerprint(&mut self) -> Option<[u8; 32]> {
        let api = self.rtc.direct_api();
        let seen = api.remote_dtls_fingerprint()?;
        seen.bytes.as_slice().try_into().ok()
    }

    fn add_local(&mut self, now: Timestamp, candidate: Candidate) -> bool {
        let is_direct = candidate.kind != CandidateKind::Relayed;
        let Some(candidate) = for_engine(candidate) else { return false };
        if self.rtc.add_local_candidate(candidate.clone()).is_none() {
            return false;
        }
        if is_direct { &mut self.direct } else { &mut self.relayed }.push(candidate);
        self.drive(now, None).unwrap_or_else(|down| self.out.push_back(PeerOutput::Down(down)));
        true
    }

    fn remove_local(&mut self, now: Timestamp, address: SocketAddr) {
        let gone = self.direct.extract_if(.., |candidate| candidate.addr() == address);
        let gone = gone.chain(self.relayed.extract_if(.., |candidate| candidate.addr() == address));
        self.resting.retain(|candidate| candidate.addr() != address);
        for candidate in gone.collect::<Vec<_>>() {
            self.rtc.direct_api().invalidate_candidate(&candidate);
        }
        self.drive(now, None).unwrap_or_else(|down| self.out.push_back(PeerOutput::Down(down)));
    }

    fn renew(&mut self, now: Timestamp, stays: Option<SocketAddr>) {
        for candidate in self.direct.iter().filter(|candidate| Some(candidate.addr()) != stays) {
            // Local ones can be taken back and given again; of remote ones the engine keeps a discarded twin.
            self.rtc.direct_api().invalidate_candidate(candidate);
            self.rtc.add_local_candidate(candidate.clone());
        }
        self.drive(now, None).unwrap_or_else(|down| self.out.push_back(PeerOutput::Down(down)));
    }

    fn rest(&mut self, now: Timestamp, used: SocketAddr, relay: SocketAddr) {
        let spare = self.direct.iter().filter(|candidate| candidate.addr() != used);
        let spare = spare.chain(self.relayed.iter().filter(|candidate| candidate.addr() == relay));
        for candidate in spare.cloned().collect::<Vec<_>>() {
            // An address that the engine has already given up must not be mistaken for one of the other side.
            if !self.resting.contains(&candidate) {
                self.rtc.direct_api().invalidate_candidate(&candidate);
                self.resting.push(candidate);
            }
        }
        self.drive(now, None).unwrap_or_else(|down| self.out.push_back(PeerOutput::Down(down)));
    }

    fn wake(&mut self, now: Timestamp) {
        for candidate in std::mem::take(&mut self.resting) {
            self.rtc.add_local_candidate(candidate);
        }
        self.drive(now, None).unwrap_or_else(|down| self.out.push_back(PeerOutput::Down(down)));
    }

    fn set_remote(&mut self, now: Timestamp, description: &Description) -> Result<(), LinkDown> {
        let PeerPlan { side, carrier, attempt } = self.plan;
        let active = side == Side::Host;
        let base = u32::from(attempt) * 2;
        let (ours, theirs) = if active { (base, base + 1) } else { (base + 1, base) };
        let mut api = self.rtc.direct_api();
        api.set_remote_ice_credentials(IceCreds {
            ufrag: description.ufrag.clone(),
            pass: description.password.clone(),
        });
        api.set_remote_fingerprint(Fingerprint {
            hash_func: "sha-256".to_owned(),
            bytes: description.fingerprint.to_vec(),
        });
        api.set_ice_controlling(side == carrier.controlling());
        api.start_dtls(active).map_err(down)?;
        api.start_sctp(active);
        if let Terminal::Rtp { mid, .. } = self.terminal {
            api.declare_media(mid, MediaKind::Audio);
            api.declare_stream_tx(ours.into(), None, mid, None).set_rtx_cache(0, Duration::ZERO, None);
            api.expect_stream_rx(theirs.into(), None, mid, None).suppress_nack(true);
        }
        self.drive(now, None)
    }

    fn add_remote(&mut self, now: Timestamp, candidate: Candidate) {
        let Some(candidate) = for_engine(candidate) else { return };
        self.rtc.add_remote_candidate(candidate);
        self.drive(now, None).unwrap_or_else(|down| self.out.push_back(PeerOutput::Down(down)));
    }

    fn accepts(&self, now: Timestamp, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) -> bool {
        Receive::new(Protocol::Udp, source, destination, bytes)
            .is_ok_and(|receive| self.rtc.accepts(&Input::Receive(self.instant(now), receive)))
    }

    fn receive(
        &mut self,
        now: Timestamp,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), LinkDown> {
        match Receive::new(Protocol::Udp, source, destination, bytes) {
            Ok(receive) => self.drive(now, Some(receive)),
            // Not STUN, DTLS, RTP or RTCP.
            Err(_) => Ok(()),
        }
    }

    fn write(&mut self, now: Timestamp, lane: Lane, bytes: &[u8]) -> Result<bool, LinkDown> {
        assert!(bytes.len() <= MAX_FRAME, "the engine panics on large RTP payloads; frames are bounded");
        let wallclock = self.instant(now);
        match (lane, &mut self.terminal) {
            (Lane::Control, _) => {
                let Some(mut channel) = self.rtc.channel(self.control) else { return Ok(false) };
                if !channel.write(true, bytes).map_err(down)? {
                    return Ok(false);
                }
            }
            (Lane::Terminal, Terminal::Rtp { mid, next_seq }) => {
                let mut api = self.rtc.direct_api();
                let Some(stream) = api.stream_tx_by_mid(*mid, None) else { return Ok(false) };
                // The time is 0, so that no latency leaks in clear.
                stream.write_rtp(RtpWrite::new(PAYLOAD_TYPE.into(), (*next_seq).into(), 0, wallclock, bytes));
                *next_seq += 1;
            }
            (Lane::Terminal, Terminal::Channel(channel)) => {
                let Some(mut channel) = self.rtc.channel(*channel) else { return Ok(false) };
                if channel.buffered_amount() > TERMINAL_BUFFER || !channel.write(true, bytes).map_err(down)? {
                    return Ok(false);
                }
            }
        }
        let count = self.written.map_or(1, |(_, count)| count + 1);
        self.written = Some((now, count));
        if count == MAX_WRITTEN {
            self.drive(now, None)?;
        }
        Ok(true)
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), LinkDown> {
        self.drive(now, None)
    }

    fn poll(&mut self) -> Option<PeerOutput> {
        if let Some((now, _)) = self.written
            && let Err(error) = self.drive(now, None)
        {
            self.out.push_back(PeerOutput::Down(error));
        }
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Timestamp> {
        // Rounded up: a tick before the engine's own time would change nothing and be asked for again.
        let at = self.timeout?.saturating_duration_since(self.epoch);
        Some(Timestamp::from(at + Duration::from_nanos(999)))
    }

    fn check(&self) {
        let ours = |rests: &str0m::Candidate| self.direct.contains(rests) || self.relayed.contains(rests);
        assert!(self.resting.iter().all(ours), "only addresses of ours rest");
    }
}

#[cfg(test)]
mod tests;
