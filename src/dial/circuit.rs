//! Remembers that an ensemble is down, for all sessions of the process: while it is, one attempt
//! at a time finds out whether it is back, and all others fail at once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// First and longest wait before the next attempt. The longest is short: it is one attempt for the
/// whole process, and sessions on the ensemble expire while nobody makes one.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(1);

/// Whether an ensemble may be tried.
#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Not to be tried before this; `None` while it works.
    open_until: Option<Instant>,
    probe: Probe,
}

/// Whether an attempt is finding out if the ensemble is back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Probe {
    #[default]
    None,
    UnderWay,
}

/// Leave to try. Dropped without a verdict, it leaves the circuit as it was.
#[derive(Debug)]
pub(super) struct Attempt<'a>(&'a Circuit);

impl Circuit {
    /// Leave to try, unless the ensemble is known to be down.
    pub(super) fn attempt(&self, now: Instant) -> Option<Attempt<'_>> {
        let mut state = self.lock();
        if let Some(until) = state.open_until {
            if now < until || state.probe == Probe::UnderWay {
                return None;
            }
            state.probe = Probe::UnderWay;
        }
        Some(Attempt(self))
    }

    /// Whether the ensemble is known to be down.
    pub(super) fn is_open(&self) -> bool {
        self.lock().open_until.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The ensemble answered.
    pub(super) fn succeeded(self) {
        *self.0.lock() = State::default();
    }

    /// None of its servers did.
    pub(super) fn failed(self, now: Instant) {
        let mut state = self.0.lock();
        let wait = FIRST
            .saturating_mul(1 << state.failures.min(6))
            .min(LONGEST);
        state.failures = state.failures.saturating_add(1);
        // Half of it at random, so that sidecars do not come back all at once.
        state.open_until = Some(now + wait.mul_f64(0.5 + fastrand::f64() / 2.0));
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.lock().probe = Probe::None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn while_it_is_down_one_at_a_time_tries() {
        let circuit = Circuit::default();
        let start = Instant::now();
        let (one, other) = (
            circuit.attempt(start).unwrap(),
            circuit.attempt(start).unwrap(),
        );
        assert!(!circuit.is_open());
        one.failed(start);
        other.failed(start);
        assert!(circuit.is_open());
        assert!(circuit.attempt(start).is_none());
        let later = start + LONGEST;
        let probe = circuit.attempt(later).unwrap();
        assert!(circuit.attempt(later).is_none(), "one is under way");
        drop(probe);
        let probe = circuit.attempt(later).unwrap();
        probe.succeeded();
        assert!(!circuit.is_open());
        assert!(circuit.attempt(later).is_some() && circuit.attempt(later).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_a_bound() {
        let circuit = Circuit::default();
        let mut now = Instant::now();
        for bound in [200, 400, 800, 1000, 1000] {
            circuit.attempt(now).unwrap().failed(now);
            let almost = now + Duration::from_millis(bound / 2 - 1);
            assert!(circuit.attempt(almost).is_none(), "{bound}");
            now += Duration::from_millis(bound);
        }
    }
}
