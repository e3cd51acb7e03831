//! The numbers of what happens and of what is to be done. Below 32 they are core's, for the browser's peer connections
//! and for what the rendezvous says; `web/src/codes.ts` has all of them.

/// The first number that is not core's.
pub const OWN: u32 = 32;

/// Events that the page tells the machine.
pub mod happened {
    /// Time has passed.
    pub const TICK: u32 = 32;
    /// The terminal sent these bytes: keys, pastes, answers.
    pub const TYPED: u32 = 33;
    /// The terminal took what was last shown.
    pub const SHOWN: u32 = 34;
    /// The window has room for a session of this size: columns and rows, 16 bits each, little-endian.
    pub const ROOM: u32 = 35;
    /// The person leaves.
    pub const LEAVE: u32 = 36;
    /// The person asks for the state of the connection.
    pub const STATUS: u32 = 37;
}

/// Requests of the machine to the page.
pub mod perform {
    /// Connect to the rendezvous; abandon the connection that is there.
    pub const DIAL: u32 = 32;
    /// Leave the rendezvous.
    pub const HANG_UP: u32 = 33;
    /// Say this text to the rendezvous.
    pub const SIGNAL: u32 = 34;
    /// The terminal is to have this size before it shows what follows; as in [`ROOM`](super::happened::ROOM).
    pub const SIZE: u32 = 35;
    /// The terminal is to show this, and to say `SHOWN`.
    pub const SHOW: u32 = 36;
    /// For the person: see [`News`](crate::news::News).
    pub const NEWS: u32 = 37;
}
