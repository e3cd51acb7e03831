//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::program::Program;
use crate::rows::Row;
use crate::system::System;

/// Measure beach against a bare terminal, ssh, ssh with tmux, and mosh.
#[derive(Debug, Parser)]
#[command(name = "beach-bench", version)]
struct Cli {
    #[command(subcommand)]
    hidden: Option<Hidden>,
    #[command(flatten)]
    options: Options,
}

/// The role of this program when it is the shared command.
#[derive(Debug, Subcommand)]
enum Hidden {
    /// Be the program in the shared terminal
    #[command(hide = true)]
    Program {
        #[command(subcommand)]
        program: Program,
    },
}

/// The lines to measure, and how thoroughly.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Few repetitions: shows that everything works, not how fast it is
    #[arg(long)]
    pub(crate) short: bool,

    /// Only these rows
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    pub(crate) only: Vec<Row>,

    /// Only these systems
    #[arg(long, value_name = "SYSTEM", value_delimiter = ',')]
    pub(crate) systems: Vec<System>,

    /// Fail where network namespaces cannot be had, in place of leaving those rows out
    #[arg(long)]
    pub(crate) require: bool,

    /// The program to measure [default: `beach` beside this one]
    #[arg(long, value_name = "FILE", env = "BEACH_BIN")]
    pub(crate) beach: Option<PathBuf>,

    /// Compare with another beach, round by round; it needs no other systems. Fails if a median is worse by more than 6
    /// %
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    pub(crate) against: Option<PathBuf>,

    /// Rounds of everything [default: 3, and 1 or 2 of what takes long; with --against 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) rounds: Option<u8>,

    /// Also put the table in place of the one in FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,

    /// Seed of the pauses between keys and of what the link drops
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// The role to take.
pub(crate) enum Arguments {
    /// A program in a shared terminal.
    Program(Program),
    /// The bench.
    Bench(Options),
}

/// Reads the command line; on a mistake prints why and exits with 2.
pub(crate) fn parse() -> Arguments {
    let cli = Cli::parse();
    match cli.hidden {
        Some(Hidden::Program { program }) => Arguments::Program(program),
        None => Arguments::Bench(cli.options),
    }
}
