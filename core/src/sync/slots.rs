//! A viewer's state of each relevant line: which parts of which version were sent, and which arrived.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::terminal::{Head, Space, Styles};
use crate::wire::frame::{MAX_PARTS, MAX_SEGMENT};
use crate::wire::integer_length;

const _: () = assert!(MAX_PARTS as u32 <= u64::BITS, "a bit for every part");

/// Whether the viewer knows that the version it has of a line is the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Told {
    #[default]
    No,
    OnItsWay,
    Yes,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    version: u64,
    parts: u8,
    sent: u64,
    arrived: u64,
    told: Told,
    /// Any version of the line has arrived.
    known: bool,
}

impl Slot {
    fn all(&self) -> u64 {
        u64::MAX >> (u64::BITS - u32::from(self.parts))
    }
}

/// A line, or parts of one, that a viewer lacks.
pub(super) struct Missing<'a> {
    pub(super) space: Space,
    pub(super) number: u64,
    pub(super) version: u64,
    pub(super) content: Cow<'a, [u8]>,
    pub(super) parts: u8,
    /// Bit *i*: part *i* is missing.
    lacks: u64,
}

impl Missing<'_> {
    /// Bytes that the missing parts take at most.
    pub(super) fn size(&self) -> usize {
        let lacks = self.lacks.count_ones() as usize;
        let content = self.content.len().min(lacks * MAX_SEGMENT);
        content + lacks * self.size_without_content(content.min(MAX_SEGMENT))
    }

    /// Bytes of a segment that are not content: space, number, version, finality, part, parts, and the content's
    /// length.
    pub(super) fn size_without_content(&self, content: usize) -> usize {
        1 + integer_length(self.number) + integer_length(self.version) + 1 + 1 + 1 + integer_length(content as u64)
    }

    /// One part's bytes.
    pub(super) fn part(&self, part: u8) -> &[u8] {
        let from = usize::from(part) * MAX_SEGMENT;
        &self.content[from..self.content.len().min(from + MAX_SEGMENT)]
    }
}

/// A part of a line, as a datagram carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) space: Space,
    pub(super) number: u64,
    pub(super) version: u64,
    pub(super) part: u8,
    pub(super) is_final: bool,
}

/// The parts missing because of a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The part was not the newest one, or its content arrived another way.
    Nothing,
    /// The part itself.
    Content,
    /// The word that its version is the last one.
    Finality,
}

/// The slots of one viewer.
pub(super) struct Slots {
    /// The styles that the viewer knows.
    styles: Styles,
    lines: BTreeMap<(Space, u64), Slot>,
}

impl Slots {
    /// Of a viewer that has nothing, and knows these styles.
    pub(super) fn new(styles: Styles) -> Slots {
        Slots { styles, lines: BTreeMap::new() }
    }

    /// The missing parts of a line whose newest version this is.
    pub(super) fn missing<'a>(
        &self,
        space: Space,
        number: u64,
        version: u64,
        content: &'a [u8],
    ) -> Option<Missing<'a>> {
        let slot = self.lines.get(&(space, number)).filter(|slot| slot.version == version);
        if slot.is_some_and(|slot| slot.sent == slot.all()) {
            return None;
        }
        let content = self.styles.readable(content);
        let parts = u8::try_from(content.len().div_ceil(MAX_SEGMENT).max(1)).expect("an encoded line is bounded");
        let all = u64::MAX >> (u64::BITS - u32::from(parts));
        let lacks = slot.map_or(all, |slot| all & !slot.sent);
        Some(Missing { space, number, version, content, parts, lacks })
    }

    /// Notes that the missing parts are sent.
    pub(super) fn send(&mut self, line: &Missing<'_>, is_final: bool, mut each: impl FnMut(u8)) {
        let fresh =
            Slot { version: line.version, parts: line.parts, sent: 0, arrived: 0, told: Told::No, known: false };
        let slot = self.lines.entry((line.space, line.number)).or_insert(fresh);
        if slot.version != line.version {
            *slot = Slot { known: slot.known, ..fresh };
        }
        slot.sent |= line.lacks;
        if is_final && slot.told == Told::No {
            slot.told = Told::OnItsWay;
        }
        (0..line.parts).filter(|part| line.lacks & (1 << part) != 0).for_each(&mut each);
    }

    /// Notes that a part arrived.
    pub(super) fn arrived(&mut self, part: &Part) {
        let Some(slot) = self.lines.get_mut(&(part.space, part.number)) else { return };
        slot.known |= slot.parts == 1;
        if slot.version == part.version {
            slot.arrived |= 1 << part.part;
            slot.sent |= 1 << part.part;
            slot.known |= slot.arrived == slot.all();
            if part.is_final {
                slot.told = Told::Yes;
            }
        }
    }

    /// Notes that a part is lost; returns what is missing now.
    pub(super) fn lost(&mut self, part: &Part) -> Lost {
        let Some(slot) = self.lines.get_mut(&(part.space, part.number)).filter(|slot| slot.version == part.version)
        else {
            return Lost::Nothing;
        };
        let untold = part.is_final && slot.told == Told::OnItsWay;
        if untold {
            slot.told = Told::No;
        }
        if slot.arrived & (1 << part.part) == 0 {
            slot.sent &= !(1 << part.part);
            Lost::Content
        } else if untold {
            Lost::Finality
        } else {
            Lost::Nothing
        }
    }

    /// Whether the viewer has any version of a line.
    pub(super) fn knows(&self, space: Space, number: u64) -> bool {
        self.lines.get(&(space, number)).is_some_and(|slot| slot.known)
    }

    /// Whether all of exactly this version was sent.
    pub(super) fn is_sent(&self, number: u64, version: u64) -> bool {
        self.lines.get(&(Space::Main, number)).is_some_and(|slot| slot.version == version && slot.sent == slot.all())
    }

    /// Whether the viewer has all of a line and knows that it is final.
    pub(super) fn is_done(&self, number: u64) -> bool {
        self.lines
            .get(&(Space::Main, number))
            .is_none_or(|slot| slot.sent != 0 && slot.arrived == slot.all() && slot.told == Told::Yes)
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.lines.remove(&(Space::Main, number));
    }

    /// Forgets the lines of a span that will not be sent.
    pub(super) fn remove_span(&mut self, first: u64, end: u64) {
        let gone: Vec<_> = self.lines.range((Space::Main, first)..(Space::Main, end)).map(|(key, _)| *key).collect();
        for key in gone {
            self.lines.remove(&key);
        }
    }

    /// The lines from `first` to before `end` of which the viewer may not know that they are final.
    pub(super) fn untold(&self, first: u64, end: u64) -> impl Iterator<Item = (u64, u64, Told)> {
        let slots = self.lines.range((Space::Main, first)..(Space::Main, end));
        slots.filter(|(_, slot)| slot.told != Told::Yes).map(|((_, number), slot)| (*number, slot.version, slot.told))
    }

    pub(super) fn tell(&mut self, (first, end): (u64, u64)) {
        self.change_told(first, end, |told| {
            if *told == Told::No {
                *told = Told::OnItsWay
            }
        });
    }

    pub(super) fn heard(&mut self, (first, end): (u64, u64)) {
        self.change_told(first, end, |told| *told = Told::Yes);
    }

    pub(super) fn unheard(&mut self, (first, end): (u64, u64)) {
        self.change_told(first, end, |told| {
            if *told == Told::OnItsWay {
                *told = Told::No
            }
        });
    }

    fn change_told(&mut self, first: u64, end: u64, change: impl Fn(&mut Told)) {
        self.lines.range_mut((Space::Main, first)..(Space::Main, end)).for_each(|(_, slot)| change(&mut slot.told));
    }

    /// Forgets rows that a smaller window does not have any more.
    pub(super) fn fit(&mut self, head: &Head) {
        let end = head.top + u64::from(head.size.rows);
        let beyond: Vec<_> = match head.space {
            Space::Main => self.lines.range((Space::Main, end)..(Space::Alternate, 0)).map(|(key, _)| *key).collect(),
            Space::Alternate => self.lines.range((Space::Alternate, end)..).map(|(key, _)| *key).collect(),
        };
        for key in beyond {
            self.lines.remove(&key);
        }
    }
}
