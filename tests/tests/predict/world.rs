//! A person who types, a host with a program, and a network between them, in milliseconds that are made up.

use std::collections::VecDeque;
use std::time::Duration;

use beach_core::predict::{Mode, Predictor};
use beach_core::terminal::{Emulator, Head, Line, Overlay, Screen, Size, Width};
use beach_core::time::Timestamp;

/// The output of the shared program for its input.
pub(crate) trait Program {
    fn read(&mut self, bytes: &[u8]) -> Vec<u8>;
}

impl<F: FnMut(&[u8]) -> Vec<u8>> Program for F {
    fn read(&mut self, bytes: &[u8]) -> Vec<u8> {
        self(bytes)
    }
}

/// A head, and number, version and content of the window's lines.
type Shown = (Head, Vec<(u64, u64, Line)>);

/// A message for the viewer: how much input the program's terminal took, and perhaps a screen.
struct Frame {
    at: u64,
    taken: u64,
    screen: Option<Shown>,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) screen: Screen,
    pub(crate) predictor: Predictor,
    pub(crate) emulator: Emulator,
    program: Box<dyn Program>,
    /// One way, and what the viewer is told of both.
    pub(crate) delay: u64,
    pub(crate) srtt: Option<Duration>,
    /// From taking a key to its echo.
    pub(crate) think: u64,
    /// Which of the next screens are lost; the last of all never is.
    pub(crate) losses: VecDeque<bool>,
    event: u64,
    taken: u64,
    seen_taken: u64,
    up: VecDeque<(u64, u64, Vec<u8>)>,
    working: VecDeque<(u64, Vec<u8>)>,
    down: VecDeque<Frame>,
    pub(crate) overlays: Vec<Overlay>,
}

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis * 1000)
}

impl World {
    pub(crate) fn new(size: Size, mode: Mode, round_trip: u64, program: impl Program + 'static) -> World {
        let mut world = World {
            now: 0,
            screen: Screen::default(),
            predictor: Predictor::new(mode),
            emulator: Emulator::new(size, 100),
            program: Box::new(program),
            delay: round_trip / 2,
            srtt: Some(Duration::from_millis(round_trip)),
            think: 0,
            losses: VecDeque::new(),
            event: 0,
            taken: 0,
            seen_taken: 0,
            up: VecDeque::new(),
            working: VecDeque::new(),
            down: VecDeque::new(),
            overlays: Vec::new(),
        };
        world.print(b"");
        world.settle();
        world
    }

    /// The program prints something by itself.
    pub(crate) fn print(&mut self, bytes: &[u8]) {
        self.emulator.feed(bytes);
        self.emulator.frame();
        let head = self.emulator.head().clone();
        let lines = (head.top..).take(usize::from(head.size.rows)).map(|number| {
            let (version, bytes) = self.emulator.line(head.space, number).expect("a line of the window");
            (number, version, Line::decode(bytes).expect("a canonical line"))
        });
        let screen = Some((head.clone(), lines.collect()));
        self.down.push_back(Frame { at: self.now + self.delay, taken: self.taken, screen });
    }

    pub(crate) fn types(&mut self, bytes: &[u8]) {
        self.event += 1;
        self.up.push_back((self.now + self.delay, self.event, bytes.to_vec()));
        self.predictor.typed(at(self.now), bytes, self.event, &self.screen);
        self.check();
    }

    /// Types one key after the other.
    pub(crate) fn types_slowly(&mut self, text: &str, pause: u64) {
        for c in text.chars() {
            self.types(c.to_string().as_bytes());
            self.run(self.now + pause);
        }
    }

    /// Lets everything happen that happens until then.
    pub(crate) fn run(&mut self, until: u64) {
        loop {
            let deadline = self.predictor.deadline().map(|deadline| deadline.as_micros().div_ceil(1000));
            let queues =
                [self.up.front().map(|e| e.0), self.working.front().map(|e| e.0), self.down.front().map(|e| e.at)];
            let Some(next) = queues.into_iter().flatten().chain(deadline).min().filter(|next| *next <= until) else {
                break;
            };
            self.now = self.now.max(next);
            if let Some((_, event, bytes)) = due(&mut self.up, |e| e.0, next) {
                self.taken = event;
                let answer = self.program.read(&bytes);
                self.down.push_back(Frame { at: next + self.delay, taken: event, screen: None });
                self.working.push_back((next + self.think, answer));
            } else if let Some((_, answer)) = due(&mut self.working, |e| e.0, next) {
                self.print(&answer);
            } else if let Some(frame) = due(&mut self.down, |e| e.at, next) {
                self.arrives(frame);
            } else {
                self.look();
            }
        }
        self.now = self.now.max(until);
    }

    pub(crate) fn settle(&mut self) {
        self.run(self.now + 10_000);
    }

    fn arrives(&mut self, frame: Frame) {
        self.seen_taken = self.seen_taken.max(frame.taken);
        let last = self.down.is_empty() && self.working.is_empty() && self.up.is_empty();
        let lost = self.losses.pop_front().unwrap_or(false) && !last;
        if let Some((head, lines)) = frame.screen.filter(|_| !lost) {
            let space = head.space;
            for (number, version, line) in lines {
                self.screen.merge_line(space, number, version, false, line);
            }
            self.screen.merge_head(head);
        }
        self.look();
    }

    fn look(&mut self) {
        self.predictor.on_screen(at(self.now), &self.screen, self.seen_taken, self.srtt);
        assert!(self.predictor.deadline().is_none_or(|deadline| at(self.now) < deadline), "a deadline that stays");
        self.check();
    }

    /// An invariant: all cells of the overlay are inside of the screen, and no two at one place.
    fn check(&mut self) {
        let overlay = self.predictor.overlay();
        if let Some(head) = self.screen.head() {
            let (rows, cols) = (head.size.rows, head.size.cols);
            let mut next = (0, 0);
            for cell in &overlay.cells {
                assert!(cell.row < rows && cell.col + u16::from(cell.columns) <= cols, "{cell:?} in {}", head.size);
                assert!((cell.row, cell.col) >= next, "{cell:?} over another");
                assert!(matches!(cell.columns, 1 | 2) && !cell.text.is_empty());
                next = (cell.row, cell.col + u16::from(cell.columns));
            }
            assert!(overlay.cursor.is_none_or(|(row, col)| row < rows && col < cols), "{:?}", overlay.cursor);
        }
        self.overlays.push(overlay);
    }

    /// A row as the person sees it.
    pub(crate) fn shown(&self, row: u16) -> String {
        let mut cells = vec![" ".to_owned(); 2 * usize::from(self.emulator.head().size.cols)];
        let mut col = 0;
        for run in self.screen.row(row).map(|line| &line.runs[..]).unwrap_or_default() {
            let clusters: Vec<String> = match run.width {
                Width::Cluster { .. } => vec![run.text.clone()],
                Width::Narrow | Width::Wide => run.text.chars().map(String::from).collect(),
            };
            let columns = run.columns() / clusters.len();
            for text in clusters {
                lay(&mut cells, col, text, columns);
                col += columns;
            }
        }
        for cell in self.predictor.overlay().cells.into_iter().filter(|cell| cell.row == row) {
            lay(&mut cells, usize::from(cell.col), cell.text, usize::from(cell.columns));
        }
        cells.concat().trim_end().to_owned()
    }

    /// Where the person sees the cursor.
    pub(crate) fn cursor(&self) -> (u16, u16) {
        let host = self.screen.head().expect("a screen").cursor;
        self.predictor.overlay().cursor.unwrap_or((host.row, host.col))
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.predictor.overlay() == Overlay::default()
    }

    pub(crate) fn host_text(&self) -> Vec<String> {
        let head = self.emulator.head();
        let line = |number| Line::decode(self.emulator.line(head.space, number).expect("a line").1).expect("canonical");
        (head.top..).take(usize::from(head.size.rows)).map(|number| line(number).text()).collect()
    }
}

fn due<T>(queue: &mut VecDeque<T>, at: impl Fn(&T) -> u64, now: u64) -> Option<T> {
    queue.front().is_some_and(|first| at(first) <= now).then(|| queue.pop_front()).flatten()
}

fn lay(cells: &mut [String], col: usize, text: String, columns: usize) {
    for cell in &mut cells[col..col + columns] {
        cell.clear();
    }
    cells[col] = text;
}
