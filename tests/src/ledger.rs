//! An allocator that keeps accounts: how many bytes each part of a test holds, wherever they are freed.
//!
//! A test that measures declares `#[global_allocator] static LEDGER: Ledger = Ledger;`, and is alone in its file, since
//! the allocator is the whole process's.
#![expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one adds a head to what the system's gives")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Somebody whose memory is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Account {
    /// The test itself.
    Test = 0,
    /// The one who is attacked.
    Victim = 1,
    /// The one who attacks, and whoever else is there.
    Other = 2,
}

/// The allocator.
pub struct Ledger;

static HELD: [AtomicI64; 3] = [const { AtomicI64::new(0) }; 3];
static PEAK: [AtomicI64; 3] = [const { AtomicI64::new(0) }; 3];
static EVER: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

thread_local! {
    static ACCOUNT: Cell<u8> = const { Cell::new(0) };
}

/// Bytes before each allocation, which name its account; as many as the alignment, and at least 16.
fn head(layout: Layout) -> usize {
    layout.align().max(16)
}

fn with_head(layout: Layout) -> Option<Layout> {
    let size = layout.size().checked_add(head(layout))?;
    Layout::from_size_align(size, layout.align().max(16)).ok()
}

// SAFETY: every pointer handed out is `head` bytes into an allocation of the system of the layout that `with_head`
// gives, which is a function of the layout that the caller passes again.
unsafe impl GlobalAlloc for Ledger {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(whole) = with_head(layout) else { return std::ptr::null_mut() };
        // SAFETY: the layout has a size, since the head has one.
        let start = unsafe { System.alloc(whole) };
        if start.is_null() {
            return start;
        }
        let account = ACCOUNT.try_with(Cell::get).unwrap_or(0);
        let index = usize::from(account);
        let held = HELD[index].fetch_add(layout.size() as i64, Ordering::Relaxed) + layout.size() as i64;
        PEAK[index].fetch_max(held, Ordering::Relaxed);
        EVER[index].fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the head is within the allocation.
        unsafe {
            start.write(account);
            start.add(head(layout))
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(whole) = with_head(layout) else { return };
        // SAFETY: the pointer came from `alloc` with this layout.
        unsafe {
            let start = pointer.sub(head(layout));
            let account = usize::from(start.read());
            HELD[account].fetch_sub(layout.size() as i64, Ordering::Relaxed);
            System.dealloc(start, whole);
        }
    }
}

/// Runs something on an account.
pub fn on<T>(account: Account, act: impl FnOnce() -> T) -> T {
    let before = ACCOUNT.replace(account as u8);
    let result = act();
    ACCOUNT.set(before);
    result
}

/// The bytes that an account holds now.
pub fn held(account: Account) -> i64 {
    HELD[account as usize].load(Ordering::Relaxed)
}

/// The most bytes that an account held at once since the last call of [`begin_peak`].
pub fn peak(account: Account) -> i64 {
    PEAK[account as usize].load(Ordering::Relaxed)
}

/// Forgets the peak of an account.
pub fn begin_peak(account: Account) {
    PEAK[account as usize].store(held(account), Ordering::Relaxed);
}

/// All bytes that an account ever took, freed ones included: a measure of work that does not depend on the machine.
pub fn ever(account: Account) -> u64 {
    EVER[account as usize].load(Ordering::Relaxed)
}
