//! What clients have asked for and what they know of it.

use super::scenario::Ask;

/// A write, told from all others by the one byte it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Written(u8);

impl Written {
    /// A request of a client's, both by their place.
    pub(crate) fn new(place: usize, index: usize) -> Self {
        Self(u8::try_from(place * 8 + index).expect("few clients ask little"))
    }

    /// What it writes.
    pub(crate) const fn byte(self) -> u8 {
        self.0
    }

    /// Whose data this is; `None` where nothing was written yet.
    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        data.first().map(|byte| Self(*byte))
    }

    /// The client that wrote it, and which of its requests that was.
    pub(crate) fn by(self) -> (usize, usize) {
        (usize::from(self.0 / 8), usize::from(self.0 % 8))
    }

    /// Its place in a set of writes.
    pub(crate) const fn bit(self) -> u32 {
        1 << self.0
    }
}

/// What a client knows of something it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Waiting,
    /// It read what this write had written, or nothing.
    Read(Option<Written>),
    Done,
    /// Nobody told what became of it.
    Lost,
    /// It did not happen.
    Refused,
}

/// Something a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    /// The writes of others that had returned by then; not kept for what real time does not bind.
    pub(crate) after: u32,
    pub(crate) outcome: Outcome,
}

/// What must never happen to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// A reply to what it has not asked, or does not wait for.
    Unasked(i32),
    /// A reply before that to an earlier request.
    Overtaken(i32),
    /// Its connection was closed though home's was there.
    Dropped,
    /// Its session ended.
    Expired,
}
