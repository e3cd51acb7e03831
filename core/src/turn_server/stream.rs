//! Messages on a TCP connection of a TURN client (RFC 8656, section 12.5): STUN messages, and channel data padded to
//! four bytes. A stream that is neither is at its end.

/// Longest message, in bytes: a datagram of a UDP path, with the head of an indication.
pub const MAX_MESSAGE: usize = 2048;

/// The bytes before the length, and the length: of both kinds of message.
const HEAD: usize = 4;

/// The bytes of a STUN message that the length does not count.
const STUN_HEAD: usize = 20;

/// The next bytes of the stream begin no message that the server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither a STUN message nor channel data of at most {MAX_MESSAGE} bytes")]
pub struct Nonsense;

/// Cuts a stream into messages.
#[derive(Default)]
pub struct Framer {
    bytes: Vec<u8>,
}

impl Framer {
    /// Takes bytes of the stream. Call [`Framer::message`] until it gives no message before the next bytes are taken:
    /// what is kept is then shorter than a message.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message, without its padding.
    ///
    /// # Errors
    /// No message begins here.
    pub fn message(&mut self) -> Result<Option<Vec<u8>>, Nonsense> {
        let Some((message, padded)) = length(&self.bytes)? else { return Ok(None) };
        if self.bytes.len() < padded {
            return Ok(None);
        }
        let mut whole: Vec<u8> = self.bytes.drain(..padded).collect();
        whole.truncate(message);
        Ok(Some(whole))
    }
}

/// The length of the message that begins here, without and with its padding.
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Nonsense> {
    // The first two bits tell the kinds apart.
    let kind = match bytes.first() {
        None => return Ok(None),
        Some(first) => first >> 6,
    };
    if kind > 1 {
        return Err(Nonsense);
    }
    let Some([_, _, high, low]) = bytes.first_chunk::<HEAD>() else { return Ok(None) };
    let counted = usize::from(u16::from_be_bytes([*high, *low]));
    let message = counted + if kind == 0 { STUN_HEAD } else { HEAD };
    let padded = message.next_multiple_of(4);
    if padded > MAX_MESSAGE || (kind == 0 && padded != message) { Err(Nonsense) } else { Ok(Some((message, padded))) }
}

/// Pads channel data for a stream.
pub(super) fn pad(channel_data: &mut Vec<u8>) {
    channel_data.resize(channel_data.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_into_messages_however_its_bytes_come() {
        let stun = [&[0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42][..], &[7; 16]].concat();
        let data = [&[0x40, 0, 0, 5][..], b"hello"].concat();
        let stream = [&stun[..], &data, &[0; 3], &stun].concat();
        for size in 1..=stream.len() {
            let (mut framer, mut messages) = (Framer::default(), Vec::new());
            for part in stream.chunks(size) {
                framer.push(part);
                while let Some(message) = framer.message().expect("it makes sense") {
                    messages.push(message);
                }
            }
            assert_eq!(messages, [&stun[..], &data, &stun], "{size} bytes at a time");
        }
    }

    #[test]
    fn nonsense_is_noticed_before_it_is_kept() {
        for nonsense in [&b"\xff"[..], b"\x80\0\0\0", &[0x40, 0, 0xff, 0xff], &[0, 1, 0x08, 0], &[0, 1, 0, 3]] {
            let mut framer = Framer::default();
            framer.push(nonsense);
            assert_eq!(framer.message(), Err(Nonsense), "{nonsense:?}");
        }
        let mut framer = Framer::default();
        framer.push(&[0x40, 0]);
        assert_eq!(framer.message(), Ok(None));
    }
}
