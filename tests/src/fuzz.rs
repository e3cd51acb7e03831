//! The bodies of the fuzz targets: each takes any bytes, and panics if a promise does not hold.
//!
//! `fuzz/` runs the bodies under libFuzzer; `tests/tests/fuzzed.rs` replays the committed corpora and all past failures
//! without a fuzzer.

mod browser;
mod choices;
mod lanes;
mod outside;
mod page;
mod parsers;
mod peers;
mod printed;
mod rendezvous;
mod signalling;
mod turn;
mod world;

/// The body of a target.
pub type Target = fn(&[u8]);

/// Targets that only read: decoders, which are to run for millions of inputs.
pub const PARSERS: &[(&str, Target)] = &[
    ("invite", parsers::invite),
    ("signal", parsers::signal),
    ("sealed", parsers::sealed),
    ("frame", parsers::frame),
    ("relayed", parsers::relayed),
    ("stun", parsers::stun),
    ("recording", parsers::recording),
    ("control", outside::control),
    ("config", outside::config),
    ("proxy", outside::proxy),
];

/// Targets with a machine, an endpoint, a terminal or a world that lives while the input is read.
pub const LIVE: &[(&str, Target)] = &[
    ("printed", printed::printed),
    ("rendezvous", rendezvous::rendezvous),
    ("turn_requests", turn::requests),
    ("to_host", lanes::to_host),
    ("to_viewer", lanes::to_viewer),
    ("signalling", signalling::signalling),
    ("peer", peers::peer),
    ("sctp", peers::sctp),
    ("browser", browser::browser),
    ("page", page::page),
    ("world", world::world),
];

/// The variable that names the target of a fuzzing program.
pub const NAME: &str = "BEACH_TARGET";

/// The one of these targets that the environment names.
///
/// # Panics
/// If the environment names none of them.
pub fn chosen(targets: &[(&str, Target)]) -> Target {
    let name = std::env::var(NAME).unwrap_or_default();
    let found = targets.iter().find(|(each, _)| *each == name);
    let names: Vec<_> = targets.iter().map(|(each, _)| *each).collect();
    found.unwrap_or_else(|| panic!("set {NAME} to one of {}", names.join(", "))).1
}
