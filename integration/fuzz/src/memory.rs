//! What a piece of work did to the heap: libFuzzer's own limits see the whole process only, and
//! without a sanitizer they do not see a single large allocation at all.

use std::sync::{Mutex, MutexGuard, PoisonError};

use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

static ONE: Mutex<()> = Mutex::new(());

/// Keeps other tests of this process from measuring, and from being measured, until it is dropped.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    /// How many more are in use afterwards.
    pub(crate) kept: isize,
    /// How many more were in use at most meanwhile.
    pub(crate) most: usize,
}

/// Does the work and says what it did to the heap.
pub(crate) fn measured<R>(work: impl FnOnce() -> R) -> (R, Used) {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let result = work();
    let kept = HEAP.current_usage().cast_signed() - before.cast_signed();
    let most = HEAP.peak_usage().saturating_sub(before);
    (result, Used { kept, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_and_what_was_needed_are_told_apart() {
        let _alone = alone();
        let (kept, used) = measured(|| {
            drop(vec![0_u8; 1 << 20]);
            vec![0_u8; 1 << 10]
        });
        assert_eq!(kept.len(), 1 << 10);
        assert!((1 << 10..2 << 10).contains(&used.kept), "{used:?}");
        assert!((1 << 20..2 << 20).contains(&used.most), "{used:?}");
    }
}
