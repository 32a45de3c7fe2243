//! Waiting for what nobody tells of.

use std::thread;
use std::time::{Duration, Instant};

/// How long something may take to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what cannot be awaited as an event.
///
/// # Panics
///
/// If it does not come to be so.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not in {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}
