//! Decides what one viewer lacks and what is sent next: the head and the cursor's line, then the visible lines in their
//! newest version, then history in order. Nothing is queued: the content is looked up when there is room to send.

use std::collections::VecDeque;
use std::time::Duration;

use crate::sync::acks::Flight;
use crate::sync::history::{History, Repeats};
use crate::sync::pace::{RoundTrip, Window};
use crate::sync::packer::{Packer, Payload};
use crate::sync::slots::{Lost, Missing, Part, Slots};
use crate::terminal::{Emulator, Head, Space, Styles};
use crate::time::{Timestamp, earliest};
use crate::wire::frame::Acks;

/// Largest frame, in bytes, that never waits: an echo with the head. Such a frame goes out even if the window is full,
/// and is repeated unasked after losses.
const SMALL: usize = 420;

/// Under steady output at most one frame in this time: 60 a second, what screens show.
pub(crate) const FRAME_INTERVAL: Duration = Duration::from_millis(16);

/// History has a budget of its own: so many datagrams in [`FRAME_INTERVAL`], a megabyte a second. A viewer more costs
/// the host little even then.
const BULK_A_TURN: usize = 16;

/// Most datagrams on their way: the receiving engine keeps 100 reordered datagrams apart, and history takes 64 of
/// these.
const MAX_IN_FLIGHT: usize = 192;

/// The contents of one datagram, by name; a retransmission looks the content up again.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    pub(super) head: Option<u64>,
    /// Spans of lines that its commits cover.
    pub(super) told: Vec<(u64, u64)>,
    pub(super) parts: Vec<Part>,
    /// The frame that the datagram belongs to; none for small datagrams, which the window does not count.
    frame: Option<u64>,
    is_bulk: bool,
    /// The datagram tells only how much input the program took.
    is_note: bool,
}

/// When frames go.
struct Frames {
    ever: u64,
    /// At least this time is between two of them.
    interval: Duration,
    next_at: Timestamp,
}

/// One viewer's state. Bounded: a slot for each window row, and for the history that is on its way.
pub(crate) struct Outbound {
    flight: Flight<Load>,
    trip: RoundTrip,
    window: Window,
    slots: Slots,
    history: History,
    head_sent: u64,
    head_acked: u64,
    /// The head's version for which all that is visible has been sent.
    clean_at: u64,
    frames: Frames,
    bulk_turn: (Timestamp, usize),
    /// Small datagrams to repeat, unless they are acknowledged before: when, the number, and the content.
    repeats: VecDeque<(Timestamp, u64, Load)>,
    ready: VecDeque<(Payload, Load)>,
    /// When a frame that was held back may go.
    held_until: Option<Timestamp>,
    lost_note: bool,
    /// The datagram that is ready repeats an earlier one, so it is not repeated once more.
    is_copy: bool,
}

impl Outbound {
    /// A viewer that gets at most the last `history` lines of what was there before it, knows these styles, and is
    /// shown a frame once in `interval` under steady output.
    pub(crate) fn new(history: u64, styles: Styles, repeats: Repeats, interval: Duration) -> Outbound {
        Outbound {
            flight: Flight::default(),
            trip: RoundTrip::default(),
            window: Window::default(),
            slots: Slots::new(styles),
            history: History::new(history, repeats),
            head_sent: 0,
            head_acked: 0,
            clean_at: 0,
            frames: Frames { ever: 0, interval, next_at: Timestamp::ZERO },
            bulk_turn: (Timestamp::ZERO, 0),
            repeats: VecDeque::new(),
            ready: VecDeque::new(),
            held_until: None,
            lost_note: false,
            is_copy: false,
        }
    }

    /// A number for a datagram that only says how much input the program took.
    pub(crate) fn note(&mut self, now: Timestamp) -> u64 {
        self.flight.send(now, Load { is_note: true, ..Load::default() })
    }

    /// Whether such a datagram was lost since the last call.
    pub(crate) fn take_lost_note(&mut self) -> bool {
        std::mem::take(&mut self.lost_note)
    }

    /// A number for a datagram that need not be acknowledged.
    pub(crate) fn number(&mut self) -> u64 {
        self.flight.number()
    }

    /// Takes an acknowledgement of the viewer.
    pub(crate) fn acknowledge(&mut self, now: Timestamp, acks: &Acks) {
        self.trip.heard(now);
        let concluded = self.flight.acknowledge(now, acks);
        self.trip.count(concluded.arrived.len(), concluded.lost.len());
        if let Some(took) = concluded.round_trip {
            self.trip.sample(now, took);
        }
        for load in concluded.arrived {
            self.head_acked = self.head_acked.max(load.head.unwrap_or(0));
            load.parts.iter().for_each(|part| self.slots.arrived(part));
            for span in load.told {
                self.slots.heard(span);
                self.history.heard(span);
            }
        }
        for load in concluded.lost {
            self.forget(load);
        }
        self.window.decide(now, &mut self.trip);
        self.history.settle(&mut self.slots);
    }

    /// Counts everything in flight as lost, and measures the round trip anew.
    pub(crate) fn moved(&mut self) {
        self.repeats.clear();
        for load in
            self.flight.abandon().into_iter().chain(std::mem::take(&mut self.ready).into_iter().map(|(_, load)| load))
        {
            self.forget(load);
        }
        (self.trip, self.window) = (RoundTrip::default(), Window::default());
        self.frames.next_at = Timestamp::ZERO;
    }

    /// The smoothed round trip.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.trip.smoothed()
    }

    /// Whether this viewer has acknowledged all there is, history too.
    pub(crate) fn is_current(&self, emulator: &Emulator) -> bool {
        let version = emulator.head().version;
        let idle = self.flight.is_empty() && self.ready.is_empty();
        idle && self.head_acked == version && self.clean_at == version && self.history.is_settled(emulator.top())
    }

    /// The next datagram and its number, if one may go. `urgent`: a person waits for an echo.
    pub(crate) fn next(&mut self, now: Timestamp, emulator: &Emulator, urgent: bool) -> Option<(u64, Payload)> {
        if self.ready.is_empty() {
            let nothing_new = self.head_sent == emulator.head().version;
            let repeats = self.on_time(now);
            self.plan(now, emulator, urgent);
            self.is_copy = repeats && nothing_new;
        }
        let (payload, load) = self.ready.pop_front()?;
        let is_frame = load.frame.is_some() || load.is_bulk;
        let may_repeat = !self.is_copy && !is_frame && payload.size() <= SMALL;
        let again = may_repeat.then(|| load.clone());
        let seq = self.flight.send(now, load);
        if let Some(load) = again {
            let repeats = self.trip.repeats().iter().map(|after| (now + *after, seq, load.clone()));
            self.repeats.extend(repeats);
            self.repeats.make_contiguous().sort_by_key(|(at, seq, _)| (*at, *seq));
        }
        Some((seq, payload))
    }

    /// Checks its invariants.
    pub(crate) fn check(&self) {
        self.flight.check();
        self.trip.check();
        self.window.check();
        self.history.check();
    }

    /// When [`next`](Outbound::next) may have something, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let expiry = self.flight.expires_at(self.trip.timeout());
        let repeat = self.repeats.front().map(|(at, ..)| *at);
        earliest(earliest(expiry, repeat), self.held_until)
    }

    /// Counts datagrams that are unanswered for too long as lost; returns whether a small one has to be repeated
    /// besides.
    fn on_time(&mut self, now: Timestamp) -> bool {
        let expired = self.flight.expire(now, self.trip.timeout());
        self.trip.count(0, expired.len());
        for (sent_at, load) in expired {
            self.trip.miss(now, sent_at);
            self.forget(load);
        }
        let mut repeats = false;
        while self.repeats.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, seq, load)) = self.repeats.pop_front() else { break };
            if self.flight.holds(seq) {
                // As if the datagram were lost: newer content is sent in its place. If the datagram arrives after all,
                // its acknowledgement still counts.
                self.forget(load);
                repeats = true;
            }
        }
        repeats
    }

    /// Marks the content of a lost datagram as missing.
    fn forget(&mut self, load: Load) {
        self.lost_note |= load.is_note;
        self.clean_at = 0;
        if load.head == Some(self.head_sent) && self.head_acked < self.head_sent {
            self.head_sent = self.head_acked;
        }
        let parts = if is_faulty!(LostLines) { Vec::new() } else { load.parts };
        for part in parts {
            match self.slots.lost(&part) {
                Lost::Nothing => {}
                Lost::Content => self.history.missing_again(part.space, part.number),
                Lost::Finality => self.history.untold_again(),
            }
        }
        for span in load.told {
            self.slots.unheard(span);
            self.history.unheard(span);
        }
    }

    /// Packs what is missing and may go, most urgent first.
    fn plan(&mut self, now: Timestamp, emulator: &Emulator, urgent: bool) {
        self.held_until = None;
        // One datagram a timeout probes whether the viewer still hears.
        let silent = self.trip.is_silent();
        if self.flight.len() >= MAX_IN_FLIGHT || (silent && !self.flight.is_empty()) {
            return;
        }
        let head = emulator.head();
        self.history.follow(now, emulator, &mut self.slots);
        if self.clean_at != head.version || self.history.has_untold() {
            self.plan_visible(now, emulator, head, urgent);
        }
        if !silent || self.ready.is_empty() {
            self.plan_history(now, emulator);
        }
        if silent {
            let rest = self.ready.split_off(self.ready.len().min(1));
            rest.into_iter().for_each(|(_, load)| self.forget(load));
        }
    }

    fn plan_visible(&mut self, now: Timestamp, emulator: &Emulator, head: &Head, urgent: bool) {
        if self.head_sent != head.version {
            self.slots.fit(head);
        }
        let missing: Vec<Missing<'_>> = urgency(head)
            .filter_map(|number| {
                let (version, content) = emulator.line(head.space, number)?;
                self.slots.missing(head.space, number, version, content)
            })
            .collect();
        let tells = self.head_sent != head.version || self.history.has_untold();
        if !tells && missing.is_empty() {
            self.clean_at = head.version;
            return;
        }
        let screen = tells.then(|| (head.clone(), self.history.commits(emulator, &self.slots)));
        let size = Packer::size_of(screen.as_ref()) + missing.iter().map(Missing::size).sum::<usize>();
        if size <= SMALL {
            self.pack(screen, &missing, None, false);
            self.clean_at = head.version;
            return;
        }
        let frames = self.frames_in_flight();
        if self.window.has_room_for_frame(frames) {
            if now >= self.frames.next_at || urgent {
                self.frames.ever += 1;
                self.frames.next_at = now + self.frames.interval.max(self.trip.smoothed().unwrap_or_default() / 4);
                self.pack(screen, &missing, Some(self.frames.ever), urgent);
                self.clean_at = head.version;
                return;
            }
            self.held_until = earliest(self.held_until, Some(self.frames.next_at));
        }
        // The frame has to wait; an echo need not, unless all that could be shown with it are blank rows.
        let cursor = head.top + u64::from(head.cursor.row);
        let first: Vec<_> = missing.into_iter().filter(|line| line.number == cursor).collect();
        let size = Packer::size_of(screen.as_ref()) + first.iter().map(Missing::size).sum::<usize>();
        let unknown = urgency(head).filter(|number| !self.slots.knows(head.space, *number)).count();
        if urgent && size <= SMALL && unknown <= usize::from(head.size.rows / 4) && (tells || !first.is_empty()) {
            self.pack(screen, &first, None, false);
        }
    }

    fn pack(
        &mut self,
        screen: Option<(Head, crate::terminal::LineCommits)>,
        missing: &[Missing<'_>],
        frame: Option<u64>,
        first_alone: bool,
    ) {
        let mut packer = Packer::default();
        if let Some((head, commits)) = screen {
            self.head_sent = head.version;
            let told = self.history.tell(&commits, &mut self.slots);
            packer.screen(head, commits, told);
        }
        for (index, line) in missing.iter().enumerate() {
            self.slots.send(line, false, |part| packer.part(line, part, false));
            if index == 0 && first_alone && packer.open_size() <= SMALL {
                packer.close();
            }
        }
        for (payload, mut load) in packer.finish() {
            // The next frame makes up for a lost one, but after an echo no frame follows.
            load.frame = frame.filter(|_| !first_alone || payload.size() > SMALL);
            self.ready.push_back((payload, load));
        }
    }

    fn plan_history(&mut self, now: Timestamp, emulator: &Emulator) {
        if !self.history.has_more(now, emulator) {
            self.held_until = earliest(self.held_until, self.history.calm_at(now, emulator));
            return;
        }
        let (since, sent) = self.bulk_turn;
        if now.since(since) >= FRAME_INTERVAL {
            self.bulk_turn = (now, 0);
        } else if sent >= BULK_A_TURN {
            self.held_until = earliest(self.held_until, Some(since + FRAME_INTERVAL));
            return;
        }
        let on_their_way = self.flight.loads().filter(|load| load.is_bulk).count();
        let room = self.window.room_for_bulk(on_their_way).min(BULK_A_TURN - self.bulk_turn.1);
        if room == 0 {
            return;
        }
        let mut packer = Packer::default();
        while packer.count() < room {
            let Some(number) = self.history.next(emulator, &mut self.slots) else { break };
            let Some((version, content)) = emulator.line(Space::Main, number) else { continue };
            let Some(line) = self.slots.missing(Space::Main, number, version, content) else { continue };
            self.slots.send(&line, true, |part| packer.part(&line, part, true));
        }
        let packed = packer.finish();
        self.bulk_turn.1 += packed.len();
        for (payload, mut load) in packed {
            load.is_bulk = true;
            self.ready.push_back((payload, load));
        }
    }

    fn frames_in_flight(&self) -> usize {
        let mut frames: Vec<u64> = self.flight.loads().filter_map(|load| load.frame).collect();
        frames.dedup();
        frames.len()
    }
}

/// The cursor's line, then the others from the top.
fn urgency(head: &Head) -> impl Iterator<Item = u64> + use<> {
    let cursor = head.top + u64::from(head.cursor.row);
    let window = head.top..head.top + u64::from(head.size.rows);
    std::iter::once(cursor).chain(window.filter(move |number| *number != cursor))
}
