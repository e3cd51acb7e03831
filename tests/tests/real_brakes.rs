//! The person at the host's own terminal stops at once whatever a viewer types and the program prints.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use beach_tests::real::{Links, Pane, Scratch, Tmux, eventually, holds};

const SOON: Duration = Duration::from_secs(20);

/// The promise is 50 ms. tmux needs a part of that to press the key and to look, and a busy machine needs more.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Removed by the host: see docs/CLI.md.
const REMOVED: i32 = 5;

/// A host in a terminal that shares `command`, and a viewer who may type.
fn shared<'a>(tmux: &'a Tmux, command: &str) -> (Pane<'a>, Pane<'a>) {
    let script = format!("exec beach share --listen 127.0.0.1:0 --escape '^]' -- {command}");
    let host = tmux.pane("host", (80, 24), &script);
    let links = eventually("the links on the host's pane", SOON, || Links::in_text(&host.everything()));
    let viewer = tmux.pane("viewer", (80, 24), &format!("exec beach join '{}'", links.control));
    (host, viewer)
}

/// The viewer types 20 KB.
fn types_a_lot(viewer: &Pane<'_>) {
    for _ in 0..20 {
        viewer.types(&"x".repeat(1000));
    }
}

/// The same, and the terminal of a program that reads nothing echoes as much of it as the terminal takes.
fn types_more_than_the_terminal_takes(viewer: &Pane<'_>, host: &Pane<'_>) {
    types_a_lot(viewer);
    holds("the typing is at the host", SOON, || {
        host.rows().iter().filter(|row| row.contains("xxxxxxxxxx")).count() > 5
    });
}

/// The host removes the only viewer by its escape.
fn removes(host: &Pane<'_>, viewer: &Pane<'_>) {
    host.presses("C-]");
    host.presses("k");
    host.shows("remove which viewer?", SOON);
    host.types("1");
    host.presses("Enter");
    assert_eq!(viewer.end(SOON), REMOVED);
}

#[test]
fn against_a_flood_typing_and_a_paste_without_an_end_ctrl_c_works_at_once_and_the_viewer_is_removed() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let shell = scratch.write("bashrc", "PS1='p\\#$ '\n");
    let (host, viewer) = shared(&tmux, &format!("bash --rcfile {}", shell.display()));
    viewer.shows("p1$", SOON);
    host.types_line("yes");
    holds("the flood", SOON, || viewer.rows().iter().filter(|row| *row == "y").count() > 20);

    types_a_lot(&viewer);
    viewer.types("\x1b[200~A paste that nobody ends");
    let start = Instant::now();
    host.presses("C-c");
    holds("the prompt", SOON, || host.rows().iter().any(|row| row.starts_with("p2$")));
    let took = start.elapsed();
    println!("from Ctrl-C to the next prompt, as tmux sees it: {took:?}");
    assert!(took < AT_ONCE, "{took:?}");

    removes(&host, &viewer);
}

#[test]
fn while_a_program_reads_nothing_ctrl_c_ends_it_at_once_whatever_a_viewer_has_typed() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let (host, viewer) = shared(&tmux, "sh -c 'echo sleeps; exec sleep 100'");
    viewer.shows("sleeps", SOON);
    types_more_than_the_terminal_takes(&viewer, &host);
    let start = Instant::now();
    host.presses("C-c");
    assert_eq!(host.end(SOON), 130);
    let took = start.elapsed();
    println!("from Ctrl-C to the end of share, as tmux sees it: {took:?}");
    // The viewer gets the last screen first, and has 3 s for that.
    assert!(took < AT_ONCE + Duration::from_secs(3), "{took:?}");
}

#[test]
fn while_a_program_in_raw_mode_reads_nothing_the_hosts_escape_removes_a_viewer_at_once() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let (host, viewer) = shared(&tmux, "sh -c 'stty raw; echo sleeps; exec sleep 100'");
    viewer.shows("sleeps", SOON);
    types_more_than_the_terminal_takes(&viewer, &host);
    let start = Instant::now();
    host.presses("C-]");
    host.presses("k");
    host.shows("remove which viewer?", SOON);
    let took = start.elapsed();
    println!("from the escape to the question, as tmux sees it: {took:?}");
    assert!(took < AT_ONCE, "{took:?}");
    host.types("1");
    host.presses("Enter");
    assert_eq!(viewer.end(SOON), REMOVED);
}
