//! What is known of the paths of a link: how long an answered check took.
//!
//! The engine's own STUN checks are the heartbeat; no other is sent. A check says nothing about trust: it is measured, not believed.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Timestamp;

/// Checks remembered while unanswered: a few pairs, each checked some times a second at the start.
const MAX_UNANSWERED: usize = 32;

/// Bytes of a STUN header (RFC 8489, section 5): type, length, cookie, transaction id.
const STUN_HEADER: usize = 20;

const REQUEST: [u8; 2] = [0x00, 0x01];
const SUCCESS: [u8; 2] = [0x01, 0x01];

/// Round trips of one peer's checks.
#[derive(Default)]
pub(crate) struct RoundTrips {
    unanswered: VecDeque<([u8; 12], Timestamp)>,
    latest: Option<Duration>,
}

impl RoundTrips {
    /// A datagram goes out.
    pub(crate) fn sent(&mut self, now: Timestamp, bytes: &[u8]) {
        if let Some(id) = transaction(bytes, REQUEST) {
            if self.unanswered.len() >= MAX_UNANSWERED {
                self.unanswered.pop_front();
            }
            self.unanswered.push_back((id, now));
        }
    }

    /// A datagram came in.
    pub(crate) fn received(&mut self, now: Timestamp, bytes: &[u8]) {
        let Some(id) = transaction(bytes, SUCCESS) else { return };
        if let Some(at) = self.unanswered.iter().position(|(sent, _)| *sent == id)
            && let Some((_, sent)) = self.unanswered.remove(at)
        {
            self.latest = Some(now - sent);
        }
    }

    /// The newest one.
    pub(crate) fn latest(&self) -> Option<Duration> {
        self.latest
    }
}

fn transaction(bytes: &[u8], kind: [u8; 2]) -> Option<[u8; 12]> {
    let header = bytes.get(..STUN_HEADER).filter(|header| header[..2] == kind)?;
    header[8..].try_into().ok()
}
