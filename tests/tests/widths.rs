//! Characters that are more than one code point, or of whose width terminals have different ideas: combining marks,
//! joined emoji, variation selectors, flags. What the host's model holds arrives cell for cell; and in terminals with
//! other widths, plain text stands where it stands at the host.

use beach_core::terminal::{Emulator, Line, LineCommits, Options, Overlay, Painter, Screen, Size, Width};
use beach_core::time::Timestamp;
use beach_core::wire::frame::{Down, Segment};
use proptest::collection::vec;
use proptest::prelude::*;
use vte::{Params, Parser, Perform};

const SIZE: Size = Size { cols: 12, rows: 4 };

fn cases(count: u32) -> ProptestConfig {
    let cases = std::env::var("TERMINAL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(count);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A host's model, and a viewer who gets its lines in frames and paints them.
struct Session {
    host: Emulator,
    screen: Screen,
    painter: Painter,
}

impl Session {
    /// With what the painter writes first.
    fn new() -> (Session, Vec<u8>) {
        let mut painter = Painter::new(SIZE, Options::default());
        let mut out = Vec::new();
        painter.start(&mut out);
        (Session { host: Emulator::new(SIZE, 100), screen: Screen::new(100), painter }, out)
    }

    /// The program prints; returns what the painter writes then.
    fn print(&mut self, text: &str) -> Vec<u8> {
        self.host.feed(text.as_bytes());
        self.host.frame();
        let head = self.host.head().clone();
        for (number, version) in (head.top..).zip(head.row_versions()) {
            let content = self.host.line(head.space, number).expect("it is in the window").1.to_vec();
            let segment = Segment { space: head.space, number, version, is_final: false, part: 0, parts: 1, content };
            let down = arrived(&Down { seq: 1, segments: vec![segment], ..Down::default() });
            let line = Line::decode(&down.segments[0].content).expect("our own line");
            self.screen.merge_line(head.space, number, version, false, line);
        }
        let commits = LineCommits { start: 0, from: 0, runs: Vec::new() };
        let down = arrived(&Down { seq: 2, screen: Some((head, commits)), ..Down::default() });
        let (head, commits) = down.screen.expect("a head");
        self.screen.merge_commits(&commits);
        self.screen.merge_head(head);
        let mut out = Vec::new();
        self.painter.paint(Timestamp::ZERO, &mut self.screen, &Overlay::default(), &mut out);
        out
    }
}

fn arrived(sent: &Down) -> Down {
    Down::decode(&sent.encode()).expect("our own frame")
}

fn rows(emulator: &Emulator) -> Vec<Line> {
    let head = emulator.head();
    let line = |row| emulator.line(head.space, head.top + row).expect("it is in the window").1;
    (0..head.size.rows.into()).map(|row| Line::decode(line(row)).expect("canonical")).collect()
}

/// The text of each cell, and its columns.
fn cells(line: &Line) -> Vec<(String, usize)> {
    let cells = line.runs.iter().flat_map(|run| match run.width {
        Width::Narrow => run.text.chars().map(|c| (c.to_string(), 1)).collect::<Vec<_>>(),
        Width::Wide => run.text.chars().map(|c| (c.to_string(), 2)).collect(),
        Width::Cluster { columns } => vec![(run.text.clone(), usize::from(columns))],
    });
    cells.collect()
}

#[test]
fn what_is_stacked_or_joined_arrives_cell_for_cell() {
    // By the host's model each base has a cell of its own, and what takes no column stands on the one before.
    let scripts: [(&str, &[(&str, usize)]); 15] = [
        ("e\u{301}x", &[("e\u{301}", 1), ("x", 1)]),
        ("a\u{308}\u{323}o\u{302}", &[("a\u{308}\u{323}", 1), ("o\u{302}", 1)]),
        // The mark comes in a write of its own.
        ("n\r\x1b[C\u{303}", &[("n\u{303}", 1)]),
        // On a blank, and on a cell that was never written.
        (" \u{301}", &[("\u{a0}\u{301}", 1)]),
        ("\x1b[1;2H\u{301}x", &[("\u{a0}\u{301}", 1), ("x", 1)]),
        ("中\u{301}x", &[("中\u{301}", 2), ("x", 1)]),
        ("か\u{3099}か", &[("か\u{3099}", 2), ("か", 2)]),
        ("क\u{94d}ष", &[("क\u{94d}", 1), ("ष", 1)]),
        ("👩\u{200d}🚀!", &[("👩\u{200d}", 2), ("🚀", 2), ("!", 1)]),
        ("👍🏽!", &[("👍", 2), ("🏽", 2), ("!", 1)]),
        ("❤\u{fe0f}❤\u{fe0e}", &[("❤\u{fe0f}", 1), ("❤\u{fe0e}", 1)]),
        ("1\u{fe0f}\u{20e3}2", &[("1\u{fe0f}\u{20e3}", 1), ("2", 1)]),
        ("🇪🇺!", &[("🇪", 1), ("🇺", 1), ("!", 1)]),
        ("🏴\u{e0067}\u{e007f}!", &[("🏴\u{e0067}\u{e007f}", 2), ("!", 1)]),
        // Half of a wide character is overwritten, and its mark goes with it.
        ("中\u{301}x\r\x1b[Ce\u{301}", &[(" ", 1), ("e\u{301}", 1), ("x", 1)]),
    ];
    for before in ["", "qqqqqqqqqqqq"] {
        for (script, expected) in scripts {
            let (mut session, mut out) = Session::new();
            let mut own = Emulator::new(SIZE, 100);
            out.extend(session.print(before));
            // Over old text too, of which nothing may be left.
            out.extend(session.print(&format!("\x1b[H\x1b[J{script}")));
            own.feed(&out);
            own.frame();
            let expected: Vec<_> = expected.iter().map(|(text, columns)| ((*text).to_owned(), *columns)).collect();
            assert_eq!(cells(&rows(&session.host)[0]), expected, "at the host: {script:?}");
            assert_eq!(rows(&own), rows(&session.host), "at the viewer: {script:?} over {before:?}: {out:?}");
        }
    }
}

/// How a terminal that is not the host's model gives columns to characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Widths {
    /// What is joined takes one cell of two columns: families, flags, keycaps, emoji by their selector.
    Joined,
    /// Nothing is joined, and what may take two columns does.
    Broad,
    /// Nothing is joined, and only what always takes two columns does.
    Slim,
}

impl Widths {
    /// The columns of a character that stands alone, of those in this file.
    fn of(self, c: char) -> usize {
        match c {
            '\u{301}' | '\u{200d}' | '\u{fe0f}' | '\u{20e3}' => 0,
            '中' | '한' => 2,
            'ж' | '─' | '┼' | '✔' | '❤' => 1 + usize::from(self == Widths::Broad),
            c if is_half_flag(c) => 1 + usize::from(self == Widths::Broad),
            '\u{1f000}'.. => 2 - usize::from(self == Widths::Slim),
            _ => 1,
        }
    }
}

fn is_half_flag(c: char) -> bool {
    ('\u{1f1e6}'..='\u{1f1ff}').contains(&c)
}

fn is_pictogram(c: char) -> bool {
    matches!(c, '✔' | '❤' | '\u{1f000}'..) && !is_half_flag(c)
}

/// A terminal with widths of its own, which does what a painter asks for.
struct Other {
    widths: Widths,
    /// The text of each column's cell: none where a wide one goes on.
    rows: Vec<Vec<Option<String>>>,
    row: usize,
    column: usize,
    wraps: bool,
    /// The last column was written.
    is_full: bool,
}

impl Other {
    fn new(widths: Widths) -> Other {
        let (cols, rows) = (usize::from(SIZE.cols), usize::from(SIZE.rows));
        let blank = vec![vec![Some(" ".to_owned()); cols]; rows];
        Other { widths, rows: blank, row: 0, column: 0, wraps: true, is_full: false }
    }

    fn go_to(&mut self, row: usize, column: usize) {
        (self.row, self.column, self.is_full) = (row, column, false);
    }

    /// Puts text into columns. What is left of a wide character is blank.
    fn put(&mut self, from: usize, to: usize, text: &str) {
        let row = &mut self.rows[self.row];
        let blank = || Some(" ".to_owned());
        let begin = (0..=from).rev().find(|column| row[*column].is_some()).unwrap_or(0);
        row[begin..from].fill(blank());
        let end = (to..row.len()).find(|column| row[*column].is_some()).unwrap_or(row.len());
        row[to..end].fill(blank());
        row[from..to].fill(None);
        row[from] = Some(text.to_owned());
    }

    fn erase(&mut self, to: usize) {
        let end = to.min(self.rows[self.row].len());
        (self.column..end).for_each(|column| self.put(column, column + 1, " "));
    }

    fn line_feed(&mut self) {
        if self.row + 1 < self.rows.len() {
            self.row += 1;
        } else {
            self.rows.remove(0);
            self.rows.push(vec![Some(" ".to_owned()); usize::from(SIZE.cols)]);
        }
    }

    /// Where the cell before the cursor begins and ends, and its text.
    fn before(&self) -> Option<(usize, usize, String)> {
        let row = &self.rows[self.row];
        let end = if self.is_full { row.len() } else { self.column };
        let begin = (0..end).rev().find(|column| row[*column].is_some())?;
        Some((begin, end, row[begin].clone()?))
    }

    /// Whether the character becomes a part of the cell before, and how many columns that has then.
    fn joins(&self, text: &str, columns: usize, c: char) -> Option<usize> {
        let first = text.chars().next()?;
        let is_joined = match c {
            '\u{fe0f}' => is_pictogram(first) || first.is_ascii_digit(),
            '\u{1f3fb}'..='\u{1f3ff}' => is_pictogram(first),
            c if is_half_flag(c) => is_half_flag(first) && text.chars().count() == 1,
            c => is_pictogram(c) && is_pictogram(first) && text.ends_with('\u{200d}'),
        };
        if is_joined && self.widths == Widths::Joined {
            return Some(2);
        }
        (self.widths.of(c) == 0).then_some(columns)
    }
}

impl Perform for Other {
    fn print(&mut self, c: char) {
        let cols = self.rows[self.row].len();
        if let Some((begin, end, text)) = self.before()
            && let Some(columns) = self.joins(&text, end - begin, c)
        {
            let end = (begin + columns).min(cols);
            self.put(begin, end, &format!("{text}{c}"));
            (self.column, self.is_full) = (end.min(cols - 1), end == cols);
            return;
        }
        let columns = self.widths.of(c);
        if columns == 0 {
            return;
        }
        if self.wraps && (self.is_full || self.column + columns > cols) {
            self.line_feed();
            self.go_to(self.row, 0);
        }
        // Without a wrap, what does not fit is not shown.
        if self.column + columns > cols {
            return;
        }
        let end = self.column + columns;
        self.put(self.column, end, &c.to_string());
        (self.column, self.is_full) = (end.min(cols - 1), end == cols);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' => self.go_to(self.row, 0),
            b'\n' => self.line_feed(),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, _: &[u8], _: bool, action: char) {
        let number = |at: usize| params.iter().nth(at).map_or(0, |number| usize::from(number[0]));
        match action {
            'H' => self.go_to(number(0).max(1) - 1, number(1).max(1) - 1),
            'G' => self.go_to(self.row, number(0).max(1) - 1),
            'K' => self.erase(usize::from(SIZE.cols)),
            'X' => self.erase(self.column + number(0).max(1)),
            'h' | 'l' if number(0) == 7 => self.wraps = action == 'h',
            _ => {}
        }
    }
}

/// The letter or digit in a cell, whatever is stacked on it.
fn plain(text: &str) -> Option<char> {
    text.chars().next().filter(char::is_ascii_graphic)
}

#[test]
fn where_an_emoji_is_wider_than_at_the_host_it_stays_whole_if_a_blank_follows() {
    for widths in [Widths::Joined, Widths::Broad, Widths::Slim] {
        let (mut session, out) = Session::new();
        let (mut other, mut parser) = (Other::new(widths), Parser::new());
        parser.advance(&mut other, &out);
        for print in ["❤\u{fe0f} a", "\x1b[1;5Hb", "\r\n1\u{fe0f}\u{20e3}", "\x1b[1;3Hc"] {
            parser.advance(&mut other, &session.print(print));
        }
        let shown = |row: usize, column: usize| other.rows[row][column].as_deref();
        assert_eq!([shown(0, 0), shown(0, 2), shown(0, 4)], ["❤\u{fe0f}", "c", "b"].map(Some), "{widths:?}");
        assert_eq!(shown(1, 0), Some("1\u{fe0f}\u{20e3}"), "{widths:?}");
        // What stood under the wider part is gone with it.
        parser.advance(&mut other, &session.print("\x1b[1;1Hx"));
        let begin: Vec<_> = other.rows[0][..3].iter().map(Option::as_deref).collect();
        assert_eq!(begin, ["x", " ", "c"].map(Some), "{widths:?}");
    }
}

const PIECES: &[&str] = &[
    "a",
    "bc",
    "def ",
    "   ",
    "e\u{301}",
    "ж",
    "─┼─",
    "ж─ж─",
    "✔",
    "中",
    "中\u{301}",
    "한",
    "❤\u{fe0f}",
    "1\u{fe0f}\u{20e3}",
    "👩\u{200d}🚀",
    "👨\u{200d}👩\u{200d}👧",
    "👍🏽",
    "🇪🇺",
    "🇪",
    "\u{200d}",
    "\u{fe0f}",
];

/// Pieces of text, each somewhere in the window, some over others.
fn prints() -> impl Strategy<Value = Vec<String>> {
    let place = (1..=SIZE.rows, 1..=SIZE.cols).prop_map(|(row, column)| format!("\x1b[{row};{column}H"));
    let piece = prop_oneof![
        2 => place,
        6 => proptest::sample::select(PIECES).prop_map(str::to_owned),
        1 => Just("\x1b[K".to_owned()),
        1 => Just("\x1b[44m \x1b[0m".to_owned()),
    ];
    vec(vec(piece, 1..8).prop_map(|pieces| pieces.concat()), 1..12)
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn in_terminals_with_other_widths_plain_text_stands_where_it_stands_at_the_host(
        prints in prints(),
        widths in prop_oneof![Just(Widths::Joined), Just(Widths::Broad), Just(Widths::Slim)],
    ) {
        let (mut session, out) = Session::new();
        let (mut other, mut parser) = (Other::new(widths), Parser::new());
        parser.advance(&mut other, &out);
        for print in prints {
            // In one screenful: what scrolls is for the tests of the scrollback.
            let out = session.print(&format!("\x1b[?7l{print}"));
            parser.advance(&mut other, &out);
            for (row, (line, shown)) in rows(&session.host).iter().zip(&other.rows).enumerate() {
                let (mut expected, mut is_open) = (vec![None; shown.len()], vec![false; shown.len()]);
                let mut column = 0;
                for (text, columns) in cells(line) {
                    // A row of such characters is one piece, the end of which may not fit into the row.
                    is_open[column] = widths == Widths::Broad && ["ж", "─", "┼", "✔"].contains(&text.as_str());
                    expected[column] = plain(&text).filter(|_| text.len() == 1);
                    column += columns;
                }
                // A cell of more than a letter may be lost where it takes more columns than at the host.
                let counts = |at: usize, text: &&str| !is_open[at] && (expected[at].is_some() || text.len() == 1);
                let shown = shown.iter().enumerate().map(|(at, cell)| {
                    cell.as_deref().filter(|text| counts(at, text)).and_then(plain)
                });
                let shown: Vec<_> = shown.collect();
                let painted = out.escape_ascii().to_string();
                prop_assert_eq!(&shown, &expected, "row {} after {:?}: {}", row, print, painted);
            }
        }
    }
}
