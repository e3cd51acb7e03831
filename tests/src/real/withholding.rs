//! A front of a rendezvous that withholds some of what its clients send.

use std::io::{self, Read as _, Write as _, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use beach_core::wire::signal::{ToRendezvous, parse_to_rendezvous};

/// A client of a rendezvous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// It registers a session.
    Host,
    /// It joins one.
    Viewer,
}

/// Whether a message of a client does not get to the rendezvous.
pub type Withholds = fn(Client, &ToRendezvous) -> bool;

/// Longest message of a client, in bytes.
const MAX_MESSAGE: u64 = 1 << 20;

/// A front that reads the WebSocket messages of its clients. Lives as long as the test program.
pub struct WithholdingFront {
    /// `http://HOST:PORT`.
    pub url: String,
}

impl WithholdingFront {
    /// Starts one before `place` (`http://HOST:PORT`).
    ///
    /// # Panics
    /// If no port is free.
    pub fn start(place: &str, withholds: Withholds) -> WithholdingFront {
        let place = place.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let place = place.clone();
                thread::spawn(move || pass(client, &place, withholds));
            }
        });
        WithholdingFront { url }
    }
}

/// Passes a connection on in both directions, until one side ends it.
fn pass(mut client: TcpStream, place: &str, withholds: Withholds) -> io::Result<()> {
    let mut server = TcpStream::connect(place)?;
    let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let ended = pass_messages(&mut client, &mut server, withholds);
    let _ = server.shutdown(Shutdown::Write);
    ended
}

fn pass_messages(client: &mut TcpStream, server: &mut TcpStream, withholds: Withholds) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(byte(client)?);
    }
    server.write_all(&head)?;
    let mut side = Client::Viewer;
    loop {
        let (frame, text) = frame(client)?;
        let message = parse_to_rendezvous(&String::from_utf8_lossy(&text));
        if matches!(message, Ok(ToRendezvous::Register { .. })) {
            side = Client::Host;
        }
        if !message.is_ok_and(|message| withholds(side, &message)) {
            server.write_all(&frame)?;
        }
    }
}

/// A client's next frame (RFC 6455, section 5.2), and what is in it, without the mask.
fn frame(client: &mut TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut frame = vec![byte(client)?, byte(client)?];
    let more = match frame[1] & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    take(client, &mut frame, more)?;
    let length = match more {
        0 => u64::from(frame[1] & 0x7f),
        _ => frame[2..].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
    };
    if length > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let masked = usize::from(frame[1] >> 7) * 4;
    take(client, &mut frame, masked as u64)?;
    let mask = frame[frame.len() - masked..].to_vec();
    let start = frame.len();
    take(client, &mut frame, length)?;
    let mask = mask.iter().copied().cycle().chain(std::iter::repeat(0));
    let text = frame[start..].iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
    Ok((frame, text))
}

fn byte(stream: &mut TcpStream) -> io::Result<u8> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// Reads so many bytes more.
fn take(stream: &mut TcpStream, into: &mut Vec<u8>, count: u64) -> io::Result<()> {
    let read = stream.take(count).read_to_end(into)?;
    if read as u64 == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
