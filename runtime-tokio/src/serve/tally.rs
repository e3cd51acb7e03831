//! Counts of a server: its deeds since the start, and its present connections.

use super::places::NoPlace;

/// The deeds of a server since its start, and its present connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that have a place now.
    pub connections: usize,
    /// Places for connections.
    pub places: usize,
    /// Connections without a place, because there was none.
    pub full: u64,
    /// Connections without a place, because their address had enough.
    pub of_one_address: u64,
    /// Connections without a handshake of TLS, because their address had enough.
    pub no_handshake: u64,
    /// When the certificate expires, in seconds since 1970, if there is one.
    pub certificate_expires: Option<u64>,
    /// WebSockets that the peer ended, or the network.
    pub left: u64,
    /// WebSockets that were ended because the peer read too slowly.
    pub slow: u64,
    /// The fates of datagrams to relay.
    pub relayed: Relayed,
}

impl Tally {
    pub(super) fn refused(&mut self, why: NoPlace) {
        *match why {
            NoPlace::Full => &mut self.full,
            NoPlace::Address => &mut self.of_one_address,
        } += 1;
    }
}

/// The fates of datagrams to relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relayed {
    /// Sent on.
    pub sent: u64,
    /// The bytes of those that were sent on.
    pub sent_bytes: u64,
    /// Dropped because too many waited for one connection.
    pub queue: u64,
    /// Dropped because they waited too long.
    pub late: u64,
}
