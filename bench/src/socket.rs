//! A WebSocket to a rendezvous, as small as it can be: texts and datagrams both ways, one at a time.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use data_encoding::BASE64URL_NOPAD;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use sha2::{Digest as _, Sha256};

/// No answer takes longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Of a frame: its message ends, and is a text, or binary (RFC 6455, section 5.2).
const LAST: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// A message of the rendezvous.
pub(crate) enum Message {
    Text(String),
    /// As relayed.
    Datagram(Vec<u8>),
}

/// An open WebSocket.
pub(crate) struct Socket(TcpStream);

/// A TCP connection to `ADDRESS:PORT`, from this address of the machine.
pub(crate) fn connect(address: &str, source: Ipv4Addr) -> Result<TcpStream> {
    let address: SocketAddrV4 = address.parse().with_context(|| address.to_owned())?;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Of the system's call, too.
    set_socket_timeout(&socket, Timeout::Send, Some(ANSWER_WITHIN))?;
    rustix::net::bind(&socket, &SocketAddrV4::new(source, 0))?;
    rustix::net::connect(&socket, &address)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    Ok(stream)
}

impl Socket {
    /// Connects to the rendezvous at `ADDRESS:PORT`.
    pub(crate) fn open(address: &str) -> Result<Socket> {
        Socket::open_from(address, Ipv4Addr::LOCALHOST)
    }

    /// Connects from this address of the machine.
    pub(crate) fn open_from(address: &str, source: Ipv4Addr) -> Result<Socket> {
        let mut stream = connect(address, source)?;
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).context("an answer")?;
            head.extend(byte);
        }
        ensure!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Ok(Socket(stream))
    }

    /// Sends a text of at most 65,535 bytes.
    pub(crate) fn say(&mut self, text: &str) -> Result<()> {
        self.send(TEXT, text.as_bytes())
    }

    /// Sends a datagram to relay.
    pub(crate) fn datagram(&mut self, bytes: &[u8]) -> Result<()> {
        self.send(BINARY, bytes)
    }

    /// Whether the system takes more now.
    pub(crate) fn has_room(&self) -> Result<bool> {
        let mut sockets = [PollFd::new(&self.0, PollFlags::OUT)];
        Ok(poll(&mut sockets, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0)
    }

    /// Whether something comes within this time.
    pub(crate) fn has_news(&self, within: Duration) -> Result<bool> {
        let mut sockets = [PollFd::new(&self.0, PollFlags::IN)];
        Ok(poll(&mut sockets, Some(&Timespec::try_from(within)?))? > 0)
    }

    fn send(&mut self, kind: u8, bytes: &[u8]) -> Result<()> {
        const MASKED: u8 = 0x80;
        let mut frame = vec![LAST | kind];
        match u8::try_from(bytes.len()) {
            Ok(length) if length < 126 => frame.push(MASKED | length),
            Ok(_) | Err(_) => {
                frame.push(MASKED | 126);
                frame.extend(u16::try_from(bytes.len())?.to_be_bytes());
            }
        }
        // Masked with zeros: the bytes as they are.
        frame.extend([0; 4]);
        frame.extend(bytes);
        Ok(self.0.write_all(&frame)?)
    }

    /// Reads texts until one is of this type.
    pub(crate) fn until(&mut self, wanted: &str) -> Result<()> {
        let wanted = format!(r#""type":"{wanted}""#);
        loop {
            let Message::Text(text) = self.message()? else { continue };
            if text.contains(&wanted) {
                return Ok(());
            }
            ensure!(!text.contains(r#""type":"refused""#), "{text}");
        }
    }

    /// Reads the next message.
    pub(crate) fn message(&mut self) -> Result<Message> {
        let mut start = [0; 2];
        self.0.read_exact(&mut start)?;
        let length = match start[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length)?;
                usize::from(u16::from_be_bytes(length))
            }
            length if length < 126 => usize::from(length),
            length => bail!("a frame of an unexpected length: {length}"),
        };
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes)?;
        match start[0] {
            kind if kind == LAST | TEXT => Ok(Message::Text(String::from_utf8(bytes)?)),
            kind if kind == LAST | BINARY => Ok(Message::Datagram(bytes)),
            kind => bail!("a frame of an unexpected kind: {kind:#x}"),
        }
    }
}

/// A host whose session is registered.
pub(crate) struct Host {
    /// Its connection.
    pub(crate) socket: Socket,
    /// The session's id.
    pub(crate) session: String,
}

impl Host {
    /// Connects, and registers the session of this number.
    pub(crate) fn register(address: &str, number: u32) -> Result<Host> {
        Host::register_over(Socket::open(address)?, number, 0)
    }

    /// Registers the session of this number on a connection, for the `turn`-th time; 0: does not say which.
    pub(crate) fn register_over(mut socket: Socket, number: u32, turn: u64) -> Result<Host> {
        let (commitment, token) = (Sha256::digest(number.to_be_bytes()), Sha256::digest(number.to_le_bytes()));
        let id = Sha256::new().chain_update(b"beach/1").chain_update(commitment).chain_update(Sha256::digest(token));
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let session = text(&id.finalize()[..16]);
        let (commitment, token) = (text(&commitment), text(&token));
        socket.say(&format!(
            r#"{{"type":"register","session":"{session}","commitment":"{commitment}","token":"{token}","turn":{turn}}}"#
        ))?;
        socket.until("registered")?;
        Ok(Host { socket, session })
    }
}
