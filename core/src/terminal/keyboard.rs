//! The kitty keyboard protocol's flags. The model's own stack of them can be made to panic (too many pushes over an
//! empty stack of titles), so it stays switched off there and is kept here.

use vte::ansi::{KeyboardModes, KeyboardModesApplyBehavior};

/// Most flags that can be pushed; the protocol asks for a limit, and programs push one or two. The oldest are lost.
const MAX_PUSHED: usize = 64;

#[derive(Debug, Default)]
struct Flags {
    current: KeyboardModes,
    pushed: Vec<KeyboardModes>,
}

/// The flags of both screens, of which the shown one's are in force.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    main: Flags,
    alternate: Flags,
}

impl Keyboard {
    /// The flags in force on one of the screens.
    pub(super) fn modes(&self, alternate: bool) -> KeyboardModes {
        if alternate { self.alternate.current } else { self.main.current }
    }

    pub(super) fn push(&mut self, alternate: bool, modes: KeyboardModes) {
        let flags = self.flags(alternate);
        if flags.pushed.len() == MAX_PUSHED {
            flags.pushed.remove(0);
        }
        flags.pushed.push(flags.current);
        flags.current = modes;
    }

    pub(super) fn pop(&mut self, alternate: bool, count: u16) {
        let flags = self.flags(alternate);
        for _ in 0..usize::from(count).min(MAX_PUSHED + 1) {
            flags.current = flags.pushed.pop().unwrap_or(KeyboardModes::NO_MODE);
        }
    }

    pub(super) fn set(&mut self, alternate: bool, modes: KeyboardModes, behavior: KeyboardModesApplyBehavior) {
        let flags = self.flags(alternate);
        flags.current = match behavior {
            KeyboardModesApplyBehavior::Replace => modes,
            KeyboardModesApplyBehavior::Union => flags.current | modes,
            KeyboardModesApplyBehavior::Difference => flags.current - modes,
        };
    }

    /// The sequences that take back on one of the screens what programs pushed and set there.
    pub(super) fn undo(&self, alternate: bool, out: &mut Vec<u8>) {
        let Flags { current, pushed } = if alternate { &self.alternate } else { &self.main };
        if !pushed.is_empty() {
            out.extend_from_slice(format!("\x1b[<{}u", pushed.len()).as_bytes());
        }
        let first = pushed.first().unwrap_or(current);
        if *first != KeyboardModes::NO_MODE {
            out.extend_from_slice(b"\x1b[=0u");
        }
    }

    fn flags(&mut self, alternate: bool) -> &mut Flags {
        if alternate { &mut self.alternate } else { &mut self.main }
    }
}
