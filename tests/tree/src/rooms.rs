//! Which room uses which, and whether some of them form a circle.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::TokenTree;

use crate::judge::{Finding, Rule};
use crate::source::{CRATES, Crate, Tree, braced, is_punct, word};

/// The arrows between rooms: which room uses which.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// Circles between the rooms of a crate, at most one finding a crate; the figure is the number of uses that are part of
/// one.
pub fn circles(tree: &Tree) -> Vec<Finding> {
    let in_circles = |each: &Crate| {
        let uses = uses(tree, *each);
        let is_way_back = |from: &String, to: &String| reaches(&uses, to, from);
        let both = |(from, all): (&String, &BTreeSet<String>)| -> Vec<String> {
            all.iter().filter(|to| is_way_back(from, to)).map(|to| format!("{from} → {to}")).collect()
        };
        let edges: Vec<String> = uses.iter().flat_map(both).collect();
        (!edges.is_empty()).then(|| Finding {
            rule: Rule::Circle,
            subject: each.folder.to_owned(),
            figure: edges.len(),
            detail: format!("rooms form a circle: {}", edges.join(", ")),
        })
    };
    CRATES.iter().filter_map(in_circles).collect()
}

/// Whether there is a way along uses from one room to another.
fn reaches(uses: &Uses, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut next = vec![from];
    while let Some(room) = next.pop() {
        if room == to {
            return true;
        }
        next.extend(uses.get(room).into_iter().flatten().map(String::as_str).filter(|room| seen.insert(room)));
    }
    false
}

/// The uses between the rooms of a crate: paths that begin with `crate::`, and those by `super` that reach the crate's
/// root.
fn uses(tree: &Tree, each: Crate) -> Uses {
    let rooms: BTreeSet<&str> = tree.sources().filter_map(|(path, _)| each.room(path)).collect();
    let exported = exported(tree, each);
    let mut uses = Uses::new();
    for (path, source) in tree.sources() {
        let (Some(room), Some(inside)) = (each.room(path), each.inside(path)) else { continue };
        let depth = inside.strip_suffix("/mod.rs").unwrap_or(inside).split('/').count();
        let mut names = BTreeSet::new();
        names_at_root(&source.tokens, depth, &mut names);
        let owner = |name: &String| exported.get(name).cloned().unwrap_or_else(|| name.clone());
        let used = names.iter().map(owner).filter(|name| name != room && rooms.contains(name.as_str()));
        uses.entry(room.to_owned()).or_default().extend(used);
    }
    uses
}

/// Names that the crate's root takes from rooms and shows as its own, and the room of each.
fn exported(tree: &Tree, each: Crate) -> BTreeMap<String, String> {
    let root = format!("{}/src/{}", each.folder, each.root);
    let Some((_, source)) = tree.sources().find(|(path, _)| *path == root) else { return BTreeMap::new() };
    let mut exported = BTreeMap::new();
    let parts = source.tokens.split(|token| is_punct(token, ';'));
    let behind_use = |part: &[TokenTree]| {
        let at = part.iter().position(|token| word(token).as_deref() == Some("use"))?;
        Some(all_words(&part[at + 1..]))
    };
    for words in parts.filter_map(behind_use) {
        let path: Vec<&String> = words.iter().filter(|word| !["crate", "self"].contains(&word.as_str())).collect();
        if let [room, names @ ..] = path.as_slice() {
            exported.extend(names.iter().map(|name| ((*name).clone(), (*room).clone())));
        }
    }
    exported
}

fn all_words(tokens: &[TokenTree]) -> Vec<String> {
    let words = |token: &TokenTree| match token {
        TokenTree::Group(group) => all_words(&group.stream().into_iter().collect::<Vec<_>>()),
        TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => word(token).into_iter().collect(),
    };
    tokens.iter().flat_map(words).collect()
}

/// Names that stand directly behind the crate's root in a path; `depth` modules lie around these tokens.
fn names_at_root(tokens: &[TokenTree], depth: usize, names: &mut BTreeSet<String>) {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if let TokenTree::Group(group) = token {
            let is_module = at >= 2 && word(&tokens[at - 2]).as_deref() == Some("mod");
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            names_at_root(&inner, depth + usize::from(is_module), names);
        }
        let mut end = at;
        let mut climbed = 0;
        let mut is_root = word(token).as_deref() == Some("crate");
        if is_root {
            end += 1;
        }
        while !is_root && word_at(tokens, end).as_deref() == Some("super") {
            climbed += 1;
            is_root = climbed == depth;
            end += if is_root { 1 } else { 3 };
        }
        if is_root && is_path(tokens, end) {
            names_behind(tokens.get(end + 2), names);
        }
        at = end.max(at + 1);
    }
}

fn word_at(tokens: &[TokenTree], at: usize) -> Option<String> {
    tokens.get(at).and_then(word)
}

fn is_path(tokens: &[TokenTree], at: usize) -> bool {
    tokens.get(at..at + 2).is_some_and(|colons| colons.iter().all(|colon| is_punct(colon, ':')))
}

/// The names behind `crate::`: one name, or several in braces.
fn names_behind(token: Option<&TokenTree>, names: &mut BTreeSet<String>) {
    let Some(token) = token else { return };
    names.extend(word(token));
    let Some(group) = braced(token) else { return };
    let mut is_first = true;
    for token in group.stream() {
        if is_first {
            names.extend(word(&token));
        }
        is_first = is_punct(&token, ',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(files: &[(&str, &str)]) -> Vec<(String, usize, String)> {
        let files = files.iter().map(|(path, text)| (format!("core/src/{path}"), (*text).to_owned()));
        let tree = Tree::new(files.collect()).expect("it is Rust");
        circles(&tree).into_iter().map(|finding| (finding.subject, finding.figure, finding.detail)).collect()
    }

    #[test]
    fn rooms_that_use_each_other_by_way_of_a_third_are_told() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::{d, b::{B, c}};"),
            ("b/deep.rs", "fn f() -> crate::c::C { m!(x) }"),
            ("c.rs", "fn f() { m!(super::a::A) }"),
            ("d.rs", "use std::fmt;"),
        ];
        let circle = "rooms form a circle: a → b, b → c, c → a".to_owned();
        assert_eq!(told(&files), [("core".to_owned(), 3, circle)]);
    }

    #[test]
    fn what_the_root_shows_as_its_own_belongs_to_its_room() {
        let files = [("lib.rs", "pub use b::deep::{B, C};"), ("a.rs", "use crate::C;"), ("b.rs", "use super::a;")];
        assert_eq!(told(&files)[0].1, 2);
    }

    #[test]
    fn a_room_may_use_itself_others_one_way_and_anything_in_tests() {
        let files = [
            ("a.rs", "use crate::b; use crate::a::x; mod inner { use super::super::b; }"),
            ("a/x.rs", "use super::y; use super::super::b;"),
            ("b.rs", "#[cfg(test)] mod tests { use crate::a; } mod a { } use self::a;"),
            ("b/c.rs", "use super::a;"),
        ];
        assert_eq!(told(&files), []);
    }
}
