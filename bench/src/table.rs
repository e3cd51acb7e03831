//! The table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::system::System;

/// One line of it.
#[derive(Debug)]
pub(crate) struct Line {
    name: String,
    target: &'static str,
    cells: BTreeMap<System, Cell>,
    /// beach's figure, as a multiple of the bare terminal's.
    ratio: Option<f64>,
    met: Option<bool>,
    skipped: Option<String>,
}

/// What a system has there; one that has nothing is not asked for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// A figure.
    Shown(String),
    /// It was asked for, and did not come about.
    Failed,
}

impl Line {
    /// One without figures.
    pub(crate) fn new(name: impl Into<String>) -> Line {
        Line { name: name.into(), target: "", cells: BTreeMap::new(), ratio: None, met: None, skipped: None }
    }

    /// One that could not be measured here, and why.
    pub(crate) fn skipped(name: impl Into<String>, reason: String) -> Line {
        Line { skipped: Some(reason), ..Line::new(name) }
    }

    /// What is to be reached, and whether it was.
    pub(crate) fn target(mut self, target: &'static str, met: Option<bool>) -> Line {
        self.target = target;
        self.met = met;
        self
    }

    /// What one system has.
    pub(crate) fn cell(mut self, system: System, cell: Option<String>) -> Line {
        self.cells.insert(system, cell.map_or(Cell::Failed, Cell::Shown));
        self
    }

    /// One figure of each system, and how it is written.
    pub(crate) fn figures(mut self, figures: &Figures, write: impl Fn(f64) -> String) -> Line {
        for (system, figure) in figures {
            self = self.cell(*system, figure.map(&write));
        }
        let of = |system| figures.get(&system).copied().flatten();
        self.ratio =
            of(System::Beach).zip(of(System::Raw)).filter(|(_, raw)| *raw > 0.0).map(|(beach, raw)| beach / raw);
        self
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
    let mut text = format!("| | target | {} | beach ÷ raw | met |\n", names.join(" | "));
    let _ = writeln!(text, "|---|---|{}---|---|", "---|".repeat(systems.len()));
    for line in lines {
        let cells: Vec<&str> = systems.iter().map(|system| shown(line, *system)).collect();
        let ratio = line.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let met = match line.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let _ = writeln!(text, "| {} | {} | {} | {ratio} | {met} |", line.name, line.target, cells.join(" | "));
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
    fn a_figure_that_did_not_come_about_is_told_and_fails_the_run() {
        let figures = Figures::from([(System::Raw, Some(2.0)), (System::Beach, Some(3.0)), (System::Ssh, None)]);
        let line = Line::new("echo").target("≤ 2 ms", Some(false)).figures(&figures, |value| format!("{value:.1} ms"));
        assert!(!line.came_about());
        let text = markdown(&[line], &[System::Raw, System::Beach, System::Ssh, System::Mosh]);
        assert!(text.ends_with("| echo | ≤ 2 ms | 2.0 ms | 3.0 ms | **failed** | – | 1.50 | **no** |\n"), "{text}");
    }
}
