//! Real processes for tests and the demo to run against: stock ZooKeeper ensembles, TCP relays
//! that stand for a wide-area network, the sidecar itself and unmodified Python clients.
//!
//! A plain module without a test framework, shared by the test target and the demo.
//!
//! # Decisions
//!
//! * Every process dies with us, even if we are killed: see [`launch`]. Nothing is found or ended
//!   by name, so any number of beds run on one machine.
//! * What cannot go on panics. A bed that did not start has nothing useful to return.
//! * The calls block. They are short, and so serve plain tests and async ones alike.

#![expect(
    clippy::panic,
    reason = "a bed that fails has no caller who could mend it"
)]

pub(crate) mod authority;
pub(crate) mod browser;
pub(crate) mod http;
pub(crate) mod launch;
pub(crate) mod ports;
pub(crate) mod python;
pub(crate) mod regions;
pub(crate) mod relay;
pub(crate) mod scratch;
pub(crate) mod sidecar;
pub(crate) mod zookeeper;
