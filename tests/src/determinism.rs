//! A simulated run is a pure function of its seed, down to the bytes on the wire.
//!
//! No fork and no patch: real ICE, DTLS, SCTP and SRTP, with their entropy and their clocks answered from one seeded
//! world. The limits that a test's author meets:
//!
//! * **Simulations live in test binaries of their own.** str0m and dimpl freeze a process-wide pair of clocks at first
//!   use. If a thread outside [`run`] drives them first, a seed still replays within that process, but its bytes differ
//!   from those of another process.
//! * **A simulation stays on its thread**: no runtime, no spawned threads inside [`run`].
//! * **A seed is valid for one commit, one lock file and one compiler.** Compare two runs; never store a hash.
//! * **Linux only.** Elsewhere the same code runs, with real entropy and real clocks: assert outcomes there.

mod cached;
mod cert;
mod dtls;
mod os;

pub use cached::{Forger, forge_sctp, provider};
pub use cert::certificate;
pub use os::{advance_to, epoch, run};
