//! What host and viewer share about one connection: the seam to what carries it, the stages of a handshake, and when to dial.

pub mod address;
pub(crate) mod dialer;
pub mod handshake;
pub mod link;
