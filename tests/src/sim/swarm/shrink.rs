//! Finds a short script that breaks the same promise: steps are left out, in ever smaller groups, and then waits are
//! shortened, as long as the promise stays broken (delta debugging).

use super::play::play;
use super::step::{Script, Step};
use super::{Broken, Promise};

/// Most plays; a script of a hundred steps takes some hundreds.
const MAX_PLAYS: usize = 600;

/// The shortest script found that breaks the promise that `script` breaks, and how.
pub fn shrink(script: &Script, broken: Broken) -> (Script, Broken) {
    let mut search = Search { promise: broken.promise, best: script.clone(), broken, plays: 0 };
    let mut size = script.steps.len().div_ceil(2);
    while size > 0 && search.plays < MAX_PLAYS {
        let before = search.best.steps.len();
        search.leave_out(size);
        let left = search.best.steps.len();
        size = if left < before { size.min(left) } else { size / 2 };
    }
    search.shorten_waits();
    (search.best, search.broken)
}

struct Search {
    promise: Promise,
    best: Script,
    broken: Broken,
    plays: usize,
}

impl Search {
    /// Keeps the script if it breaks the promise too.
    fn accepts(&mut self, script: Script) -> bool {
        if self.plays >= MAX_PLAYS {
            return false;
        }
        self.plays += 1;
        match play(&script) {
            Err(broken) if broken.promise == self.promise => {
                (self.best, self.broken) = (script, broken);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    fn leave_out(&mut self, size: usize) {
        let mut end = self.best.steps.len();
        while end > 0 {
            let start = end.saturating_sub(size);
            let mut script = self.best.clone();
            script.steps.drain(start..end.min(script.steps.len()));
            self.accepts(script);
            end = start;
        }
    }

    fn shorten_waits(&mut self) {
        for index in 0..self.best.steps.len() {
            while let Some(Step::Wait(span)) = self.best.steps.get(index).filter(|it| **it != Step::Wait(0)) {
                let mut script = self.best.clone();
                script.steps[index] = Step::Wait(span / 2);
                if !self.accepts(script) {
                    break;
                }
            }
        }
    }
}
