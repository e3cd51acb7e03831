//! A running share is asked: by its user, from outside and from inside, and by nobody else.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use beach_tests::real::{Host, Process, Scratch, Tmux, beach, binary, holds, join};

const SOON: Duration = Duration::from_secs(10);

/// Runs beach to its end: exit code, stdout, stderr.
fn ask(scratch: &Scratch, args: &[&str]) -> (i32, String, String) {
    let mut process = Process::start(&mut beach(scratch, args));
    let code = process.exit(SOON * 2);
    (code, process.stdout(), process.stderr())
}

fn id(host: &Host) -> String {
    let (_, rest) = host.links.control.split_once("/s/").expect("a link");
    rest.split('#').next().expect("an id").to_owned()
}

#[test]
fn status_shows_links_and_members_and_stop_ends_the_session() {
    let scratch = Scratch::new();
    assert_eq!(ask(&scratch, &["status"]).0, 4, "nothing is shared yet");
    let mut host = Host::start(&scratch, &[], &["sh", "-c", "stty raw -echo; exec cat"]);
    let (code, alone, _) = ask(&scratch, &["status"]);
    assert!(code == 0 && alone.contains(&host.links.control) && alone.contains("nobody is there"), "{alone}");

    let mut viewer = Process::start(&mut join(&scratch, &["--json", "--name", "ann", &host.links.control]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    viewer.write("x");
    holds("who typed last", SOON, || ask(&scratch, &["status"]).1.contains("typed last"));
    let (_, text, _) = ask(&scratch, &["status"]);
    assert!(
        text.contains("ann (control), directly from ") && text.contains("`sh -c stty raw -echo; exec cat`"),
        "{text}"
    );
    let (_, line, _) = ask(&scratch, &["status", "--json"]);
    for part in
        [r#""name":"ann""#, r#""role":"control""#, r#""kind":"direct""#, r#""typed_last":true"#, r#""size":"80x24""#]
    {
        assert!(line.contains(part), "{part} is not in {line}");
    }

    assert_eq!(ask(&scratch, &["stop"]).0, 0);
    assert_eq!(host.process.exit(SOON), 0);
    assert_eq!(viewer.exit(SOON), 0);
    assert_eq!(ask(&scratch, &["status"]).0, 4, "its socket is gone");
    assert_eq!(ask(&scratch, &["stop"]).0, 4);
}

#[test]
fn of_several_sessions_one_must_be_named_and_what_a_killed_one_left_is_nobody() {
    let scratch = Scratch::new();
    let [one, mut other] = [(); 2].map(|()| Host::start(&scratch, &[], &["cat"]));
    let (code, _, stderr) = ask(&scratch, &["stop"]);
    assert!(code == 2 && stderr.contains(&id(&one)) && stderr.contains(&id(&other)), "{stderr}");
    assert_eq!(ask(&scratch, &["stop", &id(&other)]).0, 0);
    assert_eq!(other.process.exit(SOON), 0);
    let (_, text, _) = ask(&scratch, &["status"]);
    assert!(text.contains(&id(&one)) && !text.contains(&id(&other)), "{text}");

    drop(one);
    assert_eq!(ask(&scratch, &["status"]).0, 4);
}

#[test]
fn the_shared_command_finds_its_own_session() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let _another = Host::start(&scratch, &[], &["cat"]);
    let host = Host::start(&scratch, &[], &["bash", "--norc"]);
    let viewer = tmux.pane("viewer", (80, 24), &format!("exec beach join '{}'", host.links.control));
    viewer.shows("$", SOON);
    let beach = binary().display();
    viewer.types_line(&format!("clear; {beach} status | grep ^session; echo end-$((1+1))"));
    viewer.shows("end-2", SOON);
    let sessions: Vec<_> = viewer.rows().into_iter().filter(|row| row.starts_with("session ")).collect();
    assert_eq!(sessions, [format!("session {}", id(&host))]);
}

#[test]
fn the_socket_is_its_owners_and_another_user_is_turned_away() {
    let scratch = Scratch::new();
    let _host = Host::start(&scratch, &[], &["cat"]);
    let folder = scratch.file(".local/state/beach");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let socket = fs::read_dir(&folder).expect("the folder").next().expect("a socket").expect("read").path();
    assert_eq!((mode(&folder), mode(&socket)), (0o700, 0o600));
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be another user");
        return;
    }
    // All doors but the last are opened.
    for path in socket.ancestors().take_while(|path| path.starts_with(scratch.folder())) {
        fs::set_permissions(path, Permissions::from_mode(0o777)).expect("ours");
    }
    let copy = scratch.file("beach-for-all");
    fs::copy(binary(), &copy).expect("a copy");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--clear-groups"]).arg(&copy).args(["status", "--json"]);
    let output =
        command.env("HOME", scratch.folder()).env_remove("XDG_RUNTIME_DIR").output().expect("setpriv is there");
    let (answer, cause) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*answer), (Some(1), ""), "{cause}");
    assert!(cause.contains("does not answer"), "{cause}");
    assert_eq!(ask(&scratch, &["status"]).0, 0, "its owner is told");
}
