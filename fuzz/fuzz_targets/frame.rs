//! Frames of a confirmed peer, and lines: decoded or refused, never a panic, and decoded ones merge into a screen that
//! stays within its bounds.
#![no_main]

use beach_core::terminal::{Line, MAX_HISTORY, MAX_LINES_OUTSIDE, MAX_ROWS, Screen};
use beach_core::wire::frame::{Down, FromHost, FromViewer, Up};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(frame) = FromHost::decode(data) {
        assert_eq!(FromHost::decode(&frame.encode()), Ok(frame));
    }
    if let Ok(frame) = FromViewer::decode(data) {
        assert_eq!(FromViewer::decode(&frame.encode()), Ok(frame));
    }
    if let Ok(up) = Up::decode(data) {
        assert_eq!(Up::decode(&up.encode()), Ok(up));
    }
    if let Ok(down) = Down::decode(data) {
        assert_eq!(Down::decode(&down.encode()), Ok(down.clone()));
        let mut screen = Screen::default();
        for segment in down.segments {
            if let Ok(line) = Line::decode(&segment.content) {
                screen.merge_line(segment.space, segment.number, segment.version, segment.is_final, line);
            }
        }
        if let Some((head, commits)) = down.screen {
            screen.merge_head(head);
            screen.merge_commits(&commits);
        }
        assert!(screen.lines_held() <= MAX_HISTORY + MAX_LINES_OUTSIDE + MAX_ROWS as usize);
        let _ = (screen.complete(), screen.whole(), screen.text());
    }
    if let Ok(line) = Line::decode(data) {
        assert_eq!(Line::decode(&line.encode()), Ok(line));
    }
});
