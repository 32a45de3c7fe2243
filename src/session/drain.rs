//! How long a switch waits for what is outstanding on the ensemble it leaves.

use super::Tick;

/// The drain in front of the next switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Drain {
    /// No request waits for one.
    #[default]
    None,
    /// The first request of those held back has waited for it since then.
    Since(Tick),
    /// It took so many microseconds; if the request still waits, then for its leg.
    Took(u64),
}

impl Drain {
    /// A request waits for it.
    pub(super) fn waits(&mut self, now: Tick) {
        if let Self::None = self {
            *self = Self::Since(now);
        }
    }

    /// Nothing is outstanding any more.
    pub(super) fn is_over(&mut self, now: Tick) {
        if let Self::Since(since) = *self {
            *self = Self::Took(now.since(since));
        }
    }

    /// The request goes out: how long it has waited, microseconds.
    pub(super) fn end(&mut self) -> u64 {
        match std::mem::take(self) {
            Self::None | Self::Since(_) => 0,
            Self::Took(microseconds) => microseconds,
        }
    }
}
