//! The targets with a machine, an endpoint, a terminal or a world that lives; `BEACH_TARGET` names one of them.
#![no_main]

use std::sync::LazyLock;

use beach_tests::fuzz::{LIVE, Target, chosen};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| chosen(LIVE));

fuzz_target!(|data: &[u8]| TARGET(data));
