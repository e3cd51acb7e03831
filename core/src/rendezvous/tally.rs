//! The counters of a rendezvous since its start, and its present numbers, for the people who operate it: integers
//! without any id, address or name.

use crate::session::link::Refusal;

/// The answer to a host that registers a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// The session has this host now.
    Registered,
    /// The proof of ownership is wrong.
    Taken,
    /// Too many registrations from one address.
    Busy,
    /// No place: of the rendezvous, of the address or of the connection.
    Full,
}

impl Registration {
    /// All of them, in order.
    pub const ALL: [Registration; 4] =
        [Registration::Registered, Registration::Taken, Registration::Busy, Registration::Full];

    /// The refusal that the host is told; `None` if the session is registered.
    pub(super) fn refusal(self) -> Option<Refusal> {
        match self {
            Registration::Registered => None,
            Registration::Taken => Some(Refusal::Taken),
            Registration::Busy => Some(Refusal::Busy),
            Registration::Full => Some(Refusal::Full),
        }
    }
}

/// The answer to a viewer that joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// The host was told of a new link.
    Joined,
    /// A new link waits for a host that is away.
    Waiting,
    /// A viewer came back by a link that was there.
    Again,
    /// There is no such session.
    NoSession,
    /// Too many joins, of the session or from one address.
    Busy,
    /// No place: of the session, of the address or of the connection.
    Full,
    /// The viewer was told to go to another rendezvous, or is carried there.
    Elsewhere,
}

impl Join {
    /// All of them, in order.
    pub const ALL: [Join; 7] =
        [Join::Joined, Join::Waiting, Join::Again, Join::NoSession, Join::Busy, Join::Full, Join::Elsewhere];
}

/// Why the rendezvous closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The peer said nothing for too long.
    Silent,
    /// The peer took no part in any session.
    NoPart,
    /// The peer sent too much nonsense.
    Nonsense,
    /// The host has a newer connection.
    Replaced,
    /// The viewer's host has left for another rendezvous, and the viewer is to come again: this rendezvous ends, or the
    /// viewer does not go there by itself.
    Ending,
}

impl Close {
    /// All of them, in order.
    pub const ALL: [Close; 5] = [Close::Silent, Close::NoPart, Close::Nonsense, Close::Replaced, Close::Ending];
}

/// The counters of a rendezvous since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub(super) registrations: [u64; Registration::ALL.len()],
    pub(super) joins: [u64; Join::ALL.len()],
    pub(super) closed: [u64; Close::ALL.len()],
    /// Envelopes that were passed on.
    pub envelopes: u64,
    /// Datagrams that were passed on.
    pub relayed: u64,
    /// Datagrams that were dropped because their session, the address of their sender or all together had more than is
    /// allowed.
    pub over_rate: u64,
}

impl Tally {
    /// How many registrations were answered so.
    #[must_use]
    pub fn registrations(&self, answer: Registration) -> u64 {
        self.registrations[answer as usize]
    }

    /// How many joins were answered so.
    #[must_use]
    pub fn joins(&self, answer: Join) -> u64 {
        self.joins[answer as usize]
    }

    /// How many connections the rendezvous closed for this reason.
    #[must_use]
    pub fn closed(&self, why: Close) -> u64 {
        self.closed[why as usize]
    }
}

/// The present numbers of a rendezvous.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Connections.
    pub connections: usize,
    /// Sessions whose host is connected.
    pub hosted: usize,
    /// Sessions whose host is away.
    pub away: usize,
    /// Links between hosts and viewers.
    pub links: usize,
}
