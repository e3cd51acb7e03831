//! Strings: what a terminal answers where a control sequence would not do.

/// The kinds of strings there are (ECMA-48, section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strings {
    /// DCS: versions, settings, capabilities.
    Device,
    /// OSC: colours, titles, the clipboard.
    System,
    /// APC: pictures. PM and SOS: nothing that is known of.
    Other,
}

impl Strings {
    /// The string that a byte after an escape introduces. The two bytes are also a key with Alt.
    pub(super) fn introduced_by(byte: u8) -> Option<Strings> {
        match byte {
            b'P' => Some(Strings::Device),
            b']' => Some(Strings::System),
            b'_' | b'^' | b'X' => Some(Strings::Other),
            _ => None,
        }
    }

    /// Whether a bell ends it as well (xterm's way).
    pub(super) fn ends_at_bell(self) -> bool {
        matches!(self, Strings::System)
    }

    /// Whether what was read, from the escape on, may become an answer. Otherwise it is a key with Alt and others after
    /// it: a read may hold many.
    pub(super) fn may_be_answer(self, held: &[u8]) -> bool {
        match self {
            Strings::Device | Strings::System => self.is_answer(held),
            Strings::Other => true,
        }
    }

    /// Whether what was read is an answer's beginning and no keys, even if the end is missing. Of the other strings
    /// only the end proves it.
    pub(super) fn is_answer(self, held: &[u8]) -> bool {
        let Some(first) = held.get(2) else { return false };
        match self {
            // The parameters of DECRQSS, DECRQTSR and XTGETTCAP, the markers of XTVERSION and DA3.
            Strings::Device => matches!(first, b'0'..=b'9' | b'>' | b'!' | b'+' | b'$' | b'='),
            // Numbers; the two reports of titles.
            Strings::System => matches!(first, b'0'..=b'9' | b'l' | b'L'),
            Strings::Other => false,
        }
    }
}
