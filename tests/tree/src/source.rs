//! Source files: read, cut into tokens, and freed of tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A crate whose tree is held to the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crate {
    /// Its folder.
    pub folder: &'static str,
    /// Its root, which is no room.
    pub root: &'static str,
}

/// The crates that ship.
pub const CRATES: [Crate; 4] = [
    Crate { folder: "core", root: "lib.rs" },
    Crate { folder: "runtime-tokio", root: "lib.rs" },
    Crate { folder: "runtime-web", root: "lib.rs" },
    Crate { folder: "cli", root: "main.rs" },
];

impl Crate {
    /// The room, a top module, in which a file stands; `None` for the root and for files of other crates.
    pub(crate) fn room<'a>(&self, path: &'a str) -> Option<&'a str> {
        let inside = self.inside(path)?;
        let first = inside.split('/').next()?;
        (inside != self.root).then(|| first.strip_suffix(".rs").unwrap_or(first))
    }

    /// A file's path from `src/`.
    pub(crate) fn inside<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.folder)?.strip_prefix("/src/")
    }
}

/// A source file without its tests.
#[derive(Debug)]
pub(crate) struct Source {
    /// Lines of the file, those of its tests not counted.
    pub(crate) lines: usize,
    /// Tokens, those of tests left out.
    pub(crate) tokens: Vec<TokenTree>,
}

/// The files of the crates, by their paths from the root of the repository.
#[derive(Debug, Default)]
pub struct Tree {
    sources: BTreeMap<String, Source>,
    /// Files that belong to tests whole.
    tests: BTreeSet<String>,
}

impl Tree {
    /// Reads the crates below this folder.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(root: &Path) -> io::Result<Tree> {
        let mut files = BTreeMap::new();
        for each in CRATES {
            read_folder(root, &format!("{}/src", each.folder), &mut files)?;
        }
        Tree::new(files).map_err(io::Error::other)
    }

    /// A tree of these paths and texts.
    ///
    /// # Errors
    /// If a text is not Rust.
    pub fn new(files: BTreeMap<String, String>) -> Result<Tree, String> {
        let mut tree = Tree::default();
        for (path, text) in files {
            let tokens: TokenStream = text.parse().map_err(|error| format!("{path}: {error}"))?;
            let mut cut = Cut::default();
            let tokens = cut.without_tests(tokens);
            let folder = path.strip_suffix(".rs").unwrap_or(&path);
            let beside = folder.rsplit_once('/').map_or("", |(beside, _)| beside);
            let is_root = ["lib", "main", "mod"].iter().any(|root| folder.ends_with(&format!("/{root}")));
            let below = if is_root { beside } else { folder };
            tree.tests.extend(cut.modules.iter().map(|module| format!("{below}/{module}")));
            let lines = text.lines().count().saturating_sub(cut.lines);
            tree.sources.insert(path, Source { lines, tokens });
        }
        Ok(tree)
    }

    /// Every file that is not a test's, by its path.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.all_paths().filter(|path| !self.is_test(path)).map(|path| (path, &self.sources[path]))
    }

    /// Every file, tests included.
    pub(crate) fn all_paths(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }

    fn is_test(&self, path: &str) -> bool {
        let is_in =
            |test: &String| path.strip_prefix(test.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'));
        self.tests.iter().any(is_in)
    }
}

fn read_folder(root: &Path, folder: &str, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| io::Error::other(format!("{name:?}")))?;
        let path = format!("{folder}/{name}");
        if entry.file_type()?.is_dir() {
            read_folder(root, &path, files)?;
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(entry.path())?;
            files.insert(path, text);
        }
    }
    Ok(())
}

/// The parts that were cut out of a file.
#[derive(Default)]
struct Cut {
    /// Lines of items under `#[cfg(test)]`.
    lines: usize,
    /// Modules under `#[cfg(test)]` that stand in files of their own.
    modules: Vec<String>,
}

impl Cut {
    /// The tokens without each item, field or statement that stands under `#[cfg(test)]`.
    fn without_tests(&mut self, tokens: TokenStream) -> Vec<TokenTree> {
        let mut kept = Vec::new();
        let mut rest = tokens.into_iter().peekable();
        while let Some(token) = rest.next() {
            if !is_punct(&token, '#') || !rest.peek().is_some_and(is_cfg_test) {
                kept.push(self.inside(token));
                continue;
            }
            let first = token.span().start().line;
            let mut last = first;
            let mut words = Vec::new();
            for token in rest.by_ref() {
                last = token.span().end().line;
                let is_body = matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
                let is_item = words.iter().any(|word: &String| ITEMS.contains(&word.as_str()));
                if is_body || is_punct(&token, ';') || (is_punct(&token, ',') && !is_item) {
                    break;
                }
                words.push(token.to_string());
            }
            self.lines += last - first + 1;
            if let [.., word, name] = words.as_slice()
                && word == "mod"
            {
                self.modules.push(name.clone());
            }
        }
        kept
    }

    fn inside(&mut self, token: TokenTree) -> TokenTree {
        match token {
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), self.without_tests(group.stream()).into_iter().collect());
                inner.set_span(group.span());
                TokenTree::Group(inner)
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => token,
        }
    }
}

/// Words that begin an item or a statement, which ends with `;` or a body, not with a comma.
const ITEMS: [&str; 12] =
    ["fn", "mod", "struct", "enum", "union", "impl", "use", "const", "static", "trait", "type", "let"];

fn is_cfg_test(token: &TokenTree) -> bool {
    let TokenTree::Group(group) = token else { return false };
    let text: String = group.stream().to_string().split_whitespace().collect();
    group.delimiter() == Delimiter::Bracket && (text == "cfg(test)" || text.starts_with("cfg(all(test,"))
}

/// Whether a token is this sign.
pub(crate) fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// A token's text if it is a word.
pub(crate) fn word(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => None,
    }
}

/// The tokens of a group in braces.
pub(crate) fn braced(token: &TokenTree) -> Option<&Group> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
        TokenTree::Group(_) | TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_under_cfg_test_is_neither_counted_nor_read() {
        let text = "use a;\n#[cfg(test)]\nuse b::{c, d};\nstruct S {\n    a: u8,\n    #[cfg(test)]\n    b: u8,\n}\n\
                    #[cfg(test)]\nmod tests {\n    fn f() {}\n}\n#[cfg(test)]\nmod far;\n";
        let files = [("core/src/host.rs", text), ("core/src/host/far.rs", "use crate::x;")];
        let tree = Tree::new(files.map(|(path, text)| (path.to_owned(), text.to_owned())).into()).expect("it is Rust");
        let sources: Vec<_> = tree.sources().collect();
        assert_eq!(sources.len(), 1, "the module for tests counts as one");
        let kept: String = sources[0].1.tokens.iter().map(ToString::to_string).collect();
        assert!(kept.contains('a') && !kept.contains('b') && !kept.contains("tests"), "{kept}");
        assert_eq!(sources[0].1.lines, 4);
    }

    #[test]
    fn a_file_stands_in_the_room_of_its_top_module() {
        let core = CRATES[0];
        assert_eq!(core.room("core/src/host/escape.rs"), Some("host"));
        assert_eq!(core.room("core/src/host.rs"), Some("host"));
        assert_eq!(core.room("core/src/lib.rs"), None);
        assert_eq!(core.room("cli/src/host.rs"), None);
    }
}
