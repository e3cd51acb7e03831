//! Terminals that can be looked at: panes of a tmux server of one's own.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use beach_core::terminal::Modes;

use super::beach::clean;
use super::binary::binary;
use super::cells::{self, Rows, differences};
use super::process::Running;
use super::scratch::{Scratch, unique};
use super::wait::{eventually, holds, wait};

/// Both panes must keep colours as they came; nothing may stand on a pane but what its program writes.
const SETTINGS: &str = "\
set -s exit-empty off
set -s escape-time 0
set -g default-terminal tmux-256color
set -as terminal-features ',*:RGB'
set -g status off
set -g remain-on-exit on
set -g remain-on-exit-format ''
set -g history-limit 50000
set -g allow-rename off
";

/// A tmux server; it is ended when dropped, and its panes are shown if the test failed.
#[derive(Debug)]
pub struct Tmux {
    socket: String,
    folder: PathBuf,
    /// Where its programs are looked up: what a pane runs takes its PATH from the client that asked for the pane.
    path: String,
}

/// A terminal in it.
#[derive(Debug)]
pub struct Pane<'a> {
    tmux: &'a Tmux,
    name: String,
}

impl Tmux {
    /// Starts a server on a socket of its own. Programs in it find `beach` in their `PATH`, and work in the folder.
    ///
    /// # Panics
    /// If tmux cannot be started.
    pub fn start(scratch: &Scratch) -> Tmux {
        let programs = binary().parent().expect("the program lies in a folder");
        let path = format!("{}:{}", programs.display(), env::var("PATH").unwrap_or_default());
        let tmux = Tmux { socket: unique("beach-test"), folder: scratch.folder().to_owned(), path };
        let settings = scratch.write("tmux.conf", SETTINGS);
        let output = tmux.command().arg("-f").arg(settings).arg("start-server").output().expect("tmux is installed");
        assert!(output.status.success(), "tmux does not start: {}", String::from_utf8_lossy(&output.stderr));
        tmux
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        clean(&mut command, &self.folder);
        command
            .env("TMUX_TMPDIR", &self.folder)
            .env("PATH", &self.path)
            .env("COLORTERM", "truecolor")
            .args(["-L", &self.socket]);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command().args(args).output().expect("tmux is installed")
    }

    #[track_caller]
    fn ask(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// From now on terminals take what programs put into their clipboard (OSC 52).
    ///
    /// # Panics
    /// If tmux refuses.
    #[track_caller]
    pub fn take_clipboards(&self) {
        self.ask(&["set-option", "-s", "set-clipboard", "on"]);
    }

    /// The clipboard; empty if nothing is in it.
    #[must_use]
    pub fn clipboard(&self) -> String {
        String::from_utf8_lossy(&self.run(&["show-buffer"]).stdout).into_owned()
    }

    /// A new terminal of this size, in which `sh` runs this script. The pane stays when the script ends.
    ///
    /// # Panics
    /// If tmux refuses.
    #[track_caller]
    pub fn pane(&self, name: &str, (cols, rows): (u16, u16), script: &str) -> Pane<'_> {
        let (cols, rows) = (cols.to_string(), rows.to_string());
        self.ask(&["new-session", "-d", "-s", name, "-x", &cols, "-y", &rows, "--", "sh", "-c", script]);
        Pane { tmux: self, name: name.to_owned() }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        if thread::panicking() {
            let names =
                String::from_utf8_lossy(&self.run(&["list-sessions", "-F", "#{session_name}"]).stdout).into_owned();
            for name in names.lines() {
                let shown = self.run(&["capture-pane", "-p", "-t", name]).stdout;
                let state = "#{pane_width}x#{pane_height}, cursor #{cursor_x},#{cursor_y}, dead #{pane_dead} #{pane_dead_status}";
                let state = self.run(&["display-message", "-p", "-t", name, state]).stdout;
                let (state, shown) = (String::from_utf8_lossy(&state), String::from_utf8_lossy(&shown));
                eprintln!("--- pane {name}: {}\n{}\n---", state.trim(), shown.trim_end());
            }
        }
        let _ = self.run(&["kill-server"]);
    }
}

impl Running for Pane<'_> {
    /// Of the shell that runs the pane's script.
    fn id(&self) -> u32 {
        self.told("#{pane_pid}").parse().expect("a pane has a process")
    }
}

impl Pane<'_> {
    #[track_caller]
    fn told(&self, format: &str) -> String {
        self.tmux.ask(&["display-message", "-p", "-t", &self.name, format]).trim().to_owned()
    }

    /// Closes it, as a person closes a window: what runs there is hung up on.
    ///
    /// # Panics
    ///
    /// If tmux refuses.
    #[track_caller]
    pub fn close(self) {
        self.tmux.ask(&["kill-session", "-t", &self.name]);
    }

    /// Gives it another size.
    ///
    /// # Panics
    ///
    /// If tmux refuses.
    #[track_caller]
    pub fn resize(&self, (cols, rows): (u16, u16)) {
        self.tmux.ask(&["resize-window", "-t", &self.name, "-x", &cols.to_string(), "-y", &rows.to_string()]);
        assert_eq!(self.size(), (cols, rows));
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        self.two("#{pane_width} #{pane_height}")
    }

    /// The cursor's column and row, from 0.
    pub fn cursor(&self) -> (u16, u16) {
        self.two("#{cursor_x} #{cursor_y}")
    }

    fn two(&self, format: &str) -> (u16, u16) {
        let told = self.told(format);
        let mut numbers = told.split(' ').map(|number| number.parse().expect("tmux tells numbers"));
        (numbers.next().expect("two numbers"), numbers.next().expect("two numbers"))
    }

    /// The title that its program gave it.
    pub fn title(&self) -> String {
        self.told("#{pane_title}")
    }

    /// Whether the cursor is shown.
    pub fn cursor_is_shown(&self) -> bool {
        self.told("#{cursor_flag}") == "1"
    }

    /// The modes that a program may have left behind, by name.
    pub fn modes_left(&self) -> Vec<&'static str> {
        let asked = [
            ("alternate screen", "#{alternate_on}"),
            ("mouse", "#{mouse_any_flag}"),
            ("mouse in SGR", "#{mouse_sgr_flag}"),
            ("cursor keys", "#{keypad_cursor_flag}"),
            ("keypad", "#{keypad_flag}"),
            ("insert", "#{insert_flag}"),
            ("origin", "#{origin_flag}"),
            ("hidden cursor", "#{?cursor_flag,0,1}"),
            ("no wrap", "#{?wrap_flag,0,1}"),
        ];
        asked.into_iter().filter(|(_, format)| self.told(format) == "1").map(|(name, _)| name).collect()
    }

    /// The modes that the model has too, and tmux tells.
    pub fn modes(&self) -> Modes {
        let modes = [
            (Modes::APP_CURSOR, "#{keypad_cursor_flag}"),
            (Modes::APP_KEYPAD, "#{keypad_flag}"),
            (Modes::MOUSE_CLICK, "#{mouse_standard_flag}"),
            (Modes::MOUSE_DRAG, "#{mouse_button_flag}"),
            (Modes::MOUSE_MOTION, "#{mouse_all_flag}"),
            (Modes::SGR_MOUSE, "#{mouse_sgr_flag}"),
            (Modes::UTF8_MOUSE, "#{mouse_utf8_flag}"),
        ];
        let flags = self.told(&modes.map(|(_, format)| format).join(" "));
        let on = modes.iter().zip(flags.split(' ')).filter(|(_, flag)| *flag == "1");
        on.fold(Modes::NONE, |all, ((mode, _), _)| all.set(*mode, true))
    }

    /// Whether the pane shows the alternate screen.
    pub fn is_alternate(&self) -> bool {
        self.told("#{alternate_on}") == "1"
    }

    /// The pane's rows, without trailing blanks.
    pub fn rows(&self) -> Vec<String> {
        let text = self.tmux.ask(&["capture-pane", "-p", "-t", &self.name]);
        text.lines().map(|row| row.trim_end().to_owned()).collect()
    }

    /// The pane's rows and its history; wrapped lines are joined.
    pub fn everything(&self) -> String {
        self.tmux.ask(&["capture-pane", "-p", "-J", "-S", "-", "-t", &self.name])
    }

    /// The pane's rows, in colour.
    pub fn cells(&self) -> Rows {
        cells::read(&self.tmux.ask(&["capture-pane", "-e", "-p", "-N", "-t", &self.name]))
    }

    /// Types this, as it is.
    #[track_caller]
    pub fn types(&self, text: &str) {
        // A semicolon at the end would end tmux' command.
        let text = text.strip_suffix(';').map_or_else(|| text.to_owned(), |start| format!("{start}\\;"));
        self.tmux.ask(&["send-keys", "-l", "-t", &self.name, "--", &text]);
    }

    /// Presses a key, by tmux' name.
    #[track_caller]
    pub fn presses(&self, key: &str) {
        self.tmux.ask(&["send-keys", "-t", &self.name, key]);
    }

    /// Types a line.
    #[track_caller]
    pub fn types_line(&self, line: &str) {
        self.types(line);
        self.presses("Enter");
    }

    /// Pastes a file's content; line feeds become returns, as when a person pastes.
    #[track_caller]
    pub fn pastes(&self, file: &Path) {
        self.tmux.ask(&["load-buffer", "-b", &self.name, &file.display().to_string()]);
        self.tmux.ask(&["paste-buffer", "-d", "-b", &self.name, "-t", &self.name]);
    }

    /// Waits until a row has this text.
    ///
    /// # Panics
    /// If none has within the time.
    #[track_caller]
    pub fn shows(&self, text: &str, within: Duration) {
        let what = format!("{text:?} on pane {}", self.name);
        holds(&what, within, || self.rows().iter().any(|row| row.contains(text)));
    }

    /// The exit code of the pane's script, if it has ended; tmux sees the terminal closed a little before it knows the
    /// code.
    pub fn ended(&self) -> Option<i32> {
        let told = self.told("#{pane_dead} #{pane_dead_status}");
        let (dead, code) = told.split_once(' ').unwrap_or((&told, ""));
        if dead == "1" && code.is_empty() {
            // tmux 3.3a may miss the signal of a child that ends while another's is handled; the end of a further one
            // reminds it.
            self.tmux.ask(&["run-shell", "true"]);
        }
        code.parse().ok()
    }

    /// Waits for the end of its script, and returns the exit code.
    ///
    /// # Panics
    /// If it does not end within the time.
    #[track_caller]
    pub fn end(&self, within: Duration) -> i32 {
        eventually(&format!("the end of pane {}", self.name), within, || self.ended())
    }
}

/// How long two screens may differ.
const ALIKE_WITHIN: Duration = Duration::from_secs(10);

/// Waits until two panes are alike in every respect.
///
/// # Panics
/// If they are not within ten seconds.
#[track_caller]
pub fn alike(host: &Pane<'_>, viewer: &Pane<'_>) {
    let mut last = String::new();
    let same = wait(ALIKE_WITHIN, || {
        let cells = differences(&host.cells(), &viewer.cells());
        let look = |pane: &Pane<'_>| (pane.cursor(), pane.cursor_is_shown(), pane.size());
        let (here, there) = (look(host), look(viewer));
        last = format!("cursor, shown, size: {here:?} and {there:?}\n{}", cells.as_deref().unwrap_or_default());
        (cells.is_none() && here == there).then_some(())
    });
    assert!(same.is_some(), "still different after {ALIKE_WITHIN:?}:\n{last}");
}
