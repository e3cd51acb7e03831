//! The recipes of docs/GUIDE.md, run as the guide prints them.

use std::time::Duration;

use beach_tests::real::{Pane, Rendezvous, Scratch, Tmux, eventually, holds};

const SOON: Duration = Duration::from_secs(15);

const GUIDE: &str = include_str!("../../docs/GUIDE.md");

/// The commands of a recipe's blocks, in the guide's order.
fn recipe(title: &str) -> Vec<String> {
    let rest = GUIDE.split_once(&format!("\n## {title}\n")).expect("the guide has the recipe").1;
    let recipe = rest.split("\n## ").next().expect("a split has a first part");
    let blocks = recipe.split("```sh\n").skip(1).map(|block| block.split("```").next().expect("a first part"));
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

/// A rendezvous, and terminals in which the guide's commands run.
struct Table {
    rendezvous: Rendezvous,
    tmux: Tmux,
    scratch: Scratch,
}

impl Table {
    fn new() -> Table {
        let scratch = Scratch::new();
        Table { rendezvous: Rendezvous::start(&scratch, &[]), tmux: Tmux::start(&scratch), scratch }
    }

    fn command(&self, command: &str, link: &str) -> String {
        command.replace("https://beach.example", &self.rendezvous.url).replace("LINK", &format!("'{link}'"))
    }

    /// Runs a command in a terminal of its own.
    #[track_caller]
    fn pane(&self, name: &str, command: &str, link: &str) -> Pane<'_> {
        self.tmux.pane(name, (120, 24), &format!("{}; echo \"ended with $?\"; exec cat", self.command(command, link)))
    }

    /// Runs a command that ends well, and returns the text of its terminal.
    #[track_caller]
    fn ask(&self, name: &str, command: &str, link: &str) -> String {
        let pane = self.pane(name, command, link);
        pane.shows("ended with 0", SOON * 2);
        pane.everything()
    }

    /// The link with this beginning of the key, as the host's terminal shows it.
    #[track_caller]
    fn link(host: &Pane<'_>, kind: &str) -> String {
        eventually("the link", SOON, || {
            let text = host.everything();
            let mut words = text.split_whitespace().map(|word| word.trim_matches('\''));
            words.find(|word| word.starts_with("http://") && word.contains(kind)).map(str::to_owned)
        })
    }
}

#[test]
fn pairing() {
    let commands = recipe("Pairing");
    let [share, join, status, revoke, grant] = &commands[..] else { panic!("{commands:?}") };
    let table = Table::new();
    let host = table.pane("host", share, "");
    let link = Table::link(&host, "#c");
    let guest = table.pane("guest", join, &link);
    guest.shows("$", SOON);
    guest.types_line("echo $((6*7))");
    holds("both see 42", SOON, || [&host, &guest].iter().all(|pane| pane.rows().iter().any(|row| row == "42")));
    assert!(table.ask("status", status, "").replace('\n', "").contains(&link), "the status shows the link");
    table.ask("revoke", revoke, "");
    guest.shows("you can only watch now", SOON);
    table.ask("grant", grant, "");
    guest.shows("you can type now", SOON);
    host.types_line("exit");
    guest.shows("ended with 0", SOON);
}

#[test]
fn teaching_a_class() {
    let commands = recipe("Teaching a class");
    let [share, join, say, pause, resume] = &commands[..] else { panic!("{commands:?}") };
    let table = Table::new();
    let host = table.pane("host", share, "");
    let link = Table::link(&host, "#v");
    let pupils = ["one", "two"].map(|name| table.pane(name, join, &link));
    pupils.iter().for_each(|pupil| pupil.shows("$", SOON));
    table.ask("say", say, "");
    pupils.iter().for_each(|pupil| pupil.shows("The break is over at ten.", SOON));
    table.ask("pause", pause, "");
    host.types_line("echo $((6*7))");
    host.shows("42", SOON);
    pupils[0].shows("the host paused the session", SOON);
    assert!(!pupils[0].everything().contains("42"), "{}", pupils[0].everything());
    table.ask("resume", resume, "");
    pupils.iter().for_each(|pupil| pupil.shows("42", SOON));
}

#[test]
fn helping_somebody_behind_a_nat() {
    let commands = recipe("Helping somebody behind a NAT");
    let [share, doctor, join] = &commands[..] else { panic!("{commands:?}") };
    let table = Table::new();
    let host = table.pane("host", share, "");
    let link = Table::link(&host, "#c");
    table.ask("doctor", doctor, &link);
    let helper = table.pane("helper", join, &link);
    helper.shows("$", SOON);
    helper.types_line("echo $((6*7))");
    host.shows("42", SOON);
}

#[test]
fn a_shell_in_a_failed_ci_job() {
    let commands = recipe("A shell in a failed CI job");
    let [share, join] = &commands[..] else { panic!("{commands:?}") };
    let table = Table::new();
    let job = table.pane("job", share, "");
    let person = table.pane("person", join, &Table::link(&job, "#1c."));
    person.shows("$", SOON);
    person.types_line("exit 1");
    job.shows("ended with 1", SOON);
}

#[test]
fn a_long_session_on_a_train() {
    let commands = recipe("A long session on a train");
    let [share, join, attach] = &commands[..] else { panic!("{commands:?}") };
    let table = Table::new();
    let home = table.pane("home", share, "");
    home.shows("ended with 0", SOON);
    let train = table.pane("train", join, &Table::link(&home, "#c"));
    train.shows("$", SOON);
    train.types_line("echo $((6*7))");
    train.shows("42", SOON);
    let again = table.pane("again", attach, "");
    again.shows("42", SOON);
    table.ask("stop", "beach stop", "");
    again.shows("ended with 0", SOON);
}

#[test]
fn your_own_rendezvous() {
    let commands = recipe("Your own rendezvous");
    let [serve, doctor] = &commands[..] else { panic!("{commands:?}") };
    let table = Table::new();
    // Port 8080 may be in use on the machine of the tests.
    table.pane("server", &serve.replace(":8080", ":0"), "").shows("http://", SOON);
    let config = GUIDE.split_once("```toml\n").expect("the guide has a setting").1.split("```").next();
    let config = config.expect("a split has a first part").replace("https://beach.example", &table.rendezvous.url);
    std::fs::create_dir_all(table.scratch.file(".config/beach")).expect("a folder");
    table.scratch.write(".config/beach/config.toml", config);
    let host = table.pane("host", "beach share", "");
    assert!(Table::link(&host, "#c").starts_with(&table.rendezvous.url));
    table.ask("doctor", doctor, "");
}
