//! The failure contract under fire: unmodified clients hold ephemerals and watches on two ensembles
//! and do versioned writes, while everything around them is broken, one thing at a time.
//!
//! After each fault, once it is healed, the world has to be in order again within a bound:
//!
//! * no acknowledged write is lost, and no version was skipped;
//! * the ephemerals on the ensembles are those of the live sessions, no more and no fewer;
//! * what changed under a watch during the fault was noticed by every client that has one;
//! * sessions were lost only where the contract says so, and there they were;
//! * a client that uses its home only saw no error of a remote fault, and was not slowed down.
//!
//! What is broken follows from the seed alone; when, and what the machine makes of it, does not.

mod check;
mod fault;
mod world;

use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use fault::Fault;
use world::World;

/// One fault of each kind that does not take long, for the suite.
#[cfg(test)]
const SHORT: [fault::Kind; 9] = [
    fault::Kind::Server,
    fault::Kind::Leader,
    fault::Kind::Wire,
    fault::Kind::HalfOpen,
    fault::Kind::Crash,
    fault::Kind::Stop,
    fault::Kind::Reload,
    fault::Kind::Client,
    fault::Kind::Outlasted,
];

/// Faults of all kinds until that time is over; panics at the first that breaks the contract.
pub(crate) fn for_a_while(zoonet: &Path, seed: u64, time: Duration) {
    let begun = Instant::now();
    let mut random = Rng::with_seed(seed);
    let mut world = World::start(zoonet);
    let mut tally = std::collections::BTreeMap::<String, usize>::new();
    let mut number = 0;
    while begun.elapsed() < time {
        number += 1;
        let fault = Fault::any(&mut random);
        let repeat = format!(
            "cargo run --example campaign -- --seed {seed} --minutes {:.1}",
            (begun.elapsed().as_secs_f64() + 60.0) / 60.0
        );
        attempt(&mut world, number, &fault, begun, &repeat);
        *tally.entry(format!("{:?}", fault.kind())).or_default() += 1;
    }
    println!(
        "held: seed {seed}, {number} faults in {:.1} minutes, {} writes acknowledged; {tally:?}",
        begun.elapsed().as_secs_f64() / 60.0,
        world.writes(),
    );
}

fn attempt(world: &mut World, number: usize, fault: &Fault, begun: Instant, repeat: &str) {
    let at = begun.elapsed().as_secs_f64();
    let before = world.reports();
    let started = Instant::now();
    let allowed = fault.strike(world, number);
    let struck = started.elapsed();
    match check::order(world, number, &before, &allowed) {
        Ok(said) => println!(
            "{at:7.1} s  #{number:<4} {fault:?}: held ({:.1} s, in order after {:.1} s; {said})",
            struck.as_secs_f64(),
            (started.elapsed() - struck).as_secs_f64(),
        ),
        Err(broken) => {
            println!("{at:7.1} s  #{number:<4} {fault:?}: BROKEN\n{broken}\nto repeat: {repeat}");
            panic!("the contract did not hold over {fault:?}: {broken}");
        }
    }
}

#[cfg(test)]
#[test]
fn the_contract_holds_over_a_fault_of_each_kind() {
    let mut random = Rng::with_seed(1);
    let mut world = World::start(Path::new(crate::ZOONET));
    let begun = Instant::now();
    for (number, kind) in (1..).zip(SHORT) {
        let fault = Fault::of(kind, &mut random);
        attempt(&mut world, number, &fault, begun, "run this test");
    }
    assert!(world.writes() > 100);
}
