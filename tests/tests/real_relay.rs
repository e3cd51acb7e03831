//! The path through the rendezvous, over real sockets: where it is allowed, where it is needed, and where it is
//! forbidden.

use std::time::{Duration, Instant};

use beach_tests::real::{
    Host, Machines, Process, Rendezvous, Running as _, Scratch, Tmux, beach, eventually, holds, join,
};

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

/// A host on one machine, which writes all typing into a file, and its viewer on the other.
fn typed_down(scratch: &Scratch, machines: &Machines) -> (Host, Process) {
    let listen = format!("{}:0", machines.one.address);
    let program = "stty raw -echo; exec cat > typed";
    let options = ["share", "--headless", "--no-approve", "--json", "--listen", &listen, "--log-file", "host.log"];
    let command = beach(scratch, &[&options[..], &["--", "sh", "-c", program]].concat());
    let host = Host::run(scratch, &mut machines.one.on(&command));
    let viewer = Process::start(&mut machines.other.on(&join(scratch, &["--json", &host.links.control])));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    (host, viewer)
}

fn paths(viewer: &Process) -> Vec<&'static str> {
    let said = viewer.stdout();
    let kind = |line: &str| if line.contains(r#""kind":"relay""#) { "relay" } else { "direct" };
    said.lines().filter(|line| line.contains(r#""type":"path""#)).map(kind).collect()
}

#[test]
fn two_machines_between_which_no_udp_passes_meet_through_the_rendezvous() {
    let Some(machines) = Machines::new() else { return };
    let scratch = Scratch::new();
    machines.drop_udp();
    let (_host, mut viewer) = typed_down(&scratch, &machines);
    assert_eq!(paths(&viewer), ["relay"]);
    viewer.write("through it");
    holds("what was typed", SOON, || scratch.read("typed") == "through it");
}

#[test]
fn an_idle_session_wakes_each_side_up_at_most_twice_a_second() {
    /// Long enough for a ping of the rendezvous.
    const WINDOW: Duration = Duration::from_secs(21);
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &[], &["cat"]);
    let viewer = Process::start(&mut join(&scratch, &["--json", &host.links.control]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    let mut looks: Vec<(Instant, [u64; 2])> = Vec::new();
    holds("few wake-ups", Duration::from_secs(60), || {
        let (now, counts) = (Instant::now(), [host.wake_ups(), viewer.wake_ups()]);
        let before = looks.iter().rev().find(|(at, _)| now - *at >= WINDOW);
        let woken = before.map(|(_, before)| [counts[0] - before[0], counts[1] - before[1]]);
        looks.push((now, counts));
        woken.is_some_and(|woken| {
            let few = woken.iter().all(|woken| *woken <= 2 * WINDOW.as_secs());
            if few {
                eprintln!("host and viewer woke up {woken:?} times in {WINDOW:?}");
            }
            few
        })
    });
}

/// Types a number every 30 ms while `act` happens after some of them; the longest that nothing came.
fn typed_through(
    scratch: &Scratch,
    viewer: &mut Process,
    numbers: std::ops::Range<u32>,
    act: impl FnOnce(),
) -> Duration {
    let (mut act, mut longest) = (Some(act), Duration::ZERO);
    let (mut last, mut length) = (Instant::now(), scratch.read("typed").len());
    let mut look = |last: &mut Instant| {
        let now = scratch.read("typed").len();
        if now > length {
            (longest, length, *last) = (longest.max(last.elapsed()), now, Instant::now());
        }
    };
    for number in numbers.clone() {
        if number == numbers.start + 20 {
            act.take().into_iter().for_each(|act| act());
        }
        viewer.write(format!("{number}\n"));
        let next = Instant::now() + Duration::from_millis(30);
        while Instant::now() < next {
            look(&mut last);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    let end = format!("{}\n", numbers.end - 1);
    holds("the last number", SOON, || {
        look(&mut last);
        scratch.read("typed").ends_with(&end)
    });
    longest
}

#[test]
fn cuts_of_the_direct_path_are_hardly_felt_nothing_typed_is_lost_and_mended_it_is_taken_again() {
    let Some(machines) = Machines::new() else { return };
    let scratch = Scratch::new();
    let (_host, mut viewer) = typed_down(&scratch, &machines);
    assert_eq!(paths(&viewer), ["direct"]);
    let (mut longest, mut number) = (Vec::new(), 0);
    let mut type_on = |viewer: &mut Process, count: u32, act: &dyn Fn()| {
        number += count;
        typed_through(&scratch, viewer, number - count..number, act)
    };
    // `BEACH_CUTS=50` for the figures in docs/PATHS.md.
    let cuts = std::env::var("BEACH_CUTS").ok().and_then(|count| count.parse().ok()).unwrap_or(3);
    for both in (0..cuts).map(|cut| cut % 2 == 0) {
        // Eight seconds and a half: the path through the rendezvous rests by then.
        type_on(&mut viewer, 280, &|| ());
        longest.push(type_on(&mut viewer, 100, &|| if both { machines.drop_udp() } else { machines.one.drop_udp() }));
        holds("the relay", SOON, || {
            type_on(&mut viewer, 10, &|| ());
            paths(&viewer).last() == Some(&"relay")
        });
        machines.pass_udp();
        let mended = Instant::now();
        holds("the direct path again", SOON * 2, || {
            type_on(&mut viewer, 10, &|| ());
            paths(&viewer).last() == Some(&"direct")
        });
        eprintln!("still for {:?}, direct again after {:?}", longest.last(), mended.elapsed());
    }
    let typed: Vec<u32> = scratch.read("typed").lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(typed, (0..number).collect::<Vec<_>>(), "each once, in order");
    longest.sort();
    let p95 = longest[longest.len() * 95 / 100];
    eprintln!("{} cuts: still for {:?} (p50), {p95:?} (p95)", longest.len(), longest[longest.len() / 2]);
    assert!(p95 < Duration::from_millis(1500), "{longest:?}");
}

#[test]
fn a_viewer_that_gets_another_address_goes_on_within_two_seconds_and_loses_nothing() {
    let Some(mut machines) = Machines::new() else { return };
    let scratch = Scratch::new();
    let (_host, mut viewer) = typed_down(&scratch, &machines);
    let mut longest = Vec::new();
    for round in 0..3u32 {
        let still =
            typed_through(&scratch, &mut viewer, round * 200..(round + 1) * 200, || machines.other.change_address());
        longest.push(still);
    }
    eprintln!("still for {longest:?}; paths {:?}", paths(&viewer));
    let typed: Vec<u32> = scratch.read("typed").lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(typed, (0..600).collect::<Vec<_>>(), "each once, in order");
    assert!(longest.iter().all(|still| *still < Duration::from_secs(2)), "{longest:?}");
}
