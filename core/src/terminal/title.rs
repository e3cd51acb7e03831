//! Titles, names and sentences of others, as far as they may be shown.

/// Longest title, in characters: more than any window shows.
pub const MAX_TITLE: usize = 256;

/// The printable characters of a title, as many as are kept. Controls and marks that turn the direction of the text are
/// not.
pub fn clean_title(title: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    title.chars().filter(|c| !c.is_control() && !turns(*c)).take(MAX_TITLE).collect()
}
