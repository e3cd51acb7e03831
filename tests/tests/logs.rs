//! What everything below says at level trace, while real sessions run, has no secret in it.
#![cfg(target_os = "linux")]

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use beach_core::peer::str0m::Certificate;
use beach_core::role::Role;
use beach_core::viewer::ViewerInput;
use beach_tests::determinism;
use beach_tests::sim::scenario::{everyone_joins, everyone_types};
use beach_tests::sim::{HostPlan, ViewerPlan, real, secs};
use tracing_subscriber::filter::LevelFilter;

/// The log, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a session with a viewer of each kind must not say.
fn session() -> Vec<String> {
    determinism::run(5, || {
        let mut world = real::world(5);
        world.add_host(HostPlan::new(3));
        for role in [Role::Control, Role::View] {
            let mut viewer = ViewerPlan::of(3, role);
            viewer.wait = Some(secs(5));
            world.add_viewer(viewer);
        }
        everyone_joins(&mut world, secs(30)).unwrap_or_else(|who| panic!("{who}"));
        everyone_types(&mut world);
        let mut needles = world.hosts[0].node.endpoint().needles();
        needles.extend(world.viewers.iter().flat_map(|viewer| viewer.node.endpoint().needles()));
        world.viewer_input(1, ViewerInput::Leave);
        world.run_for(secs(5));
        needles
    })
}

/// A secret in hex, as it is printed by `{:?}` of its bytes, and in base64url.
fn spellings(needle: &str) -> Vec<String> {
    let byte = |at: usize| u8::from_str_radix(needle.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..needle.len()).step_by(2).map(byte).collect();
    let listed = bytes.map(|bytes| bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", "));
    [Some(needle.to_owned()), Some(needle.to_uppercase()), listed].into_iter().flatten().collect()
}

#[test]
fn a_log_at_trace_holds_no_key_no_token_and_no_confirmation_key() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();

    let mut needles = session();
    let certificates = [0, 1000, 1001].map(determinism::certificate);
    for certificate in certificates {
        let certificate = Certificate::from_der(certificate.certificate.clone(), certificate.private_key.clone());
        needles.extend(certificate.needles());
    }
    let text = log.text();

    assert!(text.contains("TRACE") && text.contains("str0m") && text.len() > 10_000, "everything speaks");
    assert!(needles.len() > 16, "keys, token, confirmation keys and certificates are looked for");
    for needle in needles.iter().flat_map(|needle| spellings(needle)) {
        assert!(!text.contains(&needle), "a secret is in the log");
    }
    assert_eq!(spellings("0a0B").last().map(String::as_str), Some("10, 11"), "bytes in a list are looked for as well");
}
