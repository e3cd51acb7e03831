//! The worlds in which beach is tested: a simulated one, where a run is a function of its seed, and what the tests of the real one share.

pub mod determinism;
pub mod real;
pub mod sim;
