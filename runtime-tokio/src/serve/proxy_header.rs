//! The header of the PROXY protocol, version 1 or 2, which a proxy writes in front of a client's bytes.
//!
//! A connection without the header is no fault: a proxy that speaks HTTP tells the client's address in a header there.
//! The first bytes tell the two apart, since no request begins like the header.

use std::io;
use std::net::IpAddr;

use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Longest header, in bytes. Two addresses take 52 at most; proxies add the name that the client asked for, what its
/// TLS is, and ids of their own.
const BYTES_MAX: usize = 2048;

/// The beginning of each header of version 1.
const VERSION_1: &[u8] = b"PROXY ";

/// Longest header of version 1, in bytes. The parser finds that a longer one without addresses is broken only if the
/// header arrives in parts.
const VERSION_1_MAX: usize = 107;

/// The beginning of each header of version 2.
const VERSION_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A proxy's words about the client, before the client's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// Nothing: there is no header.
    Nothing,
    /// The client has no address that the proxy knows, or is the proxy itself, which looks whether the server lives.
    Unknown,
    /// The client's address.
    Client(IpAddr),
}

/// The kind of a connection's first bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Beginning {
    /// The bytes of a client, or none.
    NoHeader,
    /// A header, all bytes of which belong to it, and further ones.
    Part,
    /// A header of so many bytes.
    Whole(usize, Announced),
    /// A header against the rules, or a longer one than the server reads.
    Broken,
}

/// Reads the header, and nothing behind it.
///
/// # Errors
/// The header breaks the rules, or the connection has ended within it.
pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Announced> {
    let mut bytes = vec![0; BYTES_MAX];
    let mut taken = 0;
    loop {
        // Room is left: so many bytes without an end are no header.
        let seen = match stream.peek(&mut bytes[taken..]).await? {
            0 if taken == 0 => return Ok(Announced::Nothing),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => taken + length,
        };
        let (end, announced) = match beginning(&bytes[..seen]) {
            Beginning::NoHeader if taken == 0 => return Ok(Announced::Nothing),
            Beginning::NoHeader | Beginning::Broken => return Err(io::ErrorKind::InvalidData.into()),
            Beginning::Part => (seen, None),
            Beginning::Whole(length, announced) => (length, Some(announced)),
        };
        if end > taken {
            stream.read_exact(&mut bytes[taken..end]).await?;
        }
        taken = end;
        if let Some(announced) = announced {
            return Ok(announced);
        }
    }
}

/// The kind of these bytes, the first ones of a connection.
pub fn beginning(seen: &[u8]) -> Beginning {
    let is_of = |whole: &[u8]| seen.iter().zip(whole).all(|(seen, whole)| seen == whole);
    if !is_of(VERSION_1) && !is_of(VERSION_2) {
        return Beginning::NoHeader;
    }
    match ProxyHeader::parse(seen, ParseConfig { include_tlvs: false, ..ParseConfig::default() }) {
        Ok((_, length)) if length > VERSION_1_MAX && seen.starts_with(VERSION_1) => Beginning::Broken,
        Ok((header, length)) => {
            let source = header.proxied_address().map(|addresses| addresses.source.ip().to_canonical());
            let known = source.filter(|address| !address.is_unspecified());
            Beginning::Whole(length, known.map_or(Announced::Unknown, Announced::Client))
        }
        Err(Error::BufferTooShort) if seen.len() < BYTES_MAX => Beginning::Part,
        Err(_) => Beginning::Broken,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header of version 2: its byte of version and command, of family and protocol, and what follows.
    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short");
        [VERSION_2, &[command, family], &length.to_be_bytes(), rest].concat()
    }

    fn client(text: &str) -> Announced {
        Announced::Client(text.parse().expect("an address"))
    }

    #[test]
    fn a_header_is_read_to_its_end_and_what_follows_is_the_clients() {
        let v4 = [198, 51, 100, 7, 10, 0, 0, 1, 0x9c, 0x40, 0x1f, 0x90];
        let mut v6 = [0; 36];
        (v6[0], v6[1], v6[15]) = (0x20, 0x01, 7);
        let mut mapped = [0; 36];
        mapped[10..16].copy_from_slice(&[0xff, 0xff, 198, 51, 100, 7]);
        let with_more = [&v4[..], &[0x04, 0, 3, 1, 2, 3]].concat();
        for (header, announced) in [
            (b"PROXY TCP4 198.51.100.7 10.0.0.1 40000 8080\r\n".to_vec(), client("198.51.100.7")),
            (b"PROXY TCP6 2001::7 2001::1 40000 8080\r\n".to_vec(), client("2001::7")),
            (b"PROXY TCP6 ::ffff:198.51.100.7 ::1 40000 8080\r\n".to_vec(), client("198.51.100.7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Announced::Unknown),
            (b"PROXY UNKNOWN 198.51.100.7 10.0.0.1 1 2\r\n".to_vec(), Announced::Unknown),
            (b"PROXY TCP4 0.0.0.0 10.0.0.1 40000 8080\r\n".to_vec(), Announced::Unknown),
            (version_2(0x21, 0x11, &v4), client("198.51.100.7")),
            (version_2(0x21, 0x11, &with_more), client("198.51.100.7")),
            (version_2(0x21, 0x21, &v6), client("2001::7")),
            (version_2(0x21, 0x21, &mapped), client("198.51.100.7")),
            (version_2(0x21, 0x00, &[]), Announced::Unknown),
            (version_2(0x21, 0x31, &[0; 216]), Announced::Unknown),
            // LOCAL: the proxy itself, whatever it says besides.
            (version_2(0x20, 0x00, &[]), Announced::Unknown),
            (version_2(0x20, 0x11, &v4), Announced::Unknown),
        ] {
            for cut in 1..header.len() {
                assert_eq!(beginning(&header[..cut]), Beginning::Part, "{:?}", header[..cut].escape_ascii());
            }
            let followed = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(beginning(&followed), Beginning::Whole(header.len(), announced), "{}", header.escape_ascii());
        }
    }

    #[test]
    fn requests_and_tls_are_no_header_and_a_broken_one_is_found() {
        for other in
            [&b"GET / HTTP/1.1\r\n"[..], b"POST /x HTTP/1.1", b"PROXIES", b"\x16\x03\x01", b"\r\nGET / HTTP/1.1"]
        {
            assert_eq!(beginning(other), Beginning::NoHeader, "{}", other.escape_ascii());
        }
        let endless = [b"PROXY UNKNOWN ", [b'x'; 100].as_slice()].concat();
        let ended_late = [&endless[..], b"\r\n"].concat();
        let too_long = version_2(0x21, 0x11, &[0; BYTES_MAX]);
        for broken in [
            &b"PROXY TCP4 198.51.100.7\r\n 1 2"[..],
            b"PROXY TCP4 2001::7 2001::1 40000 8080\r\n",
            b"PROXY TCP4 198.51.100.7 10.0.0.1 70000 8080\r\n",
            b"PROXY UDP4 198.51.100.7 10.0.0.1 40000 8080\r\n",
            &endless,
            &ended_late,
            &version_2(0x31, 0x11, &[0; 12]),
            &version_2(0x22, 0x11, &[0; 12]),
            &version_2(0x21, 0x41, &[0; 12]),
            &too_long[..BYTES_MAX],
        ] {
            assert_eq!(beginning(broken), Beginning::Broken, "{}", broken.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_or_read_past_what_is_there(
            head in prop::sample::select(vec![&b""[..], VERSION_1, VERSION_2, b"PROXY TCP4 1.2.3.4 "]),
            tail in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = [head, &tail[..]].concat();
            match beginning(&bytes) {
                Beginning::Whole(length, _) => prop_assert!(length > 0 && length <= bytes.len()),
                Beginning::NoHeader | Beginning::Part | Beginning::Broken => {}
            }
        }
    }
}
