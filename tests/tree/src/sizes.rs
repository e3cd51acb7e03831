//! How large files, functions and structs are.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Group, TokenTree};

use crate::judge::{Finding, Rule};
use crate::source::{CRATES, Tree, braced, is_punct, word};

/// Lines of a file, its tests not counted.
const FILE_LINES: usize = 450;
/// Lines of code of a function, as clippy's `too_many_lines` counts them: no comments, no empty lines, no outermost
/// braces.
const FUNCTION_LINES: usize = 70;
/// Fields of a struct.
const FIELDS: usize = 16;
/// Fields of one of [`MACHINES`].
const MACHINE_FIELDS: usize = 12;

/// The large machines, and the crates and rooms that they stand in.
const MACHINES: [(&str, &str, &str); 4] =
    [("core", "host", "Host"), ("core", "viewer", "Viewer"), ("cli", "share", "Share"), ("cli", "join", "Join")];

/// The crate and room of the command line. Its structs have a field for each flag, and may have any number of fields.
const COMMAND_LINE: (&str, &str) = ("cli", "args");

/// Files that are one idea each, however long, and may have any number of lines.
const ONE_IDEA: [&str; 4] = [
    "core/src/rendezvous.rs",
    "core/src/predict.rs",
    "core/src/ice/turn/allocations.rs",
    "core/src/terminal/handler.rs",
];

/// Files with too many lines; those of one idea each only if they are not there.
pub fn large_files(tree: &Tree) -> Vec<Finding> {
    let is_large = |(path, lines): &(&str, usize)| *lines > FILE_LINES && !ONE_IDEA.contains(path);
    let finding = |(path, figure): (&str, usize)| {
        let detail = format!("a file has at most {FILE_LINES} lines without its tests");
        Finding { rule: Rule::FileLines, subject: path.to_owned(), figure, detail }
    };
    let large = tree.sources().map(|(path, source)| (path, source.lines)).filter(is_large).map(finding);
    let is_missing = |path: &&str| !tree.all_paths().any(|each| each == *path);
    let missing = ONE_IDEA.into_iter().filter(is_missing).map(|path| {
        let detail = "it may have any number of lines, and is not there".to_owned();
        Finding { rule: Rule::FileLines, subject: path.to_owned(), figure: 0, detail }
    });
    large.chain(missing).collect()
}

/// Functions with too many lines.
pub fn long_functions(tree: &Tree) -> Vec<Finding> {
    let mut longest = BTreeMap::new();
    for (path, source) in tree.sources() {
        functions(&source.tokens, &mut |name, body, is_async| {
            // Of an async function clippy sees the block inside, braces included.
            let lines = code_lines(body) + if is_async { 2 } else { 0 };
            let subject = format!("{path} {name}");
            let figure = longest.entry(subject).or_insert(0);
            *figure = lines.max(*figure);
        });
    }
    let is_long = |(_, figure): &(String, usize)| *figure > FUNCTION_LINES;
    let finding = |(subject, figure)| {
        let detail = format!("a function has at most {FUNCTION_LINES} lines of code");
        Finding { rule: Rule::FunctionLines, subject, figure, detail }
    };
    longest.into_iter().filter(is_long).map(finding).collect()
}

/// Structs with too many fields, and machines that are not in their room.
pub fn wide_structs(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut missing: BTreeSet<_> = MACHINES.into();
    for each in CRATES {
        for (path, source) in tree.sources() {
            let Some(room) = each.room(path) else { continue };
            if (each.folder, room) == COMMAND_LINE {
                continue;
            }
            structs(&source.tokens, &mut |name, body| {
                let machine = MACHINES.iter().find(|machine| **machine == (each.folder, room, name));
                missing.retain(|known| Some(known) != machine);
                let most = machine.map_or(FIELDS, |_| MACHINE_FIELDS);
                let figure = fields(body);
                if figure > most {
                    let detail = format!("this struct has at most {most} fields");
                    findings.push(Finding { rule: Rule::Fields, subject: format!("{path} {name}"), figure, detail });
                }
            });
        }
    }
    findings.extend(missing.into_iter().map(|(folder, room, name)| {
        let detail = "the check does not find this struct".to_owned();
        Finding { rule: Rule::Fields, subject: format!("{folder} {room} {name}"), figure: 0, detail }
    }));
    findings
}

/// Calls `found` with the name and body of each function, inner ones included, and whether it is async.
fn functions(tokens: &[TokenTree], found: &mut impl FnMut(&str, &Group, bool)) {
    named_bodies("fn", tokens, &mut |name, body, before| found(name, body, before == Some("async")));
}

fn structs(tokens: &[TokenTree], found: &mut impl FnMut(&str, &Group)) {
    named_bodies("struct", tokens, &mut |name, body, _| found(name, body));
}

/// Calls `found` with the name and the braces of everything that this word begins, and with the word before.
fn named_bodies(keyword: &str, tokens: &[TokenTree], found: &mut impl FnMut(&str, &Group, Option<&str>)) {
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            named_bodies(keyword, &inner, found);
        }
        if word(token).as_deref() != Some(keyword) {
            continue;
        }
        let Some(name) = tokens.get(at + 1).and_then(word) else { continue };
        let body = tokens[at..].iter().take_while(|token| !is_punct(token, ';')).find_map(braced);
        if let Some(body) = body {
            let before = at.checked_sub(1).and_then(|before| word(&tokens[before]));
            found(&name, body, before.as_deref());
        }
    }
}

/// Lines between the braces on which a token stands.
fn code_lines(body: &Group) -> usize {
    let mut lines = BTreeSet::new();
    all_lines(body, &mut lines);
    let (open, close) = (body.span_open().start().line, body.span_close().end().line);
    lines.into_iter().filter(|line| *line > open && *line < close).count()
}

fn all_lines(group: &Group, lines: &mut BTreeSet<usize>) {
    for token in group.stream() {
        match &token {
            // A comment of the documentation is a token too, and no code.
            TokenTree::Group(inner) if is_documentation(inner) => {}
            TokenTree::Group(inner) => {
                lines.insert(inner.span_open().start().line);
                lines.insert(inner.span_close().end().line);
                all_lines(inner, lines);
            }
            TokenTree::Punct(punct) if punct.as_char() == '#' => {}
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {
                let span = token.span();
                lines.extend(span.start().line..=span.end().line);
            }
        }
    }
}

fn is_documentation(group: &Group) -> bool {
    let first = group.stream().into_iter().next();
    group.delimiter() == Delimiter::Bracket && first.as_ref().and_then(word).is_some_and(|word| word == "doc")
}

/// Fields of a struct: parts between commas that are in no angle brackets.
fn fields(body: &Group) -> usize {
    let (mut count, mut depth, mut is_empty, mut last) = (0, 0, true, ' ');
    for token in body.stream() {
        let sign = match &token {
            TokenTree::Punct(punct) => punct.as_char(),
            TokenTree::Group(_) | TokenTree::Ident(_) | TokenTree::Literal(_) => ' ',
        };
        match sign {
            '<' => depth += 1,
            '>' if last != '-' => depth -= 1,
            ',' if depth == 0 => {
                count += usize::from(!is_empty);
                is_empty = true;
                continue;
            }
            _ => {}
        }
        last = sign;
        is_empty = false;
    }
    count + usize::from(!is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(path: &str, text: String) -> Tree {
        Tree::new([(path.to_owned(), text)].into()).expect("it is Rust")
    }

    #[test]
    fn a_file_of_451_lines_is_told_and_one_with_its_tests_beyond_that_or_of_one_idea_is_not() {
        let line = "const A: u8 = 0;\n";
        let told = |path: &str, text| -> Vec<(String, usize)> {
            let findings = large_files(&tree(path, text)).into_iter();
            findings.map(|finding| (finding.subject, finding.figure)).filter(|(subject, _)| subject == path).collect()
        };
        assert_eq!(told("cli/src/a.rs", line.repeat(451)), [("cli/src/a.rs".to_owned(), 451)]);
        let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", line.repeat(450), line.repeat(100));
        assert_eq!(told("cli/src/a.rs", tested), []);
        assert_eq!(told("core/src/predict.rs", line.repeat(451)), []);
    }

    #[test]
    fn a_file_of_one_idea_that_is_not_there_is_told() {
        let findings = large_files(&tree("core/src/predict.rs", String::new()));
        assert_eq!(findings.iter().filter(|finding| finding.figure == 0).count(), ONE_IDEA.len() - 1);
    }

    #[test]
    fn a_function_of_71_lines_of_code_is_told() {
        let body =
            |lines: usize| format!("impl A {{ fn f(&self) -> [u8; 2] {{\n// why\n\n{}}} }}", "g();\n".repeat(lines));
        let findings = long_functions(&tree("cli/src/a.rs", body(71)));
        assert_eq!((findings[0].subject.as_str(), findings[0].figure), ("cli/src/a.rs f", 71));
        assert_eq!(long_functions(&tree("cli/src/a.rs", body(70))), []);
        let of_69 = |body: String| long_functions(&tree("cli/src/a.rs", body)).len();
        assert_eq!((of_69(body(69)), of_69(body(69).replace("fn f", "async fn f"))), (0, 1));
    }

    #[test]
    fn a_machine_with_13_fields_and_a_struct_beside_it_with_17_are_told_and_so_is_one_that_is_not_there() {
        let fields =
            |count: usize| (0..count).map(|n| format!("#[a(b, c)] pub(crate) f{n}: Map<u8, fn(u8, u8) -> u8>,\n"));
        let structs = |host, other| {
            let (host, other): (String, String) = (fields(host).collect(), fields(other).collect());
            tree(
                "core/src/host.rs",
                format!("struct Host<M: A<u8>> {{ {host} }} struct Other {{ {other} }} struct No;"),
            )
        };
        let told = |tree: &Tree| -> Vec<(String, usize)> {
            let is_host = |finding: &Finding| finding.subject.contains("host");
            wide_structs(tree).into_iter().filter(is_host).map(|finding| (finding.subject, finding.figure)).collect()
        };
        assert_eq!(told(&structs(12, 16)), []);
        let both = [("core/src/host.rs Host".to_owned(), 13), ("core/src/host.rs Other".to_owned(), 17)];
        assert_eq!(told(&structs(13, 17)), both);
        assert_eq!(
            told(&tree("core/src/viewer.rs", "struct Host { a: u8 }".to_owned())),
            [("core host Host".to_owned(), 0)]
        );
    }

    #[test]
    fn a_struct_of_any_room_with_17_fields_is_told_but_one_of_flags_is_not() {
        let fields: String = (0..17).map(|n| format!("f{n}: u8, ")).collect();
        let told = |path: &str| -> Vec<(String, usize)> {
            let findings = wide_structs(&tree(path, format!("struct Wide {{ {fields} }}"))).into_iter();
            findings.map(|finding| (finding.subject, finding.figure)).filter(|(_, figure)| *figure > 0).collect()
        };
        for path in ["core/src/endpoint/state.rs", "runtime-tokio/src/network.rs", "cli/src/doctor.rs"] {
            assert_eq!(told(path), [(format!("{path} Wide"), 17)]);
        }
        assert_eq!(told("cli/src/args/share.rs"), []);
    }
}
