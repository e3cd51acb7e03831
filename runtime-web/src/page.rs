//! The viewer behind the page: its endpoint, what the person types, and what the person was told.

use std::time::Duration;

use beach_core::Entropy;
use beach_core::crypto::invite::Invite;
use beach_core::endpoint::{Endpoint, Input, NetworkInput, Output, Secrets};
use beach_core::machine::Machine as _;
use beach_core::peer::browser::Browser;
use beach_core::predict::Mode;
use beach_core::session::handshake::Stage;
use beach_core::session::link::Path;
use beach_core::terminal::{Abilities, DEFAULT_HISTORY, Options, Size, Window};
use beach_core::time::Timestamp;
use beach_core::viewer::{Viewer, ViewerConfig, ViewerInput, ViewerNotice, ViewerOutput, sentences};
use beach_core::wire::frame::Members;
use serde::Deserialize;

use crate::codes::{OWN, happened, perform};
use crate::news::{End, News, Speaker};
use crate::typing::{Kept, Typing};

/// How long the viewer tries to come back, as `beach join` does.
const RECONNECT: Duration = Duration::from_secs(600);

/// The abilities of xterm.js, the page's terminal. Its kitty keyboard differs from the model's.
pub(crate) const ABILITIES: Abilities = Abilities { kitty_keyboard: false, ..Abilities::ALL };

/// How the page performs: the number of what, the number of the peer connection, bytes.
pub type Perform<'a> = &'a mut dyn FnMut(u32, u32, &[u8]);

/// How to join.
#[derive(Deserialize)]
struct Plan {
    /// None: by the link of the last start.
    link: Option<String>,
    /// For the host and the others.
    name: String,
    /// Columns and rows for which the window has room.
    room: (u16, u16),
    /// 64 random bytes.
    seed: Vec<u8>,
}

/// The machine behind one page. The invite is kept here; the page does not keep it.
#[derive(Default)]
pub struct Page {
    invite: Option<Invite>,
    session: Option<Session>,
}

impl Page {
    /// Joins by a plan, as JSON; what was before is forgotten.
    pub fn start(&mut self, now: Timestamp, plan: &[u8], page: Perform<'_>) {
        self.session = None;
        let Ok(plan) = serde_json::from_slice::<Plan>(plan) else { return };
        match plan.link.as_deref().map(Invite::parse) {
            Some(Ok(invite)) => self.invite = Some(invite),
            Some(Err(error)) => return tell_of_link(&error.to_string(), page),
            None => {}
        }
        let Some(invite) = self.invite.clone() else { return tell_of_link("there is no link", page) };
        let mut session = Session::new(now, invite, &plan);
        session.step(now, Input::Machine(ViewerInput::WantMembers), page);
        self.session = Some(session);
    }

    /// Something happened: see [`codes`](crate::codes). An event that makes no sense is ignored.
    pub fn happened(&mut self, now: Timestamp, what: u32, peer: u32, bytes: &[u8], page: Perform<'_>) {
        let Some(session) = &mut self.session else { return };
        session.happened(now, what, peer, bytes, page);
        if session.is_over {
            self.session = None;
        }
    }

    /// When to say that time has passed.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.session.as_ref().and_then(Session::deadline)
    }
}

fn tell_of_link(why: &str, page: Perform<'_>) {
    let what = "this link does not work".to_owned();
    let advice = "copy the whole link again".to_owned();
    tell(&News::Exit { end: End::Link, what, why: why.to_owned(), advice }, page);
}

fn tell(news: &News, page: Perform<'_>) {
    let json = serde_json::to_vec(news).expect("news are strings and numbers");
    page(perform::NEWS, 0, &json);
}

/// One join, from the dial to the end.
struct Session {
    /// The time of the page at the machine's own start.
    epoch: Timestamp,
    endpoint: Endpoint<Viewer, Browser>,
    typing: Typing,
    server: String,
    /// The news that the person was told.
    told: Told,
    is_over: bool,
}

#[derive(Default)]
struct Told {
    stage: Option<Stage>,
    paths: Option<(usize, usize)>,
    path: Option<Path>,
    members: Option<Members>,
}

impl Session {
    fn new(epoch: Timestamp, invite: Invite, plan: &Plan) -> Session {
        let seed = |at: usize| -> [u8; 32] {
            let bytes = plan.seed.get(at..at + 32);
            bytes.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
        };
        let config = ViewerConfig {
            seed: seed(0),
            role: invite.role,
            name: plan.name.clone(),
            size: size(plan.room.0, plan.room.1),
            wait: None,
            options: Options { abilities: ABILITIES, alternate: false, window: Window::Session },
            predict: Mode::Auto,
            history: u32::try_from(DEFAULT_HISTORY).unwrap_or(0),
            clipboard: true,
            stays: true,
            reconnect: RECONNECT,
        };
        let server = invite.server.clone();
        let secrets = Secrets::Viewer(invite);
        Session {
            epoch,
            endpoint: Endpoint::new(Viewer::new(config), Browser::default(), secrets, Entropy::new(seed(32))),
            typing: Typing::default(),
            server,
            told: Told::default(),
            is_over: false,
        }
    }

    fn deadline(&self) -> Option<Timestamp> {
        let machine = self.endpoint.deadline().map(|at| self.epoch + at.since_start());
        machine.into_iter().chain(self.typing.deadline()).min()
    }

    fn happened(&mut self, now: Timestamp, what: u32, peer: u32, bytes: &[u8], page: Perform<'_>) {
        let machine = |input| Input::Machine(input);
        let input = match what {
            0..OWN => NetworkInput::from_page(what, peer, bytes).map_or(Input::Tick, Input::Network),
            happened::TYPED => {
                let kept = self.typing.read(now, bytes);
                self.tell_lost(kept, page);
                Input::Tick
            }
            happened::SHOWN => machine(ViewerInput::Shown),
            happened::ROOM => match *bytes {
                [a, b, c, d] => {
                    machine(ViewerInput::Resized(size(u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]))))
                }
                _ => Input::Tick,
            },
            happened::LEAVE => machine(ViewerInput::Leave),
            happened::TICK => Input::Tick,
            happened::STATUS => {
                tell(&News::status(self.told.path, self.endpoint.round_trip()), page);
                Input::Tick
            }
            _ => Input::Tick,
        };
        let kept = self.typing.on_time(now);
        self.tell_lost(kept, page);
        self.step(now, input, page);
        while let Some(input) = self.typing.next().filter(|_| !self.is_over) {
            self.step(now, Input::Machine(input), page);
        }
    }

    /// Hands the machine one input, and performs all that follows.
    fn step(&mut self, now: Timestamp, input: Input<ViewerInput>, page: Perform<'_>) {
        self.endpoint.handle(Timestamp::from(now.since(self.epoch)), input);
        while let Some(output) = self.endpoint.poll() {
            self.perform(now, output, page);
        }
        let members = self.endpoint.machine().members();
        if members.is_some() && members != self.told.members.as_ref() {
            self.told.members = members.cloned();
            let me = self.endpoint.machine().me();
            self.told.members.iter().for_each(|list| tell(&News::members(list, me), page));
        }
    }

    fn perform(&mut self, now: Timestamp, output: Output<ViewerOutput>, page: Perform<'_>) {
        match output {
            Output::Machine(output) => self.show(now, output, page),
            Output::Dial => page(perform::DIAL, 0, &[]),
            Output::HangUp => page(perform::HANG_UP, 0, &[]),
            Output::Signal(text) => page(perform::SIGNAL, 0, text.as_bytes()),
            Output::Peer(number, command) => {
                let (what, bytes) = command.to_page();
                page(what, number.0, &bytes);
            }
            // The browser has sockets of its own, a page stays at its own rendezvous and is no host, and nobody asked
            // for links, recordings or notes.
            Output::DialAt(_)
            | Output::DialBeside(_)
            | Output::TakeBeside
            | Output::HangUpBeside
            | Output::Bind(_)
            | Output::Datagram { .. }
            | Output::Relay(_)
            | Output::TurnDial(..)
            | Output::TurnWrite(..)
            | Output::TurnHangUp(_)
            | Output::Links(_)
            | Output::Record(_)
            | Output::Note(_) => {}
        }
    }

    fn show(&mut self, now: Timestamp, output: ViewerOutput, page: Perform<'_>) {
        match output {
            ViewerOutput::Size(size) => {
                let [cols, rows] = [size.cols.to_le_bytes(), size.rows.to_le_bytes()];
                page(perform::SIZE, 0, &[cols[0], cols[1], rows[0], rows[1]]);
            }
            ViewerOutput::Show(bytes) => page(perform::SHOW, 0, &bytes),
            ViewerOutput::CursorAsked => self.typing.expect_cursor_report(now),
            ViewerOutput::KeysTaken => self.typing.taken(),
            ViewerOutput::Notice(notice) => self.on_notice(notice, page),
            ViewerOutput::Exit(exit) => {
                self.is_over = true;
                tell(&News::exit(&exit, &self.server), page);
            }
            ViewerOutput::Link(none) => match none {},
        }
    }

    fn on_notice(&mut self, notice: ViewerNotice, page: Perform<'_>) {
        let news = match notice {
            ViewerNotice::Stage(stage) => {
                self.told.stage = Some(stage);
                self.stage()
            }
            ViewerNotice::Paths(local, remote) => {
                self.told.paths = Some((local, remote));
                self.stage()
            }
            ViewerNotice::Unreachable(cause) => Some(News::Unreachable { text: format!("{cause}, trying again") }),
            ViewerNotice::Connected(path) => {
                self.told.path = Some(path);
                Some(News::path(path, false))
            }
            ViewerNotice::Path(path) => {
                let again = self.told.path.replace(path).is_some_and(|before| before.kind != path.kind);
                Some(News::path(path, again))
            }
            ViewerNotice::FirstScreen(_, role) => Some(News::Live { role }),
            ViewerNotice::Title(title) => Some(News::Title { title }),
            ViewerNotice::Bell => Some(News::Bell),
            ViewerNotice::Clipboard(text) => Some(News::Clipboard { text }),
            ViewerNotice::Away(cause) => Some(News::Away { text: cause.to_string() }),
            ViewerNotice::Back(_) => Some(News::Back),
            ViewerNotice::Forgotten(had_input) => {
                Some(News::Said { who: Speaker::Beach, text: sentences::forgotten(had_input) })
            }
            ViewerNotice::Overflow => Some(lost()),
            ViewerNotice::Said(text) => Some(News::Said { who: Speaker::Host, text }),
            ViewerNotice::Sas(sas) => Some(News::Check { words: sas.words().to_vec() }),
            ViewerNotice::Role(role) => Some(News::Role { role, text: sentences::role_changed(role) }),
            ViewerNotice::Paused(paused) => Some(News::Paused { text: paused.then_some(sentences::PAUSED) }),
            ViewerNotice::ReadOnly => Some(News::Readonly { text: sentences::READ_ONLY }),
        };
        news.iter().for_each(|news| tell(news, page));
    }

    fn stage(&self) -> Option<News> {
        self.told.stage.map(|stage| News::Stage { stage, words: sentences::step(stage, self.told.paths) })
    }

    fn tell_lost(&self, kept: Kept, page: Perform<'_>) {
        match kept {
            Kept::All => {}
            Kept::SomeLost => tell(&lost(), page),
        }
    }
}

fn lost() -> News {
    News::Lost { text: sentences::LOST.to_owned() }
}

/// A size that the viewer takes.
fn size(cols: u16, rows: u16) -> Size {
    Size::new(cols, rows)
}
