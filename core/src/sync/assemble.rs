//! Lines from their parts: a line is complete when all parts of one version are there.

use std::collections::BTreeMap;

use crate::terminal::{Line, Space};
use crate::wire::frame::{MAX_PARTS, Segment};

/// Most lines in the making: a window of long lines and as many again; the oldest is given up first.
const MAX_UNFINISHED: usize = 400;

/// Collects the parts of long lines; short ones pass through.
#[derive(Default)]
pub(crate) struct Assembler {
    unfinished: BTreeMap<(Space, u64), Unfinished>,
}

struct Unfinished {
    version: u64,
    is_final: bool,
    parts: Vec<Option<Vec<u8>>>,
}

impl Assembler {
    /// A line, and whether this version of it is final, when `segment` was its last missing part and it decodes.
    pub(crate) fn add(&mut self, segment: Segment) -> Option<(Line, bool)> {
        if segment.parts == 1 {
            return Some((Line::decode(&segment.content).ok()?, segment.is_final));
        }
        let key = (segment.space, segment.number);
        let count = usize::from(segment.parts.min(MAX_PARTS));
        let fresh = || Unfinished { version: segment.version, is_final: false, parts: vec![None; count] };
        let unfinished = self.unfinished.entry(key).or_insert_with(fresh);
        if segment.version < unfinished.version {
            return None;
        }
        if segment.version > unfinished.version || unfinished.parts.len() != count {
            *unfinished = fresh();
        }
        unfinished.is_final |= segment.is_final;
        *unfinished.parts.get_mut(usize::from(segment.part))? = Some(segment.content);
        if unfinished.parts.iter().all(Option::is_some) {
            let Unfinished { is_final, parts, .. } = self.unfinished.remove(&key)?;
            let whole: Vec<u8> = parts.into_iter().flatten().flatten().collect();
            return Some((Line::decode(&whole).ok()?, is_final));
        }
        if self.unfinished.len() > MAX_UNFINISHED {
            self.unfinished.pop_first();
        }
        None
    }
}
