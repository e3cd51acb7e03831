//! Output of programs, and worse: scripts of text, escape sequences and nonsense.

use proptest::collection::vec;
use proptest::prelude::*;

/// A step of a session at the host.
#[derive(Clone)]
pub(crate) enum Step {
    /// The program writes.
    Write(Vec<u8>),
    /// The window changes its size.
    Resize(u16, u16),
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Write(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Step::Resize(cols, rows) => write!(f, "{cols}x{rows}"),
        }
    }
}

const TEXTS: &[&str] = &[
    "a",
    "hello ",
    "world",
    "  ",
    "x",
    "~",
    "été!",
    "é",
    "中",
    "中文字",
    "\u{301}",
    "e\u{301}\u{302}",
    "👩\u{200d}🚀",
    "👍🏽",
    "🇪🇺",
    "ﬁ",
    "\u{200b}",
    "한글",
    "\t",
    "│─┼",
    "a\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}\u{309}\u{30a}",
    "中\u{fe0f}\u{20e3}",
    "long words that wrap around the edge of the window ",
    "\u{202e}abc",
];

const SEQUENCES: &[&str] = &[
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "\x08",
    "\x1bD",
    "\x1bE",
    "\x1bM",
    "\x1b7",
    "\x1b8",
    "\x1bH",
    "\x1b[3g",
    "\x1b[I",
    "\x1b[Z",
    "\x1b[H",
    "\x1b[J",
    "\x1b[1J",
    "\x1b[2J",
    "\x1b[3J",
    "\x1b[K",
    "\x1b[1K",
    "\x1b[2K",
    "\x1bc",
    "\x1b#8",
    "\x1b[r",
    "\x1b[?1049h",
    "\x1b[?1049h",
    "\x1b[?1049l",
    "\x1b[?1049l",
    "\x1b[?2026h",
    "\x1b[?2026l",
    "\x1b[?2026l",
    "\x1b[?7l",
    "\x1b[?7h",
    "\x1b[?6h",
    "\x1b[?6l",
    "\x1b[4h",
    "\x1b[4l",
    "\x1b[?25l",
    "\x1b[?25h",
    "\x1b[?1h",
    "\x1b[?1l",
    "\x1b=",
    "\x1b>",
    "\x1b[?2004h",
    "\x1b[?2004l",
    "\x1b[?1000h",
    "\x1b[?1002h",
    "\x1b[?1003h",
    "\x1b[?1003l",
    "\x1b[?1006h",
    "\x1b[?1005h",
    "\x1b[?1004h",
    "\x1b[?1007l",
    "\x1b[?3h",
    "\x1b[3 q",
    "\x1b[6 q",
    "\x1b[0 q",
    "\x1b[?12h",
    "\x1b(0",
    "\x1b(B",
    "\x0e",
    "\x0f",
    "\x1b[c",
    "\x1b[6n",
    "\x1b]10;?\x07",
    "\x1b[?6n",
    "\x1b[=c",
    "\x1b[?u",
    "\x1b[>q",
    "\x1bP$qr\x1b\\",
    "\x1bP$qm\x1b\\",
    "\x1b]0;title\x07",
    "\x1b[22t",
    "\x1b[23t",
    "\x1b[>1u",
    "\x1b[<u",
    "\x1b[=5u",
    "\x1b]8;;https://example.org/a;b\x1b\\",
    "\x1b]8;id=1;http://x.test\x07",
    "\x1b]8;;file:///etc/passwd\x07",
    "\x1b]8;;\x07",
    "\x1b]52;c;aGVsbG8=\x07",
    "\x1b[?69h",
    "\x1b[?69h",
    "\x1b[?69l",
    "\x1b[s",
    "\x1b[u",
    "\x1b[?47h",
    "\x1b[?47l",
    "\x1b[?1047h",
    "\x1b[?1047l",
    "\x1b[?1048h",
    "\x1b[?1048l",
    "\x1b[?40h",
    "\x1b[?45h",
    "\x1b[!p",
    "\x1b6",
    "\x1b9",
    "\x1b*0",
    "\x1bN",
    "\x1bn",
    "\x1bo",
    "\x1b(A",
    "\x1b[2*x",
    "\x1b[?2026$p",
    "\x1b[",
    "\x1b[1;",
    "\x1b]0;",
    "\x1b",
    "\x1bP1$r",
    "\x18",
    "\x07",
];

const STYLES: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "4",
    "4:2",
    "4:3",
    "4:4",
    "4:5",
    "5",
    "7",
    "8",
    "9",
    "22",
    "24",
    "27",
    "31",
    "44",
    "93",
    "104",
    "38;5;7",
    "38;5;200",
    "48;5;17",
    "38;2;1;2;3",
    "48:2::9:8:7",
    "58;5;9",
    "58:2::4:5:6",
    "59",
    "39",
    "49",
    "0;1;31",
    "0",
    "0",
];

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let count = || prop_oneof![8 => 0..6u16, 2 => 0..40u16, 1 => 0..3000u16];
    prop_oneof![
        10 => proptest::sample::select(TEXTS).prop_map(|text| text.as_bytes().to_vec()),
        4 => "[a-z ]{1,30}".prop_map(String::into_bytes),
        8 => proptest::sample::select(SEQUENCES).prop_map(|text| text.as_bytes().to_vec()),
        5 => proptest::sample::select(STYLES).prop_map(|style| format!("\x1b[{style}m").into_bytes()),
        4 => (1..15u16, 1..28u16).prop_map(|(row, col)| format!("\x1b[{row};{col}H").into_bytes()),
        5 => (count(), proptest::sample::select(b"ABCDEFGLMPSTX@dGab`".as_slice()))
            .prop_map(|(count, last)| format!("\x1b[{count}{}", char::from(last)).into_bytes()),
        2 => (1..14u16, 1..14u16).prop_map(|(top, bottom)| format!("\x1b[{top};{bottom}r").into_bytes()),
        2 => (1..26u16, 1..28u16).prop_map(|(left, right)| format!("\x1b[{left};{right}s").into_bytes()),
        2 => (count(), proptest::sample::select(vec![" @", " A", "'}", "'~"]))
            .prop_map(|(count, last)| format!("\x1b[{count}{last}").into_bytes()),
        2 => (vec(0..14u16, 4), proptest::sample::select(vec!["$z", "${", ";1$r", ";7$t", ";1;3;2;1$v"]))
            .prop_map(|(at, last)| format!("\x1b[{};{};{};{}{last}", at[0], at[1], at[2], at[3]).into_bytes()),
        1 => vec(0..14u16, 4)
            .prop_map(|at| format!("\x1b[35;{};{};{};{}$x", at[0], at[1], at[2], at[3]).into_bytes()),
        2 => (1..60usize).prop_map(|count| b"line\r\n".repeat(count)),
        1 => (500..1500usize).prop_map(|count| b"\n".repeat(count)),
        // No soft hyphen: the bare model, which plays a person's terminal too, gives it no cell.
        1 => vec(any::<u8>().prop_map(|byte| if byte == 0xad { 0xac } else { byte }), 1..6),
    ]
}

/// A session of writes, and of resizes too if `resizes`.
pub(crate) fn session(resizes: bool) -> impl Strategy<Value = Vec<Step>> {
    let write = vec(piece(), 1..8).prop_map(|pieces| Step::Write(pieces.concat()));
    let step = if resizes {
        prop_oneof![6 => write, 1 => (2..26u16, 1..14u16).prop_map(|(cols, rows)| Step::Resize(cols, rows))].boxed()
    } else {
        write.boxed()
    };
    vec(step, 1..30)
}

/// Cuts bytes into reads, at places that repeat.
pub(crate) fn reads<'a>(bytes: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let size = (*sizes.next()?).clamp(1, rest.len().max(1));
        let (read, after) = rest.split_at_checked(size)?;
        rest = after;
        Some(read)
    })
}
