//! Many seeds on all cores, the seed of a failure, and runs in another process.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// The environment variable that names one seed instead of all.
const SEED: &str = "BEACH_SEED";

/// The environment variable for the number of seeds of each test.
const COUNT: &str = "BEACH_SEEDS";

/// The environment variable that is set in the processes that [`child`] starts.
const CHILD: &str = "BEACH_CHILD";

const MARK: &str = "transcript: ";

/// The command that runs one seed of a test again.
pub fn replay_with(seed: u64, file: &str, test: &str) -> String {
    format!("{SEED}={seed} cargo test -p beach-tests --test {file} {test}")
}

/// Runs `run` with every seed, on all cores; with `BEACH_SEED` only with that one, with `BEACH_SEEDS` with that many. A
/// failure prints how to repeat it.
pub fn for_each_seed<T: Send>(
    file: &str,
    test: &str,
    seeds: Range<u64>,
    run: impl Fn(u64) -> T + Sync,
) -> Vec<(u64, T)> {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let seeds = match (number(SEED), number(COUNT)) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => seeds.start..seeds.start + count,
        (None, None) => seeds,
    };
    let next = AtomicU64::new(seeds.start);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return done;
            }
            match catch_unwind(AssertUnwindSafe(|| run(seed))) {
                Ok(result) => done.push((seed, result)),
                Err(panic) => {
                    next.store(seeds.end, Ordering::Relaxed);
                    // Stderr shows this line for every thread of a failed test.
                    eprintln!("seed {seed} failed; again with: {}", replay_with(seed, file, test));
                    resume_unwind(panic)
                }
            }
        }
    };
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let mut done: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    done.sort_by_key(|(seed, _)| *seed);
    done
}

/// Whether this process is one that [`child`] started.
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs `test` of this binary in another process, which calls this as well; there it prints `transcript` and returns
/// nothing. Here it returns what the other process printed.
pub fn child(test: &str, transcript: &str) -> Option<String> {
    if is_child() {
        println!("{MARK}{transcript}");
        return None;
    }
    let binary = std::env::current_exe().expect("a running binary has a path");
    let output = Command::new(binary).args([test, "--exact", "--nocapture"]).env(CHILD, "1").output();
    let output = output.expect("this binary runs again");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("transcripts are text");
    let at = text.find(MARK).expect("the child printed its transcript") + MARK.len();
    Some(text[at..].lines().next().unwrap_or_default().to_owned())
}
