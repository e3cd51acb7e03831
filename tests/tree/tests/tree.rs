//! The tree as it is, against its rules.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use beach_tree::{Exception, Finding, Tree, circles, judge, large_files, long_functions, unmapped, wide_structs};

/// The exceptions from the rules: none, and none may come. An entry has the highest figure that is allowed; the test
/// fails for an entry that nothing needs.
const EXCEPTIONS: &[Exception] = &[];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn files_functions_structs_rooms_and_the_map_keep_their_rules() {
    let tree = Tree::read(root()).expect("the tree can be read");
    let map = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the map can be read");
    let checks =
        [large_files(&tree), long_functions(&tree), wide_structs(&tree), circles(&tree), unmapped(&tree, &map)];
    let findings: Vec<Finding> = checks.into_iter().flatten().collect();
    let wrong = judge(&findings, EXCEPTIONS);
    assert!(wrong.is_empty(), "{} places:\n{}", wrong.len(), wrong.join("\n"));
}

/// Longest line of a comment and of Markdown, in characters. rustfmt holds the width of code, and no other. Rows of
/// tables cannot be broken.
const TEXT_WIDTH: usize = 120;

fn is_long_comment(line: &str) -> bool {
    let text = line.trim_start();
    text.starts_with("//")
        && line.chars().count() > TEXT_WIDTH
        && !text.trim_start_matches(['/', '!']).starts_with(" |")
}

/// `//word`: the documentation leaves out such a line.
fn is_cut_comment(line: &str) -> bool {
    line.trim_start().strip_prefix("//").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Whether a line of Markdown has a blank at which it may be broken, so that people read the same.
fn can_be_broken(line: &str) -> bool {
    let text = line.trim_start();
    let is_reference =
        text.strip_prefix('[').and_then(|rest| rest.split_once(']')).is_some_and(|(_, rest)| rest.starts_with(':'));
    let has_blanks = text.trim_start_matches("- ").contains(' ');
    has_blanks && !is_reference && !text.starts_with(['|', '#'])
}

/// The numbers of the lines of Markdown that are too long and can be broken. Code is as it is.
fn long_lines(markdown: &str) -> Vec<usize> {
    let (mut is_fenced, mut is_indented, mut is_after_empty) = (false, false, true);
    let mut long = Vec::new();
    for (number, line) in (1..).zip(markdown.lines()) {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        // Within a paragraph or an item of a list, such a line goes on with the text.
        is_indented = line.starts_with("    ") && (is_indented || is_after_empty);
        is_after_empty = line.trim().is_empty();
        let is_code = is_fence || is_fenced || is_indented;
        if !is_code && line.chars().count() > TEXT_WIDTH && can_be_broken(line) {
            long.push(number);
        }
    }
    long
}

/// Files with this extension, but for hidden folders, and those of what was built or fetched.
fn files_of(extension: &str, folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let entry = entry.expect("the entry can be read");
        let (name, path) = (entry.file_name(), entry.path());
        let is_left_out = name.as_encoded_bytes().starts_with(b".") || name == "target" || name == "node_modules";
        if path.is_dir() {
            if !is_left_out {
                files_of(extension, &path, found);
            }
        } else if path.extension().is_some_and(|each| each == extension) {
            found.push(path);
        }
    }
}

#[test]
fn no_line_of_a_comment_is_wider_than_code() {
    assert!(is_long_comment(&format!("    /// {}", "é".repeat(113))) && !is_long_comment(&"/".repeat(120)));
    let mut files = Vec::new();
    for each in
        ["core", "runtime-tokio", "runtime-web", "cli", "bench", "tests/src", "tests/tests", "fuzz/fuzz_targets"]
    {
        let folder = root().join(each);
        files_of("rs", &Some(folder.join("src")).filter(|src| src.is_dir()).unwrap_or(folder), &mut files);
    }
    assert!(files.len() > 300, "only {} files", files.len());
    let (mut wide, mut cut) = (Vec::new(), Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).expect("the file can be read");
        let broken = (1..).zip(text.lines()).filter(|(_, line)| is_cut_comment(line));
        cut.extend(broken.map(|(number, _)| format!("{}:{number}", file.display())));
        let lines = (1..).zip(text.lines()).filter(|(_, line)| is_long_comment(line));
        wide.extend(lines.map(|(number, _)| format!("{}:{number}", file.display())));
    }
    assert!(cut.is_empty(), "comments without a space, perhaps the rest of a longer one:\n{}", cut.join("\n"));
    assert!(wide.is_empty(), "comments of more than {TEXT_WIDTH} characters a line:\n{}", wide.join("\n"));
}

#[test]
fn no_line_of_markdown_is_wider_than_code_unless_it_cannot_be_broken() {
    let (words, word) = ("é ".repeat(60), "é".repeat(121));
    assert_eq!(long_lines(&format!("{words}\n\n- {words}\n      {words}\n{words}.\n")), [3, 4, 5]);
    let unbroken = [
        format!("```text\n{words}é\n\n{words}é\n```\n"),
        format!("Text:\n\n    {words}\n\n    {words}\n"),
        format!("| {words} |\n## {words}\n[name]: {word} \"{words}\"\n{word}\n- {word}\n"),
    ];
    for markdown in unbroken {
        assert!(long_lines(&markdown).is_empty(), "{markdown}");
    }
    let mut files = Vec::new();
    files_of("md", root(), &mut files);
    assert!(files.len() > 15, "only {} files", files.len());
    let long = files.iter().flat_map(|file| {
        let text = fs::read_to_string(file).expect("the file can be read");
        long_lines(&text).into_iter().map(move |number| format!("{}:{number}", file.display()))
    });
    let long: Vec<String> = long.collect();
    assert!(long.is_empty(), "Markdown of more than {TEXT_WIDTH} characters a line:\n{}", long.join("\n"));
}

#[test]
fn clippy_counts_the_lines_of_functions() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace's manifest can be read");
    let counts = manifest.lines().any(|line| line == "too_many_lines = \"warn\"");
    assert!(counts, "set too_many_lines = \"warn\" in [workspace.lints.clippy]");
}

#[test]
fn what_clippy_is_told_at_the_root_it_is_told_for_core_too() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("clippy's settings can be read");
    let (all, core) = (read("clippy.toml"), read("core/clippy.toml"));
    let settings: Vec<&str> = all.lines().filter(|line| line.contains('=')).collect();
    assert!(!settings.is_empty(), "clippy.toml sets nothing");
    for setting in settings {
        assert!(
            core.lines().any(|line| line == setting),
            "core/clippy.toml has its own settings, and lacks `{setting}`"
        );
    }
}

#[test]
fn the_program_that_ships_is_built_without_what_core_has_for_tests_alone() {
    let features = |package: &str| {
        let arguments = ["tree", "--locked", "--offline", "--edges", "normal,features", "--package", package];
        let tree = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().expect("cargo runs");
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        String::from_utf8(tree.stdout).expect("cargo writes text")
    };
    let has = |tree: &str, feature: &str| tree.contains(&format!("beach-core feature \"{feature}\""));
    let (program, tests) = (features("beach-cli"), features("beach-tests"));
    assert!(has(&program, "default") && !has(&program, "test-util"), "{program}");
    assert!(has(&tests, "test-util"), "the tests switch it on");
}
