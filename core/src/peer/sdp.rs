//! The few lines of SDP (RFC 8866) that a browser is told and tells: an offer of data channels alone, the answer to it,
//! and candidates (RFC 8839).

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::session::link::{Candidate, CandidateKind};
use crate::wire::sealed::{Description, is_ice_word};

/// Longest description and longest candidate that is read, in bytes.
const MAX_DESCRIPTION: usize = 16 * 1024;
const MAX_CANDIDATE: usize = 1024;

/// The address of a path's end that the browser hides.
pub(super) const HIDDEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// User name fragment, password and certificate of an offer; `None` if one of them is missing or is not what it should
/// be.
pub(super) fn credentials(offer: &str) -> Option<(String, String, [u8; 32])> {
    if offer.len() > MAX_DESCRIPTION {
        return None;
    }
    let value = |name: &str| offer.lines().find_map(|line| line.trim_end().strip_prefix(name));
    let (ufrag, password) = (value("a=ice-ufrag:")?, value("a=ice-pwd:")?);
    let (hash, bytes) = value("a=fingerprint:")?.split_once(' ')?;
    let sensible = is_ice_word(ufrag, 4, 32) && is_ice_word(password, 22, 64) && hash.eq_ignore_ascii_case("sha-256");
    let mut fingerprint = [0; 32];
    let mut parts = bytes.split(':');
    for byte in &mut fingerprint {
        let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    (sensible && parts.next().is_none()).then(|| (ufrag.to_owned(), password.to_owned(), fingerprint))
}

/// The host's description as the answer to a browser's offer. The host begins DTLS; the browser controls in ICE.
pub(super) fn answer(host: &Description) -> String {
    let mut fingerprint = String::new();
    for (at, byte) in host.fingerprint.iter().enumerate() {
        let _ = write!(fingerprint, "{}{byte:02X}", if at == 0 { "" } else { ":" });
    }
    let lines = [
        "v=0",
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        &format!("a=ice-ufrag:{}", host.ufrag),
        &format!("a=ice-pwd:{}", host.password),
        "a=ice-options:trickle",
        &format!("a=fingerprint:sha-256 {fingerprint}"),
        "a=setup:active",
        "a=mid:0",
        "a=sctp-port:5000",
        "a=max-message-size:65536",
    ];
    lines.iter().flat_map(|line| [*line, "\r\n"]).collect()
}

/// A candidate as a browser is told: the `number`th of its side.
pub(super) fn line(candidate: Candidate, number: u16) -> String {
    let (kind, rank) = match candidate.kind {
        CandidateKind::Host => ("host", 126),
        CandidateKind::PeerReflexive => ("prflx", 110),
        CandidateKind::ServerReflexive => ("srflx", 100),
        CandidateKind::Relayed => ("relay", 0),
    };
    // RFC 8445, section 5.1.2.1.
    let priority = (rank << 24) | (u32::from(u16::MAX - number) << 8) | 255;
    let (ip, port) = (candidate.address.ip(), candidate.address.port());
    let related = match candidate.kind {
        CandidateKind::Host => "",
        CandidateKind::PeerReflexive | CandidateKind::ServerReflexive | CandidateKind::Relayed => {
            " raddr 0.0.0.0 rport 0"
        }
    };
    format!("candidate:{number} 1 udp {priority} {ip} {port} typ {kind}{related}")
}

/// A browser's candidate; `None` if it is of no use to the other side: one with a name for an address, such as the
/// `.local` names that browsers hide addresses behind, and one that is not reached over UDP.
pub(super) fn candidate(line: &str) -> Option<Candidate> {
    if line.len() > MAX_CANDIDATE {
        return None;
    }
    let line = line.strip_prefix("a=").unwrap_or(line).strip_prefix("candidate:")?;
    let mut words = line.split_ascii_whitespace().skip(1);
    let (component, transport) = (words.next()?, words.next()?);
    let (ip, port) = (words.nth(1)?.parse::<IpAddr>().ok()?, words.next()?.parse::<u16>().ok()?);
    let kind = match (words.next()?, words.next()?) {
        ("typ", "host") => CandidateKind::Host,
        ("typ", "srflx") => CandidateKind::ServerReflexive,
        ("typ", "prflx") => CandidateKind::PeerReflexive,
        ("typ", "relay") => CandidateKind::Relayed,
        _ => return None,
    };
    let useful = component == "1" && transport.eq_ignore_ascii_case("udp") && port != 0 && !ip.is_unspecified();
    useful.then_some(Candidate { kind, address: SocketAddr::new(ip, port) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chromium 156, but for the fingerprint.
    const OFFER: &str = "v=0\r\no=- 3927470893713137164 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
        a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
        c=IN IP4 0.0.0.0\r\na=ice-ufrag:kK+/\r\na=ice-pwd:Nh0f+eQ/6ZkV3PlyRTL1PCQb\r\na=ice-options:trickle\r\n\
        a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:\
        10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:FF\r\na=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\n\
        a=max-message-size:262144\r\n";

    #[test]
    fn a_browsers_offer_gives_its_credentials_and_its_certificate() {
        let (ufrag, password, fingerprint) = credentials(OFFER).expect("as browsers write it");

        assert_eq!((ufrag.as_str(), password.as_str()), ("kK+/", "Nh0f+eQ/6ZkV3PlyRTL1PCQb"));
        assert_eq!((fingerprint[0], fingerprint[10], fingerprint[31]), (0, 10, 255));
        let changed = [
            ("a=ice-ufrag:kK+/", "a=ice-ufrag:kK+"),
            ("a=ice-ufrag:kK+/", "a=ice-ufrag:kK+/="),
            ("a=ice-pwd:Nh0f", "a=ice-pwd:Nh 0f"),
            ("a=ice-pwd:", "a=password:"),
            ("sha-256", "sha-1"),
            (":1E:FF", ":1E"),
            (":1E:FF", ":1E:FF:00"),
            (":1E:FF", ":1E:+F"),
        ];
        for (before, after) in changed {
            assert_eq!(credentials(&OFFER.replace(before, after)), None, "{after}");
        }
        assert_eq!(credentials(&format!("{OFFER}{}", "a".repeat(MAX_DESCRIPTION))), None);
    }

    #[test]
    fn the_answer_says_who_the_host_is_and_that_it_begins_dtls() {
        let (ufrag, password) = ("abcd".to_owned(), "abcdefghijklmnopqrstuvwx".to_owned());
        let host = Description { ufrag, password, fingerprint: [0xab; 32], half: [0; 32] };

        let answer = answer(&host);

        assert_eq!(credentials(&answer), Some((host.ufrag.clone(), host.password.clone(), [0xab; 32])));
        for line in ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=setup:active", "a=mid:0"] {
            assert!(answer.contains(&format!("\r\n{line}\r\n")), "{answer}");
        }
        assert!(answer.ends_with("\r\n") && !answer.contains("m=audio"));
    }

    #[test]
    fn numeric_candidates_are_read_and_hidden_ones_never_leave() {
        let read = |line: &str| candidate(line).map(|it| (it.kind, it.address.to_string()));
        let told =
            "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0";
        assert_eq!(read(told), Some((CandidateKind::ServerReflexive, "203.0.113.7:46154".to_owned())));
        let v6 = "a=candidate:1 1 UDP 2130706431 2001:db8::1 5000 typ host";
        assert_eq!(read(v6), Some((CandidateKind::Host, "[2001:db8::1]:5000".to_owned())));
        for useless in [
            "",
            "candidate:",
            "candidate:1 1 udp 2113937151 2f7a1c3e-54c5-4f3b-8f8e-5f4f1a0c7a11.local 51743 typ host generation 0",
            "candidate:1 2 udp 2113937151 192.0.2.1 51743 typ host",
            "candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
            "candidate:1 1 udp 2113937151 192.0.2.1 0 typ host",
            "candidate:1 1 udp 2113937151 192.0.2.1 70000 typ host",
            "candidate:1 1 udp 2113937151 0.0.0.0 5000 typ host",
            "candidate:1 1 udp 2113937151 192.0.2.1 5000 typ friend",
            "candidate:1 1 udp 2113937151 192.0.2.1 5000",
        ] {
            assert_eq!(read(useless), None, "{useless:?}");
        }
    }

    #[test]
    fn what_a_browser_is_told_of_candidates_reads_as_it_was_meant() {
        for kind in
            [CandidateKind::Host, CandidateKind::ServerReflexive, CandidateKind::PeerReflexive, CandidateKind::Relayed]
        {
            for address in ["192.0.2.1:4711", "[2001:db8::1]:4711"] {
                let told = Candidate { kind, address: address.parse().expect("an address") };
                assert_eq!(candidate(&line(told, 3)), Some(told));
            }
        }
        let rank = |kind| {
            let told = line(Candidate { kind, address: ([192, 0, 2, 1], 1).into() }, 0);
            told.split(' ').nth(3).and_then(|priority| priority.parse::<u32>().ok()).expect("a priority")
        };
        assert!(rank(CandidateKind::Host) > rank(CandidateKind::ServerReflexive));
        assert!(rank(CandidateKind::ServerReflexive) > rank(CandidateKind::Relayed));
        assert_eq!(rank(CandidateKind::Host), 2_130_706_431);
    }
}
