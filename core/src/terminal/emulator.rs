//! The host's terminal: bytes of the pseudo-terminal in, numbered lines and a head out.

use std::time::Duration;

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::term::TermMode;
use vte::ansi::{CursorShape as ModelShape, Handler as _, KeyboardModes, Processor, Timeout};

use super::answers::answer;
use super::dec;
use super::handler::ModelHandler;
use super::head::{self, Cursor, CursorShape, Head, Modes, Space};
use super::history::Versioned;
use super::query_scanner::{Found, QueryScanner, ScreenTitles};
use super::rendition;
use super::size::Size;
use super::update::Update;

/// Narrowest terminal that is emulated: a wide character must fit. Narrower ones are taken as this wide.
pub const MIN_EMULATED_COLS: u16 = 2;

/// The parser holds nothing back while a synchronised update (mode 2026) is open, since it would drop what it does not
/// know: see [`Update`].
#[derive(Default)]
struct AtOnce;

impl Timeout for AtOnce {
    fn set_timeout(&mut self, _: Duration) {}

    fn clear_timeout(&mut self) {}

    fn pending_timeout(&self) -> bool {
        false
    }
}

/// Ends a sequence without an effect.
const CAN: u8 = 0x18;

/// A terminal that keeps what it shows as numbered lines.
///
/// [`feed`](Emulator::feed) bytes, and call [`frame`](Emulator::frame) when something is about to be sent: everything
/// that is read back is as of the last frame.
pub struct Emulator {
    scanner: QueryScanner,
    parser: Processor<AtOnce>,
    handler: ModelHandler,
    /// The update that is open. When one has taken too long is for the caller to decide, by its own clock.
    update: Option<Update>,
    /// The beginning of a character whose end was not read yet, at most three bytes. The parser loses characters that
    /// it sees in two halves.
    tail: Vec<u8>,
    head: Head,
    alternate: Vec<Versioned>,
    title: Option<String>,
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulator").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Emulator {
    /// An empty terminal that keeps at most `history_limit` lines which left its window. The first frame is already
    /// made.
    pub fn new(size: Size, history_limit: usize) -> Emulator {
        let mut emulator = Emulator {
            scanner: QueryScanner::default(),
            parser: Processor::new(),
            handler: ModelHandler::new(emulated(size), history_limit),
            update: None,
            tail: Vec::new(),
            head: Head::default(),
            alternate: Vec::new(),
            title: None,
        };
        emulator.frame();
        emulator
    }

    /// Sets what `ESC k` begins: that depends on the terminal that the program believes to have. tmux and GNU
    /// screen also keep in their scrollback what a program clears.
    pub fn set_screen_titles(&mut self, titles: ScreenTitles) {
        self.scanner.set_titles(titles);
        self.handler.pulled.keeps_cleared = titles == ScreenTitles::Taken;
    }

    /// Takes bytes that the program wrote, in reads of any size.
    pub fn feed(&mut self, bytes: &[u8]) {
        let joined;
        let mut bytes = bytes;
        if !self.tail.is_empty() {
            self.tail.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.tail);
            bytes = &joined;
        }
        let (whole, tail) = bytes.split_at(bytes.len() - unfinished(bytes));
        self.parse(whole);
        self.tail = tail.to_vec();
        self.settle();
    }

    /// Parses, and does in between what the parser does not pass on. What is plain needs no parser.
    fn parse(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.update.is_none() && self.scanner.is_ground() {
                bytes = &bytes[self.handler.take_plain(bytes)..];
            }
            let piece = self.scanner.next(bytes);
            let (pass, rest) = bytes.split_at(piece.pass);
            self.take(pass);
            bytes = &rest[piece.skip..];
            if let Some(found) = piece.found {
                self.meet(found);
            }
        }
    }

    /// Bytes for the parser, now or when the update ends.
    fn take(&mut self, bytes: &[u8]) {
        if let Some(update) = &mut self.update {
            if update.hold(bytes) {
                return;
            }
            self.release();
        }
        self.parser.advance(&mut self.handler, bytes);
    }

    fn meet(&mut self, found: Found) {
        match found {
            Found::UpdateBegins => {
                self.update.get_or_insert_default();
            }
            Found::UpdateEnds => self.release(),
            // A program that asks in the middle of an update waits for the answer, so the update ends here; earlier
            // queries in the update are answered first.
            Found::Query(_) => {
                self.release();
                self.act(found);
            }
            Found::UpdateQuery => {
                if self.update.is_some() {
                    self.handler.dec.updating = true;
                    self.release();
                    self.handler.dec.updating = false;
                    self.update = Some(Update::default());
                }
            }
            Found::Command(_) | Found::TitleBegins => {
                self.take(&[CAN]);
                self.act_in_turn(found);
            }
            Found::Title(_) | Found::Overline(_) => self.act_in_turn(found),
        }
    }

    fn act_in_turn(&mut self, found: Found) {
        match &mut self.update {
            Some(update) => update.note(found),
            None => self.act(found),
        }
    }

    fn act(&mut self, found: Found) {
        match found {
            Found::Query(query) => {
                let text = answer(&self.handler, query);
                self.handler.notes.said().reply(&text);
            }
            Found::Command(command) => self.handler.run(command),
            Found::Title(title) => self.handler.set_title(Some(title)),
            Found::Overline(line) => rendition::overline(&mut self.handler.term, line),
            Found::TitleBegins | Found::UpdateBegins | Found::UpdateEnds | Found::UpdateQuery => {}
        }
    }

    /// Shows what was written of the update.
    fn release(&mut self) {
        let Some(update) = self.update.take() else { return };
        for (bytes, found) in update.parts() {
            self.parser.advance(&mut self.handler, &bytes);
            if let Some(found) = found {
                self.act(found);
            }
        }
    }

    /// Changes the size. Lines that have left the window stay as they are; those in it may be wrapped anew.
    pub fn resize(&mut self, size: Size) {
        self.handler.resize(emulated(size));
    }

    /// Whether the program has begun an update and not ended it. Nothing it writes shows until it does, or until
    /// [`end_synchronized`](Emulator::end_synchronized) is called, which should be after 150 ms.
    pub fn synchronized(&self) -> bool {
        self.update.is_some()
    }

    /// Shows what was written of an update that the program did not end in time.
    pub fn end_synchronized(&mut self) {
        if self.synchronized() {
            self.release();
            self.settle();
        }
    }

    /// Whether the bytes so far ended at the end of something: no sequence, character or update is open.
    pub(crate) fn is_settled(&self) -> bool {
        self.tail.is_empty() && self.scanner.is_ground() && !self.synchronized()
    }

    pub(super) fn handler(&self) -> &ModelHandler {
        &self.handler
    }

    pub(super) fn handler_mut(&mut self) -> &mut ModelHandler {
        &mut self.handler
    }

    /// Takes the terminal as it is now for what the other methods tell; true if anything changed since the last time.
    pub fn frame(&mut self) -> bool {
        let next = self.handler.frame + 1;
        let rows = self.handler.encode_window();
        let lines_changed = if self.handler.is_alternate() {
            let top = self.handler.history.framed_top();
            self.handler.history.frame_covered();
            self.frame_alternate(next, rows) || top != self.handler.history.framed_top()
        } else {
            self.handler.history.frame(next, rows)
        };
        let mut head = self.measure();
        head.version = self.head.version;
        if !lines_changed && head == self.head {
            return false;
        }
        head.version = next;
        self.head = head;
        self.handler.frame = next;
        true
    }

    /// Everything about the last frame but its lines.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The cursor's column now, from 0; the head has the column of the last frame.
    pub fn column(&self) -> usize {
        self.handler.term.grid().cursor.point.column.0
    }

    /// The modes as they are now, not as of the last frame: what is typed must be encoded for them.
    pub fn modes(&self) -> Modes {
        modes_of(*self.handler.term.mode(), self.handler.keyboard.modes(self.handler.is_alternate()))
    }

    /// Version and encoding of a line as of the last frame: of either window, or of the history that is kept. While the
    /// alternate screen is shown, the main one's window is as it was last seen.
    pub fn line(&self, space: Space, number: u64) -> Option<(u64, &[u8])> {
        match space {
            Space::Main => self.handler.history.line(number),
            Space::Alternate => {
                let (version, line) = self.alternate.get(usize::try_from(number).ok()?)?;
                Some((*version, line))
            }
        }
    }

    /// Number of the oldest line of the main screen that is still kept.
    pub fn base(&self) -> u64 {
        self.handler.history.base()
    }

    /// Number of the first line of the main screen's window as of the last frame, whichever screen is shown: the lines
    /// before it are final.
    pub fn top(&self) -> u64 {
        self.handler.history.framed_top()
    }

    /// The window's title: printable, at most [`MAX_TITLE`](super::MAX_TITLE) characters.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// How often the bell rang.
    pub fn bells(&self) -> u64 {
        self.handler.notes.said().bells
    }

    /// The answers to what the program asked its terminal, at most [`MAX_REPLIES`](super::MAX_REPLIES) bytes since the
    /// last call. Write the answers to the program only where no real terminal answers.
    pub fn take_replies(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.handler.notes.said().replies)
    }

    /// The text that the program last wanted copied, since the last call: at most
    /// [`MAX_CLIPBOARD`](super::MAX_CLIPBOARD) bytes, without controls but tabs and line feeds. Whether it may go
    /// anywhere is for others to decide; that a program reads a clipboard is never permitted.
    pub fn take_clipboard(&mut self) -> Option<String> {
        self.handler.notes.said().clipboard.take()
    }

    /// The sequences that switch off what the program switched on in its terminal and left on: modes, margins, keyboard
    /// flags. Empty if that is nothing.
    pub fn undo(&self) -> Vec<u8> {
        let (handler, mode) = (&self.handler, self.handler.term.mode());
        let mut out = Vec::new();
        if handler.is_alternate() {
            handler.keyboard.undo(true, &mut out);
            if !out.is_empty() {
                // The flags of the other screen can be reached only there.
                out.extend_from_slice(b"\x1b[?1047l");
            }
        }
        handler.keyboard.undo(false, &mut out);
        handler.left_on.undo(&mut out);
        if mode.contains(TermMode::LINE_FEED_NEW_LINE) {
            out.extend_from_slice(b"\x1b[20l");
        }
        // Origin mode and margins change how places are counted. Switching these off moves the cursor, so its place is
        // set again.
        let point = handler.term.grid().cursor.point;
        if mode.contains(TermMode::ORIGIN) {
            out.extend_from_slice(b"\x1b[?6l");
        }
        if handler.dec.is_on(dec::SIDES) {
            out.extend_from_slice(b"\x1b[?69l");
        }
        if mode.contains(TermMode::ORIGIN) || handler.dec.is_on(dec::SIDES) {
            out.extend_from_slice(format!("\x1b[{};{}H", point.line.0 + 1, point.column.0 + 1).as_bytes());
        }
        if out.is_empty() {
            return out;
        }
        // An incomplete sequence ends before.
        [&[CAN], out.as_slice()].concat()
    }

    /// Collects what the model left behind.
    fn settle(&mut self) {
        self.handler.harvest();
        self.title.clone_from(&self.handler.notes.said().title);
    }

    fn frame_alternate(&mut self, frame: u64, rows: Vec<Box<[u8]>>) -> bool {
        let old = std::mem::take(&mut self.alternate);
        let mut old = old.into_iter();
        for row in rows {
            let line = match old.next() {
                Some((version, line)) if *line == *row => (version, line),
                Some(_) | None => (frame, row),
            };
            self.alternate.push(line);
        }
        self.alternate.iter().any(|(version, _)| *version == frame)
    }

    fn measure(&self) -> Head {
        let term = &self.handler.term;
        let grid = term.grid();
        let point = grid.cursor.point;
        let style = term.cursor_style();
        let (space, top) =
            if self.handler.is_alternate() { (Space::Alternate, 0) } else { (Space::Main, self.handler.history.top()) };
        let versions = match space {
            Space::Main => head::run_lengths(self.handler.history.versions()),
            Space::Alternate => head::run_lengths(self.alternate.iter().map(|(version, _)| *version)),
        };
        Head {
            version: 0,
            space,
            size: Size::new(grid.columns() as u16, grid.screen_lines() as u16),
            top,
            floor: self.handler.history.floor(),
            cursor: Cursor {
                row: point.line.0 as u16,
                col: point.column.0 as u16,
                visible: term.mode().contains(TermMode::SHOW_CURSOR) && style.shape != ModelShape::Hidden,
                shape: match style.shape {
                    ModelShape::Block | ModelShape::HollowBlock | ModelShape::Hidden => CursorShape::Block,
                    ModelShape::Underline => CursorShape::Underline,
                    ModelShape::Beam => CursorShape::Beam,
                },
                blinking: style.blinking,
            },
            modes: modes_of(*term.mode(), self.handler.keyboard.modes(self.handler.is_alternate())),
            versions: head::coarse(versions),
        }
    }
}

fn emulated(size: Size) -> Size {
    Size::new(size.cols.max(MIN_EMULATED_COLS), size.rows)
}

fn modes_of(mode: TermMode, keyboard: KeyboardModes) -> Modes {
    let terminal = [
        (TermMode::APP_CURSOR, Modes::APP_CURSOR),
        (TermMode::APP_KEYPAD, Modes::APP_KEYPAD),
        (TermMode::BRACKETED_PASTE, Modes::BRACKETED_PASTE),
        (TermMode::MOUSE_REPORT_CLICK, Modes::MOUSE_CLICK),
        (TermMode::MOUSE_DRAG, Modes::MOUSE_DRAG),
        (TermMode::MOUSE_MOTION, Modes::MOUSE_MOTION),
        (TermMode::SGR_MOUSE, Modes::SGR_MOUSE),
        (TermMode::UTF8_MOUSE, Modes::UTF8_MOUSE),
        (TermMode::FOCUS_IN_OUT, Modes::FOCUS_EVENTS),
        (TermMode::ALTERNATE_SCROLL, Modes::ALTERNATE_SCROLL),
    ];
    let kitty = [
        (KeyboardModes::DISAMBIGUATE_ESC_CODES, Modes::KITTY_DISAMBIGUATE),
        (KeyboardModes::REPORT_EVENT_TYPES, Modes::KITTY_EVENT_TYPES),
        (KeyboardModes::REPORT_ALTERNATE_KEYS, Modes::KITTY_ALTERNATE_KEYS),
        (KeyboardModes::REPORT_ALL_KEYS_AS_ESC, Modes::KITTY_ALL_KEYS),
        (KeyboardModes::REPORT_ASSOCIATED_TEXT, Modes::KITTY_TEXT),
    ];
    let modes = terminal.into_iter().fold(Modes::NONE, |all, (theirs, ours)| all.set(ours, mode.contains(theirs)));
    kitty.into_iter().fold(modes, |all, (theirs, ours)| all.set(ours, keyboard.contains(theirs)))
}

/// Length of the beginning of a character at the end of `bytes`, 0 to 3. Bytes that can never become a character are
/// not held back.
fn unfinished(bytes: &[u8]) -> usize {
    const LONGEST: usize = 3;
    let last = &bytes[bytes.len().saturating_sub(LONGEST)..];
    let Some(start) = last.iter().rposition(|byte| byte & 0xc0 != 0x80) else { return 0 };
    match std::str::from_utf8(&last[start..]) {
        Err(error) if error.error_len().is_none() => last.len() - start,
        Ok(_) | Err(_) => 0,
    }
}
