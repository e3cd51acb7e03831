//! Between the parser and the model: every call passes through, and lines are harvested before they can be lost.
//!
//! All methods of `Handler` have empty defaults, so one that is forgotten here is silently dropped: the tests against
//! the bare model are the guard, and both crates are pinned to exact versions.

use alacritty_terminal::grid::{Dimensions, Grid, GridCell as _};
use alacritty_terminal::index::{Column, Line as GridLine, Point};
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::term::{Config, Osc52, Term, TermMode};
use vte::ansi::{
    Attr, CharsetIndex, ClearMode, CursorShape, CursorStyle, Handler, Hyperlink, KeyboardModes,
    KeyboardModesApplyBehavior, LineClearMode, Mode, ModifyOtherKeys, PrivateMode, Rgb, ScpCharPath, ScpUpdateMode,
    StandardCharset, TabulationClearMode, cursor_icon::CursorIcon,
};

use super::answers::{ATTRIBUTES, private_mode};
use super::cells::RowEncoder;
use super::clipboard::decode;
use super::dec::{Dec, Part, Switch};
use super::history::History;
use super::keyboard::Keyboard;
use super::left_on::LeftOn;
use super::line::MAX_ZERO_WIDTH;
use super::notes::{Notes, default_color};
use super::passing::Passing;
use super::pulled::{MOST_PULLED, Pulled};
use super::rendition;
use super::size::{MAX_COLS, MAX_ROWS, Size};
use super::style::link_is_allowed;
use super::title::clean_title;

/// Rows the model may hold above its window before they are harvested: a few reads of ordinary output, and little
/// memory.
const HARVEST_AT: usize = 512;

/// The model's own limit on rows above its window, never reached: one call adds at most a window of rows, and a resize
/// at most one row for every cell.
const MODEL_HISTORY: usize = HARVEST_AT + MAX_COLS as usize * MAX_ROWS as usize;

pub(super) const SOFT_HYPHEN: char = '\u{ad}';

/// A size as the model wants it.
#[derive(Clone, Copy)]
pub(super) struct Extent(pub(super) Size);

impl Dimensions for Extent {
    fn total_lines(&self) -> usize {
        self.screen_lines()
    }

    fn screen_lines(&self) -> usize {
        usize::from(self.0.rows)
    }

    fn columns(&self) -> usize {
        usize::from(self.0.cols)
    }
}

/// The model and the lines harvested from it.
pub(super) struct ModelHandler {
    pub(super) term: Term<Notes>,
    pub(super) history: History,
    pub(super) keyboard: Keyboard,
    pub(super) notes: Notes,
    /// Number of the last frame: what is harvested now belongs to it, or to the next one.
    pub(super) frame: u64,
    /// Rows above the model's window that are harvested already. Clearing a blank screen pushes a line if there are
    /// none, and must not.
    pub(super) kept: usize,
    /// Rows that come back into the window.
    pub(super) pulled: Pulled,
    /// First and last row that scroll, from 1, if a program chose them: the model does not tell.
    pub(super) margins: Option<(usize, usize)>,
    /// Which of the character sets is in use: the model does not tell that either.
    pub(super) active_charset: CharsetIndex,
    /// The state of DEC and xterm commands, which the model does not know.
    pub(super) dec: Dec,
    pub(super) left_on: LeftOn,
    /// The last printed character, which REP repeats.
    pub(super) preceding: Option<char>,
    /// Lines that nobody sees in the window.
    pub(super) passing: Passing,
    encoder: RowEncoder,
}

impl ModelHandler {
    pub(super) fn new(size: Size, history_limit: usize) -> ModelHandler {
        let notes = Notes::default();
        let config = Config {
            scrolling_history: MODEL_HISTORY,
            kitty_keyboard: false,
            osc52: Osc52::Disabled,
            ..Config::default()
        };
        ModelHandler {
            term: Term::new(config, &Extent(size), notes.clone()),
            history: History::new(history_limit),
            keyboard: Keyboard::default(),
            notes,
            frame: 0,
            kept: 0,
            pulled: Pulled::default(),
            margins: None,
            active_charset: CharsetIndex::default(),
            dec: Dec::default(),
            left_on: LeftOn::default(),
            preceding: None,
            passing: Passing::default(),
            encoder: RowEncoder::default(),
        }
    }

    /// First and last row that scroll, counted from 1.
    pub(super) fn margins(&self) -> (usize, usize) {
        self.margins.unwrap_or((1, self.term.screen_lines()))
    }

    pub(super) fn is_alternate(&self) -> bool {
        self.term.mode().contains(TermMode::ALT_SCREEN)
    }

    /// Takes over the rows that left the window. On the alternate screen none do.
    pub(super) fn harvest(&mut self) {
        // Of a region at the top of the screen, terminals other than tmux keep nothing.
        let is_whole = self.margins().1 == self.term.screen_lines();
        self.harvest_as(is_whole || self.pulled.keeps_cleared);
    }

    /// `sure`: the program's terminal has put these rows into its scrollback as well.
    fn harvest_as(&mut self, sure: bool) {
        let above = self.term.grid().history_size();
        if self.is_alternate() || above == self.kept {
            return;
        }
        for row in (1..=above - self.kept).rev() {
            let line = self.encoder.encode(self.term.grid(), GridLine(-(row as i32)));
            self.pulled.left(self.history.top(), line);
            self.history.push(self.frame, line);
        }
        let grid = self.term.grid_mut();
        let rows = above - self.kept;
        grid.update_history(MOST_PULLED);
        grid.update_history(MODEL_HISTORY);
        self.kept = grid.history_size();
        self.pulled.harvested(rows, self.kept, sure);
    }

    /// The rows of the window, encoded.
    pub(super) fn encode_window(&mut self) -> Vec<Box<[u8]>> {
        let grid = self.term.grid();
        (0..grid.screen_lines()).map(|row| self.encoder.encode(grid, GridLine(row as i32)).into()).collect()
    }

    /// Changes the size. The model itself pulls nothing back into the window: it holds no history then, on neither
    /// screen.
    pub(super) fn resize(&mut self, size: Size) {
        self.on_main(|handler| {
            handler.harvest();
            handler.set_aside();
        });
        let before = (self.term.columns(), self.term.screen_lines());
        self.term.resize(Extent(size));
        if before != (self.term.columns(), self.term.screen_lines()) {
            self.margins = None;
            self.set_sides(None);
            self.resize_hidden(size);
        }
        self.pulled.rewrap(self.term.columns());
        touch_rows(self.term.grid_mut());
        self.on_other(|handler| touch_rows(handler.term.grid_mut()));
        self.on_main(ModelHandler::harvest);
        self.pulled.fit(self.term.screen_lines());
    }

    /// Does something to the main screen, whichever is shown.
    pub(super) fn on_main(&mut self, act: impl FnOnce(&mut ModelHandler)) {
        if self.is_alternate() { self.on_other(act) } else { act(self) }
    }

    /// Does something to the screen that is not shown. Showing the alternate screen erases it, and makes the main one
    /// save its cursor: what must not get lost is put aside and back.
    fn on_other(&mut self, act: impl FnOnce(&mut ModelHandler)) {
        let alternate = self.is_alternate().then(|| self.term.grid().clone());
        let saved_cursor = self.term.grid().saved_cursor.clone();
        self.term.swap_alt();
        act(self);
        self.term.swap_alt();
        match alternate {
            Some(alternate) => *self.term.grid_mut() = alternate,
            None => self.term.grid_mut().saved_cursor = saved_cursor,
        }
    }

    /// Does what may move rows out of the window; `sure`: the program's terminal puts these into its scrollback as
    /// well.
    fn harvesting(&mut self, sure: bool, act: impl FnOnce(&mut ModelHandler)) {
        if sure {
            act(self);
            self.harvest_if_many();
        } else {
            self.harvest();
            act(self);
            self.harvest_as(false);
        }
    }

    fn erase_history(&mut self) {
        self.history.erase();
        self.pulled.erased();
        self.kept = 0;
    }

    /// Whether the main screen shows nothing, and there are lines above it of which the model has none. The model would
    /// push a row out of such a screen when it is cleared, since it knows of no row above.
    fn is_blank_below_unknown_rows(&self) -> bool {
        let grid = self.term.grid();
        let is_empty = |line: i32| grid[GridLine(line)].into_iter().all(|cell| cell.is_empty());
        !self.is_alternate()
            && grid.history_size() == 0
            && self.pulled.has_rows_set_aside(self.history.top() > self.history.floor())
            && (0..grid.screen_lines() as i32).all(is_empty)
    }

    fn harvest_if_many(&mut self) {
        if self.term.grid().history_size() >= HARVEST_AT {
            self.harvest();
        }
    }

    /// Prints the last character so many times more.
    pub(super) fn repeat(&mut self, count: u16) {
        let Some(c) = self.preceding else { return };
        (0..count).for_each(|_| self.input(c));
    }

    /// Any character, where the cursor is.
    pub(super) fn input_anywhere(&mut self, c: char) {
        match c {
            SOFT_HYPHEN => self.input_soft_hyphen(),
            c if c.is_ascii() => self.term.input(c),
            c => self.stack(c),
        }
    }

    /// Terminals show a character of its own here, the model none.
    fn input_soft_hyphen(&mut self) {
        self.term.input('-');
        let grid = self.term.grid_mut();
        let mut point = grid.cursor.point;
        if !grid.cursor.input_needs_wrap {
            point.column = Column(point.column.0.saturating_sub(1));
        }
        grid[point].c = SOFT_HYPHEN;
    }

    /// A character that may be stacked on the one before it: the model would stack without end.
    pub(super) fn stack(&mut self, c: char) {
        let grid = self.term.grid();
        let mut point = grid.cursor.point;
        if !grid.cursor.input_needs_wrap {
            point.column.0 = point.column.0.saturating_sub(1);
        }
        if grid[point].flags.contains(Flags::WIDE_CHAR_SPACER) {
            point.column.0 = point.column.0.saturating_sub(1);
        }
        let stacked = |cell: &Cell| cell.zerowidth().map_or(0, <[char]>::len);
        if stacked(&grid[point]) < MAX_ZERO_WIDTH {
            return self.term.input(c);
        }
        let full = grid[point].extra.clone();
        self.term.input(c);
        let cell = &mut self.term.grid_mut()[point];
        if stacked(cell) > MAX_ZERO_WIDTH {
            cell.extra = full;
        }
    }
}

/// The model erases a row only as far as it was written to, and forgets how far that is when it becomes wider: colours
/// would stay behind. Access to the last cell counts as writing.
pub(super) fn touch_rows(grid: &mut Grid<Cell>) {
    let last = grid.last_column();
    for row in grid.topmost_line().0..=grid.bottommost_line().0 {
        let _ = &mut grid[GridLine(row)][last];
    }
}

impl Handler for ModelHandler {
    // Calls that may push rows out of the window; between left and right margins they do not.

    fn input(&mut self, c: char) {
        self.preceding = Some(c);
        if self.dec.prints_specially {
            self.print_specially(c);
        } else if c.is_ascii() {
            self.term.input(c);
        } else {
            self.input_anywhere(c);
        }
        self.harvest_if_many();
    }

    fn put_tab(&mut self, count: u16) {
        match self.dec.sides {
            Some(_) => self.tab_between(count),
            None => self.term.put_tab(count),
        }
        self.harvest_if_many();
    }

    fn linefeed(&mut self) {
        match self.dec.sides {
            Some(_) => self.index_between(),
            None => self.term.linefeed(),
        }
        // tmux does not know this mode.
        if self.term.mode().contains(TermMode::LINE_FEED_NEW_LINE) && !self.pulled.keeps_cleared {
            self.carriage_return();
        }
        self.harvest_if_many();
    }

    fn newline(&mut self) {
        match self.dec.sides {
            Some(_) => self.index_between(),
            None => self.term.newline(),
        }
        self.harvest_if_many();
    }

    fn scroll_up(&mut self, rows: usize) {
        match self.dec.sides {
            Some(_) => self.scroll_up_between(rows),
            None => self.term.scroll_up(rows),
        }
        self.harvest_if_many();
    }

    fn delete_lines(&mut self, count: usize) {
        match self.dec.sides {
            Some(_) => self.delete_rows_between(count),
            None => self.harvesting(!self.pulled.keeps_cleared, |handler| handler.term.delete_lines(count)),
        }
    }

    fn clear_screen(&mut self, mode: ClearMode) {
        let part = match mode {
            ClearMode::Below => Some(Part::Below),
            ClearMode::Above => Some(Part::Above),
            ClearMode::All => Some(Part::Screen),
            ClearMode::Saved => None,
        };
        if part.is_some_and(|part| self.erases_around_guarded(part)) {
            return;
        }
        let erases = match mode {
            ClearMode::Saved => !self.is_alternate(),
            ClearMode::Below | ClearMode::Above | ClearMode::All => false,
        };
        if erases {
            self.harvest();
        }
        // The model leaves out the first row if it is the only one above the cursor.
        if matches!(mode, ClearMode::Above) && self.term.grid().cursor.point.line == 1 {
            self.term.grid_mut().reset_region(..GridLine(1));
        }
        if matches!(mode, ClearMode::All) && self.is_blank_below_unknown_rows() {
            return self.term.grid_mut().reset_region(..);
        }
        let keeps_cleared = self.pulled.keeps_cleared;
        let at_home = self.term.grid().cursor.point == Point::default();
        // tmux keeps this as well, the model does not.
        if matches!(mode, ClearMode::Below) && at_home && keeps_cleared && !self.is_alternate() {
            self.harvest();
            self.pulled.forget();
        }
        let is_sure = keeps_cleared || !matches!(mode, ClearMode::All);
        self.harvesting(is_sure, |handler| handler.term.clear_screen(mode));
        if erases {
            self.erase_history();
        }
    }

    fn reset_state(&mut self) {
        self.harvest();
        self.term.reset_state();
        self.erase_history();
        self.keyboard = Keyboard::default();
        self.margins = None;
        self.active_charset = CharsetIndex::default();
        self.dec = Dec::default();
        self.left_on = LeftOn::default();
        self.notes.said().title = None;
    }

    fn set_private_mode(&mut self, mode: PrivateMode) {
        self.left_on.set(mode.raw());
        if !self.switch(mode.raw(), Switch::On) {
            self.term.set_private_mode(mode);
        }
    }

    fn unset_private_mode(&mut self, mode: PrivateMode) {
        self.left_on.reset(mode.raw());
        if !self.switch(mode.raw(), Switch::Off) {
            self.term.unset_private_mode(mode);
        }
    }

    fn set_scrolling_region(&mut self, top: usize, bottom: Option<usize>) {
        let rows = self.term.screen_lines();
        let bottom = bottom.unwrap_or(rows).min(rows);
        // Margins that make no sense change nothing. The model would take margins below the screen.
        if top < bottom {
            self.harvest();
            self.term.set_scrolling_region(top, Some(bottom));
            self.margins = Some((top, bottom));
            self.go_to(0, 0);
        }
    }

    // Calls whose arguments are bounded or checked on the way, or that are answered here.

    fn identify_terminal(&mut self, intermediate: Option<char>) {
        match intermediate {
            None => self.notes.said().reply(ATTRIBUTES),
            // Which unit of the terminal this is: as xterm, none in particular.
            Some('=') => self.notes.said().reply("\x1bP!|00000000\x1b\\"),
            other => self.term.identify_terminal(other),
        }
    }

    fn device_status(&mut self, request: usize) {
        match request {
            6 => {
                self.notes.said().cursor_queries += 1;
                let (row, column) = self.reported_place();
                self.notes.said().reply(&format!("\x1b[{row};{column}R"));
            }
            other => self.term.device_status(other),
        }
    }

    fn report_private_mode(&mut self, mode: PrivateMode) {
        match private_mode(self, mode.raw()) {
            Some(state) => self.notes.said().reply(&format!("\x1b[?{};{}$y", mode.raw(), state as u8)),
            None => self.term.report_private_mode(mode),
        }
    }

    fn report_keyboard_mode(&mut self) {
        let flags = self.keyboard.modes(self.is_alternate()).bits();
        self.notes.said().reply(&format!("\x1b[?{flags}u"));
    }

    fn clipboard_store(&mut self, clipboard: u8, base64: &[u8]) {
        // The clipboard, and the two selections of X.
        if matches!(clipboard, b'c' | b'p' | b's')
            && let Some(text) = decode(base64)
        {
            self.notes.said().clipboard = Some(text);
        }
    }

    fn set_title(&mut self, title: Option<String>) {
        self.term.set_title(title.map(|title| clean_title(&title)));
    }

    fn set_hyperlink(&mut self, link: Option<Hyperlink>) {
        self.term.set_hyperlink(link.filter(|link| link_is_allowed(&link.uri)));
    }

    fn dynamic_color_sequence(&mut self, prefix: String, index: usize, terminator: &str) {
        let Rgb { r, g, b } = self.term.colors()[index].unwrap_or_else(|| default_color(index));
        let answer = format!("\x1b]{prefix};rgb:{r:02x}{r:02x}/{g:02x}{g:02x}/{b:02x}{b:02x}{terminator}");
        self.notes.said().reply(&answer);
        self.term.dynamic_color_sequence(prefix, index, terminator);
    }

    fn push_keyboard_mode(&mut self, mode: KeyboardModes) {
        self.keyboard.push(self.is_alternate(), mode);
        self.term.push_keyboard_mode(mode);
    }

    fn pop_keyboard_modes(&mut self, count: u16) {
        self.keyboard.pop(self.is_alternate(), count);
        self.term.pop_keyboard_modes(count);
    }

    fn set_keyboard_mode(&mut self, mode: KeyboardModes, behavior: KeyboardModesApplyBehavior) {
        self.keyboard.set(self.is_alternate(), mode, behavior);
        Handler::set_keyboard_mode(&mut self.term, mode, behavior);
    }

    // Calls that depend on margins, or on what else the model does not know.

    fn goto(&mut self, line: i32, col: usize) {
        self.go_to(line, col);
    }

    fn goto_line(&mut self, line: i32) {
        self.go_to_row(line);
    }

    fn goto_col(&mut self, col: usize) {
        self.go_to_column(col);
    }

    fn move_up(&mut self, rows: usize) {
        self.cursor_up(rows);
    }

    fn move_down(&mut self, rows: usize) {
        self.cursor_down(rows);
    }

    fn move_down_and_cr(&mut self, rows: usize) {
        self.cursor_down(rows);
        self.return_between();
    }

    fn move_up_and_cr(&mut self, rows: usize) {
        self.cursor_up(rows);
        self.return_between();
    }

    fn move_forward(&mut self, cols: usize) {
        self.cursor_forward(cols);
    }

    fn move_backward(&mut self, cols: usize) {
        self.cursor_back(cols);
    }

    fn backspace(&mut self) {
        if self.dec.sides.is_some() || self.reverse_wraps() {
            self.cursor_back(1);
        } else {
            self.term.backspace();
        }
    }

    fn carriage_return(&mut self) {
        match self.dec.sides {
            Some(_) => self.return_between(),
            None => self.term.carriage_return(),
        }
    }

    fn insert_blank(&mut self, count: usize) {
        match self.dec.sides {
            Some(_) => self.insert_cells_between(count),
            None => self.term.insert_blank(count),
        }
    }

    fn delete_chars(&mut self, count: usize) {
        match self.dec.sides {
            Some(_) => self.delete_cells_between(count),
            // If the count exceeds the characters behind the cursor, the model deletes characters before the cursor
            // too.
            None => self.term.delete_chars(count.min(self.term.columns() - self.term.grid().cursor.point.column.0)),
        }
    }

    fn scroll_down(&mut self, rows: usize) {
        match self.dec.sides {
            Some(_) => self.scroll_down_between(rows),
            None => self.term.scroll_down(rows),
        }
    }

    fn insert_blank_lines(&mut self, count: usize) {
        match self.dec.sides {
            Some(_) => self.insert_rows_between(count),
            None => self.term.insert_blank_lines(count),
        }
    }

    fn move_forward_tabs(&mut self, count: u16) {
        match self.dec.sides {
            Some(_) => self.tab_between(count),
            None => self.term.move_forward_tabs(count),
        }
    }

    fn reverse_index(&mut self) {
        match self.dec.sides {
            Some(_) => self.reverse_index_between(),
            None => self.term.reverse_index(),
        }
    }

    fn clear_line(&mut self, mode: LineClearMode) {
        let part = match mode {
            LineClearMode::Right => Part::Right,
            LineClearMode::Left => Part::Left,
            LineClearMode::All => Part::Row,
        };
        if self.erases_around_guarded(part) {
            return;
        }
        // At a margin there is more to the right of the cursor.
        if self.dec.sides.is_some() {
            self.term.grid_mut().cursor.input_needs_wrap = false;
        }
        self.term.clear_line(mode);
    }

    fn erase_chars(&mut self, count: usize) {
        if !self.erases_around_guarded(Part::Cells(count)) {
            self.term.erase_chars(count);
        }
    }

    fn save_cursor_position(&mut self) {
        self.save_cursor();
    }

    fn restore_cursor_position(&mut self) {
        self.restore_cursor();
    }

    fn set_active_charset(&mut self, index: CharsetIndex) {
        self.shift_to(index);
    }

    fn configure_charset(&mut self, index: CharsetIndex, charset: StandardCharset) {
        self.set_charset(index, charset);
    }

    // Calls that only pass through.

    fn set_cursor_style(&mut self, style: Option<CursorStyle>) {
        self.left_on.cursor_style = style.is_some();
        self.term.set_cursor_style(style);
    }

    fn set_cursor_shape(&mut self, shape: CursorShape) {
        self.term.set_cursor_shape(shape);
    }

    fn bell(&mut self) {
        self.term.bell();
    }

    fn substitute(&mut self) {
        self.term.substitute();
    }

    fn set_horizontal_tabstop(&mut self) {
        self.term.set_horizontal_tabstop();
    }

    fn move_backward_tabs(&mut self, count: u16) {
        self.term.move_backward_tabs(count);
    }

    fn clear_tabs(&mut self, mode: TabulationClearMode) {
        self.term.clear_tabs(mode);
    }

    fn set_tabs(&mut self, interval: u16) {
        self.term.set_tabs(interval);
    }

    fn terminal_attribute(&mut self, attribute: Attr) {
        rendition::set(&mut self.term, attribute);
    }

    fn set_mode(&mut self, mode: Mode) {
        self.term.set_mode(mode);
    }

    fn unset_mode(&mut self, mode: Mode) {
        self.term.unset_mode(mode);
    }

    fn report_mode(&mut self, mode: Mode) {
        self.term.report_mode(mode);
    }

    fn set_keypad_application_mode(&mut self) {
        self.term.set_keypad_application_mode();
    }

    fn unset_keypad_application_mode(&mut self) {
        self.term.unset_keypad_application_mode();
    }

    fn set_color(&mut self, index: usize, color: Rgb) {
        self.term.set_color(index, color);
    }

    fn reset_color(&mut self, index: usize) {
        self.term.reset_color(index);
    }

    fn clipboard_load(&mut self, clipboard: u8, terminator: &str) {
        self.term.clipboard_load(clipboard, terminator);
    }

    fn decaln(&mut self) {
        self.term.decaln();
    }

    fn push_title(&mut self) {
        self.term.push_title();
    }

    fn pop_title(&mut self) {
        self.term.pop_title();
    }

    fn text_area_size_pixels(&mut self) {
        self.term.text_area_size_pixels();
    }

    fn text_area_size_chars(&mut self) {
        self.term.text_area_size_chars();
    }

    fn set_mouse_cursor_icon(&mut self, icon: CursorIcon) {
        self.term.set_mouse_cursor_icon(icon);
    }

    fn set_modify_other_keys(&mut self, mode: ModifyOtherKeys) {
        self.left_on.other_keys = match mode {
            ModifyOtherKeys::Reset => false,
            ModifyOtherKeys::EnableExceptWellDefined | ModifyOtherKeys::EnableAll => true,
        };
        self.term.set_modify_other_keys(mode);
    }

    fn report_modify_other_keys(&mut self) {
        self.term.report_modify_other_keys();
    }

    fn set_scp(&mut self, path: ScpCharPath, update: ScpUpdateMode) {
        self.term.set_scp(path, update);
    }
}
