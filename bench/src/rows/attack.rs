//! Somebody does what they can to a rendezvous, from one address or without a known one: how long others wait for their
//! way in meanwhile.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::lab::Lab;
use crate::socket::{Host, Message, Socket, connect};
use crate::statistics::milliseconds;
use crate::system::System;
use crate::table::Line;

use super::hosts::{NO_PROXY, raise_open_files};
use super::rendezvous::serve_with;
use super::{figures, interleaved, ms};

/// The address that attacks, and that of the others.
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 6, 6);
const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);
const VIEWER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 8);

/// Threads that attack.
const AT_ONCE: u32 = 4;

/// Connections of an attacker that it keeps, each.
const KEPT: usize = 2000;

/// A way in that takes longer has failed.
const WAITED: Duration = Duration::from_secs(10);

/// Between two tries of somebody who is refused, and between two ways in.
const PAUSE: Duration = Duration::from_millis(250);

/// Sessions of one connection.
const SESSIONS: u32 = 5;

/// Whether the rendezvous knows the addresses of those who come.
#[derive(Clone, Copy)]
enum Addresses {
    Known,
    /// Behind a proxy that nobody has named. Whoever attacks a session keeps others out of it then, and out of no other
    /// one.
    Unknown,
}

/// The behaviour of one attacker.
#[derive(Clone, Copy)]
enum Attack {
    /// Registers sessions, leaves, and comes again.
    Sessions,
    /// Opens connections, and says nothing.
    Connections,
    /// Opens connections, and does not get beyond the first line.
    Heads,
    /// Joins a session of others.
    Joins,
    /// Joins a session of its own by thousands of links, and has datagrams relayed.
    Links,
    /// Has as many datagrams relayed as it can.
    Relay,
    /// Says what nobody understands.
    Nonsense,
}

impl Attack {
    const ALL: [(Attack, &'static str); 7] = [
        (Attack::Sessions, "registers sessions and leaves"),
        (Attack::Connections, "opens connections"),
        (Attack::Heads, "opens connections and never ends a request"),
        (Attack::Joins, "joins the session of others"),
        (Attack::Links, "joins by thousands of links"),
        (Attack::Relay, "has all relayed that it can"),
        (Attack::Nonsense, "talks nonsense"),
    ];
}

/// The slowest way in of others, for each attack.
pub(super) fn lines(lab: &Lab) -> Vec<Line> {
    let line = |(addresses, attack, deed): (Addresses, Attack, &str)| {
        let name = match addresses {
            Addresses::Known => format!("rendezvous while one address {deed}: the slowest way in from other addresses"),
            Addresses::Unknown => {
                format!("rendezvous while somebody unknown {deed}: the slowest way to another session")
            }
        };
        let rounds = interleaved(lab, &name, System::is_beach, lab.plan.herd_rounds, |system, _| {
            measure(lab, system, addresses, attack)
        });
        let slowest = figures(&rounds, |rounds| rounds.iter().copied().reduce(f64::max));
        let is_soon = crate::table::beach(&slowest).map(|slowest| slowest <= 1000.0);
        Line::new(name).target("≤ 1 s", is_soon).figures(&slowest, ms).unjudged()
    };
    let of = |addresses| Attack::ALL.map(|(attack, deed)| (addresses, attack, deed));
    [of(Addresses::Known), of(Addresses::Unknown)].into_iter().flatten().map(line).collect()
}

fn measure(lab: &Lab, system: System, addresses: Addresses, attack: Attack) -> Result<f64> {
    raise_open_files()?;
    let flags: &[&str] = match addresses {
        Addresses::Known => &NO_PROXY,
        Addresses::Unknown => &[],
    };
    let (_server, address) = serve_with(lab, system, flags)?;
    let register = || Host::register_over(Socket::open_from(&address, HOST)?, lab.number(), 0);
    let (attacked, other) = (register()?, register()?);
    let session = match addresses {
        Addresses::Known => attacked.session.clone(),
        Addresses::Unknown => other.session,
    };
    let is_over = Arc::new(AtomicBool::new(false));
    let readers = [attacked.socket, other.socket].map(|socket| {
        let over = Arc::clone(&is_over);
        thread::spawn(move || reads(socket, &over))
    });
    let attackers: Vec<JoinHandle<()>> = (0..AT_ONCE)
        .map(|_| {
            let (address, session, number) = (address.clone(), attacked.session.clone(), lab.number() << 8);
            let attacker = Attacker { address, session, number, is_over: Arc::clone(&is_over) };
            thread::spawn(move || attacker.attacks(attack))
        })
        .collect();
    let ended = Instant::now() + lab.plan.attack;
    let mut slowest = Duration::ZERO;
    sleep(lab.plan.attack / 5);
    while Instant::now() < ended {
        slowest = slowest.max(way_in(&address, lab.number(), &session));
        sleep(PAUSE / 5);
    }
    is_over.store(true, Ordering::Relaxed);
    attackers.into_iter().chain(readers).for_each(|thread| drop(thread.join()));
    ensure!(slowest < WAITED, "nobody else got in for {} s", WAITED.as_secs());
    Ok(milliseconds(slowest))
}

/// A host reads what comes, until it is over.
fn reads(mut host: Socket, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        if host.has_news(PAUSE).unwrap_or(false) && host.message().is_err() {
            break;
        }
    }
}

/// How long somebody takes to register a session, and somebody else to join one.
fn way_in(address: &str, number: u32, session: &str) -> Duration {
    let began = Instant::now();
    let register = || Host::register_over(Socket::open_from(address, HOST)?, number, 0).map(drop);
    let enter = || {
        let mut viewer = Socket::open_from(address, VIEWER)?;
        viewer.say(&join(session, u64::from(number)))?;
        viewer.until("joined")
    };
    for step in [&register as &dyn Fn() -> Result<()>, &enter] {
        while step().is_err() {
            if began.elapsed() >= WAITED {
                return WAITED;
            }
            sleep(PAUSE);
        }
    }
    began.elapsed()
}

fn join(session: &str, link: u64) -> String {
    format!(r#"{{"type":"join","session":"{session}","link":"{link:016x}","role":"view","versions":[1]}}"#)
}

/// A thread of the attack.
struct Attacker {
    address: String,
    /// The session of others.
    session: String,
    /// The thread's first number; the next 255 are its own too.
    number: u32,
    is_over: Arc<AtomicBool>,
}

impl Attacker {
    /// Attacks until the run is over, and repeats an attempt that was refused.
    fn attacks(&self, attack: Attack) {
        let mut kept = Vec::new();
        let mut streams = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let done = match attack {
                Attack::Sessions => self.registers(),
                Attack::Connections => self.open().map(|socket| kept.push(socket)),
                Attack::Heads => connect(&self.address, ATTACKER).and_then(|mut stream| {
                    stream.write_all(b"GET /ws HTTP/1.1\r\n")?;
                    streams.push(stream);
                    Ok(())
                }),
                Attack::Joins => self.joins(),
                Attack::Links => self.has_links(),
                Attack::Relay => self.relays(),
                Attack::Nonsense => self.talks(),
            };
            if done.is_err() {
                sleep(Duration::from_millis(1));
            }
            if kept.len() + streams.len() > KEPT {
                (kept, streams) = (Vec::new(), Vec::new());
            }
        }
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    fn open(&self) -> Result<Socket> {
        Socket::open_from(&self.address, ATTACKER)
    }

    fn registers(&self) -> Result<()> {
        let mut socket = self.open()?;
        for _ in 0..SESSIONS {
            socket = Host::register_over(socket, fastrand::u32(1 << 31..), 0)?.socket;
        }
        Ok(())
    }

    fn joins(&self) -> Result<()> {
        let mut socket = self.open()?;
        while self.goes_on() {
            socket.say(&join(&self.session, fastrand::u64(..)))?;
            socket.message()?;
        }
        Ok(())
    }

    fn has_links(&self) -> Result<()> {
        let own = Host::register_over(self.open()?, self.number, 0)?;
        let (session, mut host) = (own.session, own.socket);
        let mut viewer = self.open()?;
        while self.goes_on() {
            let link = fastrand::u64(..);
            viewer.say(&join(&session, link))?;
            viewer.datagram(&datagram(link))?;
            for socket in [&mut viewer, &mut host] {
                while socket.has_news(Duration::ZERO)? {
                    socket.message()?;
                }
            }
        }
        Ok(())
    }

    fn relays(&self) -> Result<()> {
        let own = Host::register_over(self.open()?, self.number + fastrand::u32(..256), 0)?;
        let (session, mut host) = (own.session, own.socket);
        let mut viewer = self.open()?;
        let link = fastrand::u64(..);
        viewer.say(&join(&session, link))?;
        viewer.until("joined")?;
        while self.goes_on() {
            if viewer.has_room()? {
                viewer.datagram(&datagram(link))?;
            }
            while host.has_news(Duration::ZERO)? {
                let (Message::Text(_) | Message::Datagram(_)) = host.message()?;
            }
        }
        Ok(())
    }

    fn talks(&self) -> Result<()> {
        let mut socket = self.open()?;
        loop {
            socket.say("{\"type\":\"gibberish\"}")?;
            ensure!(self.goes_on(), "over");
        }
    }
}

/// A relayed message: the link, the attempt, flags, and 1,200 bytes.
fn datagram(link: u64) -> Vec<u8> {
    let mut bytes = link.to_be_bytes().to_vec();
    bytes.resize(11 + 1200, 0);
    bytes
}
