//! A rehearsal: two frames are decoded, merged and painted, and nobody sees them.
//!
//! A browser compiles a function of WebAssembly when the function is called first, in the page's only thread. The page
//! rehearses while it waits for the network, so that the functions of a frame are there when the first one comes.

use beach_core::terminal::{
    Attributes, Color, DEFAULT_HISTORY, Head, Line, LineCommits, Options, Overlay, Painter, Run, Screen, Size, Space,
    Style, Width, Window,
};
use beach_core::time::Timestamp;
use beach_core::wire::frame::{Acks, Down, Segment, Up};

use crate::page::ABILITIES;

/// Rehearses; how many bytes would have been shown and sent.
pub fn rehearse() -> usize {
    let size = Size::default();
    let mut screen = Screen::new(DEFAULT_HISTORY);
    let mut painter = Painter::new(size, Options { abilities: ABILITIES, alternate: false, window: Window::Session });
    let mut shown = Vec::new();
    painter.start(&mut shown);
    for (version, text) in [(1, "first"), (2, "second")] {
        let Ok(down) = Down::decode(&frame(version, size, text).encode()) else { return 0 };
        for segment in down.segments {
            let Ok(line) = Line::decode(&segment.content) else { return 0 };
            screen.merge_line(segment.space, segment.number, segment.version, segment.is_final, line);
        }
        if let Some((head, commits)) = down.screen {
            screen.merge_head(head);
            screen.merge_commits(&commits);
        }
        painter.paint(Timestamp::ZERO, &mut screen, &Overlay::default(), &mut shown);
    }
    let up = Up { seq: 1, acks: Acks { held_micros: 0, ranges: vec![(1, 2)] }, ..Up::default() };
    shown.len() + up.encode().len()
}

/// A frame of which two rows have text.
fn frame(version: u64, size: Size, text: &str) -> Down {
    let bold = Style {
        foreground: Color::Indexed(2),
        background: Color::Rgb(16, 18, 22),
        attributes: Attributes::BOLD,
        ..Style::default()
    };
    let run = |style: Style, text: &str| Run { style, width: Width::Narrow, text: text.to_owned() };
    let line = |row: u64| match row {
        0 => Line { wrapped: false, runs: vec![run(Style::default(), text), run(bold.clone(), "in bold")] },
        1 => Line { wrapped: false, runs: vec![run(bold.clone(), text)] },
        _ => Line::default(),
    };
    let segment = |number: u64| Segment {
        space: Space::Main,
        number,
        version,
        is_final: false,
        part: 0,
        parts: 1,
        content: line(number).encode(),
    };
    let head = Head { version, size, versions: vec![(size.rows, version)], ..Head::default() };
    let segments = (0..u64::from(size.rows)).map(segment).collect();
    Down { seq: version, wants_ack: true, screen: Some((head, LineCommits::default())), segments, ..Down::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_frames_are_decoded_and_painted() {
        let only =
            |version| Down::decode(&frame(version, Size::default(), "text").encode()).map(|down| down.segments.len());
        assert_eq!((only(1).ok(), only(2).ok()), (Some(24), Some(24)));
        // Each has two rows with text, and the second differs.
        assert!(rehearse() > "first".len() * 2 + "second".len() * 2 + "in bold".len());
    }
}
