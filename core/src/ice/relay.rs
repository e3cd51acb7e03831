//! The rendezvous as a path: how it carries a link's datagrams, and the addresses that stand for the link's two ends
//! there.
//!
//! A relayed datagram travels as one binary message: the link, the peer's attempt, flags about the direct path, and the
//! datagram, the same that would travel over UDP. To the engine it is a path between two addresses in fd00::/8 (RFC
//! 4193), made from the link; no socket ever sees them.

use std::net::{Ipv6Addr, SocketAddr};

use crate::id::LinkId;
use crate::session::link::Attempt;
use crate::side::Side;
use crate::wire::WireError;

/// Longest datagram that is relayed, in bytes: what an Ethernet packet holds. Ours are shorter.
pub const MAX_DATAGRAM: usize = 1500;

/// Before a relayed datagram: 8 bytes of the link, 2 of the attempt, and one of flags.
pub const HEAD: usize = 11;

/// The flags of [`Relayed::suspect`] and [`Relayed::needed`]. Others are ignored.
const SUSPECT: u8 = 1;
const NEEDED: u8 = 2;

/// The network of the addresses; nobody routes it.
const NETWORK: [u16; 3] = [0xfdbe, 0xac40, 0];

/// An arbitrary port: relayed addresses have none.
const PORT: u16 = 1;

/// The address that stands for one end of a link at its relay.
pub fn address(link: LinkId, side: Side) -> SocketAddr {
    let end = match side {
        Side::Host => 1,
        Side::Viewer => 2,
    };
    let [a, b, c] = NETWORK;
    let part = |shift: u32| (link.0 >> shift & 0xffff) as u16;
    (Ipv6Addr::new(a, b, c, end, part(48), part(32), part(16), part(0)), PORT).into()
}

/// Whether an address stands for an end of a link, and so belongs to no machine.
pub fn is_relayed(address: SocketAddr) -> bool {
    match address {
        SocketAddr::V4(_) => false,
        SocketAddr::V6(v6) => v6.ip().segments()[..3] == NETWORK,
    }
}

/// A relayed datagram as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relayed<'a> {
    /// The link.
    pub link: LinkId,
    /// The attempt of its peer.
    pub attempt: Attempt,
    /// The sender suspects that the direct path carries nothing any more.
    pub suspect: bool,
    /// The sender may need the relay: the other side shall check this path too.
    pub needed: bool,
    /// 1 to [`MAX_DATAGRAM`] bytes.
    pub datagram: &'a [u8],
}

impl<'a> Relayed<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// The bytes are fewer than the header, or more than a datagram may have.
    pub fn decode(bytes: &'a [u8]) -> Result<Relayed<'a>, WireError> {
        let (link, rest) = bytes.split_first_chunk().ok_or(WireError::Malformed)?;
        let (attempt, rest) = rest.split_first_chunk().ok_or(WireError::Malformed)?;
        let (flags, datagram) = rest.split_first().ok_or(WireError::Malformed)?;
        match datagram.len() {
            0 => Err(WireError::Malformed),
            1..=MAX_DATAGRAM => Ok(Relayed {
                link: LinkId(u64::from_be_bytes(*link)),
                attempt: Attempt::from_be_bytes(*attempt),
                suspect: flags & SUSPECT != 0,
                needed: flags & NEEDED != 0,
                datagram,
            }),
            _ => Err(WireError::TooLong),
        }
    }

    /// Writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.datagram.len());
        bytes.extend_from_slice(&self.link.0.to_be_bytes());
        bytes.extend_from_slice(&self.attempt.to_be_bytes());
        bytes.push(if self.suspect { SUSPECT } else { 0 } | if self.needed { NEEDED } else { 0 });
        bytes.extend_from_slice(self.datagram);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_link_have_an_address_that_no_other_link_has() {
        let [a, b] = [LinkId(0x0123_4567_89ab_cdef), LinkId(1)];
        let host = address(a, Side::Host);
        assert_eq!(host.to_string(), "[fdbe:ac40:0:1:123:4567:89ab:cdef]:1");
        assert!(host != address(a, Side::Viewer) && host != address(b, Side::Host));
        assert!(is_relayed(host) && !is_relayed("[fd00::1]:1".parse().expect("an address")));
    }

    #[test]
    fn a_relayed_datagram_is_read_as_it_was_written_or_refused() {
        let relayed = |suspect, needed| Relayed { link: LinkId(7), attempt: 3, suspect, needed, datagram: b"x" };
        for (suspect, needed) in [(false, false), (true, false), (false, true), (true, true)] {
            let relayed = relayed(suspect, needed);
            assert_eq!(Relayed::decode(&relayed.encode()), Ok(relayed));
        }
        let bytes = relayed(true, true).encode();
        assert_eq!(Relayed::decode(&bytes[..HEAD]), Err(WireError::Malformed));
        assert_eq!(Relayed::decode(&bytes[..3]), Err(WireError::Malformed));
        assert_eq!(Relayed::decode(&[0; HEAD + MAX_DATAGRAM + 1]), Err(WireError::TooLong));
    }
}
