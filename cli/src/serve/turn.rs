//! The TURN server of `beach serve --turn`.

use std::net::{IpAddr, SocketAddr};

use beach_core::ice::server_url::{IceServer, Service, Transport};
use beach_core::session::address::AddressClass;
use beach_core::turn_server::Peers;
use beach_runtime_tokio::turn_server::{TurnOptions, TurnPost};
use zeroize::{Zeroize as _, Zeroizing};

use super::certificate::Source;
use crate::addresses::default_addresses;
use crate::args::TurnArgs;
use crate::output;

/// The port that TURN servers have (RFC 8656, section 20).
const DEFAULT_PORT: u16 = 3478;

/// The server, and where clients reach it.
pub(super) struct Turn {
    post: TurnPost,
    external: Vec<IpAddr>,
    /// The name by which browsers reach the server over TLS.
    name: Option<String>,
}

/// Starts the server, if one is wanted. Without a secret, one is drawn. With a certificate the server speaks TLS too.
///
/// # Errors
/// The exit code; the reason was printed.
pub(super) async fn start(
    args: &TurnArgs,
    beside: IpAddr,
    secret: &mut Option<Zeroizing<String>>,
    certificate: Option<&Source>,
) -> Result<Option<Turn>, u8> {
    if !args.turn {
        return Ok(None);
    }
    let (listen, external) = addresses(args, beside).map_err(|cause| {
        output::usage("nobody could reach the TURN server", cause, "give --turn-external IP, one IPv4 and one IPv6")
    })?;
    if let Some(cause) = helps_nobody(args, &external) {
        let advice = "--turn-external IP, or --turn-allow-private for a local network";
        output::warn("the TURN server helps nobody", &cause, advice);
    }
    let peers = if args.turn_allow_private { Peers::PrivateToo } else { Peers::Public };
    let options = TurnOptions {
        external: external.clone(),
        ports: args.turn_ports.clone(),
        peers,
        secret: secret.get_or_insert_with(drawn).clone(),
        certificate: certificate.map(Source::in_use),
    };
    let name = certificate.and_then(Source::name);
    match TurnPost::bind(listen, options).await {
        Ok(post) => Ok(Some(Turn { post, external, name })),
        Err(error) => {
            let what = format!("cannot listen for TURN on {listen}, UDP and TCP");
            Err(output::usage(&what, &error.to_string(), "choose another --turn-listen"))
        }
    }
}

/// Where the server listens, and the addresses under which clients reach it: one a family at most, and at least one.
///
/// # Errors
/// Nobody could reach it, with the reason in words.
pub(super) fn addresses(args: &TurnArgs, beside: IpAddr) -> Result<(SocketAddr, Vec<IpAddr>), &'static str> {
    let listen = args.turn_listen.unwrap_or(SocketAddr::new(beside, DEFAULT_PORT));
    Ok((listen, external(args, listen.ip())?))
}

/// Why the server helps nobody, if so: clients reach it at private addresses only, to which it does not relay.
pub(super) fn helps_nobody(args: &TurnArgs, external: &[IpAddr]) -> Option<String> {
    let is_public = |ip: &IpAddr| AddressClass::of(*ip) == AddressClass::Public;
    let first = external.first().filter(|_| !args.turn_allow_private && !external.iter().any(is_public))?;
    Some(format!("{first} is not an address of the Internet"))
}

/// A secret that lives as long as this process: whoever has credentials of an earlier one is told new ones.
fn drawn() -> Zeroizing<String> {
    let mut seed = beach_runtime_tokio::seed();
    let secret = Zeroizing::new(seed.iter().map(|byte| format!("{byte:02x}")).collect());
    seed.zeroize();
    secret
}

/// The addresses under which clients reach the server, one a family at most.
fn external(args: &TurnArgs, listen: IpAddr) -> Result<Vec<IpAddr>, &'static str> {
    let external = match &args.turn_external[..] {
        [] if listen.is_unspecified() => default_addresses(listen.is_ipv6()),
        [] => vec![listen],
        given => given.iter().map(IpAddr::to_canonical).collect(),
    };
    let of_family = |v6: bool| external.iter().filter(|ip| ip.is_ipv6() == v6).count();
    if external.is_empty() {
        return Err("no network interface has an address that others could use");
    }
    if of_family(false) > 1 || of_family(true) > 1 {
        return Err("there are two external addresses of one family");
    }
    if external.iter().any(|ip| ip.is_unspecified() || ip.is_multicast()) {
        return Err("the external address is not the address of a machine");
    }
    Ok(external)
}

impl Turn {
    /// The addresses of the server, as clients reach them.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let port = self.post.local_addr().port();
        self.external.iter().map(|ip| SocketAddr::new(*ip, port)).collect()
    }

    /// The name by which browsers reach the server over TLS, if the certificate has one.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The server as it is handed out, without credentials: UDP before TCP, since a lost datagram does not delay those
    /// behind it.
    pub(super) fn servers(&self) -> Vec<IceServer> {
        let of = |transport| {
            self.addresses().into_iter().map(move |address| IceServer {
                host: address.ip().to_string(),
                port: address.port(),
                service: Service::Turn(transport, None),
            })
        };
        let over_tls = self.name.iter().map(|name| IceServer {
            host: name.clone(),
            port: self.post.local_addr().port(),
            service: Service::Turns(None),
        });
        of(Transport::Udp).chain(of(Transport::Tcp)).chain(over_tls).collect()
    }

    pub(super) fn into_post(self) -> TurnPost {
        self.post
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn external_of(listen: &str, given: &[&str]) -> Result<Vec<String>, &'static str> {
        let args = TurnArgs {
            turn: true,
            turn_listen: None,
            turn_external: given.iter().map(|ip| ip.parse().expect("an address")).collect(),
            turn_ports: 50_000..=50_999,
            turn_allow_private: false,
        };
        let external = external(&args, listen.parse().expect("an address"))?;
        Ok(external.iter().map(IpAddr::to_string).collect())
    }

    #[test]
    fn clients_reach_the_server_where_it_listens_or_where_the_flag_says() {
        let both = ["203.0.113.1", "2001:db8::1"];
        assert_eq!(external_of("192.0.2.1", &[]), Ok(vec!["192.0.2.1".to_owned()]));
        assert_eq!(external_of("0.0.0.0", &both), Ok(both.map(str::to_owned).to_vec()));
        assert_eq!(external_of("0.0.0.0", &["::ffff:203.0.113.1"]), Ok(vec!["203.0.113.1".to_owned()]));
        for wrong in [&["203.0.113.1", "203.0.113.2"][..], &["0.0.0.0"], &["::"], &["224.0.0.1"]] {
            assert!(external_of("0.0.0.0", wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn each_server_draws_a_secret_of_its_own() {
        let (one, other) = (drawn(), drawn());
        assert!(one.len() == 64 && one != other);
    }
}
