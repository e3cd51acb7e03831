//! The table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::system::System;

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Line {
    name: String,
    target: &'static str,
    cells: BTreeMap<System, Cell>,
    /// beach's figure, as a multiple of the bare terminal's.
    ratio: Option<f64>,
    met: Option<bool>,
    skipped: Option<String>,
    better: Better,
    /// beach's figure, and the other beach's.
    compared: Option<(f64, f64)>,
}

/// More than this, and beach is worse than the other: two builds of one source differ by as much.
pub(crate) const WORSE: f64 = 1.06;

/// Which of two figures is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Better {
    /// The smaller one.
    Less,
    /// The larger one.
    More,
    /// No median, and so not judged.
    Unjudged,
}

/// A system's part of one line; a system without one was not asked for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// A figure.
    Shown(String),
    /// The measurement failed.
    Failed,
}

impl Line {
    /// A line without figures.
    pub(crate) fn new(name: impl Into<String>) -> Line {
        Line {
            name: name.into(),
            target: "",
            cells: BTreeMap::new(),
            ratio: None,
            met: None,
            skipped: None,
            better: Better::Less,
            compared: None,
        }
    }

    /// A line that could not be measured here, with the reason.
    pub(crate) fn skipped(name: impl Into<String>, reason: String) -> Line {
        Line { skipped: Some(reason), ..Line::new(name) }
    }

    /// The target, and whether it was met.
    pub(crate) fn target(mut self, target: &'static str, met: Option<bool>) -> Line {
        self.target = target;
        self.met = met;
        self
    }

    /// The figure of one system.
    pub(crate) fn cell(mut self, system: System, cell: Option<String>) -> Line {
        self.cells.insert(system, cell.map_or(Cell::Failed, Cell::Shown));
        self
    }

    /// A figure of each system, and how it is written.
    pub(crate) fn figures(mut self, figures: &Figures, write: impl Fn(f64) -> String) -> Line {
        for (system, figure) in figures {
            self = self.cell(*system, figure.map(&write));
        }
        let of = |system| figures.get(&system).copied().flatten();
        self.ratio =
            of(System::Beach).zip(of(System::Raw)).filter(|(_, raw)| *raw > 0.0).map(|(beach, raw)| beach / raw);
        self.compared(figures)
    }

    /// The figures of both beaches to compare, if they differ from those in the cells.
    pub(crate) fn compared(mut self, figures: &Figures) -> Line {
        let of = |system| figures.get(&system).copied().flatten();
        self.compared = of(System::Beach).zip(of(System::Against));
        self
    }

    /// The larger figure is the better one.
    pub(crate) fn more_is_better(mut self) -> Line {
        self.better = Better::More;
        self
    }

    /// The worst of all, not a median.
    pub(crate) fn unjudged(mut self) -> Line {
        self.better = Better::Unjudged;
        self
    }

    /// How many times as bad as the other beach it is.
    fn badness(&self) -> Option<f64> {
        let (beach, other) = self.compared?;
        let (bad, good) = if self.better == Better::More { (other, beach) } else { (beach, other) };
        // Nothing by nothing is the same.
        Some(if bad == good { 1.0 } else { bad / good })
    }

    /// The report if this line is worse than the other beach's.
    pub(crate) fn worse(&self) -> Option<String> {
        let badness =
            self.badness().filter(|badness| self.better != Better::Unjudged && !(0.0..=WORSE).contains(badness))?;
        Some(format!("{}: {badness:.2} times the other beach's", self.name))
    }

    /// Whether all that was asked for is there.
    pub(crate) fn came_about(&self) -> bool {
        !self.cells.values().any(|cell| *cell == Cell::Failed)
    }
}

/// A figure of each system that was asked for it; `None` if it did not come about.
pub(crate) type Figures = BTreeMap<System, Option<f64>>;

/// beach's figure.
pub(crate) fn beach(figures: &Figures) -> Option<f64> {
    figures.get(&System::Beach).copied().flatten()
}

/// The table, in Markdown.
pub(crate) fn markdown(lines: &[Line], systems: &[System]) -> String {
    let names: Vec<&str> = systems.iter().map(|system| system.name()).collect();
    let is_compared = systems.contains(&System::Against);
    let (column, rule) = if is_compared { (" beach ÷ other |", "---|") } else { ("", "") };
    let mut text = format!("| | target | {} | beach ÷ raw | met |{column}\n", names.join(" | "));
    let _ = writeln!(text, "|---|---|{}---|---|{rule}", "---|".repeat(systems.len()));
    for line in lines {
        let cells: Vec<&str> = systems.iter().map(|system| shown(line, *system)).collect();
        let ratio = line.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let met = match line.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let _ = write!(text, "| {} | {} | {} | {ratio} | {met} |", line.name, line.target, cells.join(" | "));
        if is_compared {
            let badness = line.badness().map_or_else(String::new, |badness| format!("{badness:.2}"));
            let _ =
                if line.worse().is_some() { write!(text, " **{badness}** |") } else { write!(text, " {badness} |") };
        }
        text.push('\n');
    }
    for (name, reason) in lines.iter().filter_map(|line| Some((&line.name, line.skipped.as_ref()?))) {
        let _ = write!(text, "\nLeft out: {name}, since {reason}.\n");
    }
    text
}

fn shown(line: &Line, system: System) -> &str {
    match line.cells.get(&system) {
        Some(Cell::Shown(text)) => text,
        Some(Cell::Failed) => "**failed**",
        None => "–",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_that_is_worse_than_the_other_beachs_by_more_than_6_percent_is_told() {
        let line = |beach, other| {
            let figures = Figures::from([(System::Beach, Some(beach)), (System::Against, Some(other))]);
            Line::new("echo").figures(&figures, |value| format!("{value:.2}"))
        };
        assert_eq!(line(1.06, 1.0).worse(), None);
        assert_eq!(line(1.07, 1.0).worse().as_deref(), Some("echo: 1.07 times the other beach's"));
        assert_eq!(line(0.0, 0.0).worse(), None);
        assert!(line(1.0, 0.0).worse().is_some(), "keys lost, where none were");
        assert!(line(2.0, 3.0).more_is_better().worse().is_some());
        assert_eq!(line(3.0, 2.0).more_is_better().worse(), None);
        assert_eq!(line(9.0, 1.0).unjudged().worse(), None);
        let text = markdown(&[line(1.5, 1.0)], &[System::Beach, System::Against]);
        assert!(text.ends_with("| echo |  | 1.50 | 1.00 |  |  | **1.50** |\n"), "{text}");
    }

    #[test]
    fn a_figure_that_did_not_come_about_is_told_and_fails_the_run() {
        let figures = Figures::from([(System::Raw, Some(2.0)), (System::Beach, Some(3.0)), (System::Ssh, None)]);
        let line = Line::new("echo").target("≤ 2 ms", Some(false)).figures(&figures, |value| format!("{value:.1} ms"));
        assert!(!line.came_about());
        let text = markdown(&[line], &[System::Raw, System::Beach, System::Ssh, System::Mosh]);
        assert!(text.ends_with("| echo | ≤ 2 ms | 2.0 ms | 3.0 ms | **failed** | – | 1.50 | **no** |\n"), "{text}");
    }
}
