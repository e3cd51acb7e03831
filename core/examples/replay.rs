//! Replays a recording, as `--record-handshake` and the example `in_memory` write it, and says where it ended:
//!
//! ```text
//! cargo run -p beach-core --example replay -- FILE
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

use std::process::ExitCode;

use beach_core::host::{HostNotice, HostOutput};
use beach_core::recording::journal::{Replayed, is_whole, read, replay};
use beach_core::time::Timestamp;
use beach_core::viewer::{ViewerNotice, ViewerOutput};

/// The part of the replay that was shown so far.
struct Shown {
    outputs: usize,
    at: Timestamp,
    end: Option<String>,
}

impl Shown {
    fn add(&mut self, replayed: Replayed) {
        let (at, event) = match replayed {
            Replayed::Host(at, HostOutput::Notice(HostNotice::Stage(link, stage))) => {
                (at, Some(format!("{link}: {}", stage.words())))
            }
            Replayed::Viewer(at, ViewerOutput::Notice(ViewerNotice::Stage(stage))) => {
                (at, Some(stage.words().to_owned()))
            }
            Replayed::Host(at, HostOutput::Exit(exit)) => {
                self.end = Some(format!("{exit:?}"));
                (at, None)
            }
            Replayed::Viewer(at, ViewerOutput::Exit(exit)) => {
                self.end = Some(format!("{exit:?}"));
                (at, None)
            }
            Replayed::Host(at, _) | Replayed::Viewer(at, _) => (at, None),
            Replayed::HostInput(..) | Replayed::ViewerInput(..) => return,
            // Of what happened below the seam; no output of the machine.
            Replayed::Note(at, note) => return println!("{at} s  ({note})"),
        };
        (self.outputs, self.at) = (self.outputs + 1, at);
        if let Some(event) = event {
            println!("{at} s  {event}");
        }
    }
}

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: replay FILE");
        return ExitCode::FAILURE;
    };
    let file = match std::fs::read(&path) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let mut shown = Shown { outputs: 0, at: Timestamp::ZERO, end: None };
    let replayed =
        read(&file).and_then(|records| replay(&records, |replayed| shown.add(replayed)).map(|outcome| outcome.inputs));
    match replayed {
        Ok(inputs) => {
            let cut = if is_whole(&file) { "" } else { "; the file ends within a record" };
            let end = shown.end.as_deref().unwrap_or("in the middle");
            println!(
                "{inputs} inputs, {} outputs, the same as then{cut}; ended at {} s: {end}",
                shown.outputs, shown.at
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
