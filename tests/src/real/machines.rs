//! Two machines with a cable between them: network namespaces.

use std::ffi::OsStr;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use super::netns::{permitted, run, with_rights};

/// Two machines, each a network namespace. Dropping the value deletes the namespaces.
#[derive(Debug)]
pub struct Machines {
    /// One of them.
    pub one: Machine,
    /// The other.
    pub other: Machine,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Machine {
    name: String,
    /// Its address on the cable.
    pub address: String,
}

impl Machines {
    /// Makes two; `None` if network namespaces are not available or not wanted; the test is then skipped.
    ///
    /// # Panics
    /// If the system does not permit it.
    pub fn new() -> Option<Machines> {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        if !permitted() {
            return None;
        }
        // Names of interfaces have at most 15 characters, and both live in the one outer namespace for a moment.
        let pair = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |side: char| format!("bt{}-{pair}{side}", std::process::id());
        let machine = |side, host| Machine { name: name(side), address: format!("10.213.{pair}.{host}") };
        let machines = Machines { one: machine('a', 1), other: machine('b', 2) };
        let (one, other) = (&machines.one, &machines.other);
        for machine in [one, other] {
            ip(&["netns", "add", &machine.name]);
        }
        ip(&[
            "link",
            "add",
            &one.name,
            "netns",
            &one.name,
            "type",
            "veth",
            "peer",
            "name",
            &other.name,
            "netns",
            &other.name,
        ]);
        for machine in [one, other] {
            let address = format!("{}/24", machine.address);
            ip(&["-n", &machine.name, "address", "add", &address, "dev", &machine.name]);
            ip(&["-n", &machine.name, "link", "set", "lo", "up"]);
            ip(&["-n", &machine.name, "link", "set", &machine.name, "up"]);
        }
        Some(machines)
    }

    /// From now on no UDP passes the cable, as behind some firewalls: it is dropped in silence.
    ///
    /// # Panics
    /// If `iptables` is not there or refuses.
    pub fn drop_udp(&self) {
        self.one.drop_udp();
        self.other.drop_udp();
    }

    /// Traffic passes again.
    ///
    /// # Panics
    /// If `iptables` refuses.
    pub fn pass_udp(&self) {
        for machine in [&self.one, &self.other] {
            run(machine.command("iptables").args(["-F", "INPUT"]));
        }
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for machine in [&self.one, &self.other] {
            let _ = with_rights("ip").args(["netns", "delete", &machine.name]).output();
        }
    }
}

impl Machine {
    pub(crate) fn named(name: String, address: String) -> Machine {
        Machine { name, address }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn create(&self) {
        ip(&["netns", "add", &self.name]);
        self.ip("link set lo up");
    }

    pub(crate) fn delete(&self) {
        let _ = with_rights("ip").args(["netns", "delete", &self.name]).output();
    }

    /// `ip` on this machine, with these words.
    ///
    /// # Panics
    /// If it refuses.
    pub fn ip(&self, words: &str) {
        run(with_rights("ip").args(["-n", &self.name]).args(words.split_whitespace()));
    }

    /// `program` on this machine.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = with_rights("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Has the next address of its network from now on, and none of those before.
    ///
    /// # Panics
    /// If `ip` refuses.
    pub fn change_address(&mut self) {
        let (network, host) = self.address.rsplit_once('.').expect("an IPv4 address");
        let host: u8 = host.parse().expect("a number");
        let next = format!("{network}.{}", host + 1);
        let device = self.name.clone();
        self.ip(&format!("address flush dev {device} scope global"));
        self.ip(&format!("address add {next}/24 dev {device}"));
        self.address = next;
    }

    /// From now on no UDP comes in.
    ///
    /// # Panics
    /// If `iptables` is not there or refuses.
    pub fn drop_udp(&self) {
        run(self.command("iptables").args(["-A", "INPUT", "-p", "udp", "-j", "DROP"]));
    }

    /// The command, on this machine, with its arguments, environment and folder.
    pub fn on(&self, command: &Command) -> Command {
        let mut moved = self.command("env");
        // Entering a mount namespace changes the working folder to `/`.
        if let Some(folder) = command.get_current_dir() {
            moved.arg("--chdir").arg(folder);
        }
        moved.arg(command.get_program()).args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                moved.env(name, value);
            }
        }
        moved
    }
}

fn ip(args: &[&str]) {
    run(with_rights("ip").args(args));
}
