//! The host's question stands over the program in the shared terminal, and leaves no trace there.

use std::time::Duration;

use beach_tests::real::{Links, Pane, Process, Scratch, Tmux, alike, beach, eventually, holds};

const SOON: Duration = Duration::from_secs(10);

/// An earlier answer does not count.
const READ: Duration = Duration::from_millis(600);

const SIZE: (u16, u16) = (100, 24);

/// Shares `bash` in a pane, and returns the pane and the links.
fn share<'a>(tmux: &'a Tmux, scratch: &Scratch, options: &str) -> (Pane<'a>, Links) {
    let shell = scratch.write("bashrc", "PS1='$ '\n");
    let script = format!("exec beach share {options} --log-file host.log -- bash --rcfile {}", shell.display());
    let host = tmux.pane("host", SIZE, &script);
    let links = eventually("the links on the host's pane", SOON, || Links::in_text(&host.everything()));
    holds("the prompt", SOON, || host.rows().iter().any(|row| row == "$"));
    (host, links)
}

fn join<'a>(tmux: &'a Tmux, name: &str, link: &str) -> Pane<'a> {
    tmux.pane(name, SIZE, &format!("exec beach join --name {name} --log-file {name}.log '{link}'"))
}

/// The banner over the bottom of the host's terminal, on any number of rows.
fn banner(pane: &Pane<'_>) -> String {
    let rows = pane.rows();
    let ours = rows.iter().skip_while(|row| !row.starts_with("beach: "));
    ours.map(|row| row.trim()).collect::<Vec<_>>().join(" ")
}

/// The link that lets type, as of now.
fn new_link(scratch: &Scratch) -> String {
    let mut status = Process::start(&mut beach(scratch, &["status", "--json"]));
    assert_eq!(status.exit(SOON), 0, "{}", status.stderr());
    let status: serde_json::Value = serde_json::from_str(status.stdout().trim()).expect("one object");
    status["join"].as_str().expect("a link").to_owned()
}

/// Waits for the question about somebody over the bottom row, and presses these keys.
#[track_caller]
fn answer(host: &Pane<'_>, name: &str, key: &str) {
    let who = format!("beach: \"{name}\" ");
    holds("the question", SOON, || banner(host).starts_with(&who) && banner(host).contains("wants to type: "));
    std::thread::sleep(READ);
    host.presses("C-]");
    host.presses(key);
    holds("the question is gone", SOON, || !banner(host).contains("wants to type"));
}

/// Runs a program in the shared shell, seen by a viewer from before; lets one in and sends one away while it runs.
fn is_not_disturbed(program: &str, shows: &str, after: &[&str], settled: Option<&str>) {
    let scratch = Scratch::new();
    let text: String = (1..=500).map(|line| format!("line {line} of a long file, žluťoučký 漢字\n")).collect();
    scratch.write("long.txt", text);
    let tmux = Tmux::start(&scratch);
    let (host, links) = share(&tmux, &scratch, "--approve --listen 127.0.0.1:0");
    let link = links.control;
    let early = join(&tmux, "early", &link);
    early.shows("waiting for approval", SOON);
    answer(&host, "early", "y");
    holds("the early viewer's prompt", SOON, || early.rows().iter().any(|row| row == "$"));

    host.types_line(program);
    host.shows(shows, SOON);
    let stranger = join(&tmux, "stranger", &link);
    answer(&host, "stranger", "n");
    assert_eq!(stranger.end(SOON), 5);
    // The person that the host refused has the link, so the session has a new one.
    let late = join(&tmux, "late", &new_link(&scratch));
    // Both see the same words.
    let words = eventually("the question", SOON, || {
        let question = banner(&host);
        let (_, after) = question.split_once("\"late\" wants to type: ")?;
        Some(after.split_once(" (")?.0.to_owned())
    });
    late.shows(&words, SOON);
    answer(&host, "late", "y");
    late.shows(settled.unwrap_or(shows), Duration::from_secs(30));

    if let Some(settled) = settled {
        host.shows(settled, Duration::from_secs(30));
    }
    alike(&host, &early);
    alike(&host, &late);
    for key in after {
        host.presses(key);
        alike(&host, &early);
    }
}

#[test]
fn where_others_can_join_who_may_type_is_asked_about_without_being_told_to() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let (host, links) = share(&tmux, &scratch, "--listen 0.0.0.0:0");
    assert!(host.everything().contains("This terminal asks you before anybody may type."));
    assert!(host.everything().contains("^] ? shows your commands"));

    let watching = join(&tmux, "watching", &links.view);
    watching.shows("$", SOON);
    let typing = join(&tmux, "typing", &links.control);
    answer(&host, "typing", "y");
    typing.shows("$", SOON);
    // The links stand on the host's terminal alone.
    typing.types_line("clear; echo from $((6 * 7))");

    host.shows("from 42", SOON);
    alike(&host, &watching);
    // The escape is the program's again.
    host.types("cat -v");
    host.presses("Enter");
    host.presses("C-]");
    host.presses("Enter");
    host.shows("^]", SOON);
}

#[test]
fn vim_is_not_disturbed_by_a_question() {
    let vim = "vim -u NONE -N -c 'syntax on' -c 'set number ruler laststatus=2' long.txt";
    is_not_disturbed(vim, "line 3 of a long file", &["C-f", "G", "i", "x", "Escape"], None);
}

#[test]
fn htop_is_not_disturbed_by_a_question() {
    is_not_disturbed("htop -d 20", "F10", &["F2", "Escape"], None);
}

#[test]
fn a_build_that_floods_is_not_disturbed_by_a_question() {
    let flood = r#"for i in $(seq 40000); do printf '\e[32m   Compiling\e[0m crate-%d v1.%d.0\n' $i $i; [ $((i % 100)) = 0 ] && sleep 0.02; done; echo built"#;
    is_not_disturbed(flood, "Compiling crate-", &[], Some("built"));
}

#[test]
fn the_host_sees_who_joins_and_the_links_at_any_time_and_viewers_and_recordings_do_not() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let (host, links) = share(&tmux, &scratch, "--listen 127.0.0.1:0 --record session.cast");
    let ann = join(&tmux, "ann", &links.view);
    host.shows("\"ann\" joined and may watch", SOON);
    holds("the prompt for ann", SOON, || ann.rows().iter().any(|row| row == "$"));
    holds("the news are gone", SOON, || banner(&host).is_empty());

    host.presses("C-]");
    host.presses("l");
    let command = format!("beach join '{}'", links.control);
    holds("the links", SOON, || banner(&host).contains(&command));
    host.presses("q");
    host.types_line("echo see${NOTHING}n");
    ann.shows("seen", SOON);
    let key = links.control.split_once('#').expect("a key").1;
    assert!(!ann.everything().contains(key) && !ann.everything().contains("joined and may"), "{}", ann.everything());
    assert!(!banner(&host).contains("any key"), "{}", banner(&host));

    host.types_line("exit");
    assert_eq!(host.end(SOON), 0);
    let cast = scratch.read("session.cast");
    assert!(cast.contains("seen") && !cast.contains(key) && !cast.contains("joined and may"), "{cast}");
}

#[test]
fn commands_in_the_shared_terminal_show_new_links_on_the_hosts_rows_alone() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let (host, links) = share(&tmux, &scratch, "--listen 127.0.0.1:0 --record session.cast");
    let ann = join(&tmux, "ann", &links.view);
    holds("the prompt for ann", SOON, || ann.rows().iter().any(|row| row == "$"));

    host.types_line(&format!("clear; {} rotate", beach_tests::real::binary().display()));
    holds("the new links", SOON, || banner(&host).contains("Join (may type)"));
    let new = new_link(&scratch);
    let key = new.rsplit_once('.').expect("a long link has a key").1;
    holds("the new key", SOON, || host.rows().concat().contains(key));
    ann.shows("The host's own terminal shows the new links.", SOON);
    assert!(!ann.everything().contains(key), "{}", ann.everything());

    host.types_line("exit");
    assert_eq!(host.end(SOON), 0);
    let cast = scratch.read("session.cast");
    assert!(cast.contains("shows the new links") && !cast.contains(key), "{cast}");
}

#[test]
fn the_end_has_a_line_of_its_own_below_the_last_output() {
    let scratch = Scratch::new();
    let tmux = Tmux::start(&scratch);
    let host = tmux.pane(
        "host",
        SIZE,
        "exec beach share --escape none --listen 127.0.0.1:0 -- sh -c 'printf partial; exit 3'",
    );
    assert_eq!(host.end(SOON), 3);
    assert!(!host.everything().contains("shows your commands"), "no key begins a command");
    let rows = host.rows();
    let at = rows.iter().position(|row| row == "partial").unwrap_or_else(|| panic!("{rows:#?}"));
    assert_eq!(rows[at + 1], "  beach: the session ended: the command ended with exit code 3.", "{rows:#?}");
}
