//! The link seam: the commands of `Host` and `Viewer` to the layer that carries their links, and its events.
//!
//! A machine sees handles, verdicts and messages. Keys, tokens, MACs, descriptions of peers and datagrams stay below,
//! in
//! [`Endpoint`](crate::endpoint::Endpoint); so a recording lets nobody in, and a simulator can stand in for everything
//! below.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::crypto::sas::Sas;
use crate::id::LinkId;
use crate::role::Role;
use crate::session::address::AddressClass;
use crate::terminal::Size;
use crate::time::Timestamp;

/// The versions of the protocol that this build speaks, newest first.
pub const VERSIONS: &[u16] = &[1];

/// Most characters of a display name.
pub const MAX_NAME: usize = 64;

/// A machine's command for a link, or for the connection to the rendezvous.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Connect to the rendezvous; abandons a connection that is there.
    Dial,
    /// Leave the rendezvous.
    HangUp,
    /// Host: register the session.
    Register,
    /// Host: the session is over.
    Unregister,
    /// Viewer: ask for the session, by this link, in the role of the invite; perhaps as the member that it was on an
    /// earlier link.
    Join(LinkId, Option<LinkId>),
    /// Viewer: the host is there; prove the key and say hello.
    Hello(LinkId, Hello),
    /// Host: turn a viewer away in clear, before or instead of any cryptography.
    Refuse(LinkId, Refusal),
    /// Host: answer an authentic hello.
    Verdict(LinkId, Verdict),
    /// Seal this and bring it to the other side, repeating it until it has arrived.
    Envelope(LinkId, Envelope),
    /// Host: make a peer for this attempt; the offer goes out as an envelope, with what describes the peer filled in
    /// below.
    Open(LinkId, Attempt),
    /// Take up the other side's description: the viewer makes its peer from the offer, the host completes its own with
    /// the answer.
    Accept(LinkId, Attempt),
    /// Try this address of the other side.
    Candidate(LinkId, Attempt, Candidate),
    /// Send on a lane. Only after `Confirmed`, and on the control lane only after `ControlUp`.
    Send(LinkId, Lane, Vec<u8>),
    /// End the link and forget it.
    Close(LinkId),
    /// Have the direct paths of a link prove themselves anew.
    Renew(LinkId),
    /// Keep the key that proves who was on this confirmed link, so that the member can come back on another link.
    Keep(LinkId),
    /// The member of this link will not come back.
    Release(LinkId),
    /// Host: other links let people in from now on. Members stay, and may come back.
    Rotate,
    /// Viewer: as [`Dial`](Command::Dial), but connect to the rendezvous at this URL.
    DialAt(String),
    /// Host: connect to the rendezvous a second time, register the session there, and only then leave the connection
    /// that is there. [`Moved`](Event::Moved), [`NotMoved`](Event::NotMoved) or [`SignalDown`](Event::SignalDown)
    /// follows.
    Move,
}

/// An event on a link, or on the connection to the rendezvous.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Connected to the rendezvous.
    SignalUp,
    /// The connection to the rendezvous ended, or could not be made; the cause is for people.
    SignalDown(String),
    /// Host: the rendezvous has the session.
    Registered,
    /// Host: a viewer asks to join. Viewer: the host has been told.
    Joined {
        /// The link it will be.
        link: LinkId,
        /// The role it claims; proved by `Hello` only.
        role: Role,
        /// The versions the viewer speaks.
        versions: Vec<u16>,
        /// The link it was on before, as it claims; proved by `Hello` as well.
        resumes: Option<LinkId>,
        /// Host: where it is, as the rendezvous says.
        from: Option<AddressClass>,
    },
    /// Viewer: the session is registered, but its host is away. Also of a link that stands, when the rendezvous loses
    /// the host.
    Waiting(LinkId),
    /// Turned away, in clear.
    Refused(Option<LinkId>, Refusal),
    /// Host: the number of joins that the rendezvous has refused, because too many came at once.
    TurnedAway(u64),
    /// The rendezvous lost the other side of this link.
    Gone(LinkId),
    /// A message on this link was forged; it was dropped.
    Forged(LinkId),
    /// Host: an authentic hello by a link from before the links changed.
    Outdated(LinkId),
    /// Host: an authentic hello.
    Hello(LinkId, Role, Hello),
    /// The handshake's transcript is complete, on both sides the same; before a viewer's verdict.
    Sas(LinkId, Sas),
    /// Viewer: the authentic answer to it.
    Verdict(LinkId, Verdict),
    /// An authentic envelope, once.
    Envelope(LinkId, Envelope),
    /// The peer of this attempt got further.
    Progress(LinkId, Attempt, Progress),
    /// The other side can reach the peer of this attempt at this candidate.
    Candidate(LinkId, Attempt, Candidate),
    /// Both sides have proved to each other who they are.
    Confirmed(LinkId, Attempt, Path),
    /// The control lane is open, both ways.
    ControlUp(LinkId, Attempt),
    /// A message of a confirmed peer.
    Message(LinkId, Lane, Vec<u8>),
    /// The peer of this attempt is of no more use.
    Down(LinkId, Attempt, LinkDown),
    /// A confirmed link goes another way now: through the relay, or direct again.
    Path(LinkId, Attempt, Path),
    /// This machine woke from sleep or changed its network. The state of links may be out of date.
    Woken,
    /// Viewer: the host of this link is at the rendezvous at this URL.
    Elsewhere(LinkId, String),
    /// Host: the rendezvous ends, and the host is to dial again within so many seconds.
    Move(u32),
    /// Host: the session is registered on a new connection, and the earlier one is left.
    Moved,
    /// Host: the session could not be registered on a new connection; the earlier one stays. The cause is for people.
    NotMoved(String),
}

/// Counts the peers that were made for one link; the highest is the one that counts.
pub type Attempt = u16;

/// The two streams inside a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lane {
    /// Reliable and in order: data channel 0.
    Control,
    /// Datagrams, lost or late: one RTP stream each way.
    Terminal,
}

/// A capability: what the program puts into the clipboard is to be told.
pub const WANTS_CLIPBOARD: u32 = 1;

/// A capability: the viewer wants to be told who else is here.
pub const WANTS_MEMBERS: u32 = 2;

/// A capability: lines may have blinking and overlined cells.
pub const KNOWS_BLINK: u32 = 4;

/// A capability: the terminal lane is to be data channel 1. The viewer controls in ICE.
pub const BY_CHANNEL: u32 = 8;

/// A capability: the viewer takes no datagrams that the rendezvous relays.
pub const NO_RELAY: u32 = 16;

/// A capability: the viewer is the page of a browser.
pub const IN_BROWSER: u32 = 32;

/// A capability: line commits may say that a line above the window repeats another one.
pub const KNOWS_REPEATS: u32 = 64;

/// A viewer's first message, sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// A name for people; printable, at most [`MAX_NAME`] characters.
    pub name: String,
    /// The size of its terminal.
    pub size: Option<Size>,
    /// Most lines of history that it wants: of what was there before it, and of what it may fall behind.
    pub history: u32,
    /// The viewer's abilities and wishes, as bits: [`WANTS_CLIPBOARD`], [`WANTS_MEMBERS`], [`KNOWS_BLINK`],
    /// [`BY_CHANNEL`], [`NO_RELAY`], [`IN_BROWSER`], [`KNOWS_REPEATS`]. The engine adds those of the lane and the
    /// browser.
    pub capabilities: u32,
}

impl Hello {
    /// Whether a capability is there.
    pub fn has(&self, capability: u32) -> bool {
        self.capabilities & capability != 0
    }

    /// The program that says hello.
    pub fn client(&self) -> Client {
        if self.has(IN_BROWSER) { Client::Browser } else { Client::Beach }
    }
}

/// The program of a viewer, as the viewer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Client {
    /// beach.
    Beach,
    /// The page, in a browser.
    Browser,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Client::Beach => "beach",
            Client::Browser => "browser",
        })
    }
}

/// The host's answer to a hello, sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// An offer follows.
    Accepted,
    /// A person decides; `Envelope::Verdict` follows.
    Waiting,
    /// No.
    Refused(Refusal),
}

/// Why somebody was turned away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The rendezvous does not know the session.
    #[error("there is no such session")]
    NoSession,
    /// The key belongs to another session or to another role.
    #[error("the session has another key")]
    WrongKey,
    /// Sealed with the invite's key, but not by the host that the session id names.
    #[error("the answer is not from the host that the link names")]
    WrongHost,
    /// The host speaks none of the viewer's versions.
    #[error("the host speaks other protocol versions ({})", list(.0))]
    Version(Vec<u16>),
    /// There are as many members, links or connections as allowed.
    #[error("the session is full")]
    Full,
    /// The host said no.
    #[error("the host said no")]
    Denied,
    /// Too much, too often, or not understood.
    #[error("the rendezvous refused the request")]
    Misuse,
    /// Another host has registered this session.
    #[error("another host holds this session")]
    Taken,
    /// A viewer was away for longer than the host keeps its place.
    #[error("the host has given the place of this viewer away")]
    Forgotten,
    /// The link let in whom it was for.
    #[error("the link was for one viewer, and somebody has used it")]
    Used,
    /// The link lets nobody in any more.
    #[error("the link has expired")]
    Expired,
    /// More viewers join at once than the rendezvous lets through.
    #[error("too many people are joining at once")]
    Busy,
    /// The host lets in no viewer whose program is a browser.
    #[error("the host lets no browsers in")]
    NoBrowsers,
    /// The host knows no data channel for the terminal lane, and the viewer no other.
    #[error("the host has an older version of beach, which no browser can join")]
    OldHost,
}

fn list(versions: &[u16]) -> String {
    versions.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

/// The messages of the two sides of a handshake after the hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Envelope {
    /// Host: the peer of this attempt is ready.
    Offer(Attempt),
    /// Viewer: so is mine.
    Answer(Attempt),
    /// The sender may be reached at this address.
    Candidate(Attempt, Candidate),
    /// Host: the answer to a hello that had to wait.
    Verdict(Verdict),
    /// The peer of this attempt failed here, and why; the other side may only have seen silence.
    Failed(Attempt, LinkDown),
    /// The sender leaves.
    Goodbye,
}

/// How an address was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CandidateKind {
    /// An address of this machine.
    Host,
    /// An address that a STUN server saw.
    ServerReflexive,
    /// An address that the other side saw.
    PeerReflexive,
    /// A relay's.
    Relayed,
}

/// An address where one side may be reached over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Candidate {
    /// How the address was found.
    pub kind: CandidateKind,
    /// Where.
    pub address: SocketAddr,
}

/// How far a peer got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Progress {
    /// A path answered: DTLS begins.
    Securing,
    /// DTLS is up: the MACs travel.
    Confirming,
}

/// The path that a link uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// The address of this side.
    pub local: SocketAddr,
    /// The address of the other side.
    pub remote: SocketAddr,
    /// The kind of server between the two sides, if any.
    pub kind: PathKind,
}

/// The kind of server between the two ends of a path, if any. No such server can read the datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    /// Only the network.
    Direct,
    /// A TURN server, of either side.
    Turn,
    /// The rendezvous.
    Relay,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            PathKind::Direct => write!(f, "{} → {}", self.local, self.remote),
            PathKind::Turn => write!(f, "through a TURN server, {} → {}", self.local, self.remote),
            PathKind::Relay => f.write_str("through the rendezvous"),
        }
    }
}

/// Why a peer is of no more use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum LinkDown {
    /// No socket could be opened.
    #[error("no usable network address")]
    NoAddress,
    /// DTLS met a certificate that signalling did not announce.
    #[error("the other side's certificate is not the announced one")]
    WrongCertificate,
    /// The confirmation MAC does not hold.
    #[error("the other side's confirmation is wrong")]
    Unconfirmed,
    /// Something other than a confirmation came on the control lane before the confirmation.
    #[error("the other side sent data before its confirmation")]
    SpokeTooEarly,
    /// More messages wait for the control lane than a viewer may make wait.
    #[error("the control lane is congested")]
    Congested,
    /// The control lane closed.
    #[error("the other side closed the link")]
    Closed,
    /// Nothing was heard for too long.
    #[error("the other side fell silent")]
    Silent,
    /// The engine gave up; the cause is for people.
    #[error("{0}")]
    Engine(String),
    /// A message was longer than any frame is.
    #[error("the other side sent a message that is too long")]
    Oversized,
}

impl LinkDown {
    /// Whether the network may be at fault, not the other side, so that the member or host may come back.
    pub(crate) fn is_excusable(&self) -> bool {
        match self {
            LinkDown::NoAddress | LinkDown::Closed | LinkDown::Silent | LinkDown::Engine(_) => true,
            LinkDown::WrongCertificate
            | LinkDown::Unconfirmed
            | LinkDown::SpokeTooEarly
            | LinkDown::Congested
            | LinkDown::Oversized => false,
        }
    }
}

/// A machine whose outputs are partly for the links.
pub trait LinkUser: crate::machine::Machine<Input: From<Event>> {
    /// The outputs that are for the runtime.
    type ForRuntime;

    /// The names of the timers that are due at `now`, each with its link if there is one, for the log: those of the
    /// handshake, the membership and the end. Timers that run all the time, such as a frame's, are left out.
    fn due(&self, now: Timestamp) -> Vec<(Option<LinkId>, String)>;

    /// Parts the outputs for the links from those for the runtime.
    ///
    /// # Errors
    /// The output, if it is for the runtime.
    fn split(output: Self::Output) -> Result<Command, Self::ForRuntime>;

    /// How the machine has ended, if this output says that; for recordings.
    fn ending(output: &Self::ForRuntime) -> Option<String>;
}

/// The command type of outputs that are for the runtime. No value of it exists, so a runtime needs no arm for commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoCommand {}
