//! The part of a paste that reaches a program: its text, without anything that could pass for keys.
//!
//! A program that asks for brackets trusts that what is between them was not typed, so a paste must not be able to end
//! its own. And a program that does not ask takes a paste for typing. Terminals therefore take controls out of a paste
//! (`allowPasteControls` of xterm, which is off). The host does the same, since the person who pastes may be a
//! stranger.

/// The brackets around a paste, for a program that asked for them.
pub(crate) const PASTE_BEGINS: &[u8] = b"\x1b[200~";
pub(crate) const PASTE_ENDS: &[u8] = b"\x1b[201~";

/// Longest character in UTF-8 without its last byte: what a piece may end with and the next go on with.
const MAX_BEGUN: usize = 3;

/// A paste on its way to a program, which comes in pieces. Neither a character nor a bracket is seen differently for
/// being cut in two.
#[derive(Debug)]
pub struct Paste {
    bracketed: bool,
    opened: bool,
    /// The beginning of a character.
    begun: Vec<u8>,
    /// Bytes that may begin a bracket; held back until that is known.
    marker: Vec<u8>,
    /// The last character was a carriage return: a line feed after it belongs to it.
    returned: bool,
}

impl Paste {
    /// A paste that has not begun; `bracketed` is whether the program asked for brackets by now.
    pub fn new(bracketed: bool) -> Paste {
        Paste { bracketed, opened: false, begun: Vec::new(), marker: Vec::new(), returned: false }
    }

    /// The program's bytes for the next piece, possibly none. The last piece closes the paste.
    pub fn piece(&mut self, bytes: &[u8], last: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + PASTE_BEGINS.len() + PASTE_ENDS.len() + MAX_BEGUN);
        if self.bracketed && !self.opened {
            out.extend_from_slice(PASTE_BEGINS);
        }
        self.opened = true;
        let mut text = std::mem::take(&mut self.begun);
        text.extend_from_slice(bytes);
        let mut chunks = text.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            chunk.valid().chars().for_each(|c| self.character(c, &mut out));
            let ends_here = chunks.peek().is_none();
            if ends_here && !last && is_begun(chunk.invalid()) {
                self.begun = chunk.invalid().to_vec();
            } else {
                chunk.invalid().iter().for_each(|byte| self.stray(*byte, &mut out));
            }
        }
        if last {
            self.release(&mut out);
            if self.bracketed {
                out.extend_from_slice(PASTE_ENDS);
            }
        }
        out
    }

    fn character(&mut self, c: char, out: &mut Vec<u8>) {
        let after_return = std::mem::replace(&mut self.returned, c == '\r');
        match c {
            // Without this, the rest of a bracket would show as text.
            '\x1b' => {
                self.release(out);
                self.marker.push(0x1b);
            }
            '\n' if after_return => {}
            // The key that ends a line sends a carriage return.
            '\r' | '\n' => self.pass(b"\r", out),
            '\t' => self.pass(b"\t", out),
            c if c.is_control() => {}
            c => {
                let mut bytes = [0; 4];
                self.pass(c.encode_utf8(&mut bytes).as_bytes(), out);
            }
        }
    }

    /// A byte that is not UTF-8: text in some older encoding, unless it would be a control there.
    fn stray(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.returned = false;
        if byte >= 0xa0 {
            self.pass(&[byte], out);
        }
    }

    /// Passes a character on, unless it may be part of a bracket.
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.marker.is_empty() {
            self.marker.extend_from_slice(bytes);
            if self.marker == PASTE_BEGINS || self.marker == PASTE_ENDS {
                self.marker.clear();
                return;
            }
            if !PASTE_BEGINS.starts_with(&self.marker) && !PASTE_ENDS.starts_with(&self.marker) {
                self.release(out);
            }
            return;
        }
        out.extend_from_slice(bytes);
    }

    /// The held bytes are no bracket: all but the escape are text.
    fn release(&mut self, out: &mut Vec<u8>) {
        out.extend(self.marker.drain(..).skip(1));
    }
}

/// Whether more bytes could make a character of these.
fn is_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `paste` in every way to cut it in two, byte by byte, and as a whole: the result, which must be one and the same.
    fn given(paste: &[u8], bracketed: bool) -> Vec<u8> {
        let whole = Paste::new(bracketed).piece(paste, true);
        for cut in 0..=paste.len() {
            let mut pieces = Paste::new(bracketed);
            let mut out = pieces.piece(&paste[..cut], false);
            out.extend(pieces.piece(&paste[cut..], true));
            assert_eq!(out, whole, "cut at {cut}");
        }
        let mut pieces = Paste::new(bracketed);
        let mut out: Vec<u8> = paste.iter().flat_map(|byte| pieces.piece(&[*byte], false)).collect();
        out.extend(pieces.piece(b"", true));
        assert_eq!(out, whole, "byte by byte");
        whole
    }

    #[test]
    fn text_passes_as_it_is_between_brackets_if_the_program_asked_for_them() {
        let text = "let s = \"naïve ✓ 日本 👩‍🚀\";\tok [201~ [200~".as_bytes();
        assert_eq!(given(text, false), text);
        assert_eq!(given(text, true), [PASTE_BEGINS, text, PASTE_ENDS].concat());
        assert_eq!(given(b"", true), [PASTE_BEGINS, PASTE_ENDS].concat());
        assert_eq!(given(b"", false), b"");
    }

    #[test]
    fn every_end_of_line_is_the_return_key() {
        assert_eq!(given(b"a\nb\r\nc\rd\n\ne\r\r\n\x07\nf", false), b"a\rb\rc\rd\r\re\r\r\rf");
    }

    #[test]
    fn a_paste_cannot_end_itself() {
        for attack in [
            "a\x1b[201~rm -rf /\r",
            "a\x1b[20\x1b[201~1~rm -rf /\r",
            "a\x1b\x1b[201~[201~rm\r",
            "a\x1b[20\x001~rm\r",
            "a\u{9b}201~rm\r",
            "\x1b[201\x1b[201\x1b[201~~~\x1b",
            "a\x1b[201",
        ] {
            let out = given(attack.as_bytes(), true);
            let inside = out
                .strip_prefix(PASTE_BEGINS)
                .and_then(|out| out.strip_suffix(PASTE_ENDS))
                .expect("the brackets stand");
            assert!(!inside.contains(&0x1b), "{attack:?}: {inside:?}");
            assert!(std::str::from_utf8(inside).is_ok_and(|text| !text.contains('\u{9b}')), "{attack:?}");
        }
        assert_eq!(given(b"a\x1b[201~b\x1b[200~c", false), b"abc");
    }

    #[test]
    fn controls_are_taken_out_and_nothing_else() {
        let controls: String = (0..0x20u8).chain(0x7f..0xa0).map(char::from).collect();
        assert_eq!(given(format!("<{controls}>").as_bytes(), false), b"<\t\r\r>");
        // Latin-1, and the same bytes as a part of characters.
        assert_eq!(given(b"caf\xe9 \x9b31m \x85 \xc2", false), b"caf\xe9 31m  \xc2");
        assert_eq!(given("\u{2019}\u{e9b}".as_bytes(), false), "\u{2019}\u{e9b}".as_bytes());
    }

    #[test]
    fn what_is_held_back_between_pieces_is_a_few_bytes() {
        let mut paste = Paste::new(true);
        for _ in 0..1000 {
            paste.piece(b"\x1b[201\xf0\x9f\x91", false);
            assert!(paste.begun.len() <= MAX_BEGUN && paste.marker.len() < PASTE_ENDS.len());
        }
    }
}
