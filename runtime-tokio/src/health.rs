//! The health of a server, for balancers, monitors and service managers: a question that the server's loop answers, and
//! a listener of its own for those who ask over HTTP.
//!
//! The question comes from a thread beside the loop. So a monitor can tell a blocked loop from one that works, and gets
//! an answer from a full server too.

mod http;
mod metrics;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use beach_core::rendezvous;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::histogram::Histogram;
use crate::turn_server::TurnCondition;
use crate::{directory, pipes, serve};

/// A loop that does not answer within this time does not work.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Questions that may wait for the loop.
const QUESTIONS_MAX: usize = 16;

/// Of 100 places so many may be taken while a server is ready for more connections.
const READY_BELOW: usize = 95;

/// How a server is: numbers only, no id, address or name.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// The deeds of the rendezvous, counted.
    pub done: rendezvous::Tally,
    /// The rendezvous' present connections, sessions and links.
    pub present: rendezvous::Present,
    /// The deeds of the server's connections, and their number.
    pub server: serve::Tally,
    /// The counters of the directory, if there is one, and of the connections that are carried to other rendezvous.
    pub directory: Option<(directory::Tally, pipes::Tally)>,
    /// How long the loop took for each event.
    pub turns: Histogram,
    /// How the TURN server beside it is, if there is one.
    pub turn: Option<TurnCondition>,
    /// Whether the server is about to end.
    pub draining: bool,
}

impl Condition {
    /// Whether there are places for more connections.
    fn has_room(&self) -> bool {
        self.server.connections.saturating_mul(100) < self.server.places.saturating_mul(READY_BELOW)
    }
}

/// A question to the loop: how is the server?
#[derive(Debug)]
pub struct Question(oneshot::Sender<Condition>);

impl Question {
    /// Answers it.
    pub fn answer(self, condition: Condition) {
        // An error here: whoever asked waits no more.
        let _ = self.0.send(condition);
    }
}

/// The loop's end of the questions.
pub type Questions = mpsc::Receiver<Question>;

/// The end for whoever asks the loop.
#[derive(Clone, Debug)]
pub struct Pulse(mpsc::Sender<Question>);

/// Questions to a loop, and the way to ask them.
#[must_use]
pub fn pulse() -> (Pulse, Questions) {
    let (ask, questions) = mpsc::channel(QUESTIONS_MAX);
    (Pulse(ask), questions)
}

impl Pulse {
    /// How the server is; `None` if its loop does not answer within [`ANSWER_WITHIN`]. Cancel-safe.
    pub async fn take(&self) -> Option<Condition> {
        let answered = async {
            let (question, answer) = oneshot::channel();
            self.0.send(Question(question)).await.ok()?;
            answer.await.ok()
        };
        timeout(ANSWER_WITHIN, answered).await.ok().flatten()
    }
}

/// Listens on `address` for those who ask over HTTP.
///
/// # Errors
/// The address is taken, not ours, or not allowed.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers, on a thread of its own and for the life of the process, those who ask on `listener`, and calls `beat` in
/// each interval of this length in which the loop has answered.
///
/// # Errors
/// The system has no thread, or no file for one.
pub fn watch(pulse: Pulse, listener: Option<TcpListener>, beat: Option<(Duration, fn())>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _within = runtime.enter();
        listener.map(tokio::net::TcpListener::from_std).transpose()?
    };
    let work = async move {
        let answers = async {
            match listener {
                Some(listener) => http::answer(listener, pulse.clone()).await,
                None => std::future::pending().await,
            }
        };
        let beats = async {
            match beat {
                Some((every, beat)) => beats(&pulse, every, beat).await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(answers, beats)
    };
    thread::Builder::new().name("health".to_owned()).spawn(move || runtime.block_on(work)).map(drop)
}

/// Calls `beat` in each interval of this length, if the loop has answered.
async fn beats(pulse: &Pulse, every: Duration, beat: fn()) {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        match pulse.take().await {
            Some(_) => beat(),
            None => tracing::warn!("the server's loop does not answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A loop that answers everybody so.
    pub(super) async fn answering(mut questions: Questions, condition: Condition) {
        while let Some(question) = questions.recv().await {
            question.answer(condition.clone());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_answers_nobody_has_no_pulse_after_five_seconds_and_one_that_is_gone_none_at_once() {
        let (pulse, questions) = pulse();
        let started = tokio::time::Instant::now();
        assert!(pulse.take().await.is_none());
        assert_eq!(started.elapsed(), ANSWER_WITHIN);
        drop(questions);
        assert!(pulse.take().await.is_none());
        assert_eq!(started.elapsed(), ANSWER_WITHIN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_beat_follows_each_answer_of_the_loop_and_none_follows_silence() {
        static BEATS: AtomicUsize = AtomicUsize::new(0);
        let every = Duration::from_secs(15);
        let (pulse, questions) = pulse();
        let beating = beats(&pulse, every, || {
            BEATS.fetch_add(1, Ordering::Relaxed);
        });
        let watched = async {
            let answers = answering(questions, Condition::default());
            let _ = timeout(every * 3 + Duration::from_secs(1), answers).await;
            assert_eq!(BEATS.load(Ordering::Relaxed), 4, "at once, and after each interval");
        };
        tokio::select! {
            () = beating => {}
            () = watched => {}
        }
        let silent = timeout(
            every * 3,
            beats(&pulse, every, || {
                BEATS.fetch_add(1, Ordering::Relaxed);
            }),
        );
        assert!(silent.await.is_err());
        assert_eq!(BEATS.load(Ordering::Relaxed), 4, "the loop is silent");
    }

    #[test]
    fn a_server_is_ready_while_less_than_95_of_100_places_are_taken() {
        let with = |connections, places| {
            let server = serve::Tally { connections, places, ..serve::Tally::default() };
            Condition { server, ..Condition::default() }.has_room()
        };
        assert!(with(0, 1) && with(94, 100) && with(94_999, 100_000));
        assert!(!with(0, 0) && !with(95, 100) && !with(1, 1) && !with(95_000, 100_000));
    }
}
