//! Synchronisation: small machines, one per viewer.
//!
//! - [`downlink`] and [`uplink`]: the two ends of a viewer's terminal lane, made of the others.
//! - [`outbound`]: what does this viewer lack, and what goes next; with [`slots`], what it has of each line,
//!   [`history`], what it lacks of
//!   the lines above the window, and [`packer`], which fills datagrams.
//! - [`inbound`]: input, exactly once.
//! - [`acks`] and [`pace`]: which datagrams arrived, how long that takes, and how many may be on their way.
//! - [`assemble`]: lines from their parts.

pub(crate) mod acks;
pub(crate) mod assemble;
#[cfg(feature = "host")]
pub(crate) mod downlink;
#[cfg(feature = "host")]
pub(crate) mod history;
pub(crate) mod inbound;
#[cfg(feature = "host")]
pub(crate) mod outbound;
pub(crate) mod pace;
#[cfg(feature = "host")]
mod packer;
#[cfg(feature = "host")]
mod slots;
pub(crate) mod uplink;
