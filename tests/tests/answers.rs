//! Queries of a program to its terminal are answered once, in order; text to be copied is kept, cleaned.

use beach_core::terminal::{Emulator, MAX_CLIPBOARD, MAX_OSC, Size};
use proptest::collection::vec;
use proptest::prelude::*;

fn emulator() -> Emulator {
    Emulator::new(Size::new(20, 4), 100)
}

fn answers(emulator: &mut Emulator, bytes: &[u8]) -> String {
    emulator.feed(bytes);
    String::from_utf8(emulator.take_replies()).expect("answers are text")
}

fn version() -> String {
    format!("\x1bP>|beach({})\x1b\\", env!("CARGO_PKG_VERSION"))
}

/// Queries of all kinds, with their answers.
fn conversation() -> (String, String) {
    let version = version();
    let pairs: [(&str, &str); 31] = [
        ("\x1b[c", "\x1b[?64;21;22;28c"),
        ("\x1b[=c", "\x1bP!|00000000\x1b\\"),
        ("\x1b[>q", &version),
        ("\x1b[2;3H\x1b[6n", "\x1b[2;3R"),
        ("\x1b[?6n", "\x1b[?2;3R"),
        ("\x1b[5n", "\x1b[0n"),
        ("\x1bP$qm\x1b\\", "\x1bP1$r0m\x1b\\"),
        ("\x1b[1;4:3;31;48:2::1:2:3;58;5;9m\x1bP$qm\x1b\\", "\x1bP1$r0;1;4:3;31;48:2::1:2:3;58:5:9m\x1b\\"),
        ("\x1b[0;94;100m\x1bP$qm\x1b\\", "\x1bP1$r0;94;100m\x1b\\"),
        ("\x1bP$qr\x1b\\", "\x1bP1$r1;4r\x1b\\"),
        ("\x1b[2;3r\x1bP$qr\x1b\\", "\x1bP1$r2;3r\x1b\\"),
        ("\x1b[5 q\x1bP$q q\x1b\\", "\x1bP1$r5 q\x1b\\"),
        ("\x1b[4 q\x1bP$q q\x1b\\", "\x1bP1$r4 q\x1b\\"),
        ("\x1bP$q\"q\x1b\\", "\x1bP1$r0\"q\x1b\\"),
        ("\x1bP$qs\x1b\\", "\x1bP1$r1;20s\x1b\\"),
        ("\x1bP$q*x\x1b\\\x1b[2*x\x1bP$q*x\x1b\\", "\x1bP1$r1*x\x1b\\\x1bP1$r2*x\x1b\\"),
        ("\x1b[?69$p\x1b[?69h\x1b[?69$p", "\x1b[?69;2$y\x1b[?69;1$y"),
        ("\x1b[3;9s\x1bP$qs\x1b\\", "\x1bP1$r3;9s\x1b\\"),
        ("\x1b[?69l\x1b[?69$p\x1bP$qs\x1b\\", "\x1b[?69;2$y\x1bP1$r1;20s\x1b\\"),
        ("\x1b[?45$p\x1b[?45h\x1b[?45$p\x1b[?40$p", "\x1b[?45;2$y\x1b[?45;1$y\x1b[?40;2$y"),
        ("\x1b[?47$p\x1b[?1047$p\x1b[?1049$p\x1b[?1048$p", "\x1b[?47;2$y\x1b[?1047;2$y\x1b[?1049;2$y\x1b[?1048;2$y"),
        ("\x1b[?1047h\x1b[?47$p\x1b7\x1b[?1048$p\x1b[?1047l", "\x1b[?47;1$y\x1b[?1048;1$y"),
        ("\x1b[?2026$p\x1b[?2026h\x1b[?2026$p\x1b[?2026l", "\x1b[?2026;2$y\x1b[?2026;1$y"),
        ("\x1bP$qx\x1b\\", "\x1bP0$r\x1b\\"),
        ("\x1bP+q544e\x1b\\", "\x1bP0+r\x1b\\"),
        ("\x1b[=5u\x1b[?u", "\x1b[?5u"),
        ("\x1b[4$p\x1b[?7$p", "\x1b[4;2$y\x1b[?7;1$y"),
        ("\x1b]4;1;?\x07", "\x1b]4;1;rgb:cdcd/0000/0000\x07"),
        ("\x1b]10;?\x07\x1b]12;?\x1b\\", "\x1b]10;rgb:e5e5/e5e5/e5e5\x07\x1b]12;rgb:e5e5/e5e5/e5e5\x1b\\"),
        ("\x1b[14t\x1b[16t\x1b]52;c;?\x07", ""),
        ("\x1b[18t", "\x1b[8;4;20t"),
    ];
    (pairs.iter().map(|pair| pair.0).collect(), pairs.iter().map(|pair| pair.1).collect())
}

#[test]
fn queries_in_one_read_are_answered_once_each_and_in_order() {
    let (asked, expected) = conversation();
    assert_eq!(answers(&mut emulator(), asked.as_bytes()), expected);
}

#[test]
fn a_query_in_an_open_update_is_answered_behind_those_before_it() {
    let mut emulator = emulator();
    let expected = format!("\x1b[?64;21;22;28c{}\x1b[0n", version());
    assert_eq!(answers(&mut emulator, b"\x1b[?2026h\x1b[c\x1b[>q\x1b[5n\x1b[?2026l"), expected);
}

#[test]
fn whether_an_update_is_open_is_answered_in_it_and_does_not_end_it() {
    let mut emulator = emulator();
    assert_eq!(answers(&mut emulator, b"\x1b[?2026h\x1b[c\x1b[?2026$p"), "\x1b[?64;21;22;28c\x1b[?2026;1$y");
    assert!(emulator.synchronized());
    emulator.end_synchronized();
    assert_eq!(answers(&mut emulator, b"\x1b[?2026$p"), "\x1b[?2026;2$y");
}

#[test]
fn margins_are_forgotten_when_the_terminal_forgets_them() {
    let mut emulator = emulator();
    let asks = "\x1bP$qr\x1b\\";
    for forgets in ["\x1b[r", "\x1bc", "\x1b[?40h\x1b[?3h", "\x1b[!p"] {
        assert_eq!(answers(&mut emulator, format!("\x1b[2;3r{asks}").as_bytes()), "\x1bP1$r2;3r\x1b\\");
        assert_eq!(answers(&mut emulator, format!("{forgets}{asks}").as_bytes()), "\x1bP1$r1;4r\x1b\\", "{forgets:?}");
    }
    emulator.feed(b"\x1b[2;3r");
    emulator.resize(Size::new(20, 4));
    assert_eq!(answers(&mut emulator, asks.as_bytes()), "\x1bP1$r2;3r\x1b\\");
    emulator.resize(Size::new(20, 6));
    assert_eq!(answers(&mut emulator, asks.as_bytes()), "\x1bP1$r1;6r\x1b\\");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_queries_are_read_the_answers_are_the_same(sizes in vec(1..12usize, 1..20)) {
        let (asked, expected) = conversation();
        let (mut emulator, mut answered, mut rest) = (emulator(), String::new(), asked.as_bytes());
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (read, after) = rest.split_at(*size.min(&rest.len()));
            answered += &answers(&mut emulator, read);
            rest = after;
        }
        prop_assert_eq!(answered, expected);
    }
}

/// Bytes as RFC 4648 writes them.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

fn copied(text: &[u8]) -> Option<String> {
    let mut emulator = emulator();
    emulator.feed(format!("\x1b]52;c;{}\x1b\\", base64(text)).as_bytes());
    emulator.take_clipboard()
}

#[test]
fn what_a_program_copies_is_kept_once_cleaned_and_the_newest_wins() {
    let mut emulator = emulator();
    emulator.feed(b"\x1b]52;c;aGVsbG8=\x07\x1b]52;p;aGVsbA\x07\x1b]52;c;?\x07\x1b]52;x;b3RoZXI=\x07");
    assert_eq!(emulator.take_clipboard().as_deref(), Some("hell"));
    assert_eq!(emulator.take_clipboard(), None);
    assert_eq!(emulator.take_replies(), b"");
    assert_eq!(copied("a\x1b[201~\tb\r\n中\u{9b}\u{7}".as_bytes()).as_deref(), Some("a[201~\tb\n中"));
    for nothing in [b"".as_slice(), b"\x1b\x07", b"\xff\xfe"] {
        assert_eq!(copied(nothing), None, "{nothing:?}");
    }
    emulator.feed(b"\x1b]52;c;not base64\x07");
    assert_eq!(emulator.take_clipboard(), None);
}

#[test]
fn a_copy_of_the_longest_length_is_taken_and_a_longer_one_is_not() {
    let longest = "x".repeat(MAX_CLIPBOARD);
    assert_eq!(copied(longest.as_bytes()), Some(longest.clone()));
    assert_eq!(copied(format!("{longest}x").as_bytes()), None);
    assert_eq!(copied("x".repeat(2 * MAX_OSC).as_bytes()), None);
}
