//! Keys, the invites that carry them, the channel that they open through the rendezvous, and the words that two people
//! compare.

pub(crate) mod channel;
pub(crate) mod confirmation;
pub mod invite;
pub mod keys;
pub(crate) mod noise;
pub mod sas;
