//! A peer connection: what `Endpoint` needs of one, the one over str0m, and the one of a browser.

pub mod browser;
#[cfg(feature = "str0m")]
mod dtls;
pub mod engine;
mod sdp;
pub(crate) mod server_hello;
#[cfg(feature = "str0m")]
pub mod str0m;
