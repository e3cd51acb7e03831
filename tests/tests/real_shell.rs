//! Completions and man pages, tried in real shells and in `man`; and the lines of an audit.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use beach_tests::real::{Host, Process, Scratch, Tmux, beach, binary, holds, join, share};

const SOON: Duration = Duration::from_secs(15);

fn output(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn completions(scratch: &Scratch, shell: &str) -> String {
    let script = output(&mut beach(scratch, &["completions", shell]));
    std::fs::write(scratch.file(shell), &script).expect("a file");
    scratch.file(shell).display().to_string()
}

#[test]
fn bash_zsh_and_fish_complete_commands_and_flags() {
    let scratch = Scratch::new();
    let file = completions(&scratch, "bash");
    let ask = format!(
        "source {file}; COMP_WORDS=(beach appr); COMP_CWORD=1; _beach beach appr beach; echo \"${{COMPREPLY[@]}}\"; \
         COMP_WORDS=(beach share --max-v); COMP_CWORD=2; _beach beach --max-v share; echo \"${{COMPREPLY[@]}}\""
    );
    assert_eq!(output(Command::new("bash").args(["--norc", "-c", &ask])), "approve\n--max-viewers\n");

    let file = completions(&scratch, "fish");
    let ask = format!("source {file}; complete -C 'beach appr'; complete -C 'beach share --max-v'");
    let said = output(Command::new("fish").args(["--no-config", "-c", &ask]));
    assert!(said.contains("approve\t") && said.contains("--max-viewers\t"), "{said}");

    let file = completions(&scratch, "zsh");
    let ask =
        format!("autoload -U compinit; compinit -D -u; source {file}; whence -w _beach; print -r -- $_comps[beach]");
    let said = output(Command::new("zsh").args(["-f", "-c", &ask]));
    assert_eq!(said, "_beach: function\n_beach\n");
}

#[test]
fn there_is_a_page_for_each_command_that_man_can_show() {
    let scratch = Scratch::new();
    let folder = scratch.file("man/man1").display().to_string();
    output(&mut beach(&scratch, &["man", "--dir", &folder]));
    for (page, words) in [("beach", "peer to peer"), ("beach-share", "--max-viewers"), ("beach-kick", "--keep-links")] {
        let file = format!("{folder}/{page}.1");
        // As plain text, without the overstriking of old printers.
        let ask = format!("man -l {file} | col -bx");
        let shown = output(Command::new("sh").args(["-c", &ask]).env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8"));
        assert!(shown.contains(words) && shown.contains("SYNOPSIS"), "{page}: {shown}");
    }
    assert!(output(&mut beach(&scratch, &["man"])).contains(".TH beach"));
    assert!(binary().exists());
}

#[test]
fn an_audit_says_who_came_and_did_what_and_holds_no_key() {
    let scratch = Scratch::new();
    let options = ["--audit", "audit.jsonl", "--audit-input", "--approve", "--record", "demo.cast"];
    let host = Host::start(&scratch, &options, &["sh", "-c", "stty raw -echo; exec cat > typed"]);
    let mut viewer = Process::start(&mut join(&scratch, &["--json", "--name", "ann", &host.links.control]));
    holds("the host is asked", SOON, || host.events("member_asks") == 1);
    output(&mut beach(&scratch, &["approve", "1"]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    viewer.write("rm -rf");
    holds("what was typed", SOON, || scratch.read("typed") == "rm -rf");
    output(&mut beach(&scratch, &["kick", "1"]));
    holds("it is gone", SOON, || host.events("member_left") == 1);

    let audit = scratch.read("audit.jsonl");
    let events: Vec<serde_json::Value> =
        audit.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    let kinds: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    for kind in ["member_asks", "member_decided", "member_joined", "path", "typed", "member_left", "links"] {
        assert!(kinds.contains(&kind), "{kind}: {audit}");
    }
    let typed: String = events.iter().filter_map(|event| event["text"].as_str()).collect();
    assert!(typed == "rm -rf" && events.iter().all(|event| event["time"].is_number()), "{audit}");
    let cast = scratch.read("demo.cast");
    let ann = r#"\"ann\""#;
    for marker in [
        format!("{ann} asks to be let in (control)"),
        format!("{ann} is let in"),
        format!("{ann} joined (control)"),
        "new links".to_owned(),
        format!("{ann} left"),
    ] {
        assert!(
            cast.contains(&format!(r#""m", "{marker}""#)) || cast.contains(&format!(r#""m","{marker}""#)),
            "{cast}"
        );
    }
    for link in [&host.links.control, &host.links.view] {
        let (_, key) = link.rsplit_once('.').expect("a link has a key");
        assert!(!audit.contains(key), "{audit}");
    }
    let mode = std::fs::metadata(scratch.file("audit.jsonl")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_prompt_says_how_many_viewers_there_are_in_a_shared_shell_and_nothing_elsewhere() {
    let scratch = Scratch::new();
    let count = beach(&scratch, &["status", "--count"]).output().expect("it runs");
    assert_eq!((count.status.code(), count.stdout.as_slice(), count.stderr.as_slice()), (Some(4), &b""[..], &b""[..]));

    let tmux = Tmux::start(&scratch);
    // As docs/CLI.md has it.
    let shell = scratch.write("bashrc", "PS1='$ '\nPS1='$(n=$(beach status --count) && echo \"[$n] \")'\"$PS1\"\n");
    let rcfile = shell.display().to_string();
    let host = Host::run(&scratch, share(&scratch, &["--json"], &["bash", "--rcfile", &rcfile]).env("PATH", path()));
    let viewers = ["one", "two"].map(|name| {
        let viewer = tmux.pane(name, (80, 24), &format!("exec beach join '{}'", host.links.control));
        viewer.shows("$", SOON);
        viewer
    });

    viewers[0].types_line("");

    viewers[0].shows("[2] $", SOON);
}

/// Where programs find `beach`.
fn path() -> String {
    let programs = binary().parent().expect("the program lies in a folder").display().to_string();
    format!("{programs}:{}", std::env::var("PATH").unwrap_or_default())
}
