//! A peer connection: what `Endpoint` needs of one, and the real one over str0m.

mod dtls;
pub mod engine;
pub mod str0m;
