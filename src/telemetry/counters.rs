//! Counters that cost the hot path a load and a store each.
//!
//! Each thread counts for itself and nobody else writes there, so that no instruction has to lock a
//! cache line; a scrape adds the threads up. A gauge is counted the same way, ups on the thread they
//! happen on and downs on theirs: the sums wrap around and come out right.
//!
//! # Decisions
//! * 2026-11: what a thread has counted stays when the thread ends, because a counter must not fall.
//!   The threads that count are the main one and those that serve clients, of which there are few.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::catalogue::{BOUNDS, ERROR_NAMES, EnsembleCounters, OTHER_ERROR, SidecarCounters};
use crate::route::EnsembleId;
use crate::wire::opcode::OpCode;

/// A number only one thread changes and every thread may read.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(more), Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, less: u64) {
        self.add(less.wrapping_neg());
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Times by size.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// The last one counts what is above all bounds.
    buckets: [Count; BOUNDS.len() + 1],
    sum: Count,
}

impl Times {
    /// Counts one that took so long.
    pub(super) fn observe(&self, microseconds: u64) {
        self.observe_all(microseconds, 1);
    }

    /// Counts so many that took equally long.
    pub(super) fn observe_all(&self, microseconds: u64, times: u64) {
        let fits = BOUNDS.iter().position(|bound| microseconds <= *bound);
        if let Some(bucket) = self.buckets.get(fits.unwrap_or(BOUNDS.len())) {
            bucket.add(times);
        }
        self.sum.add(microseconds.wrapping_mul(times));
    }

    pub(super) fn absorb(&self, other: &Self) {
        for (mine, others) in self.buckets.iter().zip(&other.buckets) {
            mine.add(others.value());
        }
        self.sum.add(other.sum.value());
    }

    /// How many there are up to each bound, and in all.
    pub(super) fn cumulated(&self) -> [u64; BOUNDS.len() + 1] {
        let mut sum = 0;
        self.buckets.each_ref().map(|bucket| {
            sum += bucket.value();
            sum
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().map(Count::value).sum()
    }

    /// All of them together, microseconds.
    pub(super) fn sum(&self) -> u64 {
        self.sum.value()
    }
}

/// What is counted of one operation on one ensemble.
#[derive(Debug, Default)]
pub(super) struct OperationCounters {
    pub(super) requests: Count,
    pub(super) request_bytes: Count,
    pub(super) response_bytes: Count,
    /// Counts replies as well.
    pub(super) latency: Times,
}

impl OperationCounters {
    fn absorb(&self, other: &Self) {
        self.requests.add(other.requests.value());
        self.request_bytes.add(other.request_bytes.value());
        self.response_bytes.add(other.response_bytes.value());
        self.latency.absorb(&other.latency);
    }
}

/// How many kinds of operations are told apart: those of the table, and the unknown ones together.
const OPERATIONS: usize = OpCode::ALL.len() + 1;

/// What one thread has counted for one ensemble.
#[derive(Debug)]
pub(super) struct OfEnsemble {
    operations: [OperationCounters; OPERATIONS],
    /// In the order of [`ERROR_NAMES`], the others last.
    errors: [Count; ERROR_NAMES.len() + 1],
    pub(super) counters: EnsembleCounters,
    pub(super) barrier: Times,
    pub(super) drain: Times,
}

impl Default for OfEnsemble {
    fn default() -> Self {
        Self {
            operations: std::array::from_fn(|_| OperationCounters::default()),
            errors: std::array::from_fn(|_| Count::default()),
            counters: EnsembleCounters::default(),
            barrier: Times::default(),
            drain: Times::default(),
        }
    }
}

impl OfEnsemble {
    /// The counters of the operation at this place of the table.
    pub(super) fn operation(&self, place: usize) -> &OperationCounters {
        let [.., unknown] = &self.operations;
        self.operations.get(place).unwrap_or(unknown)
    }

    /// Each kind of operation, by its name.
    pub(super) fn operations(&self) -> impl Iterator<Item = (&'static str, &OperationCounters)> {
        let names = OpCode::ALL.iter().copied().chain([OpCode::Unknown(0)]);
        names.map(|op| op.shape().name).zip(&self.operations)
    }

    pub(super) fn error(&self, code: i32) -> &Count {
        let [.., other] = &self.errors;
        let place = ERROR_NAMES.iter().position(|(known, _)| *known == code);
        place
            .and_then(|place| self.errors.get(place))
            .unwrap_or(other)
    }

    /// Each kind of error, by its name.
    pub(super) fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = ERROR_NAMES.iter().map(|(_, name)| *name);
        names
            .chain([OTHER_ERROR])
            .zip(self.errors.iter().map(Count::value))
    }

    fn absorb(&self, other: &Self) {
        for (mine, others) in self.operations.iter().zip(&other.operations) {
            mine.absorb(others);
        }
        for (mine, others) in self.errors.iter().zip(&other.errors) {
            mine.add(others.value());
        }
        self.counters.absorb(&other.counters);
        self.barrier.absorb(&other.barrier);
        self.drain.absorb(&other.drain);
    }
}

/// A thread's own counters. They cannot go to another thread, nor be held over an `await`.
#[derive(Debug)]
pub(super) struct Own<T> {
    counters: Arc<T>,
    stays: PhantomData<*const ()>,
}

impl<T> From<Arc<T>> for Own<T> {
    fn from(counters: Arc<T>) -> Self {
        Self {
            counters,
            stays: PhantomData,
        }
    }
}

impl<T> std::ops::Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.counters
    }
}

/// The counters of all threads.
#[derive(Debug, Default)]
pub(super) struct Threads {
    /// Tells several of them apart, and whether they are still there.
    life: Arc<()>,
    ensembles: Mutex<Vec<(EnsembleId, Arc<OfEnsemble>)>>,
    sidecar: Mutex<Vec<Arc<SidecarCounters>>>,
}

/// What this thread counts for one [`Threads`].
struct Mine {
    of: Weak<()>,
    /// By [`EnsembleId::index`].
    ensembles: Vec<Option<Arc<OfEnsemble>>>,
    sidecar: Arc<SidecarCounters>,
}

thread_local! {
    /// A process has one [`Threads`]; its tests have many, a few at a time.
    static MINE: RefCell<Vec<Mine>> = const { RefCell::new(Vec::new()) };
}

impl Threads {
    /// This thread's counters of an ensemble.
    pub(super) fn ensemble(&self, id: EnsembleId) -> Own<OfEnsemble> {
        let found = self.mine(|mine| {
            let index = id.index();
            if mine.ensembles.len() <= index {
                mine.ensembles.resize(index + 1, None);
            }
            let place = mine.ensembles.get_mut(index)?;
            let counters = place.get_or_insert_with(|| self.add_ensemble(id));
            Some(Arc::clone(counters))
        });
        // A thread that is ending has no memory of its own any more.
        found
            .flatten()
            .unwrap_or_else(|| self.add_ensemble(id))
            .into()
    }

    /// This thread's counters of the sidecar.
    pub(super) fn sidecar(&self) -> Own<SidecarCounters> {
        let found = self.mine(|mine| Arc::clone(&mine.sidecar));
        found.unwrap_or_else(|| self.add_sidecar()).into()
    }

    fn mine<T>(&self, see: impl FnOnce(&mut Mine) -> T) -> Option<T> {
        let found = MINE.try_with(|all| {
            let mut all = all.borrow_mut();
            let life = Arc::as_ptr(&self.life);
            let known = all.iter().position(|mine| mine.of.as_ptr() == life);
            let place = known.unwrap_or_else(|| {
                all.retain(|mine| mine.of.strong_count() > 0);
                all.push(Mine {
                    of: Arc::downgrade(&self.life),
                    ensembles: Vec::new(),
                    sidecar: self.add_sidecar(),
                });
                all.len() - 1
            });
            all.get_mut(place).map(see)
        });
        found.ok().flatten()
    }

    fn add_ensemble(&self, id: EnsembleId) -> Arc<OfEnsemble> {
        let counters: Arc<OfEnsemble> = Arc::default();
        lock(&self.ensembles).push((id, Arc::clone(&counters)));
        counters
    }

    fn add_sidecar(&self) -> Arc<SidecarCounters> {
        let counters: Arc<SidecarCounters> = Arc::default();
        lock(&self.sidecar).push(Arc::clone(&counters));
        counters
    }

    /// What all threads have counted for each ensemble.
    pub(super) fn by_ensemble(&self) -> BTreeMap<EnsembleId, OfEnsemble> {
        let mut totals: BTreeMap<EnsembleId, OfEnsemble> = BTreeMap::new();
        for (id, counters) in lock(&self.ensembles).iter() {
            totals.entry(*id).or_default().absorb(counters);
        }
        totals
    }

    /// What all threads have counted for the sidecar.
    pub(super) fn of_sidecar(&self) -> SidecarCounters {
        let total = SidecarCounters::default();
        lock(&self.sidecar)
            .iter()
            .for_each(|counters| total.absorb(counters));
        total
    }
}

/// The lists only grow, so a panic elsewhere leaves them whole.
fn lock<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_let_go() {
        for _ in 0..100 {
            Threads::default().ensemble(EnsembleId::new(3));
        }
        let kept = MINE.with_borrow(Vec::len);
        assert!(kept <= 1, "{kept}");
    }
}
