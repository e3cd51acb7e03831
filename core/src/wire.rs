//! The messages on the wire. Decoding is total and bounded, and never panics; past this module no raw bytes need a
//! check.
//!
//! - [`signal`]: JSON that the rendezvous reads.
//! - [`sealed`]: postcard that is sealed inside its envelopes.
//! - [`frame`]: postcard on the lanes.

pub mod frame;
pub mod sealed;
pub mod signal;

/// The first byte of everything in postcard: the version of its encoding. Enums only ever grow at their end.
pub(crate) const ENCODING: u8 = 1;

/// The bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Longer than a message of this kind may be.
    #[error("too long")]
    TooLong,
    /// Of an encoding that this build does not read.
    #[error("of another encoding")]
    Encoding,
    /// Not understood.
    #[error("malformed")]
    Malformed,
    /// Understood, but beyond a limit.
    #[error("beyond a limit")]
    OutOfBounds,
}

/// Encodes `value` behind the version byte.
pub(crate) fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![ENCODING]).expect("plain data always encodes")
}

/// Bytes of an integer on the wire: seven bits in each.
pub(crate) fn integer_length(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()).div_ceil(7).max(1) as usize
}

/// Decodes what [`encode`] made. Bytes left over are refused.
pub(crate) fn decode<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8], at_most: usize) -> Result<T, WireError> {
    if bytes.len() > at_most {
        return Err(WireError::TooLong);
    }
    match bytes.split_first() {
        Some((&ENCODING, rest)) => match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Ok(value),
            Ok((_, [_, ..])) | Err(_) => Err(WireError::Malformed),
        },
        Some(_) => Err(WireError::Encoding),
        None => Err(WireError::Malformed),
    }
}
