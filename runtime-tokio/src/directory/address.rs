//! The URL of a Redis or Valkey server. Its password is neither printed nor logged.

use std::fmt;

use redis::{ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo};
use rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use crate::signal::SignalError;

/// A URL as people write it: `redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER]`, or `rediss://` with TLS.
#[derive(Clone)]
pub struct RedisUrl(Zeroizing<String>);

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisUrl")
    }
}

impl From<&str> for RedisUrl {
    fn from(text: &str) -> RedisUrl {
        RedisUrl(Zeroizing::new(text.to_owned()))
    }
}

/// The text is no URL of a Redis server. Does not say the text, which may have a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the URL is not of the form redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER]")]
pub struct BadRedisUrl;

impl RedisUrl {
    /// Reads the URL.
    ///
    /// # Errors
    /// The text is no URL of a Redis server that beach can use.
    pub fn address(&self) -> Result<Address, BadRedisUrl> {
        let (scheme, rest) = self.0.split_once("://").ok_or(BadRedisUrl)?;
        let is_encrypted = match scheme {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(BadRedisUrl),
        };
        // A fragment would say that the certificate does not count.
        if rest.contains('#') {
            return Err(BadRedisUrl);
        }
        let plain = Zeroizing::new(format!("redis://{rest}"));
        let info = plain.as_str().into_connection_info().map_err(|_| BadRedisUrl)?;
        let ConnectionAddr::Tcp(host, port) = info.addr() else { return Err(BadRedisUrl) };
        if host.is_empty() {
            return Err(BadRedisUrl);
        }
        Ok(Address { is_encrypted, host: host.clone(), port: *port, settings: info.redis_settings().clone() })
    }
}

/// Where the server is, and how to log in there. Displayed without user and password.
#[derive(Clone)]
pub struct Address {
    is_encrypted: bool,
    host: String,
    port: u16,
    settings: RedisConnectionInfo,
}

impl Address {
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn settings(&self) -> &RedisConnectionInfo {
        &self.settings
    }

    /// The name in the server's certificate, if the connection has TLS.
    pub(super) fn server_name(&self) -> Result<Option<ServerName<'static>>, SignalError> {
        let name = || ServerName::try_from(self.host.clone()).map_err(|_| SignalError::NameNotForTls);
        self.is_encrypted.then(name).transpose()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "rediss" } else { "redis" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}/{}", self.host, self.port, self.settings.db())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_and_is_shown_without_its_password() {
        for (url, shown) in [
            ("redis://localhost", "redis://localhost:6379/0"),
            ("valkey://10.0.0.1:7000/3", "redis://10.0.0.1:7000/3"),
            ("redis://:swordfish@directory.internal:6380/1", "redis://directory.internal:6380/1"),
            ("rediss://ann:swordf%40sh@[::1]:1", "rediss://[::1]:1/0"),
        ] {
            let address = RedisUrl::from(url).address().expect(url);
            assert_eq!(address.to_string(), shown, "{url}");
            assert!(!format!("{address:?} {:?}", RedisUrl::from(url)).contains("sword"), "{url}");
        }
        let address = RedisUrl::from("rediss://ann:swordf%40sh@h/2").address().expect("a URL");
        let settings = address.settings();
        assert_eq!((settings.username(), settings.password(), settings.db()), (Some("ann"), Some("swordf@sh"), 2));
        assert!(address.server_name().expect("a name").is_some());
    }

    #[test]
    fn other_texts_are_refused_and_not_repeated() {
        for text in [
            "",
            "localhost:6379",
            "http://localhost",
            "unix:///run/redis.sock",
            "redis://",
            "redis:///1",
            "redis://:swordfish@",
            "redis://:swordfish@localhost:port",
            "redis://:swordfish@localhost/first",
            "rediss://localhost/#insecure",
        ] {
            let refused = RedisUrl::from(text).address().expect_err(text);
            assert!(!refused.to_string().contains("swordfish"), "{text}: {refused}");
        }
    }
}
