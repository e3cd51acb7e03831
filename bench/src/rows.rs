//! The measurements: one file for each group of lines.

mod attack;
mod crowd;
mod hosts;
mod idle;
mod interrupt;
mod join;
mod keys;
mod log;
mod loss;
mod nodes;
mod relay;
mod rendezvous;

use std::collections::BTreeMap;

use anyhow::Result;
use clap::ValueEnum;

use crate::lab::Lab;
use crate::report;
use crate::stop;
use crate::system::System;
use crate::table::{Figures, Line};

/// A group of lines of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// Echo at rest.
    Rest,
    /// Echo while the program floods.
    Flood,
    /// Ctrl-C during `yes`.
    Interrupt,
    /// A coloured log of 20 MB.
    Log,
    /// Joining.
    Join,
    /// Joining late: cells, colours, history.
    Late,
    /// A viewer is stopped.
    Stopped,
    /// The cost of further viewers.
    Viewers,
    /// Whether the hundredth costs more than the tenth.
    Growth,
    /// Whether viewers by a data channel cost more than others.
    Channel,
    /// Echo over a slow link with loss.
    Loss,
    /// How late the screen is behind a narrow link.
    Narrow,
    /// Nothing happens.
    Idle,
    /// Connections at a rendezvous.
    Rendezvous,
    /// Datagrams that a rendezvous relays.
    Relay,
    /// As many idle hosts at a rendezvous as there is room for.
    Hosts,
    /// Two rendezvous behind a balancer: one is killed, comes back, and both are replaced by new ones.
    Nodes,
    /// One address attacks a rendezvous.
    Attack,
}

impl Row {
    /// All of them, in the table's order.
    pub(crate) const ALL: [Row; 18] = [
        Row::Rest,
        Row::Flood,
        Row::Interrupt,
        Row::Log,
        Row::Join,
        Row::Late,
        Row::Stopped,
        Row::Viewers,
        Row::Growth,
        Row::Channel,
        Row::Loss,
        Row::Narrow,
        Row::Idle,
        Row::Rendezvous,
        Row::Relay,
        Row::Hosts,
        Row::Nodes,
        Row::Attack,
    ];

    fn lines(self, lab: &Lab) -> Vec<Line> {
        match self {
            Row::Rest => keys::at_rest(lab),
            Row::Flood => keys::in_flood(lab),
            Row::Interrupt => interrupt::lines(lab),
            Row::Log => log::lines(lab),
            Row::Join => join::lines(lab),
            Row::Late => join::late(lab),
            Row::Stopped => crowd::stopped(lab),
            Row::Viewers => crowd::cost(lab),
            Row::Growth => crowd::growth(lab),
            Row::Channel => crowd::by_channel(lab),
            Row::Loss => loss::lines(lab),
            Row::Narrow => loss::narrow(lab),
            Row::Idle => idle::lines(lab),
            Row::Rendezvous => rendezvous::lines(lab),
            Row::Relay => relay::lines(lab),
            Row::Hosts => hosts::lines(lab),
            Row::Nodes => nodes::lines(lab),
            Row::Attack => attack::lines(lab),
        }
    }
}

/// Measures all that was asked for.
pub(crate) fn run(lab: &Lab) -> Vec<Line> {
    lab.rows.iter().flat_map(|row| row.lines(lab)).collect()
}

/// The figures of each system, round by round; empty if it failed.
type Rounds<T> = BTreeMap<System, Vec<T>>;

/// Measures each of these systems once a round, each round beginning with another; one that fails is not asked again.
fn interleaved<T>(
    lab: &Lab,
    what: &str,
    systems: impl Fn(System) -> bool,
    rounds: usize,
    mut measure: impl FnMut(System, u64) -> Result<T>,
) -> Rounds<T> {
    let systems: Vec<System> = lab.systems.iter().copied().filter(|system| systems(*system)).collect();
    let mut measured: BTreeMap<System, Option<Vec<T>>> = systems.iter().map(|name| (*name, Some(Vec::new()))).collect();
    for round in 0..rounds {
        for place in 0..systems.len() {
            if stop::is_asked() {
                measured.values_mut().for_each(|rounds| *rounds = None);
                break;
            }
            let system = systems[(place + round) % systems.len()];
            let Some(Some(so_far)) = measured.get_mut(&system) else { continue };
            report::say(&format!("{what}, round {} of {rounds}: {}", round + 1, system.name()));
            match measure(system, lab.seed.wrapping_mul(1000) + round as u64) {
                Ok(figure) => so_far.push(figure),
                Err(error) => {
                    report::say(&format!("{what}, {}: {error:#}", system.name()));
                    measured.insert(system, None);
                }
            }
        }
    }
    measured.into_iter().map(|(system, rounds)| (system, rounds.unwrap_or_default())).collect()
}

/// A figure of each system, from all its rounds.
fn figures<T>(rounds: &Rounds<T>, figure: impl Fn(&[T]) -> Option<f64>) -> Figures {
    rounds.iter().map(|(system, rounds)| (*system, figure(rounds))).collect()
}

/// Writes milliseconds.
fn ms(value: f64) -> String {
    if value < 10.0 { format!("{value:.2} ms") } else { format!("{value:.0} ms") }
}
