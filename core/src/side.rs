//! The two sides of a link.

/// A side of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The side that shares its terminal.
    Host,
    /// The side that joined.
    Viewer,
}

impl Side {
    /// The word that stands for the side in MACs.
    pub const fn word(self) -> &'static str {
        match self {
            Side::Host => "host",
            Side::Viewer => "viewer",
        }
    }

    /// The side at the other end.
    pub const fn other(self) -> Side {
        match self {
            Side::Host => Side::Viewer,
            Side::Viewer => Side::Host,
        }
    }
}
