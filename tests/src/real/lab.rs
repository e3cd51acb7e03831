//! Two sides behind routers of their own, and a public segment between them with a rendezvous: network namespaces.

use std::sync::atomic::{AtomicU32, Ordering};

use super::machines::Machine;
use super::netns::{permitted, run, with_rights};

/// The router between a side and the public segment. The terms are those of RFC 4787.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// Nothing: a public address.
    None,
    /// A static mapping: endpoint-independent mapping and filtering.
    Static,
    /// The router keeps a port for all destinations, and lets in only destinations that were sent to:
    /// endpoint-independent mapping, address and port-dependent filtering.
    Plain,
    /// The router takes another port for each destination: address and port-dependent mapping and filtering.
    Symmetric,
    /// No UDP passes.
    NoUdp,
    /// A public IPv6 address, and no IPv4.
    Ipv6,
    /// A plain one behind another plain one.
    Double,
}

impl Nat {
    /// All.
    pub const ALL: [Nat; 7] = [Nat::None, Nat::Static, Nat::Plain, Nat::Symmetric, Nat::NoUdp, Nat::Ipv6, Nat::Double];

    /// Whether UDP gets through between two sides, as RFC 4787 says.
    #[must_use]
    pub fn meets(self, other: Nat) -> bool {
        let hard = |nat: Nat| matches!(nat, Nat::Plain | Nat::Double);
        match (self, other) {
            (Nat::NoUdp, _) | (_, Nat::NoUdp) => false,
            (Nat::Ipv6, other) | (other, Nat::Ipv6) => other == Nat::Ipv6,
            (Nat::Symmetric, Nat::Symmetric) => false,
            (Nat::Symmetric, other) | (other, Nat::Symmetric) => !hard(other),
            _ => true,
        }
    }
}

/// The lab. Dropping the value removes the lab.
#[derive(Debug)]
pub struct Lab {
    /// The public segment, where the rendezvous runs.
    pub public: Machine,
    /// A side of the lab.
    pub host: Machine,
    /// The other.
    pub viewer: Machine,
    routers: Vec<Machine>,
}

/// The rendezvous' addresses on the public segment.
pub const PUBLIC: [&str; 2] = ["203.0.113.1", "2001:db8::1"];

static NEXT: AtomicU32 = AtomicU32::new(1);

impl Lab {
    /// With these routers; `None` if network namespaces are not available or not wanted; the test is then skipped.
    ///
    /// # Panics
    /// If the system does not permit it.
    #[must_use]
    pub fn new(host: Nat, viewer: Nat) -> Option<Lab> {
        if !permitted() {
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |role: &str| format!("bl{}-{number}{role}", std::process::id());
        let mut lab = Lab {
            public: Machine::named(name("p"), PUBLIC[0].to_owned()),
            host: Machine::named(name("h"), String::new()),
            viewer: Machine::named(name("v"), String::new()),
            routers: Vec::new(),
        };
        for machine in [&lab.public, &lab.host, &lab.viewer] {
            machine.create();
        }
        lab.public.ip("link add name segment type bridge");
        lab.public.ip("link set segment up");
        lab.public.ip(&format!("address add {}/24 dev segment", PUBLIC[0]));
        lab.public.ip(&format!("address add {}/64 dev segment nodad", PUBLIC[1]));
        // The rest of the world: packets to unknown addresses vanish there, without an error to the sender.
        lab.public.ip("link add world type bridge");
        lab.public.ip("link set world up arp off");
        lab.public.ip("route add default dev world");
        lab.public.ip("-6 route add default dev world");
        for (side, nat) in [(1u8, host), (2, viewer)] {
            let client = if side == 1 { lab.host.clone() } else { lab.viewer.clone() };
            match nat {
                Nat::None => lab.plug(&client, side, true),
                Nat::Ipv6 => lab.plug(&client, side, false),
                Nat::Static | Nat::Plain | Nat::Symmetric | Nat::NoUdp => {
                    let router = lab.router(name(&format!("r{side}")));
                    lab.plug(&router, side, true);
                    router.nat(nat, "wan", &format!("192.168.{side}.2"));
                    link(&router, "lan", &client, "wan", &format!("192.168.{side}"));
                }
                Nat::Double => {
                    let outer = lab.router(name(&format!("o{side}")));
                    lab.plug(&outer, side, true);
                    outer.nat(Nat::Plain, "wan", "");
                    let inner = lab.router(name(&format!("r{side}")));
                    link(&outer, "lan", &inner, "wan", &format!("10.{side}.0"));
                    inner.nat(Nat::Plain, "wan", "");
                    link(&inner, "lan", &client, "wan", &format!("192.168.{side}"));
                }
            }
        }
        Some(lab)
    }

    fn router(&mut self, name: String) -> Machine {
        let router = Machine::named(name, String::new());
        router.create();
        run(router.command("sh").args(["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]));
        self.routers.push(router.clone());
        router
    }

    /// A machine on the public segment.
    fn plug(&self, machine: &Machine, side: u8, ipv4: bool) {
        let port = format!("port{side}");
        cable(&self.public, &port, machine, "wan");
        self.public.ip(&format!("link set {port} master segment"));
        if ipv4 {
            machine.ip(&format!("address add 203.0.113.1{side}/24 dev wan"));
        } else {
            machine.ip(&format!("address add 2001:db8::1{side}/64 dev wan nodad"));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for machine in [&self.public, &self.host, &self.viewer].into_iter().chain(&self.routers) {
            machine.delete();
        }
    }
}

impl Machine {
    fn nat(&self, nat: Nat, wan: &str, inside: &str) {
        let rule = |text: &str| run(self.command("iptables").args(text.split_whitespace()));
        let how = if nat == Nat::Symmetric { "MASQUERADE --random-fully" } else { "MASQUERADE" };
        rule(&format!("-t nat -A POSTROUTING -o {wan} -j {how}"));
        if nat == Nat::Static {
            rule(&format!("-t nat -A PREROUTING -i {wan} -j DNAT --to {inside}"));
        }
        if nat == Nat::NoUdp {
            rule("-A FORWARD -p udp -j DROP");
        }
        // Drops unsolicited packets, without a conntrack entry that would occupy the port.
        rule(&format!("-A INPUT -i {wan} -j DROP"));
    }
}

/// A network of two: `router` has .1, `client` .2 and its way out.
fn link(router: &Machine, lan: &str, client: &Machine, wan: &str, prefix: &str) {
    cable(router, lan, client, wan);
    router.ip(&format!("address add {prefix}.1/24 dev {lan}"));
    client.ip(&format!("address add {prefix}.2/24 dev {wan}"));
    client.ip(&format!("route add default via {prefix}.1"));
}

fn cable(one: &Machine, one_end: &str, other: &Machine, other_end: &str) {
    // Both ends have names of their own while they are made.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let made = [format!("bx{}a{number}", std::process::id()), format!("bx{}b{number}", std::process::id())];
    run(with_rights("ip").args(["link", "add", &made[0], "type", "veth", "peer", "name", &made[1]]));
    for (machine, made, end) in [(one, &made[0], one_end), (other, &made[1], other_end)] {
        run(with_rights("ip").args(["link", "set", made, "netns", machine.name()]));
        machine.ip(&format!("link set {made} name {end}"));
        machine.ip(&format!("link set {end} up"));
    }
}
