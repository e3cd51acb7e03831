//! The rendezvous of a share: another server, or one inside this process.

use std::net::{Ipv4Addr, SocketAddr};

use beach_runtime_tokio::serve::Server;

use crate::addresses::named_address;
use crate::args::ShareArgs;
use crate::{output, serve};

/// The default address of the embedded rendezvous.
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// The addresses of --lan, in the order of the tries. `[::]` takes IPv4 connections too.
const ON_LAN: [&str; 4] = ["[::]:8080", "0.0.0.0:8080", "[::]:0", "0.0.0.0:0"];

/// The URLs of the rendezvous: `public` stands in links, `own` is what this process dials.
pub(crate) struct Place {
    pub(crate) public: String,
    pub(crate) own: String,
    pub(crate) embedded: Option<Server>,
}

impl Place {
    pub(crate) async fn find(args: &ShareArgs) -> Result<Place, u8> {
        if let Some(server) = &args.server {
            return Ok(Place { public: server.clone(), own: server.clone(), embedded: None });
        }
        let server = if args.lan { listen_on_lan().await? } else { listen(args.listen.as_deref()).await? };
        let (ip, port) = (server.local_addr().ip(), server.local_addr().port());
        let public = if ip.is_unspecified() {
            // On a local network most people have IPv4.
            match named_address(ip.is_ipv6(), ip.is_ipv6() && !args.lan) {
                Some(address) => SocketAddr::new(address, port).to_string(),
                None => {
                    let cause = "no network interface has an address that others could use";
                    output::warn(
                        "the links work on this machine only",
                        cause,
                        "--listen ADDRESS:PORT, or --server URL",
                    );
                    format!("localhost:{port}")
                }
            }
        } else if ip.is_loopback() && ip.is_ipv4() {
            format!("localhost:{port}")
        } else {
            server.local_addr().to_string()
        };
        let dialled =
            if ip.is_unspecified() { SocketAddr::from((Ipv4Addr::LOCALHOST, port)) } else { server.local_addr() };
        Ok(Place { public: format!("http://{public}"), own: format!("http://{dialled}"), embedded: Some(server) })
    }
}

async fn listen(wanted: Option<&str>) -> Result<Server, u8> {
    match (serve::listen(wanted.unwrap_or(DEFAULT_LISTEN)).await, wanted) {
        (Ok(server), _) => Ok(server),
        // The default port is taken: any free port does.
        (Err(_), None) => serve::listen("127.0.0.1:0").await.map_err(|cause| no_rendezvous(&cause)),
        (Err(cause), Some(wanted)) => {
            let what = format!("cannot listen on {wanted}");
            Err(output::usage(&what, &cause, "choose another --listen, or :0 for any free port"))
        }
    }
}

/// Listens on every address of this machine; of IPv4 alone, where the system has no IPv6.
async fn listen_on_lan() -> Result<Server, u8> {
    let mut last = String::new();
    for address in ON_LAN {
        match serve::listen(address).await {
            Ok(server) => return Ok(server),
            Err(cause) => last = cause,
        }
    }
    Err(no_rendezvous(&last))
}

fn no_rendezvous(cause: &str) -> u8 {
    output::refuse("cannot start the rendezvous inside share", cause, "choose --listen ADDR or --server URL")
}
