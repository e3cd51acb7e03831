//! Joining, early and late.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::Client;
use crate::lab::Lab;
use crate::place::Place;
use crate::program::{Program, READY, history};
use crate::screen::{COLS, ROWS, Screen};
use crate::session::{JOIN_WITHIN, Session};
use crate::statistics::{median, milliseconds};
use crate::system::System;
use crate::table::Line;

use super::{figures, interleaved, ms};

/// Coloured lines before the late viewer comes.
const LINES: u64 = 5_000;

/// This many of the lines that left the window must be there.
const HISTORY: i32 = 1_000;

/// History comes behind the screen, within this time.
const HISTORY_WITHIN: Duration = Duration::from_secs(3);

/// From the start of the client to its first screen.
pub(super) fn lines(lab: &Lab) -> Vec<Line> {
    let rounds = interleaved(
        lab,
        "join",
        |_| true,
        lab.plan.rounds,
        |system, _| {
            let session = Session::start(lab, system, Program::Echo, Place::Here, READY)?;
            let times = (0..lab.plan.joins).map(|_| {
                let (client, took) = joined(&session)?;
                session.leave(client)?;
                Ok(took)
            });
            times.collect::<Result<Vec<f64>>>()
        },
    );
    let middle = figures(&rounds, |rounds| median(&rounds.concat()));
    vec![Line::new("join: client's start to its first screen").figures(&middle, ms)]
}

/// After much coloured output.
pub(super) fn late(lab: &Lab) -> Vec<Line> {
    let rounds = interleaved(lab, "late join", System::shares, lab.plan.long_rounds, |system, _| measure(lab, system));
    let worst = |of: fn(&Late) -> f64| figures(&rounds, move |rounds| rounds.iter().map(of).reduce(f64::min));
    let time = figures(&rounds, |rounds| median(&rounds.iter().map(|late| late.time).collect::<Vec<_>>()));
    let (cells, colours, lines) = (worst(|late| late.cells), worst(|late| late.colours), worst(|late| late.lines));
    let all = |figures: &crate::table::Figures, whole: f64| crate::table::beach(figures).map(|share| share >= whole);
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    vec![
        Line::new("late join, 5,000 lines: to the first screen").figures(&time, ms),
        Line::new("late join: characters right")
            .target("100 %", all(&cells, 1.0))
            .figures(&cells, percent)
            .more_is_better(),
        Line::new("late join: colours right")
            .target("100 %", all(&colours, 1.0))
            .figures(&colours, percent)
            .more_is_better(),
        Line::new("late join: newest 1,000 lines in the scrollback")
            .target("1,000", all(&lines, f64::from(HISTORY)))
            .figures(&lines, |lines| format!("{lines:.0}"))
            .more_is_better(),
    ]
}

fn joined(session: &Session<'_>) -> Result<(Client, f64)> {
    let mut client = session.join()?;
    let seen = client.until(READY, JOIN_WITHIN, |screen| screen.shows(READY))?;
    let took = milliseconds(seen - client.started);
    Ok((client, took))
}

struct Late {
    time: f64,
    cells: f64,
    colours: f64,
    lines: f64,
}

fn measure(lab: &Lab, system: System) -> Result<Late> {
    let session = Session::start(lab, system, Program::History { lines: LINES }, Place::Here, READY)?;
    let mut wanted = Screen::new(ROWS - system.own_rows());
    wanted.feed(&history(LINES));
    let (mut client, time) = joined(&session)?;
    let deadline = Instant::now() + HISTORY_WITHIN;
    // tmux keeps it to itself, so that there is nothing to wait for.
    while system.is_beach() && right_lines(&wanted, &client.screen) < HISTORY && Instant::now() < deadline {
        client.pump(deadline)?;
    }
    let (cells, colours) = right_cells(&wanted, &client.screen);
    Ok(Late { time, cells, colours, lines: f64::from(right_lines(&wanted, &client.screen)) })
}

/// The shares of characters, and of colours and attributes, that are as they should be.
fn right_cells(wanted: &Screen, shown: &Screen) -> (f64, f64) {
    let (mut characters, mut colours) = (0, 0);
    for row in 0..i32::try_from(wanted.rows()).unwrap_or(0) {
        let (wanted, shown) = (wanted.looks(row).unwrap_or_default(), shown.looks(row).unwrap_or_default());
        for (wanted, shown) in wanted.iter().zip(&shown) {
            characters += u32::from(wanted.character == shown.character);
            colours += u32::from(wanted.style == shown.style);
        }
    }
    let all = f64::from(COLS) * wanted.rows() as f64;
    (f64::from(characters) / all, f64::from(colours) / all)
}

/// How many lines above the window are as they should be, from the newest on, without a gap.
fn right_lines(wanted: &Screen, shown: &Screen) -> i32 {
    let is_right = |above: &i32| shown.looks(-above).is_some_and(|row| Some(row) == wanted.looks(-above));
    i32::try_from((1..=HISTORY).take_while(is_right).count()).unwrap_or(0)
}
