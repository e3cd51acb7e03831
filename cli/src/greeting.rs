//! The greeting of `beach share`: its links, and remarks about them.

use beach_core::crypto::invite::{Invite, LinkForm};
use beach_core::host::{LinkLengths, fill_links};
use beach_core::keyboard::key_name;
use beach_core::role::Role;
use beach_core::terminal::Size;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde_json::Value;

/// The width of a terminal in which the command of each link stands on one line, in columns.
const LINE: usize = 80;

/// The links of a session. No `Debug`, since links hold keys.
#[derive(Clone)]
pub(crate) struct Invites {
    /// The link that permits typing; `None` with --view-only.
    pub(crate) join: Option<String>,
    pub(crate) view: String,
}

impl Invites {
    pub(crate) fn new(link: impl Fn(Role) -> String, view_only: bool) -> Invites {
        Invites { join: (!view_only).then(|| link(Role::Control)), view: link(Role::View) }
    }

    /// These links in the short form.
    pub(crate) fn short(&self) -> Invites {
        let short = |link: &str| Invite::parse(link).map_or_else(|_| link.to_owned(), |invite| invite.short().url());
        Invites { join: self.join.as_deref().map(short), view: short(&self.view) }
    }

    /// The links for a person in a share's answer to `status`: short ones, if they work.
    pub(crate) fn of(answer: &Value) -> Option<Invites> {
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        let short = text("short_view").map(|view| Invites { join: text("short_join"), view });
        short.or_else(|| text("view").map(|view| Invites { join: text("join"), view }))
    }

    /// The link that permits most.
    pub(crate) fn main(&self) -> &str {
        self.join.as_deref().unwrap_or(&self.view)
    }

    /// The links' lengths, for rows that have placeholders for them.
    pub(crate) fn lengths(&self) -> LinkLengths {
        let length = |link: &str| u16::try_from(link.chars().count()).unwrap_or(u16::MAX);
        LinkLengths { join: self.join.as_deref().map(length), view: length(&self.view) }
    }

    /// Puts the links in the place of their placeholders.
    pub(crate) fn fill(&self, rows: &[u8]) -> Vec<u8> {
        fill_links(rows, self.join.as_deref().unwrap_or_default(), &self.view)
    }

    /// The commands for viewers, each on a line of its own behind a label: people copy whole lines.
    pub(crate) fn commands(&self) -> Vec<String> {
        let join = self.join.iter().flat_map(|join| ["  Join (may type):".to_owned(), joining(join)]);
        join.chain(["  View (read-only):".to_owned(), joining(&self.view)]).collect()
    }
}

/// The command that joins by `link`, for any shell: zsh takes `#` and `[` for patterns outside of quotes. Indented, if
/// there is room.
fn joining(link: &str) -> String {
    let command = format!("beach join '{link}'");
    if command.chars().count() + 2 > LINE { command } else { format!("  {command}") }
}

/// The environment variable of the shared command that holds the path of its session's socket.
pub(crate) const SOCKET: &str = "BEACH_SOCKET";

/// The environment variable of the shared command that holds the first id of its session.
pub(crate) const SESSION: &str = "BEACH_SESSION";

/// Whether this process runs inside a shared terminal, where viewers see its output.
pub(crate) fn is_inside() -> bool {
    [SOCKET, SESSION].iter().any(|name| std::env::var_os(name).is_some())
}

/// Whether output contains links. Inside a shared terminal a printed link would give its key to every viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvitesShown {
    Yes,
    No,
}

impl InvitesShown {
    /// `No` inside a shared terminal, unless the command line has --links (`asked`).
    pub(crate) fn unless_inside(asked: bool) -> InvitesShown {
        if asked || !is_inside() { InvitesShown::Yes } else { InvitesShown::No }
    }

    /// The answer to `status`, without links if they must not be shown.
    pub(crate) fn of(self, answer: &Value) -> Value {
        let mut answer = answer.clone();
        if self == InvitesShown::No {
            ["join", "view", "short_join", "short_view"].into_iter().for_each(|link| answer[link] = Value::Null);
        }
        answer
    }
}

/// The way in which a session ends.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    /// The host's terminal shows a shell.
    Shell,
    /// The host's terminal shows another program.
    Program,
    /// The command has no terminal of the host's.
    Headless,
}

impl Ending {
    fn sentence(self) -> &'static str {
        match self {
            Ending::Shell => "Exit the shell (Ctrl-D) to stop sharing.",
            Ending::Program => "Sharing stops when the command ends.",
            Ending::Headless => "Sharing stops when the command ends, or by `beach stop`.",
        }
    }
}

/// The remarks under the links.
#[derive(Clone, Copy)]
pub(crate) struct Remarks {
    pub(crate) ending: Ending,
    /// Only this machine reaches the rendezvous inside share.
    pub(crate) local: bool,
    pub(crate) no_tls: bool,
    /// The command starts when a viewer has joined.
    pub(crate) waits: bool,
    /// This terminal asks the host about each person who wants to type.
    pub(crate) asks: bool,
    /// The key that begins a command at the host's own terminal.
    pub(crate) escape: Option<u8>,
    pub(crate) qr: bool,
    /// The terminal gets the link that permits most for its clipboard.
    pub(crate) copied: bool,
    /// Whether the greeting contains the links.
    pub(crate) links: InvitesShown,
}

/// The lines above the shared terminal, each with its width in columns.
pub(crate) struct Greeting(Vec<(String, usize)>);

impl Greeting {
    pub(crate) fn new(command: &str, size: Size, links: &Invites, remarks: Remarks) -> Greeting {
        let code = Code::of(size, links, remarks);
        let mut lines = vec![
            String::new(),
            format!("  beach {}   sharing `{command}` ({size})", env!("CARGO_PKG_VERSION")),
            String::new(),
        ];
        match remarks.links {
            // Below the code: the upper rows leave the window first.
            InvitesShown::Yes if code.is_drawn() => {}
            InvitesShown::Yes => lines.extend(links.commands()),
            InvitesShown::No => {
                lines.push("  The links are hidden, since viewers of this shared terminal would see them.".to_owned());
                lines.push("  `beach status` in another terminal shows them; --links shows them here.".to_owned());
            }
        }
        if !code.is_drawn() {
            lines.push(String::new());
        }
        lines.push(format!("  End-to-end encrypted. {}", remarks.ending.sentence()));
        for (applies, text) in [
            (is_inside(), "  This terminal is shared already: its viewers see what you share here too."),
            (remarks.local, "  These links work on this machine only. For others: --lan, --listen ADDR, or"),
            (remarks.local, "  --server URL. The configuration file can hold the default: server = \"URL\"."),
            (remarks.no_tls, "  Not https: somebody on the network could stop people from joining, but cannot"),
            (remarks.no_tls, "  read along or join."),
            (!is_utf8_locale(), "  This locale is not UTF-8: viewers may see broken characters."),
            (remarks.asks, "  This terminal asks you before anybody may type."),
            (remarks.copied, "  This terminal's clipboard has the link, if the terminal permits that."),
            (remarks.waits, "  The command starts when the first viewer has joined."),
        ] {
            lines.extend(applies.then(|| text.to_owned()));
        }
        let help = |key| format!("  {} ? shows your commands: links, viewers, pause.", key_name(key));
        lines.extend(remarks.escape.map(help));
        let mut lines: Vec<_> = lines.into_iter().map(plain).collect();
        match code {
            Code::Drawn(code) => {
                lines.push(plain(String::new()));
                lines.extend(code);
                lines.extend(links.commands().into_iter().map(plain));
            }
            Code::TooLarge { needed } => {
                let text = format!("  No QR code: with the links it needs {needed}, this window has {size}.");
                lines.extend([text, String::new()].map(plain));
            }
            Code::Unwanted => lines.push(plain(String::new())),
        }
        Greeting(lines)
    }

    /// A greeting of one line, the link.
    pub(crate) fn quiet(link: &str) -> Greeting {
        Greeting(vec![plain(link.to_owned())])
    }

    /// The height of the greeting in a terminal of `size`, in rows.
    pub(crate) fn rows(&self, size: Size) -> u16 {
        let rows = |(_, columns): &(String, usize)| columns.div_ceil(usize::from(size.cols)).max(1);
        u16::try_from(self.0.iter().map(rows).sum::<usize>()).unwrap_or(u16::MAX)
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(line, _)| line.as_str())
    }
}

/// The QR code of the link that permits most.
enum Code {
    Unwanted,
    Drawn(Vec<(String, usize)>),
    /// The window has no room for the code, the links below and a prompt; they need this size.
    TooLarge {
        needed: Size,
    },
}

impl Code {
    fn of(size: Size, links: &Invites, remarks: Remarks) -> Code {
        if !remarks.qr || remarks.links == InvitesShown::No {
            return Code::Unwanted;
        }
        let code = squares(links.main());
        let width = code.first().map_or(0, |(_, columns)| *columns);
        let below = Greeting(links.commands().into_iter().map(plain).collect()).rows(size);
        let rows = u16::try_from(code.len()).unwrap_or(u16::MAX).saturating_add(below).saturating_add(1);
        let needed = Size::new(u16::try_from(width).unwrap_or(u16::MAX), rows);
        if needed.rows > size.rows || needed.cols > size.cols { Code::TooLarge { needed } } else { Code::Drawn(code) }
    }

    fn is_drawn(&self) -> bool {
        match self {
            Code::Drawn(_) => true,
            Code::Unwanted | Code::TooLarge { .. } => false,
        }
    }
}

/// The greeting with each form of the links, as long as the rendezvous has not said which ones work. Both have the same
/// height, since the command's rows begin below.
pub(crate) struct Header {
    long: Greeting,
    short: Greeting,
    rows: u16,
    size: Size,
}

impl Header {
    pub(crate) fn new(long: Greeting, short: Greeting, size: Size) -> Header {
        let rows = long.rows(size).max(short.rows(size));
        Header { long, short, rows, size }
    }

    /// The height in rows.
    pub(crate) fn rows(&self) -> u16 {
        self.rows
    }

    pub(crate) fn lines(&self, form: LinkForm) -> impl Iterator<Item = &str> {
        let greeting = match form {
            LinkForm::Long => &self.long,
            LinkForm::Short => &self.short,
        };
        let missing = usize::from(self.rows - greeting.rows(self.size));
        // Above, since the upper rows leave a low window first.
        std::iter::repeat_n("", missing).chain(greeting.lines())
    }
}

fn plain(line: String) -> (String, usize) {
    let columns = line.chars().count();
    (line, columns)
}

/// A text as a QR code, two squares a character. The code is dark on light in every terminal, as cameras expect. The
/// lowest correction of errors keeps the code small, since a screen has no stains. The margin is two squares wide.
fn squares(text: &str) -> Vec<(String, usize)> {
    const DARK_ON_LIGHT: &str = "\x1b[38;5;16;48;5;231m";
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::L) else { return Vec::new() };
    let drawn = code.render::<Dense1x2>().quiet_zone(false).build();
    let width = drawn.lines().next().map_or(0, |row| row.chars().count());
    let margin = " ".repeat(width);
    let rows = std::iter::once(margin.as_str()).chain(drawn.lines()).chain([margin.as_str()]);
    rows.map(|row| (format!("  {DARK_ON_LIGHT}  {row}  \x1b[0m"), width + 6)).collect()
}

/// Whether the locale is UTF-8. The first of these variables that is set decides (POSIX, "Locale").
pub(crate) fn is_utf8_locale() -> bool {
    let set = |name: &&str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    let value = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(set).and_then(|name| std::env::var(name).ok());
    value.is_some_and(|value| value.to_lowercase().replace('-', "").contains("utf8"))
}

#[cfg(test)]
mod tests {
    use beach_core::Entropy;
    use beach_core::crypto::keys::HostSecrets;

    use super::*;

    #[test]
    fn nothing_but_a_command_stands_on_the_line_of_a_link_which_is_in_quotes() {
        for view_only in [false, true] {
            let links = Invites::new(|role| format!("http://[::1]:8080/s/ID#{role}"), view_only);
            let commands: Vec<String> = links.commands().into_iter().filter(|line| line.contains("http")).collect();
            let command = |role: &str| format!("  beach join 'http://[::1]:8080/s/ID#{role}'");
            let (join, view) = (command("control"), command("view"));
            assert_eq!(commands, if view_only { vec![view] } else { vec![join, view] });
        }
    }

    #[test]
    fn both_short_links_fit_a_line_each_for_origins_of_28_characters() {
        let secrets = HostSecrets::new(&mut Entropy::new([1; 32]));
        let origin = "https://beach.example.org:44";
        assert_eq!(origin.len(), 28);
        let links = Invites::new(|role| secrets.invite(origin, role).url(), false).short();
        let commands = links.commands();
        let lines: Vec<&String> = commands.iter().filter(|line| line.contains("beach join")).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        let read: Vec<_> = lines.iter().filter_map(|line| Invite::parse(line).ok()).collect();
        assert_eq!(read.iter().map(|invite| invite.role).collect::<Vec<_>>(), [Role::Control, Role::View]);
    }

    #[test]
    fn the_escape_is_named_where_it_is_one() {
        let remarks = Remarks {
            ending: Ending::Shell,
            local: false,
            no_tls: false,
            waits: false,
            asks: false,
            escape: Some(0x1d),
            qr: false,
            copied: false,
            links: InvitesShown::Yes,
        };
        let links = Invites::new(|_| "LINK".to_owned(), false);
        let names_a_key = |remarks| {
            let greeting = Greeting::new("bash", Size::new(80, 24), &links, remarks);
            greeting.lines().any(|line| line.starts_with("  ^] ? shows your commands"))
        };
        assert!(names_a_key(remarks) && !names_a_key(Remarks { escape: None, ..remarks }));
    }

    #[test]
    fn a_header_has_the_same_height_with_each_form_of_the_links() {
        let size = Size::new(80, 24);
        let remarks = Remarks {
            ending: Ending::Shell,
            local: false,
            no_tls: true,
            waits: false,
            asks: true,
            escape: Some(0x1d),
            qr: false,
            copied: false,
            links: InvitesShown::Yes,
        };
        let secrets = HostSecrets::new(&mut Entropy::new([1; 32]));
        let long = Invites::new(|role| secrets.invite("https://beach.example.org:44", role).url(), false);
        let greeting = |links: &Invites| Greeting::new("bash", size, links, remarks);
        let header = Header::new(greeting(&long), greeting(&long.short()), size);
        let rows = |form| header.lines(form).map(|line| line.chars().count().div_ceil(80).max(1)).sum::<usize>();
        assert_eq!(rows(LinkForm::Long), usize::from(header.rows()));
        assert_eq!(rows(LinkForm::Short), usize::from(header.rows()));
        assert!(header.lines(LinkForm::Short).any(|line| line.contains("#c")));
        assert!(header.lines(LinkForm::Long).any(|line| line.contains("#1c.")));
    }

    #[test]
    fn a_link_is_a_square_of_squares_that_fits_80_columns() {
        let rows = squares("http://192.0.2.123:45678/9zO8GLIsdheZXo#cAAECAwQFBgcICQoLDA0ODw");
        let width = rows[0].1;
        assert!(rows.iter().all(|(row, columns)| *columns == width && row.contains("48;5;231")));
        // Two columns of indentation and two of margin at each side; one row of characters holds two rows of squares.
        let squares = width - 6;
        assert!((21..74).contains(&squares) && rows.len() == squares.div_ceil(2) + 2, "{width} x {}", rows.len());
    }

    #[test]
    fn a_code_leaves_the_links_in_a_window_of_24_rows() {
        let size = Size::new(80, 24);
        let remarks = Remarks {
            ending: Ending::Shell,
            local: false,
            no_tls: true,
            waits: true,
            asks: true,
            escape: Some(0x1d),
            qr: true,
            copied: true,
            links: InvitesShown::Yes,
        };
        let secrets = HostSecrets::new(&mut Entropy::new([1; 32]));
        let links = Invites::new(|role| secrets.invite("https://beach.example.org:44", role).url(), false).short();
        let greeting = Greeting::new("bash", size, &links, remarks);
        let rows: Vec<&str> = greeting.lines().collect();
        let code = rows.iter().position(|row| row.contains("48;5;231")).expect("a code");
        let commands: Vec<usize> = (0..rows.len()).filter(|row| rows[*row].contains("beach join")).collect();
        // The prompt of the command takes the last row.
        assert!(rows.len() - code < 24, "{} rows from the code on", rows.len() - code);
        assert!(commands.len() == 2 && commands[0] > code, "{commands:?} and {code}");
    }
    #[test]
    fn a_window_without_room_for_code_and_links_shows_the_links_and_says_so_and_blank_rows_stand_above() {
        let remarks = Remarks {
            ending: Ending::Shell,
            local: true,
            no_tls: false,
            waits: false,
            asks: true,
            escape: Some(0x1d),
            qr: true,
            copied: false,
            links: InvitesShown::Yes,
        };
        let secrets = HostSecrets::new(&mut Entropy::new([1; 32]));
        let long = Invites::new(|role| secrets.invite("https://beach.example.org:44", role).url(), false);
        let short = long.short();
        let commands = |rows: &[&str]| rows.iter().filter(|row| row.contains("beach join")).count();
        for (cols, rows) in
            [20, 30, 40, 60, 80, 120].into_iter().flat_map(|cols| (5..=40).map(move |rows| (cols, rows)))
        {
            let size = Size::new(cols, rows);
            let greeting = |links: &Invites| Greeting::new("bash", size, links, remarks);
            let header = Header::new(greeting(&long), greeting(&short), size);
            for form in [LinkForm::Long, LinkForm::Short] {
                let lines: Vec<&str> = header.lines(form).collect();
                let code = lines.iter().position(|row| row.contains("48;5;231"));
                let says = lines.iter().filter(|row| row.starts_with("  No QR code: with the links it needs ")).count();
                assert_eq!((commands(&lines), says), (2, usize::from(code.is_none())), "{size}");
                // The upper rows leave the window; the prompt has the last row.
                let height = |row: &&str| row.chars().count().div_ceil(usize::from(cols)).max(1);
                let drawn = code.map(|code| lines[code..].iter().filter(|row| row.contains("48;5;231")).count());
                let below = lines.iter().rev().take_while(|row| !row.contains("48;5;231"));
                let below: usize = below.map(height).sum();
                assert!(drawn.is_none_or(|drawn| drawn + below < usize::from(rows)), "{size}: {lines:#?}");
            }
        }
        let low = Greeting::new("bash", Size::new(80, 15), &short, remarks);
        assert!(low.lines().any(|line| line.ends_with(", this window has 80x15.")));
    }
}
