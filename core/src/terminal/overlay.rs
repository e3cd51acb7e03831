//! Local echo over a screen, until the host confirms it.

/// One cell that is shown instead of the one below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayCell {
    /// Row in the host's window, from 0.
    pub row: u16,
    /// Column in the host's window, from 0.
    pub col: u16,
    /// One cell's content: a character, and what is stacked on it. A cell with a control character, or with nothing, is
    /// not shown.
    pub text: String,
    /// Columns it takes, one or two.
    pub columns: u8,
    /// Shown underlined, since it is not confirmed yet.
    pub underlined: bool,
}

/// Cells and a cursor that are laid over a screen when it is painted, in coordinates of the host's window. Cells
/// outside of the window are not shown. Every other property comes from the cell below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    /// The cells, in any order; of two for the same place the later one is shown.
    pub cells: Vec<OverlayCell>,
    /// Row and column where the cursor is shown instead of where the host has it.
    pub cursor: Option<(u16, u16)>,
}
