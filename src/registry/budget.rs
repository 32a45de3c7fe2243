//! How much is remembered in all of clients that are away.
//!
//! # Decisions
//!
//! * Who comes and goes is not bounded by the number of connections, and each may leave megabytes of
//!   watches and ephemerals behind. Past the bound it is not remembered what they were, only that there
//!   were some: a client that comes back is told of more changes than there are, and never of fewer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of watches and ephemerals.
const BOUND: usize = 64 << 20;

/// What is left of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget(Arc<AtomicUsize>);

/// A part of it that is in use as long as this lives.
#[derive(Debug)]
pub(super) struct Share {
    of: Budget,
    bytes: usize,
}

impl Budget {
    /// So many bytes of it, if they are left.
    pub(super) fn take(&self, bytes: usize) -> Option<Share> {
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                Some(used + bytes).filter(|used| *used <= BOUND)
            });
        taken.is_ok().then(|| Share {
            of: self.clone(),
            bytes,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_there_again_once_it_is_given_back() {
        let budget = Budget::default();
        let most = budget.take(BOUND - 1);
        assert!(budget.take(2).is_none());
        let rest = budget.take(1);
        assert!(most.is_some() && rest.is_some());
        drop(rest);
        assert!(budget.take(1).is_some());
    }
}
