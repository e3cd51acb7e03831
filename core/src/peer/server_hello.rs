//! Reads the negotiated DTLS parameters from ServerHello, which is sent in clear (RFC 6347, RFC 9147). For logs only:
//! an attacker in between could forge the message, and DTLS itself decides.

/// The content type of handshake messages, and the message type of ServerHello.
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;

/// Bytes before a message: of the record (type, version, epoch, number, length) and of the handshake (type, length,
/// number, fragment).
const RECORD_HEAD: usize = 13;
const MESSAGE_HEAD: usize = 12;

/// The extension that names the version from 1.3 on.
const SUPPORTED_VERSIONS: u16 = 43;

/// The version and the cipher suite that a datagram's ServerHello names, if the datagram begins with one.
pub(crate) fn server_hello(datagram: &[u8]) -> Option<(u16, u16)> {
    let message = datagram.get(RECORD_HEAD..)?;
    if datagram.first() != Some(&HANDSHAKE) || message.first() != Some(&SERVER_HELLO) {
        return None;
    }
    let mut reader = Reader(message.get(MESSAGE_HEAD..)?);
    let version = reader.number()?;
    reader.skip(32)?;
    let session_id = reader.byte()?;
    reader.skip(session_id.into())?;
    let cipher = reader.number()?;
    reader.skip(1)?;
    Some((reader.supported_version().unwrap_or(version), cipher))
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u16> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*bytes))
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    fn supported_version(&mut self) -> Option<u16> {
        self.number()?;
        loop {
            let (kind, length) = (self.number()?, self.number()?);
            if kind == SUPPORTED_VERSIONS {
                return self.number();
            }
            self.skip(length.into())?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ServerHello of DTLS 1.2 in form, with these extensions.
    fn hello(extensions: &[u8]) -> Vec<u8> {
        let mut bytes = vec![HANDSHAKE, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend([SERVER_HELLO, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([0xfe, 0xfd]);
        bytes.extend([7; 32]);
        bytes.extend([2, 1, 1]);
        bytes.extend([0xc0, 0x2b, 0]);
        bytes.extend(u16::try_from(extensions.len()).expect("short").to_be_bytes());
        bytes.extend(extensions);
        bytes
    }

    #[test]
    fn the_version_and_the_cipher_are_read_from_either_form() {
        assert_eq!(server_hello(&hello(&[])), Some((0xfefd, 0xc02b)));
        assert_eq!(server_hello(&hello(&[0, 23, 0, 0, 0, 43, 0, 2, 0xfe, 0xfc])), Some((0xfefc, 0xc02b)));
    }

    #[test]
    fn whatever_is_cut_or_something_else_says_nothing() {
        let whole = hello(&[0, 43, 0, 2, 0xfe, 0xfc]);
        let shortest = RECORD_HEAD + MESSAGE_HEAD + 2 + 32 + 3 + 2 + 1;
        assert!((0..shortest).all(|length| server_hello(&whole[..length]).is_none()));
        let mut other = whole;
        other[RECORD_HEAD] = 1;
        assert_eq!(server_hello(&other), None);
    }
}
