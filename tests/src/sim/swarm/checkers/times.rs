//! Deadlines.

use std::collections::BTreeMap;
use std::time::Duration;

use beach_core::session::handshake::Stage;
use beach_core::time::Timestamp;

use super::{Promise, Verdict, check};

/// The time that a stage may take beyond its deadline, until the viewer's news of the next stage is out.
const SLACK: Duration = Duration::from_secs(1);

/// The stages of one viewer's way in, and since when it is in each.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    now_in: Option<Stage>,
    since: BTreeMap<Stage, Timestamp>,
}

impl Stages {
    /// The viewer says that it is in this stage.
    pub fn entered(&mut self, now: Timestamp, stage: Stage) {
        if stage == Stage::ReachingRendezvous {
            self.since.clear();
        }
        // All attempts share the time for paths and DTLS; later stages are entered anew.
        let is_shared = |known: Stage| matches!(known, Stage::CheckingPaths | Stage::Securing);
        self.since.retain(|known, _| *known <= stage || is_shared(*known));
        self.since.entry(stage).or_insert(now);
        self.now_in = Some(stage);
    }

    /// The viewer is live, has ended, or stood still: nothing counts.
    pub fn forget(&mut self) {
        *self = Stages::default();
    }

    /// No stage takes longer than its deadline.
    ///
    /// # Errors
    /// The promise that is broken.
    pub fn in_time(&self, now: Timestamp, viewer: usize) -> Verdict {
        let Some(stage) = self.now_in else { return Ok(()) };
        // The host may keep a viewer waiting for its person again and again, and a viewer may be told to wait longer
        // for the host.
        if matches!(stage, Stage::WaitingForApproval | Stage::WaitingForHost) {
            return Ok(());
        }
        let (Some(within), Some(since)) = (stage.deadline(), self.since.get(&stage)) else { return Ok(()) };
        check(Promise::Deadlines, now, *since + within + SLACK > now, || {
            format!("viewer {viewer} is at {stage} since {since}")
        })
    }
}
