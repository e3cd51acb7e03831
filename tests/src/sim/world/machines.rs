//! The machines of a world, and what becomes of what they put out.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use beach_core::endpoint::{Input, NetworkInput};
use beach_core::host::{HostInput, HostOutput, fill_links};
use beach_core::peer::engine::Engine;
use beach_core::role::Role;
use beach_core::session::link::Command;
use beach_core::viewer::{ViewerInput, ViewerOutput};

use super::network::{place, place_v6};
use super::queue::What;
use super::rendezvous::{Connection, Signal};
use super::seen::Seen;
use super::{Who, World, ms};
use crate::sim::network::Wire;
use crate::sim::node::{Below, Effect};
use crate::sim::program::{Act, Program};
use crate::sim::seam::Due;

pub(super) fn wire_of(wires: &[Wire]) -> impl Fn(Who) -> Wire {
    move |who| match who {
        Who::Host(_) => Wire::steady(ms(10)),
        Who::Viewer(index) => wires[index],
    }
}

impl<E: Engine> World<E> {
    /// Either kind takes the same inputs from the network.
    pub(super) fn drive(&mut self, who: Who, input: NetworkInput) {
        match who {
            Who::Host(index) => self.drive_host(index, Input::Network(input)),
            Who::Viewer(index) => self.drive_viewer(index, Input::Network(input)),
        }
    }

    pub(super) fn drive_host(&mut self, index: usize, input: Input<HostInput>) {
        let host = &mut self.hosts[index];
        if host.common.gone {
            return;
        }
        host.common.turns += 1;
        let effects = host.node.drive(host.common.local(self.now), input);
        for effect in effects {
            match effect {
                Effect::Below(below) => self.below(Who::Host(index), below),
                Effect::Machine(output) => self.on_host(index, output),
            }
        }
    }

    pub(super) fn drive_viewer(&mut self, index: usize, input: Input<ViewerInput>) {
        let viewer = &mut self.viewers[index];
        if viewer.common.gone {
            return;
        }
        viewer.common.turns += 1;
        let effects = viewer.node.drive(viewer.common.local(self.now), input);
        for effect in effects {
            match effect {
                Effect::Below(below) => self.below(Who::Viewer(index), below),
                Effect::Machine(output) => self.on_viewer(index, output),
            }
        }
    }

    pub(super) fn on_host(&mut self, index: usize, output: HostOutput) {
        self.write_down_value(Who::Host(index), "host", &output);
        self.note_host(index, &output);
        let now = self.now;
        let host = &mut self.hosts[index];
        if host.records {
            host.outputs.push(output.clone());
        }
        match output {
            HostOutput::Start(_) => {
                assert!(host.program.is_none(), "started once");
                let mut program = Program::new(host.script.clone());
                let acts = program.start();
                host.program = Some(program);
                self.act(index, acts);
            }
            HostOutput::Write(bytes) | HostOutput::WriteOwn(bytes) => {
                host.written.extend(&bytes);
                let ended = host.program_ended;
                // A program that reads takes it all; one that does not, nothing.
                host.unread = bytes.len();
                let reads = !ended && !host.is_deaf;
                let program = host.program.as_mut().filter(|_| reads);
                if let Some(acts) = program.and_then(|program| program.take(&bytes)) {
                    host.unread = 0;
                    self.later(ms(1), What::Host(index, Box::new(HostInput::Written)));
                    self.act(index, acts);
                }
            }
            HostOutput::TakeBack => {
                if host.unread > 0 {
                    host.written.truncate(host.written.len() - host.unread);
                    host.unread = 0;
                    self.note(Seen::TakenBack(index));
                    self.later(ms(0), What::Host(index, Box::new(HostInput::TakenBack(0))));
                }
            }
            HostOutput::Show(bytes) => host.shown.extend(bytes),
            HostOutput::ShowLinks(bytes) => host.shown.extend(fill_links(&bytes, &host.links[0], &host.links[1])),
            HostOutput::Resize(size) => host.resized.push(size),
            HostOutput::KeysTaken => {}
            HostOutput::HangUp => {
                host.hung_up = true;
                host.program_ended = true;
            }
            HostOutput::Notice(notice) => host.notices.push((now, notice)),
            HostOutput::Exit(exit) => {
                assert!(host.exit.is_none(), "it ends once");
                host.exit = Some((now, exit));
                self.gone(Who::Host(index));
            }
        }
    }

    pub(super) fn on_viewer(&mut self, index: usize, output: ViewerOutput) {
        self.write_down_value(Who::Viewer(index), "viewer", &output);
        self.note_viewer(index, &output);
        let now = self.now;
        let viewer = &mut self.viewers[index];
        if viewer.records {
            viewer.outputs.push(output.clone());
        }
        match output {
            ViewerOutput::Size(size) => viewer.terminal.resize(size),
            ViewerOutput::CursorAsked => {}
            ViewerOutput::Show(bytes) => {
                viewer.terminal.feed(&bytes);
                let replies = String::from_utf8(viewer.terminal.take_replies()).expect("answers are text");
                let report = |reply: &str| {
                    let (row, col) = reply.strip_suffix('R')?.split_once(';')?;
                    Some(ViewerInput::CursorReport { row: row.parse().ok()?, col: col.parse().ok()? })
                };
                let reports: Vec<_> = replies.split("\x1b[").filter_map(report).collect();
                if viewer.terminal_stalled {
                    viewer.owed_shown = true;
                } else {
                    self.later(ms(1), What::Viewer(index, Box::new(ViewerInput::Shown)));
                }
                for report in reports {
                    self.later(ms(1), What::Viewer(index, Box::new(report)));
                }
            }
            ViewerOutput::KeysTaken => {
                viewer.keys_out = false;
                self.next_keys(index);
            }
            ViewerOutput::Notice(notice) => viewer.notices.push((now, notice)),
            ViewerOutput::Exit(exit) => {
                assert!(viewer.exit.is_none(), "it ends once");
                viewer.exit = Some((now, exit));
                self.gone(Who::Viewer(index));
            }
        }
    }

    pub(super) fn next_keys(&mut self, index: usize) {
        let viewer = &mut self.viewers[index];
        if !viewer.keys_out
            && let Some(input) = viewer.typing.pop_front()
        {
            viewer.keys_out = true;
            self.later(ms(0), What::Viewer(index, Box::new(input)));
        }
    }

    /// The process ends: so do its connection and its sockets.
    pub(super) fn gone(&mut self, who: Who) {
        let common = self.common(who);
        common.gone = true;
        let sockets = std::mem::take(&mut common.sockets);
        let connection = common.connection.take();
        for address in sockets {
            self.addresses.remove(&address);
        }
        self.hang_up(connection);
        if self.is_bare {
            let wires: Vec<_> = self.viewers.iter().map(|viewer| viewer.wire).collect();
            let due = self.seam.vanish(self.now, &mut self.dice, who, wire_of(&wires));
            self.schedule(due);
        }
    }

    pub(super) fn schedule(&mut self, due: Vec<Due>) {
        for (at, who, event) in due {
            self.later_at(at, What::Link(who, Box::new(event)));
        }
    }

    pub(super) fn below(&mut self, who: Who, below: Below) {
        match below {
            Below::Command(command) => {
                self.write_down_value(who, "command", &command);
                if self.keeps_commands {
                    self.commands.push((self.now, who, command.clone()));
                }
                if let (Command::Dial, Who::Host(index)) = (&command, who) {
                    self.hosts[index].dialled.push(self.now);
                }
                let place = match who {
                    Who::Host(index) => (index, Role::Control),
                    Who::Viewer(index) => (self.viewers[index].host, self.viewers[index].role),
                };
                let wires: Vec<_> = self.viewers.iter().map(|viewer| viewer.wire).collect();
                let due = self.seam.obey(self.now, &mut self.dice, who, place, wire_of(&wires), command);
                self.schedule(due);
            }
            // There is one rendezvous.
            Below::Dial | Below::DialAt(_) => {
                self.write_down(Some(who), "dial", &[]);
                if let Who::Host(index) = who {
                    self.hosts[index].dialled.push(self.now);
                }
                let abandoned = self.common(who).connection.take();
                self.hang_up(abandoned);
                self.connections_ever += 1;
                let id = self.connections_ever;
                let (now, wire) = (self.now, self.signal_of(who));
                self.connections.insert(id, Connection { who, opened: false, up_at: now, down_at: now });
                self.common(who).connection = Some(id);
                self.later(wire.latency * 2, What::Opened(id));
            }
            Below::DialBeside(_) => {
                let cause = "there is no other rendezvous".to_owned();
                self.later(ms(1), What::Beside(who, cause));
            }
            Below::TakeBeside | Below::HangUpBeside => {}
            Below::HangUp => {
                self.write_down(Some(who), "hang up", &[]);
                let connection = self.common(who).connection.take();
                self.hang_up(connection);
            }
            Below::Signal(text) => {
                self.write_down(Some(who), "signal", text.as_bytes());
                self.meddle(Signal { who, up: true, text, late: Duration::ZERO });
            }
            Below::Relay(bytes) => self.relay(who, true, bytes),
            Below::Bind(generation) => {
                let own =
                    [Some(place(who).into()), self.dual_stack.then(|| place_v6(who).into())].into_iter().flatten();
                let addresses = own.filter(|_| !self.without_addresses.contains(&who));
                let addresses = addresses.map(|ip: IpAddr| SocketAddr::new(ip, 4000 + generation)).collect();
                self.later(ms(1), What::Bound(who, generation, addresses));
            }
            Below::Datagram { source, destination, bytes } => self.datagram(who, source, destination, bytes),
            Below::TurnDial(stream) => self.turn_dial(who, stream),
            Below::TurnWrite(stream, bytes) => self.turn_write(who, stream, bytes),
            Below::TurnHangUp(stream) => self.turn_hang_up(who, stream),
            Below::Peer(number, command) => match who {
                Who::Viewer(index) => self.page_performs(index, number, &command),
                Who::Host(_) => panic!("a host is no page"),
            },
            // Simulated people have what links hold, and print none.
            Below::Links => {}
            Below::Note(note) => {
                let at = self.now;
                match who {
                    Who::Host(index) => self.hosts[index].notes.push((at, note)),
                    Who::Viewer(index) => self.viewers[index].notes.push((at, note)),
                }
            }
            Below::Record(bytes) => match who {
                Who::Host(index) => self.hosts[index].recording.extend(bytes),
                Who::Viewer(index) => self.viewers[index].recording.extend(bytes),
            },
        }
    }

    pub(super) fn act(&mut self, index: usize, acts: Vec<Act>) {
        for act in acts {
            let host = &mut self.hosts[index];
            if host.program_ended {
                return;
            }
            let at = (self.now + Duration::from_micros(500)).max(host.pty_at + Duration::from_micros(10));
            let what = match act {
                Act::Print(bytes) if bytes.is_empty() => continue,
                Act::Print(bytes) => {
                    host.pty_at = at;
                    What::Host(index, Box::new(HostInput::Printed(bytes)))
                }
                Act::End(code) => {
                    host.pty_at = at;
                    host.program_ended = true;
                    What::Host(index, Box::new(HostInput::Ended(code)))
                }
                Act::WakeAfter(span) => {
                    self.later(span, What::Wake(index));
                    continue;
                }
            };
            self.later_at(at, what);
        }
    }
}
