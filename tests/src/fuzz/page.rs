//! Any events of a browser, a rendezvous and a person: the page's machine never panics, and makes only requests that
//! the page knows.

use std::time::Duration;

use beach_core::time::Timestamp;
use beach_web::codes::perform;
use beach_web::page::Page;

use super::choices::Choices;

const PLAN: &[u8] = br#"{"link":"http://localhost/s/AAAAAAAAAAAAAAAAAAAAAA#1c.AAAAAAAAAAAAAAAAAAAAAA","name":"x","room":[80,24],"seed":[]}"#;

/// The number of the event that the rendezvous said something, as `NetworkInput::from_page` lists it.
const SIGNAL: u32 = 2;

/// This number in an event's place begins a join: its bytes are the plan.
const START: u32 = 255;

/// Stands for the link in what the rendezvous says: the machine draws a link for each join.
const LINK: &str = "LINK";

/// The requests of the machine, as far as the events depend on them.
#[derive(Default)]
struct Asked {
    dials: usize,
    link: Option<String>,
}

impl Asked {
    fn perform(&mut self, what: u32, bytes: &[u8]) {
        assert!(what <= perform::NEWS, "the page knows no {what}");
        match what {
            perform::DIAL => self.dials += 1,
            perform::SIGNAL => {
                let said: serde_json::Value = serde_json::from_slice(bytes).expect("signals are JSON");
                self.link = said["link"].as_str().map(str::to_owned).or(self.link.take());
            }
            _ => {}
        }
    }

    /// What the rendezvous says, about the last link.
    fn said(&self, bytes: &[u8]) -> Vec<u8> {
        match (std::str::from_utf8(bytes), &self.link) {
            (Ok(text), Some(link)) => text.replace(LINK, link).into_bytes(),
            (Ok(_) | Err(_), _) => bytes.to_vec(),
        }
    }
}

pub(super) fn page(data: &[u8]) {
    let mut page = Page::default();
    let mut asked = Asked::default();
    let mut now = Timestamp::ZERO;
    page.start(now, PLAN, &mut |what: u32, _: u32, bytes: &[u8]| asked.perform(what, bytes));
    assert_eq!(asked.dials, 1, "the plan is one");
    let mut choices = Choices::new(data);
    // Repeated to the end: the kind of event, the connection, the pause before the event, and its bytes.
    while !choices.is_empty() {
        let (what, peer) = (u32::from(choices.byte()), u32::from(choices.byte()));
        now = now + Duration::from_millis(u64::from(choices.byte()) * 50);
        let bytes = choices.chunk();
        let said = if what == SIGNAL { asked.said(bytes) } else { bytes.to_vec() };
        let mut perform = |what: u32, _: u32, bytes: &[u8]| asked.perform(what, bytes);
        match what {
            START => page.start(now, &said, &mut perform),
            _ => page.happened(now, what, peer, &said, &mut perform),
        }
    }
}
