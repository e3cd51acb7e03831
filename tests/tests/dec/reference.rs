//! A second model of a terminal, slow and obvious: a grid of ASCII, and each command as its description says.
//!
//! Where left and right margins are the screen's edges it does as the first model's library does, in what descriptions
//! leave open: a line feed keeps a wrap pending, IL and DL do not move the cursor, what DL deletes on the first row
//! goes into the scrollback (as in xterm), and so on.

use vte::{Params, Parser, Perform};

/// A cell: what the scripts can change of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) c: char,
    pub(crate) bold: bool,
    pub(crate) inverse: bool,
    pub(crate) colored: bool,
    pub(crate) blinks: bool,
    /// Shown by nothing.
    pub(crate) protected: bool,
}

impl Default for Cell {
    fn default() -> Cell {
        Cell { c: ' ', bold: false, inverse: false, colored: false, blinks: false, protected: false }
    }
}

type Rows = Vec<Vec<Cell>>;

#[derive(Clone, Copy, Default)]
struct Place {
    row: usize,
    col: usize,
    /// The next character wraps first.
    pending: bool,
}

#[derive(Clone, Copy, Default)]
struct Saved {
    place: Place,
    origin: bool,
    pen: Cell,
}

/// Inclusive bounds.
#[derive(Clone, Copy)]
struct Area {
    top: usize,
    bottom: usize,
    left: usize,
    right: usize,
}

struct State {
    cols: usize,
    rows: usize,
    screens: [Rows; 2],
    alternate: bool,
    /// The main screen's place as of a 1049 that is in force.
    left_at: Option<Saved>,
    history: Rows,
    at: Place,
    pen: Cell,
    saved: [Saved; 2],
    region: (usize, usize),
    sides: (usize, usize),
    sides_mode: bool,
    origin: bool,
    wraps: bool,
    inserts: bool,
    reverses: bool,
    columns_permitted: bool,
    rectangle: bool,
}

pub(crate) struct Reference {
    parser: Parser,
    state: State,
}

impl Reference {
    pub(crate) fn new(cols: usize, rows: usize) -> Reference {
        Reference { parser: Parser::new(), state: State::new(cols, rows) }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.parser.advance(&mut self.state, bytes);
    }

    pub(crate) fn window(&self) -> &Rows {
        &self.state.screens[usize::from(self.state.alternate)]
    }

    pub(crate) fn history(&self) -> &Rows {
        &self.state.history
    }

    pub(crate) fn cursor(&self) -> (usize, usize) {
        (self.state.at.row, self.state.at.col)
    }

    pub(crate) fn is_alternate(&self) -> bool {
        self.state.alternate
    }

    /// Rows as lines of text, to be read when two differ.
    pub(crate) fn drawn(&self, rows: &[Vec<Cell>]) -> Vec<String> {
        let look = |cell: &Cell| {
            let marks = [(cell.bold, '*'), (cell.inverse, '%'), (cell.colored, '='), (cell.blinks, '!')];
            let marks: String = marks.iter().filter(|(has, _)| *has).map(|(_, mark)| *mark).collect();
            format!("{marks}{}", cell.c)
        };
        rows.iter().map(|row| row.iter().map(look).collect()).collect()
    }
}

impl State {
    fn new(cols: usize, rows: usize) -> State {
        let blank = vec![vec![Cell::default(); cols]; rows];
        State {
            cols,
            rows,
            screens: [blank.clone(), blank],
            alternate: false,
            left_at: None,
            history: Vec::new(),
            at: Place::default(),
            pen: Cell::default(),
            saved: [Saved { pen: Cell::default(), ..Saved::default() }; 2],
            region: (0, rows - 1),
            sides: (0, cols - 1),
            sides_mode: false,
            origin: false,
            wraps: true,
            inserts: false,
            reverses: false,
            columns_permitted: false,
            rectangle: false,
        }
    }

    fn screen(&mut self) -> &mut Rows {
        &mut self.screens[usize::from(self.alternate)]
    }

    fn margins(&self) -> Area {
        Area { top: self.region.0, bottom: self.region.1, left: self.sides.0, right: self.sides.1 }
    }

    /// Margins that are narrower than the screen.
    fn narrow(&self) -> bool {
        self.sides != (0, self.cols - 1)
    }

    fn is_inside(&self) -> bool {
        let Area { top, bottom, left, right } = self.margins();
        (top..=bottom).contains(&self.at.row) && (left..=right).contains(&self.at.col)
    }

    fn blank(&self) -> Cell {
        Cell { colored: self.pen.colored, ..Cell::default() }
    }

    fn set(&mut self, row: usize, col: usize) {
        self.at = Place { row, col, pending: false };
    }

    /// Counted from 0, from the margins in origin mode.
    fn go(&mut self, row: usize, col: usize) {
        if self.origin {
            let Area { top, bottom, left, right } = self.margins();
            self.set((top + row).min(bottom), (left + col).min(right));
        } else {
            self.set(row.min(self.rows - 1), col.min(self.cols - 1));
        }
    }

    fn keep_inside(&mut self) {
        if self.origin {
            let Area { top, bottom, left, right } = self.margins();
            (self.at.row, self.at.col) = (self.at.row.clamp(top, bottom), self.at.col.clamp(left, right));
        }
    }

    /// Every cell of an area becomes what the old cells say.
    fn rewrite(&mut self, area: Area, new: impl Fn(&Rows, usize, usize) -> Cell) {
        let old = self.screen().clone();
        for row in area.top..=area.bottom {
            for col in area.left..=area.right {
                self.screen()[row][col] = new(&old, row, col);
            }
        }
    }

    /// Text moves by rows and columns, from places inside the area.
    fn shift(&mut self, area: Area, down: isize, right: isize) {
        let blank = self.blank();
        self.rewrite(area, |old, row, col| {
            let (from_row, from_col) = (row as isize - down, col as isize - right);
            let has_row = (area.top as isize..=area.bottom as isize).contains(&from_row);
            let has_col = (area.left as isize..=area.right as isize).contains(&from_col);
            if has_row && has_col { old[from_row as usize][from_col as usize] } else { blank }
        });
    }

    fn scroll_up(&mut self, area: Area, count: usize) {
        let count = count.min(area.bottom - area.top + 1);
        if area.top == 0 && !self.narrow() && !self.alternate {
            let leaving: Vec<Vec<Cell>> = self.screen()[..count].to_vec();
            self.history.extend(leaving);
        }
        self.shift(area, -(count as isize), 0);
    }

    fn line_feed(&mut self) {
        let (keeps, Area { bottom, .. }) = (!self.narrow() && self.at.pending, self.margins());
        if self.at.row == bottom {
            if self.is_inside() {
                self.scroll_up(self.margins(), 1);
            }
        } else if self.at.row + 1 < self.rows {
            self.at.row += 1;
        }
        self.at.pending = keeps;
    }

    fn reverse_line_feed(&mut self) {
        let (keeps, Area { top, .. }) = (!self.narrow() && self.at.pending, self.margins());
        if self.at.row == top {
            if self.is_inside() {
                self.shift(self.margins(), 1, 0);
            }
        } else {
            self.at.row = self.at.row.saturating_sub(1);
        }
        self.at.pending = keeps;
    }

    fn carriage_return(&mut self) {
        let left = self.sides.0;
        let col = if self.origin || self.at.col >= left { left } else { 0 };
        self.set(self.at.row, col);
    }

    fn up(&mut self, count: usize) {
        let top = self.region.0;
        let least = if self.at.row >= top { top } else { 0 };
        self.set(self.at.row.saturating_sub(count).max(least), self.at.col);
    }

    fn down(&mut self, count: usize) {
        let bottom = self.region.1;
        let most = if self.at.row <= bottom { bottom } else { self.rows - 1 };
        self.set((self.at.row + count).min(most), self.at.col);
    }

    fn right_end(&self) -> usize {
        if self.at.col <= self.sides.1 { self.sides.1 } else { self.cols - 1 }
    }

    /// One cell at a time.
    fn back(&mut self, count: usize) {
        let reverses = self.reverses && self.wraps;
        let count = if reverses && self.at.pending { count - 1 } else { count };
        let left = if self.at.col < self.sides.0 { 0 } else { self.sides.0 };
        for _ in 0..count {
            if self.at.col > left {
                self.at.col -= 1;
            } else if reverses {
                self.at.col = self.sides.1;
                self.at.row = self.at.row.checked_sub(1).unwrap_or(self.rows - 1);
            }
        }
        self.at.pending = false;
    }

    fn save(&mut self) {
        self.saved[usize::from(self.alternate)] = Saved { place: self.at, origin: self.origin, pen: self.pen };
    }

    fn restore(&mut self, saved: Saved) {
        (self.at, self.origin, self.pen) = (saved.place, saved.origin, saved.pen);
        self.keep_inside();
    }

    fn erase_screen(&mut self) {
        let blank = self.blank();
        self.rewrite(self.page(), |_, _, _| blank);
    }

    fn page(&self) -> Area {
        Area { top: 0, bottom: self.rows - 1, left: 0, right: self.cols - 1 }
    }

    fn forget_margins(&mut self) {
        (self.region, self.sides) = ((0, self.rows - 1), (0, self.cols - 1));
    }

    fn mode(&mut self, mode: u16, on: bool) {
        match mode {
            3 if self.columns_permitted => {
                self.erase_screen();
                self.forget_margins();
                self.go(0, 0);
            }
            6 => {
                self.origin = on;
                self.go(0, 0);
            }
            7 => self.wraps = on,
            40 => self.columns_permitted = on,
            45 => self.reverses = on,
            47 | 1047 => {
                if mode == 1047 && !on && self.alternate {
                    self.erase_screen();
                }
                if self.alternate != on {
                    self.alternate = on;
                    self.left_at = None;
                }
            }
            69 => {
                self.sides_mode = on;
                if !on {
                    self.sides = (0, self.cols - 1);
                }
            }
            1048 if on => self.save(),
            1048 => self.restore(self.saved[usize::from(self.alternate)]),
            1049 if on && !self.alternate => {
                self.save();
                self.left_at = Some(self.saved[0]);
                self.alternate = true;
                self.erase_screen();
            }
            1049 if !on => {
                self.alternate = false;
                let saved = self.left_at.take().unwrap_or(self.saved[0]);
                self.restore(saved);
            }
            _ => {}
        }
    }

    fn soft_reset(&mut self) {
        self.forget_margins();
        (self.sides_mode, self.origin, self.wraps, self.inserts, self.reverses) = (false, false, true, false, false);
        self.pen = Cell::default();
        self.saved[usize::from(self.alternate)] = Saved::default();
    }

    fn hard_reset(&mut self) {
        *self = State::new(self.cols, self.rows);
    }

    /// A rectangle by the numbers from 1, 0 for the edges.
    fn area(&self, numbers: &[usize]) -> Option<Area> {
        let page = if self.origin { self.margins() } else { self.page() };
        let within = |number: usize, first: usize, last: usize| (first + number.max(1) - 1).min(last);
        let number = |at: usize| numbers.get(at).copied().unwrap_or(0);
        let area = Area {
            top: within(number(0), page.top, page.bottom),
            left: within(number(1), page.left, page.right),
            bottom: if number(2) == 0 { page.bottom } else { within(number(2), page.top, page.bottom) },
            right: if number(3) == 0 { page.right } else { within(number(3), page.left, page.right) },
        };
        (area.top <= area.bottom && area.left <= area.right).then_some(area)
    }

    fn columns(&mut self, left: usize, right: isize) {
        if self.is_inside() {
            self.at.pending = false;
            self.shift(Area { left, ..self.margins() }, 0, right);
        }
    }

    fn change(&mut self, area: Area, change: impl Fn(&mut Cell)) {
        let page = if self.origin { self.margins() } else { self.page() };
        let rectangle = self.rectangle;
        for row in area.top..=area.bottom {
            for col in page.left..=page.right {
                let is_after = (row, col) >= (area.top, area.left) && (row, col) <= (area.bottom, area.right);
                let is_between = (area.left..=area.right).contains(&col);
                if rectangle && is_between || !rectangle && is_after {
                    change(&mut self.screen()[row][col]);
                }
            }
        }
    }

    fn rectangles(&mut self, marks: &[u8], action: char, numbers: &[usize]) {
        match (marks, action) {
            (b"*", 'x') => self.rectangle = numbers[0] == 2,
            (b"$", 'x') => {
                let Some(area) = self.area(&numbers[1..]) else { return };
                let cell = Cell { c: 'X', ..self.pen };
                self.rewrite(area, |_, _, _| cell);
            }
            (b"$", 'v') => {
                let (Some(from), Some(to)) = (self.area(numbers), self.area(&numbers[5..7])) else { return };
                let (height, width) = (from.bottom - from.top, from.right - from.left);
                let to = Area { bottom: to.bottom.min(to.top + height), right: to.right.min(to.left + width), ..to };
                self.rewrite(to, |old, row, col| old[row - to.top + from.top][col - to.left + from.left]);
            }
            (b"$", 'z') => {
                let (Some(area), blank) = (self.area(numbers), self.blank()) else { return };
                self.rewrite(area, |_, _, _| blank);
            }
            (b"$", '{') => {
                let Some(area) = self.area(numbers) else { return };
                self.rewrite(area, |old, row, col| match old[row][col] {
                    cell if cell.protected => cell,
                    cell => Cell { c: ' ', ..cell },
                });
            }
            (b"$", 'r' | 't') => {
                let Some(area) = self.area(numbers) else { return };
                let attributes = if numbers.len() > 4 { numbers[4..].to_vec() } else { vec![0] };
                for attribute in attributes {
                    self.change(area, |cell| match (action, attribute) {
                        ('r', 0) => (cell.bold, cell.inverse, cell.blinks) = (false, false, false),
                        ('r', 5) => cell.blinks = true,
                        ('r', 25) => cell.blinks = false,
                        ('r', 1) => cell.bold = true,
                        ('r', 7) => cell.inverse = true,
                        ('r', 22) => cell.bold = false,
                        ('t', 0) => {
                            (cell.bold, cell.inverse, cell.blinks) = (!cell.bold, !cell.inverse, !cell.blinks);
                        }
                        ('t', 5) => cell.blinks = !cell.blinks,
                        ('t', 1) => cell.bold = !cell.bold,
                        ('t', 7) => cell.inverse = !cell.inverse,
                        _ => {}
                    });
                }
            }
            _ => {}
        }
    }

    fn row_from_cursor(&self) -> Area {
        Area { top: self.at.row, bottom: self.at.row, left: self.at.col, right: self.sides.1 }
    }

    /// Commands that move text.
    fn edit(&mut self, action: char, count: usize) {
        let (rows, inside) = (Area { top: self.at.row, ..self.margins() }, self.is_inside());
        let is_between = (self.sides.0..=self.sides.1).contains(&self.at.col);
        match action {
            'L' | 'M' if inside => {
                if action == 'L' {
                    self.shift(rows, count as isize, 0)
                } else {
                    self.scroll_up(rows, count)
                }
                if self.narrow() {
                    self.set(self.at.row, self.sides.0);
                }
            }
            '@' => {
                self.at.pending &= !self.narrow();
                if is_between {
                    self.shift(self.row_from_cursor(), 0, count as isize);
                }
            }
            'P' if is_between => {
                self.at.pending &= !self.narrow();
                self.shift(self.row_from_cursor(), 0, -(count as isize));
            }
            'X' => {
                let right = (self.at.col + count - 1).min(self.cols - 1);
                let (area, blank) = (Area { right, ..self.row_from_cursor() }, self.blank());
                self.rewrite(area, |_, _, _| blank);
            }
            'S' => self.scroll_up(self.margins(), count),
            'T' => self.shift(self.margins(), count as isize, 0),
            _ => {}
        }
    }

    fn erase(&mut self, action: char, kind: usize) {
        if action == 'K' && self.narrow() {
            self.at.pending = false;
        }
        if action == 'K' && kind == 0 && self.at.pending {
            return;
        }
        self.erase_if(action, kind, |_| true);
    }

    /// DECSED and DECSEL.
    fn erase_selectively(&mut self, action: char, kind: usize) {
        self.at.pending = false;
        self.erase_if(action, kind, |cell| !cell.protected);
    }

    fn erase_if(&mut self, action: char, kind: usize, goes: impl Fn(Cell) -> bool) {
        let (at, blank) = ((self.at.row, self.at.col), self.blank());
        let page = self.page();
        let area = if action == 'K' { Area { top: at.0, bottom: at.0, ..page } } else { page };
        self.rewrite(area, |old, row, col| {
            let erased = match kind {
                0 => (row, col) >= at,
                1 => (row, col) <= at,
                _ => true,
            };
            if erased && goes(old[row][col]) { blank } else { old[row][col] }
        });
    }
}

impl Perform for State {
    fn print(&mut self, c: char) {
        if self.at.pending && self.wraps {
            self.line_feed();
            self.at.col = self.sides.0;
        }
        self.at.pending = false;
        if self.inserts && (self.sides.0..=self.sides.1).contains(&self.at.col) {
            self.shift(self.row_from_cursor(), 0, 1);
        }
        let (Place { row, col, .. }, end) = (self.at, self.right_end());
        let cell = Cell { c, ..self.pen };
        self.screen()[row][col] = cell;
        if col == end { self.at.pending = true } else { self.at.col += 1 }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' => self.line_feed(),
            b'\r' => self.carriage_return(),
            0x08 if self.at.col > 0 || self.reverses || self.narrow() => self.back(1),
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, _: &[u8], _: bool, byte: u8) {
        let Area { left, right, .. } = self.margins();
        match byte {
            b'D' => self.line_feed(),
            b'E' => {
                self.line_feed();
                self.carriage_return();
            }
            b'M' => self.reverse_line_feed(),
            b'7' => self.save(),
            b'8' => self.restore(self.saved[usize::from(self.alternate)]),
            b'c' => self.hard_reset(),
            b'6' if self.at.col == left => self.columns(left, 1),
            b'6' => self.back(1),
            b'9' if self.at.col == right => self.columns(left, -1),
            b'9' => self.set(self.at.row, (self.at.col + 1).min(self.right_end())),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, marks: &[u8], _: bool, action: char) {
        let numbers: Vec<usize> = params.iter().map(|number| usize::from(number[0])).collect();
        let number = |at: usize| numbers.get(at).copied().unwrap_or(0);
        let count = number(0).max(1);
        let Area { left, top, .. } = self.margins();
        match (marks, action) {
            (b"", 'A') => self.up(count),
            (b"", 'B') => self.down(count),
            (b"", 'C') => self.set(self.at.row, (self.at.col + count).min(self.right_end())),
            (b"", 'D') => self.back(count),
            (b"", 'E') => {
                self.down(count);
                self.carriage_return();
            }
            (b"", 'F') => {
                self.up(count);
                self.carriage_return();
            }
            (b"", 'G') => {
                let row = if self.origin { self.at.row.saturating_sub(top) } else { self.at.row };
                self.go(row, count - 1);
            }
            (b"", 'd') => {
                let base = if self.origin { top } else { 0 };
                self.set((base + count - 1).min(if self.origin { self.region.1 } else { self.rows - 1 }), self.at.col);
                self.keep_inside();
            }
            (b"", 'a') => {
                self.set(self.at.row, (self.at.col + count).min(self.cols - 1));
                self.keep_inside();
            }
            (b"", 'e') => {
                self.set((self.at.row + count).min(self.rows - 1), self.at.col);
                self.keep_inside();
            }
            (b"", 'H') => self.go(count - 1, number(1).max(1) - 1),
            (b"", 'J' | 'K') => self.erase(action, number(0)),
            (b"?", 'J' | 'K') => self.erase_selectively(action, number(0)),
            (b"\"", 'q') => self.pen.protected = number(0) == 1,
            (b"", 'L' | 'M' | '@' | 'P' | 'X' | 'S' | 'T') => self.edit(action, count),
            (b"", 'h' | 'l') if number(0) == 4 => self.inserts = action == 'h',
            (b"?", 'h' | 'l') => self.mode(numbers[0] as u16, action == 'h'),
            (b"", 'm') => match number(0) {
                41 => self.pen.colored = true,
                1 => self.pen.bold = true,
                5 => self.pen.blinks = true,
                _ => self.pen = Cell { protected: self.pen.protected, ..Cell::default() },
            },
            (b"", 'r') => {
                let bottom = if number(1) == 0 { self.rows } else { number(1).min(self.rows) };
                if count < bottom {
                    self.region = (count - 1, bottom - 1);
                    self.go(0, 0);
                }
            }
            (b"", 's') if self.sides_mode => {
                let right = if number(1) == 0 { self.cols } else { number(1).min(self.cols) };
                if count < right {
                    self.sides = (count - 1, right - 1);
                    self.go(0, 0);
                }
            }
            (b"", 's') => self.save(),
            (b"!", 'p') => self.soft_reset(),
            (b" ", '@') => self.columns(left, -(count as isize)),
            (b" ", 'A') => self.columns(left, count as isize),
            (b"'", '}') => self.columns(self.at.col, count as isize),
            (b"'", '~') => self.columns(self.at.col, -(count as isize)),
            (marks, action) => self.rectangles(marks, action, &numbers),
        }
    }
}
