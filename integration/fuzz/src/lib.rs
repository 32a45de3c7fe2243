//! What must hold of zoonet whatever bytes come in, as functions of those bytes.
//!
//! libFuzzer looks for bytes for which one of them panics (`targets/`); `cargo test` runs each over
//! the inputs that are kept in `corpus/`, and shows of each judge that it can say no.
//! `integration/fuzz/run` does both.

mod bed;
mod generate;
mod maps;
mod memory;
mod respond;
mod shape;

pub mod client;
pub mod config;
pub mod frames;
pub mod server;
pub mod wire;

#[cfg(test)]
mod tests;
