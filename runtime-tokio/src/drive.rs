//! The one loop: drain a machine's outputs, then wait for its timer or for something to happen.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::pin;
use std::time::{Duration, Instant};

use beach_core::machine::{Machine, Tick};
use tokio::task::yield_now;

use crate::alarm::Alarm;
use crate::clock::Clock;

/// Inputs handled before the loop gives other tasks a turn, even if more are ready: a flood on one side must not starve
/// the other tasks of the thread.
const TURN: u32 = 64;

/// How long the loop may be busy before it gives other tasks a turn. Only then does the runtime look which other
/// sources have become ready: while a program floods, a turn takes milliseconds, and a key must not wait for 64 of
/// them.
const BUSY_AT_MOST: Duration = Duration::from_millis(1);

/// The world around a machine: performs what it wants and reports what happens.
#[expect(async_fn_in_trait, reason = "driven on one thread, by `drive` alone")]
pub trait Surroundings<M: Machine> {
    /// The result of the loop.
    type End;

    /// Performs an output; `Break` ends the loop.
    fn perform(&mut self, output: M::Output) -> ControlFlow<Self::End>;

    /// After everything that followed from an input was performed.
    fn performed(&mut self, machine: &mut M) -> ControlFlow<Self::End> {
        let _ = machine;
        ControlFlow::Continue(())
    }

    /// The next event. Cancel-safe.
    async fn next(&mut self) -> M::Input;
}

/// Runs `machine` in `surroundings` until an output ends it. `epoch` is the machine's time zero.
pub async fn drive<M: Machine, S: Surroundings<M>>(machine: &mut M, epoch: Instant, surroundings: &mut S) -> S::End {
    let clock = Clock::since(epoch);
    let mut turn = 0u32;
    let mut alarm = Alarm::new();
    let mut busy_since = Instant::now();
    let mut input = Some(M::Input::from(Tick));
    loop {
        if let Some(input) = input.take() {
            machine.handle(clock.now(), input);
        }
        // All outputs are performed, even when one of them ends the loop: a record of the end may come behind that
        // output.
        let mut ended = None;
        while let Some(output) = machine.poll() {
            if let ControlFlow::Break(end) = surroundings.perform(output) {
                ended.get_or_insert(end);
            }
        }
        if let Some(end) = ended {
            return end;
        }
        if let ControlFlow::Break(end) = surroundings.performed(machine) {
            return end;
        }
        turn = turn.wrapping_add(1);
        if turn.is_multiple_of(TURN) || busy_since.elapsed() >= BUSY_AT_MOST {
            yield_now().await;
            busy_since = Instant::now();
        }
        let deadline = machine.deadline().map(|at| clock.instant(at));
        let mut next = pin!(async {
            tokio::select! {
                input = surroundings.next() => input,
                () = alarm.at(deadline) => Tick.into(),
            }
        });
        // The runtime notices other sources only while the loop waits, and handling a source that is always ready may
        // take long.
        let mut waited = false;
        let next = poll_fn(|context| {
            let polled = next.as_mut().poll(context);
            waited |= polled.is_pending();
            polled
        });
        input = Some(next.await);
        if waited {
            busy_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::thread;

    use beach_core::time::Timestamp;

    use super::*;

    /// Ends with the last of so many inputs.
    struct Countdown(u32);

    impl Machine for Countdown {
        type Input = Tick;
        type Output = ();

        fn handle(&mut self, _: Timestamp, _: Tick) {
            self.0 -= 1;
        }

        fn poll(&mut self) -> Option<()> {
            let ended = self.0 == 0;
            self.0 += u32::from(ended);
            ended.then_some(())
        }

        fn deadline(&self) -> Option<Timestamp> {
            None
        }
    }

    /// A program that floods: there is always more, and reading it takes a while.
    struct Flood;

    impl Surroundings<Countdown> for Flood {
        type End = ();

        fn perform(&mut self, (): ()) -> ControlFlow<()> {
            ControlFlow::Break(())
        }

        async fn next(&mut self) -> Tick {
            thread::sleep(Duration::from_micros(200));
            Tick
        }
    }

    #[tokio::test]
    async fn a_source_that_is_always_ready_leaves_others_a_turn_every_millisecond() {
        let turns = Rc::new(Cell::new(0));
        let counted = turns.clone();
        let others = async move {
            loop {
                counted.set(counted.get() + 1);
                yield_now().await;
            }
        };
        let tasks = tokio::task::LocalSet::new();
        tasks.spawn_local(others);
        tasks.run_until(drive(&mut Countdown(50), Instant::now(), &mut Flood)).await;
        assert!(turns.get() >= 4, "{} turns in ten milliseconds", turns.get());
    }
}
