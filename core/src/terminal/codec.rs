//! Lines as bytes. One line has one encoding.
//!
//! ```text
//! line  = flags (1 wrapped, 2 plain), then if plain: the text of one narrow run of the default style; else runs
//! run   = head, foreground?, background?, attributes?, underline?, underline colour?, link?, length, text
//! head  = width (0 narrow, 1 wide, 2 and 3 clusters of one and two columns) and which of the optional parts follow
//! color = 0..=15 that palette colour, 16 and a byte 16..=255, or 17 and red, green, blue
//! ```
//!
//! Lengths are little-endian base 128. Nearly every line of a log is plain: one byte more than its text.

#[cfg(feature = "host")]
use std::borrow::Cow;

use thiserror::Error;

#[cfg(feature = "host")]
use super::line::CellRef;
use super::line::{Line, MAX_ZERO_WIDTH, Run, Width};
use super::size::MAX_COLS;
use super::style::{Attributes, Color, Style, Underline, link_is_allowed};

/// Longest encoding of a line. 500 cells, each with its own true colours and all the zero-width characters it may have,
/// take 26 KB; only links can make a line longer, and are dropped from one that would be.
pub const MAX_LINE_BYTES: usize = 32 * 1024;

const WRAPPED: u8 = 1;
const PLAIN: u8 = 2;

const WIDTH: u8 = 3;
const FOREGROUND: u8 = 1 << 2;
const BACKGROUND: u8 = 1 << 3;
const ATTRIBUTES: u8 = 1 << 4;
const UNDERLINE: u8 = 1 << 5;
const UNDERLINE_COLOR: u8 = 1 << 6;
const LINK: u8 = 1 << 7;

const FIRST_INDEXED: u8 = 16;
const RGB: u8 = 17;

/// Why bytes are not a line. The sender is at fault in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadLine {
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("the line is too long")]
    TooLong,
    /// The encoding ends in the middle of a line.
    #[error("the line is cut short")]
    Truncated,
    /// Wider than [`MAX_COLS`](super::MAX_COLS).
    #[error("the line is too wide")]
    TooWide,
    /// Text that is not UTF-8, or holds a control character.
    #[error("the text is not printable")]
    Text,
    /// A cell with too many zero-width characters.
    #[error("a cell is too full")]
    TooFull,
    /// A style that does not exist.
    #[error("unknown style")]
    Style,
    /// A link that may not be carried.
    #[error("forbidden link")]
    Link,
    /// Not the one encoding of its content.
    #[error("the line is not canonical")]
    NotCanonical,
}

/// Writes a line run by run; the caller joins neighbours and trims.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Begins a line in place of the last one.
    pub(super) fn begin(&mut self, wrapped: bool) {
        self.bytes.clear();
        self.bytes.push(if wrapped { WRAPPED } else { 0 });
    }

    /// Whether the line has no run.
    #[cfg(feature = "host")]
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() == 1
    }

    /// The line goes on in the next one.
    #[cfg(feature = "host")]
    pub(super) fn wrap(&mut self) {
        self.bytes[0] |= WRAPPED;
    }

    /// Makes the line one narrow run of the default style.
    pub(super) fn plain(&mut self, text: &[u8]) {
        self.bytes[0] |= PLAIN;
        self.bytes.extend_from_slice(text);
    }

    /// Adds a run; `text` is UTF-8.
    pub(super) fn run(&mut self, style: &Style, width: Width, text: &[u8]) {
        let width = match width {
            Width::Narrow => 0,
            Width::Wide => 1,
            Width::Cluster { columns: 2 } => 3,
            Width::Cluster { columns: _ } => 2,
        };
        let at = self.bytes.len();
        self.bytes.push(width);
        let mut head = width;
        head |= if self.color(style.foreground) { FOREGROUND } else { 0 };
        head |= if self.color(style.background) { BACKGROUND } else { 0 };
        if style.attributes != Attributes::NONE {
            head |= ATTRIBUTES;
            self.bytes.push(style.attributes.bits().to_le_bytes()[0]);
        }
        if style.underline != Underline::None {
            head |= UNDERLINE;
            self.bytes.push(underline_code(style.underline));
        }
        if let Some(color) = style.underline_color {
            head |= UNDERLINE_COLOR;
            self.color(color);
        }
        if let Some(link) = &style.link {
            head |= LINK;
            self.text(link.as_bytes());
        }
        self.bytes[at] = head;
        self.text(text);
    }

    /// The line as written so far.
    #[cfg(feature = "host")]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes a colour; false for the default one, which needs no bytes.
    fn color(&mut self, color: Color) -> bool {
        match color {
            Color::Default => return false,
            Color::Indexed(index) if index < FIRST_INDEXED => self.bytes.push(index),
            Color::Indexed(index) => self.bytes.extend_from_slice(&[FIRST_INDEXED, index]),
            Color::Rgb(red, green, blue) => self.bytes.extend_from_slice(&[RGB, red, green, blue]),
        }
        true
    }

    fn text(&mut self, text: &[u8]) {
        let mut length = text.len();
        while length >= 0x80 {
            self.bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        self.bytes.push(length as u8);
        self.bytes.extend_from_slice(text);
    }
}

fn underline_code(underline: Underline) -> u8 {
    match underline {
        Underline::None => 0,
        Underline::Single => 1,
        Underline::Double => 2,
        Underline::Curly => 3,
        Underline::Dotted => 4,
        Underline::Dashed => 5,
    }
}

pub(super) fn encode(line: &Line) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.begin(line.wrapped);
    match line.runs.as_slice() {
        [run] if run.width == Width::Narrow && run.style.is_default() => writer.plain(run.text.as_bytes()),
        runs => runs.iter().for_each(|run| writer.run(&run.style, run.width, run.text.as_bytes())),
    }
    writer.bytes
}

/// The styles that a viewer's decoder knows.
#[cfg(feature = "host")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Styles {
    All,
    /// All but blinking and overlined: a viewer that does not say that it knows these two refuses them.
    WithoutBlink,
}

#[cfg(feature = "host")]
impl Styles {
    /// A line's bytes as such a viewer can read them.
    pub(crate) fn readable(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        let is_plain = bytes.first().is_none_or(|flags| flags & PLAIN != 0) || bytes.len() == 1;
        match self {
            Styles::All => Cow::Borrowed(bytes),
            Styles::WithoutBlink if is_plain => Cow::Borrowed(bytes),
            Styles::WithoutBlink => without_blink(bytes).map_or(Cow::Borrowed(bytes), Cow::Owned),
        }
    }
}

/// The line without the attributes that older viewers do not know, if it has any.
#[cfg(feature = "host")]
fn without_blink(bytes: &[u8]) -> Option<Vec<u8>> {
    let newer = Attributes::BLINK.with(Attributes::OVERLINE);
    let whole = decode(bytes).ok()?;
    if whole.runs.iter().all(|run| run.style.attributes.without(newer) == run.style.attributes) {
        return None;
    }
    let mut line = Line { wrapped: whole.wrapped, runs: Vec::new() };
    for cell in whole.cells() {
        let attributes = cell.style.attributes.without(newer);
        let style = Style { attributes, ..cell.style.clone() };
        line.push(CellRef { style: &style, ..cell });
    }
    line.trim();
    Some(encode(&line))
}

pub(super) fn decode(bytes: &[u8]) -> Result<Line, BadLine> {
    if bytes.len() > MAX_LINE_BYTES {
        return Err(BadLine::TooLong);
    }
    let (flags, rest) = bytes.split_first().ok_or(BadLine::Truncated)?;
    let mut reader = Reader { rest };
    let mut line = Line { wrapped: flags & WRAPPED != 0, runs: Vec::new() };
    if flags & !(WRAPPED | PLAIN) != 0 {
        return Err(BadLine::NotCanonical);
    }
    let mut columns = 0;
    while !reader.rest.is_empty() {
        let run = if flags & PLAIN != 0 {
            let text = printable(std::mem::take(&mut reader.rest))?;
            Run { style: Style::default(), width: Width::Narrow, text: text.to_owned() }
        } else {
            reader.run()?
        };
        columns += run.columns();
        if columns > usize::from(MAX_COLS) {
            return Err(BadLine::TooWide);
        }
        line.runs.push(run);
    }
    // Only the shortest encoding is valid: encoding again must give the same bytes.
    if is_canonical(&line) && encode(&line) == bytes { Ok(line) } else { Err(BadLine::NotCanonical) }
}

fn is_canonical(line: &Line) -> bool {
    let joined = line.runs.windows(2).all(|pair| {
        let joinable = match pair[0].width {
            Width::Narrow | Width::Wide => pair[0].width == pair[1].width,
            Width::Cluster { columns: _ } => false,
        };
        !joinable || pair[0].style != pair[1].style
    });
    let trimmed = line
        .runs
        .last()
        .is_none_or(|run| run.width != Width::Narrow || !run.style.is_default() || !run.text.ends_with(' '));
    joined && trimmed
}

fn printable(bytes: &[u8]) -> Result<&str, BadLine> {
    let text = std::str::from_utf8(bytes).map_err(|_| BadLine::Text)?;
    if text.is_empty() || text.chars().any(char::is_control) { Err(BadLine::Text) } else { Ok(text) }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn run(&mut self) -> Result<Run, BadLine> {
        let head = self.byte()?;
        let foreground = self.color_if(head & FOREGROUND != 0)?.unwrap_or_default();
        let background = self.color_if(head & BACKGROUND != 0)?.unwrap_or_default();
        let attributes = if head & ATTRIBUTES == 0 {
            Attributes::NONE
        } else {
            Attributes::from_bits(u16::from(self.byte()?)).ok_or(BadLine::Style)?
        };
        let underline = if head & UNDERLINE == 0 { Underline::None } else { self.underline()? };
        let underline_color = self.color_if(head & UNDERLINE_COLOR != 0)?;
        if underline_color.is_some() && underline == Underline::None {
            return Err(BadLine::Style);
        }
        let link = if head & LINK == 0 { None } else { Some(self.link()?) };
        let length = self.length()?;
        let text = printable(self.take(length)?)?;
        let width = match head & WIDTH {
            0 => Width::Narrow,
            1 => Width::Wide,
            kind => Width::Cluster { columns: kind - 1 },
        };
        if let Width::Cluster { columns: _ } = width {
            match text.chars().count() {
                0 | 1 => return Err(BadLine::NotCanonical),
                count if count > 1 + MAX_ZERO_WIDTH => return Err(BadLine::TooFull),
                _ => {}
            }
        }
        let style = Style { foreground, background, attributes, underline, underline_color, link };
        Ok(Run { style, width, text: text.to_owned() })
    }

    fn color_if(&mut self, is_there: bool) -> Result<Option<Color>, BadLine> {
        if !is_there {
            return Ok(None);
        }
        Ok(Some(match self.byte()? {
            index @ 0..FIRST_INDEXED => Color::Indexed(index),
            FIRST_INDEXED => Color::Indexed(self.byte()?),
            RGB => Color::Rgb(self.byte()?, self.byte()?, self.byte()?),
            _ => return Err(BadLine::Style),
        }))
    }

    fn underline(&mut self) -> Result<Underline, BadLine> {
        Ok(match self.byte()? {
            1 => Underline::Single,
            2 => Underline::Double,
            3 => Underline::Curly,
            4 => Underline::Dotted,
            5 => Underline::Dashed,
            _ => return Err(BadLine::Style),
        })
    }

    fn link(&mut self) -> Result<String, BadLine> {
        let length = self.length()?;
        let link = std::str::from_utf8(self.take(length)?).map_err(|_| BadLine::Link)?;
        if link_is_allowed(link) { Ok(link.to_owned()) } else { Err(BadLine::Link) }
    }

    /// At most three bytes, which is what [`MAX_LINE_BYTES`] needs.
    fn length(&mut self) -> Result<usize, BadLine> {
        let mut length = 0;
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(length);
            }
        }
        Err(BadLine::TooLong)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], BadLine> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(BadLine::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, BadLine> {
        Ok(self.take(1)?[0])
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::*;

    fn line(attributes: &[(Attributes, &str)]) -> Line {
        let mut line = Line::default();
        for (attributes, text) in attributes {
            let style = Style { attributes: *attributes, ..Style::default() };
            text.chars().for_each(|c| line.push(CellRef { style: &style, text: &c.to_string(), columns: 1 }));
        }
        line.trim();
        line
    }

    #[test]
    fn a_viewer_that_does_not_know_blinking_gets_the_line_without_it() {
        let (bold, blink) = (Attributes::BOLD, Attributes::BLINK.with(Attributes::OVERLINE));
        let whole = line(&[(Attributes::NONE, "a"), (blink, "b"), (bold.with(blink), "c"), (bold, "d"), (blink, "  ")]);
        let bytes = encode(&whole);
        assert_eq!(decode(&bytes), Ok(whole));
        assert_eq!(Styles::All.readable(&bytes), bytes);
        let less = Styles::WithoutBlink.readable(&bytes);
        assert_eq!(decode(&less), Ok(line(&[(Attributes::NONE, "ab"), (bold, "cd")])));
        for other in [line(&[(bold, "bold")]), line(&[(Attributes::NONE, "plain")]), Line::default()] {
            let bytes = encode(&other);
            assert_eq!(Styles::WithoutBlink.readable(&bytes), bytes);
        }
    }
}
