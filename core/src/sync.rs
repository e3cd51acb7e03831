//! Synchronisation: small machines, one per viewer.
//!
//! - [`outbound`]: what does this viewer lack, and what goes next.
//! - [`inbound`]: input, exactly once.
//! - [`assemble`]: lines from their parts.

pub(crate) mod assemble;
pub(crate) mod inbound;
pub(crate) mod outbound;
