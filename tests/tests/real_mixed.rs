//! Two versions of beach meet: the one under test, and an older one, whose path is in `BEACH_OLD`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use beach_tests::real::{
    Host, Links, Machine, Machines, Pane, Process, Scratch, Tmux, beach_of, binary, eventually, holds, left_out,
};

const SOON: Duration = Duration::from_secs(20);
/// Until a cut is noticed, and after it until somebody is back.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// Both versions, the new one first. Without an old one nothing is tested, which is said whether or not the output is
/// captured.
fn versions() -> Option<[PathBuf; 2]> {
    let old = env::var_os("BEACH_OLD").filter(|path| !path.is_empty());
    if old.is_none() {
        left_out("BEACH_OLD names no older beach; .ci/old builds one");
    }
    Some([binary().to_owned(), old?.into()])
}

/// A headless host of this version.
fn host(program: &Path, scratch: &Scratch, options: &[&str], shared: &str) -> Host {
    let share = ["share", "--headless", "--json", "--debug-log", "host.log"];
    let shared = ["--", "sh", "-c", shared];
    Host::run(scratch, &mut beach_of(program, scratch, &[&share[..], options, &shared].concat()))
}

fn does(program: &Path, scratch: &Scratch, args: &[&str]) {
    let mut process = Process::start(&mut beach_of(program, scratch, args));
    assert_eq!(process.exit(SOON), 0, "{args:?}: {}", process.stderr());
}

/// Somebody asks to come in, is let in, sees what the host's program printed, types into it, sees that, does something
/// more, and is removed.
fn meet(host_program: &Path, viewer_program: &Path, more: impl FnOnce(&Pane<'_>)) {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let options = ["--listen", "127.0.0.1:0", "--approve"];
    // Blinking and overlined cells are newer than the older version.
    let shared = "printf '\\033[5;53mprinted-%s\\033[0m\\n' $((40+2)); exec bash --norc";
    let host = host(host_program, &scratch, &options, shared);
    let command = format!("exec '{}' join --name ann '{}'", viewer_program.display(), host.links.control);
    let viewer = tmux.pane("viewer", (80, 24), &command);
    holds("the host is asked", SOON, || host.events("member_asks") == 1);

    does(host_program, &scratch, &["approve", "1"]);
    viewer.shows("printed-42", SOON);
    viewer.types_line("echo typed-$((40+3))");
    viewer.shows("typed-43", SOON);
    more(&viewer);

    does(host_program, &scratch, &["kick", "1"]);
    eventually("the viewer's end", SOON, || viewer.ended());
}

/// The cable between both is cut until the viewer has noticed, and mended: the viewer comes back, and what was typed
/// arrives once.
fn resume(host_program: &Path, viewer_program: &Path) {
    let Some(machines) = Machines::new() else { return };
    let scratch = Scratch::new();
    let on = |machine: &Machine, program: &Path, args: &[&str]| machine.on(&beach_of(program, &scratch, args));
    let listen = format!("{}:0", machines.one.address);
    let share = ["share", "--headless", "--json", "--no-approve", "--debug-log", "host.log", "--listen", &listen];
    let shared = ["--", "sh", "-c", "stty raw -echo; exec cat > typed"];
    let host = Host::run(&scratch, &mut on(&machines.one, host_program, &[&share[..], &shared].concat()));
    let join = ["join", "--json", "--debug-log", "viewer.log", &host.links.control];
    let mut viewer = Process::start(&mut on(&machines.other, viewer_program, &join));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    viewer.write("before ");
    holds("what was typed", SOON, || scratch.read("typed") == "before ");

    iptables(&machines.one, &["-A", "INPUT", "!", "-i", "lo", "-j", "DROP"]);
    viewer.write("meanwhile ");
    viewer.line("the cut", BACK_WITHIN, |line| line.contains("\"reconnecting\""));
    iptables(&machines.one, &["-F", "INPUT"]);
    viewer.line("the way back", BACK_WITHIN, |line| line.contains("\"reconnected\""));
    viewer.write("after");

    holds("all that was typed", SOON, || scratch.read("typed") == "before meanwhile after");
}

fn iptables(machine: &Machine, args: &[&str]) {
    let mut command: Command = machine.command("iptables");
    assert!(command.args(args).status().expect("iptables is there").success(), "{args:?}");
}

#[test]
fn an_old_viewer_joins_a_new_host_is_let_in_sees_and_types() {
    let Some([new, old]) = versions() else { return };
    meet(&new, &old, |_| {});
}

#[test]
fn a_new_viewer_joins_an_old_host_is_let_in_sees_and_types() {
    let Some([new, old]) = versions() else { return };
    meet(&old, &new, |viewer| {
        viewer.types("~m");
        viewer.shows("this host does not tell who is here", SOON);
        viewer.types("q");
    });
}

#[test]
fn a_viewer_by_a_data_channel_says_that_the_host_is_too_old() {
    let Some([new, old]) = versions() else { return };
    let scratch = Scratch::new();
    let host = host(&old, &scratch, &["--listen", "127.0.0.1:0", "--no-approve"], "cat");
    let mut viewer = Process::start(&mut beach_of(&new, &scratch, &["join", "--by-channel", &host.links.control]));
    assert_eq!(viewer.exit(SOON), 8, "{}", viewer.stderr());
    let told = viewer.stderr();
    assert!(told.contains("the host has an older version of beach, which no browser can join"), "{told}");
    assert!(told.contains("try:   use `beach join`, or ask the host for a newer version of beach"), "{told}");
    assert_eq!(host.events("member_joined"), 0);
}

#[test]
fn an_old_viewer_comes_back_to_a_new_host_after_a_cut() {
    let Some([new, old]) = versions() else { return };
    resume(&new, &old);
}

#[test]
fn a_new_viewer_comes_back_to_an_old_host_after_a_cut() {
    let Some([new, old]) = versions() else { return };
    resume(&old, &new);
}

#[test]
fn a_rendezvous_of_another_version_introduces_both() {
    let Some([new, old]) = versions() else { return };
    for (between, both) in [(&old, &new), (&new, &old)] {
        let scratch = Scratch::new();
        let mut serve = beach_of(between, &scratch, &["serve", "--listen", "127.0.0.1:0", "--log-file", "serve.log"]);
        let rendezvous = Process::start(&mut serve);
        let url = eventually("the address of the rendezvous", SOON, || rendezvous.url());
        let host = host(both, &scratch, &["--no-approve", "--server", &url], "stty raw -echo; exec cat > typed");
        let mut viewer = Process::start(&mut beach_of(both, &scratch, &["join", "--json", &host.links.control]));
        viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
        viewer.write("introduced");
        holds("what was typed", SOON, || scratch.read("typed") == "introduced");
    }
}

#[test]
fn a_host_prints_long_links_where_an_older_rendezvous_knows_no_short_ones() {
    let Some([new, old]) = versions() else { return };
    let scratch = Scratch::new();
    let mut serve = beach_of(&old, &scratch, &["serve", "--listen", "127.0.0.1:0", "--log-file", "serve.log"]);
    let rendezvous = Process::start(&mut serve);
    let url = eventually("the address of the rendezvous", SOON, || rendezvous.url());
    let share =
        ["share", "--headless", "--no-approve", "--server", &url, "--", "sh", "-c", "echo printed-$((40+2)); cat"];
    let host = Process::start(&mut beach_of(&new, &scratch, &share));
    let links = eventually("the links", SOON, || Links::in_text(&host.stderr()));
    assert!(links.control.contains("/s/") && links.control.contains("#1c."), "{links:?}");
    let viewer = Process::start(&mut beach_of(&old, &scratch, &["join", "--json", &links.control]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    let viewer = Process::start(&mut beach_of(&new, &scratch, &["join", "--json", &links.view]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
}
