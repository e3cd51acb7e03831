//! A real xterm, on an X server without a screen (Xvfb), whose page can be read: xterm prints the page itself.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::beach::clean;
use super::binary::binary;
use super::cells::{self, Cell, Rows};
use super::process::{Process, Running as _, Signal};
use super::scratch::Scratch;
use super::wait::{eventually, wait};

const SOON: Duration = Duration::from_secs(20);

/// The file to which xterm's printer writes, in the scratch folder.
const PAGE: &str = "page";

/// The second half of a wide character, as xterm prints it.
const SECOND_HALF: char = '\u{ffff}';

/// An xterm and its X server; both are ended when this is dropped.
pub struct Xterm {
    server: Process,
    /// Killed when dropped; what runs in the xterm is hung up on.
    _window: Process,
    folder: PathBuf,
}

impl Xterm {
    /// Starts an xterm of this size, in which `sh` runs this script. Programs in it find `beach` in their `PATH`, and
    /// work in the folder.
    ///
    /// # Panics
    /// If Xvfb or xterm is not installed, or does not start.
    #[track_caller]
    pub fn start(scratch: &Scratch, (cols, rows): (u16, u16), script: &str) -> Xterm {
        let folder = scratch.folder();
        let mut server = Command::new("Xvfb");
        clean(&mut server, folder);
        let server =
            Process::start(server.args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0", "1600x1200x24"]));
        let (display, _) = server.line("the number of the display", SOON, |_| true);
        let mut window = Command::new("xterm");
        clean(&mut window, folder);
        let programs = binary().parent().expect("the program lies in a folder").display();
        window.env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap_or_default()));
        window.env("DISPLAY", format!(":{display}")).args(["-u8", "-geometry", &format!("{cols}x{rows}")]);
        // The name of the file with the page appears when the page is complete. `2` prints colours too.
        let command = format!("printerCommand: cat > {PAGE}.part; mv {PAGE}.part {PAGE}");
        for setting in [
            &command,
            "printerAutoClose: true",
            "printerExtent: true",
            "printerFormFeed: false",
            "printAttributes: 2",
            "boldColors: false",
            "allowWindowOps: true",
        ] {
            window.args(["-xrm", &format!("*{setting}")]);
        }
        let window = window.args(["-e", "sh", "-c", &format!("tty > tty.part; mv tty.part tty; {script}")]);
        let window = Process::start(window);
        Xterm { server, _window: window, folder: folder.to_owned() }
    }

    /// Where xterm's page and a viewer's screen differ, for a person; `None` if they do not. Characters, colours and
    /// attributes are compared. Nothing else may write to xterm meanwhile: the command to print would stand in the
    /// middle of a control sequence.
    ///
    /// # Panics
    /// If xterm prints no page in time.
    #[track_caller]
    pub fn differences(&self, viewer: &Rows) -> Option<String> {
        let page = self.page();
        let mut viewer = viewer.clone();
        for (row, cells) in viewer.iter_mut().enumerate() {
            let plain = |column| {
                let printed = page.get(row).and_then(|row: &Vec<Cell>| row.get(column));
                printed.is_none_or(|cell| *cell == Cell::plain(' '))
            };
            // Of a cell that was erased in a colour, xterm does not print the colour.
            for (column, cell) in cells.iter_mut().enumerate() {
                if plain(column) && cell.character == ' ' && cell.attributes.is_empty() {
                    *cell = Cell::plain(' ');
                }
            }
        }
        cells::differences(&page, &viewer)
    }

    /// Gives it another size, in columns and rows. Nothing else may write to xterm meanwhile.
    ///
    /// # Panics
    /// If xterm is gone.
    #[track_caller]
    pub fn resize(&self, (cols, rows): (u16, u16)) {
        self.write(&format!("\x1b[8;{rows};{cols}t"));
    }

    fn write(&self, sequence: &str) {
        let tty = self.folder.join("tty");
        let terminal = eventually("the name of xterm's terminal", SOON, || fs::read_to_string(&tty).ok());
        let mut terminal = OpenOptions::new().write(true).open(terminal.trim()).expect("the terminal is there");
        terminal.write_all(sequence.as_bytes()).expect("xterm reads");
    }

    /// The page as xterm prints it (`CSI 0 i`), in colour.
    fn page(&self) -> Rows {
        let page = self.folder.join(PAGE);
        let _ = fs::remove_file(&page);
        self.write("\x1b[0i");
        let printed = eventually("the page that xterm prints", SOON, || fs::read(&page).ok());
        let printed = String::from_utf8_lossy(&printed);
        // Each row begins with the command for characters of single width (DECSWL).
        cells::read(&plain_cells_told(&printed.replace("\x1b#5", "").replace(['\r', SECOND_HALF], "")))
    }
}

/// xterm prints a style before each cell that has one, and nothing before a plain cell. Here a plain cell gets
/// `CSI 0 m`.
fn plain_cells_told(printed: &str) -> String {
    let mut told = String::with_capacity(printed.len() * 2);
    let (mut in_style, mut styled) = (false, false);
    for character in printed.chars() {
        if character == '\x1b' {
            (in_style, styled) = (true, true);
        } else if in_style {
            in_style = character != 'm';
        } else if !styled {
            told.push_str("\x1b[0m");
        } else {
            styled = false;
        }
        told.push(character);
    }
    told
}

impl Drop for Xterm {
    fn drop(&mut self) {
        // Killed, an X server would leave its lock behind.
        self.server.signal(Signal::TERM);
        let _ = wait(Duration::from_secs(5), || (!self.server.is_running()).then_some(()));
    }
}
