//! Whether a recorded history is OSC(U): what section 1 of the design claims of all clients.
//!
//! `ZooKeeper` tells with each reply which version of a node it wrote or saw, and the zxid that made
//! it. The order of the writes and the source of every read are therefore known, nothing has to be
//! guessed, and the verdict is exact: a total order as the guarantee wants it exists if and only if
//! there is no cycle of these.
//!
//! | what comes before | what | because |
//! | --- | --- | --- |
//! | an operation | a later one of the same client | program order |
//! | an update | a later one of the same ensemble, by zxid; of the same node, by version | write-write |
//! | an update | a read that saw what it wrote | write-read |
//! | a read | any later update of the node it read | read-write |
//! | an update | an update that began after it returned | real time |
//!
//! Time and space are those of sorting: each order that is a chain, and real time too, is a row of
//! points that operations enter and leave, so that no pair is ever written down (`graph.rs`).
//!
//! # Decisions
//!
//! * Updates of one ensemble must stand in the order of their zxids, also those of different nodes.
//!   Clients see zxids; a total order that contradicts them is not one anybody could be shown.
//! * An update of unknown outcome counts when somebody read what it wrote, or when a version is
//!   missing that only it can have written. It comes after what its client knew to be done before
//!   it, but before nothing: it may have been carried out any time after it was given up.
//! * An operation that failed changed nothing, and what its error says about the state it met is
//!   not used. `ZooKeeper` orders most failing updates, but not all, and a client cannot tell.
//! * What cannot be placed without guessing is not placed, and counted: absence seen at a node that
//!   is also deleted, updates without a zxid there, and who of several wrote a missing version.
//!   This can hide a cycle, never invent one; when none are counted, the verdict is exact.
//! * No sockets, no clocks, no panics, no recursion: any file gets an answer.

mod cycle;
mod graph;
mod history;
mod order;
mod picture;
#[cfg(test)]
mod tests;

use std::fmt;

use cycle::Search;
use graph::{Graph, Hop};
pub(crate) use history::{History, Malformed};

/// Decides whether a history is OSC(U).
pub(crate) fn check(history: &History) -> Result<Verdict<'_>, Malformed> {
    let order = order::Order::of(history)?;
    let graph = Graph::of(history, &order)?;
    let search = cycle::shortest(&graph);
    Ok(Verdict {
        counts: Counts {
            operations: history.operations.len(),
            clients: history.clients(),
            undecided: order.undecided,
            given_up: order.given_up,
            unplaced: order.unplaced,
        },
        violation: search.map(|Search { hops, shortest }| Violation {
            history,
            steps: hops
                .into_iter()
                .map(|(node, hop)| (graph.step(node), hop))
                .collect(),
            shortest,
        }),
    })
}

/// What a history turned out to be.
#[derive(Debug)]
pub(crate) struct Verdict<'a> {
    /// How much there was to check.
    pub(crate) counts: Counts,
    /// Why no total order exists, if none does.
    pub(crate) violation: Option<Violation<'a>>,
}

/// What a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) operations: usize,
    pub(crate) clients: usize,
    /// Updates of unknown outcome.
    pub(crate) undecided: usize,
    /// Those of them nothing shows to have happened.
    pub(crate) given_up: usize,
    /// Operations that could not be placed among the writes of their node without guessing. If
    /// there are none, the verdict is exact; else a violation still is one.
    pub(crate) unplaced: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} operations of {} clients; {} updates of unknown outcome, {} of them seen by nobody; \
             {} operations not placed",
            self.operations, self.clients, self.undecided, self.given_up, self.unplaced
        )
    }
}

/// Operations of which each must come before the next, and the last before the first.
#[derive(Debug)]
pub(crate) struct Violation<'a> {
    history: &'a History,
    steps: Vec<(Step, Hop)>,
    /// Whether no cycle with fewer operations exists, or only none was found in reasonable time.
    shortest: bool,
}

/// One operation of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// By its place in the history.
    Operation(usize),
    /// Written by one of several updates of unknown outcome: which one, nobody can tell.
    Somebody { key: u32, version: i32 },
}
