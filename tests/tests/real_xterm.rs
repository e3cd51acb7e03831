//! A host whose own terminal is a real xterm: the page that xterm prints equals the viewer's screen.

use std::time::{Duration, Instant};

use beach_tests::real::{Links, Pane, Rows, Scratch, Tmux, Xterm, beach, eventually, holds, wait};

const SOON: Duration = Duration::from_secs(20);
const SIZE: (u16, u16) = (100, 30);

/// A screen that has not changed for this long waits for a key.
const QUIET: Duration = Duration::from_millis(300);

/// How left and right margins are switched on, as a recording spells the bytes.
const MARGINS_ON: &str = r"\u001b[?69h";

/// A session in an xterm, and a viewer that types.
struct Session<'a> {
    xterm: Xterm,
    viewer: Pane<'a>,
    scratch: &'a Scratch,
}

impl<'a> Session<'a> {
    fn start(scratch: &'a Scratch, tmux: &'a Tmux) -> Session<'a> {
        let long: String = (1..=300).map(|line| format!("line {line} of a text, with words and 漢字\n")).collect();
        scratch.write("long.txt", long);
        let share = "beach share --listen 127.0.0.1:0 --no-approve --quiet-members --record cast --log-file host.log";
        let xterm = Xterm::start(scratch, SIZE, &format!("exec {share} -- sh"));
        let links = eventually("the links", SOON, || {
            let told = beach(scratch, &["status"]).output().expect("beach runs").stdout;
            Links::in_text(&String::from_utf8_lossy(&told))
        });
        let viewer = tmux.pane("viewer", SIZE, &format!("exec beach join --log-file viewer.log '{}'", links.control));
        holds("the prompt", SOON, || viewer.rows().iter().any(|row| row == "$"));
        viewer.types_line("clear");
        holds("an empty screen", SOON, || viewer.rows().iter().filter(|row| !row.is_empty()).eq(["$"]));
        Session { xterm, viewer, scratch }
    }

    /// The viewer's screen, when nothing has changed there for a while: a program that waits for a key prints nothing.
    #[track_caller]
    fn quiet(&self) -> Rows {
        let mut last = (Rows::new(), Instant::now());
        eventually("a viewer whose screen does not change", SOON, || {
            let shown = self.viewer.cells();
            if shown != last.0 {
                last = (shown, Instant::now());
            }
            (last.1.elapsed() > QUIET).then(|| last.0.clone())
        })
    }

    /// All rows of xterm and viewer are the same: characters, colours, attributes.
    ///
    /// # Panics
    /// If they are not within some seconds.
    #[track_caller]
    fn is_the_same(&self, after: &str) {
        let mut different = None;
        wait(SOON / 2, || {
            let viewer = self.quiet();
            different = self.xterm.differences(&viewer);
            different.is_none().then_some(())
        });
        assert_eq!(different, None, "after {after:?}, host is xterm's page");
    }

    /// Types each of these, and compares the screens after each.
    #[track_caller]
    fn types(&self, keys: &[&str]) {
        for key in keys {
            self.viewer.types(key);
            self.is_the_same(key);
        }
    }

    /// Whether a program has printed this.
    fn was_printed(&self, escaped: &str) -> bool {
        self.scratch.read("cast").contains(escaped)
    }
}

#[test]
fn tmux_with_two_panes_side_by_side_looks_the_same() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let session = Session::start(&scratch, &tmux);
    // tmux asks the terminal what it can do, and an xterm has margins.
    session.viewer.types_line("tmux -S inner -f /dev/null new-session sh");
    holds("tmux inside", SOON, || session.viewer.rows().iter().any(|row| row.starts_with("[0] 0:sh")));

    session.types(&["seq 1 60\r", "\x02%", "seq 100 180\r", "cat long.txt\r", "\x02o", "seq 200 260\r"]);
    // The history of one side is looked through, while the other stays.
    session.types(&["\x02[", "\x1b[5~", "\x1b[A\x1b[A\x1b[A", "q", "\x02{", "clear\r", "ls\r"]);

    assert!(session.was_printed(MARGINS_ON), "tmux used no margins");
    session.viewer.types_line("tmux -S inner kill-server");
    holds("the end of tmux", SOON, || session.viewer.rows().iter().any(|row| row.contains("exited")));
    session.is_the_same("the end of tmux");
}

#[test]
fn nvim_with_a_vertical_split_looks_the_same() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let session = Session::start(&scratch, &tmux);
    session.viewer.types_line("nvim -u NONE -i NONE -n long.txt");
    session.viewer.shows("line 20 of a text", SOON);

    session.types(&[":vsplit\r", "\x05\x05\x05", "\x06", "\x19", ":set number\r", "\x17w", "3dd", "p", "u", "\x04"]);
    session.types(&[
        "otext in the middle\x1b",
        ":split\r",
        "\x05",
        "dd",
        "\x17w",
        "\x19\x19",
        ":set hlsearch\r",
        "/words\r",
    ]);

    assert!(session.was_printed(MARGINS_ON), "nvim used no margins");
    session.viewer.types_line(":qa!");
    holds("the prompt", SOON, || session.viewer.rows().iter().filter(|row| !row.is_empty()).count() < 4);
    session.is_the_same("the end of nvim");
}

#[test]
fn dialogs_look_the_same_and_leave_the_same() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let session = Session::start(&scratch, &tmux);
    session.types(&["seq 1 8\r"]);
    session.viewer.types_line("dialog --menu Which? 12 40 4 a One b Two c Three; echo left");
    session.viewer.shows("Which?", SOON);

    session.types(&["\x1b[B", "\x1b[B", "\t"]);
    session.viewer.types("\r");
    session.viewer.shows("left", SOON);
    session.is_the_same("the end of the menu");
    session.viewer.types_line("dialog --yesno 'Really?' 7 30; echo left again");
    session.viewer.shows("Really?", SOON);
    session.is_the_same("the question");
    session.viewer.types("\r");
    session.viewer.shows("left again", SOON);
    session.is_the_same("the end of the question");
}

#[test]
fn a_terminal_that_is_initialised_looks_the_same() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let session = Session::start(&scratch, &tmux);

    // tput prints `is2` and more: DECSTR, DECCOLM, insert mode, keypad.
    session.types(&["seq 1 8; echo keep; tput init; echo after\r", "printf 'no\\ttab'; tput smir; tput init; echo\r"]);
    session.types(&[
        "tput csr 5 10; tput cup 8 0; tput init; seq 1 30\r",
        "tput smacs; printf qqq; tput init; echo qqq\r",
    ]);
    session.types(&["tput smglr 10 30; seq 1 40; tput init; seq 1 40\r", "tput reset; echo fresh\r"]);

    assert!(session.was_printed(r"\u001b[!p"), "tput printed no DECSTR");
}

#[test]
fn a_window_that_grows_and_shows_rows_of_its_scrollback_again_looks_the_same() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let session = Session::start(&scratch, &tmux);
    session.types(&["seq 1 100\r"]);

    for (rows, first) in [(45, "57"), (30, "72"), (60, "42"), (20, "82")] {
        session.viewer.resize((SIZE.0, rows));
        session.xterm.resize((SIZE.0, rows));
        holds("the first row", SOON, || session.viewer.rows().first().is_some_and(|row| row == first));
        session.is_the_same(&format!("a change to {rows} rows"));
    }
    session.types(&["echo one more line\r", "clear\r"]);
    session.viewer.resize(SIZE);
    session.xterm.resize(SIZE);
    session.types(&["seq 1 3\r"]);
}
