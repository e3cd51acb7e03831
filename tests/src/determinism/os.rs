//! The operating system as one simulation sees it: its entropy and its clocks.
//!
//! On Linux the two libc symbols behind both are defined here, and so take precedence over libc's in every binary that
//! links this crate. A thread inside [`run`] is answered from its world, any other thread by the kernel.

#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "two libc symbols are replaced; nothing else in the workspace is unsafe")
)]

use std::cell::Cell;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

/// The randomness and the clocks of the simulation on this thread.
#[derive(Clone, Copy)]
struct World {
    dice: u64,
    elapsed: Duration,
}

thread_local! {
    // Const and without a destructor: neither allocates, so both may be read inside `getrandom`.
    static WORLD: Cell<Option<World>> = const { Cell::new(None) };
    static EPOCH: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs `simulation` in a world made from `seed`, on a thread of its own, and returns its result.
///
/// The thread has to be fresh because the standard library and `rand` keep per-thread state that is seeded once.
/// Panics pass through, after the seed was written to stderr.
pub fn run<T: Send + 'static>(seed: u64, simulation: impl FnOnce() -> T + Send + 'static) -> T {
    let simulation = move || {
        WORLD.set(Some(World { dice: seed, elapsed: Duration::ZERO }));
        EPOCH.set(Some(Instant::now()));
        fastrand::seed(seed);
        simulation()
    };
    thread::spawn(simulation).join().unwrap_or_else(|panic| {
        eprintln!("the simulation with seed {seed} panicked");
        resume_unwind(panic)
    })
}

/// Sets this simulation's clocks to `elapsed` after its [`epoch`].
///
/// # Panics
///
/// Outside [`run`], and if time would run backwards.
pub fn advance_to(elapsed: Duration) {
    let world = WORLD.get().expect("only a simulation moves its clocks");
    assert!(elapsed >= world.elapsed, "time runs forwards: {elapsed:?} after {:?}", world.elapsed);
    WORLD.set(Some(World { elapsed, ..world }));
}

/// The instant at which this simulation began, the same for every seed.
///
/// # Panics
///
/// Outside [`run`].
pub fn epoch() -> Instant {
    EPOCH.get().expect("only a simulation has an epoch")
}

/// Fills `buf` from this simulation's dice; `false`, and `buf` untouched, if the thread has no world.
pub(super) fn fill(buf: &mut [u8]) -> bool {
    let Some(mut world) = WORLD.get() else {
        return false;
    };
    roll(&mut world.dice, buf);
    WORLD.set(Some(world));
    true
}

/// Fills `buf` from `dice`: SplitMix64, which every seed suits, also neighbouring ones.
pub(super) fn roll(dice: &mut u64, buf: &mut [u8]) {
    for chunk in buf.chunks_mut(8) {
        *dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = *dice;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
    }
}

/// Computes a process-wide value on a thread without a world.
///
/// The first simulation that asks must not use its own dice for the value, or it would differ from a second run of the
/// same seed.
pub(super) fn outside<T: Send>(compute: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(compute).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

#[cfg(target_os = "linux")]
mod symbols {
    use std::slice;
    use std::time::Duration;

    use super::{WORLD, fill};

    /// `CLOCK_MONOTONIC` at the epoch: far enough from zero that earlier instants can be expressed.
    const MONOTONIC: Duration = Duration::from_secs(1 << 30);
    /// `CLOCK_REALTIME` at the epoch: some day in 2030.
    const REALTIME: Duration = Duration::from_secs(1_900_000_000);

    /// As in `getrandom(2)`.
    ///
    /// # Safety
    ///
    /// `buf` points to `len` writable bytes.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn getrandom(buf: *mut libc::c_void, len: libc::size_t, flags: libc::c_uint) -> libc::ssize_t {
        if len > 0 && WORLD.get().is_some() {
            // SAFETY: the caller hands over `len` writable bytes, of which none is read before it is written.
            fill(unsafe { slice::from_raw_parts_mut(buf.cast::<u8>(), len) });
            return len.cast_signed();
        }
        // SAFETY: the arguments are passed on as they came.
        unsafe { libc::syscall(libc::SYS_getrandom, buf, len, flags) as libc::ssize_t }
    }

    /// As in `clock_gettime(2)`.
    ///
    /// # Safety
    ///
    /// `time` points to a writable `timespec`.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
        let base = match clock {
            libc::CLOCK_MONOTONIC => MONOTONIC,
            libc::CLOCK_REALTIME => REALTIME,
            // SAFETY: the arguments are passed on as they came.
            _ => {
                return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as libc::c_int };
            }
        };
        let Some(world) = WORLD.get() else {
            // SAFETY: as above.
            return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as libc::c_int };
        };
        let now = base + world.elapsed;
        let now = libc::timespec {
            tv_sec: now.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(now.subsec_nanos().cast_signed()),
        };
        // SAFETY: the caller hands over a writable `timespec`.
        unsafe { time.write(now) };
        0
    }
}
