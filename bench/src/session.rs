//! A shared terminal: the program at the host, one viewer, and further ones.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use crate::client::{Client, send};
use crate::lab::{Binary, Daemon, Lab, said};
use crate::page::Page;
use crate::place::Place;
use crate::program::{Program, QUIT};
use crate::sshd::{Sshd, user};
use crate::system::System;

/// A host says where it is within this time, also over the slow link.
const HOST_WITHIN: Duration = Duration::from_secs(15);

/// A viewer shows something within this time.
pub(crate) const JOIN_WITHIN: Duration = Duration::from_secs(20);

/// Between two looks whether a page has joined.
const LOOK: Duration = Duration::from_millis(50);

/// A program that is told to end has ended within this time.
const QUIT_WITHIN: Duration = Duration::from_secs(2);

/// A shared terminal. All of it is ended when this is dropped: first the viewer, then the host.
pub(crate) struct Session<'a> {
    /// The first viewer.
    pub(crate) client: Client,
    host: Host,
    lab: &'a Lab,
    place: Place<'a>,
    program: Program,
}

/// The processes at the host.
enum Host {
    Raw,
    Beach { share: Daemon, link: String, binary: Binary, events: Receiver<String> },
    Ssh(Sshd),
    SshTmux { sshd: Sshd, socket: PathBuf, server: u32 },
    Mosh { sshd: Sshd, server: u32, port: String, key: String },
}

impl<'a> Session<'a> {
    /// Starts the program at the host, and a viewer; waits until it shows this.
    pub(crate) fn start(
        lab: &'a Lab,
        system: System,
        program: Program,
        place: Place<'a>,
        shows: &str,
    ) -> Result<Session<'a>> {
        Session::on(Host::start(lab, system, program, place)?, lab, program, place, shows)
    }

    /// The same with beach, whose viewers ask for the terminal lane by a data channel.
    pub(crate) fn start_by_channel(
        lab: &'a Lab,
        program: Program,
        place: Place<'a>,
        shows: &str,
    ) -> Result<Session<'a>> {
        let mut binary = lab.binary(System::Beach).clone();
        binary.join_flags.push("--by-channel");
        Session::on(share(lab, &binary, program, place)?, lab, program, place, shows)
    }

    fn on(mut host: Host, lab: &'a Lab, program: Program, place: Place<'a>, shows: &str) -> Result<Session<'a>> {
        let mut client = Client::start(host.viewer(lab, program, place, false))?;
        client.until(shows, JOIN_WITHIN, |screen| screen.shows(shows))?;
        host.find_tmux(lab)?;
        Ok(Session { client, host, lab, place, program })
    }

    /// Starts one more viewer, as a person would: with mosh through ssh. With systems that do not share it gets a
    /// program of its own.
    pub(crate) fn join(&self) -> Result<Client> {
        Client::start(self.host.viewer(self.lab, self.program, self.place, true))
    }

    /// Opens a page of a browser, and waits until the host has let it in.
    pub(crate) fn open_page(&mut self) -> Result<Page> {
        let Host::Beach { link, events, .. } = &self.host else { bail!("only beach has a page") };
        let page = Page::open(self.lab, link)?;
        let deadline = Instant::now() + JOIN_WITHIN;
        loop {
            let is_in = |event: serde_json::Value| event["type"] == "member_joined" && event["client"] == "browser";
            if events.try_iter().filter_map(|line| serde_json::from_str(&line).ok()).any(is_in) {
                return Ok(page);
            }
            if Instant::now() > deadline {
                bail!("no page has joined within {JOIN_WITHIN:?}");
            }
            // Goes on reading, as a person would.
            self.client.watch(LOOK)?;
        }
    }

    /// Whether a viewer has left since this was last asked, or since the last page was opened.
    pub(crate) fn has_lost_viewers(&self) -> bool {
        let Host::Beach { events, .. } = &self.host else { return false };
        let is_out = |event: serde_json::Value| event["type"] == "member_left";
        events.try_iter().filter_map(|line| serde_json::from_str(&line).ok()).any(is_out)
    }

    /// Ends a viewer that [`Session::join`] started, and with mosh the server that it has for itself.
    pub(crate) fn leave(&self, mut client: Client) -> Result<()> {
        if matches!(self.host, Host::Mosh { .. }) {
            client.press(&[QUIT])?;
            if !client.end(QUIT_WITHIN) {
                bail!("mosh-server does not end");
            }
        }
        Ok(())
    }

    /// The processes at the host without which the terminal would be a local one.
    pub(crate) fn host_ids(&self) -> Vec<u32> {
        match &self.host {
            Host::Raw => Vec::new(),
            Host::Beach { share, .. } => vec![share.0.id()],
            Host::Ssh(sshd) => sshd.sessions(),
            Host::SshTmux { sshd, server, .. } => sshd.sessions().into_iter().chain([*server]).collect(),
            Host::Mosh { server, .. } => vec![*server],
        }
    }
}

impl Host {
    fn start(lab: &Lab, system: System, program: Program, place: Place<'_>) -> Result<Host> {
        Ok(match system {
            System::Raw => Host::Raw,
            System::Beach | System::Against => share(lab, lab.binary(system), program, place)?,
            System::Ssh => Host::Ssh(Sshd::start(lab, place)?),
            System::SshTmux => {
                let socket = lab.folder.join(format!("tmux-{}", lab.number()));
                Host::SshTmux { sshd: Sshd::start(lab, place)?, socket, server: 0 }
            }
            System::Mosh => mosh(lab, program, place)?,
        })
    }

    /// The command of a viewer: the first, or a further one.
    fn viewer(&self, lab: &Lab, program: Program, place: Place<'_>, further: bool) -> Command {
        let words = lab.words(program);
        match self {
            Host::Raw => {
                let mut command = lab.command(&words[0]);
                command.args(&words[1..]);
                command
            }
            Host::Beach { link, binary, .. } => {
                let mut command = lab.command(&binary.path);
                command.args(["join", "--escape", "none"]).args(&binary.join_flags).arg(link);
                place.at_viewer(command)
            }
            Host::Ssh(sshd) => sshd.command(lab, place, &format!("exec {}", words.join(" "))),
            Host::SshTmux { sshd, socket, .. } => {
                let tmux = format!("exec env LANG=C.UTF-8 tmux -u -S {}", socket.display());
                let remote = if further {
                    format!("{tmux} attach")
                } else {
                    // So that it passes on what the others pass on.
                    let colours = "set -s terminal-features '*:RGB:256:title:clipboard' ';' set -g default-terminal tmux-256color";
                    format!("{tmux} -f /dev/null start ';' {colours} ';' new-session '{}'", words.join(" "))
                };
                sshd.command(lab, place, &remote)
            }
            Host::Mosh { sshd, .. } if further => {
                let mut command = lab.command("mosh");
                command.env("MOSH_PREDICTION_DISPLAY", "never");
                command.arg(format!("--ssh={}", sshd.ssh(lab).join(" ")));
                command.arg("--server=env LANG=C.UTF-8 MOSH_SERVER_NETWORK_TMOUT=60 mosh-server");
                command.arg(format!("{}@{}", user(), place.host_address())).arg("--").args(&words);
                place.at_viewer(command)
            }
            Host::Mosh { port, key, .. } => {
                let mut command = lab.command("mosh-client");
                command.env("MOSH_KEY", key).env("MOSH_PREDICTION_DISPLAY", "never");
                command.args([place.host_address(), port]);
                place.at_viewer(command)
            }
        }
    }

    /// tmux' server is there once the first viewer is.
    fn find_tmux(&mut self, lab: &Lab) -> Result<()> {
        if let Host::SshTmux { socket, server, .. } = self {
            let tmux = &mut lab.command("tmux");
            let told = said(tmux.arg("-S").arg(&*socket).args(["display-message", "-p", "#{pid}"]))?;
            *server = told.trim().parse().with_context(|| format!("tmux said {told:?}"))?;
        }
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        match self {
            Host::SshTmux { socket, .. } => {
                let _ = said(Command::new("tmux").arg("-S").arg(&*socket).arg("kill-server"));
            }
            Host::Mosh { server, .. } => send(*server, Signal::TERM),
            Host::Raw | Host::Beach { .. } | Host::Ssh(_) => {}
        }
    }
}

fn share(lab: &Lab, binary: &Binary, program: Program, place: Place<'_>) -> Result<Host> {
    let mut command = lab.command(&binary.path);
    let listen = format!("{}:0", place.host_address());
    command.args(["share", "--headless", "--no-approve", "--json", "--size", "80x24", "--listen", &listen, "--"]);
    command.args(lab.words(program));
    let mut command = place.at_host(command);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut share = Daemon(child);
    let stdout = share.0.stdout.take().context("stdout is a pipe")?;
    let (sender, receiver) = channel();
    // Reads on to the end, or the host would fill the pipe.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(|line| line.ok()) {
            let _ = sender.send(line);
        }
    });
    loop {
        let line = receiver.recv_timeout(HOST_WITHIN).context("beach share says no link")?;
        let event: serde_json::Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        if event["type"] == "ready" {
            let link = event["join"].as_str().context("no link")?.to_owned();
            return Ok(Host::Beach { share, link, binary: binary.clone(), events: receiver });
        }
    }
}

fn mosh(lab: &Lab, program: Program, place: Place<'_>) -> Result<Host> {
    let sshd = Sshd::start(lab, place)?;
    let mut command = lab.command("mosh-server");
    command.args(["new", "-i", place.host_address(), "-c", "256", "--"]).args(lab.words(program));
    let told = said(&mut place.at_host(command))?;
    let mut connect = told.lines().find_map(|line| line.strip_prefix("MOSH CONNECT "));
    let mut words = connect.take().unwrap_or_default().split(' ').map(str::to_owned);
    let (port, key) = (words.next().unwrap_or_default(), words.next().context("mosh-server says no key")?);
    let server = told.split("pid = ").nth(1).and_then(|rest| rest.split(']').next()?.parse().ok());
    Ok(Host::Mosh { sshd, server: server.context("mosh-server says no process")?, port, key })
}
