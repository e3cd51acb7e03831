//! A list of checks, for people or as JSON lines: what was found, and what to do.

use serde_json::json;

use crate::output;

/// The result of a check.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Good,
    /// The checked part works, but with a limit.
    Limited,
    Bad,
}

/// The report under way, which prints each check at once.
pub(crate) struct Report {
    json: bool,
    works: bool,
}

impl Report {
    /// An empty report; `json`: for programs.
    pub(crate) fn new(json: bool) -> Report {
        Report { json, works: true }
    }

    /// Whether no check failed so far.
    pub(crate) fn works(&self) -> bool {
        self.works
    }

    pub(crate) fn check(&mut self, name: &str, outcome: Outcome, found: &str, advice: &str) {
        let word = match outcome {
            Outcome::Good => "ok",
            Outcome::Limited => "limited",
            Outcome::Bad => "failed",
        };
        self.works &= outcome != Outcome::Bad;
        let advice = if outcome == Outcome::Good { "" } else { advice };
        if self.json {
            let line = json!({ "check": name, "outcome": word, "found": found, "try": advice });
            output::print(&line.to_string());
        } else {
            output::print(&format!("{name:<11} {word:<8} {found}"));
            if !advice.is_empty() {
                output::print(&format!("{:<20} try: {advice}", ""));
            }
        }
    }
}
