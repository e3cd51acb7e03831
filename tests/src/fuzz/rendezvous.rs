//! A rendezvous, with and without a directory, among connections that say anything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use beach_core::ice::relay::Relayed;
use beach_core::id::{LinkId, ShortId};
use beach_core::machine::Machine as _;
use beach_core::rendezvous::{ConnectionId, DirectoryInput, Rendezvous, RendezvousInput, RendezvousOutput};
use beach_core::role::Role;
use beach_core::session::link::Refusal;
use beach_core::time::Timestamp;
use beach_core::wire::signal::{IceUrl, Opaque, ToRendezvous, parse_from_rendezvous, parse_to_rendezvous, to_text};

use super::choices::Choices;
use crate::sim::host_secrets;

/// Hosts whose secrets the input can use.
const HOSTS: usize = 3;

/// Places of the other rendezvous.
const PLACES: [&str; 3] = ["http://one.test", "http://two.test/below", "nonsense"];

struct Post {
    rendezvous: Rendezvous,
    now: Timestamp,
    open: BTreeSet<ConnectionId>,
    opened: ConnectionId,
    /// The connections that said a text, and how many more texts than answers they can have caused.
    told: BTreeMap<ConnectionId, usize>,
}

/// Events at a rendezvous: the first byte of each says which.
pub(super) fn rendezvous(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut rendezvous = Rendezvous::new();
    match choices.below(4) {
        0 => rendezvous = rendezvous.without_relay(),
        1 => {}
        _ => rendezvous = rendezvous.with_directory(PLACES[0]),
    }
    let mut post = Post { rendezvous, now: Timestamp::ZERO, open: BTreeSet::new(), opened: 0, told: BTreeMap::new() };
    while !choices.is_empty() {
        let input = post.event(&mut choices);
        post.handle(input);
    }
    // Once everybody has gone and every grace is over, nothing is left.
    while let Some(id) = post.open.pop_first() {
        post.handle(RendezvousInput::Closed(id));
    }
    for _ in 0..40 {
        post.now = post.now + Duration::from_secs(6);
        post.handle(RendezvousInput::Tick);
    }
    assert_eq!(post.rendezvous.counts(), (0, 0, 0), "sessions, links, connections");
}

impl Post {
    fn event(&mut self, choices: &mut Choices<'_>) -> RendezvousInput {
        let what = choices.byte();
        let id = u64::from(choices.byte()) % (self.opened + 1) + 1;
        match what % 16 {
            0 | 1 if self.opened < 64 => {
                self.opened += 1;
                self.open.insert(self.opened);
                let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, id as u8 % 4));
                RendezvousInput::Opened(self.opened, (what < 128).then_some(address))
            }
            2 if self.open.remove(&id) => RendezvousInput::Closed(id),
            3 => {
                self.now = self.now + Duration::from_millis(choices.number() % 100_000);
                RendezvousInput::Tick
            }
            4 => RendezvousInput::Text(id, choices.text()),
            5 | 6 => {
                let (link, attempt) = (link(choices), choices.short());
                let [suspect, needed] = [choices.bit(), choices.bit()];
                let datagram = choices.chunk();
                let bytes = Relayed { link, attempt, suspect, needed, datagram }.encode();
                RendezvousInput::Datagram(id, bytes)
            }
            7 => RendezvousInput::Datagram(id, choices.chunk().to_vec()),
            8 => RendezvousInput::Ice(vec![IceUrl(choices.text())].into()),
            9 if what > 240 => RendezvousInput::Drain,
            10 => RendezvousInput::Directory(directory(choices)),
            11 if what > 240 => RendezvousInput::Carried,
            _ => RendezvousInput::Text(id, message(choices)),
        }
    }

    fn handle(&mut self, input: RendezvousInput) {
        // A runtime reports nothing of a connection that is closed.
        if let RendezvousInput::Text(id, _) | RendezvousInput::Datagram(id, _) = &input
            && !self.open.contains(id)
        {
            return;
        }
        if let RendezvousInput::Text(id, _) = &input {
            *self.told.entry(*id).or_default() += 1;
        }
        self.rendezvous.handle(self.now, input);
        while let Some(output) = self.rendezvous.poll() {
            match output {
                RendezvousOutput::Send(id, text) => {
                    assert!(self.open.contains(&id), "a text for a connection that is closed");
                    assert!(parse_from_rendezvous(&text).is_ok(), "nobody can read {text}");
                }
                RendezvousOutput::Datagram(id, bytes) => {
                    assert!(self.open.contains(&id), "a datagram for a connection that is closed");
                    assert!(Relayed::decode(&bytes).is_ok());
                }
                RendezvousOutput::TakesPart(id) => {
                    assert!(self.told.contains_key(&id), "connection {id} takes part and has said nothing");
                }
                RendezvousOutput::Close(id) => {
                    assert!(self.open.remove(&id), "a connection is closed once");
                }
                RendezvousOutput::Pipe { connection, join, .. } => {
                    assert!(self.open.remove(&connection), "an open connection is carried, and ends here");
                    assert!(parse_to_rendezvous(&join).is_ok(), "nobody can read {join}");
                }
                RendezvousOutput::Drained | RendezvousOutput::Directory(_) => {}
            }
        }
        let due = self.rendezvous.deadline();
        assert!(due.is_none_or(|at| at.since_start() < self.now.since_start() + Duration::from_secs(3600)));
    }
}

fn link(choices: &mut Choices<'_>) -> LinkId {
    LinkId(u64::from(choices.byte() % 8))
}

fn short(choices: &mut Choices<'_>) -> ShortId {
    host_secrets(choices.below(HOSTS) as u64).session().short()
}

fn directory(choices: &mut Choices<'_>) -> DirectoryInput {
    let session = short(choices);
    let turn = choices.number();
    let place = PLACES[choices.below(3)].to_owned();
    match choices.below(5) {
        0 => DirectoryInput::Claimed { session, turn },
        1 => DirectoryInput::Lost { session, turn, place },
        2 => DirectoryInput::Found { session, place: choices.bit().then_some(place) },
        3 => DirectoryInput::Down,
        _ => DirectoryInput::Up,
    }
}

/// A message of a host or a viewer, mostly one that makes sense.
fn message(choices: &mut Choices<'_>) -> String {
    let secrets = host_secrets(choices.below(HOSTS) as u64);
    let message = match choices.below(12) {
        0..=2 => {
            let mut register = ToRendezvous::register(&secrets).in_turn(choices.number());
            if let (ToRendezvous::Register { token, .. }, 7) = (&mut register, choices.below(8)) {
                *token = Opaque(choices.chunk().to_vec());
            }
            register
        }
        3..=5 => {
            let name =
                if choices.bit() { secrets.session().to_string() } else { secrets.session().short().to_string() };
            ToRendezvous::Join {
                session: name.parse().expect("the name of a session"),
                link: link(choices),
                role: if choices.bit() { Role::Control } else { Role::View },
                versions: vec![choices.short() % 4; choices.below(4)],
                resumes: choices.bit().then(|| link(choices)),
                moves: choices.bit(),
            }
        }
        6 | 7 => ToRendezvous::Envelope { link: link(choices), data: Opaque(choices.chunk().to_vec()) },
        8 => ToRendezvous::Refuse { link: link(choices), reason: Refusal::Version(vec![1; choices.below(20)]) },
        9 => ToRendezvous::Close { link: link(choices) },
        10 => ToRendezvous::Unregister { session: choices.bit().then(|| secrets.session()) },
        _ => ToRendezvous::Ping,
    };
    to_text(&message)
}
