//! The sentences for people and the lines for programs. Only this file prints.

mod done;
mod failures;
mod status;

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _, stderr, stdout};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use beach_core::crypto::sas::Sas;
use beach_core::id::MemberId;
use beach_core::role::Role;
use beach_core::session::link::{Client, Path, PathKind};
use beach_core::terminal::{Size, is_printable, to_clipboard, viewer_name};
use beach_core::time::Timestamp;
use beach_core::viewer::sentences::way;
use beach_runtime_tokio::patience::write_within;
pub(crate) use done::done;
pub(crate) use failures::{cause, elsewhere, join_failed, share_failed};
use serde_json::{Value, json};
pub(crate) use status::session;

use crate::events::{self, Weight};

/// Exit codes, as `--help` lists them.
pub(crate) mod code {
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const UNREACHABLE: u8 = 3;
    pub(crate) const NO_SESSION: u8 = 4;
    pub(crate) const REFUSED: u8 = 5;
    pub(crate) const NO_PATH: u8 = 6;
    pub(crate) const LOST: u8 = 7;
    pub(crate) const VERSION: u8 = 8;
}

/// The audience of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// People, who read sentences on stderr.
    Human,
    /// People who want errors alone (--quiet).
    Quiet,
    /// Programs, which read JSON on stdout (--json).
    Json,
}

impl Voice {
    pub(crate) fn of(quiet: bool, json: bool) -> Voice {
        match (quiet, json) {
            (_, true) => Voice::Json,
            (true, false) => Voice::Quiet,
            (false, false) => Voice::Human,
        }
    }

    /// Prints a sentence on stderr, if this voice speaks to people.
    pub(crate) fn say(self, sentence: &str) {
        if self == Voice::Human {
            say(&format!("{sentence}\n"));
        }
    }

    /// Prints an event on stdout, if this voice speaks to programs. `type` is the first field.
    pub(crate) fn event(self, kind: &str, fields: &Value) {
        if self != Voice::Json {
            return;
        }
        let mut line = format!("{{\"type\":{}", json!(kind));
        if let Value::Object(fields) = fields {
            for (name, value) in fields {
                let _ = write!(line, ",{}:{}", json!(name), plain_json(value));
            }
        }
        line.push('}');
        events::tell(line, if kind == "exit" { Weight::Last } else { Weight::Ordinary });
    }
}

/// The longest wait for stderr to take a sentence. The session waits meanwhile, so a second sentence gets no wait.
const STDERR_PATIENCE: Duration = Duration::from_millis(200);

/// Writes to stderr. A full disk or a stalled reader loses the text; neither ends nor delays the session.
fn say(text: &str) {
    static STALLED: AtomicBool = AtomicBool::new(false);
    let patience = if STALLED.load(Ordering::Relaxed) { Duration::ZERO } else { STDERR_PATIENCE };
    let stalled = write_within(stderr(), text.as_bytes(), patience)
        .is_err_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
    STALLED.store(stalled, Ordering::Relaxed);
}

/// Prints a warning in three lines: what failed, the cause, what to try.
pub(crate) fn warn(what: &str, cause: &str, advice: &str) {
    let [what, cause, advice] = [what, without_number(cause), advice].map(printable);
    say(&format!("warning: {what}\n  cause: {cause}\n  try:   {advice}\n"));
}

/// Prints an error in three lines: what failed, the cause, what to try.
fn error(what: &str, cause: &str, advice: &str) {
    let [what, cause, advice] = [what, without_number(cause), advice].map(printable);
    say(&format!("error: {what}\n  cause: {cause}\n  try:   {advice}\n"));
}

/// Prints an error of usage; returns its exit code.
pub(crate) fn usage(what: &str, cause: &str, advice: &str) -> u8 {
    error(what, cause, advice);
    code::USAGE
}

/// Prints an error of the program; returns its exit code.
pub(crate) fn refuse(what: &str, cause: &str, advice: &str) -> u8 {
    error(what, cause, advice);
    code::FAILED
}

/// Prints an error; returns `code`.
pub(crate) fn error_of(code: u8, what: &str, cause: &str, advice: &str) -> u8 {
    error(what, cause, advice);
    code
}

/// Warns that share does not read its stdin.
pub(crate) fn input_is_not_passed_on() {
    let cause = "the command reads a terminal of its own, into which viewers type";
    warn("share does not pass its stdin on", cause, "beach share -- sh -c 'COMMAND < FILE'");
}

/// Says that the doctor waits for the host's decision.
pub(crate) fn doctor_waits(at_most: Duration) {
    say(&format!("Waiting until the host lets the doctor in as a viewer, {} s at most.\n", at_most.as_secs()));
}

/// A cause without the number that the standard library puts behind the system's words, as in `… (os error 2)`.
fn without_number(cause: &str) -> &str {
    let number = |rest: &str| rest.strip_suffix(')').is_some_and(|digits| digits.parse::<i32>().is_ok());
    cause.rsplit_once(" (os error ").filter(|(_, rest)| number(rest)).map_or(cause, |(words, _)| words)
}

/// The printable part of a foreign text: no character moves the cursor or is invisible.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { ' ' } else { c }).filter(|c| is_printable(*c)).collect()
}

/// JSON that escapes each unprintable character, so that a terminal may show the text.
pub(crate) fn plain_json(value: &Value) -> String {
    let mut plain = String::new();
    for c in value.to_string().chars() {
        if is_printable(c) {
            plain.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(plain, "\\u{unit:04x}");
            });
        }
    }
    plain
}

/// The line about a person who wants in, for a host whose command has not started and draws no screen.
pub(crate) fn asks(member: MemberId, role: Role, name: &str, sas: Sas, client: Client) -> String {
    let (name, browser) = (viewer_name(name, member.0), in_browser(client));
    format!("  {sas}: the words of {name} ({role}){browser}. To let them in: beach approve {member}")
}

/// Behind a viewer's name: whether the viewer is in a browser.
pub(crate) fn in_browser(client: Client) -> &'static str {
    match client {
        Client::Beach => "",
        Client::Browser => ", in a browser",
    }
}

/// Empties the terminal on stdout.
pub(crate) fn clear() {
    let _ = write!(stdout(), "\x1b[H\x1b[2J");
}

/// A file that a session writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrittenFile {
    Recording,
    Audit,
}

impl WrittenFile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            WrittenFile::Recording => "recording",
            WrittenFile::Audit => "audit",
        }
    }

    /// The type of the event that reports the file's end.
    pub(crate) fn event(self) -> &'static str {
        match self {
            WrittenFile::Recording => "recording_ended",
            WrittenFile::Audit => "audit_ended",
        }
    }
}

/// Reports a file that the session cannot write any more; the session goes on.
pub(crate) fn file_ended(file: WrittenFile, cause: &std::io::Error) {
    let what = format!("the {} ended early", file.name());
    error(&what, &cause.to_string(), "free some disk space; the session goes on");
}

/// Prints a line on stdout.
pub(crate) fn print(line: &str) {
    let _ = writeln!(stdout(), "{line}");
    let _ = stdout().flush();
}

/// Prints the last screen, for a join without a terminal.
pub(crate) fn print_screen(rows: &[String]) {
    let used = rows.iter().rposition(|row| !row.trim_end().is_empty()).map_or(0, |last| last + 1);
    for row in &rows[..used] {
        let _ = writeln!(stdout(), "{}", row.trim_end());
    }
    let _ = stdout().flush();
}

pub(crate) fn serving(scheme: &str, address: SocketAddr) {
    say(&format!("beach {} rendezvous on {scheme}://{address}\n", env!("CARGO_PKG_VERSION")));
}

/// Prints that a server has got its certificate.
pub(crate) fn certified(names: &[String]) {
    say(&format!("beach {} has a certificate for {}\n", env!("CARGO_PKG_VERSION"), names.join(", ")));
}

/// Prints where monitors ask a server how it is.
pub(crate) fn monitored(address: SocketAddr) {
    say(&format!("beach {} metrics on http://{address}/metrics\n", env!("CARGO_PKG_VERSION")));
}

/// Prints where the TURN server is, and at which ports it relays.
pub(crate) fn serving_turn(addresses: &[SocketAddr], name: Option<&str>, ports: &RangeInclusive<u16>) {
    let ways = name.map_or("UDP and TCP".to_owned(), |name| format!("UDP, TCP and TLS as {name}"));
    for address in addresses {
        let (low, high) = (ports.start(), ports.end());
        say(&format!("TURN server on {address}, {ways}; it relays at UDP ports {low}-{high}\n"));
    }
}

/// Prints the address of the page for browsers, which has the link's key in it.
pub(crate) fn page_served(url: &str) {
    say("Open this address in a browser on this machine, and end with Ctrl-C:\n");
    print(url);
}

/// Prints a line about a recording, which may be a stranger's: without its control characters.
pub(crate) fn replayed(at: Timestamp, line: &str) {
    let _ = writeln!(stdout(), "{at:>14} s  {}", printable(line));
}

/// Prints the greeting of a share.
pub(crate) fn header<'a>(lines: impl Iterator<Item = &'a str>) {
    lines.for_each(|line| say(&format!("{line}\n")));
}

/// Puts a text into the clipboard of the terminal that stderr is, if it is one.
pub(crate) fn copy(text: &str) {
    if stderr().is_terminal() {
        say(&to_clipboard(text));
    }
}

/// Scrolls the own terminal's content into its scrollback, and moves the cursor to the top.
pub(crate) fn push_away(size: Size) {
    say(&format!("\x1b[{};1H{}\x1b[1;1H", size.rows, "\n".repeat(usize::from(size.rows))));
}

/// The current step of a join: one line on stderr, drawn again and again.
#[derive(Debug)]
pub(crate) struct Spinner {
    visible: bool,
    text: String,
    turn: usize,
}

impl Spinner {
    /// The time between two frames.
    pub(crate) const TURN: Duration = Duration::from_millis(100);

    pub(crate) fn new(voice: Voice) -> Spinner {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Spinner { visible: voice == Voice::Human && stderr().is_terminal() && !dumb, text: String::new(), turn: 0 }
    }

    pub(crate) fn is_visible(&self) -> bool {
        self.visible
    }

    pub(crate) fn show(&mut self, text: String) {
        self.text = text;
        self.draw();
    }

    pub(crate) fn turn(&mut self) {
        self.turn += 1;
        self.draw();
    }

    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.visible) {
            say("\r\x1b[K");
        }
    }

    fn draw(&self) {
        const FRAMES: [char; 4] = ['|', '/', '-', '\\'];
        if self.visible && !self.text.is_empty() {
            say(&format!("\r\x1b[K{} {}", FRAMES[self.turn % FRAMES.len()], self.text));
        }
    }
}

/// `connected directly (192.168.1.5, 3 ms)`.
pub(crate) fn connected(path: Path, round_trip: Option<Duration>) -> String {
    let remote = (path.kind == PathKind::Direct).then(|| path.remote.ip().to_string());
    let details: Vec<_> = remote.into_iter().chain(round_trip.map(milliseconds)).collect();
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
    format!("connected {}{details}", way(path))
}

/// The fields of a `path` event; a path through the rendezvous has no addresses.
pub(crate) fn path_fields(path: Path, member: Option<MemberId>) -> Value {
    let mut fields = json!({ "kind": path.kind });
    if path.kind != PathKind::Relay {
        fields["local"] = path.local.to_string().into();
        fields["remote"] = path.remote.to_string().into();
    }
    if let Some(member) = member {
        fields["member"] = member.0.into();
    }
    fields
}

pub(crate) fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    if milliseconds < 10.0 { format!("{milliseconds:.1} ms") } else { format!("{milliseconds:.0} ms") }
}

#[cfg(test)]
mod tests {
    use super::status::tests::FORGED;
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_words_of_a_question() {
        let sas = Sas(7);
        let line = asks(MemberId(3), Role::Control, FORGED, sas, Client::Beach);
        assert!(line.trim_start().starts_with(&sas.to_string()) && !line.contains(['\n', '\u{202e}']), "{line}");
        assert!(line.contains("\"x' (view); sees: four fa…\" (control). To let them in"), "{line}");
    }

    #[test]
    fn a_cause_has_the_systems_words_without_its_number() {
        assert_eq!(without_number(&std::io::Error::from_raw_os_error(2).to_string()), "No such file or directory");
        assert_eq!(without_number("x (os error y)"), "x (os error y)");
    }

    #[test]
    fn json_is_escaped_but_for_what_a_person_may_see() {
        let value = json!({ "name": "é\u{9b}\u{202e}\u{e0041}\n" });
        let plain = plain_json(&value);
        assert_eq!(plain, "{\"name\":\"é\\u009b\\u202e\\udb40\\udc41\\n\"}");
        assert_eq!(serde_json::from_str::<Value>(&plain).expect("JSON"), value);
    }
}
