//! A running share is asked: by its user, from outside and from inside, and by nobody else.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use beach_tests::real::{Host, Links, Process, Scratch, Tmux, beach, binary, holds, join, skipped};

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
    assert!(code == 0 && alone.contains(keys(&host.links)[0]) && alone.contains("no viewers"), "{alone}");

    let mut viewer = Process::start(&mut join(&scratch, &["--json", "--name", "ann", &host.links.control]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    viewer.write("x");
    holds("who typed last", SOON, || ask(&scratch, &["status"]).1.contains("typed last"));
    let (_, text, _) = ask(&scratch, &["status"]);
    assert!(
        text.contains("\"ann\" (control), directly from ") && text.contains("`sh -c stty raw -echo; exec cat`"),
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
        skipped("only root can be another user");
        return;
    }
    // All doors but the last are opened.
    for path in socket.ancestors().take_while(|path| path.starts_with(scratch.folder())) {
        fs::set_permissions(path, Permissions::from_mode(0o777)).expect("ours");
    }
    let copy = copy_for_all(&scratch);
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--clear-groups"]).arg(&copy).args(["status", "--json"]);
    let output =
        command.env("HOME", scratch.folder()).env_remove("XDG_RUNTIME_DIR").output().expect("setpriv is there");
    let (answer, cause) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*answer), (Some(1), ""), "{cause}");
    assert!(cause.contains("does not answer"), "{cause}");
    assert_eq!(ask(&scratch, &["status"]).0, 0, "its owner is told");
}

/// A copy of beach that every user may start. Another process writes the copy: a child of a neighbouring test would
/// inherit our open file for a moment, and Linux starts no file that somebody has open for writing (ETXTBSY).
fn copy_for_all(scratch: &Scratch) -> PathBuf {
    let copy = scratch.file("beach-for-all");
    let status = Command::new("cp").arg(binary()).arg(&copy).status().expect("cp is there");
    assert!(status.success(), "cp: {status}");
    copy
}

/// The keys, as links hold them.
fn keys(links: &Links) -> [&str; 2] {
    [&links.control, &links.view].map(|link| link.rsplit_once('.').expect("a link has a key").1)
}

#[test]
fn inside_the_shared_terminal_no_link_is_shown_unless_that_is_said() {
    let scratch = Scratch::new();
    let beach = binary().display();
    let inner = format!("{beach} share --headless --listen 127.0.0.1:0 --linger 0");
    let script = format!(
        "read -r _; {beach} status; {beach} status --json; {inner} -- true; {inner} --detach -- true; echo sixth; \
         {beach} attach; {beach} rotate; echo end; read -r _; {beach} status --links; echo shown; exec cat"
    );
    let host = Host::start(&scratch, &["--record", "it.cast"], &["sh", "-c", &script]);
    let mut viewer = Process::start(&mut join(&scratch, &["-q", "--nested", &host.links.control]));
    let printed = |word: &str| {
        holds(word, SOON * 2, || scratch.read("it.cast").contains(&format!("{word}\\r\\n")));
        scratch.read("it.cast")
    };
    holds("somebody who types", SOON, || host.events("member_joined") == 1);

    viewer.write("\n");
    let cast = printed("end");
    assert!(cast.contains(&id(&host)) && cast.contains("--links shows them"), "{cast}");
    assert!(!cast.contains("#1c.") && !cast.contains("#1v.") && !cast.contains("beach join 'http"), "{cast}");
    for key in keys(&host.links) {
        assert!(!cast.contains(key), "{cast}");
    }

    viewer.write("\n");
    let cast = printed("shown");
    assert_eq!(cast.matches("beach join 'http").count(), 2, "{cast}");
}

#[test]
fn a_session_is_not_joined_from_within_after_its_links_changed() {
    let scratch = Scratch::new();
    let host = Host::start(&scratch, &[], &["cat"]);
    let (first, socket) = (id(&host), socket(&scratch));
    assert_eq!(ask(&scratch, &["rotate"]).0, 0);
    let (line, _) = host.process.line("the new links", SOON, |line| line.contains("\"links\""));
    let links: serde_json::Value = serde_json::from_str(&line).expect("events are JSON");
    for kind in ["join", "view"] {
        let link = links[kind].as_str().expect("a link");
        assert!(!link.contains(&first), "{link}");
        let mut inside = join(&scratch, &["-q", link]);
        let mut inside = Process::start(inside.env("BEACH_SESSION", &first).env("BEACH_SOCKET", &socket));
        assert_eq!(inside.exit(SOON), 2, "{}", inside.stderr());
        assert!(inside.stderr().contains("this terminal shows the same session"), "{}", inside.stderr());
    }
    assert_eq!(host.events("member_joined"), 0);
}

fn socket(scratch: &Scratch) -> PathBuf {
    let folder = fs::read_dir(scratch.file(".local/state/beach")).expect("the folder");
    let mut sockets = folder.map(|entry| entry.expect("read").path());
    sockets.find(|path| path.extension().is_some_and(|ext| ext == "sock")).expect("a socket")
}

#[test]
fn a_folder_of_sockets_that_is_a_symbolic_link_is_not_used_and_not_changed() {
    let scratch = Scratch::new();
    let elsewhere = scratch.file("elsewhere");
    fs::create_dir_all(&elsewhere).expect("a folder");
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o755)).expect("ours");
    fs::create_dir_all(scratch.file(".local/state")).expect("a folder");
    std::os::unix::fs::symlink(&elsewhere, scratch.file(".local/state/beach")).expect("a link");
    let _host = Host::start(&scratch, &[], &["cat"]);
    let mode = fs::metadata(&elsewhere).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode, fs::read_dir(&elsewhere).expect("read").count()), (0o755, 0));
    assert!(scratch.read("host.log").contains("no control socket"), "{}", scratch.read("host.log"));
}

#[test]
fn a_folder_of_sockets_that_others_may_enter_is_closed_to_them() {
    let scratch = Scratch::new();
    let folder = scratch.file(".local/state/beach");
    fs::create_dir_all(&folder).expect("a folder");
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("ours");
    let _host = Host::start(&scratch, &[], &["cat"]);
    assert_eq!(fs::metadata(&folder).expect("it is there").permissions().mode() & 0o777, 0o700);
}

#[test]
fn another_users_socket_is_not_asked() {
    if !rustix::process::geteuid().is_root() {
        skipped("only root can be another user");
        return;
    }
    let scratch = Scratch::new();
    fs::set_permissions(scratch.folder(), Permissions::from_mode(0o755)).expect("ours");
    let theirs = scratch.file("theirs");
    fs::create_dir_all(&theirs).expect("a folder");
    std::os::unix::fs::chown(&theirs, Some(65534), Some(65534)).expect("root may");
    let copy = copy_for_all(&scratch);
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copy);
    command.args(["share", "--headless", "--json", "--listen", "127.0.0.1:0", "--", "cat"]);
    command.env("HOME", &theirs).env_remove("XDG_RUNTIME_DIR").env_remove("XDG_STATE_HOME").current_dir(&theirs);
    let host = Host::run(&scratch, &mut command);
    let folder = scratch.file(".local/state/beach");
    fs::create_dir_all(&folder).expect("a folder");
    let name = format!("{}.sock", id(&host));
    std::os::unix::fs::symlink(theirs.join(".local/state/beach").join(&name), folder.join(&name)).expect("a link");

    let (code, stdout, stderr) = ask(&scratch, &["status"]);
    assert_eq!((code, &*stdout), (1, ""), "{stderr}");
    assert!(stderr.contains("another user owns the socket"), "{stderr}");
    assert_eq!(ask(&scratch, &["stop", &id(&host)]).0, 1);
}

#[test]
fn what_a_socket_answers_cannot_write_on_the_terminal_as_it_likes() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.file(".local/state/beach")).expect("a folder");
    let listener = UnixListener::bind(scratch.file(".local/state/beach/fake.sock")).expect("a socket");
    let evil = "\u{1b}]0;evil\u{7}\u{9b}2J\u{202e}\u{200b}\u{e0041}\nsecond line";
    let member = serde_json::json!({ "member": 1, "name": evil, "role": evil, "kind": "direct", "remote": evil });
    let asking = serde_json::json!({ "member": 2, "name": evil, "role": evil, "check": evil });
    let answer = serde_json::json!({
        "session": evil, "command": evil, "size": evil, "server": evil, "rendezvous": evil, "join": evil, "view": evil,
        "members": [member], "asking": [asking], "error": evil,
    });
    let answer = format!("{answer}\n");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepts");
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line).and_then(|_| stream.write_all(answer.as_bytes()));
        }
    });
    for args in [&["status"][..], &["status", "--json"], &["approve", "1"]] {
        let (_, stdout, stderr) = ask(&scratch, args);
        let all = stdout + &stderr;
        let bad = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}\u{e0041}".contains(c);
        assert!(all.contains("evil") && !all.contains(bad), "{args:?}: {all:?}");
        assert!(!all.lines().any(|line| line.starts_with("second")), "{args:?}: {all:?}");
    }
}

#[test]
fn connections_that_stay_idle_keep_nobody_out() {
    let scratch = Scratch::new();
    let _host = Host::start(&scratch, &[], &["cat"]);
    let socket = socket(&scratch);
    // Most of them have been answered, and stay; the last ones have not even asked.
    let mut idle = Vec::new();
    for _ in 0..16 {
        let mut stream = UnixStream::connect(&socket).expect("connects");
        stream.write_all(b"{\"ask\":\"status\"}\n").expect("asks");
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).expect("answers");
        assert!(line.contains("\"session\""), "{line:?}");
        idle.push(stream);
    }
    let silent: Vec<_> = (0..16).map(|_| UnixStream::connect(&socket).expect("connects")).collect();

    let (code, _, stderr) = ask(&scratch, &["status"]);
    assert_eq!(code, 0, "{stderr}");
    drop((idle, silent));
}

#[test]
fn a_session_is_named_by_its_name_or_the_beginning_of_an_id_and_has_one_id_after_its_links_changed() {
    let scratch = Scratch::new();
    let mut first = Host::start(&scratch, &["--name", "first one"], &["cat"]);
    let mut other = Host::start(&scratch, &["--name", "other"], &["cat"]);
    let (code, text, _) = ask(&scratch, &["status", "other"]);
    assert!(code == 0 && text.starts_with(&format!("session {} \"other\"\n", id(&other))), "{text}");
    // Far enough for two ids that begin alike.
    let differ = id(&first).bytes().zip(id(&other).bytes()).take_while(|(one, other)| one == other).count() + 1;
    assert!(ask(&scratch, &["status", &id(&first)[..differ]]).1.contains("\"first one\""));
    let (code, _, stderr) = ask(&scratch, &["stop", "nobodys"]);
    assert!(code == 4 && stderr.contains("there is no session nobodys"), "{stderr}");

    assert_eq!(ask(&scratch, &["rotate", "--session", "first one"]).0, 0);
    let (line, _) = first.process.line("the new links", SOON, |line| line.contains("\"links\""));
    let links: serde_json::Value = serde_json::from_str(&line).expect("events are JSON");
    let new = links["session"].as_str().expect("an id").to_owned();
    let (_, text, _) = ask(&scratch, &["status", "first one"]);
    assert!(new != id(&first) && text.contains(&format!("session {new} ")) && !text.contains(&id(&first)), "{text}");
    assert!(links["join"].as_str().is_some_and(|link| link.contains(&new)), "{line}");
    for now_or_then in [&new, &id(&first)] {
        assert_eq!(ask(&scratch, &["pause", "--session", now_or_then]).0, 0);
        assert_eq!(ask(&scratch, &["resume", "--session", &now_or_then[..12]]).0, 0);
    }

    assert_eq!(ask(&scratch, &["stop", &new]).0, 0);
    assert_eq!(first.process.exit(SOON), 0);
    assert_eq!(ask(&scratch, &["stop", "other"]).0, 0);
    assert_eq!(other.process.exit(SOON), 0);
}
