//! Whom the links of a session let in, how often and how long, and which are given out.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use beach_tests::real::{Host, Links, Process, Scratch, Tmux, beach, eventually, holds, in_three_lines, join, share};

const SOON: Duration = Duration::from_secs(15);

fn is_in(scratch: &Scratch, link: &str) -> Process {
    let viewer = Process::start(&mut join(scratch, &["--json", link]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    viewer
}

fn is_refused(scratch: &Scratch, link: &str, why: &str) {
    let mut viewer = Process::start(&mut join(scratch, &[link]));
    assert_eq!(viewer.exit(SOON), 5, "{}", viewer.stderr());
    in_three_lines(&viewer.stderr());
    assert!(viewer.stderr().contains(why), "{}", viewer.stderr());
}

fn status(scratch: &Scratch) -> serde_json::Value {
    let mut process = Process::start(&mut beach(scratch, &["status", "--json"]));
    assert_eq!(process.exit(SOON), 0, "{}", process.stderr());
    serde_json::from_str(process.stdout().trim()).expect("one object")
}

#[test]
fn a_link_for_one_is_used_up_and_a_new_one_is_not() {
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &["--once"], &["cat"]);
    let mut first = is_in(&scratch, &host.links.control);
    is_refused(&scratch, &host.links.control, "the link was for one viewer");
    let _watching = is_in(&scratch, &host.links.view);

    assert_eq!(Process::start(&mut beach(&scratch, &["rotate"])).exit(SOON), 0);
    holds("the new links", SOON, || host.events("links") == 1);
    let fresh = status(&scratch)["join"].as_str().expect("a link").to_owned();
    assert_ne!(fresh, host.links.control);
    let _second = is_in(&scratch, &fresh);
    assert!(first.is_running());
}

#[test]
fn links_expire_before_the_session_does_and_then_it_does_and_both_are_told() {
    let scratch = Scratch::new();
    let mut host = Host::start(&scratch, &["--expire-links", "2", "--expire", "5"], &["cat"]);
    let started = Instant::now();
    let mut viewer = is_in(&scratch, &host.links.view);
    std::thread::sleep(Duration::from_millis(2100).saturating_sub(started.elapsed()));
    is_refused(&scratch, &host.links.control, "the link has expired");
    assert!(viewer.is_running());

    assert_eq!(viewer.exit(SOON), 0, "{}", viewer.stderr());
    assert!(viewer.stdout().contains(r#""reason":"expired""#), "{}", viewer.stdout());
    assert_eq!(host.process.exit(SOON), 0);
    assert!(host.process.stdout().contains(r#""reason":"expired""#), "{}", host.process.stdout());
    assert!(started.elapsed() >= Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn a_session_for_watching_gives_out_no_link_that_lets_type() {
    let scratch = Scratch::new();
    let host = Process::start(&mut share(&scratch, &["--json", "--view-only"], &["cat"]));
    let (ready, _) = host.line("the links", SOON, |line| line.contains("\"ready\""));
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("events are JSON");
    assert!(ready["join"].is_null());
    let view = ready["view"].as_str().expect("a link").to_owned();
    let viewer = is_in(&scratch, &view);
    assert!(viewer.stdout().contains(r#""role":"view""#), "{}", viewer.stdout());
    assert!(status(&scratch)["join"].is_null());
    let mut told = Process::start(&mut beach(&scratch, &["status"]));
    assert_eq!(told.exit(SOON), 0);
    let (_, key) = view.rsplit_once('.').expect("a link has a key");
    assert!(told.stdout().contains(key) && told.stdout().matches("beach join").count() == 1, "{}", told.stdout());
    drop(host);

    let quiet = Process::start(&mut share(&scratch, &["-q", "--view-only"], &["cat"]));
    let (link, _) = quiet.line("the link", SOON, |line| line.contains("/s/"));
    assert!(link.contains("#1v."), "{link}");
}

/// The squares of a QR code as `share` draws them: dark ones are true.
fn squares(text: &str) -> Vec<Vec<bool>> {
    const DARK_ON_LIGHT: &str = "\x1b[38;5;16;48;5;231m";
    let drawn = text.lines().filter_map(|line| line.split_once(DARK_ON_LIGHT)?.1.split('\x1b').next());
    drawn
        .flat_map(|row| {
            let half = |signs: [char; 2]| row.chars().map(|sign| signs.contains(&sign)).collect::<Vec<_>>();
            [half(['\u{2580}', '\u{2588}']), half(['\u{2584}', '\u{2588}'])]
        })
        .collect()
}

/// What a camera reads from a terminal of that brightness with these squares on it.
fn photographed(squares: &[Vec<bool>], terminal: u8) -> Vec<String> {
    /// A square's width in pixels, and the squares of the terminal on each side.
    const SCALE: usize = 4;
    const AROUND: usize = 10;
    let (width, height) = (squares.first().map_or(0, Vec::len) + 2 * AROUND, squares.len() + 2 * AROUND);
    let brightness = |x: usize, y: usize| {
        let square = |at: usize| (at / SCALE).checked_sub(AROUND);
        let dark = square(y).zip(square(x)).and_then(|(row, column)| squares.get(row)?.get(column));
        dark.map_or(terminal, |dark| if *dark { 0 } else { 255 })
    };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width * SCALE, height * SCALE, brightness);
    image.detect_grids().iter().map(|grid| grid.decode().expect("the code is whole").1).collect()
}

#[test]
fn a_link_can_be_photographed_off_a_dark_and_off_a_light_terminal() {
    let scratch = Scratch::new();
    let host = Process::start(&mut share(&scratch, &["--qr"], &["cat"]));

    let links = eventually("the links", SOON, || Links::in_text(&host.stderr()));

    let squares = squares(&host.stderr());
    for terminal in [0, 255] {
        assert_eq!(photographed(&squares, terminal), [links.control.as_str()], "{}", host.stderr());
    }
}

#[test]
fn the_links_that_people_see_are_short_and_let_in_and_programs_get_long_ones() {
    let scratch = Scratch::new();
    let host = Process::start(&mut share(&scratch, &[], &["cat"]));
    let printed = eventually("the links", SOON, || Links::in_text(&host.stderr()));
    for link in [&printed.control, &printed.view] {
        assert!(!link.contains("/s/"), "{link}");
        let viewer = Process::start(&mut join(&scratch, &["--json", link]));
        viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    }
    let status = status(&scratch);
    assert_eq!(status["short_join"].as_str(), Some(printed.control.as_str()));
    assert!(status["join"].as_str().is_some_and(|link| link.contains("/s/") && link.contains("#1c.")), "{status}");
    let mut told = Process::start(&mut beach(&scratch, &["status"]));
    assert_eq!(told.exit(SOON), 0, "{}", told.stderr());
    let lines = told.stdout();
    let links: Vec<&str> = lines.lines().filter(|line| line.contains("beach join")).collect();
    assert!(links.len() == 2 && links.iter().all(|line| line.len() <= 80 && !line.contains("/s/")), "{lines}");
    // The page for browsers.
    let page = status["short_view"].as_str().and_then(|link| link.split('#').next()).expect("a link").to_owned();
    let address = page.trim_start_matches("http://").split('/').next().expect("a host").to_owned();
    let mut stream = std::net::TcpStream::connect(&address).expect("the rendezvous listens");
    let path = page.trim_start_matches("http://").trim_start_matches(&address).to_owned();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.contains("beach join 'LINK'"), "{answer}");
}

#[test]
fn the_join_link_goes_to_the_clipboard_and_a_code_leaves_the_links_in_the_window() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    tmux.take_clipboards();
    let host =
        tmux.pane("host", (80, 24), "exec beach share --qr --copy --listen 127.0.0.1:0 -- sh -c 'echo HERE; cat'");
    host.shows("HERE", SOON);
    let text = host.rows().join("\n");
    let links = Links::in_text(&text).unwrap_or_else(|| panic!("no links in the window: {text}"));
    holds("the clipboard", SOON, || tmux.clipboard() == links.control);
    is_in(&scratch, &tmux.clipboard());

    // A terminal that viewers see gives them no link.
    let inside = "BEACH_SOCKET=/nowhere exec beach share --copy --listen 127.0.0.1:0 -- sh -c 'echo INNER; cat'";
    let inner = tmux.pane("inner", (80, 24), inside);
    inner.shows("INNER", SOON);
    assert_eq!(tmux.clipboard(), links.control);
}
