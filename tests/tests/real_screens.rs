//! A viewer's terminal shows the same as the host's: same characters, colours, cursor and size.

use std::time::Duration;

use beach_tests::real::{Color, Links, Pane, Scratch, Tmux, alike, eventually, holds};

const SOON: Duration = Duration::from_secs(10);

const SIZE: (u16, u16) = (80, 24);

/// Shares `bash` in a pane of its own, and returns the pane and the link.
fn share<'a>(tmux: &'a Tmux, scratch: &Scratch) -> (Pane<'a>, String) {
    let shell = scratch.write("bashrc", "PS1='$ '\n");
    let script =
        format!("exec beach share --listen 127.0.0.1:0 --log-file host.log -- bash --rcfile {}", shell.display());
    let host = tmux.pane("host", SIZE, &script);
    let links = eventually("the links on the host's pane", SOON, || Links::in_text(&host.everything()));
    holds("the prompt", SOON, || host.rows().iter().any(|row| row == "$"));
    (host, links.control)
}

fn join<'a>(tmux: &'a Tmux, name: &str, link: &str) -> Pane<'a> {
    tmux.pane(name, SIZE, &format!("exec beach join --log-file {name}.log '{link}'"))
}

/// Runs a program in the shared shell, seen by a viewer from before it started and by one who comes later, and again
/// after each of `keys`.
fn is_seen_alike(program: &str, shows: &str, keys: &[&str]) {
    let scratch = Scratch::new();
    let text: String =
        (1..=500).map(|line| format!("line {line} of a long file, with a tab\there and žluťoučký 漢字\n")).collect();
    scratch.write("long.txt", text);
    let tmux = Tmux::start(&scratch);
    let (host, link) = share(&tmux, &scratch);
    let early = join(&tmux, "early", &link);
    holds("the early viewer's prompt", SOON, || early.rows().iter().any(|row| row == "$"));

    host.types_line(program);
    host.shows(shows, SOON);
    let late = join(&tmux, "late", &link);
    late.shows(shows, SOON);

    alike(&host, &early);
    alike(&host, &late);
    for key in keys {
        host.presses(key);
        alike(&host, &early);
        alike(&host, &late);
    }
}

#[test]
fn vim_looks_the_same_to_an_early_and_a_late_viewer() {
    let vim = "vim -u NONE -N -c 'syntax on' -c 'set number ruler hlsearch' -c '/long' long.txt";
    is_seen_alike(vim, "of a long file", &["C-f", "C-d", "G", "i", "x", "Escape", "v", "k", "k"]);
}

#[test]
fn less_looks_the_same_to_an_early_and_a_late_viewer() {
    is_seen_alike("less -N long.txt", "line 3 of a long file", &["Space", "j", "k", "G", "b", "/", "5", "Enter", "h"]);
}

#[test]
fn htop_looks_the_same_to_an_early_and_a_late_viewer() {
    is_seen_alike("htop -d 100", "F10", &["Down", "Down", "F2", "Down", "Escape", "F5"]);
}

#[test]
fn mc_looks_the_same_to_an_early_and_a_late_viewer() {
    is_seen_alike("mc -u", "10Quit", &["Down", "Tab", "F9", "Right", "Down", "Escape"]);
}

#[test]
fn all_kinds_of_colours_and_attributes_look_the_same_to_an_early_and_a_late_viewer() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let pattern = scratch.write("pattern.sh", PATTERN);
    let (host, link) = share(&tmux, &scratch);
    let early = join(&tmux, "early", &link);
    holds("the early viewer's prompt", SOON, || early.rows().iter().any(|row| row == "$"));

    host.types_line(&format!("clear; bash {}", pattern.display()));
    host.shows("the pattern ends", SOON);
    let late = join(&tmux, "late", &link);
    late.shows("the pattern ends", SOON);

    alike(&host, &early);
    alike(&host, &late);
    let cells: Vec<_> = late.cells().into_iter().flatten().collect();
    let has = |color| cells.iter().any(|cell| cell.background == color || cell.foreground == color);
    assert!(has(Color::Indexed(1)) && has(Color::Indexed(9)), "16 colours");
    assert!(has(Color::Indexed(196)) && has(Color::Indexed(240)), "256 colours");
    assert!(has(Color::Rgb(255, 100, 0)) && has(Color::Rgb(0, 20, 200)), "RGB");
}

#[test]
fn joined_emoji_leave_nothing_of_the_text_below_them() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let (host, link) = share(&tmux, &scratch);
    let viewer = join(&tmux, "viewer", &link);
    holds("the viewer's prompt", SOON, || viewer.rows().iter().any(|row| row == "$"));

    host.types_line("clear; printf 'qqqqqqq\\nready\\n'; read -r _; printf '\\e[H\\U1f468\\u200d\\U1f469\\u200d\\U1f467\\e[4Hdone'; read -r _");
    holds("the text below the emoji", SOON, || viewer.rows()[..2] == ["qqqqqqq", "ready"]);
    host.presses("Enter");
    viewer.shows("done", SOON);
    let row = viewer.rows()[0].clone();
    assert_eq!(row.matches('q').count(), 1, "{row:?}");
}

/// 16 and 256 colours, RGB, attributes, wide and combining characters, an erased line on a colour (with something at
/// its end: of cells that were only erased tmux tells nothing), and a cursor in the middle.
const PATTERN: &str = r"
for i in 0 1 2 3 4 5 6 7; do printf '\e[3%dmfg%d \e[9%dmbright \e[0m\e[4%dm  \e[10%dm  \e[0m' $i $i $i $i $i; [ $i = 3 ] && echo; done; echo
for i in $(seq 16 7 255); do printf '\e[48;5;%dm ' $i; done; printf '\e[0m\n'
for i in 196 202 240 250; do printf '\e[38;5;%dmcolour%d ' $i $i; done; printf '\e[0m\n'
for i in 0 20 40 60 80 100; do printf '\e[48;2;%d;%d;200m\e[38;2;255;100;%dmX' $i 20 $i; done; printf '\e[0m\n'
printf '\e[1mbold\e[0m \e[2mdim\e[0m \e[3mitalic\e[0m \e[4munder\e[0m \e[7mreverse\e[0m \e[9mstrike\e[0m \e[8mhidden\e[0m\n'
printf '\e[5mblinking\e[0m \e[53moverlined\e[0m \e[1;21mbold and double\e[0m\n'
printf '\e[4:3mcurly\e[0m \e[4:2mdouble\e[0m \e[58;5;196;4mred underline\e[0m \e[58:2::1:2:3;4mrgb underline\e[0m\n'
printf '漢字 wide, e\xcc\x81 combining, \xf0\x9f\x99\x82 emoji, \xe2\x94\x80\xe2\x94\x82 lines\n'
printf '\e(0lqqk\e(B drawn, a\tb\tc tabs\n'
printf '\e[44mto the end of the line\e[K\e[80G|\e[0m\n'
printf '\e[41m\e[3X\e[0m\e[5Cerased\n'
printf 'the pattern ends\n\e[5;11H'
read -r _
";
