//! The whole sidecar in one thread, under a clock that stands still while anybody works: what it
//! accepts and dials, its registry, its drivers and its sessions, against simulated ensembles over
//! streams in memory. Everything that is left to chance comes from one seed.
//!
//! A run has clients that ask for this and that, and faults: connections that break or hold, servers
//! and whole ensembles that go down, lag, follow a deposed leader or turn requests away, sessions
//! that expire, clients that are cut off, stopped and killed, sidecars that are stopped and killed
//! and come back with the table they had written. When it is over, what the clients have recorded
//! is judged by the same checker as that of real deployments, and so is what is left:
//!
//! * the history is OSC(U) (`checker.rs`);
//! * replies come in order, one to each request unless the connection goes; nothing comes that was
//!   not asked for, no zxid of another ensemble is shown, no other session's id as one's own;
//! * a change is not shown before the event of a watch on it, and no watch is left that should have
//!   fired;
//! * the ephemerals that are there are those of the sessions that are, and no others;
//! * it comes to an end: all is asked and answered in bounded time once nothing breaks any more.
//!
//! A plan is a list of operations and a list of faults, so that one which fails can be cut down
//! (`shrink.rs`) to a few lines that fail in the same way.
//!
//! # Decisions
//!
//! * The leg table is kept in memory: redb's file is written by another thread, whose progress
//!   would decide what happens first. What a killed sidecar had remembered is what its next life
//!   starts with. `state.rs` has tests of its own for what goes wrong with files.
//! * `integration/model` has an ensemble too, for exploring all interleavings of a few requests.
//!   This one is another, with watches, sessions that expire and time: each would have to be wrong
//!   in the same way to hide the same mistake.

mod client;
mod ensemble;
mod judge;
mod network;
mod plan;
mod request;
mod shrink;
#[cfg(test)]
mod tests;
mod tree;
mod world;

use std::cell::Cell;
use std::panic;
use std::sync::{Arc, Once};

pub(crate) use judge::{Broken, Property};
use network::Shared;
pub(crate) use plan::{Barrier, Deposed, Plan, Rules};
pub(crate) use shrink::shrink;
use world::{Keep, World};

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) verdict: Result<(), Broken>,
    /// Everything that happened in one number: two runs with the same did the same.
    pub(crate) digest: u64,
    /// Replies clients were given.
    pub(crate) answered: u64,
    /// How long it took, milliseconds of its own time.
    pub(crate) lasted: u64,
    /// What happened, a line each, if that was kept.
    pub(crate) trace: Vec<String>,
}

thread_local! {
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// Counts the panics of this thread: a task that ends in one is not missed by anybody else.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
}

/// Whether a plan runs as it has to.
pub(crate) fn verdict(plan: &Plan) -> Result<(), Broken> {
    run(plan, Keep::Digest).verdict
}

/// Runs a plan and keeps what happened.
pub(crate) fn traced(plan: &Plan) -> Run {
    run(plan, Keep::Lines)
}

/// Runs a plan.
pub(crate) fn counted(plan: &Plan) -> Run {
    run(plan, Keep::Digest)
}

fn run(plan: &Plan, keep: Keep) -> Run {
    count_panics();
    PANICS.set(0);
    fastrand::seed(plan.seed());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without sockets needs nothing of the system");
    runtime.block_on(async {
        let shared = Arc::new(Shared::new(World::new(plan.clone(), keep)));
        shared.run().await;
        shared.with(|world| Run {
            verdict: match PANICS.get() {
                0 => judge::judge(world),
                count => Err(Broken {
                    property: Property::Panic,
                    what: format!("{count} panics"),
                }),
            },
            digest: world.digest,
            answered: world.clients.iter().map(|client| client.answered).sum(),
            lasted: world.now,
            trace: std::mem::take(&mut world.trace),
        })
    })
}
