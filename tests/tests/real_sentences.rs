//! docs/SENTENCES.md holds what the program says: every `--help`, and typical failures. A changed sentence changes the
//! file, so nobody changes one unseen: `BEACH_BLESS=1 cargo test --workspace --test real_sentences` writes the file
//! anew.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use beach_tests::real::{Host, Process, Rendezvous, Scratch, beach, share};

/// A join dials for 15 s before it gives up.
const SOON: Duration = Duration::from_secs(30);

/// Characters of a line, and of a sentence.
const LONGEST: usize = 100;

/// The right form, and nobody's.
const NOBODYS: &str = "AAAAAAAAAAAAAAAAAAAAAA";

const INTRODUCTION: &str = "\
# What the program says

Every `--help`, and typical failures, as `tests/tests/real_sentences.rs` saw them. Write this file anew with
`cargo build --workspace --bin beach && BEACH_BLESS=1 cargo test --workspace --test real_sentences`.

No line and no sentence is longer than 100 characters. The text of a flag counts without line breaks and without
its brackets (`[default: …]`); a sentence ends at a full stop.
";

#[test]
fn what_the_program_says_is_written_down_and_no_sentence_is_long() {
    let scratch = Scratch::new();
    let mut said = INTRODUCTION.to_owned();
    let pages = help_pages(&scratch);
    said.push_str("\n## Help\n");
    pages.iter().for_each(|(command, text)| add(&mut said, command, text));
    said.push_str("\n## Failures\n");
    let failures = failures(&scratch);
    failures.iter().for_each(|(command, text)| add(&mut said, command, text));

    for line in said.lines().skip_while(|line| *line != "## Help") {
        assert!(line.chars().count() <= LONGEST, "a line is longer than {LONGEST}: {line}");
    }
    for sentence in pages.iter().chain(&failures).flat_map(|(_, text)| sentences(text)) {
        assert!(sentence.chars().count() <= LONGEST, "a sentence is longer than {LONGEST}: {sentence}");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/SENTENCES.md");
    if std::env::var_os("BEACH_BLESS").is_some() {
        std::fs::write(&file, &said).expect("docs/SENTENCES.md can be written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let changed = said.lines().zip(written.lines()).find(|(now, before)| now != before);
    assert!(said == written, "sentences changed; read them, and set BEACH_BLESS=1. The first: {changed:#?}");
}

fn add(said: &mut String, command: &str, text: &str) {
    let _ = write!(said, "\n`{command}`\n\n```text\n{}\n```\n", text.trim_end());
}

/// `beach help`, and the help of each command that it lists.
fn help_pages(scratch: &Scratch) -> Vec<(String, String)> {
    let help = |args: &[&str]| {
        let mut process = Process::start(&mut beach(scratch, args));
        assert_eq!(process.exit(SOON), 0, "{args:?}: {}", process.stderr());
        process.stdout()
    };
    let all = help(&["help"]);
    let listed = all.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<String> = listed
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    assert!(commands.len() > 10, "the commands are not found in: {all}");
    let mut pages = vec![("beach help".to_owned(), all)];
    for command in commands {
        let text = help(&[&command, "--help"]);
        pages.push((format!("beach {command} --help"), text));
    }
    pages
}

/// The stderr of failed commands, without the parts that vary.
fn failures(scratch: &Scratch) -> Vec<(String, String)> {
    let mut told = Vec::new();
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free");
    let rendezvous = Rendezvous::start(scratch, &[]);
    let link = |server: &str| format!("{server}/s/{NOBODYS}#1c.{NOBODYS}");
    let mut fails = |args: &[&str], hidden: &[(&str, &str)]| {
        // Without a terminal, so that nothing can be asked for there.
        let command = beach(scratch, args);
        let mut apart = Command::new("setsid");
        apart
            .arg("--wait")
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .current_dir(scratch.folder());
        apart.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut process = Process::start(&mut apart);
        process.close_stdin();
        assert_ne!(process.exit(SOON), 0, "{args:?}");
        let replace = |text: String| hidden.iter().fold(text, |text, (from, to)| text.replace(from, to));
        let words = args.iter().map(|word| if word.contains(' ') { format!("'{word}'") } else { (*word).to_owned() });
        told.push((replace(format!("beach {}", words.collect::<Vec<_>>().join(" "))), replace(process.stderr())));
    };
    fails(&["join"], &[]);
    fails(&["join", "no-link"], &[]);
    fails(&["join", &format!("http://localhost:1/s/{NOBODYS}")], &[]);
    fails(&["join", "--history", "all", "no-link"], &[]);
    fails(&["join", &link(&rendezvous.url)], &[(&rendezvous.url, "http://127.0.0.1:PORT")]);
    fails(&["join", &link(&format!("http://{closed}"))], &[(&closed.to_string(), "127.0.0.1:PORT")]);
    fails(&["serve", "--listen", "8080"], &[]);
    fails(&["share", "--wait=long"], &[]);
    fails(&["share", "vim", "notes.txt"], &[]);
    fails(&["vim"], &[]);
    fails(&["share", "--headless", "--listen", "0.0.0.0:0", "--", "true"], &[]);
    let unknown = ["share", "-q", "--headless", "--linger", "0", "--listen", "127.0.0.1:0", "--", "no-such-program"];
    fails(&unknown, &[]);
    fails(&["status"], &[]);
    let one = Host::start(scratch, &[], &["cat"]);
    fails(&["kick", "ann"], &[]);
    fails(&["kick", "7"], &[]);
    fails(&["stop", "nobodys"], &[]);
    let other = Host::run(scratch, &mut share(scratch, &["--json"], &["cat"]));
    let id = |host: &Host| host.links.view.split(['/', '#']).nth(4).expect("a link has an id").to_owned();
    let (first, second) = (id(&one), id(&other));
    let (first, second) = (first.clone().min(second.clone()), first.max(second));
    let hidden = [(first.as_str(), "ID1"), (second.as_str(), "ID2")];
    fails(&["say", "time for lunch"], &hidden);
    fails(&["stop"], &hidden);
    told
}

/// The sentences of a page or an error: texts of several lines are joined, and brackets are left out.
fn sentences(text: &str) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        match texts.last_mut() {
            // A continuation stands in the column of the text, behind flags and names.
            Some(last) if indent >= 10 && !line.trim_start().starts_with('-') => {
                last.push(' ');
                last.push_str(line.trim_start());
            }
            Some(_) | None => texts.push(column(line)),
        }
    }
    let whole = texts.iter().map(|text| without_brackets(text));
    whole.flat_map(|text| text.split(". ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The text of a line, behind flags and names.
fn column(line: &str) -> String {
    let trimmed = line.trim_start();
    if trimmed.len() == line.len() {
        return trimmed.to_owned();
    }
    trimmed.split_once("  ").map_or(trimmed, |(_, text)| text.trim_start()).to_owned()
}

fn without_brackets(text: &str) -> String {
    let mut depth = 0_usize;
    let mut kept = String::new();
    for c in text.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}
