//! The servers that a rendezvous tells its clients of. Credentials are made for each connection, so that a TURN server
//! can tell their users apart and bound what each of them takes.

use zeroize::Zeroizing;

use super::ConnectionId;
use crate::ice::server_url::{Credentials, IceServer, Service};
use crate::wire::signal::{IceUrl, MAX_ICE_SERVERS};

/// The servers, and the secret for the credentials of TURN servers that have none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Servers {
    named: Vec<Named>,
    secret: Option<(Zeroizing<String>, u64)>,
}

#[derive(Clone, PartialEq, Eq)]
enum Named {
    /// The same for everybody.
    Url(IceUrl),
    /// A TURN server for which everybody has credentials of their own.
    Relay(IceServer),
}

impl From<Vec<IceUrl>> for Servers {
    fn from(urls: Vec<IceUrl>) -> Servers {
        Servers { named: urls.into_iter().map(Named::Url).collect(), secret: None }
    }
}

impl Servers {
    /// With credentials made from this secret, which expire at this time, in seconds since 1970.
    #[must_use]
    pub fn with_secret(mut self, secret: Zeroizing<String>, expires: u64) -> Servers {
        self.secret = Some((secret, expires));
        self
    }

    /// And this server. A TURN server without credentials is named only if there is a secret.
    #[must_use]
    pub fn and(mut self, server: IceServer) -> Servers {
        self.named.push(match server.service {
            Service::Turn(_, None) | Service::Turns(None) => Named::Relay(server),
            Service::Turn(_, Some(_)) | Service::Turns(Some(_)) | Service::Stun => {
                Named::Url(IceUrl(server.url().to_string()))
            }
        });
        self
    }

    pub(super) fn len(&self) -> usize {
        self.named.len()
    }

    /// The servers as this connection is told of them.
    pub(super) fn for_connection(&self, id: ConnectionId) -> Vec<IceUrl> {
        let url = |named: &Named| match named {
            Named::Url(url) => Some(url.clone()),
            Named::Relay(server) => {
                let mut server = server.clone();
                let (secret, expires) = self.secret.as_ref()?;
                if let Service::Turn(_, credentials) | Service::Turns(credentials) = &mut server.service {
                    *credentials = Some(Credentials::of(format!("{expires}:{id}"), secret.as_bytes()));
                }
                Some(IceUrl(server.url().to_string()))
            }
        };
        self.named.iter().filter_map(url).take(MAX_ICE_SERVERS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_credentials_of_its_own_and_nobody_without_a_secret() {
        let server = |url: &str| url.parse::<IceServer>().expect("a server");
        let servers = Servers::from(vec![IceUrl("stun:".to_owned())])
            .and(server("turn:192.0.2.1"))
            .and(server("turn:u:p@192.0.2.2"))
            .and(server("turns:beach.example.org:3478"));
        let urls = |servers: &Servers, id| servers.for_connection(id).into_iter().map(|IceUrl(url)| url).collect();
        let told: Vec<String> = urls(&servers, 7);
        assert_eq!(told, ["stun:", "turn:u:p@192.0.2.2:3478?transport=udp"]);
        let servers = servers.with_secret(Zeroizing::new("north".to_owned()), 1_764_288_000);
        let [one, other]: [Vec<String>; 2] = [7, 8].map(|id| urls(&servers, id));
        assert!(one[1].starts_with("turn:1764288000%3A7:") && one[1].ends_with("@192.0.2.1:3478?transport=udp"));
        assert!(other[1].starts_with("turn:1764288000%3A8:"), "{other:?}");
        assert!(other[3].starts_with("turns:1764288000%3A8:"), "{other:?}");
        assert!(other[3].ends_with("@beach.example.org:3478?transport=tcp"), "{other:?}");
        assert_eq!((&one[0], &one[2]), (&other[0], &other[2]));
    }
}
