//! The viewer of beach in a browser: core's machine as WebAssembly.
//!
//! The page is the runtime: WebSocket, timers, randomness, peer connections and the terminal are the browser's. Between
//! them stand two imports and five exports, which [`glue`] has and nobody generates:
//!
//! ```text
//! page → machine    room(length) → pointer                  a buffer for the bytes of the next call
//!                   start(now_ms, length) → next            begins; the buffer has a plan, as JSON
//!                   happened(now_ms, what, peer, length) → next
//!                   width(code) → columns                   of a character, as the host's model has it
//!                   rehearse() → bytes                      nothing happens; see [`rehearsal`]
//! machine → page    perform(what, peer, pointer, length)    only during `start` and `happened`
//!                   random(pointer, length)
//! ```
//!
//! `next` is the time of the next tick in milliseconds, or infinity. [`codes`] has the numbers of `what`. Everything
//! but the glue is ordinary Rust, and is tested as such.

pub mod codes;
pub mod news;
pub mod page;
pub mod rehearsal;
mod typing;

#[cfg(target_arch = "wasm32")]
mod glue;

use unicode_width::UnicodeWidthChar as _;

/// The columns of a character, by the table that the host's model of a terminal uses.
pub fn width(code: u32) -> u32 {
    let width = char::from_u32(code).and_then(|character| character.width()).unwrap_or(0);
    u32::try_from(width).unwrap_or(0)
}
