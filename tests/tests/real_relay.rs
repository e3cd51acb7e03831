//! Through the rendezvous, over real sockets: where it may, where it must, and where it may not.

use std::time::Duration;

use beach_tests::real::{Host, Process, Rendezvous, Scratch, Tmux, eventually, holds, join};

const SOON: Duration = Duration::from_secs(10);

/// Checking paths is given up after 15 s.
const NO_PATH_WITHIN: Duration = Duration::from_secs(25);

#[test]
fn who_wants_the_relay_only_gets_a_terminal_through_the_rendezvous_and_says_so() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = Host::start(&scratch, &["--relay-only"], &["bash", "--norc"]);
    let viewer = tmux.pane("viewer", (80, 24), &format!("exec beach join '{}'", host.links.control));
    viewer.shows("$", SOON);
    assert!(viewer.everything().contains("connected through the rendezvous ("), "{}", viewer.everything());
    viewer.types_line("seq 1 400; echo $((6*7))");
    holds("42 on a row of its own", SOON, || viewer.rows().iter().any(|row| row == "42"));

    let watcher = Process::start(&mut join(&scratch, &["--json", &host.links.view]));
    let path = eventually("the path", SOON, || {
        watcher.stdout().lines().find(|line| line.contains(r#""type":"path""#)).map(str::to_owned)
    });
    assert!(path.contains(r#""kind":"relay""#) && !path.contains("remote"), "{path}");
}

#[test]
fn neither_a_strict_viewer_nor_a_rendezvous_without_relay_meets_a_host_that_is_only_there() {
    let scratch = Scratch::new();
    let relays_not = Rendezvous::start(&scratch, &["--no-relay"]);
    let [there, apart] = [
        Host::start(&scratch, &["--relay-only"], &["cat"]),
        Host::start(&scratch, &["--relay-only", "--server", &relays_not.url], &["cat"]),
    ];
    let mut joins = [
        Process::start(&mut join(&scratch, &["--strict", &there.links.control])),
        Process::start(&mut join(&scratch, &[&apart.links.control])),
    ];
    for join in &mut joins {
        assert_eq!(join.exit(NO_PATH_WITHIN), 6, "{}", join.stderr());
        assert!(join.stderr().contains("while checking paths"), "{}", join.stderr());
    }
}
