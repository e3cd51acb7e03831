//! The counters of a rendezvous, for the people who operate it: everything counts once, and under the right name.

use beach_core::ice::relay::{self, Relayed};
use beach_core::id::{LinkId, SessionName};
use beach_core::machine::Machine as _;
use beach_core::rendezvous::{Close, Join, Registration, Rendezvous, RendezvousInput, RendezvousOutput, SILENCE};
use beach_core::role::Role;
use beach_core::time::Timestamp;
use beach_core::wire::signal::{FromRendezvous, Opaque, ToRendezvous, parse_from_rendezvous, to_text};
use beach_tests::sim::{for_each_seed, host_secrets, ms, secs};

const FILE: &str = "tally";

/// A rendezvous, and what a test counts beside it.
struct Desk {
    rendezvous: Rendezvous,
    now: Timestamp,
    open: Vec<u64>,
    registrations: u64,
    joins: u64,
    envelopes: u64,
    datagrams: u64,
    closed: u64,
    registered: u64,
}

impl Desk {
    fn new() -> Desk {
        let (rendezvous, now) = (Rendezvous::new(), Timestamp::ZERO);
        Desk {
            rendezvous,
            now,
            open: Vec::new(),
            registrations: 0,
            joins: 0,
            envelopes: 0,
            datagrams: 0,
            closed: 0,
            registered: 0,
        }
    }

    fn tell(&mut self, input: RendezvousInput) {
        self.rendezvous.handle(self.now, input);
        while let Some(output) = self.rendezvous.poll() {
            match output {
                RendezvousOutput::Send(_, text) => match parse_from_rendezvous(&text) {
                    Ok(FromRendezvous::Registered { .. }) => self.registered += 1,
                    Ok(FromRendezvous::Envelope { .. }) => self.envelopes += 1,
                    _ => {}
                },
                RendezvousOutput::Datagram(..) => self.datagrams += 1,
                RendezvousOutput::Close(id) => {
                    self.closed += 1;
                    self.open.retain(|open| *open != id);
                }
                RendezvousOutput::TakesPart(_) | RendezvousOutput::Drained | RendezvousOutput::Directory(_) => {}
                RendezvousOutput::Pipe { .. } => unreachable!("without a directory nobody is carried"),
            }
        }
    }

    fn opens(&mut self, id: u64) {
        self.open.push(id);
        self.tell(RendezvousInput::Opened(id, None));
    }

    fn says(&mut self, id: u64, message: &ToRendezvous) {
        let is_open = u64::from(self.open.contains(&id));
        if matches!(message, ToRendezvous::Register { .. }) {
            self.registrations += is_open;
        } else if matches!(message, ToRendezvous::Join { .. }) {
            self.joins += is_open;
        }
        self.tell(RendezvousInput::Text(id, to_text(message)));
    }

    fn joins(&mut self, id: u64, secrets: u64, link: u64) {
        let session = SessionName::Full(host_secrets(secrets).session());
        let join = ToRendezvous::Join {
            session,
            link: LinkId(link),
            role: Role::View,
            versions: vec![1],
            resumes: None,
            moves: false,
        };
        self.says(id, &join);
    }

    fn relays(&mut self, id: u64, link: u64) {
        let relayed = Relayed { link: LinkId(link), attempt: 1, suspect: false, needed: false, datagram: b"x" };
        self.tell(RendezvousInput::Datagram(id, relayed.encode()));
    }

    /// Compares the two.
    fn agrees(&self) {
        let (tally, present) = (self.rendezvous.tally(), self.rendezvous.present());
        let registrations: u64 = Registration::ALL.iter().map(|answer| tally.registrations(*answer)).sum();
        assert_eq!(registrations, self.registrations, "each registration is answered");
        assert_eq!(tally.registrations(Registration::Registered), self.registered);
        let joins: u64 = Join::ALL.iter().map(|answer| tally.joins(*answer)).sum();
        assert_eq!(joins, self.joins, "each join is answered");
        assert_eq!((tally.envelopes, tally.relayed), (self.envelopes, self.datagrams));
        let closed: u64 = Close::ALL.iter().map(|why| tally.closed(*why)).sum();
        assert_eq!(closed, self.closed, "each end has a reason");
        let (sessions, links, connections) = self.rendezvous.counts();
        assert_eq!((present.hosted + present.away, present.links, present.connections), (sessions, links, connections));
        assert_eq!(connections, self.open.len());
    }
}

#[test]
fn whatever_happens_each_registration_join_envelope_datagram_and_end_is_counted_once() {
    let test = "whatever_happens_each_registration_join_envelope_datagram_and_end_is_counted_once";
    for_each_seed(FILE, test, 0..200, |seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut desk = Desk::new();
        let mut next = 0;
        for _ in 0..400 {
            let id = random.u64(0..next + 1);
            let (secrets, link) = (random.u64(0..4), random.u64(0..12));
            match random.u8(0..20) {
                0..=3 => {
                    next += 1;
                    desk.opens(next);
                }
                4..=6 => desk.says(id, &ToRendezvous::register(&host_secrets(secrets))),
                7 => {
                    let session = host_secrets(secrets).session();
                    let wrong = || Opaque(vec![7; 32]);
                    desk.says(id, &ToRendezvous::Register { session, commitment: wrong(), token: wrong(), turn: 0 });
                }
                8..=11 => desk.joins(id, secrets, link),
                12..=13 => desk.says(id, &ToRendezvous::Envelope { link: LinkId(link), data: Opaque(vec![1; 40]) }),
                14..=15 => desk.relays(id, link),
                16 => desk.says(id, &ToRendezvous::Close { link: LinkId(link) }),
                17 => {
                    desk.open.retain(|open| *open != id);
                    desk.tell(RendezvousInput::Closed(id));
                }
                18 => desk.tell(RendezvousInput::Text(id, "nonsense".to_owned())),
                _ => {
                    desk.now = desk.now + ms(random.u64(0..20_000));
                    desk.tell(RendezvousInput::Tick);
                }
            }
            desk.agrees();
        }
        for id in std::mem::take(&mut desk.open) {
            desk.tell(RendezvousInput::Closed(id));
        }
        desk.now = desk.now + secs(100);
        desk.tell(RendezvousInput::Tick);
        desk.agrees();
        assert_eq!(desk.rendezvous.present(), beach_core::rendezvous::Present::default(), "nothing is left");
    });
}

#[test]
fn each_answer_and_each_end_has_its_own_name() {
    let mut desk = Desk::new();
    (1..=6).for_each(|id| desk.opens(id));
    desk.joins(2, 1, 1);
    desk.says(1, &ToRendezvous::register(&host_secrets(1)));
    desk.joins(2, 1, 2);
    desk.joins(3, 1, 2);
    (3..=70).for_each(|link| desk.joins(2, 1, link));
    // A host's newer connection, and one without a part.
    desk.says(4, &ToRendezvous::register(&host_secrets(1)));
    (0..8).for_each(|_| desk.tell(RendezvousInput::Text(5, "nonsense".to_owned())));
    desk.tell(RendezvousInput::Closed(4));
    desk.joins(2, 1, 100);
    desk.now = desk.now + secs(10);
    desk.tell(RendezvousInput::Tick);
    desk.now = desk.now + SILENCE + secs(6);
    desk.tell(RendezvousInput::Tick);
    let tally = desk.rendezvous.tally();
    assert_eq!(Registration::ALL.map(|answer| tally.registrations(answer)), [2, 0, 0, 0]);
    // The second viewer of link 2 took it over, so that the first one had room for one more: 64 in all, 4 in vain.
    assert_eq!(Join::ALL.map(|answer| tally.joins(answer)), [65, 0, 1, 1, 0, 5, 0]);
    assert_eq!(Close::ALL.map(|why| tally.closed(why)), [2, 1, 1, 1, 0]);
}

#[test]
fn a_datagram_over_the_rate_is_counted_apart() {
    let mut desk = Desk::new();
    desk.opens(1);
    desk.opens(2);
    desk.says(1, &ToRendezvous::register(&host_secrets(1)));
    desk.joins(2, 1, 1);
    let full = [7; relay::MAX_DATAGRAM];
    for _ in 0..2000 {
        let relayed = Relayed { link: LinkId(1), attempt: 1, suspect: false, needed: false, datagram: &full };
        desk.tell(RendezvousInput::Datagram(2, relayed.encode()));
    }
    let tally = desk.rendezvous.tally();
    assert!(tally.relayed > 0 && tally.over_rate > 0, "{tally:?}");
    assert_eq!(tally.relayed + tally.over_rate, 2000);
    assert_eq!(tally.relayed, desk.datagrams);
}
