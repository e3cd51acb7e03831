//! TLS of the server's own.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::tls::{Certificate, HANDSHAKE_DEADLINE, HANDSHAKE_RECORD, HANDSHAKES_BURST, HANDSHAKES_RATE};

/// A folder with a certificate and its key.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn new(test: &str) -> Files {
        let folder = std::env::temp_dir().join(format!("beach-tls-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        Files { folder }
    }

    fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    /// Writes a new certificate for localhost, which signs itself.
    fn write(&self) -> CertificateDer<'static> {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        write_pem(&self.certificate(), "CERTIFICATE", certificate.der());
        write_pem(&self.key(), "PRIVATE KEY", &key.serialize_der());
        certificate.der().clone()
    }

    fn read(&self) -> Result<Certificate, String> {
        Certificate::read(&self.certificate(), &self.key()).map_err(|error| error.to_string())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn write_pem(file: &Path, label: &str, der: &[u8]) {
    let text = BASE64.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    let text = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"));
    fs::write(file, text).expect("writes");
}

/// A client that trusts this certificate; the protocols that it offers.
async fn secure(
    server: SocketAddr,
    trusts: &CertificateDer<'static>,
    alpn: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    secure_on(TcpStream::connect(server).await?, trusts, alpn).await
}

async fn secure_on(
    stream: TcpStream,
    trusts: &CertificateDer<'static>,
    alpn: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusts.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// An upgrade over TLS, whose WebSocket is open.
async fn web_socket(server: &mut Server, trusts: &CertificateDer<'static>) -> (TlsStream<TcpStream>, ConnectionId) {
    let address = server.local_addr();
    let asks = async {
        let mut stream = secure(address, trusts, &["http/1.1"]).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        stream.write_all(UPGRADE).await.expect("writes");
        stream
    };
    let (stream, opened) = tokio::join!(asks, next(server));
    let ServerEvent::Opened { connection, .. } = opened else { panic!("not opened") };
    (stream, connection)
}

#[tokio::test]
async fn a_server_with_a_certificate_speaks_https_only_and_says_so() {
    let files = Files::new("https");
    let trusts = files.write();
    let certificate = files.read().expect("good files");
    let mut server = server().await.secured(certificate.in_use());
    let address = server.local_addr();

    let answer = beside(&mut server, async {
        let mut stream = secure(address, &trusts, &[]).await.expect("TLS");
        let request = b"GET /s/x HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("writes");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("closed politely");
        String::from_utf8_lossy(&answer).into_owned()
    })
    .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("cross-origin-opener-policy: same-origin\r\n"), "{answer}");

    let plain = ask(&mut server, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(
        plain.starts_with("HTTP/1.1 400 ") && plain.ends_with("\r\n\r\nthis address takes https only\n"),
        "{plain}"
    );
    let other = beside(&mut server, secure(address, &trusts, &["h2"])).await;
    assert!(other.is_err(), "a client that does not offer http/1.1");

    let (mut stream, connection) = web_socket(&mut server, &trusts).await;
    let text = "x".repeat(MESSAGE_BYTES_MAX);
    server.takes_part(connection);
    server.send(connection, text.clone());
    server.close(connection);
    let mut got = Vec::new();
    let reading = stream.read_to_end(&mut got);
    let (read, closed) = tokio::join!(timeout(DEADLINE, reading), next(&mut server));
    read.expect("within the deadline").expect("closed politely");
    assert_eq!(closed, ServerEvent::Closed { connection });
    assert!(String::from_utf8_lossy(&got).contains(&text), "the largest message passes");
}

#[tokio::test]
async fn the_proxy_header_stands_before_tls() {
    let files = Files::new("proxy");
    let trusts = files.write();
    let certificate = files.read().expect("good files");
    let proxies = Proxies::Trusted(vec!["127.0.0.0/8".parse().expect("a network")]);
    let mut server = server().await.secured(certificate.in_use()).behind(proxies);
    let address = server.local_addr();
    let asks = async {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(b"PROXY TCP4 198.51.100.7 10.0.0.1 40000 443\r\n").await.expect("writes");
        let mut stream = secure_on(stream, &trusts, &[]).await.expect("TLS");
        stream.write_all(UPGRADE).await.expect("writes");
        stream
    };
    let (_stream, opened) = tokio::join!(asks, next(&mut server));
    let ServerEvent::Opened { client, .. } = opened else { panic!("not opened") };
    assert_eq!(client, Some([198, 51, 100, 7].into()));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_is_cut_off_at_the_deadline() {
    let files = Files::new("slow");
    files.write();
    let certificate = files.read().expect("good files");
    let mut server = server().await.secured(certificate.in_use());
    for begun in [&b""[..], b"\x16\x03\x01\x02"] {
        let started = Instant::now();
        let mut stream = TcpStream::connect(server.local_addr()).await.expect("connects");
        stream.write_all(begun).await.expect("writes");
        // An error here: closed with unread input.
        let _ = beside(&mut server, stream.read(&mut [0])).await;
        assert!(started.elapsed() >= HANDSHAKE_DEADLINE, "{:?}", started.elapsed());
        assert!(started.elapsed() < HANDSHAKE_DEADLINE + Duration::from_secs(1));
    }
}

#[tokio::test]
async fn an_address_that_asks_for_too_many_handshakes_gets_none_and_another_one_does() {
    let files = Files::new("many");
    let trusts = files.write();
    let certificate = files.read().expect("good files");
    let proxies = Proxies::Trusted(Vec::new());
    let mut server = server().await.secured(certificate.in_use()).behind(proxies);
    let address = server.local_addr();
    let began = Instant::now();
    let begun = 2 * HANDSHAKES_BURST;
    let begins = async {
        for _ in 0..begun {
            // The first byte of a handshake costs its sender nothing.
            let mut stream = TcpStream::connect(address).await.expect("connects");
            stream.write_all(&[HANDSHAKE_RECORD]).await.expect("writes");
        }
        // The handshakes begun before are settled when these are answered.
        for _ in 0..10 {
            let _ = secure(address, &trusts, &[]).await;
        }
    };
    beside(&mut server, begins).await;
    let (refused, seconds) = (server.tally().no_handshake, began.elapsed().as_secs() + 1);
    let least = (begun - HANDSHAKES_BURST).saturating_sub(HANDSHAKES_RATE * seconds);
    assert!(refused >= least && refused <= begun + 10 - HANDSHAKES_BURST, "{refused} refused, at least {least}");
    let another = async {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 2], 0).into()).expect("an address of loopback");
        secure_on(socket.connect(address).await?, &trusts, &[]).await
    };
    beside(&mut server, another).await.expect("another address has an allowance of its own");
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_a_bad_one_none() {
    let files = Files::new("reload");
    let first = files.write();
    let certificate = files.read().expect("good files");
    let mut server = server().await.secured(certificate.in_use());
    let address = server.local_addr();
    let again = Arc::new(Notify::new());
    let follows = tokio::spawn({
        let again = again.clone();
        async move { certificate.follow(&again, || ()).await }
    });
    let (mut old, connection) = web_socket(&mut server, &first).await;

    fs::write(files.certificate(), "nonsense").expect("writes");
    again.notify_one();
    for _ in 0..20 {
        beside(&mut server, secure(address, &first, &[])).await.expect("the old certificate stays");
    }
    let second = files.write();
    // Without being told: the files are looked at.
    let changed = async { while secure(address, &second, &[]).await.is_err() {} };
    beside(&mut server, changed).await;
    assert!(beside(&mut server, secure(address, &first, &[])).await.is_err());
    let third = files.write();
    again.notify_one();
    let changed = async { while secure(address, &third, &[]).await.is_err() {} };
    let started = Instant::now();
    beside(&mut server, changed).await;
    assert!(started.elapsed() < Duration::from_secs(2), "told, it does not wait for a look: {:?}", started.elapsed());

    old.write_all(b"\x81\x85\0\0\0\0still").await.expect("the old connection lives");
    assert_eq!(next(&mut server).await, ServerEvent::Text { connection, text: "still".to_owned() });
    follows.abort();
}

#[test]
fn files_that_cannot_be_used_are_refused_by_name() {
    let files = Files::new("bad");
    files.write();
    let (certificate, key) = (files.certificate(), files.key());
    let good = fs::read_to_string(&key).expect("a file");
    let other = KeyPair::generate().expect("a key");
    let is_refused = |named: &Path, why: &str| {
        let said = files.read().err().expect("refused");
        assert!(said.starts_with(&format!("{}: ", named.display())) && said.contains(why), "{said}");
    };
    write_pem(&key, "PRIVATE KEY", &other.serialize_der());
    is_refused(&key, "not that of the certificate");
    write_pem(&key, "PRIVATE KEY", b"nonsense");
    is_refused(&key, "");
    fs::write(&key, "").expect("writes");
    is_refused(&key, "no private key");
    fs::remove_file(&key).expect("removes");
    is_refused(&key, "No such file");
    fs::write(&key, good).expect("writes");
    write_pem(&certificate, "CERTIFICATE", b"nonsense");
    is_refused(&certificate, "");
    fs::write(&certificate, "-----BEGIN CERTIFICATE-----\nA").expect("writes");
    is_refused(&certificate, "no certificate");
}
