//! Short links: the rendezvous finds the session by the beginning of the session's id, and tells the viewer the whole
//! id.
#![cfg(target_os = "linux")]

use beach_core::crypto::invite::Invite;
use beach_core::id::{LinkId, SessionId, SessionName};
use beach_core::machine::Machine as _;
use beach_core::rendezvous::{Rendezvous, RendezvousInput, RendezvousOutput};
use beach_core::role::Role;
use beach_core::session::handshake::Cause;
use beach_core::session::link::Refusal;
use beach_core::time::Timestamp;
use beach_core::viewer::{ViewerExit, ViewerNotice};
use beach_core::wire::signal::{FromRendezvous, ToRendezvous, parse_from_rendezvous, to_text};
use beach_tests::sim::scenario::{everyone_joins, everyone_types};
use beach_tests::sim::{FakeEngine, HostPlan, Signal, ViewerPlan, Who, World, fake_engine, host_secrets, secs};

fn short(role: Role) -> Invite {
    host_secrets(1).invite("http://rendezvous.test", role).short()
}

/// A host, and a viewer with the short link.
fn world() -> World<FakeEngine> {
    let mut world = World::new(1, fake_engine);
    world.add_host(HostPlan::new(1));
    world.add_viewer(ViewerPlan::new(short(Role::Control)));
    world
}

/// The failure of the viewer when the rendezvous tells this id in place of the host's, or none.
fn failure_if_told(told: Option<SessionId>) -> Option<Cause> {
    let mut world = world();
    world.meddler = Some(Box::new(move |_, signal| match parse_from_rendezvous(&signal.text) {
        Ok(FromRendezvous::Joined { link, role, versions, relay, resumes, ice, from, session: Some(_) })
            if !signal.up =>
        {
            let joined = FromRendezvous::Joined { link, role, versions, relay, resumes, ice, from, session: told };
            vec![Signal { text: to_text(&joined), ..signal }]
        }
        Ok(_) | Err(_) => vec![signal],
    }));
    world.run_for(secs(10));
    match &world.viewers[0].exit {
        Some((_, ViewerExit::Failed(failure))) => Some(failure.cause.clone()),
        Some(_) | None => None,
    }
}

#[test]
fn a_viewer_joins_by_a_short_link_and_comes_back_by_the_same_one() {
    let mut world = world();
    everyone_joins(&mut world, secs(5)).unwrap_or_else(|story| panic!("{story}"));
    everyone_types(&mut world);

    let viewer = Who::Viewer(0);
    world.shut_out(viewer, true);
    world.break_signal(viewer);
    world.cut(viewer, true);
    world.run_for(secs(60));
    world.shut_out(viewer, false);
    world.cut(viewer, false);
    let is_back = |notice: &ViewerNotice| matches!(notice, ViewerNotice::Back(_));
    let back = world.run_until(secs(60), |world| world.viewers[0].notices.iter().any(|(_, notice)| is_back(notice)));

    assert!(back, "{}", world.story(0));
    everyone_types(&mut world);
}

#[test]
fn a_viewer_with_a_short_link_goes_to_no_host_but_the_one_that_the_link_names() {
    let id = host_secrets(1).session();
    assert_eq!(failure_if_told(Some(id)), None);
    assert_eq!(failure_if_told(Some(host_secrets(2).session())), Some(Cause::Refused(Refusal::WrongHost)));
    assert_eq!(failure_if_told(None), Some(Cause::Refused(Refusal::WrongHost)));
    // An id with the same beginning is not the host's, and the handshake takes the whole id in.
    let mut like = id;
    like.0[15] ^= 1;
    assert_eq!(failure_if_told(Some(like)), Some(Cause::Refused(Refusal::WrongKey)));
}

#[test]
fn a_rendezvous_tells_the_whole_id_to_viewers_alone_and_knows_no_other_names() {
    let mut rendezvous = Rendezvous::new();
    let mut tell = |from, text: &str| -> Vec<(u64, FromRendezvous)> {
        rendezvous.handle(Timestamp::ZERO, RendezvousInput::Opened(from, None));
        rendezvous.handle(Timestamp::ZERO, RendezvousInput::Text(from, text.to_owned()));
        let said = std::iter::from_fn(|| rendezvous.poll()).filter_map(|output| match output {
            RendezvousOutput::Send(to, text) => Some((to, parse_from_rendezvous(&text).ok()?)),
            RendezvousOutput::Datagram(..)
            | RendezvousOutput::TakesPart(_)
            | RendezvousOutput::Close(_)
            | RendezvousOutput::Drained
            | RendezvousOutput::Directory(_)
            | RendezvousOutput::Pipe { .. } => None,
        });
        said.collect()
    };
    let id = host_secrets(1).session();
    let registered = tell(1, &to_text(&ToRendezvous::register(&host_secrets(1))));
    assert_eq!(registered, [(1, FromRendezvous::Registered { ice: Vec::new(), short_names: true })]);
    let join = |number, session| {
        let (link, role) = (LinkId(number), Role::View);
        to_text(&ToRendezvous::Join { session, link, role, versions: vec![1], resumes: None, moves: false })
    };

    let joined = tell(2, &join(2, SessionName::Short(id.short())));
    let ids = joined.into_iter().filter_map(|(to, message)| {
        if let FromRendezvous::Joined { session, .. } = message { Some((to, session)) } else { None }
    });
    assert_eq!(ids.collect::<Vec<_>>(), [(1, None), (2, Some(id))]);

    let (link, reason) = (Some(LinkId(3)), Refusal::NoSession);
    let unknown = SessionName::Short(host_secrets(2).session().short());
    assert_eq!(tell(3, &join(3, unknown)), [(3, FromRendezvous::Refused { link, reason })]);
    let shorter = join(4, SessionName::Short(id.short())).replace(&id.short().to_string(), &id.to_string()[..13]);
    assert_eq!(tell(4, &shorter), [], "nobody finds a session by fewer characters");
}

#[test]
fn a_host_learns_from_an_older_rendezvous_that_short_links_do_not_work() {
    let old = r#"{"type":"registered"}"#;
    assert_eq!(parse_from_rendezvous(old), Ok(FromRendezvous::Registered { ice: Vec::new(), short_names: false }));
    let new = to_text(&FromRendezvous::Registered { ice: Vec::new(), short_names: true });
    assert_eq!(new, r#"{"type":"registered","short_names":true}"#);
}
