//! The targets that only read; `BEACH_TARGET` names one of them.
#![no_main]

use std::sync::LazyLock;

use beach_tests::fuzz::{PARSERS, Target, chosen};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| chosen(PARSERS));

fuzz_target!(|data: &[u8]| TARGET(data));
