//! Programs behind a host's PTY.

use std::time::Duration;

use super::network::Dice;

/// The program behind the PTY.
#[derive(Clone, Debug)]
pub enum Script {
    /// Like a shell: echoes, and knows `echo $((A*B))`, `lines N`, `noise SEED`, `title TEXT` and `exit N`. Form feed
    /// clears.
    Shell,
    /// Prints, and ends a while later.
    Ends {
        /// Its output.
        text: String,
        /// When it ends.
        after: Duration,
        /// Its exit code.
        code: i32,
    },
    /// Prints a page of lines again and again, with a title and a bell each time, and echoes input.
    Flood {
        /// The pause between two pages.
        every: Duration,
        /// How many pages.
        pages: u32,
    },
    /// Draws the whole screen anew again and again, about 3,000 bytes each time, and in its last row says how many keys
    /// it has read.
    Screens {
        /// The pause between two.
        every: Duration,
        /// The program reports a key at once, not only with the next screen.
        answers: bool,
    },
    /// Prints a prompt and never reads.
    Deaf,
    /// Prints a prompt, and reads without a word.
    Mute,
    /// Changes its title and rings the bell every 5 ms, and shows nothing.
    Titles {
        /// How often.
        count: u32,
    },
}

const TITLE_EVERY: Duration = Duration::from_millis(5);

/// Outputs of a program.
pub(crate) enum Act {
    Print(Vec<u8>),
    End(i32),
    WakeAfter(Duration),
}

pub(crate) struct Program {
    script: Script,
    line: Vec<u8>,
    pages: u32,
    read: usize,
}

impl Program {
    pub(crate) fn new(script: Script) -> Program {
        Program { script, line: Vec::new(), pages: 0, read: 0 }
    }

    fn keys(&self) -> String {
        format!("\x1b[24;1Hkeys {}", self.read)
    }

    pub(crate) fn start(&mut self) -> Vec<Act> {
        match &self.script {
            Script::Shell | Script::Deaf | Script::Mute => vec![print("$ ")],
            Script::Ends { text, after, .. } => vec![print(text), Act::WakeAfter(*after)],
            Script::Flood { every, .. } | Script::Screens { every, .. } => vec![Act::WakeAfter(*every)],
            Script::Titles { .. } => vec![Act::WakeAfter(TITLE_EVERY)],
        }
    }

    pub(crate) fn wake(&mut self) -> Vec<Act> {
        match &self.script {
            Script::Shell | Script::Deaf | Script::Mute => Vec::new(),
            Script::Titles { count } => {
                self.pages += 1;
                let title = print(&format!("\x1b]2;{} {}\x07\x07", self.pages, "t".repeat(240)));
                if self.pages < *count { vec![title, Act::WakeAfter(TITLE_EVERY)] } else { vec![title] }
            }
            Script::Ends { code, .. } => vec![Act::End(*code)],
            Script::Screens { every, .. } => {
                self.pages += 1;
                let mut text = "\x1b[H".to_owned();
                for row in 0..23 {
                    let colour = (self.pages + row) % 216 + 16;
                    text += &format!("\x1b[38;5;{colour}mpage {} row {row:2} ", self.pages);
                    text += &format!("\x1b[3{}m{}\x1b[0m\r\n", row % 8, "0123456789 ".repeat(8).split_at(80 - 18).0);
                }
                vec![print(&(text + &self.keys())), Act::WakeAfter(*every)]
            }
            Script::Flood { every, pages } => {
                if self.pages == *pages {
                    return vec![print("\r\nquiet\r\n")];
                }
                self.pages += 1;
                let page = self.pages;
                let line =
                    |i| format!("\x1b[3{}mpage {page} line {i} of forty, {}\x1b[0m\r\n", page % 8, "x".repeat(30));
                let text: String = (0..40).map(line).collect();
                vec![print(&format!("{text}\x1b]0;page {page}\x07\x07")), Act::WakeAfter(*every)]
            }
        }
    }

    /// The program's output after input; `None` if the program does not read it.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Option<Vec<Act>> {
        match self.script {
            Script::Deaf => None,
            Script::Screens { answers, .. } => {
                self.read += bytes.len();
                Some(if answers { vec![print(&self.keys())] } else { Vec::new() })
            }
            Script::Mute => Some(Vec::new()),
            Script::Ends { .. } | Script::Flood { .. } | Script::Titles { .. } => {
                Some(vec![Act::Print(bytes.to_vec())])
            }
            Script::Shell => Some(bytes.iter().flat_map(|byte| self.type_into_shell(*byte)).collect()),
        }
    }

    fn type_into_shell(&mut self, byte: u8) -> Vec<Act> {
        match byte {
            b'\r' => {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                let mut acts = vec![print("\r\n")];
                acts.extend(answer(&line));
                acts.push(print("$ "));
                acts
            }
            0x0c => {
                self.line.clear();
                vec![print("\x1b[H\x1b[2J$ ")]
            }
            _ => {
                self.line.push(byte);
                vec![Act::Print(vec![byte])]
            }
        }
    }
}

fn answer(line: &str) -> Vec<Act> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "echo" => {
            let product = rest.strip_prefix("$((").and_then(|rest| rest.strip_suffix("))")?.split_once('*'));
            let product = product.and_then(|(a, b)| Some(a.parse::<u64>().ok()? * b.parse::<u64>().ok()?));
            vec![print(&product.map_or_else(|| rest.to_owned(), |product| product.to_string())), print("\r\n")]
        }
        "lines" => {
            let count = rest.parse().unwrap_or(0);
            (0..count).map(|i| print(&format!("line {i} \x1b[1;4{}mof\x1b[0m {count}\r\n", i % 8))).collect()
        }
        "noise" => vec![Act::Print(noise(rest.parse().unwrap_or(0)))],
        "title" => vec![print(&format!("\x1b]2;{rest}\x1b\\"))],
        "exit" => vec![Act::End(rest.parse().unwrap_or(0))],
        _ => vec![print("?\r\n")],
    }
}

/// Colours, wide characters, cursor movement, erasure, scrolling regions and the alternate screen; in order again at
/// its end.
pub(crate) fn noise(seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut text = String::new();
    for _ in 0..dice.between(20, 120) {
        let (row, col) = (dice.between(1, 24), dice.between(1, 80));
        text += &match dice.between(0, 15) {
            0 => format!("\x1b[{row};{col}H"),
            1 => format!("\x1b[38;5;{}m", dice.between(0, 255)),
            2 => format!("\x1b[48;2;{row};{col};7m"),
            3 => "\x1b[0m".to_owned(),
            4 => format!("\x1b[{}J", dice.between(0, 2)),
            5 => format!("\x1b[{}K", dice.between(0, 2)),
            6 => format!("\x1b[{};{}r", row.min(12), 13 + row.min(11)),
            7 => "\x1b[?1049h".to_owned(),
            8 => "\x1b[?1049l".to_owned(),
            9 => "漢字かな交じり".to_owned(),
            10 => "e\u{301}a\u{308}".to_owned(),
            11 => format!("\x1b[{}L", dice.between(1, 3)),
            12 => format!("\x1b[{}P", dice.between(1, 9)),
            _ => format!("text {row} {col}\r\n"),
        };
    }
    (text + "\x1b[?1049l\x1b[r\x1b[0m\r\n").into_bytes()
}

fn print(text: &str) -> Act {
    Act::Print(text.as_bytes().to_vec())
}
