//! Pebble: the ACME server of Let's Encrypt for tests, which signs certificates that nobody trusts.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::detours::Authority;
use super::process::Process;
use super::scratch::Scratch;
use super::wait::holds;

/// An ACME server of this machine.
pub struct Pebble {
    /// The process.
    pub process: Process,
    /// The URL of its directory.
    pub directory: String,
    /// Where its roots are.
    management: u16,
}

impl Pebble {
    /// Starts a server at `port`, with a certificate of this authority. The server looks for TLS of each name at the
    /// port `checks_at`, and signs for so many seconds.
    ///
    /// # Panics
    /// If the server does not come up.
    #[track_caller]
    #[must_use]
    pub fn start(scratch: &Scratch, authority: &Authority, port: u16, checks_at: u16, seconds: u32) -> Pebble {
        let (certificate, key) = authority.signs();
        let [certificate, key] =
            [("pebble.pem", certificate), ("pebble.key", key)].map(|(name, content)| scratch.write(name, content));
        let management = free_port();
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": certificate,
            "privateKey": key,
            "httpPort": 1,
            "tlsPort": checks_at,
            "certificateValidityPeriod": seconds,
        }});
        let config = scratch.write("pebble.json", config.to_string());
        let mut command = Command::new("pebble");
        command.arg("-config").arg(config).env("PEBBLE_VA_NOSLEEP", "1");
        let process = Process::start(&mut command);
        holds("pebble listens", Duration::from_secs(10), || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Pebble { process, directory: format!("https://127.0.0.1:{port}/dir"), management }
    }

    /// The authority's own certificate, in PEM, which nobody but the tests trusts.
    ///
    /// # Panics
    /// If pebble does not give it.
    #[must_use]
    pub fn root(&self, authority: &Authority) -> String {
        let mut roots = RootCertStore::empty();
        let trusted = CertificateDer::from_pem_slice(authority.certificate.as_bytes()).expect("a certificate");
        roots.add(trusted).expect("a certificate");
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("TLS has versions").with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::new(config), name).expect("good settings");
        let stream = TcpStream::connect(("127.0.0.1", self.management)).expect("pebble listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        let mut stream = StreamOwned::new(client, stream);
        stream.write_all(b"GET /roots/0 HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("asks");
        let mut answer = String::new();
        // An error here: the server does not close TLS politely.
        let _ = stream.read_to_string(&mut answer);
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).expect("an answer")
    }
}

/// A TCP port of loopback that nobody has.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    free.expect("a port is free").port()
}
