//! Measures beach against a bare terminal, ssh, ssh with tmux, and mosh, in one interleaved run, and prints one table.
//!
//! The bench does not judge a single figure of a busy machine, does not replay traffic, and has no model of any of the
//! systems. Each system runs as a person would run it, in pseudo-terminals that this program owns. The bench measures
//! what a terminal model shows of the client's output there.

mod args;
mod client;
mod cluster;
mod herd;
mod lab;
mod link;
mod page;
mod place;
mod plan;
mod proc;
mod program;
mod report;
mod rows;
mod screen;
mod session;
mod socket;
mod sshd;
mod statistics;
mod stop;
mod system;
mod table;
mod typing;

use std::process::ExitCode;

use crate::args::{Arguments, Options};

fn main() -> ExitCode {
    let outcome = match args::parse() {
        Arguments::Program(program) => program.run().map(|()| true),
        Arguments::Bench(options) => bench(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the rows that were asked for; false if one of them did not come about, or is worse than another beach's.
fn bench(options: &Options) -> anyhow::Result<bool> {
    options.write.as_deref().map(report::check).transpose()?;
    report::say("making keys");
    stop::listen()?;
    let lab = lab::Lab::new(options)?;
    let machine = report::machine(&lab);
    let lines = rows::run(&lab);
    anyhow::ensure!(!stop::is_asked(), "interrupted");
    let text = table::markdown(&lines, &lab.systems);
    report::print(&machine, &text)?;
    if let Some(file) = &options.write {
        report::write(file, &machine, &text)?;
    }
    // The figures of a short run mean nothing.
    let judged = lines.iter().filter(|_| !lab.short);
    let worse: Vec<String> = judged.filter_map(table::Line::worse).collect();
    for line in &worse {
        report::say(&format!("!!! WORSE by more than {:.0} %: {line}", (table::WORSE - 1.0) * 100.0));
    }
    Ok(worse.is_empty() && lines.iter().all(table::Line::came_about))
}
