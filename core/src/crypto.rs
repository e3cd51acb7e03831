//! Keys: the invite that carries one, the channel that it opens through the rendezvous, and the words that two people compare.

pub(crate) mod channel;
pub(crate) mod confirmation;
pub mod invite;
pub mod sas;
