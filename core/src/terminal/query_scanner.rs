//! Finds queries and commands in the program's output that vte drops, and cuts control strings without an end.
//!
//! [`QueryScanner`] sees the same bytes as the parser, just before it, and cuts them where something is to be done. The
//! scanner follows the parser's states (Paul Williams, "A parser for DEC's ANSI-compatible video terminals") and
//! nothing more. It stops where plain text begins, which needs neither of the two.

use super::dec::Command;
use super::rendition::Line;
use super::title::MAX_TITLE;

/// Longest operating system command that is passed on, in bytes; the rest of a longer one is dropped up to its end. The
/// parser would keep all of it. Above every length that means something: the longest is a
/// [clipboard](super::MAX_CLIPBOARD), in base64.
pub const MAX_OSC: usize = 96 * 1024;

/// Shortest run of text at which the scanner stops: to stop at a shorter one costs more than to go on.
const MIN_TEXT: usize = 4;

/// Longest query that is looked at, in bytes between its introducer and its end: terminfo names are the longest.
const MAX_QUERY: usize = 256;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
/// As the parser has it: this byte ends a device control string.
const ST: u8 = 0x9c;

/// Most bytes of a title, at four a character.
const MAX_TITLE_BYTES: usize = 4 * MAX_TITLE;

/// The meaning of `ESC k`, a text and `ESC \\` to a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScreenTitles {
    /// A text between two unknown sequences, as for xterm.
    #[default]
    Printed,
    /// A title, as for GNU screen and tmux.
    Taken,
}

/// Sequences that the parser does not pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Something to answer.
    Query(Query),
    /// Something to do. The parser has seen all of it but the last byte, and waits for that.
    Command(Command),
    /// The same, but there is nothing to do: a title follows, which the parser does not see.
    TitleBegins,
    /// A whole title.
    Title(String),
    /// SGR draws a line above the text, or ends it. The parser sees the sequence too, for its other parameters.
    Overline(Line),
    /// A synchronised update begins.
    UpdateBegins,
    /// A synchronised update ends.
    UpdateEnds,
    /// A program asks whether an update is open. The parser passes this on, but not what the answer is.
    UpdateQuery,
}

/// A query that the parser does not pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Query {
    /// Where the cursor is, in the private form (DECXCPR).
    Cursor,
    /// Which terminal this is, and which version (XTVERSION).
    Version,
    /// How something is set (DECRQSS).
    Setting(Setting),
    /// Terminfo capabilities (XTGETTCAP).
    Capabilities,
}

/// A setting that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// Colours and attributes (SGR).
    Rendition,
    /// Top and bottom margin (DECSTBM).
    Margins,
    /// Left and right margin (DECSLRM).
    Sides,
    /// The cells between the corners of a change of attributes (DECSACE).
    Extent,
    /// The cursor's shape (DECSCUSR).
    CursorStyle,
    /// Whether what is written is protected from erasing (DECSCA).
    Protection,
    /// Any other: there is none.
    Unknown,
}

/// A piece of the scanned bytes, and what to do with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    /// The number of bytes at the beginning that go to the parser.
    pub(super) pass: usize,
    /// The number of bytes after those that are dropped.
    pub(super) skip: usize,
    /// A query or command that ends after all of these bytes.
    pub(super) found: Option<Found>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    EscapeIntermediate,
    Csi,
    Osc,
    DcsHeader,
    DcsBody,
    /// ESC was read in the body of a device control string: a backslash makes it whole.
    DcsEnd,
    /// A string whose content is nobody's business.
    Ignored,
    /// A title of GNU screen's kind.
    Title,
}

/// A scanner beside the parser.
#[derive(Debug, Default)]
pub(super) struct QueryScanner {
    state: State,
    /// A control sequence after its introducer, or a device control string: at most one byte more than is looked at.
    text: Vec<u8>,
    /// Bytes of an operating system command that were passed on.
    osc: usize,
    titles: ScreenTitles,
}

impl QueryScanner {
    /// From now on, titles of GNU screen's kind are this.
    pub(super) fn set_titles(&mut self, titles: ScreenTitles) {
        self.titles = titles;
    }

    /// Whether nothing is open: text may follow.
    pub(super) fn is_ground(&self) -> bool {
        self.state == State::Ground
    }

    /// Looks at bytes up to the next thing to do, or to plain text behind the first byte, or to their end.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Piece {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match self.state {
                State::Ground if *byte == ESC => self.state = State::Escape,
                State::Ground => {
                    let text = bytes[at..].iter().take_while(|byte| matches!(**byte, b' '..=b'~')).count();
                    // The parser may still hold a part of a character that a byte before the run cut short.
                    let follows_ascii = at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii());
                    if follows_ascii && (text >= MIN_TEXT || matches!(*byte, b'\r' | b'\n')) {
                        return Piece { pass: at, skip: 0, found: None };
                    }
                    at += text.max(1);
                    continue;
                }
                State::Osc => {
                    let rest = &bytes[at..];
                    let end = rest.iter().position(|byte| matches!(*byte, BEL | CAN | SUB | ESC));
                    let length = end.unwrap_or(rest.len());
                    let room = MAX_OSC - self.osc;
                    if length > room {
                        self.osc = MAX_OSC;
                        return Piece { pass: at + room, skip: length - room, found: None };
                    }
                    self.osc += length;
                    at += length;
                    match bytes.get(at) {
                        Some(&ESC) => self.state = State::Escape,
                        Some(_) => self.state = State::Ground,
                        None => break,
                    }
                }
                State::Title => return self.title(at, &bytes[at..]),
                State::Escape
                | State::EscapeIntermediate
                | State::Csi
                | State::DcsHeader
                | State::DcsBody
                | State::DcsEnd
                | State::Ignored => match self.step(*byte) {
                    None => {}
                    Some(found @ (Found::Command(_) | Found::TitleBegins)) => {
                        return Piece { pass: at, skip: 1, found: Some(found) };
                    }
                    Some(
                        found @ (Found::Query(_)
                        | Found::Title(_)
                        | Found::Overline(_)
                        | Found::UpdateBegins
                        | Found::UpdateEnds
                        | Found::UpdateQuery),
                    ) => return Piece { pass: at + 1, skip: 0, found: Some(found) },
                },
            }
            at += 1;
        }
        Piece { pass: bytes.len(), skip: 0, found: None }
    }

    /// A title up to its end, which is any ESC; CAN and SUB cancel it.
    fn title(&mut self, before: usize, bytes: &[u8]) -> Piece {
        let end = bytes.iter().position(|byte| matches!(*byte, CAN | SUB | ESC));
        let text = &bytes[..end.unwrap_or(bytes.len())];
        let room = MAX_TITLE_BYTES.saturating_sub(self.text.len());
        self.text.extend_from_slice(&text[..room.min(text.len())]);
        let mut found = None;
        if let Some(end) = end {
            self.state = State::Ground;
            if bytes[end] == ESC {
                found = Some(Found::Title(String::from_utf8_lossy(&self.text).into_owned()));
            }
        }
        Piece { pass: before, skip: text.len(), found }
    }

    /// One byte of something that is short.
    fn step(&mut self, byte: u8) -> Option<Found> {
        match byte {
            CAN | SUB => {
                self.state = State::Ground;
                return None;
            }
            ESC => {
                self.state = if self.state == State::DcsBody { State::DcsEnd } else { State::Escape };
                return None;
            }
            _ => {}
        }
        match self.state {
            State::DcsEnd if byte == b'\\' => {
                self.state = State::Ground;
                return self.requested();
            }
            State::Escape | State::DcsEnd => {
                self.state = self.after_escape(byte);
                match self.state {
                    State::Ground => return Command::of_escape(b"", byte).map(Found::Command),
                    State::Title => return Some(Found::TitleBegins),
                    State::Escape
                    | State::EscapeIntermediate
                    | State::Csi
                    | State::Osc
                    | State::DcsHeader
                    | State::DcsBody
                    | State::DcsEnd
                    | State::Ignored => {}
                }
            }
            State::EscapeIntermediate => match byte {
                0x20..=0x2f => self.keep(byte),
                0x30..=0x7e => {
                    self.state = State::Ground;
                    return Command::of_escape(&self.text, byte).map(Found::Command);
                }
                _ => {}
            },
            State::Csi => match byte {
                0x20..=0x3f => self.keep(byte),
                0x40..=0x7e => {
                    self.state = State::Ground;
                    return self.asked(byte);
                }
                _ => {}
            },
            State::DcsHeader => match byte {
                0x30..=0x3f if self.text.last().is_some_and(|last| (0x20..=0x2f).contains(last)) => {
                    self.state = State::Ignored;
                }
                0x3c..=0x3f if !self.text.is_empty() => self.state = State::Ignored,
                0x20..=0x3f => self.keep(byte),
                0x40..=0x7e => {
                    self.keep(byte);
                    self.state = State::DcsBody;
                }
                _ => {}
            },
            State::DcsBody if byte == ST => {
                self.state = State::Ground;
                return self.requested();
            }
            State::DcsBody => self.keep(byte),
            State::Ground | State::Osc | State::Ignored | State::Title => {}
        }
        None
    }

    fn after_escape(&mut self, byte: u8) -> State {
        match byte {
            0x20..=0x2f => {
                self.text.clear();
                self.keep(byte);
                State::EscapeIntermediate
            }
            b'[' => {
                self.text.clear();
                State::Csi
            }
            b']' => {
                self.osc = 0;
                State::Osc
            }
            b'P' => {
                self.text.clear();
                State::DcsHeader
            }
            b'X' | b'^' | b'_' => State::Ignored,
            b'k' if self.titles == ScreenTitles::Taken => {
                self.text.clear();
                State::Title
            }
            0x30..=0x7e => State::Ground,
            _ => State::Escape,
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.text.len() <= MAX_QUERY {
            self.text.push(byte);
        }
    }

    /// The meaning of a control sequence that ends now.
    fn asked(&self, last: u8) -> Option<Found> {
        if self.text.len() > MAX_QUERY {
            // The parser does not know which character was the last one.
            return (last == b'b').then_some(Found::Command(Command::Repeat { count: 0 }));
        }
        match (self.text.as_slice(), last) {
            (b"?6", b'n') => Some(Found::Query(Query::Cursor)),
            (b">" | b">0", b'q') => Some(Found::Query(Query::Version)),
            (b"?2026$", b'p') => Some(Found::UpdateQuery),
            ([b'?', modes @ ..], b'h') if has_update(modes) => Some(Found::UpdateBegins),
            ([b'?', modes @ ..], b'l') if has_update(modes) => Some(Found::UpdateEnds),
            (text, b'm') => Line::of(text).map(Found::Overline),
            (text, last) => Command::of_control(text, last).map(Found::Command),
        }
    }

    fn requested(&self) -> Option<Found> {
        if self.text.len() > MAX_QUERY {
            return None;
        }
        let query = match self.text.as_slice() {
            b"$qm" => Query::Setting(Setting::Rendition),
            b"$qr" => Query::Setting(Setting::Margins),
            b"$qs" => Query::Setting(Setting::Sides),
            b"$q*x" => Query::Setting(Setting::Extent),
            b"$q q" => Query::Setting(Setting::CursorStyle),
            b"$q\"q" => Query::Setting(Setting::Protection),
            [b'$', b'q', ..] => Query::Setting(Setting::Unknown),
            [b'+', b'q', ..] => Query::Capabilities,
            _ => return None,
        };
        Some(Found::Query(query))
    }
}

/// Whether synchronised updates are among these modes.
fn has_update(modes: &[u8]) -> bool {
    modes.split(|byte| *byte == b';').any(|mode| mode == b"2026")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes passed on, and what was found, each with the number of bytes passed on before it.
    fn watched_by(mut scanner: QueryScanner, reads: &[&[u8]]) -> (Vec<u8>, Vec<(usize, Found)>) {
        let (mut passed, mut queries) = (Vec::new(), Vec::new());
        for read in reads {
            let mut rest = *read;
            while !rest.is_empty() {
                let piece = scanner.next(rest);
                passed.extend_from_slice(&rest[..piece.pass]);
                queries.extend(piece.found.map(|found| (passed.len(), found)));
                rest = &rest[piece.pass + piece.skip..];
            }
        }
        (passed, queries)
    }

    fn watched(reads: &[&[u8]]) -> (Vec<u8>, Vec<(usize, Found)>) {
        watched_by(QueryScanner::default(), reads)
    }

    const VERSION: Found = Found::Query(Query::Version);

    #[test]
    fn a_query_is_found_at_its_last_byte_and_nothing_else_is_one() {
        let (passed, queries) = watched(&[b"a\x1b[?6nb\x1b[6n\x1b[>q\x1b]0;\x1b[>q\x07\x1bP$qm\x1b\\\x1b_$qm\x1b\\"]);
        assert_eq!(passed.len(), 38);
        let setting = Found::Query(Query::Setting(Setting::Rendition));
        assert_eq!(queries, [(6, Found::Query(Query::Cursor)), (15, VERSION), (23, VERSION), (31, setting)]);
    }

    #[test]
    fn a_cancelled_query_is_none() {
        assert_eq!(watched(&[b"\x1b[>\x18q\x1bP$qm\x18\x1b\\\x1bP+q\x1b[m"]).1, []);
    }

    #[test]
    fn an_endless_command_is_cut_and_its_end_is_passed_on() {
        let long = vec![b'x'; MAX_OSC - 1];
        let (passed, queries) = watched(&[b"\x1b]", &long, b"yzz", &long, b"z\x07text\x1b[>q"]);
        assert_eq!(passed.len(), 2 + MAX_OSC + b"\x07text\x1b[>q".len());
        assert!(passed.ends_with(b"xy\x07text\x1b[>q"));
        assert_eq!(queries, [(passed.len(), VERSION)]);
    }

    #[test]
    fn a_command_of_the_longest_length_is_whole() {
        let mut bytes = b"\x1b]".to_vec();
        bytes.resize(2 + MAX_OSC, b'x');
        bytes.extend_from_slice(b"\x1b\\");
        assert_eq!(watched(&[&bytes]).0, bytes);
    }
    #[test]
    fn a_command_is_found_before_its_last_byte_which_the_parser_does_not_get() {
        let (passed, found) = watched(&[b"a\x1b[3;", b"9s\x1b", b"nb\x1b(A\x1b[!p\x1b(B\x1b[2;3r"]);
        assert_eq!(passed, b"a\x1b[3;9\x1bb\x1b(\x1b[!\x1b(B\x1b[2;3r");
        let found: Vec<Found> = found.into_iter().map(|(_, found)| found).collect();
        let sides = Command::of_control(b"3;9", b's').expect("a command");
        let shift = Command::of_escape(b"", b'n').expect("a command");
        let british = Command::of_escape(b"(", b'A').expect("a command");
        assert_eq!(found, [sides, shift, british, Command::SoftReset].map(Found::Command));
    }

    #[test]
    fn the_parser_never_sees_the_end_of_a_repetition() {
        let long = [b"\x1b[".as_slice(), &[b'0'; MAX_QUERY + 1], b"5b"].concat();
        let (passed, found) = watched(&[b"a\x1b[3b\x1b[b\x1b[2:5b", &long]);
        assert!(!passed.contains(&b'b'));
        let counts = [3, 1, 2, 0].map(|count| Found::Command(Command::Repeat { count }));
        assert_eq!(found.into_iter().map(|(_, found)| found).collect::<Vec<_>>(), counts);
    }

    #[test]
    fn an_update_begins_and_ends_wherever_its_mode_is_among_others() {
        let (_, found) = watched(&[b"\x1b[?25;2026h\x1b[?2026$p\x1b[?2026l\x1b[?12026h\x1b[2026h"]);
        let found: Vec<Found> = found.into_iter().map(|(_, found)| found).collect();
        assert_eq!(found, [Found::UpdateBegins, Found::UpdateQuery, Found::UpdateEnds]);
    }

    #[test]
    fn a_title_of_screens_kind_is_text_to_one_terminal_and_a_title_to_another() {
        let reads: &[&[u8]] = &[b"a\x1bkti", b"tle\x07", b"\x1b\\b\x1bkno\x18c"];
        assert_eq!(watched(reads).0, reads.concat());
        let taking = QueryScanner { titles: ScreenTitles::Taken, ..QueryScanner::default() };
        let (passed, found) = watched_by(taking, reads);
        assert_eq!(passed, b"a\x1b\x1b\\b\x1b\x18c");
        let found: Vec<Found> = found.into_iter().map(|(_, found)| found).collect();
        assert_eq!(found, [Found::TitleBegins, Found::Title("title\x07".to_owned()), Found::TitleBegins]);
    }

    #[test]
    fn an_endless_title_is_cut() {
        let mut taking = QueryScanner { titles: ScreenTitles::Taken, ..QueryScanner::default() };
        assert_eq!(taking.next(b"\x1bk").found, Some(Found::TitleBegins));
        for _ in 0..100 {
            assert_eq!(taking.next(&[b'x'; 5000]), Piece { pass: 0, skip: 5000, found: None });
        }
        assert_eq!(taking.next(b"\x1b").found, Some(Found::Title("x".repeat(MAX_TITLE_BYTES))));
    }
}
