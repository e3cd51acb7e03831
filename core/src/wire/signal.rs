//! Signalling: the messages that the rendezvous reads, as JSON text. Messages sealed from it are in [`super::sealed`].

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::crypto::channel::MAX_ENVELOPE;
use crate::crypto::keys::HostSecrets;
use crate::id::{LinkId, SessionId, SessionName};
use crate::place::MAX_PLACE;
use crate::role::Role;
use crate::session::address::AddressClass;
use crate::session::link::Refusal;
use crate::wire::WireError;

/// Longest signalling message, in bytes.
pub const MAX_MESSAGE: usize = 16 * 1024;

/// Most versions that a viewer may list: the list is in the prologue, and nobody speaks more.
pub const MAX_VERSIONS: usize = 16;

/// Most servers that a rendezvous hands out.
pub const MAX_ICE_SERVERS: usize = 8;

/// The greatest count of a host's registrations. Numbers up to this one are exact in every JSON and Lua.
pub const MAX_TURN: u64 = (1 << 53) - 1;

/// Longest time that a host takes to go to another rendezvous, in seconds.
pub const MAX_MOVE_WITHIN: u32 = 3600;

/// [`ToRendezvous::Ping`] as every client writes it: nearly all that a rendezvous hears of hosts that rest.
pub const PING: &str = r#"{"type":"ping"}"#;

/// [`FromRendezvous::Pong`] as text.
pub const PONG: &str = r#"{"type":"pong"}"#;

/// Messages of a host or viewer to the rendezvous.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToRendezvous {
    /// Give me this session; the two values prove that it is mine.
    Register {
        /// The session.
        session: SessionId,
        /// SHA-256(view key ‖ host's static public key).
        commitment: Opaque,
        /// The resume token.
        token: Opaque,
        /// The host's count of its registrations. Of two rendezvous the one with the greater count has the host. Hosts
        /// that do not count have 0.
        #[serde(default, skip_serializing_if = "is_zero")]
        turn: u64,
    },
    /// Bring me to the host of this session.
    Join {
        /// The session; by a short name only where the rendezvous knows short names.
        session: SessionName,
        /// Drawn by the viewer.
        link: LinkId,
        /// The role of the invite.
        role: Role,
        /// The viewer's versions.
        versions: Vec<u16>,
        /// The link by which the viewer was a member before, if the viewer comes back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resumes: Option<LinkId>,
        /// The viewer follows [`FromRendezvous::Elsewhere`].
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        moves: bool,
    },
    /// Bring this to the other side of the link.
    Envelope {
        /// The link.
        link: LinkId,
        /// Sealed.
        data: Opaque,
    },
    /// Host: turn this viewer away.
    Refuse {
        /// The link.
        link: LinkId,
        /// Why.
        reason: Refusal,
    },
    /// I am done with this link.
    Close {
        /// The link.
        link: LinkId,
    },
    /// Host: the session is over; all that this connection hosts, if none is named.
    Unregister {
        /// The session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<SessionId>,
    },
    /// Are you there?
    Ping,
}

impl ToRendezvous {
    /// The kind of message, and the link that the message is about, for a log.
    pub(crate) fn kind(&self) -> (&'static str, Option<LinkId>) {
        match self {
            ToRendezvous::Register { .. } => ("register", None),
            ToRendezvous::Join { link, .. } => ("join", Some(*link)),
            ToRendezvous::Envelope { link, .. } => ("envelope", Some(*link)),
            ToRendezvous::Refuse { link, .. } => ("refuse", Some(*link)),
            ToRendezvous::Close { link } => ("close", Some(*link)),
            ToRendezvous::Unregister { .. } => ("unregister", None),
            ToRendezvous::Ping => ("ping", None),
        }
    }

    /// The host's proof of ownership for a session.
    pub fn register(secrets: &HostSecrets) -> ToRendezvous {
        ToRendezvous::Register {
            session: secrets.session(),
            commitment: Opaque(secrets.commitment().to_vec()),
            token: Opaque(secrets.token().to_vec()),
            turn: 0,
        }
    }

    /// This registration, as the host's `turn`-th one; other messages have no turn.
    #[must_use]
    pub fn in_turn(mut self, count: u64) -> ToRendezvous {
        if let ToRendezvous::Register { turn, .. } = &mut self {
            *turn = count.min(MAX_TURN);
        }
        self
    }
}

/// Messages of the rendezvous.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromRendezvous {
    /// The session is yours.
    Registered {
        /// See [`FromRendezvous::Joined`].
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ice: Vec<IceUrl>,
        /// The rendezvous finds the session by a short name too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        short_names: bool,
    },
    /// To the host: somebody wants to join. To the viewer: the host has been told.
    Joined {
        /// The link.
        link: LinkId,
        /// As the viewer said.
        role: Role,
        /// As the viewer said.
        versions: Vec<u16>,
        /// The rendezvous carries datagrams of this link.
        #[serde(default)]
        relay: bool,
        /// As the viewer said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resumes: Option<LinkId>,
        /// Servers that help to find a path, as [`IceServer`](crate::ice::server_url::IceServer) is written, with
        /// addresses for names; or `stun:` for the rendezvous itself, over UDP at the address at which it was reached.
        /// Readers skip entries that they do not understand.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ice: Vec<IceUrl>,
        /// To the host: where the viewer is, as the rendezvous sees it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<AddressClass>,
        /// To the viewer: the whole id of the session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<SessionId>,
    },
    /// The servers from now on, because credentials expire.
    Ice {
        /// See [`FromRendezvous::Joined`].
        ice: Vec<IceUrl>,
    },
    /// The session is registered, its host is away. Said in answer to a join, and when a host's connection is lost.
    Waiting {
        /// The link.
        link: LinkId,
    },
    /// From the other side of the link.
    Envelope {
        /// The link.
        link: LinkId,
        /// Sealed.
        data: Opaque,
    },
    /// No.
    Refused {
        /// The link, if it is about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<LinkId>,
        /// Why.
        reason: Refusal,
    },
    /// To the host: how many joins were refused since its registration, because too many came at once. At most once a
    /// second.
    TurnedAway {
        /// How many.
        count: u64,
    },
    /// The other side of the link is gone.
    Closed {
        /// The link.
        link: LinkId,
    },
    /// To a viewer that [`moves`](ToRendezvous::Join::moves): the host is at another rendezvous; ask there, by the same
    /// link.
    Elsewhere {
        /// The link.
        link: LinkId,
        /// The other rendezvous: `http(s)://HOST[:PORT][/PATH]`.
        url: String,
    },
    /// To a host: at a time of your own choice within so many seconds, dial again, as this rendezvous ends.
    Move {
        /// Seconds.
        within: u32,
    },
    /// Yes.
    Pong,
}

impl FromRendezvous {
    /// As [`ToRendezvous::kind`].
    pub(crate) fn kind(&self) -> (&'static str, Option<LinkId>) {
        match self {
            FromRendezvous::Registered { .. } => ("registered", None),
            FromRendezvous::Joined { link, .. } => ("joined", Some(*link)),
            FromRendezvous::Ice { .. } => ("ice", None),
            FromRendezvous::Waiting { link } => ("waiting", Some(*link)),
            FromRendezvous::Envelope { link, .. } => ("envelope", Some(*link)),
            FromRendezvous::Refused { link, .. } => ("refused", *link),
            FromRendezvous::TurnedAway { .. } => ("turned_away", None),
            FromRendezvous::Closed { link } => ("closed", Some(*link)),
            FromRendezvous::Elsewhere { link, .. } => ("elsewhere", Some(*link)),
            FromRendezvous::Move { .. } => ("move", None),
            FromRendezvous::Pong => ("pong", None),
        }
    }

    /// The message for the host: with the kind of the viewer's address and the host's own servers, without the id.
    #[must_use]
    #[cfg(feature = "host")]
    pub(crate) fn for_host(mut self, class: Option<AddressClass>, servers: Vec<IceUrl>) -> FromRendezvous {
        if let FromRendezvous::Joined { from, session, ice, .. } = &mut self {
            (*from, *session, *ice) = (class, None, servers);
        }
        self
    }
}

/// Bytes that the rendezvous carries without reading; base64url in JSON. No `Debug` of the contents: tokens travel in
/// it.
#[derive(Clone, PartialEq, Eq)]
pub struct Opaque(pub Vec<u8>);

impl std::fmt::Debug for Opaque {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Opaque {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Opaque, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        BASE64URL_NOPAD.decode(text.as_bytes()).map(Opaque).map_err(serde::de::Error::custom)
    }
}

/// A server that helps to find a path, as text. `Debug` leaves out who may use it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IceUrl(pub String);

impl std::fmt::Debug for IceUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0.rsplit('@').next().unwrap_or_default())
    }
}

/// A message as JSON text.
pub fn to_text<T: Serialize>(message: &T) -> String {
    serde_json::to_string(message).expect("plain data always encodes")
}

/// Reads what somebody says to a rendezvous.
///
/// # Errors
/// The text is too long, not understood, or beyond a limit.
pub fn parse_to_rendezvous(text: &str) -> Result<ToRendezvous, WireError> {
    if text == PING {
        return Ok(ToRendezvous::Ping);
    }
    let message = parse(text)?;
    match &message {
        ToRendezvous::Join { versions, .. } => bounded(versions)?,
        ToRendezvous::Envelope { data, .. } => short(data)?,
        ToRendezvous::Refuse { reason, .. } => sane(reason)?,
        ToRendezvous::Register { turn, .. } => at_most(*turn, MAX_TURN)?,
        ToRendezvous::Close { .. } | ToRendezvous::Unregister { .. } | ToRendezvous::Ping => {}
    }
    Ok(message)
}

/// Reads what a rendezvous says.
///
/// # Errors
/// The text is too long, not understood, or beyond a limit.
pub fn parse_from_rendezvous(text: &str) -> Result<FromRendezvous, WireError> {
    let message = parse(text)?;
    match &message {
        FromRendezvous::Joined { versions, ice, .. } => {
            bounded(versions)?;
            few(ice)?;
        }
        FromRendezvous::Registered { ice, .. } | FromRendezvous::Ice { ice } => few(ice)?,
        FromRendezvous::Envelope { data, .. } => short(data)?,
        FromRendezvous::Refused { reason, .. } => sane(reason)?,
        FromRendezvous::Elsewhere { url, .. } => at_most(url.len(), MAX_PLACE)?,
        FromRendezvous::Move { within } => at_most(*within, MAX_MOVE_WITHIN)?,
        FromRendezvous::Waiting { .. }
        | FromRendezvous::TurnedAway { .. }
        | FromRendezvous::Closed { .. }
        | FromRendezvous::Pong => {}
    }
    Ok(message)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, WireError> {
    if text.len() > MAX_MESSAGE {
        return Err(WireError::TooLong);
    }
    serde_json::from_str(text).map_err(|_| WireError::Malformed)
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn at_most<T: PartialOrd>(number: T, most: T) -> Result<(), WireError> {
    if number > most { Err(WireError::OutOfBounds) } else { Ok(()) }
}

fn bounded(versions: &[u16]) -> Result<(), WireError> {
    if versions.len() > MAX_VERSIONS { Err(WireError::OutOfBounds) } else { Ok(()) }
}

fn few(ice: &[IceUrl]) -> Result<(), WireError> {
    if ice.len() > MAX_ICE_SERVERS { Err(WireError::OutOfBounds) } else { Ok(()) }
}

fn short(data: &Opaque) -> Result<(), WireError> {
    if data.0.len() > MAX_ENVELOPE { Err(WireError::OutOfBounds) } else { Ok(()) }
}

fn sane(reason: &Refusal) -> Result<(), WireError> {
    match reason {
        Refusal::Version(versions) => bounded(versions),
        Refusal::NoSession
        | Refusal::WrongKey
        | Refusal::WrongHost
        | Refusal::Full
        | Refusal::Denied
        | Refusal::Misuse
        | Refusal::Taken
        | Refusal::Forgotten
        | Refusal::Used
        | Refusal::Expired
        | Refusal::Busy
        | Refusal::NoBrowsers
        | Refusal::OldHost => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_ping_and_pong_are_those_that_serde_writes_and_reads() {
        assert_eq!(to_text(&ToRendezvous::Ping), PING);
        assert_eq!(to_text(&FromRendezvous::Pong), PONG);
        assert_eq!(parse::<ToRendezvous>(PING), Ok(ToRendezvous::Ping));
        for text in [PING, r#"{ "type" : "ping" }"#, r#"{"type":"ping","more":1}"#] {
            assert_eq!(parse_to_rendezvous(text), Ok(ToRendezvous::Ping), "{text}");
        }
    }
}
