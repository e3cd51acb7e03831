//! A peer connection: what `Endpoint` needs of one, and the real one over str0m.

#[cfg(feature = "str0m")]
mod dtls;
pub mod engine;
pub(crate) mod server_hello;
#[cfg(feature = "str0m")]
pub mod str0m;
