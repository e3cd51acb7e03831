//! Any events of a browser and a server: the page's machine never panics, and makes only requests that the page knows.
#![no_main]

use beach_core::time::Timestamp;
use beach_web::codes::perform;
use beach_web::page::Page;
use libfuzzer_sys::fuzz_target;

const PLAN: &[u8] = br#"{"link":"http://localhost/s/AAAAAAAAAAAAAAAAAAAAAA#1c.AAAAAAAAAAAAAAAAAAAAAA","name":"x","room":[80,24],"seed":[]}"#;

fuzz_target!(|data: &[u8]| {
    let mut page = Page::default();
    let mut perform = |what: u32, _peer: u32, _bytes: &[u8]| {
        assert!(what <= perform::NEWS, "the page knows no {what}");
    };
    let mut now = 0;
    page.start(Timestamp::ZERO, PLAN, &mut perform);
    let mut rest = data;
    // Repeated to the end: the kind of event, the connection, the pause before the event, and its number of bytes.
    while let [what, peer, later, length, tail @ ..] = rest {
        let (bytes, next) = tail.split_at(tail.len().min(usize::from(*length)));
        now += u64::from(*later) * 50_000;
        match what {
            255 => page.start(Timestamp::from_micros(now), bytes, &mut perform),
            _ => page.happened(Timestamp::from_micros(now), u32::from(*what), u32::from(*peer), bytes, &mut perform),
        }
        rest = next;
    }
});
