//! Whatever a confirmed peer sends on a lane, and whatever a line claims to be: read or refused, never a panic.
#![no_main]

use beach_core::terminal::Line;
use beach_core::wire::frame::{FromHost, FromViewer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(frame) = FromHost::decode(data) {
        if let FromHost::Update(update) = &frame {
            for segment in &update.segments {
                let _ = Line::decode(&segment.content);
            }
        }
        assert_eq!(FromHost::decode(&frame.encode()), Ok(frame));
    }
    if let Ok(frame) = FromViewer::decode(data) {
        assert_eq!(FromViewer::decode(&frame.encode()), Ok(frame));
    }
    if let Ok(line) = Line::decode(data) {
        assert_eq!(Line::decode(&line.encode()), Ok(line));
    }
});
