//! The escape keys of join, as in ssh: only at the start of a line, and whatever way the bytes are split.

use crate::args::Escape;

/// What the person asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Type this.
    Type(Vec<u8>),
    Leave,
    Help,
    Status,
    Redraw,
    /// Have the paths prove themselves anew.
    Prove,
    Suspend,
    /// Show what is so many half windows further down, and right.
    Pan(i16, i16),
}

/// Finds escapes in what is typed.
#[derive(Debug)]
pub(crate) struct Escapes {
    escape: Escape,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    Escaped,
    InLine,
}

const CTRL_Z: u8 = 0x1a;

impl Escapes {
    pub(crate) fn new(escape: Escape) -> Escapes {
        Escapes { escape, state: State::LineStart }
    }

    /// The escape character as a person would type it.
    pub(crate) fn name(&self) -> String {
        match self.escape {
            Escape::Char(byte) if byte < 0x20 => format!("^{}", char::from(byte | 0x40)),
            Escape::Char(byte) => char::from(byte).to_string(),
            Escape::None => String::new(),
        }
    }

    /// What `bytes` mean, in order.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Vec<Action> {
        let Escape::Char(escape) = self.escape else { return vec![Action::Type(bytes.to_vec())] };
        let mut actions = Vec::new();
        let mut typed = Vec::new();
        for &byte in bytes {
            match self.state {
                State::LineStart if byte == escape => self.state = State::Escaped,
                State::LineStart | State::InLine => {
                    typed.push(byte);
                    self.state = after(byte);
                }
                State::Escaped => {
                    let action = match byte {
                        b'.' => Some(Action::Leave),
                        b'?' => Some(Action::Help),
                        b's' => Some(Action::Status),
                        b'r' => Some(Action::Redraw),
                        b'p' => Some(Action::Prove),
                        CTRL_Z => Some(Action::Suspend),
                        b'h' => Some(Action::Pan(0, -1)),
                        b'j' => Some(Action::Pan(1, 0)),
                        b'k' => Some(Action::Pan(-1, 0)),
                        b'l' => Some(Action::Pan(0, 1)),
                        _ => None,
                    };
                    match action {
                        Some(action) => {
                            flush(&mut typed, &mut actions);
                            actions.push(action);
                            self.state = State::LineStart;
                        }
                        None => {
                            typed.push(escape);
                            if byte != escape {
                                typed.push(byte);
                            }
                            self.state = after(byte);
                        }
                    }
                }
            }
        }
        flush(&mut typed, &mut actions);
        actions
    }
}

fn after(byte: u8) -> State {
    if matches!(byte, b'\r' | b'\n') { State::LineStart } else { State::InLine }
}

fn flush(typed: &mut Vec<u8>, actions: &mut Vec<Action>) {
    if !typed.is_empty() {
        actions.push(Action::Type(std::mem::take(typed)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<Action> {
        let mut escapes = Escapes::new(Escape::Char(b'~'));
        let mut actions: Vec<Action> = Vec::new();
        for action in chunks.iter().flat_map(|chunk| escapes.read(chunk)) {
            match (actions.last_mut(), action) {
                (Some(Action::Type(before)), Action::Type(more)) => before.extend(more),
                (_, action) => actions.push(action),
            }
        }
        actions
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
    fn the_first_key_of_all_stands_at_the_start_of_a_line() {
        assert_eq!(read(&[b"~."]), [Action::Leave]);
    }

    #[test]
    fn none_turns_them_off() {
        assert_eq!(Escapes::new(Escape::None).read(b"~."), [Action::Type(b"~.".to_vec())]);
    }
}
