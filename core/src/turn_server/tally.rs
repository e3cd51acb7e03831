//! The counters of a TURN server since its start, and its present numbers.

use stun_types::attribute::ErrorCode;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The credentials are not good, or have expired.
    Credentials,
    /// The address or the user has as many allocations as allowed.
    Quota,
    /// The server has no room, or no socket.
    Full,
    /// The server does not relay to the peer.
    Peer,
    /// The request makes no sense, or asks for something that the server does not do.
    Request,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Refusal; 5] =
        [Refusal::Credentials, Refusal::Quota, Refusal::Full, Refusal::Peer, Refusal::Request];

    /// The reason for an error with this code.
    pub(super) fn of(code: u16) -> Refusal {
        match code {
            ErrorCode::WRONG_CREDENTIALS | ErrorCode::UNAUTHORIZED => Refusal::Credentials,
            ErrorCode::ALLOCATION_QUOTA_REACHED => Refusal::Quota,
            ErrorCode::INSUFFICIENT_CAPACITY => Refusal::Full,
            ErrorCode::FORBIDDEN => Refusal::Peer,
            _ => Refusal::Request,
        }
    }
}

/// The deeds of a TURN server since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Allocations that were made.
    pub allocations: u64,
    /// Datagrams that were relayed, both ways.
    pub relayed: u64,
    /// The bytes of these datagrams.
    pub relayed_bytes: u64,
    /// Datagrams that were dropped, because an allocation, an address or all together have relayed enough.
    pub over_rate: u64,
    refused: [u64; Refusal::ALL.len()],
}

impl Tally {
    /// How many requests were refused for this reason.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused[why as usize]
    }

    pub(super) fn refuse(&mut self, why: Refusal) {
        self.refused[why as usize] += 1;
    }
}

/// The present numbers of a TURN server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Allocations.
    pub allocations: usize,
    /// Users that have allocations: each side of each session is one.
    pub users: usize,
    /// TCP connections.
    pub streams: usize,
}
