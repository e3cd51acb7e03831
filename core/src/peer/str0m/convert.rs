//! Between the engine's types and ours.

use str0m::RtcError;
use str0m::net::Protocol;

use crate::session::link::{Candidate, CandidateKind, LinkDown};
use crate::support::entropy::Entropy;

/// A candidate as the engine has it. A server-reflexive or peer-reflexive address ranks as an address of this machine.
pub(super) fn for_engine(candidate: Candidate) -> Option<str0m::Candidate> {
    let Candidate { kind, address } = candidate;
    match kind {
        CandidateKind::Host | CandidateKind::ServerReflexive | CandidateKind::PeerReflexive => {
            str0m::Candidate::host(address, Protocol::Udp).ok()
        }
        CandidateKind::Relayed => str0m::Candidate::relayed(address, address, Protocol::Udp).ok(),
    }
}

pub(super) fn letters(entropy: &mut Entropy, count: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    (0..count).map(|_| char::from(ALPHABET[usize::try_from(entropy.number() % 32).unwrap_or_default()])).collect()
}

/// Why the peer is of no more use. The engine says `RemoteSdp` only of a certificate that is not the announced one: no
/// SDP is parsed here.
pub(super) fn down(error: RtcError) -> LinkDown {
    if let RtcError::RemoteSdp(_) = &error {
        return LinkDown::WrongCertificate;
    }
    LinkDown::Engine(error.to_string().chars().filter(|c| !c.is_control()).take(160).collect())
}
