//! Lines that scrolled off are in the scrollback of the viewer's own terminal: from before the join, during it, and
//! through resizes.

use std::time::Duration;

use beach_tests::real::{Host, Pane, Scratch, Tmux, holds};

const SOON: Duration = Duration::from_secs(20);

/// The numbers that stand alone on a line, from the oldest line of the scrollback to the last of the window.
fn numbers(pane: &Pane<'_>) -> Vec<u32> {
    // A viewer that is wider than the session shows where it ends.
    pane.everything().lines().filter_map(|line| line.trim_end_matches('│').trim().parse().ok()).collect()
}

fn shell(scratch: &Scratch) -> Host {
    let rc = scratch.write("bashrc", "PS1='$ '\n");
    Host::start(scratch, &["--size", "80x24"], &["bash", "--rcfile", rc.to_str().expect("text")])
}

fn join<'a>(tmux: &'a Tmux, name: &str, size: (u16, u16), host: &Host, flags: &str) -> Pane<'a> {
    let pane = tmux.pane(name, size, &format!("exec beach join {flags} '{}'", host.links.control));
    holds("the prompt", SOON, || pane.rows().iter().any(|row| row.starts_with('$')));
    pane
}

#[test]
fn every_line_is_in_the_viewers_scrollback_once_and_in_order_those_from_before_it_came_too() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = shell(&scratch);
    let first = join(&tmux, "first", (80, 24), &host, "");
    first.types_line("seq 1 500");
    holds("all of them", SOON, || numbers(&first) == (1..=500).collect::<Vec<_>>());

    let late = join(&tmux, "late", (100, 30), &host, "");
    holds("all of them for a late one too", SOON, || numbers(&late) == (1..=500).collect::<Vec<_>>());
    late.types_line("for i in $(seq 501 600); do echo $i; sleep 0.005; done");
    holds("those that came slowly", SOON, || numbers(&late) == (1..=600).collect::<Vec<_>>());
    holds("and for the first one", SOON, || numbers(&first) == (1..=600).collect::<Vec<_>>());
}

#[test]
fn a_long_line_is_copied_as_one_from_the_viewers_screen_and_from_its_scrollback() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let rc = scratch.write("bashrc", "PS1='$ '\n");
    let host = Host::start(&scratch, &["--size", "60x12"], &["bash", "--rcfile", rc.to_str().expect("text")]);
    let viewer = join(&tmux, "viewer", (60, 12), &host, "");
    let url = format!("https://example.org/{}", "0123456789abcdef-abc".repeat(7)) + "0123456789";
    let expected = format!("{url}xx");
    assert_eq!(expected.len(), 172);
    let count = || viewer.everything().lines().filter(|line| line.trim_end() == expected).count();
    viewer.types_line(&format!("clear; echo {url}'xx'"));
    holds("one line on screen", SOON, || count() == 1);
    viewer.types_line("seq 1 40");
    holds("the last number", SOON, || viewer.rows().iter().any(|row| row == "40"));
    holds("one line in the scrollback", SOON, || count() == 1);
    // So much at once that no row of the second one stands on the screen.
    viewer.types_line(&format!("echo {url}'xx'; seq 41 200"));
    holds("the last number", SOON, || viewer.rows().iter().any(|row| row == "200"));
    holds("two lines in the scrollback", SOON, || count() == 2);
}

#[test]
fn a_line_ends_in_a_row_in_which_another_one_went_on() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let (longer, line) = ("a".repeat(200), "b".repeat(172));
    let write = format!("printf '\\033[H{longer}'; read x; printf '\\033[H{line}\\033[K\\r\\n$ \\033[J'");
    let script = format!("printf '$ '; read x; {write}; exec cat");
    let host = Host::start(&scratch, &["--size", "60x12"], &["sh", "-c", &script]);
    let viewer = join(&tmux, "viewer", (60, 12), &host, "");
    let is_one = |line: &str| viewer.everything().lines().any(|row| row.trim_end() == line);
    viewer.types_line("1");
    holds("four rows are one line", SOON, || is_one(&longer));
    viewer.types_line("2");
    holds("three rows are one line", SOON, || is_one(&line));
}

#[test]
fn with_alt_the_viewers_scrollback_is_left_alone() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = shell(&scratch);
    let viewer = join(&tmux, "viewer", (80, 24), &host, "--alt");
    viewer.types_line("seq 1 500");
    holds("the end", SOON, || viewer.rows().iter().any(|row| row == "500"));
    assert!(!numbers(&viewer).contains(&1), "{:?}", numbers(&viewer));
}

/// Sixty numbers at a time, and between them changes of the viewer's window: those that are missing and those that
/// stand there twice or more.
fn after_changes(pause: Duration) -> (Vec<u32>, Vec<u32>, String) {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = shell(&scratch);
    let viewer = join(&tmux, "viewer", (80, 24), &host, "");
    let mut last = 0;
    for rows in [24, 30, 18, 24, 40, 10, 24] {
        std::thread::sleep(pause);
        viewer.resize((80, rows));
        let mut looks = Vec::new();
        holds("the new size is painted, and nothing changes any more", SOON, || {
            looks.push((viewer.rows(), viewer.cursor()));
            looks.len() > 20 && looks[looks.len() - 20..].windows(2).all(|pair| pair[0] == pair[1])
        });
        let from = last + 1;
        last += 60;
        viewer.types_line(&format!("seq {from} {last}"));
        holds("the newest line", SOON, || numbers(&viewer).last() == Some(&last));
    }
    let count = |number: u32| numbers(&viewer).iter().filter(|seen| **seen == number).count();
    let missing = (1..=last).filter(|number| count(*number) == 0).collect();
    let doubled = (1..=last).filter(|number| count(*number) > 1).collect();
    (missing, doubled, viewer.everything())
}

#[test]
fn a_viewer_that_changes_its_window_loses_no_line_and_sees_at_most_a_screenful_twice() {
    // Longer than what was painted stays in doubt.
    let (missing, doubled, all) = after_changes(Duration::from_millis(600));
    assert!(missing.is_empty() && doubled.len() <= 40, "missing {missing:?}, twice {doubled:?}:\n{all}");
}

#[test]
fn a_window_that_changes_while_lines_come_loses_none() {
    let (missing, doubled, all) = after_changes(Duration::ZERO);
    assert!(missing.is_empty(), "missing {missing:?}, twice {doubled:?}:\n{all}");
}
