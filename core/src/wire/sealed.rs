//! Sealed messages: the content of an `envelope`, which the rendezvous cannot read.

use serde::{Deserialize, Serialize};

use crate::crypto::channel::MAX_ENVELOPE;
use crate::session::link::{Attempt, Candidate, Envelope, Hello, LinkDown, MAX_NAME, Verdict};
use crate::terminal::clean_title;
use crate::wire::{WireError, decode, encode};

/// The description of one side's peer, about 150 bytes. The engine takes it directly; no SDP is parsed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// ICE user name fragment: 4 to 32 ice-chars, which are letters, digits, `+` and `/` (RFC 8839, section 5.4).
    pub ufrag: String,
    /// ICE password: 22 to 64 ice-chars.
    pub password: String,
    /// SHA-256 of the DTLS certificate.
    pub fingerprint: [u8; 32],
    /// This side's half of the confirmation key.
    pub half: [u8; 32],
}

impl Description {
    fn check(&self) -> Result<(), WireError> {
        let sensible = is_ice_word(&self.ufrag, 4, 32) && is_ice_word(&self.password, 22, 64);
        if sensible { Ok(()) } else { Err(WireError::OutOfBounds) }
    }
}

/// Whether the text is so many ice-chars: letters, digits, `+` and `/`.
pub(crate) fn is_ice_word(text: &str, least: usize, most: usize) -> bool {
    let ice_char = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    (least..=most).contains(&text.len()) && text.bytes().all(ice_char)
}

/// The payload of Noise message 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Second {
    /// SHA-256 of the resume token: with the host's key it makes up the session id.
    pub(crate) token_hash: [u8; 32],
    pub(crate) verdict: Verdict,
    /// The viewer's capabilities that need both sides and that the host uses; absent on the wire if none.
    pub(crate) capabilities: u32,
}

/// The content of a numbered envelope: an [`Envelope`], with the descriptions that machines never see.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sealed {
    Offer(Attempt, Description),
    Answer(Attempt, Description),
    Candidate(Attempt, Candidate),
    Verdict(Verdict),
    Failed(Attempt, LinkDown),
    Goodbye,
}

impl Sealed {
    /// Seals up what a machine said; offer and answer need their description.
    pub(crate) fn new(envelope: Envelope, description: Option<Description>) -> Option<Sealed> {
        Some(match envelope {
            Envelope::Offer(attempt) => Sealed::Offer(attempt, description?),
            Envelope::Answer(attempt) => Sealed::Answer(attempt, description?),
            Envelope::Candidate(attempt, candidate) => Sealed::Candidate(attempt, candidate),
            Envelope::Verdict(verdict) => Sealed::Verdict(verdict),
            Envelope::Failed(attempt, down) => Sealed::Failed(attempt, down),
            Envelope::Goodbye => Sealed::Goodbye,
        })
    }

    /// The part that a machine may see, and the description, which stays below the seam.
    pub(crate) fn open(self) -> (Envelope, Option<Description>) {
        match self {
            Sealed::Offer(attempt, description) => (Envelope::Offer(attempt), Some(description)),
            Sealed::Answer(attempt, description) => (Envelope::Answer(attempt), Some(description)),
            Sealed::Candidate(attempt, candidate) => (Envelope::Candidate(attempt, candidate), None),
            Sealed::Verdict(verdict) => (Envelope::Verdict(verdict), None),
            Sealed::Failed(attempt, down) => (Envelope::Failed(attempt, down), None),
            Sealed::Goodbye => (Envelope::Goodbye, None),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Sealed, WireError> {
        let mut sealed = decode(bytes, MAX_ENVELOPE)?;
        match &mut sealed {
            Sealed::Offer(_, description) | Sealed::Answer(_, description) => description.check()?,
            Sealed::Failed(_, LinkDown::Engine(cause)) => *cause = clean_title(cause),
            Sealed::Candidate(..) | Sealed::Verdict(_) | Sealed::Failed(..) | Sealed::Goodbye => {}
        }
        Ok(sealed)
    }
}

/// Encodes the payload of Noise message 1.
pub(crate) fn encode_hello(hello: &Hello) -> Vec<u8> {
    encode(hello)
}

/// Decodes the payload of Noise message 1; the name loses unprintable characters, and characters beyond the limit.
///
/// # Errors
/// The bytes are too many, of an unknown encoding, not understood, or beyond a limit.
pub fn decode_hello(bytes: &[u8]) -> Result<Hello, WireError> {
    let mut hello: Hello = decode(bytes, MAX_ENVELOPE)?;
    hello.name = clean_title(&hello.name).chars().take(MAX_NAME).collect();
    hello.size = hello.size.map(|size| crate::terminal::Size::new(size.cols, size.rows));
    Ok(hello)
}

pub(crate) fn encode_second(second: &Second) -> Vec<u8> {
    let Second { token_hash, verdict, capabilities } = second;
    match capabilities {
        0 => encode(&(token_hash, verdict)),
        _ => encode(&(token_hash, verdict, capabilities)),
    }
}

pub(crate) fn decode_second(bytes: &[u8]) -> Result<Second, WireError> {
    let with = decode(bytes, MAX_ENVELOPE);
    let without = || decode(bytes, MAX_ENVELOPE).map(|(token_hash, verdict)| (token_hash, verdict, 0));
    let (token_hash, verdict, capabilities) = with.or_else(|_| without())?;
    Ok(Second { token_hash, verdict, capabilities })
}

/// Decodes the inside of an envelope and encodes it again: what a fuzzer calls. `None` if it was refused.
pub fn reencode_sealed(bytes: &[u8]) -> Option<Vec<u8>> {
    Sealed::decode(bytes).ok().map(|sealed| sealed.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(ufrag: &str, password: &str) -> Result<Sealed, WireError> {
        let (ufrag, password) = (ufrag.to_owned(), password.to_owned());
        let description = Description { ufrag, password, fingerprint: [1; 32], half: [2; 32] };
        Sealed::decode(&Sealed::Offer(1, description).encode())
    }

    #[test]
    fn user_fragments_and_passwords_may_hold_every_ice_char_and_nothing_else() {
        let (ufrag, password) = ("aZ0+/9xy", "aZ0+/bcdefghijklmnopqr/+");
        assert!(offer(ufrag, password).is_ok(), "RFC 8839, section 5.4: letters, digits, + and /");
        for wrong in ['=', '-', '_', ':', ' ', '\n', 'é'] {
            assert_eq!(offer(&format!("{ufrag}{wrong}"), password).err(), Some(WireError::OutOfBounds), "{wrong:?}");
            assert_eq!(offer(ufrag, &format!("{password}{wrong}")).err(), Some(WireError::OutOfBounds), "{wrong:?}");
        }
    }

    #[test]
    fn the_answer_to_a_hello_is_longer_only_for_viewers_that_asked_for_more() {
        let second = |capabilities| Second { token_hash: [3; 32], verdict: Verdict::Waiting, capabilities };
        let (plain, more) = (encode_second(&second(0)), encode_second(&second(8)));
        assert_eq!(plain.len(), 1 + 32 + 1, "as viewers from before read it");
        assert_eq!(more.len(), plain.len() + 1);
        assert_eq!(decode_second(&plain), Ok(second(0)));
        assert_eq!(decode_second(&more), Ok(second(8)));
        assert_eq!(decode_second(&[&more[..], &[0]].concat()), Err(WireError::Malformed));
        assert_eq!(decode_second(&plain[..33]), Err(WireError::Malformed));
    }
}
