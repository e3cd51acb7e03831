//! alacritty's own recordings: the host's model, fed the same bytes, holds the grid that alacritty's authors recorded.
//!
//! The recordings come with the source of the crate alacritty_terminal (Apache-2.0), which cargo has on every machine
//! that builds beach. No copy is kept here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use beach_core::terminal::{Attributes, Color, Emulator, Line, Size, Style, Underline, Width};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The recordings that beach shows otherwise, and why.
const DIFFERENT: [(&str, &str); 3] = [
    ("deccolm_reset", "DECCOLM clears the screen only while mode 40 permits that, as in xterm, VTE and kitty"),
    ("selective_erasure", "DECSED and DECSEL erase what no program protected, as in xterm; alacritty ignores them"),
    ("underline", "SGR 21 is a double underline, as in ECMA-48 and xterm; alacritty takes it for the end of bold"),
];

#[derive(Deserialize)]
struct Extent {
    columns: u16,
    screen_lines: u16,
}

#[derive(Deserialize)]
struct Settings {
    history_size: usize,
}

#[derive(Deserialize)]
struct Grid {
    raw: Storage,
}

/// The rows of the window from the last to the first, then the rows of the scrollback, the youngest first.
#[derive(Deserialize)]
struct Storage {
    inner: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    inner: Vec<GridCell>,
}

#[derive(Deserialize)]
struct GridCell {
    c: char,
    fg: GridColor,
    bg: GridColor,
    flags: String,
    extra: Option<Extra>,
}

#[derive(Deserialize, Default)]
struct Extra {
    #[serde(default)]
    zerowidth: Vec<char>,
    underline_color: Option<GridColor>,
    hyperlink: Option<Hyperlink>,
}

#[derive(Deserialize)]
struct Hyperlink {
    inner: Link,
}

#[derive(Deserialize)]
struct Link {
    uri: String,
}

#[derive(Deserialize)]
enum GridColor {
    Named(String),
    Indexed(u8),
    Spec { r: u8, g: u8, b: u8 },
}

/// A cell as it can be seen. The second half of a wide character has no text.
#[derive(Clone, Debug, PartialEq)]
struct Cell {
    text: String,
    style: Style,
}

impl GridColor {
    fn seen(&self) -> Color {
        const NAMES: [&str; 8] = ["Black", "Red", "Green", "Yellow", "Blue", "Magenta", "Cyan", "White"];
        match self {
            GridColor::Named(name) if name == "Foreground" || name == "Background" => Color::Default,
            GridColor::Named(name) => {
                let (first, name) = name.strip_prefix("Bright").map_or((0, name.as_str()), |name| (8, name));
                let index = (first..).zip(NAMES).find(|(_, known)| *known == name);
                Color::Indexed(index.unwrap_or_else(|| panic!("a colour named {name}")).0)
            }
            GridColor::Indexed(index) => Color::Indexed(*index),
            GridColor::Spec { r, g, b } => Color::Rgb(*r, *g, *b),
        }
    }
}

impl GridCell {
    fn seen(&self) -> Cell {
        let mut style = Style { foreground: self.fg.seen(), background: self.bg.seen(), ..Style::default() };
        let mut second_half = false;
        for flag in self.flags.split(" | ") {
            let attribute = match flag {
                "BOLD" => Attributes::BOLD,
                "DIM" => Attributes::DIM,
                "ITALIC" => Attributes::ITALIC,
                "INVERSE" => Attributes::INVERSE,
                "HIDDEN" => Attributes::HIDDEN,
                "STRIKEOUT" => Attributes::STRIKE,
                _ => Attributes::NONE,
            };
            style.attributes = style.attributes.with(attribute);
            style.underline = match flag {
                "UNDERLINE" => Underline::Single,
                "DOUBLE_UNDERLINE" => Underline::Double,
                "UNDERCURL" => Underline::Curly,
                "DOTTED_UNDERLINE" => Underline::Dotted,
                "DASHED_UNDERLINE" => Underline::Dashed,
                _ => style.underline,
            };
            second_half |= flag == "WIDE_CHAR_SPACER";
        }
        let nothing = Extra::default();
        let extra = self.extra.as_ref().unwrap_or(&nothing);
        let underlined = style.underline != Underline::None;
        style.underline_color = extra.underline_color.as_ref().map(GridColor::seen).filter(|_| underlined);
        style.link = extra.hyperlink.as_ref().map(|link| link.inner.uri.clone());
        // A tabulator is where a tabulator was printed; a mark on it stands on a blank that does not break.
        let character = match self.c {
            ' ' | '\t' if !extra.zerowidth.is_empty() => '\u{a0}',
            '\t' => ' ',
            other => other,
        };
        let text = [character].iter().chain(&extra.zerowidth).collect();
        Cell { text: if second_half { String::new() } else { text }, style }
    }
}

/// A line's cells, filled with blanks.
fn cells_of(line: &Line, columns: usize) -> Vec<Cell> {
    let mut cells = Vec::new();
    for run in &line.runs {
        let (texts, width): (Vec<String>, u8) = match run.width {
            Width::Narrow => (run.text.chars().map(String::from).collect(), 1),
            Width::Wide => (run.text.chars().map(String::from).collect(), 2),
            Width::Cluster { columns } => (vec![run.text.clone()], columns),
        };
        for text in texts {
            cells.push(Cell { text, style: run.style.clone() });
            let second_half = Cell { text: String::new(), style: run.style.clone() };
            cells.extend((1..width).map(|_| second_half.clone()));
        }
    }
    cells.resize(columns, Cell { text: " ".to_owned(), style: Style::default() });
    cells
}

/// Where the source of alacritty_terminal lies.
fn recordings() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Crates of other platforms need not be on this machine.
    let compiler = Command::new("rustc").arg("-vV").output().expect("rustc runs").stdout;
    let compiler = String::from_utf8(compiler).expect("rustc prints text");
    let platform = compiler.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    let arguments = ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", platform];
    let told =
        Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("cargo prints JSON");
    let mut packages = told["packages"].as_array().expect("a list of packages").iter();
    let package = packages.find(|package| package["name"] == "alacritty_terminal").expect("the model is a dependency");
    let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
    manifest.with_file_name("tests").join("ref")
}

fn json<T: DeserializeOwned>(folder: &Path, name: &str) -> T {
    let text = fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{}/{name}: {error}", folder.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}/{name}: {error}", folder.display()))
}

/// The first row that the model has otherwise.
fn difference(folder: &Path) -> Option<String> {
    let (extent, settings): (Extent, Settings) = (json(folder, "size.json"), json(folder, "config.json"));
    let grid: Grid = json(folder, "grid.json");
    let mut emulator = Emulator::new(Size::new(extent.columns, extent.screen_lines), settings.history_size);
    emulator.feed(&fs::read(folder.join("alacritty.recording")).expect("a recording"));
    emulator.frame();
    let head = emulator.head();
    let columns = usize::from(extent.columns);
    let bottom = head.top + u64::from(extent.screen_lines) - 1;
    for (above, row) in grid.raw.inner.iter().enumerate() {
        let recorded: Vec<Cell> = row.inner.iter().map(GridCell::seen).collect();
        let number = bottom.checked_sub(above as u64);
        let line = number.and_then(|number| emulator.line(head.space, number));
        let line = line.map_or_else(Line::default, |(_, bytes)| Line::decode(bytes).expect("the model's own encoding"));
        let shown = cells_of(&line, columns);
        if let Some(column) = (0..columns).find(|column| recorded[*column] != shown[*column]) {
            let (recorded, shown) = (&recorded[column], &shown[column]);
            return Some(format!("{above} rows above the last, column {column}: {recorded:?}, beach has {shown:?}"));
        }
    }
    None
}

#[test]
fn the_model_holds_what_alacritty_recorded() {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(recordings()).expect("recordings").flatten().map(|entry| entry.path()).collect();
    folders.sort();
    assert!(folders.len() >= 45, "only {} recordings", folders.len());
    let mut unexpected = Vec::new();
    let mut unused = DIFFERENT.to_vec();
    for folder in &folders {
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name");
        let different = difference(folder);
        let known = unused.iter().position(|(known, _)| *known == name);
        match (different, known) {
            (Some(_), Some(at)) => {
                unused.remove(at);
            }
            (Some(difference), None) => unexpected.push(format!("{name}: {difference}")),
            (None, _) => {}
        }
    }
    println!("{} of {} recordings", folders.len() - unexpected.len() - (DIFFERENT.len() - unused.len()), folders.len());
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    assert!(unused.is_empty(), "these do not differ any more: {unused:?}");
}
