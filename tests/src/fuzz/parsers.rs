//! Decoders: they refuse bytes or decode them, and a decoded value survives encoding and decoding.

use std::net::SocketAddr;

use beach_core::crypto::invite::Invite;
use beach_core::ice::relay::Relayed;
use beach_core::ice::server_url::IceServer;
use beach_core::ice::stun::{answer, question_of, told};
use beach_core::recording::journal::{begin, is_whole, read, write};
use beach_core::terminal::{Line, MAX_HISTORY, MAX_LINES_OUTSIDE, MAX_ROWS, Screen};
use beach_core::turn_server::stream::Framer;
use beach_core::wire::frame::{Down, FromHost, FromViewer, Up};
use beach_core::wire::sealed::{decode_hello, reencode_sealed};
use beach_core::wire::signal::{parse_from_rendezvous, parse_to_rendezvous, to_text};

/// Links as people paste them, alone or with the key on a second line; addresses of STUN and TURN servers.
pub(super) fn invite(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = match text.split_once('\n') {
        Some((target, key)) => Invite::parse_with_key(target, key),
        None => Invite::parse(text),
    };
    if let Ok(invite) = parsed {
        for invite in [invite.to_watch(), invite.clone().short(), invite] {
            let again = Invite::parse(&invite.url()).expect("our own link parses");
            assert_eq!(again.url(), invite.url());
            assert_eq!((again.role, again.is_loopback()), (invite.role, invite.is_loopback()));
        }
    }
    if let Ok(server) = text.parse::<IceServer>() {
        let again: IceServer = server.url().parse().expect("our own address of a server parses");
        assert!(again == server, "an address of a server changes when it is written and read");
    }
}

/// Messages of the rendezvous, in clear.
pub(super) fn signal(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(message) = parse_to_rendezvous(text) {
        assert_eq!(parse_to_rendezvous(&to_text(&message)), Ok(message));
    }
    if let Ok(message) = parse_from_rendezvous(text) {
        assert_eq!(parse_from_rendezvous(&to_text(&message)), Ok(message));
    }
}

/// The inside of envelopes.
pub(super) fn sealed(data: &[u8]) {
    if let Some(again) = reencode_sealed(data) {
        assert_eq!(reencode_sealed(&again).as_deref(), Some(&again[..]));
    }
    let _ = decode_hello(data);
}

/// Frames of a confirmed peer, and lines; decoded ones merge into a screen that stays within its bounds.
pub(super) fn frame(data: &[u8]) {
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
}

/// Datagrams that the rendezvous carries.
pub(super) fn relayed(data: &[u8]) {
    let Ok(relayed) = Relayed::decode(data) else { return };
    let again = relayed.encode();
    assert_eq!(Relayed::decode(&again), Ok(relayed));
    assert_eq!(again.len(), data.len());
}

/// STUN requests and answers, and TURN's messages on a stream: the first two bytes are the size of the parts in which
/// the stream arrives.
pub(super) fn stun(data: &[u8]) {
    const ID: u128 = 0x0011_2233_4455_6677_8899_aabb;
    let client: SocketAddr = ([192, 0, 2, 7], 4000).into();
    if let Some((bytes, _)) = answer(client, data) {
        assert!(bytes.len() <= 128, "{} bytes for an answer", bytes.len());
    }
    let _ = told(ID, data);
    let mut own = question_of(ID);
    own.truncate(20);
    own[0] = 1;
    own[2..4].copy_from_slice(&u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    own.extend_from_slice(data);
    let _ = told(ID, &own);

    let [high, low, stream @ ..] = data else { return };
    let size = usize::from(u16::from_be_bytes([*high, *low])).max(1);
    let mut framer = Framer::default();
    for part in stream.chunks(size) {
        framer.push(part);
        loop {
            match framer.message() {
                Ok(Some(message)) => assert!(!message.is_empty() && message.len() <= stream.len() + 3),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// Recordings: what was read is written again as it was.
pub(super) fn recording(data: &[u8]) {
    let Ok(records) = read(data) else { return };
    let mut file = Vec::new();
    begin(&mut file);
    records.iter().for_each(|record| write(record, &mut file));
    assert!(is_whole(&file));
    assert_eq!(read(&file), Ok(records));
}
