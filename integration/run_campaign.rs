//! Breaks what can break, for as long as it is told, and checks after each fault that the failure
//! contract held: see `campaign.rs`.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the ban is for the core; real processes take real time"
)]

#[expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on panics, as in the bed"
)]
mod campaign;
#[expect(dead_code, reason = "a campaign tells in words, without a picture")]
mod checker;
#[expect(
    dead_code,
    clippy::panic,
    reason = "tests tell it more than campaigns do; what cannot go on panics"
)]
mod puppet;
#[expect(
    dead_code,
    reason = "a campaign takes from the bed what it needs, tests take the rest"
)]
mod testbed;
#[expect(dead_code, reason = "a campaign says when its load ends")]
mod workload;

use std::env;
use std::time::Duration;

use clap::Parser;

/// A fault campaign against two sidecars between two regions. The same seed breaks the same things
/// in the same order.
#[derive(Parser)]
#[command(bin_name = "cargo run --example campaign --")]
struct Options {
    /// What is broken, and in which order; any if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// How long it goes on.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// What the sidecars put in front of reads: sync, quorum, elided (sync, and `elide_barriers`), or
    /// none, which must fail.
    #[arg(long, default_value = "sync")]
    barrier: String,
}

fn main() {
    let Options {
        seed,
        minutes,
        barrier,
    } = Options::parse();
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let example = env::current_exe().expect("the campaign runs from a file");
    let zoonet = example
        .parent()
        .and_then(|examples| examples.parent())
        .expect("examples are two levels below the target directory")
        .join("zoonet");
    assert!(
        zoonet.exists(),
        "{} is missing: cargo build first",
        zoonet.display()
    );
    println!("seed {seed}, {minutes} minutes, barrier {barrier}");
    let time = Duration::from_secs_f64(60.0 * minutes);
    campaign::for_a_while(&zoonet, seed, time, &barrier);
}
