//! Texts and relayed datagrams from a rendezvous to endpoints that live, before, during and after a handshake.

use beach_core::endpoint::Paths;
use beach_core::ice::relay::Relayed;
use beach_core::id::LinkId;
use beach_core::role::Role;
use beach_core::session::address::AddressClass;
use beach_core::session::link::Refusal;
use beach_core::wire::signal::{FromRendezvous, IceUrl, Opaque, ToRendezvous, parse_to_rendezvous, to_text};

use super::choices::Choices;
use crate::sim::{FakeEngine, HostPlan, ViewerPlan, Who, Wire, World, fake_engine, host_secrets, ms, secs};

/// Texts and datagrams, each for one side, with pauses between.
pub(super) fn signalling(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut world = World::new(1, fake_engine);
    let mut plan = HostPlan::new(1);
    plan.signal = Wire::steady(ms(1));
    if choices.bit() {
        plan.paths = Paths::Any;
    }
    world.add_host(plan);
    let mut plan = ViewerPlan::of(1, Role::Control);
    (plan.at, plan.signal, plan.wire) = (ms(2), Wire::steady(ms(1)), Wire::steady(ms(1)));
    if choices.bit() {
        plan.paths = Paths::Any;
    }
    plan.reconnect = secs(2);
    world.add_viewer(plan);
    world.run_for(ms(u64::from(choices.byte() % 64)));
    while !choices.is_empty() {
        let to = if choices.bit() { Who::Host(0) } else { Who::Viewer(0) };
        match choices.below(8) {
            0 => world.run_for(ms(choices.number() % 10_000)),
            1 => world.say_to(to, choices.text()),
            2 => world.say_relayed_to(to, choices.chunk().to_vec()),
            3 => {
                let datagram = choices.chunk();
                let [suspect, needed] = [choices.bit(), choices.bit()];
                let attempt = choices.short() % 4;
                let link = link(&world, &mut choices);
                world.say_relayed_to(to, Relayed { link, attempt, suspect, needed, datagram }.encode());
            }
            _ => {
                let text = message(&world, &mut choices);
                world.say_to(to, text);
            }
        }
        world.run_for(ms(2));
    }
    world.run_for(secs(1));
    for host in &world.hosts {
        assert!(host.written.is_empty(), "nobody typed");
    }
}

/// The link of the viewer, or another one.
fn link(world: &World<FakeEngine>, choices: &mut Choices<'_>) -> LinkId {
    let other = choices.byte() % 8;
    let joined = world.rendezvous_heard.iter().rev().find_map(|text| match parse_to_rendezvous(text) {
        Ok(ToRendezvous::Join { link, .. }) => Some(link),
        Ok(_) | Err(_) => None,
    });
    joined.filter(|_| other != 0).unwrap_or(LinkId(u64::from(choices.byte())))
}

fn refusal(choices: &mut Choices<'_>) -> Refusal {
    let all = [
        Refusal::NoSession,
        Refusal::WrongKey,
        Refusal::WrongHost,
        Refusal::Version(vec![choices.short() % 4]),
        Refusal::Full,
        Refusal::Denied,
        Refusal::Misuse,
        Refusal::Taken,
        Refusal::Forgotten,
        Refusal::Used,
        Refusal::Expired,
        Refusal::Busy,
        Refusal::NoBrowsers,
        Refusal::OldHost,
    ];
    let which = choices.below(all.len());
    all[which].clone()
}

fn servers(choices: &mut Choices<'_>) -> Vec<IceUrl> {
    let server = |choices: &mut Choices<'_>| {
        IceUrl(match choices.below(4) {
            0 => "stun:192.0.2.9".to_owned(),
            1 => "turn:user:password@192.0.2.9:3478?transport=udp".to_owned(),
            2 => "turn:user:password@[2001:db8::1]:3478?transport=tcp".to_owned(),
            _ => choices.text(),
        })
    };
    (0..choices.below(10)).map(|_| server(choices)).collect()
}

fn message(world: &World<FakeEngine>, choices: &mut Choices<'_>) -> String {
    let link_id = link(world, choices);
    to_text(&match choices.below(12) {
        0..=2 => FromRendezvous::Envelope { link: link_id, data: Opaque(choices.chunk().to_vec()) },
        3 => FromRendezvous::Registered { ice: servers(choices), short_names: choices.bit() },
        4 => FromRendezvous::Joined {
            link: link_id,
            role: if choices.bit() { Role::Control } else { Role::View },
            versions: vec![choices.short() % 3; choices.below(18)],
            relay: choices.bit(),
            resumes: choices.bit().then(|| link(world, choices)),
            ice: servers(choices),
            from: [None, Some(AddressClass::Loopback), Some(AddressClass::Public)][choices.below(3)],
            session: choices.bit().then(|| host_secrets(1 + choices.below(2) as u64).session()),
        },
        5 => FromRendezvous::Ice { ice: servers(choices) },
        6 => FromRendezvous::Waiting { link: link_id },
        7 => FromRendezvous::Refused { link: choices.bit().then_some(link_id), reason: refusal(choices) },
        8 => FromRendezvous::TurnedAway { count: choices.number() },
        9 => FromRendezvous::Closed { link: link_id },
        10 => {
            let urls = ["http://rendezvous.test", "http://other.rendezvous.test/x", "http://elsewhere.test", ""];
            let url = urls[choices.below(4)].to_owned() + &choices.text();
            FromRendezvous::Elsewhere { link: link_id, url }
        }
        _ if choices.bit() => FromRendezvous::Move { within: choices.number() as u32 },
        _ => FromRendezvous::Pong,
    })
}
