//! How a cell looks: colours, attributes, underline, and where it links to.

/// Longest hyperlink, in bytes: a line of links must still fit into a few datagrams; browsers' own limits are far above
/// what programs print.
pub const MAX_LINK: usize = 512;

/// A colour, as the program asked for it; what it looks like is the viewer's terminal's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Color {
    /// The terminal's own foreground or background.
    #[default]
    Default,
    /// A palette colour; 0 to 7 are the named ones, 8 to 15 their bright variants.
    Indexed(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

/// The kind of line below the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Underline {
    /// No underline.
    #[default]
    None,
    /// One straight line.
    Single,
    /// Two straight lines.
    Double,
    /// A wave.
    Curly,
    /// Dots.
    Dotted,
    /// Dashes.
    Dashed,
}

/// A set of attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes(u16);

impl Attributes {
    /// No attribute.
    pub const NONE: Attributes = Attributes(0);
    /// Bold, or increased intensity.
    pub const BOLD: Attributes = Attributes(1);
    /// Faint, or decreased intensity.
    pub const DIM: Attributes = Attributes(1 << 1);
    /// Italic.
    pub const ITALIC: Attributes = Attributes(1 << 2);
    /// Foreground and background exchanged.
    pub const INVERSE: Attributes = Attributes(1 << 3);
    /// Not visible.
    pub const HIDDEN: Attributes = Attributes(1 << 4);
    /// Crossed out.
    pub const STRIKE: Attributes = Attributes(1 << 5);
    /// Blinking, at whatever rate.
    pub const BLINK: Attributes = Attributes(1 << 6);
    /// A line above the text.
    pub const OVERLINE: Attributes = Attributes(1 << 7);

    /// Every attribute there is.
    const ALL: u16 = 0xff;

    /// The attributes as bits, or nothing if a bit has no meaning.
    pub fn from_bits(bits: u16) -> Option<Attributes> {
        if bits & !Attributes::ALL == 0 { Some(Attributes(bits)) } else { None }
    }

    /// The bits, the lowest eight of which are in use.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of `other` is in here.
    pub fn contains(self, other: Attributes) -> bool {
        self.0 & other.0 == other.0
    }

    /// This set with `other` taken away.
    #[must_use]
    pub fn without(self, other: Attributes) -> Attributes {
        Attributes(self.0 & !other.0)
    }

    /// This set with `other` added.
    #[must_use]
    pub fn with(self, other: Attributes) -> Attributes {
        Attributes(self.0 | other.0)
    }
}

/// How a run of cells looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Style {
    /// Colour of the text.
    pub foreground: Color,
    /// Colour behind the text.
    pub background: Color,
    /// Bold, italic and so on.
    pub attributes: Attributes,
    /// The line below the text.
    pub underline: Underline,
    /// The underline's colour, if it has one of its own; never without an underline, never [`Color::Default`].
    pub underline_color: Option<Color>,
    /// An `http` or `https` address: printable ASCII, at most [`MAX_LINK`] bytes.
    pub link: Option<String>,
}

impl Style {
    /// Whether this is the look of an untouched cell.
    pub fn is_default(&self) -> bool {
        *self == Style::default()
    }
}

/// Whether an address may be carried: `http` or `https`, of printable ASCII without spaces (RFC 3986, section 2, has no
/// other characters), short enough. Anything else, `file:` and handlers of other programs above all, is not for a
/// stranger's terminal.
pub(super) fn link_is_allowed(link: &str) -> bool {
    let web = ["http://", "https://"]
        .iter()
        .any(|scheme| link.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    web && link.len() <= MAX_LINK && link.bytes().all(|byte| byte.is_ascii_graphic())
}
