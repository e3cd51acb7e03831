//! A viewer's escapes, as in ssh: at the start of a line alone, or anywhere for people who may only watch.

use super::Typed;
use super::decoder::{Decoder, Key, Piece};
use super::escape::{EscapeReader, Step};
use crate::role::Role;
use crate::time::Timestamp;

/// A command of the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Type these keys.
    Type(Vec<u8>),
    /// Pass this on, which nobody typed: reports of mouse and focus, keys that were let go.
    Report(Vec<u8>),
    /// A part of a paste, as [`Typed::Paste`] has it.
    Paste {
        /// The part.
        bytes: Vec<u8>,
        /// The paste begins with it.
        first: bool,
        /// The paste ends with it.
        last: bool,
    },
    /// The answer to a question about the cursor, as [`Typed::CursorReport`] has it.
    CursorReport {
        /// Row from the top, 0-based.
        row: u16,
        /// Column from the left, 0-based.
        col: u16,
    },
    /// Turn the page that lies over the screen: see [`Escapes::set_page_keys`].
    Turn,
    /// Leave the session.
    Leave,
    /// Show the escapes.
    Help,
    /// Show the path.
    Status,
    /// Show who else is here.
    Members,
    /// Paint everything again.
    Redraw,
    /// Have the paths prove themselves anew.
    Prove,
    /// Suspend the viewer.
    Suspend,
    /// Show another part of the session: this many half windows further down, and further right.
    Pan(i16, i16),
}

impl Action {
    /// The command of a key after the escape.
    fn of(key: u8) -> Option<Action> {
        match key {
            b'.' => Some(Action::Leave),
            b'?' => Some(Action::Help),
            b's' => Some(Action::Status),
            b'm' => Some(Action::Members),
            b'r' => Some(Action::Redraw),
            b'p' => Some(Action::Prove),
            CTRL_Z => Some(Action::Suspend),
            b'h' => Some(Action::Pan(0, -1)),
            b'j' => Some(Action::Pan(1, 0)),
            b'k' => Some(Action::Pan(-1, 0)),
            b'l' => Some(Action::Pan(0, 1)),
            _ => None,
        }
    }

    fn opens_page(&self) -> bool {
        matches!(self, Action::Help | Action::Status | Action::Members)
    }
}

const CTRL_Z: u8 = 0x1a;

/// Finds a viewer's escapes in what is typed.
#[derive(Debug)]
pub struct Escapes {
    /// The key that begins one, if any does.
    key: Option<u8>,
    decoder: Decoder,
    reader: EscapeReader,
    line: Line,
    role: Role,
    /// Whether the caller shows pages.
    shows_pages: bool,
    /// The number of keys that still go to the page over the screen.
    page_keys: usize,
}

/// Where in a line the next key stands, as far as keys tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Start,
    Within,
}

impl Line {
    fn after(byte: u8) -> Line {
        if matches!(byte, b'\r' | b'\n') { Line::Start } else { Line::Within }
    }
}

impl Escapes {
    /// With this key, as a terminal without any protocol sends it; without one nothing is an escape.
    pub fn new(key: Option<u8>) -> Escapes {
        Escapes {
            key,
            decoder: Decoder::default(),
            reader: EscapeReader::default(),
            line: Line::Start,
            role: Role::Control,
            shows_pages: false,
            page_keys: 0,
        }
    }

    /// Sets the viewer's permission. The host gets no key of a person who may only watch, so each of their keys may
    /// begin an escape, also in the middle of a line.
    pub fn set_role(&mut self, role: Role) {
        self.role = role;
    }

    /// The viewer's permission, as last set.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The escape character as a person would type it.
    pub fn name(&self) -> String {
        self.key.map_or_else(String::new, super::key_name)
    }

    /// From now on the caller shows a page for each command that asks for one. A key behind such an escape turns the
    /// page even if both come in one read, before the caller can say how many keys the page takes. Further keys of that
    /// read are typed, since every page takes one key at least, and few take more.
    pub fn show_pages(&mut self) {
        self.shows_pages = true;
    }

    /// Sets how many keys turn and close the page that lies over the screen; 0 without a page. Each of the next keys,
    /// so many, is an [`Action::Turn`] unless it begins an escape. The key that closes the page is not typed, so the
    /// next key stands at the start of a line.
    pub fn set_page_keys(&mut self, keys: usize) {
        self.page_keys = keys;
    }

    /// The terminal's input, with the escapes found.
    pub fn typed(&mut self, now: Timestamp, typed: Typed) -> Vec<Action> {
        match typed {
            Typed::Keys(keys) => self.read(now, &keys),
            Typed::Paste { bytes, first, last } => {
                let mut actions = self.pasted(&bytes);
                actions.push(Action::Paste { bytes, first, last });
                actions
            }
            Typed::CursorReport { row, col } => vec![Action::CursorReport { row, col }],
        }
    }

    /// Reads keys in order. `keys` holds whole keys only, as [`Keyboard`](super::Keyboard) returns them.
    fn read(&mut self, now: Timestamp, keys: &[u8]) -> Vec<Action> {
        let Some(key) = self.key else { return vec![Action::Type(keys.to_vec())] };
        let mut actions = Vec::new();
        let mut rest = keys;
        while let Some(piece) = self.decoder.next(now, &mut rest) {
            self.step(key, piece, &mut actions);
        }
        if let Some(piece) = self.decoder.settle() {
            self.step(key, piece, &mut actions);
        }
        actions
    }

    /// A part of a paste: never an escape. The kept keys go first.
    fn pasted(&mut self, bytes: &[u8]) -> Vec<Action> {
        let mut actions = Vec::new();
        if let (Some(key), Some(piece)) = (self.key, self.decoder.end()) {
            self.step(key, piece, &mut actions);
        }
        add(&mut actions, Action::Type, &self.reader.give_up());
        if let Some(last) = bytes.last() {
            self.line = Line::after(*last);
        }
        actions
    }

    /// When [`on_time`](Escapes::on_time) may have something, if nothing is read before.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.decoder.deadline()
    }

    /// Releases an unfinished sequence whose rest does not come.
    pub fn on_time(&mut self, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        if let (Some(key), Some(piece)) = (self.key, self.decoder.on_time(now)) {
            self.step(key, piece, &mut actions);
        }
        actions
    }

    fn step(&mut self, key: u8, piece: Piece, actions: &mut Vec<Action>) {
        let escape = Some(key).filter(|_| self.line == Line::Start || self.role == Role::View);
        let step = self.reader.step(escape, piece, self.decoder.bytes(), Action::of);
        let is_typed = match step {
            Step::Beside => matches!(piece, Piece::Key(_) | Piece::OtherKey),
            Step::Typed(_) => true,
            Step::Taken | Step::Command(..) => false,
        };
        if is_typed && self.page_keys > 0 {
            if let Piece::Key(key) = piece {
                self.reader.take(key);
            }
            self.page_keys -= 1;
            self.line = Line::Start;
            return actions.push(Action::Turn);
        }
        match step {
            Step::Beside => {
                let kind = match piece {
                    Piece::Key(_) | Piece::OtherKey | Piece::Pasted => Action::Type,
                    Piece::Released(_) | Piece::Report => Action::Report,
                };
                add(actions, kind, self.decoder.bytes());
            }
            Step::Taken => return,
            Step::Typed(bytes) => {
                add(actions, Action::Type, &bytes);
                self.line = Line::Within;
            }
            Step::Command(reports, action) => {
                if self.shows_pages && action.opens_page() {
                    self.page_keys = 1;
                }
                add(actions, Action::Report, &reports);
                actions.push(action);
                self.line = Line::Start;
                return;
            }
        }
        match piece {
            Piece::Key(Key { byte, .. }) => self.line = Line::after(byte),
            Piece::OtherKey | Piece::Pasted => self.line = Line::Within,
            Piece::Released(_) | Piece::Report => {}
        }
    }
}

/// Adds bytes to the last action, if that is of their kind.
fn add(actions: &mut Vec<Action>, kind: fn(Vec<u8>) -> Action, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let action = kind(bytes.to_vec());
    match (actions.last_mut(), action) {
        (Some(Action::Type(before)), Action::Type(more)) | (Some(Action::Report(before)), Action::Report(more)) => {
            before.extend(more);
        }
        (_, action) => actions.push(action),
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<Action> {
        let mut escapes = Escapes::new(Some(b'~'));
        let mut actions: Vec<Action> = Vec::new();
        for action in chunks.iter().flat_map(|chunk| escapes.read(Timestamp::ZERO, chunk)) {
            match (actions.last_mut(), action) {
                (Some(Action::Type(before)), Action::Type(more)) => before.extend(more),
                (_, action) => actions.push(action),
            }
        }
        actions
    }

    #[test]
    fn who_may_only_watch_leaves_at_any_time_and_who_may_type_at_the_start_of_a_line() {
        let mut escapes = Escapes::new(Some(b'~'));
        let mut left = |role, keys: &[u8]| {
            escapes.set_role(role);
            escapes.read(Timestamp::ZERO, keys).last() == Some(&Action::Leave)
        };
        assert!(!left(Role::Control, b"ls~."));
        assert!(left(Role::View, b"x~.") && left(Role::View, b"\x1b[A~."));
        assert!(!left(Role::Control, b"ls~."), "the host gave the keyboard");
    }

    #[test]
    fn escapes_are_found_whatever_way_the_bytes_are_split() {
        let text = b"a~.\r~~b\n~x~?\r~?~s~r~\x1a\r~.";
        let whole = read(&[text]);
        assert_eq!(
            whole,
            [
                Action::Type(b"a~.\r~b\n~x~?\r".to_vec()),
                Action::Help,
                Action::Status,
                Action::Redraw,
                Action::Suspend,
                Action::Type(b"\r".to_vec()),
                Action::Leave,
            ]
        );
        for split in 0..text.len() {
            let (a, b) = text.split_at(split);
            assert_eq!(read(&[a, b]), whole, "split at {split}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(read(&bytes), whole);
    }

    #[test]
    fn keys_that_turn_a_page_are_not_typed_and_leave_the_start_of_the_line_where_it_is() {
        let mut escapes = Escapes::new(Some(b'~'));
        let mut read = |keys: usize, bytes: &str| {
            escapes.set_page_keys(keys);
            escapes.read(Timestamp::ZERO, bytes.as_bytes())
        };
        assert_eq!(read(0, "~?"), [Action::Help]);
        assert_eq!(read(2, "q\x1b[A~.x"), [Action::Turn, Action::Turn, Action::Leave, Action::Type(b"x".to_vec())]);
        assert_eq!(read(0, "\r~?"), [Action::Type(b"\r".to_vec()), Action::Help]);
        // Escapes work while the page is there; two other keys are for the page.
        assert_eq!(read(1, "~s"), [Action::Status]);
        assert_eq!(read(1, "~x~?"), [Action::Turn, Action::Help]);
        // A key that is let go, and a report of the mouse, turn nothing. A key that was taken is let go unseen.
        assert_eq!(read(1, "\x1b[63;1:3u\x1b[<0;1;1M"), [Action::Report(b"\x1b[63;1:3u\x1b[<0;1;1M".to_vec())]);
        assert_eq!(read(1, "\x1b[113u\x1b[113;1:3u~?"), [Action::Turn, Action::Help]);
    }

    #[test]
    fn a_key_in_the_same_read_as_the_escape_turns_the_page_and_later_ones_are_typed() {
        let mut escapes = Escapes::new(Some(b'~'));
        assert_eq!(escapes.read(Timestamp::ZERO, b"~?x\r"), [Action::Help, Action::Type(b"x\r".to_vec())], "no pages");
        escapes.show_pages();
        for (escape, action) in [("~?", Action::Help), ("~s", Action::Status), ("~m", Action::Members)] {
            let read = escapes.read(Timestamp::ZERO, format!("{escape}xy\r").as_bytes());
            assert_eq!(read, [action, Action::Turn, Action::Type(b"y\r".to_vec())]);
        }
        let read = escapes.read(Timestamp::ZERO, b"~?\x1b[A~.");
        assert_eq!(read, [Action::Help, Action::Turn, Action::Leave], "the next key is at the start of a line");
    }

    #[test]
    fn the_first_key_of_all_stands_at_the_start_of_a_line() {
        assert_eq!(read(&[b"~."]), [Action::Leave]);
    }

    #[test]
    fn none_turns_them_off() {
        assert_eq!(Escapes::new(None).read(Timestamp::ZERO, b"~."), [Action::Type(b"~.".to_vec())]);
    }

    #[test]
    fn a_paste_gives_no_command_and_what_was_kept_goes_before_it() {
        let mut escapes = Escapes::new(Some(b'~'));
        assert_eq!(escapes.read(Timestamp::ZERO, b"~"), []);
        assert_eq!(escapes.pasted(b"."), [Action::Type(b"~".to_vec())]);
        assert_eq!(escapes.read(Timestamp::ZERO, b"~."), [Action::Type(b"~.".to_vec())], "not at the start of a line");
        assert_eq!(escapes.pasted(b"ls\r"), []);
        assert_eq!(escapes.read(Timestamp::ZERO, b"~."), [Action::Leave]);
    }

    #[test]
    fn reports_neither_begin_nor_end_a_line_or_an_escape() {
        let mouse = b"\x1b[<35;3;4M\x1b[I";
        let together = [b"a\r", &mouse[..], b"~", mouse, b"?", mouse, b"~", mouse, b"x"].concat();
        assert_eq!(
            read(&[&together]),
            [
                Action::Type(b"a\r".to_vec()),
                Action::Report([&mouse[..], mouse].concat()),
                Action::Help,
                Action::Report(mouse.to_vec()),
                Action::Type([b"~", &mouse[..], b"x"].concat()),
            ]
        );
        let many = [b"~", &mouse.repeat(1000)[..]].concat();
        let mut actions = Vec::new();
        for action in read(&[&many]) {
            match (actions.last_mut(), action) {
                (Some(Action::Type(before)), Action::Report(more)) => before.extend(more),
                (_, action) => actions.push(action),
            }
        }
        assert_eq!(actions, [Action::Type(many)], "what is kept is bounded");
    }

    #[test]
    fn keys_that_were_taken_are_let_go_unseen() {
        let all = b"\x1b[96;2u\x1b[96;1:3u\x1b[115u\x1b[115;1:3u\x1b[115u\x1b[115;1:3u";
        assert_eq!(
            read(&[all]),
            [Action::Status, Action::Type(b"\x1b[115u".to_vec()), Action::Report(b"\x1b[115;1:3u".to_vec())]
        );
        // As in the legacy encoding: twice is once, and with another key it is both.
        let twice = b"\x1b[96;2u\x1b[96;2:3u\x1b[96;2u";
        assert_eq!(read(&[twice]), [Action::Type(b"\x1b[96;2u".to_vec())]);
        let other = b"\x1b[96;2u\x1b[96;2:3u\x1b[120u";
        assert_eq!(read(&[other]), [Action::Type(other.to_vec())]);
    }
}
