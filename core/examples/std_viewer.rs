//! A viewer over the sockets of the standard library: one thread for the machine, one for each socket that is read.
//!
//! Joins a session, types one line, waits until the screen has a row with exactly the given text, prints the screen and
//! leaves:
//!
//! ```text
//! cargo run -p beach-core --example std_viewer -- 'http://localhost:8080/s/…#1c.…' 'echo $((6*7))' 42
//! ```
//!
//! Left out, so that the loop stays in sight: TLS, fragments of WebSocket messages, the check of
//! `Sec-WebSocket-Accept`, TURN over TCP, a change of networks, and a terminal to paint on.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "an example of what surrounds the machines")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use beach_core::Entropy;
use beach_core::crypto::invite::Invite;
use beach_core::endpoint::{Endpoint, Generation, Input, NetworkInput, Output, Secrets};
use beach_core::machine::Machine as _;
use beach_core::peer::str0m::{Certificate, Str0m};
use beach_core::predict::Mode;
use beach_core::terminal::{Abilities, Options, Size, Window};
use beach_core::time::Timestamp;
use beach_core::viewer::{Viewer, ViewerConfig, ViewerExit, ViewerInput, ViewerNotice, ViewerOutput};

/// Everything together takes at most this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Largest WebSocket message that is read, in bytes: the rendezvous sends none that is longer.
const MAX_MESSAGE: u64 = 16 * 1024;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const PING: u8 = 9;
const PONG: u8 = 10;

/// An event that a thread reports to the loop.
enum Heard {
    /// The dial with this number has connected.
    Connected(u64, TcpStream),
    /// The connection carried a message: its opcode and payload.
    Message(u64, u8, Vec<u8>),
    /// The connection ended, or could not be made.
    Disconnected(u64, String),
    /// A socket of this generation got a datagram.
    Datagram { generation: Generation, source: SocketAddr, destination: SocketAddr, bytes: Vec<u8> },
}

/// The world around the endpoint.
struct World {
    server: String,
    /// Inputs that no thread reports: answers to the endpoint's own outputs.
    pending: VecDeque<Input<ViewerInput>>,
    heard: (Sender<Heard>, Receiver<Heard>),
    /// Counts dials; what an earlier connection says is not listened to.
    dial: u64,
    rendezvous: Option<TcpStream>,
    generation: Generation,
    sockets: Vec<UdpSocket>,
    masks: Entropy,
}

impl World {
    fn new(server: &str, masks: Entropy) -> World {
        World {
            server: server.to_owned(),
            pending: VecDeque::new(),
            heard: channel(),
            dial: 0,
            rendezvous: None,
            generation: 0,
            sockets: Vec::new(),
            masks,
        }
    }

    /// Performs what is for the network, and returns what is for the person.
    fn perform(&mut self, output: Output<ViewerOutput>) -> Option<ViewerOutput> {
        match output {
            Output::Machine(output) => return Some(output),
            dial @ (Output::Dial | Output::DialAt(_)) => {
                self.hang_up();
                let server = if let Output::DialAt(url) = dial { url } else { self.server.clone() };
                let (dial, heard) = (self.dial, self.heard.0.clone());
                thread::spawn(move || {
                    let cause =
                        connected(dial, &server, &heard).err().map_or("it closed".to_owned(), |e| e.to_string());
                    let _ = heard.send(Heard::Disconnected(dial, cause));
                });
            }
            // Only a rendezvous that has others beside it sends its hosts there.
            Output::DialBeside(_) | Output::TakeBeside | Output::HangUpBeside => {}
            Output::HangUp => self.hang_up(),
            Output::Signal(text) => self.write(TEXT, text.as_bytes()),
            Output::Relay(datagram) => self.write(BINARY, &datagram),
            Output::Bind(generation) => {
                let addresses = self.bind(generation).unwrap_or_default();
                self.pending.push_back(NetworkInput::Bound(generation, addresses).into());
            }
            Output::Datagram { source, destination, bytes } => {
                let is_source = |socket: &&UdpSocket| socket.local_addr().is_ok_and(|address| address == source);
                if let Some(socket) = self.sockets.iter().find(is_source) {
                    // A datagram may be lost: its sender repeats it if need be.
                    let _ = socket.send_to(&bytes, destination);
                }
            }
            Output::TurnDial(stream, _) => self.pending.push_back(NetworkInput::TurnDown(stream).into()),
            Output::TurnWrite(..) | Output::TurnHangUp(_) => {}
            // The engine has no sockets of its own.
            Output::Peer(..) => {}
            // Nobody asked for notes.
            Output::Links(_) | Output::Note(_) => {}
            // Nothing is recorded: `Endpoint::recording` was not called.
            Output::Record(_) => {}
        }
        None
    }

    fn hang_up(&mut self) {
        self.dial += 1;
        self.rendezvous = None;
    }

    /// A socket, at the address from which the rendezvous is reached.
    fn bind(&mut self, generation: Generation) -> io::Result<Vec<SocketAddr>> {
        (self.generation, self.sockets) = (generation, Vec::new());
        let Some(rendezvous) = &self.rendezvous else { return Ok(Vec::new()) };
        let own: IpAddr = rendezvous.local_addr()?.ip();
        let socket = UdpSocket::bind((own, 0))?;
        let (reader, heard, destination) = (socket.try_clone()?, self.heard.0.clone(), socket.local_addr()?);
        self.sockets.push(socket);
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            loop {
                // An error concerns an earlier datagram that nobody took.
                let Ok((length, source)) = reader.recv_from(&mut buffer) else { continue };
                let bytes = buffer[..length].to_vec();
                if heard.send(Heard::Datagram { generation, source, destination, bytes }).is_err() {
                    return;
                }
            }
        });
        Ok(vec![destination])
    }

    /// Writes a WebSocket message (RFC 6455, section 5.2). When that fails, the thread that reads says so.
    fn write(&mut self, opcode: u8, payload: &[u8]) {
        let Some(rendezvous) = &mut self.rendezvous else { return };
        let mask: [u8; 4] = self.masks.bytes();
        let mut frame = vec![0x80 | opcode];
        match u16::try_from(payload.len()) {
            Ok(length @ ..126) => frame.push(0x80 | length as u8),
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => return,
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        let _ = rendezvous.write_all(&frame);
    }

    /// The next input, or `Tick` when `deadline` has come.
    fn next(&mut self, epoch: Instant, deadline: Option<Timestamp>) -> Input<ViewerInput> {
        loop {
            if let Some(input) = self.pending.pop_front() {
                return input;
            }
            let wait = deadline.map_or(PATIENCE, |at| at.since(Timestamp::from(epoch.elapsed())));
            match self.heard.1.recv_timeout(wait) {
                Ok(Heard::Connected(dial, stream)) if dial == self.dial => {
                    if let Ok(address) = stream.peer_addr() {
                        self.pending.push_back(NetworkInput::RendezvousAt(address).into());
                    }
                    self.rendezvous = Some(stream);
                    self.pending.push_back(NetworkInput::SignalUp.into());
                }
                Ok(Heard::Message(dial, opcode, payload)) if dial == self.dial => match opcode {
                    TEXT => return NetworkInput::Signal(String::from_utf8_lossy(&payload).into_owned()).into(),
                    BINARY => return NetworkInput::Relayed(payload).into(),
                    PING => self.write(PONG, &payload),
                    _ => {}
                },
                Ok(Heard::Disconnected(dial, cause)) if dial == self.dial => {
                    self.hang_up();
                    return NetworkInput::SignalDown(cause).into();
                }
                Ok(Heard::Datagram { generation, source, destination, bytes }) if generation == self.generation => {
                    return NetworkInput::Datagram { source, destination, bytes }.into();
                }
                // Of an earlier connection or generation.
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Input::Tick,
            }
        }
    }
}

/// Connects to `http://host[:port][/prefix]`, asks for a WebSocket (RFC 6455, section 4.1), and reads it to its end.
fn connected(dial: u64, server: &str, heard: &Sender<Heard>) -> io::Result<()> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let place = server.strip_prefix("http://").ok_or_else(|| bad("only http is spoken here"))?;
    let (authority, prefix) = place.split_once('/').unwrap_or((place, ""));
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let mut stream = TcpStream::connect(if has_port { authority.to_owned() } else { format!("{authority}:80") })?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    let path = if prefix.is_empty() { "/ws".to_owned() } else { format!("/{prefix}/ws") };
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < 4096 {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.extend(byte);
    }
    if !answer.starts_with(b"HTTP/1.1 101 ") {
        return Err(bad("it is no rendezvous"));
    }
    let _ = heard.send(Heard::Connected(dial, stream.try_clone()?));
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head)?;
        let length = match head[1] {
            length @ ..126 => u64::from(length),
            126 => {
                let mut length = [0; 2];
                stream.read_exact(&mut length)?;
                u64::from(u16::from_be_bytes(length))
            }
            127.. => return Err(bad("its message is too long")),
        };
        let (is_whole, opcode) = (head[0] & 0x80 != 0, head[0] & 0x0f);
        if length > MAX_MESSAGE || !is_whole {
            return Err(bad("its message is too long"));
        }
        let mut payload = Vec::new();
        io::Read::by_ref(&mut stream).take(length).read_to_end(&mut payload)?;
        if opcode == 8 || heard.send(Heard::Message(dial, opcode, payload)).is_err() {
            return Ok(());
        }
    }
}

/// 32 bytes from the operating system.
fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}

fn endpoint(epoch: Instant, invite: Invite) -> io::Result<Endpoint<Viewer, Str0m>> {
    let viewer = Viewer::new(ViewerConfig {
        seed: seed()?,
        role: invite.role,
        name: "std_viewer".to_owned(),
        size: Size::default(),
        wait: None,
        options: Options { abilities: Abilities::of(None, None, true), alternate: false, window: Window::Own },
        predict: Mode::Never,
        history: 0,
        clipboard: false,
        stays: true,
        reconnect: Duration::ZERO,
    });
    let certificate = Certificate::generate().ok_or_else(|| io::Error::other("no certificate could be made"))?;
    Ok(Endpoint::new(viewer, Str0m::new(epoch, certificate), Secrets::Viewer(invite), Entropy::new(seed()?)))
}

/// Runs until it is over; the rows of the last screen, and how it ended.
fn run(invite: Invite, line: &str, expected: &str) -> io::Result<(Vec<String>, ViewerExit, bool)> {
    let epoch = Instant::now();
    let mut world = World::new(&invite.server, Entropy::new(seed()?));
    let mut endpoint = endpoint(epoch, invite)?;
    let mut seen = false;
    let mut leaving = false;
    let mut input = Input::Tick;
    loop {
        endpoint.handle(Timestamp::from(epoch.elapsed()), input);
        let mut over = None;
        while let Some(output) = endpoint.poll() {
            match world.perform(output) {
                // The bytes would go to a terminal; when it has taken them, the next may come.
                Some(ViewerOutput::Show(_)) => world.pending.push_back(Input::Machine(ViewerInput::Shown)),
                Some(ViewerOutput::Notice(ViewerNotice::FirstScreen(..))) => {
                    eprintln!("connected");
                    world.pending.push_back(Input::Machine(ViewerInput::Keys(format!("{line}\r").into_bytes())));
                }
                Some(ViewerOutput::Notice(ViewerNotice::Stage(stage))) => eprintln!("{}", stage.words()),
                Some(ViewerOutput::Exit(exit)) => over = Some(exit),
                // There are no more keys to type, and no terminal to ask for its cursor.
                Some(ViewerOutput::Size(_) | ViewerOutput::CursorAsked | ViewerOutput::KeysTaken) => {}
                Some(ViewerOutput::Notice(_)) | None => {}
            }
        }
        let rows = endpoint.machine().screen().text();
        if let Some(exit) = over {
            return Ok((rows, exit, seen));
        }
        let has_come = rows.iter().any(|row| row.trim_end() == expected);
        if !leaving && (has_come || epoch.elapsed() > PATIENCE) {
            (seen, leaving) = (has_come, true);
            world.pending.push_back(Input::Machine(ViewerInput::Leave));
        }
        input = world.next(epoch, endpoint.deadline());
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [link, line, expected] = arguments.as_slice() else {
        eprintln!("usage: std_viewer LINK LINE ROW");
        return ExitCode::FAILURE;
    };
    let outcome = Invite::parse(link).map_err(io::Error::other).and_then(|invite| run(invite, line, expected));
    match outcome {
        Ok((rows, exit, seen)) => {
            rows.iter().for_each(|row| println!("{}", row.trim_end()));
            eprintln!("{exit:?}");
            if seen { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
