//! Moderation of a session by commands.

use std::process::Command;
use std::time::{Duration, Instant};

use beach_tests::real::{
    Host, Links, Process, Running as _, Scratch, Signal, beach, holds, in_three_lines, join, share,
};

const SOON: Duration = Duration::from_secs(15);

/// `beach ARGS` of the same person; its exit code, and what it said on stderr.
fn run(scratch: &Scratch, args: &[&str]) -> (i32, String) {
    let mut process = Process::start(&mut beach(scratch, args));
    (process.exit(SOON), process.stderr())
}

fn does(scratch: &Scratch, args: &[&str]) {
    let (code, said) = run(scratch, args);
    assert_eq!(code, 0, "{args:?}: {said}");
}

/// The output of `beach ARGS` on stdout; the command succeeds.
fn says(scratch: &Scratch, args: &[&str]) -> String {
    let mut process = Process::start(&mut beach(scratch, args));
    assert_eq!(process.exit(SOON), 0, "{args:?}: {}", process.stderr());
    process.stdout()
}

fn status(scratch: &Scratch) -> serde_json::Value {
    let mut process = Process::start(&mut beach(scratch, &["status", "--json"]));
    assert_eq!(process.exit(SOON), 0, "{}", process.stderr());
    serde_json::from_str(process.stdout().trim()).expect("one object")
}

fn joins(scratch: &Scratch, link: &str, name: &str) -> Process {
    Process::start(join(scratch, &["--json", "--name", name, link]).env("USER", name))
}

fn sees(viewer: &Process, words: &str) {
    holds(words, SOON, || viewer.stdout().contains(words));
}

#[test]
fn who_waits_is_let_in_or_not_and_both_sides_see_the_same_words() {
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &["--approve"], &["sh", "-c", "stty raw -echo; exec cat > typed"]);
    let mut ann = joins(&scratch, &host.links.control, "ann");
    sees(&ann, r#""type":"check""#);
    holds("the host is asked", SOON, || host.events("member_asks") == 1);
    let asking = status(&scratch)["asking"][0].clone();
    assert_eq!((asking["name"].as_str(), asking["role"].as_str()), (Some("ann"), Some("control")));
    let words = asking["check"].as_str().expect("words").replace(' ', r#"",""#);
    assert!(ann.stdout().contains(&words), "{words}: {}", ann.stdout());
    ann.write("too early");

    does(&scratch, &["approve", "1"]);
    ann.line("the first screen", SOON, |line| line.contains("first_screen"));
    ann.write("|now");
    holds("what was typed", SOON, || scratch.read("typed").ends_with("|now"));

    let mut bob = joins(&scratch, &host.links.view, "bob");
    sees(&bob, r#""type":"check""#);
    holds("the host is asked again", SOON, || host.events("member_asks") == 2);
    does(&scratch, &["deny", "2", "--keep-links"]);
    assert_eq!(bob.exit(SOON), 5, "{}", bob.stderr());
    in_three_lines(&bob.stderr());
    assert!(bob.stderr().contains("the host said no"), "{}", bob.stderr());
    let mut bob = joins(&scratch, &host.links.view, "bob");
    holds("it asks again", SOON, || host.events("member_asks") == 3);

    // Without the flag the links change too.
    does(&scratch, &["deny", "3"]);
    assert_eq!(bob.exit(SOON), 5, "{}", bob.stderr());
    let mut bob = joins(&scratch, &host.links.view, "bob");
    assert_eq!(bob.exit(SOON), 5, "{}", bob.stderr());
    assert!(bob.stderr().contains("the link has expired"), "{}", bob.stderr());
    assert_eq!((host.events("member_asks"), host.events("links")), (3, 1));
}

#[test]
fn a_keyboard_is_handed_over_and_taken_back_and_who_misbehaves_goes() {
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &[], &["sh", "-c", "stty raw -echo; exec cat > typed"]);
    let mut viewer = joins(&scratch, &host.links.view, "ann");
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));

    let granted = Instant::now();
    does(&scratch, &["grant", "1", "control"]);
    sees(&viewer, r#""role":"control""#);
    eprintln!("granted, and told, after {:?}", granted.elapsed());
    viewer.write("granted");
    holds("what was typed", SOON, || scratch.read("typed") == "granted");
    assert_eq!(status(&scratch)["members"][0]["role"], "control");

    does(&scratch, &["revoke", "1"]);
    let is_told = |line: &str| line.contains(r#""type":"role""#) && line.contains(r#""role":"view""#);
    viewer.line("the viewer is told", SOON, is_told);
    viewer.write("revoked");
    does(&scratch, &["say", "no", "more", "typing"]);
    sees(&viewer, "no more typing");
    assert_eq!(scratch.read("typed"), "granted");

    does(&scratch, &["pause"]);
    sees(&viewer, r#""paused":true"#);
    assert_eq!(status(&scratch)["paused"], true);
    does(&scratch, &["resume"]);
    sees(&viewer, r#""paused":false"#);

    does(&scratch, &["kick", "1"]);
    assert_eq!(viewer.exit(SOON), 5, "{}", viewer.stderr());
    in_three_lines(&viewer.stderr());
    holds("it is gone", SOON, || host.events("member_left") == 1);
    // The viewer's old link does not let it in again; a new link does.
    let mut again = joins(&scratch, &host.links.view, "ann");
    assert_eq!(again.exit(SOON), 5, "{}", again.stderr());
    assert!(again.stderr().contains("the link has expired"), "{}", again.stderr());
    holds("the new links are told", SOON, || host.events("links") == 1);
    let link = status(&scratch)["view"].as_str().expect("a link").to_owned();
    let bob = joins(&scratch, &link, "bob");
    bob.line("the first screen", SOON, |line| line.contains("first_screen"));

    does(&scratch, &["rotate"]);
    does(&scratch, &["say", "still here?"]);
    sees(&bob, "still here?");
    let mut late = joins(&scratch, &link, "late");
    assert_eq!(late.exit(SOON), 5, "{}", late.stderr());
}

#[test]
fn what_cannot_be_decided_is_refused_with_the_reason() {
    let scratch = Scratch::new();
    let _host = Host::start(&scratch, &[], &["cat"]);
    for (args, cause) in [
        (&["approve", "7"][..], "no viewer 7"),
        (&["kick", "7"], "no viewer 7"),
        (&["resume"], "the session is not paused"),
        (&["say", "\u{7}"], "there is nothing to say"),
    ] {
        let (code, said) = run(&scratch, args);
        assert_eq!(code, 1, "{args:?}: {said}");
        in_three_lines(&said);
        assert!(said.contains(cause), "{args:?}: {said}");
    }
    let (code, said) = run(&scratch, &["kick", "1", "--session", "nobodys"]);
    assert!(code == 4 && said.contains("there is no session nobodys"), "{code}: {said}");
    assert_eq!(run(&scratch, &["grant", "1", "everything"]).0, 2);
}

#[test]
fn who_watches_the_status_is_told_of_what_changed_until_the_end() {
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &[], &["cat"]);
    let mut watch = Process::start(&mut beach(&scratch, &["status", "--json", "--watch"]));
    holds("the session", SOON, || watch.stdout().lines().count() == 1);
    let viewer = joins(&scratch, &host.links.view, "ann");
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    holds("who is there", SOON, || watch.stdout().lines().last().is_some_and(|line| line.contains(r#""name":"ann""#)));
    let lines = watch.stdout().lines().count();
    std::thread::sleep(Duration::from_secs(3));
    assert!(watch.stdout().lines().count() <= lines + 1, "time alone is no news: {}", watch.stdout());
    does(&scratch, &["stop"]);
    assert_eq!(watch.exit(SOON), 0, "{}", watch.stderr());
}

#[test]
fn a_session_that_expires_ends_for_everybody() {
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &["--expire", "3", "--max-viewers", "1"], &["cat"]);
    let mut viewer = joins(&scratch, &host.links.control, "ann");
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    let mut other = joins(&scratch, &host.links.control, "bob");
    assert_eq!(other.exit(SOON), 5, "{}", other.stderr());
    assert!(other.stderr().contains("the session is full"), "{}", other.stderr());
    assert_eq!(viewer.exit(SOON), 0, "{}", viewer.stderr());
}

#[test]
fn viewers_are_named_and_a_name_of_two_viewers_is_refused_with_their_numbers() {
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &["--no-approve"], &["cat"]);
    let comes = |name: &str| {
        let viewer = joins(&scratch, &host.links.control, name);
        viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
        viewer
    };
    let (mut ann, mut one, _other) = (comes("ann"), comes("bob"), comes("bob"));

    does(&scratch, &["revoke", "ann"]);
    sees(&ann, r#""type":"role""#);
    let (code, said) = run(&scratch, &["kick", "bob"]);
    in_three_lines(&said);
    assert!(code == 2 && said.contains("viewers 2, 3") && said.contains("say which: beach kick 2"), "{said}");
    let (code, said) = run(&scratch, &["kick", "nobody"]);
    in_three_lines(&said);
    assert!(code == 1 && said.contains("no viewer is named \"nobody\""), "{said}");

    does(&scratch, &["kick", "2", "--keep-links"]);
    assert_eq!(one.exit(SOON), 5, "{}", one.stderr());
    does(&scratch, &["kick", "ann"]);
    assert_eq!(ann.exit(SOON), 5, "{}", ann.stderr());
    does(&scratch, &["kick", "bob"]);
}

#[test]
fn each_command_says_what_it_did_and_prints_the_new_links() {
    let scratch = Scratch::new();
    let mut host = Host::start(&scratch, &[], &["cat"]);
    let mut ann = joins(&scratch, &host.links.view, "ann");
    ann.line("the first screen", SOON, |line| line.contains("first_screen"));
    assert_eq!(says(&scratch, &["grant", "ann"]), "\"ann\" (viewer 1) may type now.\n");
    assert_eq!(says(&scratch, &["revoke", "1"]), "\"ann\" (viewer 1) can only watch now.\n");
    assert_eq!(says(&scratch, &["say", "hello"]), "1 viewer reads it.\n");
    assert!(says(&scratch, &["pause"]).starts_with("Viewers see nothing new and cannot type, until"));
    assert_eq!(says(&scratch, &["resume"]), "Viewers see the terminal again.\n");

    let rotated = says(&scratch, &["rotate"]);
    assert!(rotated.starts_with("The old links let nobody in any more. The new links:\n"), "{rotated}");
    let new = Links::in_text(&rotated).expect("the new links");
    let bob = joins(&scratch, &new.view, "bob");
    bob.line("the first screen", SOON, |line| line.contains("first_screen"));

    let kicked = says(&scratch, &["kick", "ann"]);
    assert!(kicked.starts_with("\"ann\" (viewer 1) was removed. The new links:\n"), "{kicked}");
    assert_eq!(ann.exit(SOON), 5, "{}", ann.stderr());
    let newest = Links::in_text(&kicked).expect("the new links");
    assert_ne!(newest.view, new.view);
    let carl = joins(&scratch, &newest.view, "carl");
    carl.line("the first screen", SOON, |line| line.contains("first_screen"));

    assert_eq!(says(&scratch, &["stop"]), "The session is stopped.\n");
    assert_eq!(host.process.exit(SOON), 0);
}

#[test]
fn every_end_says_why_in_a_line_of_its_own() {
    let scratch = Scratch::new();
    let ended = |options: &[&str], command: &str, end: &dyn Fn(&Process)| {
        let options: Vec<&str> = ["--linger", "0"].iter().chain(options).copied().collect();
        let mut host = Process::start(&mut share(&scratch, &options, &["sh", "-c", command]));
        holds("the links", SOON, || Links::in_text(&host.stderr()).is_some());
        end(&host);
        let code = host.exit(SOON);
        (code, host.stderr().lines().last().unwrap_or_default().to_owned())
    };
    let says = |why: &str| format!("  beach: the session ended: {why}.");
    let by_itself = |_: &Process| {};
    assert_eq!(ended(&[], "exit 3", &by_itself), (3, says("the command ended with exit code 3")));
    assert_eq!(ended(&["--expire", "1"], "exec cat", &by_itself), (0, says("it expired after 1 s")));
    let stops = |_: &Process| does(&scratch, &["stop"]);
    assert_eq!(ended(&[], "exec cat", &stops), (0, says("`beach stop` stopped it")));
    let terminates = |host: &Process| host.signal(Signal::TERM);
    assert_eq!(ended(&[], "exec cat", &terminates), (143, says("signal 15 stopped it")));
}

#[test]
fn commands_of_the_host_run_when_somebody_joins_and_leaves_and_a_name_is_never_a_command() {
    let scratch = Scratch::new();
    let hook = |what: &str| format!("echo {what} \"$BEACH_NAME\" $BEACH_VIEWER $BEACH_ROLE >> hooks");
    let (joined, left) = (hook("joined"), hook("left"));
    let host = Host::start(&scratch, &["--on-join", &joined, "--on-leave", &left], &["cat"]);
    let name = "$(touch evil)'; touch evil; \"";
    let mut ann = joins(&scratch, &host.links.view, name);
    ann.line("the first screen", SOON, |line| line.contains("first_screen"));
    holds("the first hook", SOON, || scratch.read("hooks") == format!("joined {name} 1 view\n"));
    does(&scratch, &["grant", "1"]);
    sees(&ann, r#""role":"control""#);
    ann.signal(Signal::TERM);
    assert_eq!(ann.exit(SOON), 143);
    holds("the second hook", SOON, || scratch.read("hooks").ends_with(&format!("left {name} 1 control\n")));
    assert!(!scratch.file("evil").exists(), "a name was run as a command");
}

#[test]
fn the_end_of_a_session_ends_what_its_commands_left_in_the_background_but_for_sessions_of_their_own() {
    let scratch = Scratch::new();
    let hook = "echo $BEACH_NAME > name; sleep 1000 & echo $! > child; setsid sleep 1000 & echo $! > own";
    let mut host = Host::start(&scratch, &["--on-join", hook], &["cat"]);
    let viewer = joins(&scratch, &host.links.view, "");
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    let runs = |file: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", scratch.read(file).trim())).unwrap_or_default();
        // A process that nobody has waited for yet is a zombie.
        stat.split_once(" (sleep) ").is_some_and(|(_, state)| !state.starts_with('Z'))
    };
    holds("both children", SOON, || runs("child") && runs("own"));
    assert_eq!(scratch.read("name"), "viewer 1\n", "nobody chose a name");

    does(&scratch, &["stop"]);
    assert_eq!(host.process.exit(SOON), 0);

    holds("the child is gone", SOON, || !runs("child"));
    assert!(runs("own"), "a session of its own is not the hook's");
    let killed = Command::new("kill").args(["-9", scratch.read("own").trim()]).status().expect("kill");
    assert!(killed.success());
}

#[test]
fn a_command_of_the_host_that_hangs_holds_nobody_up() {
    let scratch = Scratch::new();
    let mut host = Host::start(&scratch, &["--on-join", "exec sleep 1000"], &["cat"]);
    let viewers: Vec<_> = (0..10).map(|_| joins(&scratch, &host.links.view, "ann")).collect();
    for viewer in &viewers {
        viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    }
    assert!(scratch.read("host.log").contains("8 commands run already"), "{}", scratch.read("host.log"));
    let stopped = Instant::now();
    does(&scratch, &["stop"]);
    assert_eq!(host.process.exit(SOON), 0);
    assert!(stopped.elapsed() < Duration::from_secs(8), "{:?}", stopped.elapsed());
}
