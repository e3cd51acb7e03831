//! Placeholder.
/// A paste on its way to the program.
#[derive(Debug)]
pub struct Paste {
    bracketed: bool,
    begun: bool,
}
impl Paste {
    /// x
    pub fn new(bracketed: bool) -> Paste {
        Paste { bracketed, begun: false }
    }
    /// x
    pub fn piece(&mut self, bytes: &[u8], last: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if self.bracketed && !self.begun {
            out.extend_from_slice(b"\x1b[200~");
        }
        self.begun = true;
        out.extend_from_slice(bytes);
        if self.bracketed && last {
            out.extend_from_slice(b"\x1b[201~");
        }
        out
    }
}
