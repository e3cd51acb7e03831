//! Output that is mostly text, colours and ends of lines.

use proptest::collection::vec;
use proptest::prelude::*;

/// What changes where or how text is printed, and what looks like plain text or colours and is more.
const BETWEEN: &[&str] = &[
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "\x08",
    "\t",
    "\x07",
    "é",
    "中",
    "e\u{301}",
    "\x1b[3b",
    "\x1b[4h",
    "\x1b[4l",
    "\x1b[20h",
    "\x1b[20l",
    "\x1b[?7l",
    "\x1b[?7h",
    "\x1b(0",
    "\x1b(B",
    "\x1b(A",
    "\x1bN",
    "\x0e",
    "\x0f",
    "\x1b[2;5H",
    "\x1b[K",
    "\x1b[44m\r\n",
    "\x1b[2;4r",
    "\x1b[r",
    "\x1b[?69h\x1b[2;6s",
    "\x1b[?69l",
    "\x1b[53m",
    "\x1b[0;55m",
    "\x1b[58;5;3;4m",
    "\x1b[59m",
    "\x1b[4:3m",
    "\x1b[1\"q",
    "\x1b[0\"q",
    "\x1b]8;;http://a.example\x07",
    "\x1b]8;;\x07",
    "\x1b[?1049h",
    "\x1b[?1049l",
    "\x1b[31",
    "\x1b[",
    "\x1b",
];

/// Mostly text, colours and ends of lines. No queries, and no updates.
pub(crate) fn plain() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![0..110u16, 0..300u16, Just(38), Just(48), Just(5), Just(2)];
    let colours = vec(number, 0..10).prop_map(|numbers| {
        let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
        format!("\x1b[{}m", numbers.join(";")).into_bytes()
    });
    let piece = prop_oneof![
        4 => (1..40usize, 0..26u8).prop_map(|(length, from)| {
            (from..).take(length).map(|letter| if letter % 5 == 0 { b' ' } else { b'a' + letter % 26 }).collect::<Vec<u8>>()
        }),
        4 => colours,
        4 => proptest::sample::select(BETWEEN).prop_map(|text| text.as_bytes().to_vec()),
    ];
    vec(piece, 1..60).prop_map(|pieces: Vec<Vec<u8>>| pieces.concat())
}
