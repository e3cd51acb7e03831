//! Events of a page, as numbers and bytes: decoded or refused, never a panic.

use crate::peer::browser::PeerEvent;
use crate::peer::engine::PeerNumber;
use crate::wire::WireError;

use super::NetworkInput;

/// Most characters of the cause that a page gives for a lost connection to the rendezvous.
const MAX_CAUSE: usize = 160;

impl NetworkInput {
    /// Reads what happened in a page: the event's number, the number of the connection that it is about, and its bytes.
    ///
    /// | number | event | bytes |
    /// |---|---|---|
    /// | 0 | [`SignalUp`](NetworkInput::SignalUp) | none |
    /// | 1 | [`SignalDown`](NetworkInput::SignalDown) | the cause |
    /// | 2 | [`Signal`](NetworkInput::Signal) | the text |
    /// | 8 | [`Described`](PeerEvent::Described) | the SDP of the offer |
    /// | 9 | [`Candidate`](PeerEvent::Candidate) | the text of the candidate |
    /// | 10 | [`PathFound`](PeerEvent::PathFound) | none |
    /// | 11 | [`Path`](PeerEvent::Path) | the text of the local candidate, a line feed, that of the remote one |
    /// | 12 | [`ControlOpen`](PeerEvent::ControlOpen) | none |
    /// | 13 | [`TerminalOpen`](PeerEvent::TerminalOpen) | the certificate in DER, or none |
    /// | 14, 15 | [`Message`](PeerEvent::Message) on the control lane, on the terminal lane | the message |
    /// | 16 | [`Drained`](PeerEvent::Drained) | none |
    /// | 17 | [`Silent`](PeerEvent::Silent) | none |
    /// | 18 | [`Closed`](PeerEvent::Closed) | none |
    /// | 19 | [`Failed`](PeerEvent::Failed) | the cause |
    ///
    /// Texts are UTF-8. Numbers from 32 on are the page's own.
    ///
    /// # Errors
    /// There is no such event, or its bytes are others.
    pub fn from_page(what: u32, peer: u32, bytes: &[u8]) -> Result<NetworkInput, WireError> {
        let text = || std::str::from_utf8(bytes).map_err(|_| WireError::Malformed);
        match what {
            0 if bytes.is_empty() => Ok(NetworkInput::SignalUp),
            1 => {
                let cause = text()?.chars().filter(|c| !c.is_control()).take(MAX_CAUSE).collect();
                Ok(NetworkInput::SignalDown(cause))
            }
            2 => Ok(NetworkInput::Signal(text()?.to_owned())),
            8..=19 => Ok(NetworkInput::Peer(PeerNumber(peer), PeerEvent::from_page(what, bytes)?)),
            0 => Err(WireError::Malformed),
            _ => Err(WireError::Encoding),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::link::Lane;

    fn peer_event(what: u32, bytes: &[u8]) -> Result<PeerEvent, WireError> {
        let NetworkInput::Peer(PeerNumber(7), event) = NetworkInput::from_page(what, 7, bytes)? else {
            panic!("{what} is about a connection");
        };
        Ok(event)
    }

    #[test]
    fn every_number_is_one_event_and_unknown_ones_are_refused() {
        assert!(matches!(NetworkInput::from_page(0, 0, b""), Ok(NetworkInput::SignalUp)));
        let down = NetworkInput::from_page(1, 0, "lost\n\u{e9}".as_bytes());
        assert!(matches!(down, Ok(NetworkInput::SignalDown(cause)) if cause == "lost\u{e9}"));
        assert!(matches!(NetworkInput::from_page(2, 0, b"{}"), Ok(NetworkInput::Signal(text)) if text == "{}"));
        let expected = [
            (8, &b"v=0"[..], PeerEvent::Described("v=0".to_owned())),
            (9, b"", PeerEvent::Candidate(String::new())),
            (10, b"", PeerEvent::PathFound),
            (11, b"a\nb", PeerEvent::Path("a".to_owned(), "b".to_owned())),
            (12, b"", PeerEvent::ControlOpen),
            (13, b"", PeerEvent::TerminalOpen(None)),
            (13, b"\x30\x82", PeerEvent::TerminalOpen(Some(vec![0x30, 0x82]))),
            (14, b"\x00", PeerEvent::Message(Lane::Control, vec![0])),
            (15, b"", PeerEvent::Message(Lane::Terminal, Vec::new())),
            (16, b"", PeerEvent::Drained),
            (17, b"", PeerEvent::Silent),
            (18, b"", PeerEvent::Closed),
            (19, b"why", PeerEvent::Failed("why".to_owned())),
        ];
        for (what, bytes, event) in expected {
            assert_eq!(peer_event(what, bytes), Ok(event));
        }
        for (what, bytes) in [(0, &b"x"[..]), (2, b"\xff"), (8, b"\xff"), (10, b"x"), (11, b"one line"), (18, b"x")] {
            assert_eq!(NetworkInput::from_page(what, 7, bytes).err(), Some(WireError::Malformed), "{what}");
        }
        for what in [3, 7, 20, 31, 32, u32::MAX] {
            assert_eq!(NetworkInput::from_page(what, 7, b"").err(), Some(WireError::Encoding), "{what}");
        }
    }
}
