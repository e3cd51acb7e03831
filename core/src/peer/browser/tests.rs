//! Tests of the engine over a browser's connections: what the page is told, and when.

use super::*;
use crate::peer::engine::Carrier;
use crate::side::Side;

const UFRAG: &str = "kK+/";
const PASSWORD: &str = "Nh0f+eQ/6ZkV3PlyRTL1PCQb";

fn at(ms: u64) -> Timestamp {
    Timestamp::from(Duration::from_millis(ms))
}

fn plan(attempt: u16) -> PeerPlan {
    PeerPlan { side: Side::Viewer, carrier: Carrier::Channel, attempt }
}

fn peer() -> BrowserPeer {
    let mut peer = Browser::default().peer(at(0), plan(1), &mut Entropy::new([1; 32]));
    assert_eq!(peer.poll(), Some(PeerOutput::Command(PeerNumber(1), PeerCommand::Open(Vec::new()))));
    peer
}

fn offer() -> PeerEvent {
    let bytes = ["AB"; 32].join(":");
    PeerEvent::Described(format!(
        "v=0\r\na=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PASSWORD}\r\na=fingerprint:sha-256 {bytes}\r\n"
    ))
}

fn host() -> Description {
    let (ufrag, password) = ("hostufrag".to_owned(), "hostpasswordhostpassword".to_owned());
    Description { ufrag, password, fingerprint: [7; 32], half: [0; 32] }
}

fn candidate(port: u16) -> Candidate {
    Candidate { kind: CandidateKind::Host, address: ([192, 0, 2, 1], port).into() }
}

fn srflx(port: u16) -> PeerEvent {
    PeerEvent::Candidate(format!("candidate:1 1 udp 1 203.0.113.7 {port} typ srflx raddr 0.0.0.0 rport 0"))
}

fn drain(peer: &mut BrowserPeer) -> Vec<PeerOutput> {
    std::iter::from_fn(|| peer.poll()).collect()
}

/// The numbers and texts of the commands.
fn commands(peer: &mut BrowserPeer) -> Vec<(u32, String)> {
    let each = |output| {
        let PeerOutput::Command(_, command) = output else { return None };
        let (what, bytes) = command.to_page();
        Some((what, String::from_utf8_lossy(&bytes).into_owned()))
    };
    drain(peer).into_iter().filter_map(each).collect()
}

fn happen(peer: &mut BrowserPeer, event: PeerEvent) {
    assert_eq!(peer.happened(at(1), event), Ok(()));
}

/// A peer whose two sides are described.
fn connected() -> BrowserPeer {
    let mut peer = peer();
    happen(&mut peer, offer());
    assert_eq!(peer.set_remote(at(1), &host()), Ok(()));
    drain(&mut peer);
    peer
}

#[test]
fn the_answer_waits_for_the_offer_and_candidates_for_the_answer() {
    let mut early = peer();
    assert_eq!(early.set_remote(at(0), &host()), Ok(()));
    early.add_remote(at(0), candidate(1));
    early.add_remote(at(0), candidate(2));
    assert_eq!((drain(&mut early), early.local()), (Vec::new(), None), "there is nothing to connect yet");
    happen(&mut early, offer());
    assert_eq!(early.poll(), Some(PeerOutput::Described));
    assert_eq!(early.local(), Some((UFRAG.to_owned(), PASSWORD.to_owned(), [0xab; 32])));
    let told = commands(&mut early);
    assert_eq!(told.iter().map(|(what, _)| *what).collect::<Vec<_>>(), [1, 2, 2]);
    assert!(told[0].1.contains("a=ice-ufrag:hostufrag\r\n") && told[2].1.contains(" 192.0.2.1 2 typ host"));

    let mut late = peer();
    happen(&mut late, offer());
    assert_eq!(drain(&mut late), [PeerOutput::Described]);
    assert_eq!(late.set_remote(at(2), &host()), Ok(()));
    late.add_remote(at(2), candidate(3));
    assert_eq!(commands(&mut late).iter().map(|(what, _)| *what).collect::<Vec<_>>(), [1, 2]);
    happen(&mut late, offer());
    assert_eq!(drain(&mut late), [], "a connection describes itself once");
}

#[test]
fn candidates_are_told_after_the_description_each_once_and_not_without_end() {
    let mut peer = peer();
    happen(&mut peer, srflx(1));
    happen(&mut peer, srflx(1));
    happen(&mut peer, PeerEvent::Candidate("candidate:1 1 udp 1 f00.local 5 typ host".to_owned()));
    happen(&mut peer, PeerEvent::Candidate(String::new()));
    assert_eq!(drain(&mut peer), [], "the other side takes no candidate before the description");
    happen(&mut peer, offer());
    assert!(
        matches!(&drain(&mut peer)[..], [PeerOutput::Described, PeerOutput::Candidate(it)] if it.address.port() == 1)
    );
    (1..100).for_each(|port| happen(&mut peer, srflx(port)));
    assert_eq!(drain(&mut peer).len(), MAX_CANDIDATES - 1);
}

#[test]
fn the_terminal_lane_is_secured_when_its_channel_opens_with_the_certificate_that_was_seen() {
    let mut told = connected();
    let der = b"a certificate".to_vec();
    happen(&mut told, PeerEvent::TerminalOpen(Some(der.clone())));
    let unknown = Path { local: sdp::HIDDEN, remote: sdp::HIDDEN, kind: PathKind::Direct };
    let expected = [PeerOutput::PathFound, PeerOutput::Path(unknown), PeerOutput::Secured];
    assert_eq!(drain(&mut told), expected, "a path is known before the confirmation, told or not");
    assert_eq!(told.observed_fingerprint(), Some(Sha256::digest(&der).into()));

    let mut silent = connected();
    happen(&mut silent, PeerEvent::PathFound);
    let local = "candidate:1 1 udp 1 198.51.100.9 9 typ relay raddr 0.0.0.0 rport 0".to_owned();
    happen(&mut silent, PeerEvent::Path(local, "candidate:1 1 udp 1 192.0.2.1 7 typ host".to_owned()));
    happen(&mut silent, PeerEvent::TerminalOpen(None));
    happen(&mut silent, PeerEvent::TerminalOpen(None));
    let path = Path { local: ([198, 51, 100, 9], 9).into(), remote: ([192, 0, 2, 1], 7).into(), kind: PathKind::Turn };
    assert_eq!(drain(&mut silent), [PeerOutput::PathFound, PeerOutput::Path(path), PeerOutput::Secured]);
    assert_eq!(silent.observed_fingerprint(), Some(host().fingerprint), "the browser refuses any other");

    let mut odd = peer();
    happen(&mut odd, PeerEvent::TerminalOpen(None));
    assert_eq!((drain(&mut odd), odd.observed_fingerprint()), (Vec::new(), None), "with whom?");
}

#[test]
fn the_control_lane_has_bounded_room_and_the_terminal_lane_drops_in_the_page() {
    let mut peer = connected();
    let message = vec![0; 1000];
    assert_eq!(peer.write(at(2), Lane::Control, &message), Ok(false));
    assert_eq!(peer.write(at(2), Lane::Terminal, &message), Ok(false));
    happen(&mut peer, PeerEvent::ControlOpen);
    happen(&mut peer, PeerEvent::TerminalOpen(None));
    drain(&mut peer);
    let mut taken = 0;
    while peer.write(at(2), Lane::Control, &message) == Ok(true) {
        taken += 1;
        assert!(taken < 1000, "it ends");
    }
    assert_eq!(taken, CONTROL_BUFFER / 1000);
    assert_eq!(peer.write(at(2), Lane::Terminal, &message), Ok(true));
    assert_eq!(drain(&mut peer).len(), taken + 1);
    happen(&mut peer, PeerEvent::Drained);
    assert_eq!(peer.write(at(2), Lane::Control, &message), Ok(true));
    assert_eq!(commands(&mut peer), [(3, String::from_utf8_lossy(&message).into_owned())]);
}

#[test]
fn a_browser_that_does_not_describe_its_connection_ends_the_attempt_once() {
    let mut mute = peer();
    assert_eq!(mute.deadline(), Some(at(3000)));
    assert_eq!(mute.tick(at(2999)), Ok(()));
    let Err(LinkDown::Engine(cause)) = mute.tick(at(3000)) else { panic!("it goes on") };
    assert_eq!(cause, "the browser did not make a connection in time");
    assert_eq!((mute.deadline(), mute.tick(at(9000))), (None, Ok(())));

    let mut nonsense = peer();
    let told = nonsense.happened(at(1), PeerEvent::Described("v=0".to_owned()));
    assert!(matches!(told, Err(LinkDown::Engine(cause)) if cause == "the browser's description is not understood"));
    assert_eq!(nonsense.deadline(), None);
}

#[test]
fn the_end_of_a_connection_is_told_by_its_kind() {
    let mut peer = connected();
    assert_eq!(peer.happened(at(2), PeerEvent::Silent), Ok(()), "a path is still looked for");
    happen(&mut peer, PeerEvent::PathFound);
    assert_eq!(peer.happened(at(2), PeerEvent::Silent), Err(LinkDown::Silent));
    assert_eq!(peer.happened(at(2), PeerEvent::Closed), Err(LinkDown::Closed));
    let long = format!("no\u{1b}[31m {}", "x".repeat(500));
    let Err(LinkDown::Engine(cause)) = peer.happened(at(2), PeerEvent::Failed(long)) else { panic!("it goes on") };
    assert_eq!((cause.chars().count(), &cause[..7]), (MAX_CAUSE, "no[31m "));
    peer.close();
    peer.close();
    assert_eq!(drain(&mut peer), [PeerOutput::Command(PeerNumber(1), PeerCommand::Close)]);
}

#[test]
fn the_page_gets_servers_as_its_browser_takes_them_and_nobody_sees_a_password() {
    let mut engine = Browser::default();
    let credentials = Some(("17:beach".to_owned(), "pass\"word".to_owned().into()));
    engine.learn(vec![
        Server { url: "stun:192.0.2.1:3478".to_owned(), credentials: None },
        Server { url: "turn:192.0.2.2:3478?transport=tcp".to_owned(), credentials },
    ]);
    let mut peer = engine.peer(at(0), plan(2), &mut Entropy::new([1; 32]));
    let Some(PeerOutput::Command(number, command)) = peer.poll() else { panic!("it opens a connection") };
    assert!(!format!("{command:?}").contains("pass"), "{command:?}");
    let (what, json) = command.to_page();
    assert_eq!((number, what), (PeerNumber(1), 0));
    assert_eq!(
        std::str::from_utf8(&json),
        Ok(concat!(
            r#"[{"urls":"stun:192.0.2.1:3478"},"#,
            r#"{"urls":"turn:192.0.2.2:3478?transport=tcp","username":"17:beach","credential":"pass\"word"}]"#
        ))
    );
    let next = engine.peer(at(0), plan(3), &mut Entropy::new([1; 32]));
    assert_eq!(next.number(), Some(PeerNumber(2)), "no number is used twice");
}
