//! Finds queries in the program's output that vte drops, and cuts control strings without an end.
//!
//! [`QueryScanner`] sees the same bytes as the parser, just before it, and cuts them where something is to be done. It
//! follows the parser's states (Paul Williams, "A parser for DEC's ANSI-compatible video terminals") and nothing more:
//! text is skipped by looking for the next ESC.

use memchr::memchr;

/// Longest operating system command that is passed on, in bytes; the rest of a longer one is dropped up to its end. The
/// parser would keep all of it. Above every length that means something: the longest is a
/// [clipboard](super::MAX_CLIPBOARD), in base64.
pub const MAX_OSC: usize = 96 * 1024;

/// Longest query that is looked at, in bytes between its introducer and its end: terminfo names are the longest.
const MAX_QUERY: usize = 256;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
/// As the parser has it: this byte ends a device control string.
const ST: u8 = 0x9c;

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
    /// The cursor's shape (DECSCUSR).
    CursorStyle,
    /// Whether what is written is protected from erasing (DECSCA).
    Protection,
    /// Any other: there is none.
    Unknown,
}

/// What to do with the scanned bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    /// So many go to the parser.
    pub(super) pass: usize,
    /// So many after them do not.
    pub(super) skip: usize,
    /// Then this is to be answered.
    pub(super) query: Option<Query>,
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
}

/// A scanner beside the parser.
#[derive(Debug, Default)]
pub(super) struct QueryScanner {
    state: State,
    /// A control sequence after its introducer, or a device control string: at most one byte more than is looked at.
    text: Vec<u8>,
    /// Bytes of an operating system command that were passed on.
    osc: usize,
}

impl QueryScanner {
    /// Whether nothing is open: text may follow.
    pub(super) fn is_ground(&self) -> bool {
        self.state == State::Ground
    }

    /// Looks at bytes up to the next thing to do, which may be their end.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Piece {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match self.state {
                State::Ground => match memchr(ESC, &bytes[at..]) {
                    Some(before) => {
                        at += before;
                        self.state = State::Escape;
                    }
                    None => break,
                },
                State::Osc => {
                    let rest = &bytes[at..];
                    let end = rest.iter().position(|byte| matches!(*byte, BEL | CAN | SUB | ESC));
                    let length = end.unwrap_or(rest.len());
                    let room = MAX_OSC - self.osc;
                    if length > room {
                        self.osc = MAX_OSC;
                        return Piece { pass: at + room, skip: length - room, query: None };
                    }
                    self.osc += length;
                    at += length;
                    match bytes.get(at) {
                        Some(&ESC) => self.state = State::Escape,
                        Some(_) => self.state = State::Ground,
                        None => break,
                    }
                }
                State::Escape
                | State::EscapeIntermediate
                | State::Csi
                | State::DcsHeader
                | State::DcsBody
                | State::DcsEnd
                | State::Ignored => {
                    let query = self.step(*byte);
                    if query.is_some() {
                        return Piece { pass: at + 1, skip: 0, query };
                    }
                }
            }
            at += 1;
        }
        Piece { pass: bytes.len(), skip: 0, query: None }
    }

    /// One byte of something that is short.
    fn step(&mut self, byte: u8) -> Option<Query> {
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
            State::Escape | State::DcsEnd => self.state = self.after_escape(byte),
            State::EscapeIntermediate if (0x30..=0x7e).contains(&byte) => self.state = State::Ground,
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
            State::EscapeIntermediate | State::Ground | State::Osc | State::Ignored => {}
        }
        None
    }

    fn after_escape(&mut self, byte: u8) -> State {
        match byte {
            0x20..=0x2f => State::EscapeIntermediate,
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
            0x30..=0x7e => State::Ground,
            _ => State::Escape,
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.text.len() <= MAX_QUERY {
            self.text.push(byte);
        }
    }

    fn asked(&self, last: u8) -> Option<Query> {
        match (self.text.as_slice(), last) {
            (b"?6", b'n') => Some(Query::Cursor),
            (b">" | b">0", b'q') => Some(Query::Version),
            _ => None,
        }
    }

    fn requested(&self) -> Option<Query> {
        if self.text.len() > MAX_QUERY {
            return None;
        }
        match self.text.as_slice() {
            b"$qm" => Some(Query::Setting(Setting::Rendition)),
            b"$qr" => Some(Query::Setting(Setting::Margins)),
            b"$q q" => Some(Query::Setting(Setting::CursorStyle)),
            b"$q\"q" => Some(Query::Setting(Setting::Protection)),
            [b'$', b'q', ..] => Some(Query::Setting(Setting::Unknown)),
            [b'+', b'q', ..] => Some(Query::Capabilities),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes passed on, and the queries, each with the number of bytes passed on before it.
    fn watched(reads: &[&[u8]]) -> (Vec<u8>, Vec<(usize, Query)>) {
        let (mut scanner, mut passed, mut queries) = (QueryScanner::default(), Vec::new(), Vec::new());
        for read in reads {
            let mut rest = *read;
            while !rest.is_empty() {
                let piece = scanner.next(rest);
                passed.extend_from_slice(&rest[..piece.pass]);
                queries.extend(piece.query.map(|query| (passed.len(), query)));
                rest = &rest[piece.pass + piece.skip..];
            }
        }
        (passed, queries)
    }

    #[test]
    fn a_query_is_found_at_its_last_byte_and_nothing_else_is_one() {
        let (passed, queries) = watched(&[b"a\x1b[?6nb\x1b[6n\x1b[>q\x1b]0;\x1b[>q\x07\x1bP$qm\x1b\\\x1b_$qm\x1b\\"]);
        assert_eq!(passed.len(), 38);
        let setting = Query::Setting(Setting::Rendition);
        assert_eq!(queries, [(6, Query::Cursor), (15, Query::Version), (23, Query::Version), (31, setting)]);
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
        assert_eq!(queries, [(passed.len(), Query::Version)]);
    }

    #[test]
    fn a_command_of_the_longest_length_is_whole() {
        let mut bytes = b"\x1b]".to_vec();
        bytes.resize(2 + MAX_OSC, b'x');
        bytes.extend_from_slice(b"\x1b\\");
        assert_eq!(watched(&[&bytes]).0, bytes);
    }
}
