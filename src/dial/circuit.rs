//! Remembers that an ensemble is down, for all sessions of the process: while it is, one attempt
//! at a time finds out whether it is back. All others fail at once, but for those that come while it
//! does: they wait for what it finds.
//!
//! Nor do all come at once while it works: a thousand clients that go there in one moment would
//! overflow the queue of a server's socket, fifty long by default, and whose connection is dropped
//! there learns of it a second later.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout};

/// First and longest wait before the next attempt. The longest is short: it is one attempt for the
/// whole process, and sessions on the ensemble expire while nobody makes one.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(1);

/// How long one waits for what another attempt finds.
const PATIENCE: Duration = Duration::from_secs(1);

/// Over how long those that have waited come.
const SPREAD: Duration = Duration::from_millis(200);

/// Attempts under way at one time.
const AT_ONCE: usize = 64;

/// Whether an ensemble may be tried.
#[derive(Debug)]
pub(super) struct Circuit {
    state: Mutex<State>,
    /// An attempt is over.
    over: Notify,
    turns: Semaphore,
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            over: Notify::new(),
            turns: Semaphore::new(AT_ONCE),
        }
    }
}

/// Why an ensemble may not be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoLeave {
    /// It is down.
    Down,
    /// It was, and an attempt is finding out if it still is.
    BeingTried,
}

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
pub(super) struct Attempt<'a> {
    circuit: &'a Circuit,
    /// Whether it is the one that finds out if the ensemble is back.
    probe: Probe,
    _turn: Option<SemaphorePermit<'a>>,
}

impl Circuit {
    /// Leave to try when there is a turn, unless the ensemble is known to be down by then.
    pub(super) async fn leave(&self) -> Option<Attempt<'_>> {
        let attempt = self.leave_at_once().await?;
        if attempt.probe == Probe::UnderWay {
            // It is the only one.
            return Some(attempt);
        }
        let turn = self.turn().await?;
        let mut attempt = self.attempt(Instant::now()).ok()?;
        attempt._turn = Some(turn);
        Some(attempt)
    }

    /// A turn to bother a server of the ensemble.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// Leave to try, unless the ensemble is known to be down. Where that is being found out just now,
    /// whoever asks waits for it: the first request of a session must not fail because another's was
    /// there a moment earlier.
    async fn leave_at_once(&self) -> Option<Attempt<'_>> {
        // From here on: what ends between the look and the wait is not missed.
        let over = self.over.notified();
        match self.attempt(Instant::now()) {
            Ok(attempt) => return Some(attempt),
            Err(NoLeave::Down) => return None,
            // Where nobody answers that takes long: requests are to fail quickly.
            Err(NoLeave::BeingTried) => timeout(PATIENCE, over).await.ok()?,
        }
        if !self.is_open() {
            // All that have waited are not to come in one moment.
            sleep(SPREAD.mul_f64(fastrand::f64())).await;
        }
        self.attempt(Instant::now()).ok()
    }

    /// Leave to try right now.
    pub(super) fn attempt(&self, now: Instant) -> Result<Attempt<'_>, NoLeave> {
        let mut state = self.lock();
        let mut probe = Probe::None;
        if let Some(until) = state.open_until {
            if state.probe == Probe::UnderWay {
                return Err(NoLeave::BeingTried);
            }
            if now < until {
                return Err(NoLeave::Down);
            }
            probe = Probe::UnderWay;
            state.probe = probe;
        }
        Ok(Attempt {
            circuit: self,
            probe,
            _turn: None,
        })
    }

    /// Whether the ensemble is known to be down.
    pub(super) fn is_open(&self) -> bool {
        self.lock().open_until.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The ensemble answered.
    pub(super) fn succeeded(self) {
        *self.circuit.lock() = State::default();
    }

    /// None of its servers did.
    pub(super) fn failed(self, now: Instant) {
        let mut state = self.circuit.lock();
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
        // One that was under way when the ensemble went down says nothing of a later one.
        if self.probe == Probe::UnderWay {
            self.circuit.lock().probe = Probe::None;
            self.circuit.over.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::Pin;
    use std::task::Poll;

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
        assert_eq!(circuit.attempt(start).unwrap_err(), NoLeave::Down);
        let later = start + LONGEST;
        let probe = circuit.attempt(later).unwrap();
        assert_eq!(circuit.attempt(later).unwrap_err(), NoLeave::BeingTried);
        drop(probe);
        let probe = circuit.attempt(later).unwrap();
        probe.succeeded();
        assert!(!circuit.is_open());
        assert!(circuit.attempt(later).is_ok() && circuit.attempt(later).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_comes_one_after_the_other_and_goes_when_the_first_are_disappointed() {
        let circuit = Circuit::default();
        let mut first = Vec::new();
        for _ in 0..AT_ONCE {
            first.push(circuit.leave().await.unwrap());
        }
        let mut next = Box::pin(circuit.leave());
        assert!(is_pending(&mut next).await);
        first.pop().unwrap().succeeded();
        first.push(next.await.unwrap());

        let mut others = [(); 3].map(|()| Box::pin(circuit.leave()));
        for other in &mut others {
            assert!(is_pending(other).await);
        }
        first.pop().unwrap().failed(Instant::now());
        for other in others {
            assert!(other.await.is_none(), "it is known to be down");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_it_is_tried_waits_for_what_is_found() {
        for back in [true, false] {
            let circuit = Circuit::default();
            circuit.leave().await.unwrap().failed(Instant::now());
            assert!(circuit.leave().await.is_none(), "nobody tries it");
            tokio::time::advance(LONGEST).await;
            let probe = circuit.leave().await.unwrap();
            let mut waits = [circuit.leave(), circuit.leave()].map(Box::pin);
            for wait in &mut waits {
                assert!(is_pending(wait).await);
            }
            if back {
                probe.succeeded();
            } else {
                probe.failed(Instant::now());
            }
            for wait in waits {
                assert_eq!(wait.await.is_some(), back);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_long_where_nobody_answers() {
        let circuit = Circuit::default();
        circuit.leave().await.unwrap().failed(Instant::now());
        tokio::time::advance(LONGEST).await;
        let _probe = circuit.leave().await.unwrap();
        let begun = Instant::now();
        assert!(circuit.leave().await.is_none());
        assert_eq!(begun.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_attempt_that_ends_is_no_end_of_the_probe() {
        let circuit = Circuit::default();
        let start = Instant::now();
        let (one, older) = (
            circuit.attempt(start).unwrap(),
            circuit.attempt(start).unwrap(),
        );
        one.failed(start);
        let later = start + LONGEST;
        let _probe = circuit.attempt(later).unwrap();
        drop(older);
        assert_eq!(circuit.attempt(later).unwrap_err(), NoLeave::BeingTried);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_is_taken_over_by_one_that_waits() {
        let circuit = Circuit::default();
        circuit.leave().await.unwrap().failed(Instant::now());
        tokio::time::advance(LONGEST).await;
        let probe = circuit.leave().await.unwrap();
        let mut wait = Box::pin(circuit.leave());
        assert!(is_pending(&mut wait).await);
        drop(probe);
        assert!(wait.await.is_some());
    }

    /// Whether a future waits when it is looked at.
    async fn is_pending<F: Future + Unpin>(wait: &mut F) -> bool {
        poll_fn(|cx| Poll::Ready(Pin::new(&mut *wait).poll(cx).is_pending())).await
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_a_bound() {
        let circuit = Circuit::default();
        let mut now = Instant::now();
        for bound in [200, 400, 800, 1000, 1000] {
            circuit.attempt(now).unwrap().failed(now);
            let almost = now + Duration::from_millis(bound / 2 - 1);
            assert!(circuit.attempt(almost).is_err(), "{bound}");
            now += Duration::from_millis(bound);
        }
    }
}
