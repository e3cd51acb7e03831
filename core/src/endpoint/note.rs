//! Notes: the steps of a handshake, as a log or a recording tells them and as simulations assert them.
//!
//! A note names things and sizes. No note holds a key, a token, a credential, or what somebody typed or saw.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::ice::relay;
use crate::id::LinkId;
use crate::session::link::{Attempt, Candidate, CandidateKind, LinkDown, Path, Refusal, Verdict};
use crate::side::Side;

/// A step of a handshake: its link, the attempt of that link, and the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The link; `None` for what concerns the whole endpoint.
    pub link: Option<LinkId>,
    /// The attempt; 0 before the first one.
    pub attempt: Attempt,
    /// The event.
    pub step: Step,
}

/// The first four bytes of a certificate's SHA-256: enough to compare two logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortFingerprint(pub [u8; 4]);

impl ShortFingerprint {
    pub(crate) fn of(fingerprint: &[u8; 32]) -> ShortFingerprint {
        let [a, b, c, d, ..] = *fingerprint;
        ShortFingerprint([a, b, c, d])
    }
}

/// Our address and the other side's.
pub type Pair = (SocketAddr, SocketAddr);

/// The negotiated DTLS version and cipher suite, as numbers on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DtlsParameters {
    /// 0xfefd is DTLS 1.2, 0xfefc is DTLS 1.3.
    pub version: u16,
    /// The suite's number in the IANA registry.
    pub cipher: u16,
}

/// The event of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A message left for the rendezvous: its kind, and its size in bytes.
    SignalSent(&'static str, usize),
    /// A message of the rendezvous arrived.
    SignalReceived(&'static str, usize),
    /// A message of the rendezvous made no sense.
    SignalNotUnderstood,
    /// The connection to the rendezvous stands.
    SignalUp,
    /// The connection to the rendezvous is gone, and why.
    SignalDown(String),
    /// Viewer: the first message of the key exchange left.
    HelloSent,
    /// Host: the first message of the key exchange arrived, and is authentic.
    HelloReceived,
    /// Host: a verdict left.
    VerdictSent(Verdict),
    /// Viewer: a verdict arrived.
    VerdictReceived(Verdict),
    /// Host: a viewer was turned away in clear.
    RefusalSent(Refusal),
    /// A refusal of the rendezvous, or of the host in clear, arrived.
    RefusalReceived(Refusal),
    /// An envelope was dropped, or could not be made.
    EnvelopeDropped(String),
    /// A peer was made.
    PeerMade(Side),
    /// Host: the peer's description is ready.
    OfferMade(ShortFingerprint),
    /// Host: the description left.
    OfferSent(ShortFingerprint),
    /// Viewer: the host's description arrived.
    OfferReceived(ShortFingerprint),
    /// Viewer: the peer's description is ready.
    AnswerMade(ShortFingerprint),
    /// Viewer: the description left.
    AnswerSent(ShortFingerprint),
    /// Host: the viewer's description arrived.
    AnswerReceived(ShortFingerprint),
    /// An address of ours was found.
    CandidateFound(Candidate),
    /// An address of ours was told to the other side.
    CandidateSent(Candidate),
    /// An address of the other side arrived.
    CandidateReceived(Candidate),
    /// A pair of addresses was checked for the first time.
    CheckSent(Pair),
    /// The other side answered a check of a pair for the first time.
    CheckAnswered(Pair),
    /// A path answered: the engine may use it.
    PathFound,
    /// The first path in use, or another one than before.
    PathUsed(Path),
    /// The first DTLS datagram left or arrived.
    DtlsBegun,
    /// DTLS is done; the parameters if they were seen.
    DtlsDone(Option<DtlsParameters>),
    /// Our confirmation left; how often by now.
    ConfirmationSent(u32),
    /// The other side's confirmation arrived, and holds.
    ConfirmationReceived,
    /// The terminal lane is open: both sides have confirmed who they are.
    TerminalLaneOpen,
    /// The control lane is open.
    ControlLaneOpen,
    /// This many envelopes were repeated, since nothing has acknowledged them.
    Repeated(usize),
    /// A fresh peer replaces the peer, which waited too long for this.
    FreshAttempt(Missing, Duration),
    /// A side gave this attempt up and told the other.
    FailureSent(LinkDown),
    /// The other side gave this attempt up.
    FailureReceived(LinkDown),
    /// The peer of this attempt is of no more use.
    Down(LinkDown),
    /// The other side is gone from the rendezvous.
    Gone,
    /// A goodbye left.
    GoodbyeSent,
    /// A goodbye arrived.
    GoodbyeReceived,
    /// The link ended; what was missing until it would have been up.
    Closed(Option<Missing>),
    /// A STUN server sees this socket so.
    Seen(Pair),
    /// A TURN server relays at this address.
    Allocated(SocketAddr),
    /// A TURN server relays there no more.
    Released(SocketAddr),
    /// The addresses of this machine changed.
    Moved,
    /// Host: the session is registered at another rendezvous, and the earlier one is left.
    RendezvousChanged,
    /// Host: the session could not be registered at another rendezvous, and why.
    RendezvousKept(String),
    /// The computer slept for this long.
    Slept(Duration),
    /// A timer of the machine is due; its name.
    TimerDue(String),
}

/// The next thing that a handshake waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// Viewer: that the rendezvous tells the host.
    Joined,
    /// Host: the first message of the key exchange.
    Hello,
    /// Viewer: the host's answer to that message.
    Verdict,
    /// Host: the own decision.
    Decision,
    /// Viewer: the host's description.
    Offer,
    /// Host: the viewer's description.
    Answer,
    /// An address of the other side.
    RemoteCandidates,
    /// An address of this side.
    LocalCandidates,
    /// An answer to a check, and how many pairs were checked.
    CheckAnswers(usize),
    /// The end of DTLS.
    Dtls,
    /// The other side's confirmation.
    Confirmation,
    /// The control lane.
    ControlLane,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.link, self.attempt) {
            (Some(link), 0) => write!(f, "link {link}: {}", self.step),
            (Some(link), attempt) => write!(f, "link {link}, attempt {attempt}: {}", self.step),
            (None, _) => write!(f, "{}", self.step),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::SignalSent(kind, bytes) => write!(f, "signal sent: {kind}, {bytes} bytes"),
            Step::SignalReceived(kind, bytes) => write!(f, "signal received: {kind}, {bytes} bytes"),
            Step::SignalNotUnderstood => f.write_str("the rendezvous said something that is not understood"),
            Step::SignalUp => f.write_str("the rendezvous is connected"),
            Step::SignalDown(cause) => write!(f, "the rendezvous is not connected: {cause}"),
            Step::HelloSent => f.write_str("hello sent"),
            Step::HelloReceived => f.write_str("hello received"),
            Step::VerdictSent(verdict) => write!(f, "verdict sent: {}", words(verdict)),
            Step::VerdictReceived(verdict) => write!(f, "verdict received: {}", words(verdict)),
            Step::RefusalSent(refusal) => write!(f, "refused: {refusal}"),
            Step::RefusalReceived(refusal) => write!(f, "refusal received: {refusal}"),
            Step::EnvelopeDropped(cause) => write!(f, "an envelope was dropped: {cause}"),
            Step::PeerMade(Side::Host) => f.write_str("peer made: it offers and controls"),
            Step::PeerMade(Side::Viewer) => f.write_str("peer made: it answers"),
            Step::OfferMade(fingerprint) => write!(f, "offer made, fingerprint {fingerprint}"),
            Step::OfferSent(fingerprint) => write!(f, "offer sent, fingerprint {fingerprint}"),
            Step::OfferReceived(fingerprint) => write!(f, "offer received, fingerprint {fingerprint}"),
            Step::AnswerMade(fingerprint) => write!(f, "answer made, fingerprint {fingerprint}"),
            Step::AnswerSent(fingerprint) => write!(f, "answer sent, fingerprint {fingerprint}"),
            Step::AnswerReceived(fingerprint) => write!(f, "answer received, fingerprint {fingerprint}"),
            Step::CandidateFound(candidate) => write!(f, "candidate found: {}", Told(candidate)),
            Step::CandidateSent(candidate) => write!(f, "candidate sent: {}", Told(candidate)),
            Step::CandidateReceived(candidate) => write!(f, "candidate received: {}", Told(candidate)),
            Step::CheckSent((local, remote)) => write!(f, "first check sent: {}", Between(*local, *remote)),
            Step::CheckAnswered((local, remote)) => write!(f, "first check answered: {}", Between(*local, *remote)),
            Step::PathFound => f.write_str("a path answered"),
            Step::PathUsed(path) => write!(f, "path in use: {path}"),
            Step::DtlsBegun => f.write_str("DTLS begun"),
            Step::DtlsDone(Some(parameters)) => write!(f, "DTLS done: {parameters}"),
            Step::DtlsDone(None) => f.write_str("DTLS done"),
            Step::ConfirmationSent(1) => f.write_str("confirmation sent"),
            Step::ConfirmationSent(times) => write!(f, "confirmation sent again, {times} times now"),
            Step::ConfirmationReceived => f.write_str("confirmation received: it holds"),
            Step::TerminalLaneOpen => f.write_str("confirmed: the terminal lane is open"),
            Step::ControlLaneOpen => f.write_str("the control lane is open"),
            Step::Repeated(count) => write!(f, "repeated, since not acknowledged: {count} envelopes"),
            Step::FreshAttempt(missing, after) => {
                write!(f, "a fresh attempt, since {missing} did not come within {} s", after.as_secs())
            }
            Step::FailureSent(down) => write!(f, "gave up, and told the other side: {down}"),
            Step::FailureReceived(down) => write!(f, "the other side gave up: {down}"),
            Step::Down(down) => write!(f, "the peer failed: {down}"),
            Step::Gone => f.write_str("the other side is gone from the rendezvous"),
            Step::GoodbyeSent => f.write_str("goodbye sent"),
            Step::GoodbyeReceived => f.write_str("goodbye received"),
            Step::Closed(None) => f.write_str("closed"),
            Step::Closed(Some(missing)) => write!(f, "closed before it was up: {missing} did not come"),
            Step::Seen((local, mapped)) => write!(f, "{local} is seen as {mapped}"),
            Step::Allocated(address) => write!(f, "a TURN server relays at {address}"),
            Step::Released(address) => write!(f, "a TURN server does not relay at {address} any more"),
            Step::Moved => f.write_str("the addresses of this machine changed"),
            Step::RendezvousChanged => f.write_str("registered at another rendezvous"),
            Step::RendezvousKept(cause) => write!(f, "not registered at another rendezvous yet: {cause}"),
            Step::TimerDue(timer) => write!(f, "the timer {timer} is due"),
            Step::Slept(span) => write!(f, "nothing was done for {} s", span.as_secs()),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Missing::Joined => "the rendezvous' word that the host was told",
            Missing::Hello => "the viewer's hello",
            Missing::Verdict => "the host's answer to the hello",
            Missing::Decision => "the host's decision",
            Missing::Offer => "the host's offer",
            Missing::Answer => "the viewer's answer",
            Missing::RemoteCandidates => "any address of the other side",
            Missing::LocalCandidates => "any address of this side",
            Missing::CheckAnswers(pairs) => return write!(f, "an answer to the checks of {pairs} pairs of addresses"),
            Missing::Dtls => "the end of DTLS",
            Missing::Confirmation => "the other side's confirmation",
            Missing::ControlLane => "the control lane",
        })
    }
}

impl fmt::Display for ShortFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Display for DtlsParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            0xfefc => f.write_str("version 1.3, ")?,
            0xfefd => f.write_str("version 1.2, ")?,
            other => write!(f, "version {other:#06x}, ")?,
        }
        // The names are those of the IANA registry "TLS Cipher Suites".
        match self.cipher {
            0x1301 => f.write_str("TLS_AES_128_GCM_SHA256"),
            0x1302 => f.write_str("TLS_AES_256_GCM_SHA384"),
            0x1303 => f.write_str("TLS_CHACHA20_POLY1305_SHA256"),
            0xc02b => f.write_str("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
            0xc02c => f.write_str("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
            0xcca9 => f.write_str("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
            other => write!(f, "cipher suite {other:#06x}"),
        }
    }
}

/// A candidate in words.
struct Told<'a>(&'a Candidate);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0.kind {
            CandidateKind::Host => "host",
            CandidateKind::ServerReflexive => "server reflexive",
            CandidateKind::PeerReflexive => "peer reflexive",
            CandidateKind::Relayed => "relayed",
        };
        if relay::is_relayed(self.0.address) {
            f.write_str("relayed, the rendezvous")
        } else {
            write!(f, "{kind}, {}", self.0.address)
        }
    }
}

/// A pair in words.
struct Between(SocketAddr, SocketAddr);

impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if relay::is_relayed(self.1) {
            f.write_str("through the rendezvous")
        } else {
            write!(f, "{} → {}", self.0, self.1)
        }
    }
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted => "accepted".to_owned(),
        Verdict::Waiting => "a person decides".to_owned(),
        Verdict::Refused(refusal) => format!("refused, {refusal}"),
    }
}
