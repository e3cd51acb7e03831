//! Several rendezvous that share a directory: every host is found from each of them, whatever happens to the directory,
//! to a rendezvous and to a connection.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use beach_core::Entropy;
use beach_core::endpoint::{Endpoint, Input, NetworkInput, Output, Secrets};
use beach_core::host::{Host, HostInput, ModeratorAction};
use beach_core::id::{LinkId, SessionId, SessionName, ShortId};
use beach_core::machine::Machine as _;
use beach_core::recording::journal::{self, Recorded as _};
use beach_core::rendezvous::{
    ADDRESS_JOIN_RATE, ASK_AGAIN_AFTER, CLAIMED_WITHIN, DRAINED_WITHIN, DirectoryInput, DirectoryOutput, JOIN_BURST,
    LOOK_UP_WITHIN, MAX_LOOK_UPS, MAX_RENEWED, MAX_WAITING, MOVED_WITHIN, MOVES_A_SECOND, RENEW_EVERY, Rendezvous,
    RendezvousInput, RendezvousOutput,
};
use beach_core::role::Role;
use beach_core::session::handshake::Stage;
use beach_core::session::link::{Command, Envelope, Event, LinkUser, Progress, Refusal, Verdict};
use beach_core::time::Timestamp;
use beach_core::viewer::{Viewer, ViewerInput, ViewerOutput};
use beach_core::wire::signal::{
    FromRendezvous, Opaque, ToRendezvous, parse_from_rendezvous, parse_to_rendezvous, to_text,
};
use beach_tests::sim::nodes::{Client, Nodes, Weather, viewer_config};
use beach_tests::sim::{FakeEngine, HostPlan, for_each_seed, host_secrets, ms, secs};
use serde::Serialize;

const FILE: &str = "directory";

const HERE: &str = "http://a.test";
const THERE: &str = "http://b.test";

/// An action of a rendezvous.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Did {
    Said(u64, FromRendezvous),
    Asked(DirectoryOutput),
    Closed(u64),
    Drained,
    Piped(u64, String, ToRendezvous),
}

/// One rendezvous with a directory that the test plays.
struct Desk {
    rendezvous: Rendezvous,
    now: Timestamp,
}

impl Desk {
    fn new(rendezvous: Rendezvous) -> Desk {
        Desk { rendezvous, now: Timestamp::from(secs(1)) }
    }

    /// With a directory that is up.
    fn up() -> Desk {
        let mut desk = Desk::new(Rendezvous::new().with_directory(HERE));
        assert_eq!(desk.directory(DirectoryInput::Up), []);
        desk
    }

    fn tell(&mut self, input: RendezvousInput) -> Vec<Did> {
        self.rendezvous.handle(self.now, input);
        let mut did = Vec::new();
        while let Some(output) = self.rendezvous.poll() {
            match output {
                RendezvousOutput::Send(to, text) => {
                    did.push(Did::Said(to, parse_from_rendezvous(&text).expect("a rendezvous makes sense")));
                }
                RendezvousOutput::Directory(request) => did.push(Did::Asked(request)),
                RendezvousOutput::Close(id) => did.push(Did::Closed(id)),
                RendezvousOutput::Drained => did.push(Did::Drained),
                RendezvousOutput::Pipe { connection, place, join } => {
                    let join = parse_to_rendezvous(&join).expect("a viewer's request");
                    did.push(Did::Piped(connection, place, join));
                }
                RendezvousOutput::Datagram(..) | RendezvousOutput::TakesPart(_) => {}
            }
        }
        did
    }

    fn opens(&mut self, id: u64) {
        let address = IpAddr::from(Ipv4Addr::from_bits(u32::try_from(id).expect("few are open")));
        self.opens_from(id, Some(address));
    }

    fn opens_from(&mut self, id: u64, address: Option<IpAddr>) {
        assert_eq!(self.tell(RendezvousInput::Opened(id, address)), []);
    }

    fn directory(&mut self, input: DirectoryInput) -> Vec<Did> {
        self.tell(RendezvousInput::Directory(input))
    }

    fn says(&mut self, id: u64, message: &ToRendezvous) -> Vec<Did> {
        self.tell(RendezvousInput::Text(id, to_text(message)))
    }

    fn registers(&mut self, id: u64, secrets: u64, turn: u64) -> Vec<Did> {
        self.says(id, &ToRendezvous::register(&host_secrets(secrets)).in_turn(turn))
    }

    fn joins(&mut self, id: u64, secrets: u64, link: u64) -> Vec<Did> {
        self.says(id, &join(SessionName::Full(session(secrets)), link, true))
    }

    fn waits(&mut self, span: Duration) -> Vec<Did> {
        let (end, mut did) = (self.now + span, Vec::new());
        while let Some(at) = self.rendezvous.deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            did.extend(self.tell(RendezvousInput::Tick));
        }
        self.now = end;
        did
    }

    /// A session whose host is here, in this turn, and the directory knows.
    fn hosts(&mut self, id: u64, secrets: u64, turn: u64) {
        self.opens(id);
        assert_eq!(self.registers(id, secrets, turn), [Did::Asked(claim(secrets, turn))]);
        let did = self.directory(DirectoryInput::Claimed { session: short(secrets), turn });
        assert_eq!(did, [registered(id)]);
    }
}

fn session(secrets: u64) -> SessionId {
    host_secrets(secrets).session()
}

fn short(secrets: u64) -> ShortId {
    session(secrets).short()
}

fn join(session: SessionName, link: u64, moves: bool) -> ToRendezvous {
    ToRendezvous::Join { session, link: LinkId(link), role: Role::View, versions: vec![1], resumes: None, moves }
}

fn claim(secrets: u64, turn: u64) -> DirectoryOutput {
    DirectoryOutput::Claim { session: short(secrets), turn }
}

fn lost(secrets: u64, turn: u64) -> DirectoryInput {
    DirectoryInput::Lost { session: short(secrets), turn, place: THERE.to_owned() }
}

fn found(secrets: u64, place: Option<&str>) -> DirectoryInput {
    DirectoryInput::Found { session: short(secrets), place: place.map(str::to_owned) }
}

fn look_up(secrets: u64) -> Did {
    Did::Asked(DirectoryOutput::LookUp(short(secrets)))
}

fn registered(id: u64) -> Did {
    Did::Said(id, FromRendezvous::Registered { ice: Vec::new(), short_names: true })
}

fn elsewhere(id: u64, link: u64) -> Did {
    Did::Said(id, FromRendezvous::Elsewhere { link: LinkId(link), url: THERE.to_owned() })
}

fn refused(id: u64, link: u64, reason: Refusal) -> Did {
    Did::Said(id, FromRendezvous::Refused { link: Some(LinkId(link)), reason })
}

#[test]
fn without_a_directory_nobody_is_asked_and_turns_mean_nothing() {
    let mut desk = Desk::new(Rendezvous::new());
    desk.opens(1);
    desk.opens(2);
    assert_eq!(desk.registers(1, 1, 7), [registered(1)]);
    assert_eq!(desk.registers(2, 1, 3), [Did::Closed(1), registered(2)]);
    desk.opens(3);
    assert_eq!(desk.joins(3, 2, 9), [refused(3, 9, Refusal::NoSession)]);
    assert_eq!(desk.directory(lost(1, 3)), []);
}

#[test]
fn a_host_is_registered_once_the_directory_knows_or_after_a_moment() {
    let mut desk = Desk::up();
    desk.hosts(1, 1, 1);
    desk.opens(2);
    assert_eq!(desk.registers(2, 2, 1), [Did::Asked(claim(2, 1))]);
    assert_eq!(desk.waits(CLAIMED_WITHIN - ms(1)), []);
    assert_eq!(desk.waits(ms(1)), [registered(2)]);
    assert_eq!(desk.directory(DirectoryInput::Claimed { session: short(2), turn: 1 }), [], "told once");
    desk.opens(3);
    assert_eq!(desk.registers(3, 3, 1), [Did::Asked(claim(3, 1))]);
    assert_eq!(desk.directory(DirectoryInput::Down), [registered(3)], "nobody waits for a directory that is down");
    desk.opens(4);
    assert_eq!(desk.registers(4, 4, 1), [registered(4)]);
}

#[test]
fn a_viewer_is_sent_to_the_host_s_place_by_either_name_and_only_if_it_goes_there() {
    let mut desk = Desk::up();
    desk.opens(2);
    for name in [SessionName::Full(session(1)), SessionName::Short(short(1))] {
        assert_eq!(desk.says(2, &join(name, 5, true)), [look_up(1)]);
        assert_eq!(desk.directory(found(1, Some(THERE))), [elsewhere(2, 5)]);
        assert_eq!(desk.says(2, &join(name, 7, true)), [look_up(1)]);
        assert_eq!(desk.directory(found(1, None)), [refused(2, 7, Refusal::NoSession)]);
        assert_eq!(desk.says(2, &join(name, 8, true)), [look_up(1)]);
        let again = look_up(1);
        assert_eq!(desk.waits(LOOK_UP_WITHIN), [again, refused(2, 8, Refusal::Busy)], "the viewer asks again");
        assert_eq!(desk.directory(found(1, Some(THERE))), [], "too late");
    }
    assert_eq!(desk.joins(2, 1, 8), [look_up(1)]);
    assert_eq!(desk.directory(DirectoryInput::Down), [refused(2, 8, Refusal::Busy)], "nobody knows any more");
    assert_eq!(desk.joins(2, 1, 9), [refused(2, 9, Refusal::Busy)], "at once, and asks again");
    desk.hosts_alone(3, 1);
    assert!(matches!(desk.joins(2, 1, 10)[..], [Did::Said(3, _), Did::Said(2, _)]), "a local join needs no directory");
    desk.tell(RendezvousInput::Closed(3));
    desk.opens(4);
    let waiting = Did::Said(4, FromRendezvous::Waiting { link: LinkId(11) });
    assert_eq!(desk.joins(4, 1, 11), [waiting], "so does a session that is here without its host");
}

#[test]
fn a_viewer_who_does_not_go_to_another_place_is_carried_there_if_nothing_else_is_on_the_connection() {
    let mut desk = Desk::up();
    let one = SessionName::Full(session(1));
    let piped = |id, link| Did::Piped(id, THERE.to_owned(), join(one, link, false));
    desk.hosts(1, 2, 1);
    (2..5).for_each(|id| desk.opens(id));
    assert_eq!(desk.says(2, &join(one, 5, false)), [look_up(1)]);
    assert_eq!(desk.says(3, &join(one, 6, true)), []);
    // Two links on one connection: if the first one were carried, nobody would answer the second one.
    assert_eq!(desk.says(4, &join(one, 7, false)), []);
    assert_eq!(desk.says(4, &join(one, 8, false)), []);
    assert_eq!(
        desk.directory(found(1, Some(THERE))),
        [piped(2, 5), elsewhere(3, 6), refused(4, 7, Refusal::NoSession), refused(4, 8, Refusal::NoSession)]
    );
    assert_eq!(desk.rendezvous.counts(), (1, 0, 3), "the carried connection is not known any more");
    assert_eq!(desk.says(2, &ToRendezvous::Ping), [], "another rendezvous answers");
    assert_eq!(desk.tell(RendezvousInput::Closed(2)), []);

    desk.opens(9);
    assert_eq!(desk.joins(9, 2, 1).len(), 2, "a link to a host that is here");
    assert_eq!(desk.says(9, &join(one, 2, false)), [look_up(1)]);
    assert_eq!(desk.directory(found(1, Some(THERE))), [refused(9, 2, Refusal::NoSession)]);
    assert_eq!(desk.rendezvous.counts(), (1, 1, 4));
    desk.opens(10);
    assert_eq!(desk.says(10, &join(one, 3, false)), [look_up(1)]);
    assert!(desk.joins(10, 3, 4).iter().any(|did| matches!(did, Did::Asked(_))), "another look-up");
    assert_eq!(desk.directory(found(1, Some(THERE))), [refused(10, 3, Refusal::NoSession)]);
}

#[test]
fn a_rendezvous_that_the_directory_names_for_a_session_of_its_earlier_life_has_viewers_ask_again() {
    for moves in [true, false] {
        let mut desk = Desk::up();
        desk.opens(2);
        for name in [SessionName::Full(session(1)), SessionName::Short(short(1))] {
            assert_eq!(desk.says(2, &join(name, 7, moves)), [look_up(1)]);
            assert_eq!(desk.directory(found(1, Some(HERE))), [refused(2, 7, Refusal::Busy)]);
        }
        // The viewer asks again on the same connection: the entry has changed meanwhile, or is gone.
        let again = join(SessionName::Full(session(1)), 7, moves);
        assert_eq!(desk.says(2, &again), [look_up(1)]);
        assert_eq!(desk.directory(found(1, None)), [refused(2, 7, Refusal::NoSession)]);
        assert_eq!(desk.says(2, &again), [look_up(1)]);
        let there = if moves { elsewhere(2, 7) } else { Did::Piped(2, THERE.to_owned(), again) };
        assert_eq!(desk.directory(found(1, Some(THERE))), [there]);
    }
}

impl Desk {
    /// A session whose host is here, while the directory is down.
    fn hosts_alone(&mut self, id: u64, secrets: u64) {
        self.opens(id);
        assert_eq!(self.registers(id, secrets, 1), [registered(id)]);
    }
}

#[test]
fn joins_of_one_session_share_a_look_up_and_those_that_leave_are_forgotten() {
    let mut desk = Desk::up();
    (2..6).for_each(|id| desk.opens(id));
    assert_eq!(desk.joins(2, 1, 2), [look_up(1)]);
    assert_eq!(desk.joins(3, 1, 3), []);
    assert_eq!(desk.joins(4, 1, 4), []);
    assert_eq!(desk.joins(5, 1, 5), []);
    assert_eq!(desk.says(4, &ToRendezvous::Close { link: LinkId(4) }), []);
    assert_eq!(desk.tell(RendezvousInput::Closed(5)), []);
    assert_eq!(desk.directory(found(1, Some(THERE))), [elsewhere(2, 2), elsewhere(3, 3)]);
}

#[test]
fn a_stranger_pays_for_a_look_up_and_their_number_is_bounded() {
    let mut desk = Desk::up();
    desk.opens(1);
    let mut asked = 0;
    for number in 0..2 * JOIN_BURST {
        let did = desk.joins(1, 1000 + number % 8, number);
        asked += did.iter().filter(|did| matches!(did, Did::Asked(_))).count();
        if number >= JOIN_BURST {
            assert_eq!(did, [refused(1, number, Refusal::Busy)]);
        }
    }
    assert_eq!(asked, 8, "one look-up a session");
    // Joins that came in time are answered, and no second one is paid for.
    let waiting = without_requests(desk.waits(LOOK_UP_WITHIN)).len() as u64;
    assert!(waiting <= 64, "joins of one connection are bounded: {waiting}");
    assert_eq!(desk.waits(secs(4)), []);
    let again = (0..100).filter(|link| desk.joins(1, 1, *link) != [refused(1, *link, Refusal::Busy)]).count() as u64;
    assert!((1..=5 * ADDRESS_JOIN_RATE + 1).contains(&again), "{again}");

    let mut desk = Desk::up();
    (0..40).for_each(|id| desk.opens_from(id, None));
    let secrets: Vec<_> = (0..=MAX_LOOK_UPS as u64).collect();
    let told: Vec<_> = secrets.iter().map(|number| desk.joins(number % 40, *number, *number)).collect();
    assert!(told[..MAX_LOOK_UPS].iter().all(|did| matches!(did[..], [Did::Asked(_)])));
    let last = MAX_LOOK_UPS as u64;
    assert_eq!(told[MAX_LOOK_UPS], [refused(last % 40, last, Refusal::Busy)]);

    let mut desk = Desk::up();
    (0..=10).for_each(|id| desk.opens_from(id, None));
    let told: Vec<_> = (0..=MAX_WAITING as u64).map(|number| desk.joins(number / 60, 1, number)).collect();
    assert_eq!(told[0], [look_up(1)]);
    assert!(told[1..MAX_WAITING].iter().all(Vec::is_empty));
    assert_eq!(told[MAX_WAITING].len(), 1, "one more is refused");
}

#[test]
fn a_session_that_went_elsewhere_takes_its_viewers_along_in_the_middle_of_a_handshake() {
    let mut desk = Desk::up();
    desk.hosts(1, 1, 4);
    (2..5).for_each(|id| desk.opens(id));
    assert_eq!(desk.joins(2, 1, 2).len(), 2, "the host and the viewer are told");
    assert_eq!(desk.says(3, &join(SessionName::Full(session(1)), 3, false)).len(), 2);
    assert_eq!(desk.directory(lost(1, 3)), [], "of an earlier claim");
    let did = desk.directory(lost(1, 4));
    assert!(did.contains(&elsewhere(2, 2)) && did.contains(&Did::Closed(1)), "{did:?}");
    assert!(did.contains(&Did::Closed(3)), "it would not go, and comes again: {did:?}");
    assert!(!did.iter().any(|did| matches!(did, Did::Said(3, _))), "nothing ends it: {did:?}");
    assert!(!did.iter().any(|did| matches!(did, Did::Asked(_))), "the entry is not this rendezvous' any more");
    assert_eq!(desk.rendezvous.counts(), (0, 0, 2));
    assert_eq!(desk.joins(4, 1, 9), [look_up(1)]);
    desk.opens(5);
    let again = join(SessionName::Full(session(1)), 3, false);
    assert_eq!(desk.says(5, &again), []);
    let carried = Did::Piped(5, THERE.to_owned(), again);
    assert_eq!(desk.directory(found(1, Some(THERE))), [elsewhere(4, 9), carried], "the same look-up");
}

#[test]
fn viewers_that_wait_for_a_host_learn_where_the_host_came_back() {
    let mut desk = Desk::up();
    desk.hosts(1, 1, 1);
    desk.opens(2);
    desk.tell(RendezvousInput::Closed(1));
    assert_eq!(desk.joins(2, 1, 5), [look_up(1)], "the host may be elsewhere");
    let waiting = Did::Said(2, FromRendezvous::Waiting { link: LinkId(5) });
    assert_eq!(desk.directory(found(1, Some(HERE))), [waiting]);
    assert_eq!(desk.waits(secs(1)), [look_up(1)], "looked up each second");
    assert_eq!(desk.directory(found(1, Some(THERE))), [elsewhere(2, 5)]);
    assert_eq!(desk.rendezvous.counts().0, 0);
}

#[test]
fn sessions_that_viewers_wait_at_are_looked_up_in_turn_if_there_are_many() {
    let mut desk = Desk::new(Rendezvous::new().with_directory(HERE));
    let count = 250;
    for number in 0..count {
        desk.opens_from(number, None);
        desk.registers(number, number, 1);
        desk.opens_from(count + number, None);
        assert_eq!(desk.joins(count + number, number, number).len(), 2, "the host and the viewer are told");
    }
    (0..count).for_each(|number| drop(desk.tell(RendezvousInput::Closed(number))));
    assert_eq!(desk.directory(DirectoryInput::Up), []);
    let mut looked_up = BTreeSet::new();
    for _ in 0..3 {
        let did = desk.waits(secs(1));
        assert_eq!(did.len(), 100, "in one second");
        for did in did {
            let Did::Asked(DirectoryOutput::LookUp(session)) = &did else { panic!("something else: {did:?}") };
            let session = *session;
            looked_up.insert(session);
            assert_eq!(desk.directory(DirectoryInput::Found { session, place: None }), [], "the host is nowhere");
        }
    }
    assert_eq!(looked_up, (0..count).map(short).collect(), "each of them in three seconds");
}

#[test]
fn late_registrations_and_late_answers_change_nothing() {
    let mut desk = Desk::up();
    desk.hosts(1, 1, 5);
    desk.opens(2);
    let taken = Did::Said(2, FromRendezvous::Refused { link: None, reason: Refusal::Taken });
    assert_eq!(desk.registers(2, 1, 4), [taken], "under way for long");
    let release = |turn| Did::Asked(DirectoryOutput::Release { session: short(1), turn });
    let claimed = |turn| DirectoryInput::Claimed { session: short(1), turn };
    assert_eq!(desk.directory(claimed(4)), [release(4)], "of nobody that is here");
    assert_eq!(desk.says(1, &ToRendezvous::Unregister { session: None }), [release(5)]);
    assert_eq!(desk.directory(claimed(5)), [release(5)], "the session is over");
}

#[test]
fn a_claim_or_look_up_that_is_lost_on_its_way_is_made_again_soon_until_it_is_answered() {
    let mut desk = Desk::up();
    desk.opens(1);
    assert_eq!(desk.registers(1, 1, 3), [Did::Asked(claim(1, 3))]);
    assert_eq!(without_requests(desk.waits(CLAIMED_WITHIN)), [registered(1)]);
    assert_eq!(desk.waits(ASK_AGAIN_AFTER - CLAIMED_WITHIN), [Did::Asked(claim(1, 3))]);
    assert_eq!(desk.waits(ASK_AGAIN_AFTER), [Did::Asked(claim(1, 3))], "until it is answered");
    assert_eq!(desk.directory(DirectoryInput::Claimed { session: short(1), turn: 3 }), []);
    assert_eq!(desk.waits(ASK_AGAIN_AFTER), []);

    desk.opens(2);
    assert_eq!(desk.joins(2, 2, 5), [look_up(2)]);
    assert_eq!(desk.waits(ASK_AGAIN_AFTER), [look_up(2)]);
    assert_eq!(desk.directory(found(2, Some(THERE))), [elsewhere(2, 5)], "before its time is over");
    assert_eq!(desk.directory(found(2, Some(THERE))), [], "both were answered");

    // A host that has left, and a directory that is down, are not asked about.
    desk.opens(3);
    assert_eq!(desk.registers(3, 3, 1), [Did::Asked(claim(3, 1))]);
    desk.tell(RendezvousInput::Closed(3));
    desk.opens(4);
    assert_eq!(desk.registers(4, 4, 1), [Did::Asked(claim(4, 1))]);
    desk.directory(DirectoryInput::Down);
    assert_eq!(desk.waits(secs(3)), []);
}

#[test]
fn claims_are_renewed_in_parts_all_of_them_in_time_and_all_at_once_when_the_directory_is_back() {
    let mut desk = Desk::up();
    let count = 300;
    for number in 0..count {
        desk.opens(number);
        desk.registers(number, number, 1);
        desk.directory(DirectoryInput::Claimed { session: short(number), turn: 1 });
    }
    let mut all: BTreeSet<_> = (0..count).map(short).collect();
    let again = |did: Vec<Did>| {
        let mut sessions: Vec<ShortId> = Vec::new();
        for did in did {
            match &did {
                Did::Asked(DirectoryOutput::Claim { session, turn: 1 }) => sessions.push(*session),
                Did::Asked(DirectoryOutput::Renew(some)) => {
                    assert!(some.len() <= MAX_RENEWED && some.iter().all(|(_, turn)| *turn == 1));
                    sessions.extend(some.iter().map(|(session, _)| *session));
                }
                Did::Said(_, FromRendezvous::Registered { .. }) => {}
                Did::Said(..) | Did::Asked(_) | Did::Closed(_) | Did::Drained | Did::Piped(..) => {
                    panic!("something else: {did:?}")
                }
            }
        }
        sessions
    };
    desk.waits(secs(1));
    let parts: Vec<_> = (0..10).map(|_| again(desk.waits(RENEW_EVERY / 10))).collect();
    let most = parts.iter().map(Vec::len).max().unwrap_or_default();
    assert!(most < 60, "the work is even: {most}");
    let together = parts.concat();
    assert_eq!((together.len(), together.into_iter().collect::<BTreeSet<_>>()), (300, all.clone()), "each once");
    assert_eq!(desk.directory(DirectoryInput::Down), []);
    desk.hosts_alone(count, count);
    all.insert(short(count));
    assert_eq!(desk.waits(secs(15)), []);
    let together = again(desk.directory(DirectoryInput::Up));
    assert_eq!((together.len(), together.into_iter().collect::<BTreeSet<_>>()), (301, all));
}

/// A host is told to go; there are few, so that it may go soon.
fn go(id: u64) -> Did {
    Did::Said(id, FromRendezvous::Move { within: 1 })
}

/// The actions of a rendezvous, without its requests to the directory.
fn without_requests(did: Vec<Did>) -> Vec<Did> {
    did.into_iter().filter(|did| !matches!(did, Did::Asked(_))).collect()
}

#[test]
fn a_rendezvous_that_ends_sends_its_hosts_on_and_waits_for_those_that_can_go() {
    let mut desk = Desk::up();
    desk.hosts(1, 1, 3);
    desk.hosts(2, 2, 0);
    (3..8).for_each(|id| desk.opens(id));
    assert_eq!(desk.joins(3, 1, 3).len(), 2);
    assert_eq!(desk.tell(RendezvousInput::Drain), [go(1), go(2)], "viewers go with their host");
    assert_eq!(without_requests(desk.waits(secs(5))), []);
    // Nobody new registers, but links may change.
    let busy = Did::Said(4, FromRendezvous::Refused { link: None, reason: Refusal::Busy });
    assert_eq!(desk.registers(4, 4, 1), [busy]);
    assert_eq!(desk.registers(1, 5, 4), [Did::Asked(claim(5, 4))]);
    let did = desk.directory(DirectoryInput::Claimed { session: short(5), turn: 4 });
    assert_eq!(did, [registered(1), go(1)]);
    // Viewers come until the host has gone.
    assert!(matches!(desk.joins(5, 1, 5)[..], [Did::Said(1, _), Did::Said(5, _)]));
    assert_eq!(desk.joins(6, 9, 6), [look_up(9)]);
    assert_eq!(desk.directory(found(9, Some(THERE))), [elsewhere(6, 6)]);
    assert_eq!(desk.tell(RendezvousInput::Closed(1)), [look_up(1)], "only one session has viewers");
    assert_eq!(desk.directory(found(1, Some(THERE))), [elsewhere(3, 3), elsewhere(5, 5)]);
    assert_eq!(without_requests(desk.waits(ms(1999))), []);
    assert_eq!(without_requests(desk.waits(ms(1))), [Did::Drained], "the other host knows no move");

    let mut desk = Desk::up();
    desk.hosts(1, 1, 3);
    desk.tell(RendezvousInput::Drain);
    assert_eq!(without_requests(desk.waits(MOVED_WITHIN - ms(1))), []);
    assert_eq!(without_requests(desk.waits(ms(1))), [Did::Drained], "the host never went");

    let mut desk = Desk::up();
    let count = 3 * MOVES_A_SECOND as u64;
    for number in 0..count {
        desk.opens_from(number, None);
        desk.registers(number, number, 1);
    }
    let told = without_requests(desk.tell(RendezvousInput::Drain));
    let in_time = told.iter().all(|did| matches!(did, Did::Said(_, FromRendezvous::Move { within: 3 })));
    assert!(in_time && told.len() as u64 == count, "the others can take so many");

    // A handshake on a connection that is carried is waited for like one that is here.
    let mut desk = Desk::up();
    assert_eq!(desk.tell(RendezvousInput::Carried), []);
    assert_eq!(desk.tell(RendezvousInput::Drain), []);
    for _ in 0..5 {
        assert_eq!(desk.waits(ms(1999)), []);
        assert_eq!(desk.tell(RendezvousInput::Carried), []);
    }
    assert_eq!(desk.waits(ms(1999)), []);
    assert_eq!(desk.waits(ms(1)), [Did::Drained]);

    let mut alone = Desk::new(Rendezvous::new());
    alone.opens(1);
    alone.registers(1, 1, 1);
    assert_eq!(alone.tell(RendezvousInput::Drain), [Did::Drained], "there is no other one");
    alone.opens(2);
    alone.joins(2, 1, 2);
    alone.says(2, &ToRendezvous::Envelope { link: LinkId(2), data: Opaque(vec![1]) });
    assert_eq!(alone.tell(RendezvousInput::Drain), []);
    assert!(DRAINED_WITHIN > secs(2));
    assert_eq!(alone.waits(secs(2)), [Did::Drained]);
}

#[test]
fn viewers_whose_host_leaves_are_looked_for_at_once_and_a_rendezvous_that_ends_keeps_nobody() {
    let waiting = Did::Said(2, FromRendezvous::Waiting { link: LinkId(2) });
    let with_viewer = || {
        let mut desk = Desk::up();
        desk.hosts(1, 1, 1);
        desk.opens(2);
        desk.joins(2, 1, 2);
        desk
    };
    let mut desk = with_viewer();
    assert_eq!(desk.tell(RendezvousInput::Closed(1)), [look_up(1)]);
    assert_eq!(desk.directory(found(1, Some(HERE))), std::slice::from_ref(&waiting));
    assert_eq!(desk.waits(secs(1)), [look_up(1)]);
    assert_eq!(desk.directory(found(1, None)), [], "told once");

    let mut desk = with_viewer();
    desk.tell(RendezvousInput::Closed(1));
    assert_eq!(desk.directory(DirectoryInput::Down), [waiting]);

    let mut desk = with_viewer();
    desk.tell(RendezvousInput::Drain);
    assert_eq!(desk.tell(RendezvousInput::Closed(1)), [look_up(1)]);
    assert_eq!(desk.directory(found(1, Some(HERE))), [Did::Closed(2)], "its host is under the common name");

    let mut desk = with_viewer();
    desk.directory(DirectoryInput::Down);
    desk.tell(RendezvousInput::Drain);
    assert_eq!(desk.tell(RendezvousInput::Closed(1)), [Did::Closed(2)]);
}

#[test]
fn a_long_chain_of_hosts_that_view_each_other_is_dropped_without_recursion() {
    let mut desk = Desk::new(Rendezvous::new().with_directory(HERE));
    let count = 5_000;
    for number in 0..count {
        desk.opens_from(number, None);
        desk.registers(number, number, 1);
        if let Some(before) = number.checked_sub(1) {
            assert_eq!(desk.joins(number, before, number).len(), 2, "the host and the viewer are told");
        }
    }
    desk.tell(RendezvousInput::Drain);
    let did = desk.tell(RendezvousInput::Closed(0));
    assert_eq!(did, (1..count).map(Did::Closed).collect::<Vec<_>>(), "each lost its host");
    assert_eq!(desk.rendezvous.counts().2, 0);
}

/// Hosts on a few rendezvous; session numbers are those of the hosts.
struct Town {
    nodes: Nodes,
    count: usize,
    hosts: usize,
}

impl Town {
    fn new(seed: u64, count: usize, hosts: usize) -> Town {
        let mut nodes = Nodes::new(seed, count);
        for host in 0..hosts {
            // Some do not count their registrations.
            let is_old = nodes.dice.percent(20);
            nodes.add_host(host as u64, is_old);
        }
        nodes.run(secs(3));
        Town { nodes, count, hosts }
    }

    /// A viewer comes to each rendezvous that runs for each session, and gets in.
    fn all_are_found(&mut self, within: Duration) {
        let before = self.nodes.viewers.len();
        for host in 0..self.hosts {
            assert!(self.nodes.is_found(host, host as u64), "host {host} is at {:?}", self.nodes.at(host));
            for node in (0..self.count).filter(|node| self.nodes.runs(*node)).collect::<Vec<_>>() {
                self.nodes.add_viewer(host as u64, Some(node));
            }
        }
        self.nodes.run(within);
        for viewer in &self.nodes.viewers[before..] {
            assert_eq!(viewer.failed, None);
            assert!(viewer.in_at.is_some(), "a viewer does not get in");
        }
    }

    fn ends(mut self) {
        (0..self.hosts).for_each(|host| self.nodes.leave(Client::Host(host)));
        (0..self.nodes.viewers.len()).for_each(|viewer| self.nodes.leave(Client::Viewer(viewer)));
        self.nodes.run(secs(180));
        assert_eq!(self.nodes.counts(), (0, 0, 0), "counts return to zero");
        assert!(self.nodes.is_quiet(), "nobody waits for anything, and the directory is empty");
    }
}

/// A fault, and how long after its end all is to be as before: a renewal and a redial.
fn fault(town: &mut Town) -> Duration {
    let Town { nodes, count, hosts } = town;
    let (node, host) = (nodes.dice.between(0, *count as u64 - 1), nodes.dice.between(0, *hosts as u64 - 1));
    let (node, host, span) = (node as usize, host as usize, nodes.dice.up_to(secs(15)));
    match nodes.dice.between(0, 8) {
        0 => {
            nodes.kill(node);
            nodes.run(span);
            nodes.start(node);
        }
        1 => nodes.wipe(),
        2 => {
            nodes.directory(false);
            nodes.run(span);
            nodes.wipe();
            nodes.directory(true);
        }
        3 => {
            nodes.split();
            nodes.run(span);
            nodes.unite();
        }
        4 => nodes.reset(host),
        7 => {
            nodes.drain(node);
            nodes.run(span + MOVED_WITHIN);
            nodes.start(node);
        }
        5 => {
            nodes.weather = Weather { longest: secs(5), lost: 30 };
            nodes.reset(host);
            nodes.run(span);
            nodes.reset(host);
            nodes.run(secs(5));
            nodes.weather = Weather::FINE;
        }
        6 => {
            nodes.weather = Weather { longest: ms(300), lost: 5 };
            nodes.kill(node);
            nodes.reset(host);
            nodes.run(ms(500));
            nodes.weather = Weather::FINE;
            nodes.start(node);
        }
        _ => {
            nodes.half_open(host);
            return secs(45);
        }
    }
    // Renewed within ten seconds; a host dials again after nine at most.
    secs(20)
}

#[test]
fn after_any_fault_every_host_is_found_from_every_rendezvous() {
    let test = "after_any_fault_every_host_is_found_from_every_rendezvous";
    for_each_seed(FILE, test, 0..1000, |seed| {
        let mut town = Town::new(seed, 2 + seed as usize % 3, 3);
        town.all_are_found(secs(2));
        for _ in 0..2 {
            let most = town.nodes.dice.between(1, 2);
            let longest = (0..most).map(|_| fault(&mut town)).max().unwrap_or_default();
            // People come in the middle of this, and may be told that there is no such session.
            for host in 0..town.hosts {
                town.nodes.add_viewer(host as u64, None);
            }
            town.nodes.run(longest);
            town.all_are_found(secs(2));
        }
        town.ends();
    });
}

#[test]
fn a_directory_that_is_away_ends_no_connection() {
    let test = "a_directory_that_is_away_ends_no_connection";
    for_each_seed(FILE, test, 0..1000, |seed| {
        let mut town = Town::new(seed, 3, 5);
        let before = town.nodes.closed_by_nodes;
        town.nodes.directory(false);
        if seed % 2 == 0 {
            town.nodes.wipe();
        }
        town.nodes.run(secs(120));
        for host in 0..town.hosts {
            let at = town.nodes.at(host);
            assert!(at.is_some());
            town.nodes.add_viewer(host as u64, at);
        }
        town.nodes.run(secs(2));
        assert!(town.nodes.viewers.iter().all(|viewer| viewer.in_at.is_some()), "at the host's own rendezvous");
        town.nodes.directory(true);
        town.nodes.run(ms(100));
        assert_eq!(town.nodes.closed_by_nodes, before, "nobody was dropped");
        town.all_are_found(secs(2));
        town.ends();
    });
}

#[test]
fn after_a_rendezvous_died_viewers_get_in_within_three_seconds() {
    let test = "after_a_rendezvous_died_viewers_get_in_within_three_seconds";
    for_each_seed(FILE, test, 0..1000, |seed| {
        let mut town = Town::new(seed, 2, 4);
        town.nodes.kill(0);
        // The viewers come before the hosts are back.
        for host in 0..town.hosts {
            town.nodes.add_viewer(host as u64, None);
        }
        town.nodes.run(secs(3));
        for viewer in &town.nodes.viewers {
            assert!(viewer.in_at.is_some(), "{:?}", viewer.failed);
        }
        town.ends();
    });
}

#[test]
fn a_rendezvous_that_starts_anew_before_its_hosts_are_back_turns_no_viewer_away() {
    let test = "a_rendezvous_that_starts_anew_before_its_hosts_are_back_turns_no_viewer_away";
    let carried = for_each_seed(FILE, test, 0..1000, |seed| {
        let mut town = Town::new(seed, 2, 4);
        town.nodes.kill(0);
        town.nodes.start(0);
        // The directory names it for the hosts that it had, and they are not anywhere.
        for host in 0..town.hosts {
            for node in 0..town.count {
                town.nodes.add_viewer(host as u64, Some(node));
            }
        }
        town.nodes.run(ms(100));
        let carried = town.nodes.carried();
        town.nodes.run(secs(3));
        for viewer in &town.nodes.viewers {
            assert!(viewer.in_at.is_some(), "{:?}", viewer.failed);
        }
        town.ends();
        carried
    });
    assert!(carried.iter().any(|(_, carried)| *carried > 0), "no viewer came by way of another rendezvous");
}

/// An endpoint whose rendezvous the test plays, with the endpoint's recording.
struct Alone<M: LinkUser> {
    endpoint: Endpoint<M, FakeEngine>,
    now: Timestamp,
    recording: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum Does {
    Dials,
    DialsAt(String),
    HangsUp,
    /// Dials beside the connection that is there, and says this there.
    DialsBeside(Vec<ToRendezvous>),
    TakesBeside,
    LeavesBeside,
    Says(ToRendezvous),
}

impl<M> Alone<M>
where
    M: LinkUser<Input: Serialize, Output: Serialize>,
{
    fn hears(&mut self, message: &FromRendezvous) -> Vec<Does> {
        self.is_told(NetworkInput::Signal(to_text(message)).into())
    }

    fn is_told(&mut self, input: Input<M::Input>) -> Vec<Does> {
        self.endpoint.handle(self.now, input);
        let mut does = Vec::new();
        while let Some(output) = self.endpoint.poll() {
            match output {
                Output::Dial => does.push(Does::Dials),
                Output::DialAt(url) => does.push(Does::DialsAt(url)),
                Output::HangUp => does.push(Does::HangsUp),
                Output::DialBeside(texts) => {
                    let read = |text: &String| parse_to_rendezvous(text).expect("it makes sense");
                    does.push(Does::DialsBeside(texts.iter().map(read).collect()));
                }
                Output::TakeBeside => does.push(Does::TakesBeside),
                Output::HangUpBeside => does.push(Does::LeavesBeside),
                Output::Signal(text) => does.push(Does::Says(parse_to_rendezvous(&text).expect("it makes sense"))),
                Output::Record(bytes) => self.recording.extend(bytes),
                Output::Machine(_)
                | Output::Bind(_)
                | Output::Datagram { .. }
                | Output::Relay(_)
                | Output::TurnDial(..)
                | Output::TurnWrite(..)
                | Output::TurnHangUp(_)
                | Output::Peer(..)
                | Output::Links(_)
                | Output::Note(_) => {}
            }
        }
        does
    }

    fn waits(&mut self, span: Duration) -> Vec<Does> {
        self.now = self.now + span;
        self.is_told(Input::Tick)
    }

    fn is_up(&mut self) -> Vec<Does> {
        self.is_told(NetworkInput::SignalUp.into())
    }

    fn replays(&self) {
        let records = journal::read(&self.recording).expect("it was just made");
        journal::replay(&records, |_| {}).expect("it goes as it went");
    }
}

fn viewer(server: &str) -> Alone<Viewer> {
    let invite = host_secrets(1).invite(server, Role::View);
    let config = viewer_config([4; 32], Role::View);
    let first = config.first_record();
    let secrets = Secrets::Viewer(invite);
    let endpoint = Endpoint::new(Viewer::new(config), FakeEngine::new(1), secrets, Entropy::new([5; 32]));
    Alone { endpoint: endpoint.recording(&first), now: Timestamp::ZERO, recording: Vec::new() }
}

#[test]
fn a_viewer_goes_only_where_its_invite_leads_by_the_same_link_and_three_times_in_a_row() {
    let mut viewer = viewer("http://beach.test");
    assert_eq!(viewer.is_told(Input::Tick), [Does::Dials]);
    let joins = viewer.is_up();
    let [Does::Says(ToRendezvous::Join { link, moves: true, .. })] = joins[..] else { panic!("{joins:?}") };
    let sent = |url: &str| FromRendezvous::Elsewhere { link, url: url.to_owned() };
    for node in ["http://a.beach.test", "http://b.beach.test:81/n/b", "http://beach.test"] {
        assert_eq!(viewer.hears(&sent(node)), [Does::DialsAt(node.to_owned())]);
        assert_eq!(viewer.is_up(), joins, "the same join");
    }
    assert_eq!(viewer.hears(&sent("http://a.beach.test")), [Does::HangsUp], "no fourth time");
    assert_eq!(viewer.waits(ms(400)), [Does::Dials], "the invite's own");
    viewer.is_up();
    assert_eq!(viewer.hears(&FromRendezvous::Waiting { link }), []);
    assert_eq!(viewer.hears(&sent("http://a.beach.test")), [Does::DialsAt("http://a.beach.test".to_owned())]);
    let gone = NetworkInput::SignalDown("connection refused".to_owned());
    assert_eq!(viewer.is_told(gone.into()), []);
    assert_eq!(viewer.waits(ms(400)), [Does::Dials], "a place that is not there leads back to the invite's");
    viewer.is_up();
    assert_eq!(viewer.hears(&sent("http://evil.test")), [], "counts as no session");
    assert_eq!(viewer.waits(secs(1)), joins, "the same one is asked again");
    viewer.replays();
}

#[test]
fn a_viewer_that_came_back_from_a_place_that_is_not_there_is_sent_on_as_if_it_were_new() {
    let mut viewer = viewer("http://beach.test");
    assert_eq!(viewer.is_told(Input::Tick), [Does::Dials]);
    let joins = viewer.is_up();
    let [Does::Says(ToRendezvous::Join { link, .. })] = joins[..] else { panic!("{joins:?}") };
    for _ in 0..4 {
        let url = "http://a.beach.test".to_owned();
        assert_eq!(viewer.hears(&FromRendezvous::Elsewhere { link, url: url.clone() }), [Does::DialsAt(url)]);
        let refused = NetworkInput::SignalDown("connection refused".to_owned());
        assert_eq!(viewer.is_told(refused.into()), []);
        let again = (0..40).map(|_| viewer.waits(ms(100))).find(|does| !does.is_empty());
        assert_eq!(again, Some(vec![Does::Dials]), "the invite's own");
        assert_eq!(viewer.is_up(), joins);
    }
    viewer.replays();
}

/// A viewer alone, whose endpoint the test plays.
struct Guest {
    viewer: Viewer,
    now: Timestamp,
    link: LinkId,
}

impl Guest {
    /// One that has asked to join.
    fn asks() -> Guest {
        let viewer = Viewer::new(viewer_config([4; 32], Role::View));
        let mut guest = Guest { viewer, now: Timestamp::ZERO, link: LinkId(0) };
        guest.feels(ViewerInput::Tick);
        guest.link = guest.hears(Event::SignalUp).expect("the viewer asks to join");
        guest
    }

    /// The link by which the viewer asks to join after an input, if it does. The viewer must not end.
    fn feels(&mut self, input: ViewerInput) -> Option<LinkId> {
        self.viewer.handle(self.now, input);
        let mut joins = None;
        while let Some(output) = self.viewer.poll() {
            match output {
                ViewerOutput::Link(Command::Join(link, _)) => joins = Some(link),
                ViewerOutput::Exit(exit) => panic!("the viewer ends at {:?}: {exit:?}", self.now),
                ViewerOutput::Link(_)
                | ViewerOutput::Show(_)
                | ViewerOutput::Size(_)
                | ViewerOutput::CursorAsked
                | ViewerOutput::KeysTaken
                | ViewerOutput::Notice(_) => {}
            }
        }
        joins
    }

    fn hears(&mut self, event: Event) -> Option<LinkId> {
        self.feels(ViewerInput::Link(event))
    }

    fn waits(&mut self, span: Duration) -> Option<LinkId> {
        self.now = self.now + span;
        self.feels(ViewerInput::Tick)
    }

    /// Its rendezvous lets the viewer in.
    fn is_joined(&mut self) {
        let (link, versions) = (self.link, vec![1]);
        self.hears(Event::Joined { link, role: Role::View, versions, resumes: None, from: None });
    }

    /// Goes to another rendezvous, and asks there.
    fn goes(&mut self) {
        self.hears(Event::Elsewhere(self.link, THERE.to_owned()));
        assert_eq!(self.hears(Event::SignalUp), Some(self.link), "by the same link");
    }

    fn is_refused(&mut self, refusal: Refusal) {
        self.hears(Event::Refused(Some(self.link), refusal));
    }
}

#[test]
fn a_viewer_that_waits_for_approval_stays_while_the_place_that_it_was_sent_to_is_busy() {
    let mut guest = Guest::asks();
    guest.is_joined();
    guest.hears(Event::Verdict(guest.link, Verdict::Waiting));
    guest.goes();
    for _ in 0..4 {
        guest.is_refused(Refusal::Busy);
        let again = (0..20).find_map(|_| guest.waits(ms(100)));
        assert_eq!(again, Some(guest.link), "asks again by the link that the host knows");
    }
    guest.is_joined();
    guest.goes();
    guest.is_refused(Refusal::Busy);
    guest.now = guest.now + secs(11);
    guest.is_refused(Refusal::Busy);
    assert_eq!(guest.viewer.stage(), Stage::ReachingRendezvous, "the handshake is begun anew");
}

#[test]
fn a_viewer_that_has_a_path_to_its_host_is_ended_by_no_rendezvous() {
    for refusal in [Refusal::NoSession, Refusal::Busy] {
        let mut guest = Guest::asks();
        guest.is_joined();
        guest.hears(Event::Verdict(guest.link, Verdict::Accepted));
        guest.hears(Event::Envelope(guest.link, Envelope::Offer(1)));
        guest.hears(Event::Progress(guest.link, 1, Progress::Securing));
        guest.goes();
        guest.is_refused(refusal);
        let again = guest.waits(secs(1));
        assert_eq!(again, Some(guest.link), "the relay may be needed");
        assert_eq!(guest.viewer.stage(), Stage::Securing);
    }
}

#[test]
fn each_time_that_a_viewer_is_sent_elsewhere_the_host_has_its_whole_time_to_come() {
    let mut guest = Guest::asks();
    guest.goes();
    guest.hears(Event::Waiting(guest.link));
    guest.now = guest.now + secs(30);
    for refusal in [Refusal::NoSession, Refusal::Busy] {
        guest.goes();
        guest.now = guest.now + secs(4);
        guest.is_refused(refusal.clone());
        let again = (0..20).find_map(|_| guest.waits(ms(100)));
        assert_eq!(again, Some(guest.link), "{refusal:?}");
    }
}

fn host(seed: u8) -> Alone<Host> {
    let mut config = HostPlan::new(1).config;
    config.seed = [seed; 32];
    let first = config.first_record();
    let secrets = Secrets::Host(host_secrets(1));
    let endpoint = Endpoint::new(Host::new(config), FakeEngine::new(1), secrets, Entropy::new([5; 32]));
    Alone { endpoint: endpoint.recording(&first), now: Timestamp::ZERO, recording: Vec::new() }
}

fn register(turn: u64) -> ToRendezvous {
    ToRendezvous::register(&host_secrets(1)).in_turn(turn)
}

const REGISTERED: FromRendezvous = FromRendezvous::Registered { ice: Vec::new(), short_names: true };

impl Alone<Host> {
    /// A host that is registered, and is told to move at once.
    fn told_to_move(seed: u8) -> Alone<Host> {
        let mut host = host(seed);
        host.is_told(Input::Tick);
        assert_eq!(host.is_up(), [Does::Says(register(1))]);
        assert_eq!(host.hears(&REGISTERED), []);
        assert_eq!(host.hears(&FromRendezvous::Move { within: 0 }), [Does::DialsBeside(vec![register(2)])]);
        host
    }

    fn hears_beside(&mut self, message: &FromRendezvous) -> Vec<Does> {
        self.is_told(NetworkInput::SignalBeside(to_text(message)).into())
    }

    /// The endpoint's next actions within `span`, if there are any but pings.
    fn does_within(&mut self, span: Duration) -> Vec<Does> {
        let end = self.now + span;
        while self.now < end {
            let does = self.waits(ms(10));
            if does.iter().any(|does| *does != Does::Says(ToRendezvous::Ping)) {
                return does;
            }
        }
        Vec::new()
    }
}

#[test]
fn a_host_counts_its_registrations_and_moves_at_a_time_of_its_own() {
    let mut times = BTreeSet::new();
    for seed in 0..20 {
        let mut host = host(seed);
        assert_eq!(host.is_told(Input::Tick), [Does::Dials]);
        assert_eq!(host.is_up(), [Does::Says(register(1))]);
        assert_eq!(host.hears(&REGISTERED), []);
        assert_eq!(host.hears(&FromRendezvous::Move { within: 10 }), []);
        let beside = Does::DialsBeside(vec![register(2)]);
        let at = (1..=100).find(|_| host.waits(ms(100)).contains(&beside));
        times.insert(at.expect("in time"));
        assert_eq!(host.waits(secs(3)), [], "it stays until it is registered there");
        assert_eq!(host.hears_beside(&REGISTERED), [Does::TakesBeside]);
        assert_eq!(host.does_within(secs(15)), [], "once");
        host.replays();
    }
    assert!(times.len() > 10, "not all at once: {times:?}");
}

#[test]
fn a_host_that_gets_to_no_other_rendezvous_keeps_the_one_it_has_and_tries_again() {
    let mut host = Alone::told_to_move(1);
    let refused = || NetworkInput::BesideDown("connection refused".to_owned()).into();
    assert_eq!(host.is_told(refused()), []);
    assert_eq!(host.does_within(ms(400)), [Does::DialsBeside(vec![register(3)])]);
    let busy = FromRendezvous::Refused { link: None, reason: Refusal::Busy };
    assert_eq!(host.hears_beside(&busy), [Does::LeavesBeside]);
    assert_eq!(host.hears_beside(&REGISTERED), [], "of a connection that was left");
    assert_eq!(host.does_within(ms(800)), [Does::DialsBeside(vec![register(4)])]);
    assert_eq!(host.does_within(secs(11)), [Does::LeavesBeside], "no answer");
    assert_eq!(host.does_within(secs(2)), [Does::DialsBeside(vec![register(5)])]);
    let gone = || NetworkInput::SignalDown("the rendezvous closed the connection".to_owned()).into();
    assert_eq!(host.is_told(gone()), [], "a moment too soon");
    assert_eq!(host.hears_beside(&REGISTERED), [Does::TakesBeside]);
    assert_eq!(host.hears(&FromRendezvous::Pong), []);
    host.replays();

    let mut host = Alone::told_to_move(2);
    assert_eq!(host.is_told(gone()), []);
    assert_eq!(host.is_told(refused()), []);
    assert_eq!(host.does_within(ms(400)), [Does::Dials], "nothing is left");
    assert_eq!(host.is_up(), [Does::Says(register(3))]);
    host.replays();
}

#[test]
fn a_rendezvous_that_sends_a_host_on_again_and_again_is_obeyed_every_five_seconds() {
    let mut host = Alone::told_to_move(3);
    assert_eq!(host.hears_beside(&REGISTERED), [Does::TakesBeside]);
    for _ in 0..100 {
        assert_eq!(host.hears(&FromRendezvous::Move { within: 0 }), []);
    }
    assert_eq!(host.does_within(ms(4980)), []);
    assert_eq!(host.does_within(ms(40)), [Does::DialsBeside(vec![register(3)])]);
    for _ in 0..100 {
        assert_eq!(host.hears(&FromRendezvous::Move { within: 0 }), [], "while it goes");
    }
    assert_eq!(host.does_within(ms(4960)), []);
    assert_eq!(host.does_within(ms(60)), [Does::DialsBeside(vec![register(4)])]);
    host.replays();
}

#[test]
fn a_host_that_lost_its_rendezvous_while_it_moves_knows_so_after_a_second_move() {
    let mut host = Alone::told_to_move(5);
    let gone = NetworkInput::SignalDown("the rendezvous closed the connection".to_owned());
    assert_eq!(host.is_told(gone.into()), []);
    assert_eq!(host.hears_beside(&FromRendezvous::Move { within: 0 }), []);
    assert_eq!(host.does_within(ms(4980)), []);
    assert_eq!(host.does_within(ms(40)), [Does::DialsBeside(vec![register(3)])]);
    let refused = NetworkInput::BesideDown("connection refused".to_owned());
    assert_eq!(host.is_told(refused.into()), []);
    assert_eq!(host.does_within(ms(400)), [Does::Dials], "nothing is left");
    host.replays();
}

#[test]
fn a_host_that_got_to_no_other_rendezvous_in_time_dials_soon_after_its_own_has_ended() {
    let mut host = Alone::told_to_move(6);
    let busy = FromRendezvous::Refused { link: None, reason: Refusal::Busy };
    for turn in 3..8 {
        assert_eq!(host.hears_beside(&busy), [Does::LeavesBeside]);
        assert_eq!(host.does_within(secs(7)), [Does::DialsBeside(vec![register(turn)])]);
    }
    assert_eq!(host.hears_beside(&busy), [Does::LeavesBeside]);
    let gone = NetworkInput::SignalDown("the connection was reset".to_owned());
    assert_eq!(host.is_told(gone.into()), []);
    assert_eq!(host.does_within(ms(400)), [Does::Dials], "the pauses between moves have grown, and are others");
    host.replays();
}

#[test]
fn links_that_change_while_a_host_moves_begin_the_move_anew_with_five_sessions_at_most() {
    let mut host = Alone::told_to_move(4);
    for turn in (3..15).step_by(2) {
        let does = host.is_told(Input::Machine(HostInput::Act(ModeratorAction::Rotate)));
        assert_eq!(does.first(), Some(&Does::LeavesBeside));
        let Some(Does::Says(ToRendezvous::Register { session, turn: said, .. })) = does.last() else {
            panic!("{does:?}")
        };
        assert_eq!(*said, turn);
        assert_eq!(host.hears_beside(&REGISTERED), [], "of a connection that was left");
        let does = host.does_within(secs(10));
        let [Does::DialsBeside(registrations)] = &does[..] else { panic!("{does:?}") };
        assert!(registrations.len() <= 5, "as many as one connection may host");
        let is_new =
            |said: &ToRendezvous| matches!(said, ToRendezvous::Register { session: one, .. } if one == session);
        assert!(is_new(&registrations[0]), "the new links first");
    }
    assert_eq!(host.hears_beside(&REGISTERED), [Does::TakesBeside], "nothing is left to register");
    host.replays();
}

#[test]
fn a_host_closes_no_link_that_its_rendezvous_has_closed_as_the_viewer_may_be_back_by_the_same_link() {
    let mut host = host(6);
    host.is_told(Input::Tick);
    host.is_up();
    host.hears(&REGISTERED);
    let link = LinkId(7);
    let joined = FromRendezvous::Joined {
        link,
        role: Role::View,
        versions: vec![1],
        relay: true,
        resumes: None,
        ice: Vec::new(),
        from: None,
        session: None,
    };
    for _ in 0..3 {
        // A connection that was carried, or that the viewer has left, ends: the viewer is on its way back.
        assert_eq!(host.hears(&joined), []);
        assert_eq!(host.hears(&FromRendezvous::Closed { link }), [], "the close would hit the viewer's next try");
    }
    assert_eq!(host.hears(&joined), []);
    assert_eq!(host.does_within(secs(6)), [Does::Says(ToRendezvous::Close { link })], "the viewer proves nothing");
    host.replays();
}

/// The keys that somebody types, over and over.
const KEYS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

/// A deploy: each rendezvous in turn ends, and starts anew. Meanwhile somebody types in each session, through the
/// rendezvous, and viewers come.
struct Deploy {
    town: Town,
    typed: usize,
    /// The most keys that were on their way, or had not come to the program yet.
    behind: usize,
    /// The viewers that stay, one for each host.
    stay: Vec<usize>,
    came: Vec<usize>,
}

/// Between two keys.
const KEY_EVERY: Duration = ms(100);

impl Deploy {
    fn new(town: Town) -> Deploy {
        Deploy::of(town, Nodes::add_relayed_viewer)
    }

    /// One whose viewers that stay are carried to the rendezvous of their host, if they came to another one.
    fn with_carried_viewers(town: Town) -> Deploy {
        Deploy::of(town, Nodes::add_carried_viewer)
    }

    fn of(mut town: Town, add: fn(&mut Nodes, u64) -> usize) -> Deploy {
        let stay = (0..town.hosts).map(|host| add(&mut town.nodes, host as u64)).collect();
        town.nodes.run(secs(3));
        Deploy { town, typed: 0, behind: 0, stay, came: Vec::new() }
    }

    fn types_for(&mut self, span: Duration, viewers: bool) {
        let end = self.town.nodes.now + span;
        while self.town.nodes.now < end {
            for (host, viewer) in self.stay.iter().enumerate() {
                let on_the_way = self.typed - self.town.nodes.hosts[host].written.len();
                self.behind = self.behind.max(on_the_way);
                self.town.nodes.type_key(*viewer, KEYS[self.typed % KEYS.len()]);
            }
            self.typed += 1;
            if viewers && self.typed.is_multiple_of(5) {
                let came = (0..self.town.hosts).map(|host| self.town.nodes.add_viewer(host as u64, None));
                self.came.extend(came);
            }
            self.town.nodes.run(KEY_EVERY);
        }
    }

    /// How long each rendezvous took to end.
    fn goes_through(&mut self, viewers: bool) -> Vec<Duration> {
        let mut took = Vec::new();
        for node in 0..self.town.count {
            self.types_for(secs(2), viewers);
            let began = self.town.nodes.now;
            self.town.nodes.drain(node);
            while self.town.nodes.runs(node) {
                self.types_for(ms(500), viewers);
                assert!(self.town.nodes.now < began + MOVED_WITHIN + secs(1), "the rendezvous ends in time");
            }
            took.push(self.town.nodes.now.since(began));
            self.types_for(secs(2), viewers);
            self.town.nodes.start(node);
        }
        self.types_for(secs(2), viewers);
        self.town.nodes.run(secs(5));
        took
    }

    /// Everything that was typed came to the program, once and in order.
    fn lost_nothing(&self, behind: Duration) {
        let typed: Vec<u8> = (0..self.typed).map(|number| KEYS[number % KEYS.len()]).collect();
        for (host, viewer) in self.stay.iter().enumerate() {
            assert_eq!(self.town.nodes.viewers[*viewer].failed, None, "no session ends");
            let written = &self.town.nodes.hosts[host].written;
            assert!(*written == typed, "host {host}: {} keys of {}", written.len(), typed.len());
        }
        let longest = KEY_EVERY * u32::try_from(self.behind).unwrap_or(u32::MAX);
        assert!(longest <= behind, "typing stood still for {longest:?}");
    }

    fn nobody_noticed(&self) {
        for (host, viewer) in self.stay.iter().enumerate() {
            let notices = (self.town.nodes.hosts[host].lost, self.town.nodes.viewers[*viewer].away);
            assert_eq!(notices, (0, 0), "host {host} lost its rendezvous, or its viewer the host");
        }
    }

    /// All viewers that came got in; how long the slowest one took.
    fn all_came_in(&self) -> Duration {
        let took = self.came.iter().map(|viewer| {
            let viewer = &self.town.nodes.viewers[*viewer];
            viewer.took().unwrap_or_else(|| panic!("a viewer does not get in: {:?}", viewer.failed))
        });
        took.max().unwrap_or_default()
    }

    fn ends(self) {
        self.town.ends();
    }
}

fn town_of_new_hosts(seed: u64, count: usize, hosts: usize) -> Town {
    let mut nodes = Nodes::new(seed, count);
    for host in 0..hosts {
        nodes.add_host(host as u64, false);
    }
    nodes.run(secs(3));
    Town { nodes, count, hosts }
}

#[test]
fn a_deploy_of_all_rendezvous_ends_no_session_and_fails_no_join() {
    let test = "a_deploy_of_all_rendezvous_ends_no_session_and_fails_no_join";
    let done = for_each_seed(FILE, test, 0..100, |seed| {
        let mut deploy = Deploy::new(town_of_new_hosts(seed, 2 + seed as usize % 2, 4));
        let took = deploy.goes_through(true);
        assert!(took.iter().all(|took| *took <= secs(13)), "hosts are not waited for in vain: {took:?}");
        deploy.nobody_noticed();
        deploy.lost_nothing(secs(1));
        let slowest = deploy.all_came_in();
        assert!(slowest <= secs(2), "{slowest:?}");
        let behind = deploy.behind;
        deploy.ends();
        (behind, slowest)
    });
    report(&done);
}

/// Prints how many keys were on their way in each world at most, and how long the slowest join took.
fn report(done: &[(u64, (usize, Duration))]) {
    let mut behind: Vec<_> = done.iter().map(|(_, (behind, _))| *behind).collect();
    behind.sort_unstable();
    let slowest = done.iter().map(|(_, (_, slowest))| *slowest).max().unwrap_or_default();
    println!("keys on their way at most: {behind:?}; the slowest join took {slowest:?}");
}

#[test]
fn a_deploy_in_bad_weather_ends_no_session_and_fails_no_join() {
    let test = "a_deploy_in_bad_weather_ends_no_session_and_fails_no_join";
    let done = for_each_seed(FILE, test, 0..200, |seed| {
        let mut deploy = Deploy::new(town_of_new_hosts(seed, 2 + seed as usize % 2, 4));
        let nodes = &mut deploy.town.nodes;
        nodes.weather = Weather { longest: ms(300), lost: 5 };
        (nodes.jitter, nodes.refused) = (ms(150), 5);
        // Balancers that look at nothing but the port send hosts back to a rendezvous that ends.
        nodes.is_checked = seed % 3 > 0;
        deploy.goes_through(true);
        // Requests to the directory and connections are lost, and each is waited for or tried again.
        deploy.lost_nothing(secs(10));
        // A viewer to which a place says `busy` asks again for 10 s, however often its way there was lost before.
        deploy.town.nodes.run(secs(10));
        let slowest = deploy.all_came_in();
        assert!(slowest <= secs(15), "the slowest viewer came in after {slowest:?}");
        let behind = deploy.behind;
        deploy.ends();
        (behind, slowest)
    });
    report(&done);
}

#[test]
fn a_deploy_while_the_directory_is_down_ends_no_session_and_hosts_are_where_viewers_come() {
    let test = "a_deploy_while_the_directory_is_down_ends_no_session_and_hosts_are_where_viewers_come";
    for_each_seed(FILE, test, 0..100, |seed| {
        let mut deploy = Deploy::new(town_of_new_hosts(seed, 2, 4));
        deploy.town.nodes.directory(false);
        deploy.town.nodes.drain(0);
        while deploy.town.nodes.runs(0) {
            deploy.types_for(ms(500), false);
        }
        // All hosts are at the other one now.
        deploy.types_for(secs(3), true);
        deploy.town.nodes.run(secs(5));
        deploy.lost_nothing(secs(4));
        deploy.all_came_in();
        deploy.town.nodes.start(0);
        deploy.town.nodes.directory(true);
        deploy.town.nodes.run(ms(100));
        deploy.town.all_are_found(secs(2));
        deploy.ends();
    });
}

#[test]
fn hosts_that_know_no_move_are_dropped_at_the_end_of_a_deploy_and_lose_nothing() {
    let test = "hosts_that_know_no_move_are_dropped_at_the_end_of_a_deploy_and_lose_nothing";
    for_each_seed(FILE, test, 0..100, |seed| {
        let mut nodes = Nodes::new(seed, 2);
        for host in 0..4 {
            nodes.add_host(host, true);
        }
        nodes.run(secs(3));
        let mut deploy = Deploy::new(Town { nodes, count: 2, hosts: 4 });
        let took = deploy.goes_through(false);
        assert!(took.iter().all(|took| *took <= secs(3)), "nobody waits for them: {took:?}");
        deploy.lost_nothing(secs(5));
        deploy.ends();
    });
}

#[test]
fn who_is_carried_loses_nothing_whatever_happens_to_either_rendezvous() {
    let test = "who_is_carried_loses_nothing_whatever_happens_to_either_rendezvous";
    let carried = for_each_seed(FILE, test, 0..100, |seed| {
        let mut deploy = Deploy::with_carried_viewers(town_of_new_hosts(seed, 3, 4));
        let carried = deploy.town.nodes.carried();
        deploy.types_for(secs(2), false);
        let node = deploy.town.nodes.dice.between(0, 2) as usize;
        deploy.town.nodes.kill(node);
        deploy.types_for(secs(5), false);
        deploy.town.nodes.start(node);
        deploy.types_for(secs(5), true);
        deploy.goes_through(true);
        deploy.lost_nothing(secs(10));
        deploy.all_came_in();
        let town = &mut deploy.town;
        for (host, viewer) in deploy.stay.iter().enumerate() {
            assert!(town.nodes.viewers[*viewer].failed.is_none() && town.nodes.at(host).is_some());
            town.nodes.leave(Client::Viewer(*viewer));
        }
        town.nodes.run(secs(1));
        assert_eq!(town.nodes.carried(), 0, "nobody is left");
        deploy.ends();
        carried
    });
    assert!(carried.iter().any(|(_, carried)| *carried > 0), "all viewers came to the rendezvous of their host");
}
