//! Skipped tests: a test that cannot run on this machine or for this user prints the reason, and `./test` counts the
//! test.

use std::env;
use std::fs::OpenOptions;
use std::io::{Write as _, stderr};
use std::thread;

/// Reports that the calling test does not run, or runs only in part, and the reason.
///
/// # Panics
/// In CI (`CI` is set), since CI runs every test.
pub fn skipped(why: &str) {
    let ci = env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!ci, "skipped: {why}. CI runs every test");
    counted(why);
}

/// As [`skipped`], for tests that CI may skip too.
pub fn left_out(why: &str) {
    counted(why);
}

/// Writes to stderr directly, since the test harness shows printed text only when a test fails.
fn counted(why: &str) {
    let current = thread::current();
    let test = current.name().unwrap_or("a test");
    let _ = writeln!(stderr(), "!!! SKIPPED: {test}: {why}");
    let Some(list) = env::var_os("BEACH_SKIPPED") else { return };
    let opened = OpenOptions::new().append(true).create(true).open(list);
    let _ = opened.and_then(|mut list| list.write_all(format!("{test}\t{why}\n").as_bytes()));
}
