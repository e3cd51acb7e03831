//! Commands of DEC's and xterm's terminals, bytes in and cells out, as DEC STD 070 and xterm's control sequences
//! describe them. Each is the same however it is read, and in a synchronised update. Scripts of them show what a
//! second, slow model of a terminal shows.

#[path = "dec/reference.rs"]
mod reference;

use beach_core::terminal::{Attributes, Color, Emulator, Line, Modes, ScreenTitles, Size, Space};
use proptest::collection::vec;
use proptest::prelude::*;
use reference::{Cell, Reference};

const SIZE: Size = Size { cols: 80, rows: 24 };

/// Three rows, of which the second half stands between left and right margins, columns 5 to 8.
const HALVES: &str = "aaaabbbb\r\nccccdddd\r\neeeeffff\x1b[?69h\x1b[5;8s";

fn line(emulator: &Emulator, row: u64) -> Line {
    let head = emulator.head();
    let (_, bytes) = emulator.line(head.space, head.top + row).expect("a row of the window");
    Line::decode(bytes).expect("canonical")
}

/// The rows that are not empty, as text, up to the last one.
fn text(emulator: &mut Emulator) -> Vec<String> {
    emulator.frame();
    let rows = u64::from(emulator.head().size.rows);
    let mut text: Vec<String> = (0..rows).map(|row| line(emulator, row).text()).collect();
    while text.last().is_some_and(String::is_empty) {
        text.pop();
    }
    text
}

fn after(size: Size, bytes: &str) -> Emulator {
    let mut emulator = Emulator::new(size, 1000);
    emulator.feed(bytes.as_bytes());
    emulator.frame();
    emulator
}

/// Checks the rows that a program's bytes give: in one read, in reads of a byte, and as an update.
fn shows_at(size: Size, bytes: &str, rows: &[&str]) {
    let mut whole = after(size, bytes);
    assert_eq!(text(&mut whole), rows, "{:?}", bytes.escape_debug().to_string());
    let mut single = Emulator::new(size, 1000);
    bytes.bytes().for_each(|byte| single.feed(&[byte]));
    assert_eq!(text(&mut single), rows, "byte by byte: {:?}", bytes.escape_debug().to_string());
    let mut update = after(size, &format!("\x1b[?2026h{bytes}"));
    assert_eq!(text(&mut update), [""; 0], "an update shows nothing before its end");
    update.feed(b"\x1b[?2026l");
    assert_eq!(text(&mut update), rows, "as an update: {:?}", bytes.escape_debug().to_string());
    assert_eq!(update.head().cursor, whole.head().cursor);
}

fn shows(bytes: &str, rows: &[&str]) {
    shows_at(SIZE, bytes, rows);
}

/// The same check behind [`HALVES`].
fn halves_show(bytes: &str, rows: &[&str]) {
    shows(&format!("{HALVES}{bytes}"), rows);
}

const UNTOUCHED: [&str; 3] = ["aaaabbbb", "ccccdddd", "eeeeffff"];
const ROW_LESS: [&str; 3] = ["aaaadddd", "ccccffff", "eeee"];
const ROW_MORE: [&str; 4] = ["aaaa", "ccccbbbb", "eeeedddd", "    ffff"];

#[test]
fn between_left_and_right_margins_text_wraps() {
    shows("\x1b[?69h\x1b[5;10s\x1b[1;5Habcdefghijklmnop\x1b[?69l", &["    abcdef", "    ghijkl", "    mnop"]);
    // Right of them it wraps at the screen's edge, to the left margin.
    let edge = format!("{}yz", " ".repeat(78));
    shows("\x1b[?69h\x1b[5;10s\x1b[1;79Hyzab", &[&edge, "    ab"]);
    // Without wrapping the last character stays at the margin.
    shows("\x1b[?69h\x1b[?7l\x1b[5;8s\x1b[1;5Habcdef", &["    abcf"]);
    // A wide character that does not fit goes on whole.
    halves_show("\x1b[1;8H中", &["aaaabbbb", "cccc中dd", "eeeeffff"]);
    halves_show("\x1b[4h\x1b[1;6HX", &["aaaabXbb", "ccccdddd", "eeeeffff"]);
}

#[test]
fn between_left_and_right_margins_text_scrolls_and_nothing_goes_into_the_scrollback() {
    let lines: String = (1..=26).map(|line| format!("r{line}\r\n")).collect();
    let bytes = format!("left\r\nleft\x1b[?69h\x1b[41;80s\x1b[1;41H{lines}end");
    let mut emulator = after(SIZE, &bytes);
    let shown = text(&mut emulator);
    let right = |left: &str, right: &str| format!("{left:40}{right}");
    assert_eq!(shown[..3], [right("left", "r4"), right("left", "r5"), right("", "r6")]);
    assert_eq!(shown[22..], [right("", "r26"), right("", "end")]);
    assert_eq!(emulator.top(), 0);
    // As wide as the screen, they are none.
    let mut emulator = after(SIZE, &format!("\x1b[?69h\x1b[1;80s{lines}end"));
    assert_eq!(text(&mut emulator)[0], "r4");
    assert_eq!(emulator.top(), 3);
}

#[test]
fn margins_on_all_four_sides_hold_what_scrolls() {
    let mut page: String = (1..=6).map(|row| format!("\x1b[{row};1H{row}{row}{row}{row}{row}{row}")).collect();
    page += "\x1b[?69h\x1b[2;4r\x1b[3;4s";
    let show = |bytes: &str, rows: &[&str]| shows_at(Size::new(6, 6), &format!("{page}{bytes}"), rows);
    show("\x1b[S", &["111111", "223322", "334433", "44  44", "555555", "666666"]);
    show("\x1b[2T", &["111111", "22  22", "33  33", "442244", "555555", "666666"]);
    show("\x1b[4;3H\n", &["111111", "223322", "334433", "44  44", "555555", "666666"]);
    show("\x1b[2;4H\x1bM", &["111111", "22  22", "332233", "443344", "555555", "666666"]);
    show("\x1b[3;3H\x1b[9L", &["111111", "222222", "33  33", "44  44", "555555", "666666"]);
    show("\x1b[3;3H\x1b[M", &["111111", "222222", "334433", "44  44", "555555", "666666"]);
    // Outside of them, nothing scrolls.
    for outside in ["\x1b[4;2H\n", "\x1b[2;5H\x1bM", "\x1b[3;2H\x1b[L", "\x1b[5;3H\x1b[M", "\x1b[6;3H\n\n"] {
        show(outside, &["111111", "222222", "333333", "444444", "555555", "666666"]);
    }
}

#[test]
fn lines_and_characters_are_inserted_and_deleted_between_the_margins_alone() {
    shows("aaaabbbb\r\nccccdddd\x1b[?69h\x1b[5;8s\x1b[1;5H\x1b[L", &["aaaa", "ccccbbbb", "    dddd"]);
    halves_show("\x1b[1;6H\x1b[LX", &["aaaaX", "ccccbbbb", "eeeedddd", "    ffff"]);
    halves_show("\x1b[1;5H\x1b[M", &ROW_LESS);
    halves_show("\x1b[1;1H\x1b[L\x1b[M\x1b[2@\x1b[2P", &UNTOUCHED);
    halves_show("\x1b[1;6H\x1b[2@", &["aaaab  b", "ccccdddd", "eeeeffff"]);
    halves_show("\x1b[1;9Hzz\x1b[1;5H\x1b[2P", &["aaaabb  zz", "ccccdddd", "eeeeffff"]);
    halves_show("\x1b[1;9Hzz\x1b[1;5H\x1b[99@", &["aaaa    zz", "ccccdddd", "eeeeffff"]);
}

#[test]
fn scrolling_commands_scroll_between_the_margins_alone() {
    halves_show("\x1b[S", &ROW_LESS);
    halves_show("\x1b[T", &ROW_MORE);
    halves_show("\x1b[24;5H\x1bD", &ROW_LESS);
    halves_show("\x1b[24;1H\x1bD", &UNTOUCHED);
    let mut rows = ROW_LESS.to_vec();
    rows.resize(23, "");
    rows.push("    X");
    halves_show("\x1b[24;6H\x1bEX", &rows);
    halves_show("\x1b[1;8H\x1bM", &ROW_MORE);
    halves_show("\x1b[1;9H\x1bM", &UNTOUCHED);
}

#[test]
fn the_cursor_stops_at_margins_when_it_comes_from_inside() {
    for (bytes, row) in [
        ("\x1b[2;7H\rX", "ccccXddd"),
        ("\x1b[2;3H\rX", "Xcccdddd"),
        ("\x1b[2;5H\x08X", "ccccXddd"),
        ("\x1b[2;4H\x08X", "ccXcdddd"),
        ("\x1b[2;7H\x1b[9DX", "ccccXddd"),
        ("\x1b[2;5H\x1b[9CX", "ccccdddX"),
        ("\x1b[2;9H\x1b[3CX", "ccccdddd   X"),
        ("\x1b[2;5H\tX", "ccccdddX"),
        ("\x1b[1;6H\x1b[EX", "ccccXddd"),
        ("\x1b[3;6H\x1b[FX", "ccccXddd"),
        ("\x1b[2;1H\x1b[7`X", "ccccddXd"),
        ("\x1b[2;5H\x1b[9aX", "ccccdddd     X"),
        ("\x1b[1;7H\x1b[eX", "ccccddXd"),
    ] {
        halves_show(bytes, &["aaaabbbb", row, "eeeeffff"]);
    }
    // The last character of a row stays the last one: a wrap is pending there.
    halves_show("\x1b[1;7Hyz!", &["aaaabbyz", "cccc!ddd", "eeeeffff"]);
    halves_show("\x1b[1;7Hyz\n!", &["aaaabbyz", "ccccddd!", "eeeeffff"]);
}

#[test]
fn up_and_down_stop_at_the_margins_of_a_scroll_region() {
    shows("\x1b[2;3r\x1b[3;1H\x1b[9AX", &["", "X"]);
    shows("\x1b[2;3r\x1b[2;1H\x1b[9BX", &["", "", "X"]);
    shows("\x1b[3;4r\x1b[2;1H\x1b[9AX", &["X"]);
    shows("\x1b[2;3r\x1b[3;4H\x1b[9FX\x1b[9E Y", &["", "X", " Y"]);
    shows("\x1b[2;4r\x1b[?6h\x1b[3;1H\x1b[AX", &["", "", "X"]);
    shows("\x1b[2;4r\x1b[?6h\x1b[2;2H\x1b[4GX\x1b[3dY", &["", "", "   X", "    Y"]);
    shows("\x1b[5;5H\x1b[?6lX", &["X"]);
}

#[test]
fn erasing_does_not_care_for_margins() {
    halves_show("\x1b[2;6H\x1b[J", &["aaaabbbb", "ccccd"]);
    halves_show("\x1b[1;6H\x1b[K", &["aaaab", "ccccdddd", "eeeeffff"]);
    halves_show("\x1b[1;6H\x1b[1K", &["      bb", "ccccdddd", "eeeeffff"]);
    halves_show("\x1b[1;9Hzz\x1b[1;7H\x1b[9X", &["aaaabb", "ccccdddd", "eeeeffff"]);
    halves_show("\x1b[1;9Hzz\x1b[1;8Hx\x1b[K", &["aaaabbb", "ccccdddd", "eeeeffff"]);
}

#[test]
fn in_origin_mode_places_are_counted_from_all_margins() {
    halves_show("\x1b[2;3r\x1b[?6h\x1b[1;1HX\x1b[9;9HY", &["aaaabbbb", "ccccXddd", "eeeefffY"]);
    halves_show("\x1b[2;3r\x1b[?6h\x1b[2;2H\x1b[1GX", &["aaaabbbb", "ccccdddd", "eeeeXfff"]);
    halves_show("\x1b[?6hX", &["aaaaXbbb", "ccccdddd", "eeeeffff"]);
    let mut emulator = after(SIZE, &format!("{HALVES}\x1b[2;3r\x1b[?6h\x1b[2;3H\x1b[6n\x1b[?6n"));
    assert_eq!(emulator.take_replies(), b"\x1b[2;3R\x1b[?2;3R");
}

#[test]
fn without_their_mode_a_sequence_for_margins_saves_the_cursor() {
    shows("ab\x1b[s\x1b[5;5H\x1b[uc", &["abc"]);
    shows("ab\x1b[3;9s\x1b[5;5H\x1b[uc", &["abc"]);
    // With the mode it chooses margins, even if that are the screen's edges, and the cursor goes home.
    shows("ab\x1b7\x1b[?69h\x1b[2;3s\x1b[sX\x1b8c\r\nd", &["Xbc", "d"]);
}

#[test]
fn margins_end_with_their_mode_and_with_resets_and_stay_on_the_other_screen() {
    let long = "0123456789";
    let wrapped = ["    0123", "    4567", "    89"];
    for forgets in ["\x1b[?69l", "\x1b[s", "\x1bc", "\x1b[!p", "\x1b[?40h\x1b[?3l"] {
        shows(&format!("\x1b[?69h\x1b[5;8s{forgets}\x1b[1;5H{long}"), &["    0123456789"]);
    }
    for keeps in ["\x1b[?3l", "\x1b[8;5s", "\x1b[5;5s", "\x1b[?69h", "\x1b[r", "\x1b[2J", "\x1b[?47h", "\x1b[?1049h"] {
        shows(&format!("\x1b[?69h\x1b[5;8s{keeps}\x1b[1;5H{long}"), &wrapped);
    }
    let mut emulator = after(SIZE, "\x1b[?69h\x1b[5;8s");
    emulator.resize(Size::new(81, 24));
    emulator.feed(format!("\x1b[1;5H{long}").as_bytes());
    assert_eq!(text(&mut emulator), ["    0123456789"]);
}

#[test]
fn text_moves_sideways() {
    shows("abcdef\r\x1b[2 @", &["cdef"]);
    shows("abcdef\r\x1b[2 A", &["  abcdef"]);
    shows("abcdef\r\nghijkl\x1b[1;3H\x1b[2'}", &["ab  cdef", "gh  ijkl"]);
    shows("abcdef\r\nghijkl\x1b[1;3H\x1b[2'~", &["abef", "ghkl"]);
    halves_show("\x1b[1;6H\x1b[2'}", &["aaaab  b", "ccccd  d", "eeeef  f"]);
    halves_show("\x1b[2;3r\x1b[2;5H\x1b[ @", &["aaaabbbb", "ccccddd", "eeeefff"]);
    // Only if the cursor is between the margins.
    halves_show("\x1b[1;4H\x1b[2'}\x1b[2'~\x1b[ @\x1b[ A", &UNTOUCHED);
    halves_show("\x1b[2;3r\x1b[1;5H\x1b[2'}\x1b[2'~\x1b[ @\x1b[ A", &UNTOUCHED);
    // A wide character that is cut is gone.
    shows("a中b中\x1b[1;3H\x1b['}", &["a   b中"]);
    shows("a中b中\x1b[1;3H\x1b['~", &["a b中"]);
}

#[test]
fn a_column_index_moves_the_cursor_and_at_a_margin_the_text() {
    halves_show("\x1b[1;7H\x1b9X", &["aaaabbbX", "ccccdddd", "eeeeffff"]);
    halves_show("\x1b[1;8H\x1b9", &["aaaabbb", "ccccddd", "eeeefff"]);
    halves_show("\x1b[1;6H\x1b6X", &["aaaaXbbb", "ccccdddd", "eeeeffff"]);
    halves_show("\x1b[1;5H\x1b6", &["aaaa bbb", "cccc ddd", "eeee fff"]);
    halves_show("\x1b[1;3H\x1b6X", &["aXaabbbb", "ccccdddd", "eeeeffff"]);
    shows_at(Size::new(4, 2), "abcd\x1b9", &["bcd"]);
}

#[test]
fn a_rectangle_is_filled_erased_and_copied() {
    shows("\x1b[65;2;2;4;10$x", &["", " AAAAAAAAA", " AAAAAAAAA", " AAAAAAAAA"]);
    shows("\x1b[31;1;1;2;2$x\x1b[127;1;1;2;2$x\x1b[65;3;1;2;2$x", &[]);
    shows("abcd\r\nefgh\r\nijkl\x1b[1;2;2;3$z", &["a  d", "e  h", "ijkl"]);
    shows("abcd\r\nefgh\r\nijkl\x1b[2$z", &["abcd"]);
    shows("abcd\r\nefgh\x1b[1;2;2;3${", &["a  d", "e  h"]);
    shows("abcd\r\nefgh\x1b[1;1;2;2;1;2;3;1$v", &["abcd", "efab", "  ef"]);
    // Overlapping itself, and as far as there is room.
    shows("abcd\r\nefgh\x1b[1;1;2;3;1;1;2;1$v", &["aabc", "eefg"]);
    shows_at(Size::new(4, 2), "abcd\r\nefgh\x1b[1;1;2;4;1;2;3;1$v", &["abcd", "efab"]);
    // Halves of wide characters become blanks.
    shows("中中\x1b[2;1H\x1b[1;2;1;3;1;2;1;1$v", &["中中"]);
    shows("中中\x1b[65;1;2;1;3$x", &[" AA"]);
}

#[test]
fn rectangles_are_counted_from_the_margins_in_origin_mode_and_cut_there() {
    let origin = "\x1b[?69h\x1b[3;6s\x1b[2;3r\x1b[?6h";
    shows(&format!("{origin}\x1b[65;1;1;9;9$x"), &["", "  AAAA", "  AAAA"]);
    shows(&format!("{origin}ab\x1b[1;1;1;2;1;2;3;1$v"), &["", "  ab", "    ab"]);
    shows("\x1b[?69h\x1b[3;6s\x1b[2;3r\x1b[65;1;1;2;9$x", &["AAAAAAAAA", "AAAAAAAAA"]);
}

/// Where a row is bold, underlined and so on: a letter for each cell.
fn attributes(bytes: &str, rows: u64, attribute: Attributes) -> Vec<String> {
    let emulator = after(Size::new(8, 4), bytes);
    let cells = |row| {
        let line = line(&emulator, row);
        let run = |has: bool, text: &str| text.chars().map(|_| if has { 'x' } else { '.' }).collect::<String>();
        line.runs.iter().map(|each| run(each.style.attributes.contains(attribute), &each.text)).collect()
    };
    (0..rows).map(cells).collect()
}

#[test]
fn attributes_change_from_corner_to_corner_or_in_a_rectangle() {
    let page = "aaaaaaaa\r\nbbbbbbbb\r\ncccccccc";
    let bold = |bytes: &str| attributes(&format!("{page}{bytes}"), 3, Attributes::BOLD);
    assert_eq!(bold("\x1b[1;3;3;5;1$r"), ["..xxxxxx", "xxxxxxxx", "xxxxx..."]);
    assert_eq!(bold("\x1b[2*x\x1b[1;3;3;5;1$r"), ["..xxx...", "..xxx...", "..xxx..."]);
    assert_eq!(bold("\x1b[2*x\x1b[1;1;3;8;1$r\x1b[2;2;3;3;22$r"), ["xxxxxxxx", "x..xxxxx", "x..xxxxx"]);
    assert_eq!(bold("\x1b[2*x\x1b[1;1;3;8;1$r\x1b[2;2;3;3$r"), ["xxxxxxxx", "x..xxxxx", "x..xxxxx"]);
    assert_eq!(bold("\x1b[2*x\x1b[1;1;2;8;1$r\x1b[2;2;3;3;1$t"), ["xxxxxxxx", "x..xxxxx", ".xx....."]);
    let blink = |bytes: &str| attributes(&format!("{page}\x1b[2*x{bytes}"), 3, Attributes::BLINK);
    assert_eq!(blink("\x1b[1;3;3;5;5$r"), ["..xxx...", "..xxx...", "..xxx..."]);
    assert_eq!(blink("\x1b[1;1;3;8;5$r\x1b[2;2;3;3;25$r\x1b[3;3;3;4$r"), ["xxxxxxxx", "x..xxxxx", "x...xxxx"]);
    assert_eq!(blink("\x1b[1;1;2;8;5$r\x1b[2;2;3;3;5$t"), ["xxxxxxxx", "x..xxxxx", ".xx....."]);
    assert_eq!(attributes("\x1b[53;4mab\x1b[1;1;1;1;24$r\x1b[1;2;1;2;4$t", 1, Attributes::OVERLINE), ["xx"]);
    let inverse = attributes(&format!("{page}\x1b[2*x\x1b[1;1;1;2;7$r\x1b[1;2;1;3$t"), 1, Attributes::INVERSE);
    assert_eq!(inverse, ["x.x....."]);
}

#[test]
fn an_erased_rectangle_has_the_colour_behind_the_text_and_a_selectively_erased_one_keeps_its_own() {
    let runs = |bytes: &str| line(&after(SIZE, bytes), 0).runs;
    let colored = runs("\x1b[41mabcd\x1b[42m\x1b[1;2;1;3$z");
    assert_eq!(colored.iter().map(|run| run.text.as_str()).collect::<Vec<_>>(), ["a", "  ", "d"]);
    let kept = runs("\x1b[41mabcd\x1b[42m\x1b[1;2;1;3${");
    assert_eq!(kept.iter().map(|run| run.text.as_str()).collect::<Vec<_>>(), ["a  d"]);
    assert_eq!(kept[0].style, colored[0].style);
}

/// Three rows of which the middle of each is protected.
const PROTECTED: &str = "aa\x1b[1\"qbb\x1b[\"qcc\r\naa\x1b[1\"qbb\x1b[2\"qcc\r\naa\x1b[1\"qbb\x1b[0\"qcc\x1b[2;4H";

#[test]
fn a_selective_erase_leaves_protected_characters() {
    let show = |bytes: &str, rows: &[&str]| shows(&format!("{PROTECTED}{bytes}"), rows);
    show("\x1b[?J", &["aabbcc", "aabb", "  bb"]);
    show("\x1b[?0J", &["aabbcc", "aabb", "  bb"]);
    show("\x1b[?1J", &["  bb", "  bbcc", "aabbcc"]);
    show("\x1b[?2J", &["  bb", "  bb", "  bb"]);
    show("\x1b[?K", &["aabbcc", "aabb", "aabbcc"]);
    show("\x1b[?1K", &["aabbcc", "  bbcc", "aabbcc"]);
    show("\x1b[?2K", &["aabbcc", "  bb", "aabbcc"]);
    show("\x1b[2;2;3;5${", &["aabbcc", "a bb c", "a bb c"]);
    show("\x1b[?3J\x1b[?9K", &["aabbcc", "aabbcc", "aabbcc"]);
    // At the end of a row where a wrap is pending, and with a wide character.
    shows_at(Size::new(4, 2), "abcd\x1b[?KX", &["abcX"]);
    shows("\x1b[1\"q中\x1b[\"q中\x1b[?2K", &["中"]);
    // All other commands erase and overwrite protected cells too.
    for erases in ["\x1b[2J", "\x1b[H\x1b[J", "\x1b[1;1;3;9$z", "\x1b[32;1;1;3;9$x", "\x1bc"] {
        show(erases, &[]);
    }
    show("\x1b[2K\x1b[1;3HXY", &["aaXYcc", "", "aabbcc"]);
    show("\x1b[2;3H\x1b[2X\x1b[1;1H\x1b[2P", &["bbcc", "aa  cc", "aabbcc"]);
}

/// The same three rows, protected by SPA.
const GUARDED: &str = "aa\x1bVbb\x1bWcc\r\naa\x1bVbb\x1bWcc\r\naa\x1bVbb\x1bWcc\x1b[2;4H";

#[test]
fn every_erase_leaves_guarded_characters() {
    let show = |bytes: &str, rows: &[&str]| shows(&format!("{GUARDED}{bytes}"), rows);
    for (command, rows) in [
        ("J", ["aabbcc", "aabb", "  bb"]),
        ("1J", ["  bb", "  bbcc", "aabbcc"]),
        ("2J", ["  bb", "  bb", "  bb"]),
        ("K", ["aabbcc", "aabb", "aabbcc"]),
        ("1K", ["aabbcc", "  bbcc", "aabbcc"]),
        ("2K", ["aabbcc", "  bb", "aabbcc"]),
        ("2X", ["aabbcc", "aabb c", "aabbcc"]),
        ("99X", ["aabbcc", "aabb", "aabbcc"]),
    ] {
        show(&format!("\x1b[{command}"), &rows);
    }
    for selective in ["\x1b[?2J", "\x1b[2;1H\x1b[?J\x1b[?1J"] {
        show(selective, &["  bb", "  bb", "  bb"]);
    }
    // Commands that overwrite, move or reset cells ignore protection.
    show("\x1b[1;3HXY\x1b[2;3H\x1b[2P", &["aaXYcc", "aacc", "aabbcc"]);
    show("\x1bc", &[]);
    // The last of both kinds of protection decides for all protected characters.
    show("\x1b[0\"q\x1b[2K", &["aabbcc", "", "aabbcc"]);
    shows("\x1b[1\"qab\x1b[\"qc\x1bV\x1bWd\x1b[2K", &["ab"]);
    shows("\x1bVab\x1bWcd\x1b[!p\x1b[2K", &[]);
    shows("ab\x1bV\x1b[2Kcd\x1b[2K", &["  cd"]);
}

#[test]
fn in_new_line_mode_a_line_feed_goes_to_the_first_column() {
    shows("ab\x1b[20h\ncd\x0bef\x0cgh\x1b[20l\nij", &["ab", "cd", "ef", "gh", "  ij"]);
    let mut emulator = after(SIZE, "\x1b[20$p\x1b[20h\x1b[20$p");
    assert_eq!(String::from_utf8_lossy(&emulator.take_replies()), "\x1b[20;2$y\x1b[20;1$y");
}

#[test]
fn protection_is_the_pens_until_it_is_ended_and_moves_with_the_text() {
    // Neither the reset of attributes ends it nor any of them, and a saved cursor has its own.
    shows("\x1b[1\"q\x1b[1;4;5;53ma\x1b[24mb\x1b[55mc\x1b[md\x1b[21;53me\x1b[\"qf\x1b[?2K", &["abcde"]);
    shows("\x1b[1\"q\x1b7\x1b[\"qa\x1b8\x1b[Cb\x1b[?2K", &[" b"]);
    shows("\x1b[1\"q\x1b[!pa\x1b[?2K", &[]);
    shows("\x1b[1\"q\x1bca\x1b[?2K", &[]);
    shows("\x1b[1\"qab\r\x1b[2@\x1b[\"qcd\x1b[L\x1b[?2J", &["", "  ab"]);
    shows("\x1b[1\"qab\x1b[\"q\x1b[1;1;1;2;1;2;3;1$v\x1b[?2J", &["ab", "  ab"]);
    shows("\x1b[1\"q\x1b[65;1;1;1;3$x\x1b[?2J", &["AAA"]);
    // Protection does not change which attributes show.
    let style = |bytes: &str| line(&after(SIZE, bytes), 0).runs[0].style.clone();
    for attributes in ["", "4", "21", "4:3", "4:4", "4:5", "53", "4;53", "21;53", "4:3;53", "4:4;53", "4:5;53", "5;7"] {
        let plain = style(&format!("\x1b[{attributes}mx"));
        assert_eq!(style(&format!("\x1b[1\"q\x1b[{attributes}mx")), plain, "{attributes}");
        assert_eq!(style(&format!("\x1b[{attributes}m\x1b[1\"qx")), plain, "{attributes}");
        assert_eq!(style(&format!("\x1b[1\"q\x1b[{attributes}m\x1b[\"qx")), plain, "{attributes}");
    }
    assert_eq!(line(&after(SIZE, "\x1b[1\"qa  "), 0).columns(), 1);
    let mut emulator = after(SIZE, "\x1bP$q\"q\x1b\\\x1b[1\"q\x1bP$q\"q\x1b\\");
    assert_eq!(emulator.take_replies(), b"\x1bP1$r0\"q\x1b\\\x1bP1$r1\"q\x1b\\");
}

#[test]
fn the_alternate_screen_by_its_older_modes() {
    // 47: one cursor for both, and what was there is there again.
    shows("main\x1b7\x1b[?47h\x1b[H\x1b[2Jsecret\x1b[2J\x1b[?47l\x1b8!", &["main!"]);
    shows("\x1b[?47hkept\x1b[?47lmain\x1b[?47h!", &["kept    !"]);
    shows("\x1b[?47hkept\x1b[?47lmain", &["    main"]);
    // 1047: erased when it is left.
    shows("\x1b[?1047hgone\x1b[?1047l\x1b[?1047h!", &["    !"]);
    // 1049: erased when it is shown, with a cursor of its own.
    shows("a\x1b[?1049hb\x1b[?1049lc\x1b[?1049h", &[]);
    shows("a\x1b[?47hb\x1b[?1049lc", &["c"]);
    let emulator = after(SIZE, "\x1b[?1047h");
    assert_eq!(emulator.head().space, Space::Alternate);
}

#[test]
fn what_was_saved_on_the_main_screen_outlives_the_alternate_one() {
    shows("ab\x1b7cd\x1b[?47h\x1b[9;9H\x1b7\x1b[?47l\x1b8X", &["abXd"]);
    shows("ab\x1b7cd\x1b[?47h\x1b[9;9H\x1b7\x1b[?47l\x1b[?47h\x1b8X\x1b[?47l\x1b8Y", &["abYd"]);
    let mut emulator = after(Size::new(10, 4), "\x1b[4;10H\x1b7\x1b[?47h");
    emulator.resize(Size::new(5, 2));
    emulator.feed(b"\x1b[?47l\x1b8X");
    emulator.frame();
    assert_eq!((emulator.head().cursor.row, emulator.head().cursor.col), (1, 4));
}

#[test]
fn the_kept_alternate_screen_takes_part_in_a_resize() {
    let mut emulator = after(Size::new(10, 4), "\x1b[?47h0123456789\x1b[?47l");
    emulator.resize(Size::new(4, 6));
    emulator.feed(b"\x1b[?47h");
    assert_eq!(text(&mut emulator), ["0123"]);
    assert_eq!(emulator.head().size, Size::new(4, 6));
}

#[test]
fn a_cursor_is_saved_and_restored_by_a_mode_with_origin_and_character_sets() {
    shows("ab\x1b[?1048h\x1b[5;5H\x1b[?1048lc", &["abc"]);
    shows("\x1b[2;3r\x1b[?6h\x1b7\x1b[?6l\x1b8\x1b[1;1HX", &["", "X"]);
    shows("\x1b)0\x0e\x1b7\x0f\x1b8q", &["─"]);
    shows("\x1b(A\x1b7\x1b(B\x1b8#", &["£"]);
    shows("\x1b[2;3r\x1b[?6h\x1b8\x1b[1;1HX", &["X"]);
}

#[test]
fn leaving_the_alternate_screen_twice_restores_the_cursor_twice() {
    shows("one\r\n\x1b[?1049h\x1b[H\x1b[J\x1b[?1049l\x1b[20;1H\x1b[?1049lX", &["one", "X"]);
}

#[test]
fn a_soft_reset_resets_what_text_depends_on_and_neither_text_nor_cursor() {
    shows("\x1b[5;10r\x1b[?6h\x1b[!p\x1b[1;1HX", &["X"]);
    shows("keep\x1b[!p!", &["keep!"]);
    shows("ab\x1b[4h\x1b[!p\rX", &["Xb"]);
    shows("\x1b(0\x1b[!pq", &["q"]);
    shows("\x1b)0\x0e\x1b[!pq", &["q"]);
    shows("\x1b(A\x1b[!p#", &["#"]);
    shows("ab\x1b7\x1b[!p\x1b8X", &["Xb"]);
    shows_at(Size::new(4, 2), "\x1b[?7l\x1b[!pabcdef", &["abcd", "ef"]);
    let emulator = after(SIZE, "\x1b[?1h\x1b=\x1b[?25l\x1b[?2004h\x1b[1m\x1b[!px");
    let head = emulator.head();
    assert!(!head.modes.contains(Modes::APP_CURSOR) && !head.modes.contains(Modes::APP_KEYPAD));
    assert!(head.modes.contains(Modes::BRACKETED_PASTE) && head.cursor.visible);
    assert_eq!(line(&emulator, 0).runs[0].style.attributes, Attributes::NONE);
}

#[test]
fn a_change_of_columns_has_an_effect_only_where_it_is_permitted() {
    shows("keep\x1b[?3h!", &["keep!"]);
    shows("keep\r\n\x1b[!p\x1b[?3;4l\x1b[4l\x1b>after", &["keep", "after"]);
    let mut rows = vec![""; 23];
    rows.push("Y");
    shows("\x1b[?40hgone\x1b[5;9r\x1b[?3hX\x1b[24;1H\nY", &rows);
    shows("\x1b[?40h\x1b[?40lkeep\x1b[?3l!", &["keep!"]);
}

#[test]
fn characters_come_from_four_sets() {
    shows("\x1b*0\x1bNqq", &["─q"]);
    shows("\x1b+0\x1bOqq", &["─q"]);
    shows("\x1b*0\x1bnqq\x0fq", &["──q"]);
    shows("\x1b+0\x1boqq\x0fq", &["──q"]);
    shows("\x1b(A#\x1b(B#", &["£#"]);
    shows("\x1b)A#\x0e#\x0f#", &["#£#"]);
    shows("\x1b*A\x1bN##", &["£#"]);
    shows("\x1b(A#\x1bc#", &["#"]);
}

#[test]
fn going_back_goes_on_at_the_end_of_the_row_above_where_a_program_wants_that() {
    let show = |bytes: &str, rows: &[&str]| shows_at(Size::new(10, 3), bytes, rows);
    show("\x1b[2;1H\x08X", &["", "X"]);
    show("\x1b[?45h\x1b[2;1H\x08X", &["         X"]);
    show("\x1b[?45h\x1b[2;2H\x1b[3DX", &["        X"]);
    show("\x1b[?45h\x1b[1;1H\x08X", &["", "", "         X"]);
    show("\x1b[?45h\x1b[1;1H\x1b[65535DX", &["", "     X"]);
    show("\x1b[?45h\x1b[?7l\x1b[2;1H\x08X", &["", "X"]);
    show("\x1b[?45h0123456789\x08X", &["012345678X"]);
    show("\x1b[?45h\x1b[?45l\x1b[2;1H\x08X", &["", "X"]);
    show("\x1b[?45h\x1b[?69h\x1b[3;5s\x1b[2;3H\x08X", &["    X"]);
}

#[test]
fn a_title_of_screens_kind_is_taken_where_the_program_believes_in_such_a_terminal() {
    shows("a\x1bktitle\x1b\\b", &["atitleb"]);
    let mut emulator = Emulator::new(SIZE, 10);
    emulator.set_screen_titles(ScreenTitles::Taken);
    emulator.feed(b"a\x1bkti");
    emulator.feed("tle é\x07\x1b\\b".as_bytes());
    assert_eq!(text(&mut emulator), ["ab"]);
    assert_eq!(emulator.title(), Some("title é"));
    emulator.feed(b"\x1b[?2026h\x1bkother\x1b\\c");
    assert_eq!(emulator.title(), Some("title é"));
    emulator.feed(b"\x1b[?2026l");
    assert_eq!(emulator.title(), Some("other"));
    assert_eq!(text(&mut emulator), ["abc"]);
}

#[test]
fn a_soft_hyphen_and_a_hard_blank_take_a_cell_each() {
    shows("a\u{ad}b\u{a0}c", &["a\u{ad}b\u{a0}c"]);
    shows_at(Size::new(3, 2), "ab\u{ad}\u{ad}", &["ab\u{ad}", "\u{ad}"]);
    assert_eq!(line(&after(SIZE, "a\u{ad}b"), 0).columns(), 3);
}

#[test]
fn margins_that_make_no_sense_change_nothing() {
    shows_at(Size::new(10, 3), "\x1b[7;9r\x1b[3;1Hx\r\ny", &["", "x", "y"]);
    shows_at(Size::new(10, 3), "\x1b[3;2r\x1b[3;1Hx\r\ny", &["", "x", "y"]);
}

#[test]
fn lines_deleted_on_the_first_row_go_into_the_scrollback_and_those_below_do_not() {
    let page = "a\r\nb\r\nc";
    for (deletes, past) in [
        ("\x1b[H\x1b[M", &["a"][..]),
        ("\x1b[H\x1b[2M", &["a", "b"]),
        ("\x1b[1;2r\x1b[M", &["a"]),
        ("\x1b[2H\x1b[2M", &[]),
        ("\x1b[H\x1b[J", &[]),
    ] {
        let emulator = after(Size::new(5, 3), &format!("{page}{deletes}"));
        let line = |number| Line::decode(emulator.line(Space::Main, number).expect("it is kept").1).expect("canonical");
        let lines: Vec<String> = (0..emulator.top()).map(|number| line(number).text()).collect();
        assert_eq!(lines, past, "{deletes:?}");
    }
}

#[test]
fn no_more_is_deleted_or_kept_than_there_is() {
    shows_at(Size::new(5, 2), "abcde\x1b[1;3H\x1b[9P", &["ab"]);
    shows_at(Size::new(5, 2), "abcde\x1b[1;3H\x1b[4P", &["ab"]);
    shows("abcde\r\nfghij\x1b[2;2H\x1b[1J", &["", "  hij"]);
}

#[test]
fn commands_without_sense_do_no_harm() {
    for numbers in ["", "0", "65535", "65535;65535;65535;65535;65535;65535;65535;65535", "9;9;1;1;1;1;1", "1;1;1;1"] {
        for command in
            ["s", "a", "e", " @", " A", "'}", "'~", "$x", "$z", "${", "$v", "$r", "$t", "*x", "r", "@", "P", "L", "M"]
        {
            let mut emulator = after(Size::new(3, 2), "\x1b[?69h\x1b[2;3sabc中\r\nd\x1b[?6h");
            emulator
                .feed(format!("\x1b[{numbers}{command}\x1b[1;1H\x1b[{numbers}{command}x\x1b6\x1b6\x1b9").as_bytes());
            emulator.frame();
        }
    }
}

/// A piece of a script for the second model, which knows ASCII and little more.
fn piece() -> impl Strategy<Value = String> {
    let number = || 0..12u16;
    let simple = prop::sample::select(vec![
        "\r\n",
        "\n",
        "\r",
        "\x08",
        "\x1bD",
        "\x1bE",
        "\x1bM",
        "\x1b7",
        "\x1b8",
        "\x1b[H",
        "\x1b[J",
        "\x1b[1J",
        "\x1b[K",
        "\x1b[1K",
        "\x1b[2K",
        "\x1b[s",
        "\x1b[r",
        "\x1b[?69h",
        "\x1b[?69h",
        "\x1b[?69l",
        "\x1b[?47h",
        "\x1b[?47l",
        "\x1b[?1047h",
        "\x1b[?1047l",
        "\x1b[?1049h",
        "\x1b[?1049l",
        "\x1b[?1048h",
        "\x1b[?1048l",
        "\x1b[?6h",
        "\x1b[?6l",
        "\x1b[?7h",
        "\x1b[?7l",
        "\x1b[?45h",
        "\x1b[?45l",
        "\x1b[4h",
        "\x1b[4l",
        "\x1b[!p",
        "\x1bc",
        "\x1b6",
        "\x1b9",
        "\x1b[2*x",
        "\x1b[1*x",
        "\x1b[41m",
        "\x1b[1m",
        "\x1b[5m",
        "\x1b[m",
        "\x1b[1\"q",
        "\x1b[2\"q",
        "\x1b[?J",
        "\x1b[?1J",
        "\x1b[?2J",
        "\x1b[?K",
        "\x1b[?1K",
        "\x1b[?2K",
        "\x1b[?40h",
        "\x1b[?3h",
    ]);
    let one = (
        number(),
        prop::sample::select(vec!["A", "B", "C", "D", "E", "F", "G", "d", "L", "M", "@", "P", "X", "S", "T"]),
    );
    let sideways = (number(), prop::sample::select(vec![" @", " A", "'}", "'~", "a", "e"]));
    let area = (vec(number(), 4), prop::sample::select(vec!["$z", "${", "$r", "$t"]));
    prop_oneof![
        8 => "[a-z]{1,9}",
        8 => simple.prop_map(str::to_owned),
        6 => one.prop_map(|(count, last)| format!("\x1b[{count}{last}")),
        3 => sideways.prop_map(|(count, last)| format!("\x1b[{count}{last}")),
        4 => (number(), number()).prop_map(|(row, column)| format!("\x1b[{row};{column}H")),
        3 => (number(), number()).prop_map(|(left, right)| format!("\x1b[{left};{right}s")),
        2 => (number(), number()).prop_map(|(top, bottom)| format!("\x1b[{top};{bottom}r")),
        2 => (area, prop::sample::select(vec!["", ";1", ";5", ";7;22;25", ";0"])).prop_map(|((corners, last), attributes)| {
            let attributes = if last == "$r" || last == "$t" { attributes } else { "" };
            let corners: Vec<String> = corners.iter().map(u16::to_string).collect();
            format!("\x1b[{}{attributes}{last}", corners.join(";"))
        }),
        1 => vec(number(), 4).prop_map(|area| format!("\x1b[88;{};{};{};{}$x", area[0], area[1], area[2], area[3])),
        2 => vec(number(), 6).prop_map(|at| format!(
            "\x1b[{};{};{};{};1;{};{};1$v", at[0], at[1], at[2], at[3], at[4], at[5]
        )),
    ]
}

/// A line's cells as the second model has them.
fn cells(line: &Line, cols: u16) -> Vec<Cell> {
    let mut cells = Vec::new();
    for run in &line.runs {
        let has = |attribute| run.style.attributes.contains(attribute);
        let (bold, inverse, blinks) = (has(Attributes::BOLD), has(Attributes::INVERSE), has(Attributes::BLINK));
        let colored = run.style.background != Color::Default;
        cells.extend(run.text.chars().map(|c| Cell { c, bold, inverse, colored, blinks, protected: false }));
    }
    cells.resize(cols.into(), Cell::default());
    cells
}

fn compare(emulator: &mut Emulator, reference: &Reference, script: &[String]) {
    emulator.frame();
    let head = emulator.head().clone();
    let shown: Vec<Vec<Cell>> =
        (0..u64::from(head.size.rows)).map(|row| cells(&line(emulator, row), head.size.cols)).collect();
    assert_eq!(reference.drawn(&shown), reference.drawn(reference.window()), "the window after {script:?}");
    assert_eq!(
        (usize::from(head.cursor.row), usize::from(head.cursor.col)),
        reference.cursor(),
        "the cursor after {script:?}"
    );
    assert_eq!(head.space == Space::Alternate, reference.is_alternate(), "the screen after {script:?}");
    if head.space == Space::Main {
        let past: Vec<Vec<Cell>> = (head.floor..head.top)
            .map(|number| Line::decode(emulator.line(Space::Main, number).expect("it is kept").1).expect("canonical"))
            .map(|line| cells(&line, head.size.cols))
            .collect();
        assert_eq!(reference.drawn(&past), reference.drawn(reference.history()), "the history after {script:?}");
    }
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("TERMINAL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1500);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn scripts_with_margins_rectangles_and_both_screens_show_what_a_slow_model_shows(
        cols in 2..11u16, rows in 2..9u16, script in vec(piece(), 1..40)
    ) {
        let mut emulator = Emulator::new(Size::new(cols, rows), 100_000);
        let mut reference = Reference::new(cols.into(), rows.into());
        for (index, piece) in script.iter().enumerate() {
            emulator.feed(piece.as_bytes());
            reference.feed(piece.as_bytes());
            compare(&mut emulator, &reference, &script[..=index]);
        }
    }
}
