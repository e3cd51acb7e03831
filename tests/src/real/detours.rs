//! Detours before a rendezvous: an HTTP proxy, and a front that speaks TLS with a certificate of a private authority.

use std::io::{Read as _, Write as _, copy};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use data_encoding::BASE64;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::copy_bidirectional;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// An HTTP proxy that knows every name: each leads to one place. Lives as long as the test program.
pub struct ConnectProxy {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    /// Starts one that leads to `place` (`http://HOST:PORT`).
    ///
    /// # Panics
    /// If no port is free.
    pub fn start(place: &str) -> ConnectProxy {
        ConnectProxy::answering(place, "HTTP/1.1 200 Found\r\nVia: a test\r\n\r\n")
    }

    /// Starts one that answers each CONNECT with this head, and then leads to `place` (`http://HOST:PORT`).
    ///
    /// # Panics
    /// If no port is free.
    pub fn answering(place: &str, answer: &'static str) -> ConnectProxy {
        let place = place.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (place, heard) = (place.clone(), Arc::clone(&heard));
                thread::spawn(move || serve(client, &place, answer, &heard));
            }
        });
        ConnectProxy { address, asked }
    }

    /// The first line of each request so far.
    ///
    /// # Panics
    /// Never.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics with it").clone()
    }
}

fn serve(mut client: TcpStream, place: &str, answer: &str, heard: &Mutex<Vec<String>>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_exact(&mut byte).is_err() {
            return;
        }
        head.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    let is_connect = line.starts_with("CONNECT ");
    heard.lock().expect("nobody panics with it").push(line);
    let Ok(mut server) = TcpStream::connect(place) else { return };
    let answer = if is_connect { answer } else { "HTTP/1.1 405 No\r\n\r\n" };
    if client.write_all(answer.as_bytes()).is_err() || !is_connect {
        return;
    }
    let (Ok(mut from), Ok(mut to)) = (client.try_clone(), server.try_clone()) else { return };
    thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Write);
}

/// A front that speaks TLS. Lives as long as the test program.
pub struct TlsFront {
    /// `https://localhost:PORT`.
    pub url: String,
    /// The certificate of the authority that signed the front's own.
    pub authority: String,
}

impl TlsFront {
    /// Starts one before `place` (`http://HOST:PORT`).
    ///
    /// # Panics
    /// If no certificate can be made, or no port is free.
    pub fn start(place: &str) -> TlsFront {
        let place = place.trim_start_matches("http://").to_owned();
        let (config, authority) = certified();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("a listener need not block");
        let port = listener.local_addr().expect("it has an address").port();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
            runtime.block_on(accept(listener, TlsAcceptor::from(Arc::new(config)), place));
        });
        TlsFront { url: format!("https://localhost:{port}"), authority }
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, place: String) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime takes the listener");
    while let Ok((client, _)) = listener.accept().await {
        let (acceptor, place) = (acceptor.clone(), place.clone());
        tokio::spawn(async move {
            let Ok(mut client) = acceptor.accept(client).await else { return };
            let Ok(mut server) = tokio::net::TcpStream::connect(place).await else { return };
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

/// An authority that nobody trusts unless told to.
pub struct Authority {
    /// Its certificate, in PEM.
    pub certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If no certificate can be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each one is another")]
    pub fn new() -> Authority {
        let mut authority = CertificateParams::new(Vec::new()).expect("no name is no bad name");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = authority.self_signed(&key).expect("an authority signs itself");
        Authority { certificate: pem("CERTIFICATE", certificate.der()), issuer: Issuer::new(authority, key) }
    }

    /// A certificate for this machine, and its key, in PEM.
    ///
    /// # Panics
    /// If no certificate can be made.
    #[must_use]
    pub fn signs(&self) -> (String, String) {
        let (certificate, key) = self.issue();
        (pem("CERTIFICATE", &certificate), pem("PRIVATE KEY", &key))
    }

    fn issue(&self) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().expect("a key can be made");
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let own = CertificateParams::new(names).expect("good names");
        let own = own.signed_by(&key, &self.issuer).expect("the authority signs");
        (own.der().to_vec(), key.serialize_der())
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The settings of a server called localhost, and the certificate of its authority as PEM.
fn certified() -> (ServerConfig, String) {
    let authority = Authority::new();
    let (certificate, key) = authority.issue();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("TLS has versions").with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.into()], key).expect("key and certificate fit");
    (config, authority.certificate)
}
