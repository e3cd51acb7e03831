//! Plays a script for a test or a program, and says how to repeat what failed.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;

use super::play::{Outcome, play};
use super::shrink::shrink;
use super::step::Script;

/// The environment variable that names a file with a script, to be played instead of all others.
const SCRIPT: &str = "BEACH_SCRIPT";

/// The script of the file that the environment names, if it names one.
///
/// # Panics
/// If the file cannot be read, or holds no script.
pub fn read_script() -> Option<Script> {
    let file = std::env::var_os(SCRIPT)?;
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", Path::new(&file).display()));
    Some(Script::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", Path::new(&file).display())))
}

/// Plays a script. If it breaks a promise, shortens it, keeps the short one in a file, and says how to play that again.
///
/// # Errors
/// The broken promise, the short script, and the command that plays it.
pub fn judge(script: &Script) -> Result<Outcome, String> {
    let broken = match play(script) {
        Ok(outcome) => return Ok(outcome),
        Err(broken) => broken,
    };
    let (short, last) = shrink(script, broken.clone());
    let text = short.to_text();
    let file = std::env::temp_dir().join(format!("beach-swarm-{}-{:?}", script.plan.seed, script.plan.layer));
    let kept = std::fs::write(&file, &text).is_ok();
    let again = if kept { format!("{SCRIPT}={} ", file.display()) } else { String::new() };
    Err(format!(
        "seed {} breaks a promise: {broken}\nThe shortest script that was found: {last}\n{text}\
         Again with: {again}cargo test -p beach-tests --test swarm the_script_of_a_file",
        script.plan.seed
    ))
}

/// The environment variable that names a file with the seeds that are done.
const DONE: &str = "BEACH_DONE";

/// Seeds that are played before the file of those that are done grows by a line.
const SLICE: u64 = 200;

/// The parts of a range of seeds, without those that the file of `BEACH_DONE` has from an earlier run; after each part
/// the file is told.
pub fn slices(name: &str, seeds: Range<u64>, mut each: impl FnMut(Range<u64>)) {
    let Some(file) = std::env::var_os(DONE) else { return each(seeds) };
    let done = std::fs::read_to_string(&file).unwrap_or_default();
    let mut start = seeds.start;
    while start < seeds.end {
        let end = (start + SLICE).min(seeds.end);
        let line = format!("{name} {start}..{end}\n");
        if !done.contains(&line) {
            each(start..end);
            let opened = OpenOptions::new().append(true).create(true).open(&file);
            opened
                .and_then(|mut opened| opened.write_all(line.as_bytes()))
                .expect("the file of what is done is written");
        }
        start = end;
    }
}
