//! Checks of a world: screens.

use beach_core::terminal::{Emulator, Line, Screen, Size};

/// Whether a viewer's screen equals the host's window, cell for cell; otherwise the first difference.
pub fn same_screens(screen: &Screen, emulator: &Emulator) -> Result<(), String> {
    let head = emulator.head();
    match screen.head() {
        Some(held) if held == head => {}
        held => return Err(format!("the head is {held:?}, the host's {head:?}")),
    }
    for (row, expected) in (0..).zip(rows(emulator)) {
        if screen.row(row) != Some(&expected) {
            return Err(format!("row {row} is {:?}, the host's {expected:?}", screen.row(row)));
        }
    }
    Ok(())
}

/// Whether one of the rows is exactly `text`.
pub fn shows(screen: &Screen, text: &str) -> bool {
    screen.text().iter().any(|row| row == text)
}

/// The lines of an emulator's window, as of its last frame.
fn rows(emulator: &Emulator) -> Vec<Line> {
    let head = emulator.head();
    let row = |row| {
        let (_, line) = emulator.line(head.space, head.top + u64::from(row)).expect("a line of the window");
        Line::decode(line).expect("the emulator's own encoding")
    };
    (0..head.size.rows).map(row).collect()
}

/// The rows of a terminal that got all of a program's output, by an independent model.
pub fn reference_rows(size: Size, printed: &[Vec<u8>]) -> Vec<Line> {
    let mut emulator = Emulator::new(size, 1000);
    printed.iter().for_each(|bytes| emulator.feed(bytes));
    emulator.end_synchronized();
    emulator.frame();
    rows(&emulator)
}

/// The text that a viewer's own terminal shows in its first `cols` columns.
pub fn painted_text(terminal: &mut Emulator, cols: usize) -> Vec<String> {
    terminal.frame();
    rows(terminal).iter().map(|line| line.crop(0, cols).text()).collect()
}
