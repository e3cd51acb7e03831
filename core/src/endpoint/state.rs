//! The state of a link in an endpoint: its sealing, its current peer, and the MACs on their way.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::crypto::channel::Channel;
use crate::crypto::confirmation::Confirmation;
use crate::crypto::noise::{Initiator, Responder};
use crate::ice::path_monitor::{PathMonitor, RoundTrips};
use crate::id::{LinkId, SessionId};
use crate::peer::engine::{Carrier, Peer};
use crate::role::Role;
use crate::session::link::{Attempt, Candidate, Envelope, Lane, Path, PathKind};
use crate::support::backoff::Backoff;
use crate::time::{Timestamp, earliest};
use crate::wire::sealed::Description;

use super::SILENCE;
use super::story::Story;

/// A link, below the seam.
pub(super) struct Link<P> {
    /// Claimed until the seal is open, then proved.
    pub(super) role: Role,
    pub(super) versions: Vec<u16>,
    /// Viewer: the whole id of the session, once the rendezvous has told the id.
    pub(super) session: Option<SessionId>,
    /// The link whose member comes back on this one.
    pub(super) resumes: Option<LinkId>,
    /// The rendezvous has told that the link is closed there. A viewer may join again by the same link: until then this
    /// side has nothing to close there.
    pub(super) is_closed: bool,
    /// The rendezvous carries its datagrams, and may.
    pub(super) relay: bool,
    /// The other side takes datagrams from the rendezvous.
    pub(super) takes_relay: bool,
    /// The carrier of the terminal lane.
    pub(super) carrier: Carrier,
    pub(super) seal: Seal,
    /// The newest description of the other side.
    pub(super) remote: Option<(Attempt, Description)>,
    pub(super) early: Vec<(Attempt, Candidate)>,
    pub(super) live: Option<Live<P>>,
}

/// How far the sealing of a link is.
pub(super) enum Seal {
    /// Host: a viewer asked to join; its message 1 is awaited. Viewer: the machine has not said hello yet.
    Nothing,
    /// Viewer: message 1 is out.
    Sent { initiator: Box<Initiator>, again: Timestamp, backoff: Backoff },
    /// Host: message 1 was authentic; the machine decides.
    Proved { responder: Box<Responder>, first: Vec<u8> },
    /// Both messages have passed. The host keeps them, in case message 2 was lost.
    Open { channel: Box<Channel>, first: Vec<u8>, second: Vec<u8> },
}

/// The current peer of a link.
pub(super) struct Live<P> {
    pub(super) attempt: Attempt,
    pub(super) peer: P,
    /// Our half of the confirmation key.
    pub(super) half: [u8; 32],
    pub(super) state: LinkState,
    /// The envelope that waits for the peer's description.
    pub(super) undescribed: Option<Envelope>,
    pub(super) detours: Detours,
    /// The engine's data channel is open.
    pub(super) control_open: bool,
    /// How many records of the control lane were sent twice.
    pub(super) doubled: u8,
    pub(super) heard_at: Timestamp,
    /// Addresses of the other side that the engine was given.
    pub(super) remotes: usize,
    /// The path that lane datagrams took last.
    pub(super) path: Option<Path>,
    pub(super) round_trips: RoundTrips,
    pub(super) watch: PathMonitor,
    pub(super) outbox: VecDeque<(Lane, Vec<u8>)>,
    pub(super) inbox: VecDeque<(Lane, Vec<u8>)>,
    pub(super) story: Story,
}

/// The paths of a link that are not direct: through the rendezvous, and through TURN servers.
#[derive(Default)]
pub(super) struct Detours {
    /// Whether the link may change between direct paths and detours, in either direction.
    pub(super) renews: bool,
    /// Datagrams for a suspect path go through the rendezvous as well.
    pub(super) copies: bool,
    /// Where TURN servers relay for the other side.
    pub(super) turned: Vec<SocketAddr>,
    /// When the relay is tried as well.
    pub(super) relay_at: Option<Timestamp>,
}

/// How far the current peer of a link is. A peer only moves forward; a fresh attempt begins with a fresh peer.
pub(super) enum LinkState {
    /// This side's description is made; the other side's is awaited.
    Offered,
    /// Both descriptions are known: checks and DTLS are under way.
    Accepted,
    /// DTLS is done: the MACs travel.
    Confirming(Confirming),
    /// Both MACs hold: the terminal lane may be used. The MACs stay, since the other side may have missed one.
    Confirmed(Confirming),
    /// The control lane may be used as well.
    Up(Confirming),
    /// As `Up`, but nothing was heard for [`SILENCE`], and the machine was told so, once.
    Silent(Confirming),
}

impl LinkState {
    /// Whether both descriptions are known.
    pub(super) fn is_accepted(&self) -> bool {
        !matches!(self, LinkState::Offered)
    }

    /// Whether the terminal lane may be used.
    pub(super) fn is_confirmed(&self) -> bool {
        match self {
            LinkState::Offered | LinkState::Accepted | LinkState::Confirming(_) => false,
            LinkState::Confirmed(_) | LinkState::Up(_) | LinkState::Silent(_) => true,
        }
    }

    /// Whether the control lane may be used.
    pub(super) fn is_up(&self) -> bool {
        match self {
            LinkState::Offered | LinkState::Accepted | LinkState::Confirming(_) | LinkState::Confirmed(_) => false,
            LinkState::Up(_) | LinkState::Silent(_) => true,
        }
    }

    /// The MACs; `None` before DTLS is done.
    pub(super) fn confirming(&self) -> Option<&Confirming> {
        match self {
            LinkState::Offered | LinkState::Accepted => None,
            LinkState::Confirming(confirming)
            | LinkState::Confirmed(confirming)
            | LinkState::Up(confirming)
            | LinkState::Silent(confirming) => Some(confirming),
        }
    }

    /// The MACs, to be changed; `None` before DTLS is done.
    pub(super) fn confirming_mut(&mut self) -> Option<&mut Confirming> {
        match self {
            LinkState::Offered | LinkState::Accepted => None,
            LinkState::Confirming(confirming)
            | LinkState::Confirmed(confirming)
            | LinkState::Up(confirming)
            | LinkState::Silent(confirming) => Some(confirming),
        }
    }

    /// Moves one step on if the step's condition holds; whether the state moved.
    pub(super) fn advance(&mut self, step: Advance) -> bool {
        let (state, moved) = match (std::mem::replace(self, LinkState::Offered), step) {
            (LinkState::Offered, Advance::Accepted) => (LinkState::Accepted, true),
            (LinkState::Confirming(macs), Advance::Confirmed) if macs.is_done() => (LinkState::Confirmed(macs), true),
            (LinkState::Confirmed(macs), Advance::ControlOpen) => (LinkState::Up(macs), true),
            (LinkState::Up(macs), Advance::Silent) => (LinkState::Silent(macs), true),
            (state, _) => (state, false),
        };
        *self = state;
        moved
    }
}

/// The events that move a link on.
#[derive(Clone, Copy)]
pub(super) enum Advance {
    /// The other side's description was given to the engine.
    Accepted,
    /// A path carries, and both MACs may hold.
    Confirmed,
    /// The data channel is open.
    ControlOpen,
    /// Nothing was heard for [`SILENCE`].
    Silent,
}

/// Two MACs on their way.
pub(super) struct Confirming {
    pub(super) keys: Confirmation,
    pub(super) own_fingerprint: [u8; 32],
    pub(super) observed: [u8; 32],
    pub(super) mac: [u8; 32],
    /// The other side's MAC holds: it may be heard.
    pub(super) verified: bool,
    /// The other side says that ours holds: it may be spoken to.
    pub(super) acknowledged: bool,
    pub(super) again: Timestamp,
    pub(super) backoff: Backoff,
}

impl Confirming {
    pub(super) fn is_done(&self) -> bool {
        self.verified && self.acknowledged
    }
}

impl<P> Link<P> {
    pub(super) fn new(role: Role, versions: Vec<u16>, resumes: Option<LinkId>) -> Link<P> {
        Link {
            role,
            versions,
            session: None,
            resumes,
            is_closed: false,
            relay: false,
            takes_relay: true,
            carrier: Carrier::default(),
            seal: Seal::Nothing,
            remote: None,
            early: Vec::new(),
            live: None,
        }
    }

    pub(super) fn sealing_deadline(&self) -> Option<Timestamp> {
        match &self.seal {
            Seal::Sent { again, .. } => Some(*again),
            Seal::Open { channel, .. } => channel.deadline(),
            Seal::Nothing | Seal::Proved { .. } => None,
        }
    }
}

impl<P: Peer> Link<P> {
    /// When the link has to be looked at although nothing happens.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        earliest(self.sealing_deadline(), self.live.as_ref().and_then(Live::deadline))
    }
}

impl<P: Peer> Live<P> {
    pub(super) fn new(now: Timestamp, attempt: Attempt, peer: P, half: [u8; 32]) -> Live<P> {
        Live {
            attempt,
            peer,
            half,
            state: LinkState::Offered,
            undescribed: None,
            detours: Detours::default(),
            control_open: false,
            doubled: 0,
            heard_at: now,
            remotes: 0,
            path: None,
            round_trips: RoundTrips::default(),
            watch: PathMonitor::default(),
            outbox: VecDeque::new(),
            inbox: VecDeque::new(),
            story: Story::default(),
        }
    }

    /// How the peer describes itself; `None` if it does not yet.
    pub(super) fn description(&self) -> Option<Description> {
        let (ufrag, password, fingerprint) = self.peer.local()?;
        Some(Description { ufrag, password, fingerprint, half: self.half })
    }

    /// When the link counts as down if nothing is heard until then; `None` if its engine notices that by itself.
    pub(super) fn silent_at(&self) -> Option<Timestamp> {
        self.peer.number().is_none().then(|| self.heard_at + SILENCE)
    }

    /// Whether the path passes through a TURN server or the rendezvous.
    pub(super) fn is_detour(&self) -> bool {
        self.path.is_some_and(|path| path.kind != PathKind::Direct)
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let confirming = self.state.confirming().filter(|confirming| !confirming.acknowledged);
        let silence = self.silent_at().filter(|_| matches!(self.state, LinkState::Up(_)));
        let renewal = self.watch.renewal(self.is_detour()).filter(|_| self.detours.renews && self.state.is_confirmed());
        let deadline = earliest(earliest(self.peer.deadline(), silence), earliest(self.detours.relay_at, renewal));
        earliest(deadline, confirming.map(|confirming| confirming.again))
    }
}
