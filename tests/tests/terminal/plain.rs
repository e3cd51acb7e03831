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

/// A log of hundreds of lines, nearly all of which are plain.
pub(crate) fn log() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        300 => any::<u32>().prop_map(line_of),
        1 => proptest::sample::select(BETWEEN).prop_map(|text| text.as_bytes().to_vec()),
    ];
    vec(line, 1..700).prop_map(|lines| lines.concat())
}

/// Words in colours, sometimes none, sometimes more than fit into a row, sometimes on a ground that is not blank.
fn line_of(seed: u32) -> Vec<u8> {
    let mut line = Vec::new();
    for word in 0..seed % 6 {
        let mixed = seed.rotate_left(5 * word + 1).wrapping_mul(0x9e37_79b1);
        let number = [0, 1, 4, 7, 21, 22, 24, 31, 39, 92][(mixed >> 3) as usize % 10];
        match mixed % 6 {
            0 => line.extend(format!("\x1b[{number}m").bytes()),
            1 => line.extend(format!("\x1b[0;38;5;{}m", mixed >> 8 & 0xff).bytes()),
            2 => line.extend(b"    "),
            _ => {}
        }
        line.extend(std::iter::repeat_n(b'a' + (mixed >> 4) as u8 % 26, (mixed >> 12) as usize % 9));
    }
    match seed >> 16 {
        0..200 => line.extend(b"\x1b[44m \r\n\x1b[0m"),
        200..400 => line.extend(b"\x1b[44m \x1b[0m\r\n"),
        400.. => line.extend(b"\r\n"),
    }
    line
}
