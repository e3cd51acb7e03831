//! Messages of a rendezvous, host or viewer: decoded or refused, never a panic, and a decoded one encodes the same way
//! again.
#![no_main]

use beach_core::crypto::invite::Invite;
use beach_core::wire::sealed::{decode_hello, reencode_sealed};
use beach_core::wire::signal::{parse_from_rendezvous, parse_to_rendezvous, to_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(again) = reencode_sealed(data) {
        assert_eq!(reencode_sealed(&again).as_deref(), Some(&again[..]));
    }
    let _ = decode_hello(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(message) = parse_to_rendezvous(text) {
        assert_eq!(parse_to_rendezvous(&to_text(&message)), Ok(message));
    }
    if let Ok(message) = parse_from_rendezvous(text) {
        assert_eq!(parse_from_rendezvous(&to_text(&message)), Ok(message));
    }
    if let Ok(invite) = Invite::parse(text) {
        let again = Invite::parse(&invite.url()).expect("our own link parses");
        assert_eq!(again.url(), invite.url());
    }
});
