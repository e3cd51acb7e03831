//! A pane cell by cell, from the output of `tmux capture-pane -e`.

use std::fmt::Write as _;

use beach_core::terminal::{self, Attributes, Line, Style, Underline};

/// Rows of cells; blank cells at the end of a row are left out.
pub type Rows = Vec<Vec<Cell>>;

/// A character and how it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The character.
    pub character: char,
    /// Its own colour.
    pub foreground: Color,
    /// The colour behind it.
    pub background: Color,
    /// The colour of its underline.
    pub underline: Color,
    /// The SGR numbers of its attributes, ascending; an underline as 60 and its style.
    pub attributes: Vec<u16>,
}

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// The terminal's default colour.
    Default,
    /// A colour of 256, the first 16 of which have two spellings.
    Indexed(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

impl Cell {
    pub(super) fn plain(character: char) -> Cell {
        let color = Color::Default;
        Cell { character, foreground: color, background: color, underline: color, attributes: Vec::new() }
    }

    /// Looks like nothing: a blank whose style cannot be seen.
    fn is_blank(&self) -> bool {
        // Reverse, underline, strike-through and overline can be seen on a blank.
        let seen = |attribute: &u16| *attribute == 7 || *attribute == 9 || *attribute == 53 || *attribute > 60;
        self.character == ' ' && self.background == Color::Default && !self.attributes.iter().any(seen)
    }

    /// A style that cannot be seen is none.
    fn seen(mut self) -> Cell {
        if self.is_blank() {
            return Cell::plain(' ');
        }
        if self.character == ' ' {
            // Of a blank on a colour, only the colour is seen; bold and italic are not.
            self.attributes.retain(|attribute| ![1, 2, 3, 5].contains(attribute));
            if self.attributes.is_empty() {
                self.foreground = Color::Default;
            }
        }
        self
    }
}

/// A line as a pane shows it: one cell a character, without trailing blanks.
pub fn cells_of(line: &Line) -> Vec<Cell> {
    let mut cells: Vec<Cell> =
        line.runs.iter().flat_map(|run| run.text.chars().map(|c| cell_of(c, &run.style))).collect();
    while cells.last().is_some_and(Cell::is_blank) {
        cells.pop();
    }
    cells
}

fn cell_of(character: char, style: &Style) -> Cell {
    let color = |color| match color {
        terminal::Color::Default => Color::Default,
        terminal::Color::Indexed(index) => Color::Indexed(index),
        terminal::Color::Rgb(r, g, b) => Color::Rgb(r, g, b),
    };
    let underline = match style.underline {
        Underline::None => None,
        Underline::Single => Some(61),
        Underline::Double => Some(62),
        Underline::Curly => Some(63),
        Underline::Dotted => Some(64),
        Underline::Dashed => Some(65),
    };
    let attributes = [
        (Attributes::BOLD, 1),
        (Attributes::DIM, 2),
        (Attributes::ITALIC, 3),
        (Attributes::BLINK, 5),
        (Attributes::INVERSE, 7),
        (Attributes::HIDDEN, 8),
        (Attributes::STRIKE, 9),
        (Attributes::OVERLINE, 53),
    ];
    let set = attributes.into_iter().filter(|(attribute, _)| style.attributes.contains(*attribute));
    Cell {
        character,
        foreground: color(style.foreground),
        background: color(style.background),
        underline: color(style.underline_color.unwrap_or_default()),
        attributes: set.map(|(_, number)| number).chain(underline).collect(),
    }
    .seen()
}

/// Reads what `capture-pane -e -p -N` printed.
pub(super) fn read(captured: &str) -> Rows {
    let mut style = Cell::plain(' ');
    let mut line_drawing = false;
    captured.lines().map(|line| read_line(line, &mut style, &mut line_drawing)).collect()
}

fn read_line(line: &str, style: &mut Cell, line_drawing: &mut bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            '\x1b' => {
                let sequence: String = rest.by_ref().skip(1).take_while(|c| *c != 'm').collect();
                apply(&sequence, style);
            }
            '\x0e' => *line_drawing = true,
            '\x0f' => *line_drawing = false,
            other => {
                let character = if *line_drawing { drawn(other) } else { other };
                cells.push(Cell { character, ..style.clone() }.seen());
            }
        }
    }
    while cells.last().is_some_and(Cell::is_blank) {
        cells.pop();
    }
    cells
}

fn apply(sequence: &str, style: &mut Cell) {
    let mut numbers = sequence.split(';').map(|number| number.split(':').collect::<Vec<_>>());
    while let Some(number) = numbers.next() {
        let value: u16 = number[0].parse().unwrap_or(0);
        match value {
            0 => *style = Cell::plain(' '),
            4 if number.get(1) == Some(&"0") => style.attributes.retain(|attribute| *attribute < 60),
            4 => set(style, 60 + number.get(1).and_then(|style| style.parse().ok()).unwrap_or(1)),
            // So tmux 3.3a spells a line above the text.
            5 if number.get(1) == Some(&"3") => set(style, 53),
            1..=9 | 53 => set(style, value),
            30..=37 => style.foreground = indexed(value - 30),
            40..=47 => style.background = indexed(value - 40),
            90..=97 => style.foreground = indexed(value - 90 + 8),
            100..=107 => style.background = indexed(value - 100 + 8),
            39 => style.foreground = Color::Default,
            49 => style.background = Color::Default,
            59 => style.underline = Color::Default,
            38 | 48 | 58 => {
                let color = if number.len() > 1 {
                    let values: Vec<u8> = number[1..].iter().filter_map(|value| value.parse().ok()).collect();
                    color(&mut values.into_iter())
                } else {
                    color(&mut numbers.by_ref().filter_map(|number| number[0].parse().ok()))
                };
                match value {
                    38 => style.foreground = color,
                    48 => style.background = color,
                    _ => style.underline = color,
                }
            }
            55 => style.attributes.retain(|attribute| *attribute != 53),
            22 => style.attributes.retain(|attribute| !matches!(attribute, 1 | 2)),
            24 => style.attributes.retain(|attribute| *attribute < 60),
            23 | 25 | 27 | 28 | 29 => style.attributes.retain(|attribute| *attribute != value - 20),
            other => panic!("tmux said SGR {other}, which nobody here reads: {sequence:?}"),
        }
    }
}

fn set(style: &mut Cell, attribute: u16) {
    if attribute > 60 {
        style.attributes.retain(|attribute| *attribute < 60);
    }
    if !style.attributes.contains(&attribute) {
        style.attributes.push(attribute);
        style.attributes.sort_unstable();
    }
}

fn indexed(value: u16) -> Color {
    Color::Indexed(u8::try_from(value).expect("there are 16 of them"))
}

fn color(values: &mut impl Iterator<Item = u8>) -> Color {
    match values.next() {
        Some(5) => Color::Indexed(values.next().expect("an index follows 5")),
        Some(2) => {
            let mut channel = || values.next().expect("three channels follow 2");
            Color::Rgb(channel(), channel(), channel())
        }
        other => panic!("a colour of kind {other:?}"),
    }
}

/// The DEC line-drawing set, which tmux keeps as it came.
fn drawn(letter: char) -> char {
    const DRAWN: &str = "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·";
    match letter {
        '`'..='~' => DRAWN.chars().nth(letter as usize - '`' as usize).unwrap_or(letter),
        other => other,
    }
}

/// Where two screens differ, for a person; `None` if they do not.
pub fn differences(host: &Rows, viewer: &Rows) -> Option<String> {
    let mut found = String::new();
    let nothing = Cell::plain(' ');
    for row in 0..host.len().max(viewer.len()) {
        let empty = Vec::new();
        let (left, right) = (host.get(row).unwrap_or(&empty), viewer.get(row).unwrap_or(&empty));
        let at = |cells: &Vec<Cell>, column: usize| cells.get(column).unwrap_or(&nothing).clone();
        let different = (0..left.len().max(right.len())).filter(|column| at(left, *column) != at(right, *column));
        let different: Vec<usize> = different.collect();
        if let Some(first) = different.first() {
            let (left, right) = (at(left, *first), at(right, *first));
            let _ =
                writeln!(found, "row {row}: {} cells, first {first}: host {left:?}, viewer {right:?}", different.len());
        }
    }
    (!found.is_empty()).then_some(found)
}
