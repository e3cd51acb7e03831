//! Checks of the source tree itself: how large files, functions and structs are, which room uses which, and whether the
//! map in `docs/ARCHITECTURE.md` names every file. `tests/images.rs` checks the Dockerfiles.
//!
//! This crate needs nothing of beach's own crates, so `cargo test -p beach-tree` takes seconds. The checks read tokens,
//! not types: no check needs the meaning of a name. Code under `#[cfg(test)]` counts nowhere.
//!
//! A check returns [`Finding`]s: places over their limit, with a figure. [`judge`] compares these with the list of
//! exceptions, each of which has a ceiling that may only be lowered.

mod judge;
mod map;
mod rooms;
mod sizes;
mod source;

pub use judge::{Exception, Finding, Rule, judge};
pub use map::unmapped;
pub use rooms::circles;
pub use sizes::{large_files, long_functions, wide_structs};
pub use source::{CRATES, Crate, Tree};
