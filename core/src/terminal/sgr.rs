//! Colours and attributes (SGR) as nearly all programs set them: plain numbers in a sequence that is there as a whole.

use alacritty_terminal::term::cell::{Cell, Flags};
use vte::ansi::{Color, NamedColor, Rgb};

use super::rendition::BLINK;

/// Most numbers of a sequence that is taken; the parser takes twice as many.
const MAX_NUMBERS: usize = 16;

/// The palette's first 16 colours by their names.
const NAMED: [NamedColor; 16] = [
    NamedColor::Black,
    NamedColor::Red,
    NamedColor::Green,
    NamedColor::Yellow,
    NamedColor::Blue,
    NamedColor::Magenta,
    NamedColor::Cyan,
    NamedColor::White,
    NamedColor::BrightBlack,
    NamedColor::BrightRed,
    NamedColor::BrightGreen,
    NamedColor::BrightYellow,
    NamedColor::BrightBlue,
    NamedColor::BrightMagenta,
    NamedColor::BrightCyan,
    NamedColor::BrightWhite,
];

/// The colours and attributes of what is written next, as the model has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ModelPen {
    foreground: Color,
    background: Color,
    flags: Flags,
}

impl Default for ModelPen {
    fn default() -> ModelPen {
        ModelPen {
            foreground: Color::Named(NamedColor::Foreground),
            background: Color::Named(NamedColor::Background),
            flags: Flags::empty(),
        }
    }
}

impl ModelPen {
    /// The pen that wrote the cell. `None` if it has more than this room knows: a link, a colour of the underline, a
    /// line above the text, protection.
    pub(super) fn of(cell: &Cell) -> Option<ModelPen> {
        let underlines = (cell.flags & Flags::ALL_UNDERLINES).bits().count_ones();
        let pen = ModelPen { foreground: cell.fg, background: cell.bg, flags: cell.flags };
        (cell.extra.is_none() && underlines <= 1).then_some(pen)
    }

    /// Whether a row that is erased with this pen is blank.
    pub(super) fn leaves_rows_blank(self) -> bool {
        self.background == ModelPen::default().background
    }

    /// Makes this the pen of the cell.
    pub(super) fn put(self, cell: &mut Cell) {
        (cell.fg, cell.bg, cell.flags) = (self.foreground, self.background, self.flags);
    }

    /// A cell that this pen wrote.
    pub(super) fn cell(self, c: char) -> Cell {
        Cell { c, fg: self.foreground, bg: self.background, flags: self.flags, extra: None }
    }

    /// The pen after the sequence at the beginning of the bytes, and the length of the sequence. `None` if the parser
    /// has to read it.
    pub(super) fn after(mut self, bytes: &[u8]) -> Option<(ModelPen, usize)> {
        let introducer = b"\x1b[";
        let mut numbers = [0u16; MAX_NUMBERS];
        let mut last = 0;
        for (at, byte) in bytes.strip_prefix(introducer)?.iter().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    let number = numbers.get_mut(last)?;
                    *number = number.saturating_mul(10).saturating_add(u16::from(byte - b'0'));
                }
                b';' => last += 1,
                b'm' => {
                    let mut rest = numbers.get(..=last)?.iter().copied();
                    while let Some(number) = rest.next() {
                        self.take(number, &mut rest)?;
                    }
                    return Some((self, introducer.len() + at + 1));
                }
                _ => return None,
            }
        }
        None
    }

    /// Takes a number, and those of a colour behind it. As with the parser, unknown ones have no effect.
    fn take(&mut self, number: u16, rest: &mut impl Iterator<Item = u16>) -> Option<()> {
        match number {
            0 => *self = ModelPen::default(),
            1 => self.flags.insert(Flags::BOLD),
            2 => self.flags.insert(Flags::DIM),
            3 => self.flags.insert(Flags::ITALIC),
            4 => self.underline(Flags::UNDERLINE),
            5 | 6 => self.flags.insert(BLINK),
            7 => self.flags.insert(Flags::INVERSE),
            8 => self.flags.insert(Flags::HIDDEN),
            9 => self.flags.insert(Flags::STRIKEOUT),
            21 => self.underline(Flags::DOUBLE_UNDERLINE),
            22 => self.flags.remove(Flags::DIM_BOLD),
            23 => self.flags.remove(Flags::ITALIC),
            24 => self.underline(Flags::empty()),
            25 => self.flags.remove(BLINK),
            27 => self.flags.remove(Flags::INVERSE),
            28 => self.flags.remove(Flags::HIDDEN),
            29 => self.flags.remove(Flags::STRIKEOUT),
            30..=37 => self.foreground = named(number - 30),
            38 => self.foreground = color(rest).unwrap_or(self.foreground),
            39 => self.foreground = ModelPen::default().foreground,
            40..=47 => self.background = named(number - 40),
            48 => self.background = color(rest).unwrap_or(self.background),
            49 => self.background = ModelPen::default().background,
            // The line above the text, and the colour of the one below.
            53 | 55 | 58 | 59 => return None,
            90..=97 => self.foreground = named(number - 90 + 8),
            100..=107 => self.background = named(number - 100 + 8),
            _ => {}
        }
        Some(())
    }

    fn underline(&mut self, kind: Flags) {
        self.flags = self.flags.difference(Flags::ALL_UNDERLINES) | kind;
    }
}

fn named(index: u16) -> Color {
    Color::Named(NAMED[usize::from(index)])
}

/// The colour that these numbers tell. Those of one that does not exist are taken up to the first mistake.
fn color(numbers: &mut impl Iterator<Item = u16>) -> Option<Color> {
    let mut byte = || u8::try_from(numbers.next()?).ok();
    match byte()? {
        2 => Some(Color::Spec(Rgb { r: byte()?, g: byte()?, b: byte()? })),
        5 => Some(Color::Indexed(byte()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use alacritty_terminal::event::VoidListener;
    use alacritty_terminal::term::{Config, Term};
    use vte::ansi::{Processor, StdSyncHandler};

    use super::super::handler::Extent;
    use super::super::size::Size;
    use super::*;

    /// The pen of the model after it has read all of this.
    fn by_the_parser(bytes: &[u8]) -> ModelPen {
        let mut term = Term::new(Config::default(), &Extent(Size::default()), VoidListener);
        Processor::<StdSyncHandler>::new().advance(&mut term, bytes);
        ModelPen::of(&term.grid().cursor.template).expect("nothing else was set")
    }

    #[test]
    fn every_number_alone_and_behind_others_does_what_the_parser_makes_of_it() {
        let all = "\x1b[1;2;3;4;7;8;9;35;46m";
        for before in ["", all, "\x1b[0m", "\x1b[93;104m", "\x1b[38;5;7;48;2;1;2;3m"] {
            let pen = by_the_parser(before.as_bytes());
            // The parser takes 21 for "not bold", and the model drops blinking: see `rendition`.
            let known = (0..110).filter(|number| ![5, 6, 21, 25, 53, 55, 58, 59].contains(number));
            let alone = known.map(|number: u16| number.to_string());
            let further = ["", ";", "0;1;31", "99999;3", "38;5;200;4", "48;5;0", "38;2;1;2;255;1", "48;2;9;8;7"];
            let broken = ["38", "48;5", "38;5;256;1", "38;2;1;300;4;9", "38;7;1", "38;258;4;1", "48;2;1;2"];
            for numbers in alone.chain(further.map(str::to_owned)).chain(broken.map(str::to_owned)) {
                let sequence = format!("\x1b[{numbers}m");
                let (after, length) = pen.after(format!("{sequence}text").as_bytes()).expect("plain numbers");
                assert_eq!(length, sequence.len());
                assert_eq!(after, by_the_parser(format!("{before}{sequence}").as_bytes()), "{before:?} {sequence:?}");
            }
        }
    }

    #[test]
    fn blinking_and_a_double_underline_are_those_of_rendition() {
        let flags = |numbers: &str| {
            let (pen, _) = ModelPen::default().after(format!("\x1b[1;4;{numbers}m").as_bytes()).expect("plain numbers");
            pen.flags
        };
        assert_eq!(flags("21"), Flags::BOLD | Flags::DOUBLE_UNDERLINE);
        assert_eq!(flags("5"), Flags::BOLD | Flags::UNDERLINE | BLINK);
        assert_eq!((flags("6"), flags("6;25")), (flags("5"), Flags::BOLD | Flags::UNDERLINE));
    }

    #[test]
    fn what_is_not_whole_or_not_plain_is_left_to_the_parser() {
        let long = format!("\x1b[{}m", "1;".repeat(MAX_NUMBERS));
        let cut = ["", "\x1b", "\x1b[", "\x1b[1", "\x1b[1;", "\x1b[1\nm"];
        let other = ["\x1b[4:3m", "\x1b[>4m", "\x1b[53m", "\x1b[0;55m", "\x1b[58;5;1m", "\x1b[K", "\x1b]0m"];
        for bytes in cut.into_iter().chain(other).chain([long.as_str()]) {
            assert_eq!(ModelPen::default().after(bytes.as_bytes()), None, "{bytes:?}");
        }
        assert!(ModelPen::default().after(&[&long.as_bytes()[..long.len() - 2], b"m"].concat()).is_some());
    }

    #[test]
    fn a_pen_with_more_than_colours_and_attributes_is_none() {
        for bytes in ["\x1b[58;5;1;4m", "\x1b]8;;http://a.example\x07"] {
            let mut term = Term::new(Config::default(), &Extent(Size::default()), VoidListener);
            Processor::<StdSyncHandler>::new().advance(&mut term, bytes.as_bytes());
            assert_eq!(ModelPen::of(&term.grid().cursor.template), None);
        }
        let two = Flags::UNDERLINE | Flags::UNDERCURL;
        assert_eq!(ModelPen::of(&Cell { flags: two, ..Cell::default() }), None, "protected text");
    }
}
