//! The report: progress on stderr, the table on stdout and in a file.

use std::fs;
use std::io::{Write as _, stderr, stdout};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::lab::{Lab, said};

/// The texts directly before and behind the machine and the table in docs/BENCHMARKS.md.
const TABLE_FROM: &str = "## The table\n\n";
const TABLE_TO: &str = "\n\"–\": not measured";

/// Says how far it is, and after how many seconds.
pub(crate) fn say(text: &str) {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    let since = STARTED.get_or_init(Instant::now).elapsed().as_secs_f64();
    let _ = writeln!(stderr(), "{since:6.1}  {text}");
}

/// Where, when and with what it is measured, in Markdown.
pub(crate) fn machine(lab: &Lab) -> String {
    let content = |name: &str| fs::read_to_string(name).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split(':').nth(1).unwrap_or("unknown").trim().to_owned()
    };
    let first = |program: &str, arguments: &[&str]| {
        let text = said(Command::new(program).args(arguments)).unwrap_or_else(|_| "not there".to_owned());
        text.lines().next().unwrap_or_default().trim().to_owned()
    };
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory: u64 =
        field(&content("/proc/meminfo"), "MemTotal").split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
    let load = content("/proc/loadavg").split(' ').next().unwrap_or("unknown").to_owned();
    let commit = first("git", &["rev-parse", "--short=12", "HEAD"]);
    let changed = said(Command::new("git").args([
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        "core",
        "runtime-tokio",
        "cli",
    ]));
    let changed = if changed.is_ok_and(|files| files.trim().is_empty()) { "" } else { ", with changes" };
    // `bench/run` knows the file.
    let file = lab.written.as_deref().map_or_else(String::new, |file| file.display().to_string());
    let command: Vec<String> = std::env::args().skip(1).filter(|word| *word != file).collect();
    let short =
        if lab.short { "\n\n**A short run: it shows that everything works; its figures mean nothing.**" } else { "" };
    format!(
        "- machine: {cpus} × {}, {} GiB, Linux {}; load before the run {load}\n- commit: {commit}{changed}; {}\n\
         - against: {};\n  {};\n  {}\n- date: {}\n- command: `bench/run {}`{short}\n",
        field(&content("/proc/cpuinfo"), "model name"),
        memory / 1024 / 1024,
        content("/proc/sys/kernel/osrelease").trim(),
        first(&lab.beach.path.display().to_string(), &["--version"]),
        first("ssh", &["-V"]),
        first("tmux", &["-V"]),
        first("mosh-server", &["--version"]),
        first("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        command.join(" "),
    )
}

/// Prints the table.
pub(crate) fn print(machine: &str, table: &str) -> Result<()> {
    write!(stdout(), "{machine}\n{table}").context("stdout")
}

/// The text before and behind the machine and the table in a file.
fn around(text: &str) -> Option<(&str, &str)> {
    let (before, rest) = text.split_once(TABLE_FROM)?;
    Some((before, rest.split_once(TABLE_TO)?.1))
}

/// Whether a file has a table that [`write()`] can replace: better known before the run than after it.
pub(crate) fn check(file: &Path) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    around(&text).map(|_| ()).with_context(|| format!("{} has no table to replace", file.display()))
}

/// Puts machine and table in place of those in a file.
pub(crate) fn write(file: &Path, machine: &str, table: &str) -> Result<()> {
    let name = || file.display().to_string();
    let text = fs::read_to_string(file).with_context(name)?;
    let (before, behind) = around(&text).with_context(|| format!("{} has no table to replace", name()))?;
    fs::write(file, format!("{before}{TABLE_FROM}{machine}\n{table}{TABLE_TO}{behind}")).with_context(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_documentation_can_be_replaced() {
        let text = include_str!("../../docs/BENCHMARKS.md");
        let (before, behind) = around(text).expect("a table between the sentences around it");
        assert!(before.starts_with("# Benchmarks") && behind.contains("## How each figure is measured"));
    }
}
