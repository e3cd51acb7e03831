//! The rendezvous of a share: another server, or one inside this process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use beach_runtime_tokio::serve::Server;

use crate::args::ShareArgs;
use crate::{output, serve};

/// The default address of the embedded rendezvous.
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

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
        let wanted = args.listen.as_deref().unwrap_or(DEFAULT_LISTEN);
        let server = match serve::listen(wanted).await {
            Ok(server) => server,
            // The default port is taken: any free port does.
            Err(_) if args.listen.is_none() => serve::listen("127.0.0.1:0").await.map_err(|cause| {
                output::refuse(
                    "cannot start the rendezvous inside share",
                    &cause,
                    "choose --listen ADDR or --server URL",
                )
            })?,
            Err(cause) => {
                let what = format!("cannot listen on {wanted}");
                return Err(output::usage(&what, &cause, "choose another --listen, or :0 for any free port"));
            }
        };
        let bound = server.local_addr();
        let ip = bound.ip();
        let port = bound.port();
        let public = if ip.is_unspecified() {
            let outward = outward_address(ip.is_ipv6()).unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).ip());
            SocketAddr::new(outward, port).to_string()
        } else if ip.is_loopback() && ip.is_ipv4() {
            format!("localhost:{port}")
        } else {
            bound.to_string()
        };
        let dialled = if ip.is_unspecified() { SocketAddr::from((Ipv4Addr::LOCALHOST, port)) } else { bound };
        Ok(Place { public: format!("http://{public}"), own: format!("http://{dialled}"), embedded: Some(server) })
    }
}

/// The address of the default route, from which a socket would reach the Internet. Sends no packet.
fn outward_address(prefer_v6: bool) -> Option<IpAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849): `connect` on UDP only consults the routing table.
    let ask = |from: &str, to: &str| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let v4 = || ask("0.0.0.0:0", "192.0.2.1:9");
    let v6 = || ask("[::]:0", "[2001:db8::1]:9");
    if prefer_v6 { v6().or_else(v4) } else { v4() }
}
