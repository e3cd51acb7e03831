//! Local echo: right when it is shown, gone when it was wrong, and never there where nothing is echoed.

#[path = "predict/programs.rs"]
mod programs;
#[path = "predict/world.rs"]
mod world;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use beach_core::predict::{MAX_CELLS, Mode, Predictor};
use beach_core::terminal::{Overlay, Screen, Size};
use proptest::collection::vec;
use proptest::prelude::*;

use programs::{Editor, cat, columns, keys, silent};
use world::{World, at};

const ROUND_TRIP: u64 = 100;

fn size() -> Size {
    Size::new(40, 4)
}

/// A shell's prompt, a tenth of a second away, that has echoed something already.
fn shell() -> World {
    let mut world = World::new(size(), Mode::Auto, ROUND_TRIP, Editor::default());
    world.print(b"$ ");
    world.settle();
    world.types(b"q");
    world.run(world.now + ROUND_TRIP);
    assert_eq!(world.shown(0), "$ q");
    world
}

#[test]
fn the_first_key_waits_for_the_host_and_the_next_ones_do_not() {
    let mut world = World::new(size(), Mode::Auto, ROUND_TRIP, Editor::default());
    world.print(b"$ ");
    world.settle();
    world.types(b"l");
    assert_eq!((world.shown(0), world.is_plain()), ("$".to_owned(), true));
    world.run(world.now + 20);
    world.types(b"s");
    assert!(world.is_plain());
    world.run(world.now + ROUND_TRIP - 21);
    assert!(world.is_plain(), "a millisecond before the first echo");
    world.run(world.now + 1);
    assert_eq!((world.shown(0), world.cursor()), ("$ ls".to_owned(), (0, 4)), "with it all of the epoch appears");
    for (typed, shown) in [(" ", "$ ls"), ("-", "$ ls -"), ("é", "$ ls -é"), ("日", "$ ls -é日"), ("x", "$ ls -é日x")]
    {
        world.types(typed.as_bytes());
        assert_eq!(world.shown(0), shown);
        world.run(world.now + 7);
    }
    assert_eq!(world.cursor(), (0, 10));
    assert!(world.predictor.overlay().cells.iter().all(|cell| cell.underlined));
    world.settle();
    assert_eq!((world.shown(0), world.is_plain()), ("$ ls -é日x".to_owned(), true));
}

#[test]
fn a_password_is_never_shown_not_even_one_that_looks_like_the_question() {
    for password in ["Password", "Pa55: ", "secret", "sudo"] {
        for pause in [0, 3, 30, 60, 120, 400] {
            let mut world = shell();
            world.types(b"\x7f");
            world.types_slowly("sudo", 30);
            assert_eq!(world.shown(0), "$ sudo");
            world.types(b"\r");
            let before = world.overlays.len();
            world.types_slowly(password, pause);
            world.run(world.now + 500);
            for overlay in &world.overlays[before..] {
                assert!(overlay.cells.iter().all(|cell| cell.row == 0), "{password} every {pause} ms: {overlay:?}");
            }
            world.types(b"\r");
            world.settle();
            assert!(world.is_plain() && world.host_text().contains(&"welcome".to_owned()));
        }
    }
}

#[test]
fn nothing_is_shown_where_somebody_elses_program_asks_in_the_middle_of_a_line() {
    let echoes = Rc::new(Cell::new(true));
    let asked = Rc::clone(&echoes);
    let mut world = World::new(
        size(),
        Mode::Always,
        ROUND_TRIP,
        move |bytes: &[u8]| if asked.get() { cat(bytes) } else { Vec::new() },
    );
    world.types_slowly("ab", 200);
    world.types(b"c");
    assert_eq!(world.shown(0), "abc");
    world.settle();
    world.print(b" Password: ");
    echoes.set(false);
    world.settle();
    let before = world.overlays.len();
    world.types_slowly("secret", 20);
    world.settle();
    assert!(world.overlays[before..].iter().all(|overlay| *overlay == Overlay::default()));
}

#[test]
fn typing_in_the_middle_of_a_line_moves_the_rest_and_leaves_what_stands_apart() {
    let mut world = World::new(size(), Mode::Auto, ROUND_TRIP, Editor::default());
    world.print(b"\x1b[31Gmain*\r$ ");
    world.settle();
    world.types_slowly("hello", 200);
    for _ in 0..3 {
        world.types(b"\x1b[D");
    }
    assert_eq!(world.cursor(), (0, 4));
    for (typed, shown) in [("X", "$ heXllo"), ("日", "$ heX日llo"), ("Y", "$ heX日Yllo")] {
        world.types(typed.as_bytes());
        assert_eq!(world.shown(0).split_once("  ").expect("two parts").0, shown);
        assert!(world.shown(0).ends_with("main*"));
        world.run(world.now + 10);
    }
    assert_eq!(world.cursor(), (0, 8));
    world.types(b"\x1b[D\x7f");
    assert!(world.shown(0).starts_with("$ heXYllo  "), "{}", world.shown(0));
    let before = world.overlays.len();
    world.settle();
    assert!(world.shown(0).starts_with("$ heXYllo  ") && world.shown(0).ends_with("main*") && world.is_plain());
    assert!(world.overlays[before..].iter().all(|overlay| overlay.cells.iter().all(|cell| cell.col < 20)));
}

#[test]
fn backspace_takes_off_what_was_typed_and_what_was_there() {
    let mut world = shell();
    world.types_slowly("ab日", 10);
    world.types(b"\x7f");
    assert_eq!((world.shown(0), world.cursor()), ("$ qab".to_owned(), (0, 5)));
    world.types(b"\x7f\x7f\x7f");
    assert_eq!((world.shown(0), world.cursor()), ("$".to_owned(), (0, 2)));
    world.types(b"z");
    assert_eq!((world.shown(0), world.cursor()), ("$ z".to_owned(), (0, 3)));
    world.settle();
    assert_eq!((world.shown(0), world.is_plain()), ("$ z".to_owned(), true));
}

#[test]
fn the_first_mismatch_takes_everything_with_it_and_nothing_is_shown_until_the_next_confirmation() {
    let mut stars = false;
    let program = move |bytes: &[u8]| {
        stars |= bytes == b"!";
        if stars { vec![b'*'; bytes.len()] } else { bytes.to_vec() }
    };
    let mut world = World::new(size(), Mode::Always, ROUND_TRIP, program);
    world.types(b"a");
    world.run(world.now + ROUND_TRIP);
    world.types(b"b");
    assert_eq!(world.shown(0), "ab");
    world.run(world.now + 10);
    world.types(b"!");
    world.run(world.now + 10);
    world.types(b"c");
    world.types(b"d");
    assert_eq!(world.shown(0), "ab!cd");
    // Of `!` the host says `*`; it is believed after the time that an echo may take.
    world.run(world.now + 90 + 49);
    assert_eq!(world.shown(0), "ab!cd");
    world.run(world.now + 1);
    assert_eq!((world.shown(0), world.is_plain()), ("ab***".to_owned(), true));
    let before = world.overlays.len();
    world.types_slowly("efgh", 40);
    world.settle();
    assert!(world.overlays[before..].iter().all(|overlay| *overlay == Overlay::default()));
    assert_eq!(world.shown(0), "ab*******");
}

#[test]
fn an_echo_may_take_its_time_and_a_lost_one_is_sent_again() {
    for (think, shown) in [(40, true), (190, true), (210, false)] {
        let mut world = shell();
        world.think = think;
        world.types(b"x");
        world.run(world.now + ROUND_TRIP + think.min(200) - 1);
        assert_eq!(world.shown(0), "$ qx");
        world.types(b"y");
        assert_eq!(world.shown(0), "$ qxy");
        world.run(world.now + 2);
        assert_eq!(world.shown(0) == "$ qxy", shown, "{think} ms");
        world.settle();
        assert_eq!((world.shown(0), world.is_plain()), ("$ qxy".to_owned(), true));
    }
}

#[test]
fn the_end_of_a_row_is_a_new_epoch_and_typing_goes_on_in_the_next() {
    for rows in [1, 4] {
        let mut world = World::new(Size::new(10, rows), Mode::Always, ROUND_TRIP, cat);
        world.types_slowly("123456", 30);
        world.run(world.now + ROUND_TRIP);
        world.types_slowly("789", 10);
        assert_eq!(world.shown(0), "123456789");
        world.types(b"0");
        world.types(b"a");
        world.types(b"b");
        assert_eq!(world.shown(0), "123456789");
        world.run(world.now + 2 * ROUND_TRIP);
        let last = if rows == 1 { 0 } else { 1 };
        assert_eq!(world.shown(last), "ab");
        world.types(b"c");
        assert_eq!((world.shown(last), world.cursor()), ("abc".to_owned(), (last, 3)));
        world.types_slowly(&"xyzw".repeat(20), 15);
        world.settle();
        assert!(world.is_plain());
        assert_eq!(world.screen.text(), world.host_text());
    }
}

#[test]
fn a_line_that_waits_at_its_end_goes_on_where_the_host_goes_on() {
    let mut world = World::new(Size::new(10, 3), Mode::Always, ROUND_TRIP, cat);
    world.types_slowly("1234567890", 200);
    world.settle();
    assert_eq!(world.cursor(), (0, 9));
    world.types(b"a");
    assert_eq!((world.shown(0), world.shown(1)), ("1234567890".to_owned(), "a".to_owned()));
    world.settle();
    assert_eq!((world.shown(1), world.is_plain()), ("a".to_owned(), true));
}

#[test]
fn return_is_a_new_epoch_that_the_host_may_confirm() {
    let mut world = World::new(size(), Mode::Always, ROUND_TRIP, cat);
    world.types_slowly("one", 200);
    world.types(b"\r");
    world.types(b"t");
    assert_eq!((world.shown(1), world.cursor()), (String::new(), (0, 3)));
    world.run(world.now + ROUND_TRIP);
    world.types(b"wo");
    assert_eq!((world.shown(1), world.cursor()), ("two".to_owned(), (1, 3)));
    world.settle();
    assert!(world.is_plain());
}

#[test]
fn scrolling_takes_predictions_along() {
    let mut world = World::new(size(), Mode::Always, ROUND_TRIP, cat);
    world.print(b"1\r\n2\r\n3\r\n");
    world.settle();
    world.types_slowly("ab", 200);
    world.types(b"cd");
    assert_eq!(world.shown(3), "abcd");
    // Another program prints above the line, as a chat does, in one go.
    world.print(b"\r\x1b[K4\r\nab");
    world.run(world.now + ROUND_TRIP / 2);
    assert_eq!(world.shown(3), "ab", "the line has another number: what was predicted of it has scrolled along");
    assert_eq!(world.shown(2), "4 cd");
    world.settle();
    assert_eq!((world.shown(3), world.is_plain()), ("abcd".to_owned(), true));
}

#[test]
fn another_screen_another_size_or_no_cursor_drops_everything() {
    for change in [&b"\x1b[?1049h"[..], b"\x1b[?25l", b"resize"] {
        let mut world = shell();
        world.types(b"abc");
        assert_eq!(world.shown(0), "$ qabc");
        if change == b"resize" {
            world.emulator.resize(Size::new(50, 5));
            world.print(b"");
        } else {
            world.print(change);
        }
        world.run(world.now + ROUND_TRIP / 2);
        assert!(world.is_plain(), "{change:?}");
        world.types(b"d");
        assert!(world.is_plain(), "{change:?}");
        world.settle();
        assert!(world.is_plain(), "{change:?}");
    }
}

#[test]
fn what_cannot_be_foretold_begins_a_new_epoch() {
    for other in [&b"\t"[..], b"\x03", b"\x1b[A", b"\x1bb", b"\x1b[<0;3;1M", "\u{301}".as_bytes(), b"\x1b[M !!"] {
        let mut world = shell();
        world.types(other);
        let before = world.overlays.len();
        world.types_slowly("ab", 20);
        assert!(world.overlays[before..].iter().all(|overlay| overlay.cells.is_empty()), "{other:?}");
        world.settle();
        assert!(world.is_plain());
    }
    let mut world = shell();
    world.predictor.pasted(2);
    world.types(b"ab");
    assert!(world.is_plain());
    world.types(&[b'x'; 2 * MAX_CELLS]);
    assert!(world.is_plain());
}

#[test]
fn a_cursor_that_the_host_put_elsewhere_is_shown_there_at_once() {
    let mut world = shell();
    world.types(b"x");
    world.types(b"\r");
    assert_eq!(world.cursor(), (0, 4));
    world.run(world.now + ROUND_TRIP);
    assert_eq!((world.shown(1), world.cursor()), ("$".to_owned(), (1, 2)));
}

#[test]
fn what_an_unforeseen_key_erased_does_not_count_against_what_follows() {
    let program = |bytes: &[u8]| if bytes == b"\x15" { b"\r\x1b[K".to_vec() } else { bytes.to_vec() };
    let mut world = World::new(size(), Mode::Always, ROUND_TRIP, program);
    world.types_slowly("ab", 200);
    world.types(b"c");
    world.types(b"\x15");
    world.run(world.now + ROUND_TRIP);
    world.types(b"d");
    world.run(world.now + ROUND_TRIP);
    world.types(b"e");
    assert_eq!(world.shown(0), "de");
    world.settle();
    assert_eq!((world.shown(0), world.is_plain()), ("de".to_owned(), true));
}

#[test]
fn on_a_fast_link_only_what_stalls_is_shown_and_without_an_underline() {
    let mut world = World::new(size(), Mode::Auto, 10, Editor::default());
    world.types_slowly("abc", 50);
    assert!(world.overlays.iter().all(|overlay| *overlay == Overlay::default()));
    world.delay = 400;
    let start = world.now;
    world.types(b"d");
    world.run(start + 249);
    assert!(world.is_plain());
    world.run(start + 250);
    assert_eq!(world.shown(0), "abcd");
    assert!(world.predictor.overlay().cells.iter().all(|cell| !cell.underlined));
    world.settle();
    world.delay = 5;
    world.types(b"e");
    assert!(world.is_plain(), "it was confirmed, so all is well again");
    world.settle();
    assert_eq!(world.shown(0), "abcde");
}

#[test]
fn never_is_never_and_always_needs_no_slow_link() {
    for (mode, shown) in [(Mode::Never, "ab"), (Mode::Always, "abc"), (Mode::Auto, "ab")] {
        let mut world = World::new(size(), mode, 10, Editor::default());
        world.types_slowly("ab", 500);
        world.types(b"c");
        assert_eq!(world.shown(0), shown, "{mode:?}");
    }
}

#[test]
fn a_host_that_takes_nothing_costs_bounded_memory() {
    let mut world = World::new(Size::new(500, 4), Mode::Always, ROUND_TRIP, cat);
    world.types_slowly("ab", 500);
    world.delay = 1 << 40;
    for _ in 0..50_000 {
        world.predictor.typed(at(world.now), "\x1b[Da日\x1b[C".as_bytes(), 100, &world.screen);
        assert!(world.predictor.overlay().cells.len() <= MAX_CELLS);
    }
}

#[test]
fn a_reset_forgets_what_is_on_its_way() {
    let mut world = shell();
    world.types(b"abc");
    assert!(!world.is_plain());
    world.predictor.reset();
    assert_eq!((world.is_plain(), world.predictor.deadline()), (true, None));
}

#[test]
fn without_a_screen_there_is_nothing_to_predict() {
    let mut predictor = Predictor::new(Mode::Always);
    predictor.typed(at(0), b"abc", 1, &Screen::default());
    predictor.on_screen(at(1), &Screen::default(), 1, Some(Duration::from_millis(100)));
    assert_eq!((predictor.overlay(), predictor.deadline()), (Overlay::default(), None));
}

fn any_key() -> impl Strategy<Value = String> {
    let keys =
        ["a", "b", " ", "é", "日", "\x7f", "\x1b[D", "\x1b[C", "\r", "\t", "\x1b", "\x1b[A", "\u{301}", "ab日", "\x15"];
    proptest::sample::select(keys.map(String::from).to_vec())
}

fn typing() -> impl Strategy<Value = Vec<(String, u64)>> {
    vec((any_key(), prop_oneof![3 => 0..40u64, 1 => 0..400u64]), 1..60)
}

#[derive(Clone, Copy, Debug)]
struct Net {
    size: Size,
    round_trip: u64,
    think: u64,
}

fn net() -> impl Strategy<Value = Net> {
    (2..30u16, 1..5u16, 0..300u64, 0..120u64).prop_map(|(cols, rows, round_trip, think)| Net {
        size: Size::new(cols, rows),
        round_trip,
        think,
    })
}

fn play(
    net: Net,
    mode: Mode,
    typing: &[(String, u64)],
    losses: &[bool],
    program: impl world::Program + 'static,
) -> World {
    let mut world = World::new(net.size, mode, net.round_trip, program);
    (world.think, world.losses) = (net.think, losses.to_vec().into());
    for (key, pause) in typing {
        world.types(key.as_bytes());
        world.run(world.now + pause);
    }
    world.settle();
    world
}

/// `TERMINAL_CASES` asks for more than the few seconds' worth that every run does.
fn cases(count: u32) -> ProptestConfig {
    let cases = std::env::var("TERMINAL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(count);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn once_quiet_the_screen_is_the_hosts_alone(
        net in net(), typing in typing(), losses in vec(any::<bool>(), 0..100), which in 0..2,
    ) {
        let world = match which {
            0 => play(net, Mode::Always, &typing, &losses, cat),
            _ => play(net, Mode::Always, &typing, &losses, Editor::default()),
        };
        prop_assert_eq!(world.predictor.overlay(), Overlay::default());
        prop_assert_eq!(world.predictor.deadline(), None);
        prop_assert_eq!(world.screen.text(), world.host_text());
    }

    #[test]
    fn where_nothing_is_echoed_nothing_is_ever_shown(
        net in net(), typing in typing(), losses in vec(any::<bool>(), 0..100),
    ) {
        let world = play(net, Mode::Always, &typing, &losses, silent);
        prop_assert!(world.overlays.iter().all(|overlay| *overlay == Overlay::default()));
        prop_assert_eq!(world.predictor.deadline(), None);
    }

    #[test]
    fn a_host_that_answers_anything_gets_its_screen_in_the_end(
        net in net(), typing in typing(), losses in vec(any::<bool>(), 0..100),
        answers in vec((0..9usize, any::<u16>()), 1..40),
    ) {
        let mut answers = answers.into_iter().cycle();
        let program = move |bytes: &[u8]| {
            let (kind, number) = answers.next().expect("endless");
            match kind {
                0..=2 => cat(bytes),
                3 => Vec::new(),
                4 => format!("\x1b[{};{}H", number % 7, number % 31).into_bytes(),
                5 => format!("\x1b[{}J{number}\r\n", number % 3).into_bytes(),
                6 => (if number % 2 == 0 { "\x1b[?1049h" } else { "\x1b[?1049l" }).as_bytes().to_vec(),
                7 => (if number % 3 == 0 { "\x1b[?25l" } else { "\x1b[?25h" }).as_bytes().to_vec(),
                _ => format!("\x1b[{}@日本\x1b[{}P", number % 5, number % 3).into_bytes(),
            }
        };
        let world = play(net, Mode::Always, &typing, &losses, program);
        prop_assert_eq!(world.predictor.overlay(), Overlay::default());
        prop_assert_eq!(world.predictor.deadline(), None);
        prop_assert_eq!(world.screen.text(), world.host_text());
    }

    #[test]
    fn a_person_at_a_line_editor_always_sees_the_line_as_it_will_be(
        edits in vec((0..8u8, 0..150u64), 1..80), round_trip in 31..400u64, think in 0..45u64,
    ) {
        let mut world = World::new(Size::new(200, 2), Mode::Auto, round_trip, Editor::default());
        world.think = think;
        let mut ideal = Editor::default();
        let mut out = String::new();
        world.types(b"q");
        ideal.key("q", &mut out);
        world.settle();
        for (kind, pause) in edits {
            let key = match kind {
                0 if !ideal.left.is_empty() => "\x7f",
                1 if !ideal.left.is_empty() => "\x1b[D",
                2 if !ideal.right.is_empty() => "\x1b[C",
                3 => "日",
                4 => "é",
                5 => "a",
                _ => "b",
            };
            world.types(key.as_bytes());
            keys(key.as_bytes()).iter().for_each(|key| ideal.key(key, &mut out));
            let expected = (ideal.text(), (0, columns(&ideal.left) as u16));
            prop_assert_eq!((world.shown(0), world.cursor()), expected.clone(), "at once");
            world.run(world.now + pause);
            prop_assert_eq!((world.shown(0), world.cursor()), expected, "{} ms later", pause);
        }
        world.settle();
        prop_assert_eq!((world.shown(0), world.is_plain()), (ideal.text(), true));
    }
}
