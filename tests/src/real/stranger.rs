//! Somebody at another address of this machine who means harm to a rendezvous: connections by hand, without any of the
//! manners of `beach`.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{sleep, spawn};
use std::time::Duration;

use beach_core::ice::relay::Relayed;
use beach_core::id::{LinkId, SessionId, SessionName};
use beach_core::role::Role;
use beach_core::wire::signal::{Opaque, ToRendezvous, to_text};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

/// The address: of this machine, and another one than what `beach` uses here.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The stranger's address as a trusted proxy tells it.
const BEHIND: [u8; 4] = [198, 51, 100, 7];

/// How a stranger reaches a rendezvous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Without a proxy.
    Direct,
    /// Through a proxy that writes a header of the PROXY protocol, version 2.
    ProxyHeader,
    /// Through a proxy that appends to `X-Forwarded-For`. The stranger writes another address there each time.
    ForwardedFor,
}

/// A rendezvous, and the way of a stranger to it.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    /// Where the rendezvous is.
    pub server: SocketAddr,
    /// The way there.
    pub way: Way,
}

/// How far an attack is.
#[derive(Debug, Default)]
pub struct Siege {
    is_over: AtomicBool,
    blows: AtomicU64,
}

impl Siege {
    /// The attack shall end.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// The attack shall end when the result goes, in a panic too.
    #[must_use]
    pub fn ends_here(&self) -> Ends<'_> {
        Ends(self)
    }

    /// How many messages, or connections, the attacker has thrown so far.
    pub fn blows(&self) -> u64 {
        self.blows.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn strike(&self) {
        self.blows.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ends a siege when it goes.
pub struct Ends<'a>(&'a Siege);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A stranger's deeds at a rendezvous, without end.
#[derive(Clone, Copy, Debug)]
pub enum Attack {
    /// Registers sessions, and leaves.
    Sessions,
    /// Opens connections, and says nothing.
    Connections,
    /// Joins a session whose id alone is known, and stays.
    Joins,
    /// Has sessions with itself, by many links, and has much relayed.
    Relay,
    /// Begins handshakes of TLS, which cost the server a signature, and leaves. For a server with TLS only.
    Handshakes,
}

impl Attack {
    /// All of them that need no TLS.
    pub const ALL: [Attack; 4] = [Attack::Sessions, Attack::Connections, Attack::Joins, Attack::Relay];

    /// Attacks until the siege ends; `victim` is a session there. An attack that the server ends begins again.
    pub fn run(self, aim: Aim, victim: SessionId, siege: &Siege) {
        let mut number = 0;
        let mut held = Vec::new();
        while !siege.is_over() {
            number += 1;
            siege.strike();
            sleep(Duration::from_millis(1));
            // An error here: the server has closed the connection.
            let _ = match self {
                Attack::Sessions => register_five(aim, number, siege),
                Attack::Connections => hold(aim, &mut held),
                Attack::Joins => join_by_many(aim, victim, number, siege).map(|stream| keep(&mut held, stream)),
                Attack::Relay => flood(aim, number, siege),
                Attack::Handshakes => begin_handshake(aim),
            };
        }
    }
}

/// Connections that a stranger keeps; of more, the oldest goes.
const HELD: usize = 500;

fn keep(held: &mut Vec<TcpStream>, stream: TcpStream) {
    held.push(stream);
    if held.len() > HELD {
        held.remove(0);
    }
}

fn hold(aim: Aim, held: &mut Vec<TcpStream>) -> io::Result<()> {
    keep(
        held,
        match aim.way {
            Way::Direct | Way::ProxyHeader => reach(aim)?,
            // Of a client that says nothing, such a proxy says nothing either.
            Way::ForwardedFor => web_socket(aim)?,
        },
    );
    Ok(())
}

/// Sends a client's hello, and waits for the first bytes that come back.
fn begin_handshake(aim: Aim) -> io::Result<()> {
    static HELLO: OnceLock<Vec<u8>> = OnceLock::new();
    let hello = HELLO.get_or_init(|| {
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("TLS has versions").with_root_certificates(RootCertStore::empty());
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::new(config.with_no_client_auth()), name);
        let mut hello = Vec::new();
        client.expect("good settings").write_tls(&mut hello).expect("a buffer takes all");
        hello
    });
    let mut stream = reach(aim)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(hello)?;
    stream.read(&mut [0; 1024]).map(drop)
}

fn register_five(aim: Aim, number: u64, siege: &Siege) -> io::Result<()> {
    let mut stream = web_socket(aim)?;
    for each in 0..5 {
        say(&mut stream, &to_text(&own_session(number * 5 + each).1))?;
        siege.strike();
    }
    Ok(())
}

/// 64 joins, and 600 a second.
fn join_by_many(aim: Aim, session: SessionId, number: u64, siege: &Siege) -> io::Result<TcpStream> {
    let mut stream = web_socket(aim)?;
    for link in 0..64 {
        say(&mut stream, &to_text(&join(session, LinkId(number * 64 + link))))?;
        siege.strike();
    }
    sleep(Duration::from_millis(100));
    Ok(stream)
}

fn flood(aim: Aim, number: u64, siege: &Siege) -> io::Result<()> {
    let (session, register) = own_session(number);
    let (mut host, mut viewer) = (web_socket(aim)?, web_socket(aim)?);
    say(&mut host, &to_text(&register))?;
    // Both ends read what comes, or the server would end them.
    for stream in [&host, &viewer] {
        let mut read = stream.try_clone()?;
        spawn(move || io::copy(&mut read, &mut io::sink()));
    }
    sleep(Duration::from_millis(50));
    for link in 0..64 {
        say(&mut viewer, &to_text(&join(session, LinkId(link))))?;
    }
    let datagram = &[7; 1200];
    let relayed = Relayed { link: LinkId(9), attempt: 1, suspect: false, needed: false, datagram }.encode();
    while !siege.is_over() {
        for _ in 0..32 {
            frame(&mut host, 0x82, &relayed)?;
            siege.strike();
        }
        sleep(Duration::from_millis(2));
    }
    host.shutdown(std::net::Shutdown::Both)?;
    viewer.shutdown(std::net::Shutdown::Both)
}

/// A session that nobody else has.
fn own_session(number: u64) -> (SessionId, ToRendezvous) {
    let (commitment, token) = (number.to_be_bytes().repeat(4), [7; 32]);
    let id = Sha256::new().chain_update(b"beach/1").chain_update(&commitment).chain_update(Sha256::digest(token));
    let session = SessionId(id.finalize()[..16].try_into().expect("16 bytes"));
    (
        session,
        ToRendezvous::Register { session, commitment: Opaque(commitment), token: Opaque(token.to_vec()), turn: 0 },
    )
}

fn join(session: SessionId, link: LinkId) -> ToRendezvous {
    ToRendezvous::Join {
        session: SessionName::Full(session),
        link,
        role: Role::View,
        versions: vec![1],
        resumes: None,
        moves: false,
    }
}

/// A TCP connection from the stranger's address.
fn reach(aim: Aim) -> io::Result<TcpStream> {
    // Programs that other tests start meanwhile must not inherit the attack's hundreds of sockets.
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrV4::new(ADDRESS, 0))?;
    connect(&socket, &aim.server)?;
    let mut stream = TcpStream::from(socket);
    if aim.way == Way::ProxyHeader {
        let header = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &BEHIND, &[10, 0, 0, 1, 0, 80, 0, 80]].concat();
        stream.write_all(&header)?;
    }
    Ok(stream)
}

fn web_socket(aim: Aim) -> io::Result<TcpStream> {
    static INVENTED: AtomicU64 = AtomicU64::new(0);
    let mut stream = reach(aim)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let told = match aim.way {
        Way::Direct | Way::ProxyHeader => String::new(),
        Way::ForwardedFor => {
            let [.., a, b, c] = INVENTED.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            format!("X-Forwarded-For: 203.{a}.{b}.{c}, {}\r\n", Ipv4Addr::from(BEHIND))
        }
    };
    stream.write_all(format!("{request}{told}\r\n").as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    if head.starts_with(b"HTTP/1.1 101 ") { Ok(stream) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
}

fn say(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    frame(stream, 0x81, text.as_bytes())
}

/// Sends a frame of at most 65,535 bytes, masked with zeros: as it is.
fn frame(stream: &mut TcpStream, kind: u8, bytes: &[u8]) -> io::Result<()> {
    const MASKED: u8 = 0x80;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut frame = vec![kind];
    match u8::try_from(length) {
        Ok(short) if short < 126 => frame.push(MASKED | short),
        Ok(_) | Err(_) => {
            frame.push(MASKED | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(bytes);
    stream.write_all(&frame)
}
