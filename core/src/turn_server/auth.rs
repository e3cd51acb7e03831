//! Authentication of clients: long-term credentials (RFC 8489, section 9.2) whose names say until when they are good.
//! The server keeps nothing of a client that has shown none: names, passwords and nonces follow from two secrets.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use stun_types::attribute::{ErrorCode, MessageIntegrity, Nonce, Realm, Username};
use stun_types::message::{IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message};
use stun_types::prelude::AttributeStaticType as _;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::api::Client;
use crate::ice::server_url::Credentials;
use crate::time::Timestamp;

/// The realm of all credentials. Its length counts for [`super::MAX_CHALLENGE`].
pub(super) const REALM: &str = "beach";

/// Minutes for which a nonce is good. RFC 8489 asks for at most an hour.
const NONCE_MINUTES: u32 = 30;

/// The bytes of a nonce that say when it was made, and that prove it. 72 bits cannot be guessed in half an hour.
const NONCE_TIME: usize = 3;
const NONCE_PROOF: usize = 9;

/// Longest name of a user that is looked at.
const MAX_USER: usize = 128;

/// Why a request is refused before it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The client has to show credentials, or those that it showed are not good: 401.
    Unauthorized,
    /// The nonce is too old, or another client's: 438.
    StaleNonce,
    /// Credentials that are not whole: 400.
    BadRequest,
}

impl Denied {
    pub(super) fn code(self) -> u16 {
        match self {
            Denied::Unauthorized => ErrorCode::UNAUTHORIZED,
            Denied::StaleNonce => ErrorCode::STALE_NONCE,
            Denied::BadRequest => ErrorCode::BAD_REQUEST,
        }
    }
}

/// The subject of a request, which decides whether credentials that have expired are good for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Something new: credentials that have expired are not good for it.
    New,
    /// Something of an allocation that exists: its user's credentials may have expired meanwhile.
    Existing,
}

/// The secrets, and the time of day.
pub(super) struct Auth {
    secret: Zeroizing<String>,
    nonce_key: Zeroizing<[u8; 32]>,
    /// The time of day at a time of the machine.
    clock: Option<(Timestamp, u64)>,
}

impl Auth {
    pub(super) fn new(secret: Zeroizing<String>, nonce_key: [u8; 32]) -> Auth {
        Auth { secret, nonce_key: Zeroizing::new(nonce_key), clock: None }
    }

    pub(super) fn set_clock(&mut self, now: Timestamp, seconds: u64) {
        self.clock = Some((now, seconds));
    }

    /// The nonce of a client: the same one for a minute.
    pub(super) fn nonce(&self, now: Timestamp, client: Client) -> String {
        self.nonce_of(minute(now), client)
    }

    fn nonce_of(&self, minute: u32, client: Client) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.nonce_key).expect("a key of any length");
        mac.update(&minute.to_be_bytes());
        mac.update(client.address.to_string().as_bytes());
        let proof = mac.finalize().into_bytes();
        let [_, time @ ..] = minute.to_be_bytes();
        BASE64URL_NOPAD.encode(&[&time[..], &proof[..NONCE_PROOF]].concat())
    }

    fn nonce_is_good(&self, now: Timestamp, client: Client, nonce: &str) -> bool {
        let Ok(bytes) = BASE64URL_NOPAD.decode(nonce.as_bytes()) else { return false };
        let Some([high, middle, low]) = bytes.first_chunk::<NONCE_TIME>() else { return false };
        let age = minute(now).wrapping_sub(u32::from_be_bytes([0, *high, *middle, *low])) & 0x00ff_ffff;
        let Some(made) = minute(now).checked_sub(age).filter(|_| age <= NONCE_MINUTES) else { return false };
        self.nonce_of(made, client).as_bytes().ct_eq(nonce.as_bytes()).into()
    }

    /// The key of a user's messages.
    pub(super) fn key(&self, user: &str) -> IntegrityKey {
        let Credentials { user, password } = Credentials::of(user.to_owned(), self.secret.as_bytes());
        let credentials = LongTermKeyCredentials::new(user, password.to_string(), REALM.to_owned());
        credentials.make_key(IntegrityAlgorithm::Sha1)
    }

    /// The user whose request this is.
    pub(super) fn user_of(
        &self,
        now: Timestamp,
        client: Client,
        request: &Message<'_>,
        wanted: Wanted,
    ) -> Result<String, Denied> {
        if !request.has_attribute(MessageIntegrity::TYPE) {
            return Err(Denied::Unauthorized);
        }
        let user = request.attribute::<Username>().map_err(|_| Denied::BadRequest)?;
        let realm = request.attribute::<Realm>().map_err(|_| Denied::BadRequest)?;
        let nonce = request.attribute::<Nonce>().map_err(|_| Denied::BadRequest)?;
        let user = user.username();
        if realm.realm() != REALM || user.len() > MAX_USER {
            return Err(Denied::Unauthorized);
        }
        if !self.nonce_is_good(now, client, nonce.nonce()) {
            return Err(Denied::StaleNonce);
        }
        let good = wanted == Wanted::Existing || self.is_valid_still(now, user);
        if !good || request.validate_integrity_with_key(&self.key(user)).is_err() {
            return Err(Denied::Unauthorized);
        }
        Ok(user.to_owned())
    }

    fn is_valid_still(&self, now: Timestamp, user: &str) -> bool {
        let expires = user.split(':').next().and_then(|seconds| seconds.parse::<u64>().ok());
        let today = self.clock.map(|(at, seconds)| seconds + now.since(at).as_secs());
        today.zip(expires).is_some_and(|(today, expires)| today < expires)
    }
}

fn minute(now: Timestamp) -> u32 {
    u32::try_from(now.since_start().as_secs() / 60).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::turn_server::api::Via;

    fn client(address: &str) -> Client {
        Client { via: Via::Udp, address: address.parse().expect("an address") }
    }

    #[test]
    fn a_nonce_is_good_for_one_client_and_half_an_hour() {
        let auth = Auth::new(Zeroizing::new("north".to_owned()), [1; 32]);
        let at = |minutes: u64| Timestamp::from(Duration::from_secs(minutes * 60));
        let (one, other) = (client("192.0.2.1:5000"), client("192.0.2.1:5001"));
        let nonce = auth.nonce(at(100), one);
        assert_eq!((nonce.len(), auth.nonce(at(100), one)), (16, nonce.clone()));
        assert!(auth.nonce_is_good(at(100), one, &nonce) && auth.nonce_is_good(at(130), one, &nonce));
        assert!(!auth.nonce_is_good(at(131), one, &nonce) && !auth.nonce_is_good(at(99), one, &nonce));
        assert!(!auth.nonce_is_good(at(100), other, &nonce));
        let changed = format!("{}A", &nonce[..15]);
        assert!(changed == nonce || !auth.nonce_is_good(at(100), one, &changed));
        for nonsense in ["", "AAA", "AAAA", "not base64!", &"A".repeat(700)] {
            assert!(!auth.nonce_is_good(at(0), one, nonsense), "{nonsense}");
        }
        let restarted = Auth::new(Zeroizing::new("north".to_owned()), [2; 32]);
        assert!(!restarted.nonce_is_good(at(100), one, &nonce));
    }

    #[test]
    fn names_say_until_when_they_are_good_and_nobody_is_let_in_without_the_time_of_day() {
        let mut auth = Auth::new(Zeroizing::new("north".to_owned()), [1; 32]);
        let at = |seconds: u64| Timestamp::from(Duration::from_secs(seconds));
        assert!(!auth.is_valid_still(at(0), "1764288000:beach"));
        auth.set_clock(at(10), 1_764_287_990);
        assert!(auth.is_valid_still(at(19), "1764288000:beach") && auth.is_valid_still(at(19), "1764288000"));
        assert!(!auth.is_valid_still(at(20), "1764288000:beach"));
        for nonsense in ["", ":", "beach", "-1:x", "99999999999999999999999:x", " 1764288000:x"] {
            assert!(!auth.is_valid_still(at(10), nonsense), "{nonsense}");
        }
    }
}
