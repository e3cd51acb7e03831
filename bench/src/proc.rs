//! Process statistics of the kernel.

use std::fs;
use std::time::Duration;

/// Memory of a process, in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Pages that are resident.
    pub(crate) resident: f64,
    /// The same memory, with pages shared by several processes divided by their number (PSS).
    pub(crate) proportional: f64,
}

/// The CPU time of these processes, all threads that live, user and kernel, to the nanosecond; `utime` and `stime` have
/// ticks of 10 ms.
pub(crate) fn cpu(ids: &[u32]) -> Duration {
    let files = ids.iter().flat_map(|id| tasks(*id)).map(|task| format!("{task}/schedstat"));
    let nanoseconds = files.filter_map(|file| fs::read_to_string(file).ok()?.split(' ').next()?.parse::<u64>().ok());
    Duration::from_nanos(nanoseconds.sum())
}

/// How often the threads of these processes have been given a processor: each time they waited and woke, or were
/// interrupted.
pub(crate) fn switches(ids: &[u32]) -> u64 {
    let files = ids.iter().flat_map(|id| tasks(*id)).map(|task| format!("{task}/status"));
    files.map(|file| field(&file, "voluntary_ctxt_switches:") + field(&file, "nonvoluntary_ctxt_switches:")).sum()
}

/// The memory of a process.
pub(crate) fn memory(id: u32) -> Memory {
    let rollup = format!("/proc/{id}/smaps_rollup");
    let mib = |name| field(&rollup, name) as f64 / 1024.0;
    Memory { resident: mib("Rss:"), proportional: mib("Pss:") }
}

/// The kernel's memory for its own objects, sockets among them, in KiB.
pub(crate) fn slab() -> f64 {
    field("/proc/meminfo", "Slab:") as f64
}

/// The name of a process.
pub(crate) fn name(id: u32) -> String {
    fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// All that descend from a process.
pub(crate) fn descendants(id: u32) -> Vec<u32> {
    let mut found: Vec<u32> = children(id);
    let mut next = 0;
    while let Some(id) = found.get(next) {
        let children = children(*id);
        found.extend(children);
        next += 1;
    }
    found
}

fn children(id: u32) -> Vec<u32> {
    let lists = tasks(id).into_iter().filter_map(|task| fs::read_to_string(format!("{task}/children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()).collect()
}

fn tasks(id: u32) -> Vec<String> {
    let folder = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    folder.map(|task| task.path().display().to_string()).collect()
}

/// The number behind a name; 0 if the file or the name is not there (any more).
fn field(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_time_and_memory() {
        let me = std::process::id();
        assert!(cpu(&[me]) > Duration::ZERO);
        assert!(switches(&[me]) > 0);
        assert!(memory(me).resident >= memory(me).proportional && memory(me).proportional > 0.0);
    }
}
