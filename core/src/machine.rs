//! The calling convention that every machine of beach shares.

use crate::time::Timestamp;

/// "It is later now": the input every machine understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick;

/// A pure state machine: no I/O, no clock, no threads, no randomness but the seed it was made with.
///
/// The driver's duty: after every [`handle`](Machine::handle) call [`poll`](Machine::poll) until it returns `None`,
/// perform what it returned, then wait for an input or for [`deadline`](Machine::deadline), whichever is first. Time
/// never goes backwards.
pub trait Machine {
    /// The machine's inputs.
    type Input: From<Tick>;
    /// The machine's outputs.
    type Output;

    /// The only way in.
    fn handle(&mut self, now: Timestamp, input: Self::Input);

    /// The next thing to do; `None` once the machine is quiet.
    fn poll(&mut self) -> Option<Self::Output>;

    /// When to call `handle(now, Tick.into())` at the latest; `None` if time alone changes nothing.
    fn deadline(&self) -> Option<Timestamp>;
}
