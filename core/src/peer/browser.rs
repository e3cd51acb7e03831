//! The engine over a browser's own connections (`RTCPeerConnection`): it sees no datagram, and says and hears what a
//! page does and what happens to it.
//!
//! A page performs each [`PeerCommand`] at once and in order, and reports each [`PeerEvent`]. Everything else is here:
//! what waits for what, what is read and written as SDP, what is bounded, what has a deadline. The page's side always
//! makes the SDP offer, since a browser describes itself by that alone; the host's description becomes the answer.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::engine::{Engine, Peer, PeerNumber, PeerOutput, PeerPlan, Server};
use super::sdp;
use crate::session::handshake::MAX_CANDIDATES;
use crate::session::link::{
    BY_CHANNEL, Candidate, CandidateKind, IN_BROWSER, Lane, LinkDown, NO_RELAY, Path, PathKind,
};
use crate::support::entropy::Entropy;
use crate::time::Timestamp;
use crate::wire::WireError;
use crate::wire::sealed::Description;

/// Most bytes of the control lane that the page has been given and the browser has not sent.
const CONTROL_BUFFER: usize = 128 * 1024;

/// A browser describes a connection within milliseconds. Less than the time after which the host begins a fresh
/// attempt, so that a browser which cannot is named as the cause.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(3);

/// Most characters of a cause that a page tells.
const MAX_CAUSE: usize = 160;

/// An event of one of the page's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// The connection has described itself; its offer.
    Described(String),
    /// The browser found an address of its own: the text of an `RTCIceCandidate`; empty after the last one.
    Candidate(String),
    /// A path answered.
    PathFound,
    /// The path in use: the texts of the local and of the remote `RTCIceCandidate`, each empty if it is not known.
    Path(String, String),
    /// Data channel 0 is open.
    ControlOpen,
    /// Data channel 1 is open; with the certificate that the other side showed, if the browser tells.
    TerminalOpen(Option<Vec<u8>>),
    /// A message arrived.
    Message(Lane, Vec<u8>),
    /// All messages of the control lane have left.
    Drained,
    /// No path answers any more.
    Silent,
    /// The connection or one of its channels closed.
    Closed,
    /// The connection is of no use; the cause is for people.
    Failed(String),
}

/// A request to the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerCommand {
    /// Make a connection with these servers and both data channels, and have it describe itself by an offer.
    Open(Vec<Server>),
    /// The answer to the offer.
    Connect(String),
    /// The other side may be reached there: the text of an `RTCIceCandidate`. After the answer.
    Candidate(String),
    /// Send this message. On the terminal lane, a message that does not fit is dropped.
    Send(Lane, Vec<u8>),
    /// Close the connection once what was sent has left, and say nothing of it any more.
    Close,
}

impl PeerEvent {
    /// Reads what a page passes in; the numbers are listed with [`NetworkInput::from_page`].
    ///
    /// # Errors
    /// No event has that number, or it has other bytes.
    ///
    /// [`NetworkInput::from_page`]: crate::endpoint::NetworkInput::from_page
    pub(crate) fn from_page(what: u32, bytes: &[u8]) -> Result<PeerEvent, WireError> {
        let text = || std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| WireError::Malformed);
        let plain = |event| if bytes.is_empty() { Ok(event) } else { Err(WireError::Malformed) };
        match what {
            8 => text().map(PeerEvent::Described),
            9 => text().map(PeerEvent::Candidate),
            10 => plain(PeerEvent::PathFound),
            11 => {
                let text = text()?;
                let (local, remote) = text.split_once('\n').ok_or(WireError::Malformed)?;
                Ok(PeerEvent::Path(local.to_owned(), remote.to_owned()))
            }
            12 => plain(PeerEvent::ControlOpen),
            13 => Ok(PeerEvent::TerminalOpen((!bytes.is_empty()).then(|| bytes.to_vec()))),
            14 => Ok(PeerEvent::Message(Lane::Control, bytes.to_vec())),
            15 => Ok(PeerEvent::Message(Lane::Terminal, bytes.to_vec())),
            16 => plain(PeerEvent::Drained),
            17 => plain(PeerEvent::Silent),
            18 => plain(PeerEvent::Closed),
            19 => text().map(PeerEvent::Failed),
            _ => Err(WireError::Encoding),
        }
    }
}

impl PeerCommand {
    /// The command as a page takes it: its number, and its bytes.
    ///
    /// | number | command | bytes |
    /// |---|---|---|
    /// | 0 | [`Open`](PeerCommand::Open) | JSON: the `iceServers` of an `RTCConfiguration` |
    /// | 1 | [`Connect`](PeerCommand::Connect) | the SDP |
    /// | 2 | [`Candidate`](PeerCommand::Candidate) | the text |
    /// | 3, 4 | [`Send`](PeerCommand::Send) on the control lane, on the terminal lane | the message |
    /// | 5 | [`Close`](PeerCommand::Close) | none |
    pub fn to_page(&self) -> (u32, Cow<'_, [u8]>) {
        match self {
            PeerCommand::Open(servers) => (0, Cow::Owned(ice_servers(servers))),
            PeerCommand::Connect(answer) => (1, Cow::Borrowed(answer.as_bytes())),
            PeerCommand::Candidate(line) => (2, Cow::Borrowed(line.as_bytes())),
            PeerCommand::Send(Lane::Control, bytes) => (3, Cow::Borrowed(bytes)),
            PeerCommand::Send(Lane::Terminal, bytes) => (4, Cow::Borrowed(bytes)),
            PeerCommand::Close => (5, Cow::Borrowed(&[])),
        }
    }
}

/// `RTCConfiguration.iceServers`, as JSON.
fn ice_servers(servers: &[Server]) -> Vec<u8> {
    #[derive(Serialize)]
    struct IceServer<'a> {
        urls: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        username: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        credential: Option<&'a str>,
    }
    fn each(Server { url, credentials }: &Server) -> IceServer<'_> {
        let (username, credential) =
            credentials.as_ref().map(|(user, secret)| (user.as_str(), secret.as_str())).unzip();
        IceServer { urls: url, username, credential }
    }
    let servers: Vec<_> = servers.iter().map(each).collect();
    serde_json::to_vec(&servers).expect("plain data always encodes")
}

/// Makes [`BrowserPeer`]s.
#[derive(Default)]
pub struct Browser {
    peers_ever: u32,
    servers: Vec<Server>,
}

impl Engine for Browser {
    type Peer = BrowserPeer;

    fn peer(&mut self, now: Timestamp, _: PeerPlan, _: &mut Entropy) -> BrowserPeer {
        self.peers_ever = self.peers_ever.wrapping_add(1);
        let number = PeerNumber(self.peers_ever);
        BrowserPeer {
            number,
            local: None,
            described_by: Some(now + DESCRIBED_WITHIN),
            remote: None,
            remotes: 0,
            waiting: Vec::new(),
            found: Vec::new(),
            observed: None,
            path: None,
            path_found: false,
            control_open: false,
            terminal_open: false,
            outstanding: 0,
            closed: false,
            out: VecDeque::from([PeerOutput::Command(number, PeerCommand::Open(self.servers.clone()))]),
        }
    }

    fn capabilities(&self) -> u32 {
        BY_CHANNEL | NO_RELAY | IN_BROWSER
    }

    fn has_own_sockets(&self) -> bool {
        true
    }

    fn learn(&mut self, servers: Vec<Server>) {
        self.servers = servers;
    }
}

/// One connection of the page.
pub struct BrowserPeer {
    number: PeerNumber,
    /// User name fragment, password and certificate, once the browser has told them.
    local: Option<(String, String, [u8; 32])>,
    /// The deadline for that description; `None` once the browser has described itself, or cannot any more.
    described_by: Option<Timestamp>,
    remote: Option<Description>,
    /// How many candidates of the other side the page was told.
    remotes: u16,
    /// Candidates of the other side that wait for its answer.
    waiting: Vec<Candidate>,
    /// The candidates of this side.
    found: Vec<Candidate>,
    observed: Option<[u8; 32]>,
    path: Option<Path>,
    path_found: bool,
    control_open: bool,
    terminal_open: bool,
    /// Bytes on the control lane since everything had left.
    outstanding: usize,
    closed: bool,
    out: VecDeque<PeerOutput>,
}

impl BrowserPeer {
    fn command(&mut self, command: PeerCommand) {
        self.out.push_back(PeerOutput::Command(self.number, command));
    }

    /// Has the browser connect, once both sides are described.
    fn connect(&mut self) {
        let (Some(_), Some(remote)) = (&self.local, &self.remote) else { return };
        let answer = sdp::answer(remote);
        self.command(PeerCommand::Connect(answer));
        for candidate in std::mem::take(&mut self.waiting) {
            self.tell(candidate);
        }
    }

    fn tell(&mut self, candidate: Candidate) {
        let line = sdp::line(candidate, self.remotes);
        self.remotes = self.remotes.saturating_add(1);
        self.command(PeerCommand::Candidate(line));
    }

    fn on_described(&mut self, offer: &str) -> Result<(), LinkDown> {
        if self.local.is_some() {
            return Ok(());
        }
        self.described_by = None;
        let local = sdp::credentials(offer).ok_or_else(|| engine("the browser's description is not understood"))?;
        self.local = Some(local);
        self.out.push_back(PeerOutput::Described);
        let early = self.found.iter().copied().map(PeerOutput::Candidate);
        self.out.extend(early);
        self.connect();
        Ok(())
    }

    fn on_candidate(&mut self, line: &str) {
        let Some(candidate) = sdp::candidate(line) else { return };
        if self.found.len() >= MAX_CANDIDATES || self.found.contains(&candidate) {
            return;
        }
        self.found.push(candidate);
        if self.local.is_some() {
            self.out.push_back(PeerOutput::Candidate(candidate));
        }
    }

    fn on_path_found(&mut self) {
        if !std::mem::replace(&mut self.path_found, true) {
            self.out.push_back(PeerOutput::PathFound);
        }
    }

    fn on_path(&mut self, path: Path) {
        if self.path.replace(path) != Some(path) {
            self.out.push_back(PeerOutput::Path(path));
        }
    }

    fn on_terminal_open(&mut self, certificate: Option<Vec<u8>>) {
        let Some(announced) = self.remote.as_ref().map(|remote| remote.fingerprint) else { return };
        if std::mem::replace(&mut self.terminal_open, true) {
            return;
        }
        // A browser refuses every certificate but the announced one, and some do not tell what they saw.
        self.observed = Some(certificate.map_or(announced, |der| Sha256::digest(der).into()));
        self.on_path_found();
        self.on_path(self.path.unwrap_or(path("", "")));
        self.out.push_back(PeerOutput::Secured);
    }
}

/// The path between two candidates as a browser writes them; an end that is not told, or hidden by a name, is
/// unspecified.
fn path(local: &str, remote: &str) -> Path {
    let ends = [local, remote].map(sdp::candidate);
    let relayed = ends.iter().flatten().any(|end| end.kind == CandidateKind::Relayed);
    let [local, remote] = ends.map(|end| end.map_or(sdp::HIDDEN, |end| end.address));
    Path { local, remote, kind: if relayed { PathKind::Turn } else { PathKind::Direct } }
}

fn engine(cause: &str) -> LinkDown {
    LinkDown::Engine(cause.chars().filter(|c| !c.is_control()).take(MAX_CAUSE).collect())
}

impl Peer for BrowserPeer {
    fn local(&self) -> Option<(String, String, [u8; 32])> {
        self.local.clone()
    }

    fn observed_fingerprint(&mut self) -> Option<[u8; 32]> {
        self.observed
    }

    fn number(&self) -> Option<PeerNumber> {
        Some(self.number)
    }

    fn happened(&mut self, _: Timestamp, event: PeerEvent) -> Result<(), LinkDown> {
        match event {
            PeerEvent::Described(offer) => return self.on_described(&offer),
            PeerEvent::Candidate(line) => self.on_candidate(&line),
            PeerEvent::PathFound => self.on_path_found(),
            PeerEvent::Path(local, remote) => self.on_path(path(&local, &remote)),
            PeerEvent::ControlOpen => {
                if !std::mem::replace(&mut self.control_open, true) {
                    self.out.push_back(PeerOutput::ControlOpen);
                }
            }
            PeerEvent::TerminalOpen(certificate) => self.on_terminal_open(certificate),
            PeerEvent::Message(lane, bytes) => self.out.push_back(PeerOutput::Message(lane, bytes)),
            PeerEvent::Drained => self.outstanding = 0,
            // The time for a path, and fresh attempts, are the machines' matter.
            PeerEvent::Silent if !self.path_found => {}
            PeerEvent::Silent => return Err(LinkDown::Silent),
            PeerEvent::Closed => return Err(LinkDown::Closed),
            PeerEvent::Failed(cause) => return Err(engine(&cause)),
        }
        Ok(())
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.out.clear();
            self.command(PeerCommand::Close);
        }
    }

    fn set_remote(&mut self, _: Timestamp, description: &Description) -> Result<(), LinkDown> {
        self.remote = Some(description.clone());
        self.connect();
        Ok(())
    }

    fn add_remote(&mut self, _: Timestamp, candidate: Candidate) {
        if self.local.is_some() && self.remote.is_some() {
            self.tell(candidate);
        } else if self.waiting.len() < MAX_CANDIDATES {
            self.waiting.push(candidate);
        }
    }

    fn write(&mut self, _: Timestamp, lane: Lane, bytes: &[u8]) -> Result<bool, LinkDown> {
        let fits = match lane {
            Lane::Control => self.control_open && self.outstanding + bytes.len() <= CONTROL_BUFFER,
            Lane::Terminal => self.terminal_open,
        };
        if fits {
            if lane == Lane::Control {
                self.outstanding += bytes.len();
            }
            self.command(PeerCommand::Send(lane, bytes.to_vec()));
        }
        Ok(fits)
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), LinkDown> {
        match self.described_by.take_if(|by| *by <= now) {
            Some(_) => Err(engine("the browser did not make a connection in time")),
            None => Ok(()),
        }
    }

    fn poll(&mut self) -> Option<PeerOutput> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.described_by
    }

    fn check(&self) {
        let candidates = [&self.found, &self.waiting];
        assert!(candidates.iter().all(|some| some.len() <= MAX_CANDIDATES), "candidates are bounded");
        assert!(self.local.is_none() || self.described_by.is_none(), "a browser describes itself once");
        let is_described = self.local.is_some() && self.remote.is_some();
        assert!(!is_described || self.waiting.is_empty(), "candidates wait for both descriptions alone");
        let is_secure = self.observed.is_some() && self.path.is_some() && self.path_found;
        assert!(!self.terminal_open || is_secure, "the terminal lane opens after DTLS, on a path");
        assert!(self.outstanding <= CONTROL_BUFFER, "the control lane is bounded");
    }

    // The browser has the sockets: datagrams and addresses of this side never come here.

    fn add_local(&mut self, _: Timestamp, _: Candidate) -> bool {
        false
    }

    fn remove_local(&mut self, _: Timestamp, _: SocketAddr) {}

    fn renew(&mut self, _: Timestamp, _: Option<SocketAddr>) {}

    fn rest(&mut self, _: Timestamp, _: SocketAddr, _: SocketAddr) {}

    fn wake(&mut self, _: Timestamp) {}

    fn accepts(&self, _: Timestamp, _: SocketAddr, _: SocketAddr, _: &[u8]) -> bool {
        false
    }

    fn receive(&mut self, _: Timestamp, _: SocketAddr, _: SocketAddr, _: &[u8]) -> Result<(), LinkDown> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
