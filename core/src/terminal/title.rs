//! Titles, names and sentences of others, as far as they may be shown.

/// Longest title, in characters: more than any window shows.
pub const MAX_TITLE: usize = 256;

/// Longest name that [`quoted_name`] shows whole, in characters.
const MAX_QUOTED: usize = 24;

/// Whether a character may stand in text that other people chose. Control characters may not, nor invisible ones, nor
/// those that change the direction of text: with these, one text looks like another.
pub fn is_printable(c: char) -> bool {
    let hidden = matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            // Fillers of Hangul, and the blank of Braille, look like blanks.
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}'
            | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            // Variation selectors but the last, which makes emoji of other characters.
            | '\u{fe00}'..='\u{fe0e}'
            | '\u{feff}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
            // For private use: rows with links have them as placeholders.
            | '\u{100000}'..='\u{10ffff}'
    );
    !c.is_control() && !hidden
}

/// The printable characters of a title, [`MAX_TITLE`] at most.
pub fn clean_title(title: &str) -> String {
    title.chars().filter(|c| is_printable(*c)).take(MAX_TITLE).collect()
}

/// A self-chosen name in quotation marks, with none inside, so that it cannot pass for words of beach. At most 24
/// characters.
pub fn quoted_name(name: &str) -> String {
    let mut printable = name.chars().filter(|c| is_printable(*c)).map(|c| if c == '"' { '\'' } else { c });
    let short: String = printable.by_ref().take(MAX_QUOTED).collect();
    let cut = if printable.next().is_some() { "…" } else { "" };
    format!("\"{short}{cut}\"")
}

/// The viewer with this name and number in a sentence: the name as [`quoted_name`] shows it, or `viewer 3` without
/// quotation marks if the name has no character that can be seen.
pub fn viewer_name(name: &str, number: u32) -> String {
    if is_blank(name) { format!("viewer {number}") } else { quoted_name(name) }
}

/// Makes an emoji of the character before; alone it is invisible.
const EMOJI_SELECTOR: char = '\u{fe0f}';

/// Whether a name has no character that can be seen.
pub fn is_blank(name: &str) -> bool {
    !name.chars().any(|c| is_printable(c) && !c.is_whitespace() && c != EMOJI_SELECTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_without_a_name_is_called_by_the_number() {
        for name in ["", " ", "\u{3000}\u{200b}\n", "\u{3164}", "\u{2800}\u{115f}", "\u{fe0f}"] {
            assert_eq!(viewer_name(name, 3), "viewer 3", "{name:?}");
        }
        assert_eq!(viewer_name("viewer 4", 3), "\"viewer 4\"");
    }

    #[test]
    fn titles_and_names_lose_what_nobody_sees_and_what_turns_text_around() {
        let hidden = "\u{34f}\u{115f}\u{1160}\u{17b4}\u{180b}\u{180f}\u{2800}\u{3164}\u{fe00}\u{ffa0}\u{fff0}\u{e0100}\u{e0fff}\u{61c}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{202a}\u{202e}\u{2060}\u{2064}\u{2066}\u{2069}\u{feff}\
            \u{e0000}\u{e0041}\u{e007f}\u{100000}\u{108000}\u{10fffd}\u{1b}\u{9b}\u{7f}\n";
        for hidden in hidden.chars() {
            assert_eq!(clean_title(&format!("a{hidden}é中🦀")), "aé中🦀", "{hidden:?}");
            assert_eq!(quoted_name(&format!("a{hidden}b")), "\"ab\"", "{hidden:?}");
        }
    }

    #[test]
    fn a_name_ends_where_its_quotation_marks_end() {
        assert_eq!(quoted_name("x\" (control); sees: a b"), "\"x' (control); sees: a b\"");
        assert_eq!(quoted_name(&"é".repeat(24)), format!("\"{}\"", "é".repeat(24)));
        assert_eq!(quoted_name(&"é".repeat(25)), format!("\"{}…\"", "é".repeat(24)));
    }
}
