//! No TURN of ours, without the feature `turn`: for an engine that has sockets of its own, and speaks TURN itself.

use std::net::{IpAddr, SocketAddr};

use super::{Effect, StreamId};
use crate::ice::server_url::{Credentials, Transport};
use crate::time::Timestamp;

/// No servers.
#[derive(Default)]
pub struct Allocations {}

impl Allocations {
    /// The server is not used.
    pub fn learn(&mut self, _now: Timestamp, _address: SocketAddr, _transport: Transport, _credentials: Credentials) {}

    /// There are no servers.
    pub fn has_servers(&self) -> bool {
        false
    }

    /// No allocation comes.
    pub fn want(&mut self, _now: Timestamp, _sockets: &[SocketAddr]) {}

    /// Nothing is there to be released.
    pub fn release(&mut self, _now: Timestamp) {}

    /// No address relays.
    pub fn relayed(&self) -> impl Iterator<Item = SocketAddr> {
        std::iter::empty()
    }

    /// Nothing lets datagrams in.
    pub fn permit(&mut self, _now: Timestamp, _ip: IpAddr) {}

    /// Nobody sends.
    pub fn send(
        &mut self,
        _now: Timestamp,
        _source: SocketAddr,
        _destination: SocketAddr,
        _bytes: &[u8],
        _of_a_lane: bool,
    ) -> bool {
        false
    }
    /// No datagram is a server's.
    pub fn receive(&mut self, _now: Timestamp, _source: SocketAddr, _destination: SocketAddr, _bytes: &[u8]) -> bool {
        false
    }

    /// There are no connections.
    pub fn stream_up(&mut self, _now: Timestamp, _stream: StreamId) {}

    /// There are no connections.
    pub fn stream_bytes(&mut self, _now: Timestamp, _stream: StreamId, _bytes: &[u8]) {}

    /// There are no connections.
    pub fn stream_down(&mut self, _now: Timestamp, _stream: StreamId) {}

    /// Nothing waits.
    pub fn on_time(&mut self, _now: Timestamp) {}

    /// Nothing waits.
    pub fn deadline(&self) -> Option<Timestamp> {
        None
    }

    /// Nothing happens.
    pub fn poll(&mut self) -> Option<Effect> {
        None
    }

    /// There is nothing to check.
    pub(crate) fn check(&self) {}
}
