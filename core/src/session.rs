//! Shared by host and viewer for one connection: the link seam, the stages of a handshake, and when to dial.

pub mod address;
mod advice;
pub(crate) mod dialer;
mod failure;
pub mod handshake;
pub mod link;

pub use dialer::{NO_ANSWER_AFTER, no_answer};
