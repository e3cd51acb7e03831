//! The swarm: random worlds in which people, programs, processes and networks do anything that they may do, with a
//! checker for every promise.
//!
//! A [`Script`] is data: a plan and steps, drawn from a seed by [`random`], or read from a file. [`play`] plays it
//! beside a model of who may do what, and asks the checkers after every event. [`shrink`] looks for the shortest script
//! that breaks the same promise. docs/PROMISES.md maps the promises to the checkers.

pub mod checkers;
mod generate;
mod model;
mod play;
mod run;
mod settle;
mod shrink;
mod step;
mod take;

pub use checkers::{Broken, Promise};
pub use generate::random;
pub use model::{Model, Person, Place, Session};
pub use play::{Outcome, play};
pub use run::{judge, read_script, slices};
pub use shrink::shrink;
pub use step::{Ending, Invited, Keep, Layer, Plan, Router, Script, Step};
