//! A rendezvous that conspires with somebody who has a link: what neither can do alone they cannot do together. Whoever
//! may only watch only watches, nobody gets in by a link that lets nobody in, nobody takes the place of another viewer
//! or of the host, and whoever is kept out is told at which stage, and gets in once the lies end.
#![cfg(target_os = "linux")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use beach_core::crypto::invite::Invite;
use beach_core::endpoint::Paths;
use beach_core::host::{Approve, Awaits, HostInput, HostNotice, InviteRules, ModeratorAction};
use beach_core::ice::relay::Relayed;
use beach_core::ice::stun;
use beach_core::id::LinkId;
use beach_core::peer::engine::Engine;
use beach_core::role::Role;
use beach_core::session::handshake::{Cause, Failure, Stage};
use beach_core::session::link::{Lane, PathKind, Refusal};
use beach_core::terminal::Size;
use beach_core::time::Timestamp;
use beach_core::viewer::{ViewerExit, ViewerInput, ViewerNotice};
use beach_core::wire::frame::{FromViewer, InputEvent, Up};
use beach_core::wire::signal::{
    FromRendezvous, Opaque, ToRendezvous, parse_from_rendezvous, parse_to_rendezvous, to_text,
};
use beach_tests::determinism;
use beach_tests::sim::{
    FakeEngine, HostPlan, Impostor, LIES, Liar, Lie, Mouth, Packet, Plot, Signal, Speaking, ViewerPlan, Who, Wire,
    World, fake_engine, for_each_seed, host_secrets, ms, real, same_screens, secs,
};

const FILE: &str = "conspiracy";

const SERVER: &str = "http://rendezvous.test";

/// Longer than the longest wait of a stage, and ten seconds.
const ONCE_IT_IS_HONEST: Duration = secs(85);

fn is_live<E: Engine>(world: &World<E>, viewer: usize) -> bool {
    world.viewers[viewer].node.machine().stage() == Stage::Live && world.viewers[viewer].exit.is_none()
}

fn failure<E: Engine>(world: &World<E>, viewer: usize) -> &Failure {
    match &world.viewers[viewer].exit {
        Some((_, ViewerExit::Failed(failure))) => failure,
        other => panic!("{other:?}, not a failure: {}", world.story(viewer)),
    }
}

fn refusal<E: Engine>(world: &World<E>, viewer: usize) -> &Refusal {
    let Cause::Refused(refusal) = &failure(world, viewer).cause else { panic!("{}", world.story(viewer)) };
    refusal
}

/// Where viewers are who became members, in order, each with the role and the name.
fn joined<E: Engine>(world: &World<E>) -> Vec<(IpAddr, Role, String)> {
    let joined = |(_, notice): &(Timestamp, HostNotice)| {
        let HostNotice::Joined(_, role, name, path, _) = notice else { return None };
        Some((path.remote.ip(), *role, name.clone()))
    };
    world.hosts[0].notices.iter().filter_map(joined).collect()
}

fn place_of(viewer: usize) -> IpAddr {
    IpAddr::from([10, 2, 0, u8::try_from(viewer).expect("few viewers")])
}

/// A link of the host as it is now.
fn invite<E: Engine>(world: &World<E>, role: Role) -> Invite {
    world.hosts[0].node.endpoint().invite(SERVER, role).expect("a host has links")
}

/// The view link, claimed to be a control link.
fn claimed_control<E: Engine>(world: &World<E>) -> Invite {
    let mut claimed = invite(world, Role::Control);
    claimed.key = invite(world, Role::View).key.clone();
    claimed
}

fn typed(bytes: &[u8]) -> Vec<u8> {
    Up { seq: 1_000_000, first: 1, events: vec![InputEvent::Keys(bytes.to_vec())], ..Up::default() }.encode()
}

// A world in which everything is tried.

/// The mouths of viewers, by their numbers.
type Mouths = Rc<Vec<Mouth>>;

/// Most viewers of a world.
const MOST: usize = 200;

fn speaking<E: Engine>(
    mut engine: impl FnMut(Who, Timestamp) -> E + 'static,
    mouths: &Mouths,
) -> impl FnMut(Who, Timestamp) -> Speaking<E> + 'static {
    let mouths = mouths.clone();
    move |who, start| {
        let mouth = match who {
            Who::Viewer(index) => mouths[index].clone(),
            Who::Host(_) => Mouth::default(),
        };
        Speaking(engine(who, start), mouth)
    }
}

fn mouths() -> Mouths {
    Rc::new((0..MOST).map(|_| Mouth::default()).collect())
}

/// An honest person, who tries again when a try has failed.
struct Person {
    role: Role,
    seed: [u8; 32],
    viewer: usize,
    /// What they type: letters that nobody else types, each once.
    letters: Vec<char>,
    typed: usize,
}

/// A conspirator, and what they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Has {
    /// The view link.
    ViewLink,
    /// The key of the view link, which they claim to be that of the control link.
    ViewLinkAsControl,
    /// The view link, and the ids by which this person asks to join.
    ViewLinkAndIdsOf(usize),
    /// A control link that lets nobody in any more.
    OldLink,
}

/// The letter that conspirators type, and no one else.
const THEIRS: u8 = b'Z';

/// The address that lying STUN servers tell everybody.
const NOBODY: ([u8; 4], u16) = ([203, 0, 113, 9], 999);

/// The answer of a conspirator to a question: from whom, to whom, and its bytes.
type Answer = (Who, Who, Vec<u8>);

struct Play<E: Engine> {
    world: World<Speaking<E>>,
    mouths: Mouths,
    plot: Plot,
    people: Vec<Person>,
    /// Which viewers were whose: of people, and of conspirators.
    of_people: BTreeMap<usize, usize>,
    conspirators: BTreeMap<usize, Has>,
    old_link: Option<Invite>,
    paths: Paths,
    asks: bool,
    /// Answers to questions that came to a conspirator's socket as to a STUN server.
    answers: Rc<RefCell<Vec<Answer>>>,
    /// Notices of the host that were looked at.
    looked_at: usize,
}

impl<E: Engine> Play<E> {
    /// A host, people on their way to it, and conspirators who come soon.
    fn new(mut world: World<Speaking<E>>, mouths: Mouths) -> Play<E> {
        let plot = Plot::default();
        let asks = world.dice.percent(30);
        let expires = world.dice.percent(40);
        let paths = if world.dice.percent(50) { Paths::Any } else { Paths::DirectOnly };
        let mut plan = HostPlan::new(1);
        plan.config.approve = if asks { Approve::Everybody } else { Approve::Nobody };
        plan.config.links = InviteRules { once: false, expire: expires.then_some(secs(20)) };
        plan.paths = paths;
        world.add_host(plan);
        world.run_for(ms(600));
        let old_link = Some(invite(&world, Role::Control));
        if !expires {
            world.host_input(0, HostInput::Act(ModeratorAction::Rotate));
            world.run_for(ms(200));
        }
        let answers = Rc::new(RefCell::new(Vec::new()));
        let (asked, conspirators) = (answers.clone(), plot.conspirators.clone());
        world.tamper = Some(Box::new(move |Packet { from, to, bytes }| {
            if let Who::Viewer(viewer) = to
                && conspirators.borrow().contains(&viewer)
                && let Some((answer, _)) = stun::answer(NOBODY.into(), &bytes)
            {
                asked.borrow_mut().push((from, to, answer));
            }
            Some(bytes)
        }));
        world.meddler = Some(Liar::drawn(&mut world.dice, &plot).meddler());
        plot.lies.set(true);
        let mut play = Play {
            world,
            mouths,
            plot,
            people: Vec::new(),
            of_people: BTreeMap::new(),
            conspirators: BTreeMap::new(),
            old_link,
            paths,
            asks,
            answers,
            looked_at: 0,
        };
        for (role, letters) in [(Role::Control, "abcdefghijkl"), (Role::Control, "mnopqrstuvwx"), (Role::View, "")] {
            let seed = play.world.dice.seed();
            play.people.push(Person { role, seed, viewer: 0, letters: letters.chars().collect(), typed: 0 });
            play.person_joins(play.people.len() - 1, Some(seed));
            play.time_passes();
        }
        for has in [Has::ViewLink, Has::ViewLinkAsControl, Has::ViewLinkAndIdsOf(2)] {
            if play.world.dice.percent(70) {
                play.conspirator_joins(has);
                play.time_passes();
            }
        }
        // An expired link is of no use before it has expired.
        if !expires {
            play.conspirator_joins(Has::OldLink);
        }
        play
    }

    fn time_passes(&mut self) {
        let pause = self.world.dice.up_to(ms(400));
        self.world.run_for(pause);
    }

    fn plan(&mut self, invite: Invite) -> ViewerPlan {
        let mut plan = ViewerPlan::new(invite);
        plan.paths = self.paths;
        plan.wire = Wire::random(&mut self.world.dice, 3);
        plan.at = self.world.now().since_start();
        plan
    }

    /// The same ids only for the first try: a link's id is good for one.
    fn person_joins(&mut self, person: usize, seed: Option<[u8; 32]>) {
        let invite = invite(&self.world, self.people[person].role);
        let plan = ViewerPlan { seed, ..self.plan(invite) };
        let viewer = self.world.add_viewer(plan);
        self.people[person].viewer = viewer;
        self.of_people.insert(viewer, person);
    }

    fn conspirator_joins(&mut self, has: Has) {
        let (invite, seed) = match has {
            Has::ViewLink => (invite(&self.world, Role::View), None),
            Has::ViewLinkAsControl => (claimed_control(&self.world), None),
            Has::ViewLinkAndIdsOf(person) => (invite(&self.world, Role::View), Some(self.people[person].seed)),
            Has::OldLink => match &self.old_link {
                Some(link) => (link.clone(), None),
                None => return,
            },
        };
        let plan = ViewerPlan { seed, ..self.plan(invite) };
        let viewer = self.world.add_viewer(plan);
        self.conspirators.insert(viewer, has);
        self.plot.conspirators.borrow_mut().insert(viewer);
        // As STUN and TURN servers the rendezvous names their sockets, other people's, the host's, and none.
        let mut servers = self.plot.servers.borrow_mut();
        servers.extend([viewer, self.people[0].viewer].map(|viewer| format!("stun:{}:4001", place_of(viewer))));
        servers.extend(
            ["stun:10.1.0.0:4001", "stun:203.0.113.1:9", "turn:a:b@203.0.113.2:9?transport=udp", "?"]
                .map(str::to_owned),
        );
    }

    /// What conspirators say once they are in, or would like to be: typing, another size, nonsense, addresses of
    /// others.
    fn conspirators_speak(&mut self) {
        for viewer in self.conspirators.keys() {
            let mouth = &self.mouths[*viewer];
            match self.world.dice.between(0, 5) {
                0 => mouth.say(Lane::Terminal, typed(&[THEIRS])),
                1 => mouth.say(Lane::Control, FromViewer::Size(Size::new(20, 5)).encode()),
                2 => mouth.name(SocketAddr::new(place_of(self.people[0].viewer), 4001)),
                3 => mouth.name(NOBODY.into()),
                _ => {}
            }
        }
        let typing: Vec<usize> = self.conspirators.keys().copied().collect();
        for viewer in typing.into_iter().filter(|_| self.world.dice.percent(20)).collect::<Vec<_>>() {
            if self.world.viewers[viewer].exit.is_none() {
                self.world.type_keys(viewer, "Z");
            }
        }
    }

    /// Half a second of it.
    fn goes_on(&mut self, conspiring: bool) {
        for person in 0..self.people.len() {
            let Person { viewer, letters, typed, .. } = &mut self.people[person];
            let viewer = *viewer;
            if self.world.viewers[viewer].exit.is_some() {
                // People do not try again at once.
                if self.world.dice.percent(if conspiring { 15 } else { 40 }) && self.world.viewers.len() < MOST {
                    self.person_joins(person, None);
                }
            } else if let Some(letter) = letters.get(*typed).filter(|_| self.world.dice.percent(20)) {
                *typed += 1;
                self.world.type_keys(viewer, &letter.to_string());
            }
        }
        if conspiring {
            self.conspirators_speak();
            let gone = |(viewer, _): &(&usize, &Has)| self.world.viewers[**viewer].exit.is_some();
            let again: Vec<Has> = self.conspirators.iter().filter(gone).map(|(_, has)| *has).collect();
            let has = again.get(self.world.dice.between(0, 20) as usize).copied();
            if let Some(has) = has.filter(|_| self.world.viewers.len() < MOST / 4) {
                self.conspirator_joins(has);
            }
        }
        self.people_compare_words();
        self.world.run_for(ms(500));
        let answers = std::mem::take(&mut *self.answers.borrow_mut());
        for (from, to, answer) in answers {
            let here = |who| match who {
                Who::Viewer(viewer) => self.world.viewers[viewer].is_here(),
                Who::Host(_) => true,
            };
            if here(from) && here(to) {
                self.world.forge(to, from, answer);
            }
        }
        self.look();
    }

    /// The person at the host lets in whoever reads them the words that stand in the question.
    fn people_compare_words(&mut self) {
        for pending in self.world.hosts[0].node.machine().status().pending {
            let words = ViewerNotice::Sas(pending.sas);
            let reads =
                |person: &Person| self.world.viewers[person.viewer].notices.iter().any(|(_, notice)| *notice == words);
            if pending.awaits == Awaits::Person && self.people.iter().any(reads) {
                self.world.host_input(0, HostInput::Act(ModeratorAction::Approve(pending.id)));
            }
        }
    }

    /// What has to be so at any time.
    fn look(&mut self) {
        let host = &self.world.hosts[0];
        assert!(host.exit.is_none(), "the host goes on: {:?}", host.exit);
        assert!(!host.written.contains(&THEIRS), "a conspirator has typed");
        assert_eq!(host.resized.len(), 1, "a conspirator has resized the terminal");
        for person in self.people.iter() {
            let own = host.written.iter().filter(|byte| person.letters.contains(&char::from(**byte)));
            assert!(
                own.is_sorted_by(|a, b| a < b),
                "each key once, in order: {:?}",
                host.written.escape_ascii().to_string()
            );
        }
        for (_, notice) in &host.notices[self.looked_at..] {
            if let HostNotice::Joined(_, role, name, path, _) = notice {
                let viewer: usize = name.trim_start_matches("viewer ").parse().expect("a number");
                self.may_join(viewer, *role);
                let is_direct = path.kind == PathKind::Direct;
                assert!(!is_direct || path.remote.ip() == place_of(viewer), "{name} joins from {}", path.remote);
            }
            assert!(!matches!(notice, HostNotice::Role(..)), "somebody may do something else: {notice:?}");
        }
        self.looked_at = host.notices.len();
        for viewer in self.of_people.keys() {
            for (_, notice) in &self.world.viewers[*viewer].notices {
                if let ViewerNotice::Connected(path) = notice {
                    let is_host = path.kind != PathKind::Direct || path.remote.ip() == IpAddr::from([10, 1, 0, 0]);
                    assert!(is_host, "viewer {viewer} has confirmed somebody else: {path:?}");
                }
            }
        }
    }

    fn may_join(&self, viewer: usize, role: Role) {
        match (self.of_people.get(&viewer), self.conspirators.get(&viewer)) {
            (Some(person), _) => assert_eq!(role, self.people[*person].role, "viewer {viewer}"),
            (None, Some(Has::ViewLink | Has::ViewLinkAndIdsOf(_))) => {
                assert!(!self.asks, "viewer {viewer} was let in with words that nobody read");
                assert_eq!(role, Role::View, "viewer {viewer} has a view link");
            }
            (None, has) => panic!("viewer {viewer} got in: {has:?}"),
        }
    }

    /// Each try of a person that ended was told why; no stage of one took much longer than it may. A rendezvous that is
    /// lost gets its whole time again, and one that sends people elsewhere makes the wait for the host longer.
    fn people_were_told(&self) {
        const LONGER: Duration = secs(16);
        for viewer in self.of_people.keys() {
            let node = &self.world.viewers[*viewer];
            if let Some((_, exit)) = &node.exit {
                let ViewerExit::Failed(failure) = exit else { panic!("viewer {viewer} ended by {exit:?}") };
                let within = failure.stage.deadline().map_or(Duration::MAX, |within| within + LONGER);
                assert!(failure.after <= within, "viewer {viewer}: {failure:?}");
            }
            let mut since: Option<(Stage, Timestamp)> = None;
            let end = node.exit.as_ref().map_or(self.world.now(), |(at, _)| *at);
            for (at, notice) in node.notices.iter().map(|(at, notice)| (*at, Some(notice))).chain([(end, None)]) {
                let next = match notice {
                    Some(ViewerNotice::Stage(Stage::Live) | ViewerNotice::Back(_) | ViewerNotice::FirstScreen(..)) => {
                        None
                    }
                    Some(ViewerNotice::Stage(stage)) => Some((*stage, at)),
                    None => None,
                    Some(_) => continue,
                };
                if let Some((stage, entered)) = since {
                    let within = stage.deadline().map_or(Duration::MAX, |within| within + LONGER);
                    assert!(at.since(entered) <= within, "viewer {viewer} is at {stage} from {entered} to {at}");
                }
                since = next;
            }
        }
    }

    fn everybody_is_in(&self) -> bool {
        self.people.iter().all(|person| is_live(&self.world, person.viewer))
    }

    /// The lies, for so long, then the truth; how often each lie was told, and how many people joined meanwhile.
    fn plays_out(mut self, lying: Duration) -> (BTreeMap<Lie, u64>, usize) {
        let end = self.world.now() + lying;
        while self.world.now() < end {
            self.goes_on(true);
            // By now the links have expired, if they do.
            let is_late = self.world.now().since_start() > secs(22);
            if is_late && !self.conspirators.values().any(|has| *has == Has::OldLink) {
                self.conspirator_joins(Has::OldLink);
            }
        }
        let people: BTreeSet<String> = self.of_people.keys().map(|viewer| format!("viewer {viewer}")).collect();
        let among_them = joined(&self.world).iter().filter(|(_, _, name)| people.contains(name)).count();

        // An honest rendezvous takes the place of the liar, and the host makes new links.
        self.plot.lies.set(false);
        self.world.kill_rendezvous();
        self.world.run_for(secs(1));
        self.world.start_rendezvous();
        self.world.host_input(0, HostInput::Act(ModeratorAction::Rotate));
        self.old_link = None;
        let end = self.world.now() + ONCE_IT_IS_HONEST;
        while !self.everybody_is_in() && self.world.now() < end {
            self.goes_on(false);
        }
        for person in &self.people {
            assert!(is_live(&self.world, person.viewer), "{}", self.world.story(person.viewer));
        }
        self.people_were_told();
        self.all_is_well();
        let told = self.plot.told.borrow().clone();
        (told, among_them)
    }

    /// People type and see, as if nothing had been.
    fn all_is_well(&mut self) {
        for person in 0..2 {
            let viewer = self.people[person].viewer;
            let key = ["Y", "X"][person];
            self.world.type_keys(viewer, key);
            let arrives = |world: &World<Speaking<E>>| world.hosts[0].written.contains(&key.as_bytes()[0]);
            assert!(self.world.run_until(secs(15), arrives), "{}", self.world.story(viewer));
        }
        let people: Vec<usize> = self.people.iter().map(|person| person.viewer).collect();
        let same = |world: &World<Speaking<E>>| {
            let host = world.hosts[0].node.machine();
            let screen = |viewer: &usize| world.viewers[*viewer].node.machine().screen();
            people.iter().try_for_each(|viewer| same_screens(screen(viewer), host.emulator()))
        };
        let is_same = self.world.run_until(secs(15), |world| same(world).is_ok());
        assert!(is_same, "{:?}", same(&self.world));
        self.look();
    }
}

#[test]
fn whatever_a_rendezvous_does_together_with_people_who_have_links_they_stay_what_they_are_and_others_get_in() {
    let test =
        "whatever_a_rendezvous_does_together_with_people_who_have_links_they_stay_what_they_are_and_others_get_in";
    let outcomes = for_each_seed(FILE, test, 0..100, |seed| {
        let mouths = mouths();
        Play::new(World::new(seed, speaking(fake_engine, &mouths)), mouths).plays_out(secs(40))
    });
    let mut all = BTreeMap::<Lie, u64>::new();
    for (told, _) in outcomes.iter().map(|(_, outcome)| outcome) {
        told.iter().for_each(|(lie, count)| *all.entry(*lie).or_default() += count);
    }
    let among_them: usize = outcomes.iter().map(|(_, (_, joined))| joined).sum();
    println!("{among_them} people joined among the lies: {all:?}");
    if outcomes.len() >= 100 {
        assert!(LIES.iter().all(|lie| all.get(lie).is_some_and(|count| *count >= 20)), "{all:?}");
        assert!(among_them > outcomes.len(), "the rendezvous lies, and is not closed");
    }
}

#[test]
fn over_real_ice_and_dtls_a_rendezvous_and_people_who_have_links_achieve_no_more() {
    let test = "over_real_ice_and_dtls_a_rendezvous_and_people_who_have_links_achieve_no_more";
    for_each_seed(FILE, test, 0..4, |seed| {
        determinism::run(seed, move || {
            let mouths = mouths();
            let world = real::world_of(seed, speaking(real::engine, &mouths));
            Play::new(world, mouths).plays_out(secs(25));
        });
    });
}

// One thing at a time.

/// A host, and an honest viewer of this role who is in.
fn session(role: Role) -> World<FakeEngine> {
    let mut world = World::new(1, fake_engine);
    world.add_host(HostPlan::new(1));
    world.run_for(ms(500));
    let viewer = world.add_viewer(ViewerPlan::of(1, role));
    assert!(world.run_until(secs(5), |world| is_live(world, viewer)), "{}", world.story(viewer));
    world
}

/// The link by which this viewer asked to join first. Every message of the world has to pass by from the beginning.
fn link_asked_for(heard: &[String], nth: usize) -> LinkId {
    let link = |text: &String| match parse_to_rendezvous(text) {
        Ok(ToRendezvous::Join { link, .. }) => Some(link),
        _ => None,
    };
    heard.iter().filter_map(link).nth(nth).expect("somebody asked to join")
}

fn envelope_of(signal: &Signal) -> Option<(LinkId, Vec<u8>)> {
    match parse_to_rendezvous(&signal.text) {
        Ok(ToRendezvous::Envelope { link, data }) if signal.up => Some((link, data.0)),
        _ => None,
    }
}

fn down(who: Who, message: &FromRendezvous) -> Signal {
    Signal { who, up: false, text: to_text(message), late: Duration::ZERO }
}

fn announced(link: LinkId, role: Role, resumes: Option<LinkId>) -> FromRendezvous {
    let session = Some(host_secrets(1).session());
    let (versions, ice, from) = (vec![1], Vec::new(), None);
    FromRendezvous::Joined { link, role, versions, relay: false, resumes, ice, from, session }
}

/// They can read the hello of viewers with the same link, whose key is the link's, and nothing after it.
#[test]
fn somebody_with_the_view_link_who_poses_as_the_host_is_found_out_before_any_peer_is_made() {
    for (link, role) in [(Role::View, Role::View), (Role::Control, Role::View), (Role::Control, Role::Control)] {
        let mut world = World::new(1, fake_engine);
        world.add_host(HostPlan::new(1));
        world.run_for(ms(500));
        let impostor = Impostor::new(&invite(&world, link).url(), role);
        let hellos = Rc::new(RefCell::new(Vec::new()));
        let (heard, mut versions) = (hellos.clone(), Vec::new());
        world.meddler = Some(Box::new(move |_, signal| {
            match parse_to_rendezvous(&signal.text) {
                Ok(ToRendezvous::Join { link, role, versions: theirs, .. }) if signal.up => {
                    versions = theirs;
                    return vec![down(signal.who, &announced(link, role, None))];
                }
                _ => {}
            }
            let Some((link, data)) = envelope_of(&signal) else { return vec![signal] };
            let Some(opened) = impostor.open(link, &versions, &data) else { return Vec::new() };
            heard.borrow_mut().push(opened.hello.clone());
            let data = Opaque(opened.answer());
            vec![down(signal.who, &FromRendezvous::Envelope { link, data })]
        }));
        let viewer = world.add_viewer(ViewerPlan::of(1, role));

        world.run_for(secs(10));

        assert_eq!(refusal(&world, viewer), &Refusal::WrongHost, "{}", world.story(viewer));
        assert_eq!(failure(&world, viewer).stage, Stage::Authenticating);
        assert!(!hellos.borrow().is_empty(), "the impostor has the right key");
        assert!(hellos.borrow()[0].windows(8).any(|part| part == b"viewer 0"), "and reads the name");
        assert_eq!(world.viewers[viewer].node.endpoint().held().1, 0, "no peer was made");
        let connected = |(_, notice): &(Timestamp, ViewerNotice)| matches!(notice, ViewerNotice::Connected(_));
        assert!(!world.viewers[viewer].notices.iter().any(connected));
        assert_eq!(joined(&world), []);
    }
}

#[test]
fn somebody_without_the_link_who_poses_as_the_host_does_not_even_read_the_name() {
    let of_another = host_secrets(2).invite(SERVER, Role::View);
    let mut world = World::new(1, fake_engine);
    world.add_host(HostPlan::new(1));
    world.run_for(ms(500));
    let mut stranger = invite(&world, Role::View);
    stranger.key = of_another.key.clone();
    let impostor = Impostor::new(&stranger.url(), Role::View);
    let opened = Rc::new(RefCell::new((0, 0)));
    let count = opened.clone();
    world.meddler = Some(Box::new(move |_, signal| {
        if let Some((link, data)) = envelope_of(&signal) {
            let reads = impostor.open(link, &[1], &data).is_some();
            let mut count = count.borrow_mut();
            *count = (count.0 + 1, count.1 + u32::from(reads));
        }
        vec![signal]
    }));
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::View));
    assert!(world.run_until(secs(5), |world| is_live(world, viewer)), "{}", world.story(viewer));
    let (envelopes, read) = *opened.borrow();
    assert!(envelopes > 0 && read == 0, "{read} of {envelopes}");
}

/// While a viewer is away, the rendezvous says of another one with the same link that they come back as the first one.
#[test]
fn nobody_is_given_another_viewers_place_because_a_rendezvous_says_that_they_come_back() {
    let mut world = session(Role::View);
    let origin = link_asked_for(&world.rendezvous_heard, 0);
    world.cut(Who::Viewer(0), true);
    let is_away = |world: &World<FakeEngine>| world.hosts[0].node.machine().members() == 0;
    assert!(world.run_until(secs(20), is_away), "{:?}", world.hosts[0].notices);
    world.meddler = Some(Box::new(move |_, signal| {
        // The viewer's own tries are kept from the host.
        if signal.who == Who::Viewer(0) {
            return Vec::new();
        }
        match parse_from_rendezvous(&signal.text) {
            Ok(FromRendezvous::Joined { link, role, .. }) if signal.who == Who::Host(0) => {
                vec![down(signal.who, &announced(link, role, Some(origin)))]
            }
            _ => vec![signal],
        }
    }));
    let thief = world.add_viewer(ViewerPlan::of(1, Role::View));
    world.run_for(secs(10));
    assert_eq!(refusal(&world, thief), &Refusal::WrongKey);
    assert_eq!(joined(&world).len(), 1, "the first viewer alone was ever a member");

    world.meddler = None;
    world.cut(Who::Viewer(0), false);
    assert!(world.run_until(secs(30), |world| world.hosts[0].node.machine().members() == 1), "{}", world.story(0));
    world.run_for(secs(2));
    assert!(is_live(&world, 0), "{}", world.story(0));
    assert_eq!(joined(&world).len(), 1, "as the member that it was");
}

/// Both have the view link. The second one asks to join by the id of the first one's link, at any moment of its
/// handshake.
#[test]
fn who_comes_by_another_viewers_link_id_reads_and_types_nothing_of_theirs() {
    let mut both = 0;
    for later in (0..800).step_by(40) {
        let mut world = World::new(later, fake_engine);
        world.add_host(HostPlan::new(1));
        world.run_for(ms(500));
        for after in [0, later] {
            let mut plan = ViewerPlan::of(1, Role::View);
            (plan.seed, plan.at) = (Some([5; 32]), ms(500 + after));
            world.add_viewer(plan);
        }
        world.run_for(secs(2));
        world.type_keys(1, "Z");

        world.run_for(secs(60));

        let members = joined(&world);
        both += usize::from(members.len() == 2);
        for (at, role, name) in &members {
            let viewer: usize = name.trim_start_matches("viewer ").parse().expect("a number");
            assert_eq!((*at, *role), (place_of(viewer), Role::View), "each is who they are");
        }
        assert!(world.hosts[0].written.is_empty());
        for viewer in 0..2 {
            if is_live(&world, viewer) {
                let host = world.hosts[0].node.machine();
                let screen = world.viewers[viewer].node.machine().screen();
                same_screens(screen, host.emulator()).unwrap_or_else(|difference| panic!("{difference}"));
            } else {
                assert!(failure(&world, viewer).stage < Stage::Live);
            }
        }
        let newcomer = world.add_viewer(ViewerPlan::of(1, Role::View));
        assert!(world.run_until(secs(10), |world| is_live(world, newcomer)), "{}", world.story(newcomer));
    }
    println!("in {both} of 20 worlds both got in, one after the other");
}

/// Somebody with the same link and the same name asks at the same time, and the rendezvous gives their envelopes to the
/// host as the other's.
#[test]
fn a_person_who_compares_the_words_lets_in_whom_they_mean_and_nobody_else() {
    for swaps in [false, true] {
        let mut world = World::new(1, fake_engine);
        let mut plan = HostPlan::new(1);
        plan.config.approve = Approve::Everybody;
        world.add_host(plan);
        world.run_for(ms(500));
        if swaps {
            let mut links: BTreeMap<usize, LinkId> = BTreeMap::new();
            world.meddler = Some(Box::new(move |_, signal| {
                if let (Who::Viewer(index), Ok(ToRendezvous::Join { link, .. })) =
                    (signal.who, parse_to_rendezvous(&signal.text))
                {
                    links.insert(index, link);
                }
                let (Some((_, data)), Who::Viewer(index)) = (envelope_of(&signal), signal.who) else {
                    return vec![signal];
                };
                let Some(link) = links.get(&(1 - index)).copied() else { return Vec::new() };
                vec![down(Who::Host(0), &FromRendezvous::Envelope { link, data: Opaque(data) })]
            }));
        }
        for _ in 0..2 {
            let mut plan = ViewerPlan::of(1, Role::Control);
            plan.name = Some("maria".to_owned());
            world.add_viewer(plan);
        }
        world.run_for(secs(2));
        let words = |viewer: usize| {
            let notices = world.viewers[viewer].notices.iter();
            notices
                .filter_map(|(_, notice)| if let ViewerNotice::Sas(sas) = notice { Some(*sas) } else { None })
                .next_back()
        };
        let (hers, theirs) = (words(0), words(1));
        let pending = world.hosts[0].node.machine().status().pending;
        if swaps {
            assert!(pending.is_empty(), "nobody proves the key on another's link: {pending:?}");
            continue;
        }
        assert!(hers.is_some() && theirs.is_some() && hers != theirs, "everybody has other words");
        let meant: Vec<_> = pending.iter().filter(|pending| Some(pending.sas) == hers).collect();
        let [meant] = meant.as_slice() else { panic!("{pending:?}") };
        world.host_input(0, HostInput::Act(ModeratorAction::Approve(meant.id)));
        world.run_for(secs(5));
        assert!(is_live(&world, 0), "{}", world.story(0));
        assert_eq!(joined(&world), [(place_of(0), Role::Control, "maria".to_owned())]);
    }
}

#[test]
fn a_first_message_that_is_repeated_later_lets_nobody_in() {
    let mut world = World::new(1, fake_engine);
    world.add_host(HostPlan::new(1));
    world.run_for(ms(500));
    let said = Rc::new(RefCell::new(Vec::new()));
    let record = said.clone();
    world.meddler = Some(Box::new(move |_, signal| {
        record.borrow_mut().extend(envelope_of(&signal).filter(|_| signal.who == Who::Viewer(0)));
        vec![signal]
    }));
    let viewer = world.add_viewer(ViewerPlan::of(1, Role::Control));
    assert!(world.run_until(secs(5), |world| is_live(world, viewer)), "{}", world.story(viewer));
    world.meddler = None;
    let (link, first) = said.borrow().first().cloned().expect("the viewer said hello");
    let resumes = [None, Some(link)];
    let again = |world: &mut World<FakeEngine>| {
        for (link, resumes) in [link, LinkId(77)].into_iter().flat_map(|link| resumes.map(|resumes| (link, resumes))) {
            for role in [Role::Control, Role::View] {
                world.say_to(Who::Host(0), to_text(&announced(link, role, resumes)));
                for (_, data) in said.borrow().iter() {
                    let data = Opaque(data.clone());
                    world.say_to(Who::Host(0), to_text(&FromRendezvous::Envelope { link, data }));
                }
                world.run_for(secs(1));
            }
        }
    };
    assert_eq!(first.first(), Some(&1), "of the key exchange");

    again(&mut world);
    assert!(is_live(&world, viewer), "the viewer is not disturbed: {}", world.story(viewer));
    world.viewer_input(viewer, ViewerInput::Leave);
    world.run_for(secs(5));
    again(&mut world);
    world.run_for(secs(10));

    assert_eq!(joined(&world).len(), 1, "{:?}", world.hosts[0].notices);
    assert_eq!(world.hosts[0].node.endpoint().held(), (0, 0, 0), "nothing is left of it");
}

#[test]
fn with_the_rendezvous_help_nobody_gets_in_by_a_link_that_was_withdrawn_or_has_expired() {
    for expires in [false, true] {
        let mut world = World::new(1, fake_engine);
        let mut plan = HostPlan::new(1);
        plan.config.links.expire = expires.then_some(secs(10));
        world.add_host(plan);
        world.run_for(ms(500));
        let old = invite(&world, Role::Control);
        let member = world.add_viewer(ViewerPlan::new(old.clone()));
        assert!(world.run_until(secs(5), |world| is_live(world, member)), "{}", world.story(member));
        let origin = link_asked_for(&world.rendezvous_heard, 0);
        if expires {
            world.run_for(secs(10));
        } else {
            world.host_input(0, HostInput::Act(ModeratorAction::Rotate));
            world.run_for(secs(1));
        }
        // The rendezvous tells the host the truth, another role, or that a member comes back.
        for (role, resumes) in
            [(Role::Control, None), (Role::View, None), (Role::Control, Some(origin)), (Role::View, Some(origin))]
        {
            world.meddler = Some(Box::new(move |_, signal| match parse_from_rendezvous(&signal.text) {
                Ok(FromRendezvous::Joined { link, .. }) if signal.who == Who::Host(0) && !signal.up => {
                    vec![down(signal.who, &announced(link, role, resumes))]
                }
                _ => vec![signal],
            }));
            let viewer = world.add_viewer(ViewerPlan::new(old.clone()));
            world.type_keys(viewer, "Z");
            world.run_for(secs(15));
            assert!(
                matches!(refusal(&world, viewer), Refusal::Expired | Refusal::WrongKey),
                "{expires}, {role:?}, {resumes:?}: {}",
                world.story(viewer)
            );
        }
        assert_eq!(joined(&world), [(place_of(0), Role::Control, "viewer 0".to_owned())]);
        assert!(world.hosts[0].written.is_empty() && is_live(&world, member));
    }
}

/// The longest time from a key to the program, of keys that are typed every 100 ms for ten seconds while `meanwhile`
/// happens every 5 ms.
fn slowest_key<E: Engine>(world: &mut World<E>, mut meanwhile: impl FnMut(&mut World<E>)) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..100 {
        let (before, since) = (world.hosts[0].written.len(), world.now());
        world.type_keys(0, "x");
        while world.now().since(since) < ms(100) || world.hosts[0].written.len() == before {
            meanwhile(world);
            world.run_for(ms(5));
            if world.hosts[0].written.len() == before {
                slowest = slowest.max(world.now().since(since));
            }
            assert!(world.now().since(since) < secs(20), "a key is lost: {}", world.story(0));
        }
    }
    slowest
}

fn what_a_rendezvous_says<E: Engine>(mut world: World<E>, loss: u64) -> [Duration; 2] {
    let mut plan = HostPlan::new(1);
    plan.paths = Paths::Any;
    world.add_host(plan);
    world.run_for(ms(500));
    let mut plan = ViewerPlan::of(1, Role::Control);
    plan.paths = Paths::Any;
    plan.wire = Wire { loss, ..Wire::steady(ms(20)) };
    let viewer = world.add_viewer(plan);
    assert!(world.run_until(secs(10), |world| is_live(world, viewer)), "{}", world.story(viewer));
    world.run_for(secs(3));
    let link = link_asked_for(&world.rendezvous_heard, 0);
    let in_peace = slowest_key(&mut world, |_| {});
    let mut words = [
        FromRendezvous::Closed { link },
        FromRendezvous::Waiting { link },
        FromRendezvous::Refused { link: Some(link), reason: Refusal::Denied },
        FromRendezvous::Refused { link: None, reason: Refusal::Full },
    ]
    .into_iter()
    .cycle();
    let lied_to = slowest_key(&mut world, |world| {
        let word = words.next().expect("it goes on for ever");
        for who in [Who::Viewer(viewer), Who::Host(0)] {
            // A refusal of the registration is the host's own matter: it registers again.
            let is_registration = who == Who::Host(0) && matches!(word, FromRendezvous::Refused { link: None, .. });
            if !is_registration {
                world.say_to(who, to_text(&word));
            }
        }
        // Datagrams of nobody, with the word that the direct path is suspect.
        let relayed = Relayed { link, attempt: 1, suspect: true, needed: true, datagram: &[200; 50] };
        world.say_relayed_to(Who::Viewer(viewer), relayed.encode());
        world.say_relayed_to(Who::Host(0), relayed.encode());
    });
    let notices = &world.viewers[viewer].notices;
    let away = notices.iter().filter(|(_, notice)| matches!(notice, ViewerNotice::Away(_))).count();
    assert_eq!(away, 0, "the viewer has not left its link: {notices:?}");
    assert!(is_live(&world, viewer), "{}", world.story(viewer));
    [in_peace, lied_to]
}

#[test]
fn what_a_rendezvous_says_about_a_link_that_is_up_ends_nothing_and_holds_no_key_up_for_more_than_a_round_trip() {
    for loss in [0, 10] {
        let [in_peace, lied_to] = what_a_rendezvous_says(World::new(loss, fake_engine), loss);
        println!("{loss} % loss: the slowest key takes {in_peace:?}, and {lied_to:?} among lies");
        let more = if loss == 0 { ms(60) } else { ms(500) };
        assert!(lied_to <= in_peace + more, "{loss} % loss: {in_peace:?} in peace, {lied_to:?} among lies");
    }
    determinism::run(1, || {
        let [in_peace, lied_to] = what_a_rendezvous_says(real::world(1), 0);
        println!("over the real engine: {in_peace:?}, and {lied_to:?} among lies");
        assert!(lied_to <= in_peace + ms(200), "{in_peace:?} in peace, {lied_to:?} among lies");
    });
}

/// A host loses the rendezvous and a viewer that sleeps. At its return the rendezvous still has the link, and announces
/// it; a hostile rendezvous may do so at any time.
#[test]
fn a_link_that_is_announced_anew_while_its_member_is_away_leaves_nothing_behind() {
    for lies in [false, true] {
        let mut world = World::new(1, fake_engine);
        let mut plan = HostPlan::new(1);
        plan.paths = Paths::Any;
        world.add_host(plan);
        world.run_for(ms(500));
        let mut plan = ViewerPlan::of(1, Role::Control);
        plan.paths = Paths::Any;
        let viewer = world.add_viewer(plan);
        assert!(world.run_until(secs(5), |world| is_live(world, viewer)), "{}", world.story(viewer));
        let link = link_asked_for(&world.rendezvous_heard, 0);
        world.freeze(Who::Viewer(viewer));
        world.shut_out(Who::Host(0), true);
        world.break_signal(Who::Host(0));
        let is_away = |world: &World<FakeEngine>| world.hosts[0].node.machine().members() == 0;
        assert!(world.run_until(secs(20), is_away), "{:?}", world.hosts[0].notices);
        world.shut_out(Who::Host(0), false);
        world.run_for(secs(10));
        if lies {
            world.say_to(Who::Host(0), to_text(&announced(link, Role::Control, None)));
            world.run_for(secs(1));
        }
        assert_eq!(world.hosts[0].node.endpoint().held(), (0, 0, 0), "nobody is on a link");

        world.thaw(Who::Viewer(viewer));
        assert!(world.run_until(secs(30), |world| world.hosts[0].node.machine().members() == 1));
        world.run_for(secs(2));
        assert!(is_live(&world, viewer), "{}", world.story(viewer));
        assert_eq!(joined(&world).len(), 1, "as the member that it was");
        world.viewer_input(viewer, ViewerInput::Leave);
        world.run_for(secs(5));
        assert_eq!(world.hosts[0].node.endpoint().held(), (0, 0, 0), "nothing is left of it");
    }
}
