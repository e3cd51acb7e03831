//! Input of a terminal, however it is split: keys pass byte for byte, pastes are recognised, answers are dropped.

use std::time::Duration;

use beach_core::keyboard::{Keyboard, Typed};
use beach_core::time::Timestamp;
use beach_core::wire::frame::MAX_INPUT_EVENT;
use beach_tests::cut;
use proptest::collection::vec;
use proptest::prelude::*;

const START: Timestamp = Timestamp::ZERO;

fn at(millis: u64) -> Timestamp {
    START + Duration::from_millis(millis)
}

/// The typed events with neighbours joined, because the splits between them mean nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whole {
    Keys(Vec<u8>),
    Paste(Vec<u8>),
    Unfinished(Vec<u8>),
    Report(u16, u16),
}

fn join(typed: impl IntoIterator<Item = Typed>) -> Vec<Whole> {
    let mut whole: Vec<Whole> = Vec::new();
    for typed in typed {
        match typed {
            Typed::Keys(bytes) => {
                assert!(!bytes.is_empty());
                match whole.last_mut() {
                    Some(Whole::Keys(keys)) => keys.extend(bytes),
                    _ => whole.push(Whole::Keys(bytes)),
                }
            }
            Typed::Paste { bytes, first, last } => {
                assert!(bytes.len() <= MAX_INPUT_EVENT);
                let mut all = match whole.pop() {
                    Some(Whole::Unfinished(paste)) if !first => paste,
                    other => {
                        assert!(first, "a paste goes on that did not begin");
                        whole.extend(other);
                        Vec::new()
                    }
                };
                all.extend(bytes);
                whole.push(if last { Whole::Paste(all) } else { Whole::Unfinished(all) });
            }
            Typed::CursorReport { row, col } => whole.push(Whole::Report(row, col)),
        }
    }
    whole
}

fn read(keyboard: &mut Keyboard, parts: &[&[u8]]) -> Vec<Whole> {
    let mut typed: Vec<Typed> = parts.iter().flat_map(|part| keyboard.read(START, part)).collect();
    while let Some(deadline) = keyboard.deadline() {
        typed.extend(keyboard.on_time(deadline));
    }
    join(typed)
}

/// The events of `bytes`, which must be the same for every split in two, and byte by byte.
fn meaning(bytes: &[u8]) -> Vec<Whole> {
    let whole = read(&mut Keyboard::new(), &[bytes]);
    for cut in 0..bytes.len() {
        assert_eq!(read(&mut Keyboard::new(), &[&bytes[..cut], &bytes[cut..]]), whole, "{bytes:?} cut at {cut}");
    }
    assert_eq!(read(&mut Keyboard::new(), &bytes.chunks(1).collect::<Vec<_>>()), whole, "{bytes:?} byte by byte");
    whole
}

fn keys(bytes: &[u8]) -> Vec<Whole> {
    if bytes.is_empty() { Vec::new() } else { vec![Whole::Keys(bytes.to_vec())] }
}

const KEYS: &[&[u8]] = &[
    b"a",
    "é日👩‍🚀".as_bytes(),
    b"\r",
    b"\x03",
    b"\x7f",
    b"\x00",
    b"\x1b",
    b"\x1b\x1b",
    b"\x1b\x1b[A",
    b"\x1bx",
    b"\x1b\x7f",
    b"\x1b[A",
    b"\x1bOA",
    b"\x1bOP",
    b"\x1bO2P",
    b"\x1bOM",
    b"\x1b[[A",
    b"\x1b[1;5C",
    b"\x1b[3~",
    b"\x1b[3;2~",
    b"\x1b[24;5~",
    b"\x1b[Z",
    b"\x1b[R",
    b"\x1b[1;2R",
    b"\x1b[1;2:3R",
    b"\x1b[c",
    b"\x1b[7^",
    b"\x1b[7@",
    b"\x1b[7$",
    b"\x1b[I",
    b"\x1b[O",
    b"\x1b[M !!",
    b"\x1b[M#\x7f\x80",
    b"\x1b[M\xc2\x80\xc4\xa1\xc4\xa2",
    b"\x1b[<0;10;20M",
    b"\x1b[<35;150;200m",
    b"\x1b[32;10;20M",
    b"\x1b[97;5u",
    b"\x1b[97:65;2:3;97u",
    b"\x1b[27;5;9~",
    b"\x1b[57441;2:3u",
    b"\x1b]",
    b"\x1bP",
    b"\x1b_",
    b"\x1b^",
    b"\x1bX",
    b"\x1b\\",
    b"\x1b]abc",
    b"\x1bPabc",
    b"\x1b_abc",
    b"\x1bX\x03",
    b"\x1b_\x1b\\",
    b"\x1b[",
    b"\x1b[1;",
    b"\xff\xfe\x9b1A",
];

const ANSWERS: &[&[u8]] = &[
    b"\x1b[?6c",
    b"\x1b[?62;4;22c",
    b"\x1b[>1;4000;29c",
    b"\x1b[=0c",
    b"\x1bP!|7E565445\x1b\\",
    b"\x1b[0n",
    b"\x1b[3n",
    b"\x1b[?13n",
    b"\x1b[?997;1n",
    b"\x1b[?2026;2$y",
    b"\x1b[4;2$y",
    b"\x1b[?1u",
    b"\x1b[?0u",
    b"\x1b[24;80R",
    b"\x1b[?24;80R",
    b"\x1b[?24;80;1R",
    b"\x1b[8;24;80t",
    b"\x1b[4;600;800t",
    b"\x1b[48;24;80;600;800t",
    b"\x1b[2;1;1;128;128;1;0x",
    b"\x1b[?2;0;800;600S",
    b"\x1bP>|XTerm(380)\x1b\\",
    b"\x1bP1$r0;1m\x1b\\",
    b"\x1bP0$r\x1b\\",
    b"\x1bP1+r544e=787465726d\x1b\\",
    b"\x1b]10;rgb:ffff/ffff/ffff\x1b\\",
    b"\x1b]11;rgb:0000/0000/0000\x07",
    b"\x1b]4;1;rgb:cdcd/0000/0000\x07",
    b"\x1b]52;c;c2VjcmV0\x1b\\",
    b"\x1b]lsome title\x1b\\",
    b"\x1b]Licon\x1b\\",
    b"\x1b_Gi=31;OK\x1b\\",
    b"\x1b^private\x1b\\",
    b"\x1bXstring\x1b\\",
    b"\x1b[201~",
];

#[test]
fn every_key_passes_byte_for_byte_whatever_way_it_is_cut() {
    for key in KEYS {
        assert_eq!(meaning(key), keys(key), "{:?}", String::from_utf8_lossy(key));
    }
}

#[test]
fn no_answer_of_a_terminal_is_typed() {
    for answer in ANSWERS {
        assert_eq!(meaning(answer), [], "{:?}", String::from_utf8_lossy(answer));
        let around = [b"l", *answer, b"s\r"].concat();
        assert_eq!(meaning(&around), keys(b"ls\r"), "{:?}", String::from_utf8_lossy(answer));
    }
}

#[test]
fn a_cursor_report_is_told_if_it_was_asked_for_and_a_key_otherwise() {
    let mut keyboard = Keyboard::new();
    keyboard.expect_cursor_report(at(0));
    keyboard.expect_cursor_report(at(0));
    let typed = join(keyboard.read(at(10), b"a\x1b[12;40Rb\x1b[1;2R\x1b[1;2R\x1b[12;40R"));
    let expected = [
        Whole::Keys(b"a".to_vec()),
        Whole::Report(11, 39),
        Whole::Keys(b"b".to_vec()),
        Whole::Report(0, 1),
        Whole::Keys(b"\x1b[1;2R".to_vec()),
    ];
    assert_eq!(typed, expected);

    keyboard.expect_cursor_report(at(20));
    assert_eq!(join(keyboard.read(at(3000), b"\x1b[1;2R")), keys(b"\x1b[1;2R"), "nobody waits any more");
}

#[test]
fn a_lone_escape_is_a_key_after_25_ms_and_the_start_of_a_sequence_before() {
    let mut keyboard = Keyboard::new();
    assert_eq!(keyboard.read(at(0), b"\x1b"), []);
    assert_eq!(keyboard.deadline(), Some(at(25)));
    assert_eq!(keyboard.on_time(at(24)), []);
    assert_eq!(join(keyboard.on_time(at(25))), keys(b"\x1b"));
    assert_eq!(keyboard.deadline(), None);
    assert_eq!(join(keyboard.read(at(30), b"[A")), keys(b"[A"));

    assert_eq!(keyboard.read(at(40), b"\x1b"), []);
    assert_eq!(join(keyboard.read(at(60), b"[A")), keys(b"\x1b[A"));
    // Without a tick in between.
    assert_eq!(keyboard.read(at(100), b"\x1b"), []);
    assert_eq!(join(keyboard.read(at(125), b"[?6c")), keys(b"\x1b[?6c"));
}

#[test]
fn a_key_whose_end_is_late_is_released_and_half_an_answer_is_not() {
    let mut keyboard = Keyboard::new();
    assert_eq!(keyboard.read(at(0), b"\x1b[1;5"), []);
    assert_eq!(join(keyboard.on_time(at(250))), keys(b"\x1b[1;5"));
    for half in [&b"\x1b[?62;4"[..], b"\x1b]11;rgb:00", b"\x1bP>|XTerm(3"] {
        assert_eq!(keyboard.read(at(1000), half), []);
        let deadline = keyboard.deadline().expect("it does not wait for ever");
        assert_eq!(keyboard.on_time(deadline), []);
        assert_eq!(join(keyboard.read(deadline, b"ls")), keys(b"ls"));
        // A person's own control ends it too.
        assert_eq!(keyboard.read(at(5000), half), []);
        assert_eq!(join(keyboard.read(at(5001), b"\x03")), keys(b"\x03"));
    }
}

#[test]
fn an_answer_without_an_end_is_swallowed_in_bounded_memory() {
    let mut keyboard = Keyboard::new();
    let mut now = 0;
    let mut bytes = b"\x1b]52;c;".to_vec();
    for _ in 0..2000 {
        assert_eq!(keyboard.read(at(now), &bytes), []);
        now += 900;
        bytes = vec![b'A'; 1000];
    }
    let held = format!("{keyboard:?}").len();
    assert!(held < 40_000, "{held} bytes to print what is held");
    assert_eq!(join(keyboard.read(at(now), b"\x1b\\ls")), keys(b"ls"));
}

#[test]
fn a_paste_is_one_paste_of_small_pieces_and_the_keys_around_it_are_keys() {
    let text = [b"x\x1b[20\x1b[201 \x1b\x1b[A".repeat(100), b"\x1b[200~\x1b]0;t\x07".to_vec()].concat();
    let bytes = [b"a\x1b[200~", &text[..], b"\x1b[201~b\x1b[200~\x1b[201~"].concat();
    let expected =
        [Whole::Keys(b"a".to_vec()), Whole::Paste(text), Whole::Keys(b"b".to_vec()), Whole::Paste(Vec::new())];
    assert_eq!(meaning(&bytes), expected);
}

#[test]
fn a_paste_streams_and_one_that_never_ends_is_over_after_two_seconds_of_silence() {
    let mut keyboard = Keyboard::new();
    assert_eq!(keyboard.read(at(0), b"\x1b[200~"), []);
    let piece = |bytes: &[u8], first| Typed::Paste { bytes: bytes.to_vec(), first, last: false };
    assert_eq!(keyboard.read(at(1), b"one"), [piece(b"one", true)]);
    assert_eq!(keyboard.read(at(2), b"two\x1b[201"), [piece(b"two", false)]);
    assert_eq!((keyboard.deadline(), keyboard.on_time(at(2001))), (Some(at(2002)), Vec::new()));
    assert_eq!(keyboard.read(at(2001), b"\x1b"), [piece(b"\x1b[201", false)]);
    let end = |bytes: &[u8]| Typed::Paste { bytes: bytes.to_vec(), first: false, last: true };
    assert_eq!(keyboard.read(at(2002), b"[201~"), [end(b"")]);

    assert_eq!(keyboard.read(at(3000), b"\x1b[200~A\x1b[20"), [piece(b"A", true)]);
    assert_eq!(keyboard.on_time(at(5000)), [end(b"\x1b[20")]);
    assert_eq!(keyboard.deadline(), None);
    assert_eq!(keyboard.read(at(5001), b"1~"), [Typed::Keys(b"1~".to_vec())]);
}

/// Something whole that a terminal sends.
#[derive(Clone, Debug)]
enum Token {
    Text(String),
    Key(&'static [u8]),
    Answer(&'static [u8]),
    Paste(Vec<u8>),
}

fn token() -> impl Strategy<Value = Token> {
    // Keys that are only begun join the bytes that follow.
    let begun: &[&[u8]] = &[b"\x1b", b"\x1b\x1b", b"\x1b[", b"\x1b[1;", b"\x1b[7$"];
    let ambiguous = |key: &[u8]| begun.contains(&key) || matches!(key, [0x1b, b']' | b'P' | b'_' | b'^' | b'X', ..]);
    let whole: Vec<&'static [u8]> = KEYS.iter().copied().filter(|key| !ambiguous(key)).collect();
    let pasted = prop_oneof![vec(any::<u8>(), 0..40), Just(b"\x1b[201\x1b[20".to_vec())]
        .prop_filter("an end", |bytes| !bytes.windows(6).any(|window| window == b"\x1b[201~"));
    prop_oneof![
        "[a-z é日\r\t]{1,8}".prop_map(Token::Text),
        proptest::sample::select(whole).prop_map(Token::Key),
        proptest::sample::select(ANSWERS).prop_map(Token::Answer),
        pasted.prop_map(Token::Paste),
    ]
}

fn is_subsequence(part: &[u8], whole: &[u8]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|byte| whole.any(|other| other == byte))
}

/// Bytes of which some begin sequences.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => Just(0x1b_u8),
        6 => proptest::sample::select(b"[]P_X^\\?>;~0123456789RMcnuty$~\x07".to_vec()),
        3 => any::<u8>(),
    ];
    vec(byte, 0..200)
}

/// `TERMINAL_CASES` asks for more than the few seconds' worth that every run does.
fn cases(count: u32) -> ProptestConfig {
    let cases = std::env::var("TERMINAL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(count);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn keys_and_pastes_arrive_and_answers_do_not_in_any_mixture(
        tokens in vec(token(), 0..40), sizes in vec(1..50usize, 1..20),
    ) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for token in &tokens {
            match token {
                Token::Text(text) => {
                    bytes.extend_from_slice(text.as_bytes());
                    expected.push(Typed::Keys(text.clone().into_bytes()));
                }
                Token::Key(key) => {
                    bytes.extend_from_slice(key);
                    expected.push(Typed::Keys(key.to_vec()));
                }
                Token::Answer(answer) => bytes.extend_from_slice(answer),
                Token::Paste(paste) => {
                    bytes.extend([b"\x1b[200~", &paste[..], b"\x1b[201~"].concat());
                    expected.push(Typed::Paste { bytes: paste.clone(), first: true, last: true });
                }
            }
        }
        prop_assert_eq!(read(&mut Keyboard::new(), &cut(&bytes, &sizes)), join(expected));
    }

    #[test]
    fn noise_means_the_same_however_it_is_cut(bytes in noise(), sizes in vec(1..50usize, 1..20)) {
        let whole = read(&mut Keyboard::new(), &[&bytes]);
        prop_assert_eq!(read(&mut Keyboard::new(), &cut(&bytes, &sizes)), whole);
    }

    #[test]
    fn noise_at_any_times_comes_out_in_order_with_nothing_added(
        parts in vec((noise(), 0..400u64), 0..10),
    ) {
        let mut keyboard = Keyboard::new();
        let (mut now, mut all, mut out) = (0, Vec::new(), Vec::new());
        for (bytes, pause) in &parts {
            all.extend_from_slice(bytes);
            out.extend(keyboard.read(at(now), bytes));
            now += pause;
            out.extend(keyboard.on_time(at(now)));
            prop_assert!(keyboard.deadline().is_none_or(|deadline| at(now) < deadline));
        }
        let bytes: Vec<u8> = join(out).into_iter().flat_map(|whole| match whole {
            Whole::Keys(bytes) | Whole::Paste(bytes) | Whole::Unfinished(bytes) => bytes,
            Whole::Report(..) => panic!("nobody asked"),
        }).collect();
        prop_assert!(is_subsequence(&bytes, &all));
    }

    #[test]
    fn whatever_begins_no_sequence_is_not_touched(bytes in vec(any::<u8>().prop_filter("escape", |b| *b != 0x1b), 1..300)) {
        let mut keyboard = Keyboard::new();
        prop_assert_eq!(keyboard.read(START, &bytes), [Typed::Keys(bytes.clone())]);
        prop_assert_eq!(keyboard.deadline(), None);
    }

    #[test]
    fn escapes_that_begin_no_sequence_lose_nothing(parts in vec((noise(), 0..60u64), 1..10)) {
        let mut keyboard = Keyboard::new();
        let (mut now, mut all, mut out) = (0, Vec::new(), Vec::new());
        for (mut bytes, pause) in parts {
            bytes.retain(|byte| !b"[]P_^X".contains(byte));
            out.extend(keyboard.read(at(now), &bytes));
            all.extend(bytes);
            now += pause;
        }
        out.extend(keyboard.on_time(at(now + 25)));
        prop_assert_eq!(join(out), keys(&all));
    }
}
