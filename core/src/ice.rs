//! Ways between two machines: how this side is seen from outside, servers that relay, and whether a path still carries.

pub(crate) mod path_monitor;
pub mod relay;
pub mod server_url;
pub mod stun;
pub mod turn;
