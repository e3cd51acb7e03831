//! The host's terminal is a pane of tmux that grows and pulls rows back out of its scrollback: the viewer's pane shows
//! the same rows, and has each line once.

use std::time::Duration;

use beach_tests::real::{Links, Pane, Scratch, Tmux, alike, beach, eventually, holds};

const SOON: Duration = Duration::from_secs(20);

const LOW: (u16, u16) = (80, 10);
const HIGH: (u16, u16) = (80, 30);

/// A session in a pane of ten rows, and a viewer in another one.
struct Session<'a> {
    host: Pane<'a>,
    viewer: Pane<'a>,
}

impl<'a> Session<'a> {
    fn start(scratch: &'a Scratch, tmux: &'a Tmux, before: &str, size: (u16, u16)) -> Session<'a> {
        let share = "beach share --listen 127.0.0.1:0 --no-approve --quiet-members --log-file host.log";
        let host = tmux.pane("host", LOW, &format!("{before} exec {share} -- sh"));
        let links = eventually("the links", SOON, || {
            let told = beach(scratch, &["status"]).output().expect("beach runs").stdout;
            Links::in_text(&String::from_utf8_lossy(&told))
        });
        let viewer = tmux.pane("viewer", size, &format!("exec beach join --log-file viewer.log '{}'", links.control));
        holds("the prompt", SOON, || viewer.rows().iter().any(|row| row == "$"));
        Session { host, viewer }
    }

    #[track_caller]
    fn runs(&self, command: &str) {
        self.viewer.types_line(command);
        alike(&self.host, &self.viewer);
    }

    fn resize(&self, size: (u16, u16)) {
        self.viewer.resize(size);
        self.host.resize(size);
    }
}

/// The numbers that stand alone on a line, from the oldest line of the scrollback to the last of the window.
fn numbers(pane: &Pane<'_>) -> Vec<u32> {
    pane.everything().lines().filter_map(|line| line.trim_end().parse().ok()).collect()
}

fn up_to(last: u32) -> Vec<u32> {
    (1..=last).collect()
}

#[test]
fn a_pane_that_grows_shrinks_and_is_cleared_looks_the_same() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let session = Session::start(&scratch, &tmux, "", LOW);
    session.runs("clear");
    session.runs("seq 100");

    session.resize(HIGH);
    holds("rows that came back", SOON, || session.host.rows().iter().any(|row| row == "80"));
    alike(&session.host, &session.viewer);
    session.resize((80, 20));
    alike(&session.host, &session.viewer);
    session.resize(HIGH);
    alike(&session.host, &session.viewer);
    session.runs("echo on a screen of thirty rows");
    session.resize(LOW);
    session.runs("echo on a screen of ten rows");
    session.resize(HIGH);
    session.runs("clear");
    session.resize(LOW);
    session.runs("seq 3");
}

#[test]
fn each_line_is_in_the_viewers_scrollback_once() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let session = Session::start(&scratch, &tmux, "", HIGH);
    session.viewer.types_line("clear; seq 100");
    holds("all of them", SOON, || numbers(&session.viewer) == up_to(100));

    for (rows, first) in [(30, "72"), (20, "82"), (25, "77"), (10, "92")] {
        session.host.resize((80, rows));
        holds("the first row", SOON, || [&session.host, &session.viewer].iter().all(|pane| pane.rows()[0] == first));
    }

    holds("each of them once", SOON, || numbers(&session.viewer) == up_to(100));
    session.viewer.types_line("seq 101 150");
    holds("later ones too", SOON, || numbers(&session.viewer) == up_to(150));
    assert_eq!(numbers(&session.host), up_to(150));
}

#[test]
fn rows_from_before_the_share_come_back_as_blank_ones() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let session = Session::start(&scratch, &tmux, "seq 901 950;", LOW);
    session.viewer.types_line("seq 5");
    session.viewer.shows("5", SOON);

    session.resize(HIGH);
    holds("rows that came back", SOON, || session.host.rows().iter().any(|row| row == "950"));

    let below = |pane: &Pane<'_>| -> Vec<(usize, String)> {
        let rows = pane.rows().into_iter().enumerate();
        rows.skip_while(|(_, row)| !row.starts_with("$ seq 5")).collect()
    };
    holds("the same below", SOON, || {
        !below(&session.host).is_empty() && below(&session.host) == below(&session.viewer)
    });
    assert!(!session.viewer.everything().contains("950"), "nobody shared that");
}

#[test]
fn a_pane_that_grows_under_an_editor_looks_the_same_afterwards() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let session = Session::start(&scratch, &tmux, "", LOW);
    session.runs("clear");
    session.runs("seq 100");
    session.viewer.types_line("vi -u NONE -i NONE file");
    holds("the editor", SOON, || session.host.is_alternate() && session.viewer.is_alternate());

    session.resize(HIGH);
    alike(&session.host, &session.viewer);
    session.viewer.types_line(":q!");
    holds("the main screen", SOON, || !session.host.is_alternate() && !session.viewer.is_alternate());

    alike(&session.host, &session.viewer);
    assert!(session.host.rows().iter().any(|row| row == "80"), "nothing came back: {:?}", session.host.rows());
}
