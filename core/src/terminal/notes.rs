//! The model's events besides drawing: answers to queries, the title, the bell.

#![expect(clippy::disallowed_types, reason = "the model wants a listener of its own; only this thread ever locks")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alacritty_terminal::event::{Event, EventListener};
use vte::ansi::{NamedColor, Rgb};

use super::title::clean_title;

/// Most bytes of unread answers; a whole answer that does not fit is dropped. A program that asks this much and does
/// not read is not waiting for it.
pub const MAX_REPLIES: usize = 4096;

/// The events since the last look.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) replies: Vec<u8>,
    pub(super) title: Option<String>,
    pub(super) bells: u64,
    pub(super) clipboard: Option<String>,
    /// How often the program asked where the cursor is.
    pub(super) cursor_queries: u64,
}

impl Said {
    pub(super) fn reply(&mut self, text: &str) {
        if self.replies.len() + text.len() <= MAX_REPLIES {
            self.replies.extend_from_slice(text.as_bytes());
        }
    }
}

/// A handle to what was said. The model owns one and does not give it back, so the state is shared; nothing else locks
/// it.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Arc<Mutex<Said>>);

impl Notes {
    pub(super) fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventListener for Notes {
    fn send_event(&self, event: Event) {
        match event {
            Event::PtyWrite(text) => self.said().reply(&text),
            Event::Title(title) => self.said().title = Some(clean_title(&title)),
            Event::ResetTitle => self.said().title = None,
            Event::Bell => self.said().bells += 1,
            // Colours are answered by the handler, which can see them. The handler also takes text for the clipboard.
            // Requests to read the clipboard get no answer. Pixels are not known.
            Event::ColorRequest(..)
            | Event::ClipboardStore(..)
            | Event::ClipboardLoad(..)
            | Event::TextAreaSizeRequest(..) => {}
            Event::MouseCursorDirty
            | Event::CursorBlinkingChange
            | Event::Wakeup
            | Event::Exit
            | Event::ChildExit(..) => {}
        }
    }
}

/// The colour at `index` of an unchanged palette, for programs that ask: the colours of xterm on black.
pub(super) fn default_color(index: usize) -> Rgb {
    const NAMED: [[u8; 3]; 16] = [
        [0x00, 0x00, 0x00],
        [0xcd, 0x00, 0x00],
        [0x00, 0xcd, 0x00],
        [0xcd, 0xcd, 0x00],
        [0x00, 0x00, 0xee],
        [0xcd, 0x00, 0xcd],
        [0x00, 0xcd, 0xcd],
        [0xe5, 0xe5, 0xe5],
        [0x7f, 0x7f, 0x7f],
        [0xff, 0x00, 0x00],
        [0x00, 0xff, 0x00],
        [0xff, 0xff, 0x00],
        [0x5c, 0x5c, 0xff],
        [0xff, 0x00, 0xff],
        [0x00, 0xff, 0xff],
        [0xff, 0xff, 0xff],
    ];
    const CUBE: [u8; 6] = [0x00, 0x5f, 0x87, 0xaf, 0xd7, 0xff];
    let [r, g, b] = match index {
        0..16 => NAMED[index],
        16..232 => [CUBE[(index - 16) / 36], CUBE[(index - 16) / 6 % 6], CUBE[(index - 16) % 6]],
        232..256 => [(8 + 10 * (index - 232)) as u8; 3],
        _ if index == NamedColor::Background as usize => NAMED[0],
        _ => NAMED[7],
    };
    Rgb { r, g, b }
}
