//! The end of a rendezvous: hosts go to another one first, if there are several, and handshakes finish.

use std::time::Duration;

use super::{ConnectionId, Rendezvous};
use crate::time::Timestamp;
use crate::wire::signal::FromRendezvous;

/// Without an envelope for so long no handshake is under way: they repeat what is not answered twice as often at first.
/// After the last host has left, a look-up takes half of this time at most, so that all viewers know where their hosts
/// are.
const QUIET: Duration = Duration::from_secs(2);

/// A rendezvous that is the only one, and shall end, waits for handshakes at most this long.
pub const DRAINED_WITHIN: Duration = Duration::from_secs(10);

/// A rendezvous that is one of several, and shall end, sends so many hosts a second to the others: several times fewer
/// than one of those can register.
pub const MOVES_A_SECOND: usize = 500;

/// A rendezvous that ends sends the last host away this late, however many hosts there are.
pub const MOVES_WITHIN: Duration = Duration::from_secs(20);

/// A rendezvous that ends waits for its hosts at most this long: hosts that go late have time for a second try.
pub const MOVED_WITHIN: Duration = Duration::from_secs(30);

impl Rendezvous {
    /// Begins to end.
    pub(super) fn drain(&mut self, now: Timestamp) {
        let within = if self.directory.is_some() { MOVED_WITHIN } else { DRAINED_WITHIN };
        self.drained_by.get_or_insert(now + within);
        let hosts = self.connections.iter().filter(|(_, connection)| !connection.hosts.is_empty());
        for host in hosts.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.send_on(host);
        }
    }

    /// Whether this rendezvous ends, and others go on.
    pub(super) fn hands_over(&self) -> bool {
        self.drained_by.is_some() && self.directory.is_some()
    }

    /// Tells a host to go to another rendezvous, if there are several and this one ends.
    pub(super) fn send_on(&mut self, host: ConnectionId) {
        if let (Some(_), Some(directory)) = (self.drained_by, &self.directory) {
            let seconds = (directory.movable() / MOVES_A_SECOND).max(1);
            let within = u32::try_from(seconds).unwrap_or(u32::MAX).min(MOVES_WITHIN.as_secs() as u32);
            self.say(host, &FromRendezvous::Move { within });
        }
    }

    /// Whether a registration is refused because this rendezvous ends, and the host finds another one. A host that is
    /// here may still change its links.
    pub(super) fn sends_away(&self, from: ConnectionId) -> bool {
        self.hands_over() && self.connections.get(&from).is_none_or(|connection| connection.hosts.is_empty())
    }

    /// When it is drained: nothing happened for a while and no host is left that would go, or patience is over.
    pub(super) fn drained_at(&self) -> Option<Timestamp> {
        let by = self.drained_by?;
        if self.directory.as_ref().is_some_and(|directory| directory.movable() > 0) {
            return Some(by);
        }
        Some(self.busy_at.map_or(Timestamp::ZERO, |last| last + QUIET).min(by))
    }

    /// The host of a session has left while this rendezvous ends: its viewers have a moment to learn where the host is.
    pub(super) fn host_has_left(&mut self, now: Timestamp) {
        if self.hands_over() {
            self.busy_at = Some(now);
        }
    }
}
