//! Small systems, every interleaving: the real core between clients and servers that are values.
//!
//! [`zoonet::session::Session`] as it is, not a model of it, is put between clients that ask
//! (`client.rs`) and stock ensembles as far as they matter here (`ensemble.rs`). Whatever can happen
//! next (`world.rs`) is tried in every order, up to the bounds of `bounds.rs`, and in every state
//! everything of `properties.rs` has to hold. `mutants.rs` shows that it would be noticed if it did
//! not: without any one part of the rule there is a counter-example.
//!
//! # What is not explored
//! More than three ensembles, two znodes each, three clients and five requests each; what is explored of
//! `elide_barriers` goes further than the rest. More than one server that lags, beside one that does
//! not. Watches, ephemerals, multis of the client's, mounts,
//! reloads, session expiry: those have tests of their own. Frames cut in two, and whatever else is
//! the shell's. Sidecars that crash. Clocks: timers run out only where nothing else can happen,
//! what they lead to else, a connection that breaks, is tried at any time.
//! Replies are under way for no time, but in the tests that say otherwise.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the ban is for the core; how long an exploration took is told"
)]

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod client;
#[cfg(test)]
mod elision;
#[cfg(test)]
mod ensemble;
#[cfg(test)]
mod explore;
#[cfg(test)]
mod history;
#[cfg(test)]
mod mutants;
#[cfg(test)]
mod order;
#[cfg(test)]
mod part;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod words;
#[cfg(test)]
mod world;
