//! Tests that cannot run on this machine or by this person: each says so, is counted by `./test`, and fails in CI.

use std::env;
use std::fs::OpenOptions;
use std::io::{Write as _, stderr};
use std::thread;

/// Says that the test which calls this does not run, or only in part, and why.
///
/// # Panics
/// In CI (`CI` is set), which leaves no test out.
pub fn skipped(why: &str) {
    let ci = env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!ci, "skipped: {why}. CI runs every test");
    counted(why);
}

/// The same for what CI may leave out as well.
pub fn left_out(why: &str) {
    counted(why);
}

/// The line goes to stderr itself: what a test prints is shown only when it fails.
fn counted(why: &str) {
    let current = thread::current();
    let test = current.name().unwrap_or("a test");
    let _ = writeln!(stderr(), "!!! SKIPPED: {test}: {why}");
    let Some(list) = env::var_os("BEACH_SKIPPED") else { return };
    let opened = OpenOptions::new().append(true).create(true).open(list);
    let _ = opened.and_then(|mut list| list.write_all(format!("{test}\t{why}\n").as_bytes()));
}
