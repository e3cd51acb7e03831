//! The tables of docs/PROMISES.md name files, tests, checkers and faults: each is there, and no checker and no fault is
//! left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The text of each file, by its path from the root; empty for files that have no tests.
type Files = BTreeMap<String, String>;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Adds all files below a folder, but for those that were built or fetched.
fn add_files(folder: &str, files: &mut Files) {
    for entry in fs::read_dir(root().join(folder)).expect("the folder can be read") {
        let entry = entry.expect("the entry can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{folder}/{name}");
        if entry.path().is_dir() {
            if name != "target" && name != "node_modules" && !name.starts_with('.') {
                add_files(&path, files);
            }
        } else {
            let has_tests = name.ends_with(".rs") || name.ends_with(".mjs");
            let text = if has_tests { read(&path) } else { String::new() };
            files.insert(path, text);
        }
    }
}

/// The variants of an enum whose variants have no fields.
fn variants(text: &str, name: &str) -> BTreeSet<String> {
    let (_, rest) = text.split_once(&format!("pub enum {name} {{\n")).expect("the enum is there");
    let (body, _) = rest.split_once("\n}").expect("the enum ends");
    let lines = body.lines().filter_map(|line| line.strip_prefix("    ")?.strip_suffix(','));
    lines.filter(|line| is_name(line)).map(str::to_owned).collect()
}

/// Whether a text in backticks is a path.
fn is_path(span: &str) -> bool {
    let has_form = span.contains('/') || span.ends_with(".rs") || span.ends_with(".mjs");
    has_form && !span.contains(' ')
}

/// Whether it is the name of a checker or of a fault, or could be: `LikeThis`.
fn is_name(span: &str) -> bool {
    span.starts_with(|c: char| c.is_ascii_uppercase())
        && span.chars().all(|c| c.is_ascii_alphabetic())
        && span.chars().any(|c| c.is_ascii_lowercase())
}

/// Whether it is the name of a test, or its beginning.
fn is_test(span: &str) -> bool {
    let name = span.trim_end_matches('…');
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.chars().all(is_word) && name.matches('_').count() >= 3
}

/// The files that a path means: one with this path or the end of one, or all below a folder.
fn meant<'a>(files: &'a Files, span: &str) -> Vec<&'a str> {
    let end = format!("/{span}");
    let is_meant = |path: &str| path == span || path.ends_with(&end) || (span.ends_with('/') && path.starts_with(span));
    files.iter().filter(|(path, _)| is_meant(path)).map(|(_, text)| text.as_str()).collect()
}

/// The functions of these files with this name, or with one that begins so.
fn functions<'a>(texts: &[&'a str], span: &str) -> BTreeSet<&'a str> {
    let names = texts.iter().flat_map(|text| text.lines()).filter_map(|line| {
        let (_, rest) = line.split_once("fn ")?;
        rest.split_once('(').map(|(name, _)| name)
    });
    names.filter(|name| span.strip_suffix('…').map_or(*name == span, |start| name.starts_with(start))).collect()
}

/// What is wrong with the tables of a document, where these are the names of all checkers and faults.
fn wrong(document: &str, files: &Files, names: &BTreeSet<String>) -> Vec<String> {
    let (mut wrong, mut missing) = (Vec::new(), names.clone());
    for row in document.lines().filter(|line| line.starts_with('|')) {
        let spans: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        let mut texts = Vec::new();
        for span in spans.iter().filter(|span| is_path(span)) {
            let there = meant(files, span);
            if there.is_empty() {
                wrong.push(format!("{span}: there is no such file"));
            }
            texts.extend(there);
        }
        for span in spans {
            if is_name(span) {
                missing.remove(span);
                if !names.contains(span) {
                    wrong.push(format!("{span}: this is neither a checker nor a fault"));
                }
            } else if is_test(span) && functions(&texts, span).len() != 1 {
                let found = functions(&texts, span).len();
                wrong.push(format!("{span}: {found} tests in the files of its row have this name"));
            }
        }
    }
    wrong.extend(missing.into_iter().map(|name| format!("{name}: the document leaves it out")));
    wrong
}

#[test]
fn whatever_stands_in_the_list_of_promises_exists_and_no_checker_or_fault_is_left_out() {
    let mut files = Files::new();
    for folder in ["core/src", "runtime-tokio/src", "runtime-web/src", "cli/src", "tests", "web"] {
        add_files(folder, &mut files);
    }
    let checkers = variants(&read("tests/src/sim/swarm/checkers.rs"), "Promise");
    let faults = variants(&read("core/src/faults.rs"), "Fault");
    assert!(checkers.len() > 20 && faults.len() > 20, "{} checkers, {} faults", checkers.len(), faults.len());
    let wrong = wrong(&read("docs/PROMISES.md"), &files, &checkers.union(&faults).cloned().collect());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_a_test_a_checker_that_is_not_there_and_one_that_is_left_out_are_told() {
    let files =
        [("a/b.rs", "fn one_of_all_the_tests() {"), ("a/c/d.mjs", ""), ("x.rs", "fn one_of_all_the_others() {")];
    let files: Files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
    let names: BTreeSet<String> = ["Known", "Other"].map(str::to_owned).into();
    let good = "Text of `Nobody`.\n\
                | `a/b.rs`: `one_of_all_the_tests`, `one_of_all_the…` | `Known`, `a/c/` |\n\
                | `b.rs` `Other` `--a_b_c_d` |";
    assert_eq!(wrong(good, &files, &names), [""; 0]);
    let bad = "| `a/e.rs`, `b.rs`, `x.rs`: `one_of_all_the_tests_more`, `one_of_all_the…` | `Known`, `Unknown` |";
    let told = [
        "a/e.rs: there is no such file",
        "one_of_all_the_tests_more: 0 tests in the files of its row have this name",
        "one_of_all_the…: 2 tests in the files of its row have this name",
        "Unknown: this is neither a checker nor a fault",
        "Other: the document leaves it out",
    ];
    assert_eq!(wrong(bad, &files, &names), told);
}
