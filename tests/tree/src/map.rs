//! The map in `docs/ARCHITECTURE.md`, against the files that are there.

use std::collections::BTreeMap;

use crate::judge::{Finding, Rule};
use crate::source::{CRATES, Crate, Tree};

/// Files that the map names not at all, more than once, or although they are not there.
///
/// The map has a section `### `CRATE/`` for each crate, with a table. Its first column names files by their paths from
/// `src/`, in backticks; a path that ends with `/` stands for all files below that folder.
pub fn unmapped(tree: &Tree, map: &str) -> Vec<Finding> {
    CRATES.iter().flat_map(|each| of_crate(tree, map, *each)).collect()
}

fn of_crate(tree: &Tree, map: &str, each: Crate) -> Vec<Finding> {
    let mut named: BTreeMap<&str, usize> =
        tree.all_paths().filter_map(|path| each.inside(path)).map(|path| (path, 0)).collect();
    let mut findings = Vec::new();
    let mut finding = |path: &str, figure, detail: &str| {
        let subject = format!("{}/src/{path}", each.folder);
        findings.push(Finding { rule: Rule::Map, subject, figure, detail: detail.to_owned() });
    };
    for name in names(map, each) {
        let is_meant = |path: &str| path == name || (name.ends_with('/') && path.starts_with(name));
        let mut meant = named.iter_mut().filter(|(path, _)| is_meant(path)).peekable();
        if meant.peek().is_none() {
            finding(name, 0, "the map names it, and it is not there");
        }
        meant.for_each(|(_, count)| *count += 1);
    }
    for (path, count) in named {
        match count {
            0 => finding(path, 0, "the map does not name it"),
            1 => {}
            more => finding(path, more, "the map names it more than once"),
        }
    }
    findings
}

/// The texts in backticks in the first column of a crate's table.
fn names(map: &str, each: Crate) -> impl Iterator<Item = &str> {
    let heading = format!("### `{}/`", each.folder);
    let section = map.lines().skip_while(move |line| !line.starts_with(&heading)).skip(1);
    let rows = section.take_while(|line| !line.starts_with('#')).filter(|line| line.starts_with("| `"));
    let first = rows.filter_map(|row| row.split('|').nth(1));
    first.flat_map(|cell| cell.split('`').skip(1).step_by(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_named_one_named_twice_and_one_that_is_not_there_are_told() {
        let files = ["core/src/a.rs", "core/src/b/c.rs", "core/src/b/d.rs", "core/src/e.rs", "cli/src/a.rs"];
        let tree = Tree::new(files.map(|path| (path.to_owned(), String::new())).into()).expect("it is Rust");
        let map = "### `core/`, package\n\n| file | |\n|---|---|\n| `a.rs`, `b/` | `no.rs` |\n| `b/c.rs` | |\n| `gone.rs` | |\n\
                   ### `cli/`\n| `a.rs` | |\n";
        let told: Vec<String> = unmapped(&tree, map).iter().map(ToString::to_string).collect();
        let expected = [
            "Map: core/src/gone.rs: the map names it, and it is not there (0)",
            "Map: core/src/b/c.rs: the map names it more than once (2)",
            "Map: core/src/e.rs: the map does not name it (0)",
        ];
        assert_eq!(told, expected);
    }
}
