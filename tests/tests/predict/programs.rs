//! Programs that answer keys.

use crate::world::Program;

/// A shell's line editor on one row, as it looks and as it is. The editor knows one command, which asks for a password.
#[derive(Clone, Debug, Default)]
pub(crate) struct Editor {
    pub(crate) left: Vec<char>,
    pub(crate) right: Vec<char>,
    secret: bool,
}

pub(crate) fn columns(text: &[char]) -> usize {
    text.iter().map(|c| if u32::from(*c) > 0x2000 { 2 } else { 1 }).sum()
}

impl Editor {
    pub(crate) fn text(&self) -> String {
        self.left.iter().chain(self.right.iter().rev()).collect()
    }

    /// Draws the text right of the cursor, and leaves the cursor in place.
    fn redraw(&self, out: &mut String, cleared: usize) {
        let right: Vec<char> = self.right.iter().rev().copied().collect();
        out.extend(&right);
        out.extend(std::iter::repeat_n(' ', cleared));
        out.extend(std::iter::repeat_n('\x08', columns(&right) + cleared));
    }

    pub(crate) fn key(&mut self, key: &str, out: &mut String) {
        if self.secret {
            if key == "\r" {
                *self = Editor::default();
                out.push_str("\r\nwelcome\r\n$ ");
            }
            return;
        }
        match key {
            "\r" => {
                if self.text() == "sudo" {
                    self.secret = true;
                    out.push_str("\r\nPassword: ");
                } else {
                    *self = Editor::default();
                    out.push_str("\r\n$ ");
                }
            }
            "\x7f" => {
                if let Some(c) = self.left.pop() {
                    out.extend(std::iter::repeat_n('\x08', columns(&[c])));
                    self.redraw(out, columns(&[c]));
                }
            }
            "\x1b[D" => {
                if let Some(c) = self.left.pop() {
                    self.right.push(c);
                    out.extend(std::iter::repeat_n('\x08', columns(&[c])));
                }
            }
            "\x1b[C" => {
                if let Some(c) = self.right.pop() {
                    self.left.push(c);
                    out.push(c);
                }
            }
            key => {
                for c in key.chars().filter(|c| !c.is_control()) {
                    self.left.push(c);
                    out.push(c);
                    self.redraw(out, 0);
                }
            }
        }
    }
}

/// The keys in `bytes`.
pub(crate) fn keys(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut keys = Vec::new();
    let mut rest = &text[..];
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("\x1b[") { rest.len().min(3) } else { first.len_utf8() };
        let (key, after) = rest.split_at(length);
        keys.push(key.to_owned());
        rest = after;
    }
    keys
}

impl Program for Editor {
    fn read(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = String::new();
        keys(bytes).iter().for_each(|key| self.key(key, &mut out));
        out.into_bytes()
    }
}

/// Prints what it reads, with line feeds where they belong: a pseudo-terminal in its usual mode.
pub(crate) fn cat(bytes: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(bytes).replace('\r', "\r\n").replace('\x7f', "\x08 \x08").into_bytes()
}

pub(crate) fn silent(_: &[u8]) -> Vec<u8> {
    Vec::new()
}
