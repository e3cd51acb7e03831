//! Viewers of a world that are pages of browsers.

use std::net::SocketAddr;

use beach_core::Entropy;
use beach_core::peer::browser::PeerCommand;
use beach_core::peer::engine::{Engine, PeerNumber};
use beach_core::time::Timestamp;

use super::network::place;
use super::queue::What;
use super::{Who, World};
use crate::sim::page::{Page, PageOutput};

/// Makes the page of a viewer that starts then.
pub(super) type PageMaker = Box<dyn FnMut(Who, Timestamp, Entropy) -> Page>;

/// The port of a page's first connection; each has one more than that before it.
const FIRST_PORT: u16 = 5000;

impl<E: Engine> World<E> {
    /// Viewers whose engine has sockets of its own are pages, whose connections are peers of these engines.
    #[must_use]
    pub fn with_pages<B>(mut self, mut engine: impl FnMut(Who, Timestamp) -> B + 'static) -> World<E>
    where
        B: Engine<Peer: 'static> + 'static,
    {
        self.pages = Some(Box::new(move |who, start, entropy| Page::over(engine(who, start), entropy)));
        self
    }

    /// The page of a viewer whose engine has sockets of its own.
    pub(super) fn page_for(&mut self, who: Who, start: Timestamp) -> Page {
        let entropy = Entropy::new(self.dice.seed());
        let make = self.pages.as_mut().expect("a world with pages");
        make(who, start, entropy)
    }

    pub(super) fn page_performs(&mut self, index: usize, number: PeerNumber, command: &PeerCommand) {
        let (what, bytes) = command.to_page();
        self.write_down(Some(Who::Viewer(index)), "page", &[&[what as u8][..], &bytes[..]].concat());
        let who = Who::Viewer(index);
        let address = SocketAddr::new(place(who).into(), FIRST_PORT + number.0 as u16);
        if let PeerCommand::Open(_) = command {
            self.addresses.insert(address, who);
            self.viewers[index].common.sockets.push(address);
        }
        let now = self.viewers[index].common.local(self.now);
        let page = self.viewers[index].page.as_mut().expect("it is a page");
        page.perform(now, number, command, address);
        if let PeerCommand::Close = command {
            self.viewers[index].common.sockets.retain(|own| *own != address);
        }
        self.drain_page(index);
        if let PeerCommand::Close = command {
            self.addresses.remove(&address);
        }
    }

    /// Whether the datagram was for the page of a viewer.
    pub(super) fn page_hears(&mut self, who: Who, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) -> bool {
        let Who::Viewer(index) = who else { return false };
        let viewer = &mut self.viewers[index];
        let now = viewer.common.local(self.now);
        let Some(page) = viewer.page.as_mut().filter(|_| !viewer.common.gone) else { return false };
        page.datagram(now, source, destination, bytes);
        self.drain_page(index);
        true
    }

    /// Gives a page the time, if it is due.
    pub(super) fn page_ticks(&mut self, index: usize) {
        let viewer = &mut self.viewers[index];
        let now = viewer.common.local(self.now);
        let Some(page) = &mut viewer.page else { return };
        if page.deadline().is_some_and(|at| at <= now) {
            page.tick(now);
            self.drain_page(index);
        }
    }

    fn drain_page(&mut self, index: usize) {
        let who = Who::Viewer(index);
        while let Some(output) = self.viewers[index].page.as_mut().and_then(Page::poll) {
            match output {
                PageOutput::Event(after, event) => self.later(after, What::Page(who, event)),
                PageOutput::Datagram { source, destination, bytes } => self.datagram(who, source, destination, bytes),
            }
        }
    }
}
