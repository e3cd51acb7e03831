//! Names of sessions, members and links. None of them is a secret.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq as _;

/// Names a session: 128 bits that commit to the host's keys (see `invite`). Printed as 22 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

/// Names a session in a short link: the first 84 bits of the session's id. Printed as 14 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortId([u8; 16]);

/// Names a session in a link, and in a viewer's request to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionName {
    /// The whole id.
    Full(SessionId),
    /// The id's beginning.
    Short(ShortId),
}

/// Characters of a [`ShortId`].
const SHORT: usize = 14;

/// Names one handshake and the link that comes of it, for good: 64 random bits from the viewer. Printed as 16 hex
/// digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Names a member of a session; given by the host, counted from 1, never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberId(pub u32);

/// The text was not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct BadId;

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl FromStr for SessionId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<SessionId, BadId> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| BadId)?;
        bytes.try_into().map(SessionId).map_err(|_| BadId)
    }
}

impl SessionId {
    /// The beginning of this id.
    #[must_use]
    pub fn short(self) -> ShortId {
        let SessionId(mut bytes) = self;
        bytes[10] &= 0xf0;
        bytes[11..].fill(0);
        ShortId(bytes)
    }
}

impl ShortId {
    /// The ids with this beginning, in order: the first and the last one.
    #[cfg(feature = "host")]
    pub(crate) fn range(self) -> std::ops::RangeInclusive<SessionId> {
        let mut last = self.0;
        last[10] |= 0x0f;
        last[11..].fill(0xff);
        SessionId(self.0)..=SessionId(last)
    }
}

impl SessionName {
    /// Whether this is a name of the session.
    #[must_use]
    pub fn names(self, session: SessionId) -> bool {
        match self {
            SessionName::Full(id) => bool::from(id.0.ct_eq(&session.0)),
            SessionName::Short(short) => bool::from(short.0.ct_eq(&session.short().0)),
        }
    }

    /// The short form of this name.
    #[must_use]
    pub fn short(self) -> ShortId {
        match self {
            SessionName::Full(id) => id.short(),
            SessionName::Short(short) => short,
        }
    }
}

impl fmt::Display for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&SessionId(self.0).to_string()[..SHORT])
    }
}

impl FromStr for ShortId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<ShortId, BadId> {
        // `A` is six bits of zeros.
        let padded = format!("{text}AAAAAAAA");
        if text.len() == SHORT { padded.parse().map(|SessionId(bytes)| ShortId(bytes)) } else { Err(BadId) }
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionName::Full(id) => write!(f, "{id}"),
            SessionName::Short(short) => write!(f, "{short}"),
        }
    }
}

impl FromStr for SessionName {
    type Err = BadId;

    fn from_str(text: &str) -> Result<SessionName, BadId> {
        match text.parse() {
            Ok(short) => Ok(SessionName::Short(short)),
            Err(BadId) => text.parse().map(SessionName::Full),
        }
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for LinkId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<LinkId, BadId> {
        let strict = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !strict {
            return Err(BadId);
        }
        u64::from_str_radix(text, 16).map(LinkId).map_err(|_| BadId)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

macro_rules! debug_as_text {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    )*};
}

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text!(SessionId, SessionName, LinkId);
debug_as_text!(SessionId, ShortId, LinkId, MemberId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_id_is_the_beginning_of_an_id_and_names_all_ids_with_it() {
        let id = SessionId(std::array::from_fn(|at| 0x9f ^ (at as u8 * 17)));
        let short = id.short();
        assert_eq!(short.to_string(), id.to_string()[..14]);
        assert_eq!(short.to_string().parse(), Ok(short));
        assert!(short.range().contains(&id));
        for (bit, same) in [(83, false), (84, true), (127, true), (0, false)] {
            let mut other = id;
            other.0[bit / 8] ^= 0x80 >> (bit % 8);
            assert_eq!(SessionName::Short(short).names(other), same, "bit {bit}");
            assert_eq!(short.range().contains(&other), same, "bit {bit}");
            assert!(!SessionName::Full(id).names(other), "bit {bit}");
        }
        assert!(SessionName::Full(id).names(id));
    }

    #[test]
    fn a_name_is_read_by_its_length() {
        let id = SessionId([0xa5; 16]);
        assert_eq!(id.to_string().parse(), Ok(SessionName::Full(id)));
        assert_eq!(id.short().to_string().parse(), Ok(SessionName::Short(id.short())));
        for wrong in ["", "paWlpaWlpaWlp", "paWlpaWlpaWlpaW", "paWlpaWlpaWl.a", "paWlpaWlpaWlpaWlpaWlpab"] {
            assert_eq!(wrong.parse::<SessionName>(), Err(BadId), "{wrong}");
        }
    }
}
