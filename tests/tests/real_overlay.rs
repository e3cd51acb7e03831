//! Rows of our own over a viewer's terminal: they stay readable while the program prints, and take nothing with them.

use std::process::Command;
use std::time::{Duration, Instant};

use beach_tests::real::{Host, Pane, Process, Scratch, Tmux, beach, holds, join};

const SOON: Duration = Duration::from_secs(20);
const SIZE: (u16, u16) = (60, 16);

/// A notice is readable for at least this long. The way of the last frame to tmux may take a moment of it.
const READABLE: Duration = Duration::from_millis(3_800);

/// Prints a number every 5 ms until the file `stop` is there.
const COUNTS: &str =
    "i=0; while [ ! -e stop ]; do i=$((i+1)); echo $i; sleep 0.005; done; echo END-$i; exec cat > typed";

fn counting(scratch: &Scratch) -> Host {
    let folder = scratch.folder().display();
    Host::start(
        scratch,
        &["--size", "60x16"],
        &["sh", "-c", &format!("cd '{folder}'; stty raw -echo opost onlcr; {COUNTS}")],
    )
}

fn says(scratch: &Scratch, text: &str) {
    does(scratch, &["say", text]);
}

fn does(scratch: &Scratch, args: &[&str]) {
    let mut command: Command = beach(scratch, args);
    assert!(command.output().expect("beach runs").status.success(), "{args:?}");
}

fn is_shown(pane: &Pane<'_>, text: &str) -> bool {
    pane.rows().iter().any(|row| row.contains(text))
}

/// The program ends its counting; every number stands in the viewer's terminal once, in order, and nothing else but the
/// last line.
fn everything_is_there(scratch: &Scratch, pane: &Pane<'_>) {
    scratch.write("stop", "");
    pane.shows("END-", SOON);
    let lines = || -> Vec<String> {
        let all = pane.everything();
        let counted = all.lines().skip_while(|line| line.trim() != "1");
        counted.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    };
    let expected = |last: &str| -> Vec<String> {
        let last: u32 = last.strip_prefix("END-").and_then(|last| last.parse().ok()).unwrap_or(0);
        (1..=last).map(|number| number.to_string()).chain([format!("END-{last}")]).collect()
    };
    holds("each number once, and nothing of ours", SOON, || {
        let lines = lines();
        lines.last().is_some_and(|last| lines == expected(last))
    });
}

#[test]
fn what_the_host_says_stays_readable_while_the_program_prints_and_takes_no_line_away() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = counting(&scratch);
    let viewer = tmux.pane("viewer", SIZE, &format!("exec beach join '{}'", host.links.control));
    viewer.shows("40", SOON);

    says(&scratch, "the build is broken");

    holds("what the host said", SOON, || is_shown(&viewer, "the build is broken"));
    let (shown, mut looks) = (Instant::now(), 0);
    while shown.elapsed() < READABLE {
        assert!(is_shown(&viewer, "the build is broken"), "gone after {:?}", shown.elapsed());
        looks += 1;
    }
    assert!(looks > 10, "looked {looks} times");
    holds("it goes by itself", SOON, || !is_shown(&viewer, "the build is broken"));
    everything_is_there(&scratch, &viewer);
}

#[test]
fn help_stays_until_a_key_which_is_not_typed_and_takes_no_line_away() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = counting(&scratch);
    let viewer = tmux.pane("viewer", SIZE, &format!("exec beach join '{}'", host.links.control));
    viewer.shows("40", SOON);

    viewer.types("~?");

    holds("the help", SOON, || is_shown(&viewer, "leave") && is_shown(&viewer, "this help"));
    let shown = Instant::now();
    while shown.elapsed() < READABLE {
        assert!(is_shown(&viewer, "leave") && is_shown(&viewer, "this help"), "gone after {:?}", shown.elapsed());
    }
    viewer.types("q");
    holds("the help goes", SOON, || !is_shown(&viewer, "this help"));
    // The key that closed the help stands in no line: what comes next is at the start of one.
    viewer.types("~?");
    holds("the help again", SOON, || is_shown(&viewer, "this help"));
    viewer.types("q");
    holds("the help goes again", SOON, || !is_shown(&viewer, "this help"));
    everything_is_there(&scratch, &viewer);
    viewer.types("typed");
    holds("what was typed", SOON, || !scratch.read("typed").is_empty());
    assert_eq!(scratch.read("typed"), "typed");
}

#[test]
fn a_long_notice_wraps_in_a_narrow_window() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = Host::start(&scratch, &[], &["sh", "-c", "printf READY; exec sleep 100"]);
    let viewer = tmux.pane("viewer", (30, 10), &format!("exec beach join '{}'", host.links.control));
    viewer.shows("READY", SOON);

    says(&scratch, "the first words of a sentence that is longer than a row, and the last ones");

    holds("its beginning and its end", SOON, || {
        is_shown(&viewer, "first words of a") && is_shown(&viewer, "last ones")
    });
    holds("the program's screen again", SOON, || !is_shown(&viewer, "last ones") && viewer.rows()[0] == "READY");
}

#[test]
fn people_who_may_only_watch_see_who_types_and_their_own_keys_and_leave_in_the_middle_of_a_line() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = Host::start(&scratch, &[], &["sh", "-c", "stty raw -echo; printf READY; exec cat > typed"]);
    let mut ann = Process::start(&mut join(&scratch, &["--json", "--name", "ann", &host.links.control]));
    ann.line("the first screen", SOON, |line| line.contains("first_screen"));
    let bob = tmux.pane("bob", SIZE, &format!("exec beach join --name bob '{}'", host.links.view));
    bob.shows("READY", SOON);

    bob.types("~m");
    holds("the list", SOON, || is_shown(&bob, "2 viewers are here") && is_shown(&bob, "\"ann\"  may type"));
    assert!(is_shown(&bob, "\"bob\"  may only watch  (you)"), "{:#?}", bob.rows());
    ann.write("x");
    holds("ann types", SOON, || is_shown(&bob, "\"ann\"  may type, types now"));
    holds("ann has typed", SOON, || !is_shown(&bob, "types now"));
    bob.types("q");
    holds("the list goes", SOON, || !is_shown(&bob, "(you)"));

    bob.types("ls~?");
    holds("the help", SOON, || is_shown(&bob, "your keys; you can only watch") && is_shown(&bob, "this help"));
    assert!(!is_shown(&bob, "~~") && !is_shown(&bob, "start of a line"), "{:#?}", bob.rows());
    bob.types("q");
    holds("the remark about the keys", SOON, || is_shown(&bob, "You can only watch. Leave: ~.  Help: ~?"));
    bob.types("ls~.");
    assert_eq!(bob.end(SOON), 0);
}

#[test]
fn a_viewer_reads_that_the_host_took_the_keyboard_and_paused_also_in_a_low_window() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = Host::start(&scratch, &[], &["sh", "-c", "printf READY; exec sleep 100"]);
    let viewer = tmux.pane("viewer", (80, 12), &format!("exec beach join '{}'", host.links.control));
    viewer.shows("READY", SOON);

    does(&scratch, &["revoke", "1"]);
    viewer.shows("The host took the keyboard away; you can only watch now.", SOON);
    says(&scratch, "a first sentence");
    says(&scratch, "a second sentence");
    does(&scratch, &["pause"]);
    viewer.shows("beach: the host paused the session; you see nothing new and cannot type.", SOON);
    viewer.shows("the host says: a second sentence", SOON);
    holds("the remarks go", SOON, || !is_shown(&viewer, "sentence"));
    viewer.shows("the host paused the session", SOON);
    does(&scratch, &["grant", "1"]);
    viewer.shows("The host gave you the keyboard; you can type now.", SOON);
    does(&scratch, &["resume"]);
    holds("the pause is over", SOON, || !is_shown(&viewer, "paused"));
}
