//! The imports and exports, and the only `unsafe` code.
//!
//! The module has one thread and one page. The page writes into the buffer of [`room`], then calls [`start`] or
//! [`happened`] with the number of bytes.
#![allow(unsafe_code, reason = "imports, exports, and the memory that page and machine share")]

use std::cell::RefCell;

use beach_core::time::Timestamp;

use crate::page::Page;

#[link(wasm_import_module = "beach")]
unsafe extern "C" {
    fn perform(what: u32, peer: u32, bytes: *const u8, length: usize);
    fn random(bytes: *mut u8, length: usize);
}

/// Most bytes of one event: the largest paste that is read, and its brackets.
const MOST: usize = 17 << 20;

thread_local! {
    static PAGE: RefCell<Page> = RefCell::default();
    static BUFFER: RefCell<Vec<u8>> = RefCell::default();
}

/// Makes room for `length` bytes of the next call, at most [`MOST`].
#[unsafe(no_mangle)]
extern "C" fn room(length: usize) -> *mut u8 {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        buffer.resize(length.min(MOST), 0);
        buffer.as_mut_ptr()
    })
}

/// Joins by the plan in the buffer, as JSON.
#[unsafe(no_mangle)]
extern "C" fn start(now_ms: f64, length: usize) -> f64 {
    call(length, |page, bytes| page.start(time(now_ms), bytes, &mut to_page))
}

/// Something happened.
#[unsafe(no_mangle)]
extern "C" fn happened(now_ms: f64, what: u32, peer: u32, length: usize) -> f64 {
    call(length, |page, bytes| page.happened(time(now_ms), what, peer, bytes, &mut to_page))
}

/// Nothing happens, but functions that a frame needs are compiled afterwards.
#[unsafe(no_mangle)]
extern "C" fn rehearse() -> usize {
    crate::rehearsal::rehearse()
}

/// The columns of a character.
#[unsafe(no_mangle)]
extern "C" fn width(code: u32) -> u32 {
    crate::width(code)
}

/// Replays the recording in the buffer. The page gets what was to be shown; 0 if every output was as recorded.
#[cfg(feature = "replay")]
#[unsafe(no_mangle)]
extern "C" fn replay(length: usize) -> i32 {
    use crate::codes::perform::{NEWS, SHOW, SIZE};
    use beach_core::recording::journal::{Replayed, read, replay};
    use beach_core::viewer::ViewerOutput;

    let file = BUFFER.take();
    let shown = |replayed: Replayed| match replayed {
        Replayed::Viewer(_, ViewerOutput::Show(bytes)) => to_page(SHOW, 0, &bytes),
        Replayed::Viewer(_, ViewerOutput::Size(size)) => {
            to_page(SIZE, 0, &[size.cols.to_le_bytes(), size.rows.to_le_bytes()].concat());
        }
        Replayed::Viewer(..) | Replayed::ViewerInput(..) | Replayed::Note(..) => {}
    };
    let outcome = read(file.get(..length).unwrap_or_default()).and_then(|records| replay(&records, shown).map(drop));
    outcome.map_or_else(
        |error| {
            to_page(NEWS, 0, error.to_string().as_bytes());
            1
        },
        |()| 0,
    )
}

fn call(length: usize, step: impl FnOnce(&mut Page, &[u8])) -> f64 {
    let bytes = BUFFER.take();
    PAGE.with_borrow_mut(|page| {
        step(page, bytes.get(..length).unwrap_or_default());
        BUFFER.set(bytes);
        page.deadline().map_or(f64::INFINITY, |at| at.as_micros() as f64 / 1000.0)
    })
}

fn to_page(what: u32, peer: u32, bytes: &[u8]) {
    // SAFETY: the page copies that many bytes during the call and keeps no pointer.
    unsafe { perform(what, peer, bytes.as_ptr(), bytes.len()) }
}

/// Numbers that are no time become the nearest one: a cast from a float saturates.
fn time(now_ms: f64) -> Timestamp {
    Timestamp::from_micros((now_ms * 1000.0) as u64)
}

/// The randomness of `getrandom`, which some crates of core draw from.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(bytes: *mut u8, length: usize) -> Result<(), getrandom::Error> {
    // SAFETY: the caller gives memory of that length, and the page fills all of it.
    unsafe { random(bytes, length) };
    Ok(())
}
