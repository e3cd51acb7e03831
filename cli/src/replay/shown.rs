//! Inputs and outputs of a recording as lines: values as Rust writes them, with bytes as text.

use std::fmt::Debug;

/// Longest line, in characters.
const WIDTH: usize = 300;

/// A value in one line. Lists of bytes are shown as text, and what has no room is left out.
pub(super) fn line(value: &impl Debug) -> String {
    let whole = with_text(&format!("{value:?}"));
    match whole.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}… ({} characters)", &whole[..end], whole.chars().count()),
        None => whole,
    }
}

/// The debug text of a value, where `[104, 105]` becomes `"hi"`.
fn with_text(debug: &str) -> String {
    let mut text = String::new();
    let mut rest = debug;
    while let Some((before, list)) = rest.split_once('[') {
        text.push_str(before);
        let inside = list.split_once(']').and_then(|(inside, after)| Some((bytes(inside)?, after)));
        match inside {
            Some((bytes, after)) => {
                text.push_str(&format!("\"{}\"", bytes.escape_ascii()));
                rest = after;
            }
            None => {
                text.push('[');
                rest = list;
            }
        }
    }
    text + rest
}

/// The bytes of a list, if the list holds two or more, and nothing else.
fn bytes(list: &str) -> Option<Vec<u8>> {
    list.contains(',').then(|| list.split(", ").map(|number| number.parse().ok()).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_and_other_lists_stay() {
        assert_eq!(line(&(Some(b"hi\x1b".to_vec()), [1000, 2], "a[b]")), r#"(Some("hi\x1b"), [1000, 2], "a[b]")"#);
        assert_eq!(line(&([7_u8], Vec::<u8>::new())), "([7], [])");
    }

    #[test]
    fn a_line_has_an_end() {
        let long = line(&vec![b'x'; 70_000]);
        assert!(long.chars().count() < WIDTH + 30 && long.ends_with("… (70002 characters)"), "{long}");
    }
}
